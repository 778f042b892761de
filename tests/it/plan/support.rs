//! Campaigns and files made by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use solverpilot::campaign::template::{Expression, Place, Template};
use solverpilot::campaign::{
    Axis, Campaign, CodeChange, Command, Done, EnvValue, Host, Leftover, Matrix, Sync, Value,
};
use solverpilot::ids::{AxisName, HostName};
use solverpilot::plan::{Expansion, Files, FilesError, Job, PlanError, expand};

/// Files in memory. A pattern matches by its text before the first `*` and after the last one.
#[derive(Debug, Default, Clone)]
pub(crate) struct FakeFiles(pub(crate) BTreeMap<String, String>);

impl FakeFiles {
    pub(crate) fn with(mut self, path: &str, content: &str) -> Self {
        self.0.insert(path.to_owned(), content.to_owned());
        self
    }

    fn content(&self, path: &str) -> Result<&str, FilesError> {
        self.0.get(path).map(String::as_str).ok_or_else(|| FilesError::new(path, "no such file"))
    }
}

impl Files for FakeFiles {
    fn glob(&self, pattern: &str) -> Result<Vec<String>, FilesError> {
        let (head, tail) = pattern.split_once('*').unwrap_or((pattern, ""));
        let tail = tail.rsplit_once('*').map_or(tail, |(_, tail)| tail);
        let matches = |path: &&String| path.starts_with(head) && path.ends_with(tail);
        // Backwards: the order of jobs must not hang on it.
        Ok(self.0.keys().filter(matches).rev().cloned().collect())
    }

    fn lines(&self, path: &str) -> Result<Vec<String>, FilesError> {
        Ok(self.content(path)?.lines().map(str::to_owned).collect())
    }

    fn digest(&self, path: &str) -> Result<[u8; 32], FilesError> {
        Ok(*blake3::hash(self.content(path)?.as_bytes()).as_bytes())
    }
}

pub(crate) fn axis_name(name: &str) -> AxisName {
    name.parse().unwrap()
}

pub(crate) fn host_name(name: &str) -> HostName {
    name.parse().unwrap()
}

pub(crate) fn shell(text: &str) -> Template {
    Template::parse(text, Place::Shell).unwrap()
}

pub(crate) fn plain(text: &str) -> Template {
    Template::parse(text, Place::Plain).unwrap()
}

pub(crate) fn glob(text: &str) -> Template {
    Template::parse(text, Place::Glob).unwrap()
}

pub(crate) fn regex(text: &str) -> Template {
    Template::parse(text, Place::Regex).unwrap()
}

pub(crate) fn expr(text: &str) -> Expression {
    Expression::parse(text).unwrap()
}

pub(crate) fn int(n: i64) -> Value {
    Value::Int(n)
}

pub(crate) fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

pub(crate) fn float(spelled: &str) -> Value {
    Value::Float { value: spelled.parse().unwrap(), spelled: spelled.to_owned() }
}

pub(crate) fn ints(values: impl IntoIterator<Item = i64>) -> Axis {
    Axis::Values(values.into_iter().map(Value::Int).collect())
}

pub(crate) fn texts(values: &[&str]) -> Axis {
    Axis::Values(values.iter().map(|value| text(value)).collect())
}

pub(crate) fn subset(pairs: &[(&str, Value)]) -> IndexMap<AxisName, Value> {
    pairs.iter().map(|(name, value)| (axis_name(name), value.clone())).collect()
}

/// A campaign that runs `command` over `axes` on `local`.
pub(crate) fn campaign(command: &str, axes: &[(&str, Axis)]) -> Campaign {
    Campaign {
        setup: None,
        code_change: CodeChange::default(),
        sync: Sync::default(),
        name: "test".parse().unwrap(),
        id: None,
        description: None,
        command: Command::Shell(shell(command)),
        shell: ["bash", "-euo", "pipefail"].map(str::to_owned).to_vec(),
        working_dir: ".".to_owned(),
        prepare: None,
        cleanup: None,
        leftover: Leftover::Kill,
        cleanup_limit: std::time::Duration::from_mins(10),
        repeat: 1,
        job_name: None,
        time_limit: None,
        inputs: Vec::new(),
        max_parallel: None,
        max_fail: None,
        log_max: 256 << 20,
        vars: IndexMap::new(),
        env: IndexMap::new(),
        matrix: Matrix {
            axes: axes.iter().map(|(name, axis)| (axis_name(name), axis.clone())).collect(),
            ..Matrix::default()
        },
        done: Done { exit_codes: vec![0], files: Vec::new(), log: None, count: None },
        hosts: IndexMap::from([(host_name("local"), Host { slots: 1, ..Host::default() })]),
        results_dir: None,
    }
}

/// `seq` × `dtype`, six jobs.
pub(crate) fn sweep() -> Campaign {
    campaign(
        "python bench.py --seq {{ seq }} --dtype {{ dtype }}",
        &[("seq", ints([1024, 2048, 4096])), ("dtype", texts(&["fp16", "bf16"]))],
    )
}

pub(crate) fn env(campaign: &mut Campaign, name: &str, value: &str) {
    campaign.env.insert(name.to_owned(), EnvValue::Plain(plain(value)));
}

pub(crate) fn jobs(campaign: Campaign) -> Arc<Expansion> {
    Arc::new(expand(Arc::new(campaign), &FakeFiles::default()).unwrap())
}

pub(crate) fn error(campaign: Campaign, files: &FakeFiles) -> PlanError {
    expand(Arc::new(campaign), files).unwrap_err()
}

/// Error and help as a person reads them.
pub(crate) fn said(error: &PlanError) -> String {
    format!("{error}\n{}", error.help())
}

pub(crate) fn names(expansion: &Expansion) -> Vec<String> {
    expansion.jobs().map(Job::name).collect()
}
