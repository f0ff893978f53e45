use crate::codec::{DecodeError, EncodeError, Layout, Reader, Writer};
use ottla_types::Uuid;
use std::fmt;

/// The first version of Produce and of Fetch that names topics by id (KIP-516).
const TOPIC_ID_SINCE: i16 = 13;

/// A topic as the request names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicRef<'a> {
    /// By name, up to version 12.
    Name(&'a str),
    /// By id, since version 13.
    Id(Uuid),
}

impl TopicRef<'_> {
    pub(super) fn read<'a>(
        reader: &mut Reader<'a>,
        layout: Layout,
    ) -> Result<TopicRef<'a>, DecodeError> {
        if layout.version >= TOPIC_ID_SINCE {
            return reader.uuid().map(TopicRef::Id);
        }
        let name = reader.nullable_str(layout)?;
        name.map(TopicRef::Name).ok_or(DecodeError::UnexpectedNull)
    }

    /// The version decides whether a name or an id is on the wire, the other is left off.
    pub(super) fn write(self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        match (self, layout.version >= TOPIC_ID_SINCE) {
            (Self::Id(id), true) => writer.uuid(id),
            (Self::Name(name), false) => writer.string(name, layout)?,
            (Self::Name(_), true) => writer.uuid(Uuid::ZERO),
            (Self::Id(_), false) => writer.string("", layout)?,
        }
        Ok(())
    }
}

/// One partition of a request, and its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a, P> {
    /// The topic; equal for neighbours in the same topic.
    pub topic: TopicRef<'a>,
    /// What the request says about the partition.
    pub partition: P,
}

/// What a request can say about a partition.
pub trait Visit<'a>: Sized + Clone {
    /// Reads it and leaves the reader behind it.
    ///
    /// # Errors
    /// If the bytes are not one.
    fn visit(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError>;
}

impl<'a> Visit<'a> for i32 {
    fn visit(reader: &mut Reader<'a>, _: Layout) -> Result<Self, DecodeError> {
        reader.i32()
    }
}

/// The partitions of a request in its order, topic after topic, read where they lie.
///
/// Topics without partitions leave no trace.
#[derive(Clone)]
pub struct ByTopic<'a, P> {
    /// The first entry, in front of what the reader holds: it was read when the list was checked,
    /// and most lists have no other.
    first: Option<Entry<'a, P>>,
    reader: Reader<'a>,
    layout: Layout,
    topic: TopicRef<'a>,
    topics_left: usize,
    partitions_left: usize,
    /// The tagged fields of the topic are still to come.
    inside_topic: bool,
}

impl<'a, P: Visit<'a>> ByTopic<'a, P> {
    /// A list that the version does not have.
    pub(super) const fn absent(layout: Layout) -> Self {
        Self {
            first: None,
            reader: Reader::new(&[]),
            layout,
            topic: TopicRef::Name(""),
            topics_left: 0,
            partitions_left: 0,
            inside_topic: false,
        }
    }

    /// The entry of a list that has no other. A topic without partitions behind it counts as one.
    #[must_use]
    pub const fn lone(&self) -> Option<&Entry<'a, P>> {
        match &self.first {
            Some(first) if self.topics_left == 0 && self.partitions_left == 0 => Some(first),
            Some(_) | None => None,
        }
    }

    /// Walks over the list once and leaves `reader` behind it: what it yields later is sound.
    pub(super) fn check(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError> {
        let topics_left = count(reader, layout)?;
        let mut list = Self { reader: *reader, topics_left, ..Self::absent(layout) };
        list.first = list.step()?;
        let mut walk = list.clone();
        while walk.step()?.is_some() {}
        *reader = walk.reader;
        Ok(list)
    }

    #[inline]
    fn step(&mut self) -> Result<Option<Entry<'a, P>>, DecodeError> {
        while self.partitions_left == 0 {
            if self.inside_topic {
                self.reader.unknown_tags(self.layout)?;
                self.inside_topic = false;
            }
            let Some(left) = self.topics_left.checked_sub(1) else { return Ok(None) };
            self.topics_left = left;
            self.topic = TopicRef::read(&mut self.reader, self.layout)?;
            self.partitions_left = count(&mut self.reader, self.layout)?;
            self.inside_topic = true;
        }
        self.partitions_left -= 1;
        let partition = P::visit(&mut self.reader, self.layout)?;
        Ok(Some(Entry { topic: self.topic, partition }))
    }
}

impl<'a, P: Visit<'a>> Iterator for ByTopic<'a, P> {
    type Item = Entry<'a, P>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        self.step().expect("the list was walked once when the request arrived")
    }
}

impl<P> fmt::Debug for ByTopic<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByTopic").field("topics_left", &self.topics_left).finish_non_exhaustive()
    }
}

/// A count of things that take at least a byte each.
fn count(reader: &mut Reader<'_>, layout: Layout) -> Result<usize, DecodeError> {
    let count = reader.length_of_bytes(layout)?.ok_or(DecodeError::UnexpectedNull)?;
    let remaining = reader.remaining().len();
    if count > remaining {
        return Err(DecodeError::CountBeyondFrame { count, remaining });
    }
    Ok(count)
}
