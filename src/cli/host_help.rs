//! What an error of a host means for who typed the command, and what to change.

use std::path::Path;

use super::exit::Exit;
use crate::host::{HostError, Lack, Lasting, LoginTrouble, Parent, RootTrouble, SshTrouble};
use crate::shell::word;

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
            let path = word(path);
            ("place", format!("look at it there, as this user: ls -ld {path}; df {path}"))
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
        HostError::Root { path, word, trouble, .. } => ("root", root_help(trouble, path, word)),
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
        LoginTrouble::Noise => (
            "login-noise",
            "a start-up file there (~/.bashrc, ~/.zshenv, ~/.cshrc, config.fish) prints in a loop, or a ForceCommand in its \
             sshd_config does: keep that for people, in ~/.bashrc by `case $- in *i*) ;; *) return ;; esac` before it"
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

/// What a root that cannot be used wants. `word`: it, as a word of a shell there.
pub(super) fn root_help(trouble: &RootTrouble, path: &Path, word: &str) -> String {
    match trouble {
        RootTrouble::Relative => "begin the host's `root` with `/`, `~/` or `$HOME/`".to_owned(),
        RootTrouble::Make => format!(
            "make `{}` there, as this user, or give the host another `root`, on a local disk",
            path.display()
        ),
        RootTrouble::Write => {
            format!("look at it there: df {word}; or give the host another `root`")
        }
        RootTrouble::Owner => {
            format!("look at it there: ls -ld {word}; or give the host another `root`")
        }
        RootTrouble::Mode => format!("on the host: chmod go-w {word}"),
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
        chosen.map(|parent| word(&parent.path)).collect::<Vec<_>>().join(" ")
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
    let quoted = word(destination);
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
                "compare and take it once: ssh {quoted} true; where nobody can (CI): \
                 `host-key-check = \"accept-new\"`"
            ),
        ),
        SshTrouble::KeyChanged => (
            "host-key-changed",
            format!(
                "was it installed anew? only then remove the old key (ssh-keygen -R, as above) and take the \
                 new one: ssh {quoted} true; else somebody may be in between"
            ),
        ),
        SshTrouble::Login => (
            "login-refused",
            format!(
                "does `ssh -oBatchMode=yes {quoted} true` work? add the key to an agent, or keep a \
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
            format!("correct what it names, in ~/.ssh/config; `ssh -G {quoted}` tries it"),
        ),
        SshTrouble::Negotiation => (
            "ssh-negotiation",
            format!(
                "allow one that the server offers, for this host alone, in ~/.ssh/config (KexAlgorithms, \
                 HostKeyAlgorithms, Ciphers); `ssh -v {quoted} true` names them"
            ),
        ),
        SshTrouble::Other => ("ssh", format!("does `ssh {quoted} true` work?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host or a file says stands in a command as one word, whatever it holds.
    #[test]
    fn a_command_to_copy_holds_what_others_say_as_one_word() {
        let odd = "/x/it's; touch y";
        let parents =
            |is_foreign| RootTrouble::Parents(vec![Parent { path: odd.to_owned(), is_foreign }]);
        let root = |trouble: &RootTrouble| root_help(trouble, Path::new(odd), &word(odd));
        let ssh = |trouble| ssh_help(trouble, odd).1;
        let place =
            HostError::Place { host: "box".to_owned(), what: "write", path: odd.to_owned() };
        for help in [
            root(&RootTrouble::Write),
            root(&RootTrouble::Owner),
            root(&RootTrouble::Mode),
            root(&parents(false)),
            root(&parents(true)),
            host_help(&place).2,
            ssh(SshTrouble::KeyUnknown),
            ssh(SshTrouble::KeyChanged),
            ssh(SshTrouble::Login),
            ssh(SshTrouble::Configuration),
            ssh(SshTrouble::Negotiation),
            ssh(SshTrouble::Other),
        ] {
            assert!(help.contains(&word(odd)), "{help}");
            assert!(!help.replace(&word(odd), "").contains("touch"), "{help}");
        }
    }
}
