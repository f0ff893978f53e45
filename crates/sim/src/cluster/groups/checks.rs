//! What members of groups saw, and whether it can be true.
//!
//! - In one generation, or member epoch, a partition has one member.
//! - What a group has committed, and was told so, does not go back by itself.
//! - A record that was committed as read is not read again.
//! - In the end every record that was written was read by every group.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::GroupDescription;
use ottla_types::{Offset, TopicPartition};

/// A place in a group, and which of its lives; a static member's lives are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberName {
    pub(super) group: usize,
    pub(super) place: usize,
    pub(super) life: u32,
}

impl std::fmt::Display for MemberName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "member {}.{} in its life {}", self.group, self.place, self.life)
    }
}

/// All that was seen of all groups.
#[derive(Debug, Default)]
pub(super) struct Checks {
    written: BTreeMap<(TopicPartition, Offset), String>,
    groups: BTreeMap<usize, Seen>,
    violations: Vec<String>,
    read: u64,
    hand_overs: u64,
}

/// What was seen of one group.
#[derive(Debug, Default)]
struct Seen {
    owners: BTreeMap<(i32, TopicPartition), MemberName>,
    /// Who had a partition last.
    last: BTreeMap<TopicPartition, MemberName>,
    commits: BTreeMap<TopicPartition, Commits>,
    read: BTreeSet<(TopicPartition, Offset)>,
}

/// Offsets that were committed of one partition.
#[derive(Clone, Debug, Default)]
struct Commits {
    /// The furthest that was acknowledged.
    acked: i64,
    /// Those of which nobody knows whether, and when, they count.
    open: BTreeSet<i64>,
}

/// How far a group's commits had been acknowledged at some time.
pub(super) type Floors = BTreeMap<TopicPartition, i64>;

impl Checks {
    pub(super) fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    /// What was seen that must not be, since the last time.
    pub(super) fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    /// Records written, records read, and partitions that went from one member to another.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (self.written.len() as u64, self.read, self.hand_overs)
    }

    /// A record was acknowledged.
    pub(super) fn on_written(&mut self, at: &TopicPartition, offset: Offset, text: String) {
        if let Some(before) = self.written.get(&(at.clone(), offset)) {
            self.violations.push(format!("{text} and {before} are both at {at}@{offset}"));
        }
        self.written.insert((at.clone(), offset), text);
    }

    /// A member was told what it has in a generation.
    pub(super) fn on_assigned(
        &mut self,
        by: MemberName,
        epoch: i32,
        owned: &BTreeSet<TopicPartition>,
    ) {
        let seen = self.groups.entry(by.group).or_default();
        for each in owned {
            let owner = *seen.owners.entry((epoch, each.clone())).or_insert(by);
            if owner != by {
                self.violations.push(format!("in {epoch} {each} belongs to {owner}, and to {by}"));
            }
            let last = seen.last.insert(each.clone(), by);
            self.hand_overs += u64::from(last.is_some_and(|last| last != by));
        }
    }

    /// A member reads a record.
    pub(super) fn on_read(
        &mut self,
        by: MemberName,
        at: &TopicPartition,
        offset: Offset,
        text: &str,
    ) {
        self.read += 1;
        let written = self.written.get(&(at.clone(), offset)).filter(|written| *written != text);
        if let Some(written) = written {
            self.violations.push(format!("{by} reads {text} at {at}@{offset}, and not {written}"));
        }
        let seen = self.groups.entry(by.group).or_default();
        let commits = seen.commits.get(at).cloned().unwrap_or_default();
        let may_go_back = commits.open.iter().any(|open| *open <= offset.get());
        if offset.get() < commits.acked && !may_go_back {
            let acked = commits.acked;
            self.violations.push(format!("{by} reads {at}@{offset} again, committed to {acked}"));
        }
        seen.read.insert((at.clone(), offset));
    }

    /// A member sends a commit.
    pub(super) fn on_commit_begun(&mut self, by: MemberName, offsets: &Floors) {
        let seen = self.groups.entry(by.group).or_default();
        for (at, offset) in offsets {
            seen.commits.entry(at.clone()).or_default().open.insert(*offset);
        }
    }

    /// The commit was acknowledged. One that is not stays open for ever.
    pub(super) fn on_committed(&mut self, by: MemberName, offsets: &Floors) {
        let seen = self.groups.entry(by.group).or_default();
        for (at, offset) in offsets {
            let commits = seen.commits.entry(at.clone()).or_default();
            commits.open.remove(offset);
            commits.acked = commits.acked.max(*offset);
        }
    }

    /// What must at least be found committed from now on.
    pub(super) fn floors(&self, group: usize) -> Floors {
        let commits = self.groups.get(&group).map(|seen| &seen.commits);
        commits.into_iter().flatten().map(|(at, commits)| (at.clone(), commits.acked)).collect()
    }

    /// Somebody looked up what a group has committed; `before` are the floors as of the question.
    pub(super) fn on_looked_up(
        &mut self,
        group: usize,
        before: &Floors,
        found: &BTreeMap<TopicPartition, i64>,
    ) {
        let seen = self.groups.entry(group).or_default();
        for (at, floor) in before {
            let found = found.get(at).copied().unwrap_or(0);
            let open = seen.commits.get(at).is_some_and(|commits| commits.open.contains(&found));
            if found < *floor && !open {
                self.violations
                    .push(format!("group {group} has {at} at {found} after an ack of {floor}"));
            }
        }
    }

    /// The coordinator tells who has what.
    pub(super) fn on_described(&mut self, group: usize, told: &GroupDescription) {
        let mut seen = BTreeMap::new();
        for member in &told.members {
            for each in &member.assignment {
                if let Some(other) = seen.insert(each, &member.id) {
                    let both = format!("{other} and {}", member.id);
                    self.violations.push(format!("group {group} gives {each} to both {both}"));
                }
            }
        }
    }

    /// Records that a group has not read yet.
    pub(super) fn unread(&self, group: usize) -> usize {
        let read = self.groups.get(&group).map(|seen| &seen.read);
        let unread = |at: &&(TopicPartition, Offset)| !read.is_some_and(|read| read.contains(*at));
        self.written.keys().filter(unread).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_client::partition;

    fn member(place: usize) -> MemberName {
        MemberName { group: 0, place, life: 1 }
    }

    fn at() -> TopicPartition {
        partition("t", 0).expect("legal")
    }

    fn offsets(offset: i64) -> Floors {
        Floors::from([(at(), offset)])
    }

    fn check(what: impl FnOnce(&mut Checks), violations: usize) {
        let mut checks = Checks::default();
        what(&mut checks);
        let found = checks.take_violations();
        assert_eq!(found.len(), violations, "{found:?}");
    }

    #[test]
    fn two_owners_in_one_epoch_are_found() {
        let owned = BTreeSet::from([at()]);
        check(
            |checks| {
                checks.on_assigned(member(1), 3, &owned);
                checks.on_assigned(member(1), 4, &owned);
                checks.on_assigned(member(2), 5, &owned);
            },
            0,
        );
        check(
            |checks| {
                checks.on_assigned(member(1), 3, &owned);
                checks.on_assigned(member(2), 3, &owned);
            },
            1,
        );
    }

    #[test]
    fn what_was_committed_is_not_read_again() {
        let committed = |checks: &mut Checks, acked: bool| {
            checks.on_commit_begun(member(1), &offsets(5));
            if acked {
                checks.on_committed(member(1), &offsets(5));
            }
        };
        check(
            |checks| {
                committed(checks, true);
                checks.on_read(member(2), &at(), Offset::new(5), "x");
            },
            0,
        );
        check(
            |checks| {
                committed(checks, true);
                checks.on_read(member(2), &at(), Offset::new(4), "x");
            },
            1,
        );
        check(
            |checks| {
                committed(checks, false);
                checks.on_read(member(2), &at(), Offset::new(4), "x");
            },
            0,
        );
    }

    #[test]
    fn commits_do_not_go_back() {
        for (found, violations) in [(5, 0), (7, 0), (3, 1), (2, 0)] {
            check(
                |checks| {
                    checks.on_commit_begun(member(1), &offsets(2));
                    checks.on_commit_begun(member(1), &offsets(5));
                    checks.on_committed(member(1), &offsets(5));
                    let floors = checks.floors(0);
                    checks.on_looked_up(0, &floors, &offsets(found));
                },
                violations,
            );
        }
    }
}
