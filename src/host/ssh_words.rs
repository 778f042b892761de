//! What ssh says, and what it is told beside the configuration.

use super::transport::shown_tail;

/// Options that take back what a configuration does to every command and what no program with a dialogue can bear. An older
/// ssh knows none of them and would refuse them, so they are given only where it has just named them.
pub(super) fn undone(configuration: &str) -> Vec<String> {
    const UNBEARABLE: [(&str, &str); 4] = [
        ("stdinnull yes", "-oStdinNull=no"),
        ("forkafterauthentication yes", "-oForkAfterAuthentication=no"),
        ("sessiontype none", "-oSessionType=default"),
        ("sessiontype subsystem", "-oSessionType=default"),
    ];
    let is_set = |what: &str| configuration.lines().any(|line| line == what);
    let set = UNBEARABLE.into_iter().filter(|(what, _)| is_set(what));
    set.map(|(_, option)| option.to_owned()).collect()
}

/// Whether the server lets nobody open a session more over a connection (mux.c of OpenSSH's client).
pub(super) fn is_refused(error: &openssh::Error) -> bool {
    !matches!(error, openssh::Error::Connect(_) | openssh::Error::Master(_))
        && told(error).contains("refused")
}

/// An error and its causes; of a connection that came to nothing, ssh's own words.
pub(super) fn told(error: &openssh::Error) -> String {
    use std::error::Error as _;
    if let openssh::Error::Connect(cause) | openssh::Error::Master(cause) = error {
        return cause.to_string();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What ssh said, on one line. Of its warning of a changed key only what a person needs: which key, where the old one is,
/// and how to remove it.
pub(super) fn shortened(said: &str) -> String {
    let changed = said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED");
    let needed = |line: &&str| {
        !changed || ["SHA256:", "Offending", "ssh-keygen"].iter().any(|word| line.contains(word))
    };
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty()).filter(needed);
    let line = lines.collect::<Vec<_>>().join("; ");
    shown_tail(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_configuration_has_is_taken_back() {
        assert_eq!(undone("user ann\nstdinnull no\nsessiontype default\n"), Vec::<String>::new());
        assert_eq!(
            undone("stdinnull yes\nsessiontype none\n"),
            ["-oStdinNull=no", "-oSessionType=default"]
        );
    }

    #[test]
    fn what_ssh_says_is_one_line() {
        let said = "kex_exchange_identification: read: Connection reset by peer\r\n\nConnection reset by 10.0.0.1 port 22\r\n";
        assert_eq!(
            shortened(said),
            "kex_exchange_identification: read: Connection reset by peer; Connection reset by 10.0.0.1 port 22"
        );
        assert_eq!(shortened("a\u{1b}[2J"), "a\\u{1b}[2J");
    }
}
