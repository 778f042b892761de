//! Folders of one campaign name: which of them are one instance, and what each leaves of the others.

#![expect(
    clippy::disallowed_methods,
    reason = "tests copy folders and start processes as users do"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    Sandbox, commit, finish, places, quoted, shell, sorted_lines, sp_in, wait_until,
};

/// A job that says in the home who ran it, and leaves a file.
const CAMPAIGN: &str = r#"
name = "bench"
command = "echo {{ n }} >>~/ran; sh ./run.sh {{ n }} | tee {{ job.out_dir }}/result"
[matrix]
n = [1, 2]
"#;

/// A folder `first` with the campaign, applied; under git or not.
fn first(git: bool) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::with(CAMPAIGN);
    sandbox.write("run.sh", "echo first $1\n");
    if git {
        commit(&sandbox.campaign());
    }
    sandbox.expect(0, &["apply"]);
    let folder = sandbox.campaign();
    (sandbox, folder)
}

fn ran(sandbox: &Sandbox) -> Vec<String> {
    sorted_lines(&fs::read_to_string(sandbox.home().join("ran")).unwrap_or_default())
}

/// What a plan in a folder would run, and take over.
fn plan(sandbox: &Sandbox, folder: &Path) -> (u64, u64) {
    let run = sp_in(sandbox, folder, &["plan", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let count = |key: &str| plan["summary"][key].as_u64().expect("a number");
    (count("run"), count("adopt"))
}

fn instances(sandbox: &Sandbox) -> usize {
    places(&sandbox.root(), "bench").len()
}

#[test]
fn clone_and_worktree_share() {
    let (sandbox, folder) = first(true);
    shell(sandbox.path(), "git clone -q work clone");
    shell(&folder, "git worktree add -q ../tree");
    for other in ["clone", "tree"] {
        let other = sandbox.path().join(other);
        assert_eq!(plan(&sandbox, &other), (0, 2), "{}", other.display());
        assert_eq!(sp_in(&sandbox, &other, &["apply"]).code, 0);
        assert_eq!(sp_in(&sandbox, &other, &["logs", "n=1"]).stdout, "first 1\n");
    }
    assert_eq!((instances(&sandbox), ran(&sandbox)), (1, vec!["1".to_owned(), "2".to_owned()]));
}

#[test]
fn copied_folder_is_another_instance() {
    for git in [false, true] {
        let (sandbox, folder) = first(git);
        // Within the repository, where there is one.
        let copy = if git { folder.join("copy") } else { sandbox.path().join("copy") };
        shell(
            sandbox.path(),
            &format!(
                "mkdir -p {0} && cp work/campaign.toml work/run.sh {0}/ && cp -r work/.sp {0}/",
                quoted(&copy)
            ),
        );
        fs::write(copy.join("run.sh"), "echo copy $1\n").expect("a file");
        let run = sp_in(&sandbox, &copy, &["plan"]);
        let told = format!("was copied here from `{}`", folder.join("campaign.toml").display());
        assert!(run.stderr.contains(&told), "{run:?}");
        assert_eq!(plan(&sandbox, &copy), (2, 0), "git: {git}");
        assert_eq!(sp_in(&sandbox, &copy, &["apply"]).code, 0);
        assert_eq!(sp_in(&sandbox, &copy, &["logs", "n=1"]).stdout, "copy 1\n");
        assert_eq!(sandbox.expect(0, &["logs", "n=1"]).stdout, "first 1\n");
        assert_eq!((instances(&sandbox), ran(&sandbox).len()), (2, 4));
        // What came along is kept beside it.
        let kept = fs::read_dir(copy.join(".sp")).expect("a folder").flatten();
        assert!(
            kept.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("bench~"))
        );
    }
}

#[test]
fn copied_repository_shares_and_starts_with_a_memory_of_its_own() {
    let (sandbox, _) = first(true);
    shell(sandbox.path(), "cp -r work copy");
    let copy = sandbox.path().join("copy");
    let run = sp_in(&sandbox, &copy, &["plan"]);
    assert!(run.stderr.contains("was copied here from"), "{run:?}");
    assert!(run.stdout.contains("2 to take over"), "{run:?}");
    assert_eq!(instances(&sandbox), 1);
}

#[test]
fn moved_folder_stays_what_it_is() {
    for git in [false, true] {
        let (sandbox, folder) = first(git);
        let moved = sandbox.path().join("moved");
        fs::rename(&folder, &moved).expect("a folder");
        assert_eq!(plan(&sandbox, &moved), (0, 0), "git: {git}");
        fs::rename(moved.join("campaign.toml"), moved.join("renamed.toml")).expect("a file");
        let run = sp_in(&sandbox, &moved, &["apply", "renamed.toml"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!((instances(&sandbox), ran(&sandbox).len()), (1, 2));
        fs::create_dir(&folder).expect("a folder for the sandbox");
    }
}

#[test]
fn unversioned_folder_without_its_memory_finds_itself() {
    let (sandbox, folder) = first(false);
    fs::remove_dir_all(folder.join(".sp")).expect("it goes");
    assert_eq!(plan(&sandbox, &folder), (0, 2));
    sandbox.expect(0, &["apply"]);
    assert_eq!((instances(&sandbox), ran(&sandbox).len()), (1, 2));
}

#[test]
fn first_commit_and_new_history_change_nothing() {
    let (sandbox, folder) = first(false);
    commit(&folder);
    assert_eq!(plan(&sandbox, &folder), (0, 0));
    shell(
        &folder,
        "git checkout -q --orphan other && git -c user.name=t -c user.email=t@example.org commit -qm anew",
    );
    assert_eq!(plan(&sandbox, &folder), (0, 0));
    assert_eq!(instances(&sandbox), 1);
}

#[test]
fn project_of_the_same_name_is_another_instance() {
    let (sandbox, folder) = first(true);
    let other = sandbox.path().join("other");
    fs::create_dir(&other).expect("a folder");
    fs::copy(folder.join("campaign.toml"), other.join("campaign.toml")).expect("a file");
    fs::write(other.join("run.sh"), "echo other $1\n").expect("a file");
    shell(
        &other,
        "git init -q && git add -A && git -c user.name=o -c user.email=o@example.org commit -qm other",
    );
    assert_eq!(plan(&sandbox, &other), (2, 0));
    assert_eq!(sp_in(&sandbox, &other, &["apply"]).code, 0);
    assert_eq!((instances(&sandbox), ran(&sandbox).len()), (2, 4));
}

/// It has not the first commit, by which its repository is known.
#[test]
fn shallow_clone_finds_its_repository_or_says_what_to_do() {
    let (sandbox, folder) = first(true);
    let more = "git -c user.name=t -c user.email=t@example.org commit -q --allow-empty -m more";
    shell(&folder, more);
    let clone = |name: &str| {
        shell(sandbox.path(), &format!("git clone -q --depth 1 file://{} {name}", quoted(&folder)));
        sandbox.path().join(name)
    };
    // The first one stands at a commit that no host was told of, and nobody came from its address.
    let early = clone("early");
    let run = sp_in(&sandbox, &early, &["plan"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr.contains("shallow clone") && run.stderr.contains("fetch-depth: 0"),
        "{run:?}"
    );
    // From now on a host knows the commit.
    fs::write(folder.join("campaign.toml"), CAMPAIGN.replace("[1, 2]", "[1, 2, 3]"))
        .expect("a file");
    shell(&folder, &format!("git add -A && {more}"));
    sandbox.expect(0, &["apply"]);
    let late = clone("late");
    assert_eq!(plan(&sandbox, &late), (0, 3));
    // An id in the file does without.
    let text = fs::read_to_string(early.join("campaign.toml")).expect("text");
    let id = places(&sandbox.root(), "bench")[0].file_name().expect("a name").display().to_string();
    let id = id.split_once('~').expect("an instance").1.to_owned();
    fs::write(early.join("campaign.toml"), format!("id = '{id}'\n{text}")).expect("a file");
    assert_eq!(plan(&sandbox, &early), (0, 2));
    assert_eq!((instances(&sandbox), ran(&sandbox).len()), (1, 3));
}

#[test]
fn id_of_the_file_says_who_shares() {
    let (sandbox, folder) = first(false);
    let other = sandbox.path().join("other");
    fs::create_dir(&other).expect("a folder");
    fs::write(other.join("campaign.toml"), format!("id = 'ours'\n{CAMPAIGN}")).expect("a file");
    fs::write(other.join("run.sh"), "echo other $1\n").expect("a file");
    assert_eq!(sp_in(&sandbox, &other, &["apply"]).code, 0);
    assert_eq!(ran(&sandbox).len(), 4);
    // The first one joins it: its former results are another instance's by then.
    fs::write(folder.join("campaign.toml"), format!("id = 'ours'\n{CAMPAIGN}")).expect("a file");
    assert_eq!(plan(&sandbox, &folder), (0, 2));
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.expect(0, &["logs", "n=1"]).stdout, "other 1\n");
    assert_eq!((instances(&sandbox), ran(&sandbox).len()), (2, 4));
}

#[test]
fn two_files_of_one_name_in_one_folder_are_refused() {
    let (sandbox, folder) = first(false);
    fs::copy(folder.join("campaign.toml"), folder.join("second.toml")).expect("a file");
    let run = sandbox.expect(1, &["plan", "second.toml"]);
    assert!(run.stderr.contains("have the same name, `bench`"), "{run:?}");
    assert!(run.stderr.contains("another `name`"), "{run:?}");
    sandbox.expect(0, &["plan"]);
    // The first one was renamed in its text: the name is free.
    let text = CAMPAIGN.replace("\"bench\"", "\"former\"");
    fs::write(folder.join("campaign.toml"), text).expect("a file");
    sandbox.expect(0, &["plan", "second.toml"]);
}

#[test]
fn damaged_record_of_the_id_is_told() {
    let (sandbox, folder) = first(false);
    fs::write(folder.join(".sp/bench/id"), "id ../x\n").expect("a file");
    let run = sandbox.expect(1, &["plan"]);
    assert!(run.stderr.contains("remove it, then run sp again"), "{run:?}");
    fs::remove_file(folder.join(".sp/bench/id")).expect("it goes");
    assert_eq!(plan(&sandbox, &folder), (0, 0));
}

/// What the other folder keeps is not ours to set aside, whoever's id it has.
#[test]
fn linked_state_of_another_folder_is_not_moved() {
    let (sandbox, folder) = first(false);
    let copy = sandbox.path().join("copy");
    fs::create_dir(&copy).expect("a folder");
    shell(&folder, "cp campaign.toml run.sh ../copy/; cd ../copy; ln -s ../work/.sp .sp");
    let text = format!("id = 'x'\n{CAMPAIGN}");
    for text in [CAMPAIGN, &text] {
        fs::write(copy.join("campaign.toml"), text).expect("a file");
        for command in ["status", "plan", "apply"] {
            let run = sp_in(&sandbox, &copy, &[command]);
            assert_eq!(run.code, 1, "{command}: {run:?}");
            assert!(run.stderr.contains("it is a link"), "{command}: {run:?}");
        }
        assert_eq!(shell(&folder, "ls .sp"), "bench\n");
    }
    assert_eq!(plan(&sandbox, &folder), (0, 0));
}

/// An apply that runs keeps its folder; whoever only looks says so and may be asked again.
#[test]
fn state_that_an_apply_works_with_is_not_set_aside() {
    let text = "name = 'bench'\ncommand = 'touch began; until [ -e go ]; do sleep 0.02; done'\n";
    let sandbox = Sandbox::with(text);
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the job runs", || sandbox.campaign().join("began").exists());
    sandbox.write("campaign.toml", &format!("id = 'x'\n{text}"));
    let run = sandbox.expect(75, &["status"]);
    assert!(run.stderr.contains("is of another instance"), "{run:?}");
    sandbox.write("go", "");
    assert_eq!(finish(apply).code, 0);
    sandbox.expect(0, &["status"]);
}

/// A folder in a repository that git cannot read is not taken for one without.
#[test]
fn repository_that_git_cannot_read_is_told() {
    let (sandbox, folder) = first(true);
    fs::remove_dir_all(folder.join(".sp")).expect("there is one");
    fs::write(folder.join(".git/HEAD"), "garbage\n").expect("a file");
    for command in ["plan", "apply"] {
        let run = sp_in(&sandbox, &folder, &[command]);
        assert_eq!(run.code, 1, "{command}: {run:?}");
        assert!(run.stderr.contains("lies in a repository"), "{command}: {run:?}");
        assert!(run.stderr.contains("git -C "), "{command}: {run:?}");
    }
    assert_eq!(instances(&sandbox), 1);
    sandbox.write("campaign.toml", &format!("id = 'x'\n{CAMPAIGN}"));
    assert_eq!(plan(&sandbox, &folder), (2, 0));
}
