use super::{ByTopic, Visit};
use crate::codec::{DecodeError, Element, Layout, Reader, TagReader};
use crate::messages;
use crate::messages::fetch_request::ReplicaState;
use ottla_types::Uuid;

/// A Fetch request, visited in its frame.
#[derive(Clone, Debug)]
pub struct FetchRequest<'a> {
    /// The cluster that the client believes to talk to: sent by quorum members only.
    pub cluster_id: Option<&'a str>,
    /// The follower's node id, -1 for a consumer.
    pub replica_id: i32,
    /// The follower's broker epoch, -1 if unknown (KIP-903).
    pub replica_epoch: i64,
    /// How long to wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// Bytes to collect before answering.
    pub min_bytes: i32,
    /// Bytes to stop at, a first batch excepted; no bound before version 3.
    pub max_bytes: i32,
    /// 0 reads all below the high watermark, 1 below the last stable offset; since version 4.
    pub isolation_level: i8,
    /// The fetch session (KIP-227); 0 is none.
    pub session_id: i32,
    /// Its epoch: -1 ends it, 0 opens one.
    pub session_epoch: i32,
    /// The partitions to read, or to add to the session.
    pub partitions: ByTopic<'a, FetchPartition>,
    /// The partitions to drop from the session.
    pub forgotten: ByTopic<'a, i32>,
    /// The consumer's rack, for reads from the nearest replica (KIP-392).
    pub rack_id: &'a str,
}

/// What to read of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// The partition's number.
    pub partition: i32,
    /// The leader epoch that the client believes in, -1 if it does not say; since version 9.
    pub current_leader_epoch: i32,
    /// The offset to start from.
    pub fetch_offset: i64,
    /// The epoch of the follower's last record, -1 if it has none (KIP-595); since version 12.
    pub last_fetched_epoch: i32,
    /// Where the follower's log starts, -1 for consumers; since version 5.
    pub log_start_offset: i64,
    /// Bytes of records to stop at, a first batch excepted.
    pub partition_max_bytes: i32,
    /// The follower's log directory, zero if it does not say (KIP-853); since version 17.
    pub replica_directory_id: Uuid,
    /// The high watermark that the follower knows (KIP-1166); since version 18.
    pub high_watermark: i64,
}

impl<'a> FetchRequest<'a> {
    /// Checks the whole body of a request: what is visited afterwards cannot fail.
    ///
    /// # Errors
    /// If the bytes are not such a request of this version. Bytes behind it are ignored, as Kafka
    /// does: some clients send a few.
    pub fn decode(body: &'a [u8], version: i16) -> Result<Self, DecodeError> {
        if !messages::FetchRequest::VERSIONS.contains(&version) {
            return Err(DecodeError::UnsupportedVersion { version });
        }
        let layout = Layout { version, flexible: version >= messages::FetchRequest::FLEXIBLE };
        let mut reader = Reader::new(body);
        let mut request = Self {
            cluster_id: None,
            replica_id: if version <= 14 { reader.i32()? } else { -1 },
            replica_epoch: -1,
            max_wait_ms: reader.i32()?,
            min_bytes: reader.i32()?,
            max_bytes: if version >= 3 { reader.i32()? } else { i32::MAX },
            isolation_level: if version >= 4 { reader.i8()? } else { 0 },
            session_id: if version >= 7 { reader.i32()? } else { 0 },
            session_epoch: if version >= 7 { reader.i32()? } else { -1 },
            partitions: ByTopic::check(&mut reader, layout)?,
            forgotten: ByTopic::absent(layout),
            rack_id: "",
        };
        if version >= 7 {
            request.forgotten = ByTopic::check(&mut reader, layout)?;
        }
        if version >= 11 {
            request.rack_id = reader.nullable_str(layout)?.ok_or(DecodeError::UnexpectedNull)?;
        }
        request.read_tags(&mut reader, layout)?;
        Ok(request)
    }

    fn read_tags(&mut self, reader: &mut Reader<'a>, layout: Layout) -> Result<(), DecodeError> {
        let version = layout.version;
        let mut tags = TagReader::open(reader, layout)?;
        while let Some((tag, mut field)) = tags.next(reader)? {
            match tag {
                0 => self.cluster_id = field.nullable_str(layout)?,
                1 if version >= 15 => {
                    let state = ReplicaState::read(&mut field, layout)?;
                    self.replica_id = state.replica_id;
                    self.replica_epoch = state.replica_epoch;
                }
                1 => return Err(DecodeError::TagNotInVersion { tag, version }),
                _ => continue,
            }
            field.finish()?;
        }
        Ok(())
    }
}

impl<'a> Visit<'a> for FetchPartition {
    #[inline]
    fn visit(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError> {
        let version = layout.version;
        let mut partition = Self {
            partition: reader.i32()?,
            current_leader_epoch: if version >= 9 { reader.i32()? } else { -1 },
            fetch_offset: reader.i64()?,
            last_fetched_epoch: if version >= 12 { reader.i32()? } else { -1 },
            log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
            partition_max_bytes: reader.i32()?,
            replica_directory_id: Uuid::ZERO,
            high_watermark: i64::MAX,
        };
        if layout.flexible && !reader.skip_no_tags() {
            partition.read_tags(reader, layout)?;
        }
        Ok(partition)
    }
}

impl FetchPartition {
    /// Followers send them; a consumer has none.
    #[cold]
    fn read_tags(&mut self, reader: &mut Reader<'_>, layout: Layout) -> Result<(), DecodeError> {
        let version = layout.version;
        let mut tags = TagReader::open(reader, layout)?;
        while let Some((tag, mut field)) = tags.next(reader)? {
            match tag {
                0 if version >= 17 => self.replica_directory_id = field.uuid()?,
                1 if version >= 18 => self.high_watermark = field.i64()?,
                0 | 1 => return Err(DecodeError::TagNotInVersion { tag, version }),
                _ => continue,
            }
            field.finish()?;
        }
        Ok(())
    }
}
