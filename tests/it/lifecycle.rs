//! What hosts say becomes facts, or errors of single lines; and no fact undoes an end.
#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only test functions")]

use proptest::prelude::*;
use solverpilot::ids::{Attempt, JobId};
use solverpilot::lifecycle::fields::{LINE_MAX, LineError};
use solverpilot::lifecycle::record::{parse_line, parse_lines};
use solverpilot::lifecycle::sentence::{Context, sentence, short_duration};
use solverpilot::lifecycle::{
    AttemptState, Ending, Event, EventKind, Fact, Final, HostFact, Marker, Reason, Tree, Verdict,
};
use std::time::Duration;

const ID: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn end_line(more: &str) -> String {
    let mut fields = vec![
        ("id", ID),
        ("n", "1"),
        ("apply", "a1"),
        ("slot", "0"),
        ("state", "succeeded"),
        ("reason", "ok"),
        ("rc", "0"),
        ("sig", "none"),
        ("by", "runner"),
        ("marker", "none"),
        ("left", "none"),
        ("started", "1700000000.25"),
        ("ended", "1700000002.50"),
        ("el", "2.25"),
        ("up", "5.00"),
    ];
    for (key, value) in more.split(' ').filter_map(|field| field.split_once('=')) {
        match fields.iter_mut().find(|(name, _)| *name == key) {
            Some(field) => field.1 = value,
            None => fields.push((key, value)),
        }
    }
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("end {} .", fields.join(" "))
}

fn ending(more: &str) -> Ending {
    match parse_line(end_line(more).as_bytes()) {
        Ok(Some(HostFact::Attempt { fact: Fact::Ended(ending), .. })) => *ending,
        other => panic!("{other:?}"),
    }
}

fn error(line: &str) -> String {
    parse_line(line.as_bytes()).expect_err(line).to_string()
}

#[test]
fn lines_become_facts() {
    let text = format!(
        "start id={ID} n=2 apply=a1 slot=1 t=1700000000.25 up=12.00 .\n\
         accept id={ID} from=ffffffffffffffffffffffffffffffff .\n\
         open id={ID} n=2 apply=a1 slot=1 verdict=orphan t=none session=sp-c-01234567 .\n\
         open id={ID} n=4 apply=a1 slot=1 verdict=foreign t=none session=none .\n\
         queued id={ID} n=3 apply=a1 .\n\
         {}\n",
        end_line("later=word")
    );
    let lines = parse_lines(text.as_bytes());
    assert_eq!((lines.refused, lines.consumed), (0, text.len()));
    insta::assert_debug_snapshot!(lines.facts);
}

#[test]
fn what_is_torn_or_unknown_does_not_exist() {
    for line in
        ["", "end", "start id=", &format!("queued id={ID} n=1 apply=a"), "weather t=1 .", " ."]
    {
        assert_eq!(parse_line(line.as_bytes()), Ok(None), "{line}");
    }
    let text = format!("queued id={ID} n=1 apply=a .\nqueued id={ID} n=2 ap");
    let lines = parse_lines(text.as_bytes());
    assert_eq!((lines.facts.len(), lines.consumed), (1, text.find('\n').unwrap() + 1));
}

#[test]
fn malformed_lines_are_errors_of_their_own() {
    let queued = |more: &str| format!("queued {more} .");
    let errors = [
        queued("id=0123 n=1 apply=a"),
        queued(&format!("id={} n=1 apply=a", ID.to_uppercase())),
        queued(&format!("id={ID} n=0 apply=a")),
        queued(&format!("id={ID} n=+1 apply=a")),
        queued(&format!("id={ID} n=-1 apply=a")),
        queued(&format!("id={ID} n=99999999999 apply=a")),
        queued(&format!("id={ID} n=1 n=2 apply=a")),
        queued(&format!("id={ID} n=1 apply=../x")),
        queued(&format!("id={ID} n=1")),
        queued(&format!("id={ID}  n=1 apply=a")),
        queued(&format!("id={ID} n=1 apply=a\u{1b}")),
        queued(&"a=b ".repeat(60)),
        end_line("state=running"),
        end_line("state=Succeeded"),
        end_line("state=failed"),
        end_line("state=succeeded reason=exit-code"),
        end_line("rc=none"),
        end_line("sig=KILL rc=137"),
        end_line("rc=256"),
        end_line("ended=none"),
        end_line("ended=1e9"),
        end_line("ended=.5"),
        end_line("ended=9999999999999"),
        end_line("el=-1"),
        end_line("marker=files."),
        end_line("reason=Ok!"),
        end_line("git=HEAD"),
        end_line(&format!("git={}", "A".repeat(40))),
        end_line(&format!("git={}", "a".repeat(41))),
        end_line(&format!("code={}", "a".repeat(40))),
        end_line(&format!("code={}", "A".repeat(64))),
        end_line("dirty=yes"),
        end_line("snapshot="),
        end_line("snapshot=../x"),
        end_line(&format!("snapshot={}", "a".repeat(101))),
        format!("{} dirty=1 dirty=1 .", end_line("").trim_end_matches(" .")),
        format!("accept id={ID} from={ID} ."),
        format!("open id={ID} n=1 apply=a slot=0 verdict=dead t=none session=none ."),
        format!("open id={ID} n=1 apply=a slot=0 verdict=running t=none session=$(x) ."),
    ]
    .map(|line| error(&line))
    .join("\n");
    insta::assert_snapshot!(errors);
    assert_eq!(parse_line(&vec![b'x'; LINE_MAX + 1]), Err(LineError::TooLong(LINE_MAX + 1)));
}

/// Lines of a script that did not know these fields stay valid.
#[test]
fn what_an_attempt_ran_from() {
    assert_eq!(ending("").tree, Tree::default());
    assert_eq!(ending("snapshot=none code=none git=none dirty=none").tree, Tree::default());
    let (code, git) = ("0a".repeat(32), "b".repeat(40));
    let tree = ending(&format!("snapshot=s-1_A code={code} git={git} dirty=0")).tree;
    let wanted = Tree {
        snapshot: Some("s-1_A".to_owned()),
        code: Some([10; 32]),
        git_rev: Some(git),
        dirty: Some(false),
    };
    assert_eq!(tree, wanted);
    assert_eq!(ending(&format!("git={code} dirty=1")).tree.git_rev, Some(code));
}

#[test]
fn a_bad_line_costs_only_itself() {
    let good = format!("queued id={ID} n=1 apply=a .\n");
    let text = format!("{good}queued id=1 .\n\0\u{ff} .\n{good}");
    let lines = parse_lines(text.as_bytes());
    assert_eq!((lines.facts.len(), lines.refused), (2, 2));
    assert_eq!(lines.errors[0].0, good.len());
    let flood = "queued .\n".repeat(1000);
    let lines = parse_lines(flood.as_bytes());
    assert_eq!((lines.refused, lines.errors.len()), (1000, 16));
}

#[test]
fn sentences() {
    let context = Context {
        files: &["result.json".to_owned()],
        log: Some("done$"),
        count: Some(("frames/*.png", 100)),
        time_limit: Some(Duration::from_mins(30)),
        cleanup_limit: Some(Duration::from_mins(10)),
        stall_after: Some(Duration::from_secs(90)),
    };
    let bare = Context::default();
    let lines: Vec<String> = [
        "rc=0",
        "rc=10",
        "state=failed reason=exit-code rc=3",
        "state=failed reason=exit-code rc=137",
        "state=failed reason=exit-code rc=200",
        "state=failed reason=signal rc=137 sig=KILL",
        "state=failed reason=signal rc=none",
        "state=failed reason=init rc=1",
        "state=failed reason=prepare rc=2",
        "state=failed reason=marker-missing marker=files.0",
        "state=failed reason=marker-empty marker=files.7",
        "state=failed reason=marker-stale marker=files.0 left=kept",
        "state=failed reason=marker-log marker=log",
        "state=failed reason=marker-log marker=log cut=1234",
        "state=failed reason=marker-limit marker=files.0",
        "state=failed reason=marker-count marker=count",
        "state=failed reason=marker-clock",
        "state=timeout reason=time-limit rc=143 by=orphan",
        "state=stalled reason=stall rc=143",
        "state=oom reason=memory rc=137 sig=KILL",
        "state=failed reason=oom-suspected rc=137 sig=KILL",
        "state=cancelled reason=by-user rc=none",
        "state=cancelled reason=by-tmux rc=none left=cleaned",
        "state=cancelled reason=by-queue rc=143",
        "rc=0 cleanup=ok",
        "rc=0 cleanup=4",
        "state=failed reason=exit-code rc=3 cleanup=limit",
        "rc=0 cleanup=cancelled",
        "state=cancelled reason=withdrawn rc=none",
        "state=lost reason=reboot rc=none",
        "state=lost reason=restart rc=none",
        "state=lost reason=killed rc=none",
        "state=lost reason=before-start rc=none",
        "state=lost reason=stub-killed rc=none",
        "state=lost reason=not-startable rc=none",
        "state=failed reason=of-a-newer-sp rc=4",
    ]
    .iter()
    .map(|fields| {
        let ending = ending(fields);
        format!("{fields}\n  {}\n  {}", sentence(&ending, &context), sentence(&ending, &bare))
    })
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
    for (seconds, text) in [(0, "0s"), (90, "1m 30s"), (1800, "30m"), (90_000, "1d 1h")] {
        assert_eq!(short_duration(Duration::from_secs(seconds)), text);
    }
    assert_eq!(short_duration(Duration::from_millis(1500)), "1.5s");
}

#[test]
fn reason_codes_read_back() {
    for reason in Reason::KNOWN {
        assert_eq!(reason.word().parse::<Reason>().as_ref(), Ok(reason));
    }
}

#[test]
fn events_are_flat_lines() {
    let event = Event {
        ts: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        kind: EventKind::JobFinished {
            job: solverpilot::lifecycle::event::JobAt {
                id: ID.parse().unwrap(),
                name: "n=1".to_owned(),
                host: "local".parse().unwrap(),
                attempt: Attempt::FIRST,
            },
            state: solverpilot::state::State::Failed,
            reason: "exit-code".to_owned(),
            detail: "exit code 3".to_owned(),
            exit_code: Some(3),
            signal: None,
            elapsed_s: Some(0.25),
        },
    };
    let line = serde_json::to_string(&event).unwrap();
    insta::assert_snapshot!(line, @r#"{"ts":"2026-01-02T03:04:05.678Z","event":"job-finished","id":"0123456789abcdef0123456789abcdef","name":"n=1","host":"local","attempt":1,"state":"failed","reason":"exit-code","detail":"exit code 3","exit_code":3,"signal":null,"elapsed_s":0.25}"#);
}

pub(crate) fn any_fact() -> impl Strategy<Value = Fact> {
    let at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let verdicts = prop_oneof![
        Just(Verdict::Starting),
        Just(Verdict::Running),
        Just(Verdict::Orphan),
        Just(Verdict::Foreign)
    ];
    let ends = (0..Final::ALL.len(), any::<u8>()).prop_map(move |(state, code)| {
        Fact::Ended(Box::new(Ending {
            state: Final::ALL[state],
            reason: if state == 0 { Reason::Ok } else { Reason::ExitCode },
            exit_code: Some(code),
            signal: None,
            by: "runner".to_owned(),
            marker: Some(Marker::Log),
            leftovers: "none".to_owned(),
            cleanup: None,
            cut: None,
            started: Some(at),
            ended: at,
            elapsed_s: Some(1.0),
            moved_to: None,
            tree: Tree { dirty: Some(true), ..Tree::default() },
            detail: String::new(),
        }))
    });
    prop_oneof![
        Just(Fact::Queued),
        (0..4_u32).prop_map(move |slot| Fact::Started { slot, at }),
        (verdicts, 0..4_u32).prop_map(move |(verdict, slot)| Fact::Open {
            verdict,
            slot,
            started: Some(at),
            session: None
        }),
        ends,
        Just(Fact::RootGone),
    ]
}

/// How far along a state is; facts never lead back.
fn rank(state: AttemptState) -> u8 {
    match state {
        AttemptState::Intended => 0,
        AttemptState::Queued => 1,
        AttemptState::Running => 2,
        AttemptState::Ended(_) => 3,
    }
}

proptest! {
    #[test]
    fn bytes_never_panic_and_never_make_a_state(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let lines = parse_lines(&bytes);
        prop_assert!(lines.consumed <= bytes.len());
        // 128 random bits of an id do not come about by chance.
        prop_assert!(lines.facts.is_empty());
    }

    #[test]
    fn a_damaged_line_is_refused_or_reads_as_itself(place in 0..240_usize, byte in any::<u8>()) {
        let mut line = end_line("state=failed reason=exit-code rc=3").into_bytes();
        let place = place % line.len();
        line[place] = byte;
        if let Ok(Some(HostFact::Attempt { fact: Fact::Ended(ending), .. })) = parse_line(&line) {
            prop_assert!(ending.state != Final::Succeeded);
        }
    }

    #[test]
    fn an_end_is_an_end(facts in proptest::collection::vec(any_fact(), 0..12)) {
        let mut state = AttemptState::Intended;
        for fact in &facts {
            match state.next(fact) {
                Ok(next) => {
                    prop_assert!(rank(next) >= rank(state));
                    if matches!(state, AttemptState::Ended(_)) {
                        prop_assert_eq!(next, state);
                    }
                    // The same fact again changes nothing.
                    prop_assert_eq!(next.next(fact), Ok(next));
                    state = next;
                }
                Err(illegal) => {
                    prop_assert_eq!(state, AttemptState::Ended(illegal.stands));
                    prop_assert!(illegal.stands != illegal.refused);
                }
            }
        }
    }

    #[test]
    fn states_read_back(place in 0..10_usize) {
        let mut all = vec![AttemptState::Intended, AttemptState::Queued, AttemptState::Running];
        all.extend(Final::ALL.map(AttemptState::Ended));
        prop_assert_eq!(all[place].word().parse::<AttemptState>().ok(), Some(all[place]));
    }
}

#[test]
fn other_words_are_no_states() {
    let long = "x".repeat(100);
    for word in ["", "pending", "Running", "done", &long] {
        let error = word.parse::<AttemptState>().unwrap_err().to_string();
        assert!(error.ends_with("is no state") && error.len() < 60, "{error}");
    }
    for word in ["intended", "queued", "running", "pending"] {
        assert!(word.parse::<Final>().is_err(), "{word}");
    }
}

#[test]
fn ids_print_as_they_are_read() {
    assert_eq!(ID.parse::<JobId>().unwrap().to_string(), ID);
}

#[test]
fn a_move_says_where_to() {
    let moved = "state=cancelled reason=moved rc=none slot=none started=none el=none by=cancel";
    let read = ending(&format!("{moved} to=gpu-2"));
    assert_eq!(read.moved_to.as_ref().map(solverpilot::ids::HostName::as_str), Some("gpu-2"));
    assert_eq!(sentence(&read, &Context::default()), "given to host gpu-2 before it started");
    for wrong in [
        moved.to_owned(),
        format!("{moved} to=none"),
        format!("{moved} to=../x"),
        format!("{moved} to=b state=failed"),
        format!("{moved} to=b started=1700000000.25"),
        "to=b".to_owned(),
    ] {
        assert!(parse_line(end_line(&wrong).as_bytes()).is_err(), "{wrong}");
    }
}
