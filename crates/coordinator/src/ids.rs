//! The names of groups and members: one type each, all cheap to clone.

use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name.
            #[must_use]
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }

            /// `None` for the empty text: Kafka spells "none" so.
            #[must_use]
            pub fn from_wire(text: &str) -> Option<Self> {
                (!text.is_empty()).then(|| Self::new(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A group's name. The empty one is legal for commits of consumers without a group only.
    GroupId
}
name! {
    /// A member's name, made by the coordinator (classic) or by the member itself (KIP-848).
    MemberId
}
name! {
    /// The name of a static member (KIP-345), which outlives its process.
    InstanceId
}

/// The generation of a classic group, or the epoch of a consumer group or of its member: never
/// below zero, and never smaller than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(i32);

impl Epoch {
    /// Before the first rebalance.
    pub const ZERO: Self = Self(0);

    /// Wraps a number that is known to be valid.
    ///
    /// # Panics
    /// If it is negative: the sentinels of the protocol have no place inside.
    #[must_use]
    pub const fn new(raw: i32) -> Self {
        assert!(raw >= 0, "negative epochs exist on the wire only");
        Self(raw)
    }

    /// `None` for every negative number.
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw >= 0 { Some(Self(raw)) } else { None }
    }

    /// -1 where there is none.
    #[must_use]
    pub const fn to_wire(value: Option<Self>) -> i32 {
        match value {
            Some(Self(raw)) => raw,
            None => -1,
        }
    }

    /// The bare number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The one after it. Two thousand million rebalances away from zero it stays where it is,
    /// which is better than to become negative.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
