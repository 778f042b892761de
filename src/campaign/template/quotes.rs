//! Finds braces in shell text that stand where a quoted word does not mean itself: inside quotes, in a here-document,
//! behind `$` or a backslash, in front of a redirection.
//!
//! Reads the shell's words only as far as that takes; what it does not understand it lets pass.

use std::ops::Range;

use crate::campaign::template::TemplateError;

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

/// Refuses `"{{ x }}"` and its kin: a value comes as one quoted word.
pub(super) fn check(text: &str) -> Result<(), TemplateError> {
    Scanner { text, at: 0, around: Vec::new(), here: Vec::new() }.run()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    around: Vec<Around>,
    /// Ends of here-documents that begin at the next newline, with whether leading tabs go.
    here: Vec<(String, bool)>,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<(), TemplateError> {
        while let Some(c) = self.text[self.at..].chars().next() {
            if let Some(range) = self.braces(self.at) {
                self.check_braces(&range)?;
                self.at = range.end;
                continue;
            }
            if self.text[self.at..].starts_with("{%") {
                self.at = self.find("%}", self.at);
                continue;
            }
            match self.around.last() {
                Some(Around::Single) => {
                    if c == '\'' {
                        self.around.pop();
                    }
                    self.at += c.len_utf8();
                }
                Some(Around::Double) => self.step(c, true)?,
                _ => self.step(c, false)?,
            }
        }
        Ok(())
    }

    /// The bytes of `{{ … }}` from `at`; a comment has the same ends.
    fn braces(&self, at: usize) -> Option<Range<usize>> {
        self.text[at..].starts_with("{{").then(|| at..self.find("}}", at))
    }

    /// The byte behind the next `end`, or the end of the text.
    fn find(&self, end: &str, from: usize) -> usize {
        self.text[from..].find(end).map_or(self.text.len(), |at| from + at + end.len())
    }

    fn step(&mut self, c: char, quoted: bool) -> Result<(), TemplateError> {
        let rest = &self.text[self.at..];
        let open = |scanner: &mut Self, around, length| {
            scanner.around.push(around);
            scanner.at += length;
        };
        match c {
            '\\' => {
                let escaped = self.at + 1;
                if let Some(range) = self.braces(escaped) {
                    return Err(self.refuse(
                        &range,
                        "a backslash stands in front of a value, which is quoted already",
                        "leave the backslash out",
                    ));
                }
                let skipped = self.text[escaped..].chars().next().map_or(0, char::len_utf8);
                self.at = escaped + skipped;
            }
            '"' if quoted => self.close(),
            '"' => open(self, Around::Double, 1),
            '\'' if !quoted => open(self, Around::Single, 1),
            '$' if self.braces(self.at + 1).is_some() => {
                let range = self.braces(self.at + 1).unwrap_or_default();
                return Err(self.refuse(
                    &range,
                    "`$` stands in front of a value, which would make a variable of it",
                    "leave the `$` out; braces alone give the value",
                ));
            }
            '$' if rest.starts_with("$((") => open(self, Around::Arithmetic, 3),
            '$' if rest.starts_with("$(") => open(self, Around::Parenthesis, 2),
            '$' if rest.starts_with("${") => open(self, Around::Brace, 2),
            '(' if !quoted && rest.starts_with("((") && self.begins_word() => {
                open(self, Around::Arithmetic, 2);
            }
            '(' if !quoted => {
                let inside = match self.around.last() {
                    Some(Around::Arithmetic) => Around::Arithmetic,
                    _ => Around::Parenthesis,
                };
                open(self, inside, 1);
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
            '#' if !quoted && self.begins_word() => {
                self.at = self.text[self.at..].find('\n').map_or(self.text.len(), |n| self.at + n);
            }
            '<' if !quoted && rest.starts_with("<<<") => self.at += 3,
            '<' if !quoted
                && rest.starts_with("<<")
                && self.around.last() != Some(&Around::Arithmetic) =>
            {
                self.here_word();
            }
            '\n' if !quoted && !self.here.is_empty() => {
                self.at += 1;
                self.here_documents()?;
            }
            c => self.at += c.len_utf8(),
        }
        Ok(())
    }

    fn close(&mut self) {
        self.around.pop();
        self.at += 1;
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
        if !end.is_empty() && !end.contains("{{") {
            self.here.push((end, tabs));
        }
        self.at = from + word.len();
    }

    fn here_documents(&mut self) -> Result<(), TemplateError> {
        for (end, tabs) in std::mem::take(&mut self.here) {
            while self.at < self.text.len() {
                let next = self.find("\n", self.at);
                let line = self.text[self.at..next].trim_end_matches('\n');
                let line_at = self.at;
                self.at = next;
                if if tabs { line.trim_start_matches('\t') } else { line } == end {
                    break;
                }
                let mut from = 0;
                while let Some(open) = line[from..].find("{{").map(|at| from + at) {
                    let range = line_at + open..self.find("}}", line_at + open);
                    if !self.is_safe(&range) {
                        return Err(self.refuse(
                            &range,
                            "a value in a here-document would show its quotes",
                            "write `| safe` for the value as it is, or use `$SP_PARAM_…`",
                        ));
                    }
                    from = open + 2;
                }
            }
        }
        Ok(())
    }

    fn check_braces(&self, range: &Range<usize>) -> Result<(), TemplateError> {
        if self.is_safe(range) {
            return Ok(());
        }
        // Inside `"${x:-…}"` the quotes of a value would be text.
        let enclosing = self.around.iter().rev().find(|around| **around != Around::Brace);
        let quotes = match enclosing {
            Some(Around::Single) => Some("'"),
            Some(Around::Double) => Some("\""),
            _ => None,
        };
        if let Some(quotes) = quotes {
            return Err(self.refuse(
                range,
                &format!("braces stand inside {quotes}…{quotes}, but values are quoted already"),
                "close the quotes before the braces; a value is always one word, whatever it holds",
            ));
        }
        if self.around.contains(&Around::Arithmetic) {
            return Err(self.refuse(
                range,
                "braces stand inside arithmetic, where the shell would expand a value once more",
                "compute in the template, as in `{{ n + 1 }}`, or use `$SP_PARAM_…`",
            ));
        }
        let behind = &self.text[range.end..];
        let before = self.text[..range.start].chars().next_back();
        let makes_a_word =
            |c: char| c.is_alphabetic() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=');
        if behind.starts_with(['<', '>']) && !before.is_some_and(makes_a_word) {
            return Err(self.refuse(
                range,
                "a number in front of `<` or `>` would be read as a file descriptor",
                "put a blank behind the braces",
            ));
        }
        Ok(())
    }

    /// `{{ x | safe }}`, and comments.
    fn is_safe(&self, range: &Range<usize>) -> bool {
        let inside = self.text[range.clone()].trim_start_matches("{{").trim_end_matches("}}");
        let last = inside.trim_end_matches('-').rsplit('|').next().unwrap_or_default();
        inside.starts_with('#') || inside.contains('|') && last.trim() == "safe"
    }

    fn refuse(&self, range: &Range<usize>, message: &str, help: &str) -> TemplateError {
        TemplateError::new(message).at(range.start..range.end.min(self.text.len())).help(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(check(bad).is_err(), "{bad}");
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
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }
}
