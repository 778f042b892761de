//! A stranger's repository: whatever its settings name to be run or fetched, no command of `sp` runs or fetches it.

use std::path::Path;

use crate::support::{Sandbox, shell};

const CAMPAIGN: &str = "name = 'c'\ncommand = 'true'\n[matrix]\nn = [1]\n";
/// Every command that looks at a campaign's folder.
const COMMANDS: &[&[&str]] = &[
    &["validate"],
    &["plan"],
    &["plan", "--show", "files"],
    &["sync", "--dry-run"],
    &["apply"],
    &["status"],
    &["path", "n=1"],
    &["logs", "n=1"],
    &["results"],
    &["explain", "n=1"],
    &["plan", "--code-change", "rerun"],
    &["apply", "--yes", "--rerun", "n=1"],
    &["gc", "-n"],
];

/// A sandbox with programs that leave a file behind when they are run. They lie in its plain folder: git runs some of them by
/// a shell and splits others at blanks, so that no spelling of another path does for all settings.
struct Hostile {
    sandbox: Sandbox,
}

impl Hostile {
    fn new() -> Self {
        let sandbox = Sandbox::with(CAMPAIGN);
        shell(
            sandbox.plain(),
            "mkdir ran; for name in fsmonitor hook clean process external ssh upload helper alias pager; do
               printf '#!/bin/sh\\n: >%s/ran/%s\\nexit 1\\n' \"$PWD\" $name >run-$name; chmod 755 run-$name
             done",
        );
        Self { sandbox }
    }

    /// Settings that name a program for everything that git has one for.
    fn settings(&self) -> String {
        let program = |name: &str| self.sandbox.plain().join(name).display().to_string();
        format!(
            "[core]\n repositoryformatversion = 1\n fsmonitor = {fsmonitor}\n sshCommand = {ssh}\n pager = {pager}\n\
             [extensions]\n partialClone = origin\n\
             [remote \"origin\"]\n url = ext::{helper}\n promisor = true\n partialclonefilter = blob:none\n \
             uploadpack = {upload}\n fetch = +refs/heads/*:refs/remotes/origin/*\n\
             [protocol]\n allow = always\n[protocol \"ext\"]\n allow = always\n[protocol \"file\"]\n allow = always\n\
             [filter \"a\"]\n clean = {clean}\n smudge = {clean}\n required = true\n\
             [filter \"b\"]\n process = {process}\n required = true\n\
             [diff]\n external = {external}\n[diff \"a\"]\n textconv = {external}\n command = {external}\n\
             [alias]\n ls-files = !{alias}\n status = !{alias}\n rev-parse = !{alias}\n\
             [credential]\n helper = !{helper}\n[pager]\n status = {pager}\n",
            fsmonitor = program("run-fsmonitor"),
            ssh = program("run-ssh"),
            pager = program("run-pager"),
            helper = program("run-helper"),
            upload = program("run-upload"),
            clean = program("run-clean"),
            process = program("run-process"),
            external = program("run-external"),
            alias = program("run-alias"),
        )
    }

    /// What was run.
    fn ran(&self) -> Vec<String> {
        let list = shell(self.sandbox.plain(), "ls ran");
        list.lines().map(str::to_owned).collect()
    }

    /// That git as it is would run this here: else nothing is proven.
    #[track_caller]
    fn runs(&self, folder: &str, text: &str, programs: &[&str]) {
        let folder = self.sandbox.campaign().join(folder);
        shell(&folder, &format!("export HOME=/nowhere; {{ {text}; }} >/dev/null 2>&1; true"));
        let ran = self.ran();
        for program in programs {
            assert!(ran.iter().any(|name| name == program), "git does not run {program}: {ran:?}");
        }
        shell(self.sandbox.plain(), "rm ran/*");
    }

    #[track_caller]
    fn runs_nothing(&self, folder: &Path) {
        for words in COMMANDS {
            let output = self.sandbox.command_in(folder, words).output().expect("sp starts");
            assert_eq!(self.ran(), [""; 0], "sp {words:?}: {output:?}");
            assert_eq!(output.status.code(), Some(0), "sp {words:?}: {output:?}");
        }
    }
}

/// A folder among the files that is a bare repository by its looks; a clone can bring one along.
#[test]
fn a_bare_repository_among_the_files_is_never_asked() {
    for is_clone in [true, false] {
        let hostile = Hostile::new();
        let sandbox = &hostile.sandbox;
        let absent = "1234567890123456789012345678901234567890";
        for (path, text) in [
            ("exp/campaign.toml", CAMPAIGN),
            ("exp/HEAD", "ref: refs/heads/main\n"),
            ("exp/refs/heads/main", &format!("{absent}\n")),
            ("exp/objects/keep", ""),
            ("exp/config", &hostile.settings()),
        ] {
            sandbox.write(path, text);
        }
        if is_clone {
            crate::support::commit(&sandbox.campaign());
        }
        hostile.runs("exp", "git log; git --work-tree=. status", &["helper"]);
        hostile.runs_nothing(&sandbox.campaign().join("exp"));
    }
}

/// A `.git` that came in an archive, with all its settings.
#[test]
fn the_settings_of_a_repository_start_nothing() {
    let hostile = Hostile::new();
    let sandbox = &hostile.sandbox;
    for (path, text) in [
        (".gitattributes", "a filter=a diff=a\nb filter=b diff=a\n"),
        ("a", "1"),
        ("b", "1"),
        ("c", "1"),
    ] {
        sandbox.write(path, text);
    }
    crate::support::commit(&sandbox.campaign());
    shell(
        &sandbox.campaign(),
        &format!(
            "for hook in post-index-change pre-auto-gc reference-transaction post-checkout; do
               cp {}/run-hook .git/hooks/$hook
             done",
            sandbox.plain().display()
        ),
    );
    sandbox.write(".git/config", &hostile.settings());
    // Their looks have changed, so git has to read them.
    sandbox.write("a", "2");
    sandbox.write("b", "2");
    let plain = "-c filter.a.clean= -c filter.a.required=false -c filter.b.process= -c filter.b.required=false";
    let git = &format!(
        "git hash-object a; git hash-object b; git {plain} diff; touch c; git {plain} update-index --refresh"
    );
    hostile.runs("", git, &["fsmonitor", "clean", "process", "external", "hook"]);
    sandbox.write("a", "3");
    hostile.runs_nothing(&sandbox.campaign());
    // An object that the promised remote has, as it says.
    shell(&sandbox.campaign(), "rm -f .git/objects/$(git rev-parse HEAD: | sed 's,^..,&/,')");
    hostile.runs("", "git status; git log --stat", &["helper"]);
    hostile.runs_nothing(&sandbox.campaign());
}
