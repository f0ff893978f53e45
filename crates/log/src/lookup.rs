//! From times to offsets, for `ListOffsets` (KIP-79, KIP-734). Rare, so it may wait for the disk.

use std::sync::Arc;

use ottla_env::{CachedRead, Disk, DiskExt, File};
use ottla_records::{BatchHeader, Batches, InflateError, Record, RecordError};
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;
use ottla_types::{LeaderEpoch, Offset, Timestamp};

use crate::index::MaxTimestamp;
use crate::segment::Loaded;
use crate::view::{SealedSegment, Span, damaged};
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
        for span in self.spans(start, upto) {
            let Loaded { index, .. } = span.segment.load(disk).await?;
            let newest = index.newest_time();
            if self.is_sealed(span) && newest.is_none_or(|max| max.timestamp < time) {
                continue;
            }
            let at = index.position_before_time(time);
            let mut headers = Headers::new(disk, span, at);
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
        let at = span.segment.load(disk).await?.index.position_before(max.offset);
        let mut headers = Headers::new(disk, span, at);
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
    let (mut max, at) = span.segment.load(disk).await?.index.max_before(bound);
    let mut headers = Headers::new(disk, span, at);
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

/// The batches of a span, one header after another.
pub(crate) struct Headers<'a> {
    disk: &'a Arc<dyn Disk>,
    span: Span<'a>,
    walk: HeaderWalk,
    chunk_at: u64,
    chunk: Vec<u8>,
}

impl<'a> Headers<'a> {
    pub(crate) fn new(disk: &'a Arc<dyn Disk>, span: Span<'a>, at: u64) -> Self {
        let walk = HeaderWalk { at, end: span.end };
        Self { disk, span, walk, chunk_at: at, chunk: Vec::new() }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<WalkedBatch>, LookupError> {
        while self.walk.at < self.walk.end {
            if let Some(head) = self.walk.head_in(self.chunk_at, &self.chunk) {
                let header = BatchHeader::parse(head)
                    .and_then(|header| Ok((self.walk.step(header.size)?, header)));
                let (at, header) =
                    header.map_err(|error| damaged(self.span, self.walk.at, error))?;
                return Ok(Some(WalkedBatch { at, header }));
            }
            self.chunk_at = self.walk.at;
            let len = self.walk.wanted(CHUNK_BYTES);
            let file = &self.span.segment.load(self.disk).await?.file;
            self.chunk = read(self.disk, file, self.chunk_at, len).await?;
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
