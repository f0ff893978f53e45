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

/// An answer that says that all went well, and the appends that have to go well for it.
#[derive(Debug)]
pub(crate) struct ParkedProduce {
    answer: Vec<u8>,
    waits: Vec<Wait>,
    deadline: Mono,
    codes: WaitCodes,
}

impl ParkedProduce {
    pub(crate) fn new(
        answer: Vec<u8>,
        waits: Vec<Wait>,
        deadline: Mono,
        codes: WaitCodes,
        waker: &Waker,
    ) -> Self {
        for wait in &waits {
            wait.partition.park_produce(wait.needed, waker);
        }
        Self { answer, waits, deadline, codes }
    }

    /// When it is answered at the latest.
    pub(crate) fn deadline(&self) -> Mono {
        self.deadline
    }

    /// The answer, if nothing is left to wait for.
    pub(crate) fn settle(mut self, now: Mono) -> Result<Vec<u8>, Self> {
        let late = now >= self.deadline;
        let Self { answer, waits, codes, .. } = &mut self;
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
        if self.waits.is_empty() { Ok(self.answer) } else { Err(self) }
    }
}

fn patch(answer: &mut [u8], at: usize, code: i16) {
    assert_eq!(answer[at..at + 2], [0, 0], "an append fails once");
    answer[at..at + 2].copy_from_slice(&code.to_be_bytes());
}
