//! Zig-zag variable-length integers, as records have them.

/// Takes an integer of up to 32 bits from the front of `bytes`.
#[inline]
pub(crate) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    if let Some(short) = take_short(bytes) {
        return Some(i32::from(short));
    }
    let raw = u32::try_from(take(bytes, 5)?).ok()?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Takes an integer of up to 64 bits from the front of `bytes`.
#[inline]
pub(crate) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    if let Some(short) = take_short(bytes) {
        return Some(i64::from(short));
    }
    let raw = take(bytes, 10)?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// The one or two bytes that nearly all integers of a record have, six of them in the smallest.
#[inline]
fn take_short(bytes: &mut &[u8]) -> Option<i16> {
    let (raw, rest) = match **bytes {
        [low, ref rest @ ..] if low < 0x80 => (u16::from(low), rest),
        [low, high, ref rest @ ..] if high < 0x80 => {
            (u16::from(low & 0x7f) | (u16::from(high) << 7), rest)
        }
        _ => return None,
    };
    *bytes = rest;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

fn take(bytes: &mut &[u8], most: usize) -> Option<u64> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(most).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * u32::try_from(index).ok()?;
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Appends `value`.
pub(crate) fn put(into: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        into.push(0x80 | rest.to_le_bytes()[0]);
        rest >>= 7;
    }
    into.push(rest.to_le_bytes()[0]);
}

/// How many bytes [`put`] appends.
pub(crate) fn len(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = 64 - (raw | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive_and_have_their_known_bytes() {
        check(0, &[0]);
        check(-1, &[1]);
        check(1, &[2]);
        check(63, &[126]);
        check(-64, &[127]);
        check(64, &[0x80, 1]);
        check(300, &[0xd8, 4]);
        check(i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]);
        check(i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]);
        check(i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        check(i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    fn check(value: i64, bytes: &[u8]) {
        let mut encoded = Vec::new();
        put(&mut encoded, value);
        assert_eq!(encoded, bytes, "{value}");
        assert_eq!(len(value), bytes.len(), "{value}");
        let mut rest = bytes;
        assert_eq!(take_i64(&mut rest), Some(value));
        assert!(rest.is_empty());
        let mut rest = bytes;
        assert_eq!(take_i32(&mut rest), i32::try_from(value).ok(), "{value}");
    }

    #[test]
    fn cut_and_overlong_integers_are_refused() {
        for bytes in [&[][..], &[0x80], &[0xff; 4], &[0xff; 11]] {
            assert_eq!(take_i32(&mut &bytes[..]), None, "{bytes:?}");
            assert_eq!(take_i64(&mut &bytes[..]), None, "{bytes:?}");
        }
        assert_eq!(take_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 1][..]), None);
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
    }
}
