//! A segment from its first byte to its last, whatever is in it.

use std::io;
use std::sync::Arc;

use ottla_env::{Answer, Disk, DiskExt, File, reply};
use ottla_records::{Batch, BatchHeader, EndTransactionMarker, HEADER_BYTES, StreamError, crc32c};
use ottla_types::Offset;

use crate::Fault;

/// Bytes read at once; the next ones are asked for while these are looked at.
const WINDOW_BYTES: usize = 4 << 20;

/// Where the checksum of a batch begins to count.
const COVERED_AT: usize = 21;

/// Where a batch says its format, and the only one there is.
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// Bytes of a record inside of a batch that ends a transaction; Kafka's have 17.
const MARKER_BYTES_MAX: usize = 1 << 10;

/// Reads batch after batch. Behind damage it looks for the next good batch and goes on there.
pub struct SegmentReader<'d> {
    disk: &'d Arc<dyn Disk>,
    file: Arc<dyn File>,
    len: u64,
    base: Offset,
    /// The segment that follows begins here.
    limit: Option<Offset>,
    at: u64,
    next_offset: Offset,
    window: Window,
}

impl std::fmt::Debug for SegmentReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentReader").field("base", &self.base).field("at", &self.at).finish()
    }
}

/// What lies at some place of a segment.
#[derive(Debug)]
pub enum Found<'a> {
    /// A batch whose checksum is right.
    Batch {
        /// Bytes before it in the file.
        position: u64,
        batch: Batch<'a>,
    },
    Damage(Damage),
}

/// Bytes that are no good batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes before it in the file.
    pub position: u64,
    /// How many there are: up to the next good batch, or the end of the file.
    pub bytes: u64,
    /// What is wrong at its first byte.
    pub fault: Fault,
    /// The offset that was due there.
    pub from: Offset,
    /// The first offset behind it; `None` if no good batch follows in the file.
    pub upto: Option<Offset>,
    /// What the header says that stands there, if it can be read. It may be damaged as well.
    pub claimed: Option<BatchHeader>,
}

impl<'d> SegmentReader<'d> {
    /// A reader of an open file whose first offset, by its name, is `base`, and whose successor,
    /// if it has one, begins at `limit`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn new(
        disk: &'d Arc<dyn Disk>,
        file: Arc<dyn File>,
        base: Offset,
        limit: Option<Offset>,
    ) -> io::Result<Self> {
        let len = disk.len_of(&file).await?;
        let window = Window { file_len: len, ..Window::default() };
        Ok(Self { disk, file, len, base, limit, at: 0, next_offset: base, window })
    }

    /// Bytes of the file when it was opened.
    #[must_use]
    pub const fn file_len(&self) -> u64 {
        self.len
    }

    /// The offset after the last good batch so far.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// What comes next; `None` at the end of the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        let position = self.at;
        if position >= self.len {
            return Ok(None);
        }
        match self.next_at(position).await? {
            Ok(header) => {
                self.at += u64::from(header.size);
                self.next_offset = header.last_offset().next();
                let bytes = self.window.slice(position, header.size as usize);
                Ok(Some(Found::Batch { position, batch: Batch { header, bytes } }))
            }
            Err(fault) => Ok(Some(Found::Damage(self.damage(position, fault).await?))),
        }
    }

    /// A good batch at `position`, as [`good_at`](Self::good_at) finds it. The base offset lies
    /// outside of the checksum: where it leaves a gap and the batch behind it leaves none, it is
    /// the offset that is wrong.
    async fn next_at(&mut self, position: u64) -> io::Result<Result<BatchHeader, Fault>> {
        let due = self.next_offset;
        let header = match self.good_at(position, due).await? {
            Ok(header) if header.base_offset > due => header,
            other => return Ok(other),
        };
        let behind = position + u64::from(header.size);
        let leap = header.last_offset().next();
        let fits = behind >= self.len || self.good_at(behind, leap).await?.is_ok();
        if !fits && self.good_at(behind, due).await?.is_ok() {
            return Ok(Err(Fault::Offset { found: header.base_offset, expected: due }));
        }
        // The window may have moved on.
        self.good_at(position, due).await
    }

    /// The header of the good batch at `position`, whole in the window then, or what is wrong.
    async fn good_at(
        &mut self,
        position: u64,
        due: Offset,
    ) -> io::Result<Result<BatchHeader, Fault>> {
        let left = self.len - position;
        if left < HEADER_BYTES as u64 {
            return Ok(Err(Fault::Cut { bytes: left }));
        }
        let header = match BatchHeader::parse(self.bytes(position, HEADER_BYTES).await?) {
            Ok(header) => header,
            Err(error) => return Ok(Err(StreamError::from(error).into())),
        };
        if u64::from(header.size) > left {
            return Ok(Err(Fault::Cut { bytes: left }));
        }
        if header.base_offset < due {
            return Ok(Err(Fault::Offset { found: header.base_offset, expected: due }));
        }
        let found = header.last_offset();
        let out_of_reach = found.get() - self.base.get() > i64::from(i32::MAX);
        // A batch that leaves no gap is in its place, whatever follows.
        let leaps = header.base_offset > due && self.limit.is_some_and(|limit| found >= limit);
        if out_of_reach || leaps {
            return Ok(Err(Fault::OutOfReach { found }));
        }
        let bytes = self.bytes(position, header.size as usize).await?;
        let (stored, computed) = (header.crc, crc32c(&bytes[COVERED_AT..]));
        if stored != computed {
            return Ok(Err(StreamError::Checksum { stored, computed }.into()));
        }
        Ok(Ok(header))
    }

    async fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        self.window.fill(self.disk, &self.file, at, len).await?;
        Ok(self.window.slice(at, len))
    }

    async fn damage(&mut self, position: u64, fault: Fault) -> io::Result<Damage> {
        let head = HEADER_BYTES.min(usize::try_from(self.len - position).unwrap_or(HEADER_BYTES));
        let claimed = BatchHeader::parse(self.bytes(position, head).await?).ok();
        let end = claimed.map(|header| position + u64::from(header.size));
        let resumed = self.resume(position, end).await?;
        let upto = resumed.map(|(_, header)| header.base_offset);
        self.at = resumed.map_or(self.len, |(at, _)| at);
        let bytes = self.at - position;
        Ok(Damage { position, bytes, fault, from: self.next_offset, upto, claimed })
    }

    /// The next good batch behind a bad one. Where the bad one says that it ends is believed if a
    /// good one begins there: a record's value may look like a batch, too.
    async fn resume(
        &mut self,
        bad: u64,
        end: Option<u64>,
    ) -> io::Result<Option<(u64, BatchHeader)>> {
        if let Some(end) = end.filter(|end| *end <= self.len) {
            if end == self.len {
                return Ok(None);
            }
            if let Ok(header) = self.good_at(end, self.next_offset).await? {
                return Ok(Some((end, header)));
            }
        }
        let mut at = bad + 1;
        while at + HEADER_BYTES as u64 <= self.len {
            let wanted = usize::try_from(self.len - at).unwrap_or(usize::MAX).min(WINDOW_BYTES);
            let due = self.next_offset;
            let window = self.bytes(at, wanted).await?;
            let Some(within) = first_candidate(window, due) else {
                at += (wanted - (HEADER_BYTES - 1)) as u64;
                continue;
            };
            at += within as u64;
            if let Ok(header) = self.good_at(at, due).await? {
                return Ok(Some((at, header)));
            }
            at += 1;
        }
        Ok(None)
    }
}

/// Where in `bytes` something begins that looks like the header of a batch at `due` or behind it.
fn first_candidate(bytes: &[u8], due: Offset) -> Option<usize> {
    bytes.windows(HEADER_BYTES).position(|head| {
        head[MAGIC_AT] == MAGIC
            && BatchHeader::parse(head).is_ok_and(|header| {
                let ahead = header.base_offset.get().saturating_sub(due.get());
                (0..=i64::from(i32::MAX)).contains(&ahead)
            })
    })
}

/// What a control batch says of a transaction.
pub(super) fn marker_of(batch: &Batch<'_>) -> Option<EndTransactionMarker> {
    if !batch.header.attributes.is_control() {
        return None;
    }
    let records = batch.records(MARKER_BYTES_MAX).ok()?;
    let record = records.iter().next()?.ok()?;
    EndTransactionMarker::parse(record.key, record.value).ok()?
}

/// Some bytes of the file, and those asked for behind them.
#[derive(Default)]
struct Window {
    at: u64,
    bytes: Vec<u8>,
    file_len: u64,
    ahead: Option<(u64, Answer<io::Result<Vec<u8>>>)>,
}

impl Window {
    const fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    fn slice(&self, at: u64, len: usize) -> &[u8] {
        let from = usize::try_from(at - self.at).expect("the window fits into memory");
        &self.bytes[from..][..len]
    }

    /// Makes the window hold `len` bytes from `at` on. What lies before `at` may be dropped.
    async fn fill(
        &mut self,
        disk: &Arc<dyn Disk>,
        file: &Arc<dyn File>,
        at: u64,
        len: usize,
    ) -> io::Result<()> {
        if at < self.at || at > self.end() {
            *self = Self { at, file_len: self.file_len, ..Self::default() };
        }
        while self.end() < at + len as u64 {
            let passed = usize::try_from(at - self.at).expect("the window fits into memory");
            self.bytes.drain(..passed);
            self.at = at;
            let next = self.end();
            let answer = match self.ahead.take() {
                Some((position, answer)) if position == next => answer,
                _ => self.submit(disk, file, next),
            };
            let chunk = answer.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
            if chunk.is_empty() {
                // It was longer a moment ago: somebody is cutting it.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let after = next + chunk.len() as u64;
            self.ahead = (after < self.file_len).then(|| (after, self.submit(disk, file, after)));
            match self.bytes.is_empty() {
                true => self.bytes = chunk,
                false => self.bytes.extend_from_slice(&chunk),
            }
        }
        Ok(())
    }

    fn submit(
        &self,
        disk: &Arc<dyn Disk>,
        file: &Arc<dyn File>,
        at: u64,
    ) -> Answer<io::Result<Vec<u8>>> {
        let (to, answer) = reply();
        let left = usize::try_from(self.file_len.saturating_sub(at)).unwrap_or(WINDOW_BYTES);
        disk.read(file, at, left.min(WINDOW_BYTES), to);
        answer
    }
}
