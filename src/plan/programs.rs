//! Programs of the campaign's own that its command names and whose content is no part of its jobs.
//!
//! Reads words, not the shell's language: a word with a value, a variable or a quote in it is not looked at.

use std::collections::BTreeSet;

use crate::campaign::template::Template;
use crate::campaign::{Campaign, CodeChange, Command, glob};
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
/// Words in front of a file that is written.
const OUTPUTS: [&str; 6] = ["tee", "-a", "-o", "--out", "--output", "-O"];
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

/// Returns the words of the campaign's texts that name files which jobs read, as far as they are files: all but those that
/// stand behind a redirection, `tee` or an option for the output anywhere.
pub fn named_files(campaign: &Campaign) -> BTreeSet<String> {
    let argv = |words: &[Template]| words.iter().map(|word| word.text().to_owned()).collect();
    let mut texts: Vec<Vec<String>> = vec![match &campaign.command {
        Command::Shell(text) => shell_words(text.text()),
        Command::Argv(words) => argv(words),
    }];
    let others = [&campaign.prepare, &campaign.cleanup].into_iter().flatten();
    texts.extend(others.map(|text| shell_words(text.text())));
    texts.extend(campaign.setup.iter().map(|text| shell_words(text)));
    let (mut named, mut written) = (BTreeSet::new(), BTreeSet::new());
    for words in texts {
        let mut is_output = false;
        for word in words {
            let takes_output = word.ends_with('>') || OUTPUTS.contains(&word.as_str());
            let behind = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '>');
            if is_output || (word.contains('>') && !takes_output) {
                written.insert(plain(behind).to_owned());
            } else if !takes_output && !word.starts_with('-') && !word.contains(SPECIAL) {
                named.insert(plain(&word).to_owned());
            }
            is_output = takes_output;
        }
    }
    &named - &written
}

fn shell_words(text: &str) -> Vec<String> {
    let text = without_values(&text.replace("\\\n", " "));
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')'));
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_matches(['"', '\'']).to_owned())
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
    fn files_that_are_read_are_told_from_those_that_are_written() {
        for (text, wanted) in [
            ("python3 train.py --data 'd/x.csv' > out.txt", "d/x.csv python3 train.py"),
            ("./a.sh <in {{ x }}/b >>log 2>err | tee -a all; cat ./c", "a.sh c cat"),
            ("cc -o prog main.c && ./prog -O table", "cc main.c"),
            ("./a > out; cp out kept 2>&1", "a cp kept"),
        ] {
            let text = format!("name = 'c'\ncommand = \"\"\"{text}\"\"\"\n[matrix]\nx = [1]\n");
            let (campaign, _) = Campaign::parse("c.toml", &text).expect("a campaign");
            let named: Vec<String> = named_files(&campaign).into_iter().collect();
            assert_eq!(named.join(" "), wanted, "{text}");
        }
    }

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
