//! What a text was meant to use and does not: names spelled as other tools spell them, and axes that nothing uses.
//!
//! All of these are warnings: a text may hold `$x` and `{x}` for reasons of its own.

use std::collections::BTreeSet;
use std::ops::Range;

use indexmap::IndexMap;

use super::Checker;
use super::templates::Names;
use crate::campaign::error::Finding;
use crate::campaign::model::{Axis, EnvValue, Host, Matrix};
use crate::campaign::template::{Habit, Name, Place, Spelling, Template, sets_variable};
use crate::campaign::wire::At;
use crate::ids::{AxisName, HostName};

/// A name in a text that is no part of its template.
pub(super) struct Seen {
    habit: Habit,
    what: String,
    span: Range<usize>,
    /// The whole text, where a shell reads it.
    shell: Option<String>,
}

/// Shells whose variables and braces are those that are looked for.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"];

impl Checker<'_> {
    /// Notes the names in a text that are no part of its template.
    pub(super) fn note_habits(&mut self, at: &At<String>, what: &str, place: Place) {
        // `$` ends an expression, and braces count in it.
        if place == Place::Regex {
            return;
        }
        for habit in Template::habits(&at.value, place) {
            let span = self.part(at, Some(habit.range.clone()));
            let shell = (place == Place::Shell).then(|| at.value.clone());
            self.seen.push(Seen { habit, what: what.to_owned(), span, shell });
        }
    }

    /// Warns of names that were meant as axes, and of axes that nothing uses.
    pub(super) fn warn_unused(
        &mut self,
        matrix: &Matrix,
        env: &IndexMap<String, EnvValue>,
        hosts: &IndexMap<HostName, Host>,
        shell: &[String],
    ) {
        let mut meant = BTreeSet::new();
        let variables: BTreeSet<&str> = env
            .keys()
            .chain(hosts.values().flat_map(|host| host.env.keys()))
            .map(String::as_str)
            .collect();
        let program = shell.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default());
        for seen in std::mem::take(&mut self.seen) {
            let name = seen.habit.name.as_str();
            let set = |text: &str| sets_variable(text, name);
            let is_own = seen.shell.as_deref().is_some_and(|text| {
                !SHELLS.contains(&program)
                    || variables.contains(name)
                    || set(text)
                    || hosts.values().filter_map(|host| host.init.as_deref()).any(set)
            });
            if matrix.axes.contains_key(name) && !is_own {
                meant.insert(name.to_owned());
                self.push(not_the_axis(&seen));
            }
        }
        let failed = self.findings.iter().any(|finding| !finding.is_warning);
        if !failed {
            self.unused_axes(matrix, &meant);
        }
    }

    fn unused_axes(&mut self, matrix: &Matrix, meant: &BTreeSet<String>) {
        let mut used: BTreeSet<String> = self.used.clone();
        if self.text.contains("SP_PARAMS_FILE") {
            return;
        }
        for name in matrix.axes.keys().map(AxisName::as_str) {
            if self.text.contains(&format!("SP_PARAM_{}", name.to_ascii_uppercase())) {
                used.insert(name.to_owned());
            }
        }
        // What a used axis is computed from is used, and so is what advances together with it.
        loop {
            let before = used.len();
            for (name, axis) in &matrix.axes {
                if let (true, Axis::Expr(expression)) = (used.contains(name.as_str()), axis) {
                    used.extend(expression.names().iter().filter_map(|name| match name {
                        Name::Axis(axis) => Some(axis.clone()),
                        _ => None,
                    }));
                }
            }
            for group in &matrix.zip {
                if group.iter().any(|name| used.contains(name.as_str())) {
                    used.extend(group.iter().map(ToString::to_string));
                }
            }
            if used.len() == before {
                break;
            }
        }
        let unused = |(name, axis): &(&AxisName, &Axis)| {
            let is_column = matches!(axis, Axis::Expr(_));
            !is_column && !used.contains(name.as_str()) && !meant.contains(name.as_str())
        };
        for (name, _) in matrix.axes.iter().filter(unused) {
            let span = self.axis_spans.get(name.as_str()).cloned().unwrap_or_default();
            let upper = name.as_str().to_ascii_uppercase();
            self.push(
                Finding::warning(
                    "sp::campaign::unused_axis",
                    format!("nothing uses the axis `{name}`, so its jobs do the same"),
                )
                .at(&span, "no text names it")
                .help(format!(
                    "write `{{{{ {name} }}}}` in `command`; where the program itself reads `$SP_PARAM_{upper}`, say so in a comment of this file"
                )),
            );
        }
    }

    /// Warns of a variable or a home folder in a value of `[env]`, which no shell reads. `host` is where `init` would help.
    pub(super) fn warn_env(&mut self, at: &At<String>, what: &str, names: &Names<'_>, host: &str) {
        let value = &at.value;
        let variable = Template::habits(value, Place::Plain)
            .into_iter()
            .find(|habit| habit.spelling == Spelling::Dollar && !names.is_axis(&habit.name));
        let home = [value.starts_with("~/").then_some(0), value.find(":~/").map(|at| at + 1)]
            .into_iter()
            .flatten()
            .next();
        let (spelled, range, name) = match (&variable, home) {
            (Some(habit), _) => {
                (&value[habit.range.clone()], habit.range.clone(), habit.name.as_str())
            }
            (None, Some(start)) => ("~/", start..start + 2, ""),
            (None, None) => return,
        };
        let instead = match name {
            "SP_OUT_DIR" => Some("job.out_dir".to_owned()),
            "SP_STATE_DIR" => Some("job.state_dir".to_owned()),
            name => name
                .strip_prefix("SP_PARAM_")
                .map(str::to_ascii_lowercase)
                .filter(|axis| names.is_axis(axis)),
        };
        let key = what.rsplit('.').next().unwrap_or_default();
        let help = if let Some(template) = instead {
            format!("write `{{{{ {template} }}}}`")
        } else {
            let plain = !value.contains(['\'', '"', '`', '\\', '\n']) && !value.contains("{{");
            let text = if plain && home.is_some() {
                value.replace("~/", "$HOME/")
            } else if plain {
                value.clone()
            } else {
                "…".to_owned()
            };
            format!(
                "a shell reads `init`: write `init = 'export {key}=\"{text}\"'` below `[hosts.{host}]` instead"
            )
        };
        let span = self.part(at, Some(range));
        let message = format!("`{what}` holds `{spelled}`, and a value of `env` stands as it is");
        let finding = Finding::warning("sp::campaign::literal_env", message);
        self.push(finding.at(&span, "not expanded").help(help));
    }
}

fn not_the_axis(seen: &Seen) -> Finding {
    let Seen { habit: Habit { name, spelling, .. }, what, span, shell } = seen;
    let template = format!("{{{{ {name} }}}}");
    let (spelled, label) = match spelling {
        Spelling::Dollar if shell.is_some() => (format!("${name}"), "a variable of the shell"),
        Spelling::Dollar => (format!("${name}"), "stays as it is: no shell reads it"),
        Spelling::Braces => (format!("{{{name}}}"), "text: a template has two braces"),
    };
    let help = match (spelling, shell) {
        (Spelling::Dollar, Some(_)) => {
            format!(
                "write `{template}` outside quotes, or `$SP_PARAM_{}`",
                name.to_ascii_uppercase()
            )
        }
        (Spelling::Braces, Some(_)) => format!("write `{template}`, outside quotes"),
        (_, None) => format!("write `{template}`"),
    };
    let message = format!("`{spelled}` in `{what}` is not the axis `{name}`");
    Finding::warning("sp::campaign::not_the_axis", message).at(span, label).help(help)
}
