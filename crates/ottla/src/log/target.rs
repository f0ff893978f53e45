//! What a path on the command line is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_log::inspect::{FileKind, LogDirectory, PartitionFiles, partition_of};

use super::LogError;

/// Files of a log directory that are text and have no kind of their own.
const TEXTS: [&str; 4] =
    ["meta.properties", "quorum-state", ".ottla-epoch", ".kafka_cleanshutdown"];

/// The topic of a node's metadata.
const METADATA: &str = "__cluster_metadata";

/// Something to look at.
#[derive(Debug)]
pub(super) enum Target {
    LogDirectory(LogDirectory),
    Partition(PartitionFiles),
    File(PathBuf, FileKind),
    Text(PathBuf),
}

impl Target {
    pub(super) async fn find(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, LogError> {
        let failed = |why| LogError::Disk { path: path.to_owned(), why };
        match disk.list(path).await {
            Ok(_) => Self::of_directory(disk, path).await,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Self::of_file(path),
            Err(error) => Err(failed(error)),
        }
    }

    async fn of_directory(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, LogError> {
        let failed = |why| LogError::Disk { path: path.to_owned(), why };
        if let Some(directory) = LogDirectory::read(disk, path).await.map_err(failed)? {
            return Ok(Self::LogDirectory(directory));
        }
        let files = PartitionFiles::list(disk, path).await.map_err(failed)?;
        match files.segments.is_empty() && partition_of(&name_of(path)).is_none() {
            true => Err(LogError::OtherDirectory(path.to_owned())),
            false => Ok(Self::Partition(files)),
        }
    }

    fn of_file(path: &Path) -> Result<Self, LogError> {
        let name = name_of(path);
        if TEXTS.contains(&name.as_str()) {
            return Ok(Self::Text(path.to_owned()));
        }
        let kind = FileKind::of_any(&name).ok_or_else(|| LogError::OtherFile(path.to_owned()))?;
        Ok(Self::File(path.to_owned(), kind))
    }
}

/// The last name of a path; of `.`, the name of the folder that it stands for.
pub(crate) fn name_of(path: &Path) -> String {
    let real = path.canonicalize();
    let real = real.as_deref().unwrap_or(path);
    real.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The directory that a path lies in.
pub(super) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => path
            .canonicalize()
            .ok()
            .and_then(|real| Some(real.parent()?.to_owned()))
            .unwrap_or_default(),
    }
}

/// Whether a partition's directory holds the metadata log.
pub(super) fn is_metadata(directory: &Path) -> bool {
    partition_of(&name_of(directory)).is_some_and(|partition| partition.topic.as_str() == METADATA)
}
