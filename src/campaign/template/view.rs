//! A shell text as the shell will read it, each value in it one character.

use std::ops::Range;

use crate::campaign::template::scan::{Kind, Piece};

/// Stands for a value in the text that the shell reads.
pub(super) const VALUE: char = '\0';
/// Stands for what the template puts in without quotes, and for blocks and comments.
pub(super) const OPAQUE: char = '\u{1}';

/// The text that the shell reads, each value in it one character.
pub(super) struct View {
    pub(super) text: String,
    /// The pieces in it: where each begins here, and its bytes in the template. Text is as long in both.
    parts: Vec<(usize, Range<usize>)>,
}

impl View {
    pub(super) fn new(text: &str, pieces: &[Piece]) -> Self {
        let mut view = Self { text: String::with_capacity(text.len()), parts: Vec::new() };
        for piece in pieces {
            let mut source = piece.range.clone();
            let start = view.text.len();
            match &piece.kind {
                Kind::Text => view.text.push_str(&text[source.clone()]),
                Kind::Literal(value, _) => view.text.push_str(value),
                Kind::Raw(inner) => {
                    view.text.push_str(&text[inner.clone()]);
                    source = inner.clone();
                }
                Kind::Value(inner) if !is_safe(&text[inner.clone()]) => view.text.push(VALUE),
                Kind::Value(_) | Kind::Block | Kind::Comment | Kind::Open => view.text.push(OPAQUE),
            }
            view.parts.push((start, source));
        }
        view
    }

    /// The piece that a byte of the view is of.
    pub(super) fn part(&self, at: usize) -> Option<&(usize, Range<usize>)> {
        let after = self.parts.partition_point(|(start, _)| *start <= at);
        self.parts.get(after.checked_sub(1)?)
    }

    /// Where a byte of the view stands in the template.
    pub(super) fn source(&self, at: usize) -> Option<usize> {
        let (start, source) = self.part(at)?;
        Some((source.start + (at - start)).min(source.end))
    }
}

/// Whether a value comes without quotes: `x | safe`.
fn is_safe(inner: &str) -> bool {
    let last = inner.rsplit('|').next().unwrap_or_default();
    inner.contains('|') && last.trim() == "safe"
}
