//! Works around minijinja 3.0.5: its list of free names leaves out what is sliced, so `{{ name[:3] }}` would use no
//! name. The names are therefore taken from a copy in which every slice is a plain subscript with the same names.

use std::borrow::Cow;

/// `name[a:b]` as `name[a ~ b]`, with `0` for a bound that is left out; only within braces when `in_braces`.
pub(super) fn as_subscripts(text: &str, in_braces: bool) -> Cow<'_, str> {
    if !(text.contains('[') && text.contains(':')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut inside = !in_braces;
    let mut brackets: Vec<char> = Vec::new();
    let mut string: Option<char> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let pair = rest.get(..2).unwrap_or_default();
        let next = &rest[c.len_utf8()..];
        if in_braces && string.is_none() && brackets.is_empty() {
            match pair {
                "{{" | "{%" => inside = true,
                "}}" | "%}" => inside = false,
                _ => {}
            }
            if matches!(pair, "{{" | "{%" | "}}" | "%}") {
                out.push_str(pair);
                rest = &rest[2..];
                continue;
            }
        }
        match (string, c) {
            (Some(_), '\\') if inside => {
                let escaped = next.chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..=escaped]);
                rest = &next[escaped..];
                continue;
            }
            (Some(quote), c) if c == quote => string = None,
            (None, '\'' | '"') if inside => string = Some(c),
            (None, '[' | '(' | '{') if inside => brackets.push(c),
            (None, ']' | ')' | '}') if inside => {
                brackets.pop();
            }
            (None, ':') if brackets.last() == Some(&'[') => {
                if out.trim_end().ends_with(['[', '~']) {
                    out.push('0');
                }
                out.push_str(" ~ ");
                if next.trim_start().starts_with(']') {
                    out.push('0');
                }
                rest = next;
                continue;
            }
            _ => {}
        }
        out.push(c);
        rest = next;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_become_subscripts_and_nothing_else_changes() {
        for (text, expected) in [
            ("{{ a[1:b] }}", "{{ a[1 ~ b] }}"),
            ("{{ a[:] }}", "{{ a[0 ~ 0] }}"),
            ("{{ a[::2] }}", "{{ a[0 ~ 0 ~ 2] }}"),
            ("{{ a[b[1:]:] }}", "{{ a[b[1 ~ 0] ~ 0] }}"),
            ("{{ {'x': [1]}['x'] }}", "{{ {'x': [1]}['x'] }}"),
            ("${a[0]:1} {{ '[:' }}{{ b[0] }}", "${a[0]:1} {{ '[:' }}{{ b[0] }}"),
            (r"{{ 'it\'s [' ~ a[:1] }}", r"{{ 'it\'s [' ~ a[0 ~ 1] }}"),
        ] {
            assert_eq!(as_subscripts(text, true), expected);
        }
        assert_eq!(as_subscripts("a[1:] == 'x:y'", false), "a[1 ~ 0] == 'x:y'");
    }
}
