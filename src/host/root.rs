//! The root of a host: what the campaign file says of it, as a path of this machine or as shell text for another one.
//!
//! Here it is made ready with the file system's own calls; on another machine by `hello`. It asks no host.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::{HostError, io_error};
use super::trouble::RootTrouble;
use super::{parents, script};
use crate::atomic_file::private_folder;
use crate::ids::HostName;
use crate::shell::{quote, word};

/// Where `sp` keeps its records unless the file says otherwise.
pub(super) const DEFAULT: &str = "~/.local/share/sp";

/// A stretch of a root as written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// The stretches of a root: `~` at its start is the variable `HOME`, `$NAME` anywhere a variable.
fn pieces(wanted: Option<&str>) -> Result<Vec<Piece>, String> {
    let text = wanted.unwrap_or(DEFAULT);
    let mut pieces = Vec::new();
    let mut rest = text;
    if let Some(after) = text.strip_prefix('~') {
        if !after.is_empty() && !after.starts_with('/') {
            return Err(format!("`{text}` names another user's home; write it as a path"));
        }
        pieces.push(Piece::Variable("HOME".to_owned()));
        rest = after;
    } else if !text.starts_with(['/', '$']) {
        return Err(format!("`{text}` is no absolute path; begin it with `/`, `~/` or `$HOME/`"));
    }
    if text.contains(['\n', '\0']) {
        return Err("it holds a line break or a NUL byte".to_owned());
    }
    while let Some((before, after)) = rest.split_once('$') {
        pieces.push(Piece::Text(before.to_owned()));
        let length =
            after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, tail) = after.split_at(length);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("`{text}` has a `$` without a name behind it"));
        }
        pieces.push(Piece::Variable(name.to_owned()));
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

/// The root a campaign asks for on this machine, as an absolute path; variables are taken from `variable`.
pub fn local_root(
    wanted: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf, String> {
    let mut path = String::new();
    for piece in pieces(wanted)? {
        match piece {
            Piece::Text(text) => path.push_str(&text),
            Piece::Variable(name) => {
                let value = variable(&name).filter(|value| !value.is_empty());
                path.push_str(
                    &value.ok_or_else(|| format!("`${name}` is not set, or is not UTF-8"))?,
                );
            }
        }
    }
    if !path.starts_with('/') {
        return Err(format!("`{path}` is no absolute path; begin it with `/`, `~/` or `$HOME/`"));
    }
    // The script there reads paths line by line.
    if path.contains(char::is_control) {
        let shown = path.escape_debug();
        return Err(format!(
            "`{shown}` holds a line end or another control character; use another root"
        ));
    }
    Ok(PathBuf::from(path))
}

/// The variables of a shell on the host that a root names, and the root as one word of that shell.
pub(super) fn root_word(wanted: Option<&str>) -> Result<(Vec<String>, String), String> {
    let mut variables = Vec::new();
    let mut word = String::new();
    for piece in pieces(wanted)? {
        match piece {
            Piece::Text(text) => word.push_str(&quote(&text).map_err(|error| error.to_string())?),
            Piece::Variable(name) => {
                word.extend(["\"${", name.as_str(), "}\""]);
                variables.push(name);
            }
        }
    }
    Ok((variables, word))
}

/// Returns the root that a campaign asks for as a word of a shell there, for people: they know `~`.
pub(super) fn copied_word(wanted: Option<&str>) -> String {
    let text = wanted.unwrap_or(DEFAULT);
    match text.strip_prefix("~/") {
        Some(below) if !below.contains('$') => format!("~/{}", word(below)),
        _ => root_word(wanted).map_or_else(|_| word(text), |(_, word)| word),
    }
}

/// Makes a root on this machine ready: folders for the user alone, and this version's script.
pub(super) fn prepare(host: &HostName, root: &Path) -> Result<(), HostError> {
    let bin = root.join("v2/bin");
    private_folder(&bin).map_err(io_error("make the folder", &bin))?;
    let wrong = |path: &Path, trouble| HostError::Root {
        host: host.to_string(),
        path: path.to_owned(),
        word: word(&path.to_string_lossy()),
        trouble,
    };
    // What another user owns or may write to could be made to lie, or to run anything as us.
    for folder in [root, &root.join("v2"), &bin] {
        let about = fs::metadata(folder).map_err(io_error("look at", folder))?;
        if about.uid() != rustix::process::geteuid().as_raw() {
            return Err(wrong(folder, RootTrouble::Owner));
        }
        if about.mode() & 0o022 != 0 {
            return Err(wrong(folder, RootTrouble::Mode));
        }
    }
    let parents = parents::suspects(root).map_err(io_error("look at", root))?;
    if !parents.is_empty() {
        return Err(wrong(root, RootTrouble::Parents(parents)));
    }
    install(&bin.join(script::version()))
}

/// By rename, never in place: a shell that reads a script while it changes runs nonsense.
fn install(path: &Path) -> Result<(), HostError> {
    if path.exists() {
        return Ok(());
    }
    let temporary = path.with_extension(std::process::id().to_string());
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(script::text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(io_error("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_one_word_of_a_command_to_copy() {
        for (wanted, word) in [
            (None, "~/.local/share/sp"),
            (Some("~/it's; x"), "~/\"it's; x\""),
            (Some("/a b"), "'/a b'"),
            (Some("/scratch/$USER/a;b"), "/scratch/\"${USER}\"'/a;b'"),
            (Some("$(touch x)"), "'$(touch x)'"),
        ] {
            assert_eq!(copied_word(wanted), word, "{wanted:?}");
        }
    }

    #[test]
    fn a_root_is_made_absolute() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/ann".to_owned()),
            "USER" => Some("ann".to_owned()),
            _ => None,
        };
        let root = |text| local_root(text, variable);
        assert_eq!(root(None), Ok(PathBuf::from("/home/ann/.local/share/sp")));
        assert_eq!(root(Some("/scratch/$USER/sp")), Ok(PathBuf::from("/scratch/ann/sp")));
        assert_eq!(root(Some("~")), Ok(PathBuf::from("/home/ann")));
        assert_eq!(root(Some("$HOME/sp")), Ok(PathBuf::from("/home/ann/sp")));
        assert!(root(Some("~bob/sp")).is_err());
        assert!(root(Some("sp")).is_err());
        assert!(root(Some("/x/$NOPE")).is_err());
        assert!(root(Some("$USER/sp")).is_err());
        assert!(root(Some("/x/$")).is_err());
        let odd = local_root(None, |_| Some("/home/a\nb".to_owned()));
        assert!(
            odd.is_err_and(|why| why.contains("`/home/a\\nb/.local/share/sp` holds a line end"))
        );
    }

    #[test]
    fn a_root_elsewhere_is_one_word() {
        let word = |name: &str, word: &str| Ok((vec![name.to_owned()], word.to_owned()));
        assert_eq!(root_word(None), word("HOME", "\"${HOME}\"/.local/share/sp"));
        assert_eq!(root_word(Some("/a b/$USER's")), word("USER", "'/a b/'\"${USER}\"\"'s\""));
    }
}
