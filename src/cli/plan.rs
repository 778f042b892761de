//! `sp plan`: what apply would do, and why.

use std::fmt::Write as _;

use indicatif::HumanBytes;

use super::args::{self, Choice, Show};
use super::context::{Context, resolve};
use super::error::CliError;
use super::exit::Exit;
use super::neighbours;
use super::saved_plan::SavedPlan;
use super::session::{Reach, Session};
use super::setup::on_one_line;
use super::{campaign_file, code};
use crate::apply::CodeNow;
use crate::plan::{
    Action, CommandSpec, Decision, HostStatus, Known, Options, Plan, PlanView, PlannedHost,
    Prefixes, Reason, Rerun, told, visible,
};
use crate::report::text::local;
use crate::shell::word;

/// So many lines of work are shown unless all are asked for.
const LINES: usize = 40;
/// Longer names push what stands after them out of its column.
const NAME_WIDTH: usize = 48;
/// So many of the code's files are listed, the largest.
const LARGEST: usize = 10;

pub(super) fn run(context: &Context, arguments: &args::Plan) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.check(&arguments.selection, &loaded.expansion)?;
    let reach = Reach::UnlessOffline(arguments.offline);
    context.session(loaded, reach, |session| make(context, session, arguments))
}

/// Makes the plan and shows it.
fn make(
    context: &Context,
    session: &mut Session<'_>,
    arguments: &args::Plan,
) -> Result<Exit, CliError> {
    let mut options = options(session, &arguments.choice, &arguments.selection)?;
    let now = code::code_now(context, &mut session.workspace, &arguments.choice)?;
    let (workspace, loaded) = (&session.workspace, &session.loaded);
    let policy = code::policy(workspace, &arguments.choice);
    let other = code::consider(workspace, &mut options, policy, now.as_ref())?;
    let plan = workspace.plan(session.collected(), &options)?;
    if let Some(path) = &arguments.out {
        let digest = code::saved_digest(now.as_ref(), path);
        SavedPlan::of(loaded, &plan, &arguments.choice, &arguments.selection, digest)?
            .write(path)?;
    }
    let others = neighbours::of(session);
    let mut out = context.out();
    if context.json() {
        serde_json::to_writer(&mut out, &PlanView(&plan, &others))?;
        writeln!(out)?;
    } else {
        out.write_all(show(context, &plan, arguments.show)?.as_bytes())?;
        if let (Show::Files, Some(now)) = (arguments.show, &now) {
            out.write_all(code_files(now).as_bytes())?;
        }
    }
    out.flush()?;
    neighbours::say(context, &others);
    let file = campaign_file::word(&loaded.file);
    code::say_changed(context, workspace, policy, (now.as_ref(), &other), &plan, &file)?;
    say_without_records(context, &plan);
    workspace.check_results(session.collected().is_some())?;
    say_next(context, &plan, arguments);
    Ok(exit(&plan, arguments.detailed_exitcode))
}

/// Says that ended jobs rest on the checkpoint alone.
pub(super) fn say_without_records(context: &Context, plan: &Plan) {
    if plan.summary.without_records > 0 {
        let jobs = count(plan.summary.without_records, "ended job");
        context.note(&format!(
            "warning: {jobs} without records on a host: its root was deleted or rolled back since; \
             `sp apply --rerun JOB` runs them again"
        ));
    }
}

/// The command that comes next, where it is clear which.
fn say_next(context: &Context, plan: &Plan, arguments: &args::Plan) {
    if let Some(path) = &arguments.out {
        let path = word(&path.to_string_lossy());
        context.note(&format!("Saved. To do exactly this: sp apply {path}"));
    } else if plan.summary.total == 0 && !arguments.selection.is_all() {
        context.note("No job is selected by `-F` and `--host`; without them `sp plan` lists all.");
    } else if arguments.choice == Choice::default()
        && arguments.selection.is_all()
        && plan.summary.run + plan.summary.adopt + plan.summary.wait > 0
    {
        let file = arguments.file.file.as_path();
        let file = match file.to_str() {
            Some("campaign.toml") => String::new(),
            _ => format!(" {}", word(&file.to_string_lossy())),
        };
        context.note(&format!("To do it: sp apply{file}"));
    }
}

fn exit(plan: &Plan, detailed: bool) -> Exit {
    let summary = &plan.summary;
    if summary.total == 0 {
        return Exit::NothingSelected;
    }
    if detailed
        && summary.run + summary.wait + summary.withdraw + summary.adopt + summary.blocked > 0
    {
        return Exit::Work;
    }
    Exit::Done
}

/// The plan's options from the command line.
pub(super) fn options(
    session: &Session<'_>,
    choice: &Choice,
    selection: &args::Selection,
) -> Result<Options, CliError> {
    let (context, loaded) = (session.context, &session.loaded);
    let known = if choice.rerun.is_empty() && selection.filter.is_none() {
        Known::default()
    } else {
        session.known()?
    };
    let rerun = match choice.rerun.as_slice() {
        [] => Rerun::None,
        names if names.iter().any(|name| name == "all") => Rerun::All,
        names => {
            let ids = names.iter().map(|name| {
                let job = resolve(name, &loaded.expansion, &known)?;
                job.index.map(|_| job.id).ok_or_else(|| {
                    CliError::usage(
                        "obsolete",
                        format!("job `{name}` left the matrix, so it cannot run again"),
                        "`sp plan` shows the jobs of the file",
                    )
                })
            });
            Rerun::Jobs(ids.collect::<Result<_, _>>()?)
        }
    };
    Ok(Options {
        rerun,
        no_failed: choice.no_failed,
        withdraw: choice.withdraw,
        others: choice.others,
        limit: choice.limit,
        other_code: std::collections::BTreeSet::new(),
        hosts: context.hosts(&selection.hosts, &loaded.expansion)?,
        selection: context.filter(selection, &loaded.expansion, &known)?,
    })
}

/// The plan for people.
pub(super) fn show(context: &Context, plan: &Plan, what: Show) -> Result<String, CliError> {
    let paint = Paint { colour: context.colour_stdout() };
    let prefixes = Prefixes::new(plan.expansion.ids().iter().copied());
    let mut text = String::new();
    let hosts: Vec<String> = plan.hosts.iter().map(|host| host_told(context, host)).collect();
    let jobs = count(plan.summary.total, "job");
    writeln!(text, "{}: {jobs} on {}\n", plan.expansion.campaign().name, hosts.join(", "))
        .expect("a string takes all");
    let listed = |decision: &&Decision| what != Show::Work || decision.action != Action::Skip;
    let names = plan.decisions.iter().filter(listed).take(LINES);
    let names = names.map(|decision| plan.expansion.job(decision.job).name().chars().count());
    let width = names.max().unwrap_or(0).min(NAME_WIDTH);
    let home = HomeColumn::new(plan);
    let mut hidden = 0;
    let mut lines = 0;
    for decision in &plan.decisions {
        let job = plan.expansion.job(decision.job);
        let idle = matches!(decision.action, Action::Skip);
        if what == Show::Work && (idle || lines >= LINES) {
            hidden += usize::from(!idle);
            continue;
        }
        lines += 1;
        let symbol = symbol(decision.action, decision.reason);
        let detail = decision.detail.to_string();
        let why = if detail.is_empty() {
            decision.reason.word().to_owned()
        } else {
            format!("{}: {detail}", decision.reason)
        };
        let short = prefixes.short(job.id());
        let line = format!("  {symbol} {short}  {:width$}  {}{why}", job.name(), home.of(decision));
        writeln!(text, "{}", paint.line(symbol, line.trim_end())).expect("a string takes all");
        if what == Show::Commands {
            for line in command_lines(&job.command()?) {
                writeln!(text, "      {line}").expect("a string takes all");
            }
        }
        if what == Show::Files {
            for (path, digest) in job.parts()?.inputs {
                let digest: String = digest.chars().take(12).collect();
                writeln!(text, "      {digest}  {}", visible(&path)).expect("a string takes all");
            }
        }
    }
    for obsolete in &plan.obsolete {
        // What has ended asks nothing of anybody; it is in the count.
        let idle = obsolete.action == Action::Skip && obsolete.known.state.is_final();
        if what == Show::Work && (idle || lines >= LINES) {
            hidden += usize::from(!idle);
            continue;
        }
        lines += 1;
        let known = &obsolete.known;
        let line = format!(
            "  - {}  {:width$}  {}",
            prefixes.short(known.id),
            visible(&known.name),
            obsolete.detail
        );
        writeln!(text, "{}", paint.line('-', &line)).expect("a string takes all");
    }
    if hidden > 0 {
        writeln!(text, "    … and {hidden} more; `sp plan --show jobs` lists all")
            .expect("a string takes all");
    }
    if lines > 0 {
        text.push('\n');
    }
    if let Some(setup) = plan.expansion.campaign().setup.as_ref().filter(|_| plan.summary.run > 0) {
        let setup = on_one_line(setup);
        writeln!(text, "Before them, unless it has run in the same tree: {setup}\n")
            .expect("a string takes all");
    }
    text.push_str(&summary(plan));
    text.push('\n');
    Ok(text)
}

/// A host, and since when it has not answered.
fn host_told(context: &Context, host: &PlannedHost) -> String {
    match &host.status {
        HostStatus::Unreachable { since } => {
            format!("{} (no answer since {})", host.name, local(*since, &context.zone()))
        }
        HostStatus::Probed(_) | HostStatus::NotAsked => host.name.to_string(),
    }
}

/// The column of homes, which is there when there is a choice.
struct HomeColumn<'a> {
    hosts: &'a [PlannedHost],
    width: usize,
}

impl<'a> HomeColumn<'a> {
    fn new(plan: &'a Plan) -> Self {
        let longest = plan.hosts.iter().map(|host| host.name.as_str().len()).max();
        Self { hosts: &plan.hosts, width: longest.unwrap_or(0) }
    }

    fn of(&self, decision: &Decision) -> String {
        if self.hosts.len() == 1 {
            return String::new();
        }
        let home = decision.home.map_or("-", |at| self.hosts[at].name.as_str());
        format!("{home:0$}  ", self.width)
    }
}

/// The code's files: how many, how much, the largest.
pub(super) fn code_files(now: &CodeNow) -> String {
    let mut files: Vec<(&[u8], u64)> = now.files().collect();
    let bytes: u64 = files.iter().map(|(_, size)| size).sum();
    let all = count(files.len(), "file");
    files.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut text = format!("\nCode: {all}, {}\n", HumanBytes(bytes));
    for (path, size) in files.iter().take(LARGEST) {
        let path = String::from_utf8_lossy(path);
        let size = HumanBytes(*size).to_string();
        writeln!(text, "  {size:>12}  {}", visible(&path)).expect("a string takes all");
    }
    text
}

/// The last line.
pub(super) fn summary(plan: &Plan) -> String {
    let summary = &plan.summary;
    if summary.run + summary.adopt + summary.wait + summary.withdraw + summary.blocked == 0 {
        let done = plan
            .decisions
            .iter()
            .filter(|d| matches!(d.reason, Reason::Succeeded | Reason::Accepted));
        let done = done.count();
        let rest = summary.skip - done;
        let mut text = format!("Plan: nothing to do; {done} done");
        if rest > 0 {
            write!(text, ", {rest} left as they are").expect("a string takes all");
        }
        if summary.obsolete > 0 {
            write!(text, ", {} obsolete", summary.obsolete).expect("a string takes all");
        }
        if summary.others > 0 {
            write!(text, ", {} of other clones", summary.others).expect("a string takes all");
        }
        return text + ".";
    }
    let mut parts = vec![format!("{} to run", summary.run)];
    let mut add = |number: usize, words: &str| {
        if number > 0 {
            parts.push(format!("{number} {words}"));
        }
    };
    add(summary.wait, "under way");
    add(summary.adopt, "to take over");
    add(summary.skip, "done or left");
    add(summary.blocked, "blocked");
    add(summary.withdraw, "to withdraw");
    add(summary.obsolete - summary.withdraw, "obsolete");
    add(summary.others, "of other clones");
    format!("Plan: {}.", parts.join(", "))
}

fn symbol(action: Action, reason: Reason) -> char {
    match action {
        Action::Run if reason == Reason::New => '+',
        Action::Run => '~',
        Action::Skip => '=',
        Action::Adopt => '<',
        Action::Wait => '>',
        Action::Withdraw => '-',
        Action::Blocked => '!',
    }
}

/// A command as it would be typed. Its own line ends are line ends, so that `\n` is the two characters it looks like.
fn command_lines(command: &CommandSpec) -> Vec<String> {
    let text = match command {
        CommandSpec::Shell(text) => told(text),
        CommandSpec::Argv(words) => {
            let words: Vec<String> = words
                .iter()
                .map(|word| {
                    let word = told(word);
                    crate::shell::quote(&word).unwrap_or(word)
                })
                .collect();
            words.join(" ")
        }
    };
    text.trim_end_matches('\n').split('\n').map(|line| visible(line).into_owned()).collect()
}

/// `1 job`, `2 jobs`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn line(&self, symbol: char, line: &str) -> String {
        if !self.colour {
            return line.to_owned();
        }
        let colour = match symbol {
            '+' => "\x1b[32m",
            '~' | '<' => "\x1b[33m",
            '!' => "\x1b[31m",
            '-' => "\x1b[35m",
            '>' => "\x1b[36m",
            _ => "\x1b[2m",
        };
        format!("{colour}{line}\x1b[0m")
    }
}
