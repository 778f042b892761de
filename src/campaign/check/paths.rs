//! Folders and globs that stay below their folder.

use super::Checker;
use super::templates::{Names, References};
use crate::campaign::error::Finding;
use crate::campaign::glob::{self, GlobError};
use crate::campaign::template::{Place, Template};
use crate::campaign::wire::At;

impl Checker<'_> {
    /// A relative folder without `..`, with single slashes and no `./`; `.` for the folder itself.
    pub(super) fn folder(&mut self, what: &str, at: &At<String>) -> Option<String> {
        let text = at.value.as_str();
        let wrong = if text.is_empty() {
            Some("is empty")
        } else if text.starts_with(['/', '~']) {
            Some("is an absolute path")
        } else if text.split('/').any(|part| part == "..") {
            Some("leaves its folder by `..`")
        } else if text.contains(char::is_control) {
            Some("holds a control character")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let help = match what.rsplit('.').next().unwrap_or_default() {
                "lines" => "write a file below `working-dir`, such as `seeds.txt`",
                "root" => "write a folder relative to the campaign file's, such as `..`",
                "keep" => "write a folder below `sync.root`, such as `target`",
                "dir" => "write a folder beside the campaign file, such as `results`",
                _ => "write a folder below the campaign's, such as `experiments/attention`",
            };
            let finding = Finding::error("sp::campaign::path", format!("`{what}` {wrong}"));
            self.push(finding.at(&at.span, "this path").help(help));
            return None;
        }
        let parts: Vec<_> =
            text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
    }

    pub(super) fn inputs(
        &mut self,
        inputs: Option<At<Vec<At<String>>>>,
        names: &Names<'_>,
    ) -> Vec<Template> {
        let refused = References::Refused("inputs are read where `sp apply` is started");
        let inputs = inputs.map(|at| at.value).unwrap_or_default();
        inputs.iter().filter_map(|at| self.glob_template(at, "inputs", &refused, names)).collect()
    }

    /// A glob with values in it.
    pub(super) fn glob_template(
        &mut self,
        at: &At<String>,
        what: &str,
        references: &References,
        names: &Names<'_>,
    ) -> Option<Template> {
        let template = self.template(at, what, Place::Glob, references, names)?;
        if let Some(rendered) = names.trial(&template) {
            self.bad_glob(glob::check_rendered(&rendered), at, what);
        }
        Some(template)
    }

    /// Checks a glob without values.
    pub(super) fn glob(&mut self, at: &At<String>, what: &str) {
        self.bad_glob(glob::check(&at.value), at, what);
    }

    fn bad_glob(&mut self, checked: Result<(), GlobError>, at: &At<String>, what: &str) {
        if let Err(error) = checked {
            let message = format!("the glob in `{what}` {error}");
            let finding = Finding::error("sp::campaign::glob", message);
            self.push(finding.at(&at.span, "this glob").help(error.help()));
        }
    }
}
