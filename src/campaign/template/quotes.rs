//! Reads a shell text as far as it takes to find values that stand where a quoted word does not mean itself: inside quotes,
//! in a here-document, behind `$` or a backslash, in front of a redirection. On the way it notes what the text names as
//! other tools would, `$x` and `{x}`.
//!
//! What it does not understand it lets pass.

use crate::campaign::template::TemplateError;
use crate::campaign::template::habits::{Habit, habit};
use crate::campaign::template::scan::Piece;
use crate::campaign::template::view::{OPAQUE, VALUE, View};

/// What a shell text holds.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Values that stand in the wrong place.
    pub(super) errors: Vec<TemplateError>,
    /// Names where the shell would expand them.
    pub(super) habits: Vec<Habit>,
}

/// Reads a shell text.
pub(super) fn read(text: &str, pieces: &[Piece]) -> Reading {
    let view = View::new(text, pieces);
    let mut scanner = Scanner {
        text: &view.text,
        view: &view,
        at: 0,
        around: Vec::new(),
        here: Vec::new(),
        reading: Reading::default(),
    };
    scanner.run();
    scanner.reading
}

/// What encloses a place of the text, innermost last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    Single,
    Double,
    /// `$(…)` or `(…)`.
    Parenthesis,
    /// `$((…))` and `((…))`; here `<<` shifts.
    Arithmetic,
    /// `${…}`.
    Brace,
}

/// The end of a here-document that begins at the next newline.
struct Here {
    end: String,
    /// Whether leading tabs go.
    tabs: bool,
    /// Whether the shell leaves the text as it is.
    quoted: bool,
}

struct Scanner<'v> {
    text: &'v str,
    view: &'v View,
    at: usize,
    around: Vec<Around>,
    here: Vec<Here>,
    reading: Reading,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(c) = self.text[self.at..].chars().next() {
            match self.around.last() {
                _ if c == VALUE => {
                    self.check_value();
                    self.at += 1;
                }
                Some(Around::Single) => {
                    if c == '\'' {
                        self.around.pop();
                    }
                    self.at += c.len_utf8();
                }
                Some(Around::Double) => self.step(c, true),
                _ => self.step(c, false),
            }
        }
    }

    fn is_value(&self, at: usize) -> bool {
        self.text[at..].starts_with(VALUE)
    }

    fn step(&mut self, c: char, quoted: bool) {
        let rest = &self.text[self.at..];
        if matches!(c, '$' | '{') {
            self.reading.habits.extend(habit(self.view, self.at));
        }
        match c {
            '\\' => {
                let escaped = self.at + 1;
                if self.is_value(escaped) {
                    self.refuse(
                        escaped,
                        "a backslash stands in front of a value, which is quoted already",
                        "leave the backslash out",
                    );
                }
                let skipped = self.text[escaped..].chars().next().map_or(0, char::len_utf8);
                self.at = escaped + skipped;
            }
            '"' if quoted => self.close(),
            '"' => self.open(Around::Double, 1),
            '\'' if !quoted => self.open(Around::Single, 1),
            '$' if self.is_value(self.at + 1) => {
                self.refuse(
                    self.at + 1,
                    "`$` stands in front of a value, which would make a variable of it",
                    "leave the `$` out; braces alone give the value",
                );
                self.at += 2;
            }
            '$' if rest.starts_with("$((") => self.open(Around::Arithmetic, 3),
            '$' if rest.starts_with("$(") => self.open(Around::Parenthesis, 2),
            '$' if rest.starts_with("${") => self.open(Around::Brace, 2),
            '(' if !quoted && rest.starts_with("((") && self.begins_word() => {
                self.open(Around::Arithmetic, 2);
            }
            '(' if !quoted => {
                let inside = match self.around.last() {
                    Some(Around::Arithmetic) => Around::Arithmetic,
                    _ => Around::Parenthesis,
                };
                self.open(inside, 1);
            }
            ')' if !quoted => match self.around.last() {
                Some(Around::Arithmetic) if rest.starts_with("))") => {
                    self.close();
                    self.at += 1;
                }
                Some(Around::Arithmetic | Around::Parenthesis) => self.close(),
                _ => self.at += 1,
            },
            '}' if self.around.last() == Some(&Around::Brace) => self.close(),
            '#' if !quoted && self.begins_word() => self.comment(),
            '<' if !quoted && rest.starts_with("<<<") => self.at += 3,
            '<' if !quoted
                && rest.starts_with("<<")
                && self.around.last() != Some(&Around::Arithmetic) =>
            {
                self.here_word();
            }
            '\n' if !quoted && !self.here.is_empty() => {
                self.at += 1;
                self.here_documents();
            }
            c => self.at += c.len_utf8(),
        }
    }

    fn open(&mut self, around: Around, length: usize) {
        self.around.push(around);
        self.at += length;
    }

    fn close(&mut self) {
        self.around.pop();
        self.at += 1;
    }

    fn comment(&mut self) {
        self.at = self.text[self.at..].find('\n').map_or(self.text.len(), |n| self.at + n);
    }

    fn begins_word(&self) -> bool {
        let in_braces = self.around.last() == Some(&Around::Brace);
        !in_braces
            && self.text[..self.at]
                .chars()
                .next_back()
                .is_none_or(|c| c.is_whitespace() || c == ';')
    }

    /// Notes the end word of `<<END`, `<<-END`, `<<'END'`.
    fn here_word(&mut self) {
        let mut from = self.at + 2;
        let tabs = self.text[from..].starts_with('-');
        from += usize::from(tabs);
        from += self.text[from..].len() - self.text[from..].trim_start_matches([' ', '\t']).len();
        let word = self.text[from..]
            .split(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '<' | '>' | ')'))
            .next()
            .unwrap_or_default();
        let end = word.replace(['\'', '"', '\\'], "");
        if !end.is_empty() && !end.contains([VALUE, OPAQUE]) {
            let quoted = end.len() < word.len();
            self.here.push(Here { end, tabs, quoted });
        }
        self.at = from + word.len();
    }

    fn here_documents(&mut self) {
        for here in std::mem::take(&mut self.here) {
            while self.at < self.text.len() {
                let start = self.at;
                let next = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n + 1);
                let line = self.text[start..next].trim_end_matches('\n');
                self.at = next;
                if if here.tabs { line.trim_start_matches('\t') } else { line } == here.end {
                    break;
                }
                for (at, _) in line.match_indices(VALUE) {
                    self.refuse(
                        start + at,
                        "a value in a here-document would show its quotes",
                        "write `| safe` for the value as it is, or use `$SP_PARAM_…`",
                    );
                }
                for (at, _) in line.match_indices('$').filter(|_| !here.quoted) {
                    if !line[..at].ends_with('\\') {
                        self.reading.habits.extend(habit(self.view, start + at));
                    }
                }
            }
        }
    }

    /// Refuses the value at the present place where its quotes would not do.
    fn check_value(&mut self) {
        // Inside `"${x:-…}"` the quotes of a value would be text.
        let enclosing = self.around.iter().rev().find(|around| **around != Around::Brace);
        let quotes = match enclosing {
            Some(Around::Single) => Some("'"),
            Some(Around::Double) => Some("\""),
            _ => None,
        };
        if let Some(quotes) = quotes {
            self.refuse(
                self.at,
                &format!("braces stand inside {quotes}…{quotes}, but values are quoted already"),
                "close the quotes before the braces; a value is always one word, whatever it holds",
            );
            return;
        }
        if self.around.contains(&Around::Arithmetic) {
            self.refuse(
                self.at,
                "braces stand inside arithmetic, where the shell would expand a value once more",
                "compute in the template, as in `{{ n + 1 }}`, or use `$SP_PARAM_…`",
            );
            return;
        }
        let behind = &self.text[self.at + 1..];
        let before = self.text[..self.at].chars().next_back();
        let makes_a_word =
            |c: char| c.is_alphabetic() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=');
        if behind.starts_with(['<', '>']) && !before.is_some_and(makes_a_word) {
            self.refuse(
                self.at,
                "a number in front of `<` or `>` would be read as a file descriptor",
                "put a blank behind the braces",
            );
        }
    }

    /// Notes what is wrong with the value at a place of the view.
    fn refuse(&mut self, at: usize, message: &str, help: &str) {
        let error = TemplateError::new(message).help(help);
        self.reading.errors.push(match self.view.part(at) {
            Some((_, source)) => error.at(source.clone()),
            None => error,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::template::scan::scan;

    fn check(text: &str) -> Vec<TemplateError> {
        read(text, &scan(text)).errors
    }

    #[test]
    fn braces_inside_quotes_are_refused() {
        for bad in [
            r#"echo "{{ x }}""#,
            "echo 'a {{ x }}'",
            "echo \"a $(b) {{ x }}\"",
            "echo \"$(echo \"{{ x }}\")\"",
            "echo ${{ x }}",
            r"echo \{{ x }}",
            "echo {{ x }}>out",
            "cat <<EOF\n{{ x }}\nEOF\n",
            "cat <<-'E'\n\ta\n\t{{ x }}\n\tE\n",
            "echo $'{{ x }}'",
            "a='b'\"{{ x }}\"",
            "echo $(( {{ x }} + 1 ))",
            "(( {{ x }} > 1 ))",
            "echo \"${a:-{{ x }}}\"",
            "echo {{ x }}{{ y }}>out",
        ] {
            assert_eq!(check(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn everything_else_passes() {
        for good in [
            "echo {{ x }} 'a' {{ y }}",
            "echo \"{{ x | safe }}\"",
            "echo \"$(cmd {{ x }})\"",
            "# don't worry\necho {{ x }}",
            "echo ${#a[@]} {{ x }}",
            "echo $((1 << 2)) {{ x }}",
            "echo $(( (1 + 2) << 3 ))\n{{ x }}",
            "cat <<EOF\nit's\nEOF\necho {{ x }}",
            "cat <<< {{ x }}",
            "cat <<EOF\n{{ x | safe }}\nEOF",
            r#"echo \" {{ x }}"#,
            "out{{ x }}>log",
            "echo {{ x }} > log",
            "echo a#'b' {{ x }}",
            "{{# don't #}} {{ x }}",
            "{% if x == 'a' %}{{ x }}{% endif %}",
            "case x in a) echo 'b';; esac; echo {{ x }}",
            "awk '{ print $1 }' {{ x }}",
            "echo ${a:-{{ x }}}",
            "( (a); echo {{ x }} )",
            "(( 1 < 2 )) && echo {{ x }}",
            "FOO={{ x }}>out",
            "awk '{{ '{{' }}print}}' {{ x }}",
            "echo \"{{ \"}}\" }}\" {{ x }}",
            "echo '{% raw %}{{ not a value }}{% endraw %}' {{ x }}",
            "cat <<EOF\n{{ '{{' }}\nEOF",
            "echo {{ '\"' }}a b{{ '\"' }} {{ x }}",
        ] {
            assert_eq!(check(good), [], "{good}");
        }
    }

    #[test]
    fn each_value_in_a_wrong_place_is_told_where_it_stands() {
        let text = "a \"{{ x }}\" '{{ y }}' {{ '\\'' }}{{ z }}{% raw %}'{% endraw %} {{ fine }}";
        let found: Vec<&str> =
            check(text).iter().map(|error| &text[error.range.clone().unwrap()]).collect();
        assert_eq!(found, ["{{ x }}", "{{ y }}", "{{ z }}"]);
    }

    #[test]
    fn names_that_only_the_shell_would_read_are_found() {
        let habits = |text: &str| -> Vec<String> {
            let found = read(text, &scan(text)).habits;
            found.iter().map(|habit| text[habit.range.clone()].to_owned()).collect()
        };
        for (text, wanted) in [
            ("run --lr $lr {lr} ${lr}x {{ lr }}", &["$lr", "{lr}", "${lr}"][..]),
            ("echo \"$lr {lr}\" '$lr {lr}' \\$lr # $lr", &["$lr", "{lr}"]),
            ("awk '{print $n}' ${n:-1} $1 $? {a,b} { lr; }", &["${n"]),
            ("cat <<E\n$lr {lr}\nE\ncat <<'E'\n$lr\nE\n", &["$lr"]),
            ("{% raw %}$lr{% endraw %}{{ x }}$lr", &["$lr", "$lr"]),
        ] {
            assert_eq!(habits(text), wanted, "{text}");
        }
    }
}
