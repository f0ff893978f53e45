//! Answers on their way out: encoded one behind the other, written together.

use bytes::Bytes;
use ottla_env::{Outbound, Part};

/// Answers of one connection that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Answers encoded in this pass.
    buffer: Vec<u8>,
    outbound: Outbound,
}

impl Outbox {
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

    /// Adds a whole answer.
    pub(crate) fn push(&mut self, answer: Vec<u8>) {
        self.flush_buffer();
        self.outbound.push(Part::Bytes(answer.into()));
    }

    /// Adds answers that were encoded elsewhere.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.flush_buffer();
        later.flush_buffer();
        self.outbound.append(later.outbound);
    }

    /// Adds a whole answer that lacks its records: `holes` tells where in its bytes they belong.
    pub(crate) fn push_with_holes(&mut self, answer: Vec<u8>, holes: Vec<(usize, Part)>) {
        self.flush_buffer();
        let answer = Bytes::from(answer);
        let mut written = 0;
        for (at, part) in holes {
            assert!(at >= written, "holes are in order");
            self.outbound.push(Part::Bytes(answer.slice(written..at)));
            self.outbound.push(part);
            written = at;
        }
        self.outbound.push(Part::Bytes(answer.slice(written..)));
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
        let encoded = Bytes::from(std::mem::take(&mut self.buffer));
        self.outbound.push(Part::Bytes(encoded));
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
