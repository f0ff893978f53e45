//! How old segments are, with as few reads as will do: thousands of logs are asked every few
//! minutes, most of them to no effect.

use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Open};
use ottla_records::{BatchHeader, HEADER_BYTES};
use ottla_types::{Offset, Timestamp};

use crate::files::segment_file;
use crate::index_file::{TIME_ENTRY_BYTES, TimeEntries};
use crate::segment::Segment;
use crate::{LogView, ReadError, SegmentFacts};

impl LogView {
    /// What is known of the segments that nobody appends to, the oldest first. Ages are looked for
    /// from the oldest on, as long as segments are `older_than` that.
    ///
    /// A young segment is known by the last entry of its `.timeindex`; one that looks old is
    /// loaded, which takes no index at its word. One without any timestamp is as old as the first
    /// look at it, which may be this one, `now`: Kafka asks the file for the time of its last
    /// change, which a copy or a restored backup changes.
    ///
    /// # Errors
    /// When a segment that may be old cannot be read.
    pub async fn sealed_facts(
        &self,
        disk: &Arc<dyn Disk>,
        older_than: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<SegmentFacts>, ReadError> {
        let unknown = |at: &crate::view::SealedSegment| SegmentFacts {
            base: at.segment.base,
            bytes: at.end,
            newest: None,
        };
        let mut facts: Vec<SegmentFacts> = self.sealed().iter().map(unknown).collect();
        let Some(older_than) = older_than else { return Ok(facts) };
        for (facts, sealed) in facts.iter_mut().zip(self.sealed()) {
            let newest = sealed.segment.newest(disk, older_than).await?;
            facts.newest = newest.or_else(|| Some(*sealed.segment.seen.get_or_init(|| now)));
            if facts.newest.is_none_or(|newest| newest >= older_than) {
                break;
            }
        }
        Ok(facts)
    }

    /// Where the first segment begins in which there is a record younger than that, of those that
    /// nobody appends to and that hold `from` or later offsets; `None` if there is none.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub async fn first_younger(
        &self,
        disk: &Arc<dyn Disk>,
        from: Offset,
        than: Timestamp,
    ) -> Result<Option<Offset>, ReadError> {
        for sealed in self.sealed_from(from) {
            let newest = sealed.segment.load(disk).await?.index.newest_time();
            if newest.is_some_and(|newest| newest.timestamp > than) {
                return Ok(Some(sealed.segment.base));
            }
        }
        Ok(None)
    }

    /// The oldest of the first batches of these segments.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub async fn oldest_first(
        &self,
        disk: &Arc<dyn Disk>,
        from: Offset,
    ) -> Result<Option<Timestamp>, ReadError> {
        let mut oldest: Option<Timestamp> = None;
        for sealed in self.sealed_from(from).iter().filter(|sealed| sealed.end > 0) {
            let loaded = sealed.segment.load(disk).await?;
            let head = disk.read_at(&loaded.file, 0, HEADER_BYTES).await?;
            let first = BatchHeader::parse(&head).ok().and_then(|header| header.max_timestamp);
            oldest = [oldest, first].into_iter().flatten().min();
        }
        Ok(oldest)
    }

    /// The segments that nobody appends to, from the one that holds `from` on.
    fn sealed_from(&self, from: Offset) -> &[crate::view::SealedSegment] {
        let after = self.sealed().partition_point(|sealed| sealed.segment.base <= from);
        &self.sealed()[after.saturating_sub(1)..]
    }

    /// What is known of the last segment of a log that is not open for appending and ends at
    /// `position` of it; as [`Self::sealed_facts`].
    ///
    /// # Errors
    /// As [`Self::sealed_facts`].
    pub async fn dormant_facts(
        &self,
        disk: &Arc<dyn Disk>,
        position: u64,
        older_than: Option<Timestamp>,
    ) -> Result<SegmentFacts, ReadError> {
        let active = self.active();
        let newest = match older_than.filter(|_| position > 0) {
            Some(older_than) => active.newest(disk, older_than).await?,
            None => None,
        };
        Ok(SegmentFacts { base: active.base, bytes: position, newest })
    }
}

impl Segment {
    /// The largest timestamp, of which only this can be relied on: whether it is `older_than` that.
    async fn newest(
        &self,
        disk: &Arc<dyn Disk>,
        older_than: Timestamp,
    ) -> Result<Option<Timestamp>, ReadError> {
        if self.get().is_none()
            && let Some(peeked) = self.peek(disk).await
            && peeked >= older_than
        {
            return Ok(Some(peeked));
        }
        let loaded = self.load(disk).await?;
        Ok(loaded.index.newest_time().map(|max| max.timestamp))
    }

    async fn peek(&self, disk: &Arc<dyn Disk>) -> Option<Timestamp> {
        if let Some(peeked) = self.peeked.get() {
            return *peeked;
        }
        let path = self.directory.join(segment_file(self.base, "timeindex"));
        let peeked = last_time(disk, &path).await;
        *self.peeked.get_or_init(|| peeked)
    }
}

/// The timestamp of a `.timeindex`'s last entry, if there is one that could be.
async fn last_time(disk: &Arc<dyn Disk>, path: &std::path::Path) -> Option<Timestamp> {
    let file = disk.open_file(path, Open::Existing).await.ok()?;
    let len = disk.len_of(&file).await.ok()?;
    let entry = u64::try_from(TIME_ENTRY_BYTES).expect("a few bytes");
    let at = len.checked_sub(entry).filter(|at| at.is_multiple_of(entry))?;
    let bytes = disk.read_at(&file, at, TIME_ENTRY_BYTES).await.ok()?;
    TimeEntries::parse(&bytes).ok()?.iter().next_back().map(|entry| entry.timestamp)
}
