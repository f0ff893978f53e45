//! The targets: what is fed, and what must hold whatever is fed.

mod batches;
mod files;
mod groups;
mod messages;
mod node;
mod stored;
mod texts;

/// Something that takes bytes.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// What it feeds, in a few words.
    pub(crate) what: &'static str,
    /// What real clients and Apache Kafka wrote, as inputs of this target.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Panics if something does not hold.
    pub(crate) run: fn(&[u8]),
    /// Memory that an input may take: so many bytes, and so many for each of its own.
    pub(crate) memory_max: usize,
    pub(crate) memory_per_byte: usize,
}

const MIB: usize = 1 << 20;

/// All of them, the quick ones first.
pub(crate) static ALL: &[Target] = &[
    Target {
        name: "requests",
        what: "every request in every version: decoded, encoded, decoded again",
        seeds: messages::request_seeds,
        run: messages::request,
        memory_max: MIB,
        memory_per_byte: 200,
    },
    Target {
        name: "responses",
        what: "every response in every version",
        seeds: messages::response_seeds,
        run: messages::response,
        memory_max: MIB,
        memory_per_byte: 200,
    },
    Target {
        name: "tags",
        what: "headers: tagged fields, compact types",
        seeds: messages::header_seeds,
        run: messages::header,
        memory_max: MIB,
        memory_per_byte: 20,
    },
    Target {
        name: "blobs",
        what: "what consumers tell each other through their coordinator, and stored messages",
        seeds: messages::blob_seeds,
        run: messages::blob,
        memory_max: MIB,
        memory_per_byte: 200,
    },
    Target {
        name: "batches",
        what: "record batches as producers send them, with and without their checksum set right",
        seeds: batches::seeds,
        run: batches::batch,
        memory_max: 16 * MIB,
        memory_per_byte: 50,
    },
    Target {
        name: "old-batches",
        what: "messages of the formats before 0.11, made into batches and out of them",
        seeds: batches::old_seeds,
        run: batches::old,
        memory_max: 32 * MIB,
        memory_per_byte: 50,
    },
    Target {
        name: "inflate",
        what: "the codecs, bounded",
        seeds: batches::inflate_seeds,
        run: batches::inflate,
        // zstd has a window of 128 MiB where a frame says so; untouched, it is no memory.
        memory_max: 160 * MIB,
        memory_per_byte: 50,
    },
    Target {
        name: "files",
        what: "segments, indexes, checkpoints, snapshots of a log directory",
        seeds: files::seeds,
        run: files::file,
        memory_max: 16 * MIB,
        memory_per_byte: 200,
    },
    Target {
        name: "stored",
        what: "records of groups and of the metadata log, replayed",
        seeds: stored::seeds,
        run: stored::replay,
        memory_max: 4 * MIB,
        memory_per_byte: 2_000,
    },
    Target {
        name: "texts",
        what: "configurations, and expressions that name topics",
        seeds: texts::seeds,
        run: texts::text,
        memory_max: 16 * MIB,
        memory_per_byte: 2_000,
    },
    Target {
        name: "groups",
        what: "what members of groups ask, in any order and at any time",
        seeds: groups::seeds,
        run: groups::sequence,
        memory_max: 16 * MIB,
        memory_per_byte: 20_000,
    },
    Target {
        name: "frames",
        what: "a stream of bytes in pieces, at a node",
        seeds: node::stream_seeds,
        run: node::stream,
        memory_max: 64 * MIB,
        memory_per_byte: 2_000,
    },
    Target {
        name: "node",
        what: "whole frames, many on a connection, at a node",
        seeds: node::frame_seeds,
        run: node::frames,
        memory_max: 96 * MIB,
        memory_per_byte: 20_000,
    },
];

/// The first bytes of an input as small numbers, and what is behind them.
fn split<const N: usize>(input: &[u8]) -> Option<([u8; N], &[u8])> {
    let (first, rest) = input.split_first_chunk()?;
    Some((*first, rest))
}
