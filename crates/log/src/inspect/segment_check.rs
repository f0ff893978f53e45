//! The indexes of one segment against its batches.

use ottla_records::BatchHeader;
use ottla_types::{Offset, Timestamp};

use super::Trouble;
use crate::index_file::{OffsetEntries, OffsetEntry, TimeEntries, TimeEntry};

/// Entries of an `.index` file, looked for while the batches pass by.
pub(super) struct OffsetCheck<'a> {
    base: Offset,
    entries: Box<dyn Iterator<Item = (usize, OffsetEntry)> + 'a>,
    due: Option<(usize, OffsetEntry)>,
    /// An entry whose position was right and whose offset ends a later batch, or none: an older
    /// Kafka indexed the first of several batches with the last offset of all.
    open: Option<(usize, OffsetEntry)>,
}

impl<'a> OffsetCheck<'a> {
    pub(super) fn new(base: Offset, entries: OffsetEntries<'a>) -> Self {
        let mut entries = Box::new(entries.iter().enumerate());
        let due = entries.next();
        Self { base, entries, due, open: None }
    }

    /// A batch that was read. Says what is wrong with an entry that should have met it.
    pub(super) fn on_batch(&mut self, position: u64, header: &BatchHeader) -> Option<Trouble> {
        let last = header.last_offset();
        let open = self.open.take_if(|(_, open)| offset(self.base, open.relative) <= last);
        let missed = open.filter(|(_, open)| offset(self.base, open.relative) != last);
        let met = self.due.take_if(|(_, due)| u64::from(due.position) <= position);
        let Some(met) = met else { return missed.map(|it| self.wrong(it)) };
        self.due = self.entries.next();
        let told = offset(self.base, met.1.relative);
        let wrong = if u64::from(met.1.position) != position || told < last {
            Some(met)
        } else if told > last {
            self.open.replace(met)
        } else {
            None
        };
        missed.or(wrong).map(|it| self.wrong(it))
    }

    /// The end of the segment. Says what is wrong with an entry that met no batch.
    pub(super) fn finish(self) -> Option<Trouble> {
        self.open.or(self.due).map(|it| self.wrong(it))
    }

    fn wrong(&self, (entry, it): (usize, OffsetEntry)) -> Trouble {
        let offset = offset(self.base, it.relative);
        Trouble::OffsetEntry { entry, offset, position: it.position }
    }
}

fn offset(base: Offset, relative: u32) -> Offset {
    base.plus(i64::from(relative))
}

/// Entries of a `.timeindex` file, looked for while the batches pass by.
pub(super) struct TimeCheck<'a> {
    base: Offset,
    entries: Box<dyn Iterator<Item = (usize, TimeEntry)> + 'a>,
    due: Option<(usize, TimeEntry)>,
    latest: Option<Timestamp>,
}

impl<'a> TimeCheck<'a> {
    pub(super) fn new(base: Offset, entries: TimeEntries<'a>) -> Self {
        let mut entries = Box::new(entries.iter().enumerate());
        let due = entries.next();
        Self { base, entries, due, latest: None }
    }

    /// A batch that was read. Says what is wrong with an entry that should have met it.
    pub(super) fn on_batch(&mut self, header: &BatchHeader) -> Option<Trouble> {
        self.latest = self.latest.max(header.max_timestamp);
        let mut wrong = None;
        while let Some((entry, due)) = self.due {
            let offset = offset(self.base, due.relative);
            if offset > header.last_offset() {
                break;
            }
            self.due = self.entries.next();
            if self.latest != Some(due.timestamp) {
                let millis = due.timestamp.millis();
                wrong = wrong.or(Some(Trouble::TimeEntry { entry, offset, millis }));
            }
        }
        wrong
    }

    /// The end of the segment. Says what is wrong with an entry that met no batch.
    pub(super) fn finish(self) -> Option<Trouble> {
        let (entry, due) = self.due?;
        let offset = offset(self.base, due.relative);
        Some(Trouble::TimeEntry { entry, offset, millis: due.timestamp.millis() })
    }
}
