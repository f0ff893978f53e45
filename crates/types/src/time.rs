//! Points in time as records carry them.

/// Milliseconds since 1970, as in records and requests. Negative values are legal in Kafka only as
/// "none", which is `Option::None` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Wraps milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// `None` for negative numbers: Kafka spells "no timestamp" as -1.
    #[must_use]
    pub const fn from_wire(raw: i64) -> Option<Self> {
        if raw >= 0 { Some(Self(raw)) } else { None }
    }

    /// -1 where there is none.
    #[must_use]
    pub const fn to_wire(value: Option<Self>) -> i64 {
        match value {
            Some(Self(raw)) => raw,
            None => -1,
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }
}

/// Who set a record's timestamp: `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker, when it appended.
    LogAppendTime,
}
