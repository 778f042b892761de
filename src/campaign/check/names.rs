//! Names of axes and variables: identifiers, and not the words of tables and filters.

use indexmap::IndexMap;

use super::Checker;
use crate::campaign::error::Finding;
use crate::campaign::model::Value;
use crate::campaign::wire::{At, Entries, Scalar};
use crate::ids::{AxisName, NameError};

/// The names that `-F` has beside the axes; no axis may be called so.
pub const FILTER_WORDS: [&str; 10] = [
    "state",
    "host",
    "exit_code",
    "signal",
    "reason",
    "attempt",
    "name",
    "id",
    "index",
    "elapsed_s",
];

/// Words that an axis cannot have, with what they are; compared without case, since columns and variables are.
const RESERVED: [(&[&str], &str); 5] = [
    (&["zip", "when", "exclude", "include"], "a key of `[matrix]`"),
    (&["repeat", "job", "vars", "host", "work_dir"], "a name that templates have already"),
    (&FILTER_WORDS, "a word of `-F`"),
    (
        &["job_id", "started_at", "ended_at", "snapshot", "git_rev", "dirty"],
        "a column of the results",
    ),
    (
        &["true", "false", "none", "not", "and", "or", "in", "is", "if", "else", "loop", "self"],
        "a word of the expression language",
    ),
];

/// What a reserved word is.
pub(super) fn reserved(name: &str) -> Option<&'static str> {
    let is = |word: &str| word.eq_ignore_ascii_case(name);
    RESERVED.iter().find(|(words, _)| words.iter().any(|word| is(word))).map(|(_, what)| *what)
}

/// The text with what no name may hold replaced by `-`; `None` when nothing is left.
pub(super) fn as_word(text: &str) -> Option<String> {
    let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = last.strip_suffix(".toml").unwrap_or(last);
    let word: String = last
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' })
        .collect();
    let word = word.trim_matches('-');
    (!word.is_empty() && word.len() <= 64).then(|| word.to_owned())
}

impl Checker<'_> {
    /// Name of an axis or variable; `kind` reads "axis".
    pub(super) fn identifier(&mut self, kind: &str, at: &At<String>) -> Option<AxisName> {
        match at.value.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                let help = match error {
                    NameError::Character(..) => {
                        let name: String = at
                            .value
                            .chars()
                            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                            .collect();
                        format!(
                            "write `{name}`; in `{{{{ {} }}}}` it would be no single name",
                            at.value
                        )
                    }
                    NameError::Start(..) => {
                        format!("write `_{}`, or put a word in front", at.value)
                    }
                    _ => "write a short name of letters, digits and `_`".to_owned(),
                };
                let message = format!("the {kind}'s name `{}` {error}", at.value);
                self.push(
                    Finding::error("sp::campaign::name", message)
                        .at(&at.span, "this name")
                        .help(help),
                );
                None
            }
        }
    }

    /// A table of constants.
    pub(super) fn vars(
        &mut self,
        what: &str,
        entries: Option<At<Entries<Scalar>>>,
    ) -> IndexMap<AxisName, Value> {
        let mut vars = IndexMap::new();
        for (key, value) in entries.into_iter().flat_map(|at| at.value.0) {
            match self.identifier("variable", &key) {
                Some(name) => {
                    vars.insert(name, value.value.0);
                }
                None => {
                    self.broken.insert(format!("{what}.{}", key.value));
                }
            }
        }
        vars
    }
}
