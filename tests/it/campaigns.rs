//! Several campaigns on one host: their runners share slots, their records stay apart.

use std::collections::BTreeSet;
use std::fs;

use crate::support::Sandbox;

/// A runner takes entries of the campaigns in turn, and writes the end of one when it is at the next.
#[test]
fn campaigns_that_share_a_runner_keep_their_own_journals() {
    let sandbox = Sandbox::new();
    for name in ["first", "second"] {
        let text = format!(
            "name = \"{name}\"\ncommand = \"echo {name} {{{{ n }}}} >> {{{{ work_dir }}}}/ran\"\n\
             [matrix]\nn = {{ from = 1, to = 8, step = 1 }}\n"
        );
        sandbox.write(&format!("{name}.toml"), &text);
    }
    // The first waits for nobody, so both queues are drained by one runner.
    sandbox.expect(0, &["apply", "--detach", "first.toml"]);
    sandbox.expect(0, &["apply", "second.toml"]);
    sandbox.expect(0, &["wait", "first.toml"]);
    sandbox.wait_quiet();
    for name in ["first", "second"] {
        let folder = sandbox.place(name);
        let jobs = fs::read_dir(folder.join("jobs"))
            .expect("jobs")
            .map(|entry| entry.expect("one").file_name().into_string().expect("hex digits"));
        let jobs: BTreeSet<String> = jobs.collect();
        let journal = fs::read_to_string(folder.join("journal")).expect("a journal");
        let ended = journal
            .lines()
            .filter_map(|line| Some(line.strip_prefix("end id=")?.split(' ').next()?.to_owned()));
        assert_eq!(ended.collect::<BTreeSet<_>>(), jobs, "{name}");
        let plan = sandbox.json(&["plan", &format!("{name}.toml")]);
        assert_eq!(plan["obsolete"].as_array().map(Vec::len), Some(0), "{name}");
        assert_eq!(plan["summary"]["skip"], 8, "{name}");
    }
    assert_eq!(sandbox.read("ran").lines().count(), 16);
}
