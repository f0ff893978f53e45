//! How a disk misbehaves while a node runs on it.

use std::io::{self, ErrorKind};
use std::time::Duration;

use ottla_env::Mono;

use crate::draws::Draws;
use crate::host::Death;

/// Ways in which a disk misbehaves from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// The machine dies at the call after so many more calls.
    DeathAfter { calls: u32, death: Death },
    /// The next sync of a file fails. What it should have written is lost, later syncs succeed.
    NextSyncFails,
    /// The next sync that has a page of a segment to write reports success, and the device has not
    /// done with one of them what it says.
    NextSyncLies(Lie),
    /// No further fault: syncs succeed, there is room, calls take their usual time.
    Healed,
    /// Whether the disk is full: as `Room(Some(0))` and `Room(None)`.
    Full(bool),
    /// Others have taken all but so many bytes: a write that needs more may be written in part.
    /// What a removed or shortened file had is there again. `None`: there is plenty.
    Room(Option<u64>),
    /// What every call of the Later half takes in addition.
    Slow(Duration),
    /// What every call of the Later half takes, times so many.
    SlowTimes(u32),
    /// No call of the Later half comes to its end for so long.
    Stall(Duration),
    /// Now and then the page cache is dropped, and one page in so many is not found in it by the
    /// next read of it; 0: all always are.
    ColdOneIn(u64),
    /// Of the pages that are on the device, one in so many cannot be read from it, and the page
    /// cache has lost them; 0: all can again. Writing one mends it.
    UnreadableOneIn(u64),
    /// What cannot be changed any more.
    ReadOnly(ReadOnly),
    /// Whether no file can be opened, since the process has as many as it may (`EMFILE`).
    NoDescriptors(bool),
}

/// What a device does with a page that it has promised to have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing: the old content stays.
    Lost,
    /// It writes it in another one's place; its own keeps the old content.
    Misdirected,
}

/// What of a disk cannot be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadOnly {
    #[default]
    Nothing,
    /// Names: nothing is made, renamed or removed. Open files are written as ever.
    Names,
    /// Everything, as after a system has found its file system broken.
    Everything,
}

/// What is wrong at present.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) death_after: Option<(u32, Death)>,
    pub(super) next_sync_fails: bool,
    pub(super) next_sync_lies: Option<Lie>,
    /// Bytes that files may have together.
    pub(super) capacity: Option<u64>,
    pub(super) slow: Duration,
    slow_times: u32,
    stalled_until: Option<Mono>,
    pub(super) cold_one_in: u64,
    pub(super) read_only: ReadOnly,
    no_descriptors: bool,
}

impl Faults {
    /// Takes a fault that needs to know nothing of what is on the disk.
    pub(super) fn take(&mut self, fault: DiskFault, now: Mono) {
        match fault {
            DiskFault::DeathAfter { calls, death } => self.death_after = Some((calls, death)),
            DiskFault::Healed => {
                *self = Self { cold_one_in: self.cold_one_in, ..Self::default() };
            }
            DiskFault::NextSyncFails => self.next_sync_fails = true,
            DiskFault::NextSyncLies(lie) => self.next_sync_lies = Some(lie),
            DiskFault::Full(false) | DiskFault::Room(None) => self.capacity = None,
            DiskFault::Slow(slow) => self.slow = slow,
            DiskFault::SlowTimes(times) => self.slow_times = times,
            DiskFault::Stall(time) => self.stalled_until = Some(now.after(time)),
            DiskFault::ColdOneIn(n) => self.cold_one_in = n,
            DiskFault::ReadOnly(what) => self.read_only = what,
            DiskFault::NoDescriptors(none) => self.no_descriptors = none,
            DiskFault::UnreadableOneIn(_) | DiskFault::Full(true) | DiskFault::Room(Some(_)) => {}
        }
    }

    /// What a call takes. Most calls take the time of a fast device, some much longer.
    pub(super) fn latency(&self, draws: &Draws, now: Mono) -> Duration {
        let micros = match draws.below(100) {
            0 => draws.within(5_000..50_000),
            1..10 => draws.within(500..5_000),
            _ => draws.within(20..500),
        };
        let takes = Duration::from_micros(micros) * self.slow_times.max(1) + self.slow;
        match self.stalled_until {
            Some(until) if until > now => takes + Duration::from_nanos(until.nanos() - now.nanos()),
            Some(_) | None => takes,
        }
    }

    /// Refuses to open a file.
    pub(super) fn descriptor(&self) -> io::Result<()> {
        const EMFILE: i32 = 24;
        if self.no_descriptors { Err(io::Error::from_raw_os_error(EMFILE)) } else { Ok(()) }
    }

    /// Refuses a change of a name.
    pub(super) fn names_change(&self) -> io::Result<()> {
        match self.read_only {
            ReadOnly::Nothing => Ok(()),
            ReadOnly::Names | ReadOnly::Everything => Err(ErrorKind::ReadOnlyFilesystem.into()),
        }
    }

    /// Refuses a change of a file's content.
    pub(super) fn content_changes(&self) -> io::Result<()> {
        match self.read_only {
            ReadOnly::Nothing | ReadOnly::Names => Ok(()),
            ReadOnly::Everything => Err(ErrorKind::ReadOnlyFilesystem.into()),
        }
    }
}
