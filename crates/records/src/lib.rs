//! Record batches: check, read, build, compress.
//!
//! A batch (magic 2, KIP-98) is a 61-byte header and records, compressed as one block; wire and
//! disk hold the same bytes. What a producer sent becomes a [`CheckedBatch`] by [`check_produced`]
//! and in no other way; its record bytes are never copied and, where they are compressed, not
//! looked into unless asked. Base offset and leader epoch lie outside the checksum, so a log
//! assigns both by replacing the header alone.

mod batches;
mod builder;
mod check;
mod compression;
mod control;
mod header;
mod kept;
mod old_format;
mod record;
mod retain;
mod skim;
mod stream;
mod varint;

pub use batches::{Batch, Batches, crc32c};
pub use builder::{BatchBuilder, BatchOptions, BuiltBatch, NewRecord};
pub use check::{BatchError, BatchLimits, CheckedBatch, Inside, TimestampError, check_produced};
pub use compression::{Compression, InflateError};
pub use control::{ControlType, EndTransactionMarker, InvalidControlRecord};
pub use header::{
    Attributes, BatchHeader, BatchSpan, HEADER_BYTES, HeaderError, ProducerStamp, SIZED_BYTES,
};
pub use kept::KeptBatches;
pub use old_format::{is_old_message, old_message_size};
pub use record::{Headers, Record, RecordError, RecordIter, Records};
pub use retain::{RawRecord, RawRecords};
pub use stream::{BatchStream, StreamError, StreamedBatch};
