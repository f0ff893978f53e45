//! Lines of a file or of standard input, read by a thread of their own.
//!
//! A terminal answers when somebody types, and batches must not wait for that. Buffers go round
//! between the thread and the loop: as many as there are bound the memory.

use std::io::{self, BufRead as _, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use ottla_env::{Mailbox, Sender, mailbox};

/// What one read takes: 1 MiB, and there are four of them.
const BUFFER_BYTES: usize = 1 << 20;
const BUFFERS: usize = 4;

/// What a line may be at most; a record would not fit into any request otherwise.
const LINE_BYTES_MAX: usize = 100 << 20;

/// Whole lines, and what ended them.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// How much of it is whole lines.
    whole: usize,
}

/// Lines, chunk by chunk.
pub(crate) struct Lines {
    chunks: Mailbox<io::Result<Chunk>>,
    spent: SyncSender<Vec<u8>>,
}

impl Chunk {
    /// Bytes of its lines, with their ends.
    pub(super) const fn len(&self) -> usize {
        self.whole
    }

    /// Each line, without its end.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..self.whole];
        std::iter::from_fn(move || {
            let line = rest;
            let len = rest.skip_until(b'\n').expect("memory can be read");
            let line = line.get(..len).filter(|line| !line.is_empty())?;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            Some(line.strip_suffix(b"\r").unwrap_or(line))
        })
    }
}

impl Lines {
    /// Begins to read.
    pub(crate) fn of(from: impl Read + Send + 'static) -> Self {
        let (spent, empty) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            spent.send(Vec::new()).expect("there is room for all");
        }
        let (sender, chunks) = mailbox(BUFFERS + 1);
        let reading = move || read_all(from, &empty, &sender);
        drop(std::thread::Builder::new().name("lines".to_owned()).spawn(reading));
        Self { chunks, spent }
    }

    /// The next lines; `None` at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Chunk>> {
        self.chunks.next().await.transpose()
    }

    /// The next lines, if they were read already: then nothing has to be sent in a hurry.
    pub(crate) fn ready(&mut self) -> io::Result<Option<Chunk>> {
        self.chunks.try_next().transpose()
    }

    /// Lets a chunk be read into again.
    pub(crate) fn give_back(&self, chunk: Chunk) {
        drop(self.spent.send(chunk.bytes));
    }
}

fn read_all(mut from: impl Read, empty: &Receiver<Vec<u8>>, to: &Sender<io::Result<Chunk>>) {
    let mut tail: Vec<u8> = Vec::new();
    while let Ok(buffer) = empty.recv() {
        let read = fill(&mut from, buffer, &mut tail);
        let ended = !matches!(&read, Ok(Some(_)));
        if let Some(chunk) = read.transpose()
            && to.try_send(chunk).is_err()
        {
            return;
        }
        if ended {
            return;
        }
    }
}

/// Reads until there is a whole line; what is behind the last one waits in `tail`. A buffer that
/// comes back is as long as it was, so that nothing is zeroed twice.
fn fill(from: &mut impl Read, mut bytes: Vec<u8>, tail: &mut Vec<u8>) -> io::Result<Option<Chunk>> {
    let mut had = tail.len();
    bytes.resize(bytes.len().max(had), 0);
    bytes[..had].copy_from_slice(tail);
    tail.clear();
    loop {
        bytes.resize(bytes.len().max(had.max(BUFFER_BYTES / 2) + BUFFER_BYTES / 2), 0);
        let count = match from.read(&mut bytes[had..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => return Ok((had > 0).then_some(Chunk { bytes, whole: had })),
            read => read?,
        };
        let new = had..had + count;
        had = new.end;
        if let Some(end) = bytes[new.clone()].iter().rposition(|byte| *byte == b'\n') {
            let whole = new.start + end + 1;
            tail.extend_from_slice(&bytes[whole..had]);
            return Ok(Some(Chunk { bytes, whole }));
        }
        if had > LINE_BYTES_MAX {
            let told = format!("a line is longer than {LINE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes with each read.
    struct Slowly(Vec<u8>, usize);

    impl Read for Slowly {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn check(text: &str, expected: &[&str]) {
        for step in [1, 2, 3, 1_000] {
            let (mut from, mut tail, mut lines) =
                (Slowly(text.into(), step), Vec::new(), Vec::new());
            let mut buffer = Vec::new();
            while let Some(chunk) = fill(&mut from, buffer, &mut tail).unwrap() {
                lines.extend(chunk.lines().map(|line| String::from_utf8(line.to_vec()).unwrap()));
                buffer = chunk.bytes;
            }
            assert_eq!(lines, expected, "{text:?} by {step}");
        }
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        check("", &[]);
        check("a", &["a"]);
        check("a\n", &["a"]);
        check("a\nbc\n\nd", &["a", "bc", "", "d"]);
        check("a\r\nb\r\n", &["a", "b"]);
    }
}
