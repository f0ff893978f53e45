//! Random events over a shard: what holds whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::{
    Client, CommitOffsets, CommitPartition, CommitTopic, Effects, Epoch, FetchOffsets, GroupAnswer,
    GroupId, GroupRecord, GroupRequest, GroupSettings, GroupShard, Heartbeat, InstanceId,
    JoinAnswer, JoinError, JoinGroup, LeaveGroup, Leaver, MemberAssignment, MemberId, Now,
    RecordBytes, SyncGroup, Ticket,
};
use ottla_metadata::MetadataImage;
use ottla_types::{Offset, PartitionId, Timestamp, TopicName, Uuid};

use crate::world::protocols;

const CLIENTS: usize = 5;
const GROUPS: [&str; 2] = ["g", "h"];

/// SplitMix64: small, and good enough to choose events.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// What a client believes of itself.
#[derive(Clone, Debug, Default)]
struct Believes {
    member: Option<MemberId>,
    generation: Option<Epoch>,
    all: Vec<MemberId>,
    next: Next,
}

/// What a client that works as it should does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Join,
    Sync,
    Heartbeat,
    /// It waits for an answer.
    Wait,
}

/// A shard, its log, its clients, and what must hold.
struct Play {
    draws: Draws,
    shard: GroupShard,
    settings: Arc<GroupSettings>,
    image: MetadataImage,
    log: Vec<RecordBytes>,
    mono: Duration,
    tickets: u64,
    /// Who waits for what.
    open: BTreeMap<Ticket, (usize, usize, Option<MemberId>)>,
    clients: Vec<[Believes; 2]>,
    /// Who was told that it leads a generation since the log was loaded.
    leaders: BTreeMap<(usize, Epoch), BTreeSet<MemberId>>,
    generations: [Epoch; 2],
    stored: [Epoch; 2],
    stable: usize,
}

#[test]
fn leadership_has_one_owner_and_the_log_tells_the_state() {
    let mut stable = 0;
    for seed in 0..60 {
        let mut play = Play::new(seed);
        for event in 0..600 {
            play.event();
            if event % 25 == 0 {
                play.check(seed);
            }
        }
        play.finish(seed);
        stable += play.stable;
    }
    // Random clients find each other, or nothing was tested.
    assert!(stable > 300, "only {stable} stable generations");
}

impl Play {
    fn new(seed: u64) -> Self {
        let settings = Arc::new(GroupSettings {
            initial_rebalance_delay: Duration::from_secs(seed % 3),
            classic_members_max: if seed.is_multiple_of(5) { 3 } else { 100 },
            offsets_retention: Duration::from_secs(300),
            offsets_retention_check_interval: Duration::from_secs(60),
            ..GroupSettings::default()
        });
        let mut play = Self {
            draws: Draws::new(seed),
            shard: GroupShard::new(PartitionId::ZERO, Arc::clone(&settings)),
            settings,
            image: MetadataImage::empty("cluster"),
            log: Vec::new(),
            mono: Duration::ZERO,
            tickets: 0,
            open: BTreeMap::new(),
            clients: vec![Default::default(); CLIENTS],
            leaders: BTreeMap::new(),
            generations: [Epoch::ZERO; 2],
            stored: [Epoch::ZERO; 2],
            stable: 0,
        };
        play.load();
        play
    }

    fn now(&self) -> Now {
        let wall = i64::try_from(self.mono.as_millis()).unwrap();
        Now { mono: self.mono, wall: Timestamp::from_millis(wall) }
    }

    fn event(&mut self) {
        let (client, group) = (self.draws.below(CLIENTS), self.draws.below(2));
        match self.draws.below(100) {
            0..65 => match self.clients[client][group].next {
                Next::Join => self.join(client, group),
                Next::Sync => self.sync(client, group),
                Next::Heartbeat => self.heartbeat(client, group),
                Next::Wait => {}
            },
            65..69 => self.join(client, group),
            69..73 => self.sync(client, group),
            73..76 => self.heartbeat(client, group),
            76..85 => self.commit(client, group),
            85..87 => self.leave(client, group),
            87..99 => {
                let millis = u64::try_from(self.draws.below(2_000)).unwrap();
                self.wait(Duration::from_millis(millis));
            }
            _ => self.load(),
        }
    }

    fn join(&mut self, client: usize, group: usize) {
        let instance = (client < 2).then(|| InstanceId::new(&format!("static{client}")));
        // Sometimes a client is restarted, and has forgotten who it was.
        let forgets = self.draws.one_in(12);
        let member = self.clients[client][group].member.clone().filter(|_| !forgets);
        let changes = if self.draws.one_in(6) { self.draws.below(3) } else { client % 3 };
        let wish = ["range:a", "range:a+b", "range:a,sticky:b"][changes];
        let version = self.draws.below(10);
        let request = GroupRequest::Join(JoinGroup {
            group: GroupId::new(GROUPS[group]),
            member,
            client: Client { id: format!("client{client}").into(), host: "/h".into() },
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(15),
            protocol_type: "consumer".into(),
            protocols: protocols(wish),
            reason: None,
            takes_member_id_first: version >= 4 && instance.is_none(),
            knows_skip_assignment: version >= 9,
            instance,
            drawn: Uuid::from_u128(u128::from(self.draws.next())),
        });
        self.send(client, group, request);
    }

    fn sync(&mut self, client: usize, group: usize) {
        let believes = self.clients[client][group].clone();
        let assignment = |member: MemberId| MemberAssignment {
            assignment: format!("for {member}").into(),
            member,
        };
        let request = GroupRequest::Sync(SyncGroup {
            group: GroupId::new(GROUPS[group]),
            generation: believes.generation,
            member: believes.member,
            instance: None,
            protocol_type: None,
            protocol_name: None,
            assignments: believes.all.into_iter().map(assignment).collect(),
        });
        self.send(client, group, request);
    }

    fn heartbeat(&mut self, client: usize, group: usize) {
        let believes = self.clients[client][group].clone();
        let request = GroupRequest::Heartbeat(Heartbeat {
            group: GroupId::new(GROUPS[group]),
            generation: believes.generation,
            member: believes.member,
            instance: None,
        });
        self.send(client, group, request);
    }

    fn commit(&mut self, client: usize, group: usize) {
        let believes = self.clients[client][group].clone();
        let partition = CommitPartition {
            partition: PartitionId::new(i32::try_from(self.draws.below(3)).unwrap()),
            offset: Offset::from_wire(i64::try_from(self.draws.below(1_000)).unwrap()),
            leader_epoch: None,
            metadata: "".into(),
        };
        let request = GroupRequest::CommitOffsets(CommitOffsets {
            group: GroupId::new(GROUPS[group]),
            epoch: believes.generation,
            member: believes.member,
            instance: None,
            retention: self.draws.one_in(4).then(|| Duration::from_secs(100)),
            topics: vec![CommitTopic {
                name: TopicName::parse("a").unwrap(),
                id: None,
                partitions: vec![partition],
            }],
        });
        self.send(client, group, request);
    }

    fn leave(&mut self, client: usize, group: usize) {
        let member = self.clients[client][group].member.clone();
        let members = vec![Leaver { member, instance: None, reason: None }];
        let group_id = GroupId::new(GROUPS[group]);
        let request = GroupRequest::Leave(LeaveGroup { group: group_id, members });
        self.send(client, group, request);
    }

    fn send(&mut self, client: usize, group: usize, request: GroupRequest) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let asks = self.clients[client][group].member.clone();
        self.open.insert(ticket, (client, group, asks));
        self.clients[client][group].next = Next::Wait;
        let mut effects = Effects::default();
        self.shard.step(self.now(), &self.image, ticket, request, &mut effects);
        self.settle(effects);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.mono + time;
        while let Some(next) = self.shard.next_deadline().filter(|next| *next <= end) {
            self.mono = self.mono.max(next);
            let mut effects = Effects::default();
            self.shard.on_time(self.now(), &self.image, &mut effects);
            self.settle(effects);
        }
        self.mono = end;
    }

    /// The coordinator is restarted: whoever waited asks again, and what was not written down may
    /// happen again, otherwise.
    fn load(&mut self) {
        self.shard = self.replayed();
        self.open.clear();
        for believes in self.clients.iter_mut().flatten() {
            believes.next = Next::Join;
        }
        self.leaders.clear();
        self.generations = self.stored;
        let mut effects = Effects::default();
        self.shard.on_loaded(self.now(), &self.image, &mut effects);
        self.settle(effects);
    }

    fn replayed(&self) -> GroupShard {
        let mut shard = GroupShard::new(PartitionId::ZERO, Arc::clone(&self.settings));
        for record in &self.log {
            shard.replay(None, &record.key, record.value.as_deref()).unwrap();
        }
        shard
    }

    fn settle(&mut self, effects: Effects) {
        for record in &effects.records {
            self.log.push(record.encode());
            self.on_record(record);
        }
        for (ticket, answer) in effects.answers {
            let waiting = self.open.remove(&ticket);
            let (client, group, asked) = waiting.expect("each request is answered once");
            self.on_answer(client, group, asked, answer);
        }
    }

    fn on_record(&mut self, record: &GroupRecord) {
        let GroupRecord::Classic { group, value } = record else { return };
        let at = GROUPS.iter().position(|name| *name == group.as_str()).unwrap();
        let Some(value) = value else {
            // A group that is gone may begin anew.
            self.generations[at] = Epoch::ZERO;
            self.stored[at] = Epoch::ZERO;
            self.leaders.retain(|(group, _), _| *group != at);
            return;
        };
        assert!(value.generation >= self.stored[at], "generation {}", value.generation);
        self.stable += usize::from(value.generation > self.stored[at]);
        self.stored[at] = value.generation;
    }

    fn on_answer(
        &mut self,
        client: usize,
        group: usize,
        asked: Option<MemberId>,
        answer: GroupAnswer,
    ) {
        let believes = &mut self.clients[client][group];
        match answer {
            GroupAnswer::Join(Ok(joined)) => self.on_joined(client, group, joined),
            GroupAnswer::Join(Err(refused)) => {
                *believes = Believes::default();
                if refused.why == JoinError::MemberIdRequired {
                    believes.member = refused.member;
                }
            }
            GroupAnswer::Sync(Ok(synced)) => {
                let member = asked.unwrap();
                let mine = format!("for {member}");
                // A static member takes over what its former self was given.
                let inherited = client < 2 || synced.assignment.is_empty();
                assert!(inherited || synced.assignment == mine.as_bytes(), "{member}: {synced:?}");
                believes.next = Next::Heartbeat;
            }
            GroupAnswer::Heartbeat(Ok(())) | GroupAnswer::CommitOffsets(Ok(_)) => {
                believes.next = Next::Heartbeat;
            }
            _ => believes.next = Next::Join,
        }
    }

    fn on_joined(&mut self, client: usize, group: usize, joined: JoinAnswer) {
        assert!(joined.generation >= self.generations[group], "an old generation: {joined:?}");
        self.generations[group] = joined.generation;
        let leads = joined.leader.as_ref() == Some(&joined.member);
        assert!(leads || joined.members.is_empty(), "only a leader is told of all: {joined:?}");
        if leads && !joined.skip_assignment && client >= 2 {
            let leaders = self.leaders.entry((group, joined.generation)).or_default();
            leaders.insert(joined.member.clone());
            assert_eq!(leaders.len(), 1, "two lead generation {}: {leaders:?}", joined.generation);
        }
        self.clients[client][group] = Believes {
            member: Some(joined.member),
            generation: Some(joined.generation),

            all: joined.members.into_iter().map(|each| each.member).collect(),
            next: Next::Sync,
        };
    }

    /// What a restart would find is what the shard says.
    fn check(&mut self, seed: u64) {
        let mut replayed = self.replayed();
        let (now, image) = (self.now(), self.image.clone());
        for group in GROUPS {
            let ask = |shard: &mut GroupShard, request| {
                let mut effects = Effects::default();
                shard.step(now, &image, Ticket(0), request, &mut effects);
                assert_eq!(effects.records, [], "a question writes nothing");
                effects.answers.pop().unwrap().1
            };
            let fetch = GroupRequest::FetchOffsets(FetchOffsets {
                group: group.into(),
                member: None,
                epoch: None,
                topics: None,
                require_stable: false,
            });
            let known = ask(&mut self.shard, fetch.clone());
            assert_eq!(ask(&mut replayed, fetch), known, "seed {seed}: offsets of {group}");
            let describe = GroupRequest::Describe(vec![group.into()]);
            let known = ask(&mut self.shard, describe.clone());
            let rebalances = matches!(
                &known,
                GroupAnswer::Describe(all)
                    if all[0].1.as_ref().is_ok_and(|group| group.state.ends_with("Rebalance"))
            );
            if !rebalances {
                assert_eq!(ask(&mut replayed, describe), known, "seed {seed}: {group}");
            }
        }
    }

    /// Nobody waits for ever.
    fn finish(&mut self, seed: u64) {
        self.wait(Duration::from_secs(700));
        assert!(self.open.is_empty(), "seed {seed}: {:?} still wait", self.open);
        self.check(seed);
    }
}
