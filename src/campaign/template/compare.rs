//! Plain comparisons within an expression: `n > 5`, `'a' == kind`, `state in ['failed', 'lost']`.
//!
//! Only a name beside a literal is seen; what else an expression does with a name is not judged.

use std::ops::Range;

/// What a name is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal<'t> {
    /// A text, without its quotes and without an escape in it.
    Text(&'t str),
    /// A number.
    Number,
}

/// A name beside a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison<'t> {
    /// The name.
    pub name: &'t str,
    /// What it is compared with.
    pub literal: Literal<'t>,
    /// Bytes of the literal in the expression; of its first sign for a number.
    pub range: Range<usize>,
    /// Whether only equality is asked for.
    pub by_equality: bool,
}

/// A token of an expression, as much of it as a comparison needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Number,
    Text(&'t str),
    Sign(&'t str),
}

const COMPARING: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// Returns the plain comparisons of an expression.
pub fn comparisons(text: &str) -> Vec<Comparison<'_>> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let (Token::Word(name), _) = &tokens[at] else { continue };
        let get = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|(token, _)| *token);
        let mut push = |at: usize, by_equality: bool| {
            let literal = match tokens.get(at) {
                Some((Token::Text(text), range)) => (Literal::Text(text), range),
                Some((Token::Number, range)) => (Literal::Number, range),
                // A negative number.
                Some((Token::Sign("-"), range)) if get(Some(at + 1)) == Some(Token::Number) => {
                    (Literal::Number, range)
                }
                _ => return,
            };
            let (literal, range) = literal;
            found.push(Comparison { name, literal, range: range.clone(), by_equality });
        };
        let (before, after) = (get(at.checked_sub(1)), get(Some(at + 1)));
        if ends_operand(before)
            && let Some(Token::Sign(sign)) = after
            && COMPARING.contains(&sign)
        {
            push(at + 2, matches!(sign, "==" | "!="));
        }
        if begins_operand(after)
            && let Some(Token::Sign(sign)) = before
            && COMPARING.contains(&sign)
            && let Some(literal) = at.checked_sub(2)
            && ends_operand(get(literal.checked_sub(1)))
        {
            push(literal, matches!(sign, "==" | "!="));
        }
        let list = at + 1 + usize::from(after == Some(Token::Word("not")));
        if ends_operand(before)
            && get(Some(list)) == Some(Token::Word("in"))
            && matches!(get(Some(list + 1)), Some(Token::Sign("[" | "(")))
        {
            let members = (list + 2..tokens.len())
                .take_while(|at| !matches!(tokens[*at].0, Token::Sign("]" | ")")));
            members.for_each(|member| push(member, true));
        }
    }
    found
}

/// Where a `=` stands that compares nothing.
pub(super) fn single_equals(text: &str) -> Option<usize> {
    let tokens = tokens(text);
    let found = tokens.iter().find(|(token, _)| *token == Token::Sign("="));
    found.map(|(_, range)| range.start)
}

/// Whether an operand may begin behind this token without being part of a larger one.
fn ends_operand(token: Option<Token<'_>>) -> bool {
    matches!(
        token,
        None | Some(
            Token::Word("and" | "or" | "not" | "if" | "else") | Token::Sign("(" | "[" | ",")
        )
    )
}

/// Whether an operand ends in front of this token.
fn begins_operand(token: Option<Token<'_>>) -> bool {
    matches!(
        token,
        None | Some(Token::Word("and" | "or" | "if" | "else") | Token::Sign(")" | "]" | ","))
    )
}

/// The tokens up to a text with an escape, whose end only the engine can tell.
fn tokens(text: &str) -> Vec<(Token<'_>, Range<usize>)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '\'' | '"' => {
                let Some(end) = rest[1..].find(first).map(|end| end + 1) else { return tokens };
                if rest[1..end].contains('\\') {
                    return tokens;
                }
                (Token::Text(&rest[1..end]), end + 1)
            }
            c if c.is_ascii_digit() => {
                let mut exponent = false;
                let end = rest.find(|c: char| {
                    let signed = exponent && matches!(c, '+' | '-');
                    exponent = matches!(c, 'e' | 'E');
                    !(c.is_alphanumeric() || matches!(c, '_' | '.') || signed)
                });
                (Token::Number, end.unwrap_or(rest.len()))
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let end = end.unwrap_or(rest.len());
                (Token::Word(&rest[..end]), end)
            }
            c => {
                let two = ["==", "!=", "<=", ">=", "//", "**"].iter().any(|s| rest.starts_with(s));
                let length = if two { 2 } else { c.len_utf8() };
                (Token::Sign(&rest[..length]), length)
            }
        };
        tokens.push((token, at..at + length));
        at += length;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beside_a_literal_is_a_comparison() {
        for (text, wanted) in [
            ("n > 5", "n 5"),
            ("5 <= n", "n 5"),
            ("n == -1e-5 and kind != 'a'", "n - kind 'a'"),
            ("not (n == 'x' or 'y' == n)", "n 'x' n 'y'"),
            ("n in [1, 'b'] or m not in ('c',)", "n 1 n 'b' m 'c'"),
            ("n | int > 5", ""),
            ("5 < n | int", ""),
            ("n + 1 > 5", ""),
            ("2 * n > 5", ""),
            ("vars.n == 5", ""),
            ("n.m == 5", ""),
            ("a == b", ""),
            ("'x' ~ n == 'xa'", ""),
            ("n == 'it\\'s'", ""),
            // What no engine takes.
            ("== n", ""),
            ("n ==", ""),
            ("> n > 5", ""),
        ] {
            let found: Vec<String> = comparisons(text)
                .iter()
                .map(|found| format!("{} {}", found.name, &text[found.range.clone()]))
                .collect();
            assert_eq!(found.join(" "), wanted, "{text}");
        }
    }
}
