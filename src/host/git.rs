//! What git knows of the campaign's folder: where it comes from and at which commit it stands. Without git, or outside a
//! work tree, there is nothing to say, which is no error.

use std::path::Path;
use std::process::Stdio;

/// The commit a campaign was applied at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// Full commit id.
    pub commit: Option<String>,
    /// Whether tracked files differ from it.
    pub dirty: Option<bool>,
}

/// Identity of the repository: its first commit, `none` outside of one. A clone elsewhere has the same.
pub fn origin(folder: &Path) -> String {
    // A repository of several roots: the smallest id, whatever git's order.
    let roots = git(folder, &["rev-list", "--max-parents=0", "HEAD"]);
    let first = roots.and_then(|text| text.lines().min().map(str::to_owned));
    match first {
        Some(id) if id.bytes().all(|b| b.is_ascii_hexdigit()) && !id.is_empty() => id,
        _ => "none".to_owned(),
    }
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

#[expect(clippy::disallowed_methods, reason = "the one place that starts git")]
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "core.fsmonitor=false", "-c", "core.optionalLocks=false"])
        .args(arguments)
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
