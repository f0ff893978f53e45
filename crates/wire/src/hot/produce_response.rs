use super::response::Response;
use super::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::ApiKey;
use crate::codec::{EncodeError, Layout, TagWriter, UnknownTags, Writer};

/// A partition in a Produce response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceResponsePartition<'a> {
    /// The partition's number.
    pub index: i32,
    /// 0, or why the batch was refused.
    pub error_code: i16,
    /// The offset of the first record, -1 if nothing was appended.
    pub base_offset: i64,
    /// The broker's clock where the topic uses log append time, else -1; in milliseconds. Since
    /// version 2.
    pub log_append_time_ms: i64,
    /// Where the log starts, -1 if unknown; since version 5.
    pub log_start_offset: i64,
    /// The records that made the broker refuse the batch (KIP-467); since version 8.
    pub record_errors: &'a [RecordError<'a>],
    /// What was wrong, for people (KIP-467); since version 8.
    pub error_message: Option<&'a str>,
    /// Who leads instead (KIP-951); since version 10.
    pub current_leader: Option<CurrentLeader>,
}

/// A record that made the broker refuse its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError<'a> {
    /// The record's position in the batch.
    pub batch_index: i32,
    /// What is wrong with it, for people.
    pub message: Option<&'a str>,
}

impl Default for ProduceResponsePartition<'_> {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: &[],
            error_message: None,
            current_leader: None,
        }
    }
}

/// Appends a Produce response as one frame.
#[derive(Debug)]
pub struct ProduceResponseWriter<'b>(Response<'b>);

impl<'b> ProduceResponseWriter<'b> {
    /// Appends length, header and the number of topics.
    ///
    /// # Errors
    /// If the version is unknown.
    pub fn begin(
        out: &'b mut Vec<u8>,
        version: i16,
        correlation_id: i32,
        topics: usize,
    ) -> Result<Self, EncodeError> {
        let mut response = Response::begin(out, ApiKey::Produce, version, correlation_id)?;
        response.topics(topics)?;
        Ok(Self(response))
    }

    /// Begins a topic of so many partitions.
    ///
    /// # Errors
    /// If its name is too long for any topic.
    ///
    /// # Panics
    /// If the topic before has not all its partitions, or this is one topic too many.
    pub fn topic(&mut self, topic: TopicRef<'_>, partitions: usize) -> Result<(), EncodeError> {
        self.0.topic(topic, partitions)
    }

    /// Appends a partition.
    ///
    /// # Errors
    /// If the version cannot say it.
    ///
    /// # Panics
    /// If this is one partition too many for its topic.
    pub fn partition(
        &mut self,
        partition: &ProduceResponsePartition<'_>,
    ) -> Result<(), EncodeError> {
        self.0.partition();
        partition.write(&mut self.0.writer, self.0.layout)
    }

    /// Where the error code of the next partition will stand in the buffer.
    #[must_use]
    pub const fn next_error_at(&self) -> usize {
        self.0.writer.position() + size_of::<i32>()
    }

    /// Appends what follows the last topic, and writes the length of the frame.
    ///
    /// # Errors
    /// If the version has no endpoints and some are given, or the frame is too long.
    ///
    /// # Panics
    /// If topics or partitions are missing.
    pub fn finish(
        mut self,
        throttle_time_ms: i32,
        endpoints: &[NodeEndpoint<'_>],
    ) -> Result<(), EncodeError> {
        self.0.end_topics();
        let version = self.0.layout.version;
        if version >= 1 {
            self.0.writer.i32(throttle_time_ms);
        }
        if !endpoints.is_empty() && version < 10 {
            let field = "ProduceResponse.node_endpoints";
            return Err(EncodeError::FieldNotInVersion { field, version });
        }
        self.0.finish(endpoints, 0)
    }
}

/// Where a batch is, as an answer says it that was written beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedAt {
    /// The offset of the first record.
    pub base_offset: i64,
    /// As [`ProduceResponsePartition::log_append_time_ms`]; since version 2.
    pub log_append_time_ms: i64,
    /// Where the log starts; since version 5.
    pub log_start_offset: i64,
}

impl ProducedAt {
    /// Says so in `answer`, for the partition whose error code stands at `error_at`.
    ///
    /// # Panics
    /// If no partition's answer stands there.
    pub fn write_to(self, answer: &mut [u8], error_at: usize, version: i16) {
        let Self { base_offset, log_append_time_ms, log_start_offset } = self;
        let fields = [base_offset, log_append_time_ms, log_start_offset];
        let known = match version {
            ..=1 => 1,
            2..=4 => 2,
            _ => fields.len(),
        };
        let places = answer.get_mut(error_at + size_of::<i16>()..).unwrap_or_default();
        assert!(places.len() >= known * size_of::<i64>(), "a partition's answer stands there");
        for (place, field) in places.chunks_exact_mut(size_of::<i64>()).zip(fields).take(known) {
            place.copy_from_slice(&field.to_be_bytes());
        }
    }
}

impl ProduceResponsePartition<'_> {
    fn write(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        writer.i32(self.index);
        writer.i16(self.error_code);
        writer.i64(self.base_offset);
        if layout.version >= 2 {
            writer.i64(self.log_append_time_ms);
        }
        if layout.version >= 5 {
            writer.i64(self.log_start_offset);
        }
        if layout.version >= 8 {
            self.write_explanation(writer, layout)?;
        }
        self.write_tags(writer, layout)
    }

    fn write_explanation(
        &self,
        writer: &mut Writer<'_>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        writer.length_of_bytes(Some(self.record_errors.len()), layout)?;
        for error in self.record_errors {
            writer.i32(error.batch_index);
            writer.nullable_string(error.message, layout)?;
            writer.unknown_tags(&UnknownTags::default(), layout);
        }
        writer.nullable_string(self.error_message, layout)
    }

    fn write_tags(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        let unknown = UnknownTags::default();
        let leader = self.current_leader.filter(|leader| *leader != CurrentLeader::UNSET);
        let Some(leader) = leader else {
            writer.unknown_tags(&unknown, layout);
            return Ok(());
        };
        if layout.version < 10 {
            let field = "PartitionProduceResponse.current_leader";
            return Err(EncodeError::FieldNotInVersion { field, version: layout.version });
        }
        let mut tags = TagWriter::open(writer, &unknown, &[0]);
        leader.write_field(&mut tags, 0, writer, layout)?;
        tags.close(writer);
        Ok(())
    }
}
