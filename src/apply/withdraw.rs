//! Taking obsolete jobs out of the queues of their hosts, side by side.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::collect::Collected;
use super::lane::Trouble;
use super::{ApplyError, Workspace, joined};
use crate::ids::{HostName, JobId};
use crate::plan::{Action, Plan};

impl Workspace {
    /// Takes obsolete jobs out of the queues. A host that cannot be asked, or has left the file, keeps them: that is told of
    /// it, and the others go on.
    pub(super) async fn withdraw_obsolete(
        &self,
        plan: &Plan,
        collected: &Collected,
    ) -> Result<Vec<(HostName, Trouble)>, ApplyError> {
        let gone: BTreeSet<JobId> = plan
            .obsolete
            .iter()
            .filter(|obsolete| obsolete.action == Action::Withdraw)
            .map(|obsolete| obsolete.known.id)
            .collect();
        let mut troubles = Vec::new();
        if gone.is_empty() {
            return Ok(troubles);
        }
        let mut asking = JoinSet::new();
        for (name, named) in self.attempts_by_host(|job| gone.contains(&job))? {
            // That it is silent was said, and that its jobs stay follows.
            if collected.trouble_of(&name).is_some() {
                continue;
            }
            let host = match self.host(&name) {
                Ok(host) => host.clone(),
                Err(error) => {
                    troubles.push((name, Trouble::Error(error)));
                    continue;
                }
            };
            let instance = self.instance().clone();
            asking.spawn(async move {
                let root_id = named.root_id.as_deref();
                (name, host.cancel(&instance, "withdraw", 0, &named.attempts, root_id).await)
            });
        }
        while let Some(asked) = asking.join_next().await {
            if let Some((name, Err(error))) = joined(asked) {
                troubles.push((name, Trouble::Error(error.into())));
            }
        }
        Ok(troubles)
    }
}
