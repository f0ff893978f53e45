//! The small files of a log directory that tell of all its partitions; all of them Kafka's.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_types::{BrokerEpoch, Offset, PartitionId, TopicName, TopicPartition};

use crate::ParseFileError;

/// How far each partition's log is known to be on stable storage.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";

/// Where each log begins from which records were deleted, if that is not where its first segment
/// does.
pub const LOG_START_CHECKPOINT: &str = "log-start-offset-checkpoint";

/// The high watermarks.
pub const HIGH_WATERMARK_CHECKPOINT: &str = "replication-offset-checkpoint";

/// How far each log has been compacted.
pub const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";

/// It exists while nobody has the log directory open and everything in it is on stable storage.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

const VERSION: &str = "0";

/// An offset for each partition of a log directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCheckpoint {
    pub offsets: BTreeMap<TopicPartition, Offset>,
}

impl OffsetCheckpoint {
    /// The file's text: version, number of partitions, partitions.
    #[must_use]
    pub fn encode(&self) -> String {
        // A line of a topic with a name of usual length.
        let mut text = String::with_capacity(16 + self.offsets.len() * 32);
        writeln!(text, "{VERSION}\n{}", self.offsets.len()).expect("a String takes all");
        for (TopicPartition { topic, partition }, offset) in &self.offsets {
            writeln!(text, "{topic} {partition} {offset}").expect("a String takes all");
        }
        text
    }

    /// Reads the text of `file`. Its last line must be whole: a number that is cut short is
    /// another number.
    ///
    /// # Errors
    /// When the text is not what Kafka writes.
    pub fn parse(file: &'static str, text: &str) -> Result<Self, ParseFileError> {
        let wrong = |line, reason| ParseFileError { file, line, reason };
        let mut lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n'));
        if lines.next().flatten() != Some(VERSION) {
            return Err(wrong(1, "version 0 is the only one"));
        }
        let count: Option<usize> = lines.next().flatten().and_then(|line| line.parse().ok());
        let count = count.ok_or_else(|| wrong(2, "the number of partitions is missing"))?;
        let mut offsets = BTreeMap::new();
        for (line, text) in (3..).zip(lines) {
            let (partition, offset) = text
                .and_then(parse_line)
                .ok_or_else(|| wrong(line, "a line is `topic partition offset`"))?;
            if offsets.insert(partition, offset).is_some() {
                return Err(wrong(line, "the partition has a line already"));
            }
        }
        if offsets.len() != count {
            return Err(wrong(2, "the number of partitions is wrong"));
        }
        Ok(Self { offsets })
    }

    /// Reads `file` in `directory`. One that does not exist, or does not parse to its last line,
    /// is empty: nothing is known then, and that is said in a warning.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn read(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        file: &'static str,
    ) -> io::Result<Self> {
        let Some(text) = read_text(disk, &directory.join(file)).await? else {
            return Ok(Self::default());
        };
        Ok(Self::parse(file, &text).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}; the file is not used", directory.display());
            Self::default()
        }))
    }

    /// Writes `file` in `directory`, durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write(
        &self,
        disk: &Arc<dyn Disk>,
        directory: &Path,
        file: &'static str,
    ) -> io::Result<()> {
        disk.replace_file(&directory.join(file), self.encode().as_bytes()).await
    }
}

fn parse_line(line: &str) -> Option<(TopicPartition, Offset)> {
    let mut words = line.split(' ');
    let topic = TopicName::parse(words.next()?).ok()?;
    let partition = PartitionId::from_wire(number(words.next()?)?)?;
    let offset = Offset::from_wire(number(words.next()?)?)?;
    words.next().is_none().then_some((TopicPartition { topic, partition }, offset))
}

/// Digits only: `parse` would take a sign, which Kafka does not write.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Absent is `None`; what is not UTF-8 does not parse, so it may as well be odd text.
async fn read_text(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Option<String>> {
    match disk.read_whole(path).await {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// That a node has stopped in order. The file's presence says it; its text says in which of its
/// registrations, which a controller wants to know (KIP-966).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanShutdown {
    /// `None` in the file of an older release, which is empty.
    pub broker_epoch: Option<BrokerEpoch>,
}

impl CleanShutdown {
    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        let epoch = BrokerEpoch::to_wire(self.broker_epoch);
        format!("{{\"version\":{VERSION},\"brokerEpoch\":{epoch}}}")
    }

    /// Reads the file's text. An epoch that cannot be read is none, as in Kafka.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { broker_epoch: broker_epoch(text).and_then(BrokerEpoch::from_wire) }
    }

    /// Reads the file in `directory`; `None` if there is none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn read(disk: &Arc<dyn Disk>, directory: &Path) -> io::Result<Option<Self>> {
        let text = read_text(disk, &directory.join(CLEAN_SHUTDOWN)).await?;
        Ok(text.map(|text| Self::parse(&text)))
    }

    /// Writes the file in `directory`, durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write(&self, disk: &Arc<dyn Disk>, directory: &Path) -> io::Result<()> {
        disk.replace_file(&directory.join(CLEAN_SHUTDOWN), self.encode().as_bytes()).await
    }
}

/// One object of numbers, in any order: a JSON reader would be more than the file needs.
fn broker_epoch(text: &str) -> Option<i64> {
    let fields = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut epoch = None;
    for field in fields.split(',') {
        let (name, value) = field.split_once(':')?;
        let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
        let value: i64 = value.trim().parse().ok()?;
        match name {
            "brokerEpoch" => epoch = Some(value),
            "version" if value.to_string() != VERSION => return None,
            _ => {}
        }
    }
    epoch
}
