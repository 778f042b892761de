//! The folders above a place of ours: whether somebody else could put another one in its place.
//!
//! The rules are those of sshd for `~/.ssh` (`StrictModes` in `sshd_config(5)`), but for folders with the sticky bit, such as
//! `/tmp`, where nobody can rename what belongs to another user; for the account's own group, where nobody else is in it; and
//! for what lies below a folder that nobody else can enter. On a host over ssh `scripts/hello.sh` looks in the same way.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::trouble::Parent;

const ALL_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_ENTER: u32 = 0o011;
const STICKY: u32 = 0o1000;

/// Lists links on the way to `path` that belong to somebody else, and the folders above it that somebody else could rename
/// things in, the outermost first. Both the path as it is written and the one without links are looked at, since a link could
/// be replaced, too.
pub(super) fn suspects(path: &Path) -> io::Result<Vec<Parent>> {
    let real = fs::canonicalize(path)?;
    let us = rustix::process::geteuid().as_raw();
    // In a container root may have another number.
    let trusted = [0, us, fs::metadata("/")?.uid()];
    let mut own_group = None;
    let mut found: Vec<Parent> = Vec::new();
    for link in path.ancestors() {
        let about = fs::symlink_metadata(link)?;
        if about.is_symlink() && !trusted.contains(&about.uid()) {
            let path = link.to_string_lossy().into_owned();
            found.push(Parent { path, is_foreign: true });
        }
    }
    for path in [path, &real] {
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in above.into_iter().rev() {
            let about = fs::metadata(folder)?;
            let (mode, group) = (about.mode(), about.gid());
            let is_foreign = !trusted.contains(&about.uid());
            if !is_foreign && mode & OTHERS_ENTER == 0 {
                break;
            }
            let is_open = mode & STICKY == 0
                && (mode & ALL_WRITE != 0
                    || mode & GROUP_WRITES != 0
                        && *own_group.get_or_insert_with(private_group) != Some(group));
            let path = folder.to_string_lossy().into_owned();
            if (is_foreign || is_open) && found.iter().all(|known| known.path != path) {
                found.push(Parent { path, is_foreign });
            }
        }
    }
    Ok(found)
}

/// The number of the account's own group, where it has its name and no other member; `None` where nothing tells.
fn private_group() -> Option<u32> {
    let number = said("id", &["-g"])?;
    let name = said("id", &["-un"])?;
    if said("id", &["-gn"])? != name {
        return None;
    }
    let entry = said("getent", &["group", &number])?;
    let members = entry.rsplit(':').next()?;
    let number: u32 = number.parse().ok().filter(|_| members.is_empty() || members == name)?;
    // It may be another account's own group as well.
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let is_theirs = |line: &str| {
        let mut fields = line.split(':');
        fields.next() != Some(&name) && fields.nth(2) == Some(&number.to_string())
    };
    (!accounts.lines().any(is_theirs)).then_some(number)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this layer starts processes; these are over at once"
)]
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn a_folder_above_that_others_may_write_to_is_found() {
        let place = tempfile::tempdir().expect("a folder");
        let set = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        };
        set(place.path(), 0o755);
        let lab = place.path().canonicalize().expect("a path").join("lab");
        let root = lab.join("ann/sp");
        fs::create_dir_all(&root).expect("a folder");
        let found = |path: &Path| suspects(path).expect("a look");
        let one = Parent { path: lab.to_string_lossy().into_owned(), is_foreign: false };
        for private in [0o700, 0o755, 0o1777, 0o3770] {
            set(&lab, private);
            assert_eq!(found(&root), [], "{private:o}");
        }
        for open in [0o757, 0o777, 0o2777] {
            set(&lab, open);
            assert_eq!(found(&root), std::slice::from_ref(&one), "{open:o}");
        }
        // Nobody else can get there.
        set(place.path(), 0o700);
        assert_eq!(found(&root), []);
        set(place.path(), 0o755);
        // A link elsewhere that leads there, and one there that leads elsewhere.
        let link = place.path().join("link");
        symlink(&root, &link).expect("a link");
        assert_eq!(found(&link).len(), 1);
        let elsewhere = place.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("a folder");
        symlink(&elsewhere, lab.join("there")).expect("a link");
        assert_eq!(found(&lab.join("there")).len(), 1);
        // The account's own group is not others, if nobody else is in it.
        set(&lab, 0o770);
        let is_own = private_group() == Some(fs::metadata(&lab).expect("it is there").gid());
        assert_eq!(found(&root).is_empty(), is_own);
        if rustix::process::geteuid().is_root() {
            chown(&lab, None, Some(65534)).expect("it is given away");
            set(&lab, 0o2770);
            assert_eq!(found(&root), [one]);
            set(&lab, 0o755);
            // Whoever a link belongs to puts another one in its place, where the sticky bit keeps out all others.
            let theirs = place.path().join("theirs");
            symlink(&root, &theirs).expect("a link");
            set(place.path(), 0o1777);
            set(&lab, 0o700);
            fs::create_dir(root.join("v2")).expect("a folder");
            assert_eq!(found(&theirs.join("v2")), []);
            std::os::unix::fs::lchown(&theirs, Some(65534), None).expect("it is given away");
            // Where fs.protected_symlinks is on, see proc(5), the kernel itself does not follow it.
            if theirs.exists() {
                let one = Parent { path: theirs.to_string_lossy().into_owned(), is_foreign: true };
                assert_eq!(found(&theirs), std::slice::from_ref(&one));
                assert_eq!(found(&theirs.join("v2")), [one]);
            }
            set(place.path(), 0o755);
            set(&lab, 0o755);
            chown(&lab, Some(65534), None).expect("it is given away");
            assert!(found(&root).iter().all(|parent| parent.is_foreign) && found(&root).len() == 1);
        }
    }
}
