//! What a run consists of: drawn from the seed before it begins, as lists.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::disk::DiskFault;
use crate::draws::Draws;
use crate::host::Death;

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The node's event loops.
    pub(super) loops: usize,
    pub(super) segment_bytes: u64,
    pub(super) index_interval_bytes: u64,
    /// See [`DiskFault::ColdOneIn`].
    pub(super) cold_one_in: u64,
    /// When which topic is made: milliseconds, and its partitions.
    pub(super) topics: Vec<(u64, i32)>,
    pub(super) writers: Vec<Writes>,
    pub(super) readers: usize,
    /// Whether a topic is made and deleted, over and over.
    pub(super) churns: bool,
    /// How long there is trouble.
    pub(super) trouble: Duration,
    pub(super) faults: Vec<PlannedFault>,
}

/// How a client writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    ExactlyOnce,
    AcksOne,
    AcksNone,
}

/// Something that goes wrong at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    pub(super) at: Duration,
    pub(super) fault: Fault,
}

/// What can go wrong. Clients are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The node dies, so many disk calls later.
    Death { death: Death, calls: u32 },
    /// The node stops in peace; then its process ends, or its machine.
    Stop { death: Death },
    /// A client and the node cannot reach each other.
    Cut { client: usize, time: Duration },
    /// A client's connections are reset.
    Reset { client: usize },
    /// Everything to and from the node takes longer.
    Delay { by: Duration, time: Duration },
    /// A sync fails; the node must halt. If it does not, it loses its power so many disk calls
    /// later.
    SyncFails { calls: u32 },
    /// The disk is full; the node may halt.
    Full { time: Duration },
    /// The disk is slow.
    Slow { by: Duration, time: Duration },
    /// The node's wall clock jumps.
    WallJump { ms: i64 },
}

impl Fault {
    /// Whether a node may answer it by halting.
    pub(super) fn excuses_halting(self) -> bool {
        matches!(self, Self::SyncFails { .. } | Self::Full { .. })
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms  {:?}", self.at.as_millis(), self.fault)
    }
}

impl Plan {
    /// The run of a seed.
    pub(super) fn draw(seed: u64) -> Self {
        let draws = Draws::new(seed, 0, "plan");
        let trouble_ms = draws.within(4_000..20_000);
        let topics = (0..draws.within(1..4))
            .map(|nth| {
                let at = if nth == 0 { 0 } else { draws.below(trouble_ms) };
                (at, i32::try_from(draws.within(1..4)).expect("a few"))
            })
            .collect();
        let writers: Vec<Writes> = (0..draws.within(2..5))
            .map(|nth| match draws.below(4) {
                // There is always one whose promises can be broken.
                _ if nth == 0 => Writes::ExactlyOnce,
                0 | 1 => Writes::ExactlyOnce,
                2 => Writes::AcksOne,
                _ => Writes::AcksNone,
            })
            .collect();
        let readers = usize::try_from(draws.within(1..3)).expect("a few");
        let clients = writers.len() + readers;
        // Each fault has draws of its own: leaving one out changes no other.
        let faults = (0..draws.below(12))
            .map(|nth| PlannedFault::draw(&Draws::new(seed, nth, "fault"), trouble_ms, clients))
            .collect();
        Self {
            loops: usize::try_from(draws.within(1..4)).expect("a few"),
            segment_bytes: *draws.pick(&[12_000, 20_000, 60_000, 1 << 20]),
            index_interval_bytes: *draws.pick(&[0, 1, 500, 4_096]),
            cold_one_in: *draws.pick(&[0, 2, 20]),
            topics,
            writers,
            readers,
            churns: draws.one_in(2),
            trouble: Duration::from_millis(trouble_ms),
            faults,
        }
    }
}

impl PlannedFault {
    fn draw(draws: &Draws, trouble_ms: u64, clients: usize) -> Self {
        let at = draws.below(trouble_ms);
        let left = (trouble_ms - at).clamp(2, 4_000);
        let millis = |range: Range<u64>| Duration::from_millis(draws.within(range));
        let time = millis(1..left);
        let client = draws.index(clients);
        let death = *draws.pick(&[Death::Kill, Death::PowerLoss, Death::PowerLoss]);
        let fault = match draws.below(20) {
            0..7 => {
                let calls = u32::try_from(draws.below(60)).expect("a few");
                Fault::Death { death, calls }
            }
            7..9 => Fault::Stop { death },
            9..11 => Fault::Cut { client, time },
            11..14 => Fault::Reset { client },
            14 => Fault::Delay { by: millis(1..2_000), time },
            15..17 => Fault::SyncFails { calls: u32::try_from(draws.below(300)).expect("a few") },
            17 => Fault::Full { time },
            18 => Fault::Slow { by: millis(1..1_000), time },
            _ => {
                let ms = i64::try_from(draws.below(7_200_000)).expect("two hours") - 3_600_000;
                Fault::WallJump { ms }
            }
        };
        Self { at: Duration::from_millis(at), fault }
    }

    /// What the disk does at the beginning of the fault and at its end, where the disk is at fault.
    pub(super) fn disk_faults(&self) -> Option<(DiskFault, Option<(Duration, DiskFault)>)> {
        match self.fault {
            Fault::Death { death, calls } => Some((DiskFault::DeathAfter { calls, death }, None)),
            Fault::SyncFails { calls } => {
                let death = DiskFault::DeathAfter { calls, death: Death::PowerLoss };
                Some((DiskFault::NextSyncFails, Some((Duration::ZERO, death))))
            }
            Fault::Full { time } => {
                Some((DiskFault::Full(true), Some((time, DiskFault::Full(false)))))
            }
            Fault::Slow { by, time } => {
                Some((DiskFault::Slow(by), Some((time, DiskFault::Slow(Duration::ZERO)))))
            }
            Fault::Stop { .. }
            | Fault::Cut { .. }
            | Fault::Reset { .. }
            | Fault::Delay { .. }
            | Fault::WallJump { .. } => None,
        }
    }
}
