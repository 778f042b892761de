//! The list of files and what is remembered of it: names of any bytes, and a cache damaged anywhere, which is never a reason
//! to take a file for unchanged.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use proptest::prelude::*;
use solverpilot::campaign::Sync;
use solverpilot::host::sync::{Entry, Own, Source, Writers};

super::forms!(what_is_remembered_changes_no_digest, 40);

/// Any bytes that can be a name and mean nothing to the rules.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("a name", |byte| *byte != 0 && *byte != b'/');
    prop::collection::vec(byte, 1..12).prop_filter("no `.` and the like", |name| name[0] != b'.')
}

/// No job has written anything.
struct Nobody;

impl Writers for Nobody {
    fn made(&self, _entry: &Entry) -> bool {
        false
    }

    fn rewrote(&self, _entry: &Entry) -> bool {
        false
    }

    fn wrote_again(&self, _entry: &Entry) -> bool {
        false
    }
}

/// Name of the tree, and of its code.
fn digests(folder: &Path, state: &Path) -> (String, [u8; 32], usize) {
    let file = folder.join("campaign.toml");
    let source = Source::open(&Sync::default(), &file, ".", Own::default(), state).expect("a tree");
    let reading = source.read(true, true).expect("a tree").expect("no question");
    source.memory().keep_code(&reading.tree, source.rules()).expect("it is kept");
    let (tree, code) = (reading.tree.name(), reading.code);
    // Whatever the former lists have become.
    drop(source.memory().code_changes(&[code].into(), &reading.tree, source.rules(), &Nobody));
    drop(source.memory().keep_code_in_place(&reading.tree, source.rules(), &Nobody));
    drop(source.survey("local").expect("a survey"));
    (tree, code, reading.tree.entries.len())
}

fn run(cases: u32) {
    let names = prop::collection::btree_set(name(), 1..5);
    let inputs = (names, super::edits(), any::<prop::sample::Index>());
    super::tried(file!(), cases, &inputs, |(names, edits, changed)| {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, state) = (place.path().join("tree"), place.path().join("state"));
        fs::create_dir(&folder).expect("a folder");
        for name in &names {
            fs::write(folder.join(OsStr::from_bytes(name)), name).expect("a file");
        }
        // Old enough to be remembered.
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        for name in &names {
            let file = fs::File::open(folder.join(OsStr::from_bytes(name))).expect("a file");
            file.set_modified(old).expect("ours");
        }
        let first = digests(&folder, &state);
        prop_assert_eq!(first.2, names.len());
        for entry in crate::support::files_below(&state) {
            let mut bytes = fs::read(&entry).expect("a file");
            super::edit(&mut bytes, &edits);
            fs::write(&entry, bytes).expect("written");
        }
        prop_assert_eq!(&digests(&folder, &state), &first);
        let names: Vec<_> = names.into_iter().collect();
        let path = folder.join(OsStr::from_bytes(&names[changed.index(names.len())]));
        let before = fs::read(&path).expect("a file");
        fs::write(&path, [&before[1..], b"!"].concat()).expect("written");
        fs::File::open(&path).expect("a file").set_modified(old).expect("ours");
        let second = digests(&folder, &state);
        prop_assert_eq!(second.0 == first.0, fs::read(&path).expect("a file") == before);
        Ok(())
    });
}
