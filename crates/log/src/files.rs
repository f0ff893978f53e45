//! Names and small text files of a partition's directory; all of them Kafka's.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_types::{LeaderEpoch, Offset, TopicId};

use crate::{EpochEntry, LeaderEpochCache};

/// The file with the epochs of a log.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";

/// The file that says which topic a directory belongs to.
pub const PARTITION_METADATA: &str = "partition.metadata";

const VERSION: &str = "0";

/// Extensions of the files that a compaction replaces.
pub(crate) const SEGMENT_KINDS: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

/// Digits in a segment's name: enough for every offset.
const NAME_DIGITS: usize = 20;

/// A small file that is not as it should be; such a file counts as missing where it can be
/// derived, and is an error where it cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of {file}: {reason}")]
pub struct ParseFileError {
    pub file: &'static str,
    /// Counted from 1.
    pub line: usize,
    pub reason: &'static str,
}

/// The name of the segment whose first offset is `base`.
#[must_use]
pub fn segment_name(base: Offset) -> String {
    segment_file(base, "log")
}

/// The name of a segment's offset index.
pub(crate) fn index_name(base: Offset) -> String {
    segment_file(base, "index")
}

/// The name of a segment's time index.
pub(crate) fn time_index_name(base: Offset) -> String {
    segment_file(base, "timeindex")
}

/// The name of a segment's index of aborted transactions.
pub(crate) fn transaction_index_name(base: Offset) -> String {
    segment_file(base, "txnindex")
}

/// The name of the snapshot of the producers of a log that ended at `end`.
pub(crate) fn snapshot_name(end: Offset) -> String {
    segment_file(end, "snapshot")
}

/// The name of a segment's file of that extension.
pub(crate) fn segment_file(base: Offset, extension: &str) -> String {
    format!("{base:0NAME_DIGITS$}.{extension}", base = base.get())
}

/// The first offset of the segment of that name; `None` for every other file.
pub(crate) fn parse_segment_name(name: &str) -> Option<Offset> {
    parse_name(name, "log")
}

/// The end of the snapshot of that name; `None` for every other file.
pub(crate) fn parse_snapshot_name(name: &str) -> Option<Offset> {
    parse_name(name, "snapshot")
}

/// The first offset of the segment whose file has that name, but for `suffix`; `None` for every
/// other file.
pub(crate) fn parse_suffixed(name: &str, suffix: &str) -> Option<Offset> {
    let name = name.strip_suffix(suffix)?;
    SEGMENT_KINDS.iter().find_map(|kind| parse_name(name, kind))
}

fn parse_name(name: &str, kind: &str) -> Option<Offset> {
    let (digits, extension) = name.split_once('.')?;
    let all_digits = digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_name = extension == kind && digits.len() == NAME_DIGITS && all_digits;
    digits.parse().ok().filter(|_| is_name).and_then(Offset::from_wire)
}

/// Which topic a partition's directory belongs to: a name may be used again, an id may not
/// (KIP-516).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    pub topic_id: TopicId,
}

impl PartitionMetadata {
    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("version: {VERSION}\ntopic_id: {}\n", self.topic_id)
    }

    /// Reads the file's text. The last line needs no line feed: Kafka writes none.
    ///
    /// # Errors
    /// When the text is not what Kafka writes.
    pub fn parse(text: &str) -> Result<Self, ParseFileError> {
        let wrong = |line, reason| ParseFileError { file: PARTITION_METADATA, line, reason };
        let mut lines = text.lines();
        if lines.next() != Some("version: 0") {
            return Err(wrong(1, "version 0 is the only one"));
        }
        let id = lines.next().and_then(|line| line.strip_prefix("topic_id: "));
        let topic_id =
            id.and_then(|id| id.parse().ok()).ok_or_else(|| wrong(2, "a topic id is missing"))?;
        match lines.next() {
            None if topic_id != TopicId::ZERO => Ok(Self { topic_id }),
            None => Err(wrong(2, "no topic has this id")),
            Some(_) => Err(wrong(3, "the file should end here")),
        }
    }

    /// Writes the file, durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write(&self, disk: &Arc<dyn Disk>, directory: &Path) -> std::io::Result<()> {
        let path = directory.join(PARTITION_METADATA);
        disk.replace_file(&path, self.encode().as_bytes()).await
    }
}

impl LeaderEpochCache {
    /// The file's text: version, number of entries, entries.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{VERSION}\n{}\n", self.entries().len());
        for entry in self.entries() {
            writeln!(text, "{} {}", entry.epoch, entry.start).expect("a String takes all");
        }
        text
    }

    /// Writes the file, durably. A log writes it when it rolls; its host should when it stops.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write(&self, disk: &Arc<dyn Disk>, directory: &Path) -> std::io::Result<()> {
        let path = directory.join(LEADER_EPOCH_CHECKPOINT);
        disk.replace_file(&path, self.encode().as_bytes()).await
    }

    /// Reads the file's text. Its last line must be whole: a number that is cut short is another
    /// number.
    ///
    /// # Errors
    /// When the text is not what Kafka writes, or its entries do not grow.
    pub fn parse(text: &str) -> Result<Self, ParseFileError> {
        let wrong = |line, reason| ParseFileError { file: LEADER_EPOCH_CHECKPOINT, line, reason };
        let mut lines = text.lines();
        if lines.next() != Some(VERSION) {
            return Err(wrong(1, "version 0 is the only one"));
        }
        let count: Option<usize> = lines.next().and_then(|line| line.parse().ok());
        let count = count.ok_or_else(|| wrong(2, "the number of entries is missing"))?;
        let mut cache = Self::default();
        let mut newest: Option<EpochEntry> = None;
        for (line, text) in (3..).zip(lines) {
            let entry =
                parse_entry(text).ok_or_else(|| wrong(line, "an entry is `epoch offset`"))?;
            if newest.is_some_and(|old| old.epoch >= entry.epoch || old.start >= entry.start) {
                return Err(wrong(line, "entries grow"));
            }
            newest = Some(entry);
            cache.assign(entry.epoch, entry.start).expect("entries grow");
        }
        if cache.entries().len() != count {
            return Err(wrong(2, "the number of entries is wrong"));
        }
        if !text.ends_with('\n') {
            return Err(wrong(2 + count, "the last line is cut short"));
        }
        Ok(cache)
    }
}

fn parse_entry(line: &str) -> Option<EpochEntry> {
    let (epoch, start) = line.split_once(' ')?;
    let epoch = LeaderEpoch::from_wire(epoch.parse().ok()?)?;
    Some(EpochEntry { epoch, start: Offset::from_wire(start.parse().ok()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_named_by_their_first_offset() {
        assert_eq!(segment_name(Offset::new(42)), "00000000000000000042.log");
        for offset in [0, 42, i64::MAX] {
            let name = segment_name(Offset::new(offset));
            assert_eq!(parse_segment_name(&name), Some(Offset::new(offset)));
        }
        for name in ["42.log", "00000000000000000042.index", "+0000000000000000042.log", ".log"] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }

    #[test]
    fn partition_metadata_is_kafkas_text() {
        let text = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";
        let metadata = PartitionMetadata::parse(text).unwrap();
        assert_eq!(metadata.topic_id, TopicId::METADATA_TOPIC);
        assert_eq!(metadata.encode(), format!("{text}\n"));
        assert_eq!(PartitionMetadata::parse(&metadata.encode()), Ok(metadata));
        check_metadata("", 1);
        check_metadata("version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", 1);
        check_metadata("version: 0\ntopic_id: short", 2);
        check_metadata("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", 2);
        check_metadata("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\nmore", 3);
    }

    fn check_metadata(text: &str, line: usize) {
        assert_eq!(PartitionMetadata::parse(text).map_err(|error| error.line), Err(line), "{text}");
    }

    #[test]
    fn the_epoch_checkpoint_is_kafkas_text() {
        let text = "0\n2\n0 0\n3 120\n";
        assert_eq!(LeaderEpochCache::parse(text).unwrap().encode(), text);
        check_epochs("", 1);
        check_epochs("1\n0\n", 1);
        check_epochs("0\n", 2);
        check_epochs("0\n2\n0 0\n", 2);
        check_epochs("0\n1\n0\n", 3);
        check_epochs("0\n1\n-1 0\n", 3);
        check_epochs("0\n2\n1 0\n1 5\n", 4);
        check_epochs("0\n2\n1 5\n2 5\n", 4);
        // What is cut short is another number.
        check_epochs("0\n2\n0 0\n3 12", 4);
    }

    fn check_epochs(text: &str, line: usize) {
        assert_eq!(LeaderEpochCache::parse(text).map_err(|error| error.line), Err(line), "{text}");
    }
}
