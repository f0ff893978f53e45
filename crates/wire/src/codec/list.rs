use super::{DecodeError, Element, EncodeError, Layout, Reader, Writer};
use ottla_types::Uuid;
use std::borrow::Cow;
use std::fmt;

/// A list that costs nothing to decode: its bytes are checked once and decoded again when somebody
/// asks. Made from a `Vec` when a message is built.
#[derive(Clone)]
pub struct List<'a, T>(Items<'a, T>);

#[derive(Clone)]
enum Items<'a, T> {
    /// `count` elements that were decoded once, with success, and thrown away.
    Encoded {
        bytes: &'a [u8],
        count: usize,
        layout: Layout,
    },
    Owned(Vec<T>),
}

impl<'a, T: Element<'a>> List<'a, T> {
    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.0 {
            Items::Encoded { count, .. } => *count,
            Items::Owned(items) => items.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements by value: decoded, or cloned where the list was built.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, 'a, T> {
        Iter(match &self.0 {
            Items::Encoded { bytes, count, layout } => {
                Cursor::Encoded { reader: Reader::new(bytes), left: *count, layout: *layout }
            }
            Items::Owned(items) => Cursor::Owned(items.iter()),
        })
    }

    /// The first element.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// Reads a list that is never null.
    pub(crate) fn read(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError> {
        Self::read_nullable(reader, layout)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Reads a list or null.
    pub(crate) fn read_nullable(
        reader: &mut Reader<'a>,
        layout: Layout,
    ) -> Result<Option<Self>, DecodeError> {
        let Some(count) = reader.length_of_bytes(layout)? else { return Ok(None) };
        let all = reader.remaining();
        if count > all.len() / T::BYTES_MIN {
            return Err(DecodeError::CountBeyondFrame { count, remaining: all.len() });
        }
        for _ in 0..count {
            T::read(reader, layout)?;
        }
        let bytes = all.get(..all.len() - reader.remaining().len()).unwrap_or_default();
        Ok(Some(Self(Items::Encoded { bytes, count, layout })))
    }

    /// Appends the list; what was decoded with the same layout is copied as it is.
    pub(crate) fn write(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        Self::write_nullable(Some(self), writer, layout)
    }

    /// Appends the list or null.
    pub(crate) fn write_nullable(
        list: Option<&Self>,
        writer: &mut Writer<'_>,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        writer.length_of_bytes(list.map(Self::len), layout)?;
        match list.map(|list| &list.0) {
            None => Ok(()),
            Some(Items::Encoded { bytes, layout: own, .. })
                if *own == layout && writer.copies_lists() =>
            {
                writer.raw(bytes);
                Ok(())
            }
            Some(Items::Owned(items)) => items.iter().try_for_each(|item| {
                writer.check_bound()?;
                item.write(writer, layout)
            }),
            Some(Items::Encoded { .. }) => {
                list.into_iter().flatten().try_for_each(|item| item.write(writer, layout))
            }
        }
    }
}

/// The elements of a [`List`], by value.
#[derive(Clone, Debug)]
pub struct Iter<'l, 'a, T>(Cursor<'l, 'a, T>);

#[derive(Clone, Debug)]
enum Cursor<'l, 'a, T> {
    Encoded { reader: Reader<'a>, left: usize, layout: Layout },
    Owned(std::slice::Iter<'l, T>),
}

impl<'a, T: Element<'a>> Iterator for Iter<'_, 'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Cursor::Owned(items) => items.next().cloned(),
            Cursor::Encoded { reader, left, layout } => {
                *left = left.checked_sub(1)?;
                Some(T::read(reader, *layout).expect("these bytes were decoded when they arrived"))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Cursor::Encoded { left, .. } => *left,
            Cursor::Owned(items) => items.len(),
        };
        (left, Some(left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for Iter<'_, 'a, T> {}

impl<'l, 'a, T: Element<'a>> IntoIterator for &'l List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'l, 'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self(Items::Owned(Vec::new()))
    }
}

impl<T> From<Vec<T>> for List<'_, T> {
    fn from(items: Vec<T>) -> Self {
        Self(Items::Owned(items))
    }
}

impl<T> FromIterator<T> for List<'_, T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(Items::Owned(items.into_iter().collect()))
    }
}

impl<'a, T: Element<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a, T: Element<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Element<'a> for i8 {
    const BYTES_MIN: usize = 1;

    fn read(reader: &mut Reader<'a>, _: Layout) -> Result<Self, DecodeError> {
        reader.i8()
    }

    fn write(&self, writer: &mut Writer<'_>, _: Layout) -> Result<(), EncodeError> {
        writer.i8(*self);
        Ok(())
    }
}

impl<'a> Element<'a> for i32 {
    const BYTES_MIN: usize = 4;

    fn read(reader: &mut Reader<'a>, _: Layout) -> Result<Self, DecodeError> {
        reader.i32()
    }

    fn write(&self, writer: &mut Writer<'_>, _: Layout) -> Result<(), EncodeError> {
        writer.i32(*self);
        Ok(())
    }
}

impl<'a> Element<'a> for i64 {
    const BYTES_MIN: usize = 8;

    fn read(reader: &mut Reader<'a>, _: Layout) -> Result<Self, DecodeError> {
        reader.i64()
    }

    fn write(&self, writer: &mut Writer<'_>, _: Layout) -> Result<(), EncodeError> {
        writer.i64(*self);
        Ok(())
    }
}

impl<'a> Element<'a> for Uuid {
    const BYTES_MIN: usize = 16;

    fn read(reader: &mut Reader<'a>, _: Layout) -> Result<Self, DecodeError> {
        reader.uuid()
    }

    fn write(&self, writer: &mut Writer<'_>, _: Layout) -> Result<(), EncodeError> {
        writer.uuid(*self);
        Ok(())
    }
}

impl<'a> Element<'a> for Cow<'a, str> {
    const BYTES_MIN: usize = 1;

    fn read(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError> {
        reader.string(layout)
    }

    fn write(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError> {
        writer.string(self, layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_at_its_writers_bound() {
        let layout = Layout { version: 0, flexible: false };
        let list: List<'_, Uuid> = (0..100).map(|_| Uuid::ZERO).collect();
        for (bytes_max, fits) in [(0, false), (1_000, false), (1_604, true)] {
            let mut out = Vec::new();
            let written = list.write(&mut Writer::bounded(&mut out, bytes_max), layout);
            assert_eq!(written.is_ok(), fits, "{bytes_max}: {written:?}");
            // One element at the most passes it.
            assert!(out.len() <= bytes_max + 16, "{} bytes", out.len());
        }
    }
}
