//! The campaign file: text → wire types → checked [`Campaign`], with all mistakes of the file in one report.
//!
//! In the order of the work: `read` (TOML to `wire`, syntax and types), `check` (everything else, with the readers of
//! single values: [`decimal`], [`duration`], [`size`], [`ssh`], [`glob`], [`ere`], [`template`]), `error` (the report). [`schema`]
//! is the JSON Schema of `wire`.
//!
//! Does not read files, expand the matrix or know of jobs: globs, `lines` and `inputs` stay patterns here.

mod check;
pub mod decimal;
pub mod duration;
pub mod ere;
mod error;
pub mod glob;
pub mod kind;
pub mod model;
mod read;
pub mod schema;
pub mod size;
pub mod ssh;
pub mod suggest;
pub mod template;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use miette::NamedSource;

pub use check::FILTER_WORDS;
pub use error::{CampaignError, Finding, Source, Warning};
pub use model::*;

impl Campaign {
    /// Reads and checks the text of a campaign file; `file_name` is what messages call it. A file that an editor on Windows
    /// has saved, with CRLF and a byte order mark, is the same campaign.
    ///
    /// # Errors
    /// Every mistake of the file, in one report. After a syntax error nothing else is looked at, since what a broken
    /// line means is a guess.
    pub fn parse(file_name: &str, text: &str) -> Result<(Self, Vec<Warning>), CampaignError> {
        let text = unix_text(text);
        let source: Source = Arc::new(NamedSource::new(file_name, text.to_string()));
        let (wire, reader) = read::campaign(&text);
        let syntax = reader.findings.iter().any(|finding| finding.code == "sp::campaign::syntax");
        let (campaign, findings) =
            if syntax { (None, reader.findings) } else { check::check(wire, reader) };
        match campaign {
            Some(campaign) => {
                let warn = |finding| Warning { finding, source_file: Arc::clone(&source) };
                Ok((campaign, findings.into_iter().map(warn).collect()))
            }
            None => Err(CampaignError { findings, source_file: source }),
        }
    }
}

/// Whether a text is a campaign file, be it one with mistakes: it has a name and what to run, above any table.
pub fn is_campaign(text: &str) -> bool {
    let text = unix_text(text);
    let top = text.lines().map(str::trim_start).take_while(|line| !line.starts_with('['));
    let keys: Vec<&str> =
        top.filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim_end()).collect();
    keys.contains(&"name") && ["command", "steps"].iter().any(|key| keys.contains(key))
}

/// Returns the text without a byte order mark in front and with each CRLF as LF.
fn unix_text(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
}
