//! The first words with a host over ssh: its root is found, checked and made, and the script installed.
//!
//! A shell text on stdin, since only that reaches every login shell alike; everything after it is the script's own.

use std::path::PathBuf;

use super::error::{HostError, RootTrouble};
use super::root::{DEFAULT, root_word};
use super::script;
use crate::ids::HostName;

const BODY: &str = include_str!("../../scripts/hello.sh");
/// Ends the script in the text that carries it; no line of the script is this.
const END: &str = "SP_END_OF_SCRIPT";

/// What a host answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// The root is there, with this version's script.
    Ready(PathBuf),
    /// The script is to be brought.
    Bare,
}

/// The first text to say.
pub(super) fn text(host: &HostName, root: Option<&str>, nonce: &str) -> Result<String, HostError> {
    let root =
        root_word(root).map_err(|why| HostError::RootText { host: host.to_string(), why })?;
    Ok(format!("N={nonce}\nVERSION={}\nR={root}\n{BODY}finish\n", script::version()))
}

/// The second, for a bare host: it brings the script.
pub(super) fn script() -> String {
    ["cat >\"$T\" <<'", END, "' || end refused write\n", script::TEXT, END, "\nplace\n"].concat()
}

/// Reads the body of the answer.
pub(super) fn read(host: &HostName, root: Option<&str>, body: &[u8]) -> Result<Hello, HostError> {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    let refused = |trouble| HostError::Root {
        host: host.to_string(),
        path: PathBuf::from(root.unwrap_or(DEFAULT)),
        trouble,
    };
    match line.split_once(' ').unwrap_or((line, "")) {
        ("root", path) if path.starts_with('/') => Ok(Hello::Ready(PathBuf::from(path))),
        ("bare", "") => Ok(Hello::Bare),
        ("refused", "relative") => Err(refused(RootTrouble::Relative)),
        ("refused", "make") => Err(refused(RootTrouble::Make)),
        ("refused", "write") => Err(refused(RootTrouble::Write)),
        ("refused", "owner") => Err(refused(RootTrouble::Owner)),
        ("refused", "mode") => Err(refused(RootTrouble::Mode)),
        _ => Err(super::answer::nonsense(host.as_str(), "hello", line.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_does_not_end_its_carrier() {
        assert!(script::TEXT.lines().all(|line| line != END));
        assert!(script::TEXT.ends_with('\n'));
    }
}
