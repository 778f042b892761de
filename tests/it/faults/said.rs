//! What the jobs of a trial say of themselves, each in a file of its own: the truth that all else is compared with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::trial::Trial;

/// A line of a job's own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Start(i32),
    End(i64),
    Dies(String),
    /// It goes on until the kernel ends it for its memory.
    Eats,
    Overlap,
    Crowd,
}

/// What the jobs said, by id, in the order of writing, each with its attempt.
pub(super) type Said = BTreeMap<String, Vec<(u32, Word)>>;

pub(super) fn said(trial: &Trial) -> Said {
    said_in(&trial.sandbox.path().join("said"))
}

/// The same of the jobs that write to another folder.
pub(super) fn said_in(folder: &Path) -> Said {
    let mut said = Said::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("text");
        if name.len() != 32 {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("what a job said");
        // The last line may be half written only by a job that was killed at it.
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        said.insert(name, lines.map(word).collect());
    }
    said
}

fn word(line: &str) -> (u32, Word) {
    let fields: Vec<&str> = line.split(' ').collect();
    let [kind, attempt, value] = fields[..] else { panic!("a job said {line:?}") };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("a job said {line:?}"));
    let word = match kind {
        "start" => Word::Start(i32::try_from(number(value)).expect("a pid")),
        "end" => Word::End(number(value)),
        "dies" if value == "memory" => Word::Eats,
        "dies" => Word::Dies(format!("SIG{value}")),
        "overlap" => Word::Overlap,
        "crowd" => Word::Crowd,
        _ => panic!("a job said {line:?}"),
    };
    (u32::try_from(number(attempt)).expect("an attempt"), word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_says_is_read() {
        assert_eq!(word("start 2 77"), (2, Word::Start(77)));
        assert_eq!(word("end 1 255"), (1, Word::End(255)));
        assert_eq!(word("dies 1 TERM"), (1, Word::Dies("SIGTERM".to_owned())));
        assert_eq!(word("dies 2 memory"), (2, Word::Eats));
    }
}
