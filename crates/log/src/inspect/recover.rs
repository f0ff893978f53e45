//! Mending a log that a node refuses to open.
//!
//! Nothing is ever thrown away: the bytes that a log loses are kept beside it, in regular files
//! that no node looks at. The order of the steps lets a crash at any of them be answered by doing
//! it all again: what says that the log is whole goes first, the damage goes last.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File, Open};
use ottla_records::{HEADER_BYTES, is_old_message, old_message_size};
use ottla_types::{Offset, TopicPartition};

use super::directory::{damaged_name, partition_of, read_if_there};
use super::{Damage, FileKind, Found, PartitionFiles, SegmentReader};
use crate::{
    HIGH_WATERMARK_CHECKPOINT, LEADER_EPOCH_CHECKPOINT, LOG_START_CHECKPOINT, LeaderEpochCache,
    OffsetCheckpoint, RECOVERY_POINT_CHECKPOINT, segment_name,
};

/// Bytes copied at once.
const COPY_BYTES: usize = 4 << 20;

/// What to do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// End the log in front of the first of it.
    TruncateAtDamage,
    /// Leave it out, and keep the good batches behind it: their offsets stay what they are.
    SkipDamage,
}

/// Why a log is not mended.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("the disk refuses: {0}")]
    Storage(#[from] io::Error),
    #[error(
        "segment {segment_base} begins before offset {expected}, where the one before it ends: two \
         logs seem to be mixed, and which one is right only a person can say"
    )]
    Overlap { segment_base: Offset, expected: Offset },
    #[error(
        "segment {segment_base} has a message of an old format at byte {position}: it was written \
         before Kafka 0.11 and is not damaged"
    )]
    OldFormat { segment_base: Offset, position: u64 },
}

/// Offsets that a mended log does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub from: Offset,
    /// The first offset that is there again; `None` if the log ends at `from`, and new records
    /// are given these offsets.
    pub upto: Option<Offset>,
}

/// A damaged log, read through, and what could be done. Making it changes nothing.
#[derive(Clone, Debug)]
pub struct RecoveryPlan {
    files: PartitionFiles,
    /// By the segments' first offsets.
    damages: Vec<(Offset, Damage)>,
    /// The offset after the last good batch, wherever it lies.
    end: Offset,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The offset after the last record now.
    pub end: Offset,
    /// Where the bytes are that the log lost.
    pub kept: Vec<PathBuf>,
    /// Derived files that are gone; a node makes them again.
    pub removed: Vec<PathBuf>,
}

impl RecoveryPlan {
    /// Reads a partition's directory.
    ///
    /// # Errors
    /// When the disk refuses, or the log is of a kind that this cannot mend.
    pub async fn survey(disk: &Arc<dyn Disk>, directory: &Path) -> Result<Self, RecoverError> {
        let files = PartitionFiles::list(disk, directory).await?;
        let mut plan = Self { files, damages: Vec::new(), end: Offset::ZERO };
        for (base, _) in plan.files.segments.clone() {
            if base < plan.end {
                let expected = plan.end;
                return Err(RecoverError::Overlap { segment_base: base, expected });
            }
            plan.survey_segment(disk, base).await?;
        }
        Ok(plan)
    }

    async fn survey_segment(
        &mut self,
        disk: &Arc<dyn Disk>,
        base: Offset,
    ) -> Result<(), RecoverError> {
        let path = self.files.directory.join(segment_name(base));
        let file = disk.open_file(&path, Open::Existing).await?;
        let mut reader =
            SegmentReader::new(disk, Arc::clone(&file), base, self.files.next_base(base)).await?;
        while let Some(found) = reader.next().await? {
            if let Found::Damage(damage) = found {
                if is_old_format(disk, &file, &damage).await? {
                    let position = damage.position;
                    return Err(RecoverError::OldFormat { segment_base: base, position });
                }
                self.damages.push((base, damage));
            }
        }
        self.end = reader.next_offset();
        Ok(())
    }

    /// The damage, with the first offset of the segment that it lies in.
    pub fn damages(&self) -> impl Iterator<Item = (Offset, &Damage)> {
        self.damages.iter().map(|(base, damage)| (*base, damage))
    }

    /// Whether there is nothing to mend.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damages.is_empty()
    }

    /// The offset after the last good batch, damage or not in front of it.
    #[must_use]
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// Where the log would end.
    #[must_use]
    pub fn end_after(&self, mend: Mend) -> Offset {
        match (mend, self.damages.first()) {
            (Mend::TruncateAtDamage, Some((_, first))) => first.from,
            (Mend::SkipDamage, _) | (Mend::TruncateAtDamage, None) => self.end,
        }
    }

    /// The offsets that would be lost, in order.
    #[must_use]
    pub fn lost(&self, mend: Mend) -> Vec<Lost> {
        if mend == Mend::TruncateAtDamage {
            let first = self.damages.first();
            return first
                .map(|(_, first)| Lost { from: first.from, upto: None })
                .into_iter()
                .collect();
        }
        let lost = |(base, damage): &(Offset, Damage)| {
            let upto = damage.upto.or_else(|| self.files.next_base(*base));
            Lost { from: damage.from, upto }
        };
        self.damages.iter().map(lost).filter(|lost| lost.upto != Some(lost.from)).collect()
    }

    /// Good batches that would go as well, in bytes: those behind the damage.
    #[must_use]
    pub fn good_bytes_lost(&self, mend: Mend) -> u64 {
        let Some((first_base, first)) = self.damages.first() else { return 0 };
        match mend {
            Mend::SkipDamage => 0,
            Mend::TruncateAtDamage => {
                let segments = self.files.segments.iter();
                let behind: u64 =
                    segments.filter(|(base, _)| base >= first_base).map(|(_, len)| len).sum();
                let bad: u64 = self.damages.iter().map(|(_, damage)| damage.bytes).sum();
                behind.saturating_sub(first.position + bad)
            }
        }
    }

    /// Mends the log. The caller holds the lock of the log directory that the partition lies in,
    /// if it lies in one: its checkpoints are told, too.
    ///
    /// # Errors
    /// When the disk refuses; all of it can be done again then.
    pub async fn perform(
        &self,
        disk: &Arc<dyn Disk>,
        mend: Mend,
        log_directory: Option<&Path>,
    ) -> io::Result<Recovered> {
        let end = self.end_after(mend);
        let mut recovered = Recovered { end, kept: Vec::new(), removed: Vec::new() };
        let Some((first_base, first)) = self.damages.first() else { return Ok(recovered) };
        if let Some(log_directory) = log_directory {
            self.lower_checkpoints(disk, log_directory, end).await?;
        }
        let is_touched = |base: Offset| match mend {
            Mend::TruncateAtDamage => base >= *first_base,
            Mend::SkipDamage => self.damages.iter().any(|(damaged, _)| *damaged == base),
        };
        self.remove_derived(disk, is_touched, first.from, &mut recovered).await?;
        self.lower_epochs(disk, end).await?;
        match mend {
            Mend::TruncateAtDamage => {
                self.truncate(disk, *first_base, first, &mut recovered).await?;
            }
            Mend::SkipDamage => self.skip(disk, &mut recovered).await?,
        }
        Ok(recovered)
    }

    /// Without a recovery point the node reads the whole log again.
    async fn lower_checkpoints(
        &self,
        disk: &Arc<dyn Disk>,
        log_directory: &Path,
        end: Offset,
    ) -> io::Result<()> {
        let name = self.files.directory.file_name().unwrap_or_default().to_string_lossy();
        let Some(partition) = partition_of(&name) else { return Ok(()) };
        for file in [RECOVERY_POINT_CHECKPOINT, LOG_START_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT] {
            let mut checkpoint = OffsetCheckpoint::read(disk, log_directory, file).await?;
            if lower(&mut checkpoint, file, &partition, end) {
                checkpoint.write(disk, log_directory, file).await?;
            }
        }
        Ok(())
    }

    /// The indexes of the segments that change, and what snapshots say of producers whose batches
    /// are lost.
    async fn remove_derived(
        &self,
        disk: &Arc<dyn Disk>,
        is_touched: impl Fn(Offset) -> bool,
        from: Offset,
        recovered: &mut Recovered,
    ) -> io::Result<()> {
        let is_derived = |name: &&String| match FileKind::of(name) {
            Some(
                FileKind::OffsetIndex(base)
                | FileKind::TimeIndex(base)
                | FileKind::AbortedIndex(base),
            ) => is_touched(base),
            Some(FileKind::ProducerSnapshot(offset)) => offset > from,
            Some(
                FileKind::Segment(_)
                | FileKind::MetadataSnapshot(_)
                | FileKind::LeaderEpochs
                | FileKind::PartitionMetadata
                | FileKind::Offsets(_)
                | FileKind::CleanShutdown,
            )
            | None => false,
        };
        for name in self.files.files.keys().filter(is_derived) {
            let path = self.files.directory.join(name);
            disk.unlink(&path).await?;
            recovered.removed.push(path);
        }
        disk.sync_names(&self.files.directory).await
    }

    async fn lower_epochs(&self, disk: &Arc<dyn Disk>, end: Offset) -> io::Result<()> {
        let path = self.files.directory.join(LEADER_EPOCH_CHECKPOINT);
        let Some(bytes) = read_if_there(disk, &path).await? else { return Ok(()) };
        match LeaderEpochCache::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(mut epochs) => {
                epochs.truncate_from_end(end);
                epochs.write(disk, &self.files.directory).await
            }
            Err(_) => disk.unlink(&path).await,
        }
    }

    /// The later segments go first, the last one foremost: a crash leaves the damage with less
    /// behind it.
    async fn truncate(
        &self,
        disk: &Arc<dyn Disk>,
        first_base: Offset,
        first: &Damage,
        recovered: &mut Recovered,
    ) -> io::Result<()> {
        let directory = &self.files.directory;
        let bases = self.files.segments.iter().map(|(base, _)| *base);
        for base in bases.rev().filter(|base| *base > first_base) {
            let aside = directory.join(damaged_name(base, 0));
            disk.move_to(&directory.join(segment_name(base)), &aside).await?;
            disk.sync_names(directory).await?;
            recovered.kept.push(aside);
        }
        let path = directory.join(segment_name(first_base));
        let file = disk.open_file(&path, Open::Existing).await?;
        let len = disk.len_of(&file).await?;
        let range = (first.position, len - first.position);
        self.keep_aside(disk, first_base, &file, range, recovered).await?;
        disk.truncate_to(&file, first.position).await?;
        disk.sync_files(vec![file]).await
    }

    async fn skip(&self, disk: &Arc<dyn Disk>, recovered: &mut Recovered) -> io::Result<()> {
        let mut by_segment: BTreeMap<Offset, Vec<&Damage>> = BTreeMap::new();
        for (base, damage) in &self.damages {
            by_segment.entry(*base).or_default().push(damage);
        }
        for (base, damages) in by_segment {
            self.skip_in(disk, base, &damages, recovered).await?;
        }
        Ok(())
    }

    /// Writes the good batches into a new file, which takes the segment's name when it is durable.
    async fn skip_in(
        &self,
        disk: &Arc<dyn Disk>,
        base: Offset,
        damages: &[&Damage],
        recovered: &mut Recovered,
    ) -> io::Result<()> {
        let directory = &self.files.directory;
        let path = directory.join(segment_name(base));
        let file = disk.open_file(&path, Open::Existing).await?;
        let len = disk.len_of(&file).await?;
        let fresh_path = directory.join(format!(".ottla-recovering-{:020}", base.get()));
        let fresh = disk.open_file(&fresh_path, Open::Ensure).await?;
        disk.truncate_to(&fresh, 0).await?;
        let (mut good, mut written) = (0, 0);
        for damage in damages {
            let range = (damage.position, damage.bytes);
            self.keep_aside(disk, base, &file, range, recovered).await?;
            copy(disk, &file, (good, damage.position - good), &fresh, written).await?;
            written += damage.position - good;
            good = damage.position + damage.bytes;
        }
        copy(disk, &file, (good, len - good), &fresh, written).await?;
        disk.sync_files(vec![fresh]).await?;
        disk.move_to(&fresh_path, &path).await?;
        disk.sync_names(directory).await
    }

    /// Copies bytes of a segment into a file of their own, durably.
    async fn keep_aside(
        &self,
        disk: &Arc<dyn Disk>,
        base: Offset,
        file: &Arc<dyn File>,
        range: (u64, u64),
        recovered: &mut Recovered,
    ) -> io::Result<()> {
        let path = self.files.directory.join(damaged_name(base, range.0));
        let aside = disk.open_file(&path, Open::Ensure).await?;
        disk.truncate_to(&aside, 0).await?;
        copy(disk, file, range, &aside, 0).await?;
        disk.sync_files(vec![aside]).await?;
        disk.sync_names(&self.files.directory).await?;
        recovered.kept.push(path);
        Ok(())
    }
}

/// Whether a checkpoint had to change.
fn lower(
    checkpoint: &mut OffsetCheckpoint,
    file: &str,
    partition: &TopicPartition,
    end: Offset,
) -> bool {
    if file == RECOVERY_POINT_CHECKPOINT {
        return checkpoint.offsets.remove(partition).is_some();
    }
    match checkpoint.offsets.get_mut(partition) {
        Some(told) if *told > end => {
            *told = end;
            true
        }
        _ => false,
    }
}

/// Copies `len` bytes from `at` on to `onto`.
async fn copy(
    disk: &Arc<dyn Disk>,
    from: &Arc<dyn File>,
    (mut at, mut len): (u64, u64),
    to: &Arc<dyn File>,
    mut onto: u64,
) -> io::Result<()> {
    while len > 0 {
        let wanted = usize::try_from(len).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let chunk = disk.read_at(from, at, wanted).await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_at(onto, &[IoSlice::new(&chunk)])?;
        let copied = chunk.len() as u64;
        (at, onto, len) = (at + copied, onto + copied, len - copied);
    }
    Ok(())
}

/// Whether what does not parse is a good message of format 0 or 1.
async fn is_old_format(
    disk: &Arc<dyn Disk>,
    file: &Arc<dyn File>,
    damage: &Damage,
) -> io::Result<bool> {
    let head = disk.read_at(file, damage.position, HEADER_BYTES).await?;
    let size = old_message_size(&head).map(u64::from).filter(|size| *size <= damage.bytes);
    let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else { return Ok(false) };
    Ok(is_old_message(&disk.read_at(file, damage.position, size).await?))
}
