//! Templates and expressions against the names of the campaign.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::Checker;
use crate::campaign::error::Finding;
use crate::campaign::kind::Kind;
use crate::campaign::model::{Axis, Host, Matrix, Value};
use crate::campaign::suggest;
use crate::campaign::template::{
    Expression, Name, Place, Reference, Rendered, Scope, Template, TemplateError, comparisons,
};
use crate::campaign::wire::At;
use crate::ids::{AxisName, HostName};

/// Whether a template may leave names to the host.
pub(super) enum References {
    Allowed,
    /// Why not.
    Refused(&'static str),
}

/// The names that templates may use, with a value of each to try them with.
#[derive(Clone)]
pub(super) struct Names<'a> {
    axes: IndexMap<&'a str, Value>,
    vars: IndexMap<&'a str, Value>,
    host_vars: BTreeSet<&'a str>,
    /// The hosts where a text may be used.
    hosts: Vec<(&'a str, &'a Host)>,
    /// Names that are spelled in the file but could not be read; using them is no second mistake.
    broken: BTreeSet<String>,
    any_axis: bool,
    matrix: &'a Matrix,
    /// Whether the values of an axis are texts or numbers, where they are alike.
    kinds: IndexMap<&'a str, Kind>,
}

impl<'a> Names<'a> {
    pub(super) fn new(
        matrix: &'a Matrix,
        vars: &'a IndexMap<AxisName, Value>,
        hosts: &'a IndexMap<HostName, Host>,
        broken: &BTreeSet<String>,
        any_axis: bool,
    ) -> Self {
        let axes = matrix.axes.iter().map(|(name, axis)| (name.as_str(), example(axis)));
        let vars = vars.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let host_vars = hosts.values().flat_map(|host| host.vars.keys()).map(AxisName::as_str);
        Self {
            axes: axes.collect(),
            vars: vars.collect(),
            host_vars: host_vars.collect(),
            hosts: hosts.iter().map(|(name, host)| (name.as_str(), host)).collect(),
            broken: broken.clone(),
            any_axis,
            matrix,
            kinds: matrix
                .axes
                .iter()
                .filter_map(|(name, axis)| Some((name.as_str(), Kind::of_axis(axis)?)))
                .collect(),
        }
    }

    /// The names for a variable of `[env]`: a host that sets it otherwise does not use that text.
    pub(super) fn for_variable(&self, variable: &str) -> Self {
        let mut names = self.clone();
        names.hosts.retain(|(_, host)| !host.env.contains_key(variable));
        names
    }

    /// Whether a name is an axis.
    pub(super) fn is_axis(&self, name: &str) -> bool {
        self.axes.contains_key(name)
    }

    /// Whether some axis has this text as a value.
    fn is_value(&self, text: &str) -> bool {
        let is = |value: &Value| matches!(value, Value::Str(value) if value == text);
        self.matrix.axes.values().any(|axis| match axis {
            Axis::Values(values) => values.iter().any(is),
            Axis::Glob(_) | Axis::Lines(_) | Axis::Expr(_) => false,
        })
    }

    /// The first host of the file.
    pub(super) fn first_host(&self) -> Option<&'a str> {
        self.hosts.first().map(|(name, _)| *name)
    }

    /// Hosts without a variable that others have.
    fn without(&self, var: &str) -> Vec<&'a str> {
        let broken = |name: &str| {
            let vars = format!("hosts.{name}.vars");
            [format!("hosts.{name}"), format!("{vars}.{var}"), vars]
                .iter()
                .any(|key| self.broken.contains(key))
        };
        let lacks = |(name, host): &&(&str, &Host)| !host.vars.contains_key(var) && !broken(name);
        self.hosts.iter().filter(lacks).map(|(name, _)| *name).collect()
    }

    fn knows(&self, name: &Name) -> bool {
        match name {
            Name::Axis(axis) => {
                self.any_axis
                    || self.axes.contains_key(axis.as_str())
                    || self.broken.contains(&format!("matrix.{axis}"))
            }
            Name::Var(var) => {
                self.vars.contains_key(var.as_str())
                    || self.broken.contains("vars")
                    || self.broken.contains(&format!("vars.{var}"))
            }
            Name::Ref(Reference::HostVar(var)) => {
                let broken = |key: &String| {
                    let of_host = key.strip_prefix("hosts.").and_then(|key| key.split_once('.'));
                    key == "hosts"
                        || of_host.is_some_and(|(_, key)| {
                            key == "vars" || key.strip_prefix("vars.") == Some(var.as_str())
                        })
                };
                self.host_vars.contains(var.as_str()) || self.broken.iter().any(broken)
            }
            Name::Repeat | Name::Ref(_) => true,
        }
    }

    /// The template with some value for each name; `None` where the engine cannot do it with these.
    pub(super) fn trial(&self, template: &Template) -> Option<Rendered> {
        template.render(self).ok()
    }

    fn help(&self, name: &Name) -> Option<String> {
        match name {
            Name::Axis(axis) if self.vars.contains_key(axis.as_str()) => {
                Some(format!("write `vars.{axis}`"))
            }
            Name::Axis(axis) if self.host_vars.contains(axis.as_str()) => {
                Some(format!("write `host.{axis}`"))
            }
            Name::Axis(text) if self.is_value(text) => {
                Some(format!("texts stand in quotes: `'{text}'`"))
            }
            Name::Axis(axis) => {
                let mut known: Vec<&str> = self.axes.keys().copied().collect();
                known.push("repeat");
                match suggest::nearest(axis, known.iter().copied().chain(["work_dir"])) {
                    Some(near) => Some(format!("did you mean `{near}`?")),
                    None => Some(format!(
                        "names are {}, `vars.…`, `job.out_dir`; add it to `[matrix]` or `[vars]`",
                        suggest::words(&known)
                    )),
                }
            }
            Name::Var(var) if self.axes.contains_key(var.as_str()) => {
                Some(format!("write `{var}` alone: it is an axis"))
            }
            Name::Var(var) => {
                let known: Vec<&str> = self.vars.keys().copied().collect();
                let list = suggest::help(var, &known, "variables are");
                list.or_else(|| Some(format!("add `{var} = …` below `[vars]`")))
            }
            Name::Ref(Reference::HostVar(var)) => {
                let known: Vec<&str> = self.host_vars.iter().copied().collect();
                let list = suggest::help(var, &known, "host variables are");
                list.or_else(|| Some(format!("add `vars = {{ {var} = … }}` to the host's table")))
            }
            Name::Repeat | Name::Ref(_) => None,
        }
    }
}

/// A value of an axis, or what one may look like.
fn example(axis: &Axis) -> Value {
    match axis {
        Axis::Values(values) => values.first().cloned(),
        Axis::Glob(_) | Axis::Lines(_) | Axis::Expr(_) => None,
    }
    .unwrap_or_else(|| Value::Str("x".to_owned()))
}

impl Scope for Names<'_> {
    fn axis(&self, name: &str) -> Option<&Value> {
        self.axes.get(name)
    }

    fn var(&self, name: &str) -> Option<&Value> {
        self.vars.get(name)
    }
}

impl Checker<'_> {
    /// A template of some key.
    pub(super) fn template(
        &mut self,
        at: &At<String>,
        what: &str,
        place: Place,
        references: &References,
        names: &Names<'_>,
    ) -> Option<Template> {
        self.note_habits(at, what, place);
        let template = match Template::check(&at.value, place) {
            Ok(template) => template,
            Err(found) => {
                for error in found.errors {
                    self.unusable(at, what, error);
                }
                self.known(at, what, &found.names, true, names);
                return None;
            }
        };
        self.known(at, what, template.names(), true, names);
        let reference = template.names().iter().find(|name| matches!(name, Name::Ref(_)));
        if let (References::Refused(why), Some(name)) = (references, reference) {
            let spelled = name.to_string();
            let span = self.part(at, find_name(&at.value, &spelled, true));
            let message = format!("`{spelled}` cannot stand in `{what}`");
            let finding = Finding::error("sp::campaign::reference", message)
                .at(&span, "only the host knows it");
            self.push(finding.help(*why));
        }
        if let Err(error) = template.render(names) {
            self.unknown_function(at, what, &error.message, error.range);
        }
        Some(template)
    }

    /// An expression of some key.
    pub(super) fn expression(
        &mut self,
        at: &At<String>,
        what: &str,
        names: &Names<'_>,
    ) -> Option<Expression> {
        let expression = match Expression::parse(&at.value) {
            Ok(expression) => expression,
            Err(error) => {
                self.unusable(at, what, error);
                return None;
            }
        };
        self.known(at, what, expression.names(), false, names);
        self.other_types(at, what, names);
        if let Err(error) = expression.value(names) {
            self.unknown_function(at, what, &error.message, error.range);
        }
        Some(expression)
    }

    /// Warns of a comparison that every value answers alike, since it is of another type.
    fn other_types(&mut self, at: &At<String>, what: &str, names: &Names<'_>) {
        for comparison in comparisons(&at.value) {
            let Some(told) =
                names.kinds.get(comparison.name).and_then(|kind| kind.told(&comparison))
            else {
                continue;
            };
            let span = self.part(at, Some(comparison.range));
            let message = format!("`{what}` compares {}", told.message);
            let finding = Finding::warning("sp::campaign::value_type", message);
            self.push(finding.at(&span, "another type").help(told.help));
        }
    }

    fn unusable(&mut self, at: &At<String>, what: &str, error: TemplateError) {
        let span = self.part(at, error.range);
        let message = format!("in `{what}`, {}", error.message);
        let is_template = at.value.contains("{{") || at.value.contains("{%");
        let help = error.help.unwrap_or_else(|| {
            if is_template {
                "write `{{ name }}`, `{{ name | filter }}` or `{% if … %}…{% endif %}`; braces as text are `{{ '{{' }}`"
            } else {
                "write an expression such as `seq > 4096 and dtype == 'fp16'`"
            }
            .to_owned()
        });
        self.push(Finding::error("sp::campaign::template", message).at(&span, "here").help(help));
    }

    fn known(
        &mut self,
        at: &At<String>,
        what: &str,
        used: &BTreeSet<Name>,
        in_braces: bool,
        names: &Names<'_>,
    ) {
        // What a cell is computed or chosen by reaches no job.
        if !what.starts_with("matrix.") {
            self.used.extend(used.iter().filter_map(|name| match name {
                Name::Axis(axis) => Some(axis.clone()),
                _ => None,
            }));
        }
        for name in used.iter().filter(|name| !names.knows(name)) {
            let spelled = name.to_string();
            let span = self.part(at, find_name(&at.value, &spelled, in_braces));
            let message = format!("`{what}` uses `{spelled}`, which nothing defines");
            let finding =
                Finding::error("sp::campaign::unknown_name", message).at(&span, "unknown name");
            self.push(match names.help(name) {
                Some(help) => finding.help(help),
                None => finding,
            });
        }
        for name in used.iter().filter(|name| names.knows(name)) {
            if let Name::Ref(Reference::HostVar(var)) = name
                && names.host_vars.contains(var.as_str())
            {
                self.on_every_host(at, what, var, in_braces, names);
            }
        }
    }

    /// A job may come to any host, so each has what its texts name.
    fn on_every_host(
        &mut self,
        at: &At<String>,
        what: &str,
        var: &str,
        in_braces: bool,
        names: &Names<'_>,
    ) {
        let lacking = names.without(var);
        let [first, ..] = lacking.as_slice() else { return };
        let message = format!(
            "`{what}` uses `host.{var}`, which {} not define",
            match lacking.as_slice() {
                [one] => format!("the host `{one}` does"),
                several => format!("the hosts {} do", suggest::words(several)),
            }
        );
        let span = self.part(at, find_name(&at.value, &format!("host.{var}"), in_braces));
        let mut finding =
            Finding::error("sp::campaign::host_variable", message).at(&span, "used here");
        for host in &lacking {
            if let Some(span) = self.host_spans.get(*host) {
                finding = finding.at(span, format!("no `vars.{var}`"));
            }
        }
        self.push(finding.help(format!("add `vars = {{ {var} = … }}` to `[hosts.{first}]`")));
    }

    /// The engine finds unknown filters only when it renders; other failures depend on the job and are the plan's.
    fn unknown_function(
        &mut self,
        at: &At<String>,
        what: &str,
        message: &str,
        range: Option<std::ops::Range<usize>>,
    ) {
        if message.ends_with("is unknown") {
            let span = self.part(at, range);
            let finding =
                Finding::error("sp::campaign::template", format!("in `{what}`, {message}"));
            let help =
                "filters and tests are those of minijinja: `upper`, `replace`, `default`, `join` …";
            self.push(finding.at(&span, "here").help(help));
        }
    }
}

/// Bytes of the first use of a name, as a whole word; in a template only behind opening braces.
fn find_name(text: &str, name: &str, in_braces: bool) -> Option<std::ops::Range<usize>> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let from = if in_braces { text.find(['{'])? } else { 0 };
    text[from..].match_indices(name).map(|(at, _)| from + at).find_map(|start| {
        let end = start + name.len();
        let before = text[..start].chars().next_back();
        let after = text[end..].chars().next();
        let whole =
            !before.is_some_and(word) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let before_text = &text[..start];
        let inside = !in_braces
            || before_text.rfind("{{").max(before_text.rfind("{%"))
                > before_text.rfind("}}").max(before_text.rfind("%}"));
        (whole && inside).then_some(start..end)
    })
}
