//! Finds variables that a shell function sets without having declared them `local`: a caller may have one of that name.
//!
//! Reads as much of the shell's grammar as `scripts/host` uses. A text for another shell or for awk stands in quotes and is
//! passed over.

use std::collections::BTreeSet;

/// Lists the lower-case variables that a function of the script sets and has not declared, as `FUNCTION: NAME`.
pub(crate) fn not_declared(script: &str) -> Vec<String> {
    let mut reader = Reader { text: script.chars().collect(), ..Reader::default() };
    reader.read();
    assert!(reader.functions.is_empty(), "no end was found of {:?}", reader.functions);
    reader.wrong
}

/// What a closing bracket, quote or word ends.
#[derive(Debug, PartialEq)]
enum Open {
    Brace,
    Parenthesis,
    /// The command substitution stands within double quotes, which go on behind it.
    Quoted,
    Case,
}

#[derive(Debug)]
struct Function {
    name: String,
    /// So many things were open before its body.
    depth: usize,
    declared: BTreeSet<String>,
    set: BTreeSet<String>,
}

/// What the next word is.
#[derive(Clone, Copy, Default, PartialEq)]
enum Place {
    /// A command, or an assignment before it.
    #[default]
    Command,
    Argument,
    /// The variable of `for`.
    Loop,
    /// A variable of `read`.
    Read,
    /// A variable of `local`.
    Local,
    /// A pattern of `case`.
    Pattern,
}

#[derive(Default)]
struct Reader {
    text: Vec<char>,
    at: usize,
    word: String,
    place: Place,
    /// The word is the file of a redirection.
    redirection: bool,
    open: Vec<Open>,
    functions: Vec<Function>,
    /// The name of a function whose body comes next.
    named: Option<String>,
    wrong: Vec<String>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\n')
    }

    fn read(&mut self) {
        while self.at < self.text.len() {
            let c = self.peek(0);
            self.at += 1;
            match c {
                '\\' => {
                    if self.peek(0) != '\n' {
                        self.word.push('q');
                    }
                    self.at += 1;
                }
                '\'' => {
                    self.word.push('q');
                    while self.peek(0) != '\'' {
                        self.at += 1;
                    }
                    self.at += 1;
                }
                '"' => self.quoted(),
                '$' => self.expansion(false),
                '#' if self.word.is_empty() => {
                    while self.peek(0) != '\n' {
                        self.at += 1;
                    }
                }
                ' ' | '\t' => self.end_word(),
                '<' | '>' => {
                    if self.word.chars().all(|c| c.is_ascii_digit()) {
                        self.word.clear();
                    }
                    self.end_word();
                    while matches!(self.peek(0), '<' | '>' | '&' | '-') {
                        self.at += 1;
                    }
                    self.redirection = self.text[self.at - 1] != '-';
                }
                '(' if !self.word.is_empty() => {
                    assert_eq!(self.peek(0), ')', "a function after {}", self.word);
                    self.at += 1;
                    self.named = Some(std::mem::take(&mut self.word));
                }
                '(' => self.begin(Open::Parenthesis),
                ')' => self.close_parenthesis(),
                ';' if self.peek(0) == ';' => {
                    self.at += 1;
                    self.end_command();
                    self.place = Place::Pattern;
                }
                '\n' | ';' | '&' | '|' => self.end_command(),
                c => self.word.push(c),
            }
        }
        self.end_command();
    }

    /// Reads on within double quotes, to their end or to a command substitution.
    fn quoted(&mut self) {
        self.word.push('q');
        loop {
            let c = self.peek(0);
            self.at += 1;
            match c {
                '"' => return,
                '\\' => self.at += 1,
                '$' => {
                    let depth = self.open.len();
                    self.expansion(true);
                    if self.open.len() > depth {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// Passes over a parameter or a calculation; the commands of a substitution are read like all others.
    fn expansion(&mut self, quoted: bool) {
        self.word.push('q');
        match (self.peek(0), self.peek(1)) {
            ('(', '(') => self.pass_over('(', ')'),
            ('{', _) => self.pass_over('{', '}'),
            ('(', _) => {
                self.at += 1;
                // The word that it is a part of is over for our purposes, an assignment too.
                self.end_word();
                self.begin(if quoted { Open::Quoted } else { Open::Parenthesis });
            }
            _ => {}
        }
    }

    fn pass_over(&mut self, opening: char, closing: char) {
        let mut depth = 0;
        loop {
            match self.peek(0) {
                '\\' => self.at += 1,
                c if c == opening => depth += 1,
                c if c == closing => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn begin(&mut self, what: Open) {
        if let Some(name) = self.named.take() {
            let (declared, set) = (BTreeSet::new(), BTreeSet::new());
            self.functions.push(Function { name, depth: self.open.len(), declared, set });
        }
        self.open.push(what);
        self.place = Place::Command;
    }

    fn end(&mut self, what: &Open) {
        assert_eq!(self.open.pop().as_ref(), Some(what), "in {:?}", self.functions.last());
        if self.functions.last().is_some_and(|function| function.depth == self.open.len()) {
            let function = self.functions.pop().expect("it was looked at");
            let missing = function.set.difference(&function.declared);
            self.wrong.extend(missing.map(|name| format!("{}: {name}", function.name)));
        }
    }

    fn close_parenthesis(&mut self) {
        self.end_word();
        if self.place == Place::Pattern {
            self.place = Place::Command;
            return;
        }
        self.end_command();
        let quoted = self.open.last() == Some(&Open::Quoted);
        self.end(if quoted { &Open::Quoted } else { &Open::Parenthesis });
        self.place = Place::Argument;
        if quoted {
            self.quoted();
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.redirection = false;
        if self.place != Place::Pattern {
            self.place = Place::Command;
        }
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() || std::mem::take(&mut self.redirection) {
            return;
        }
        match self.place {
            Place::Command => self.command(&word),
            Place::Argument if word == "in" && self.open.last() == Some(&Open::Case) => {
                self.place = Place::Pattern;
            }
            Place::Pattern if word == "esac" => self.command(&word),
            Place::Argument | Place::Pattern => {}
            Place::Loop => {
                self.set(&word);
                self.place = Place::Argument;
            }
            Place::Read => self.set(&word),
            Place::Local => {
                let name = word.split('=').next().unwrap_or_default();
                if let Some(function) = self.functions.last_mut() {
                    function.declared.insert(name.to_owned());
                }
            }
        }
    }

    fn command(&mut self, word: &str) {
        match word {
            "if" | "then" | "elif" | "else" | "while" | "until" | "do" | "!" => {}
            "{" => self.begin(Open::Brace),
            "}" => {
                self.end(&Open::Brace);
                self.place = Place::Argument;
            }
            "case" => {
                self.open.push(Open::Case);
                self.place = Place::Argument;
            }
            "esac" => {
                self.end(&Open::Case);
                self.place = Place::Argument;
            }
            "for" => self.place = Place::Loop,
            "read" => self.place = Place::Read,
            "local" => self.place = Place::Local,
            _ => match word.split_once('=') {
                Some((name, _)) => self.set(name),
                None => self.place = Place::Argument,
            },
        }
    }

    /// Notes that the function sets a variable, where the word is the name of one that has to be its own.
    fn set(&mut self, name: &str) {
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if let (true, Some(function)) = (is_name && name != "_", self.functions.last_mut()) {
            function.set.insert(name.to_owned());
        }
    }
}

#[test]
fn what_is_not_declared_is_found() {
    for (body, found) in [
        ("count=1", "f: count"),
        ("  _a=1 B=2 _c=$3 true", "f: _a f: _c"),
        ("for item in a b; do :; done", "f: item"),
        ("for item; do :; done", "f: item"),
        ("IFS= read -r one _ two <file", "f: one f: two"),
        ("while read -r line; do :; done", "f: line"),
        ("[ -e x ] && a=1 || b=2", "f: a f: b"),
        ("case $1 in x | y=*) a=1 ;; *) { b=2; } ;; esac", "f: a f: b"),
        ("if ! a=$(b=1); then c=3; fi", "f: a f: b f: c"),
        ("D=\"$(read -r x; case x in x) y=1 ;; esac) z=1\"; w=1", "f: w f: x f: y"),
        ("(a=1)", "f: a"),
        ("2>/dev/null a=1", "f: a"),
        ("g() { b=1; }; a=1", "g: b f: a"),
    ] {
        assert_eq!(not_declared(&format!("f() {{\n{body}\n}}\n")).join(" "), found, "{body}");
    }
}

#[test]
fn what_is_declared_or_no_variable_is_not_found() {
    for body in [
        "local a b=1 c\na=1 c=2\nfor b; do read -r a; done",
        "COUNT=1 SPEC_1=2",
        "awk -v slot=1 'a = 1; b=2' c=3",
        "printf 'a=%s\\n' \"b=$1\" # d=1",
        "X=${1%a=*} Y=$((1 + 2)) Z=${#1}",
        "command exec 6>&- 8>&- 3<\"$1\" >a=b",
        "read -r _ X _ <file",
        "case $1 in a=*) ;; 'b='*) ;; esac",
    ] {
        assert_eq!(not_declared(&format!("f() {{ # a=1\n{body}\n}}\n")), [""; 0], "{body}");
    }
    assert_eq!(not_declared("top=1\nf() ( # NAME\n  local x\n  x=1\n)\ntop=2\n"), [""; 0]);
}
