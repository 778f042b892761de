//! What an apply says at its end: how its jobs stand, what it left, where the table is.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::context::{Context, Loaded};
use super::error::CliError;
use super::tables::Tables;
use crate::apply::Workspace;
use crate::ids::{Attempt, JobId};
use crate::plan::{Action, Plan, Prefixes};
use crate::report::span;
use crate::state::State;

/// The jobs of a plan, as it was before anything of it was left.
pub(super) struct Chosen {
    /// For each whether it was to run, and the newest attempt there was.
    jobs: BTreeMap<JobId, (bool, Option<Attempt>)>,
}

impl Chosen {
    pub(super) fn by(plan: &Plan) -> Self {
        let jobs = plan.decisions.iter().map(|one| {
            let to_run = matches!(one.action, Action::Run | Action::Blocked);
            (plan.expansion.ids()[one.job], (to_run, one.attempt))
        });
        Self { jobs: jobs.collect() }
    }

    /// Jobs that nothing was planned for.
    pub(super) fn only(jobs: impl Iterator<Item = JobId>) -> Self {
        Self { jobs: jobs.map(|job| (job, (false, None))).collect() }
    }

    /// How they stand now.
    pub(super) fn outcome(&self, workspace: &Workspace) -> Result<Outcome, CliError> {
        let mut counts: BTreeMap<State, u64> = BTreeMap::new();
        let (mut failed, mut old) = (None, 0);
        for job in &workspace.store().snapshot()?.jobs {
            let Some((to_run, before)) = self.jobs.get(&job.id) else { continue };
            let state = job.state();
            *counts.entry(state).or_default() += 1;
            if state.is_final() {
                let newest = job.attempts.iter().map(|row| row.attempt).max();
                old += u64::from(*to_run && newest <= *before);
                failed = failed.or_else(|| (state != State::Succeeded).then_some(job.id));
            }
        }
        // What was never planned is in no checkpoint.
        let unknown = self.jobs.len() as u64 - counts.values().sum::<u64>();
        if unknown > 0 {
            *counts.entry(State::Pending).or_default() += unknown;
        }
        let counts = State::ALL.into_iter().filter_map(|state| Some((state, *counts.get(&state)?)));
        Ok(Outcome { counts: counts.collect(), failed, old })
    }
}

/// How the jobs of a plan stand after it.
pub(super) struct Outcome {
    /// Number of jobs by state.
    pub(super) counts: IndexMap<State, u64>,
    /// The first that ended otherwise than `succeeded`.
    pub(super) failed: Option<JobId>,
    /// Of those that have ended: how many were to run again, and have not.
    old: u64,
}

impl Outcome {
    /// Says it to people.
    pub(super) fn say(&self, context: &Context, loaded: &Loaded, elapsed_s: f64) {
        let elapsed = span(elapsed_s);
        context.say(&format!("   Summary [{elapsed:>7}] {}", self.words()));
        if let Some(job) = self.failed {
            let short = Prefixes::new(loaded.expansion.ids().iter().copied()).short(job);
            context.say(&format!("           why: sp explain {short}   output: sp logs {short}"));
        }
    }

    fn words(&self) -> String {
        let total: u64 = self.counts.values().sum();
        let mut text = if total == 1 { "1 job".to_owned() } else { format!("{total} jobs") };
        let words: Vec<String> =
            self.counts.iter().map(|(state, number)| format!("{number} {state}")).collect();
        if !words.is_empty() {
            text = format!("{text}: {}", words.join(", "));
        }
        match (self.old, total) {
            (0, _) => text,
            (1, 1) => text + ", by its earlier run: it was to run again and did not",
            (1, _) => text + "; one of them was to run again and did not",
            (old, _) => format!("{text}; {old} of them were to run again and did not"),
        }
    }
}

/// Says where the table is.
pub(super) fn say_table(context: &Context, tables: &Tables) {
    let shown = tables.folder().join("results.csv");
    let here = std::env::current_dir().unwrap_or_default();
    let shown = shown.strip_prefix(&here).unwrap_or(&shown).display();
    context.say(&format!("           table: sp results   file: {shown}"));
}
