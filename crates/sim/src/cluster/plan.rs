//! What a run consists of: drawn from the seed before it begins, as lists.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::keeps::Keeps;
use super::vandal::Vandalism;
use crate::disk::{DiskFault, Lie, ReadOnly};
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
    /// How often, and how soon after a start, old records are looked for.
    pub(super) retention_check_ms: (u64, u64),
    /// How often logs with much to checkpoint, and how often all, get one, and how many bytes may
    /// be without.
    pub(super) checkpoints: (u64, u64, u64),
    /// When which topic is made: milliseconds, its partitions, and what it keeps.
    pub(super) topics: Vec<(u64, i32, Keeps)>,
    pub(super) writers: Vec<Writes>,
    /// Every second one reads in sessions.
    pub(super) readers: usize,
    /// `max.incremental.fetch.session.cache.slots`
    pub(super) session_slots: u64,
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

/// Whether a node that has halted is sometimes started again on a machine that was not. The page
/// cache then shows what the device refused, and recovery believes it: nothing in this node can
/// tell yet, so it is not drawn.
const RESTARTS_WITHOUT_REBOOT: bool = true;

/// What can go wrong. Clients are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The node dies, so many disk calls later.
    Death { death: Death, calls: u32 },
    /// The node is killed, and so are its next lives, each so many disk calls into its start or
    /// into what follows it.
    Deaths { death: Death, lives: u32, calls: u32 },
    /// The node stops in peace; then its process ends, or its machine.
    Stop { death: Death },
    /// The node stops in peace or is killed, and before it is started again somebody harms files
    /// that can be made again from others.
    Vandalism { stops: bool, what: Vandalism },
    /// A client and the node cannot reach each other.
    Cut { client: usize, time: Duration },
    /// A client's connections are reset.
    Reset { client: usize },
    /// Everything to and from the node takes longer.
    Delay { by: Duration, time: Duration },
    /// A sync fails; the node must halt. If it does not, it loses its power so many disk calls
    /// later.
    SyncFails { calls: u32, reboots: bool },
    /// Others take all of the disk but so many bytes.
    Full { room: u64, time: Duration },
    /// The disk is slow.
    Slow { by: Duration, time: Duration },
    /// Every call of the disk takes so many times as long.
    SlowTimes { times: u32, time: Duration },
    /// No call of the disk comes to its end.
    Stall { time: Duration },
    /// One page in so many of those on the device cannot be read.
    Unreadable { one_in: u64, time: Duration },
    /// The disk cannot be changed; the node may halt.
    ReadOnly { what: ReadOnly, time: Duration },
    /// The device lies about a page of a segment. Some calls later the machine loses its power,
    /// which shows it.
    Lie { lie: Lie, calls: u32 },
    /// A bit of a segment flips, by the number of a draw; and the node may be killed, so that the
    /// next one meets it when it starts.
    Rot { draw: u64, kills: bool },
    /// The node's wall clock jumps.
    WallJump { ms: i64 },
}

impl Fault {
    /// Whether a node may answer it by halting.
    pub(super) fn excuses_halting(self) -> bool {
        matches!(self, Self::SyncFails { .. } | Self::ReadOnly { .. })
    }

    /// Whether a node may refuse to start while it lasts.
    pub(super) fn excuses_not_starting(self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::Full { .. })
    }
}

impl PlannedFault {
    /// What kind of fault it is, for counting.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.fault {
            Fault::Death { death: Death::Kill, .. } => "kill",
            Fault::Death { death: Death::PowerLoss, .. } => "power loss",
            Fault::Deaths { .. } => "deaths in a row",
            Fault::Stop { .. } => "stop in peace",
            Fault::Vandalism { .. } => "derived files harmed",
            Fault::Cut { .. } => "cut",
            Fault::Reset { .. } => "reset",
            Fault::Delay { .. } => "delay",
            Fault::SyncFails { reboots: true, .. } => "failing sync",
            Fault::SyncFails { reboots: false, .. } => "failing sync, no reboot",
            Fault::Full { .. } => "full disk",
            Fault::Slow { .. } => "slow disk",
            Fault::SlowTimes { .. } => "disk slow x100",
            Fault::Stall { .. } => "stalled disk",
            Fault::Unreadable { .. } => "unreadable pages",
            Fault::ReadOnly { .. } => "read-only disk",
            Fault::Lie { lie: Lie::Lost, .. } => "lost write",
            Fault::Lie { lie: Lie::Misdirected, .. } => "misdirected write",
            Fault::Rot { .. } => "flipped bit",
            Fault::WallJump { .. } => "wall jump",
        }
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
                let many = nth == 0 && draws.one_in(12);
                let count = if many { 40..80 } else { 1..4 };
                let partitions = i32::try_from(draws.within(count)).expect("a few");
                (at, partitions, Keeps::draw(&Draws::new(seed, nth, "keeps")))
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
        let readers = usize::try_from(draws.within(1..4)).expect("a few");
        let clients = writers.len() + readers;
        // Each fault has draws of its own: leaving one out changes no other.
        let fault = |nth| PlannedFault::draw(&Draws::new(seed, nth, "fault"), trouble_ms, clients);
        let mut faults: Vec<_> = (0..draws.below(12)).map(fault).collect();
        if draws.one_in(BEYOND_PROMISE_ONE_IN) {
            let draws = Draws::new(seed, 0, "damage");
            faults.push(PlannedFault::draw_damage(&draws, trouble_ms));
        }
        Self {
            loops: usize::try_from(draws.within(1..4)).expect("a few"),
            segment_bytes: *draws.pick(&[12_000, 20_000, 60_000, 1 << 20]),
            index_interval_bytes: *draws.pick(&[0, 1, 500, 4_096]),
            cold_one_in: *draws.pick(&[0, 2, 20]),
            retention_check_ms: (draws.within(100..2_000), draws.within(1..1_000)),
            checkpoints: (
                *draws.pick(&[20, 300, 5_000]),
                *draws.pick(&[100, 2_000, 60_000]),
                *draws.pick(&[0, 5_000, 64 << 20]),
            ),
            topics,
            writers,
            readers,
            session_slots: *draws.pick(&[0, 1, 1_000]),
            churns: draws.one_in(2),
            trouble: Duration::from_millis(trouble_ms),
            faults,
        }
    }
}

/// One seed in so many has a fault that no node alone survives: what it harms is written off, and
/// all else must be served as if nothing had happened.
const BEYOND_PROMISE_ONE_IN: u64 = 5;

fn few(draws: &Draws, below: u64) -> u32 {
    u32::try_from(draws.below(below)).expect("a few")
}

impl PlannedFault {
    pub(super) fn draw(draws: &Draws, trouble_ms: u64, clients: usize) -> Self {
        let at = draws.below(trouble_ms);
        let left = (trouble_ms - at).clamp(2, 4_000);
        let millis = |range: Range<u64>| Duration::from_millis(draws.within(range));
        let time = millis(1..left);
        let client = draws.index(clients);
        let death = *draws.pick(&[Death::Kill, Death::PowerLoss, Death::PowerLoss]);
        let fault = match draws.below(30) {
            0..7 => Fault::Death { death, calls: few(draws, 60) },
            7..9 => Fault::Deaths { death, lives: 1 + few(draws, 4), calls: few(draws, 400) },
            9..11 => Fault::Stop { death },
            11..14 => Fault::Vandalism { stops: draws.one_in(2), what: Vandalism::draw(draws) },
            14 | 15 => Fault::Cut { client, time },
            16..19 => Fault::Reset { client },
            19 => Fault::Delay { by: millis(1..2_000), time },
            20 | 21 => {
                let reboots = draws.one_in(2) || !RESTARTS_WITHOUT_REBOOT;
                Fault::SyncFails { calls: few(draws, 300), reboots }
            }
            22 => Fault::Full { room: *draws.pick(&[0, 1_000, 20_000]), time },
            23 => Fault::Slow { by: millis(1..1_000), time },
            24 => Fault::SlowTimes { times: 100, time },
            25 => Fault::Stall { time: millis(1_000..60_000).min(time * 4) },
            26 | 27 => Fault::Unreadable { one_in: draws.within(1..10), time },
            28 => {
                let what = *draws.pick(&[ReadOnly::Names, ReadOnly::Everything]);
                Fault::ReadOnly { what, time }
            }
            _ => {
                let ms = i64::try_from(draws.below(7_200_000)).expect("two hours") - 3_600_000;
                Fault::WallJump { ms }
            }
        };
        Self { at: Duration::from_millis(at), fault }
    }

    /// A fault that harms what was acknowledged.
    fn draw_damage(draws: &Draws, trouble_ms: u64) -> Self {
        let at = draws.within(trouble_ms / 4..trouble_ms);
        let calls = few(draws, 300);
        let fault = match draws.below(3) {
            0 => Fault::Lie { lie: Lie::Lost, calls },
            1 => Fault::Lie { lie: Lie::Misdirected, calls },
            _ => Fault::Rot { draw: draws.next(), kills: draws.one_in(2) },
        };
        Self { at: Duration::from_millis(at), fault }
    }

    /// What the disk does at the beginning of the fault and at its end, where the disk is at fault.
    pub(super) fn disk_faults(&self) -> Option<(DiskFault, Option<(Duration, DiskFault)>)> {
        match self.fault {
            Fault::Death { death, calls } => Some((DiskFault::DeathAfter { calls, death }, None)),
            Fault::SyncFails { calls, .. } => {
                let death = DiskFault::DeathAfter { calls, death: Death::PowerLoss };
                Some((DiskFault::NextSyncFails, Some((Duration::ZERO, death))))
            }
            Fault::Lie { lie, calls } => {
                let death = DiskFault::DeathAfter { calls, death: Death::PowerLoss };
                Some((DiskFault::NextSyncLies(lie), Some((Duration::ZERO, death))))
            }
            Fault::Full { room, time } => {
                Some((DiskFault::Room(Some(room)), Some((time, DiskFault::Room(None)))))
            }
            Fault::Slow { by, time } => {
                Some((DiskFault::Slow(by), Some((time, DiskFault::Slow(Duration::ZERO)))))
            }
            Fault::SlowTimes { times, time } => {
                Some((DiskFault::SlowTimes(times), Some((time, DiskFault::SlowTimes(1)))))
            }
            Fault::Stall { time } => Some((DiskFault::Stall(time), None)),
            Fault::Unreadable { one_in, time } => {
                let end = DiskFault::UnreadableOneIn(0);
                Some((DiskFault::UnreadableOneIn(one_in), Some((time, end))))
            }
            Fault::ReadOnly { what, time } => {
                let end = DiskFault::ReadOnly(ReadOnly::Nothing);
                Some((DiskFault::ReadOnly(what), Some((time, end))))
            }
            Fault::Deaths { .. }
            | Fault::Stop { .. }
            | Fault::Vandalism { .. }
            | Fault::Cut { .. }
            | Fault::Reset { .. }
            | Fault::Delay { .. }
            | Fault::Rot { .. }
            | Fault::WallJump { .. } => None,
        }
    }
}
