//! `--host NAME|TAG`: sets of hosts by what a person typed.
//!
//! Chooses hosts, never the home of a job.

use std::collections::BTreeSet;

use crate::campaign::{Campaign, suggest};
use crate::ids::HostName;
use crate::plan::FilterError;
use crate::plan::name::visible;

/// The hosts that are called one of `words` or have it as a tag.
///
/// # Errors
/// A word that is neither the name nor a tag of a host.
pub fn named_hosts(
    words: &[String],
    campaign: &Campaign,
) -> Result<BTreeSet<HostName>, FilterError> {
    let mut chosen = BTreeSet::new();
    for word in words {
        let is = |name: &HostName, tags: &[String]| name.as_str() == word || tags.contains(word);
        let named: Vec<&HostName> = campaign
            .hosts
            .iter()
            .filter(|(name, host)| is(name, &host.tags))
            .map(|(name, _)| name)
            .collect();
        if named.is_empty() {
            let tags = campaign.hosts.values().flat_map(|host| &host.tags).map(String::as_str);
            let mut right: Vec<&str> = campaign.hosts.keys().map(AsRef::as_ref).collect();
            for tag in tags {
                if !right.contains(&tag) {
                    right.push(tag);
                }
            }
            return Err(FilterError {
                message: format!("no host is called or tagged `{}`", visible(word)),
                help: suggest::help(word, &right, "names and tags are"),
            });
        }
        chosen.extend(named.into_iter().cloned());
    }
    Ok(chosen)
}
