//! What git knows of the campaign's folder: where it comes from, at which commit it stands, and its files. Without git, or
//! outside a work tree, there is nothing to say, which is no error; for the list of files it is one where a `.git` is there.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use super::client::remote_digest;

/// The commit a campaign was applied at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// Full commit id.
    pub commit: Option<String>,
    /// Whether tracked files differ from it.
    pub dirty: Option<bool>,
}

/// What tells the repository of a folder from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its first commit, the same in every clone and work tree; `None` in a shallow clone, which does not have it.
    pub first_commit: Option<String>,
    /// The folder's path in the work tree, as bytes, with `/` at its end; empty at the top.
    pub prefix: Vec<u8>,
    /// The commit that the work tree stands at.
    pub commit: String,
    /// Digest of the address it was cloned from.
    pub remote: Option<String>,
}

/// Asks git about the repository of a folder; `None` outside of one, and before its first commit.
pub fn repository(folder: &Path) -> Option<Repository> {
    let output = run(folder, &["rev-parse", "--is-shallow-repository", "--show-prefix", "HEAD"]);
    let output = output.ok().filter(|output| output.status.success())?.stdout;
    let text = output.strip_suffix(b"\n")?;
    let first = text.iter().position(|byte| *byte == b'\n')?;
    let last = text.iter().rposition(|byte| *byte == b'\n')?;
    let commit = std::str::from_utf8(&text[last + 1..]).ok().filter(|id| is_commit(id))?;
    // At the top of a work tree git prints an empty line.
    let prefix = text.get(first + 1..last).unwrap_or_default();
    let first_commit = if text[..first] == *b"true" {
        None
    } else {
        // A repository may have several roots: the smallest id, whatever git's order.
        let roots = git(folder, &["rev-list", "--max-parents=0", "HEAD"])?;
        Some(roots.lines().filter(|id| is_commit(id)).min()?.to_owned())
    };
    let remote = git(folder, &["config", "--get", "remote.origin.url"]);
    let remote = remote.map(|address| remote_digest(address.trim()));
    Some(Repository { first_commit, prefix: prefix.to_vec(), commit: commit.to_owned(), remote })
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The commit the folder stands at.
pub fn revision(folder: &Path) -> Revision {
    let commit =
        git(folder, &["rev-parse", "--verify", "-q", "HEAD"]).map(|id| id.trim().to_owned());
    let dirty = commit.as_ref().and_then(|_| {
        git(folder, &["status", "--porcelain", "--untracked-files=no", "--", "."])
            .map(|text| !text.is_empty())
    });
    Revision { commit, dirty }
}

/// The nearest folder at or above `folder` that has a `.git`: the work tree's top, as git itself looks for it.
pub(super) fn work_tree(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|above| above.join(".git").exists()).map(Path::to_owned)
}

/// Files below a folder of a work tree, relative to it: tracked ones, and those that are neither tracked nor ignored. A
/// submodule or another repository is one entry, which may end in `/`. Deleted files that are still tracked are among
/// them.
///
/// # Errors
/// What git says, as one line.
pub(super) fn list(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = run(folder, &arguments).map_err(|error| error.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(text.trim().lines().next().unwrap_or("it failed without a word").to_owned());
    }
    let paths = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(<[u8]>::to_vec).collect())
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = run(folder, arguments).ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts git")]
fn run(folder: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    let mut command = std::process::Command::new("git");
    command.arg("-C").arg(folder);
    command.args(["-c", "core.fsmonitor=false", "-c", "core.optionalLocks=false"]);
    command.args(arguments).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
    // A hook of git exports these, and they would lead to its own repository from every folder.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).output()
}
