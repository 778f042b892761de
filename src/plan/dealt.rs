//! The lists of hosts that applies have dealt jobs by, and which hosts that do not answer may have a job by them.
//!
//! A person edits the list of hosts, and a host of the list does not answer: what it was dealt by an older list, it may
//! have. Every host keeps the lists, so that a clone that was never there learns of them.

use serde::{Deserialize, Serialize};

use crate::campaign::template::{Expression, Name};
use crate::campaign::{Axis, Campaign};
use crate::ids::HostName;
use crate::plan::eval::Test;
use crate::plan::expand::Expansion;
use crate::plan::home::Score;

/// A host of a [`HostList`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DealtHost {
    /// Its name.
    pub name: HostName,
    /// Its slots.
    pub slots: u32,
    /// Its `when` as the file had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// All that homes were found by: the hosts in order of their names. As JSON it is the same text for the same list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostList(pub Vec<DealtHost>);

impl HostList {
    /// The list of a campaign as it is now.
    pub fn of(campaign: &Campaign) -> Self {
        let mut hosts: Vec<DealtHost> = campaign
            .hosts
            .iter()
            .map(|(name, host)| DealtHost {
                name: name.clone(),
                slots: host.slots,
                when: host.when.as_ref().map(|when| when.text().to_owned()),
            })
            .collect();
        hosts.sort();
        Self(hosts)
    }

    /// The list as JSON, on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and texts are JSON")
    }
}

/// A host's `when` at that time.
pub(super) enum When {
    /// It took every job.
    Always,
    /// It took jobs of these cells.
    Known(Expression),
    /// Which jobs it took cannot be told any more.
    Lost,
}

/// Lists whose expressions were read.
pub(super) struct Lists<'a>(Vec<Vec<(&'a DealtHost, When)>>);

impl<'a> Lists<'a> {
    /// Reads the expressions. What one meant is certain only where it is over axes that are values of the job's identity:
    /// variables and derived axes may have been others.
    pub(super) fn read(lists: &'a [HostList], expansion: &Expansion) -> Self {
        let matrix = &expansion.campaign().matrix;
        let certain = |name: &Name| match name {
            Name::Axis(axis) => {
                let column = expansion.columns().iter().any(|column| column.name.as_str() == axis);
                column && !matches!(matrix.axes.get(axis.as_str()), Some(Axis::Expr(_)))
            }
            Name::Repeat => true,
            Name::Var(_) | Name::Ref(_) => false,
        };
        let read = |host: &DealtHost| match host.when.as_deref().map(Expression::parse) {
            None => When::Always,
            Some(Ok(when)) if when.names().iter().all(certain) => When::Known(when),
            Some(_) => When::Lost,
        };
        let of = |list: &'a HostList| list.0.iter().map(|host| (host, read(host))).collect();
        Self(lists.iter().map(of).collect())
    }
}

/// Earlier lists, ready to be asked job by job.
pub(super) struct Earlier<'a> {
    lists: Vec<Vec<Member<'a>>>,
}

struct Member<'a> {
    host: &'a DealtHost,
    takes: Takes<'a>,
}

enum Takes<'a> {
    All,
    Some(Test<'a>),
    Unknown,
}

impl<'a> Earlier<'a> {
    pub(super) fn new(lists: &'a Lists<'a>, expansion: &'a Expansion) -> Self {
        let matrix = &expansion.campaign().matrix;
        let member = |(host, when): &'a (&'a DealtHost, When)| Member {
            host,
            takes: match when {
                When::Always => Takes::All,
                When::Known(when) => {
                    let what = format!("hosts.{}.when", host.name);
                    Takes::Some(Test::new(when, what, matrix, expansion.columns()))
                }
                When::Lost => Takes::Unknown,
            },
        };
        Self { lists: lists.0.iter().map(|list| list.iter().map(member).collect()).collect() }
    }

    /// A host that may have been the job's home by an earlier list and is one of `silent`.
    pub(super) fn silent_home(
        &mut self,
        expansion: &Expansion,
        job: usize,
        silent: &dyn Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let (row, id) = (expansion.row(job), expansion.ids()[job]);
        self.lists.iter_mut().find_map(|list| {
            let mut best: Option<Score<'a>> = None;
            let mut perhaps = Vec::new();
            for member in list {
                let host = member.host;
                let score = Score::new(id, host.name.as_str(), host.slots);
                match &mut member.takes {
                    Takes::All => best = best.max(Some(score)),
                    Takes::Unknown => perhaps.push(score),
                    Takes::Some(test) => match test.holds(row) {
                        Ok(true) => best = best.max(Some(score)),
                        Ok(false) => {}
                        Err(_) => perhaps.push(score),
                    },
                }
            }
            // One that is certain beats those below it, whatever they took.
            perhaps.retain(|score| Some(*score) > best);
            perhaps.extend(best);
            perhaps.iter().map(Score::host).find(|host| silent(host))
        })
    }
}
