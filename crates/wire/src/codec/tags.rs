use super::writer::signed;
use super::{DecodeError, EncodeError, Layout, Reader, Writer};

/// Tagged fields that nobody here knows, kept as they came and sent on as they came (KIP-482).
///
/// `raw` runs from the first unknown field to the end of the last one. Known fields may lie in
/// between; they are skipped when the section is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnknownTags<'a> {
    raw: &'a [u8],
    count: u32,
}

impl<'a> UnknownTags<'a> {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The section of a struct without known tags.
    pub(crate) fn read(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError> {
        let mut tags = TagReader::open(reader, layout)?;
        while tags.next(reader)?.is_some() {
            tags.unknown(reader);
        }
        Ok(tags.close())
    }

    /// The section of a struct without known tags.
    #[inline]
    pub(crate) fn write(&self, writer: &mut Writer<'_>, layout: Layout) {
        if layout.flexible {
            writer.uvarint(self.count);
            writer.raw(self.raw);
        }
    }
}

/// Walks a section of tagged fields.
#[derive(Debug)]
pub(crate) struct TagReader<'a> {
    left: u32,
    before: Option<u32>,
    /// Where the field being read began.
    field: &'a [u8],
    /// Where the first unknown field began.
    first_unknown: Option<&'a [u8]>,
    unknown: UnknownTags<'a>,
}

impl<'a> TagReader<'a> {
    /// Reads the count; there is no section in versions that are not flexible.
    pub(crate) fn open(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError> {
        let left = if layout.flexible { reader.uvarint()? } else { 0 };
        Ok(Self {
            left,
            before: None,
            field: &[],
            first_unknown: None,
            unknown: UnknownTags::default(),
        })
    }

    /// The next field: its tag, and a reader that ends where the field does.
    pub(crate) fn next(
        &mut self,
        reader: &mut Reader<'a>,
    ) -> Result<Option<(u32, Reader<'a>)>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.field = reader.remaining();
        let tag = reader.uvarint()?;
        if let Some(before) = self.before.filter(|before| *before >= tag) {
            return Err(DecodeError::TagOutOfOrder { tag, before });
        }
        self.before = Some(tag);
        let size = reader.uvarint()?;
        let size = usize::try_from(size).map_err(|_| DecodeError::VarintTooLong)?;
        Ok(Some((tag, Reader::new(reader.take(size)?))))
    }

    /// Keeps the field just read.
    pub(crate) fn unknown(&mut self, reader: &Reader<'a>) {
        let first = *self.first_unknown.get_or_insert(self.field);
        let length = first.len().saturating_sub(reader.remaining().len());
        self.unknown.raw = first.get(..length).unwrap_or_default();
        self.unknown.count += 1;
    }

    /// What nobody knew.
    pub(crate) const fn close(self) -> UnknownTags<'a> {
        self.unknown
    }
}

/// Writes a section of tagged fields, the unknown ones between the known ones, in rising order.
#[derive(Debug)]
pub(crate) struct TagWriter<'u> {
    start: usize,
    count: u32,
    unknown: Reader<'u>,
    known: &'static [u32],
}

impl<'u> TagWriter<'u> {
    /// `known` are the tags that the caller writes itself.
    pub(crate) const fn open(
        writer: &Writer<'_>,
        unknown: &UnknownTags<'u>,
        known: &'static [u32],
    ) -> Self {
        Self { start: writer.position(), count: 0, unknown: Reader::new(unknown.raw), known }
    }

    /// Begins a known field; its value follows, then [`Self::end_field`] with what this gave.
    pub(crate) fn field(&mut self, writer: &mut Writer<'_>, tag: u32) -> usize {
        self.unknown_below(writer, Some(tag));
        self.count += 1;
        writer.uvarint(tag);
        writer.position()
    }

    /// Ends a known field.
    pub(crate) fn end_field(writer: &mut Writer<'_>, at: usize) -> Result<(), EncodeError> {
        let size = signed(writer.position() - at)?;
        writer.insert_uvarint(at, size.unsigned_abs());
        Ok(())
    }

    /// Ends the section.
    pub(crate) fn close(mut self, writer: &mut Writer<'_>) {
        self.unknown_below(writer, None);
        writer.insert_uvarint(self.start, self.count);
    }

    fn unknown_below(&mut self, writer: &mut Writer<'_>, tag: Option<u32>) {
        loop {
            let whole = self.unknown.remaining();
            let mut next = self.unknown;
            // The section was walked when it was read: only its end stops this.
            let Ok(found) = next.uvarint() else { return };
            if tag.is_some_and(|tag| found >= tag) {
                return;
            }
            let Ok(size) = next.uvarint() else { return };
            if next.take(usize::try_from(size).unwrap_or(usize::MAX)).is_err() {
                return;
            }
            if !self.known.contains(&found) {
                writer.raw(whole.get(..whole.len() - next.remaining().len()).unwrap_or_default());
                self.count += 1;
            }
            self.unknown = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEXIBLE: Layout = Layout { version: 0, flexible: true };

    /// Reads a section whose tags 1 and 4 are known, and writes it with these values for them.
    fn again(
        section: &[u8],
        first: Option<i8>,
        fourth: Option<i8>,
    ) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new(section);
        let mut tags = TagReader::open(&mut reader, FLEXIBLE)?;
        while let Some((tag, field)) = tags.next(&mut reader)? {
            match tag {
                1 | 4 => assert_eq!(field.remaining().len(), 1),
                _ => tags.unknown(&reader),
            }
        }
        reader.finish()?;
        let unknown = tags.close();
        let mut out = Vec::new();
        let writer = &mut Writer::new(&mut out);
        let mut tags = TagWriter::open(writer, &unknown, &[1, 4]);
        for (tag, value) in [(1, first), (4, fourth)] {
            if let Some(value) = value {
                let at = tags.field(writer, tag);
                writer.i8(value);
                TagWriter::end_field(writer, at).expect("a byte is not too long");
            }
        }
        tags.close(writer);
        Ok(out)
    }

    #[test]
    #[rustfmt::skip]
    fn unknown_fields_keep_their_place_between_known_ones() {
        //    tag, size, value ...                           1        4        count and fields
        check(&[0],                                          None,    None,    &[0]);
        check(&[1, 0, 2, 8, 9],                              None,    None,    &[1, 0, 2, 8, 9]);
        check(&[1, 0, 0],                                    Some(7), Some(9), &[3, 0, 0, 1, 1, 7, 4, 1, 9]);
        check(&[3, 1, 1, 7, 2, 0, 4, 1, 9],                  Some(7), Some(9), &[3, 1, 1, 7, 2, 0, 4, 1, 9]);
        check(&[4, 0, 0, 1, 1, 7, 4, 1, 9, 0xe8, 7, 1, 5],   Some(7), Some(9), &[4, 0, 0, 1, 1, 7, 4, 1, 9, 0xe8, 7, 1, 5]);
        // A known field that is no longer set leaves nothing behind.
        check(&[4, 0, 0, 1, 1, 7, 4, 1, 9, 0xe8, 7, 1, 5],   None,    Some(2), &[3, 0, 0, 4, 1, 2, 0xe8, 7, 1, 5]);
        check(&[3, 0, 0, 1, 1, 7, 5, 0],                     None,    None,    &[2, 0, 0, 5, 0]);
    }

    fn check(section: &[u8], first: Option<i8>, fourth: Option<i8>, expected: &[u8]) {
        assert_eq!(again(section, first, fourth).as_deref(), Ok(expected), "{section:?}");
    }

    #[test]
    fn sections_out_of_order_or_too_short_are_refused() {
        let refused = |section: &[u8], error| assert_eq!(again(section, None, None), Err(error));
        refused(&[2, 5, 0, 5, 0], DecodeError::TagOutOfOrder { tag: 5, before: 5 });
        refused(&[2, 5, 0, 3, 0], DecodeError::TagOutOfOrder { tag: 3, before: 5 });
        refused(&[1, 5, 3, 0], DecodeError::TooShort { needed: 3, remaining: 1 });
        refused(&[2, 5, 0], DecodeError::TooShort { needed: 1, remaining: 0 });
        refused(&[1, 5, 0, 9], DecodeError::TrailingBytes { count: 1 });
    }
}
