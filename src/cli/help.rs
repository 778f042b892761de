//! `sp help` and `sp man`: the long texts.

use std::io::Write as _;

use clap::CommandFactory as _;

use super::args::{Arguments, Help};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::campaign::suggest;

/// Topics with what they are about.
const TOPICS: &[(&str, &str, &str)] = &[
    ("campaign-file", "every key of campaign.toml", include_str!("../help/campaign-file.md")),
    ("matrix", "axes, ranges, zip, when, exclude, include, -F", include_str!("../help/matrix.md")),
    ("templates", "{{ braces }}, names, quoting", include_str!("../help/templates.md")),
    ("identity", "what a job's id is computed from", include_str!("../help/identity.md")),
    (
        "instances",
        "whose jobs are whose: clones, copies, moved folders",
        include_str!("../help/instances.md"),
    ),
    ("markers", "what must hold for a job to count as done", include_str!("../help/markers.md")),
    ("states", "states and reasons, and how they are known", include_str!("../help/states.md")),
    ("hosts", "[hosts], ssh, homes, slots, what lies on a host", include_str!("../help/hosts.md")),
    ("sync", "[sync], snapshots, code-change", include_str!("../help/sync.md")),
    ("setup", "once for a tree, before the jobs", include_str!("../help/setup.md")),
    ("ssh", "from a laptop to a lab machine in ten minutes", include_str!("../help/ssh.md")),
    (
        "doctor",
        "everything a run needs, and what sp doctor looks at",
        include_str!("../help/doctor.md"),
    ),
    ("environment", "what a job finds in its environment", include_str!("../help/environment.md")),
    ("results", "tables, columns, logs", include_str!("../help/results.md")),
    ("exit-codes", "what sp ends with", include_str!("../help/exit-codes.md")),
    (
        "interruptions",
        "Ctrl-C, kill, reboot, a closed laptop",
        include_str!("../help/interruptions.md"),
    ),
    ("gc", "what sp gc removes, and what it never does", include_str!("../help/gc.md")),
    ("server-db", "a host's jobs in SQLite", include_str!("../help/server-db.md")),
    ("security", "who is trusted with what", include_str!("../help/security.md")),
    ("secrets", "from-env, and where a secret is", include_str!("../help/secrets.md")),
];

pub(super) fn run(context: &Context, arguments: &Help) -> Result<Exit, CliError> {
    let mut out = context.out();
    let Some(word) = &arguments.topic else {
        let mut command = Arguments::command();
        write!(out, "{}", command.render_help())?;
        writeln!(out, "\n\nTopics of `sp help TOPIC`:")?;
        for (name, about, _) in TOPICS {
            writeln!(out, "  {name:<14} {about}")?;
        }
        out.flush()?;
        return Ok(Exit::Done);
    };
    if let Some((_, _, text)) = TOPICS.iter().find(|(name, ..)| name == word) {
        out.write_all(text.as_bytes())?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut command = Arguments::command();
    command.build();
    if let Some(found) = command.find_subcommand_mut(word) {
        write!(out, "{}", found.render_long_help())?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let commands = command.get_subcommands().map(clap::Command::get_name);
    let names = TOPICS.iter().map(|(name, ..)| *name).chain(commands);
    let help = suggest::nearest(word, names).map_or_else(
        || "`sp help` lists the topics".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Err(CliError::usage("topic", format!("there is no topic or command `{word}`"), help))
}

/// One page for all commands, in roff.
pub(super) fn manual(context: &Context) -> Result<Exit, CliError> {
    let mut page = Vec::new();
    let mut command = Arguments::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for subcommand in command.get_subcommands() {
        let name = format!("sp {}", subcommand.get_name());
        let mut one = Vec::new();
        let man = clap_mangen::Man::new(
            subcommand.clone().display_name(name.clone()).bin_name(name.clone()),
        );
        writeln!(one, ".SH \"{}\"", name.to_uppercase())?;
        man.render_synopsis_section(&mut one)?;
        man.render_description_section(&mut one)?;
        man.render_options_section(&mut one)?;
        // Sections of the one command become parts of its section.
        let text = String::from_utf8_lossy(&one).replace(".SH SYNOPSIS", ".SS Synopsis");
        let text = text
            .replace(".SH DESCRIPTION", ".SS Description")
            .replace(".SH OPTIONS", ".SS Options");
        page.extend_from_slice(text.as_bytes());
    }
    let mut out = context.out();
    out.write_all(&page)?;
    out.flush()?;
    Ok(Exit::Done)
}
