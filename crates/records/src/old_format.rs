//! Telling messages of Kafka's old formats from garbage.

use crate::SIZED_BYTES;

/// Offset, length, checksum, format, attributes: what opens a message of format 0 or 1.
const HEAD_BYTES: usize = SIZED_BYTES + 6;

/// Where the checksum begins to count.
const CHECKED_FROM: usize = SIZED_BYTES + 4;

/// How many bytes the message has that `head` begins with, if it is one of format 0 or 1, which
/// Kafka wrote before 0.11. Whether it is one, [`is_old_message`] says.
#[must_use]
pub fn old_message_size(head: &[u8]) -> Option<u32> {
    let format = head.get(..HEAD_BYTES)?[CHECKED_FROM];
    let length: &[u8; 4] = head[8..].first_chunk()?;
    let length = u32::try_from(i32::from_be_bytes(*length)).ok()?;
    let size = length.checked_add(u32::try_from(SIZED_BYTES).ok()?)?;
    (format <= 1 && size as usize >= HEAD_BYTES).then_some(size)
}

/// Whether `message` is a whole message of format 0 or 1: its checksum, a CRC-32, is right.
#[must_use]
pub fn is_old_message(message: &[u8]) -> bool {
    let whole = old_message_size(message).is_some_and(|size| size as usize == message.len());
    whole && {
        let stored = message[SIZED_BYTES..].first_chunk().map(|crc| u32::from_be_bytes(*crc));
        stored == Some(crc_fast::crc32_iso_hdlc(&message[CHECKED_FROM..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset 5, format 1, no attributes, timestamp 7, no key, value `abc`.
    fn message() -> Vec<u8> {
        let mut body = vec![1, 0];
        body.extend_from_slice(&7_i64.to_be_bytes());
        body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 3]);
        body.extend_from_slice(b"abc");
        let crc = crc_fast::crc32_iso_hdlc(&body);
        let length = i32::try_from(body.len() + 4).unwrap();
        [&5_i64.to_be_bytes()[..], &length.to_be_bytes(), &crc.to_be_bytes(), &body].concat()
    }

    #[test]
    fn an_old_message_is_known_by_its_checksum() {
        let message = message();
        assert!(is_old_message(&message));
        assert_eq!(old_message_size(&message[..HEAD_BYTES]), Some(37));
        for at in 8..message.len() {
            let mut damaged = message.clone();
            damaged[at] ^= 4;
            assert!(!is_old_message(&damaged), "byte {at}");
        }
        assert!(!is_old_message(&message[..36]));
        assert!(!is_old_message(&[0; 100]));
        assert_eq!(old_message_size(&[0; HEAD_BYTES]), None);
    }
}
