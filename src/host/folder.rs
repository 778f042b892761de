//! The campaign's own folder as the plan sees it: globs, lines and digests below `working-dir`.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::glob;
use crate::plan::{Files, FilesError};

/// Files below one folder.
#[derive(Debug, Clone)]
pub struct CampaignFolder {
    base: PathBuf,
}

impl CampaignFolder {
    /// The folder that patterns are relative to: the campaign file's folder and `working-dir`.
    pub fn new(campaign_folder: &Path, working_dir: &str) -> Self {
        Self { base: campaign_folder.join(working_dir) }
    }
}

impl Files for CampaignFolder {
    fn glob(&self, pattern: &str) -> Result<Vec<String>, FilesError> {
        glob::matches(&self.base, pattern)
    }

    fn lines(&self, path: &str) -> Result<Vec<String>, FilesError> {
        let text =
            fs::read_to_string(self.base.join(path)).map_err(|error| failed(path, &error))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn digest(&self, path: &str) -> Result<[u8; 32], FilesError> {
        let read = || -> io::Result<[u8; 32]> {
            let mut file = fs::File::open(self.base.join(path))?;
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
    failed
}
