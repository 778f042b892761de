//! Answers of the host script: the frame around them, and the lines that are no facts of a job.
//!
//! A host's answer is not trusted: bytes are bounded by the caller, words are checked here, facts by `lifecycle::record`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::HostError;
use super::client::OtherInstance;
use super::facts::RootFacts;
use crate::ids::ApplyId;
use crate::lifecycle::fields::{Fields, Kind, size};
use crate::lifecycle::{HostFact, JournalPosition, LineError, parse_lines};
use crate::plan::HostList;

/// Bytes of all lists of hosts; the host script keeps no more.
const LISTS_MAX: usize = 1 << 18;
/// Clients of other instances that are told of at most.
const OTHERS_MAX: usize = 256;

/// Bytes of a variable's value: no program is started with a longer one (`MAX_ARG_STRLEN`, execve(2)).
const VALUE_MAX: usize = 1 << 17;

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// Identity of its root.
    pub root_id: String,
    /// Identity of the machine.
    pub machine_id: String,
    /// Its clock at the moment of the answer.
    pub clock: Option<Timestamp>,
    /// Version of tmux as it prints it; `None` without tmux.
    pub tmux: Option<String>,
    /// Programs that were asked for and are not there.
    pub missing: Vec<String>,
}

/// A whole answer to `probe`.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The host itself.
    pub host: HostFacts,
    /// Whether the host knows the instance.
    pub knows_instance: bool,
    /// Other instances of the campaign's name that it has.
    pub others: Vec<OtherInstance>,
    /// Attempts: the journal's lines first, then what is open, then what is queued.
    pub facts: Vec<HostFact>,
    /// Applies of which a hand-over left the queue before all of it was claimed.
    pub left: BTreeSet<ApplyId>,
    /// The lists of hosts that jobs of the campaign were dealt by.
    pub dealt_by: Vec<HostList>,
    /// How far the journal has been read; `None` without a campaign.
    pub journal: Option<JournalPosition>,
    /// Whether the answer holds the journal from its beginning: then nothing that ever ended here is left out.
    pub whole_journal: bool,
    /// Lines that were refused, to be told as warnings.
    pub refused: Vec<LineError>,
}

/// The account's environment, as its login shell makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Variables by name.
    pub variables: Vec<(String, String)>,
    /// Its locale, time zone and folder for temporary files, as far as it sets them.
    pub locale: Vec<(String, String)>,
    /// The file mode mask of what asked, where that is told.
    pub umask: Option<u32>,
    /// The file mode mask that its login shell sets.
    pub login_umask: Option<u32>,
    /// Programs that were asked for and are not on its `PATH`.
    pub missing: Vec<String>,
    /// Where its root lies.
    pub root: RootFacts,
}

const HOST: Kind = Kind { word: "host", fields: &["root", "machine", "t", "tmux", "missing"] };
const JOURNAL: Kind = Kind { word: "journal", fields: &["gen", "from", "bytes"] };
/// The kinds of lines in the answer to a probe that are no facts; those without fields are one value.
pub const PROBE_KINDS: &[Kind] = &[
    HOST,
    JOURNAL,
    Kind { word: "instance", fields: &[] },
    Kind { word: "other", fields: &[] },
    Kind { word: "left", fields: &[] },
    Kind { word: "hosts", fields: &[] },
];

/// Reads the fields of a line that ends with the mark of a whole one.
pub(super) fn fields<'a>(kind: &'static Kind, line: &'a str) -> Option<Fields<'a>> {
    let text = line.strip_prefix(kind.word)?.strip_prefix(' ')?.strip_suffix(" .")?;
    Fields::parse(kind, text).ok()
}

pub(super) fn nonsense(host: &str, verb: &'static str, line: &[u8]) -> HostError {
    let text: String = String::from_utf8_lossy(line).chars().take(200).collect();
    HostError::Nonsense { host: host.to_owned(), verb, line: text.escape_debug().to_string() }
}

/// A file mode mask as shells print it: octal digits.
fn mask(text: &str) -> Option<u32> {
    let is_octal = (1..=4).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    u32::from_str_radix(text, 8).ok().filter(|mask| is_octal && *mask <= 0o777)
}

/// Reads the body of a probe's answer. `asked`: how far the journal was read before, which is where the answer's stretch
/// begins unless it begins with the journal.
pub(super) fn parse_probe(
    host: &str,
    body: &[u8],
    asked: Option<&JournalPosition>,
) -> Result<Probe, HostError> {
    let mut facts = None;
    let mut knows_instance = false;
    let mut others_told = Vec::new();
    let mut others: Vec<u8> = Vec::new();
    let mut left = BTreeSet::new();
    let mut dealt_by = Vec::new();
    let mut room = LISTS_MAX;
    let mut journal = None;
    let mut whole_journal = true;
    let mut journal_lines = Vec::new();
    let mut refused = Vec::new();
    let mut rest = body;
    while let Some(length) = rest.iter().position(|b| *b == b'\n') {
        let line = &rest[..length];
        rest = &rest[length + 1..];
        let wrong = || nonsense(host, "probe", line);
        let text = std::str::from_utf8(line).map_err(|_| wrong())?;
        // One that was cut off and joined to the next says nothing.
        let whole = || text.strip_suffix(" .").ok_or_else(wrong);
        if text.starts_with("host ") {
            facts = Some(parse_host(text).ok_or_else(wrong)?);
        } else if text.starts_with("instance ") {
            whole()?;
            knows_instance = true;
        } else if let Some(text) = text.strip_prefix("other ") {
            // Told to people alone; one that makes no sense keeps nobody from their own.
            if others_told.len() < OTHERS_MAX {
                others_told.extend(text.strip_suffix(" .").and_then(OtherInstance::parse));
            }
        } else if let Some(text) = text.strip_prefix("left ") {
            let apply = text.strip_suffix(" .").ok_or_else(wrong)?;
            left.insert(apply.parse().map_err(|_| wrong())?);
        } else if let Some(text) = text.strip_prefix("hosts ") {
            // One that cannot be read may say that another host has a job, so the answer is none.
            room = room.checked_sub(text.len()).ok_or_else(wrong)?;
            dealt_by.push(serde_json::from_str(text).map_err(|_| wrong())?);
        } else if text.starts_with("journal ") {
            let fields = fields(&JOURNAL, text).ok_or_else(wrong)?;
            let generation = fields.get("gen", word).map_err(|_| wrong())?;
            let from = fields.get("from", size).map_err(|_| wrong())?;
            let bytes = fields.get("bytes", size).map_err(|_| wrong())?;
            let bytes = usize::try_from(bytes).map_err(|_| wrong())?;
            let goes_on =
                asked.is_some_and(|asked| asked.generation == generation && asked.offset == from);
            if from != 0 && !goes_on {
                return Err(wrong());
            }
            let stretch = rest.get(..bytes).ok_or_else(wrong)?;
            rest = &rest[bytes..];
            let lines = parse_lines(stretch);
            journal_lines = lines.facts;
            refused.extend(lines.errors.into_iter().map(|(_, error)| error));
            from.checked_add(lines.consumed as u64).ok_or_else(wrong)?;
            let mut position = JournalPosition {
                generation: generation.to_owned(),
                offset: from,
                mark: "none".to_owned(),
            };
            if let Some(asked) = asked
                .filter(|asked| (asked.generation.as_str(), asked.offset) == (generation, from))
            {
                position.mark.clone_from(&asked.mark);
            }
            position.read(&stretch[..lines.consumed]);
            whole_journal = from == 0;
            journal = Some(position);
        } else {
            others.extend_from_slice(line);
            others.push(b'\n');
        }
    }
    // Together, so that the errors that are kept are bounded together.
    let lines = parse_lines(&others);
    refused.extend(lines.errors.into_iter().map(|(_, error)| error));
    journal_lines.extend(lines.facts);
    let host = facts.ok_or_else(|| nonsense(host, "probe", b"no line `host`"))?;
    Ok(Probe {
        host,
        knows_instance,
        others: others_told,
        facts: journal_lines,
        left,
        dealt_by,
        journal,
        whole_journal,
        refused,
    })
}

fn parse_host(line: &str) -> Option<HostFacts> {
    let fields = fields(&HOST, line)?;
    let word = |name| fields.get(name, word).ok();
    let list = |word: &str| match word {
        "none" => Vec::new(),
        list => list.split(',').map(str::to_owned).collect(),
    };
    let clock = word("t").and_then(clock);
    Some(HostFacts {
        root_id: word("root")?.to_owned(),
        machine_id: word("machine")?.to_owned(),
        clock,
        tmux: word("tmux").filter(|tmux| *tmux != "none").map(str::to_owned),
        missing: list(word("missing")?),
    })
}

/// Whether it is what the script makes of an id: something to compare and to say back.
pub(super) fn is_word(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn word(text: &str) -> Option<&str> {
    Some(text).filter(|text| is_word(text))
}

/// Unix seconds with a fraction.
pub(super) fn clock(text: &str) -> Option<Timestamp> {
    let seconds = jiff::SignedDuration::try_from_secs_f64(text.parse().ok()?).ok()?;
    Timestamp::from_duration(seconds).ok()
}

/// Reads the body of an answer to `account`.
pub(super) fn parse_account(host: &str, body: &[u8]) -> Result<Account, HostError> {
    let mut account = Account::default();
    for line in body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let wrong = || nonsense(host, "account", line);
        let text = std::str::from_utf8(line).map_err(|_| wrong())?;
        let (name, value) = text
            .strip_prefix("account ")
            .and_then(|text| text.split_once('='))
            .filter(|(_, value)| value.len() <= VALUE_MAX)
            .ok_or_else(wrong)?;
        match name {
            "HOME" | "USER" | "SHELL" | "PATH" => {
                account.variables.push((name.to_owned(), value.to_owned()));
            }
            "LANG" | "TZ" | "TMPDIR" => account.locale.push((name.to_owned(), value.to_owned())),
            "umask" => account.umask = Some(mask(value).ok_or_else(wrong)?),
            "login-umask" => account.login_umask = Some(mask(value).ok_or_else(wrong)?),
            "missing" => account.missing.push(value.to_owned()),
            _ if account.root.take(name, value) => {}
            _ => return Err(wrong()),
        }
    }
    Ok(account)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_of_hosts_that_cannot_be_read_is_no_answer() {
        let host = "host v=1 root=r machine=m missing=none .\n";
        let probe = |lines: &str| parse_probe("box", format!("{host}{lines}").as_bytes(), None);
        let list = r#"hosts [{"name":"a","slots":2,"when":"n > 1"}]"#;
        let read = probe(&format!("{list}\n{list}\n")).expect("an answer");
        assert_eq!(read.dealt_by.len(), 2);
        assert_eq!(read.dealt_by[0].0[0].when.as_deref(), Some("n > 1"));
        for wrong in
            ["hosts ", "hosts [{\"name\":\"a\"}]", "hosts [{\"name\":\"../a\",\"slots\":1}]"]
        {
            assert!(probe(&format!("{wrong}\n")).is_err(), "{wrong}");
        }
        let long = format!(
            "hosts [{{\"name\":\"a\",\"slots\":1,\"when\":\"{}\"}}]\n",
            "x".repeat(LISTS_MAX)
        );
        assert!(probe(&long).is_err());
    }

    #[test]
    fn what_was_cut_off_is_no_answer() {
        let whole = "host v=1 root=r machine=m missing=none .";
        assert!(parse_probe("box", format!("{whole}\n").as_bytes(), None).is_ok());
        for end in 0..whole.len() {
            let cut = format!("{}\n", &whole[..end]);
            assert!(parse_probe("box", cut.as_bytes(), None).is_err(), "{cut}");
            assert!(parse_probe("box", &whole.as_bytes()[..end], None).is_err(), "{cut}");
        }
        for line in ["host .", "journal ."] {
            assert!(
                parse_probe("box", format!("{whole}\n{line}\n").as_bytes(), None).is_err(),
                "{line}"
            );
        }
        for line in ["instance x", "journal gen=g from=0 bytes=0"] {
            assert!(
                parse_probe("box", format!("{whole}\n{line}\n").as_bytes(), None).is_err(),
                "{line}"
            );
            assert!(
                parse_probe("box", format!("{whole}\n{line} .\n").as_bytes(), None).is_ok(),
                "{line}"
            );
        }
    }

    #[test]
    fn an_offset_beyond_all_numbers_is_no_answer() {
        let journal = format!("journal gen=g from={} bytes=2 .\nx\n", u64::MAX);
        let text = format!("host v=1 root=r machine=m missing=none .\n{journal}");
        assert!(parse_probe("box", text.as_bytes(), None).is_err());
    }

    #[test]
    fn of_refused_lines_a_few_are_kept() {
        let text =
            "host v=1 root=r machine=m missing=none .\n".to_owned() + &"end x .\n".repeat(100_000);
        assert!(parse_probe("box", text.as_bytes(), None).expect("an answer").refused.len() < 100);
    }

    const GOOD: &str = "host v=1 script=s root=r machine=m boot=b.1 t=1700000000.25 up=5.00 tmux=tmux3.5a missing=none .\n\
        instance c~1 .\npaused .\nhosts [{\"name\":\"a\",\"slots\":1}]\n\
        open id=0123456789abcdef0123456789abcdef n=1 apply=a slot=0 verdict=running t=1.00 session=sp-c-01234567 .\n\
        queued id=0123456789abcdef0123456789abcdee n=1 apply=a .\njournal gen=g from=0 bytes=20 .\njournal gen=g .\nstar";

    proptest! {
        #![proptest_config(crate::fuzz_config())]

        /// Any bytes, and those of a good answer with some of them changed, taken away or repeated.
        #[test]
        fn no_bytes_make_a_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::collection::vec(any::<u8>(), 0..4)), 0..4),
        ) {
            let mut good = GOOD.as_bytes().to_vec();
            for (at, length, new) in edits {
                let at = at.index(good.len() + 1);
                let end = (at + length).min(good.len());
                good.splice(at..end, new);
            }
            for body in [&bytes, &good] {
                if let Ok(probe) = parse_probe("box", body, None) {
                    prop_assert!(probe.refused.len() < 100);
                    prop_assert!(is_word(&probe.host.root_id) && is_word(&probe.host.machine_id));
                }
                for error in [parse_probe("box", body, None).err(), parse_account("box", body).err()].into_iter().flatten() {
                    prop_assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
                }
            }
        }
    }
}
