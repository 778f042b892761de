//! Sync and snapshots: what is sent, what is not, and what jobs run in.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::support::{Sandbox, shell};

mod code;
mod files;
mod packs;
mod revision;
mod snapshots;

/// One job in a snapshot; `command` is a script.
fn campaign(command: &str, more: &str) -> String {
    format!("name = 'c'\ncommand = '''{command}'''\n[hosts.local]\nsnapshot = true\n{more}")
}

/// A commit of what is there; git asks nobody who it is.
const COMMIT: &str = "git add -A; git -c user.name=a -c user.email=a@b commit -qm x";

/// What `sp sync` says of the host.
#[track_caller]
fn sync(sandbox: &Sandbox) -> serde_json::Value {
    sandbox.expect(0, &["sync"]);
    sandbox.json(&["sync"])["hosts"][0].clone()
}

fn all_snapshots(sandbox: &Sandbox) -> PathBuf {
    sandbox.place("c").join("snapshots")
}

/// Folders of snapshots, and of what is on its way.
fn folders(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(all_snapshots(sandbox)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// The tree that `sp sync` makes.
#[track_caller]
fn tree(sandbox: &Sandbox) -> PathBuf {
    let folder = sync(sandbox)["folder"].as_str().expect("a folder").to_owned();
    all_snapshots(sandbox).join(folder).join("tree")
}

/// Paths of everything but folders below the snapshot's tree, as the shell shows them.
#[track_caller]
fn sent(sandbox: &Sandbox) -> Vec<String> {
    let text = shell(
        &tree(sandbox),
        "find . ! -type d -print0 | sed 's/\\n/\\\\n/g' | tr '\\0\\n' '\\n?'",
    );
    let mut paths: Vec<String> =
        text.lines().map(|line| line.trim_start_matches("./").to_owned()).collect();
    paths.retain(|path| path != "campaign.toml");
    paths.sort();
    paths
}

/// Puts a program of a test in front of the real one, which it has as `$REAL`.
fn replace(sandbox: &mut Sandbox, program: &str, text: &str) {
    let real = which::which(program).expect("the program");
    let path = sandbox.path().join("bin").join(program);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, format!("#!/bin/sh\nREAL={}\n{text}\n", real.display())).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script");
    let rest = std::env::var("PATH").expect("a PATH");
    sandbox.set("PATH", &format!("{}:{rest}", sandbox.path().join("bin").display()));
}
