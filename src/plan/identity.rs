//! What a job's id is computed from, byte for byte.
//!
//! The id is the first 16 bytes of the BLAKE3 hash of the canonical form below. The form has a version; an id that was
//! given once never changes, because results are kept under it (a test pins several).
//!
//! ```text
//! form     = "sp job 1\n" axis* command prepare? shell dir env* input*
//! axis     = 'A' str(name) value               in byte order of the names
//! command  = 'C' text                          text for the shell
//!          | 'V' n text{n}                     words
//! prepare  = 'P' text
//! shell    = 'H' n str{n}
//! dir      = 'W' str
//! env      = 'E' str(name) ( 'T' text | 'S' str(variable) )     in byte order of the names
//! input    = 'I' str(path) digest              in byte order of the paths; 32 bytes of BLAKE3
//! value    = 's' str | 'i' 8 bytes | 'f' 8 bytes | 'b' ( 0 | 1 )
//! text     = ( 't' str | 'o' | 'd' | 'w' | 'h' str )* '.'       no empty 't', no two 't' in a row
//! str      = n bytes{n}                        UTF-8
//! n        = 8 bytes
//! ```
//!
//! Numbers are little-endian; a float is its IEEE 754 bits with -0 as 0. In a text `o`, `d`, `w` and `h` stand for
//! `{{ job.out_dir }}`, `{{ job.state_dir }}`, `{{ work_dir }}` and `{{ host.NAME }}`, so that no path is ever hashed. A
//! float's spelling is hashed where the command uses it, and only there.
//!
//! Left out: derived axes, axes that an `include` leaves empty, `repeat` 0 (so that `repeat = 3` keeps the first job), names, order,
//! comments, hosts with their environment and `init`, `setup`, `cleanup`, `leftover`, limits, markers. A secret counts by the name of
//! its variable.
//!
//! The key of a cell is hashed likewise over `"sp cell 1\n" axis*`.
//!
//! This module does not render and does not read files: it is given rendered text and digests.

use crate::campaign::Value;
use crate::campaign::template::Reference;
use crate::ids::JobId;
use crate::plan::known::CellKey;

const JOB: &[u8] = b"sp job 1\n";
const CELL: &[u8] = b"sp cell 1\n";

/// Writes the canonical form of one job after the other into one buffer.
#[derive(Debug, Default)]
pub(crate) struct Form {
    bytes: Vec<u8>,
    /// Where the length of the text run that is being written stands.
    run: Option<usize>,
}

impl Form {
    pub(crate) fn start_job(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(JOB);
    }

    pub(crate) fn start_cell(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(CELL);
    }

    /// An axis that [`axis_bytes`] has encoded.
    pub(crate) fn axis(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    pub(crate) fn shell_command(&mut self) {
        self.bytes.push(b'C');
    }

    pub(crate) fn argv(&mut self, words: usize) {
        self.bytes.push(b'V');
        self.number(words);
    }

    pub(crate) fn prepare(&mut self) {
        self.bytes.push(b'P');
    }

    pub(crate) fn shell(&mut self, words: &[String]) {
        self.bytes.push(b'H');
        self.number(words.len());
        for word in words {
            self.str(word);
        }
    }

    pub(crate) fn working_dir(&mut self, dir: &str) {
        self.bytes.push(b'W');
        self.str(dir);
    }

    /// A variable whose text follows.
    pub(crate) fn env_text(&mut self, name: &str) {
        self.bytes.push(b'E');
        self.str(name);
        self.bytes.push(b'T');
    }

    pub(crate) fn env_secret(&mut self, name: &str, variable: &str) {
        self.bytes.push(b'E');
        self.str(name);
        self.bytes.push(b'S');
        self.str(variable);
    }

    pub(crate) fn input(&mut self, path: &str, digest: &[u8; 32]) {
        self.bytes.push(b'I');
        self.str(path);
        self.bytes.extend_from_slice(digest);
    }

    /// A piece of a text; pieces side by side are one run, however they were cut.
    pub(crate) fn text(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        if self.run.is_none() {
            self.bytes.push(b't');
            self.run = Some(self.bytes.len());
            self.number(0);
        }
        self.bytes.extend_from_slice(piece.as_bytes());
    }

    pub(crate) fn reference(&mut self, reference: &Reference) {
        self.end_run();
        match reference {
            Reference::OutDir => self.bytes.push(b'o'),
            Reference::StateDir => self.bytes.push(b'd'),
            Reference::WorkDir => self.bytes.push(b'w'),
            Reference::HostVar(name) => {
                self.bytes.push(b'h');
                self.str(name);
            }
        }
    }

    pub(crate) fn end_text(&mut self) {
        self.end_run();
        self.bytes.push(b'.');
    }

    pub(crate) fn job_id(&self) -> JobId {
        JobId(self.hash())
    }

    pub(crate) fn cell_key(&self) -> CellKey {
        CellKey(self.hash())
    }

    fn hash(&self) -> [u8; 16] {
        debug_assert!(self.run.is_none(), "every text is ended");
        let hash = blake3::hash(&self.bytes);
        let mut first = [0; 16];
        first.copy_from_slice(&hash.as_bytes()[..16]);
        first
    }

    fn end_run(&mut self) {
        if let Some(at) = self.run.take() {
            let length = (self.bytes.len() - at - 8) as u64;
            self.bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
        }
    }

    fn number(&mut self, n: usize) {
        self.bytes.extend_from_slice(&(n as u64).to_le_bytes());
    }

    fn str(&mut self, text: &str) {
        self.number(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// Appends the canonical form of one axis with its value.
pub(crate) fn axis_bytes(out: &mut Vec<u8>, name: &str, value: &Value) {
    let mut str = |tag: u8, text: &str| {
        out.push(tag);
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    str(b'A', name);
    match value {
        Value::Str(text) => str(b's', text),
        Value::Int(n) => {
            out.push(b'i');
            out.extend_from_slice(&n.to_le_bytes());
        }
        Value::Float { value, .. } => {
            out.push(b'f');
            out.extend_from_slice(&float_bits(*value).to_le_bytes());
        }
        Value::Bool(b) => out.extend_from_slice(&[b'b', u8::from(*b)]),
    }
}

/// Whether two values are one value to the identity: of one type, and floats by number, not by spelling.
pub(crate) fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float { value: a, .. }, Value::Float { value: b, .. }) => {
            float_bits(*a) == float_bits(*b)
        }
        (a, b) => a == b,
    }
}

fn float_bits(value: f64) -> u64 {
    // Adding a positive zero turns -0 into 0 and leaves every other finite number as it is.
    (value + 0.0).to_bits()
}
