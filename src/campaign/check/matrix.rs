//! `[matrix]`: axes and their values, zip groups, expressions, cells to leave out or add.

mod axis;
mod cells;

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::Checker;
use super::names::reserved;
use super::templates::Names;
use crate::campaign::error::Finding;
use crate::campaign::model::{Axis, Matrix, Value};
use crate::campaign::suggest;
use crate::campaign::template::{Expression, Name};
use crate::campaign::wire::{At, WireMatrix};
use crate::ids::AxisName;

impl Checker<'_> {
    pub(super) fn matrix(
        &mut self,
        wire: Option<&At<WireMatrix>>,
        vars: &IndexMap<AxisName, Value>,
    ) -> Matrix {
        let Some(at) = wire else { return Matrix::default() };
        let wire = &at.value;
        let mut matrix = Matrix::default();
        let mut seen: BTreeMap<String, &At<String>> = BTreeMap::new();
        let mut exprs: Vec<(AxisName, &At<String>)> = Vec::new();
        for (key, axis) in &wire.axes.0 {
            let name = self.axis_name(key);
            self.axis_spans.insert(key.value.clone(), key.span.clone());
            let lower = key.value.to_ascii_lowercase();
            if let Some(other) = seen.get(&lower) {
                self.colliding(other, key);
            }
            seen.insert(lower, key);
            let values = self.axis(key, axis);
            let Some(name) = name else {
                self.broken.insert(format!("matrix.{}", key.value));
                continue;
            };
            match values {
                Some(axis::Checked::Axis(axis)) => {
                    matrix.axes.insert(name, axis);
                }
                Some(axis::Checked::Expr(at)) => {
                    // Its place among the axes; the expression itself follows when all names are known.
                    matrix.axes.insert(name.clone(), Axis::Values(Vec::new()));
                    exprs.push((name, at));
                }
                None => {
                    self.broken.insert(format!("matrix.{name}"));
                }
            }
        }
        if wire.axes.0.is_empty() && !self.broken.iter().any(|key| key.starts_with("matrix.")) {
            let finding = Finding::error("sp::campaign::empty", "the matrix has no axis");
            self.push(finding.at(&at.span, "no axis here").help(
                "add one, such as `threads = [1, 2, 4]`, or leave `[matrix]` out for a single job",
            ));
        }
        let parsed = self.expressions(&exprs, &matrix, vars);
        for (name, expression) in parsed {
            matrix.axes.insert(name, Axis::Expr(expression));
        }
        self.cycles(&exprs, &matrix);
        matrix.when = wire.when.as_ref().and_then(|at| {
            let no_hosts = IndexMap::new();
            let names = Names::new(&matrix, vars, &no_hosts, &self.broken, false);
            self.expression(at, "matrix.when", &names)
        });
        matrix.zip = self.zip(wire, &matrix);
        matrix.exclude = self.cells("exclude", wire.exclude.as_ref(), &matrix);
        matrix.include = self.cells("include", wire.include.as_ref(), &matrix);
        matrix
    }

    fn axis_name(&mut self, key: &At<String>) -> Option<AxisName> {
        if let Some(what) = reserved(&key.value) {
            let message = format!("an axis cannot be called `{}`: that is {what}", key.value);
            let finding =
                Finding::error("sp::campaign::reserved_axis", message).at(&key.span, "reserved");
            let help = match key.value.as_str() {
                "repeat" => "write `repeat = N` at the top of the file".to_owned(),
                name => format!("choose another name, such as `{name}_`"),
            };
            self.push(finding.help(help));
            return None;
        }
        self.identifier("axis", key)
    }

    fn colliding(&mut self, first: &At<String>, second: &At<String>) {
        let message =
            format!("the axes `{}` and `{}` differ only in case", first.value, second.value);
        self.push(
            Finding::error("sp::campaign::colliding_axes", message)
                .at(&second.span, "second")
                .at(&first.span, "first")
                .help("rename one: `SP_PARAM_…` and table columns do not tell them apart"),
        );
    }

    fn expressions(
        &mut self,
        exprs: &[(AxisName, &At<String>)],
        matrix: &Matrix,
        vars: &IndexMap<AxisName, Value>,
    ) -> Vec<(AxisName, Expression)> {
        let no_hosts = IndexMap::new();
        let names = Names::new(matrix, vars, &no_hosts, &self.broken, false);
        let parse = |(name, at): &(AxisName, &At<String>)| {
            let expression = self.expression(at, &format!("matrix.{name}"), &names)?;
            Some((name.clone(), expression))
        };
        exprs.iter().filter_map(parse).collect()
    }

    /// Derived axes are computed in the order of their needs, which a circle has not.
    fn cycles(&mut self, exprs: &[(AxisName, &At<String>)], matrix: &Matrix) {
        let needs = |name: &str| -> Vec<&str> {
            let Some(Axis::Expr(expression)) = matrix.axes.get(name) else { return Vec::new() };
            let axes = expression.names().iter().filter_map(|name| match name {
                Name::Axis(axis) => Some(axis.as_str()),
                _ => None,
            });
            axes.collect()
        };
        let mut reported: Vec<&str> = Vec::new();
        for (name, at) in exprs {
            let mut path: Vec<&str> = vec![name.as_str()];
            if reported.contains(&name.as_str()) || !circle(name.as_str(), &needs, &mut path) {
                continue;
            }
            let message = match path.as_slice() {
                [_] => format!("`matrix.{name}` uses itself"),
                _ => {
                    format!("`matrix.{name}` uses itself by way of {}", suggest::words(&path[1..]))
                }
            };
            let finding = Finding::error("sp::campaign::circle", message)
                .at(&at.span, "computed from itself");
            self.push(finding.help("compute it from axes with values of their own"));
            reported.extend(path);
        }
    }

    fn zip(&mut self, wire: &WireMatrix, matrix: &Matrix) -> Vec<Vec<AxisName>> {
        let mut seen: BTreeMap<&str, &At<String>> = BTreeMap::new();
        let mut groups = Vec::new();
        for group in wire.zip.iter().flat_map(|zip| &zip.value) {
            if group.value.len() < 2 {
                let finding =
                    Finding::error("sp::campaign::zip", "a zip group has fewer than two axes");
                self.push(
                    finding
                        .at(&group.span, "this group")
                        .help("name the axes that advance together"),
                );
            }
            let mut names = Vec::new();
            let mut lengths: Vec<(&At<String>, usize)> = Vec::new();
            for member in &group.value {
                if let Some(other) = seen.insert(member.value.as_str(), member) {
                    let message = format!("the axis `{}` is zipped twice", member.value);
                    self.push(
                        Finding::error("sp::campaign::zip", message)
                            .at(&member.span, "again")
                            .at(&other.span, "first")
                            .help("an axis stands in one group only"),
                    );
                    continue;
                }
                match matrix.axes.get_key_value(member.value.as_str()) {
                    Some((_, Axis::Expr(_))) => {
                        let message =
                            format!("`{}` is computed, so it cannot be zipped", member.value);
                        let finding = Finding::error("sp::campaign::zip", message);
                        self.push(
                            finding
                                .at(&member.span, "a column, no dimension")
                                .help("leave it out of `zip`"),
                        );
                    }
                    Some((name, axis)) => {
                        names.push(name.clone());
                        if let Axis::Values(values) = axis {
                            lengths.push((member, values.len()));
                        }
                    }
                    None => self.unknown_axis("matrix.zip", member, matrix),
                }
            }
            self.lengths(&lengths);
            groups.push(names);
        }
        groups
    }

    fn lengths(&mut self, lengths: &[(&At<String>, usize)]) {
        let Some((_, first)) = lengths.first() else { return };
        if lengths.iter().all(|(_, length)| length == first) {
            return;
        }
        let mut finding = Finding::error(
            "sp::campaign::zip",
            "axes that are zipped have unequal numbers of values",
        );
        for (member, length) in lengths {
            let plural = if *length == 1 { "" } else { "s" };
            finding = finding.at(&member.span, format!("{length} value{plural}"));
        }
        self.push(finding.help("give each the same number of values, or take one out of `zip`"));
    }

    pub(super) fn unknown_axis(&mut self, what: &str, name: &At<String>, matrix: &Matrix) {
        if self.is_broken(&format!("matrix.{}", name.value)) {
            return;
        }
        let known: Vec<&str> = matrix.axes.keys().map(AxisName::as_str).collect();
        let message = format!("`{what}` names `{}`, which is no axis", name.value);
        let finding =
            Finding::error("sp::campaign::unknown_name", message).at(&name.span, "unknown axis");
        let help = match name.value.as_str() {
            "repeat" => {
                Some("repetitions come after the matrix; choose by the other axes".to_owned())
            }
            other => suggest::help(other, &known, "axes are"),
        };
        self.push(match help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }
}

/// Whether `target` is met again from the end of `path`, which then holds the way.
fn circle<'m>(
    target: &str,
    needs: &impl Fn(&str) -> Vec<&'m str>,
    path: &mut Vec<&'m str>,
) -> bool {
    let Some(last) = path.last().copied() else { return false };
    for next in needs(last) {
        if next == target {
            return true;
        }
        if path.contains(&next) {
            continue;
        }
        path.push(next);
        if circle(target, needs, path) {
            return true;
        }
        path.pop();
    }
    false
}
