//! Formatting a folder for a node that is to be started later.

use std::path::PathBuf;

use ottla_env::{DiskExt as _, Env};

use crate::config::NodeConfig;
use crate::identity::{Identity, IdentityError, META_PROPERTIES};

/// What became of a folder that was to be formatted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formatted {
    /// It is this node's now.
    Now(PathBuf),
    /// It was this node's before, and was left as it is.
    Before {
        /// The folder.
        folder: PathBuf,
        /// The cluster that it belongs to.
        cluster_id: String,
    },
}

/// Makes the folder of a node ready, as the node's first start would: with the cluster id of the
/// configuration, or one of its own.
///
/// # Errors
/// When the folder is in use, another node's, not empty, or not writable.
pub async fn format_folder(env: &Env, config: &NodeConfig) -> Result<Formatted, IdentityError> {
    let folder = config.log_dir.clone();
    let was_there = env.disk.read_whole(&folder.join(META_PROPERTIES)).await.is_ok();
    let identity = Identity::establish(env, config).await?;
    if was_there {
        return Ok(Formatted::Before { folder, cluster_id: identity.cluster_id });
    }
    Ok(Formatted::Now(folder))
}
