//! Secrets: where they are needed and nowhere else; and everything that `sp` makes is for the user alone.

#![expect(clippy::disallowed_methods, reason = "tests start processes as users do")]
#![expect(clippy::unwrap_used, reason = "what a test rests on is there, or the test fails")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Run, Sandbox, files_below, finish, secrets_in_memory, wait_until};

const TOKEN: &str = "tokenvalue-4711-xyzzy";

/// Jobs that each wait for a file of their own.
const WAITING: &str = r#"
name = "waiting"
command = """
[ "$TOKEN" = "$(cat "$HOME"/token)" ] || exit 8
echo {{ n }} >>started
[ ! -e fail ] || exit 1
i=0
until [ -e go.{{ n }} ]; do
  i=$((i + 1))
  [ $i -lt 2000 ] || exit 9
  sleep 0.02
done
"""
[env]
TOKEN = { from-env = "MY_TOKEN" }
[matrix]
n = [1, 2, 3, 4]
"#;

fn waiting(more: &str) -> Sandbox {
    let mut sandbox = Sandbox::with(&format!("{WAITING}{more}"));
    // The one place where these tests keep it for comparison.
    fs::write(sandbox.home().join("token"), TOKEN).unwrap();
    sandbox.set("MY_TOKEN", TOKEN);
    sandbox
}

fn started(sandbox: &Sandbox) -> usize {
    sandbox.read("started").lines().count()
}

/// Files of the host's secrets that belong to this sandbox's root.
fn secret_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let on_disk = files_below(&sandbox.root().join("v2/secrets"));
    secrets_in_memory(&sandbox.root()).into_iter().chain(on_disk).collect()
}

/// Files that hold the token, but for the test's own; secrets of the host included.
fn holders(sandbox: &Sandbox) -> Vec<PathBuf> {
    let own = sandbox.home().join("token");
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        *path != own && bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes())
    };
    files_below(sandbox.path()).into_iter().chain(secret_files(sandbox)).filter(holds).collect()
}

#[track_caller]
fn check_gone(sandbox: &Sandbox) {
    assert_eq!(holders(sandbox), Vec::<PathBuf>::new());
    assert_eq!(secret_files(sandbox), Vec::<PathBuf>::new());
}

#[test]
fn a_secret_is_gone_once_the_last_attempt_has_started() {
    for (more, at_once) in [("", 1), ("[hosts.local]\nslots = 3\n", 3)] {
        let sandbox = waiting(more);
        let apply = sandbox.spawn(&["apply"]);
        wait_until("the first have started", || started(&sandbox) == at_once);
        // Others wait for it still: in one file, outside of everything that is kept.
        let held = holders(&sandbox);
        assert!(held.len() == 1 && held[0].starts_with("/dev/shm"), "{held:?}");
        for n in 1..4 {
            sandbox.write(&format!("go.{n}"), "");
        }
        wait_until("the last has started", || started(&sandbox) == 4);
        check_gone(&sandbox);
        sandbox.write("go.4", "");
        let run = finish(apply);
        assert_eq!(run.code, 0, "{}", run.stderr);
        check_gone(&sandbox);
        let shown = run.stdout + &run.stderr;
        assert!(!shown.contains(TOKEN), "{shown}");
    }
}

#[test]
fn many_short_jobs_in_several_slots_all_get_it() {
    let mut sandbox = Sandbox::with(
        r#"
name = "short"
command = ["sh", "-c", "[ \"$TOKEN\" = \"$(cat \"$HOME\"/token)\" ]"]
[env]
TOKEN = { from-env = "MY_TOKEN" }
[matrix]
n = { from = 1, to = 80, step = 1 }
[hosts.local]
slots = 4
"#,
    );
    fs::write(sandbox.home().join("token"), TOKEN).unwrap();
    sandbox.set("MY_TOKEN", TOKEN);
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    check_gone(&sandbox);
}

#[test]
fn a_secret_is_gone_after_cancel() {
    let sandbox = waiting("");
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first has started", || started(&sandbox) == 1);
    sandbox.expect(0, &["cancel", "--all", "--now"]);
    sandbox.wait_quiet();
    check_gone(&sandbox);
    assert_eq!(started(&sandbox), 1);
}

#[test]
fn a_secret_is_gone_after_cancel_also_where_no_runner_is_left() {
    let sandbox = waiting("");
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first has started", || started(&sandbox) == 1);
    wait_until("no runner is left", || {
        let runners: Vec<_> = runners(&sandbox);
        for pid in &runners {
            kill(*pid);
        }
        runners.is_empty()
    });
    sandbox.expect(0, &["cancel", "--all", "--now"]);
    check_gone(&sandbox);
    sandbox.wait_quiet();
}

#[test]
fn a_secret_is_gone_after_max_fail() {
    let sandbox = waiting("");
    sandbox.write("fail", "");
    sandbox.expect(100, &["apply", "--max-fail", "2"]);
    assert_eq!(started(&sandbox), 2);
    sandbox.wait_quiet();
    check_gone(&sandbox);
}

#[test]
fn a_secret_survives_its_runner_and_is_gone_at_the_end() {
    let sandbox = waiting("");
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the first has started", || started(&sandbox) == 1);
    kill(life(&sandbox));
    for n in 1..5 {
        sandbox.write(&format!("go.{n}"), "");
    }
    let run = finish(apply);
    assert_eq!(run.code, 0, "{}", run.stderr);
    sandbox.wait_quiet();
    check_gone(&sandbox);
}

#[test]
fn a_runner_that_dies_between_claim_and_start_leaves_no_secret() {
    let mut sandbox = waiting("");
    sandbox.set("SP_FAULT", "claimed");
    for n in 1..=4 {
        sandbox.write(&format!("go.{n}"), "");
    }
    sandbox.expect(100, &["apply"]);
    // The fault is met once, by the first job.
    assert_eq!(sandbox.results("waiting")[0]["reason"], "before-start");
    sandbox.wait_quiet();
    check_gone(&sandbox);
}

/// The pid of the runner at work, by the name of the lock that it holds for life.
fn life(sandbox: &Sandbox) -> i32 {
    let files = files_below(&sandbox.root().join("v2/run"));
    let pids = files.iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_prefix("life.")?;
        name.split('-').next()?.parse().ok()
    });
    let pids: Vec<i32> = pids.collect();
    assert_eq!(pids.len(), 1, "{files:?}");
    pids[0]
}

fn runners(sandbox: &Sandbox) -> Vec<i32> {
    let runner = |(pid, line): (i32, String)| line.contains(" runner ").then_some(pid);
    sandbox.processes().into_iter().filter_map(runner).collect()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // It may have ended by itself.
    let _ended = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

#[test]
fn no_command_line_has_it_and_sp_shows_it_nowhere() {
    let mut sandbox = Sandbox::with(
        r#"
name = "shown"
command = "printf %s \"$TOKEN\" | grep -lsaF -f - /proc/[0-9]*/cmdline >found || true; sleep 0.5"
prepare = "printf %s \"$TOKEN\" | grep -lsaF -f - /proc/[0-9]*/cmdline >found-in-prepare || true"
cleanup = "echo \"<$TOKEN>\" >in-cleanup"
[env]
TOKEN = { from-env = "MY_TOKEN" }
[hosts.local]
init = "export SOMETHING=1"
"#,
    );
    sandbox.set("MY_TOKEN", TOKEN);
    let mut shown = String::new();
    let mut show = |run: Run| shown.push_str(&(run.stdout + &run.stderr));
    show(sandbox.expect(0, &["plan", "--json"]));
    show(sandbox.expect(0, &["plan", "--out", "saved.plan"]));
    show(sandbox.expect(0, &["plan", "--show", "commands"]));
    show(sandbox.expect(0, &["apply", "-v"]));
    let id = sandbox.results("shown")[0]["job_id"].as_str().unwrap().to_owned();
    for arguments in [
        &["status", "--json"][..],
        &["explain", &id],
        &["explain", &id, "--json"],
        &["results", "--json"],
        &["logs", &id],
        &["plan", "--json"],
    ] {
        show(sandbox.sp(arguments));
    }
    assert!(!shown.contains(TOKEN), "{shown}");
    assert_eq!(sandbox.read("found") + &sandbox.read("found-in-prepare"), "");
    assert_eq!(sandbox.read("in-cleanup"), "<>\n");
    check_gone(&sandbox);
    for (pid, line) in sandbox.processes() {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        assert!(!environ.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()), "{line}");
    }
}

#[test]
fn a_tmux_server_that_a_client_starts_does_not_get_it() {
    let sandbox = waiting("");
    let tmux = |arguments: &[&str]| {
        let mut command = Command::new("tmux");
        command.args(["-L", "sp"]).args(arguments).env("TMUX_TMPDIR", sandbox.plain());
        let ended = command.env_remove("TMUX").output().unwrap();
        String::from_utf8_lossy(&ended.stdout).into_owned()
    };
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first has its window", || tmux(&["list-sessions"]).contains("sp-waiting~"));
    tmux(&["kill-server"]);
    wait_until("the server is gone", || tmux(&["list-sessions"]).is_empty());
    // It makes the window anew, then finds no terminal to show it on.
    sandbox.sp(&["attach", "n=1"]);
    let environment = tmux(&["show-environment", "-g"]);
    assert!(environment.contains("HOME="), "{environment}");
    assert!(!environment.contains(TOKEN), "{environment}");
    sandbox.expect(0, &["cancel", "--all", "--now"]);
    sandbox.wait_quiet();
}

#[test]
fn a_missing_secret_is_told_before_anything_starts() {
    let mut sandbox = waiting("");
    sandbox.unset("MY_TOKEN");
    let plan = sandbox.json(&["plan"]);
    assert_eq!(plan["summary"]["run"], 4);
    let run = sandbox.expect(1, &["apply"]);
    assert!(run.stderr.contains("MY_TOKEN"), "{}", run.stderr);
    assert_eq!(started(&sandbox), 0);
    sandbox.wait_quiet();
    // Where nothing must start it is not missed.
    sandbox.set("MY_TOKEN", TOKEN);
    for n in 1..5 {
        sandbox.write(&format!("go.{n}"), "");
    }
    sandbox.expect(0, &["apply"]);
    sandbox.unset("MY_TOKEN");
    sandbox.expect(0, &["apply"]);
    // Another value is no other job.
    sandbox.set("MY_TOKEN", "renewed");
    sandbox.expect(0, &["apply"]);
    assert_eq!(started(&sandbox), 4);
}

#[test]
fn any_value_arrives_as_it_is() {
    let values = [
        "two\nlines",
        "ends in newlines\n\n",
        "'",
        "it's \"quoted\"",
        "$HOME $(touch pwned) `touch pwned`",
        "back\\slash \\n \\",
        "  blanks\tand tab ",
        "secrets",
        "",
        "job 1 2 3\nbatch\nsecrets\nsp-end x",
        "\u{1}\u{7f}\r",
        "grüße 世界 😀",
        "#!;&|<>*?[]{}~^",
    ];
    let mut text = "name = \"values\"\ncommand = \"\"\"\n".to_owned();
    for at in 0..values.len() {
        writeln!(text, "printf %s \"$S_{at}\" >{{{{ job.out_dir }}}}/{at}").unwrap();
    }
    text += "\"\"\"\n[env]\n";
    for at in 0..values.len() {
        writeln!(text, "S_{at} = {{ from-env = \"VALUE_{at}\" }}").unwrap();
    }
    let mut sandbox = Sandbox::with(&text);
    for (at, value) in values.iter().enumerate() {
        sandbox.set(&format!("VALUE_{at}"), value);
    }
    sandbox.expect(0, &["apply"]);
    let id = sandbox.results("values")[0]["job_id"].as_str().unwrap().to_owned();
    let out = sandbox.job_folder("values", &id).join("1/out");
    for (at, value) in values.iter().enumerate() {
        assert_eq!(fs::read_to_string(out.join(at.to_string())).unwrap(), *value);
    }
    assert!(!files_below(sandbox.path()).iter().any(|path| path.ends_with("pwned")));
}

#[test]
fn what_sp_makes_is_for_the_user_alone_whatever_the_umask() {
    for umask in ["000", "077", "022"] {
        let mut sandbox = Sandbox::with(
            r#"
name = "modes"
command = "echo x >{{ job.out_dir }}/x; sleep 0.5"
prepare = "true"
[env]
TOKEN = { from-env = "MY_TOKEN" }
[hosts.local]
init = "true"
[results]
dir = "out/results"
"#,
        );
        sandbox.set("MY_TOKEN", TOKEN);
        for arguments in [&["plan", "--out", "saved.plan"][..], &["apply"], &["results"]] {
            let mut command = Command::new("sh");
            command.args([
                "-c",
                &format!("umask {umask}; exec \"$0\" \"$@\""),
                env!("CARGO_BIN_EXE_sp"),
            ]);
            command.args(arguments).current_dir(sandbox.campaign()).env_clear();
            let like = sandbox.command(&[]);
            command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let ended = command.output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        // What a job writes has the rights that it gives, in a folder that nobody else can enter.
        let root = sandbox.home().join(".local/share/sp");
        for file in files_below(&root).iter().filter(|path| path.ends_with("out/x")) {
            let mode = 0o666 & !u32::from_str_radix(umask, 8).expect("octal");
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, mode);
            fs::remove_file(file).unwrap();
        }
        for top in [
            root,
            sandbox.campaign().join(".sp"),
            sandbox.campaign().join("out/results"),
            sandbox.campaign().join("saved.plan"),
        ] {
            check_modes(&top);
        }
        assert!(sandbox.campaign().join("out/results/results.csv").exists());
    }
}

/// Folders 0700, files 0600; links have no mode.
#[track_caller]
fn check_modes(path: &Path) {
    let about = fs::symlink_metadata(path).unwrap();
    let mode = about.permissions().mode() & 0o7777;
    if about.is_dir() {
        assert_eq!(mode, 0o700, "{}", path.display());
        for entry in fs::read_dir(path).unwrap() {
            check_modes(&entry.unwrap().path());
        }
    } else if about.is_file() {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}
