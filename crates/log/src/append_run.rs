//! Several batches in one write.
//!
//! A write costs the kernel as much as everything else that is done for a small batch, so batches
//! that are there at the same time share one. What they become is what they would have become one
//! after the other: a batch joins the write only if it would simply have been the log's next.
//! Whatever else is to be said of one is left to [`Log::append`], once those before it are written.

use std::io::IoSlice;

use ottla_records::{BatchHeader, CheckedBatch};
use ottla_types::{LeaderEpoch, Offset, Timestamp};

use crate::log::Health;
use crate::{Admission, AppendError, Appended, Log};

/// Room for a run of batches, kept from one run to the next: as many bytes as the largest had, and
/// 200 for each of its batches.
#[derive(Debug, Default)]
pub struct RunRoom {
    joined: Joined,
    outcomes: Vec<Result<Appended, AppendError>>,
}

/// Batches that are about to be written.
#[derive(Debug, Default)]
struct Joined {
    /// Of all of them, as they will be in the file.
    bytes: Vec<u8>,
    /// With their offsets.
    headers: Vec<BatchHeader>,
}

impl Joined {
    /// The offset behind the last one.
    fn end(&self) -> Option<Offset> {
        self.headers.last().map(|last| last.last_offset().next())
    }

    fn push(&mut self, batch: &CheckedBatch<'_>, base_offset: Offset, epoch: LeaderEpoch) {
        self.bytes.extend_from_slice(&batch.head_at(base_offset, epoch));
        self.bytes.extend_from_slice(batch.section());
        let leader_epoch = Some(epoch);
        self.headers.push(BatchHeader { base_offset, leader_epoch, ..*batch.header() });
    }

    /// What a log is told of a segment that has them already.
    pub(crate) fn ahead(&self) -> Ahead<'_> {
        Ahead { bytes: self.bytes.len() as u64, headers: &self.headers }
    }
}

/// Batches between a log's end and the one that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead<'a> {
    pub(crate) bytes: u64,
    pub(crate) headers: &'a [BatchHeader],
}

impl Ahead<'_> {
    pub(crate) const NONE: Self = Self { bytes: 0, headers: &[] };
}

impl RunRoom {
    /// What became of each batch of the last run, in their order. As many as were looked at: if the
    /// last one needs a roll, those behind it were not.
    pub fn outcomes(&self) -> &[Result<Appended, AppendError>] {
        &self.outcomes
    }

    /// The same, to be taken.
    pub fn take_outcomes(&mut self) -> impl Iterator<Item = Result<Appended, AppendError>> {
        self.outcomes.drain(..)
    }
}

impl Log {
    /// Appends batches, one behind the other, each as [`Self::append`] would, and with as few
    /// writes as can be. `wall` is asked where a batch does not say when it was made. Ends early
    /// behind a batch that needs a roll. What became of them is in `room`.
    ///
    /// A crash in the middle of a write leaves some of the batches, the first ones, and a part of
    /// the next. Nobody has been told of any of them then.
    pub fn append_run<'a>(
        &mut self,
        batches: impl Iterator<Item = CheckedBatch<'a>>,
        epoch: LeaderEpoch,
        wall: impl Fn() -> Timestamp,
        room: &mut RunRoom,
    ) {
        let RunRoom { joined, outcomes } = room;
        assert!(joined.headers.is_empty(), "a run is written before it ends");
        outcomes.clear();
        for batch in batches {
            let now = batch.header().max_timestamp.unwrap_or_else(&wall);
            if self.takes_behind(joined, batch.header(), epoch, now) {
                let base_offset = joined.end().unwrap_or_else(|| self.end().offset);
                joined.push(&batch, base_offset, epoch);
                continue;
            }
            self.write_joined(joined, epoch, outcomes);
            let outcome = self.append(&batch, epoch, now);
            let ends = matches!(outcome, Err(AppendError::NeedsRoll));
            outcomes.push(outcome);
            if ends {
                return;
            }
        }
        self.write_joined(joined, epoch, outcomes);
    }

    /// Whether a batch would simply be the next one, once those before it are in the log.
    fn takes_behind(
        &self,
        joined: &Joined,
        batch: &BatchHeader,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> bool {
        let of_transaction = batch.attributes.is_transactional() || batch.attributes.is_control();
        !of_transaction
            && self.health() == Health::Open
            && self.leader_epochs().latest().is_none_or(|latest| latest <= epoch)
            && !self.is_full_for(batch, now, joined.ahead())
            && self.producers().check_behind(&joined.headers, batch) == Ok(Admission::New)
    }

    /// Writes what was joined, and says of each batch what became of it.
    fn write_joined(
        &mut self,
        joined: &mut Joined,
        epoch: LeaderEpoch,
        outcomes: &mut Vec<Result<Appended, AppendError>>,
    ) {
        if joined.headers.is_empty() {
            return;
        }
        let written = self.write_parts(&[IoSlice::new(&joined.bytes)]);
        joined.bytes.clear();
        let Err(error) = written else {
            for header in joined.headers.drain(..) {
                self.on_written(&header, epoch, None);
                let (base_offset, last_offset) = (header.base_offset, header.last_offset());
                outcomes.push(Ok(Appended::New { base_offset, last_offset }));
            }
            return;
        };
        // As if the first had failed, and the others had come after that.
        let needs_cut = matches!(error, AppendError::Full(_));
        outcomes.push(Err(error));
        for _ in joined.headers.drain(..).skip(1) {
            outcomes.push(Err(if needs_cut { AppendError::NeedsCut } else { AppendError::Dead }));
        }
    }
}
