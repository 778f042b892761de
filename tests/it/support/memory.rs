//! A memory group of the kernel (cgroups(7)), where this user may make one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::network::within;

/// A group whose processes together have so much memory and no more.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Of so many bytes; none where groups cannot be made here, which is told.
    #[expect(clippy::print_stderr, reason = "for who wonders what a test has shown")]
    pub fn new(bytes: u64) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sp-test-{}-{number}", std::process::id());
        let kinds = [
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.swappiness"),
        ];
        for (top, limit, swap) in kinds {
            let group = Self(Path::new(top).join(&name));
            if fs::create_dir(&group.0).is_err() {
                continue;
            }
            // The kernel makes its files with the folder. Where it does not, the folder is none of its groups.
            let limit = group.0.join(limit);
            if limit.exists() && fs::write(limit, bytes.to_string()).is_ok() {
                // Where there is no swap there is no such file, either.
                drop(fs::write(group.0.join(swap), "0"));
                return Some(group);
            }
        }
        eprintln!("this user cannot make memory groups here: nothing was tested");
        None
    }

    /// A command that enters it before it does anything else.
    pub fn command(&self, command: &Command) -> Command {
        let group = self.0.to_str().expect("text");
        within(["/bin/sh", "-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\"", group], command)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It goes with its last process; what cannot be removed is empty and harmless.
        drop(fs::remove_dir(&self.0));
    }
}
