use super::{ByTopic, Visit};
use crate::codec::{DecodeError, Layout, Reader};
use crate::messages;

/// A Produce request, visited in its frame.
#[derive(Clone, Debug)]
pub struct ProduceRequest<'a> {
    /// The transaction's name, if the batches belong to one.
    pub transactional_id: Option<&'a str>,
    /// 0, 1, or -1 for all in-sync replicas.
    pub acks: i16,
    /// How long the broker may wait for replicas, in milliseconds.
    pub timeout_ms: i32,
    /// The batches to append.
    pub partitions: ByTopic<'a, ProducePartition<'a>>,
}

/// The batch for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducePartition<'a> {
    /// The partition's number.
    pub index: i32,
    /// The batch as it arrived.
    pub records: Option<&'a [u8]>,
}

impl<'a> ProduceRequest<'a> {
    /// Checks the whole body of a request: what is visited afterwards cannot fail.
    ///
    /// # Errors
    /// If the bytes are not such a request of this version. Bytes behind it are ignored, as Kafka
    /// does: some clients send a few.
    pub fn decode(body: &'a [u8], version: i16) -> Result<Self, DecodeError> {
        if !messages::ProduceRequest::VERSIONS.contains(&version) {
            return Err(DecodeError::UnsupportedVersion { version });
        }
        let flexible = version >= messages::ProduceRequest::FLEXIBLE;
        let layout = Layout { version, flexible };
        let mut reader = Reader::new(body);
        let transactional_id = if version >= 3 { reader.nullable_str(layout)? } else { None };
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let partitions = ByTopic::check(&mut reader, layout)?;
        reader.unknown_tags(layout)?;
        Ok(Self { transactional_id, acks, timeout_ms, partitions })
    }
}

impl<'a> Visit<'a> for ProducePartition<'a> {
    #[inline]
    fn visit(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError> {
        let index = reader.i32()?;
        let records = reader.nullable_slice(layout)?;
        reader.unknown_tags(layout)?;
        Ok(Self { index, records })
    }
}
