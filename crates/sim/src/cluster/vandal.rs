//! Harm to files while the node is down: to those that can be made again, and to segments.

use std::path::Path;

use crate::disk::Damage;
use crate::draws::Draws;
use crate::host::Host;

/// Which derived files are harmed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vandalism {
    which: Which,
    how: How,
    /// What the single harms are drawn from.
    draw: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    One(Derived),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Removed,
    /// Cut, zeroed, or with a flipped bit, file by file.
    Corrupted,
}

/// A kind of file that says nothing that is not said elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derived {
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
    LeaderEpochs,
    RecoveryPoints,
    HighWatermarks,
    CleanShutdown,
}

impl Derived {
    const ALL: [Self; 8] = [
        Self::OffsetIndex,
        Self::TimeIndex,
        Self::TransactionIndex,
        Self::ProducerSnapshot,
        Self::LeaderEpochs,
        Self::RecoveryPoints,
        Self::HighWatermarks,
        Self::CleanShutdown,
    ];

    fn is(self, name: &str) -> bool {
        let has_extension = |wanted| Path::new(name).extension().is_some_and(|is| is == wanted);
        match self {
            Self::OffsetIndex => has_extension("index"),
            Self::TimeIndex => has_extension("timeindex"),
            Self::TransactionIndex => has_extension("txnindex"),
            Self::ProducerSnapshot => has_extension("snapshot"),
            Self::LeaderEpochs => name == "leader-epoch-checkpoint",
            Self::RecoveryPoints => name == "recovery-point-offset-checkpoint",
            Self::HighWatermarks => name == "replication-offset-checkpoint",
            Self::CleanShutdown => name == ".kafka_cleanshutdown",
        }
    }

    /// Whether a single wrong bit must be noticed. Kafka's text files have no checksum: a digit
    /// that became another one is as good a number as the right one.
    fn notices_bits(self) -> bool {
        match self {
            Self::OffsetIndex
            | Self::TimeIndex
            | Self::TransactionIndex
            | Self::ProducerSnapshot => true,
            Self::LeaderEpochs
            | Self::RecoveryPoints
            | Self::HighWatermarks
            | Self::CleanShutdown => false,
        }
    }
}

impl Vandalism {
    pub(super) fn draw(draws: &Draws) -> Self {
        let which = match draws.below(3) {
            0 => Which::All,
            _ => Which::One(*draws.pick(&Derived::ALL)),
        };
        let how = *draws.pick(&[How::Removed, How::Corrupted]);
        Self { which, how, draw: draws.next() }
    }

    fn derived(self, path: &str) -> Option<Derived> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let derived = Derived::ALL.into_iter().find(|derived| derived.is(name))?;
        match self.which {
            Which::All => Some(derived),
            Which::One(one) => (one == derived).then_some(derived),
        }
    }

    /// Does it, on a machine without a node; how many files were harmed.
    pub(super) fn happen(self, host: &Host) -> u64 {
        let draws = Draws::new(self.draw, 0, "vandalism");
        let mut harmed = 0;
        for (path, len) in host.files() {
            let Some(derived) = self.derived(&path) else { continue };
            let drawn = Damage::draw(&draws, len);
            let damage = match (self.how, drawn) {
                (How::Removed, _) => Damage::Removed,
                (How::Corrupted, Damage::BitFlipped { .. }) if !derived.notices_bits() => {
                    Damage::Zeroed
                }
                (How::Corrupted, drawn) => drawn,
            };
            harmed += u64::from(host.damage(&path, damage));
        }
        harmed
    }
}

/// Flips a bit of any partition's segment; the path, if there is one that the device holds.
pub(super) fn rot(host: &Host, draw: u64) -> Option<String> {
    let draws = Draws::new(draw, 0, "rot");
    let segments: Vec<(String, usize)> = host
        .files()
        .into_iter()
        .filter(|(path, len)| is_partition_of_clients(path) && path.ends_with(".log") && *len > 0)
        .collect();
    if segments.is_empty() {
        return None;
    }
    let (path, len) = draws.pick(&segments);
    let bit = u8::try_from(draws.below(8)).expect("eight bits");
    let rotten = host.damage(path, Damage::BitFlipped { at: draws.index(*len), bit });
    rotten.then(|| path.clone())
}

/// The metadata log is left alone: a node that cannot trust it does not go on, and says so.
fn is_partition_of_clients(path: &str) -> bool {
    !path.contains("__cluster_metadata")
}

/// The topic and the partition that a file of the node's log directory belongs to.
pub(super) fn partition_of(path: &str) -> Option<(String, i32)> {
    let directory = path.split('/').nth(1)?;
    let (topic, index) = directory.rsplit_once('-')?;
    Some((topic.to_owned(), index.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_partition() {
        let check = |path, expected: Option<(&str, i32)>| {
            let expected = expected.map(|(topic, index)| (topic.to_owned(), index));
            assert_eq!(partition_of(path), expected, "{path}");
        };
        check("data/topic-0-2/00000000000000000000.log", Some(("topic-0", 2)));
        check("data/recovery-point-offset-checkpoint", None);
        check("data/topic-0-2.0123-delete/00000000000000000000.log", None);
    }

    #[test]
    fn files_that_say_what_no_other_says_are_left_alone() {
        let all = Vandalism { which: Which::All, how: How::Removed, draw: 0 };
        let spared = [
            "data/meta.properties",
            "data/__cluster_metadata-0/quorum-state",
            "data/t-0/00000000000000000000.log",
            "data/t-0/partition.metadata",
            "data/log-start-offset-checkpoint",
        ];
        assert!(spared.iter().all(|path| all.derived(path).is_none()));
        assert_eq!(all.derived("data/t-0/00000000000000000007.index"), Some(Derived::OffsetIndex));
        assert_eq!(all.derived("data/.kafka_cleanshutdown"), Some(Derived::CleanShutdown));
    }
}
