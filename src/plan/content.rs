//! The content of all jobs, from which their ids are computed: axes, command, environment, inputs.
//!
//! Brings templates, files and values to the form that `identity` defines; the form itself is not decided here.

use crate::campaign::glob;
use crate::campaign::template::{Reference, Rendered, Sink};
use crate::campaign::{Campaign, Command, EnvValue};
use crate::ids::JobId;
use crate::plan::axes::{Column, ColumnKind, Row};
use crate::plan::cells::Cells;
use crate::plan::identity::{Form, axis_bytes};
use crate::plan::inputs::{Inputs, pattern_text, sort_files};
use crate::plan::name::visible;
use crate::plan::render::{Text, Texts};
use crate::plan::{Files, PlanError};

impl Sink for Form {
    fn text(&mut self, text: &str) {
        Form::text(self, text);
    }

    fn reference(&mut self, reference: &Reference) {
        Form::reference(self, reference);
    }
}

/// The axes of cells in canonical form: each value is encoded once.
pub(crate) struct AxisForms {
    /// Column, bytes and ends of the values in them; in byte order of the axes' names.
    columns: Vec<(usize, Vec<u8>, Vec<usize>)>,
}

impl AxisForms {
    pub(crate) fn new(columns: &[Column]) -> Self {
        let mut forms: Vec<(usize, Vec<u8>, Vec<usize>)> = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            if column.kind == ColumnKind::Derived {
                continue;
            }
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for (n, value) in column.values.iter().enumerate() {
                // `repeat` 0 is the job as it was before the file said `repeat`.
                if column.kind != ColumnKind::Repeat || n > 0 {
                    axis_bytes(&mut bytes, column.name.as_str(), value);
                }
                ends.push(bytes.len());
            }
            forms.push((at, bytes, ends));
        }
        forms.sort_by_key(|(at, ..)| columns[*at].name.as_str().as_bytes());
        Self { columns: forms }
    }

    pub(crate) fn write(&self, cell: &[u32], form: &mut Form) {
        for (column, bytes, ends) in &self.columns {
            let at = cell[*column] as usize;
            if let Some(end) = ends.get(at) {
                let start = if at == 0 { 0 } else { ends[at - 1] };
                form.axis(&bytes[start..*end]);
            }
        }
    }
}

/// Everything of a campaign that its jobs' ids are computed from, ready for every job.
pub(crate) struct Content<'c> {
    campaign: &'c Campaign,
    axes: AxisForms,
    command: Vec<Text<'c>>,
    prepare: Option<Text<'c>>,
    /// In byte order of the names.
    env: Vec<(&'c str, EnvText<'c>)>,
    inputs: Vec<Text<'c>>,
}

enum EnvText<'c> {
    Text(Text<'c>),
    Secret(&'c str),
}

/// Fewer jobs than this are not worth a second thread.
const WORTH_A_THREAD: usize = 4096;

impl<'c> Content<'c> {
    pub(crate) fn new(campaign: &'c Campaign, texts: &mut Texts<'c>) -> Self {
        let command = match &campaign.command {
            Command::Shell(text) => vec![texts.prepare(text, "command")],
            Command::Argv(words) => words.iter().map(|w| texts.prepare(w, "command")).collect(),
        };
        let mut env: Vec<(&str, EnvText<'_>)> = Vec::new();
        for (name, value) in &campaign.env {
            let text = match value {
                EnvValue::Plain(text) => EnvText::Text(texts.prepare(text, format!("env.{name}"))),
                EnvValue::FromEnv(variable) => EnvText::Secret(variable),
            };
            env.push((name, text));
        }
        env.sort_by_key(|(name, _)| name.as_bytes());
        Self {
            campaign,
            axes: AxisForms::new(texts.columns),
            command,
            prepare: campaign.prepare.as_ref().map(|text| texts.prepare(text, "prepare")),
            env,
            inputs: campaign.inputs.iter().map(|text| texts.prepare(text, "inputs")).collect(),
        }
    }

    /// Finds and reads the files of all jobs, before ids are computed side by side.
    pub(crate) fn load_inputs(
        &self,
        cells: &Cells,
        texts: &Texts<'_>,
        files: &dyn Files,
    ) -> Result<Inputs, PlanError> {
        let mut inputs = Inputs::default();
        for text in &self.inputs {
            let jobs = if Texts::is_constant(text) { 1 } else { cells.count };
            for job in 0..jobs {
                let row = Row {
                    columns: &cells.columns,
                    vars: &self.campaign.vars,
                    cell: cells.cell(job),
                };
                let pattern = render_pattern(texts, text, row)?;
                // A value can bring `..` or a leading `/`, which the file's own check cannot see.
                glob::check(&pattern).map_err(|error| PlanError::Pattern {
                    what: "inputs".to_owned(),
                    pattern: visible(&pattern).into_owned(),
                    cell: row.words(),
                    cause: format!("the glob {error}"),
                    help: error.help().to_owned(),
                })?;
                let found = inputs
                    .load(&pattern, files)
                    .map_err(|source| PlanError::InputFiles { cell: row.words(), source })?;
                if !found {
                    return Err(PlanError::InputMissing { pattern, cell: row.words() });
                }
            }
        }
        Ok(inputs)
    }

    pub(crate) fn ids(
        &self,
        cells: &Cells,
        texts: &Texts<'_>,
        inputs: &Inputs,
    ) -> Result<Vec<JobId>, PlanError> {
        if cells.count < WORTH_A_THREAD {
            return self.some_ids(0..cells.count, cells, texts, inputs);
        }
        let half = cells.count / 2;
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| self.some_ids(half..cells.count, cells, texts, inputs));
            let first = self.some_ids(0..half, cells, texts, inputs);
            (first, second.join())
        });
        let mut ids = first?;
        match second {
            Ok(second) => ids.extend(second?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(ids)
    }

    fn some_ids(
        &self,
        jobs: std::ops::Range<usize>,
        cells: &Cells,
        texts: &Texts<'_>,
        inputs: &Inputs,
    ) -> Result<Vec<JobId>, PlanError> {
        let mut form = Form::default();
        let mut files = Vec::new();
        let mut ids = Vec::with_capacity(jobs.len());
        for job in jobs {
            let cell = cells.cell(job);
            form.start_job();
            self.axes.write(cell, &mut form);
            self.write_command(cell, texts, &mut form)?;
            form.shell(&self.campaign.shell);
            form.working_dir(&self.campaign.working_dir);
            for (name, value) in &self.env {
                match value {
                    EnvText::Secret(variable) => form.env_secret(name, variable),
                    EnvText::Text(text) => {
                        form.env_text(name);
                        texts.render(text, cell, &mut form)?;
                        form.end_text();
                    }
                }
            }
            if !self.inputs.is_empty() {
                files.clear();
                let row = Row { columns: &cells.columns, vars: &self.campaign.vars, cell };
                for text in &self.inputs {
                    inputs.push_files(&render_pattern(texts, text, row)?, &mut files);
                }
                sort_files(&mut files);
                for (path, digest) in &files {
                    form.input(path, digest);
                }
            }
            ids.push(form.job_id());
        }
        Ok(ids)
    }

    fn write_command(
        &self,
        cell: &[u32],
        texts: &Texts<'_>,
        form: &mut Form,
    ) -> Result<(), PlanError> {
        match &self.campaign.command {
            Command::Shell(_) => form.shell_command(),
            Command::Argv(words) => form.argv(words.len()),
        }
        for text in &self.command {
            texts.render(text, cell, form)?;
            form.end_text();
        }
        if let Some(prepare) = &self.prepare {
            form.prepare();
            texts.render(prepare, cell, form)?;
            form.end_text();
        }
        Ok(())
    }
}

fn render_pattern(texts: &Texts<'_>, text: &Text<'_>, row: Row<'_>) -> Result<String, PlanError> {
    let mut rendered = Rendered::new();
    texts.render(text, row.cell, &mut rendered)?;
    pattern_text(rendered).ok_or_else(|| PlanError::Render {
        what: "inputs".to_owned(),
        cell: row.words(),
        cause: "inputs are read here, before a host is known".to_owned(),
    })
}
