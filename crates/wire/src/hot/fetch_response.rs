use super::response::Response;
use super::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::ApiKey;
use crate::codec::{EncodeError, Layout, TagWriter, UnknownTags, Writer};

/// What a Fetch response says before its topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchResponseHead {
    /// Echoed from the request.
    pub correlation_id: i32,
    /// How long the client is throttled, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request, since version 7.
    pub error_code: i16,
    /// The fetch session, 0 for none; since version 7.
    pub session_id: i32,
    /// How many topics follow.
    pub topics: usize,
}

/// A partition in a Fetch response, its records excepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchResponsePartition<'a> {
    /// The partition's number.
    pub partition_index: i32,
    /// An error of this partition.
    pub error_code: i16,
    /// The high watermark, -1 if unknown.
    pub high_watermark: i64,
    /// The last stable offset, -1 if unknown.
    pub last_stable_offset: i64,
    /// Where the log starts, -1 if unknown; since version 5.
    pub log_start_offset: i64,
    /// The largest epoch below the follower's last fetched one, and its end (KIP-595).
    pub diverging_epoch: Option<EpochAndOffset>,
    /// Who leads instead (KIP-951), or the leader of the quorum.
    pub current_leader: Option<CurrentLeader>,
    /// The snapshot that a follower must load first (KIP-630).
    pub snapshot_id: Option<EpochAndOffset>,
    /// What a reader of committed records must skip, in the order of first offsets.
    pub aborted_transactions: Option<&'a [AbortedTransaction]>,
    /// A nearer replica to read from, -1 for none (KIP-392); since version 11.
    pub preferred_read_replica: i32,
}

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// Its first offset in this partition.
    pub first_offset: i64,
}

/// The end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochAndOffset {
    /// The epoch.
    pub epoch: i32,
    /// The offset behind its last record.
    pub end_offset: i64,
}

impl EpochAndOffset {
    /// What Kafka leaves off the wire.
    const UNSET: Self = Self { epoch: -1, end_offset: -1 };
}

impl Default for FetchResponsePartition<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: Some(&[]),
            preferred_read_replica: -1,
        }
    }
}

/// The records of a partition in a Fetch response.
#[derive(Clone, Copy, Debug)]
pub enum ResponseRecords<'a> {
    /// There is no list of records, which is something else than an empty one.
    Null,
    /// To be appended to the buffer.
    Here(&'a [u8]),
    /// So many bytes, which are sent from where they lie.
    Elsewhere(usize),
}

/// Appends a Fetch response as one frame, except for records that lie elsewhere: they are sent in
/// the holes that [`Self::partition`] names.
#[derive(Debug)]
pub struct FetchResponseWriter<'b> {
    response: Response<'b>,
    /// Record bytes that are not in the buffer.
    elsewhere: usize,
}

impl<'b> FetchResponseWriter<'b> {
    /// Appends length, header and everything before the first topic.
    ///
    /// # Errors
    /// If the version is unknown, or cannot say the session.
    pub fn begin(
        out: &'b mut Vec<u8>,
        version: i16,
        head: &FetchResponseHead,
    ) -> Result<Self, EncodeError> {
        let mut response = Response::begin(out, ApiKey::Fetch, version, head.correlation_id)?;
        if version >= 1 {
            response.writer.i32(head.throttle_time_ms);
        }
        if version >= 7 {
            response.writer.i16(head.error_code);
            response.writer.i32(head.session_id);
        } else if head.session_id != 0 {
            let field = "FetchResponse.session_id";
            return Err(EncodeError::FieldNotInVersion { field, version });
        }
        response.topics(head.topics)?;
        Ok(Self { response, elsewhere: 0 })
    }

    /// Begins a topic of so many partitions.
    ///
    /// # Errors
    /// If its name is too long for any topic.
    ///
    /// # Panics
    /// If the topic before has not all its partitions, or this is one topic too many.
    pub fn topic(&mut self, topic: TopicRef<'_>, partitions: usize) -> Result<(), EncodeError> {
        self.response.topic(topic, partitions)
    }

    /// Appends a partition with its records; returns the position in the buffer where those that
    /// lie elsewhere are to be sent.
    ///
    /// # Errors
    /// If the version cannot say it.
    ///
    /// # Panics
    /// If this is one partition too many for its topic.
    pub fn partition(
        &mut self,
        partition: &FetchResponsePartition<'_>,
        records: ResponseRecords<'_>,
    ) -> Result<usize, EncodeError> {
        self.response.partition();
        let Response { writer, layout, .. } = &mut self.response;
        partition.write_bounds(writer, *layout);
        partition.write_aborted(writer, *layout)?;
        partition.write_preferred_read_replica(writer, *layout)?;
        let (here, length): (&[u8], _) = match records {
            ResponseRecords::Null => (&[], None),
            ResponseRecords::Here(bytes) => (bytes, Some(bytes.len())),
            ResponseRecords::Elsewhere(length) => (&[], Some(length)),
        };
        writer.length_of_bytes(length, *layout)?;
        writer.raw(here);
        let hole = writer.position();
        partition.write_tags(writer, *layout)?;
        self.elsewhere += length.map_or(0, |length| length - here.len());
        Ok(hole)
    }

    /// Appends what follows the last topic, and writes the length of the frame, records included.
    ///
    /// # Errors
    /// If the version has no endpoints and some are given, or the frame is too long.
    ///
    /// # Panics
    /// If topics or partitions are missing.
    pub fn finish(mut self, endpoints: &[NodeEndpoint<'_>]) -> Result<(), EncodeError> {
        self.response.end_topics();
        let version = self.response.layout.version;
        if !endpoints.is_empty() && version < 16 {
            let field = "FetchResponse.node_endpoints";
            return Err(EncodeError::FieldNotInVersion { field, version });
        }
        self.response.finish(endpoints, self.elsewhere)
    }
}

impl FetchResponsePartition<'_> {
    fn write_bounds(&self, writer: &mut Writer<'_>, layout: Layout) {
        writer.i32(self.partition_index);
        writer.i16(self.error_code);
        writer.i64(self.high_watermark);
        if layout.version >= 4 {
            writer.i64(self.last_stable_offset);
        }
        if layout.version >= 5 {
            writer.i64(self.log_start_offset);
        }
    }

    fn write_aborted(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        if layout.version < 4 {
            return Ok(());
        }
        writer.length_of_bytes(self.aborted_transactions.map(<[_]>::len), layout)?;
        for transaction in self.aborted_transactions.unwrap_or_default() {
            writer.i64(transaction.producer_id);
            writer.i64(transaction.first_offset);
            writer.unknown_tags(&UnknownTags::default(), layout);
        }
        Ok(())
    }

    fn write_preferred_read_replica(
        &self,
        writer: &mut Writer<'_>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        let version = layout.version;
        if version >= 11 {
            writer.i32(self.preferred_read_replica);
        } else if self.preferred_read_replica != -1 {
            let field = "PartitionData.preferred_read_replica";
            return Err(EncodeError::FieldNotInVersion { field, version });
        }
        Ok(())
    }

    fn write_tags(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        let unknown = UnknownTags::default();
        let diverging = self.diverging_epoch.filter(|at| *at != EpochAndOffset::UNSET);
        let leader = self.current_leader.filter(|leader| *leader != CurrentLeader::UNSET);
        let snapshot = self.snapshot_id.filter(|at| *at != EpochAndOffset::UNSET);
        if diverging.is_none() && leader.is_none() && snapshot.is_none() {
            writer.unknown_tags(&unknown, layout);
            return Ok(());
        }
        if !layout.flexible {
            let (field, version) = ("PartitionData.current_leader", layout.version);
            return Err(EncodeError::FieldNotInVersion { field, version });
        }
        let mut tags = TagWriter::open(writer, &unknown, &[0, 1, 2]);
        if let Some(EpochAndOffset { epoch, end_offset }) = diverging {
            let at = tags.field(writer, 0);
            writer.i32(epoch);
            writer.i64(end_offset);
            writer.unknown_tags(&unknown, layout);
            TagWriter::end_field(writer, at)?;
        }
        if let Some(leader) = leader {
            leader.write_field(&mut tags, 1, writer, layout)?;
        }
        // Unlike the diverging epoch, a snapshot's offset comes before its epoch.
        if let Some(EpochAndOffset { epoch, end_offset }) = snapshot {
            let at = tags.field(writer, 2);
            writer.i64(end_offset);
            writer.i32(epoch);
            writer.unknown_tags(&unknown, layout);
            TagWriter::end_field(writer, at)?;
        }
        tags.close(writer);
        Ok(())
    }
}
