//! What users do beside `sp`, as texts of a shell.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A path as one word of a shell.
pub fn quoted(path: impl AsRef<Path>) -> String {
    format!("'{}'", path.as_ref().display().to_string().replace('\'', "'\\''"))
}

/// A path as a text of a campaign file.
pub fn in_toml(path: impl AsRef<Path>) -> String {
    toml::Value::from(path.as_ref().display().to_string()).to_string()
}

/// Runs a shell text in a folder; for what users do beside `sp`.
pub fn shell(folder: &Path, text: &str) -> String {
    let mut child = Command::new("sh")
        .current_dir(folder)
        // Whatever the settings of who runs the tests.
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("a text");
    let output = child.wait_with_output().expect("sh ends");
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
