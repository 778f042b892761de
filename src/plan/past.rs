//! What of the matrix was there before: the other version of an edited job, the values that are new.
//!
//! Compares cells with what is known. What follows from it for a job is `decide`'s.

use crate::plan::axes::{ColumnKind, EMPTY};
use crate::plan::detail::Detail;
use crate::plan::expand::Expansion;
use crate::plan::job::CellKeys;
use crate::plan::known::{Known, KnownJob};
use crate::plan::name::pairs;

/// What of the matrix was there before.
pub(super) struct Past<'a> {
    /// For each job the other version of its cell, where the job itself has no history.
    pub(super) predecessors: Vec<Option<&'a KnownJob>>,
    /// For each column and value whether a known job has it; empty when no job of the matrix is known.
    seen: Vec<Vec<bool>>,
}

impl<'a> Past<'a> {
    pub(super) fn new(expansion: &Expansion, known: &'a Known) -> Self {
        let mut predecessors = vec![None; expansion.len()];
        if known.is_empty() {
            return Self { predecessors, seen: Vec::new() };
        }
        let columns = expansion.columns();
        let mut seen: Vec<Vec<bool>> =
            columns.iter().map(|column| vec![false; column.values.len()]).collect();
        let mut keys = CellKeys::new(expansion);
        let mut some = false;
        for (job, id) in expansion.ids().iter().enumerate() {
            let by_id = known.get(*id);
            if by_id.is_none_or(|job| !job.has_history()) {
                predecessors[job] = known.predecessor(keys.key(job), *id);
            }
            if by_id.is_some() || predecessors[job].is_some() {
                some = true;
                for (seen, at) in seen.iter_mut().zip(expansion.cells.cell(job)) {
                    if let Some(seen) = seen.get_mut(*at as usize) {
                        *seen = true;
                    }
                }
            }
        }
        if !some {
            seen.clear();
        }
        Self { predecessors, seen }
    }

    /// `threads=4 added` when that value, and no other, is new to all that is known.
    pub(super) fn of_new(&self, expansion: &Expansion, job: usize) -> Detail {
        let cell = expansion.cells.cell(job);
        let mut unseen = expansion
            .columns()
            .iter()
            .zip(cell)
            .zip(&self.seen)
            .filter(|((column, at), _)| column.kind != ColumnKind::Derived && **at != EMPTY)
            .filter(|((_, at), seen)| !seen[**at as usize]);
        match (unseen.next(), unseen.next()) {
            (Some(((column, at), _)), None) => {
                let pair = column.get(*at).map(|value| (column.name.as_str(), value));
                format!("{} added", pairs(pair.into_iter())).into()
            }
            _ => "never run".into(),
        }
    }
}
