//! Names in a text as other tools spell them, `$x` and `{x}`, which are no part of a template.

use std::ops::Range;

use crate::campaign::template::scan::Piece;
use crate::campaign::template::view::View;

/// A name in a text that is no part of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::campaign) struct Habit {
    pub(in crate::campaign) name: String,
    /// Bytes of the template's text.
    pub(in crate::campaign) range: Range<usize>,
    pub(in crate::campaign) spelling: Spelling,
}

/// How a name stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::campaign) enum Spelling {
    /// `$x` or `${x}`.
    Dollar,
    /// `{x}`.
    Braces,
}

/// The names in a text that no shell reads.
pub(super) fn plain_habits(text: &str, pieces: &[Piece]) -> Vec<Habit> {
    let view = View::new(text, pieces);
    let mut habits = Vec::new();
    for (at, _) in view.text.match_indices(['$', '{']) {
        habits.extend(habit(&view, at));
    }
    habits
}

/// Whether a shell text gives a variable a value itself: `x=…`, `for x in`, `read x` and the like. In doubt it does.
pub(in crate::campaign) fn sets_variable(text: &str, name: &str) -> bool {
    /// Words that name variables to set behind them.
    const SETTERS: [&str; 14] = [
        "for",
        "select",
        "read",
        "mapfile",
        "readarray",
        "getopts",
        "printf",
        "local",
        "declare",
        "typeset",
        "export",
        "readonly",
        "let",
        "unset",
    ];
    /// Words that another command or assignment follows.
    const BEFORE: [&str; 10] =
        ["do", "then", "else", "elif", "if", "while", "until", "!", "time", "env"];
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        if before.ends_with(word)
            || after.starts_with(word)
            || before.ends_with(['$', '-', '.', '/'])
        {
            return false;
        }
        // `${x:=…}` and `${x=…}`; other uses in braces set nothing.
        if before.ends_with("${") {
            return after.starts_with(":=") || after.starts_with('=');
        }
        let command =
            before.rsplit(['\n', ';', '|', '&', '(', '`', '{']).next().unwrap_or_default();
        let mut words = command.split_whitespace().peekable();
        if words.peek().is_some_and(|first| SETTERS.contains(first))
            || command.split_whitespace().any(|word| SETTERS[2..].contains(&word))
        {
            return true;
        }
        let rest = after.trim_start();
        let assigns = after.starts_with(['=', '[']) || after.starts_with("+=");
        let in_arithmetic = before.rfind("((") > before.rfind("))");
        let computes = (rest.starts_with('=') && !rest.starts_with("=="))
            || ["++", "--", "+=", "-=", "*=", "/=", "%="].iter().any(|sign| rest.starts_with(sign));
        let only_assignments =
            command.split_whitespace().all(|word| word.contains('=') || BEFORE.contains(&word));
        assigns && only_assignments || in_arithmetic && computes
    })
}

/// The name at a `$` or `{` of the view.
pub(super) fn habit(view: &View, at: usize) -> Option<Habit> {
    let rest = &view.text[at..];
    let (inner, spelling) = if let Some(inner) = rest.strip_prefix("${") {
        (inner, Spelling::Dollar)
    } else if let Some(inner) = rest.strip_prefix('$') {
        (inner, Spelling::Dollar)
    } else {
        let inner = rest.strip_prefix('{').filter(|_| !view.text[..at].ends_with('$'))?;
        (inner, Spelling::Braces)
    };
    let length =
        inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let name = &inner[..length];
    let closed = inner[length..].starts_with('}');
    let is_name = name.starts_with(|c: char| !c.is_ascii_digit());
    if !is_name || spelling == Spelling::Braces && !closed {
        return None;
    }
    let opening = rest.len() - inner.len();
    let closing = usize::from(closed && rest[..opening].ends_with('{'));
    let range = view.source(at)?..view.source(at + opening + length + closing - 1)? + 1;
    Some(Habit { name: name.to_owned(), range, spelling })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_the_text_sets_is_its_own() {
        for text in [
            "n=1; echo $n",
            "a=2 n=1\necho $n",
            "for n in 1 2; do echo $n; done",
            "while read -r n; do echo $n; done",
            "export n=3",
            "local a n",
            "if true; then n=1; fi",
            "printf -v n %d 1",
            "((n = 1)); echo $n",
            "echo ${n:=4} $n",
            "x | while read n m; do :; done",
            "n[0]=1",
        ] {
            assert!(sets_variable(text, "n"), "{text}");
        }
        for text in
            ["run $n", "run --n $n", "run n=$n", "run -n ${n:-1}", "run main=1 $n", "((n == 1))"]
        {
            assert!(!sets_variable(text, "n"), "{text}");
        }
    }
}
