//! The folder of `[results] dir`: whose it is, and what in it is no code.

use std::path::Path;

use super::instance::Known;
use super::{ApplyError, Workspace};
use crate::campaign::Campaign;
use crate::host::sync::OwnFiles;
use crate::ids::InstanceId;
use crate::store::{OWN_PREFIX, OwnedFolder, ResultsFolder};

/// The folder that `[results] dir` of the campaign in `folder` names; `None` where the tables lie beside the checkpoint.
pub fn results_folder(folder: &Path, campaign: &Campaign) -> Option<ResultsFolder> {
    campaign.results_dir.as_ref().map(|dir| ResultsFolder::new(folder, dir))
}

/// What `sp` itself writes into that folder.
pub(super) fn own_files(folder: &Path, campaign: &Campaign, id: &InstanceId) -> Option<OwnFiles> {
    let folder = results_folder(folder, campaign)?;
    let names = folder.own_tables(&campaign.name, id);
    Some(OwnFiles { folder: folder.path().to_owned(), names, prefix: OWN_PREFIX })
}

impl Workspace {
    fn results_folder(&self) -> Option<ResultsFolder> {
        results_folder(self.settings.folder(), &self.settings.campaign)
    }

    /// Looks whether the tables may be written; changes nothing. `asked`: the hosts were asked, so that it is known by now which
    /// instance this is.
    pub fn check_results(&self, asked: bool) -> Result<(), ApplyError> {
        let Some(folder) = self.results_folder() else { return Ok(()) };
        let known = asked || matches!(self.identified.known, Known::Settled | Known::Derived);
        let id = known.then(|| self.instance().id());
        Ok(folder.check(&self.settings.campaign.name, id.as_ref())?)
    }

    /// The folder of the tables as this instance's; `None` where the tables lie beside the checkpoint.
    pub fn results(&self) -> Option<OwnedFolder> {
        let (name, id) = (&self.settings.campaign.name, self.instance().id());
        self.results_folder().map(|folder| folder.of(name, &id, &self.state_folder()))
    }
}
