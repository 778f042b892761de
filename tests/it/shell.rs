//! `sp shell`: what it finds there, and that it is no part of the job.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::support::{Sandbox, finish, wait_until};

/// A shell that reads its commands from us.
fn open(sandbox: &Sandbox, job: &str) -> Child {
    sandbox.command(&["shell", job]).stdin(Stdio::piped()).spawn().expect("sp starts")
}

fn say(child: &mut Child, text: &str) {
    child.stdin.as_mut().expect("piped").write_all(text.as_bytes()).expect("it listens");
}

const LOOK: &str = "pwd; echo $GREETING $SP_PARAM_N $SP_JOB_NAME $SP_ATTEMPT $SP_HOST; echo \"token:$TOKEN\"; \
                    echo \"inherited:${NOT_THERE-no}\"; ls; env | grep -c SP_SECRET; exit 7\n";

fn job(host: &str) -> String {
    format!(
        "name = 'look'\ncommand = 'echo done > \"$SP_OUT_DIR\"/result'\n[matrix]\nn = [5]\n[env]\nGREETING = 'good day'\n\
         TOKEN = {{ from-env = 'TOKEN' }}\n{host}"
    )
}

#[test]
fn it_has_the_environment_of_the_job() {
    for host in ["", "[hosts.box]\nssh = 'box'\ninit = 'GREETING=\"$GREETING, sir\"'\n"] {
        let mut sandbox = Sandbox::with(&job(host));
        if !host.is_empty() {
            sandbox.hosts(&["box"]);
        }
        sandbox.set("TOKEN", "hush");
        sandbox.set("NOT_THERE", "1");
        sandbox.expect(0, &["apply"]);
        let mut shell = open(&sandbox, "n=5");
        say(&mut shell, LOOK);
        let run = finish(shell);
        // The code of the shell is nobody's result.
        assert_eq!(run.code, 0, "{run:?}");
        let lines: Vec<&str> = run.stdout.lines().collect();
        let (greeting, name) =
            if host.is_empty() { ("good day", "local") } else { ("good day, sir", "box") };
        assert!(lines[0].ends_with("/out"), "{run:?}");
        assert_eq!(lines[1], format!("{greeting} 5 n=5 1 {name}"), "{run:?}");
        assert_eq!(lines[2..], ["token:hush", "inherited:no", "result", "0"], "{run:?}");
        sandbox.unset("TOKEN");
        let mut shell = open(&sandbox, "n=5");
        say(&mut shell, LOOK);
        let run = finish(shell);
        assert!(run.stdout.contains("\ntoken:\n"), "{run:?}");
        assert!(run.stderr.contains("TOKEN is empty there"), "{run:?}");
    }
}

#[test]
fn a_secret_for_it_stays_nowhere() {
    let mut sandbox = Sandbox::with(&job(""));
    sandbox.set("TOKEN", "hush-hush-4711");
    sandbox.expect(0, &["apply"]);
    let root = std::fs::read_to_string(sandbox.root().join("v2/root-id")).expect("an id");
    let left = || {
        let below = crate::support::files_below(sandbox.path());
        let held = below.iter().filter(|path| {
            std::fs::read(path)
                .is_ok_and(|bytes| bytes.windows(14).any(|part| part == b"hush-hush-4711"))
        });
        let memory = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let memory = memory.flat_map(|folder| crate::support::files_below(&folder.path()));
        let memory = memory.filter(|path| path.to_string_lossy().contains(root.trim()));
        held.count() + memory.count()
    };
    let mut shell = open(&sandbox, "n=5");
    say(&mut shell, "touch here\n");
    wait_until("it reads", || {
        crate::support::files_below(&sandbox.root()).iter().any(|path| path.ends_with("out/here"))
    });
    assert_eq!(left(), 0);
    for (_, line) in sandbox.processes() {
        assert!(!line.contains("hush-hush"), "{line}");
    }
    say(&mut shell, "exit\n");
    assert_eq!(finish(shell).code, 0);
}

#[test]
fn neither_cancel_nor_the_end_of_the_job_ends_it() {
    let sandbox = Sandbox::with(
        "name = 'look'\ncommand = 'mkfifo go.{{ n }} && touch here.{{ n }} && read word <go.{{ n }}'\n\
         [matrix]\nn = [0, 1]\n",
    );
    let apply = sandbox.spawn(&["apply"]);
    for (job, end) in [("n=0", "go.0"), ("n=1", "")] {
        wait_until("the job runs", || {
            sandbox.campaign().join(format!("here.{}", &job[2..])).exists()
        });
        let mut shell = open(&sandbox, job);
        // A child of the shell is none of the job's either.
        say(&mut shell, "sleep 600 & child=$!\ntouch \"$SP_OUT_DIR\"/looked\n");
        let looked = || sandbox.attempts("look", "out/looked").len();
        wait_until("it is open", || looked() == usize::from(end.is_empty()) + 1);
        if end.is_empty() {
            sandbox.expect(0, &["cancel", job]);
        } else {
            sandbox.write(end, "go\n");
            wait_until("it has ended", || sandbox.states()[0].0 == "succeeded");
        }
        say(&mut shell, "kill -0 $child && echo alive; kill $child; exit\n");
        let run = finish(shell);
        assert_eq!((run.code, run.stdout.as_str()), (0, "alive\n"), "{run:?}");
    }
    finish(apply);
    let states: Vec<String> = sandbox.states().into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["succeeded", "cancelled"]);
    for state in sandbox.attempts("look", "state") {
        let text = std::fs::read_to_string(state).expect("records");
        assert!(text.contains(" left=none "), "{text}");
    }
}

#[test]
fn what_has_no_files_is_told() {
    let sandbox = Sandbox::with("name = 'look'\ncommand = 'true'\n");
    let run = sandbox.expect(1, &["shell", "look"]);
    assert!(run.stderr.contains("never started"), "{run:?}");
}

/// A person's terminal: a window of a tmux of the person's own, with a command in it. When that has ended it says how, and
/// stays.
struct Terminal<'a> {
    sandbox: &'a Sandbox,
}

impl<'a> Terminal<'a> {
    fn open(sandbox: &'a Sandbox, arguments: &[&str]) -> Self {
        let quoted = |text: &std::ffi::OsStr| {
            format!("'{}'", text.to_str().expect("UTF-8").replace('\'', r"'\''"))
        };
        let command = sandbox.command(arguments);
        let mut words = vec!["env -i TERM=screen".to_owned()];
        words.extend(command.get_envs().map(|(name, value)| {
            format!("{}={}", name.to_str().expect("UTF-8"), quoted(value.expect("it is set")))
        }));
        words.push(quoted(command.get_program()));
        words.extend(command.get_args().map(quoted));
        words.push("; echo sp ended with $?; read word".to_owned());
        let terminal = Self { sandbox };
        terminal.tmux(&["new-session", "-d", "-x", "150", "-y", "50", &words.join(" ")]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.args(["-L", "person", "-f", "/dev/null"]);
        tmux.args(arguments).env_remove("TMUX").env("TMUX_TMPDIR", self.sandbox.plain());
        let output = tmux.current_dir(self.sandbox.campaign()).output().expect("tmux starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line.
    fn say(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Waits until a whole line is to be seen.
    #[track_caller]
    fn shows(&self, line: &str) {
        let mut seen = String::new();
        wait_until(&format!("{line:?} is to be seen"), || {
            seen = self.tmux(&["capture-pane", "-p"]);
            seen.lines().any(|one| one.trim_end() == line)
        });
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn it_is_a_persons_terminal() {
    for host in ["", "[hosts.box]\nssh = 'box'\ninit = 'GREETING=\"$GREETING, sir\"'\n"] {
        let mut sandbox = Sandbox::with(&job(host));
        if !host.is_empty() {
            // The sshd of an ordinary user may give nobody a terminal.
            if !rustix::process::geteuid().is_root() {
                continue;
            }
            sandbox.hosts(&["box"]);
        }
        sandbox.set("TOKEN", "hush");
        sandbox.expect(0, &["apply"]);
        let terminal = Terminal::open(&sandbox, &["shell", "n=5"]);
        // Typed text is to be seen, too: so what is looked for stands in no line that is typed.
        terminal.say("[ -t 0 ] && [ -t 1 ] && echo a ter''minal: $GREETING, $SP_PARAM_N, $TOKEN");
        let greeting = if host.is_empty() { "good day" } else { "good day, sir" };
        terminal.shows(&format!("a terminal: {greeting}, 5, hush"));
        // Ctrl-C ends what runs in the shell, and neither the shell nor `sp`.
        terminal.say("echo it sle''eps; sleep 600");
        terminal.shows("it sleeps");
        terminal.tmux(&["send-keys", "C-c"]);
        terminal.say("echo still the''re; cat result");
        terminal.shows("still there");
        terminal.shows("done");
        terminal.say("exit 7");
        terminal.shows("sp ended with 0");
    }
}
