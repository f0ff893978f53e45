//! Record batches: check, read, build, compress.
//!
//! A batch (magic 2, KIP-98) is a 61-byte header and records, compressed as one block; wire and
//! disk hold the same bytes. What a producer sent becomes a [`CheckedBatch`] by [`check_produced`]
//! and in no other way; its record bytes are never copied and, where they are compressed, not
//! looked into unless asked. Base offset and leader epoch lie outside the checksum, so a log
//! assigns both by replacing the header alone.
//!
//! What clients before 0.11 send and take, messages of formats 0 and 1, is made into a batch and
//! out of batches by [`up_convert`] and [`down_convert`].

mod batches;
mod builder;
mod check;
mod compression;
mod control;
mod down_convert;
mod header;
mod kept;
mod message_set;
mod old_format;
mod old_lz4;
mod record;
mod retain;
mod skim;
mod stream;
mod up_convert;
mod varint;

pub use batches::{Batch, Batches, crc32c};
pub use builder::{BatchBuilder, BatchOptions, BuiltBatch, NewRecord};
pub use check::{BatchError, BatchLimits, CheckedBatch, Inside, TimestampError, check_produced};
pub use compression::{Compression, InflateError};
pub use control::{ControlType, EndTransactionMarker, InvalidControlRecord};
pub use down_convert::{DownConvertError, DownLimits, down_convert};
pub use header::{
    Attributes, BatchHeader, BatchSpan, HEADER_BYTES, HeaderError, ProducerStamp, SIZED_BYTES,
};
pub use kept::KeptBatches;
pub use message_set::{MessageError, MessageFormat};
pub use old_format::{is_old_message, old_message_size};
pub use record::{Headers, Record, RecordError, RecordIter, Records};
pub use retain::{RawRecord, RawRecords};
pub use stream::{BatchStream, StreamError, StreamedBatch};
pub use up_convert::{UpConvertError, up_convert};
