//! The command line, as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

/// Runs campaigns: a file of hosts, a command and a matrix becomes finished jobs and a table of results.
#[derive(Debug, Parser)]
#[command(
    name = "sp",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "A day with sp:\n  sp init              write a commented campaign.toml\n  sp plan              what would run, and why\n  sp apply             run it; the same command again does what is left\n  sp status            where every job is\n  sp results           the table\n\n`sp help TOPIC` explains files, states, identity and the rest; `sp help` lists the topics."
)]
pub(super) struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Print JSON: one document, or a line per event for `apply` and `wait`; `logs` prints the log all the same
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// Say less
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    pub verbose: u8,
    /// When to colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Everywhere"
    )]
    pub color: Color,
    /// Never ask; leave what needs a yes
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub no_input: bool,
    /// Work in this folder
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Everywhere")]
    pub directory: Option<PathBuf>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The campaign file of a command whose arguments are jobs.
#[derive(Debug, Clone, Args)]
pub(super) struct File {
    /// The campaign file
    #[arg(short = 'c', long = "campaign", value_name = "FILE", default_value = "campaign.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// The campaign file as an argument.
#[derive(Debug, Clone, Args)]
pub(super) struct FileArgument {
    /// The campaign file
    #[arg(value_name = "FILE", default_value = "campaign.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// Which jobs.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Selection {
    /// Only jobs for which the expression holds, over axes and state, host, `exit_code`, …
    #[arg(short = 'F', long = "filter", value_name = "EXPR")]
    pub filter: Option<String>,
    /// Only jobs of this host, or of the hosts with this tag: those it has, and those that it decides about
    #[arg(long = "host", value_name = "NAME|TAG")]
    pub hosts: Vec<String>,
}

impl Selection {
    /// Whether every job is meant.
    pub(super) fn is_all(&self) -> bool {
        self.filter.is_none() && self.hosts.is_empty()
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented campaign.toml to begin with
    Init(Init),
    /// Check file, templates and globs; asks no host
    Validate(FileArgument),
    /// Show what apply would do, and why
    Plan(Plan),
    /// Run what is not done, wait, collect
    Apply(Apply),
    /// Take an old result over to the job that its cell is now
    Accept(Accept),
    /// Take results over from another copy of the campaign
    Adopt(Adopt),
    /// Show where every job is
    Status(Status),
    /// Show the evidence behind a job's state
    Explain(OneJob),
    /// Show a job's log
    Logs(Logs),
    /// Look at a running job in its tmux session
    Attach(OneJob),
    /// Print where a job's files are
    Path(OneJob),
    /// Open a shell where a job's files are, with its environment
    Shell(OneJob),
    /// End jobs: TERM, grace, KILL to all their processes
    Cancel(Cancel),
    /// Send the code to hosts now, without starting anything
    Sync(Sync),
    /// Wait until nothing is queued or running; starts nothing
    Wait(Wait),
    /// Print the table of results
    Results(Results),
    /// List what nothing needs any more, and remove it
    Gc(Gc),
    /// Look at everything a run needs, before it is needed
    Doctor(Doctor),
    /// Print the JSON Schema of the campaign file
    Schema,
    /// Print a completion script
    Completions(Completions),
    /// Print the manual page
    Man,
    /// Explain a topic
    Help(Help),
}

/// `sp init`.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// Where to write it
    #[command(flatten)]
    pub file: FileArgument,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
}

/// `sp plan`.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    pub file: FileArgument,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub choice: Choice,
    /// Ask no host; rest on the checkpoint alone
    #[arg(long)]
    pub offline: bool,
    /// End with 2 when there is work
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Save the plan for `sp apply PLAN`
    #[arg(short, long, value_name = "PLAN", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// What to list
    #[arg(long, value_name = "WHAT", default_value = "work")]
    pub show: Show,
}

/// What `sp plan` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Show {
    /// Jobs that something happens to.
    Work,
    /// Every job.
    Jobs,
    /// Every job with its rendered command.
    Commands,
    /// Input files with their digests, and the code's largest files.
    Files,
}

/// What to do about finished jobs that ran with other code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CodeChange {
    /// Nothing.
    Ignore,
    /// One line with the changed paths.
    Warn,
    /// They run again.
    Rerun,
}

impl From<CodeChange> for crate::campaign::CodeChange {
    fn from(word: CodeChange) -> Self {
        match word {
            CodeChange::Ignore => Self::Ignore,
            CodeChange::Warn => Self::Warn,
            CodeChange::Rerun => Self::Rerun,
        }
    }
}

/// Choices that change the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(super) struct Choice {
    /// Run this job again whatever its state, or `all`
    #[arg(long, value_name = "JOB|all")]
    pub rerun: Vec<String>,
    /// Leave jobs that ended badly
    #[arg(long)]
    pub no_failed: bool,
    /// What to do about finished jobs that ran with other code; wins over the file's
    #[arg(long, value_name = "WHAT")]
    pub code_change: Option<CodeChange>,
    /// Take obsolete jobs out of the queues
    #[arg(long)]
    pub withdraw: bool,
    /// With `--withdraw`: jobs that another clone or work tree handed over, too
    #[arg(long, requires = "withdraw")]
    pub others: bool,
    /// Start at most so many jobs
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// `sp apply`.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The campaign file, or a plan saved by `sp plan --out`
    #[arg(value_name = "FILE|PLAN", default_value = "campaign.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub choice: Choice,
    /// Yes to every question
    #[arg(short, long)]
    pub yes: bool,
    /// Hand over and leave; `sp wait` waits
    #[arg(short, long)]
    pub detach: bool,
    /// At most so many jobs at once
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_parallel: Option<u32>,
    /// Start nothing more after so many failures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_fail: Option<u32>,
}

/// Reads a time that may be zero.
fn age(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") {
        return Ok(Duration::ZERO);
    }
    crate::campaign::duration::parse(text).map_err(|error| error.to_string())
}

/// `sp accept`.
#[derive(Debug, Args)]
pub(super) struct Accept {
    /// Jobs whose older version's result is to count
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    #[command(flatten)]
    pub file: File,
}

/// `sp adopt`.
#[derive(Debug, Args)]
pub(super) struct Adopt {
    /// The instance that has them, as `sp plan` names it
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Jobs; without any, all that have no result here
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    #[command(flatten)]
    pub file: File,
    /// Only list
    #[arg(short = 'n', long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Yes to the question
    #[arg(short, long)]
    pub yes: bool,
}

/// `sp status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    pub file: FileArgument,
    #[command(flatten)]
    pub selection: Selection,
    /// Ask no host
    #[arg(long)]
    pub offline: bool,
}

/// A command on one job.
#[derive(Debug, Args)]
pub(super) struct OneJob {
    /// Id prefix, name, or axis=value,axis=value
    #[arg(value_name = "JOB")]
    pub job: String,
    #[command(flatten)]
    pub file: File,
}

/// `sp logs`.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Id prefix, name, or axis=value,axis=value
    #[arg(value_name = "JOB")]
    pub job: String,
    #[command(flatten)]
    pub file: File,
    /// Go on as the log grows, until the job ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Which attempt; default: the newest
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
}

/// `sp cancel`.
#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// Jobs to end
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    pub jobs: Vec<String>,
    /// Every job that is queued or running
    #[arg(long)]
    pub all: bool,
    /// With `--all`: only jobs on this host, or on the hosts with this tag
    #[arg(long = "host", value_name = "NAME|TAG", requires = "all")]
    pub hosts: Vec<String>,
    /// With `--all`: those that another clone or work tree handed over, too
    #[arg(long, requires = "all")]
    pub others: bool,
    /// KILL at once
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub file: File,
}

/// `sp sync`.
#[derive(Debug, Args)]
pub(super) struct Sync {
    #[command(flatten)]
    pub file: FileArgument,
    /// Only these hosts, by name or tag
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Only show what would be sent; asks no host
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Yes to every question
    #[arg(short, long)]
    pub yes: bool,
}

/// `sp wait`.
#[derive(Debug, Args)]
pub(super) struct Wait {
    #[command(flatten)]
    pub file: FileArgument,
    #[command(flatten)]
    pub selection: Selection,
    /// Give up after this time, such as 1h, and end with 124
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,
}

/// `sp results`.
#[derive(Debug, Args)]
pub(super) struct Results {
    #[command(flatten)]
    pub file: FileArgument,
    #[command(flatten)]
    pub selection: Selection,
    /// In which form
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub format: Format,
    /// Jobs that left the matrix too
    #[arg(long)]
    pub obsolete: bool,
    /// Ask no host
    #[arg(long)]
    pub offline: bool,
}

/// Form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a terminal.
    Table,
    /// Comma-separated.
    Csv,
    /// Tab-separated.
    Tsv,
    /// One JSON document.
    Json,
    /// A JSON object a line.
    Jsonl,
    /// Markdown.
    Md,
}

/// `sp doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Only this host, or the hosts with this tag; a word that ends in `.toml` is the file
    #[arg(value_name = "HOST")]
    pub host: Option<String>,
    /// The campaign file
    #[arg(value_name = "FILE", default_value = "campaign.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// `sp completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `sp help`.
#[derive(Debug, Args)]
pub(super) struct Help {
    /// A topic or a command
    #[arg(value_name = "TOPIC")]
    pub topic: Option<String>,
}

/// `sp gc`.
#[derive(Debug, Args)]
pub(super) struct Gc {
    #[command(flatten)]
    pub file: FileArgument,
    /// Only these hosts, by name or tag; then nothing is removed here
    #[arg(long = "host", value_name = "NAME|TAG")]
    pub hosts: Vec<String>,
    /// Logs of obsolete jobs here, too
    #[arg(long)]
    pub logs: bool,
    /// Keep the outputs of attempts that ended within this time
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = age)]
    pub older_than: Duration,
    /// Outputs of attempts that another clone or work tree handed over, too
    #[arg(long)]
    pub others: bool,
    /// Only list
    #[arg(short = 'n', long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Yes to the question
    #[arg(short, long)]
    pub yes: bool,
}
