//! The campaign file as it is read: a plain file, in UTF-8, of bounded size, and no link to something elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::plain_file::{self, Wrong};
use crate::shell::quote;

/// Bytes that a campaign file, or a saved plan, may have.
pub(super) const MOST: u64 = 64 << 20;

/// Returns what stands behind a command in a hint so that it is about this file, which is absolute: nothing for the file that
/// commands take by themselves.
pub(super) fn word(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let file = file.strip_prefix(&here).unwrap_or(file);
    match quote(&file.to_string_lossy()) {
        _ if file == Path::new("campaign.toml") => String::new(),
        Ok(quoted) => format!(" {quoted}"),
        Err(_) => String::new(),
    }
}

/// Reads a campaign file, and says where it lies: its absolute path without links.
pub(super) fn read(file: &Path) -> Result<(PathBuf, String), CliError> {
    let shown = file.display();
    let failed = |error: io::Error| match (Wrong::of(&error), error.kind()) {
        (Some(Wrong::LeadsOut(target)), _) => CliError::person(
            "file",
            format!("`{shown}` is a link that leads out of its folder, to `{}`", target.display()),
            "name the file itself instead of the link",
        ),
        (Some(Wrong::Large(_)), _) => CliError::person(
            "file",
            format!("cannot read `{shown}`: {error}, which no campaign file has"),
            "long lists go into files: `axis = { lines = \"FILE\" }`",
        ),
        (_, io::ErrorKind::NotFound) => CliError::person(
            "no-file",
            format!("there is no file `{shown}` here"),
            "`sp init` writes one to begin with; `-C DIR` looks in another folder",
        ),
        _ => CliError::person("file", format!("cannot read `{shown}`: {error}"), ""),
    };
    let read = || {
        let path = std::path::absolute(file)?;
        let folder = path.parent().unwrap_or(Path::new("/")).canonicalize()?;
        let path = plain_file::real(&folder, Path::new(path.file_name().unwrap_or_default()))?;
        let (file, _) = plain_file::open(&path)?;
        Ok((path, plain_file::read(&file, MOST)?))
    };
    let (path, text) = read().map_err(failed)?;
    let text = String::from_utf8(text).map_err(|_| {
        CliError::person(
            "file",
            format!("cannot read `{shown}`: it is not UTF-8"),
            "write it anew as UTF-8",
        )
    })?;
    Ok((path, text))
}
