use super::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::ApiKey;
use crate::codec::{EncodeError, Layout, TagWriter, UnknownTags, Writer};
use crate::frame::OpenFrame;
use crate::messages::ResponseHeader;

/// What the two responses have in common: a frame, and partitions grouped by topic.
///
/// Topics, and partitions per topic, are counted first: their number is a varint in front of them,
/// and moving bytes later would move the holes for records.
#[derive(Debug)]
pub(super) struct Response<'b> {
    pub(super) writer: Writer<'b>,
    pub(super) layout: Layout,
    frame: OpenFrame,
    topics_left: usize,
    partitions_left: usize,
    inside_topic: bool,
}

impl<'b> Response<'b> {
    /// Opens the frame and appends the header.
    pub(super) fn begin(
        out: &'b mut Vec<u8>,
        key: ApiKey,
        version: i16,
        correlation_id: i32,
    ) -> Result<Self, EncodeError> {
        if !key.versions_ever().contains(&version) {
            return Err(EncodeError::UnsupportedVersion { version });
        }
        let flexible = key.first_flexible_version().is_some_and(|first| version >= first);
        let frame = OpenFrame::open(out);
        let mut writer = Writer::new(out);
        let header = ResponseHeader { correlation_id, ..ResponseHeader::default() };
        header.encode_for(&mut writer, key, version)?;
        Ok(Self {
            writer,
            layout: Layout { version, flexible },
            frame,
            topics_left: 0,
            partitions_left: 0,
            inside_topic: false,
        })
    }

    /// Appends the number of topics.
    pub(super) fn topics(&mut self, topics: usize) -> Result<(), EncodeError> {
        self.topics_left = topics;
        self.writer.length_of_bytes(Some(topics), self.layout)
    }

    /// Begins a topic of so many partitions.
    pub(super) fn topic(
        &mut self,
        topic: TopicRef<'_>,
        partitions: usize,
    ) -> Result<(), EncodeError> {
        self.end_topic();
        self.topics_left = self.topics_left.checked_sub(1).expect("as many topics as announced");
        topic.write(&mut self.writer, self.layout)?;
        self.writer.length_of_bytes(Some(partitions), self.layout)?;
        self.partitions_left = partitions;
        self.inside_topic = true;
        Ok(())
    }

    /// Counts a partition of the topic.
    pub(super) const fn partition(&mut self) {
        let left = self.partitions_left.checked_sub(1);
        self.partitions_left = left.expect("as many partitions as announced");
    }

    fn end_topic(&mut self) {
        assert_eq!(self.partitions_left, 0, "a topic has as many partitions as announced");
        if self.inside_topic {
            self.writer.unknown_tags(&UnknownTags::default(), self.layout);
            self.inside_topic = false;
        }
    }

    /// Ends the last topic.
    pub(super) fn end_topics(&mut self) {
        self.end_topic();
        assert_eq!(self.topics_left, 0, "a response has as many topics as announced");
    }

    /// Appends the endpoints as tagged field 0, and closes the frame around the buffer and the
    /// bytes that lie elsewhere.
    pub(super) fn finish(
        mut self,
        endpoints: &[NodeEndpoint<'_>],
        elsewhere: usize,
    ) -> Result<(), EncodeError> {
        let unknown = UnknownTags::default();
        let (writer, layout) = (&mut self.writer, self.layout);
        if endpoints.is_empty() {
            writer.unknown_tags(&unknown, layout);
        } else {
            let mut tags = TagWriter::open(writer, &unknown, &[0]);
            let at = tags.field(writer, 0);
            writer.length_of_bytes(Some(endpoints.len()), layout)?;
            endpoints.iter().try_for_each(|endpoint| endpoint.write(writer, layout))?;
            TagWriter::end_field(writer, at)?;
            tags.close(writer);
        }
        self.frame.close(self.writer.into_buffer(), elsewhere)
    }
}

impl NodeEndpoint<'_> {
    fn write(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        writer.i32(self.node_id);
        writer.string(self.host, layout)?;
        writer.i32(self.port);
        writer.nullable_string(self.rack, layout)?;
        writer.unknown_tags(&UnknownTags::default(), layout);
        Ok(())
    }
}

impl CurrentLeader {
    /// As a tagged field.
    pub(super) fn write_field(
        self,
        tags: &mut TagWriter<'_>,
        tag: u32,
        writer: &mut Writer<'_>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        let at = tags.field(writer, tag);
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.unknown_tags(&UnknownTags::default(), layout);
        TagWriter::end_field(writer, at)
    }
}
