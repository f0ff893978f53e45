//! Batches made into messages of formats 0 and 1, for consumers before 0.11.

use ottla_types::{Offset, Timestamp, TimestampType};

use crate::message_set::Message;
use crate::{
    Batch, Batches, Compression, HeaderError, InflateError, MessageFormat, RecordError, old_lz4,
};

/// What a conversion may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownLimits {
    /// Bytes of messages to stop at, a first batch excepted.
    pub bytes: usize,
    /// Bytes that one batch may inflate to, and its messages before they are compressed again.
    pub inflated_max: usize,
}

/// Why a batch does not become messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownConvertError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("clients that know messages only do not know {}", .codec.name())]
    Codec { codec: Compression },
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the messages of a batch have more than {max} bytes")]
    TooLarge { max: usize },
}

/// Appends the records of `batches` to `set`, as messages of the format: those from `from` on, and
/// what is compressed together with them. Headers and producers are lost, and so are control
/// batches. Returns the offset behind the last batch that was dealt with; what follows it, for want
/// of room or because the slice ends within, is left. `None`: not one.
///
/// # Errors
/// When the first batch that has records cannot be converted. A later one ends the set.
pub fn down_convert(
    batches: &[u8],
    format: MessageFormat,
    from: Offset,
    limits: DownLimits,
    set: &mut Vec<u8>,
) -> Result<Option<Offset>, DownConvertError> {
    let (start, mut next) = (set.len(), None);
    for batch in Batches::new(batches) {
        let before = set.len();
        if before > start && before - start >= limits.bytes {
            break;
        }
        let converted = match batch {
            Ok(batch) => put(&batch, format, from, limits.inflated_max, set).map(|()| batch.header),
            Err(error) => Err(error.into()),
        };
        match converted {
            Ok(header) => next = Some(header.last_offset().plus(1)),
            Err(error) => {
                set.truncate(before);
                return if before > start { Ok(next) } else { Err(error) };
            }
        }
    }
    Ok(next)
}

fn put(
    batch: &Batch<'_>,
    format: MessageFormat,
    from: Offset,
    inflated_max: usize,
    set: &mut Vec<u8>,
) -> Result<(), DownConvertError> {
    let header = &batch.header;
    if header.attributes.is_control() || header.records_count == 0 {
        return Ok(());
    }
    let codec = header.attributes.compression();
    if codec == Compression::Zstd {
        return Err(DownConvertError::Codec { codec });
    }
    let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let records = batch.records(inflated_max)?;
    let (mut messages, mut first, mut last) = (Vec::new(), None, header.base_offset);
    let into = if codec == Compression::None { &mut *set } else { &mut messages };
    for record in &records {
        let record = record?;
        // What is compressed is taken whole, so that offsets can be told.
        if codec == Compression::None && record.offset < from {
            continue;
        }
        let zero = *first.get_or_insert(record.offset);
        let relative = codec != Compression::None && format == MessageFormat::V1;
        let offset = if relative { record.offset.get() - zero.get() } else { record.offset.get() };
        last = record.offset;
        let message = Message {
            offset,
            format,
            codec: Compression::None,
            append_time,
            timestamp: Timestamp::to_wire(record.timestamp),
            key: record.key,
            value: record.value,
        };
        message.put(into);
        if into.len() > inflated_max && codec != Compression::None {
            return Err(DownConvertError::TooLarge { max: inflated_max });
        }
    }
    if codec != Compression::None && first.is_some() {
        let value = compressed(codec, format, messages);
        let wrapper = Message {
            offset: last.get(),
            format,
            codec,
            append_time,
            timestamp: Timestamp::to_wire(header.max_timestamp),
            key: None,
            value: Some(&value),
        };
        wrapper.put(set);
    }
    Ok(())
}

fn compressed(codec: Compression, format: MessageFormat, messages: Vec<u8>) -> Vec<u8> {
    let value = codec.compress(messages);
    match (codec, format) {
        (Compression::Lz4, MessageFormat::V0) => old_lz4::with_old_checksum(&value).into_owned(),
        (_, MessageFormat::V0 | MessageFormat::V1) => value,
    }
}
