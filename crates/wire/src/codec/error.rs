/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside of a field.
    #[error("{needed} bytes needed, {remaining} left")]
    TooShort {
        /// What the field takes.
        needed: usize,
        /// What there is.
        remaining: usize,
    },
    /// The bytes go on behind the message.
    #[error("{count} bytes too many")]
    TrailingBytes {
        /// Bytes left over.
        count: usize,
    },
    /// A length or count below zero that does not mean null.
    #[error("length {length}")]
    NegativeLength {
        /// As sent.
        length: i32,
    },
    /// A list has more elements than the bytes behind it could hold.
    #[error("{count} elements in {remaining} bytes")]
    CountBeyondFrame {
        /// As sent.
        count: usize,
        /// Bytes behind the count.
        remaining: usize,
    },
    /// A string longer than any string may be.
    #[error("a string of {length} bytes")]
    StringTooLong {
        /// As sent.
        length: usize,
    },
    /// A string is not UTF-8.
    #[error("a string that is not UTF-8")]
    NotUtf8,
    /// Null where the field may not be null.
    #[error("null where a value is required")]
    UnexpectedNull,
    /// A varint of more than 32 bits.
    #[error("a varint of more than 32 bits")]
    VarintTooLong,
    /// Tags must rise, each at most once.
    #[error("tag {tag} after tag {before}")]
    TagOutOfOrder {
        /// The tag that is out of order.
        tag: u32,
        /// The one before it.
        before: u32,
    },
    /// A known tag in a version that does not have it.
    #[error("tag {tag} does not exist in version {version}")]
    TagNotInVersion {
        /// The tag.
        tag: u32,
        /// The version of the message.
        version: i16,
    },
    /// The message has no such version.
    #[error("version {version} does not exist")]
    UnsupportedVersion {
        /// As asked for.
        version: i16,
    },
    /// No API has this key.
    #[error("API key {key} does not exist")]
    UnknownApiKey {
        /// As sent.
        key: i16,
    },
    /// A stored metadata record in an unknown frame.
    #[error("metadata record frame version {version}")]
    UnknownRecordFrame {
        /// As stored.
        version: u32,
    },
    /// A stored metadata record of an unknown type.
    #[error("metadata record type {type_number}")]
    UnknownRecordType {
        /// As stored.
        type_number: u32,
    },
}

/// Why a message cannot be said in the version asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The message has no such version.
    #[error("version {version} does not exist")]
    UnsupportedVersion {
        /// As asked for.
        version: i16,
    },
    /// A field is set that the version lacks, and dropping it would change the meaning.
    #[error("{field} does not exist in version {version}")]
    FieldNotInVersion {
        /// `Struct.field`.
        field: &'static str,
        /// As asked for.
        version: i16,
    },
    /// A field is null that may not be null in the version.
    #[error("{field} cannot be null in version {version}")]
    NullNotInVersion {
        /// `Struct.field`.
        field: &'static str,
        /// As asked for.
        version: i16,
    },
    /// A string, bytes or list longer than its length field can say.
    #[error("a length of {length}")]
    TooLong {
        /// Bytes or elements.
        length: usize,
    },
    /// A message of more bytes than its writer allows.
    #[error("more than {bytes_max} bytes")]
    BeyondBound {
        /// As the writer was told.
        bytes_max: usize,
    },
}
