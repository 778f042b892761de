//! The plan: the matrix as jobs with identities, compared with what is known, each with an action and a reason.
//!
//! Pure: what it needs of the file system comes through [`Files`]. It starts nothing and stores nothing.

pub mod known;

pub use known::{CellKey, KnownJob, Parts};

/// What expansion needs to know of the campaign's folder. Paths and patterns are relative to `working-dir`.
pub trait Files {
    /// Paths that match a glob, sorted by bytes; regular files only.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, FilesError>;
    /// Lines of a file, without their ends.
    fn lines(&self, path: &str) -> Result<Vec<String>, FilesError>;
    /// BLAKE3 of a file's content.
    fn digest(&self, path: &str) -> Result<[u8; 32], FilesError>;
}

/// Why a file could not be listed or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{path}`: {cause}")]
pub struct FilesError {
    /// The path or pattern.
    pub path: String,
    /// The system's words.
    pub cause: String,
}
