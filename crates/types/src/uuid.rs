//! Kafka's uuid: 16 bytes, spelled in base64url without padding.

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 16 bytes; the first 100 values are reserved by Kafka.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// Not the 22 characters of a uuid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a base64url uuid of 22 characters")]
pub struct ParseUuidError(String);

impl Uuid {
    /// All zero: "no id" on the wire.
    pub const ZERO: Self = Self([0; 16]);
    /// The id of the topic `__cluster_metadata`.
    pub const METADATA_TOPIC: Self = Self::from_u128(1);

    /// From its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// From a number, the most significant byte first.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether Kafka keeps this value for itself (the first 100), or its spelling would begin with
    /// a dash, which command lines would take for a flag.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        u128::from_be_bytes(self.0) < 100 || self.to_string().starts_with('-')
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(self.0);
        // 22 characters hold 132 bits: the last four are padding.
        for at in (0..22).rev() {
            let sextet = if at == 0 { (number << 4) & 63 } else { (number >> (at * 6 - 4)) & 63 };
            write!(f, "{}", char::from(ALPHABET[sextet as usize & 63]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let refused = || ParseUuidError(text.to_owned());
        let digits = text.strip_suffix("==").unwrap_or(text);
        if digits.len() != 22 {
            return Err(refused());
        }
        let mut number = 0_u128;
        for (at, digit) in digits.bytes().enumerate() {
            let sextet = ALPHABET.iter().position(|c| *c == digit).ok_or_else(refused)? as u128;
            number = if at == 21 { (number << 2) | (sextet >> 4) } else { (number << 6) | sextet };
        }
        Ok(Self::from_u128(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_spelled_as_kafka_spells_them() {
        check(Uuid::METADATA_TOPIC, "AAAAAAAAAAAAAAAAAAAAAQ");
        check(Uuid::ZERO, "AAAAAAAAAAAAAAAAAAAAAA");
        check(Uuid::from_u128(u128::MAX), "_____________________w");
        check(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "ASNFZ4mrze8BI0VniavN7w");
    }

    fn check(uuid: Uuid, text: &str) {
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.parse(), Ok(uuid));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAA!", "AAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(text.parse::<Uuid>(), Err(ParseUuidError(text.to_owned())), "{text}");
        }
    }
}
