//! What the names in a partition's directory say.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_types::{Offset, PartitionId, TopicName, TopicPartition};

use crate::checkpoint_file::{
    CLEAN_SHUTDOWN, CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT,
    RECOVERY_POINT_CHECKPOINT,
};
use crate::{LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA};

/// Digits of an offset in a file's name.
const OFFSET_DIGITS: usize = 20;

/// What files are called that keep the damaged bytes of a segment.
const DAMAGED_PREFIX: &str = ".ottla-damaged-";

/// The name of the file that keeps the bytes of a segment from `position` on.
#[must_use]
pub fn damaged_name(segment_base: Offset, position: u64) -> String {
    format!("{DAMAGED_PREFIX}{:0OFFSET_DIGITS$}-{position}", segment_base.get())
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `.log`
    Segment(Offset),
    /// `.index`
    OffsetIndex(Offset),
    /// `.timeindex`
    TimeIndex(Offset),
    /// `.txnindex`
    AbortedIndex(Offset),
    /// `.snapshot`: producers.
    ProducerSnapshot(Offset),
    /// `.checkpoint`: batches of the cluster's metadata.
    MetadataSnapshot(Offset),
    /// `leader-epoch-checkpoint`
    LeaderEpochs,
    /// `partition.metadata`
    PartitionMetadata,
    /// One of the log directory's files with an offset for each partition.
    Offsets(&'static str),
    /// `.kafka_cleanshutdown`
    CleanShutdown,
}

impl FileKind {
    /// As [`of`](Self::of), and of files that are on their way out, or were kept aside when a log
    /// was mended: what they were.
    #[must_use]
    pub fn of_any(name: &str) -> Option<Self> {
        let aside = name.strip_prefix(DAMAGED_PREFIX).and_then(|rest| rest.split_once('-'));
        match aside {
            Some((base, _)) => offset_of(base).map(Self::Segment),
            None => Self::of(name.strip_suffix(".deleted").unwrap_or(name)),
        }
    }

    /// `None` for a name that is none of Kafka's binary or checkpoint files.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let offsets = [
            RECOVERY_POINT_CHECKPOINT,
            LOG_START_CHECKPOINT,
            HIGH_WATERMARK_CHECKPOINT,
            CLEANER_CHECKPOINT,
        ];
        match name {
            LEADER_EPOCH_CHECKPOINT => return Some(Self::LeaderEpochs),
            PARTITION_METADATA => return Some(Self::PartitionMetadata),
            CLEAN_SHUTDOWN => return Some(Self::CleanShutdown),
            "bootstrap.checkpoint" => return Some(Self::MetadataSnapshot(Offset::ZERO)),
            _ => {}
        }
        if let Some(file) = offsets.into_iter().find(|file| *file == name) {
            return Some(Self::Offsets(file));
        }
        let (stem, ending) = name.split_once('.')?;
        if ending == "checkpoint" {
            // The snapshot of a metadata log is called after its end: offset and epoch.
            let (offset, _) = stem.split_once('-')?;
            return offset_of(offset).map(Self::MetadataSnapshot);
        }
        let offset = offset_of(stem)?;
        match ending {
            "log" => Some(Self::Segment(offset)),
            "index" => Some(Self::OffsetIndex(offset)),
            "timeindex" => Some(Self::TimeIndex(offset)),
            "txnindex" => Some(Self::AbortedIndex(offset)),
            "snapshot" => Some(Self::ProducerSnapshot(offset)),
            _ => None,
        }
    }
}

fn offset_of(digits: &str) -> Option<Offset> {
    let all_digits = digits.len() == OFFSET_DIGITS && digits.bytes().all(|c| c.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits).and_then(Offset::from_wire)
}

/// The name of a file that belongs to an offset.
pub(super) fn offset_name(offset: Offset, ending: &str) -> String {
    format!("{:0OFFSET_DIGITS$}.{ending}", offset.get())
}

/// The partition whose directory has this name; `None` for every other directory.
#[must_use]
pub fn partition_of(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = partition.bytes().all(|c| c.is_ascii_digit());
    let partition = partition.parse().ok().filter(|_| digits).and_then(PartitionId::from_wire)?;
    Some(TopicPartition { topic: TopicName::parse(topic).ok()?, partition })
}

/// The names in a partition's directory.
#[derive(Clone, Debug)]
pub struct PartitionFiles {
    pub directory: PathBuf,
    /// First offset and length in bytes, in order.
    pub segments: Vec<(Offset, u64)>,
    /// Every file, with its length in bytes.
    pub files: BTreeMap<String, u64>,
}

impl PartitionFiles {
    /// Lists a directory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn list(disk: &Arc<dyn Disk>, directory: &Path) -> io::Result<Self> {
        let entries = disk.list(directory).await?;
        let files = entries.into_iter().filter(|entry| !entry.is_dir);
        let files: BTreeMap<String, u64> = files.map(|entry| (entry.name, entry.len)).collect();
        let segments = files.iter().filter_map(|(name, len)| match FileKind::of(name)? {
            FileKind::Segment(base) => Some((base, *len)),
            _ => None,
        });
        let segments = segments.collect();
        Ok(Self { directory: directory.to_owned(), segments, files })
    }

    /// Where the segment behind one begins.
    pub(super) fn next_base(&self, base: Offset) -> Option<Offset> {
        self.segments.iter().map(|(next, _)| *next).find(|next| *next > base)
    }

    /// The offsets of which there is a producer snapshot, in order.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = Offset> {
        self.files.keys().filter_map(|name| match FileKind::of(name)? {
            FileKind::ProducerSnapshot(offset) => Some(offset),
            _ => None,
        })
    }

    /// The bytes of a file; `None` if there is none.
    pub(super) async fn read(
        &self,
        disk: &Arc<dyn Disk>,
        name: &str,
    ) -> io::Result<Option<Vec<u8>>> {
        if !self.files.contains_key(name) {
            return Ok(None);
        }
        read_if_there(disk, &self.directory.join(name)).await
    }
}

/// The bytes of a file; `None` if there is none.
pub(super) async fn read_if_there(
    disk: &Arc<dyn Disk>,
    path: &Path,
) -> io::Result<Option<Vec<u8>>> {
    match disk.read_whole(path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn a_file_is_known_by_its_name() {
        let offset = Offset::new(42);
        check("00000000000000000042.log",                   Some(FileKind::Segment(offset)));
        check("00000000000000000042.index",                 Some(FileKind::OffsetIndex(offset)));
        check("00000000000000000042.timeindex",             Some(FileKind::TimeIndex(offset)));
        check("00000000000000000042.txnindex",              Some(FileKind::AbortedIndex(offset)));
        check("00000000000000000042.snapshot",              Some(FileKind::ProducerSnapshot(offset)));
        check("00000000000000000042-0000000007.checkpoint", Some(FileKind::MetadataSnapshot(offset)));
        check("bootstrap.checkpoint",                Some(FileKind::MetadataSnapshot(Offset::ZERO)));
        check("leader-epoch-checkpoint",                    Some(FileKind::LeaderEpochs));
        check("recovery-point-offset-checkpoint", Some(FileKind::Offsets(RECOVERY_POINT_CHECKPOINT)));
        check("00000000000000000042.log.deleted",           None);
        check("42.log",                                     None);
        check("meta.properties",                            None);
    }

    fn check(name: &str, expected: Option<FileKind>) {
        assert_eq!(FileKind::of(name), expected, "{name}");
    }

    #[test]
    fn files_kept_aside_are_what_they_were() {
        let segment = Some(FileKind::Segment(Offset::new(42)));
        assert_eq!(FileKind::of_any(&damaged_name(Offset::new(42), 7)), segment);
        assert_eq!(FileKind::of_any("00000000000000000042.log.deleted"), segment);
        assert_eq!(FileKind::of_any("00000000000000000042.log"), segment);
        assert_eq!(FileKind::of(&damaged_name(Offset::new(42), 7)), None, "a log has none of it");
        assert_eq!(FileKind::of_any(".ottla-damaged-42-7"), None);
    }

    #[test]
    #[rustfmt::skip]
    fn a_partition_is_known_by_its_directory() {
        check_partition("orders-0",                 Some("orders-0"));
        check_partition("a-b.c-12",                 Some("a-b.c-12"));
        check_partition("__cluster_metadata-0",     Some("__cluster_metadata-0"));
        check_partition("orders",                   None);
        check_partition("orders-",                  None);
        check_partition("orders--1",                Some("orders--1"));
        check_partition("orders-0.5f3a-delete",     None);
        check_partition("-0",                       None);
    }

    fn check_partition(name: &str, expected: Option<&str>) {
        let found = partition_of(name).map(|partition| partition.to_string());
        assert_eq!(found.as_deref(), expected, "{name}");
    }
}
