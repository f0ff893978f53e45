//! Compaction: of the records with the same key, only the newest stays.
//!
//! 1. What is *dirty* was appended since the last compaction; whole segments of it, below whatever
//!    is open, uncommitted, not checkpointed or young, are looked at ([`DirtFacts`]).
//! 2. A walk over what is dirty learns where the newest record of each key is, as many keys as
//!    memory is given for.
//! 3. A walk over everything from the log's beginning to where the first one has ended writes what
//!    stays: the newest record of each key, unless it is a tombstone whose time is over; nothing of
//!    aborted transactions; a marker as long as there is something that it marks. Offsets stay what
//!    they are, and small neighbours become one segment.
//! 4. Each new segment takes the place of the old ones in one move ([`CleanedSegment`]). Readers
//!    that are at the old ones stay there.
//! 5. The host writes down how far it has come (`cleaner-offset-checkpoint`).
//!
//! A tombstone is not removed by the first compaction that meets it: whoever reads the log from its
//! beginning at that time may have read an older value, and has to be told. That compaction writes
//! into the batch from which time on it may go (KIP-534).

mod filter;
mod key_map;
mod passes;
mod plan;
mod run;
mod swap;
mod transactions;

pub use filter::RecordsFault;
pub use key_map::{HashSeeds, KEY_BYTES};
pub use plan::{Dirt, DirtFacts};
pub use run::{Compaction, CompactionError, CompactionSettings, CompactionStart, Step, Work};
pub(crate) use swap::{CLEANED, SWAP, finish_interrupted};
pub use swap::{CleanedSegment, Swapping};
