//! Mistakes of a campaign file, as one report with the place and the next edit of each.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// The file's name and text, shared by all that point into it.
pub type Source = Arc<NamedSource<String>>;

/// One mistake, or one thing to think about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Finding {
    /// Stable name, `sp::campaign::…`.
    pub code: &'static str,
    /// A sentence without its full stop.
    pub message: String,
    /// Places in the file by bytes, each with its label; the first is the one to blame.
    pub labels: Vec<(Range<usize>, String)>,
    /// The next edit.
    pub help: Option<String>,
    /// Whether the campaign can be used all the same.
    pub is_warning: bool,
}

impl Finding {
    pub(super) fn error(code: &'static str, message: impl Into<String>) -> Self {
        let (message, labels) = (message.into(), Vec::new());
        Self { code, message, labels, help: None, is_warning: false }
    }

    pub(super) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::error(code, message) }
    }

    pub(super) fn at(mut self, span: &Range<usize>, label: impl Into<String>) -> Self {
        self.labels.push((span.clone(), label.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// First byte to blame, for sorting.
    pub(super) fn start(&self) -> usize {
        self.labels.first().map_or(0, |(span, _)| span.start)
    }
}

impl Diagnostic for Finding {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(if self.is_warning { Severity::Warning } else { Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().map(|(span, label)| {
            let label = (!label.is_empty()).then(|| label.clone());
            LabeledSpan::new_with_span(label, span.clone())
        })))
    }
}

/// Something to think about in a file that can be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{finding}")]
pub struct Warning {
    /// What it is about.
    pub finding: Finding,
    /// The file.
    pub source_file: Source,
}

impl Diagnostic for Warning {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.code()
    }

    fn severity(&self) -> Option<Severity> {
        self.finding.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Diagnostic::help(&self.finding)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.finding.labels()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source_file)
    }
}

/// All mistakes of one campaign file, in the order of the file; at least one.
#[derive(Debug, Clone)]
pub struct CampaignError {
    /// The mistakes, and the warnings beside them.
    pub findings: Vec<Finding>,
    /// The file.
    pub source_file: Source,
}

impl CampaignError {
    /// The only finding, which then stands for the whole.
    fn only(&self) -> Option<&Finding> {
        match self.findings.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

impl fmt::Display for CampaignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(one) = self.only() {
            return one.fmt(f);
        }
        let errors = self.findings.iter().filter(|finding| !finding.is_warning).count();
        let plural = if errors == 1 { "" } else { "s" };
        write!(f, "{errors} mistake{plural} in {}", self.source_file.name())
    }
}

impl std::error::Error for CampaignError {}

impl Diagnostic for CampaignError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self.only() {
            Some(one) => one.code(),
            None => Some(Box::new("sp::campaign")),
        }
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.only().and_then(Diagnostic::help)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only().and_then(Diagnostic::labels)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source_file)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.only().is_some() {
            return None;
        }
        Some(Box::new(self.findings.iter().map(|finding| finding as &dyn Diagnostic)))
    }
}
