//! The journal can be torn, cut and lost: what a probe tells stays the truth.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::path::PathBuf;

use super::world::{Batch, CAMPAIGN, World, hex, job, records};

super::in_every_shell! { lost_cut_and_torn read_on_from_an_offset evidence_is_told }

fn journal(world: &World) -> PathBuf {
    world.root.join("v2").join(CAMPAIGN).join("journal")
}

fn head(text: &str) -> String {
    let line =
        text.lines().find(|line| line.starts_with("journal gen=") && line.contains(" from="));
    line.expect("a journal").to_owned()
}

fn lost_cut_and_torn(world: &World) {
    let jobs = [0, 1, 2].map(|i| job(format!("exit {i}")));
    let ends = world.run(&Batch::new(jobs.clone()));
    let (new, old) = ("a".repeat(32), jobs[0].id.clone());
    world.ask("accept", &[CAMPAIGN], &format!("{new} {old}\n"));
    let whole = |world: &World| {
        assert_eq!(world.ends(), ends);
        let accepted = world.records("accept");
        assert_eq!(accepted[0]["id"], new);
        assert_eq!(accepted[0]["from"], old);
    };
    whole(world);
    let path = journal(world);
    let text = fs::read_to_string(&path).expect("a journal");
    // Gone, emptied, without its head: another journal, with all in it.
    let before = head(&world.probe());
    fs::remove_file(&path).expect("gone");
    whole(world);
    assert_ne!(head(&world.probe()).split(' ').nth(1), before.split(' ').nth(1));
    fs::write(&path, "").expect("emptied");
    whole(world);
    fs::write(&path, "e=ok .\n").expect("headless");
    whole(world);
    // Cut anywhere: the same journal, completed.
    for length in [40, 60, text.len() / 2, text.len() - 60, text.len() - 1] {
        fs::write(&path, &text[..length.max(text.find('\n').expect("a line") + 1)]).expect("cut");
        whole(world);
    }
    // Torn, and joined by what came next.
    let end = text.rfind("end id=").expect("an end");
    fs::write(&path, format!("{}{}", &text[..end + 60], &text[end..])).expect("torn");
    whole(world);
    // What runs meanwhile finds no journal.
    fs::remove_file(&path).expect("gone");
    let more = job("true");
    world.hand_over(&Batch::new([more.clone()]));
    world.sandbox.wait_quiet();
    fs::remove_file(&path).expect("gone");
    assert_eq!(world.ends().len(), 4);
    assert_eq!(world.errors(), "");
}

fn read_on_from_an_offset(world: &World) {
    world.run(&Batch::new([job("true")]));
    let first = world.probe();
    let generation = records(&first, "journal").pop().expect("a journal")["gen"].clone();
    let before = fs::read_to_string(journal(world)).expect("a journal");
    let size = before.len();
    let last = before.split_inclusive('\n').next_back().expect("a line");
    let mark = hex(last.as_bytes())[..16].to_owned();
    world.run(&Batch::new([job("false")]));
    let rest = world.ask("probe", &[CAMPAIGN, &generation, &size.to_string(), &mark], "");
    assert_eq!(records(&rest, "end").len(), 1);
    assert!(rest.contains(&format!(" from={size} ")));
    // Another generation, an offset behind the end, nonsense: from the start.
    for (generation, offset) in
        [("other", "9"), (&generation, "999999"), (&generation, "x"), (&generation, "-1")]
    {
        let all = world.ask("probe", &[CAMPAIGN, generation, offset, &mark], "");
        assert_eq!(records(&all, "end").len(), 2, "{generation} {offset}");
    }
    // Another line before the offset: the journal was rolled back.
    let other = "0123456789abcdef";
    let all = world.ask("probe", &[CAMPAIGN, &generation, &size.to_string(), other], "");
    assert_eq!(records(&all, "end").len(), 2);
    let unknown =
        world.ask("probe", &["nobody~1", "none", "0", "none", "sh", "no-such-program"], "");
    assert!(
        unknown.contains(" missing=no-such-program .\n") && !unknown.contains("journal"),
        "{unknown}"
    );
}

fn evidence_is_told(world: &World) {
    let job = job("exit 4");
    world.run(&Batch::new([job.clone()]));
    let text = world.ask("evidence", &[CAMPAIGN, &job.id], "");
    for wanted in [
        "attempt n=1 verdict=ended .",
        "record claim ",
        "record start ",
        "record exit rc=4 ",
        "lock name=alive held=no .",
    ] {
        assert!(text.contains(wanted), "{wanted} not in {text}");
    }
    assert_eq!(world.ask("evidence", &[CAMPAIGN, &"0".repeat(32)], ""), "");
}
