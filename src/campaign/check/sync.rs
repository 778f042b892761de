//! `[sync]`.

use super::Checker;
use crate::campaign::error::Finding;
use crate::campaign::model::Sync;
use crate::campaign::wire::{At, WireSync};

impl Checker<'_> {
    pub(super) fn sync(&mut self, wire: WireSync) -> Sync {
        let default = Sync::default();
        let keep = wire.keep.into_iter().flat_map(|at| at.value);
        Sync {
            root: wire.root.and_then(|at| self.sync_root(&at)).unwrap_or(default.root),
            exclude: self.patterns("sync.exclude", wire.exclude, true),
            include: self.patterns("sync.include", wire.include, false),
            keep: keep.filter_map(|at| self.kept(&at)).collect(),
            not_code: self.patterns("sync.not-code", wire.not_code, true),
            max_size: wire
                .max_size
                .and_then(|at| self.size("sync.max-size", &at, 0))
                .unwrap_or(default.max_size),
        }
    }

    /// A relative folder; `..` leads up, in front only.
    fn sync_root(&mut self, at: &At<String>) -> Option<String> {
        let mut below = at.value.as_str();
        let mut up = 0;
        while let Some(rest) = below.strip_prefix("..") {
            if !rest.is_empty() && !rest.starts_with('/') {
                break;
            }
            up += 1;
            below = rest.trim_start_matches('/');
        }
        let rest = if up > 0 && below.is_empty() { "." } else { below };
        let rest =
            self.folder("sync.root", &At { value: rest.to_owned(), span: at.span.clone() })?;
        let mut parts = vec![".."; up];
        parts.extend((rest != ".").then_some(rest.as_str()));
        Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
    }

    /// A folder below the root, not the root itself.
    fn kept(&mut self, at: &At<String>) -> Option<String> {
        let wrong = |text: &str| text.contains(['*', '?', '[']);
        let folder = self.folder("sync.keep", at)?;
        if folder != "." && !wrong(&folder) {
            return Some(folder);
        }
        let message = if folder == "." {
            "`sync.keep` names the whole tree"
        } else {
            "`sync.keep` holds a pattern, but takes folders"
        };
        let finding = Finding::error("sp::campaign::path", message).at(&at.span, "this folder");
        self.push(finding.help("write a folder such as `target`"));
        None
    }

    /// Patterns in gitignore syntax, less what tools read differently. `negated`: whether `!` may stand in front.
    fn patterns(
        &mut self,
        what: &str,
        list: Option<At<Vec<At<String>>>>,
        negated: bool,
    ) -> Vec<String> {
        let mut patterns = Vec::new();
        for at in list.into_iter().flat_map(|at| at.value) {
            match wrong_pattern(&at.value, negated) {
                None => patterns.push(at.value),
                Some((why, help)) => {
                    let message = format!("the pattern in `{what}` {why}");
                    let finding = Finding::error("sp::campaign::pattern", message);
                    self.push(finding.at(&at.span, "this pattern").help(help));
                }
            }
        }
        patterns
    }
}

/// What is wrong with a pattern, and the next edit.
fn wrong_pattern(text: &str, negated: bool) -> Option<(&'static str, &'static str)> {
    let bare = text.strip_prefix('!').unwrap_or(text);
    if bare.trim_matches(['/', ' ']).is_empty() {
        return Some(("is empty", "write a file name or a pattern such as `*.ckpt`"));
    }
    if text.contains(char::is_control) {
        return Some(("holds a control character", "write `?` for it"));
    }
    if text.starts_with('#') {
        return Some(("is a comment", "write `\\\\#` for a name that begins with `#`"));
    }
    if text.starts_with('!') && !negated {
        return Some(("begins with `!`", "`include` brings back by itself: leave the `!` out"));
    }
    if text.ends_with(' ') || text.starts_with(' ') {
        return Some(("has a blank at its end", "take the blank out"));
    }
    if bare.split('/').any(|part| part == "..") {
        return Some(("leaves the tree by `..`", "only files below `sync.root` can be named"));
    }
    let mut chars = bare.chars();
    let mut set = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => {
                return Some(("ends in a backslash", "take the backslash out"));
            }
            '[' => set = true,
            ']' => set = false,
            '{' | '}' if !set => {
                return Some((
                    "holds braces, which git takes literally and other tools do not",
                    "write one pattern for each choice; a literal brace is `[{]`",
                ));
            }
            _ => {}
        }
    }
    set.then_some((
        "opens a set `[` and does not close it",
        "write `\\\\[` for the character itself",
    ))
}
