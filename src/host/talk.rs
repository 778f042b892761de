//! A shell on a host that answers question after question, so that what it costs to start one is paid once: a channel, the
//! account's start-up files, the reading of the script.
//!
//! It knows frames and no verbs, and makes no second try.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::transport::{Rest, Started};
use crate::shell::quote_line;

/// More than the journal of a million attempts.
pub(super) const ANSWER_MAX: usize = 1 << 30;

/// More than start-up files print before an answer, in bytes.
pub(super) const NOISE_MAX: usize = 16 << 20;
/// So much of it is kept, its end, for people.
const NOISE_KEPT: usize = 1 << 16;

/// How long a host may take for a question that waits for nothing but the host itself, and a line may stand still. What is sent,
/// and what is received of an answer, adds its time, see [`SLOWEST`].
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes in a second of the slowest line that is worth waiting for: so many more are so many seconds more.
const SLOWEST: u64 = 4 << 10;
/// So many bytes are said at once, so that a slow line is seen to move.
const AT_ONCE: usize = 64 << 10;

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
    /// More came before an answer than [`NOISE_MAX`].
    Noise,
    /// Nothing more came, nor could be said, for so long.
    Silent(Duration),
}

impl Talk {
    /// A conversation with what was started.
    pub(super) fn new(started: Started) -> Self {
        Self(started)
    }

    /// Says something and reads what stands between the lines that carry `nonce`. The host has `patience` for it, and more
    /// by what goes over the line. To be called again only after an answer.
    pub(super) async fn exchange(
        &mut self,
        said: &[u8],
        nonce: &str,
        patience: Duration,
    ) -> Result<Vec<u8>, Broken> {
        let Started { stdin, rest } = &mut self.0;
        let answer = exchange(&mut stdin.0, &mut rest.stdout, said, nonce, patience).await;
        // Without an answer, it says why.
        if answer.is_ok() {
            rest.forget_stderr().await;
        }
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

async fn exchange(
    to: &mut (impl AsyncWrite + Unpin),
    from: &mut (impl AsyncRead + Unpin),
    said: &[u8],
    nonce: &str,
    patience: Duration,
) -> Result<Vec<u8>, Broken> {
    let moved = AtomicU64::new(0);
    let write = async {
        for part in said.chunks(AT_ONCE) {
            // Who refuses early closes its end; its answer says why.
            if to.write_all(part).await.is_err() {
                return;
            }
            moved.fetch_add(part.len() as u64, Ordering::Relaxed);
        }
        let _closed = to.flush().await;
    };
    let both = async {
        let ((), answer) = tokio::join!(write, read_frame(from, nonce, ANSWER_MAX, &moved));
        answer
    };
    tokio::select! {
        biased;
        answer = both => answer,
        waited = silence(patience, &moved) => Err(Broken::Silent(waited)),
    }
}

/// Waits until a line has had all the time that what it moved is worth; how long that was.
async fn silence(patience: Duration, moved: &AtomicU64) -> Duration {
    let began = Instant::now();
    loop {
        // What was said may still lie in a buffer on this side when all of it has been taken.
        let worth = Duration::from_millis(moved.load(Ordering::Relaxed) * 1000 / SLOWEST);
        let left = (patience + worth).saturating_sub(began.elapsed());
        if left.is_zero() {
            return began.elapsed();
        }
        sleep(left).await;
    }
}

async fn read_frame(
    from: &mut (impl AsyncRead + Unpin),
    nonce: &str,
    max: usize,
    moved: &AtomicU64,
) -> Result<Vec<u8>, Broken> {
    let (begin, end) = (format!("sp-begin {nonce}\n"), format!("sp-end {nonce}\n"));
    let mut bytes = Vec::new();
    let mut begun = None;
    let (mut looked, mut noise) = (0, 0);
    loop {
        if bytes.len() > max {
            return Err(Broken::TooLong);
        }
        let read = from.read_buf(&mut bytes).await.map_err(Broken::Read)?;
        if read == 0 {
            return Err(Broken::Closed(bytes));
        }
        if begun.is_some() {
            moved.fetch_add(read as u64, Ordering::Relaxed);
        } else {
            noise += read;
            let at = bytes[looked..].windows(begin.len()).position(|w| w == begin.as_bytes());
            begun = at.map(|at| looked + at + begin.len());
            if begun.is_none() && noise > NOISE_MAX {
                return Err(Broken::Noise);
            }
            if begun.is_none() && bytes.len() > 2 * NOISE_KEPT {
                bytes.drain(..bytes.len() - NOISE_KEPT);
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
            read_frame(&mut text.as_bytes(), "a", 1 << 20, &AtomicU64::new(0)).await.ok()
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
            read_frame(&mut text.as_bytes(), "a", 1 << 20, &AtomicU64::new(0)).await.ok(),
            Some(b"x\n".to_vec())
        );
        let Err(Broken::Closed(kept)) =
            read_frame(&mut noise.as_bytes(), "a", 1 << 20, &AtomicU64::new(0)).await
        else {
            panic!("an answer")
        };
        let long = format!("sp-begin a\n{}", "x\n".repeat(1 << 20));
        let told = read_frame(&mut long.as_bytes(), "a", 1 << 20, &AtomicU64::new(0)).await;
        assert!(matches!(told, Err(Broken::TooLong)), "{told:?}");
        let (mut endless, moved) = (tokio::io::repeat(b'x'), AtomicU64::new(0));
        let told = read_frame(&mut endless, "a", 1 << 30, &moved).await;
        assert!(matches!(told, Err(Broken::Noise)), "{told:?}");
        assert!(kept.len() <= 3 * NOISE_KEPT && kept.ends_with(b"noise\n"), "{}", kept.len());
    }

    const MINUTE: Duration = Duration::from_mins(1);

    /// A host at the end of a line that carries `rate` bytes a second: it answers once it has `wanted` of them.
    async fn host_behind(mut line: tokio::io::DuplexStream, rate: usize, wanted: usize) {
        let mut part = vec![0; rate];
        let mut heard = 0;
        while heard < wanted {
            sleep(Duration::from_secs(1)).await;
            match line.read(&mut part).await {
                Ok(read @ 1..) => heard += read,
                Ok(0) | Err(_) => return,
            }
        }
        line.write_all(b"sp-begin a\ntaken .\nsp-end a\n").await.expect("somebody listens");
        // Nothing more is said, and the line stays.
        std::future::pending::<()>().await;
    }

    async fn hand_over(bytes: usize, rate: usize) -> (Result<Vec<u8>, Broken>, Duration) {
        let (here, there) = tokio::io::duplex(AT_ONCE);
        let (mut from, mut to) = tokio::io::split(here);
        let said = vec![b'x'; bytes];
        let began = Instant::now();
        let answer = tokio::select! {
            answer = exchange(&mut to, &mut from, &said, "a", MINUTE) => answer,
            () = host_behind(there, rate, bytes) => panic!("the host left"),
        };
        (answer, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_hand_over_on_a_slow_line_arrives() {
        let (answer, took) = hand_over(4 << 20, 8 << 10).await;
        assert_eq!(answer.ok().as_deref(), Some(&b"taken .\n"[..]));
        assert!(took > 8 * MINUTE, "{took:?}");
    }

    /// Of what comes before an answer nobody knows how much more there is, so it earns no time.
    #[tokio::test(start_paused = true)]
    async fn noise_is_not_waited_for() {
        let (here, mut there) = tokio::io::duplex(AT_ONCE);
        let (mut from, mut to) = tokio::io::split(here);
        let noise = async {
            loop {
                there.write_all(&[b'x'; 8 << 10]).await.expect("somebody listens");
                sleep(Duration::from_secs(1)).await;
            }
        };
        let began = Instant::now();
        let answer = tokio::select! {
            answer = exchange(&mut to, &mut from, b"x", "a", MINUTE) => answer,
            () = noise => panic!("it has no end"),
        };
        assert!(matches!(answer, Err(Broken::Silent(_))), "{answer:?}");
        assert!(began.elapsed() <= MINUTE + Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_stands_still_is_given_up() {
        for (bytes, longest) in [(10, MINUTE), (4 << 20, 2 * MINUTE)] {
            let (here, _there) = tokio::io::duplex(AT_ONCE);
            let (mut from, mut to) = tokio::io::split(here);
            let began = Instant::now();
            let answer = exchange(&mut to, &mut from, &vec![b'x'; bytes], "a", MINUTE).await;
            assert!(matches!(answer, Err(Broken::Silent(_))), "{answer:?}");
            let took = began.elapsed();
            assert!(took >= MINUTE && took <= longest + Duration::from_secs(1), "{took:?}");
        }
        // One that moves, but less than any line does.
        let (answer, _) = hand_over(1 << 20, 100).await;
        assert!(matches!(answer, Err(Broken::Silent(_))), "{answer:?}");
    }
}
