use super::{DecodeError, Element, Layout, STRING_BYTES_MAX, UnknownTags};
use ottla_types::Uuid;
use std::borrow::Cow;

/// Reads primitives off the front of a slice; everything it gives borrows from the slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes not read yet.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> &'a [u8] {
        self.bytes
    }

    /// Says that the message ends here.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] if it does not.
    pub const fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }

    /// The next `length` bytes as they are.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let remaining = self.bytes.len();
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(DecodeError::TooShort { needed: length, remaining })?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let remaining = self.bytes.len();
        let (taken, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(DecodeError::TooShort { needed: N, remaining })?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// A byte: any but zero is true, as Kafka reads it.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// One byte.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// Two bytes without a sign.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Four bytes without a sign.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// Eight bytes of IEEE 754.
    ///
    /// # Errors
    /// If the bytes end.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(f64::from_be_bytes)
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// If the bytes end.
    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid::from_bytes)
    }

    /// An unsigned varint: seven bits a byte, the lowest first, at most 32 bits.
    ///
    /// # Errors
    /// If the bytes end, or the number has more bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        // Nearly all are lengths below 128 or empty tag sections.
        if let Some((byte, rest)) = self.bytes.split_first()
            && *byte < 0x80
        {
            self.bytes = rest;
            return Ok(u32::from(*byte));
        }
        self.long_uvarint()
    }

    #[cold]
    fn long_uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            // The fifth byte has room for four bits.
            if shift == 28 && byte > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A string that is never null.
    ///
    /// # Errors
    /// If it is null, too long, or not UTF-8.
    pub fn string(&mut self, layout: Layout) -> Result<Cow<'a, str>, DecodeError> {
        self.nullable_string(layout)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// A string or null.
    ///
    /// # Errors
    /// If it is too long, or not UTF-8.
    pub fn nullable_string(&mut self, layout: Layout) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.nullable_str(layout)?.map(Cow::Borrowed))
    }

    /// As [`Self::nullable_string`], where nobody needs to own it.
    ///
    /// # Errors
    /// If it is too long, or not UTF-8.
    #[inline]
    pub fn nullable_str(&mut self, layout: Layout) -> Result<Option<&'a str>, DecodeError> {
        let length = if layout.flexible { self.compact()? } else { length(self.i16()?.into())? };
        let Some(length) = length else { return Ok(None) };
        if length > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong { length });
        }
        let text = str::from_utf8(self.take(length)?).map_err(|_| DecodeError::NotUtf8)?;
        Ok(Some(text))
    }

    /// Bytes or records that are never null.
    ///
    /// # Errors
    /// If they are null, or cut short.
    pub fn bytes(&mut self, layout: Layout) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.nullable_bytes(layout)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Bytes, records or null.
    ///
    /// # Errors
    /// If they are cut short.
    pub fn nullable_bytes(&mut self, layout: Layout) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        Ok(self.nullable_slice(layout)?.map(Cow::Borrowed))
    }

    /// As [`Self::nullable_bytes`], where nobody needs to own them.
    ///
    /// # Errors
    /// If they are cut short.
    #[inline]
    pub fn nullable_slice(&mut self, layout: Layout) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.length_of_bytes(layout)? {
            None => Ok(None),
            Some(length) => Ok(Some(self.take(length)?)),
        }
    }

    /// A struct behind a byte that says whether there is one.
    ///
    /// # Errors
    /// If it is not such a struct.
    pub fn nullable_struct<T: Element<'a>>(
        &mut self,
        layout: Layout,
    ) -> Result<Option<T>, DecodeError> {
        if self.i8()? < 0 { Ok(None) } else { T::read(self, layout).map(Some) }
    }

    /// A struct in a tagged field that may be null: the mark before it is a varint there.
    ///
    /// # Errors
    /// If the frame is too short, or the struct cannot be read.
    pub fn nullable_tagged_struct<T: Element<'a>>(
        &mut self,
        layout: Layout,
    ) -> Result<Option<T>, DecodeError> {
        if self.uvarint()? == 0 { Ok(None) } else { T::read(self, layout).map(Some) }
    }

    /// The length of bytes, records or a list; `None` is null.
    #[inline]
    pub(crate) fn length_of_bytes(&mut self, layout: Layout) -> Result<Option<usize>, DecodeError> {
        if layout.flexible { self.compact() } else { length(self.i32()?) }
    }

    /// A compact length: zero is null, everything else one more than the length.
    #[inline]
    fn compact(&mut self) -> Result<Option<usize>, DecodeError> {
        let raw = self.uvarint()?;
        // Java's lengths are signed: the largest varint would be a negative one.
        match raw.checked_sub(1) {
            None => Ok(None),
            Some(length) if length <= i32::MAX.unsigned_abs() => Ok(usize::try_from(length).ok()),
            Some(_) => Err(DecodeError::NegativeLength { length: i32::MIN }),
        }
    }

    /// The tagged fields of a struct that knows none.
    #[inline]
    pub(crate) fn unknown_tags(&mut self, layout: Layout) -> Result<UnknownTags<'a>, DecodeError> {
        if !layout.flexible || self.skip_no_tags() {
            return Ok(UnknownTags::default());
        }
        UnknownTags::read(self, layout)
    }

    /// Reads an empty section of tagged fields, if there is one: most are.
    #[inline]
    pub(crate) fn skip_no_tags(&mut self) -> bool {
        match self.bytes.split_first() {
            Some((0, rest)) => {
                self.bytes = rest;
                true
            }
            _ => false,
        }
    }
}

#[inline]
fn length(raw: i32) -> Result<Option<usize>, DecodeError> {
    match raw {
        -1 => Ok(None),
        _ => match usize::try_from(raw) {
            Ok(length) => Ok(Some(length)),
            Err(_) => Err(DecodeError::NegativeLength { length: raw }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;

    const CLASSIC: Layout = Layout { version: 0, flexible: false };
    const FLEXIBLE: Layout = Layout { version: 0, flexible: true };

    #[test]
    #[rustfmt::skip]
    fn varints_have_at_most_32_bits() {
        check(&[0],                             Ok(0));
        check(&[0x7f],                          Ok(127));
        check(&[0x80, 1],                       Ok(128));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f],  Ok(u32::MAX));
        // Longer than needed, as Kafka takes it too.
        check(&[0x80, 0x80, 0],                 Ok(0));
        check(&[0xff, 0xff, 0xff, 0xff, 0x1f],  Err(DecodeError::VarintTooLong));
        check(&[0x80, 0x80, 0x80, 0x80, 0x80],  Err(DecodeError::VarintTooLong));
        check(&[0x80],                          Err(too_short(1, 0)));

        fn check(bytes: &[u8], expected: Result<u32, DecodeError>) {
            assert_eq!(Reader::new(bytes).uvarint(), expected, "{bytes:x?}");
        }
    }

    const fn too_short(needed: usize, remaining: usize) -> DecodeError {
        DecodeError::TooShort { needed, remaining }
    }

    #[test]
    fn varints_are_written_in_as_few_bytes_as_they_need() {
        for shift in 0..32 {
            for value in [1_u32 << shift, (1 << shift) - 1, u32::MAX >> shift] {
                let mut out = Vec::new();
                Writer::new(&mut out).uvarint(value);
                assert_eq!(Reader::new(&out).uvarint(), Ok(value));
                let bits = 32 - value.leading_zeros();
                assert_eq!(out.len(), bits.div_ceil(7).max(1) as usize, "{value}");
            }
        }
    }

    #[test]
    #[rustfmt::skip]
    fn strings_have_two_spellings_and_one_bound() {
        let negative = |length| Err(DecodeError::NegativeLength { length });
        check(CLASSIC,  &[0, 2, b'h', b'i'],             Ok(Some("hi")));
        check(CLASSIC,  &[0, 0],                         Ok(Some("")));
        check(CLASSIC,  &[0xff, 0xff],                   Ok(None));
        check(CLASSIC,  &[0xff, 0xfe],                   negative(-2));
        check(CLASSIC,  &[0, 2, b'h'],                   Err(too_short(2, 1)));
        check(CLASSIC,  &[0, 1, 0xff],                   Err(DecodeError::NotUtf8));
        check(FLEXIBLE, &[3, b'h', b'i'],                Ok(Some("hi")));
        check(FLEXIBLE, &[1],                            Ok(Some("")));
        check(FLEXIBLE, &[0],                            Ok(None));
        check(FLEXIBLE, &[0x81, 0x80, 2],                Err(too_long(0x8000)));
        check(FLEXIBLE, &[0xff, 0xff, 0xff, 0xff, 0x0f], negative(i32::MIN));

        fn check(layout: Layout, bytes: &[u8], expected: Result<Option<&str>, DecodeError>) {
            assert_eq!(Reader::new(bytes).nullable_str(layout), expected, "{bytes:x?}");
        }
        const fn too_long(length: usize) -> DecodeError {
            DecodeError::StringTooLong { length }
        }
    }

    #[test]
    fn null_is_refused_where_a_value_is_required() {
        let null = Err(DecodeError::UnexpectedNull);
        assert_eq!(Reader::new(&[0]).string(FLEXIBLE), null.clone());
        assert_eq!(Reader::new(&[0xff; 2]).string(CLASSIC), null);
        assert_eq!(Reader::new(&[0xff; 4]).bytes(CLASSIC), Err(DecodeError::UnexpectedNull));
    }
}
