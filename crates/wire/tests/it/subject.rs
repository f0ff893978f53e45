//! What the tests want to know of every message.

use crate::random::Arbitrary;
use ottla_wire::{ApiKey, DecodeError, EncodeError};
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// A message under test. Bytes are leaked: the tests draw some megabytes in all.
pub(crate) trait Subject: Arbitrary + Clone + Debug + PartialEq + Default {
    const NAME: &'static str;
    const KEY: Option<ApiKey>;
    const VERSIONS: RangeInclusive<i16>;
    const FLEXIBLE: Option<i16>;

    /// Decodes a whole frame: nothing may be left over.
    fn from_bytes(bytes: &'static [u8], version: i16) -> Result<Self, DecodeError>;
    fn to_bytes(&self, version: i16) -> Result<Vec<u8>, EncodeError>;
}

/// Sees every message once.
pub(crate) trait Visitor {
    fn visit<S: Subject>(&mut self);
}

macro_rules! subject {
    ($path:ty, $name:expr, $key:expr, $flexible:expr) => {
        impl Subject for $path {
            const NAME: &'static str = $name;
            const KEY: Option<ottla_wire::ApiKey> = $key;
            const VERSIONS: std::ops::RangeInclusive<i16> = <$path>::VERSIONS;
            const FLEXIBLE: Option<i16> = $flexible;

            fn from_bytes(
                bytes: &'static [u8],
                version: i16,
            ) -> Result<Self, ottla_wire::DecodeError> {
                let mut reader = ottla_wire::Reader::new(bytes);
                let message = <$path>::decode(&mut reader, version)?;
                reader.finish()?;
                Ok(message)
            }

            fn to_bytes(&self, version: i16) -> Result<Vec<u8>, ottla_wire::EncodeError> {
                let mut bytes = Vec::new();
                <$path>::encode(self, &mut ottla_wire::Writer::new(&mut bytes), version)?;
                Ok(bytes)
            }
        }
    };
}
