//! Keys that take one of a few words.

use super::Checker;
use crate::campaign::error::Finding;
use crate::campaign::suggest;
use crate::campaign::wire::At;

impl Checker<'_> {
    /// The value of a key that takes one of a few words.
    pub(super) fn one_of<T: Copy, const N: usize>(
        &mut self,
        key: &str,
        at: &At<String>,
        words: [(&'static str, T); N],
    ) -> Option<T> {
        let known = words.map(|(word, _)| word);
        let found = words.iter().find(|(word, _)| *word == at.value);
        if found.is_none() {
            let message = format!("`{key}` cannot be `{}`", at.value);
            let finding = Finding::error("sp::campaign::word", message).at(&at.span, "this word");
            let help = suggest::help(&at.value, &known, "it is one of");
            self.push(match help {
                Some(help) => finding.help(help),
                None => finding,
            });
        }
        found.map(|(_, value)| *value)
    }
}
