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
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes not read yet.
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
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let remaining = self.bytes.len();
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(DecodeError::TooShort { needed: length, remaining })?;
        self.bytes = rest;
        Ok(taken)
    }

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
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// One byte.
    ///
    /// # Errors
    /// If the bytes end.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// If the bytes end.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// Two bytes without a sign.
    ///
    /// # Errors
    /// If the bytes end.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// If the bytes end.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Four bytes without a sign.
    ///
    /// # Errors
    /// If the bytes end.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// If the bytes end.
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
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid::from_bytes)
    }

    /// An unsigned varint: seven bits a byte, the lowest first, at most 32 bits.
    ///
    /// # Errors
    /// If the bytes end, or the number has more bits.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
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

    /// The length of bytes, records or a list; `None` is null.
    pub(crate) fn length_of_bytes(&mut self, layout: Layout) -> Result<Option<usize>, DecodeError> {
        if layout.flexible { self.compact() } else { length(self.i32()?) }
    }

    /// A compact length: zero is null, everything else one more than the length.
    fn compact(&mut self) -> Result<Option<usize>, DecodeError> {
        let raw = self.uvarint()?;
        // Java's lengths are signed.
        let signed = i32::try_from(i64::from(raw) - 1)
            .map_err(|_| DecodeError::NegativeLength { length: i32::MIN })?;
        length(signed)
    }

    /// The tagged fields of a struct that knows none.
    pub(crate) fn unknown_tags(&mut self, layout: Layout) -> Result<UnknownTags<'a>, DecodeError> {
        UnknownTags::read(self, layout)
    }
}

fn length(raw: i32) -> Result<Option<usize>, DecodeError> {
    match raw {
        -1 => Ok(None),
        _ => match usize::try_from(raw) {
            Ok(length) => Ok(Some(length)),
            Err(_) => Err(DecodeError::NegativeLength { length: raw }),
        },
    }
}
