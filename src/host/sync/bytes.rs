//! A file of length-prefixed parts with its own digest at the end: whole, or not there. Holds no format of its own.

use std::path::Path;

use crate::plain_file;

/// Writes parts one after another.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A file of a kind; another kind, or another version of it, is not read back.
    pub(super) fn new(kind: &str) -> Self {
        let mut writer = Self(Vec::new());
        writer.part(kind.as_bytes());
        writer
    }

    pub(super) fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn fixed(&mut self, bytes: &[u8; 32]) {
        self.0.extend_from_slice(bytes);
    }

    /// All of it, closed by its digest.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let digest = blake3::hash(&self.0);
        self.0.extend_from_slice(digest.as_bytes());
        self.0
    }
}

/// Reads what a [`Writer`] wrote. After the digest has been checked only another version can surprise, so a part that
/// is not there is `None`.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// `None` for anything but a whole file of this kind.
    pub(super) fn new(bytes: &'a [u8], kind: &str) -> Option<Self> {
        let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if blake3::hash(body).as_bytes() != digest {
            return None;
        }
        let mut reader = Self(body);
        (reader.part()? == kind.as_bytes()).then_some(reader)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    pub(super) fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(super) fn fixed(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }
}

/// The bytes of a file that may be missing; what cannot be read is made anew like what is not there.
pub(super) fn read(path: &Path) -> Vec<u8> {
    let read = plain_file::open(path).and_then(|(file, _)| plain_file::read(&file, u64::MAX));
    read.unwrap_or_default()
}
