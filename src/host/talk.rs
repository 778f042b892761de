//! A shell on a host that answers question after question, so that what it costs to start one is paid once: a channel, the
//! account's start-up files, the reading of the script.
//!
//! It knows frames and no verbs, and makes no second try.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::transport::{Rest, Started};
use crate::shell::quote_line;

/// More than the journal of a million attempts.
pub(super) const ANSWER_MAX: usize = 1 << 30;

/// So much of what comes before an answer is kept, its end, for people.
const NOISE_MAX: usize = 1 << 16;

/// An open conversation.
#[derive(Debug)]
pub(super) struct Talk(Started);

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The other end was closed; what came before it.
    Closed(Vec<u8>),
    /// What came cannot be read.
    Read(std::io::Error),
    /// More came than an answer may have.
    TooLong,
}

impl Talk {
    /// A conversation with what was started.
    pub(super) fn new(started: Started) -> Self {
        Self(started)
    }

    /// Says something and reads what stands between the lines that carry `nonce`. To be called again only after an answer.
    pub(super) async fn exchange(&mut self, said: &[u8], nonce: &str) -> Result<Vec<u8>, Broken> {
        let Started { stdin, rest } = &mut self.0;
        let write = async {
            // Who refuses early closes its end; its answer says why.
            let _closed = stdin.0.write_all(said).await;
            let _closed = stdin.0.flush().await;
        };
        let ((), answer) = tokio::join!(write, read_frame(&mut rest.stdout, nonce, ANSWER_MAX));
        rest.forget_stderr().await;
        answer
    }

    /// What is left when it is over.
    pub(super) fn over(self) -> Rest {
        self.0.rest
    }
}

/// A question as the script's `talk` reads it; see there.
pub(super) fn question(verb: &str, nonce: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut text = input.len().to_string();
    for word in [verb, nonce].iter().chain(arguments) {
        text.push(' ');
        // No word that is sent holds a NUL byte.
        text.push_str(&quote_line(word).unwrap_or_else(|_| "''".to_owned()));
    }
    text.push('\n');
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(input);
    bytes
}

async fn read_frame(
    from: &mut (impl AsyncRead + Unpin),
    nonce: &str,
    max: usize,
) -> Result<Vec<u8>, Broken> {
    let (begin, end) = (format!("sp-begin {nonce}\n"), format!("sp-end {nonce}\n"));
    let mut bytes = Vec::new();
    let mut begun = None;
    let mut looked = 0;
    loop {
        if bytes.len() > max {
            return Err(Broken::TooLong);
        }
        if from.read_buf(&mut bytes).await.map_err(Broken::Read)? == 0 {
            return Err(Broken::Closed(bytes));
        }
        if begun.is_none() {
            let at = bytes[looked..].windows(begin.len()).position(|w| w == begin.as_bytes());
            begun = at.map(|at| looked + at + begin.len());
            if begun.is_none() && bytes.len() > 2 * NOISE_MAX {
                bytes.drain(..bytes.len() - NOISE_MAX);
            }
            looked = bytes.len().saturating_sub(begin.len());
        }
        if let Some(begun) = begun
            && bytes.len() >= begun + end.len()
            && bytes.ends_with(end.as_bytes())
        {
            bytes.truncate(bytes.len() - end.len());
            return Ok(bytes.split_off(begun));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line_and_its_input() {
        let said = question("probe", "n", &["a b", "", "x\ny", "don't"], b"in\n");
        assert_eq!(
            String::from_utf8_lossy(&said),
            "3 'probe' 'n' 'a b' '' 'x'\"$NL\"'y' 'don'\\''t'\nin\n"
        );
    }

    #[tokio::test]
    async fn an_answer_without_its_own_last_line_is_none() {
        async fn read(text: &str) -> Option<Vec<u8>> {
            read_frame(&mut text.as_bytes(), "a", 1 << 20).await.ok()
        }
        assert_eq!(read("noise\nsp-begin a\nx\nsp-end a\n").await, Some(b"x\n".to_vec()));
        assert_eq!(read("sp-begin a\nsp-end a\n").await, Some(Vec::new()));
        assert_eq!(read("sp-begin a\nx\n").await, None);
        assert_eq!(read("sp-begin a\nx\nsp-end b\n").await, None);
        assert_eq!(read("x\nsp-end a\n").await, None);
    }

    #[tokio::test]
    async fn what_comes_before_an_answer_is_not_kept_and_no_answer_is_longer_than_it_may_be() {
        let noise = "noise\n".repeat(1 << 18);
        let text = format!("{noise}sp-begin a\nx\nsp-end a\n");
        assert_eq!(
            read_frame(&mut text.as_bytes(), "a", 1 << 20).await.ok(),
            Some(b"x\n".to_vec())
        );
        let Err(Broken::Closed(kept)) = read_frame(&mut noise.as_bytes(), "a", 1 << 20).await
        else {
            panic!("an answer")
        };
        let long = format!("sp-begin a\n{}", "x\n".repeat(1 << 20));
        let told = read_frame(&mut long.as_bytes(), "a", 1 << 20).await;
        assert!(matches!(told, Err(Broken::TooLong)), "{told:?}");
        assert!(kept.len() <= 3 * NOISE_MAX && kept.ends_with(b"noise\n"), "{}", kept.len());
    }
}
