//! The environment of a job: made, not inherited, and the same whoever starts it.

#![expect(clippy::disallowed_methods, reason = "tests start processes as users do")]
#![expect(clippy::unwrap_used, reason = "what a test rests on is there, or the test fails")]

use std::collections::BTreeMap;

use crate::support::Sandbox;

/// Keeps its environment, without a shell between that would add to it.
const ENVIRONMENT: &str = r#"
name = "environment"
command = ["dd", "if=/proc/self/environ", "of={{ job.out_dir }}/environment"]
time-limit = "1h"
[matrix]
alpha = ["x y"]
Beta = [2]
[env]
OWN = "of {{ alpha }}"
BOTH = "campaign"
[hosts.local]
env = { BOTH = "host", HERE = "1" }
"#;

/// The variables that a job wrote down.
fn variables(text: &str) -> BTreeMap<String, String> {
    let pair =
        |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.split('\0').filter_map(pair).collect()
}

/// What the first job of a campaign left in its out folder.
fn output(sandbox: &Sandbox, campaign: &str, file: &str) -> String {
    let id = sandbox.results(campaign)[0]["job_id"].as_str().unwrap().to_owned();
    std::fs::read_to_string(sandbox.job_folder(campaign, &id).join("1/out").join(file))
        .unwrap_or_default()
}

#[test]
fn it_is_exactly_what_the_help_says() {
    let mut sandbox = Sandbox::with(ENVIRONMENT);
    for name in [
        "TMUX",
        "TMUX_PANE",
        "SLURM_JOB_ID",
        "SECRET_OF_MINE",
        "LC_ALL",
        "PYTHONPATH",
        "BASH_ENV",
        "ENV",
    ] {
        sandbox.set(name, "leaked");
    }
    sandbox.set("LC_ALL", "C");
    sandbox.set("LANG", "C.UTF-8");
    sandbox.expect(0, &["apply"]);
    let row = &sandbox.results("environment")[0];
    let id = row["job_id"].as_str().unwrap();
    let mut found = variables(&output(&sandbox, "environment", "environment"));
    // Some shells add these by themselves to what they start.
    for name in ["PWD", "OLDPWD", "SHLVL", "_"] {
        found.remove(name);
    }
    let deadline: u64 = found.remove("SP_DEADLINE").unwrap().parse().unwrap();
    assert!(deadline > 3600, "{deadline}");
    let path = found.remove("PATH").unwrap();
    assert!(path.split(':').any(|folder| folder == "/usr/bin"), "{path}");
    let shell = found.remove("SHELL").unwrap();
    assert!(shell.starts_with('/'), "{shell}");
    let user = found.remove("USER").unwrap();
    assert_eq!(found.remove("LOGNAME").as_ref(), Some(&user));
    let folder = sandbox.job_folder("environment", id);
    let attempt = folder.join("1");
    let below = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let wanted: BTreeMap<String, String> = [
        ("HOME", below(&sandbox.home())),
        ("LANG", "C.UTF-8".into()),
        ("TZ", "UTC".into()),
        ("TMPDIR", below(sandbox.plain())),
        ("PYTHONUNBUFFERED", "1".into()),
        ("OWN", "of x y".into()),
        ("BOTH", "host".into()),
        ("HERE", "1".into()),
        ("SP_CAMPAIGN", "environment".into()),
        ("SP_JOB_ID", id.into()),
        ("SP_JOB_NAME", row["name"].as_str().unwrap().into()),
        ("SP_ATTEMPT", "1".into()),
        ("SP_HOST", "local".into()),
        ("SP_SLOT", "0".into()),
        ("SP_OUT_DIR", below(&attempt.join("out"))),
        ("SP_STATE_DIR", below(&folder.join("state"))),
        ("SP_WORK_DIR", below(&sandbox.campaign())),
        ("SP_PARAMS_FILE", below(&attempt.join("params.json"))),
        ("SP_PARAM_ALPHA", "x y".into()),
        ("SP_PARAM_BETA", "2".into()),
        ("SP_TIME_LIMIT", "3600".into()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    assert_eq!(found, wanted);
    // Each `SP_` name is in the help, and each name of the help was there.
    let help = sandbox.expect(0, &["help", "environment"]).stdout;
    for name in
        wanted.keys().filter(|name| !name.starts_with("SP_PARAM_") && name.starts_with("SP_"))
    {
        assert!(help.contains(&format!("`{name}`")), "{name} is not in `sp help environment`");
    }
    for line in help.lines().filter(|line| line.starts_with("| `SP_")) {
        let name = line.split('`').nth(1).unwrap();
        let known = wanted.contains_key(name)
            || ["SP_DEADLINE", "SP_SNAPSHOT", "SP_PARAM_<AXIS>"].contains(&name);
        assert!(known, "`sp help environment` has {name}, which no job gets");
    }
}

#[test]
fn what_a_job_starts_with_beside_its_environment() {
    let sandbox = Sandbox::with(
        r#"
name = "start"
command = """
{ readlink /proc/self/fd/0; umask; pwd -P; } >"$SP_OUT_DIR"/start
trap >"$SP_OUT_DIR"/traps
! read -r line
grep -E '^Sig(Ign|Blk)' /proc/self/status >"$SP_OUT_DIR"/signals
"""
working-dir = "sub"
"#,
    );
    sandbox.write("sub/x", "");
    let program = env!("CARGO_BIN_EXE_sp");
    // Whatever was ignored, masked or chosen where `sp` was typed.
    let command = sandbox.command(&[]);
    let mut wrapped = std::process::Command::new("sh");
    wrapped.args(["-c", "umask 002; trap '' HUP INT TERM PIPE; exec \"$0\" apply", program]);
    wrapped.current_dir(sandbox.campaign()).env_clear();
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = wrapped.output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let folder = sandbox.campaign().join("sub");
    let start = format!("/dev/null\n0002\n{}\n", folder.display());
    assert_eq!(output(&sandbox, "start", "start"), start);
    assert_eq!(output(&sandbox, "start", "traps"), "");
    for line in output(&sandbox, "start", "signals").lines() {
        let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        // glibc leaves two signals of its own, 32 and 33, ignored in what it spawns.
        assert_eq!(mask & 0x7fff_ffff, 0, "{line}");
    }
}

#[test]
fn the_path_is_the_login_shells_whatever_its_profile_prints() {
    let sandbox = Sandbox::with(
        r#"
name = "login"
command = ["my-tool", "{{ n }}"]
prepare = "my-tool prepare"
[matrix]
n = [1]
[hosts.local]
require = ["my-tool"]
"#,
    );
    std::fs::create_dir(sandbox.home().join("tools")).unwrap();
    crate::support::shell(
        &sandbox.home(),
        r#"
printf '#!/bin/sh\necho "$1" >>"$SP_WORK_DIR/ran"\n' >tools/my-tool
chmod +x tools/my-tool
cat >.profile <<'END'
echo "Welcome! sp-path:/nowhere"
echo "account PATH=/nowhere"
echo noise >&2
printf 'no newline at the end'
PATH=$HOME/tools:$PATH
export PATH LEAKED=1
END
"#,
    );
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.read("ran"), "prepare\n1\n");
}

#[test]
fn init_is_there_for_prepare_and_both_forms_of_a_command() {
    let text = |command: &str| {
        format!(
            r#"
name = "init"
command = {command}
prepare = "echo prepare $MODULE $(my-tool) >>ran"
[hosts.local]
init = """
export MODULE="it's loaded"
PATH=$PWD/tools:$PATH
echo "init prints"
"""
"#
        )
    };
    for command in [
        r#""echo command $MODULE $(my-tool) >>ran""#,
        r#"["sh", "-c", "echo command $MODULE $(my-tool) >>ran"]"#,
    ] {
        let sandbox = Sandbox::with(&text(command));
        sandbox.write("tools/x", "");
        crate::support::shell(
            &sandbox.campaign(),
            "printf '#!/bin/sh\\necho tool\\n' >tools/my-tool; chmod +x tools/my-tool",
        );
        sandbox.expect(0, &["apply"]);
        let wanted = "prepare it's loaded tool\ncommand it's loaded tool\n";
        assert_eq!(sandbox.read("ran"), wanted, "{command}");
    }
}

#[test]
fn an_init_that_fails_fails_the_job() {
    let sandbox = Sandbox::with(
        "name = \"broken\"\ncommand = \"touch ran\"\n[hosts.local]\ninit = \"exit 5\"\n",
    );
    sandbox.expect(100, &["apply"]);
    assert_eq!(sandbox.results("broken")[0]["exit_code"], 5);
    assert!(!sandbox.campaign().join("ran").exists());
}

#[test]
fn a_required_program_that_is_missing_is_told_before_anything_starts() {
    let sandbox = Sandbox::with(
        r#"
name = "required"
command = "touch ran"
[hosts.local]
require = ["sh", "no-such-tool", "nor-this-one"]
"#,
    );
    let run = sandbox.expect(1, &["apply"]);
    assert!(
        run.stderr.contains("no-such-tool") && run.stderr.contains("nor-this-one"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("require") || run.stderr.contains("install"), "{}", run.stderr);
    assert!(!sandbox.campaign().join("ran").exists());
    sandbox.expect(0, &["plan"]);
    sandbox.wait_quiet();
}

#[test]
fn over_ssh_the_umask_is_the_accounts() {
    let mut sandbox = Sandbox::with(
        "name = 'far'\ncommand = 'umask >~/mask; echo x >~/made'\n[hosts.box]\nssh = 'box'\n",
    );
    sandbox.hosts(&["box"]);
    let home = sandbox.host_home("box");
    std::fs::write(home.join(".profile"), "umask 027\n").unwrap();
    sandbox.expect(0, &["apply"]);
    assert_eq!(std::fs::read_to_string(home.join("mask")).unwrap(), "0027\n");
    // Without a word of its own it is that of a login.
    std::fs::write(home.join(".profile"), "").unwrap();
    sandbox.expect(0, &["apply", "--yes", "--rerun", "far"]);
    let mask = std::fs::read_to_string(home.join("mask")).unwrap();
    assert_ne!(mask, "0077\n");
}
