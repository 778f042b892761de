//! The host script, compiled in, and its identity.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// Tests of a shell, for the first words with a host; see there.
pub(super) const SHELL_TEST: &str = include_str!("../../scripts/host/05-shell.sh");

/// `scripts/host/*.sh` in name order, as one text.
const WHOLE: &str = concat!(
    include_str!("../../scripts/host/00-head.sh"),
    include_str!("../../scripts/host/05-shell.sh"),
    include_str!("../../scripts/host/10-records.sh"),
    include_str!("../../scripts/host/20-tree.sh"),
    include_str!("../../scripts/host/30-markers.sh"),
    include_str!("../../scripts/host/40-stub.sh"),
    include_str!("../../scripts/host/50-watch.sh"),
    include_str!("../../scripts/host/60-finish.sh"),
    include_str!("../../scripts/host/65-recover.sh"),
    include_str!("../../scripts/host/69-queue.sh"),
    include_str!("../../scripts/host/70-runner.sh"),
    include_str!("../../scripts/host/71-attempt.sh"),
    include_str!("../../scripts/host/72-setup.sh"),
    include_str!("../../scripts/host/80-answers.sh"),
    include_str!("../../scripts/host/81-adopt.sh"),
    include_str!("../../scripts/host/82-logs.sh"),
    include_str!("../../scripts/host/83-gc.sh"),
    include_str!("../../scripts/host/84-index.sh"),
    include_str!("../../scripts/host/85-cancel.sh"),
    include_str!("../../scripts/host/86-shell.sh"),
    include_str!("../../scripts/host/87-snapshots.sh"),
    include_str!("../../scripts/host/88-doctor.sh"),
    include_str!("../../scripts/host/90-main.sh"),
);

static FOR_USERS: LazyLock<String> = LazyLock::new(|| {
    WHOLE.split_inclusive('\n').filter(|line| !line.trim_end().ends_with(FOR_TESTS)).collect()
});

static VERSION: LazyLock<String> = LazyLock::new(|| hex(&Sha256::digest(text()))[..16].to_owned());

/// How a line ends that is only in the script of a debug build.
const FOR_TESTS: &str = "# for tests";

/// Returns the text that hosts get from this build: in a debug build, variables can make it die at a step or show it another
/// machine.
pub(super) fn text() -> &'static str {
    if cfg!(debug_assertions) { WHOLE } else { for_users() }
}

/// Returns the text that hosts get from a release build.
pub fn for_users() -> &'static str {
    &FOR_USERS
}

/// The name under which the script is installed: the first 16 hex digits of its SHA-256.
pub fn version() -> &'static str {
    &VERSION
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}
