//! A whole log directory: its checkpoints, and all partitions that lie in it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_types::{Offset, TopicPartition};

use super::directory::{partition_of, read_if_there};
use super::verify::{Known, Totals, verify_partition};
use super::{Finding, Severity, Trouble};
use crate::{
    CLEAN_SHUTDOWN, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT, OffsetCheckpoint,
    RECOVERY_POINT_CHECKPOINT,
};

/// The file that a node holds a lock on while it has the directory open.
const LOCK: &str = ".lock";

/// What tells a log directory from others.
const META_PROPERTIES: &str = "meta.properties";

/// What a log directory says of its partitions.
#[derive(Clone, Debug)]
pub struct LogDirectory {
    pub path: PathBuf,
    pub partitions: Vec<TopicPartition>,
    /// A node has it open.
    pub running: bool,
    /// The last node that had it open was stopped in order.
    pub clean: bool,
    pub recovery_points: OffsetCheckpoint,
    pub log_starts: OffsetCheckpoint,
    pub high_watermarks: OffsetCheckpoint,
    /// Checkpoints that say nothing since they do not parse.
    pub findings: Vec<Finding>,
}

impl LogDirectory {
    /// Reads a directory; `None` if it is none that a node has made.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn read(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Option<Self>> {
        let entries = disk.list(path).await?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        if !has(META_PROPERTIES) {
            return Ok(None);
        }
        // The lock's file stays when its holder ends; to make one would be to write here.
        let running = has(LOCK) && is_locked(disk, &path.join(LOCK)).await?;
        let directories = entries.iter().filter(|entry| entry.is_dir);
        let mut directory = Self {
            path: path.to_owned(),
            partitions: directories.filter_map(|entry| partition_of(&entry.name)).collect(),
            running,
            clean: has(CLEAN_SHUTDOWN) && !running,
            recovery_points: OffsetCheckpoint::default(),
            log_starts: OffsetCheckpoint::default(),
            high_watermarks: OffsetCheckpoint::default(),
            findings: Vec::new(),
        };
        directory.recovery_points = directory.checkpoint(disk, RECOVERY_POINT_CHECKPOINT).await?;
        directory.log_starts = directory.checkpoint(disk, LOG_START_CHECKPOINT).await?;
        directory.high_watermarks = directory.checkpoint(disk, HIGH_WATERMARK_CHECKPOINT).await?;
        Ok(Some(directory))
    }

    /// What it says of one partition.
    #[must_use]
    pub fn known(&self, partition: &TopicPartition) -> Known {
        Known {
            recovery_point: self.recovery_points.offsets.get(partition).copied(),
            clean: self.clean,
            running: self.running,
            deep: false,
        }
    }

    async fn checkpoint(
        &mut self,
        disk: &Arc<dyn Disk>,
        file: &'static str,
    ) -> io::Result<OffsetCheckpoint> {
        let path = self.path.join(file);
        let bytes = read_if_there(disk, &path).await?.unwrap_or_default();
        // Apache Kafka makes the file before it has anything to write.
        if bytes.is_empty() {
            return Ok(OffsetCheckpoint::default());
        }
        let parsed = OffsetCheckpoint::parse(file, &String::from_utf8_lossy(&bytes));
        Ok(parsed.unwrap_or_else(|fault| {
            let trouble = fault.into();
            let finding =
                Finding { severity: Severity::Derived, file: path, position: None, trouble };
            self.findings.push(finding);
            OffsetCheckpoint::default()
        }))
    }

    /// The high watermarks and log starts, against where the logs end.
    fn check(&self, ends: &BTreeMap<TopicPartition, Offset>, report: &mut dyn FnMut(Finding)) {
        // After a power cut, what was never made durable may be gone and the file be newer.
        let behind = if self.clean { Severity::Damage } else { Severity::Note };
        for (file, checkpoint) in [
            (RECOVERY_POINT_CHECKPOINT, &self.recovery_points),
            (LOG_START_CHECKPOINT, &self.log_starts),
            (HIGH_WATERMARK_CHECKPOINT, &self.high_watermarks),
        ] {
            let mut tell = |severity, trouble| {
                let file = self.path.join(file);
                report(Finding { severity, file, position: None, trouble });
            };
            for (partition, told) in &checkpoint.offsets {
                let (partition, told) = (partition.clone(), *told);
                match ends.get(&partition) {
                    None => tell(Severity::Note, Trouble::NoDirectory(partition)),
                    // Verifying the partition has said so.
                    Some(_) if file == RECOVERY_POINT_CHECKPOINT => {}
                    Some(end) if told > *end => {
                        let end = *end;
                        tell(behind, Trouble::BehindCheckpoint { partition, told, end });
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

async fn is_locked(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<bool> {
    match disk.lock_file(path).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// Verifies a whole log directory.
///
/// # Errors
/// When the disk refuses.
pub async fn verify_directory(
    disk: &Arc<dyn Disk>,
    directory: &LogDirectory,
    deep: bool,
    report: &mut dyn FnMut(Finding),
) -> io::Result<Totals> {
    directory.findings.iter().for_each(|finding| report(finding.clone()));
    let mut totals = Totals::default();
    let mut ends = BTreeMap::new();
    for partition in &directory.partitions {
        let path = directory.path.join(partition.to_string());
        let known = Known { deep, ..directory.known(partition) };
        match verify_partition(disk, &path, known, report).await {
            Ok(verified) => {
                totals += verified.totals;
                ends.insert(partition.clone(), verified.end);
            }
            // Topics of a running node are deleted.
            Err(error) if directory.running && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if !directory.running {
        directory.check(&ends, report);
    }
    Ok(totals)
}
