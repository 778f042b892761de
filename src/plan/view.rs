//! The plan as JSON: the fields of `sp plan --json`, to which fields are only ever added.
//!
//! Jobs are written one by one, so that a plan of a hundred thousand never stands in memory as text.

use serde::ser::{Error as _, SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use crate::ids::HostName;
use crate::plan::JsonValue;
use crate::plan::action::Reason;
use crate::plan::job::{CommandSpec, Job, told};
use crate::plan::planned::{Decision, HostStatus, Obsolete, Plan, PlannedHost};

/// A plan, to be serialized.
#[derive(Debug, Clone, Copy)]
pub struct PlanView<'a>(pub &'a Plan, pub &'a [Neighbour]);

/// Another instance of the campaign's name on a host, which no command of this one touches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Neighbour {
    /// The host.
    pub host: HostName,
    /// The instance, as `NAME~ID`.
    pub instance: String,
    /// How many jobs the host has of it.
    pub jobs: u64,
    /// Name of the machine that handed them over.
    pub machine: String,
    /// The campaign file that they are of.
    pub file: String,
}

impl Serialize for PlanView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(plan, others) = self;
        let mut object = serializer.serialize_struct("Plan", 8)?;
        object.serialize_field("schema", &1)?;
        object.serialize_field("campaign", &plan.expansion.campaign().name)?;
        match &plan.expansion.campaign().setup {
            Some(setup) => object.serialize_field("setup", setup)?,
            None => object.skip_field("setup")?,
        }
        object.serialize_field("hosts", &Each(&plan.hosts, HostView))?;
        object.serialize_field("jobs", &Each(&plan.decisions, |d| DecisionView(plan, d)))?;
        object.serialize_field("obsolete", &Each(&plan.obsolete, ObsoleteView))?;
        object.serialize_field("others", others)?;
        object.serialize_field("summary", &plan.summary)?;
        object.end()
    }
}

/// A list whose members get their view while they are written.
struct Each<'a, T, F>(&'a [T], F);

impl<'a, T, V: Serialize, F: Fn(&'a T) -> V> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

struct HostView<'a>(&'a PlannedHost);

impl Serialize for HostView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Host", 2)?;
        object.serialize_field("name", &self.0.name)?;
        match &self.0.status {
            HostStatus::Probed(at) => object.serialize_field("probed_at", at)?,
            HostStatus::Unreachable { since } => {
                object.serialize_field("unreachable_since", since)?;
            }
            HostStatus::NotAsked => object.skip_field("probed_at")?,
        }
        object.end()
    }
}

/// One job of a plan, as an object.
struct DecisionView<'a>(&'a Plan, &'a Decision);

impl Serialize for DecisionView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(plan, decision) = self;
        let job = plan.expansion.job(decision.job);
        let command = job.command().map_err(S::Error::custom)?;
        let mut object = serializer.serialize_struct("Job", 9)?;
        object.serialize_field("id", &job.id())?;
        object.serialize_field("name", &job.name())?;
        object.serialize_field("index", &job.index())?;
        object.serialize_field("params", &ParamsView(job))?;
        object.serialize_field("command", &CommandView(&command))?;
        object.serialize_field("home", &decision.home.map(|at| &plan.hosts[at].name))?;
        object.serialize_field("action", &decision.action)?;
        object.serialize_field("reason", &decision.reason)?;
        object.serialize_field("detail", &decision.detail)?;
        object.end()
    }
}

/// Axes in file order; an empty one is `null`, so that every job has the same keys.
struct ParamsView<'a>(Job<'a>);

impl Serialize for ParamsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.params().map(|(name, value)| (name, value.map(JsonValue))))
    }
}

struct CommandView<'a>(&'a CommandSpec);

impl Serialize for CommandView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        match self.0 {
            CommandSpec::Shell(text) => object.serialize_entry("shell", &told(text))?,
            CommandSpec::Argv(words) => {
                object.serialize_entry("argv", &Each(words, |word: &Vec<_>| told(word)))?;
            }
        }
        object.end()
    }
}

struct ObsoleteView<'a>(&'a Obsolete);

impl Serialize for ObsoleteView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = &self.0.known;
        let mut object = serializer.serialize_struct("Obsolete", 7)?;
        object.serialize_field("id", &known.id)?;
        object.serialize_field("name", &known.name)?;
        object.serialize_field("state", &known.state)?;
        object.serialize_field("host", &known.host)?;
        object.serialize_field("action", &self.0.action)?;
        object.serialize_field("reason", &Reason::Obsolete)?;
        object.serialize_field("detail", &self.0.detail)?;
        object.end()
    }
}
