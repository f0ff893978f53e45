//! Kafka's protocol, byte for byte: primitives, every request, response and stored record, frames.
//!
//! Messages borrow from the bytes they were decoded from, and lists are decoded when they are
//! walked: a hostile count has nothing to allocate. `cargo xtask gen` writes [`messages`] and
//! [`records`] from `schema/`.

pub mod codec;
mod frame;
mod generated;
pub mod hot;
mod metadata_frame;

pub use codec::{DecodeError, Element, EncodeError, Layout, List, Reader, UnknownTags, Writer};
pub use frame::{HeaderVersions, OpenFrame};
pub use generated::{ApiKey, ErrorCode, messages, records};
pub use messages::{RequestHeader, ResponseHeader};
