//! What must happen now and then, or the seeds prove nothing: counted over all of them, and a
//! zero fails the run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// Something that some seed must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The node died before it served.
    DiedStarting,
    /// A bit of a segment flipped.
    BitFlipped,
    /// A power loss has shown that a sync had lied.
    LieShown,
    /// Derived files were deleted or corrupted while the node was down.
    DerivedFilesHarmed,
    /// A client was told of a failing disk.
    StorageError,
    /// A torn end of a log was cut off.
    TornTailCut,
    /// Segments went because their records were too old.
    SegmentsDeletedByAge,
    /// Segments went because their log was too large.
    SegmentsDeletedBySize,
    /// Somebody has deleted records.
    RecordsDeleted,
    /// A log started where it did before the node died.
    LogStartRestored,
    /// A fetch named in a session only what had changed.
    IncrementalFetch,
    /// A session was asked for that the node did not know any more.
    SessionGone,
    /// A checkpoint was written.
    CheckpointWritten,
    /// The node died, and the next life had a checkpoint to begin with.
    DiedBehindCheckpoint,
    /// Producers were restored from a snapshot.
    SnapshotLoaded,
    /// A snapshot could not be used.
    SnapshotRefused,
    /// The indexes of a segment were made from its batches.
    IndexesRebuilt,
    /// A partition was found damaged and set aside.
    Quarantine,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::DiedStarting,
        Self::BitFlipped,
        Self::LieShown,
        Self::DerivedFilesHarmed,
        Self::StorageError,
        Self::TornTailCut,
        Self::SegmentsDeletedByAge,
        Self::SegmentsDeletedBySize,
        Self::RecordsDeleted,
        Self::LogStartRestored,
        Self::IncrementalFetch,
        Self::SessionGone,
        Self::CheckpointWritten,
        Self::DiedBehindCheckpoint,
        Self::SnapshotLoaded,
        Self::SnapshotRefused,
        Self::IndexesRebuilt,
        Self::Quarantine,
    ];

    /// Whether a line of the node's log tells of it; clients or the nemesis see the others.
    fn is_told_by(self, line: &Line) -> bool {
        let says = |words| line.message.contains(words);
        let counts = |field| line.fields.contains(field) && !line.fields.contains(&zero(field));
        match self {
            Self::DiedStarting
            | Self::BitFlipped
            | Self::LieShown
            | Self::DerivedFilesHarmed
            | Self::StorageError
            | Self::RecordsDeleted
            | Self::LogStartRestored
            | Self::IncrementalFetch
            | Self::SessionGone
            | Self::DiedBehindCheckpoint => false,
            Self::TornTailCut => says("a crash tore the end of segment"),
            Self::CheckpointWritten => says("checkpoint written"),
            Self::SnapshotLoaded => says("producers restored from a snapshot"),
            Self::SnapshotRefused => says("producer snapshot cannot be used"),
            Self::IndexesRebuilt => says("indexes are made anew"),
            Self::Quarantine => says("is offline"),
            Self::SegmentsDeletedByAge => says("old segments deleted") && counts("by_age="),
            Self::SegmentsDeletedBySize => says("old segments deleted") && counts("by_size="),
        }
    }
}

fn zero(field: &str) -> String {
    format!("{field}0")
}

/// How often each event happened.
pub type Counts = BTreeMap<Event, u64>;

thread_local! {
    static COUNTS: RefCell<Counts> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts an event of the run on this thread.
pub(super) fn happens(event: Event) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(event).or_default() += 1);
}

/// How often an event has happened in the run on this thread.
pub(super) fn count_of(event: Event) -> u64 {
    COUNTS.with_borrow(|counts| counts.get(&event).copied().unwrap_or(0))
}

/// What happened in `run`, as far as it is counted.
pub(super) fn watching<T>(prints: bool, run: impl FnOnce() -> T) -> (T, Counts) {
    COUNTS.take();
    let result = tracing::subscriber::with_default(Listener { prints }, run);
    (result, COUNTS.take())
}

/// Hears what the node writes into its log.
struct Listener {
    prints: bool,
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if self.prints {
            let level = event.metadata().level();
            eprintln!("              {level} {}{}", line.message, line.fields);
        }
        let heard = |event: &&Event| event.is_told_by(&line);
        Event::ALL.iter().filter(heard).for_each(|event| happens(*event));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        written.expect("a string takes everything");
    }
}
