//! Destinations of ssh: `gpu-1` (a host or an alias of `ssh_config`), `ann@gpu-1`, `ssh://ann@gpu-1:2222`.
//!
//! Refuses what ssh would take for an option and what a shell of `ssh_config` (`ProxyCommand`, `Match exec`) would take for
//! syntax. Whether there is such a host is for ssh to find out.

use std::fmt;
use std::str::FromStr;

/// Where ssh goes, as the file spells it: an argument that is no option, without blanks and without a shell's characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(String);

impl Destination {
    /// The one argument that ssh gets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no destination; reads after "the destination …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// No text, or a `user@`, `@host` or `ssh://` with nothing where a name belongs.
    #[error("names no {0}")]
    Missing(&'static str),
    /// ssh would read the name as an option.
    #[error("has a {0} that starts with `-`, which ssh takes for an option")]
    Option(&'static str),
    /// A blank, a character that does not show, or one that a shell gives a meaning.
    #[error("holds {}, which no name of a user or a host does", character(*.0))]
    Character(char),
    /// What follows the last `:` of a URL is no port.
    #[error("has the port `{0}`, but a port is a number from 1 to 65535")]
    Port(String),
    /// `host:port` without `ssh://`, which ssh would look up as one name.
    #[error("has a port, which ssh reads in a URL only")]
    BarePort,
    /// A URL with something behind host and port.
    #[error("has the path `{0}`, which ssh has no use for")]
    Path(String),
    /// Another scheme than `ssh`.
    #[error("is a URL of another scheme, `{0}`")]
    Scheme(String),
}

fn character(c: char) -> String {
    match c {
        ' ' => "a blank".to_owned(),
        c if c.is_ascii_graphic() => format!("`{c}`"),
        c => format!("`{}`", c.escape_default()),
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if text.is_empty() {
            return Err(DestinationError::Missing("host"));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic() && !c.is_alphanumeric()) {
            return Err(DestinationError::Character(c));
        }
        match text.split_once("://") {
            Some(("ssh", rest)) => url(rest)?,
            Some((scheme, _)) => return Err(DestinationError::Scheme(scheme.to_owned())),
            None => {
                let host = user_and_host(text)?;
                let bare = |(name, port): (&str, &str)| !name.contains(':') && is_number(port);
                if host.rsplit_once(':').is_some_and(bare) {
                    return Err(DestinationError::BarePort);
                }
            }
        }
        Ok(Self(text.to_owned()))
    }
}

fn url(rest: &str) -> Result<(), DestinationError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() {
        return Err(DestinationError::Path(format!("/{path}")));
    }
    let host = user_and_host(authority)?;
    // The colons of an IPv6 address stand in brackets.
    let port = match host.rsplit_once(']') {
        Some((_, "")) => None,
        Some((_, behind)) => Some(behind.strip_prefix(':').unwrap_or(behind)),
        None => host.split_once(':').map(|(_, port)| port),
    };
    match port {
        Some(port) if !is_number(port) || !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Err(DestinationError::Port(port.to_owned()))
        }
        _ if host.starts_with(':') => Err(DestinationError::Missing("host")),
        _ => Ok(()),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Checks `user@host` or `host`; gives the host, with the port of a URL.
fn user_and_host(text: &str) -> Result<&str, DestinationError> {
    let (user, host) = match text.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, text),
    };
    for (what, name) in [("user", user), ("host", Some(host))] {
        let Some(name) = name else { continue };
        // A domain's user is `DOMAIN\user`.
        let means = |c: &char| "'`\"$;&<>|(){},".contains(*c) || (*c == '\\' && what == "host");
        if name.is_empty() {
            return Err(DestinationError::Missing(what));
        }
        if name.starts_with('-') {
            return Err(DestinationError::Option(what));
        }
        if let Some(c) = name.chars().find(means) {
            return Err(DestinationError::Character(c));
        }
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_takes_is_taken() {
        for text in [
            "gpu-1",
            "ann@gpu-1.example.org",
            "LAB\\ann@gpu-1",
            "ann@mail.example@gpu-1",
            "192.0.2.7",
            "::1",
            "fe80::1%eth0",
            "ssh://gpu-1",
            "ssh://gpu-1/",
            "ssh://ann@gpu-1:2222",
            "ssh://[2001:db8::7]",
            "ssh://ann@[2001:db8::7]:65535",
            "rechner-ü",
        ] {
            assert_eq!(text.parse::<Destination>().map(|d| d.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_it_would_take_otherwise_is_refused() {
        use DestinationError as E;
        for (text, error) in [
            ("", E::Missing("host")),
            ("ann@", E::Missing("host")),
            ("@gpu-1", E::Missing("user")),
            ("ssh://", E::Missing("host")),
            ("ssh://:22", E::Missing("host")),
            ("-oProxyCommand=x", E::Option("host")),
            ("ann@-oProxyCommand=x", E::Option("host")),
            ("ssh://-x@gpu-1", E::Option("user")),
            ("gpu 1", E::Character(' ')),
            ("gpu-1\n", E::Character('\n')),
            ("gpu\u{a0}1", E::Character('\u{a0}')),
            ("gpu\u{202e}1", E::Character('\u{202e}')),
            ("$(x)", E::Character('$')),
            ("gpu\\1", E::Character('\\')),
            ("gpu-1:2222", E::BarePort),
            ("ann@gpu-1:2222", E::BarePort),
            ("ssh://gpu-1:", E::Port(String::new())),
            ("ssh://gpu-1:ssh", E::Port("ssh".to_owned())),
            ("ssh://gpu-1:0", E::Port("0".to_owned())),
            ("ssh://gpu-1:+22", E::Port("+22".to_owned())),
            ("ssh://gpu-1:65536", E::Port("65536".to_owned())),
            ("ssh://[::1]22x", E::Port("22x".to_owned())),
            ("ssh://gpu-1/home/ann", E::Path("/home/ann".to_owned())),
            ("https://gpu-1", E::Scheme("https".to_owned())),
        ] {
            assert_eq!(text.parse::<Destination>(), Err(error), "{text:?}");
        }
    }
}
