//! The plan with several hosts: who decides about a job, and what waits for whom. The function is in `home`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use indexmap::IndexMap;
use insta::assert_snapshot;
use jiff::Timestamp;
use solverpilot::campaign::{Axis, Campaign, Host};
use solverpilot::ids::{HostName, JobId};
use solverpilot::plan::{
    Action, DealtHost, Decision, Expansion, HostList, HostStatus, Known, KnownJob, Options, Plan,
    PlanView, Reason, Rerun, hosts_of,
};
use solverpilot::state::State;

use super::decision::{World, known, told, unreachable};
use super::support::*;

fn host(slots: u32) -> Host {
    Host { slots, ..Host::default() }
}

/// Eight jobs over `one`, `two` and `three`.
fn three() -> Campaign {
    let mut campaign = campaign("x {{ n }}", &[("n", ints(0..8))]);
    campaign.hosts =
        ["one", "two", "three"].map(|name| (host_name(name), host(1))).into_iter().collect();
    campaign
}

fn homes(plan: &Plan) -> Vec<Option<String>> {
    let name = |d: &Decision| d.home.map(|at| plan.hosts[at].name.to_string());
    plan.decisions.iter().map(name).collect()
}

/// Every host answered but these.
fn all_but(campaign: &Campaign, silent: &[&str]) -> BTreeMap<HostName, HostStatus> {
    let status = |name: &HostName| {
        if silent.contains(&name.as_str()) {
            HostStatus::Unreachable { since: Timestamp::UNIX_EPOCH }
        } else {
            HostStatus::Probed(Timestamp::UNIX_EPOCH)
        }
    };
    campaign.hosts.keys().map(|name| (name.clone(), status(name))).collect()
}

fn on(job: solverpilot::plan::Job<'_>, state: State, host: &str) -> KnownJob {
    KnownJob { host: Some(host_name(host)), ..known(job, state) }
}

#[test]
fn a_silent_host_holds_up_its_own_jobs_only() {
    let campaign = three();
    let jobs = jobs(campaign.clone());
    let world = World { hosts: all_but(&campaign, &["two"]), ..World::default() };
    let plan = world.plan(&jobs, &Options::default());
    assert_snapshot!(told(&plan));
    let quiet = World { hosts: all_but(&campaign, &[]), ..World::default() };
    let quiet = quiet.plan(&jobs, &Options::default());
    assert_eq!(homes(&quiet), homes(&plan));
    assert_eq!(quiet.summary.run, 8);
    for decision in &plan.decisions {
        let on_two = plan.hosts[decision.home.unwrap()].name.as_str() == "two";
        let expected = if on_two { Action::Blocked } else { Action::Run };
        assert_eq!(decision.action, expected);
    }
}

/// Every state on a host that is not the job's home by the list, while that host answers, is silent, or left the file.
#[test]
fn what_a_host_has_stays_there_and_what_must_run_again_goes_home() {
    let mut campaign = three();
    campaign.matrix.axes = IndexMap::from([(axis_name("n"), ints([0]))]);
    let jobs = jobs(campaign.clone());
    let own = World::default().plan(&jobs, &Options::default());
    let own = homes(&own)[0].clone().unwrap();
    let other = ["one", "two", "three"].into_iter().find(|name| *name != own).unwrap();
    let mut table = format!("home {own}, known on {other}\n");
    for state in State::ALL {
        for (label, place, silent) in
            [("answers", other, vec![]), ("silent", other, vec![other]), ("left", "gone", vec![])]
        {
            let world = World {
                known: vec![on(jobs.job(0), state, place)],
                hosts: all_but(&campaign, &silent),
                ..World::default()
            };
            let line = told(&world.plan(&jobs, &Options::default()));
            write!(table, "{state:<10} {label:<8} {line}").unwrap();
        }
    }
    assert_snapshot!(table);
}

/// A host that left the file cannot be asked; only a person can say that what it had is to run elsewhere.
#[test]
fn what_a_host_that_left_had_runs_elsewhere_by_rerun_alone() {
    let campaign = three();
    let jobs = jobs(campaign.clone());
    let moved = |job, state| KnownJob {
        moved_to: Some(host_name("gone")),
        ..on(jobs.job(job), state, "one")
    };
    let plan = |rerun| {
        let world = World {
            known: vec![
                on(jobs.job(0), State::Running, "gone"),
                on(jobs.job(1), State::Queued, "gone"),
                moved(2, State::Failed),
                on(jobs.job(3), State::Running, "one"),
            ],
            hosts: all_but(&campaign, &[]),
            ..World::default()
        };
        let options = Options { rerun, selection: Some(vec![0, 1, 2, 3]), ..Options::default() };
        world.plan(&jobs, &options)
    };
    let actions = |plan: &Plan| plan.decisions.iter().map(|d| d.action).collect::<Vec<_>>();
    let without = plan(Rerun::None);
    assert_eq!(
        actions(&without),
        [Action::Blocked, Action::Blocked, Action::Blocked, Action::Wait]
    );
    let with = plan(Rerun::All);
    assert_eq!(actions(&with), [Action::Run, Action::Run, Action::Run, Action::Wait]);
    let own = World::default().plan(&jobs, &Options::default());
    assert_eq!(homes(&with)[..3], homes(&own)[..3]);
}

#[test]
fn a_moved_job_has_its_new_home() {
    let campaign = three();
    let jobs = jobs(campaign.clone());
    let own = homes(&World::default().plan(&jobs, &Options::default()));
    let other = |job: usize| {
        let own = own[job].as_deref();
        ["one", "two", "three"].into_iter().find(|name| Some(*name) != own).unwrap()
    };
    let moved = |job: usize, state, to: &str| KnownJob {
        moved_to: Some(host_name(to)),
        ..on(jobs.job(job), state, own[job].as_deref().unwrap())
    };
    let moves = vec![
        moved(0, State::Pending, other(0)),
        moved(1, State::Failed, other(1)),
        moved(2, State::Lost, "gone"),
        // Claimed before the move could be written down.
        moved(3, State::Running, other(3)),
    ];
    // The home by the list is silent, which has written down that it gave the job away.
    let silent: BTreeSet<&str> = own[..1].iter().flatten().map(String::as_str).collect();
    for silent in [vec![], silent.into_iter().collect()] {
        let world = World {
            known: moves.clone(),
            hosts: all_but(&campaign, &silent),
            earlier: vec![HostList::of(&campaign)],
            ..World::default()
        };
        let plan = world.plan(&jobs, &Options::default());
        let first = &plan.decisions[0];
        assert_eq!(homes(&plan)[0].as_deref(), Some(other(0)));
        assert_eq!((first.action, first.reason), (Action::Run, Reason::New), "{}", first.detail);
        assert_eq!(homes(&plan)[1].as_deref(), Some(other(1)));
        let third = &plan.decisions[2];
        assert_eq!((third.action, third.reason), (Action::Blocked, Reason::Unreachable));
        assert_eq!(
            third.detail,
            "it was moved to gone, which is no host of the file any more; to run: lost"
        );
        assert_eq!(homes(&plan)[3], own[3]);
    }
}

#[test]
fn a_job_that_no_host_takes_is_blocked_and_says_what_they_want() {
    let mut campaign = three();
    for (n, host) in campaign.hosts.values_mut().enumerate() {
        host.when = Some(expr(&format!("n < {}", 2 * n + 1)));
    }
    let plan = World::default().plan(&jobs(campaign), &Options::default());
    assert_snapshot!(told(&plan));
    assert_eq!((plan.summary.blocked, plan.summary.run), (3, 5));
}

/// A host that does not answer may have what it was dealt by the list before an edit.
#[test]
fn an_edit_of_the_hosts_starts_nothing_twice() {
    let before = three();
    let old = homes(&World::default().plan(&jobs(before.clone()), &Options::default()));
    let mut after = before.clone();
    after.hosts[&host_name("one")].slots = 3;
    after.hosts.insert(host_name("four"), host(2));
    let jobs = jobs(after.clone());
    for silent in ["one", "two", "three"] {
        let world = || World { hosts: all_but(&after, &[silent]), ..World::default() };
        let plain = world().plan(&jobs, &Options::default());
        let careful = World { earlier: vec![HostList::of(&before)], ..world() };
        let careful = careful.plan(&jobs, &Options::default());
        for (job, decision) in careful.decisions.iter().enumerate() {
            let had = old[job].as_deref() == Some(silent);
            let has = homes(&plain)[job].as_deref() == Some(silent);
            let expected = if had || has { Action::Blocked } else { Action::Run };
            assert_eq!(decision.action, expected, "{silent} {job}: {}", decision.detail);
            assert_eq!(homes(&careful)[job], homes(&plain)[job]);
        }
    }
    let moved = (0..8).find(|job| {
        let now = homes(&World::default().plan(&jobs, &Options::default()));
        old[*job] != now[*job]
    });
    let job = moved.expect("an edit that moves no job shows nothing");
    let silent = old[job].clone().unwrap();
    let world = World {
        hosts: all_but(&after, &[&silent]),
        earlier: vec![HostList::of(&before)],
        ..World::default()
    };
    let plan = world.plan(&jobs, &Options::default());
    assert_eq!(
        plan.decisions[job].detail,
        format!(
            "{silent} may have it by an earlier list of hosts and has not answered; to run: new"
        )
    );
    // One that was left out when the others were asked vouches for nothing either; where nobody was asked, nobody does.
    for (asked, expected) in [(true, Action::Blocked), (false, Action::Run)] {
        let mut hosts = all_but(&after, &[]);
        hosts.retain(|name, _| asked && name.as_str() != silent);
        let earlier = vec![HostList::of(&before)];
        let plan = World { hosts, earlier, ..World::default() }.plan(&jobs, &Options::default());
        assert_eq!(plan.decisions[job].action, expected);
    }
    // A host that left the file is not waited for: a person has said so.
    after.hosts.shift_remove(silent.as_str());
    let world = World {
        hosts: all_but(&after, &["four"]),
        earlier: vec![HostList::of(&before)],
        ..World::default()
    };
    let plan = world.plan(&super::support::jobs(after), &Options::default());
    for decision in plan.decisions.iter().filter(|d| d.action == Action::Blocked) {
        assert!(decision.detail.starts_with("four decides"), "{}", decision.detail);
    }
}

fn dealt(name: &str, when: Option<&str>) -> DealtHost {
    DealtHost { name: host_name(name), slots: 1, when: when.map(str::to_owned) }
}

/// What an earlier `when` took is used where it is certain; else the host counts as one that may have had the job.
#[test]
fn an_earlier_when_counts_where_its_meaning_is_certain() {
    let mut campaign = campaign("x {{ n }}", &[("n", ints(0..200))]);
    campaign.vars.insert(axis_name("most"), int(0));
    campaign.matrix.axes.insert(axis_name("twice"), Axis::Expr(expr("n * 2")));
    campaign.hosts = IndexMap::from([(host_name("here"), host(1)), (host_name("there"), host(1))]);
    campaign.hosts["there"].when = Some(expr("n < 0"));
    let jobs = jobs(campaign.clone());
    let blocked = |lists: Vec<HostList>| -> Vec<usize> {
        let world =
            World { hosts: all_but(&campaign, &["there"]), earlier: lists, ..World::default() };
        let plan = world.plan(&jobs, &Options::default());
        let blocked = plan.decisions.iter().filter(|d| d.action == Action::Blocked);
        blocked.map(|d| d.job).collect()
    };
    let list = |when| HostList(vec![dealt("here", None), dealt("there", when)]);
    assert_eq!(blocked(vec![HostList::of(&campaign)]), [0; 0]);
    assert_eq!(blocked(vec![list(Some("n < 0"))]), [0; 0]);
    let all = blocked(vec![list(None)]);
    assert!((70..130).contains(&all.len()), "{} of 200 for half of the slots", all.len());
    let some = blocked(vec![list(Some("n < 50"))]);
    assert_eq!(some, all.iter().copied().filter(|job| *job < 50).collect::<Vec<_>>());
    // Variables, derived axes, axes that are gone, expressions of another version or without an answer: it may have taken
    // them all, so those that `here` would have won stay its.
    for when in ["vars.most > 3", "twice < 0", "gone == 1", "n <", "n + 'a' == 1"] {
        assert_eq!(blocked(vec![list(Some(when))]), all, "{when}");
    }
    // A host without a job for certain does not shield one that may have it.
    let none = HostList(vec![dealt("here", Some("n < 0")), dealt("there", Some("vars.most > 3"))]);
    assert_eq!(blocked(vec![none]).len(), 200);
    assert_eq!(blocked(vec![list(Some("n < 0")), list(Some("n < 50"))]), some);
}

#[test]
fn a_list_of_hosts_is_one_text_whatever_the_order() {
    let mut campaign = three();
    campaign.hosts["two"].when = Some(expr("n < 3"));
    let text = serde_json::to_string(&HostList::of(&campaign)).unwrap();
    campaign.hosts.reverse();
    let turned = HostList::of(&campaign);
    assert_eq!(serde_json::to_string(&turned).unwrap(), text);
    assert_snapshot!(text);
    assert_eq!(serde_json::from_str::<HostList>(&text).unwrap(), turned);
    // A host's answers are not trusted.
    for wrong in [
        r#"[{"name": "../x", "slots": 1}]"#,
        r#"[{"name": "a\u001b[2J", "slots": 1}]"#,
        r#"[{"name": "a", "slots": -1}]"#,
        r#"[{"name": "a", "slots": 1, "more": 2}]"#,
    ] {
        let error = serde_json::from_str::<HostList>(wrong).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn host_chooses_jobs_by_their_host_and_moves_none() {
    let mut campaign = three();
    campaign.matrix.axes.insert(axis_name("n"), ints(0..40));
    let jobs = jobs(campaign.clone());
    let all = World::default().plan(&jobs, &Options::default());
    for names in [vec!["one"], vec!["two", "three"], vec!["one", "two", "three"]] {
        let hosts: BTreeSet<HostName> = names.iter().map(|name| host_name(name)).collect();
        let options = Options { hosts: Some(hosts), ..Options::default() };
        let plan = World::default().plan(&jobs, &options);
        let of = |plan: &Plan| -> Vec<(usize, Option<String>)> {
            plan.decisions.iter().map(|d| d.job).zip(homes(plan)).collect()
        };
        let mut expected = of(&all);
        expected.retain(|(_, home)| names.contains(&home.as_deref().unwrap()));
        assert_eq!(of(&plan), expected);
        assert_eq!(plan.summary.total, expected.len());
    }
    // A job that another host has is not chosen by its home; the limit counts what is chosen.
    let own = homes(&all)[0].clone().unwrap();
    let other = ["one", "two", "three"].into_iter().find(|name| *name != own).unwrap();
    let world = || World {
        known: vec![
            on(jobs.job(0), State::Running, other),
            on(jobs.job(1), State::Failed, "gone"),
            KnownJob { id: JobId([9; 16]), cell: None, ..on(jobs.job(0), State::Queued, other) },
        ],
        ..World::default()
    };
    let by = |name: &str| Options {
        hosts: Some(BTreeSet::from([host_name(name)])),
        limit: Some(1),
        ..Options::default()
    };
    let plan = world().plan(&jobs, &by(other));
    assert_eq!((plan.decisions[0].job, plan.decisions[0].action), (0, Action::Wait));
    assert_eq!((plan.summary.run, plan.summary.wait, plan.summary.obsolete), (1, 1, 0));
    assert!(world().plan(&jobs, &by(&own)).decisions.iter().all(|d| d.job != 0));
}

#[test]
fn the_host_of_a_job_is_the_one_that_has_it_or_its_home() {
    let campaign = three();
    let jobs: Arc<Expansion> = jobs(campaign);
    let own = homes(&World::default().plan(&jobs, &Options::default()));
    let moved = KnownJob {
        moved_to: Some(host_name("two")),
        host: None,
        ..known(jobs.job(1), State::Pending)
    };
    let known = Known::new(vec![on(jobs.job(0), State::Failed, "gone"), moved]);
    let hosts: Vec<Option<String>> =
        hosts_of(&jobs, &known).unwrap().into_iter().map(|h| h.map(|h| h.to_string())).collect();
    assert_eq!(hosts[0].as_deref(), Some("gone"));
    assert_eq!(hosts[1].as_deref(), Some("two"));
    assert_eq!(hosts[2..], own[2..]);
}

#[test]
fn rerun_and_offline_know_several_hosts() {
    let campaign = three();
    let jobs = jobs(campaign);
    let done: Vec<KnownJob> = jobs.jobs().map(|job| on(job, State::Succeeded, "two")).collect();
    // Nobody was asked: nothing is blocked.
    let world = World { known: done.clone(), ..World::default() };
    let again = world.plan(&jobs, &Options { rerun: Rerun::All, ..Options::default() });
    assert_eq!((again.summary.run, again.summary.blocked), (8, 0));
    assert_eq!(homes(&again), homes(&World::default().plan(&jobs, &Options::default())));
    let world = World { known: done, hosts: unreachable("two"), ..World::default() };
    let plan = world.plan(&jobs, &Options::default());
    assert_eq!((plan.summary.skip, plan.summary.blocked), (8, 0));
    assert!(homes(&plan).iter().all(|home| home.as_deref() == Some("two")));
}

#[test]
fn the_json_has_each_host_with_what_it_rests_on() {
    let mut campaign = three();
    campaign.matrix.axes = IndexMap::from([(axis_name("n"), ints([0]))]);
    let jobs = jobs(campaign.clone());
    let mut hosts = all_but(&campaign, &["two"]);
    hosts.remove("three");
    let plan = World { hosts, ..World::default() }.plan(&jobs, &Options::default());
    let json = serde_json::to_value(PlanView(&plan, &[])).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&json["hosts"]).unwrap());
    assert_eq!(json["jobs"][0]["home"].as_str(), homes(&plan)[0].as_deref());
}
