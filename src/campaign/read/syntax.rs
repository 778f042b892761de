//! Files that are no TOML.

use crate::campaign::error::Finding;

/// Returns what is wrong, in the order of the file.
pub(super) fn findings(errors: &[toml::de::Error], text: &str) -> Vec<Finding> {
    if let Some(finding) = yaml(text) {
        return vec![finding];
    }
    let mut findings: Vec<Finding> = errors.iter().map(|error| finding(error, text)).collect();
    findings.sort_by_key(Finding::start);
    findings
}

/// Says of a YAML file that it is one, in place of an error for each of its lines.
fn yaml(text: &str) -> Option<Finding> {
    let mut at = 0;
    let mut first = None;
    for line in text.split_inclusive('\n') {
        let said = line.trim();
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let after = said.trim_start_matches("- ").trim_start_matches(word);
        if said.starts_with('[') || after.trim_start().starts_with('=') {
            return None;
        }
        if first.is_none() && after.len() < said.len() && (after == ":" || after.starts_with(": "))
        {
            let start = at + line.len() - line.trim_start().len();
            first = Some((start..start + said.len(), &said[..said.len() - after.len()]));
        }
        at += line.len();
    }
    let (span, key) = first?;
    Some(
        Finding::error("sp::campaign::syntax", "this looks like YAML; a campaign file is TOML")
            .at(&span, "a key and a colon")
            .help(format!("write `{key} = \"…\"`, and tables such as `[matrix]`")),
    )
}

fn finding(error: &toml::de::Error, text: &str) -> Finding {
    let span = error.span().unwrap_or(0..0);
    let raw = text.get(span.clone()).unwrap_or_default();
    let message = error.message();
    if message == "duplicate key" {
        let help = match text[..span.start].chars().next_back() {
            Some('[') => format!("put its keys below the first `[{raw}]`"),
            _ => "keep one of the two".to_owned(),
        };
        return Finding::error(
            "sp::campaign::syntax",
            format!("`{raw}` stands here a second time"),
        )
        .at(&span, "second")
        .help(help);
    }
    let finding = Finding::error("sp::campaign::syntax", message).at(&span, "here");
    let help = if message.starts_with("string values must be quoted") {
        format!("write `\"{raw}\"`")
    } else if message.starts_with("unclosed array") {
        "close the array with `]`".to_owned()
    } else if message.contains("basic string") || message.contains("literal string") {
        "close the string with the quote that opens it; text of several lines stands in `\"\"\"`"
            .to_owned()
    } else if message.contains("escape") {
        "write `\\\\` for a backslash, or put the text in single quotes".to_owned()
    } else {
        "the syntax is that of https://toml.io".to_owned()
    };
    finding.help(help)
}
