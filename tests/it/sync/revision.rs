//! `dirty`: whether what jobs got is what the commit has.

use serde_json::Value;

use super::COMMIT;
use crate::support::{Sandbox, shell};

const CAMPAIGN: &str = "name = 'c'\ncommand = 'true'\n[sync]\nexclude = ['/out/']\n";

/// What is on record after `text` was done to a committed folder and the campaign was applied.
#[track_caller]
fn dirty(text: &str) -> Value {
    let sandbox = Sandbox::with(CAMPAIGN);
    for (path, content) in
        [("a.py", "1"), ("lib/b.py", "1"), ("out/c", "1"), (".gitignore", "*.o\n")]
    {
        sandbox.write(path, content);
    }
    shell(
        sandbox.path(),
        &format!("git init -q other; cd other; echo x > code; git add code; {COMMIT}"),
    );
    shell(
        &sandbox.campaign(),
        &format!(
            "git init -q .; git -c protocol.file.allow=always submodule --quiet add ../other sub; {COMMIT}; {text}"
        ),
    );
    sandbox.expect(0, &["apply"]);
    sandbox.results("c")[0]["dirty"].clone()
}

#[test]
fn what_jobs_got_differs_from_the_commit_or_not() {
    for (text, expected) in [
        ("true", false),
        ("touch a.py", false),
        ("echo 2 > a.py", true),
        ("rm lib/b.py", true),
        ("echo 1 > new.py", true),
        ("echo 1 > new.py; git add new.py", true),
        ("echo 1 > x.o", false),
        ("echo 2 > out/c; echo 1 > out/new", false),
        ("echo 2 > sub/code", true),
        ("echo 1 > sub/new", true),
        ("git clone -q ../other nested", true),
    ] {
        assert_eq!(dirty(text), expected, "{text}");
    }
}

/// Such as git-lfs: git knows by the looks that nothing changed, and after a change only the filter could tell.
#[test]
fn what_only_a_filter_could_tell_is_not_guessed() {
    let filter = format!(
        "git config filter.x.clean 'tr a-z A-Z'; echo '*.big filter=x' > .gitattributes; echo abc > one.big; {COMMIT}"
    );
    // A file as young as the index could have changed after all.
    let old = format!("{filter}; touch -d '-1 hour' one.big; git update-index one.big");
    assert_eq!(dirty(&old), false);
    assert_eq!(dirty(&format!("{old}; echo abd > one.big")), Value::Null);
    assert_eq!(dirty(&format!("{old}; echo abd > one.big; echo 2 > a.py")), true);
}

#[test]
fn without_a_commit_nothing_is_said() {
    let sandbox = Sandbox::with(CAMPAIGN);
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.results("c")[0]["dirty"], Value::Null);
    shell(&sandbox.campaign(), "git init -q .");
    sandbox.write("campaign.toml", &CAMPAIGN.replace("'true'", "'echo'"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.results("c")[0]["dirty"], Value::Null);
}

#[test]
fn a_submodule_that_is_not_there_is_named() {
    for (snapshot, gone) in [(false, "true"), (true, "true"), (true, "rmdir libs/sub")] {
        let sandbox = Sandbox::with(&format!(
            "name = 'c'\ncommand = 'true'\n[hosts.local]\nsnapshot = {snapshot}\n"
        ));
        shell(sandbox.path(), &format!("git init -q other; cd other; echo x > code; {COMMIT}"));
        shell(
            &sandbox.campaign(),
            &format!(
                "git init -q .; git -c protocol.file.allow=always submodule --quiet add ../other libs/sub; {COMMIT}
                 git submodule --quiet deinit -f libs/sub; {gone}"
            ),
        );
        let line = "warning: the submodule `libs/sub` is not checked out, so its files are missing; \
                    `git submodule update --init libs/sub` brings them\n";
        for words in [&["plan"][..], &["apply"]] {
            let run = sandbox.expect(0, words);
            assert!(run.stderr.contains(line), "{}", run.stderr);
        }
    }
}
