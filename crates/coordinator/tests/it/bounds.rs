//! What clients cannot make grow without end.

use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::{
    Client, Effects, Epoch, GroupAnswer, GroupRequest, GroupSettings, GroupShard, JoinError,
    JoinGroup, MemberAssignment, MemberId, Now, Protocol, SyncError, SyncGroup, Ticket,
};
use ottla_metadata::MetadataImage;
use ottla_types::{PartitionId, Timestamp, Uuid};

const MIB: usize = 1024 * 1024;

struct Bench {
    shard: GroupShard,
    image: MetadataImage,
    asked: u64,
}

impl Bench {
    fn new() -> Self {
        let settings =
            GroupSettings { initial_rebalance_delay: Duration::ZERO, ..GroupSettings::default() };
        Self {
            shard: GroupShard::new(PartitionId::ZERO, Arc::new(settings)),
            image: MetadataImage::empty("cluster"),
            asked: 0,
        }
    }

    fn now() -> Now {
        Now { mono: Duration::ZERO, wall: Timestamp::from_millis(0) }
    }

    fn ask(&mut self, request: GroupRequest) -> Option<GroupAnswer> {
        self.asked += 1;
        let (ticket, mut effects) = (Ticket(self.asked), Effects::default());
        self.shard.step(Self::now(), &self.image, ticket, request, &mut effects);
        effects.answers.into_iter().find(|(answered, _)| *answered == ticket).map(|it| it.1)
    }

    /// Joins as a newcomer; `None` if it has to wait for others.
    fn join(&mut self, client: &str, first: bool, metadata: usize) -> Option<JoinError> {
        let request = GroupRequest::Join(JoinGroup {
            group: "g".into(),
            member: None,
            instance: None,
            client: Client { id: client.into(), host: "/h".into() },
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(10),
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "range".into(), metadata: vec![0; metadata].into() }],
            reason: None,
            takes_member_id_first: first,
            knows_skip_assignment: true,
            drawn: Uuid::from_u128(u128::from(self.asked)),
        });
        match self.ask(request) {
            None => None,
            Some(GroupAnswer::Join(Err(refused))) => {
                let id = refused.member.map_or(0, |member| member.as_str().len());
                assert!(id < 2_000, "an id of {id} bytes");
                Some(refused.why)
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    /// The first deadlines: the initial delay is over.
    fn pass(&mut self) -> Effects {
        let mut effects = Effects::default();
        for _ in 0..2 {
            self.shard.on_time(Self::now(), &self.image, &mut effects);
        }
        effects
    }
}

#[test]
fn ids_that_nobody_came_back_with_are_bounded() {
    let mut bench = Bench::new();
    let client = "é".repeat(16_000);
    for _ in 0..10_000 {
        assert_eq!(bench.join(&client, true, 0), Some(JoinError::MemberIdRequired));
    }
    assert_eq!(bench.join(&client, true, 0), Some(JoinError::GroupMaxSizeReached));
}

#[test]
fn what_members_tell_of_themselves_is_bounded() {
    let mut bench = Bench::new();
    assert_eq!(bench.join("a", false, 8 * MIB), Some(JoinError::GroupMaxSizeReached));
    assert_eq!(bench.join("a", false, 4 * MIB), None);
    assert_eq!(bench.join("b", false, 4 * MIB), Some(JoinError::GroupMaxSizeReached));
    assert_eq!(bench.join("c", false, 2 * MIB), None);
}

#[test]
fn what_members_are_assigned_is_bounded() {
    let mut bench = Bench::new();
    assert_eq!(bench.join("a", false, 0), None);
    let leader = MemberId::new("a-00000000-0000-4000-8000-000000000000");
    assert_eq!(bench.pass().answers.len(), 1);
    let sync = |bytes: usize| {
        let assignment = vec![0; bytes].into();
        GroupRequest::Sync(SyncGroup {
            group: "g".into(),
            generation: Some(Epoch::new(1)),
            member: Some(leader.clone()),
            instance: None,
            protocol_type: None,
            protocol_name: None,
            assignments: vec![MemberAssignment { member: leader.clone(), assignment }],
        })
    };
    let refused = GroupAnswer::Sync(Err(SyncError::AssignmentTooLarge));
    assert_eq!(bench.ask(sync(8 * MIB)), Some(refused));
    // The group rebalances: everybody is to join again.
    let refused = GroupAnswer::Sync(Err(SyncError::RebalanceInProgress));
    assert_eq!(bench.ask(sync(1)), Some(refused));
}
