//! The members of a classic group, with the counts that decide when a rebalance is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{InstanceId, MemberId};
use crate::request::{Client, Protocol};
use crate::shard::Ticket;

/// What a group's record has around a member's words: lengths, timeouts, an empty assignment.
pub(super) const MEMBER_FRAME_BYTES: usize = 32;

/// A member of a classic group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) client: Client,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) session_timeout: Duration,
    /// What it has; empty until the leader has assigned.
    pub(crate) assignment: Bytes,
    /// It was never told a generation: it goes if that takes too long, though it waits.
    pub(crate) is_new: bool,
    /// Best first, each name once.
    pub(crate) protocols: Vec<Protocol>,
    join: Option<Ticket>,
    sync: Option<Ticket>,
}

impl Member {
    /// A member that waits for nothing yet.
    pub(crate) fn new(
        id: MemberId,
        instance: Option<InstanceId>,
        client: Client,
        protocols: Vec<Protocol>,
    ) -> Self {
        Self {
            id,
            instance,
            client,
            rebalance_timeout: Duration::ZERO,
            session_timeout: Duration::ZERO,
            assignment: Bytes::new(),
            is_new: false,
            protocols: each_once(protocols),
            join: None,
            sync: None,
        }
    }

    /// Whether it waits for the rebalance to be over.
    pub(crate) const fn is_joining(&self) -> bool {
        self.join.is_some()
    }

    /// Whether its silence is no wonder: it waits for an answer.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }

    /// Parks a SyncGroup; gives back the one that the client does not wait for any more.
    pub(crate) const fn park_sync(&mut self, ticket: Ticket) -> Option<Ticket> {
        self.sync.replace(ticket)
    }

    /// Takes the parked SyncGroup.
    pub(crate) const fn take_sync(&mut self) -> Option<Ticket> {
        self.sync.take()
    }

    /// What it wants with a protocol; nothing if it does not support it.
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let of_name = self.protocols.iter().find(|each| Some(each.name.as_ref()) == protocol);
        of_name.map(|each| each.metadata.clone()).unwrap_or_default()
    }

    /// Whether it would say the same again.
    pub(crate) fn matches(&self, protocols: &[Protocol]) -> bool {
        self.protocols == each_once(protocols.to_vec())
    }

    /// A static member under its new id. It is known already, so it need not prove itself.
    pub(crate) fn renamed(self, id: MemberId) -> Self {
        Self { id, is_new: false, join: None, sync: None, ..self }
    }

    /// What it takes in the group's record, were all its protocols in it.
    fn bytes(&self) -> usize {
        let instance = self.instance.as_ref().map_or(0, |instance| instance.as_str().len());
        let client = self.client.id.len() + self.client.host.len();
        let names = self.id.as_str().len() + instance + client;
        MEMBER_FRAME_BYTES + names + bytes_of(&self.protocols)
    }

    /// The protocol that it likes best among those that all support.
    fn vote(&self, is_candidate: impl Fn(&str) -> bool) -> Option<&Arc<str>> {
        self.protocols.iter().map(|each| &each.name).find(|name| is_candidate(name))
    }
}

/// What protocols take in memory, roughly.
pub(crate) fn bytes_of(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|each| each.name.len() + each.metadata.len()).sum()
}

/// A client that names a protocol twice means it once; its first word counts.
fn each_once(mut protocols: Vec<Protocol>) -> Vec<Protocol> {
    let mut seen = BTreeSet::new();
    protocols.retain(|each| seen.insert(Arc::clone(&each.name)));
    protocols
}

/// The members of a group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_id: BTreeMap<MemberId, Member>,
    by_instance: BTreeMap<InstanceId, MemberId>,
    /// How many members support each protocol.
    supporters: BTreeMap<Arc<str>, usize>,
    /// How many members wait for the rebalance to be over.
    joining: usize,
    /// What the members tell of themselves.
    bytes: usize,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn contains(&self, id: &MemberId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn get(&self, id: &MemberId) -> Option<&Member> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &MemberId) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    /// All, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// All, by id.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.by_id.values_mut()
    }

    /// How many wait for the rebalance to be over.
    pub(crate) const fn joining(&self) -> usize {
        self.joining
    }

    /// What the members tell of themselves, in bytes, one of them excepted.
    pub(crate) fn bytes_without(&self, id: Option<&MemberId>) -> usize {
        self.bytes - id.and_then(|id| self.get(id)).map_or(0, Member::bytes)
    }

    /// Who has a static name.
    pub(crate) fn by_instance(&self, instance: &InstanceId) -> Option<&MemberId> {
        self.by_instance.get(instance)
    }

    /// Adds a member, in place of the one that had its id.
    pub(crate) fn add(&mut self, member: Member) {
        drop(self.remove(&member.id));
        if let Some(instance) = &member.instance {
            self.by_instance.insert(instance.clone(), member.id.clone());
        }
        for protocol in &member.protocols {
            *self.supporters.entry(Arc::clone(&protocol.name)).or_default() += 1;
        }
        self.joining += usize::from(member.is_joining());
        self.bytes += member.bytes();
        self.by_id.insert(member.id.clone(), member);
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, id: &MemberId) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        if let Some(instance) = &member.instance
            && self.by_instance.get(instance) == Some(id)
        {
            self.by_instance.remove(instance);
        }
        for protocol in &member.protocols {
            let left = self.supporters.get_mut(&protocol.name).expect("counted when it came");
            *left -= 1;
            if *left == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
        self.joining -= usize::from(member.is_joining());
        self.bytes -= member.bytes();
        Some(member)
    }

    /// Replaces what a member supports.
    pub(crate) fn set_protocols(&mut self, id: &MemberId, protocols: Vec<Protocol>) {
        if let Some(mut member) = self.remove(id) {
            member.protocols = each_once(protocols);
            self.add(member);
        }
    }

    /// Parks a JoinGroup; gives back the one that the client does not wait for any more.
    pub(crate) fn park_join(&mut self, id: &MemberId, ticket: Ticket) -> Option<Ticket> {
        let before = self.by_id.get_mut(id)?.join.replace(ticket);
        self.joining += usize::from(before.is_none());
        before
    }

    /// Takes a parked JoinGroup.
    pub(crate) fn take_join(&mut self, id: &MemberId) -> Option<Ticket> {
        let ticket = self.by_id.get_mut(id)?.join.take()?;
        self.joining -= 1;
        Some(ticket)
    }

    /// The longest time that a member may take to join.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        self.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Whether a newcomer with these protocols would leave one that all support.
    pub(crate) fn share_one_of(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|each| self.all_support(&each.name))
    }

    /// The protocol with the most votes among those that all support; of equals the first by name.
    pub(crate) fn elect_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.iter() {
            if let Some(name) = member.vote(|name| self.all_support(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| Arc::clone(name))
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or(0) == self.len()
    }
}
