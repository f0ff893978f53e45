//! Topics and their partitions.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{PartitionId, Uuid, limits};

/// A topic's identity: survives renames, tells a recreated topic from its namesake.
pub type TopicId = Uuid;

/// A legal topic name: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a text cannot name a topic; the words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    #[error(
        "Topic name is invalid: the length of '{0}' is longer than the max allowed length {max}",
        max = limits::TOPIC_NAME_BYTES_MAX
    )]
    TooLong(String),
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than \
         ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

impl TopicName {
    /// Parses a topic name.
    ///
    /// # Errors
    /// When the text cannot name a topic.
    pub fn parse(text: &str) -> Result<Self, InvalidTopicName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match text {
            "" => Err(InvalidTopicName::Empty),
            "." | ".." => Err(InvalidTopicName::Dots(text.to_owned())),
            _ if text.len() > limits::TOPIC_NAME_BYTES_MAX => {
                Err(InvalidTopicName::TooLong(text.to_owned()))
            }
            _ if !text.chars().all(legal) => Err(InvalidTopicName::Characters(text.to_owned())),
            _ => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether metrics would confuse the two names: Kafka turns `.` into `_` there, and refuses a
    /// topic whose name collides with another's in that spelling.
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.bytes().zip(other.0.bytes()).all(|(a, b)| {
                let fold = |c: u8| if c == b'.' { b'_' } else { c };
                fold(a) == fold(b)
            })
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopicName;

    fn from_str(text: &str) -> Result<Self, InvalidTopicName> {
        Self::parse(text)
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One partition of one topic; spelled `topic-3`, as its directory is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicName,
    pub partition: PartitionId,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_legal_topic_names_are_parsed() {
        let long = "a".repeat(250);
        check("orders", true);
        check("a.b_c-D9", true);
        check(&long[..249], true);
        check(&long, false);
        check("", false);
        check(".", false);
        check("..", false);
        check("a b", false);
        check("é", false);
    }

    fn check(text: &str, legal: bool) {
        assert_eq!(TopicName::parse(text).is_ok(), legal, "{text}");
    }

    #[test]
    fn names_that_differ_in_dots_and_underscores_collide() {
        let name = |text| TopicName::parse(text).unwrap();
        assert!(name("a.b").collides_with(&name("a_b")));
        assert!(!name("a.b").collides_with(&name("a-b")));
    }
}
