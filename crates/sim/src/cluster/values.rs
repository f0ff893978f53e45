//! The values that clients write: each unique, and its every byte known from its name.

use crate::draws::mix;

/// A client that writes.
pub(super) type Writer = u32;

/// One record of one writer, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value {
    pub(super) writer: Writer,
    pub(super) number: u32,
}

const NAME_BYTES: usize = 8;

impl Value {
    /// The value in its bytes: its name and a filling that only it has.
    pub(super) fn bytes(self) -> Vec<u8> {
        let name = (u64::from(self.writer) << 32) | u64::from(self.number);
        let mut bytes = name.to_be_bytes().to_vec();
        // Some writers fill pages, some write many batches to a page.
        let unit = if self.writer.is_multiple_of(2) { 13 } else { 130 };
        let len = match mix(name) % 16 {
            0 => 1_000,
            1 => 0,
            more => more * unit,
        };
        for word in 0..len.div_ceil(8) {
            bytes.extend_from_slice(&mix(name ^ word).to_be_bytes());
        }
        bytes
    }

    /// The value that these are the bytes of.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let name = u64::from_be_bytes(*bytes.first_chunk::<NAME_BYTES>()?);
        let writer = u32::try_from(name >> 32).expect("32 bits");
        let number = u32::try_from(name & u64::from(u32::MAX)).expect("32 bits");
        let value = Self { writer, number };
        (value.bytes() == bytes).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_recognised_and_a_changed_one_is_not() {
        for number in 0..100 {
            let value = Value { writer: 3, number };
            let mut bytes = value.bytes();
            assert_eq!(Value::parse(&bytes), Some(value));
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            assert_ne!(Value::parse(&bytes), Some(value));
        }
        assert_eq!(Value::parse(b"short"), None);
    }
}
