//! Ids, epochs and offsets: one type each, so that the compiler tells them apart.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($raw);

        impl $name {
            /// The smallest value.
            pub const ZERO: Self = Self(0);

            /// Wraps a number that is known to be valid.
            ///
            /// # Panics
            /// If `raw` is negative: the sentinels of the protocol have no place inside.
            #[inline]
            #[must_use]
            pub const fn new(raw: $raw) -> Self {
                assert!(raw >= 0, "negative numbers exist on the wire only");
                Self(raw)
            }

            /// `None` for every negative number: Kafka spells "unknown" as -1.
            #[inline]
            #[must_use]
            pub const fn from_wire(raw: $raw) -> Option<Self> {
                if raw >= 0 { Some(Self(raw)) } else { None }
            }

            /// Kafka's spelling of an optional number: -1 where there is none.
            #[inline]
            #[must_use]
            pub const fn to_wire(value: Option<Self>) -> $raw {
                match value {
                    Some(Self(raw)) => raw,
                    None => -1,
                }
            }

            /// The bare number.
            #[inline]
            #[must_use]
            pub const fn get(self) -> $raw {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// A record's position in its partition.
    Offset(i64)
}
number! {
    /// Counts the leaders that a partition has had.
    LeaderEpoch(i32)
}
number! {
    /// Counts the changes of a partition's state in the metadata log.
    PartitionEpoch(i32)
}
number! {
    /// A node of the cluster, broker or controller.
    NodeId(i32)
}
number! {
    /// Counts a broker's registrations: the offset of its registration record.
    BrokerEpoch(i64)
}
number! {
    /// A partition's number within its topic.
    PartitionId(i32)
}
number! {
    /// An idempotent or transactional producer.
    ProducerId(i64)
}
number! {
    /// Fences older incarnations of one producer id.
    ProducerEpoch(i16)
}
number! {
    /// A record's number in its producer's stream to one partition; wraps to 0 after 2^31-1.
    Sequence(i32)
}

/// A node in the role of broker.
pub type BrokerId = NodeId;

impl Offset {
    /// The offset `count` records further on.
    #[inline]
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self::new(self.0 + count)
    }

    /// The next offset.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }
}

impl LeaderEpoch {
    /// The epoch after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0 + 1)
    }
}

impl PartitionEpoch {
    /// The epoch after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0 + 1)
    }
}

impl Sequence {
    /// The sequence `count` records further on, wrapping as producers do.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is below 2^31")]
    pub const fn plus(self, count: i32) -> Self {
        Self((self.0 as i64 + count as i64).rem_euclid(1 << 31) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(Sequence::new(i32::MAX).plus(1), Sequence::ZERO);
        assert_eq!(Sequence::new(i32::MAX).plus(3), Sequence::new(2));
        assert_eq!(Sequence::ZERO.plus(-1), Sequence::new(i32::MAX));
    }

    #[test]
    fn negative_numbers_are_absent() {
        assert_eq!(Offset::from_wire(-1), None);
        assert_eq!(Offset::to_wire(None), -1);
        assert_eq!(Offset::from_wire(7).map(Offset::get), Some(7));
    }
}
