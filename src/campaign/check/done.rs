//! `[done]`: exit codes, file globs, the log's regular expression.

use super::Checker;
use super::templates::{Names, References};
use crate::campaign::ere;
use crate::campaign::error::Finding;
use crate::campaign::model::{Done, DoneCount};
use crate::campaign::template::{Part, Place, Template};
use crate::campaign::wire::{At, ExitCode, WireCount, WireDone};

impl Checker<'_> {
    pub(super) fn done(&mut self, done: Option<At<WireDone>>, names: &Names<'_>) -> Done {
        let done = done.map(|at| at.value).unwrap_or_default();
        let allowed = References::Allowed;
        let files = done.files.map(|at| at.value).unwrap_or_default();
        Done {
            exit_codes: self.exit_codes(done.exit_codes),
            files: files
                .iter()
                .filter_map(|at| self.glob_template(at, "done.files", &allowed, names))
                .collect(),
            log: done.log.and_then(|at| self.log(&at, names)),
            count: done.count.and_then(|at| self.count(at, names)),
        }
    }

    fn exit_codes(&mut self, codes: Option<At<Vec<At<ExitCode>>>>) -> Vec<u8> {
        let Some(codes) = codes else { return vec![0] };
        if codes.value.is_empty() && !self.is_broken("done.exit-codes") {
            let finding = Finding::error("sp::campaign::empty", "no exit code counts as done");
            self.push(finding.at(&codes.span, "empty").help("leave it out for `[0]`"));
        }
        let mut accepted = Vec::new();
        for code in &codes.value {
            if let Ok(code) = u8::try_from(code.value.0) {
                accepted.push(code);
                continue;
            }
            let message = format!("{} is no exit code", code.value.0);
            let finding = Finding::error("sp::campaign::range", message);
            self.push(finding.at(&code.span, "out of range").help("exit codes go from 0 to 255"));
        }
        accepted
    }

    /// The expression is tried with values as they may come; the plan translates it once more for each job.
    fn log(&mut self, at: &At<String>, names: &Names<'_>) -> Option<Template> {
        self.not_empty(at, "done.log");
        let refused = References::Refused(
            "a path that only the host knows cannot be escaped in an expression",
        );
        let template = self.template(at, "done.log", Place::Regex, &refused, names)?;
        let rendered = names.trial(&template)?;
        let pattern = match rendered.as_slice() {
            [] => "",
            [Part::Text(text), ..] => text,
            [Part::Ref(_), ..] => return Some(template),
        };
        if let Err(error) = ere::translate(pattern) {
            let finding = Finding::error("sp::campaign::regex", format!("in `done.log`, {error}"));
            self.push(finding.at(&at.span, "this expression").help(error.help()));
        }
        Some(template)
    }

    fn count(&mut self, at: At<WireCount>, names: &Names<'_>) -> Option<DoneCount> {
        let complete = at.value.files.is_some() && at.value.min.is_some();
        if !complete && !self.is_broken("done.count.files") && !self.is_broken("done.count.min") {
            let finding = Finding::error(
                "sp::campaign::missing_key",
                "`done.count` takes both `files` and `min`",
            );
            self.push(
                finding
                    .at(&at.span, "one is missing")
                    .help("write `{ files = \"frames/*.png\", min = 100 }`"),
            );
        }
        let min = self.at_least_one("done.count.min", at.value.min.as_ref());
        let files = at.value.files?;
        let files = self.glob_template(&files, "done.count.files", &References::Allowed, names)?;
        Some(DoneCount { files, min: min? })
    }
}
