use super::{Element, EncodeError, Layout, STRING_BYTES_MAX, UnknownTags};
use ottla_types::Uuid;

/// Appends primitives to a buffer that somebody else owns and reuses.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    copies_lists: bool,
    bytes_max: usize,
}

impl<'b> Writer<'b> {
    /// Appends behind what the buffer holds already.
    #[inline]
    pub const fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out, copies_lists: true, bytes_max: usize::MAX }
    }

    /// As [`Self::new`], but a list ends with [`EncodeError::BeyondBound`] once the buffer holds
    /// more than `bytes_max`: what a stranger asks for may repeat itself without end.
    pub const fn bounded(out: &'b mut Vec<u8>, bytes_max: usize) -> Self {
        Self { out, copies_lists: true, bytes_max }
    }

    /// As [`Self::new`], but a list that was decoded is written element by element instead of
    /// copied: tests of the elements' own encoders want that.
    pub const fn spelling_out_lists(out: &'b mut Vec<u8>) -> Self {
        Self { out, copies_lists: false, bytes_max: usize::MAX }
    }

    /// Before each element of a list.
    #[inline]
    pub(crate) const fn check_bound(&self) -> Result<(), EncodeError> {
        match self.out.len() > self.bytes_max {
            true => Err(EncodeError::BeyondBound { bytes_max: self.bytes_max }),
            false => Ok(()),
        }
    }

    /// Whether the bytes of a decoded list may be copied.
    pub(crate) const fn copies_lists(&self) -> bool {
        self.copies_lists
    }

    /// The buffer, to patch what was written.
    pub(crate) const fn into_buffer(self) -> &'b mut Vec<u8> {
        self.out
    }

    /// Bytes in the buffer, those from before included.
    #[inline]
    #[must_use]
    pub const fn position(&self) -> usize {
        self.out.len()
    }

    /// Bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// One byte, 0 or 1.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    /// One byte.
    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// Two bytes.
    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// Two bytes without a sign.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes without a sign.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes of IEEE 754.
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// Sixteen bytes.
    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(value.as_bytes());
    }

    /// An unsigned varint in as few bytes as it needs.
    #[inline]
    pub fn uvarint(&mut self, value: u32) {
        match u8::try_from(value) {
            Ok(byte @ 0..0x80) => self.out.push(byte),
            _ => self.long_uvarint(value),
        }
    }

    fn long_uvarint(&mut self, value: u32) {
        let (bytes, length) = uvarint(value);
        self.raw(bytes.get(..length).unwrap_or_default());
    }

    /// A string that is never null.
    ///
    /// # Errors
    /// If it is longer than [`STRING_BYTES_MAX`].
    pub fn string(&mut self, value: &str, layout: Layout) -> Result<(), EncodeError> {
        self.nullable_string(Some(value), layout)
    }

    /// A string or null.
    ///
    /// # Errors
    /// If it is longer than [`STRING_BYTES_MAX`].
    pub fn nullable_string(
        &mut self,
        value: Option<&str>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        let length = value.map(str::len);
        if let Some(length) = length.filter(|length| *length > STRING_BYTES_MAX) {
            return Err(EncodeError::TooLong { length });
        }
        if layout.flexible {
            self.compact(length)?;
        } else {
            self.i16(length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX)));
        }
        self.raw(value.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Bytes or records that are never null.
    ///
    /// # Errors
    /// If they are longer than a signed 32-bit length can say.
    pub fn bytes(&mut self, value: &[u8], layout: Layout) -> Result<(), EncodeError> {
        self.nullable_bytes(Some(value), layout)
    }

    /// Bytes, records or null.
    ///
    /// # Errors
    /// If they are longer than a signed 32-bit length can say.
    pub fn nullable_bytes(
        &mut self,
        value: Option<&[u8]>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        self.length_of_bytes(value.map(<[u8]>::len), layout)?;
        self.raw(value.unwrap_or_default());
        Ok(())
    }

    /// A struct behind a byte that says whether there is one.
    ///
    /// # Errors
    /// If the version cannot say what it holds.
    pub fn nullable_struct<'a, T: Element<'a>>(
        &mut self,
        value: Option<&T>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        self.i8(if value.is_some() { 1 } else { -1 });
        value.map_or(Ok(()), |value| value.write(self, layout))
    }

    /// A struct in a tagged field that may be null: the mark before it is a varint there.
    ///
    /// # Errors
    /// If the struct cannot be written.
    pub fn nullable_tagged_struct<'a, T: Element<'a>>(
        &mut self,
        value: Option<&T>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        self.uvarint(value.is_some().into());
        value.map_or(Ok(()), |value| value.write(self, layout))
    }

    /// The length of bytes, records or a list; `None` is null.
    ///
    /// # Errors
    /// If it is more than a signed 32-bit length can say.
    #[inline]
    pub(crate) fn length_of_bytes(
        &mut self,
        length: Option<usize>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        if layout.flexible {
            return self.compact(length);
        }
        let raw = match length {
            None => -1,
            Some(length) => signed(length)?,
        };
        self.i32(raw);
        Ok(())
    }

    #[inline]
    fn compact(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let raw = match length {
            None => 0,
            Some(length) => signed(length)?.unsigned_abs() + 1,
        };
        self.uvarint(raw);
        Ok(())
    }

    /// The tagged fields of a struct that knows none.
    #[inline]
    pub(crate) fn unknown_tags(&mut self, tags: &UnknownTags<'_>, layout: Layout) {
        tags.write(self, layout);
    }

    /// Puts a varint in front of what was written since `at`, once its value is known.
    pub(crate) fn insert_uvarint(&mut self, at: usize, value: u32) {
        let (bytes, length) = uvarint(value);
        let bytes = bytes.get(..length).unwrap_or_default();
        self.out.splice(at..at, bytes.iter().copied());
    }
}

/// Java's lengths are signed.
pub(crate) fn signed(length: usize) -> Result<i32, EncodeError> {
    i32::try_from(length).map_err(|_| EncodeError::TooLong { length })
}

/// The bytes of an unsigned varint and how many of them count.
fn uvarint(value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut rest = value;
    let mut length = 0;
    for byte in &mut bytes {
        length += 1;
        let [.., low] = rest.to_be_bytes();
        rest >>= 7;
        *byte = if rest == 0 { low } else { low | 0x80 };
        if rest == 0 {
            break;
        }
    }
    (bytes, length)
}
