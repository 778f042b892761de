//! Points where a debug build of `sp` can be made to die, so that tests see what a power cut at that moment leaves behind.
//!
//! `SP_CRASH_AT=NAME:N` kills the process at the N-th passage of the point NAME. A release build holds nothing of it.

/// Dies here by `SIGKILL` if `SP_CRASH_AT` names this point and passage: nothing is flushed, no destructor runs.
#[cfg(debug_assertions)]
pub fn crash_point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);

    let wanted = WANTED.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "a switch for tests; no layer above could pass it down"
        )]
        let text = std::env::var("SP_CRASH_AT").ok()?;
        let (name, passage) = text.rsplit_once(':')?;
        Some((name.to_owned(), passage.parse().ok()?))
    });
    let Some((point, passage)) = wanted else { return };
    if point == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *passage {
        if rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .is_ok()
        {
            // The signal arrives before the next instruction of this thread, or very soon after.
            loop {
                std::thread::park();
            }
        }
        std::process::abort();
    }
}

/// Nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn crash_point(_name: &str) {}
