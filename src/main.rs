//! The `sp` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    solverpilot::cli::main(std::env::args_os())
}
