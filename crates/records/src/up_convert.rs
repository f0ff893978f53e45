//! Messages of formats 0 and 1, as producers before 0.11 send them, made into one batch.

use ottla_types::Timestamp;

use crate::message_set::{Message, Messages};
use crate::{
    BatchBuilder, BatchOptions, BuiltBatch, Compression, InflateError, MessageError, MessageFormat,
    NewRecord,
};

/// Bytes of a set that is taken: half of what the largest batch has, so that none outgrows it.
const SET_BYTES_MAX: usize = 1 << 30;

/// Why a set of messages does not become a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpConvertError {
    #[error("there is no message")]
    Empty,
    #[error("a set of {bytes} bytes is larger than any")]
    TooLarge { bytes: usize },
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("a message of format {other:?} follows one of {first:?}")]
    Mixed { first: MessageFormat, other: MessageFormat },
    #[error("a compressed message has others beside it")]
    NotAlone,
    #[error("a compressed message lies inside of another")]
    Nested,
    #[error("nothing lies inside of a compressed message")]
    NothingInside,
    #[error("the offset {offset} of a compressed message is below {last}, the last inside of it")]
    OffsetBelow { offset: i64, last: i64 },
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error("only the leader stamps a message with its append time")]
    AppendTime,
    #[error("{timestamp} is no timestamp")]
    Timestamp { timestamp: i64 },
}

/// Makes one batch of what a producer sent for one partition: of any number of messages, or of one
/// compressed message and those inside of it, to `inflated_max` bytes. Their order gives the
/// offsets, whatever they say themselves. The codec stays; a message that is cut at the end does
/// not.
///
/// Whoever appends the batch has to check it like any other: its size, its times, its keys.
///
/// # Errors
/// With the first thing that is wrong.
pub fn up_convert(set: &[u8], inflated_max: usize) -> Result<BuiltBatch, UpConvertError> {
    if set.len() > SET_BYTES_MAX {
        return Err(UpConvertError::TooLarge { bytes: set.len() });
    }
    let mut messages = Messages::new(set);
    let first = messages.next().ok_or(UpConvertError::Empty)??;
    if first.codec == Compression::None {
        let all = Messages::new(set);
        return Ok(collect(&first, all, UpConvertError::NotAlone)?.0.build());
    }
    if messages.next().transpose()?.is_some() {
        return Err(UpConvertError::NotAlone);
    }
    let inside = first.inflate(inflated_max)?.ok_or(UpConvertError::NothingInside)?;
    let (batch, last) = collect(&first, Messages::new(&inside), UpConvertError::Nested)?;
    if batch.count() == 0 {
        return Err(UpConvertError::NothingInside);
    }
    // Some versions of librdkafka send 0, whatever is inside.
    if first.format == MessageFormat::V1 && first.offset != 0 && first.offset < last {
        return Err(UpConvertError::OffsetBelow { offset: first.offset, last });
    }
    Ok(batch.build())
}

/// The records of uncompressed messages that are as `outer`, and the offset that the last one has;
/// `compressed` is what is wrong with any other.
fn collect(
    outer: &Message<'_>,
    messages: Messages<'_>,
    compressed: UpConvertError,
) -> Result<(BatchBuilder, i64), UpConvertError> {
    let options = BatchOptions { compression: outer.codec, ..BatchOptions::default() };
    let (mut batch, mut last) = (BatchBuilder::new(options), 0);
    for message in messages {
        let message = message?;
        if message.codec != Compression::None {
            return Err(compressed);
        }
        if message.format != outer.format {
            return Err(UpConvertError::Mixed { first: outer.format, other: message.format });
        }
        if message.append_time || outer.append_time {
            return Err(UpConvertError::AppendTime);
        }
        // The last number is not taken either: what lies between it and "none" is no number.
        let timestamp = message.timestamp;
        if !(-1..i64::MAX).contains(&timestamp) {
            return Err(UpConvertError::Timestamp { timestamp });
        }
        batch.push(NewRecord {
            timestamp: Timestamp::from_millis(timestamp),
            key: message.key,
            value: message.value,
            headers: &[],
        });
        last = message.offset;
    }
    Ok((batch, last))
}
