//! Messages that quote a file or a value, made safe to print: what somebody else wrote steers no terminal.

use std::sync::Arc;

use miette::NamedSource;

use crate::campaign::{CampaignError, Finding, Source, Warning};
use crate::report::visible;

/// A text of one or several lines.
pub(super) fn printable(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// The mistakes of a file, and the file as they show it.
pub(super) fn printable_error(error: &CampaignError) -> CampaignError {
    CampaignError {
        findings: error.findings.iter().map(printable_finding).collect(),
        source_file: masked_source(&error.source_file),
    }
}

/// A warning, and the file as it shows it.
pub(super) fn printable_warning(warning: &Warning) -> Warning {
    Warning {
        finding: printable_finding(&warning.finding),
        source_file: masked_source(&warning.source_file),
    }
}

fn printable_finding(finding: &Finding) -> Finding {
    Finding {
        code: finding.code,
        message: printable(&finding.message),
        labels: finding
            .labels
            .iter()
            .map(|(span, label)| (span.clone(), printable(label)))
            .collect(),
        help: finding.help.as_deref().map(printable),
        is_warning: finding.is_warning,
    }
}

fn masked_source(source: &Source) -> Source {
    Arc::new(NamedSource::new(printable(source.name()), masked(source.inner())))
}

/// What must not be printed becomes something of as many bytes, so that places in the text stay where they are.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for c in text.chars() {
        let mut one = [0; 4];
        let hidden = !matches!(c, '\n' | '\t')
            && visible(c.encode_utf8(&mut one)) != *c.encode_utf8(&mut [0; 4]);
        match (hidden, c.len_utf8()) {
            (false, _) => masked.push(c),
            // Half of a line end as some editors write it.
            (true, 1) => masked.push(if c == '\r' { ' ' } else { '?' }),
            (true, 2) => masked.push('\u{bf}'),
            (true, 3) => masked.push('\u{fffd}'),
            (true, _) => masked.push_str("????"),
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masked_keeps_its_place() {
        let text = "a\u{1b}b\u{9b}c\u{202e}d\u{e0041}e\r\n\tgrüße";
        let masked = masked(text);
        assert_eq!(masked, "a?b\u{bf}c\u{fffd}d????e \n\tgrüße");
        assert_eq!(masked.len(), text.len());
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(printable("a\nb\u{1b}"), "a\nb\\u{1b}");
    }
}
