//! Whether a member knows what it has.
//!
//! An answer may be lost, and not every client asks for everything then: librdkafka gives up a
//! heartbeat that is not answered within its interval, and comes again with no more than its epoch.
//! Kafka says once what a member has, and a client that has not heard it goes without these
//! partitions until something else changes. So a member that has been given something else is
//! told in every answer, until it says that it has exactly this. Clients compare what they are told
//! with what they have or are about to have, so hearing it twice is nothing to them.
//!
//! This is not in the log: a member that a coordinator finds in it counts as one that knows. Its
//! connection has ended or it is sent elsewhere, and after that clients do say everything.

use super::group::ConsumerGroup;
use super::partitions::{OwnedPartitions, Partitions};
use super::reconcile::CurrentAssignment;
use crate::ids::MemberId;

impl ConsumerGroup {
    /// A heartbeat of a member has been decided: it said what it has, or nothing, and had that
    /// before. Whether it knows what it has now.
    pub(super) fn hear(
        &mut self,
        id: &MemberId,
        owned: Option<&Partitions>,
        before: &CurrentAssignment,
    ) -> bool {
        let has = &self.member(id).expect("it has just been updated").has.assigned;
        let changed = has.partitions() != before.assigned.partitions();
        match owned {
            Some(owned) if is_all_of(owned, has) => {
                self.unheard().remove(id);
            }
            Some(owned) => {
                // What it was never given is not kept: it may say as much as a frame holds.
                let given = |(topic, number)| before.assigned.contains(topic, number);
                let said = owned.iter().all(given).then(|| owned.clone());
                self.unheard().insert(id.clone(), said);
            }
            None if changed => {
                let knew = || Some(before.assigned.partitions());
                self.unheard().entry(id.clone()).or_insert_with(knew);
            }
            None => {}
        }
        self.knows(id)
    }

    /// Whether what the member last said, or was known to know, is what it has.
    fn knows(&self, id: &MemberId) -> bool {
        let Some(said) = self.said(id) else { return true };
        let member = self.member(id).expect("what is not heard goes with the member");
        said.as_ref().is_some_and(|said| is_all_of(said, &member.has.assigned))
    }
}

fn is_all_of(some: &Partitions, all: &OwnedPartitions) -> bool {
    some.iter().all(|(topic, number)| all.contains(topic, number))
        && all.iter().all(|(topic, number, _)| some.contains(topic, number))
}
