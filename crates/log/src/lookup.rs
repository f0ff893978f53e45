//! From times to offsets, for `ListOffsets` (KIP-79, KIP-734). Rare, so it may wait for the disk.

use std::sync::Arc;

use ottla_env::{CachedRead, Disk, DiskExt, File};
use ottla_records::{BatchHeader, Batches, InflateError, Record, RecordError};
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;
use ottla_types::{LeaderEpoch, Offset, Timestamp};

use crate::index::{IndexEntry, MaxTimestamp};
use crate::load::LoadError;
use crate::segment::Loaded;
use crate::view::{SealedSegment, Span};
use crate::walk::{CHUNK_BYTES, HeaderWalk};
use crate::{LogPosition, LogView, ReadError};

/// A record that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    pub offset: Offset,
    pub timestamp: Timestamp,
    /// The leader that appended its batch.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Why a record could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the batch at offset {base_offset} cannot be inflated: {error}")]
    Inflate { base_offset: Offset, error: InflateError },
    #[error("the batch at offset {base_offset} holds a damaged record: {error}")]
    Record { base_offset: Offset, error: RecordError },
}

impl From<LoadError> for LookupError {
    fn from(error: LoadError) -> Self {
        Self::Read(error.into())
    }
}

impl From<std::io::Error> for LookupError {
    fn from(error: std::io::Error) -> Self {
        Self::Read(error.into())
    }
}

impl LogView {
    /// The first record below `upto` whose timestamp is `time` or later.
    ///
    /// # Errors
    /// When the disk fails, or a batch on the way is damaged.
    pub async fn first_since(
        &self,
        disk: &Arc<dyn Disk>,
        time: Timestamp,
        upto: LogPosition,
    ) -> Result<Option<FoundRecord>, LookupError> {
        // The first batch may begin with records that were deleted.
        let start = self.start_offset();
        let wanted = |offset, timestamp| offset >= start && timestamp >= time;
        let upto = self.rebounded(disk, upto).await?;
        for span in self.spans(start, upto) {
            let Loaded { file, index, .. } = span.segment.load(disk).await?;
            let newest = index.newest_time();
            if self.is_sealed(span) && newest.is_none_or(|max| max.timestamp < time) {
                continue;
            }
            let entry = index.entry_before_time(time);
            let mut headers = Headers::from(disk, (span.segment.base, file), entry, span.end);
            while let Some(batch) = headers.next().await? {
                if batch.header.max_timestamp.is_none_or(|max| max < time) {
                    continue;
                }
                // A header may promise what no record of its batch keeps: look on.
                let found = first_in(disk, span, &batch, wanted).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// The record below `upto` with the latest timestamp; the first of them if there are several.
    ///
    /// # Errors
    /// As [`Self::first_since`].
    pub async fn latest(
        &self,
        disk: &Arc<dyn Disk>,
        upto: LogPosition,
    ) -> Result<Option<FoundRecord>, LookupError> {
        let mut latest: Option<(Span<'_>, MaxTimestamp)> = None;
        let upto = self.rebounded(disk, upto).await?;
        for span in self.spans(self.start_offset(), upto) {
            let known = latest.map(|(_, max)| max.timestamp);
            let loaded = span.segment.load(disk).await?;
            let max = if self.is_sealed(span) {
                loaded.index.newest_time()
            } else {
                max_of(disk, span, upto.offset).await?
            };
            if let Some(max) = max.filter(|max| Some(max.timestamp) > known) {
                latest = Some((span, max));
            }
        }
        let Some((span, max)) = latest else { return Ok(None) };
        let Loaded { file, index, .. } = span.segment.load(disk).await?;
        let entry = index.entry_before(max.offset);
        let mut headers = Headers::from(disk, (span.segment.base, file), entry, span.end);
        while let Some(batch) = headers.next().await? {
            if batch.header.last_offset() >= max.offset {
                return first_in(disk, span, &batch, |_, timestamp| timestamp >= max.timestamp)
                    .await;
            }
        }
        Ok(None)
    }

    /// Whether the span is all of a segment that has its last time entry.
    fn is_sealed(&self, span: Span<'_>) -> bool {
        let same = |sealed: &&SealedSegment| sealed.segment.base == span.segment.base;
        self.sealed().iter().find(same).is_some_and(|sealed| sealed.end == span.end)
    }
}

/// The largest timestamp in a segment that is still written: what the index knows of the batches
/// below the bound, and the headers behind its last entry there.
async fn max_of(
    disk: &Arc<dyn Disk>,
    span: Span<'_>,
    bound: Offset,
) -> Result<Option<MaxTimestamp>, LookupError> {
    let Loaded { file, index, .. } = span.segment.load(disk).await?;
    let (mut max, entry) = index.max_before(bound);
    let mut headers = Headers::from(disk, (span.segment.base, file), entry, span.end);
    while let Some(batch) = headers.next().await? {
        let offset = batch.header.last_offset();
        if let Some(timestamp) = batch.header.max_timestamp
            && max.is_none_or(|max| max.timestamp < timestamp)
        {
            max = Some(MaxTimestamp { timestamp, offset });
        }
    }
    Ok(max)
}

/// The first record of a batch whose timestamp is `wanted`.
async fn first_in(
    disk: &Arc<dyn Disk>,
    span: Span<'_>,
    walked: &WalkedBatch,
    wanted: impl Fn(Offset, Timestamp) -> bool,
) -> Result<Option<FoundRecord>, LookupError> {
    let size = walked.header.size as usize;
    let file = &span.segment.load(disk).await?.file;
    let bytes = read(disk, file, walked.at, size).await?;
    let base_offset = walked.header.base_offset;
    let Some(Ok(batch)) = Batches::new(&bytes).next() else {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    };
    let records = batch
        .records(INFLATED_BATCH_BYTES_MAX)
        .map_err(|error| LookupError::Inflate { base_offset, error })?;
    for record in &records {
        let Record { offset, timestamp, .. } =
            record.map_err(|error| LookupError::Record { base_offset, error })?;
        if let Some(timestamp) = timestamp.filter(|timestamp| wanted(offset, *timestamp)) {
            let leader_epoch = batch.header.leader_epoch;
            return Ok(Some(FoundRecord { offset, timestamp, leader_epoch }));
        }
    }
    Ok(None)
}

/// A batch in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkedBatch {
    pub(crate) at: u64,
    pub(crate) header: BatchHeader,
}

/// The batches of a segment, one header after another.
pub(crate) struct Headers<'a> {
    disk: &'a Arc<dyn Disk>,
    segment_base: Offset,
    file: &'a Arc<dyn File>,
    walk: HeaderWalk,
    /// What the first batch should be.
    entry: Option<IndexEntry>,
    chunk_at: u64,
    chunk: Vec<u8>,
}

impl<'a> Headers<'a> {
    pub(crate) fn new(
        disk: &'a Arc<dyn Disk>,
        (segment_base, file): (Offset, &'a Arc<dyn File>),
        walk: HeaderWalk,
    ) -> Self {
        Self { disk, segment_base, file, walk, entry: None, chunk_at: walk.at, chunk: Vec::new() }
    }

    /// The batches from that of an index entry on; from the segment's beginning if there is none,
    /// or no such batch: index files have no checksum.
    pub(crate) fn from(
        disk: &'a Arc<dyn Disk>,
        segment: (Offset, &'a Arc<dyn File>),
        entry: Option<IndexEntry>,
        end: u64,
    ) -> Self {
        let entry = entry.filter(|entry| entry.position < end);
        let walk = HeaderWalk { at: entry.map_or(0, |entry| entry.position), end };
        Self { entry, ..Self::new(disk, segment, walk) }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<WalkedBatch>, LoadError> {
        while self.walk.at < self.walk.end {
            let Some(head) = self.walk.head_in(self.chunk_at, &self.chunk) else {
                self.chunk_at = self.walk.at;
                let len = self.walk.wanted(CHUNK_BYTES);
                self.chunk = read(self.disk, self.file, self.chunk_at, len).await?;
                continue;
            };
            let batch = BatchHeader::parse(head)
                .and_then(|header| Ok(WalkedBatch { at: self.walk.step(header.size)?, header }));
            let last_offset = batch.as_ref().ok().map(|batch| batch.header.last_offset());
            if self.entry.take().is_some_and(|entry| Some(entry.last_offset) != last_offset) {
                (self.walk.at, self.chunk_at) = (0, 0);
                self.chunk.clear();
                continue;
            }
            let (segment, position) = (self.segment_base, self.walk.at);
            return batch.map(Some).map_err(|error| LoadError::Damaged {
                segment,
                position,
                fault: error.into(),
            });
        }
        Ok(None)
    }
}

/// `len` bytes, from the page cache or else from the device.
async fn read(
    disk: &Arc<dyn Disk>,
    file: &Arc<dyn File>,
    at: u64,
    len: usize,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let got = match file.read_cached(at, &mut bytes)? {
        CachedRead::Ready(got) => got,
        CachedRead::Cold => {
            bytes = disk.read_at(file, at, len).await?;
            bytes.len()
        }
    };
    if got < len {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
