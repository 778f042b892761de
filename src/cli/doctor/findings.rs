//! What facts of a host mean for a run: a finding each, and its fix. Asks nothing.

use std::path::Path;
use std::time::Duration;

use crate::cli::host_help::{root_help, unfit_help};
use crate::host::{Examination, Facts, Greeting, quiet_start};
use crate::shell::word;

/// Where space gets short: jobs write, too.
const FEW_BYTES: u64 = 1 << 30;
const FEW_INODES: u64 = 10_000;
/// The host script is 70 kB, an attempt some more.
const NO_BYTES: u64 = 1 << 20;
const NO_INODES: u64 = 100;
/// Start-up files that take longer are worth a word: each command pays for them.
const SLOW: Duration = Duration::from_millis(200);
/// A clock that is off by more confuses whoever compares times.
const CLOCK_OFF_MS: i64 = 2_000;
/// Folders that machines clean by themselves.
const CLEANED: &[&str] = &["/tmp/", "/var/tmp/", "/dev/shm/", "/run/"];
/// The oldest rsync that sends snapshots.
const RSYNC: (u32, u32) = (3, 1);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; a run goes on.
    Warning,
    /// A person must act before a run.
    Problem,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The check, one word.
    pub check: &'static str,
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do; only where something is to be done.
    pub fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, text: text.into(), fix: None }
    }

    fn warning(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, text: text.into(), fix: Some(fix.into()) }
    }

    /// A person must act.
    pub(super) fn problem(
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Problem, text: text.into(), fix: Some(fix.into()) }
    }
}

/// Everything that was learned of a host, check by check. `here`: it is this machine; `is_sent`: what jobs run is sent there.
pub(super) fn judge(found: &Examination, here: bool, is_sent: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(greeting) = &found.greeting {
        findings.extend(connection(greeting));
    }
    findings.extend(found.channels.map(channels));
    if found.stale > 0 {
        let text = format!("{} left by commands that were killed; cleared away", found.stale);
        findings.push(Finding::ok("sockets", text));
    }
    if let Some((taken, place)) = &found.taken {
        let text = format!("{}; sockets of ssh lie in {}", taken.join("; "), place.display());
        let fix = "nothing must be done; XDG_RUNTIME_DIR or TMPDIR name a folder of your own";
        findings.push(Finding::warning("sockets", text, fix));
    }
    if let Some(facts) = &found.facts {
        findings.extend(machine(facts));
        findings.extend(root(facts, is_sent));
        findings.extend(space(facts));
        findings.push(locks(facts));
    }
    findings.extend(programs(found));
    if !here {
        findings.extend(rsync(found));
    }
    if let Some(facts) = &found.facts {
        findings.push(tmux(facts));
        findings.extend(found.clock_ahead_ms.filter(|_| !here).map(clock));
        findings.push(secrets(facts));
        findings.push(logout(facts));
        findings.extend(strays(facts));
    }
    findings
}

fn connection(greeting: &Greeting) -> Vec<Finding> {
    let mut findings = vec![Finding::ok(
        "ssh",
        format!(
            "connected in {}, {} there and back",
            seconds(greeting.connected),
            seconds(greeting.round_trip)
        ),
    )];
    if !greeting.printed.is_empty() {
        let text = format!("start-up files print where nobody reads: {}", greeting.printed);
        let fix = format!(
            "answers of sp are found behind it, but rsync and scp fail: {}",
            quiet_start(&greeting.shell)
        );
        findings.push(Finding::problem("start-up", text, fix));
    }
    let took = seconds(greeting.start_up);
    findings.push(if greeting.start_up >= SLOW {
        let text = format!("start-up files take {took} before each command starts");
        let fix = "sp asks seldom, so this costs little; let what is slow (conda, modules) run for people only, and put what \
                   jobs need into `init`";
        let fix = format!("{fix}: {}", quiet_start(&greeting.shell));
        Finding::warning("start-up", text, fix)
    } else {
        Finding::ok("start-up", format!("a command starts within {took}"))
    });
    findings
}

fn channels((open, wanted): (usize, usize)) -> Finding {
    if open >= wanted {
        return Finding::ok("sessions", format!("{open} at once over one connection"));
    }
    let text = format!("the ssh server gives {open} at once over one connection, of {wanted}");
    let fix = "sp logs in once more for each that is missing; `MaxSessions 10` in its sshd_config saves that";
    Finding::warning("sessions", text, fix)
}

/// What the machine lacks to run jobs at all.
fn machine(facts: &Facts) -> Option<Finding> {
    let lacks = &facts.root.lacks;
    if lacks.is_empty() {
        return None;
    }
    let text: Vec<String> = lacks.iter().map(ToString::to_string).collect();
    Some(Finding::problem("machine", text.join("; "), unfit_help(lacks)))
}

/// The root and where it lies: all that is wrong with it, each a finding.
fn root(facts: &Facts, is_sent: bool) -> Vec<Finding> {
    let path = facts.path.strip_suffix("/v2").unwrap_or(&facts.path);
    let kind = &facts.root.file_system;
    let mut findings = Vec::new();
    if let Some(trouble) = facts.root.trouble(is_sent) {
        let fix = root_help(&trouble, Path::new(path), &word(path));
        findings.push(Finding::problem("root", format!("{path} {trouble}"), fix));
    } else if facts.root.options.iter().any(|option| option == "noexec") {
        let text = format!("{path} lies on a file system mounted `noexec`");
        let fix = "programs that jobs write there cannot start";
        findings.push(Finding::warning("root", text, fix));
    }
    let elsewhere =
        "give the host a `root` on a disk that stays, such as the default ~/.local/share/sp";
    if matches!(kind.as_str(), "tmpfs" | "ramfs") {
        let text =
            format!("{path} lies in memory ({kind}): a reboot takes records and results away");
        findings.push(Finding::warning("root", text, elsewhere));
    } else if CLEANED.iter().any(|folder| path.starts_with(folder)) {
        let text = format!("{path} lies where machines clean up by themselves");
        findings.push(Finding::warning("root", text, elsewhere));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("root", format!("{path} on {kind}, writable")));
    }
    findings
}

fn space(facts: &Facts) -> Option<Finding> {
    let bytes = facts.free_bytes?;
    let inodes = facts.free_inodes;
    let mut text = format!("{} free", size(bytes));
    if let Some(inodes) = inodes {
        text = format!("{text}, {inodes} inodes");
    }
    let fix = "make room there, or give the host a `root` on another disk";
    let inodes = inodes.unwrap_or(u64::MAX);
    Some(if bytes < NO_BYTES || inodes < NO_INODES {
        Finding::problem("space", text, fix)
    } else if bytes < FEW_BYTES || inodes < FEW_INODES {
        Finding::warning("space", text, fix)
    } else {
        Finding::ok("space", text)
    })
}

fn locks(facts: &Facts) -> Finding {
    let fix = "jobs could start twice: give the host a `root` on a local disk";
    match facts.locks_exclude {
        Some(true) => Finding::ok("locks", "a lock keeps another process out"),
        Some(false) => Finding::problem("locks", "two processes got the same lock", fix),
        None if facts.missing.iter().any(|program| program == "flock") => {
            Finding::problem("locks", "there is no `flock` to try them with", "install util-linux")
        }
        None => Finding::problem("locks", "no lock can be taken at the root", fix),
    }
}

/// Programs that every command needs, and those that jobs need.
fn programs(found: &Examination) -> Vec<Finding> {
    let mut findings = Vec::new();
    let missing = found.facts.iter().flat_map(|facts| &facts.missing);
    findings.extend(missing.filter(|program| *program != "rsync").map(|program| {
        let fix = format!("install {}", package(program));
        Finding::problem("programs", format!("there is no `{program}`"), fix)
    }));
    if let Some(account) = &found.account {
        findings.extend(account.missing.iter().map(|program| {
            let text = format!("jobs would find no `{program}`");
            let fix = format!(
                "install {} there, or make the login shell's PATH find it (~/.profile; not .bashrc)",
                package(program)
            );
            Finding::problem("programs", text, fix)
        }));
    }
    if findings.is_empty() && found.account.is_some() {
        findings.push(Finding::ok("programs", "all there"));
    }
    findings
}

/// Where a program comes from, where its name does not say.
fn package(program: &str) -> &str {
    match program {
        "flock" | "setsid" => "util-linux",
        "timeout" | "sha256sum" | "tail" | "head" | "mktemp" => "coreutils",
        program => program,
    }
}

fn rsync(found: &Examination) -> Vec<Finding> {
    let mut findings = Vec::new();
    let there = found.facts.as_ref().map(|facts| facts.rsync.as_deref());
    let ends = [("here", Some(found.rsync_here.as_deref())), ("there", there)];
    let mut versions = Vec::new();
    for (place, line) in ends {
        match line {
            None => {}
            Some(None) => {
                let text = format!("there is no `rsync` {place}");
                findings.push(Finding::problem("rsync", text, format!("install rsync {place}")));
            }
            Some(Some(line)) => match version(line) {
                Some(version) if !line.starts_with("openrsync") && version >= RSYNC => {
                    versions.push(format!("{}.{} {place}", version.0, version.1));
                }
                _ => {
                    let text = format!("`{line}` {place} does not send snapshots");
                    let fix = "install rsync 3.1 or newer (macOS: brew install rsync) and see that PATH has it first";
                    findings.push(Finding::problem("rsync", text, fix));
                }
            },
        }
    }
    if findings.is_empty() && versions.len() == 2 {
        findings.push(Finding::ok("rsync", versions.join(", ")));
    }
    findings
}

/// The version in a line such as `rsync  version 3.2.7  protocol version 31`.
fn version(line: &str) -> Option<(u32, u32)> {
    let word = line.split("version ").nth(1)?.split_whitespace().next()?;
    let mut numbers = word.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn tmux(facts: &Facts) -> Finding {
    match &facts.tmux {
        Some(version) => Finding::ok("tmux", version.clone()),
        None => Finding::warning(
            "tmux",
            "there is no `tmux`: jobs run without a window",
            "install tmux to look at running jobs; without it `sp attach` follows the log",
        ),
    }
}

fn clock(ahead_ms: i64) -> Finding {
    let text = |word| {
        format!("{} {word} this machine's", seconds(Duration::from_millis(ahead_ms.unsigned_abs())))
    };
    let fix = "times in tables are the host's: let ntp or chrony set the clock, here or there";
    if ahead_ms <= -CLOCK_OFF_MS {
        Finding::warning("clock", text("behind"), fix)
    } else if ahead_ms >= CLOCK_OFF_MS {
        Finding::warning("clock", text("ahead of"), fix)
    } else {
        Finding::ok("clock", "as this machine's")
    }
}

fn logout(facts: &Facts) -> Finding {
    match facts.logout.as_str() {
        // Root is left alone unless the file says otherwise (KillExcludeUsers, logind.conf(5)).
        "kills" if facts.uid != 0 => Finding::problem(
            "logout",
            "systemd ends every process of yours with your last login (KillUserProcesses)",
            "on the host, once: loginctl enable-linger",
        ),
        "lingers" => Finding::ok("logout", "jobs stay after a logout (linger is enabled)"),
        _ => Finding::ok("logout", "jobs stay after a logout"),
    }
}

/// Where secrets lie between the hand-over and the start of the job that needs them.
fn secrets(facts: &Facts) -> Finding {
    let place = &facts.secrets;
    if let Some(taken) = &facts.taken {
        let text = format!("{taken} is not the account's alone, so secrets lie in {place}");
        let fix = format!("nothing must be done; whose it is tells: ls -ld {}", word(taken));
        Finding::warning("secrets", text, fix)
    } else if place.starts_with("/dev/shm/") {
        Finding::ok("secrets", format!("kept in memory until they are used, in {place}"))
    } else {
        Finding::ok("secrets", format!("kept on the disk until they are used, in {place}"))
    }
}

fn strays(facts: &Facts) -> Vec<Finding> {
    let of = |gone: bool| -> Vec<String> {
        let strays = facts.strays.iter().filter(|stray| stray.root_gone == gone);
        strays.map(|stray| stray.pid.to_string()).collect()
    };
    let mut findings = Vec::new();
    for (pids, why) in [
        (of(true), "serve a root that is gone"),
        (of(false), "are of another version of sp, with nothing queued"),
    ] {
        if !pids.is_empty() {
            let text = format!("runners that {why}: {}", pids.join(", "));
            let fix = format!("look at them there, then end them: kill {}", pids.join(" "));
            findings.push(Finding::warning("runners", text, fix));
        }
    }
    findings
}

fn seconds(time: Duration) -> String {
    match time.as_millis() {
        0..1 => "under 1 ms".to_owned(),
        millis @ 1..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut rest = bytes / 1000;
    let mut unit = 0;
    while rest >= 10_000 && unit + 1 < UNITS.len() {
        rest /= 1000;
        unit += 1;
    }
    format!("{rest} {}", UNITS[unit])
}

#[cfg(test)]
mod tests;
