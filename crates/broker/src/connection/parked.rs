//! A produce answer that waits until its appends are committed.

use std::sync::Arc;
use std::task::Waker;

use ottla_env::Mono;
use ottla_types::Offset;

use crate::partition::Partition;

/// One append that the answer waits for.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) partition: Arc<Partition>,
    /// The high watermark that commits it.
    pub(crate) needed: Offset,
    /// Where in the answer its error code stands, written as "none" beforehand.
    pub(crate) error_at: usize,
}

/// How waiting for a commit can end badly, as the answer spells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitCodes {
    pub(crate) timed_out: i16,
    /// The topic was deleted.
    pub(crate) gone: i16,
}

/// What an answer that has to wait is made of; kept for the next one afterwards.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    /// Says that all went well.
    pub(crate) answer: Vec<u8>,
    /// The appends that have to go well for it.
    pub(crate) waits: Vec<Wait>,
}

/// An answer that waits.
#[derive(Debug)]
pub(crate) struct ParkedProduce {
    parking: Parking,
    deadline: Mono,
    codes: WaitCodes,
}

impl ParkedProduce {
    pub(crate) fn new(parking: Parking, deadline: Mono, codes: WaitCodes, waker: &Waker) -> Self {
        for wait in &parking.waits {
            wait.partition.park_produce(wait.needed, waker);
        }
        Self::listed(parking, deadline, codes)
    }

    /// The partitions know already whom to wake.
    pub(crate) fn listed(parking: Parking, deadline: Mono, codes: WaitCodes) -> Self {
        Self { parking, deadline, codes }
    }

    /// When it is answered at the latest.
    pub(crate) fn deadline(&self) -> Mono {
        self.deadline
    }

    /// The answer, if nothing is left to wait for.
    pub(crate) fn settle(mut self, now: Mono) -> Result<Parking, Self> {
        let late = now >= self.deadline;
        let Self { parking: Parking { answer, waits }, codes, .. } = &mut self;
        waits.retain(|wait| {
            if wait.partition.bounds().high_watermark.offset >= wait.needed {
                return false;
            }
            if wait.partition.is_gone() {
                patch(answer, wait.error_at, codes.gone);
                return false;
            }
            if late {
                patch(answer, wait.error_at, codes.timed_out);
            }
            !late
        });
        if self.parking.waits.is_empty() { Ok(self.parking) } else { Err(self) }
    }
}

fn patch(answer: &mut [u8], at: usize, code: i16) {
    assert_eq!(answer[at..at + 2], [0, 0], "an append fails once");
    answer[at..at + 2].copy_from_slice(&code.to_be_bytes());
}
