//! JOB selectors, short ids and filters.

use std::fmt::Write as _;

use insta::assert_snapshot;
use solverpilot::campaign::{Axis, Command, Host};
use solverpilot::ids::{Attempt, HostName, JobId};
use solverpilot::plan::{
    Expansion, Filter, Job, JobRef, Known, Prefixes, SelectError, Selector, named_hosts,
};
use solverpilot::state::State;

use super::decision::known;
use super::support::*;

fn select(expansion: &Expansion, known: &Known, text: &str) -> Result<Option<usize>, SelectError> {
    Selector::new(expansion, known).resolve(text).map(|job| job.index)
}

#[test]
fn jobs_are_found_by_id_name_and_values() {
    let jobs = jobs(sweep());
    let nothing = Known::default();
    let id = jobs.ids()[3].to_string();
    for text in
        [&id[..8], &id, &id[..8].to_uppercase(), "seq=2048,dtype=bf16", "dtype=bf16,seq=2048"]
    {
        assert_eq!(select(&jobs, &nothing, text), Ok(Some(3)), "{text}");
    }
    let mut said = String::new();
    for text in [
        "seq=2048",
        "dtype=bf17",
        "seq=9,dtype=fp16",
        "dtyp=bf16",
        "seq=2048,dtype=bf61",
        "zzzz",
        "ffffffffffff",
    ] {
        let error = select(&jobs, &nothing, text).unwrap_err();
        // Ids are pinned elsewhere.
        let line = jobs
            .ids()
            .iter()
            .fold(error.to_string(), |line, id| line.replace(&id.to_string()[..8], "ID"));
        writeln!(said, "{line}\n  {}", error.help()).unwrap();
    }
    assert_snapshot!(said);
}

#[test]
fn names_may_look_like_anything() {
    let mut campaign =
        campaign("x {{ a }}", &[("a", texts(&["1,b=2", "beef"])), ("b", ints([2, 3]))]);
    campaign.matrix.include = vec![subset(&[("a", text("beef"))])];
    campaign.command = Command::Shell(shell("x {{ a }} {{ b | default(0) }}"));
    let expansion = jobs(campaign.clone());
    let nothing = Known::default();
    // The cell with nothing else wins over those that have the value too.
    assert_eq!(select(&expansion, &nothing, "a=beef"), Ok(Some(4)));
    assert_eq!(select(&expansion, &nothing, "a=beef,b=3"), Ok(Some(3)));
    campaign.job_name = Some(plain("{{ a }}-{{ b | default('') }}"));
    let expansion = jobs(campaign);
    assert_eq!(select(&expansion, &nothing, "beef-3"), Ok(Some(3)));
    let error = select(&expansion, &nothing, "beef-4").unwrap_err();
    assert!(error.help().starts_with("did you mean `beef-"), "{}", error.help());
}

#[test]
fn a_job_that_left_the_matrix_is_found_too() {
    let expansion = jobs(sweep());
    let mut gone = known(expansion.job(0), State::Succeeded);
    gone.id = JobId([0xab; 16]);
    gone.name = "old one".to_owned();
    let all = Known::new(vec![gone]);
    for text in ["abababab", "old one"] {
        let found = Selector::new(&expansion, &all).resolve(text);
        assert_eq!(found, Ok(JobRef { id: JobId([0xab; 16]), index: None }), "{text}");
    }
}

#[test]
fn prefixes_are_unique_and_at_least_eight() {
    let id = |tail: u8| JobId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, tail]);
    let prefixes = Prefixes::new([id(0x10), id(0x20), id(0x21), JobId([0xff; 16])]);
    assert_eq!(prefixes.short(JobId([0xff; 16])), "ffffffff");
    assert_eq!(prefixes.short(id(0x10)).len(), 31);
    assert_eq!(prefixes.short(id(0x21)).len(), 32);
    assert_eq!(prefixes.matching("0102").len(), 3);
    assert_eq!(prefixes.matching("0103"), []);
}

#[test]
fn filters_see_axes_and_what_is_known() {
    let expansion = jobs(sweep());
    let mut failed = known(expansion.job(1), State::Failed);
    failed.exit_code = Some(3);
    failed.attempt = Attempt::new(2);
    failed.elapsed_s = Some(12.5);
    let all = Known::new(vec![known(expansion.job(0), State::Succeeded), failed]);
    let matching = |text: &str| -> Vec<usize> {
        let filter = Filter::parse(text, &expansion).unwrap();
        expansion
            .jobs()
            .filter(|job| filter.matches(*job, all.get(job.id())).unwrap())
            .map(Job::index)
            .collect()
    };
    assert_eq!(matching("seq > 1024 and dtype == 'fp16'"), [2, 4]);
    assert_eq!(matching("state == 'failed'"), [1]);
    assert_eq!(matching("state in ['succeeded', 'failed'] and host == 'local'"), [0, 1]);
    assert_eq!(matching("state == 'pending' and index < 4"), [2, 3]);
    assert_eq!(matching("exit_code == 3 and attempt == 2 and elapsed_s > 12"), [1]);
    assert_eq!(matching("name == 'seq=4096,dtype=bf16'"), [5]);
    assert_eq!(matching("repeat == 0").len(), 6);
    // As the help says: nothing is converted, and texts come after numbers.
    assert_eq!(matching("dtype > 5").len(), 6);
    assert_eq!(matching("seq == '1024' or seq > '1'"), [0; 0]);
    assert_eq!(matching("(seq ~ '') | int > 2048"), matching("seq > 2048"));
}

#[test]
fn filters_are_checked_before_the_first_job() {
    let mut campaign = sweep();
    campaign.matrix.axes.insert(axis_name("twice"), Axis::Expr(expr("seq * 2")));
    let expansion = jobs(campaign);
    let mut said = String::new();
    for text in [
        "dtyp == 'fp16'",
        "host == 'locl'",
        "'gpx' != host",
        "host not in ['local', 'gpx']",
        "state == 'succeded'",
        "vars.x == 1",
        "seq >",
    ] {
        let error = Filter::parse(text, &expansion).unwrap_err();
        writeln!(said, "{text}\n  {error}\n  {}", error.help.clone().unwrap_or_default()).unwrap();
    }
    assert_snapshot!(said);
    for text in ["host ~ 'x' == 'gpxx'", "dtype == 'host'", "twice > 3 and host == \"local\""] {
        assert!(Filter::parse(text, &expansion).is_ok(), "{text}");
    }
}

#[test]
fn hosts_are_named_by_name_and_tag() {
    let mut campaign = sweep();
    campaign.hosts = ["one", "two", "three"]
        .map(|name| (host_name(name), Host::default()))
        .into_iter()
        .collect();
    campaign.hosts["two"].tags = vec!["h200".to_owned(), "big".to_owned()];
    campaign.hosts["three"].tags = vec!["h200".to_owned()];
    let named = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        named_hosts(&words, &campaign)
            .map(|hosts| hosts.iter().map(HostName::to_string).collect::<Vec<_>>().join(" "))
            .map_err(|error| format!("{error}; {}", error.help.as_deref().unwrap_or_default()))
    };
    assert_eq!(named(&["one"]), Ok("one".to_owned()));
    assert_eq!(named(&["h200", "one", "two"]), Ok("one three two".to_owned()));
    assert_eq!(named(&[]), Ok(String::new()));
    let error = "no host is called or tagged `h2000`; did you mean `h200`?";
    assert_eq!(named(&["one", "h2000"]), Err(error.to_owned()));
    let error = "no host is called or tagged `\\u{1b}`; names and tags are `one`, `two`, `three`, `h200`, `big`";
    assert_eq!(named(&["\u{1b}"]), Err(error.to_owned()));
}
