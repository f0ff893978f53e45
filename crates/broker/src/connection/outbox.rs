//! Answers on their way out: encoded one behind the other, written together.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ottla_env::{Outbound, Part, Stream};

use super::lane::Lane;

/// Encoded bytes that are copied out of the loop's buffer; more of them keep the buffer.
const COPY_BYTES_MAX: usize = 4 * 1024;

/// Answers of one connection that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Answers encoded in this pass, in a buffer that is the loop's.
    buffer: Vec<u8>,
    outbound: Outbound,
    /// Bytes of `outbound` that are memory, not files: as many as there were at the most, since
    /// nothing waited last.
    in_memory: u64,
}

impl Outbox {
    /// Encodes into the loop's buffer until [`Self::return_buffer`].
    pub(super) fn borrow_buffer(&mut self, lane: &Lane) {
        assert!(self.buffer.is_empty(), "what a pass leaves is flushed");
        self.buffer = lane.answers();
    }

    /// At the end of a pass: what was not written has to have memory of its own. How much that is.
    pub(super) fn return_buffer(&mut self, lane: &Lane) -> u64 {
        self.flush_buffer();
        lane.keep_answers(std::mem::take(&mut self.buffer));
        self.in_memory = self.in_memory.min(self.outbound.len());
        self.in_memory
    }

    /// Writes some of what waits; there is something.
    pub(super) fn poll_write(
        &mut self,
        to: &mut dyn Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.outbound.is_empty() {
            return to.poll_write(cx, self.outbound());
        }
        let written = ready!(to.poll_write_bytes(cx, &self.buffer))?;
        self.buffer.drain(..written);
        Poll::Ready(Ok(()))
    }

    /// Adds an answer; `write` appends its body.
    pub(crate) fn answer<E>(
        &mut self,
        header: AnswerHeader,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let length_at = self.buffer.len();
        header.write(&mut self.buffer);
        write(&mut self.buffer)?;
        patch_length(&mut self.buffer, length_at);
        Ok(())
    }

    /// Adds an answer whose length and header `write` appends itself.
    pub(crate) fn frame<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(&mut self.buffer)
    }

    /// Adds a whole answer, which is short.
    pub(crate) fn copy(&mut self, answer: &[u8]) {
        self.buffer.extend_from_slice(answer);
    }

    /// Adds answers that were encoded elsewhere.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.flush_buffer();
        later.flush_buffer();
        self.in_memory += later.in_memory;
        self.outbound.append(later.outbound);
    }

    /// Adds an answer whose length and header `write` appends itself, and which may lack records
    /// that are sent from files: `write` tells where in the buffer they belong.
    pub(crate) fn frame_with_holes<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<(usize, Part)>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (before, mut holes) = (self.buffer.len(), Vec::new());
        if let Err(error) = write(&mut self.buffer, &mut holes) {
            // What is in front of it is sent still.
            self.buffer.truncate(before);
            return Err(error);
        }
        if holes.is_empty() {
            return Ok(());
        }
        let answers = self.take_buffer();
        let mut written = 0;
        for (at, part) in holes {
            assert!(at >= written, "holes are in order");
            self.outbound.push(Part::Bytes(answers.slice(written..at)));
            self.outbound.push(part);
            written = at;
        }
        self.outbound.push(Part::Bytes(answers.slice(written..)));
        Ok(())
    }

    /// What is to be written now.
    pub(crate) fn outbound(&mut self) -> &mut Outbound {
        self.flush_buffer();
        &mut self.outbound
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> u64 {
        self.buffer.len() as u64 + self.outbound.len()
    }

    fn flush_buffer(&mut self) {
        if !self.buffer.is_empty() {
            let answers = self.take_buffer();
            self.outbound.push(Part::Bytes(answers));
        }
    }

    /// What is encoded, in memory of its own.
    fn take_buffer(&mut self) -> Bytes {
        self.in_memory += self.buffer.len() as u64;
        if self.buffer.len() > COPY_BYTES_MAX {
            return std::mem::take(&mut self.buffer).into();
        }
        let answers = Bytes::copy_from_slice(&self.buffer);
        self.buffer.clear();
        answers
    }
}

/// The head of every answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerHeader {
    pub(crate) correlation_id: i32,
    /// Response header v1: with tagged fields, of which there are none.
    pub(crate) flexible: bool,
}

impl AnswerHeader {
    /// Writes room for the length, and the header.
    pub(crate) fn write(self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&self.correlation_id.to_be_bytes());
        if self.flexible {
            buffer.push(0);
        }
    }
}

/// Writes the length of the answer that begins at `length_at` and ends where the buffer does.
fn patch_length(buffer: &mut [u8], length_at: usize) {
    let length = i32::try_from(buffer.len() - length_at - 4).expect("no answer passes its bound");
    buffer[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}
