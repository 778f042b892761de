//! A small disk of a test's own: a file system in memory, gone with the test.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Unmounted whatever becomes of the test.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one at a folder, by the options of tmpfs(5). `None` where nothing can be mounted, which it says.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn mount(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("{options},mode=700"), "sp-test"]).arg(at);
        let said = match mount.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Some(Self(at.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("skipped: no disk can be mounted here: {said}");
        None
    }

    /// Takes all the room but so many bytes, with the file `filler`.
    pub fn fill_but(&self, room: u64) {
        let mut file = fs::File::create(self.filler()).expect("a file");
        let block = [1; 4096];
        while file.write_all(&block).is_ok() {}
        let taken = file.metadata().expect("it is there").len();
        file.set_len(taken.saturating_sub(room)).expect("it can be shortened");
    }

    /// Removes what [`Disk::fill_but`] wrote.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("it was full");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is about to end may have a folder open.
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(std::thread::panicking() || status.is_ok_and(|status| status.success()));
    }
}
