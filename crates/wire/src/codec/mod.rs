//! Primitives of the protocol: reading, writing, lists and tagged fields.

mod error;
mod list;
mod reader;
mod tags;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use list::{Iter, List};
pub use reader::Reader;
pub use tags::UnknownTags;
pub(crate) use tags::{TagReader, TagWriter};
pub use writer::Writer;
pub(crate) use writer::signed;

/// Kafka's longest string, in bytes: strings once had a signed 2-byte length, and newer versions
/// keep the bound.
pub const STRING_BYTES_MAX: usize = 0x7fff;

/// How a message of some version is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The version of the whole message.
    pub version: i16,
    /// Compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
}

impl Layout {
    /// The layout of a field that keeps its old spelling in flexible versions.
    #[must_use]
    pub const fn classic(self) -> Self {
        Self { version: self.version, flexible: false }
    }
}

/// What a [`List`] can hold.
pub trait Element<'a>: Sized + Clone {
    /// The least number of bytes that one takes in any version: bounds the counts of lists.
    const BYTES_MIN: usize;

    /// Reads one and leaves the reader behind it.
    ///
    /// # Errors
    /// If the bytes are not one.
    fn read(reader: &mut Reader<'a>, layout: Layout) -> Result<Self, DecodeError>;

    /// Appends it.
    ///
    /// # Errors
    /// If the version cannot say what it holds.
    fn write(&self, writer: &mut Writer<'_>, layout: Layout) -> Result<(), EncodeError>;
}
