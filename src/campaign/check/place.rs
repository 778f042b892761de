//! Where the parts of a string value stand in the file.

use std::ops::Range;

use super::Checker;
use crate::campaign::wire::At;

impl Checker<'_> {
    /// Bytes in the file of a part of a string value; all of the value where that cannot be told.
    pub(super) fn part(&self, at: &At<String>, range: Option<Range<usize>>) -> Range<usize> {
        let raw = self.text.get(at.span.clone()).unwrap_or_default();
        let inside =
            |range: &Range<usize>| at.value.get(range.clone()).is_some_and(|part| !part.is_empty());
        let Some(range) = range.filter(inside) else {
            return at.span.clone();
        };
        if let Some(offset) = raw.find(at.value.as_str()) {
            let start = at.span.start + offset;
            return start + range.start..start + range.end;
        }
        let place =
            |offset| escaped_place(raw, &at.value, offset).map(|place| at.span.start + place);
        match (place(range.start), place(range.end)) {
            (Some(start), Some(end)) if start < end => start..end,
            _ => at.span.clone(),
        }
    }
}

/// Where byte `offset` of `value` stands within `raw`, its spelling in quotes with the short escapes `\"`, `\\`, `\n`
/// and the like; `None` for any other spelling.
fn escaped_place(raw: &str, value: &str, offset: usize) -> Option<usize> {
    let inner = raw.strip_prefix('"')?;
    let mut place = raw.len() - inner.len();
    for c in value.get(..offset)?.chars() {
        let rest = raw.get(place..)?;
        if let Some(escaped) = rest.strip_prefix('\\') {
            let escape = escaped.chars().next()?;
            let meant = match escape {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '"' | '\\' => escape,
                _ => return None,
            };
            if meant != c {
                return None;
            }
            place += 2;
        } else if rest.starts_with(c) {
            place += c.len_utf8();
        } else {
            return None;
        }
    }
    Some(place)
}
