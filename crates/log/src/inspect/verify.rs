//! Reading everything, and checking it against everything else.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Open};
use ottla_records::{Batch, BatchHeader};
use ottla_types::Offset;

use super::directory::offset_name;
use super::reader::marker_of;
use super::segment_check::{OffsetCheck, TimeCheck};
use super::snapshot_check::contradiction;
use super::{Damage, Finding, Found, PartitionFiles, SegmentReader, Severity, Trouble};
use crate::aborted::AbortedIndex;
use crate::index_file::{OffsetEntries, TimeEntries};
use crate::{
    EndedTransaction, IndexFault, LEADER_EPOCH_CHECKPOINT, LeaderEpochCache, PARTITION_METADATA,
    ParseFileError, PartitionMetadata, ProducerState, segment_name,
};

/// Records of a compressed batch are inflated to this size at the most.
const INFLATED_BYTES_MAX: usize = 1 << 30;

/// What is known of a log from outside of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Everything below it is on stable storage.
    pub recovery_point: Option<Offset>,
    /// The node was stopped in order, so no file may be half written.
    pub clean: bool,
    /// A node has the log open: what lies at the recovery point or behind it is in motion, and so
    /// are the files derived from the last segment.
    pub running: bool,
    /// Look into every record as well, inflating those that are compressed.
    pub deep: bool,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub partitions: u64,
    pub segments: u64,
    pub bytes: u64,
    pub batches: u64,
    /// As the batches' headers count them.
    pub records: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        self.partitions += more.partitions;
        self.segments += more.segments;
        self.bytes += more.bytes;
        self.batches += more.batches;
        self.records += more.records;
    }
}

/// A log that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub totals: Totals,
    /// The offset after the last record.
    pub end: Offset,
}

/// Verifies one partition's directory.
///
/// # Errors
/// When the disk refuses.
pub async fn verify_partition(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    known: Known,
    report: &mut dyn FnMut(Finding),
) -> io::Result<Verified> {
    let files = PartitionFiles::list(disk, directory).await?;
    let mut walk = Walk::new(disk, &files, known, report).await?;
    for at in 0..files.segments.len() {
        let (base, _) = files.segments[at];
        match walk.segment(base, at + 1 == files.segments.len()).await {
            Ok(()) => {}
            // Retention of a running node takes segments away.
            Err(error) if known.running && is_gone(&error) => {
                walk.tell(Severity::Note, &segment_name(base), None, Trouble::Vanished);
                walk.unbroken = false;
            }
            Err(error) => return Err(error),
        }
    }
    walk.finish();
    Ok(Verified { totals: Totals { partitions: 1, ..walk.totals }, end: walk.next_offset })
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

/// Verifies one segment by itself.
///
/// # Errors
/// When the disk refuses.
pub async fn verify_segment(
    disk: &Arc<dyn Disk>,
    path: &Path,
    base: Offset,
    deep: bool,
    report: &mut dyn FnMut(Finding),
) -> io::Result<Totals> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let files = PartitionFiles {
        directory: directory.to_owned(),
        segments: vec![(base, 0)],
        files: BTreeMap::new(),
    };
    let known = Known { clean: true, deep, ..Known::default() };
    let mut walk = Walk::new(disk, &files, known, report).await?;
    // What lies before it is not known.
    walk.unbroken = false;
    walk.batches(&name, base, true, &mut SegmentFiles::default()).await?;
    Ok(walk.totals)
}

/// The derived files of one segment, as far as they parse.
#[derive(Default)]
struct SegmentFiles {
    offsets: Option<Vec<u8>>,
    times: Option<Vec<u8>>,
    aborted: Option<Vec<u8>>,
}

/// One pass over a log.
struct Walk<'a> {
    disk: &'a Arc<dyn Disk>,
    files: &'a PartitionFiles,
    known: Known,
    report: &'a mut dyn FnMut(Finding),
    totals: Totals,
    next_offset: Offset,
    newest: Option<BatchHeader>,
    epochs: Option<LeaderEpochCache>,
    producers: ProducerState,
    /// In order, the next one first.
    snapshots: VecDeque<(Offset, ProducerState)>,
    /// Nothing was missing so far: the replay knows what a node knew.
    unbroken: bool,
    /// How bad it is when a derived file is wrong: a crash may do that to those of the segment
    /// that was written to.
    derived_as: Severity,
}

impl<'a> Walk<'a> {
    async fn new(
        disk: &'a Arc<dyn Disk>,
        files: &'a PartitionFiles,
        known: Known,
        report: &'a mut dyn FnMut(Finding),
    ) -> io::Result<Self> {
        let begun = files.segments.first().map_or(Offset::ZERO, |(base, _)| *base);
        let mut walk = Self {
            disk,
            files,
            known,
            report,
            totals: Totals::default(),
            next_offset: begun,
            newest: None,
            epochs: None,
            producers: ProducerState::default(),
            snapshots: VecDeque::new(),
            unbroken: true,
            derived_as: Severity::Derived,
        };
        walk.epochs = walk.text(LEADER_EPOCH_CHECKPOINT, LeaderEpochCache::parse).await?;
        walk.text(PARTITION_METADATA, PartitionMetadata::parse).await?;
        walk.read_snapshots(begun).await?;
        Ok(walk)
    }

    fn tell(&mut self, severity: Severity, name: &str, position: Option<u64>, trouble: Trouble) {
        let file = self.files.directory.join(name);
        (self.report)(Finding { severity, file, position, trouble });
    }

    fn derived(&mut self, name: &str, trouble: Option<impl Into<Trouble>>) {
        if let Some(trouble) = trouble {
            self.tell(self.derived_as, name, None, trouble.into());
        }
    }

    async fn text<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, ParseFileError>,
    ) -> io::Result<Option<T>> {
        let Some(bytes) = self.files.read(self.disk, name).await? else { return Ok(None) };
        match parse(&String::from_utf8_lossy(&bytes)) {
            Ok(value) => Ok(Some(value)),
            Err(fault) => {
                self.derived(name, Some(fault));
                Ok(None)
            }
        }
    }

    async fn read_snapshots(&mut self, begun: Offset) -> io::Result<()> {
        for offset in self.files.snapshots().collect::<Vec<_>>() {
            let name = offset_name(offset, "snapshot");
            let Some(bytes) = self.files.read(self.disk, &name).await? else { continue };
            match ProducerState::parse_snapshot(&bytes, offset) {
                Ok(state) if offset >= begun => self.snapshots.push_back((offset, state)),
                Ok(_) => {}
                Err(fault) => self.derived(&name, Some(fault)),
            }
        }
        Ok(())
    }

    async fn segment(&mut self, base: Offset, is_last: bool) -> io::Result<()> {
        let name = segment_name(base);
        if base < self.next_offset {
            let expected = self.next_offset;
            self.tell(Severity::Damage, &name, None, Trouble::Overlap { expected });
        }
        self.on_gap(&name, base);
        if is_last && !self.known.clean {
            self.derived_as = Severity::Note;
        }
        let mut files = self.segment_files(base, is_last).await?;
        self.batches(&name, base, is_last, &mut files).await
    }

    fn on_gap(&mut self, name: &str, upto: Offset) {
        let from = self.next_offset;
        if upto > from {
            self.unbroken = false;
            self.tell(Severity::Note, name, None, Trouble::Gap { from, upto });
        }
        // Compaction may have taken the batch that a snapshot was made behind.
        self.check_snapshots(upto);
        self.next_offset = upto;
    }

    /// What a running node derives from the segment that it writes is in motion.
    async fn segment_files(&mut self, base: Offset, is_last: bool) -> io::Result<SegmentFiles> {
        let mut found = SegmentFiles::default();
        if is_last && self.known.running {
            return Ok(found);
        }
        for (ending, bytes, is_needed) in [
            ("index", &mut found.offsets, true),
            ("timeindex", &mut found.times, true),
            ("txnindex", &mut found.aborted, false),
        ] {
            let name = offset_name(base, ending);
            *bytes = self.files.read(self.disk, &name).await?;
            if bytes.is_none() && is_needed && !is_last {
                self.tell(Severity::Note, &name, None, Trouble::Missing);
            }
        }
        Ok(found)
    }

    async fn batches(
        &mut self,
        name: &str,
        base: Offset,
        is_last: bool,
        files: &mut SegmentFiles,
    ) -> io::Result<()> {
        let disk = self.disk;
        let path = self.files.directory.join(name);
        let file = disk.open_file(&path, Open::Existing).await?;
        let mut reader = SegmentReader::new(disk, file, base, self.files.next_base(base)).await?;
        let index_names = ["index", "timeindex"].map(|ending| offset_name(base, ending));
        let [offset_name, time_name] = &index_names;
        let offsets = self.parsed(offset_name, files.offsets.as_deref(), OffsetEntries::parse);
        let times = self.parsed(time_name, files.times.as_deref(), TimeEntries::parse);
        let mut offset_check = offsets.map(|entries| OffsetCheck::new(base, entries));
        let mut time_check = times.map(|entries| TimeCheck::new(base, entries));
        let mut aborted = AbortedIndex::new();
        self.totals.segments += 1;
        let mut end = 0;
        while let Some(found) = reader.next().await? {
            match found {
                Found::Batch { position, batch } => {
                    let wrong =
                        offset_check.as_mut().and_then(|it| it.on_batch(position, &batch.header));
                    self.derived(offset_name, wrong);
                    let wrong = time_check.as_mut().and_then(|it| it.on_batch(&batch.header));
                    self.derived(time_name, wrong);
                    self.on_batch(name, position, &batch, &mut aborted);
                    end = position + u64::from(batch.header.size);
                }
                Found::Damage(damage) => {
                    // The indexes were right, for all we can know.
                    (offset_check, time_check, files.aborted) = (None, None, None);
                    if !self.on_damage(name, damage, is_last) {
                        break;
                    }
                }
            }
        }
        self.totals.bytes += end;
        if self.known.clean || !is_last {
            self.derived(offset_name, offset_check.and_then(OffsetCheck::finish));
            self.derived(time_name, time_check.and_then(TimeCheck::finish));
            self.check_aborted(base, files.aborted.as_deref(), &aborted);
        }
        Ok(())
    }

    fn parsed<'b, T>(
        &mut self,
        name: &str,
        bytes: Option<&'b [u8]>,
        parse: impl FnOnce(&'b [u8]) -> Result<T, IndexFault>,
    ) -> Option<T> {
        match parse(bytes?) {
            Ok(entries) => Some(entries),
            Err(fault) => {
                self.derived(name, Some(fault));
                None
            }
        }
    }

    fn on_batch(
        &mut self,
        name: &str,
        position: u64,
        batch: &Batch<'_>,
        aborted: &mut AbortedIndex,
    ) {
        let header = &batch.header;
        self.totals.batches += 1;
        self.totals.records += u64::from(header.records_count);
        self.on_gap(name, header.base_offset);
        self.check_epoch(name, position, header);
        let ended = self.producers.on_appended(header, marker_of(batch));
        let ended = ended.filter(|ended| !ended.committed);
        ended.iter().for_each(|ended| aborted.push(ended));
        self.next_offset = header.last_offset().next();
        self.producers.on_high_watermark(self.next_offset);
        self.newest = Some(*header);
        if self.known.deep
            && let Err(why) = read_records(batch)
        {
            let trouble = Trouble::Records { offset: header.base_offset, why };
            self.tell(Severity::Damage, name, Some(position), trouble);
        }
    }

    fn check_epoch(&mut self, name: &str, position: u64, header: &BatchHeader) {
        let Some(epoch) = header.leader_epoch else { return };
        let before = self.newest.and_then(|newest| newest.leader_epoch);
        if let Some(before) = before.filter(|before| *before > epoch) {
            let trouble = Trouble::EpochOrder { epoch, before };
            return self.tell(Severity::Damage, name, Some(position), trouble);
        }
        let Some(epochs) = &self.epochs else { return };
        let offset = header.base_offset;
        let told = epochs.epoch_of(offset, offset.next());
        // After a crash the file may be behind the log, but it may not say otherwise.
        let behind = self.derived_as == Severity::Note
            && epochs.latest().is_none_or(|latest| latest < epoch);
        if let Some(told) = told.filter(|told| *told != epoch && !behind)
            && before != Some(epoch)
        {
            self.derived(LEADER_EPOCH_CHECKPOINT, Some(Trouble::Epoch { offset, epoch, told }));
        }
    }

    /// Compares the snapshots of offsets up to the one that comes next in the log.
    fn check_snapshots(&mut self, next: Offset) {
        while let Some((offset, state)) = self.snapshots.pop_front_if(|(at, _)| *at <= next) {
            let name = offset_name(offset, "snapshot");
            if offset < self.next_offset {
                self.derived(&name, Some(Trouble::SnapshotPlace { offset }));
            } else if self.unbroken {
                let begun = self.files.segments[0].0;
                let producer = contradiction(&state, &self.producers, begun);
                let trouble = producer.map(|producer| Trouble::SnapshotProducer { producer });
                self.derived(&name, trouble);
            }
        }
    }

    /// False if nothing behind the damage is worth a look.
    fn on_damage(&mut self, name: &str, damage: Damage, is_last: bool) -> bool {
        self.unbroken = false;
        let position = Some(damage.position);
        let unsynced = self.known.recovery_point.is_none_or(|point| point <= damage.from);
        if is_last && unsynced && !self.known.clean {
            // A running node may be writing it at this moment.
            if !self.known.running {
                self.tell(Severity::Note, name, position, Trouble::TornTail(damage));
            }
            return false;
        }
        self.next_offset = damage.upto.unwrap_or(damage.from);
        self.tell(Severity::Damage, name, position, Trouble::Damage(damage));
        true
    }

    /// Transactions that began before the log does are not told by its markers.
    fn check_aborted(&mut self, base: Offset, bytes: Option<&[u8]>, found: &AbortedIndex) {
        let name = offset_name(base, "txnindex");
        let all = Offset::new(i64::MAX);
        let listed = match bytes.map(|bytes| AbortedIndex::parse(bytes, base, all)) {
            Some(Err(fault)) => return self.derived(&name, Some(fault)),
            Some(Ok(listed)) => listed,
            None if !self.unbroken || found.len() == 0 => return,
            // With its indexes gone, too, the segment is read again before it is used.
            None if !self.files.files.contains_key(&offset_name(base, "index")) => {
                return self.tell(Severity::Note, &name, None, Trouble::Missing);
            }
            None => AbortedIndex::new(),
        };
        let begun = self.files.segments[0].0;
        // How far the log was stable depends on transactions that may have begun before it does.
        let whole = begun == Offset::ZERO;
        let told = |index: &AbortedIndex| -> Vec<_> {
            let entries = (0..index.len()).map(|at| index.get(at));
            let entries = entries.filter(|entry| entry.first_offset >= begun);
            let stable = |entry: &EndedTransaction| whole.then_some(entry.last_stable_offset);
            entries.map(|it| (it.producer, it.first_offset, it.last_offset, stable(&it))).collect()
        };
        let (listed, found) = (told(&listed), told(found));
        if self.unbroken && listed != found {
            let (listed, found) = (listed.len(), found.len());
            self.derived(&name, Some(Trouble::Aborted { listed, found }));
        }
    }

    fn finish(&mut self) {
        let end = self.next_offset;
        self.check_snapshots(end);
        if let Some(recovery_point) = self.known.recovery_point.filter(|point| *point > end) {
            let last = self.files.segments.last().map_or(Offset::ZERO, |(base, _)| *base);
            let trouble = Trouble::BehindRecoveryPoint { recovery_point, end };
            self.tell(Severity::Damage, &segment_name(last), None, trouble);
        }
        // A running node writes snapshots of what it appended after we had looked.
        for (offset, _) in std::mem::take(&mut self.snapshots) {
            if self.unbroken && !self.known.running {
                let name = offset_name(offset, "snapshot");
                self.derived(&name, Some(Trouble::SnapshotPlace { offset }));
            }
        }
    }
}

fn read_records(batch: &Batch<'_>) -> Result<(), String> {
    let records = batch.records(INFLATED_BYTES_MAX).map_err(|error| error.to_string())?;
    records.iter().try_for_each(|record| record.map(drop)).map_err(|error| error.to_string())
}
