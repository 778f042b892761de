//! `snapshot_fill`: packs of files unpacked into a folder that is on its way, and nowhere else.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::world::{CAMPAIGN, VERSION, World};
use crate::support::Disk;

super::in_every_shell! {
    a_pack_is_unpacked_and_published what_is_not_whole_is_refused nothing_is_written_elsewhere
    where_there_are_no_tools_it_says_so a_disk_that_fills_up_is_not_taken_for_another_tree
}

const NAME: &str = "0123456789abcdef0123456789abcdef";

/// An archive of paths: each with a content, or where it points.
fn archive(entries: &[(&str, Result<&str, &str>)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (path, what) in entries {
        let mut header = Header::new_gnu();
        // As they are: the functions of the library take no odd ones.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_mode(if path.ends_with("run") { 0o500 } else { 0o400 });
        header.set_uid(4711);
        header.set_mtime(1_000_000_000);
        let data = match what {
            Ok(data) => data,
            Err(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
                ""
            }
        };
        header.set_size(data.len() as u64);
        header.set_cksum();
        archive.append(&header, data.as_bytes()).expect("memory");
    }
    archive.into_inner().expect("memory")
}

fn compressed(archive: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(archive).expect("memory");
    encoder.finish().expect("memory")
}

/// Begins a folder of this token; where its tree is.
fn begin(world: &World, token: &str) -> PathBuf {
    let body = world.ask("snapshot_begin", &[CAMPAIGN, NAME, token, "0"], "");
    assert!(body.starts_with("make ") && body.contains(" previous=none "), "{body}");
    world.root.join("v2").join(CAMPAIGN).join(format!("snapshots/in.{token}/tree"))
}

fn fill(world: &World, token: &str, pack: &[u8]) -> String {
    world.ask("snapshot_fill", &[CAMPAIGN, token], pack)
}

fn a_pack_is_unpacked_and_published(world: &mut World) {
    let tree = begin(world, "t");
    world.set("TAR_OPTIONS", "--to-stdout");
    let first = compressed(&archive(&[("d/a", Ok("one")), ("d/run", Ok("")), ("-x", Ok("x"))]));
    assert_eq!(fill(world, "t", &first), "filled .\n");
    // Twice does no harm.
    assert_eq!(fill(world, "t", &first), "filled .\n");
    let second = archive(&[("z", Ok("last")), ("link", Err("d/a")), ("up", Err("../../x"))]);
    assert_eq!(fill(world, "t", &compressed(&second)), "filled .\n");
    assert_eq!(fs::read_to_string(tree.join("link")).expect("a link"), "one");
    let ours = fs::metadata(tree.join("d")).expect("a folder");
    assert_eq!(ours.permissions().mode() & 0o777, 0o700);
    for (path, mode) in [("d/a", 0o100_400), ("d/run", 0o100_500), ("z", 0o100_400)] {
        let about = fs::metadata(tree.join(path)).expect("a file");
        assert_eq!((about.mode(), about.mtime(), about.uid()), (mode, 1_000_000_000, ours.uid()));
    }
    // In the order of the paths below.
    let looks = "8100 1\n8100 3\n8140 0\na1ff 3\na1ff 7\n8100 4\n";
    let paths = "./-x\0./d/a\0./d/run\0./link\0./up\0./z\0";
    let publish = |count: usize, looks: &str| {
        let text = format!("{count} 0\n{looks}{paths}");
        world.ask("snapshot_publish", &[CAMPAIGN, NAME, "t"], &text)
    };
    assert_eq!(publish(6, looks), format!("published folder={NAME} .\n"));
    let kept = world.root.join("v2").join(CAMPAIGN).join("snapshots").join(NAME);
    let mut names: Vec<_> = fs::read_dir(&kept)
        .expect("a snapshot")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(names, ["looks", "paths", "tree"], "nothing of the making is left");
    // It is known by its looks, and by a change of them.
    let body = world.ask("snapshot_begin", &[CAMPAIGN, NAME, "u", "0"], "");
    assert_eq!(body, format!("have folder={NAME} .\n"));
    assert_eq!(fill(world, "u", &first), "gone .\n");
    crate::support::shell(&kept, "touch -d 2001-01-01 tree/z");
    let body = world.ask("snapshot_begin", &[CAMPAIGN, NAME, "v", "0"], "");
    assert!(body.starts_with(&format!("make folder={NAME}.2 changed={NAME} ")), "{body}");
}

fn what_is_not_whole_is_refused(world: &mut World) {
    begin(world, "t");
    let whole = archive(&[("a", Ok("one")), ("b", Ok("two"))]);
    let pack = compressed(&whole);
    let mut damaged = pack.clone();
    // The sum of what was compressed, behind all of it.
    let at = damaged.len() - 8;
    damaged[at] ^= 1;
    let cases = [
        ("nothing", Vec::new()),
        ("no archive", b"x".repeat(2000)),
        ("half of it", pack[..pack.len() / 2].to_vec()),
        ("all but its end", pack[..pack.len() - 4].to_vec()),
        ("another sum", damaged),
        ("half an archive", compressed(&whole[..700])),
        ("a damaged archive", compressed(&b"x".repeat(4096))),
    ];
    for (what, bytes) in cases {
        let body = fill(world, "t", &bytes);
        assert!(body.starts_with("refused .\n") && body.len() > 12, "{what}: {body:?}");
    }
    assert_eq!(fill(world, "t", &pack), "filled .\n");
    assert_eq!(fill(world, "other", &pack), "gone .\n");
    for token in ["../in.t", "", "-x", "a b", "t/tree"] {
        let answer = world.ask_any("snapshot_fill", &[CAMPAIGN, token], &pack);
        assert_eq!((answer.framed, answer.code), (false, Some(64)), "{token}");
    }
}

/// No true list is like these.
fn nothing_is_written_elsewhere(world: &mut World) {
    let tree = begin(world, "t");
    let outside = world.at("outside");
    fs::create_dir(&outside).expect("a folder");
    let to = outside.to_str().expect("UTF-8");
    assert!(to.len() < 90, "{to} fits into a header");
    let absolute = format!("{to}/a");
    let up = "../../../../../../work/outside/b";
    for entries in [
        [("away", Err(to)), ("away/file", Ok("x"))],
        [("x", Ok("x")), (absolute.as_str(), Ok("x"))],
        [("x", Ok("x")), (up, Ok("x"))],
    ] {
        // Whether they are refused or land below is the tar's matter.
        world.ask("snapshot_fill", &[CAMPAIGN, "t"], &compressed(&archive(&entries)));
    }
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
    assert!(tree.exists());
}

fn where_there_are_no_tools_it_says_so(world: &mut World) {
    begin(world, "t");
    let pack = compressed(&archive(&[("a", Ok("x"))]));
    for missing in ["tar", "gzip"] {
        let some = world.sandbox.path().join(format!("without-{missing}"));
        fs::create_dir(&some).expect("a folder");
        for program in std::env::split_paths(&world.path).flat_map(fs::read_dir).flatten().flatten()
        {
            if program.file_name() != missing {
                // The same name may be in two folders.
                drop(symlink(program.path(), some.join(program.file_name())));
            }
        }
        world.set("PATH", some.to_str().expect("UTF-8"));
        assert_eq!(fill(world, "t", &pack), "lacks tools .\n");
        world.set("PATH", "");
        assert_eq!(fill(world, "t", &pack), "filled .\n");
    }
}

/// Wherever in the publishing there is no room left.
fn a_disk_that_fills_up_is_not_taken_for_another_tree(world: &mut World) {
    let at = world.sandbox.path().join("disk");
    let Some(disk) = Disk::mount(&at, "size=1m") else { return };
    world.root = at.join("root");
    world.install(VERSION, "");
    // Each of the lists that are made takes several pages; the files take none.
    let names: Vec<String> = (0..600).map(|number| format!("{number:03}")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), Ok(""))).collect();
    let pack = compressed(&archive(&entries));
    let looks = "8100 0\n".repeat(names.len());
    let text = format!("{} 0\n{looks}./{}\0", names.len(), names.join("\0./"));
    let mut refused = 0;
    for pages in 0_u64.. {
        let token = format!("t{pages}");
        let tree = begin(world, &token);
        assert_eq!(fill(world, &token, &pack), "filled .\n");
        disk.fill_but(pages * 4096);
        let answer = world.ask_any("snapshot_publish", &[CAMPAIGN, NAME, &token], &text);
        disk.make_room();
        if answer.framed {
            assert_eq!(answer.body, format!("published folder={NAME} .\n"), "{pages} pages");
            break;
        }
        assert_eq!(answer.code, Some(73), "{pages} pages");
        assert!(!tree.exists(), "it stays on a full disk");
        refused += 1;
    }
    assert!(refused > 5, "{refused}");
}
