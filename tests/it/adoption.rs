//! The host's files are the truth: with the checkpoint gone, damaged or elsewhere, what ran is taken over and nothing
//! runs twice.

#![expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::support::{Run, Sandbox, commit, shell, sorted_lines, wait_until};

/// One job of three fails; each says in the home that it ran.
const CAMPAIGN: &str = r#"
name = "known"
command = "echo {{ n }} >> ~/ran; exit {{ code }}"
[matrix]
n = [1, 2, 3]
code = { expr = "3 if n == 2 else 0" }
"#;

fn ran(sandbox: &Sandbox) -> Vec<String> {
    sorted_lines(&fs::read_to_string(sandbox.home().join("ran")).unwrap_or_default())
}

fn checkpoint(sandbox: &Sandbox) -> PathBuf {
    sandbox.campaign().join(".sp/known/checkpoint.db")
}

fn sp_in(sandbox: &Sandbox, folder: &Path, arguments: &[&str]) -> Run {
    Run::of(&sandbox.command_in(folder, arguments).output().expect("sp starts"))
}

fn table(folder: &Path) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let text = fs::read_to_string(folder.join(".sp/known/results.jsonl")).expect("a table");
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

/// The commit that every row of the table ran from, and whether the folder differed from it.
fn revisions(sandbox: &Sandbox) -> Vec<(Option<String>, Option<bool>)> {
    let rows = table(&sandbox.campaign()).into_iter();
    rows.map(|row| (row["git_rev"].as_str().map(str::to_owned), row["dirty"].as_bool())).collect()
}

#[test]
fn without_its_checkpoint_everything_is_taken_over() {
    let sandbox = Sandbox::with(CAMPAIGN);
    commit(&sandbox.campaign());
    let head = shell(&sandbox.campaign(), "git rev-parse HEAD").trim().to_owned();
    sandbox.expect(100, &["apply"]);
    // One more job, from a folder that is not the commit's any more.
    sandbox.write("campaign.toml", &CAMPAIGN.replace("[1, 2, 3]", "[1, 2, 3, 4]"));
    sandbox.expect(100, &["apply", "--no-failed"]);
    sandbox.write("campaign.toml", CAMPAIGN);
    sandbox.expect(100, &["apply", "--no-failed"]);
    assert_eq!(revisions(&sandbox), vec![(Some(head), Some(false)); 3]);
    let before = table(&sandbox.campaign());
    let logs = |sandbox: &Sandbox| shell(&sandbox.campaign(), "ls .sp/known/logs");
    let logs_before = logs(&sandbox);
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("there is one");
    let plan = sandbox.json(&["plan", "--no-failed"]);
    assert_eq!(plan["summary"]["adopt"], 3, "{plan}");
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("there is one");
    sandbox.expect(100, &["apply", "--no-failed"]);
    assert_eq!(ran(&sandbox), ["1", "2", "3", "4"]);
    assert_eq!(table(&sandbox.campaign()), before);
    assert_eq!(logs(&sandbox), logs_before);
    sandbox.write("campaign.toml", &CAMPAIGN.replace("[1, 2, 3]", "[1, 2, 3, 4]"));
    sandbox.expect(100, &["apply", "--no-failed"]);
    assert_eq!(ran(&sandbox), ["1", "2", "3", "4"]);
    let dirty: Vec<_> = revisions(&sandbox).into_iter().map(|(_, dirty)| dirty).collect();
    assert_eq!(dirty, [Some(false), Some(false), Some(false), Some(true)]);
}

/// Records of a host script that knew nothing of commits.
#[test]
fn records_without_a_commit_are_taken_over() {
    let sandbox = Sandbox::with(CAMPAIGN);
    commit(&sandbox.campaign());
    sandbox.expect(100, &["apply"]);
    sandbox.wait_quiet();
    let campaign = sandbox.place("known");
    shell(
        &campaign,
        "set -e; sed -i -E 's/ (snapshot|code|git|dirty)=[^ ]+//g' jobs/*/1/state; rm journal",
    );
    for state in sandbox.attempts("known", "state") {
        let text = fs::read_to_string(state).expect("records");
        assert!(text.contains("\nend ") && !text.contains("git="), "{text}");
    }
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("there is one");
    sandbox.expect(100, &["apply", "--no-failed"]);
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
    assert_eq!(revisions(&sandbox), vec![(None, None); 3]);
}

#[test]
fn a_clone_elsewhere_takes_everything_over() {
    let sandbox = Sandbox::with(CAMPAIGN);
    commit(&sandbox.campaign());
    sandbox.expect(100, &["apply"]);
    shell(sandbox.path(), "git clone -q work elsewhere");
    let clone = sandbox.path().join("elsewhere");
    let run = sp_in(&sandbox, &clone, &["apply", "--no-failed"]);
    assert_eq!(run.code, 100, "{run:?}");
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
    assert_eq!(table(&clone), table(&sandbox.campaign()));
}

#[test]
fn what_runs_is_taken_over_too() {
    let sandbox = Sandbox::with(
        r#"
name = "known"
command = "echo {{ n }} >> ~/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.05; done"
[matrix]
n = [1, 2, 3]
"#,
    );
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || ran(&sandbox) == ["1"]);
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("there is one");
    let plan = sandbox.json(&["plan"]);
    assert_eq!((&plan["summary"]["wait"], &plan["summary"]["run"]), (&3.into(), &0.into()));
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("there is one");
    sandbox.write("go", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
}

#[test]
fn a_damaged_checkpoint_is_set_aside() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("garbage", |path| fs::write(path, vec![b'x'; 8192]).expect("written")),
        ("empty", |path| fs::write(path, "").expect("written")),
        ("half", |path| {
            let file = fs::OpenOptions::new().write(true).open(path).expect("there");
            file.set_len(file.metadata().expect("a length").len() / 2).expect("cut");
        }),
        ("no tables", |path| {
            let connection = Connection::open(path).expect("a database");
            connection.execute_batch("DROP TABLE IF EXISTS meta").expect("dropped");
        }),
    ];
    for (name, damage) in damages {
        let sandbox = Sandbox::with(CAMPAIGN);
        sandbox.expect(100, &["apply"]);
        let before = table(&sandbox.campaign());
        damage(&checkpoint(&sandbox));
        let run = sandbox.sp(&["apply", "--no-failed"]);
        assert_eq!(run.code, 100, "{name}: {run:?}");
        assert!(run.stderr.contains("was damaged"), "{name}: {run:?}");
        assert!(checkpoint(&sandbox).with_extension("db.corrupt-1").exists(), "{name}");
        assert_eq!(ran(&sandbox), ["1", "2", "3"], "{name}");
        assert_eq!(table(&sandbox.campaign()), before, "{name}");
    }
}

/// Damage that opening does not see: one page of one table or index, or a word that no `sp` writes.
#[test]
fn damage_that_shows_later_is_set_aside_too() {
    let sandbox = Sandbox::with(CAMPAIGN);
    sandbox.expect(100, &["apply"]);
    let before = table(&sandbox.campaign());
    let sound = fs::read(checkpoint(&sandbox)).expect("a checkpoint");
    let (size, pages) = pages_of(&checkpoint(&sandbox));
    assert!(pages.len() > 5, "{pages:?}");
    for (number, (name, page)) in pages.iter().enumerate() {
        fs::write(checkpoint(&sandbox), &sound).expect("written");
        let mut file =
            fs::OpenOptions::new().write(true).open(checkpoint(&sandbox)).expect("there");
        file.seek(SeekFrom::Start((page - 1) * size)).expect("a place");
        file.write_all(&vec![0xa5; usize::try_from(size).expect("small")]).expect("written");
        drop(file);
        // A command that looks may meet it first.
        let first: &[&str] = if number % 2 == 0 { &["status"] } else { &["results"] };
        let looked = sandbox.expect(0, first);
        let run = sandbox.sp(&["apply", "--no-failed"]);
        assert_eq!(run.code, 100, "{name}: {run:?}");
        let said = looked.stderr.contains("was damaged") || run.stderr.contains("was damaged");
        let sound_again = Connection::open(checkpoint(&sandbox)).expect("a database");
        let word: String =
            sound_again.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap_or_default();
        // What nobody reads harms nobody; what was read was said.
        assert!(said || word != "ok", "{name}: {run:?}");
        assert_eq!(ran(&sandbox), ["1", "2", "3"], "{name}");
        assert_eq!(table(&sandbox.campaign()), before, "{name}");
    }
    fs::write(checkpoint(&sandbox), &sound).expect("written");
    let connection = Connection::open(checkpoint(&sandbox)).expect("a database");
    connection
        .execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE attempt SET state = 'perhaps'")
        .expect("written");
    drop(connection);
    let run = sandbox.expect(100, &["apply", "--no-failed"]);
    assert!(run.stderr.contains("was damaged"), "{run:?}");
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
}

/// A checkpoint that gets damaged while its jobs run: the apply goes on, and what failed meanwhile does not run again.
#[test]
fn damage_in_the_midst_of_an_apply() {
    let sandbox = Sandbox::with(&CAMPAIGN.replace(
        "exit {{ code }}",
        "until [ -e {{ work_dir }}/go ]; do sleep 0.05; done; exit {{ code }}",
    ));
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the first job runs", || ran(&sandbox) == ["1"]);
    // Then the apply writes nothing more, and so has no reason to read the pages before they are damaged.
    let state = || sandbox.json(&["status", "--offline"])["jobs"][0]["state"].clone();
    wait_until("that is written down", || state() == "running");
    let (size, pages) = pages_of(&checkpoint(&sandbox));
    let connection = Connection::open(checkpoint(&sandbox)).expect("a database");
    connection.busy_timeout(std::time::Duration::from_secs(10)).expect("patience");
    // A write of another process makes the apply read its pages anew.
    connection
        .execute_batch("BEGIN IMMEDIATE; UPDATE host SET last_seen = last_seen + 1")
        .expect("ours");
    connection.execute_batch("COMMIT").expect("written");
    drop(connection);
    let mut file = fs::OpenOptions::new().write(true).open(checkpoint(&sandbox)).expect("there");
    for (name, page) in pages {
        if name == "attempt" {
            file.seek(SeekFrom::Start((page - 1) * size)).expect("a place");
            file.write_all(&vec![0xa5; usize::try_from(size).expect("small")]).expect("written");
        }
    }
    drop(file);
    sandbox.write("go", "");
    let run = crate::support::finish(apply);
    assert_eq!(run.code, 100, "{run:?}");
    assert!(run.stderr.contains("was damaged"), "{run:?}");
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
}

/// Page size, and the first page of every table and index that has one of its own.
fn pages_of(path: &Path) -> (u64, Vec<(String, u64)>) {
    let number = |row: &rusqlite::Row<'_>, column| row.get::<_, u32>(column).map(u64::from);
    let connection = Connection::open(path).expect("a database");
    let size =
        connection.query_row("PRAGMA page_size", [], |row| number(row, 0)).expect("a number");
    let mut rows = connection
        .prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 1")
        .expect("a schema");
    let pages = rows
        .query_map([], |row| Ok((row.get(0)?, number(row, 1)?)))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    (size, pages)
}

#[test]
fn a_newer_checkpoint_is_refused() {
    let sandbox = Sandbox::with(CAMPAIGN);
    sandbox.expect(100, &["apply"]);
    let connection = Connection::open(checkpoint(&sandbox)).expect("a database");
    connection.pragma_update(None, "user_version", 99).expect("written");
    drop(connection);
    for arguments in [["apply"], ["status"], ["plan"]] {
        let run = sandbox.expect(1, &arguments);
        assert!(run.stderr.contains("format 99"), "{run:?}");
    }
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
}

/// A folder that cannot be written: nothing is handed over whose intent could not be kept.
#[test]
fn a_folder_that_cannot_be_written_is_said() {
    let sandbox = Sandbox::with(CAMPAIGN);
    sandbox.expect(100, &["apply"]);
    // As root no mode keeps anybody out; a mount of our own does, where the system lets us have one.
    let script = format!(
        "mount --bind . . && mount -o remount,bind,ro . || exit 77; cd \"$PWD\"; exec '{}' apply",
        env!("CARGO_BIN_EXE_sp")
    );
    let mut command = std::process::Command::new("unshare");
    let like = sandbox.command(&[]);
    command.args(["-m", "sh", "-c", &script]).current_dir(sandbox.campaign()).env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = Run::of(&command.output().expect("util-linux"));
    if run.code == 77 || run.stderr.contains("unshare: ") {
        eprintln!("no mounts of our own here: not tried");
        return;
    }
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("cannot") && run.stderr.contains(".sp"), "{run:?}");
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
}

/// What the client has seen succeed stays so; what is still wanted runs on the new root.
#[test]
fn a_root_that_was_wiped() {
    let sandbox = Sandbox::with(CAMPAIGN);
    sandbox.expect(100, &["apply"]);
    sandbox.wait_quiet();
    fs::remove_dir_all(sandbox.root()).expect("a root");
    sandbox.expect(100, &["apply", "--no-failed"]);
    assert_eq!(ran(&sandbox), ["1", "2", "3"]);
    // The failed one runs again, as a second attempt on a host that never saw the first.
    sandbox.expect(100, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2", "2", "3"]);
    sandbox.write("campaign.toml", &CAMPAIGN.replace("[1, 2, 3]", "[1, 2, 3, 4]"));
    sandbox.expect(100, &["apply", "--no-failed"]);
    assert_eq!(ran(&sandbox), ["1", "2", "2", "3", "4"]);
}

#[test]
fn row_root_gone_is_lost() {
    let sandbox = Sandbox::with(
        r#"
name = "known"
command = "echo {{ n }} >> ~/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.05; done"
[matrix]
n = [1, 2]
"#,
    );
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || ran(&sandbox) == ["1"]);
    fs::remove_dir_all(sandbox.root()).expect("a root");
    let lost = ("lost".to_owned(), "root-gone".to_owned());
    assert_eq!(sandbox.states(), [lost.clone(), lost]);
    // Whoever served the old root finds it gone, and leaves.
    sandbox.write("go", "");
    sandbox.wait_quiet();
    assert_eq!(ran(&sandbox), ["1"], "what waited in the old root starts no more");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "1", "2"]);
}

/// A root on a file system that several machines see: what another one claimed is not ours to judge, and that is said.
#[test]
fn row_another_machine_claimed_it_is_running_and_not_ours_to_judge() {
    let mut sandbox = Sandbox::with(
        r#"
name = "known"
command = "echo {{ n }} >> ~/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.05; done"
[matrix]
n = [1]
"#,
    );
    let machine = sandbox.path().join("machine");
    fs::write(&machine, "elsewhere\n").expect("a file");
    sandbox.set("SP_MACHINE_ID_FILE", machine.to_str().expect("UTF-8"));
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the job runs", || ran(&sandbox) == ["1"]);
    sandbox.unset("SP_MACHINE_ID_FILE");
    let status = sandbox.json(&["status"]);
    let job = &status["jobs"][0];
    assert_eq!((&job["state"], &job["reason"]), (&"running".into(), &"".into()), "{job}");
    let words = "its records belong to another machine";
    assert!(job["detail"].as_str().expect("a text").starts_with(words), "{job}");
    for command in [&["status"][..], &["explain", "n=1"]] {
        let run = sandbox.expect(0, command);
        assert!(run.stdout.contains(words), "{run:?}");
        assert!(!run.stderr.contains("refused"), "{run:?}");
    }
    // Its own machine sees it as it is.
    sandbox.set("SP_MACHINE_ID_FILE", machine.to_str().expect("UTF-8"));
    assert_eq!(sandbox.json(&["status"])["jobs"][0]["detail"], "");
    sandbox.write("go", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1"]);
}
