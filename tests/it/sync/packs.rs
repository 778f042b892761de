//! A first tree goes in packs: it arrives as by rsync, whatever its names, and what is not whole is never used.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::{all_snapshots, campaign, folders, replace, sync};
use crate::support::{Run, Sandbox, files_below, quoted, shell};

/// Larger than what a pack holds.
const LARGE: usize = 5 << 20;

/// What a snapshot's paths are: rights, bytes, seconds and content, or where a link points.
type Looks = BTreeMap<Vec<u8>, (u32, u64, i64, Vec<u8>)>;

fn looks(tree: &Path) -> Looks {
    let mut found = Looks::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let about = fs::symlink_metadata(&path).expect("it is there");
            let name = path.strip_prefix(tree).expect("below").as_os_str().as_bytes().to_vec();
            let (size, seconds, content) = if about.is_dir() {
                folders.push(path);
                (0, 0, Vec::new())
            } else if about.is_symlink() {
                // Not every tar sets the time of a link.
                (about.size(), 0, fs::read_link(&path).expect("a link").into_os_string().into_vec())
            } else {
                (about.size(), about.mtime(), fs::read(&path).expect("a file"))
            };
            found.insert(name, (about.mode(), size, seconds, content));
        }
    }
    found
}

/// Names, links, rights and times of every kind.
fn odd(sandbox: &Sandbox) {
    let folder = sandbox.campaign();
    let deep = format!("{}/{}/{}", "d".repeat(120), "e".repeat(120), "f".repeat(120));
    let (exact, more) = ("g".repeat(100), "h".repeat(101));
    let names = [
        "plain",
        "-dash",
        "--",
        "new\nline",
        "a b",
        "'\"\\$x",
        ".hidden",
        "sub/-C",
        "sub/.../x",
        "ä",
        "tab\t",
        "*",
        &deep,
        &exact,
        &more,
        "././@LongLink",
    ];
    for name in names {
        sandbox.write(name, name);
    }
    sandbox.write("empty", "");
    for name in [&b"not-utf8-\xff"[..], b"\x01\x7f\x1b[31m"] {
        fs::write(folder.join(OsStr::from_bytes(name)), "x").expect("a file");
    }
    for (name, mode) in [
        ("run", 0o755),
        ("mine", 0o700),
        ("open", 0o666),
        ("shut", 0o400),
        ("others", 0o655),
        ("set", 0o4755),
    ] {
        sandbox.write(name, name);
        let rights = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.join(name), rights).expect("ours");
    }
    let (short, long) = ("t".repeat(100), format!("../{}", "t".repeat(300)));
    for (link, target) in [
        ("to-file", "plain"),
        ("to-folder", "sub"),
        ("sub/up", "../../../up"),
        ("absolute", "/etc/passwd"),
        ("nowhere", "./no//such/"),
        ("-link", "--"),
        ("link-short", short.as_str()),
        ("link-long", long.as_str()),
        (&deep.replace('f', "l"), "new\nline"),
    ] {
        symlink(target, folder.join(link)).expect("a link");
    }
    shell(&folder, "find . -exec touch -h -d 2001-01-01 {} +");
    for (name, time) in [("old", "-5"), ("first", "0"), ("far", "9999999999"), ("half", "5.9")] {
        sandbox.write(name, name);
        shell(&folder, &format!("touch -d @{time} {name}"));
    }
}

#[test]
fn what_arrives_is_the_same_by_packs_and_by_rsync() {
    let mut arrived = Vec::new();
    // With rsync where one of the two programs is missing; by the tools of the system; by those of busybox.
    for missing in ["tar", "gzip", "rsync", "all but busybox"] {
        let mut sandbox = Sandbox::with(&campaign("true", ""));
        odd(&sandbox);
        let programs = match missing {
            "all but busybox" => busybox(&sandbox),
            missing => sandbox.programs_without(&[missing]),
        };
        sandbox.set("PATH", &programs.display().to_string());
        let about = sync_of(&sandbox);
        let files = files_below(&sandbox.campaign());
        let files: Vec<_> = files
            .iter()
            .filter(|path| !path.components().any(|c| c.as_os_str() == ".sp"))
            .collect();
        let bytes: u64 = files.iter().map(|path| fs::metadata(path).expect("a file").len()).sum();
        assert_eq!(about["sent_files"], files.len(), "without {missing}");
        assert_eq!(about["sent_bytes"], bytes);
        let name = folders(&sandbox).concat();
        let looks = looks(&all_snapshots(&sandbox).join(&name).join("tree"));
        assert_eq!(looks.values().filter(|look| look.0 & 0o170_000 == 0o120_000).count(), 9);
        arrived.push((missing, name, looks));
    }
    let (_, name, by_rsync) = &arrived[0];
    assert_eq!(by_rsync[&b"old"[..]].2, -5);
    assert_eq!(by_rsync[&b"run"[..]].0, 0o100_500);
    for (missing, other, looks) in &arrived[1..] {
        assert_eq!(other, name);
        for (path, look) in looks {
            let text = String::from_utf8_lossy(path);
            assert_eq!(Some(look), by_rsync.get(path), "{text:?} without {missing}");
        }
        assert_eq!(looks.len(), by_rsync.len());
    }
}

/// What `sp sync` says of the host, at once.
fn sync_of(sandbox: &Sandbox) -> serde_json::Value {
    let run = sandbox.expect(0, &["sync", "--json"]);
    let text: serde_json::Value = serde_json::from_str(&run.stdout).expect("a document");
    text["hosts"][0].clone()
}

/// A folder with nothing but the applets of busybox, and `flock` where it has none.
fn busybox(sandbox: &Sandbox) -> std::path::PathBuf {
    let busybox = which::which("busybox").expect("busybox");
    let folder = sandbox.path().join("applets");
    fs::create_dir(&folder).expect("a folder");
    let list = Command::new(&busybox).arg("--list").output().expect("busybox runs");
    for applet in String::from_utf8_lossy(&list.stdout).lines() {
        symlink(&busybox, folder.join(applet)).expect("a link");
    }
    if !folder.join("flock").exists() {
        symlink(which::which("flock").expect("flock"), folder.join("flock")).expect("a link");
    }
    folder
}

/// Three packs and more.
fn large(sandbox: &Sandbox) {
    for name in ["a", "b", "c"] {
        sandbox.write(name, &name.repeat(LARGE));
    }
    symlink("a", sandbox.campaign().join("0-link")).expect("a link");
    sandbox.write("z", "1");
}

#[test]
fn packs_that_are_cut_off_are_never_used() {
    let mut sandbox = Sandbox::with(&campaign("wc -c < 0-link; cat z", ""));
    large(&sandbox);
    // The client dies between two packs.
    for point in ["after:1", "before:2", "after:4"] {
        let mut command = sandbox.command(&["sync"]);
        command.env("SP_CRASH_AT", format!("host.snapshot_fill.{point}"));
        assert_eq!(Run::of(&command.output().expect("sp starts")).code, -9, "{point}");
        assert!(folders(&sandbox).iter().all(|name| name.starts_with("in.")), "{point}");
    }
    // A tar that says nothing of what it leaves out.
    replace(&mut sandbox, "tar", "\"$REAL\" \"$@\" || exit; rm -f z");
    let run = sandbox.expect(75, &["apply"]);
    assert!(run.stderr.contains("did not get the tree as it was sent"), "{}", run.stderr);
    // One that dies, and then the host's own process.
    replace(&mut sandbox, "tar", "head -c 9999 >&2 2>/dev/null; kill -9 $$");
    sandbox.expect(1, &["apply"]);
    assert_eq!(folders(&sandbox), Vec::<String>::new());
    assert_eq!(sandbox.states(), [("pending".to_owned(), String::new())]);
    replace(&mut sandbox, "tar", "exec \"$REAL\" \"$@\"");
    sandbox.set("SP_FAULT", "snapshot-fill");
    sandbox.expect(0, &["apply"]);
    assert!(sandbox.home().join("sp-fault.snapshot-fill").exists(), "it died");
    assert_eq!(folders(&sandbox).len(), 1);
    assert_eq!(sandbox.expect(0, &["logs", "c"]).stdout, format!("{LARGE}\n1"));
}

#[test]
fn a_file_that_changes_while_packs_go_is_sent_as_it_was_read() {
    let mut sandbox = Sandbox::with(&campaign("cat z", ""));
    large(&sandbox);
    let source = quoted(sandbox.campaign());
    let flag = sandbox.plain().join("flag");
    // While the first pack is unpacked, the last one is not made yet.
    let meanwhile = |sandbox: &mut Sandbox, what: &str| {
        drop(fs::remove_dir(&flag));
        let flag = flag.display();
        let text = format!("mkdir {flag} 2>/dev/null && {what}; exec \"$REAL\" \"$@\"");
        replace(sandbox, "tar", &text);
    };
    meanwhile(&mut sandbox, &format!("echo 2 > {source}/z"));
    sandbox.expect(0, &["apply"]);
    assert!(flag.exists());
    assert_eq!(folders(&sandbox).len(), 1);
    assert_eq!(sandbox.expect(0, &["logs", "c"]).stdout, "1");
    // What was read long ago is read again for a host that has nothing, and the tree once more where it is not the same.
    let known_to_the_cache = |sandbox: &Sandbox| {
        sync(sandbox);
        sync(sandbox);
        fs::remove_dir_all(all_snapshots(sandbox)).expect("a folder");
        fs::create_dir_all(all_snapshots(sandbox)).expect("a folder");
    };
    let sent = |sandbox: &Sandbox| {
        let about = sync(sandbox);
        assert!(flag.exists());
        all_snapshots(sandbox).join(about["folder"].as_str().expect("a folder")).join("tree")
    };
    known_to_the_cache(&sandbox);
    meanwhile(&mut sandbox, &format!("echo 3 > {source}/z"));
    assert_eq!(fs::read_to_string(sent(&sandbox).join("z")).expect("it was sent"), "3\n");
    known_to_the_cache(&sandbox);
    meanwhile(&mut sandbox, &format!("rm {source}/z"));
    let tree = sent(&sandbox);
    assert!(tree.join("c").exists() && !tree.join("z").exists());
}

#[test]
fn what_a_host_cannot_unpack_is_told_in_words() {
    let mut sandbox = Sandbox::with(&campaign("true", ""));
    for (said, words) in [
        ("a: Cannot write: No space left on device", ["its disk is full", "df -h"]),
        ("a: Cannot open: Permission denied", ["may not write the files", "below its root"]),
        ("odd\\033[31m", ["could not unpack the files", "odd\\u{1b}[31m"]),
    ] {
        for tool in ["tar", "gzip"] {
            replace(&mut sandbox, tool, &format!("printf '{said}' >&2; exit 1"));
            let run = sandbox.expect(1, &["sync"]);
            for word in words {
                assert!(run.stderr.contains(word), "{tool}: {}", run.stderr);
            }
            assert_eq!(folders(&sandbox), Vec::<String>::new());
            replace(&mut sandbox, tool, "exec \"$REAL\" \"$@\"");
        }
    }
    // The user's own options for them change nothing.
    sandbox.set("TAR_OPTIONS", "--to-stdout");
    sandbox.expect(0, &["sync"]);
    assert_eq!(folders(&sandbox).len(), 1);
}

#[test]
fn a_large_tree_goes_by_rsync() {
    let mut sandbox = Sandbox::with(&campaign("true", ""));
    let large = fs::File::create(sandbox.campaign().join("large")).expect("a file");
    large.set_len(65 << 20).expect("a sparse file");
    replace(&mut sandbox, "tar", "exit 99");
    assert_eq!(sync_of(&sandbox)["sent_files"], 2);
}

#[test]
fn a_tree_without_files_is_one_too() {
    let mut sandbox = Sandbox::with(&campaign("ls -A | wc -l", "[sync]\nexclude = ['*']\n"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.expect(0, &["logs", "c"]).stdout.trim(), "0");
    // By rsync, too.
    fs::remove_dir_all(all_snapshots(&sandbox)).expect("a folder");
    fs::create_dir_all(all_snapshots(&sandbox)).expect("a folder");
    replace(&mut sandbox, "tar", "echo no >&2; exit 127");
    let about = sync(&sandbox);
    assert_eq!((about["files"].as_u64(), about["had_it"].as_bool()), (Some(0), Some(true)));
}
