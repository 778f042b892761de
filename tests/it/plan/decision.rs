//! What a plan says of each job, and its JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use insta::assert_snapshot;
use jiff::Timestamp;
use solverpilot::campaign::{Command, Host};
use solverpilot::ids::{Attempt, HostName, JobId};
use solverpilot::plan::{
    Action, BY_USER, Evidence, Expansion, HostList, HostStatus, Job, Known, KnownJob, Options,
    Parts, Plan, PlanView, Reason, Rerun, decide, plan,
};
use solverpilot::state::{Files, State};

use super::support::*;

pub(crate) fn known(job: Job<'_>, state: State) -> KnownJob {
    KnownJob {
        id: job.id(),
        cell: Some(job.cell_key()),
        name: job.name(),
        state,
        reason: String::new(),
        detail: String::new(),
        exit_code: None,
        signal: None,
        host: Some(host_name("local")),
        moved_to: None,
        attempt: Attempt::new(1),
        accepted_from: None,
        planned: true,
        ours: true,
        elapsed_s: None,
        stored: true,
        files: Files::Kept,
        code: None,
    }
}

#[derive(Default)]
pub(super) struct World {
    pub(super) known: Vec<KnownJob>,
    pub(super) parts: BTreeMap<JobId, Parts>,
    pub(super) hosts: BTreeMap<HostName, HostStatus>,
    pub(super) earlier: Vec<HostList>,
}

impl World {
    pub(super) fn plan(self, expansion: &Arc<Expansion>, options: &Options) -> Plan {
        let known = Known::new(self.known);
        let parts = |id: JobId| self.parts.get(&id).cloned();
        let evidence =
            Evidence { known: &known, parts: &parts, hosts: &self.hosts, earlier: &self.earlier };
        plan(Arc::clone(expansion), &evidence, options).unwrap()
    }
}

pub(super) fn told(plan: &Plan) -> String {
    let mut out = String::new();
    for decision in &plan.decisions {
        let name = plan.expansion.job(decision.job).name();
        let home = decision.home.map_or("-", |at| plan.hosts[at].name.as_str());
        let (action, reason, detail) = (decision.action, decision.reason, &decision.detail);
        writeln!(out, "{name}: {action} {reason} on {home}: {detail}").unwrap();
    }
    for obsolete in &plan.obsolete {
        let (name, action) = (&obsolete.known.name, obsolete.action);
        writeln!(out, "{name} obsolete: {action}: {}", obsolete.detail).unwrap();
    }
    out
}

pub(super) fn unreachable(host: &str) -> BTreeMap<HostName, HostStatus> {
    BTreeMap::from([(host_name(host), HostStatus::Unreachable { since: Timestamp::UNIX_EPOCH })])
}

/// Every state with every circumstance that the rule looks at.
#[test]
fn the_rule_for_every_state() {
    let jobs = jobs(sweep());
    let mut table = String::new();
    let forced = Options { rerun: Rerun::All, ..Options::default() };
    let no_failed = Options { no_failed: true, ..Options::default() };
    let plain = Options::default();
    for state in State::ALL {
        for (label, reason, stored) in
            [("", "", true), ("by-user", BY_USER, true), ("not stored", "", false)]
        {
            if reason == BY_USER && state != State::Cancelled {
                continue;
            }
            let mut job = known(jobs.job(0), state);
            job.reason = reason.to_owned();
            job.stored = stored;
            let cells = [&plain, &no_failed, &forced].map(|options| {
                let (action, reason) = decide(job.id, Some(&job), false, options);
                format!("{action} {reason}")
            });
            let [plain, no_failed, forced] = cells;
            writeln!(table, "{state:<10} {label:<10} | {plain:<16} | {no_failed:<16} | {forced}")
                .unwrap();
        }
    }
    assert_snapshot!(table);
}

#[test]
fn the_rule_without_a_past_and_with_other_code() {
    let jobs = jobs(sweep());
    let job = jobs.job(0);
    let options = Options { other_code: [[1; 32]].into(), ..Options::default() };
    assert_eq!(decide(job.id(), None, false, &options), (Action::Run, Reason::New));
    assert_eq!(decide(job.id(), None, true, &options), (Action::Run, Reason::Changed));
    // A job that was planned and never handed over is as new as before.
    let mut pending = known(job, State::Pending);
    pending.attempt = None;
    assert_eq!(decide(job.id(), Some(&pending), false, &options), (Action::Run, Reason::New));
    assert_eq!(decide(job.id(), Some(&pending), true, &options), (Action::Run, Reason::Changed));
    let mut done = known(job, State::Succeeded);
    for (code, expected) in [
        (None, (Action::Skip, Reason::Succeeded)),
        (Some([2; 32]), (Action::Skip, Reason::Succeeded)),
        (Some([1; 32]), (Action::Run, Reason::CodeChanged)),
    ] {
        done.code = code;
        assert_eq!(decide(job.id(), Some(&done), false, &options), expected);
    }
    done.accepted_from = Some(JobId([7; 16]));
    done.code = Some([2; 32]);
    assert_eq!(decide(job.id(), Some(&done), false, &options), (Action::Skip, Reason::Accepted));
}

#[test]
fn a_mixed_campaign() {
    let jobs = jobs(sweep());
    let mut failed = known(jobs.job(1), State::Failed);
    failed.exit_code = Some(3);
    failed.attempt = Attempt::new(2);
    let mut oom = known(jobs.job(2), State::Oom);
    oom.detail = "killed at 63 GiB\u{1b}[2J".to_owned();
    let mut cancelled = known(jobs.job(4), State::Cancelled);
    cancelled.reason = BY_USER.to_owned();
    let world = || World {
        known: vec![
            known(jobs.job(0), State::Succeeded),
            failed.clone(),
            oom.clone(),
            known(jobs.job(3), State::Running),
            cancelled.clone(),
        ],
        ..World::default()
    };
    assert_snapshot!(told(&world().plan(&jobs, &Options::default())));
    assert_snapshot!(told(&world().plan(&jobs, &Options { limit: Some(1), ..Options::default() })));
    let rerun = Rerun::Jobs(BTreeSet::from([jobs.ids()[0], jobs.ids()[3]]));
    let options = Options { rerun, selection: Some(vec![3, 0]), ..Options::default() };
    assert_snapshot!(told(&world().plan(&jobs, &options)));
    let down = World { hosts: unreachable("local"), ..world() };
    assert_snapshot!(told(&down.plan(&jobs, &Options::default())));
}

#[test]
fn an_edit_is_told_and_the_old_version_is_obsolete() {
    let old = jobs(sweep());
    let mut edited = sweep();
    edited.command = Command::Shell(shell("python bench.py {{ seq }} {{ dtype }}"));
    env(&mut edited, "SEED", "1");
    edited.matrix.when = Some(expr("seq <= 2048"));
    let new = jobs(edited);
    let world = || World {
        known: vec![
            known(old.job(0), State::Succeeded),
            known(old.job(1), State::Queued),
            known(old.job(4), State::Running),
            known(old.job(5), State::Queued),
        ],
        parts: old.jobs().map(|job| (job.id(), job.parts().unwrap())).collect(),
        ..World::default()
    };
    let mut lines: Vec<String> =
        told(&world().plan(&new, &Options::default())).lines().map(str::to_owned).collect();
    lines[4..].sort();
    assert_snapshot!(lines.join("\n"));
    let plan = world().plan(&new, &Options { withdraw: true, ..Options::default() });
    assert_eq!((plan.summary.withdraw, plan.summary.obsolete), (2, 4));
}

#[test]
fn the_predecessor_is_the_version_of_the_last_plan() {
    let jobs = jobs(sweep());
    let version = |byte: u8, planned| KnownJob {
        id: JobId([byte; 16]),
        planned,
        ..known(jobs.job(0), State::Succeeded)
    };
    let cell = jobs.job(0).cell_key();
    let predecessor = |versions: Vec<KnownJob>| {
        Known::new(versions).predecessor(cell, jobs.ids()[0]).map(|job| job.id.0[0])
    };
    assert_eq!(predecessor(vec![version(9, false), version(3, true), version(5, false)]), Some(3));
    assert_eq!(predecessor(vec![version(9, false), version(5, false)]), Some(5));
    // One that nobody ran is no version to compare with.
    let unrun = KnownJob { state: State::Pending, attempt: None, ..version(1, true) };
    assert_eq!(predecessor(vec![unrun, version(5, false)]), Some(5));
    assert_eq!(predecessor(vec![known(jobs.job(0), State::Succeeded)]), None);
    // Of two entries of one job the later one counts.
    let newer = KnownJob { state: State::Failed, ..version(7, true) };
    let both = Known::new(vec![version(7, true), newer]);
    assert_eq!(both.jobs().len(), 1);
    assert_eq!(both.get(JobId([7; 16])).map(|job| job.state), Some(State::Failed));
}

#[test]
fn a_new_value_is_told() {
    let old = jobs(sweep());
    let mut more = sweep();
    more.matrix.axes.insert(axis_name("seq"), ints([1024, 2048, 4096, 8192]));
    more.repeat = 2;
    let new = jobs(more);
    let world = World {
        known: old.jobs().map(|job| known(job, State::Succeeded)).collect(),
        ..World::default()
    };
    let plan = world.plan(&new, &Options::default());
    let details: Vec<String> = plan
        .decisions
        .iter()
        .filter(|decision| decision.action == Action::Run)
        .map(|decision| format!("{}: {}", new.job(decision.job).name(), decision.detail))
        .collect();
    assert_snapshot!(details.join("\n"));
}

#[test]
fn hosts_choose_by_when_and_homes_are_stable() {
    let mut two = sweep();
    let host = |when: &str| Host { slots: 1, when: Some(expr(when)), ..Host::default() };
    two.hosts.clear();
    two.hosts.insert(host_name("gpu-1"), host("dtype == 'fp16'"));
    two.hosts.insert(host_name("gpu-2"), host("dtype == 'fp16' and seq < 4096"));
    assert_snapshot!(told(&World::default().plan(&jobs(two.clone()), &Options::default())));
    let mut turned = two.clone();
    turned.hosts.reverse();
    let homes = |campaign| {
        let plan = World::default().plan(&jobs(campaign), &Options::default());
        let name = |d: &solverpilot::plan::Decision| d.home.map(|at| plan.hosts[at].name.clone());
        plan.decisions.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(homes(two), homes(turned));
}

#[test]
fn slots_weigh_and_a_third_host_takes_only_its_share() {
    let mut campaign = campaign("x {{ a }}", &[("a", ints(0..3000))]);
    let host = |slots| Host { slots, ..Host::default() };
    campaign.hosts.clear();
    campaign.hosts.insert(host_name("one"), host(1));
    campaign.hosts.insert(host_name("two"), host(2));
    let homes = |campaign: &solverpilot::campaign::Campaign| -> Vec<String> {
        let plan = World::default().plan(&jobs(campaign.clone()), &Options::default());
        plan.decisions.iter().map(|d| plan.hosts[d.home.unwrap()].name.to_string()).collect()
    };
    let before = homes(&campaign);
    let ones = before.iter().filter(|home| *home == "one").count();
    assert!((900..1100).contains(&ones), "{ones} of 3000 for a third of the slots");
    campaign.hosts.insert(host_name("three"), host(3));
    let after = homes(&campaign);
    let moved = before.iter().zip(&after).filter(|(old, new)| old != new).count();
    assert!(before.iter().zip(&after).all(|(old, new)| old == new || new == "three"));
    assert!((1350..1650).contains(&moved), "{moved} of 3000 for half of the slots");
}

#[test]
fn results_that_only_a_host_has_are_adopted() {
    let jobs = jobs(sweep());
    let mut fresh = known(jobs.job(0), State::Succeeded);
    fresh.stored = false;
    let world = World {
        known: vec![fresh],
        hosts: BTreeMap::from([(host_name("local"), HostStatus::Probed(Timestamp::UNIX_EPOCH))]),
        ..World::default()
    };
    let plan = world.plan(&jobs, &Options { limit: Some(0), ..Options::default() });
    assert_eq!((plan.summary.adopt, plan.summary.run, plan.summary.skip), (1, 0, 5));
}

#[test]
fn the_json_is_the_documented_one() {
    let mut small = campaign("echo {{ n }} > {{ job.out_dir }}", &[("n", ints([1, 2]))]);
    small.matrix.include = vec![subset(&[("n", int(3)), ("note", text("x"))])];
    let jobs = jobs(small);
    let gone = KnownJob {
        id: JobId([9; 16]),
        name: "n=9".to_owned(),
        cell: None,
        ..known(jobs.job(0), State::Queued)
    };
    let world = World {
        known: vec![gone, known(jobs.job(1), State::Succeeded)],
        hosts: unreachable("local"),
        ..World::default()
    };
    let plan = world.plan(&jobs, &Options::default());
    assert_snapshot!(serde_json::to_string_pretty(&PlanView(&plan, &[])).unwrap());
}
