//! The files that a job's identity depends on: patterns to paths to digests, each asked for once.
//!
//! Reads through [`Files`] only. Whether a file is synced is the sync's question.

use std::collections::BTreeMap;

use crate::campaign::template::{Part, Rendered};
use crate::plan::axes::index;
use crate::plan::{Files, FilesError};

/// What is known of the inputs of all jobs.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Paths with their digests, in the order in which they were met.
    files: Vec<(String, [u8; 32])>,
    by_path: BTreeMap<String, u32>,
    /// The files that a rendered pattern names.
    by_pattern: BTreeMap<String, Vec<u32>>,
}

impl Inputs {
    /// Finds the files of a pattern; `false` when there is none.
    pub(crate) fn load(&mut self, pattern: &str, files: &dyn Files) -> Result<bool, FilesError> {
        if let Some(known) = self.by_pattern.get(pattern) {
            return Ok(!known.is_empty());
        }
        // A file may be called `a[1].bin`; only where no file has the name itself, it is a pattern.
        let special = pattern.contains(['*', '?', '[', '{']);
        let found = match self.file(pattern, files) {
            Ok(at) => vec![at],
            Err(error) if !special => return Err(error),
            Err(_) => {
                let paths = files.glob(pattern)?;
                paths.iter().map(|path| self.file(path, files)).collect::<Result<_, _>>()?
            }
        };
        let some = !found.is_empty();
        self.by_pattern.insert(pattern.to_owned(), found);
        Ok(some)
    }

    fn file(&mut self, path: &str, files: &dyn Files) -> Result<u32, FilesError> {
        if let Some(at) = self.by_path.get(path) {
            return Ok(*at);
        }
        let digest = files.digest(path)?;
        let at = index(self.files.len());
        self.files.push((path.to_owned(), digest));
        self.by_path.insert(path.to_owned(), at);
        Ok(at)
    }

    /// The paths of all files, as they were asked for.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(path, _)| path.as_str())
    }

    /// Appends the files of a pattern that was loaded.
    pub(crate) fn push_files<'a>(&'a self, pattern: &str, out: &mut Vec<(&'a str, &'a [u8; 32])>) {
        for at in self.by_pattern.get(pattern).into_iter().flatten() {
            let (path, digest) = &self.files[*at as usize];
            out.push((path, digest));
        }
    }
}

/// The text of a pattern; `None` when it names something that only a host knows.
pub(crate) fn pattern_text(mut rendered: Rendered) -> Option<String> {
    match (rendered.pop(), rendered.is_empty()) {
        (None, _) => Some(String::new()),
        (Some(Part::Text(text)), true) => Some(text),
        _ => None,
    }
}

/// Files by path, each once, as the identity wants them.
pub(crate) fn sort_files(files: &mut Vec<(&str, &[u8; 32])>) {
    files.sort_unstable();
    files.dedup();
}
