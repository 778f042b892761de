//! The `sp` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Runners and jobs outlive the caller: a lock or a pipe of theirs would be held, or never end, until the last job has.
    close_fds::set_fds_cloexec(3, &[]);
    solverpilot::cli::main(std::env::args_os())
}
