//! A log of which no file is open. Most partitions of most nodes are idle: a start looks at their
//! names, and opens what somebody asks for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{DirEntry, Disk, DiskExt};
use ottla_types::Offset;

use crate::compact::finish_interrupted;
use crate::listing::Listing;
use crate::segment::Segment;
use crate::view::SealedSegment;
use crate::{LogConfig, LogPosition, LogView, OpenLogError, SetAside};

/// What the checkpoints of a log directory say of one partition; by default, nothing.
///
/// Whoever makes a partition anew where one of the same name was has to see that the old one's
/// entries are gone, durably, before its directory is: a log that ends before its recovery point
/// has lost what was durable, and does not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpointed {
    /// Of `recovery-point-offset-checkpoint`: everything before it is durable.
    pub recovery_point: Option<Offset>,
    /// Of `log-start-offset-checkpoint`: everything before it was deleted.
    pub log_start: Option<Offset>,
    /// The last process that wrote here stopped cleanly (`.kafka_cleanshutdown`): there is nothing
    /// behind the recovery point.
    pub clean: bool,
    /// A sync has failed since the machine started: what is read back behind the recovery point is
    /// written again before it is synced, since the kernel may take dropped pages for clean.
    pub sync_failed: bool,
}

impl Checkpointed {
    /// How the names of those files end whose lengths are to be known before a log is looked at:
    /// those of segments where it will stay as it is; all, where it will be opened at once.
    #[must_use]
    pub const fn measured(&self) -> &'static str {
        if self.clean { ".log" } else { "" }
    }
}

/// A log as its directory's names tell it. Readers can be served from it; a writer opens it.
#[derive(Clone, Debug)]
pub struct DormantLog {
    pub(crate) directory: Arc<Path>,
    pub(crate) config: LogConfig,
    pub(crate) known: Checkpointed,
    pub(crate) view: LogView,
    /// The end, if it is known.
    pub(crate) settled: Option<LogPosition>,
    /// There is no segment: the first one will be made.
    pub(crate) is_new: bool,
    /// The names, if the log is about to be opened.
    pub(crate) listing: Option<Listing>,
    /// What was deleted and not removed yet when the last process ended.
    pub(crate) leftovers: SetAside,
}

impl DormantLog {
    /// From here on the log has these settings.
    pub const fn configure(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Looks at the names of a log's directory. One that is missing is made when the log is opened:
    /// most partitions of most topics are never written to.
    ///
    /// # Errors
    /// When the disk refuses, or what a compaction has left cannot be completed.
    pub async fn survey(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        config: LogConfig,
        known: Checkpointed,
    ) -> Result<Self, OpenLogError> {
        let mut listing = Listing::of(disk.list(directory).await)?;
        if listing.swap().is_some() {
            finish_interrupted(disk, directory).await?;
            listing = Listing::of(disk.list(directory).await)?;
        }
        Self::of_listing(listing, directory, config, known)
    }

    /// As [`Self::survey`], of names that were read before, and the lengths of files whose names
    /// end as [`Checkpointed::measured`] says.
    ///
    /// # Errors
    /// As [`Self::survey`]; [`OpenLogError::InterruptedCompaction`] where that would complete one.
    pub fn of(
        listed: io::Result<Vec<DirEntry>>,
        directory: &Path,
        config: LogConfig,
        known: Checkpointed,
    ) -> Result<Self, OpenLogError> {
        let dormant = Self::of_listing(Listing::of(listed)?, directory, config, known)?;
        // Whoever opens it needs the lengths of the others as well.
        let listing = dormant.listing.filter(|_| !known.clean);
        Ok(Self { listing, ..dormant })
    }

    fn of_listing(
        listing: Listing,
        directory: &Path,
        config: LogConfig,
        known: Checkpointed,
    ) -> Result<Self, OpenLogError> {
        if let Some(file) = listing.swap() {
            return Err(OpenLogError::InterruptedCompaction { file: file.to_owned() });
        }
        let directory: Arc<Path> = directory.into();
        let leftovers = SetAside::among(&directory, listing.files());
        let mut found = listing.segments();
        let is_new = found.is_empty();
        if is_new {
            found.push((known.log_start.unwrap_or(Offset::ZERO), 0));
        }
        let (last, earlier) = found.split_last().expect("one was pushed");
        let settled = settled_end(&known, is_new, *last);
        let seal = |(base, len): &(Offset, u64)| SealedSegment {
            segment: Arc::new(Segment::sealed(&directory, *base, *len, &config)),
            end: *len,
        };
        let sealed: Vec<SealedSegment> = earlier.iter().map(seal).collect();
        let active = Arc::new(Segment::active(&directory, last.0, last.1, &config));
        let start = found[0].0.max(known.log_start.unwrap_or(Offset::ZERO));
        let settled = settled.filter(|end| start <= end.offset);
        let view = LogView::new(start, sealed, active);
        // Thousands stay as they are; the others are opened at once.
        let listing = settled.is_none().then_some(listing);
        Ok(Self { directory, config, known, view, settled, is_new, listing, leftovers })
    }

    /// Whether the end is known without reading a byte: the log is new, or was stopped cleanly and
    /// its files agree with its recovery point. Only such a log can be read before it is opened.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// The oldest offset.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.view.start_offset()
    }

    /// The log's end, all of it durable.
    ///
    /// # Panics
    /// If the log is not settled.
    #[must_use]
    pub const fn end(&self) -> LogPosition {
        self.settled.expect("only the end of a settled log is known")
    }

    /// What has to be synced before the log's names are durable: its own and those in it.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let parent = self.directory.parent().map(|parent| {
            if parent.as_os_str().is_empty() { Path::new(".") } else { parent }.to_owned()
        });
        std::iter::once(self.directory.to_path_buf()).chain(parent).collect()
    }

    /// The files that were deleted and not removed yet when the last process ended: the host
    /// removes them.
    pub fn take_leftovers(&mut self) -> SetAside {
        std::mem::take(&mut self.leftovers)
    }

    /// For readers. Those that hold it when the log is opened may go on with it.
    #[must_use]
    pub fn view(&self) -> LogView {
        self.view.clone()
    }
}

/// Where a log ends whose last segment is `last`, if that can be told from outside.
fn settled_end(
    known: &Checkpointed,
    is_new: bool,
    (base, len): (Offset, u64),
) -> Option<LogPosition> {
    let beginning = LogPosition::beginning_of(base);
    let point = known.recovery_point;
    if is_new {
        return point.is_none_or(|point| point <= base).then_some(beginning);
    }
    let offset = point.filter(|_| known.clean)?;
    // An empty segment ends where it begins, and no other does.
    let agrees = offset >= base && (offset == base) == (len == 0);
    agrees.then_some(LogPosition { offset, segment_base: base, position: len })
}
