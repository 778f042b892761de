//! A campaign as jobs: cells with identities, in an order that only the file decides.
//!
//! A job here is a row of small numbers and an id. Names, commands and the like are rendered when somebody asks, by
//! [`Expansion::job`]; every text is tried here once, so that a job of an expansion always has them. Nothing is compared
//! with what is known from earlier; that is `decide`.

use std::sync::Arc;

use crate::campaign::Campaign;
use crate::campaign::template::{Reference, Sink, Template};
use crate::ids::JobId;
use crate::plan::axes::{Column, ColumnKind, Row, index};
use crate::plan::cells::{Cells, cells};
use crate::plan::content::Content;
use crate::plan::inputs::Inputs;
use crate::plan::job::Job;
use crate::plan::render::Texts;
use crate::plan::{Files, PlanError, PlanWarning};

/// All jobs of a campaign.
#[derive(Debug)]
pub struct Expansion {
    campaign: Arc<Campaign>,
    pub(crate) cells: Cells,
    pub(crate) inputs: Inputs,
    ids: Vec<JobId>,
    /// Jobs in the order of their ids.
    by_id: Vec<u32>,
    warnings: Vec<PlanWarning>,
}

/// Expands a campaign.
///
/// # Errors
/// The first thing that keeps the matrix from being a list of jobs.
pub fn expand(campaign: Arc<Campaign>, files: &dyn Files) -> Result<Expansion, PlanError> {
    let mut cells = cells(&campaign, files)?;
    let mut texts = Texts::new(&campaign, &cells.columns);
    let content = Content::new(&campaign, &mut texts);
    let inputs = content.load_inputs(&cells, &texts, files)?;
    let ids = content.ids(&cells, &texts, &inputs)?;
    let by_id = sort_ids(&ids);
    check_duplicates(&campaign, &cells, &ids, &by_id)?;
    let warnings = std::mem::take(&mut cells.warnings);
    let mut expansion = Expansion { campaign, cells, inputs, ids, by_id, warnings };
    expansion.check_texts()?;
    Ok(expansion)
}

impl Expansion {
    /// The campaign.
    pub fn campaign(&self) -> &Arc<Campaign> {
        &self.campaign
    }

    /// Number of jobs, at least 1.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never; there is no campaign without a job.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Ids in the order of jobs.
    pub fn ids(&self) -> &[JobId] {
        &self.ids
    }

    /// The axes as columns, in file order, `repeat` last.
    pub fn columns(&self) -> &[Column] {
        &self.cells.columns
    }

    /// What is most likely not meant.
    pub fn warnings(&self) -> &[PlanWarning] {
        &self.warnings
    }

    /// The job at a place in the order, from 0; panics beyond [`Expansion::len`].
    pub fn job(&self, index: usize) -> Job<'_> {
        assert!(index < self.len(), "job {index} of {}", self.len());
        Job::new(self, index)
    }

    /// Every job in order.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = Job<'_>> + '_ {
        (0..self.len()).map(|index| Job::new(self, index))
    }

    /// The place of a job in the order.
    pub fn index_of(&self, id: JobId) -> Option<usize> {
        let at = self.by_id.binary_search_by_key(&id, |job| self.ids[*job as usize]).ok()?;
        Some(self.by_id[at] as usize)
    }

    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        let (columns, vars) = (&self.cells.columns, &self.campaign.vars);
        Row { columns, vars, cell: self.cells.cell(index) }
    }

    /// Tries the texts that identity does not need, and looks for names that are not unique.
    fn check_texts(&mut self) -> Result<(), PlanError> {
        let campaign = Arc::clone(&self.campaign);
        let mut texts = Texts::new(&campaign, &self.cells.columns);
        let done = &campaign.done;
        let mut plain = Vec::new();
        plain.extend(campaign.cleanup.as_ref().map(|t| texts.prepare(t, "cleanup")));
        plain.extend(campaign.job_name.as_ref().map(|t| texts.prepare(t, "job-name")));
        // A text that is surely there for every cell is not made here only to be thrown away.
        for text in plain.iter().filter(|text| !Texts::is_constant(text)) {
            for at in 0..self.len() {
                if !texts.surely_renders(text, self.cells.cell(at)) {
                    texts.render(text, self.cells.cell(at), &mut Nothing)?;
                }
            }
        }
        let globs = done.files.iter().chain(done.count.iter().map(|count| &count.files));
        let patterns: Vec<&Template> = globs.chain(&done.log).collect();
        let constant = patterns.iter().all(|text| Texts::is_constant(&texts.prepare(text, "done")));
        if !patterns.is_empty() {
            let tried = if constant { 1 } else { self.len() };
            for job in self.jobs().take(tried) {
                job.markers()?;
            }
        }
        if campaign.job_name.is_some() {
            self.warn_same_names();
        }
        Ok(())
    }

    fn warn_same_names(&mut self) {
        let mut hashes: Vec<(u64, u32)> = self
            .jobs()
            .map(|job| {
                let hash = blake3::hash(job.name().as_bytes());
                let mut word = [0; 8];
                word.copy_from_slice(&hash.as_bytes()[..8]);
                (u64::from_le_bytes(word), index(job.index()))
            })
            .collect();
        hashes.sort_unstable();
        let mut same = hashes.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|p| p[0].1);
        if let Some(first) = same.next() {
            let count = 1 + same.count();
            let name = self.job(first as usize).name();
            self.warnings.push(PlanWarning::SameName { name, count });
        }
    }
}

/// A sink for texts that are only tried.
struct Nothing;

impl Sink for Nothing {
    fn text(&mut self, _: &str) {}
    fn reference(&mut self, _: &Reference) {}
}

fn sort_ids(ids: &[JobId]) -> Vec<u32> {
    let mut by_id: Vec<u32> = (0..index(ids.len())).collect();
    by_id.sort_unstable_by_key(|job| (ids[*job as usize], *job));
    by_id
}

fn check_duplicates(
    campaign: &Campaign,
    cells: &Cells,
    ids: &[JobId],
    by_id: &[u32],
) -> Result<(), PlanError> {
    let same = |pair: &&[u32]| ids[pair[0] as usize] == ids[pair[1] as usize];
    // The first in the order of jobs, not of ids, so that the message does not jump with every edit.
    let first = by_id.windows(2).filter(same).min_by_key(|pair| pair[1]);
    let Some(&[first, second]) = first else { return Ok(()) };
    let (first, second) = (first as usize, second as usize);
    let words =
        |job| Row { columns: &cells.columns, vars: &campaign.vars, cell: cells.cell(job) }.words();
    let differing = cells.columns.iter().enumerate().find(|(at, column)| {
        column.kind == ColumnKind::Dimension && cells.cell(first)[*at] != cells.cell(second)[*at]
    });
    let why = differing.map_or_else(String::new, |(_, column)| {
        format!("; axis `{}` has this value more than once", column.name)
    });
    Err(PlanError::DuplicateJob {
        first: words(first),
        first_index: first,
        second: words(second),
        second_index: second,
        why,
    })
}
