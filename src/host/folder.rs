//! The campaign's own folder as the plan sees it: globs, lines and digests below `working-dir`.
//!
//! What is read lies in the tree that is synced: a link that leads out of it is refused, since what it leads to is nothing
//! that came with the campaign, and so is what is no plain file.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::glob;
use crate::plain_file::{self, Wrong};
use crate::plan::{Files, FilesError};

/// Bytes that a file of `lines` may have.
const LINES_MAX: u64 = 64 << 20;

/// Files below one folder.
#[derive(Debug, Clone)]
pub struct CampaignFolder {
    root: PathBuf,
    working_dir: PathBuf,
}

impl CampaignFolder {
    /// The folder that patterns are relative to: `working-dir` below the root of what is synced.
    pub fn new(root: &Path, working_dir: &str) -> Self {
        // One that is not there says so when it is read.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        Self { root, working_dir: working_dir.into() }
    }

    fn open(&self, path: &str) -> io::Result<std::fs::File> {
        let (file, _) = plain_file::open_within(&self.root, &self.working_dir.join(path))?;
        Ok(file)
    }
}

impl Files for CampaignFolder {
    fn glob(&self, pattern: &str) -> Result<Vec<String>, FilesError> {
        glob::matches(&self.root, &self.working_dir, pattern)
    }

    fn lines(&self, path: &str) -> Result<Vec<String>, FilesError> {
        let text = self.open(path).and_then(|file| plain_file::read(&file, LINES_MAX));
        let text = text.map_err(|error| failed(path, &error))?;
        let Ok(text) = String::from_utf8(text) else {
            let wrong = FilesError::new(path, "it is not UTF-8");
            return Err(wrong.advise(format!("write `{path}` anew as UTF-8")));
        };
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn digest(&self, path: &str) -> Result<[u8; 32], FilesError> {
        let read = || -> io::Result<[u8; 32]> {
            let mut file = self.open(path)?;
            let mut hasher = blake3::Hasher::new();
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let length = file.read(&mut buffer)?;
                if length == 0 {
                    return Ok(*hasher.finalize().as_bytes());
                }
                hasher.update(&buffer[..length]);
            }
        };
        read().map_err(|error| failed(path, &error))
    }
}

pub(super) fn failed(path: &str, error: &io::Error) -> FilesError {
    let path = if path.is_empty() { "." } else { path };
    let failed = FilesError::new(path, error.to_string());
    if error.kind() == io::ErrorKind::IsADirectory {
        return failed.advise(format!("write `{path}/**/*` for the files below it"));
    }
    match Wrong::of(error) {
        Some(Wrong::LeadsOut(target)) => failed.advise(format!(
            "copy `{}` to `{path}`, or let `[sync] root` name a folder that holds both",
            target.display()
        )),
        Some(Wrong::Kind(_)) => {
            failed.advise(format!("put a plain file at `{path}`, or name another one"))
        }
        Some(Wrong::Large(_)) => failed.advise("split it, or let jobs read it".to_owned()),
        _ => failed,
    }
}
