//! The first words with a host over ssh: whether its login carries out what is sent, and the root behind it.

use std::path::PathBuf;
use std::time::Duration;

use super::answer::nonsense;
use super::conversation::Host;
use super::error::HostError;
use super::hello::{self, Hello};
use super::random_word;
use super::ssh::Link;
use super::talk::{Broken, PATIENCE, Talk};
use super::transport::{Rest, shown_tail};
use super::trouble::{End, LoginTrouble};
use crate::ids::HostName;

/// Between two tries with a login that refuses what is sent.
const BETWEEN: Duration = Duration::from_millis(500);

/// A host that has answered the first words.
pub(super) struct Greeted {
    pub(super) root: PathBuf,
    /// The account's login shell; empty where it is not known.
    pub(super) shell: String,
    /// The conversation, which goes on with the script.
    pub(super) talk: Talk,
}

impl Host {
    /// Says the first words, which become a conversation with the script. What the login itself refuses is tried a second
    /// time before it is believed: a machine that is short of processes for a moment looks the same.
    pub(super) async fn say_hello(
        &self,
        link: &Link,
        wanted: Option<&str>,
    ) -> Result<Greeted, HostError> {
        let first = match self.say_hello_once(link, wanted).await {
            Ok(greeted) => return Ok(greeted),
            Err(Refused::Other(error)) => return Err(error),
            Err(Refused::AtLogin(first)) => first,
        };
        tokio::time::sleep(BETWEEN).await;
        match self.say_hello_once(link, wanted).await {
            Ok(greeted) => Ok(greeted),
            Err(Refused::Other(error)) => Err(error),
            // What it says may hold a time or a process.
            Err(Refused::AtLogin(second)) if second.trouble == first.trouble => {
                Err(second.into_error(self.name()))
            }
            Err(Refused::AtLogin(second)) => Err(second.into_no_answer(self.name())),
        }
    }

    async fn say_hello_once(&self, link: &Link, wanted: Option<&str>) -> Result<Greeted, Refused> {
        let nonce = random_word();
        let text = hello::text(self.name(), wanted, &nonce)?;
        let mut talk = Talk::new(link.start(&hello::shell(&nonce)).await?);
        let body = match talk.exchange(text.as_bytes(), &nonce, PATIENCE).await {
            Ok(body) => body,
            Err(Broken::Closed(said)) => {
                return Err(self.refused_at_login(talk.over(), &said, &nonce).await);
            }
            Err(broken) => return Err(self.broken("hello", talk, broken).await.into()),
        };
        let (talk, body) = match hello::read(self.name(), wanted, &body)? {
            Hello::Ready { root, shell } => return Ok(Greeted { root, shell, talk }),
            Hello::Bare => {
                let script = hello::script();
                self.converse("hello", talk, script.as_bytes(), &nonce, PATIENCE).await?
            }
        };
        match hello::read(self.name(), wanted, &body)? {
            Hello::Ready { root, shell } => Ok(Greeted { root, shell, talk }),
            Hello::Bare => Err(nonsense(self.name().as_str(), "hello", &body).into()),
        }
    }

    /// Why the first words, which begin with those of [`hello::text`] for this word, have no answer; `said` is what came in
    /// its place.
    async fn refused_at_login(&self, rest: Rest, said: &[u8], word: &str) -> Refused {
        let told = rest.told().await;
        self.begin_anew().await;
        let is_heard = hello::is_heard(said, word);
        // nologin(8) and its like say what they say on stdout.
        let said = if told.stderr.is_empty() && !is_heard { shown_tail(said) } else { told.stderr };
        Refused::of(self.name(), told.end, said, is_heard)
    }
}

/// Why the first words came to nothing.
enum Refused {
    /// The login let them come to nothing.
    AtLogin(AtLogin),
    /// Anything else.
    Other(HostError),
}

/// An account that answers no first word.
struct AtLogin {
    trouble: LoginTrouble,
    end: End,
    said: String,
}

impl From<HostError> for Refused {
    fn from(error: HostError) -> Self {
        Self::Other(error)
    }
}

impl Refused {
    /// By how the program ended that was to hear the first words, what it said, and whether the first line was carried out.
    fn of(host: &HostName, end: End, said: String, is_heard: bool) -> Self {
        let trouble = if is_of_nologin(&said) {
            LoginTrouble::None
        } else if said.contains("restricted") && !is_heard {
            LoginTrouble::Restricted
        } else if is_heard {
            LoginTrouble::Shell(end.clone())
        } else {
            LoginTrouble::Ends(end.clone())
        };
        let refused = AtLogin { trouble, end, said };
        match refused.end {
            End::Code(_) if !is_of_shortage(&refused.said) => Self::AtLogin(refused),
            _ => refused.into_no_answer(host).into(),
        }
    }
}

impl AtLogin {
    /// The error of an account that stays as it is.
    fn into_error(self, host: &HostName) -> HostError {
        HostError::Login { host: host.to_string(), trouble: self.trouble, said: self.said }
    }

    /// The error where another try may help.
    fn into_no_answer(self, host: &HostName) -> HostError {
        let host = host.to_string();
        HostError::NoAnswer { host, verb: "hello", end: self.end, stderr: self.said }
    }
}

/// What nologin(8) and its like say in place of running anything.
fn is_of_nologin(said: &str) -> bool {
    ["not available", "nologin", "sftp connections only", "This account is"]
        .iter()
        .any(|words| said.contains(words))
}

/// What a login says where the machine is short of something for the moment (strerror(3)), or starts or stops (`pam_nologin(8)`).
fn is_of_shortage(said: &str) -> bool {
    [
        "Resource temporarily unavailable",
        "Cannot allocate memory",
        "No space left",
        "Input/output error",
        "pam_nologin",
    ]
    .iter()
    .any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_login_says_tells_whether_it_stays_so() {
        let host: HostName = "box".parse().expect("a name");
        let of = |end: End, said: &str, is_heard: bool| match Refused::of(
            &host,
            end,
            said.to_owned(),
            is_heard,
        ) {
            Refused::AtLogin(refused) => Some(refused.trouble),
            Refused::Other(_) => None,
        };
        let nologin = "This account is currently not available.";
        assert_eq!(of(End::Code(1), nologin, false), Some(LoginTrouble::None));
        let restricted = "rbash: /bin/sh: restricted: cannot specify `/' in command names";
        assert_eq!(of(End::Code(127), restricted, false), Some(LoginTrouble::Restricted));
        assert_eq!(of(End::Code(0), "", false), Some(LoginTrouble::Ends(End::Code(0))));
        assert_eq!(of(End::Code(2), "", true), Some(LoginTrouble::Shell(End::Code(2))));
        let boots = "System is booting up. For technical details, see pam_nologin(8).";
        for (end, said) in [
            (End::Code(254), "bash: fork: retry: Resource temporarily unavailable"),
            (End::Code(1), boots),
            (End::Cut, ""),
            (End::Signal(9), ""),
        ] {
            assert_eq!(of(end, said, false), None, "{said}");
        }
    }
}
