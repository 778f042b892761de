//! The pieces of a template: its text, what stands in braces, and what the braces put out as text.
//!
//! Ends are found as the engine finds them: `}}` within a string or a map ends nothing, and nothing within a `raw` block
//! begins anything. Source: `compiler/lexer.rs` of minijinja 3.0.5.

use std::ops::Range;

use crate::campaign::template::engine;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its bytes, with its braces.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
    /// Whether it takes blanks away from the text beside it, as `{{-` does.
    pub(super) trims: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// As written.
    Text,
    /// `{{ 'text' }}`: the text of the string, and the end of the string in the template.
    Literal(String, usize),
    /// `{% raw %}…{% endraw %}`: the bytes between.
    Raw(Range<usize>),
    /// `{{ … }}`: the bytes between, without signs that trim.
    Value(Range<usize>),
    /// `{% … %}`.
    Block,
    /// `{{# … #}}`.
    Comment,
    /// Braces that nothing closes; the rest of the text.
    Open,
}

/// Returns the pieces of a template, in order and without a gap.
pub(super) fn scan(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < text.len() {
        let Some(start) = opening(text, from) else { break };
        if start > from {
            pieces.push(Piece { range: from..start, kind: Kind::Text, trims: false });
        }
        let piece = braces(text, start).unwrap_or(Piece {
            range: start..text.len(),
            kind: Kind::Open,
            trims: false,
        });
        from = piece.range.end;
        pieces.push(piece);
    }
    if from < text.len() {
        pieces.push(Piece { range: from..text.len(), kind: Kind::Text, trims: false });
    }
    pieces
}

/// The next `{{` or `{%`.
fn opening(text: &str, from: usize) -> Option<usize> {
    let opens = |at: &usize| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%'));
    text[from..].match_indices('{').map(|(at, _)| from + at).find(opens)
}

/// The piece that opens at `start`; `None` where nothing closes it.
fn braces(text: &str, start: usize) -> Option<Piece> {
    let inside = start + 2;
    let rest = &text[inside..];
    if text[start..].starts_with("{{#") {
        let end = inside + rest.find("#}}")? + 3;
        let trims = rest.starts_with("#-") || text[..end].ends_with("-#}}");
        return Some(Piece { range: start..end, kind: Kind::Comment, trims });
    }
    if text[start..].starts_with("{{") {
        let close = inside_end(text, inside, "}}")?;
        let (inner, trims) = without_signs(text, inside..close);
        let kind = match literal(text, &inner) {
            Some((text, end)) => Kind::Literal(text, end),
            None => Kind::Value(inner),
        };
        return Some(Piece { range: start..close + 2, kind, trims });
    }
    if let Some((length, trims)) = tag(rest.strip_prefix(['-', '+']).unwrap_or(rest), "raw") {
        let signed = usize::from(rest.starts_with(['-', '+']));
        let from = inside + signed + length;
        for (at, _) in text[from..].match_indices("{%") {
            let end = &text[from + at + 2..];
            let sign = usize::from(end.starts_with(['-', '+']));
            if let Some((length, trims_after)) = tag(&end[sign..], "endraw") {
                let trims = trims || trims_after || rest.starts_with('-') || end.starts_with('-');
                let range = start..from + at + 2 + sign + length;
                return Some(Piece { range, kind: Kind::Raw(from..from + at), trims });
            }
        }
        return None;
    }
    let close = inside_end(text, inside, "%}")?;
    let (_, trims) = without_signs(text, inside..close);
    Some(Piece { range: start..close + 2, kind: Kind::Block, trims })
}

/// The length of ` raw %}`, where the text begins so, and whether a sign in it trims.
fn tag(text: &str, name: &str) -> Option<(usize, bool)> {
    let blank = |c: char| c.is_ascii_whitespace();
    let rest = text.trim_start_matches(blank).strip_prefix(name)?.trim_start_matches(blank);
    let unsigned = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let rest_length = unsigned.strip_prefix("%}")?.len();
    Some((text.len() - rest_length, rest.starts_with('-')))
}

/// Where `end` stands outside strings and brackets.
fn inside_end(text: &str, from: usize, end: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(c) = text[at..].chars().next() {
        if depth == 0 && text[at..].starts_with(end) {
            return Some(at);
        }
        match c {
            '\'' | '"' => at = string_end(text, at)?,
            '(' | '[' | '{' => {
                depth += 1;
                at += 1;
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            c => at += c.len_utf8(),
        }
    }
    None
}

/// The byte behind the string that opens at `at`.
fn string_end(text: &str, at: usize) -> Option<usize> {
    let quote = text[at..].chars().next()?;
    let mut escaped = false;
    for (offset, c) in text[at..].char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + offset + 1),
            _ => {}
        }
    }
    None
}

/// The bytes without the signs of `{{- … -}}`, and whether one of them trims.
fn without_signs(text: &str, mut inner: Range<usize>) -> (Range<usize>, bool) {
    let trims = text[inner.clone()].starts_with('-') || text[inner.clone()].ends_with('-');
    if text[inner.clone()].starts_with(['-', '+']) {
        inner.start += 1;
    }
    if text[inner.clone()].ends_with(['-', '+']) {
        inner.end -= 1;
    }
    (inner, trims)
}

/// The text of a string that is all there is, and where the string ends.
fn literal(text: &str, inner: &Range<usize>) -> Option<(String, usize)> {
    let trimmed = text[inner.clone()].trim();
    if !trimmed.starts_with(['\'', '"']) || string_end(trimmed, 0) != Some(trimmed.len()) {
        return None;
    }
    let start = inner.start + text[inner.clone()].find(['\'', '"'])?;
    // What an escape stands for is the engine's to say. A NUL is refused where the value is rendered.
    let value = engine::expressions().compile_expression(trimmed).ok()?.eval(()).ok()?;
    let value = value.as_str().filter(|value| !value.contains('\0'))?;
    Some((value.to_owned(), start + trimmed.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let mut out = String::new();
        for piece in scan(text) {
            let source = &text[piece.range.clone()];
            let (kind, inside) = match &piece.kind {
                Kind::Text => ("text", Some(source)),
                Kind::Literal(value, _) => ("literal", Some(value.as_str())),
                Kind::Raw(range) => ("raw", Some(&text[range.clone()])),
                Kind::Value(range) => ("value", Some(text[range.clone()].trim())),
                Kind::Block => ("block", None),
                Kind::Comment => ("comment", None),
                Kind::Open => ("open", Some(source)),
            };
            out += kind;
            if let Some(inside) = inside {
                out.extend(["(", inside, ")"]);
            }
            out += if piece.trims { "- " } else { " " };
        }
        out
    }

    #[test]
    fn pieces_end_where_the_engine_ends_them() {
        for (text, wanted) in [
            ("a {{ x }} b", "text(a ) value(x) text( b) "),
            ("{{ '{{' }}{{ \"}}\" }}", "literal({{) literal(}}) "),
            (r"{{ 'it\'s\n' }}", "literal(it's\n) "),
            ("{{ '}}' ~ x }}b", "value('}}' ~ x) text(b) "),
            ("{{ {'a': {'b': 1}} }}c", "value({'a': {'b': 1}}) text(c) "),
            ("{{- 'a' -}} b", "literal(a)- text( b) "),
            ("{% raw %}{{ x }} '{% endraw %}y", "raw({{ x }} ') text(y) "),
            ("{%- raw -%} {% if %} {%- endraw %}", "raw( {% if %} )- "),
            ("{% if x == '%}' %}a{% endif %}", "block text(a) block "),
            ("{{# don't }} #}}b", "comment text(b) "),
            ("${#a[@]} {a} {", "text(${#a[@]} {a} {) "),
            ("a {{ x", "text(a ) open({{ x) "),
            ("{% raw %}a", "open({% raw %}a) "),
            ("{{ 'a' 'b' }}", "value('a' 'b') "),
            ("{{ '\\u0000' }}", "value('\\u0000') "),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_have_no_gap(text in "([{}%#'\"a \\\\-]|raw|endraw|é){0,40}") {
            let mut at = 0;
            for piece in scan(&text) {
                prop_assert_eq!(piece.range.start, at);
                prop_assert!(piece.range.end > at);
                at = piece.range.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
