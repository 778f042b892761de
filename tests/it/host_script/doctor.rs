//! What the host says of itself: the same facts under every shell, and nothing left behind.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;

use super::world::World;

super::in_every_shell! { facts mounts logins }

/// Values of a fact, in the order of the answer.
fn values<'a>(body: &'a str, name: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.strip_prefix("fact ")?.split_once('=');
    body.lines()
        .filter_map(value)
        .filter(|(fact, _)| *fact == name)
        .map(|(_, value)| value)
        .collect()
}

fn facts(world: &World) {
    let body = world.ask("doctor", &["awk", "no-such-program", "sed"], "");
    assert!(body.lines().all(|line| line.starts_with("fact ")), "{body}");
    assert_eq!(values(&body, "missing"), ["no-such-program"], "{body}");
    assert_eq!(values(&body, "locks"), ["first"], "{body}");
    assert_eq!(values(&body, "room"), ["yes"], "{body}");
    // Other tests may have made some of theirs.
    for (pid, line) in world.sandbox.processes() {
        let own = format!("{pid} ");
        assert!(!values(&body, "stray").iter().any(|stray| stray.starts_with(&own)), "{line}");
    }
    let free = values(&body, "free")[0].split(' ').map(str::parse::<u64>);
    assert_eq!(free.flatten().count(), 4, "{body}");
    let clock: f64 = values(&body, "clock")[0].parse().expect("seconds");
    assert!(clock > 1.7e9, "{body}");
    let left = fs::read_dir(world.root.join("v2/run")).expect("a folder").flatten();
    let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["secrets", "secrets.lock"], "what it tried is gone");
}

/// The longest mount point above the root counts, and of two in one place the last.
fn mounts(world: &mut World) {
    let system = world.sandbox.path().join("system");
    fs::create_dir_all(system.join("proc/self")).expect("a folder");
    let root = world.root.canonicalize().expect("a root").display().to_string();
    // As the kernel writes it there.
    let root = root.replace(' ', "\\040");
    let above = root.rsplit_once('/').expect("a folder above").0;
    world.set("SP_SYSTEM_ROOT", &system.to_string_lossy());
    for (table, fs_name, options) in [
        (
            format!("a / ext4 rw 0 0\nb {root} nfs4 rw,noexec 0 0\nc {above} xfs rw 0 0\n"),
            "nfs4",
            "rw,noexec",
        ),
        (format!("a / ext4 rw 0 0\nb {root} nfs4 rw 0 0\nc {root} xfs ro 0 0\n"), "xfs", "ro"),
        (format!("a / ext4 rw 0 0\nb {root}x nfs4 rw 0 0\n"), "ext4", "rw"),
        (String::new(), "unknown", ""),
    ] {
        fs::write(system.join("proc/self/mounts"), &table).expect("a file");
        let body = world.ask("doctor", &[], "");
        let found = (values(&body, "fs"), values(&body, "options"));
        assert_eq!(found, (vec![fs_name], vec![options]), "{table}\n{body}");
        let account = world.ask("account", &[], "");
        assert!(account.contains(&format!("account fs={fs_name}\n")), "{account}");
    }
}

/// What the login shell exports of locale and the like, not what it prints.
fn logins(world: &World) {
    let profile =
        "echo TZ=noise\nexport TZ=Europe/Paris TMPDIR='/scratch/my tmp' OTHER=1\nLANG=unexported\n";
    fs::write(world.sandbox.home().join(".profile"), profile).expect("a profile");
    let body = world.ask("account", &[], "");
    let of = |name: &str| -> Vec<&str> {
        let start = format!("account {name}=");
        body.lines().filter_map(|line| line.strip_prefix(start.as_str())).collect()
    };
    assert_eq!(of("TZ"), ["Europe/Paris"], "{body}");
    assert_eq!(of("TMPDIR"), ["/scratch/my tmp"], "{body}");
    assert_eq!(of("OTHER"), [""; 0], "{body}");
}
