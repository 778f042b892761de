//! What an error of a host means for who typed the command, and what to change.

use std::path::Path;

use super::exit::Exit;
use crate::host::{HostError, Lack, Lasting, LoginTrouble, Parent, RootTrouble, SshTrouble};
use crate::shell::quote;

/// What an error of a host means for who typed the command: the exit code, a code for programs, the next step.
pub(super) fn host_help(error: &HostError) -> (Exit, &'static str, String) {
    let exit = match error.lasting() {
        Lasting::Passing => Exit::Unfinished,
        Lasting::Standing => Exit::Person,
    };
    let (code, help) = match error {
        HostError::Start { program, .. } => {
            ("start", format!("install `{program}` or correct PATH"))
        }
        HostError::NoAnswer { .. } => (
            "no-answer",
            "run the same command again; what runs there goes on. Each time? `sp doctor` looks closer"
                .to_owned(),
        ),
        HostError::Login { trouble, .. } => login_help(trouble),
        HostError::Unfit { lacks, .. } => ("unfit", unfit_help(lacks)),
        HostError::Place { path, .. } => {
            ("place", format!("look at it there, as this user: ls -ld '{path}'; df '{path}'"))
        }
        HostError::TooSlow { verb, .. } => {
            let also = if *verb == "hello" {
                "; or do the account's start-up files wait for something?"
            } else {
                ""
            };
            let help = "is it up, and is the network (VPN, jump host) right? what runs there goes on";
            ("no-answer", format!("{help}{also}"))
        }
        HostError::TooLong { .. } | HostError::Nonsense { .. } => (
            "answer",
            "is the root's disk damaged, or did something else write there?".to_owned(),
        ),
        HostError::Damaged { .. } => {
            ("damaged", "make room on the host's disk, then run the same command again".to_owned())
        }
        HostError::OtherRoot { .. } => ("root-gone", "run the same command again".to_owned()),
        HostError::ManyLists { .. } => (
            "many-host-lists",
            "give the campaign another `name`, or take an earlier `[hosts]` again".to_owned(),
        ),
        HostError::Io { .. } => ("io", String::new()),
        HostError::Sockets { .. } => (
            "sockets",
            "set XDG_RUNTIME_DIR or TMPDIR to a folder with a short path that is yours alone".to_owned(),
        ),
        HostError::Root { path, trouble, .. } => ("root", root_help(trouble, path)),
        HostError::RootText { .. } => ("root", "correct `root` in `[hosts]`".to_owned()),
        HostError::Ssh { trouble, destination, .. } => ssh_help(*trouble, destination),
        HostError::Sync(error) => ("sync", error.help()),
        HostError::Job { .. } => ("job", "correct the campaign file".to_owned()),
        HostError::Missing { programs, .. } => {
            ("missing", format!("install {}", programs.join(", ")))
        }
    };
    (exit, code, help)
}

/// What an account wants that carries out no command.
fn login_help(trouble: &LoginTrouble) -> (&'static str, String) {
    match trouble {
        LoginTrouble::None => {
            ("no-login", "the account there has no shell; use another one, or ask for one".to_owned())
        }
        LoginTrouble::Restricted => (
            "restricted-shell",
            "give the account an unrestricted login shell (chsh -s /bin/bash), or use another one"
                .to_owned(),
        ),
        LoginTrouble::Ends(_) => (
            "login-ends",
            "does the account's start-up file (~/.bashrc, ~/.zshenv, ~/.cshrc, config.fish) end the shell (`exit`, `set -e`) \
             or read what is meant for the command, does a ForceCommand in its sshd_config put another command in its place, \
             or is its login shell none (/bin/false)? In ~/.bashrc, `case $- in *i*) ;; *) return ;; esac` before \
             that line keeps it for people"
                .to_owned(),
        ),
        LoginTrouble::Replaced(_) => (
            "login-replaced",
            "an `exec` in a start-up file there, or a ForceCommand in its sshd_config, swallows commands: keep it for people, \
             in ~/.bashrc by `case $- in *i*) ;; *) return ;; esac` before the `exec`"
                .to_owned(),
        ),
        LoginTrouble::Shell(_) => (
            "login-shell",
            "make /bin/sh there dash, bash or busybox ash; or does an `exec` in ~/.bashrc put another shell in its place?"
                .to_owned(),
        ),
    }
}

/// What a machine wants that cannot run jobs.
pub(super) fn unfit_help(lacks: &[Lack]) -> String {
    let one = |lack: &Lack| match lack {
        Lack::Proc => {
            "mount it there: mount -t proc proc /proc (in a container or chroot, by whoever starts it)"
        }
        Lack::Shell(_) => "make /bin/sh there dash, bash or busybox ash",
    };
    let mut fixes: Vec<&str> = lacks.iter().map(one).collect();
    fixes.dedup();
    fixes.join("; ")
}

/// What a root that cannot be used wants.
pub(super) fn root_help(trouble: &RootTrouble, path: &Path) -> String {
    let path = path.display();
    match trouble {
        RootTrouble::Relative => "begin the host's `root` with `/`, `~/` or `$HOME/`".to_owned(),
        RootTrouble::Make => format!(
            "make {path} there, as this user, or give the host another `root`, on a local disk"
        ),
        RootTrouble::Write => {
            format!("look at it there: df {path}; or give the host another `root`")
        }
        RootTrouble::Owner => {
            format!("look at it there: ls -ld {path}; or give the host another `root`")
        }
        RootTrouble::Mode => format!("on the host: chmod go-w {path}"),
        RootTrouble::Parents(parents) => parents_help(parents),
        RootTrouble::Text => "give the host a `root` that is plain text on one line".to_owned(),
        RootTrouble::Network(_) | RootTrouble::NoExec => {
            "give the host a `root` on a local disk, such as /scratch/$USER/sp or /var/lib/sp-$USER"
                .to_owned()
        }
    }
}

/// What folders want in which somebody else could rename things.
fn parents_help(parents: &[Parent]) -> String {
    let named = |is_foreign: bool| {
        let chosen = parents.iter().filter(|parent| parent.is_foreign == is_foreign);
        let quoted = chosen.filter_map(|parent| quote(&parent.path).ok());
        quoted.collect::<Vec<_>>().join(" ")
    };
    let (foreign, open) = (named(true), named(false));
    let else_root = "give the host a `root` elsewhere, such as ~/.local/share/sp";
    if foreign.is_empty() {
        format!("on the host: chmod go-w {open}; or, where others must write there, {else_root}")
    } else {
        format!("{else_root}; who owns them tells: ls -ld {foreign}")
    }
}

fn ssh_help(trouble: SshTrouble, destination: &str) -> (&'static str, String) {
    match trouble {
        SshTrouble::NoSsh => ("no-ssh", "install OpenSSH's client".to_owned()),
        SshTrouble::Name => (
            "ssh-name",
            format!("correct `ssh = \"{destination}\"`, or add an alias to ~/.ssh/config"),
        ),
        SshTrouble::Refused => (
            "ssh-refused",
            "is its ssh server up, and the port right? what runs there goes on".to_owned(),
        ),
        SshTrouble::NoAnswer => (
            "ssh-no-answer",
            "is it up, and is the network (VPN, jump host) right? what runs there goes on"
                .to_owned(),
        ),
        SshTrouble::KeyUnknown => (
            "host-key-unknown",
            format!(
                "compare and take it once: ssh {destination} true; where nobody can (CI): \
                 `host-key-check = \"accept-new\"`"
            ),
        ),
        SshTrouble::KeyChanged => (
            "host-key-changed",
            format!(
                "was it installed anew? only then remove the old key (ssh-keygen -R, as above) and take the \
                 new one: ssh {destination} true; else somebody may be in between"
            ),
        ),
        SshTrouble::Login => (
            "login-refused",
            format!(
                "does `ssh -oBatchMode=yes {destination} true` work? add the key to an agent, or keep a \
                 connection open (ControlMaster) where a second factor is asked"
            ),
        ),
        SshTrouble::Cut => {
            let help = "run the same command again; what runs there goes on. Each time? look at \
                        ProxyJump and ProxyCommand in ~/.ssh/config, and at the server's log";
            ("ssh-cut", help.to_owned())
        }
        SshTrouble::Sessions => (
            "ssh-sessions",
            "raise MaxSessions in its sshd_config to 1 at least, better to 10".to_owned(),
        ),
        SshTrouble::Configuration => (
            "ssh-config",
            format!("correct what it names, in ~/.ssh/config; `ssh -G {destination}` tries it"),
        ),
        SshTrouble::Negotiation => (
            "ssh-negotiation",
            format!(
                "allow one that the server offers, for this host alone, in ~/.ssh/config (KexAlgorithms, \
                 HostKeyAlgorithms, Ciphers); `ssh -v {destination} true` names them"
            ),
        ),
        SshTrouble::Other => ("ssh", format!("does `ssh {destination} true` work?")),
    }
}
