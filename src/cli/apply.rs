//! `sp apply`: runs what is not done, waits, collects.

use std::collections::BTreeSet;
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::to_value;

use super::args::{self, Show};
use super::context::{Context, Loaded};
use super::error::CliError;
use super::exit::Exit;
use super::farewell::interrupted;
use super::observer::Screen;
use super::other_apply::{follow_other, say_holder};
use super::plan::{count, options, say_without_records, show};
use super::saved_plan::SavedPlan;
use super::session::{Reach, Session};
use super::summary::{self, Chosen};
use super::tables::Tables;
use super::{campaign_file, code};
use crate::apply::{
    Collected, How, Interrupts, Observer as _, RunOptions, Trouble, Workspace, new_apply_id,
};
use crate::ids::HostName;
use crate::lifecycle::{Event, EventKind};
use crate::plan::{Action, Decision, Options, Plan, Reason};
use crate::state::State;
use crate::store::{ApplyLock, Lock};

pub(super) fn run(context: &Context, arguments: &args::Apply) -> Result<Exit, CliError> {
    let saved = SavedPlan::read(&arguments.file);
    let file = saved.as_ref().map_or(&arguments.file, |saved| &saved.file);
    let (choice, selection) = saved.as_ref().map_or_else(
        || (arguments.choice.clone(), arguments.selection.clone()),
        SavedPlan::choices,
    );
    let loaded = context.load(file)?;
    context.check(&selection, &loaded.expansion)?;
    let wanted = Wanted { arguments, saved: saved.as_ref(), choice, selection };
    context.session(loaded, Reach::Nobody, |session| {
        let ended = context.block_on(apply(context, session, &wanted))?;
        context.note_handed_over(&session.workspace);
        ended
    })
}

/// What was asked for, by the command line or by a saved plan.
struct Wanted<'a> {
    arguments: &'a args::Apply,
    saved: Option<&'a SavedPlan>,
    choice: args::Choice,
    selection: args::Selection,
}

/// Takes the lock, asks the hosts, makes the plan and carries it out.
async fn apply(
    context: &Context,
    session: &mut Session<'_>,
    wanted: &Wanted<'_>,
) -> Result<Exit, CliError> {
    let Wanted { arguments, saved, choice, selection } = wanted;
    let began = Instant::now();
    let mut interrupts = Interrupts::new()?;
    // A second beginning, after the checkpoint was set aside, goes on with what the first one handed over.
    let mut watched = context.has_handed_over();
    let mut told = false;
    // Several that watch the same apply take turns when it has gone.
    let lock = loop {
        match session.workspace.lock()? {
            Lock::Acquired(lock) => break lock,
            Lock::Held(holder) => {
                if !told {
                    say_holder(context, holder.as_ref());
                }
                (told, watched) = (true, true);
                let ended = follow_other(session, &mut interrupts).await?;
                if let How::Interrupted(interrupt) = ended.how {
                    return interrupted(context, interrupt, &session.workspace, &session.loaded);
                }
            }
        }
    };
    session.ask(Reach::SomeHost, Some(&lock)).await?;
    // A folder that is not the campaign's is told of before jobs run for hours.
    let tables = Tables::new(&session.workspace, &session.loaded.expansion);
    tables.claim()?;
    let mut wanted = options(session, choice, selection)?;
    if watched {
        // What the apply before was there for has had its attempt; only what it never came to is left.
        wanted.no_failed = true;
        wanted.rerun = crate::plan::Rerun::None;
    }
    let now = code::code_now(context, &mut session.workspace, choice)?;
    let hosts = session.exit();
    let collected = session.collected().cloned().unwrap_or_default();
    let (workspace, loaded) = (&mut session.workspace, &session.loaded);
    let policy = code::policy(workspace, choice);
    let other = code::consider(workspace, &mut wanted, policy, now.as_ref())?;
    let plan = workspace.plan(Some(&collected), &wanted)?;
    if let Some(saved) = saved {
        let digest = code::saved_digest(now.as_ref(), &arguments.file);
        saved.check(&SavedPlan::of(loaded, &plan, choice, selection, digest)?)?;
    }
    let file = campaign_file::word(&loaded.file);
    code::say_changed(context, workspace, policy, (now.as_ref(), &other), &plan, &file)?;
    say_without_records(context, &plan);
    drop(now);
    let task = Task { context, loaded, arguments, began, hosts };
    let work = Work { plan, wanted, collected: &collected, tables };
    let exit = task.execute(workspace, work, &lock, &mut interrupts).await?;
    workspace.end(exit.code())?;
    Ok(exit)
}

struct Task<'a> {
    context: &'a Context,
    loaded: &'a Loaded,
    arguments: &'a args::Apply,
    began: Instant,
    /// What the hosts' answers mean for the exit code.
    hosts: Exit,
}

/// What is to be done, and what it was decided by.
struct Work<'a> {
    plan: Plan,
    wanted: Options,
    collected: &'a Collected,
    tables: Tables,
}

impl Task<'_> {
    async fn execute(
        &self,
        workspace: &mut Workspace,
        work: Work<'_>,
        lock: &ApplyLock,
        interrupts: &mut Interrupts,
    ) -> Result<Exit, CliError> {
        let context = self.context;
        let Work { plan, wanted, collected, tables } = work;
        let mut exit = self.hosts;
        if !context.quiet() && !context.json() {
            let text = show(context, &plan, Show::Work)?;
            context.say(text.trim_end());
            context.say("");
        }
        let hosts = wanted.hosts.clone();
        let chosen = Chosen::by(&plan);
        let (plan, left) = self.ask(workspace, plan, wanted.clone(), collected)?;
        let (plan, unsent) = self.ask_to_send(workspace, plan, wanted, collected)?;
        if left + unsent > 0 {
            exit = exit.and(Exit::Unfinished);
        }
        exit = exit.and(blocked(&plan));
        let work = plan.summary.run + plan.summary.wait;
        let mut screen = Screen::new(context, tables, &self.loaded.campaign, work as u64);
        let apply = new_apply_id();
        screen.event(&self.event(EventKind::Plan {
            campaign: self.loaded.campaign.name.clone(),
            apply: apply.clone(),
            summary: numbers(&plan),
        }));
        if plan.summary.run > 0 {
            screen.handing_over();
        }
        if collected.hosts.values().any(|answer| answer.trouble.is_none() && answer.tmux.is_none())
            && plan.summary.run > 0
        {
            screen.event(&self.event(EventKind::Warning {
                code: "no-tmux".to_owned(),
                detail: "there is no tmux, so `sp attach` can only follow a job's log".to_owned(),
                host: None,
                id: None,
            }));
        }
        if let Some(detail) = inside_a_job(context, workspace).filter(|_| work > 0) {
            let code = "inside-a-job".to_owned();
            screen.event(&self.event(EventKind::Warning { code, detail, host: None, id: None }));
        }
        let run_options = RunOptions {
            apply,
            detach: self.arguments.detach,
            max_parallel: self.arguments.max_parallel,
            max_fail: self.arguments.max_fail,
            hosts,
            locale: context.locale(),
            kill_after: context.kill_after(),
        };
        let ended =
            workspace.run(&plan, collected, lock, &run_options, &mut screen, interrupts).await?;
        exit = exit.and(say_troubles(context, workspace, &ended.troubles));
        match ended.how {
            How::Interrupted(interrupt) => {
                screen.finish();
                return interrupted(context, interrupt, workspace, self.loaded);
            }
            How::TimedOut => exit = exit.and(Exit::Unfinished),
            How::Done | How::Detached => {}
        }
        if ended.how == How::Detached {
            screen.finish();
            context.note(&handed_over(ended.handed_over, plan.summary.wait));
            return Ok(exit);
        }
        if screen.lacks_tables() {
            exit = exit.and(Exit::Person);
        }
        let outcome = chosen.outcome(workspace)?;
        if outcome.failed.is_some() {
            exit = exit.and(Exit::JobsFailed);
        }
        if plan.summary.total == 0 && left + unsent == 0 {
            exit = exit.and(Exit::NothingSelected);
        }
        let elapsed_s = self.began.elapsed().as_secs_f64();
        screen.event(&self.event(EventKind::Summary {
            counts: outcome.counts.clone(),
            elapsed_s,
            exit_code: exit.code(),
        }));
        let lacks_tables = screen.lacks_tables();
        let tables = screen.finish();
        if !context.json() && !context.quiet() {
            outcome.say(context, self.loaded, elapsed_s);
            if !lacks_tables {
                summary::say_table(context, &tables);
            }
        }
        Ok(exit)
    }

    fn event(&self, kind: EventKind) -> Event {
        Event { ts: self.context.clock().now(), kind }
    }

    /// What needs a yes: running a job again that has succeeded. Without one such jobs are left, and counted.
    fn ask(
        &self,
        workspace: &Workspace,
        plan: Plan,
        mut wanted: Options,
        collected: &Collected,
    ) -> Result<(Plan, usize), CliError> {
        if self.arguments.yes {
            return Ok((plan, 0));
        }
        let snapshot = workspace.store().snapshot()?;
        let succeeded: BTreeSet<_> = snapshot
            .jobs
            .iter()
            .filter(|job| job.state() == State::Succeeded)
            .map(|job| job.id)
            .collect();
        let again: Vec<usize> = plan
            .decisions
            .iter()
            .filter(|decision| decision.action == Action::Run && decision.reason == Reason::Forced)
            .map(|decision| decision.job)
            .filter(|job| succeeded.contains(&plan.expansion.ids()[*job]))
            .collect();
        if again.is_empty() {
            return Ok((plan, 0));
        }
        let jobs = count(again.len(), "job");
        if self.context.can_ask() {
            if self.context.confirm(&format!("Run {jobs} again that succeeded?"))? {
                return Ok((plan, 0));
            }
        } else {
            self.context.note(&format!(
                "{jobs} that succeeded would run again; without a terminal nobody can be asked, so the old results stay; `-y` runs them"
            ));
        }
        let left: BTreeSet<usize> = again.iter().copied().collect();
        let rest =
            plan.decisions.iter().map(|decision| decision.job).filter(|job| !left.contains(job));
        wanted.selection = Some(rest.collect());
        Ok((workspace.plan(Some(collected), &wanted)?, again.len()))
    }

    /// What needs a yes: sending more than `sync.max-size` to a host. Without one nothing is handed over to it.
    fn ask_to_send(
        &self,
        workspace: &Workspace,
        plan: Plan,
        mut wanted: Options,
        collected: &Collected,
    ) -> Result<(Plan, usize), CliError> {
        if self.arguments.yes {
            return Ok((plan, 0));
        }
        let runs = |one: &&Decision| one.action == Action::Run;
        let getting: BTreeSet<usize> =
            plan.decisions.iter().filter(runs).filter_map(|one| one.home).collect();
        let mut left_out = BTreeSet::new();
        for home in getting {
            let host = &plan.hosts[home].name;
            if let Some(question) = workspace.ask_before_sync(host)?
                && !code::may_send(self.context, &question, host)?
            {
                left_out.insert(home);
            }
        }
        if left_out.is_empty() {
            return Ok((plan, 0));
        }
        let stays = |one: &Decision| {
            one.action == Action::Run && one.home.is_some_and(|home| left_out.contains(&home))
        };
        let left = plan.decisions.iter().filter(|one| stays(one)).count();
        let rest = plan.decisions.iter().filter(|one| !stays(one)).map(|one| one.job);
        wanted.selection = Some(rest.collect());
        Ok((workspace.plan(Some(collected), &wanted)?, left))
    }
}

/// What a job should know that hands jobs over to its own machine: it has a slot that they may be waiting for.
fn inside_a_job(context: &Context, workspace: &Workspace) -> Option<String> {
    context.variable("SP_JOB_ID")?;
    let name = context.variable("SP_JOB_NAME").unwrap_or("without a name");
    let host = workspace.hosts().iter().find(|host| host.is_here())?.name();
    Some(format!(
        "this runs in the job `{name}`, which keeps its slot on this machine until it ends; jobs for host `{host}` wait for \
         another one, for ever where there is none: `slots = 2` or more in `[hosts.{host}]`, or `sp apply -d` here"
    ))
}

/// Says why hosts have something left, and what that means for the exit code.
fn say_troubles(
    context: &Context,
    workspace: &Workspace,
    troubles: &[(HostName, Trouble)],
) -> Exit {
    let mut exit = Exit::Done;
    for (host, trouble) in troubles {
        exit = exit.and(match trouble {
            Trouble::Stuck => {
                context.say(&format!(
                    "warning: the queue of host `{host}` does not move; its runners' messages are in v2/run/errors \
                     below its root"
                ));
                Exit::Unfinished
            }
            Trouble::Error(error) => context.say_trouble(host, error),
            Trouble::Setup(failure) => {
                super::setup::say_failure(context, workspace, host, failure)
            }
        });
    }
    exit
}

/// What `--detach` says at its end: how many jobs arrived at hosts, and how many were there before.
fn handed_over(arrived: usize, under_way: usize) -> String {
    let before = match under_way {
        0 => String::new(),
        _ => format!(", {under_way} under way before"),
    };
    match (arrived, under_way) {
        (0, 0) => "Nothing was handed over.".to_owned(),
        (0, _) => {
            let jobs = count(under_way, "job");
            format!("Nothing was handed over; {jobs} under way. To wait for them: sp wait")
        }
        _ => format!("{} handed over{before}. To wait for them: sp wait", count(arrived, "job")),
    }
}

/// What jobs that cannot run mean for the exit code: those of a host that does not answer may run later by themselves.
fn blocked(plan: &Plan) -> Exit {
    let blocked = plan.decisions.iter().filter(|one| one.action == Action::Blocked);
    blocked.fold(Exit::Done, |exit, one| {
        exit.and(if one.reason == Reason::Unreachable { Exit::Unfinished } else { Exit::Person })
    })
}

fn numbers(plan: &Plan) -> IndexMap<String, u64> {
    let Ok(serde_json::Value::Object(numbers)) = to_value(plan.summary) else {
        return IndexMap::new();
    };
    numbers.into_iter().filter_map(|(name, number)| Some((name, number.as_u64()?))).collect()
}
