//! Places in folders that everybody may write to: what somebody else has taken is left for the next one, and no command
//! stops for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::standing::mounted;
use super::{one, says};
use crate::support::{Disk, Sandbox, files_below, quoted, wait_until};

const TOKEN: &str = "tokenvalue-1147-squat";

/// A host with a memory file system of its own at `/dev/shm`, and a campaign that needs a secret there; `None` where nothing
/// can be mounted.
fn with_memory() -> Option<(Sandbox, Disk, PathBuf)> {
    let mut sandbox = one("box", "", "x");
    sandbox.write(
        "campaign.toml",
        // It must not hold the secret itself.
        r#"
name = "far"
command = """
[ "${#TOKEN}" = 21 ] || exit 8
echo {{ n }} >>~/started
until [ -e ~/go ]; do sleep 0.02; done
"""
env.TOKEN = { from-env = "TOKEN" }
matrix.n = [1, 2]
[hosts.box]
ssh = "box"
"#,
    );
    sandbox.set("TOKEN", TOKEN);
    let memory = sandbox.path().join("shm");
    let disk = Disk::mount(&memory, "size=4m")?;
    mode(&memory, 0o1777);
    mounted(&sandbox, &format!("mount --bind {} /dev/shm", quoted(&memory)))?;
    let own = memory.join(format!("sp-{}", rustix::process::geteuid().as_raw()));
    Some((sandbox, disk, own))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn started(sandbox: &Sandbox) -> usize {
    let text = fs::read_to_string(sandbox.host_home("box").join("started")).unwrap_or_default();
    text.lines().count()
}

/// Files in memory that hold the secret.
fn holders(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut files = files_below(&sandbox.path().join("shm"));
    files.extend(files_below(&sandbox.host_root("box")));
    files.retain(|path| fs::read_to_string(path).unwrap_or_default().contains(TOKEN));
    files
}

#[test]
fn a_place_for_secrets_that_somebody_else_has_taken_is_left_to_them() {
    let ways: [fn(&Path); 4] = [
        |own| fs::write(own, "").expect("a file"),
        |own| symlink("/tmp", own).expect("a link"),
        |own| {
            fs::create_dir(own).expect("a folder");
            mode(own, 0o777);
        },
        |own| {
            fs::create_dir(own).expect("a folder");
            if rustix::process::geteuid().is_root() {
                chown(own, Some(65534), None).expect("it is given away");
            } else {
                mode(own, 0o750);
            }
        },
    ];
    for take in ways {
        let Some((sandbox, _disk, own)) = with_memory() else { return };
        take(&own);
        sandbox.expect(0, &["apply", "--detach"]);
        wait_until("the first has started", || started(&sandbox) == 1);
        let held = holders(&sandbox);
        let name = own.file_name().expect("a name").to_string_lossy().into_owned();
        let beside = format!("/{name}.");
        assert!(held.len() == 1 && held[0].to_string_lossy().contains(&beside), "{held:?}");
        let doctor = sandbox.expect(0, &["doctor"]);
        let words = format!(
            "/dev/shm/{name} is not the account's alone, so secrets lie in /dev/shm{beside}"
        );
        assert!(doctor.stdout.contains(&words), "{}", doctor.stdout);
        sandbox.expect(0, &["cancel", "--all", "--now"]);
        sandbox.wait_quiet();
        fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
        says(&sandbox.expect(0, &["apply", "-y", "--rerun", "all"]), &["2 succeeded"]);
        sandbox.wait_quiet();
        assert_eq!(holders(&sandbox), Vec::<PathBuf>::new());
    }
}

/// The folder is opened while a secret waits in it, and somebody puts another text in its place.
#[test]
fn a_secret_that_somebody_else_has_put_there_is_not_run() {
    let Some((sandbox, _disk, own)) = with_memory() else { return };
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first has started", || started(&sandbox) == 1);
    let secret = holders(&sandbox).pop().expect("the other one waits for it");
    assert!(secret.starts_with(&own), "{}", secret.display());
    mode(&own, 0o777);
    fs::remove_file(&secret).expect("it is there");
    let planted = sandbox.host_home("box").join("planted");
    fs::write(&secret, format!("TOKEN={TOKEN}; : >'{}'\n", planted.display())).expect("a file");
    if rustix::process::geteuid().is_root() {
        chown(&secret, Some(65534), None).expect("it is given away");
        mode(&secret, 0o644);
    } else {
        // Only root can give a file away: a link stands for it.
        let text = sandbox.path().join("text");
        fs::rename(&secret, &text).expect("a name");
        symlink(&text, &secret).expect("a link");
    }
    fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
    sandbox.wait_quiet();
    assert!(!planted.exists(), "it was run");
    // The next apply hands over anew, and past the open folder.
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    let states = sandbox.states();
    assert!(states.iter().all(|(state, _)| state == "succeeded"), "{states:?}");
    assert!(!planted.exists() && holders(&sandbox).is_empty());
}

#[test]
fn a_secret_that_cannot_be_linked_ends_the_command() {
    let Some((sandbox, _disk, _own)) = with_memory() else { return };
    let folder = sandbox.programs_without(&["ln"]);
    let link = "#!/bin/sh\ncase $* in */dev/shm/*) exit 1 ;; esac\nexec /bin/ln \"$@\"\n";
    fs::write(folder.join("ln"), link).expect("a file");
    mode(&folder.join("ln"), 0o755);
    sandbox.host_variable("box", "PATH", &folder.to_string_lossy());
    let run = sandbox.sp(&["apply"]);
    assert!(started(&sandbox) == 0 && run.code == 75, "{run:?}");
    says(&run, &["v2/run/errors"]);
    sandbox.wait_quiet();
    let errors = fs::read_to_string(sandbox.host_root("box").join("v2/run/errors"));
    let errors = errors.unwrap_or_default();
    assert!(errors.contains("cannot be linked in /dev/shm/sp-"), "{errors}");
    assert_eq!(holders(&sandbox), Vec::<PathBuf>::new());
}

#[test]
fn a_place_for_sockets_that_somebody_else_has_taken_is_told() {
    let mut sandbox = one("box", "", "true");
    // A short one, as a socket needs it.
    let place = tempfile::Builder::new().prefix("t").tempdir_in("/tmp").expect("a folder");
    mode(place.path(), 0o755);
    sandbox.set("TMPDIR", &place.path().to_string_lossy());
    sandbox.unset("XDG_RUNTIME_DIR");
    let own = place.path().join(format!("sp-{}", rustix::process::geteuid().as_raw()));
    fs::write(&own, "").expect("a file");
    says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    let doctor = sandbox.expect(0, &["doctor"]);
    let words = format!("`{}` is no folder; sockets of ssh lie in /tmp/sp-", own.display());
    assert!(doctor.stdout.contains(&words), "{}", doctor.stdout);
    sandbox.wait_quiet();
}
