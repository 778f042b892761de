//! The list of files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use solverpilot::campaign::Sync;
use solverpilot::host::sync::{Own, Source};

use super::{COMMIT, campaign, sent, tree};
use crate::support::{Sandbox, in_toml, shell};

#[test]
fn in_a_work_tree_git_says_what_is_sent() {
    let sandbox = Sandbox::with(&campaign(
        "true",
        "[sync]\nexclude = ['*.ckpt', '!best.ckpt']\ninclude = ['data/tiny.bin', 'lib/*.o']\n",
    ));
    let folder = sandbox.campaign();
    sandbox.write(".gitignore", "*.bin\n*.o\nout/\n");
    for path in [
        "tracked.bin",
        "gone",
        "a/b/c",
        "x.ckpt",
        "best.ckpt",
        "-dash",
        "#hash",
        "new\nline",
        "ä",
        "p/__pycache__/q.pyc",
    ] {
        sandbox.write(path, path);
    }
    sandbox.write("empty", "");
    fs::create_dir(folder.join("no-files")).expect("a folder");
    symlink("a/b", folder.join("link")).expect("a link");
    shell(&folder, &format!("git init -q .; git add -f tracked.bin; {COMMIT}; rm gone"));
    for path in ["data/tiny.bin", "data/large.bin", "lib/x.o", "out/y", "untracked"] {
        sandbox.write(path, path);
    }
    fs::write(folder.join(OsStr::from_bytes(b"not-utf8-\xff")), "x").expect("a file");
    let sent = sent(&sandbox);
    let expected = [
        "#hash",
        "-dash",
        ".gitignore",
        "a/b/c",
        "best.ckpt",
        "data/tiny.bin",
        "empty",
        "lib/x.o",
        "link",
        "new?line",
        "not-utf8-\u{fffd}",
        "tracked.bin",
        "untracked",
        "ä",
    ];
    assert_eq!(sent, expected);
    let tree = tree(&sandbox);
    assert_eq!(fs::read_link(tree.join("link")).expect("a link"), Path::new("a/b"));
    assert_eq!(fs::read_to_string(tree.join("new\nline")).expect("text"), "new\nline");
}

#[test]
fn submodules_and_other_repositories_are_asked_in_themselves() {
    let sandbox = Sandbox::with(&campaign("true", ""));
    let folder = sandbox.campaign();
    shell(
        sandbox.path(),
        &format!(
            "mkdir lib; cd lib; git init -q .; echo '*.o' > .gitignore; echo x > code; {COMMIT}"
        ),
    );
    shell(
        &folder,
        "git init -q .; git -c protocol.file.allow=always submodule --quiet add ../lib sub; git init -q nested; echo y > nested/file",
    );
    shell(&folder, COMMIT);
    sandbox.write("sub/new", "1");
    sandbox.write("sub/x.o", "1");
    let sent = sent(&sandbox);
    assert_eq!(sent, [".gitmodules", "nested/file", "sub/.gitignore", "sub/code", "sub/new"]);
    shell(&folder, "git submodule --quiet deinit -f sub");
    let run = sandbox.expect(0, &["sync"]);
    assert!(run.stderr.contains("submodule `sub` is not checked out"), "{}", run.stderr);
}

#[test]
fn a_hook_of_git_changes_nothing() {
    let mut sandbox = Sandbox::with(&campaign("true", ""));
    shell(
        &sandbox.campaign(),
        &format!("git init -q .; {COMMIT}; echo x > new; git init -q ../other"),
    );
    sandbox.set("GIT_DIR", &sandbox.path().join("other/.git").display().to_string());
    sandbox.set("GIT_INDEX_FILE", "nowhere");
    assert_eq!(sent(&sandbox), ["new"]);
}

#[test]
fn outside_of_a_work_tree_the_same_rules_hold() {
    let sandbox = Sandbox::with(&campaign("true", "[sync]\nexclude = ['/runs/']\n"));
    sandbox.write(".gitignore", "*.o\n!keep.o\n");
    for path in ["a.o", "keep.o", "d/b.o", "runs/1", "d/runs/2", ".hidden/x", "results/r"] {
        sandbox.write(path, path);
    }
    assert_eq!(sent(&sandbox), [".gitignore", ".hidden/x", "d/runs/2", "keep.o", "results/r"]);
}

/// A host over ssh has its root on its own disk, whatever lies at that path here.
#[test]
fn a_folder_where_another_machine_has_its_root_is_sent() {
    let mut sandbox = Sandbox::new();
    let root = sandbox.campaign().join("work");
    let text = format!(
        "name = 'c'\ncommand = 'true'\n[hosts.box]\nssh = 'box'\nroot = {}\n",
        in_toml(&root)
    );
    sandbox.write("campaign.toml", &text);
    sandbox.hosts(&["box"]);
    for path in ["work/v2/model.py", "work/other.py"] {
        fs::create_dir_all(sandbox.campaign().join(path).parent().expect("a folder"))
            .expect("made");
        sandbox.write(path, "x = 1\n");
    }
    let listed = |sandbox: &Sandbox| sandbox.expect(0, &["sync", "--dry-run"]).stdout;
    assert!(listed(&sandbox).contains("work/v2/model.py"), "{}", listed(&sandbox));
    // By its mark it is one of `sp` here as well.
    sandbox.write("work/v2/root-id", "0123\n");
    assert!(!listed(&sandbox).contains("v2"), "{}", listed(&sandbox));
    assert!(listed(&sandbox).contains("work/other.py"));
}

#[test]
fn a_root_leads_up_within_the_work_tree_only() {
    let sandbox = Sandbox::new();
    let text = campaign("pwd; cat lib", "[sync]\nroot = '..'\n");
    sandbox.write("exp/campaign.toml", &text);
    sandbox.write("lib", "shared");
    let folder = sandbox.campaign().join("exp").display().to_string();
    let run = sandbox.expect(1, &["-C", &folder, "sync"]);
    assert!(run.stderr.contains("leads out of the git work tree"), "{}", run.stderr);
    shell(&sandbox.campaign(), "git init -q .");
    sandbox.expect(0, &["-C", &folder, "apply"]);
    let log = sandbox.expect(0, &["-C", &folder, "logs", "c"]);
    assert!(log.stdout.ends_with("/tree\nshared"), "{}", log.stdout);
}

#[test]
fn what_cannot_be_sent_is_named() {
    let sandbox = Sandbox::with(&campaign("true", ""));
    symlink("/etc/hostname", sandbox.campaign().join("away")).expect("a link");
    let run = sandbox.expect(0, &["sync"]);
    assert!(run.stderr.contains("the link `away` leads out of the tree"), "{}", run.stderr);
    shell(&sandbox.campaign(), "mkdir d; mkfifo d/pipe");
    let run = sandbox.expect(1, &["apply"]);
    assert!(run.stderr.contains("`d/pipe` is a named pipe"), "{}", run.stderr);
    assert!(run.stderr.contains("exclude"), "{}", run.stderr);
}

#[test]
fn where_nothing_is_sent_a_pipe_is_no_matter() {
    let sandbox = Sandbox::with("name = 'c'\ncommand = 'true'\n");
    shell(&sandbox.campaign(), "mkfifo pipe");
    let run = sandbox.expect(0, &["apply"]);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

#[test]
fn much_is_asked_about_before_it_is_read() {
    let sandbox = Sandbox::with(&campaign("true", ""));
    let large = fs::File::create(sandbox.campaign().join("large")).expect("a file");
    large.set_len(5 << 30).expect("a sparse file");
    for words in [&["sync"][..], &["apply"]] {
        let run = sandbox.expect(75, words);
        assert!(run.stderr.contains("large has 5.00 GiB"), "{}", run.stderr);
        assert!(run.stderr.contains("nobody is here to say yes"), "{}", run.stderr);
    }
    assert_eq!(super::folders(&sandbox), Vec::<String>::new());
    sandbox.write("campaign.toml", &campaign("true", "[sync]\nexclude = ['large']\n"));
    sandbox.expect(0, &["apply"]);
    sandbox.write(
        "campaign.toml",
        &campaign("true", "[sync]\nexclude = ['large']\nmax-size = '1B'\n"),
    );
    sandbox.expect(75, &["sync"]);
    sandbox.expect(0, &["sync", "-y"]);
}

/// Names and patterns that meet each other often.
fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "a.o", "b.o", "x y", "#c", "!d"])
        .prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "a", "*.o", "/a", "b/", "!a.o", "a/b", "**/b", "a/**", "!b", "*", "!*/", "x y", "\\#c",
        "\\!d", "a/*/b", "[ab]",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Tracked files and those that `git check-ignore` does not name; by a walk, just the latter.
    #[test]
    fn the_list_is_the_one_of_git(
        files in proptest::collection::btree_set(proptest::collection::vec(name(), 1..4), 1..8),
        top in proptest::collection::vec(pattern(), 0..4),
        below in proptest::collection::vec(pattern(), 0..3),
        tracked in proptest::collection::vec(any::<bool>(), 8),
    ) {
        let sandbox = Sandbox::new();
        let folder = sandbox.campaign();
        let mut paths = BTreeSet::new();
        for file in &files {
            let path = format!("t/{}", file.join("/"));
            let full = folder.join(&path);
            // A name may be a file in one path and a folder in another: whoever comes first has it.
            if full.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok()) && !full.exists() {
                fs::write(full, "x").expect("a file");
                paths.insert(path);
            }
        }
        sandbox.write("t/.gitignore", &top.join("\n"));
        paths.insert("t/.gitignore".to_owned());
        if folder.join("t/a").is_dir() && !folder.join("t/a/.gitignore").exists() {
            sandbox.write("t/a/.gitignore", &below.join("\n"));
            paths.insert("t/a/.gitignore".to_owned());
        }
        let is_ignored = |path: &String| {
            let text = format!("git check-ignore -q --no-index -- '{path}' && echo yes || true");
            !shell(&folder, &text).is_empty()
        };
        shell(&folder, "git init -q .");
        let ignored: BTreeSet<&String> = paths.iter().filter(|path| is_ignored(path)).collect();
        let mut expected = BTreeSet::new();
        for (path, tracked) in paths.iter().zip(&tracked) {
            if *tracked {
                shell(&folder, &format!("git add -f -- '{path}'"));
            }
            if *tracked || !ignored.contains(path) {
                expected.insert(path.clone());
            }
        }
        expected.extend(paths.iter().skip(tracked.len()).filter(|path| !ignored.contains(path)).cloned());
        let list = || -> BTreeSet<String> {
            let sync = Sync { root: "t".to_owned(), ..Sync::default() };
            let file = folder.join("campaign.toml");
            let source = Source::open(&sync, &file, ".", Own::default(), &folder.join(".sp/c")).expect("a tree");
            let entries = source.list().expect("a list").entries;
            entries.into_iter().map(|one| format!("t/{}", String::from_utf8(one.path).expect("text"))).collect()
        };
        prop_assert_eq!(list(), expected);
        fs::remove_dir_all(folder.join(".git")).expect("no repository");
        prop_assert_eq!(list(), paths.iter().filter(|path| !ignored.contains(path)).cloned().collect::<BTreeSet<_>>());
    }
}
