//! The campaign's own folder as the plan sees it: globs, lines and digests below `working-dir`.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use globset::GlobBuilder;

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

    /// Matches in the folder `at` (relative, `""` for the base) of the components in `rest`.
    fn matches(&self, at: &str, rest: &[&str], found: &mut Vec<String>) -> Result<(), FilesError> {
        let Some((component, rest)) = rest.split_first() else { return Ok(()) };
        let join =
            |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") };
        if !component.contains(['*', '?', '[']) {
            let path = join(component);
            return self.descend(&path, rest, found);
        }
        if *component == "**" {
            self.matches(at, rest, found)?;
        }
        let matcher = GlobBuilder::new(component)
            .literal_separator(true)
            .backslash_escape(false)
            .build()
            .map_err(|error| FilesError {
                path: (*component).to_owned(),
                cause: error.to_string(),
            })?
            .compile_matcher();
        for (name, is_folder) in self.list(at)? {
            // As in the shell: `*` does not match names that start with a dot.
            if name.starts_with('.') && !component.starts_with('.') {
                continue;
            }
            if *component == "**" {
                if is_folder {
                    let below: Vec<&str> =
                        std::iter::once(component).chain(rest).copied().collect();
                    self.matches(&join(&name), &below, found)?;
                }
            } else if matcher.is_match(&name) {
                self.descend(&join(&name), rest, found)?;
            }
        }
        Ok(())
    }

    fn descend(
        &self,
        path: &str,
        rest: &[&str],
        found: &mut Vec<String>,
    ) -> Result<(), FilesError> {
        let about = match fs::metadata(self.base.join(path)) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(path, &error)),
        };
        if rest.is_empty() {
            if about.is_file() {
                found.push(path.to_owned());
            }
            Ok(())
        } else if about.is_dir() {
            self.matches(path, rest, found)
        } else {
            Ok(())
        }
    }

    /// Names in a folder, and whether each is a folder that is no link, so that a ring of links ends.
    fn list(&self, at: &str) -> Result<Vec<(String, bool)>, FilesError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.base.join(at)).map_err(|error| failed(at, &error))? {
            let entry = entry.map_err(|error| failed(at, &error))?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name().into_string().map_err(|name| FilesError {
                path: format!("{at}/{}", name.to_string_lossy()),
                cause: "its name is not UTF-8, so no command could name it".to_owned(),
            })?;
            names.push((name, is_folder));
        }
        Ok(names)
    }
}

impl Files for CampaignFolder {
    fn glob(&self, pattern: &str) -> Result<Vec<String>, FilesError> {
        let components: Vec<&str> =
            pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let mut found = Vec::new();
        self.matches("", &components, &mut found)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
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

fn failed(path: &str, error: &io::Error) -> FilesError {
    let path = if path.is_empty() { "." } else { path };
    FilesError { path: path.to_owned(), cause: error.to_string() }
}
