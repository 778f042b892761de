//! Where campaigns lie on hosts, and repositories, by which clones are told from copies.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Run, Sandbox, shell};

impl Sandbox {
    /// Folder of a campaign on the host `local`. Before the first hand-over it is where the campaign will be, as a command
    /// that came first has put on record.
    #[track_caller]
    pub fn place(&self, campaign: &str) -> PathBuf {
        let place = place(&self.root(), campaign);
        let record = self.read(&format!(".sp/{campaign}/id"));
        match record.lines().next().and_then(|line| line.strip_prefix("id ")) {
            Some(id) if !place.exists() => place.with_file_name(format!("{campaign}~{id}")),
            _ => place,
        }
    }
}

/// Runs `sp` in a folder to its end.
pub fn sp_in(sandbox: &Sandbox, folder: &Path, arguments: &[&str]) -> Run {
    Run::of(&sandbox.command_in(folder, arguments).output().expect("sp starts"))
}

/// Folder of the one instance of a campaign below a root; a path that is not there where there is none.
#[track_caller]
pub fn place(root: &Path, campaign: &str) -> PathBuf {
    let all = places(root, campaign);
    assert!(all.len() <= 1, "several instances: {all:?}");
    all.into_iter().next().unwrap_or_else(|| root.join("v2").join(format!("{campaign}~none")))
}

/// Folders of all instances of a campaign below a root.
pub fn places(root: &Path, campaign: &str) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split_once('~').is_some_and(|(name, _)| name == campaign)
    };
    let entries = fs::read_dir(root.join("v2")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_one).collect();
    found.sort();
    found
}

/// Makes a folder a repository whose work tree is committed as it is. What jobs write is ignored.
pub fn commit(folder: &Path) {
    shell(
        folder,
        "git init -q && printf 'ran\ngo\ncount\n' >.git/info/exclude && git add -A && \
         git -c user.name=t -c user.email=t@example.org commit -qm first",
    );
}

/// Secrets of a root that lie in memory.
pub fn secrets_in_memory(root: &Path) -> Vec<PathBuf> {
    let Ok(root_id) = fs::read_to_string(root.join("v2/root-id")) else { return Vec::new() };
    let user = rustix::process::geteuid().as_raw();
    let memory = files_below(Path::new(&format!("/dev/shm/sp-{user}")));
    let ours = |path: &PathBuf| path.to_string_lossy().contains(root_id.trim());
    memory.into_iter().filter(ours).collect()
}

/// Every file below a folder, links not followed; empty where there is none.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
