//! The command line: one file a subcommand, thin; the only place that prints, reads the environment and adds hints.

mod accept;
mod adopt;
mod apply;
mod args;
mod attach;
mod campaign_file;
mod cancel;
mod code;
mod context;
mod doctor;
mod error;
mod exit;
mod explain;
mod farewell;
mod gc;
mod help;
mod host_help;
mod init;
mod logs;
mod neighbours;
mod observer;
mod other_apply;
mod path;
mod plan;
mod printable;
mod progress;
mod results;
mod runtime;
mod saved_plan;
mod session;
mod setup;
mod shell;
mod status;
mod summary;
mod sync;
mod tables;
mod validate;
mod wait;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Arguments, Command};
use context::Context;
use error::CliError;
use exit::Exit;

use crate::shell::word;
use crate::store::StoreError;

/// Runs `sp` with these arguments and returns its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && words.iter().any(|word| word == "--json") => {
            return fail(&CliError::words(&error.to_string()), true, false, 80);
        }
        Err(error) => {
            // Wrong usage is 64: clap's 2 is taken by `plan --detailed-exitcode`.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            drop(error.print());
            return exit.into();
        }
    };
    let json = arguments.global.json;
    let context = match Context::new(arguments.global) {
        Ok(context) => context,
        Err(error) => return fail(&error, json, false, 80),
    };
    let mut ended = run(&context, &arguments.command);
    // Damage that shows while the checkpoint is used: what was done so far is on the hosts, so the command begins again
    // without it. Damage that stays after that is none of the file's.
    if let Err(CliError::Damaged(error)) = &ended {
        ended = match context.set_aside(error) {
            Ok(true) => run(&context, &arguments.command).map_err(still_damaged),
            Ok(false) => ended,
            Err(error) => Err(error),
        };
    }
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error, json, context.colour_stderr(), context.width()),
    }
}

/// Damage after the checkpoint was looked through and found sound, or made anew: setting it aside once more would not help.
fn still_damaged(error: CliError) -> CliError {
    match error {
        CliError::Damaged(error) => match *error {
            StoreError::Damaged { path, cause } => CliError::person(
                "checkpoint",
                format!("the checkpoint `{}` cannot be read ({cause})", path.display()),
                format!(
                    "move it away, it is rebuilt from the hosts: mv {} {}",
                    word(&path.to_string_lossy()),
                    word(&format!("{}.old", path.to_string_lossy()))
                ),
            ),
            error => CliError::Damaged(Box::new(error)),
        },
        error => error,
    }
}

fn fail(error: &CliError, json: bool, colour: bool, width: usize) -> ExitCode {
    let text = match error {
        CliError::BrokenPipe => String::new(),
        error if json => format!("{}\n", error.json()),
        error => error.render(colour, width),
    };
    // Nobody is left to be told that stderr cannot be written.
    drop(std::io::stderr().write_all(text.as_bytes()));
    error.exit().into()
}

fn run(context: &Context, command: &Command) -> Result<Exit, CliError> {
    match command {
        Command::Init(arguments) => init::run(context, arguments),
        Command::Validate(arguments) => validate::run(context, arguments),
        Command::Plan(arguments) => plan::run(context, arguments),
        Command::Apply(arguments) => apply::run(context, arguments),
        Command::Accept(arguments) => accept::run(context, arguments),
        Command::Adopt(arguments) => adopt::run(context, arguments),
        Command::Status(arguments) => status::run(context, arguments),
        Command::Explain(arguments) => explain::run(context, arguments),
        Command::Logs(arguments) => logs::run(context, arguments),
        Command::Attach(arguments) => attach::run(context, arguments),
        Command::Path(arguments) => path::run(context, arguments),
        Command::Shell(arguments) => shell::run(context, arguments),
        Command::Cancel(arguments) => cancel::run(context, arguments),
        Command::Sync(arguments) => sync::run(context, arguments),
        Command::Wait(arguments) => wait::run(context, arguments),
        Command::Gc(arguments) => gc::run(context, arguments),
        Command::Results(arguments) => results::run(context, arguments),
        Command::Doctor(arguments) => doctor::run(context, arguments),
        Command::Schema => {
            context.out().write_all(crate::campaign::schema::json().as_bytes())?;
            Ok(Exit::Done)
        }
        Command::Completions(arguments) => {
            let mut script = Vec::new();
            clap_complete::generate(arguments.shell, &mut Arguments::command(), "sp", &mut script);
            context.out().write_all(&script)?;
            Ok(Exit::Done)
        }
        Command::Man => help::manual(context),
        Command::Help(arguments) => help::run(context, arguments),
    }
}
