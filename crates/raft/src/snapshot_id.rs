//! The names of snapshots.

use std::fmt;

use ottla_types::{LeaderEpoch, Offset};

const SUFFIX: &str = ".checkpoint";

/// What a snapshot covers: everything below `end`, whose last record has `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The first offset that is not covered.
    pub end: Offset,
    /// The leader epoch of the last covered record.
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    /// The snapshot that formatting leaves: it covers nothing and names the first voters.
    pub const BOOTSTRAP: Self = Self { end: Offset::ZERO, epoch: LeaderEpoch::ZERO };

    /// The snapshot that a finished file's name tells; `None` for every other file, those being
    /// downloaded (`.part`) or on their way out (`.deleted`) included.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (end, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        if end.len() != 20 || epoch.len() != 10 {
            return None;
        }
        Some(Self {
            end: Offset::from_wire(end.parse().ok()?)?,
            epoch: LeaderEpoch::from_wire(epoch.parse().ok()?)?,
        })
    }
}

/// The file's name.
impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}{SUFFIX}", self.end.get(), self.epoch.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_names_are_kafkas() {
        let id =
            |end, epoch| Some(SnapshotId { end: Offset::new(end), epoch: LeaderEpoch::new(epoch) });
        check("00000000000000000000-0000000000.checkpoint", Some(SnapshotId::BOOTSTRAP));
        check("00000000000000001234-0000000007.checkpoint", id(1234, 7));
        check("00000000000000001234-0000000007.checkpoint.part", None);
        check("00000000000000001234-0000000007.checkpoint.deleted", None);
        check("bootstrap.checkpoint", None);
        check("-0000000000000001234-0000000007.checkpoint", None);
        check("1234-7.checkpoint", None);
    }

    fn check(name: &str, id: Option<SnapshotId>) {
        assert_eq!(SnapshotId::from_file_name(name), id, "{name}");
        if let Some(id) = id {
            assert_eq!(id.to_string(), name);
        }
    }
}
