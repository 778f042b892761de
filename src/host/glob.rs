//! Files below a folder that match a glob. A folder is read once for a pattern, however many `**` the pattern has.
//!
//! A name in a folder is tried at every place of the pattern that can stand there, and what it may be followed by is tried
//! in the folder that it names. Links are followed where the pattern spells them before its first wildcard; behind that one
//! on a path, and none for `**`, so that links that lead to each other do not multiply. (The host's markers do the same, see
//! `sp help markers`.) So the cost is at most the number of entries, once more for each link to a folder of them, times the
//! components of the pattern.

use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use super::folder::failed;
use crate::plain_file::{Wrong, real, wrong_kind};
use crate::plan::FilesError;

/// Returns the plain files below the folder `base` of a tree that match, relative to `base`, sorted by bytes. `tree` is
/// absolute and without links.
///
/// # Errors
/// A folder that cannot be read, a match whose name is not UTF-8, a link on the way to a match that leads out of the tree,
/// and what a pattern without wildcards names and is no plain file.
pub(super) fn matches(tree: &Path, base: &Path, pattern: &str) -> Result<Vec<String>, FilesError> {
    match real(tree, base) {
        Err(error) if Wrong::of(&error).is_some() => {
            return Err(failed(&base.to_string_lossy(), &error));
        }
        // One that is not there has no files, or says so when it is read.
        _ => {}
    }
    let mut components = Vec::new();
    for text in pattern.split('/').filter(|part| !matches!(*part, "" | ".")) {
        let component = Component::new(text)?;
        // Two `**` in a row say no more than one.
        if !matches!((&component, components.last()), (Component::Deep, Some(Component::Deep))) {
            components.push(component);
        }
    }
    let mut walk = Walk { tree, base: &tree.join(base), components, found: Vec::new() };
    let start = walk.open([0].into());
    walk.folder(Path::new(""), &start, Way::default())?;
    walk.found.sort_unstable();
    walk.found.dedup();
    Ok(walk.found)
}

/// One component of a pattern.
enum Component {
    /// `**`: any number of folders, none of them hidden or a link.
    Deep,
    Literal(String),
    Pattern {
        matcher: GlobMatcher,
        /// As in the shell, only a pattern that begins with a dot matches a name that does.
        hidden: bool,
    },
}

impl Component {
    fn new(text: &str) -> Result<Self, FilesError> {
        if text == "**" {
            return Ok(Self::Deep);
        }
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Literal(text.to_owned()));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(false)
            .build()
            .map_err(|error| FilesError::new(text, error.to_string()))?;
        Ok(Self::Pattern { matcher: glob.compile_matcher(), hidden: text.starts_with('.') })
    }
}

/// How a folder was come to.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    /// Behind the first wildcard.
    is_wild: bool,
    /// By a link there.
    is_linked: bool,
}

struct Walk<'a> {
    tree: &'a Path,
    base: &'a Path,
    components: Vec<Component>,
    found: Vec<String>,
}

impl Walk<'_> {
    /// Adds the places that `**` can be passed over to; each place once.
    fn open(&self, mut places: Vec<usize>) -> Vec<usize> {
        let passed: Vec<usize> = places
            .iter()
            .filter(|place| matches!(self.components.get(**place), Some(Component::Deep)))
            .map(|place| place + 1)
            .collect();
        places.extend(passed);
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Finds the matches in a folder, which is relative to the base, from these places of the pattern on.
    fn folder(&mut self, at: &Path, places: &[usize], way: Way) -> Result<(), FilesError> {
        let literal = |place: &usize| match self.components.get(*place) {
            Some(Component::Literal(name)) => Some(name.clone()),
            _ => None,
        };
        let here = places.iter().filter(|place| **place < self.components.len());
        if let Some(names) = here.map(literal).collect::<Option<Vec<String>>>() {
            for name in names {
                let next = self.next(places, OsStr::new(&name), false);
                self.entry(&at.join(name), None, &next, way)?;
            }
            return Ok(());
        }
        let said = at.to_string_lossy();
        for entry in fs::read_dir(self.base.join(at)).map_err(|error| failed(&said, &error))? {
            let entry = entry.map_err(|error| failed(&said, &error))?;
            let kind = entry.file_type().ok();
            let name = entry.file_name();
            let next = self.next(places, &name, kind.is_some_and(|kind| kind.is_dir()));
            if !next.is_empty() {
                self.entry(&at.join(name), kind, &next, Way { is_wild: true, ..way })?;
            }
        }
        Ok(())
    }

    /// The places of the pattern behind a name that stands at one of `places`.
    fn next(&self, places: &[usize], name: &OsStr, is_folder: bool) -> Vec<usize> {
        // A byte that is not UTF-8 is one character to a pattern.
        let name = name.to_string_lossy();
        let is_hidden = name.starts_with('.');
        let mut next = Vec::new();
        for place in places {
            match self.components.get(*place) {
                Some(Component::Deep) if is_folder && !is_hidden => next.push(*place),
                Some(Component::Literal(literal)) if *literal == name => next.push(place + 1),
                Some(Component::Pattern { matcher, hidden })
                    if (*hidden || !is_hidden) && matcher.is_match(&*name) =>
                {
                    next.push(place + 1);
                }
                _ => {}
            }
        }
        self.open(next)
    }

    /// Looks at one entry that the pattern goes on behind; `kind` is what its folder says of it, `None` where the pattern
    /// spells its name, so that the folder was not read.
    fn entry(
        &mut self,
        path: &Path,
        kind: Option<FileType>,
        places: &[usize],
        mut way: Way,
    ) -> Result<(), FilesError> {
        let is_match = places.last() == Some(&self.components.len());
        let goes_on = places.first().is_some_and(|place| *place < self.components.len());
        let from_list = kind.is_some();
        let known = kind.filter(|kind| !kind.is_symlink());
        let kind = match known {
            Some(kind) => kind,
            None => match fs::metadata(self.base.join(path)) {
                Ok(about) => about.file_type(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed(&path.to_string_lossy(), &error)),
            },
        };
        let wanted = (is_match && kind.is_file()) || (goes_on && kind.is_dir());
        if wanted && known.is_none() {
            real(self.tree, &self.base.join(path))
                .map_err(|error| failed(&path.to_string_lossy(), &error))?;
        }
        if is_match
            && !from_list
            && let Some(wrong) = wrong_kind(kind)
        {
            return Err(failed(&path.to_string_lossy(), &wrong.into()));
        }
        if is_match && kind.is_file() {
            let Some(path) = path.to_str() else {
                return Err(FilesError::new(
                    path.to_string_lossy(),
                    "its name is not UTF-8, so no command could name it",
                )
                .advise("rename it, or write a pattern that does not match it"));
            };
            self.found.push(path.to_owned());
        }
        if goes_on && kind.is_dir() {
            if known.is_none() && way.is_wild && self.is_link(path) {
                if way.is_linked || self.is_ring(path) {
                    return Ok(());
                }
                way.is_linked = true;
            }
            self.folder(path, places, way)?;
        }
        Ok(())
    }

    fn is_link(&self, path: &Path) -> bool {
        fs::symlink_metadata(self.base.join(path)).is_ok_and(|about| about.is_symlink())
    }

    /// Whether a link leads to a folder that it stands in: behind it is only what has been seen.
    fn is_ring(&self, path: &Path) -> bool {
        let real = |path: &Path| self.base.join(path).canonicalize().ok();
        match (real(path), path.parent().and_then(real)) {
            (Some(target), Some(parent)) => parent.starts_with(target),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test writes files as users do")]
    fn write(path: &Path) {
        fs::write(path, "").expect("a file");
    }

    fn folder(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            write(&path);
        }
        folder
    }

    fn matches_in(folder: &TempDir, pattern: &str) -> Result<Vec<String>, FilesError> {
        let tree = folder.path().canonicalize().expect("a folder");
        matches(&tree, Path::new(""), pattern)
    }

    #[test]
    fn a_pattern_matches_as_in_the_shell() {
        let files = ["a", "b.c", "d/a", "d/b.c", "d/e/b.c", "d/e/f/b.c", ".h/b.c", "d/.h.c"];
        let folder = folder(&files);
        symlink("d", folder.path().join("link")).expect("a link");
        symlink("gone", folder.path().join("dangling.c")).expect("a link");
        for (pattern, wanted) in [
            ("a", &["a"][..]),
            ("./d//a", &["d/a"]),
            ("d", &[]),
            ("*.c", &["b.c"]),
            ("*/*.c", &["d/b.c", "link/b.c"]),
            ("**/*.c", &["b.c", "d/b.c", "d/e/b.c", "d/e/f/b.c"]),
            ("**/**/**/*.c", &["b.c", "d/b.c", "d/e/b.c", "d/e/f/b.c"]),
            ("d/**/b.c", &["d/b.c", "d/e/b.c", "d/e/f/b.c"]),
            ("**/e/**/b.c", &["d/e/b.c", "d/e/f/b.c"]),
            ("**/e/b.c", &["d/e/b.c"]),
            ("d/**", &[]),
            ("**/.h.c", &["d/.h.c"]),
            (".*/*.c", &[".h/b.c"]),
            ("[ab]", &["a"]),
            ("?.c", &["b.c"]),
            ("link/*/b.c", &["link/e/b.c"]),
        ] {
            let found = matches_in(&folder, pattern).expect(pattern);
            assert_eq!(found, wanted, "{pattern}");
        }
    }

    /// Thirty folders one in another with a dozen of `**`: by trying each way alone there are hundreds of millions.
    #[test]
    fn many_stars_on_a_deep_tree_read_each_folder_once() {
        let deep = format!("{}x.dat", "f/".repeat(30));
        let folder = folder(&[&deep]);
        let pattern = format!("{}*.dat", "**/*/".repeat(12));
        assert_eq!(matches_in(&folder, &pattern), Ok(vec![deep]));
        let pattern = format!("{}*.none", "**/*/".repeat(12));
        assert_eq!(matches_in(&folder, &pattern), Ok(Vec::new()));
    }

    #[test]
    fn a_ring_of_links_ends() {
        let folder = folder(&["d/a"]);
        for name in ["one", "two", "three"] {
            symlink(".", folder.path().join(name)).expect("a link");
            symlink("..", folder.path().join("d").join(name)).expect("a link");
        }
        let pattern = format!("{}a", "**/*/".repeat(12));
        assert_eq!(matches_in(&folder, &pattern), Ok(Vec::new()));
        assert_eq!(matches_in(&folder, "**/*/a"), Ok(vec!["d/a".to_owned()]));
        // A link that the pattern itself spells is followed.
        assert_eq!(matches_in(&folder, "one/d/*"), Ok(vec!["one/d/a".to_owned()]));
    }

    /// By trying each way there are 2^30.
    #[test]
    fn links_that_lead_to_each_other_do_not_multiply() {
        let folder = folder(&["a/x/f", "b/y/f", "c/d/f"]);
        for (link, target) in
            [("a/1", "../b"), ("a/2", "../b"), ("b/1", "../a"), ("b/2", "../a"), ("c/e", "../c/d")]
        {
            symlink(target, folder.path().join(link)).expect("a link");
        }
        let pattern = format!("{}f", "*/".repeat(30));
        assert_eq!(matches_in(&folder, &pattern), Ok(Vec::new()));
        assert_eq!(
            matches_in(&folder, "*/*/f"),
            Ok(["a/x/f", "b/y/f", "c/d/f", "c/e/f"].map(str::to_owned).to_vec())
        );
        let one = ["a/1/y/f", "a/2/y/f", "b/1/x/f", "b/2/x/f"].map(str::to_owned).to_vec();
        assert_eq!(matches_in(&folder, "*/*/*/f"), Ok(one));
        assert_eq!(matches_in(&folder, "*/1/1/x/f"), Ok(Vec::new()));
        assert_eq!(matches_in(&folder, "a/1/1/x/*"), Ok(vec!["a/1/1/x/f".to_owned()]));
    }

    #[test]
    fn no_way_leads_out_of_the_tree() {
        let place = folder(&["out/x", "tree/a/x", "tree/b/x"]);
        let tree = place.path().canonicalize().expect("a folder").join("tree");
        for (link, target) in [("a/in", "../b"), ("a/out", "../../out"), ("a/file", "/etc/passwd")]
        {
            symlink(target, tree.join(link)).expect("a link");
        }
        let pipe = tree.join("a/pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        for (base, pattern, wanted) in [
            ("a", "in/*", Ok(&["in/x"][..])),
            ("", "*/x", Ok(&["a/x", "b/x"])),
            ("a", "p*", Ok(&[])),
            ("a", "o*", Ok(&[])),
            ("a", "*/x", Err("out")),
            ("a", "out/x", Err("out")),
            ("a", "*", Err("file")),
            ("a", "file", Err("file")),
            ("a", "pipe", Err("pipe")),
            ("a/out", "*", Err("a/out")),
            ("a", "../../out/x", Err("../..")),
        ] {
            let found = matches(&tree, Path::new(base), pattern).map_err(|error| {
                assert!(error.help.is_some(), "{error}");
                error.path
            });
            let wanted = wanted.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
            assert_eq!(found, wanted.map_err(str::to_owned), "{base} {pattern}");
        }
    }

    #[test]
    fn only_a_match_needs_a_name_in_utf8() {
        let folder = folder(&["d/a.cnf"]);
        let name = OsStr::from_bytes(b"caf\xe9.cnf");
        write(&folder.path().join("d").join(name));
        assert_eq!(matches_in(&folder, "d/a*"), Ok(vec!["d/a.cnf".to_owned()]));
        let error = matches_in(&folder, "d/*.cnf").expect_err("a name");
        assert_eq!(error.path, "d/caf\u{fffd}.cnf");
        assert!(error.help.is_some_and(|help| help.starts_with("rename it")));
    }
}
