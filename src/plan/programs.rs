//! Programs of the campaign's own that its command names and whose content is no part of its jobs.
//!
//! Reads words, not the shell's language: a word with a value, a variable or a quote in it is not looked at.

use std::collections::BTreeSet;

use crate::campaign::template::Template;
use crate::campaign::{CodeChange, Command, glob};
use crate::plan::{Expansion, Files};

/// Programs that run the file that they are given.
const INTERPRETERS: [&str; 17] = [
    "python", "python2", "python3", "pypy3", "bash", "sh", "dash", "zsh", "ksh", "perl", "ruby",
    "node", "Rscript", "julia", "lua", "source", ".",
];
/// Interpreters whose program stands behind `-f`.
const AWKS: [&str; 3] = ["awk", "gawk", "mawk"];
/// Words in front of the program that a command runs.
const BEFORE: [&str; 16] = [
    "exec", "time", "nice", "nohup", "env", "command", "do", "then", "else", "if", "elif", "while",
    "until", "!", "uv", "run",
];
/// What makes more of a word than its letters.
const SPECIAL: [char; 16] =
    ['$', '{', '}', '\'', '"', '*', '?', '[', ']', '`', '\\', '<', '>', '~', '=', '#'];

/// Returns the files that the command runs and that `inputs` does not name, in the order of the command. None where a
/// change of the code runs jobs again anyway.
pub fn programs_without_inputs(expansion: &Expansion, files: &dyn Files) -> Vec<String> {
    let campaign = expansion.campaign();
    if campaign.code_change == CodeChange::Rerun {
        return Vec::new();
    }
    let named: Vec<String> = match &campaign.command {
        Command::Shell(text) => shell_programs(text.text()),
        Command::Argv(words) => {
            let words: Vec<&str> = words.iter().map(Template::text).collect();
            program(&words).into_iter().collect()
        }
    };
    let mut seen = BTreeSet::new();
    let watched: BTreeSet<&str> = expansion.inputs.paths().map(plain).collect();
    named
        .iter()
        .map(|path| plain(path))
        .filter(|path| !watched.contains(path) && glob::check(path).is_ok() && seen.insert(*path))
        .filter(|path| files.glob(path).is_ok_and(|found| !found.is_empty()))
        .map(str::to_owned)
        .collect()
}

/// The path without `./` in front.
fn plain(path: &str) -> &str {
    path.trim_start_matches("./")
}

fn shell_programs(text: &str) -> Vec<String> {
    let text = without_values(&text.replace("\\\n", " "));
    let commands = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    commands
        .flat_map(|line| line.split([';', '|', '&', '(', ')']))
        .filter_map(|command| program(&command.split_whitespace().collect::<Vec<_>>()))
        .collect()
}

/// The text with `{}` for each value, which may hold blanks between its braces.
fn without_values(text: &str) -> String {
    let mut parts = text.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("{}");
        out.push_str(part.split_once("}}").map_or("", |(_, behind)| behind));
    }
    out
}

/// The file that one command runs, be it by an interpreter.
fn program(words: &[&str]) -> Option<String> {
    let is_assignment =
        |word: &str| word.split_once('=').is_some_and(|(name, _)| !name.contains(['/', '-']));
    let mut words =
        words.iter().copied().skip_while(|word| BEFORE.contains(word) || is_assignment(word));
    let first = words.next()?;
    let file = if INTERPRETERS.contains(&first) {
        let option = |word: &&str| word.starts_with('-') && !matches!(*word, "-c" | "-m" | "-e");
        words.find(|word| !option(word))?
    } else if AWKS.contains(&first) {
        words.by_ref().find(|word| *word == "-f")?;
        words.next()?
    } else if first.contains('/') {
        first
    } else {
        return None;
    };
    (!file.starts_with('-') && !file.contains(SPECIAL)).then(|| file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_each_command_is_found() {
        for (text, wanted) in [
            ("./bench.sh {{ n }}", "./bench.sh"),
            ("python3 -u train.py --lr {{ lr }} --data data.csv", "train.py"),
            ("python -m train", ""),
            ("bash -c 'a b'", ""),
            ("A=1 B={{ n }} exec ./run | tee log", "./run"),
            ("cd x && ./a; ./b &\n# ./c\n(./d \\\n--x)", "./a ./b ./d"),
            ("awk -v n={{ n }} -f sort.awk > out", "sort.awk"),
            ("./run-{{ solver }} x", ""),
            ("for i in 1 2; do ./a; done", "./a"),
            ("make test", ""),
            ("uv run python x.py", "x.py"),
            ("/bin/true; \"./q\"", "/bin/true"),
        ] {
            assert_eq!(shell_programs(text).join(" "), wanted, "{text}");
        }
    }
}
