//! The first words with a host over ssh: its root is found, checked and made, and the script installed.
//!
//! A shell text on stdin, since only that reaches every login shell alike; everything after it is the script's own.

use std::path::PathBuf;

use super::error::HostError;
use super::root::{DEFAULT, copied_word, root_word};
use super::script;
use super::transport::shown_tail;
use super::trouble::{Lack, LoginTrouble, Parent, RootTrouble};
use crate::ids::HostName;

const BODY: &str = include_str!("../../scripts/hello.sh");
/// Ends the script in the text that carries it; no line of the script is this.
const END: &str = "SP_END_OF_SCRIPT";

/// What a host answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// The root is there, with this version's script.
    Ready {
        root: PathBuf,
        /// The account's login shell, as far as its environment tells.
        shell: String,
    },
    /// The script is to be brought.
    Bare,
}

/// The shell that is asked for. By its argument, `word`, it is told from another one that reads in its place.
pub(super) fn shell(word: &str) -> [&str; 3] {
    ["/bin/sh", "-s", word]
}

/// Whether what came in place of an answer shows that the first line of [`text`] was read and carried out.
pub(super) fn is_heard(said: &[u8], word: &str) -> bool {
    let heard = heard(word);
    said.windows(heard.len()).any(|window| window == heard.as_bytes())
}

fn heard(word: &str) -> String {
    format!("sp-hears {word}")
}

/// The first text to say. Its first line is for any shell there is.
pub(super) fn text(host: &HostName, root: Option<&str>, nonce: &str) -> Result<String, HostError> {
    let (variables, root) =
        root_word(root).map_err(|why| HostError::RootText { host: host.to_string(), why })?;
    let needs: Vec<String> =
        variables.iter().map(|name| format!("need {name} \"${{{name}-}}\"\n")).collect();
    let (version, heard, test) = (script::version(), heard(nonce), script::SHELL_TEST);
    let needs = needs.concat();
    Ok(format!(
        "printf '\\n{heard}\\n'\nN={nonce}\nVERSION={version}\n{test}{BODY}{needs}R={root}\nlook\nfinish\n"
    ))
}

/// The second, for a bare host: it brings the script.
pub(super) fn script() -> String {
    ["cat >\"$T\" <<'", END, "' || end refused write\n", script::text(), END, "\nplace\n"].concat()
}

/// Reads the body of the answer.
pub(super) fn read(host: &HostName, root: Option<&str>, body: &[u8]) -> Result<Hello, HostError> {
    let refused = |trouble| HostError::Root {
        host: host.to_string(),
        path: PathBuf::from(root.unwrap_or(DEFAULT)),
        word: copied_word(root),
        trouble,
    };
    let Ok(text) = std::str::from_utf8(body) else { return Err(refused(RootTrouble::Text)) };
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default();
    let host = host.to_string();
    match line.split_once(' ').unwrap_or((line, "")) {
        ("root", path) if path.starts_with('/') => {
            let shell = lines.find_map(|line| line.strip_prefix("shell ")).unwrap_or_default();
            Ok(Hello::Ready { root: PathBuf::from(path), shell: shell.to_owned() })
        }
        ("bare", "") => Ok(Hello::Bare),
        ("lacks", words) => {
            Err(HostError::Unfit { host, lacks: words.split(' ').map(Lack::of).collect() })
        }
        ("refused", "relative") => Err(refused(RootTrouble::Relative)),
        ("refused", "text") => Err(refused(RootTrouble::Text)),
        ("refused", "make") => Err(refused(RootTrouble::Make)),
        ("refused", "write") => Err(refused(RootTrouble::Write)),
        ("refused", "owner") => Err(refused(RootTrouble::Owner)),
        ("refused", "mode") => Err(refused(RootTrouble::Mode)),
        ("refused", "parents") => {
            let parents = lines.filter_map(|line| {
                let (why, path) = line.split_once(' ')?;
                Some(Parent { path: shown_tail(path.as_bytes()), is_foreign: why == "foreign" })
            });
            Err(refused(RootTrouble::Parents(parents.collect())))
        }
        ("refused", what) if what.starts_with("unset ") => {
            let name = shown_tail(&what.as_bytes()["unset ".len()..]);
            let why = format!("the variable `{name}` that it names is not set there");
            Err(HostError::RootText { host, why })
        }
        ("refused", what) if what.starts_with("reader ") => {
            let program = shown_tail(&what.as_bytes()["reader ".len()..]);
            let trouble = LoginTrouble::Replaced(program);
            Err(HostError::Login { host, trouble, said: String::new() })
        }
        _ => Err(super::answer::nonsense(&host, "hello", line.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_does_not_end_its_carrier() {
        for text in [script::text(), script::for_users()] {
            assert!(text.lines().all(|line| line != END));
            assert!(text.ends_with('\n'));
        }
    }

    #[test]
    fn every_refusal_has_its_own_words() {
        let host: HostName = "box".parse().expect("a name");
        let said = |body: &[u8]| read(&host, None, body).expect_err("a refusal").to_string();
        assert_eq!(
            said(b"refused parents\nopen /data/lab\nforeign /data\n"),
            "the root `~/.local/share/sp` of host `box` lies below `/data/lab` (others may write to it), `/data` (of \
             another user), where others could put another folder in its place"
        );
        assert_eq!(
            said(b"refused reader /bin/\x1b[2Jzsh\n"),
            "host `box` runs `/bin/\\u{1b}[2Jzsh` in place of each command"
        );
        assert_eq!(
            said(b"lacks proc descriptors\n"),
            "host `box` cannot run jobs: its `/proc` cannot be read; its `/bin/sh` keeps open files from the programs that \
             it starts (ksh and mksh do)"
        );
        assert!(
            said(b"refused unset USER\n")
                .contains("the variable `USER` that it names is not set there")
        );
        assert!(said(b"refused text\n").contains("holds a line break"));
        assert!(said(b"root /a\xff\n").contains("no UTF-8"));
        assert!(said(b"\n").contains("makes no sense"));
    }
}
