//! What of a log survives a crash, and what is being done about the rest.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File};

use crate::{Log, LogPosition};

/// What has to be synced, all of it, before the log's end is durable.
#[derive(Debug)]
pub struct Unsynced {
    pub files: Vec<Arc<dyn File>>,
    /// Directories whose names are not durable yet, to be synced with or after the files: nothing
    /// counts as durable in a file whose name is not.
    pub directories: Vec<PathBuf>,
    /// Everything before it is durable once they are.
    pub upto: LogPosition,
    /// Bytes that were appended since the log was opened and wait for it.
    pub bytes: u64,
}

impl Unsynced {
    /// Makes it durable, by itself. A host that has many syncs them together.
    ///
    /// # Errors
    /// When the disk refuses: what is durable is unknown for ever then.
    pub async fn make_durable(&self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        if !self.files.is_empty() {
            disk.sync_files(self.files.clone()).await?;
        }
        for directory in &self.directories {
            disk.sync_names(directory).await?;
        }
        Ok(())
    }
}

/// What is durable, in bytes since the log was opened and as a place.
#[derive(Debug)]
pub(crate) struct Durability {
    pub(crate) synced_end: LogPosition,
    pub(crate) appended: u64,
    synced: u64,
    /// Files with bytes that no sync has been asked for; the active one last.
    dirty: Vec<Arc<dyn File>>,
    /// Directories with names that no sync has been asked for.
    directories: Vec<PathBuf>,
    /// Nothing was synced since the log was recovered: what was cut off may come back.
    recovered: bool,
    in_flight: Option<InFlight>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    upto: LogPosition,
    appended: u64,
}

impl Durability {
    /// Of a log that was stopped cleanly, or is new: all of it is durable once the names in
    /// `directories` are.
    pub(crate) const fn settled(end: LogPosition, directories: Vec<PathBuf>) -> Self {
        Self {
            synced_end: end,
            appended: 0,
            synced: 0,
            dirty: Vec::new(),
            directories,
            recovered: false,
            in_flight: None,
        }
    }

    /// Of a log that was recovered: what lies behind `synced_end` is durable once the bytes of
    /// `files` are.
    pub(crate) fn recovered(
        synced_end: LogPosition,
        files: Vec<Arc<dyn File>>,
        directories: Vec<PathBuf>,
    ) -> Self {
        Self { dirty: files, recovered: true, ..Self::settled(synced_end, directories) }
    }

    pub(crate) fn on_written(&mut self, file: &Arc<dyn File>, bytes: u64) {
        assert!(!self.recovered, "what recovery found is made durable first");
        // After a roll the old file is listed still.
        if !self.dirty.last().is_some_and(|newest| Arc::ptr_eq(newest, file)) {
            self.dirty.push(Arc::clone(file));
        }
        self.appended += bytes;
    }

    pub(crate) const fn is_syncing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether a sync that is taken now has something to do.
    pub(crate) const fn has_unsynced(&self) -> bool {
        !(self.dirty.is_empty() && self.directories.is_empty())
    }

    const fn dirty_bytes(&self) -> u64 {
        self.appended - self.synced
    }

    pub(crate) fn take(&mut self, upto: LogPosition) -> Option<Unsynced> {
        if self.is_syncing() || !self.has_unsynced() {
            return None;
        }
        self.in_flight = Some(InFlight { upto, appended: self.appended });
        Some(Unsynced {
            files: std::mem::take(&mut self.dirty),
            directories: std::mem::take(&mut self.directories),
            upto,
            bytes: self.dirty_bytes(),
        })
    }

    fn on_synced(&mut self, upto: LogPosition) {
        let taken = self.in_flight.take().expect("a sync was taken");
        assert_eq!(taken.upto, upto, "the sync that was taken");
        self.recovered = false;
        self.synced_end = upto;
        self.synced = taken.appended;
    }
}

impl Log {
    /// Whether a sync was taken whose outcome is not known yet.
    #[must_use]
    pub const fn is_syncing(&self) -> bool {
        self.durability.is_syncing()
    }

    /// Everything before it survives a crash.
    #[must_use]
    pub const fn synced_end(&self) -> LogPosition {
        self.durability.synced_end
    }

    /// Bytes appended since the log was opened, and not known to be durable.
    #[must_use]
    pub const fn dirty_bytes(&self) -> u64 {
        self.durability.dirty_bytes()
    }

    /// Whether recovery found, or cut, what must be made durable before the first append.
    #[must_use]
    pub const fn is_recovered_unsynced(&self) -> bool {
        self.durability.recovered
    }

    /// What to sync next, if anything; `None` while a sync or a roll is under way. Of a log that
    /// was just opened: names that nobody has synced, and what a killed process left in the page
    /// cache; that is to be made durable before the first append.
    pub fn take_unsynced(&mut self) -> Option<Unsynced> {
        let upto = self.end();
        if self.is_rolling() {
            return None;
        }
        self.durability.take(upto)
    }

    /// The sync that was taken last has succeeded.
    ///
    /// # Panics
    /// If none was taken up to there.
    pub fn on_synced(&mut self, upto: LogPosition) {
        self.durability.on_synced(upto);
    }

    /// Syncs what is unsynced.
    pub(crate) async fn make_durable(&mut self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        if let Some(unsynced) = self.take_unsynced() {
            unsynced.make_durable(disk).await?;
            self.on_synced(unsynced.upto);
        }
        Ok(())
    }
}
