//! What a glob may say: `*`, `?`, `[…]`, and `**` as a whole component. No braces, no absolute path, no `..`.
//!
//! The host expands globs by `sh`, the client by `globset`; this is the part that both read alike. It matches nothing
//! itself.

use crate::campaign::template::Part;

/// Why a glob is refused; reads after "the glob …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// No character.
    #[error("is empty")]
    Empty,
    /// `{a,b}` is literal in `sh` and a choice elsewhere.
    #[error("holds braces, which shells and tools read differently")]
    Braces,
    /// `a**` or `**b`.
    #[error("holds `**` beside other characters of a component")]
    Stars,
    /// Begins with `/` or `~`.
    #[error("is an absolute path")]
    Absolute,
    /// A component `..`.
    #[error("leaves its folder by `..`")]
    Parent,
    /// `[` without `]`.
    #[error("opens a set `[` and does not close it")]
    OpenSet,
    /// Shells differ in what it escapes.
    #[error("holds a backslash")]
    Backslash,
    /// `{{ work_dir }}` and its like with no file behind it.
    #[error("names a folder of the host without a file behind it")]
    Folder,
    /// `{{ work_dir }}` and its like elsewhere than in front.
    #[error("has a folder of the host elsewhere than in front")]
    Inner,
    /// NUL, newline and the like.
    #[error("holds a control character")]
    Control,
}

impl GlobError {
    /// The next edit.
    pub fn help(self) -> &'static str {
        match self {
            Self::Empty => "write a file name or a pattern such as `*.json`",
            Self::Braces => "write one glob for each choice; a literal brace is `[{]`",
            Self::Stars => "write `**` between slashes, as in `out/**/*.json`",
            Self::Absolute => "write it relative to its folder",
            Self::Parent => "only files below the folder can be named",
            Self::OpenSet => "close the set, or write `[[]` for the character itself",
            Self::Backslash => "write `[*]` for a star that means itself",
            Self::Folder => "write `/` and a file or pattern behind the braces",
            Self::Inner => {
                "begin with `{{ work_dir }}/` for the tree, with nothing for the job's own folder"
            }
            Self::Control => "leave it out, or write `?` for it",
        }
    }
}

/// Checks a glob below some folder.
pub fn check(pattern: &str) -> Result<(), GlobError> {
    if pattern.is_empty() {
        return Err(GlobError::Empty);
    }
    if pattern.starts_with(['/', '~']) {
        return Err(GlobError::Absolute);
    }
    if pattern.contains(char::is_control) {
        return Err(GlobError::Control);
    }
    let bare = outside_sets(pattern)?;
    if bare.contains(['{', '}']) {
        return Err(GlobError::Braces);
    }
    if bare.contains('\\') {
        return Err(GlobError::Backslash);
    }
    for component in bare.split('/') {
        if component == ".." {
            return Err(GlobError::Parent);
        }
        if component.contains("**") && component != "**" {
            return Err(GlobError::Stars);
        }
    }
    Ok(())
}

/// Checks a rendered glob: a value may hold `/` or `..` where the template does not. It may begin with a folder that only
/// the host knows.
pub fn check_rendered(parts: &[Part]) -> Result<(), GlobError> {
    match parts {
        [] => Err(GlobError::Empty),
        [Part::Text(text)] => check(text),
        [Part::Ref(_)] => Err(GlobError::Folder),
        [Part::Ref(_), Part::Text(text)] => {
            let below = text.strip_prefix('/').filter(|below| !below.is_empty());
            check(below.ok_or(GlobError::Folder)?)
        }
        _ => Err(GlobError::Inner),
    }
}

/// The pattern with every `[…]` replaced by one `?`.
fn outside_sets(pattern: &str) -> Result<String, GlobError> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        out.push('?');
        let body = after.strip_prefix(['!', '^']).unwrap_or(after);
        let from = body.chars().next().map_or(0, char::len_utf8);
        let close = body[from..].find(']').ok_or(GlobError::OpenSet)? + from;
        if body[..close].contains('/') {
            return Err(GlobError::OpenSet);
        }
        rest = &body[close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_shells_and_tools_read_alike() {
        for good in [
            "a",
            "*.json",
            "a/**/b?.c",
            "**",
            "[abc]x",
            "[!]]",
            "lit[[]1].json",
            "[{]a[}]",
            "[\\\\]",
            ".x",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", GlobError::Empty),
            ("/etc/*", GlobError::Absolute),
            ("~/x", GlobError::Absolute),
            ("a/../b", GlobError::Parent),
            ("..", GlobError::Parent),
            ("{a,b}", GlobError::Braces),
            ("a**", GlobError::Stars),
            ("***", GlobError::Stars),
            ("a[b", GlobError::OpenSet),
            ("a[b/c]", GlobError::OpenSet),
            ("a\\*", GlobError::Backslash),
            ("a\nb", GlobError::Control),
        ] {
            assert_eq!(check(bad), Err(error), "{bad}");
        }
    }
}
