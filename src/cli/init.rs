//! `sp init`: a commented campaign file to begin with.

use std::path::Path;

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::atomic_file::{Durability, replace_with};

const TEMPLATE: &str = include_str!("../help/init.toml");

pub(super) fn run(context: &Context, arguments: &args::Init) -> Result<Exit, CliError> {
    let path = &arguments.file.file;
    if path.exists() && !arguments.force {
        return Err(CliError::person(
            "exists",
            format!("`{}` is there already", path.display()),
            "name another file, or `--force` to write over it",
        ));
    }
    let name = campaign_name(path);
    let text = TEMPLATE.replace("my-campaign", &name);
    replace_with(path, Durability::Synced, |file| file.write_all(text.as_bytes())).map_err(
        |error| CliError::person("file", format!("cannot write `{}`: {error}", path.display()), ""),
    )?;
    make_readable(path)?;
    context.note(&format!(
        "Wrote {}. Next: edit it, then `sp plan`, then `sp apply`.",
        path.display()
    ));
    Ok(Exit::Done)
}

/// A campaign file is committed and shared, unlike what `sp` keeps for itself.
fn make_readable(path: &Path) -> Result<(), CliError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    Ok(())
}

/// The folder's name, as far as it can be one of a campaign.
fn campaign_name(path: &Path) -> String {
    let folder = std::path::absolute(path)
        .ok()
        .and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_default();
    let name: String = folder
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(64)
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "my-campaign".to_owned() } else { name.to_owned() }
}
