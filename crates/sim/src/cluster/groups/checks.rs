//! What members of groups saw, and whether it can be true.
//!
//! - In one generation, or member epoch, a partition has one member.
//! - What a group has committed, and was told so or shown, does not go back by itself.
//! - A record that was committed as read is not read again, but by a member that was put out and
//!   does not know yet: it has to be told before it is a member again.
//! - Nobody commits what another member has been given.
//! - In the end every record that was written was read by every group.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::{GroupDescription, Rebalance};
use ottla_types::{Offset, TopicPartition};

/// A place in a group, and which of its lives; a static member's lives are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberName {
    pub(super) group: usize,
    pub(super) place: usize,
    pub(super) life: u32,
}

impl MemberName {
    /// As the checker knows it: what a static member has, its next life has.
    pub(super) const fn as_seen(self, is_static: bool) -> Self {
        Self { life: if is_static { 0 } else { self.life }, ..self }
    }
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
    /// Groups of both protocols. Whoever comes first into an empty one says which it speaks, and
    /// if that is another one, the group is made anew: its generations begin at one again.
    mixed: BTreeSet<usize>,
    violations: Vec<String>,
    read: u64,
    hand_overs: u64,
}

/// What was seen of one group.
#[derive(Debug, Default)]
struct Seen {
    owners: BTreeMap<(i32, TopicPartition), MemberName>,
    /// Who had a partition last, and in which generation or epoch.
    last: BTreeMap<TopicPartition, (i32, MemberName)>,
    /// What members think that they have, and since which generation or epoch.
    has: BTreeMap<MemberName, (i32, BTreeSet<TopicPartition>)>,
    /// Members that read what others have read, and do not know yet that they are out.
    suspects: BTreeMap<MemberName, Suspect>,
    commits: BTreeMap<TopicPartition, Commits>,
    read: BTreeSet<(TopicPartition, Offset)>,
}

/// A member that reads what another one has, which it may as long as nobody has told it.
#[derive(Debug)]
struct Suspect {
    /// What it was when it did so.
    standing: Standing,
    what: String,
}

/// Who a member thinks it is: its id, and its generation or epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) id: String,
    pub(super) epoch: i32,
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

    /// A group whose members speak both protocols.
    pub(super) fn on_mixed(&mut self, group: usize) {
        self.mixed.insert(group);
    }

    /// A member was told what it has, or has no more.
    pub(super) fn on_rebalance(&mut self, by: MemberName, event: &Rebalance) {
        let seen = self.groups.entry(by.group).or_default();
        match event {
            Rebalance::Assigned { epoch, owned, .. } => self.on_assigned(by, *epoch, owned),
            Rebalance::Revoked { removed } => {
                if let Some((_, has)) = seen.has.get_mut(&by) {
                    has.retain(|each| !removed.contains(each));
                }
            }
            Rebalance::Lost { .. } => self.on_gone(by),
        }
    }

    /// A member is none any more, and knows it, or there is nobody to know it.
    pub(super) fn on_gone(&mut self, by: MemberName) {
        let seen = self.groups.entry(by.group).or_default();
        seen.has.remove(&by);
        seen.suspects.remove(&by);
    }

    fn on_assigned(&mut self, by: MemberName, epoch: i32, owned: &BTreeSet<TopicPartition>) {
        let is_mixed = self.mixed.contains(&by.group);
        let seen = self.groups.entry(by.group).or_default();
        for each in owned {
            let owner = *seen.owners.entry((epoch, each.clone())).or_insert(by);
            if owner != by {
                if is_mixed && !seen.has_in(owner, epoch, each) {
                    seen.owners.insert((epoch, each.clone()), by);
                } else {
                    let both = format!("in {epoch} {each} belongs to {owner}, and to {by}");
                    self.violations.push(both);
                }
            }
            let last = seen.last.get(each).copied();
            // What a member is slow to hear of may be over already.
            if is_mixed || last.is_none_or(|(before, _)| before <= epoch) {
                seen.last.insert(each.clone(), (epoch, by));
                self.hand_overs += u64::from(last.is_some_and(|(_, last)| last != by));
            }
        }
        seen.has.insert(by, (epoch, owned.clone()));
    }

    /// A member has polled, and thinks that it is this. If it was put out, it knows by now.
    pub(super) fn on_polled(&mut self, by: MemberName, standing: Option<&Standing>) {
        let seen = self.groups.entry(by.group).or_default();
        let Some(suspect) = seen.suspects.get(&by) else { return };
        let was = &suspect.standing;
        if standing.is_some_and(|is| is.id == was.id && is.epoch > was.epoch) {
            self.violations.push(suspect.what.clone());
            seen.suspects.remove(&by);
        }
    }

    /// A member reads a record.
    pub(super) fn on_read(
        &mut self,
        by: MemberName,
        standing: Option<Standing>,
        (at, offset): (&TopicPartition, Offset),
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
            let what = format!("{by} reads {at}@{offset} again, committed to {acked}");
            match (seen.was_taken_from(by, at), standing) {
                (true, Some(standing)) => {
                    seen.suspects.insert(by, Suspect { standing, what });
                }
                // It knows already that it is out.
                (true, None) => {}
                (false, _) => self.violations.push(what),
            }
        }
        seen.read.insert((at.clone(), offset));
    }

    /// A member sends a commit. Gives what it commits though others have been given it: such a
    /// commit must be refused.
    pub(super) fn on_commit_begun(&mut self, by: MemberName, offsets: &Floors) -> Vec<String> {
        let is_mixed = self.mixed.contains(&by.group);
        let seen = self.groups.entry(by.group).or_default();
        let mut taken = Vec::new();
        for (at, offset) in offsets {
            seen.commits.entry(at.clone()).or_default().open.insert(*offset);
            if !is_mixed && seen.was_taken_from(by, at) {
                let (epoch, other) = seen.last[at];
                taken.push(format!("{at}, which is {other}'s in {epoch}"));
            }
        }
        taken
    }

    /// The commit was acknowledged. One that is not stays open for ever.
    pub(super) fn on_committed(&mut self, by: MemberName, offsets: &Floors, taken: &[String]) {
        let told = |what: &String| format!("{by} was told that it has committed {what}");
        self.violations.extend(taken.iter().map(told));
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
        // What is shown is durable.
        for (at, found) in found {
            let commits = seen.commits.entry(at.clone()).or_default();
            commits.acked = commits.acked.max(*found);
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

impl Seen {
    /// Whether a member thinks that it has a partition, since this generation or epoch.
    fn has_in(&self, member: MemberName, epoch: i32, at: &TopicPartition) -> bool {
        self.has.get(&member).is_some_and(|(since, has)| *since == epoch && has.contains(at))
    }

    /// Whether another member was given the partition later.
    fn was_taken_from(&self, member: MemberName, at: &TopicPartition) -> bool {
        self.last.get(at).is_some_and(|(_, last)| *last != member)
    }
}

#[cfg(test)]
mod tests;
