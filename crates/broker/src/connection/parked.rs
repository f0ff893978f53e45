//! A produce answer that waits until its appends are committed.

use std::sync::Arc;
use std::task::Waker;

use ottla_env::Mono;
use ottla_types::Offset;

use crate::api::produce::{Unanswered, WaitEnd};
use crate::partition::Partition;

/// One append that the answer waits for.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) partition: Arc<Partition>,
    /// The high watermark that commits it.
    pub(crate) needed: Offset,
    /// Where in the answer its result stands.
    pub(crate) place: usize,
}

/// An answer that says that all went well, and the appends that have to go well for it.
#[derive(Debug)]
pub(crate) struct ParkedProduce {
    answer: Unanswered,
    waits: Vec<Wait>,
    deadline: Mono,
}

impl ParkedProduce {
    pub(crate) fn new(answer: Unanswered, waits: Vec<Wait>, deadline: Mono, waker: &Waker) -> Self {
        for wait in &waits {
            wait.partition.park_produce(wait.needed, waker);
        }
        Self { answer, waits, deadline }
    }

    /// When it is answered at the latest.
    pub(crate) fn deadline(&self) -> Mono {
        self.deadline
    }

    /// The answer, if nothing is left to wait for.
    pub(crate) fn settle(mut self, now: Mono) -> Result<Unanswered, Self> {
        let late = now >= self.deadline;
        let answer = &mut self.answer;
        self.waits.retain(|wait| {
            if wait.partition.bounds().high_watermark.offset >= wait.needed {
                return false;
            }
            if wait.partition.is_gone() {
                answer.end_wait(wait.place, WaitEnd::Gone);
                return false;
            }
            if late {
                answer.end_wait(wait.place, WaitEnd::TimedOut);
            }
            !late
        });
        if self.waits.is_empty() { Ok(self.answer) } else { Err(self) }
    }
}
