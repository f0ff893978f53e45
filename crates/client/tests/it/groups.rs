//! Groups: several consumers that share topics, on a node of ours.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ottla_client::{
    Assignor, Client, CommittedOffset, ConsumeError, ConsumerBuilder, GroupProtocol, NewTopic,
    OffsetReset, Producer, Rebalance, Record, partition,
};
use ottla_env::Env;
use ottla_types::{Offset, PartitionId, TopicPartition};
use ottla_wire::ErrorCode;

use crate::node::{Machine, with_configured_node};

const PROPERTIES: &[(&str, &str)] = &[
    ("offsets.topic.num.partitions", "3"),
    ("group.initial.rebalance.delay.ms", "100"),
    ("group.consumer.heartbeat.interval.ms", "5000"),
];

const SECOND: Duration = Duration::from_secs(1);

/// How a group of a test shares out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Classic(Assignor),
    Modern,
}

const KINDS: [Kind; 5] = [
    Kind::Classic(Assignor::Range),
    Kind::Classic(Assignor::RoundRobin),
    Kind::Classic(Assignor::Sticky),
    Kind::Classic(Assignor::CooperativeSticky),
    Kind::Modern,
];

/// What became of a member, seen from outside.
#[derive(Default)]
struct Seen {
    /// Texts of records, in order.
    records: RefCell<Vec<String>>,
    owned: RefCell<BTreeSet<TopicPartition>>,
    assigned: Cell<u32>,
    closes: Cell<bool>,
    closed: Cell<bool>,
}

/// The owned sets of all members, by generation or epoch.
type Owners = Rc<RefCell<BTreeMap<(i32, TopicPartition), String>>>;

struct Group {
    env: Env,
    client: Client,
    kind: Kind,
    owners: Owners,
    members: Vec<Rc<Seen>>,
}

impl Group {
    async fn new(env: Env, client: Client, kind: Kind) -> Self {
        client.admin().create_topic(NewTopic::new("t").partitions(4)).await.unwrap();
        Self { env, client, kind, owners: Rc::default(), members: Vec::new() }
    }

    fn builder(&self) -> ConsumerBuilder {
        let builder = self
            .client
            .consumer()
            .group("g")
            .subscribe(["t"])
            .offset_reset(OffsetReset::Earliest)
            .auto_commit(SECOND)
            .session_timeout(Duration::from_secs(6))
            .heartbeat_interval(SECOND)
            .poll_interval_max(Duration::from_secs(20));
        match self.kind {
            Kind::Classic(assignor) => builder.assignors([assignor]),
            Kind::Modern => builder.protocol(GroupProtocol::Consumer),
        }
    }

    /// Adds a member that reads until it is told to close.
    fn join(&mut self) -> Rc<Seen> {
        let number = self.members.len().to_string();
        self.join_as(number, |builder| builder)
    }

    /// Adds a member that is the same as others of its name.
    fn join_static(&mut self, name: &str) -> Rc<Seen> {
        self.join_as(name.to_owned(), |builder| builder.instance(name))
    }

    fn join_as(
        &mut self,
        name: String,
        set: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
    ) -> Rc<Seen> {
        let seen = Rc::new(Seen::default());
        let owners = Rc::clone(&self.owners);
        let hears = Rc::clone(&seen);
        let listener = move |event: &Rebalance| {
            if let Rebalance::Assigned { epoch, owned, .. } = event {
                for each in owned {
                    let mut owners = owners.borrow_mut();
                    let owner =
                        owners.entry((*epoch, each.clone())).or_insert_with(|| name.clone());
                    assert_eq!(*owner, name, "{each} has two owners in {epoch}");
                }
                *hears.owned.borrow_mut() = owned.clone();
                hears.assigned.set(hears.assigned.get() + 1);
            }
            if let Rebalance::Revoked { removed } | Rebalance::Lost { removed } = event {
                hears.owned.borrow_mut().retain(|each| !removed.contains(each));
            }
        };
        let mut consumer = set(self.builder()).on_rebalance(listener).build().unwrap();
        let reads = Rc::clone(&seen);
        self.env.spawn.spawn(
            "member",
            Box::pin(async move {
                while !reads.closes.get() {
                    for record in consumer.poll(SECOND / 5).await.unwrap() {
                        let text = String::from_utf8(record.value.unwrap().into()).unwrap();
                        reads.records.borrow_mut().push(text);
                    }
                }
                consumer.close().await.unwrap();
                reads.closed.set(true);
            }),
        );
        self.members.push(Rc::clone(&seen));
        seen
    }

    async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..1_200 {
            if done() {
                return;
            }
            self.env.clock.sleep(SECOND / 10).await;
        }
        let owned: Vec<_> = self.members.iter().map(|each| each.owned.borrow().clone()).collect();
        panic!("{:?}: never {what}: {owned:?}", self.kind);
    }

    /// Waits until these members have so many partitions each, and all of them together.
    async fn settled(&self, members: &[&Rc<Seen>], shares: &[usize]) {
        let owned = || members.iter().map(|each| each.owned.borrow().len()).collect::<Vec<_>>();
        self.until(&format!("shared as {shares:?}"), || {
            let mut owned = owned();
            owned.sort_unstable();
            owned == shares
        })
        .await;
    }

    async fn close(&self, member: &Seen) {
        member.closes.set(true);
        self.until("closed", || member.closed.get()).await;
    }

    /// Everything that was read, by all members.
    fn read(&self) -> Vec<String> {
        let mut read: Vec<String> =
            self.members.iter().flat_map(|each| each.records.borrow().clone()).collect();
        read.sort_unstable();
        read
    }

    async fn write(&self, producer: &Producer, numbers: std::ops::Range<i32>) {
        for number in numbers {
            let to = PartitionId::new(number % 4);
            let record = Record::to("t").partition(to).value(format!("{number:04}"));
            producer.send(record).await.unwrap().await.unwrap();
        }
    }
}

fn texts(numbers: std::ops::Range<i32>) -> Vec<String> {
    numbers.map(|number| format!("{number:04}")).collect()
}

fn each_kind(test: impl AsyncFnOnce(Group, Machine) + Copy + 'static) {
    for (seed, kind) in (1..).zip(KINDS) {
        with_configured_node(seed, PROPERTIES, async move |env, machine, client| {
            test(Group::new(env, client, kind).await, machine).await;
        });
    }
}

#[test]
fn members_come_and_go_and_every_record_is_read_once() {
    each_kind(async |mut group, _| {
        let producer = group.client.producer().linger(Duration::ZERO).build();
        let first = group.join();
        group.settled(&[&first], &[4]).await;
        group.write(&producer, 0..40).await;
        let second = group.join();
        group.write(&producer, 40..80).await;
        group.settled(&[&first, &second], &[2, 2]).await;
        group.write(&producer, 80..120).await;
        let third = group.join();
        group.settled(&[&first, &second, &third], &[1, 1, 2]).await;
        group.close(&first).await;
        group.write(&producer, 120..160).await;
        group.settled(&[&second, &third], &[2, 2]).await;
        group.close(&second).await;
        group.settled(&[&third], &[4]).await;
        group.write(&producer, 160..200).await;
        group.until("everything read", || group.read().len() >= 200).await;
        group.close(&third).await;
        let fourth = group.join();
        group.settled(&[&fourth], &[4]).await;
        group.env.clock.sleep(SECOND * 3).await;
        assert_eq!(group.read(), texts(0..200), "{:?}: nothing twice", group.kind);
    });
}

#[test]
fn surplus_members_wait_and_take_over() {
    each_kind(async |mut group, _| {
        let members: Vec<_> = (0..6).map(|_| group.join()).collect();
        let all: Vec<_> = members.iter().collect();
        group.settled(&all, &[0, 0, 1, 1, 1, 1]).await;
        for member in &members[..4] {
            group.close(member).await;
        }
        group.settled(&[&members[4], &members[5]], &[2, 2]).await;
    });
}

#[test]
fn a_group_outlives_its_node() {
    each_kind(async |mut group, machine| {
        let producer = group.client.producer().linger(Duration::ZERO).build();
        let (first, second) = (group.join(), group.join());
        group.settled(&[&first, &second], &[2, 2]).await;
        group.write(&producer, 0..20).await;
        machine.restart(&group.env, SECOND).await;
        group.write(&producer, 20..40).await;
        group
            .until("everything read", || {
                group.read().into_iter().collect::<BTreeSet<_>>().len() == 40
            })
            .await;
        group.settled(&[&first, &second], &[2, 2]).await;
    });
}

#[test]
fn a_static_member_gets_its_place_back() {
    each_kind(async |mut group, _| {
        let first = group.join_static("one");
        let second = group.join_static("two");
        group.settled(&[&first, &second], &[2, 2]).await;
        let had = second.owned.borrow().clone();
        let rounds = first.assigned.get();
        group.close(&second).await;
        let again = group.join_static("two");
        group.settled(&[&first, &again], &[2, 2]).await;
        assert_eq!(*again.owned.borrow(), had, "{:?}", group.kind);
        group.env.clock.sleep(SECOND * 3).await;
        if group.kind != Kind::Modern {
            assert_eq!(first.assigned.get(), rounds, "{:?}: nobody else is disturbed", group.kind);
        }
    });
}

#[test]
fn operators_see_groups_and_set_their_offsets() {
    each_kind(async |mut group, _| {
        let producer = group.client.producer().linger(Duration::ZERO).build();
        group.write(&producer, 0..40).await;
        let admin = group.client.admin();
        let member = group.join();
        group.until("everything read", || group.read().len() == 40).await;
        let described = admin.describe_group("g").await.unwrap();
        assert_eq!(described.members.len(), 1, "{described:?}");
        assert_eq!(described.members[0].assignment.len(), 4, "{described:?}");
        assert_eq!(described.state, "Stable");
        let refused = admin.delete_group("g").await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::NonEmptyGroup));

        group.close(&member).await;
        let listed = admin.list_groups().await.unwrap();
        assert_eq!((listed.len(), listed[0].id.as_str()), (1, "g"), "{listed:?}");
        let offsets = admin.group_offsets("g").await.unwrap();
        let ten = |at| (partition("t", at).unwrap(), CommittedOffset::from(Offset::new(10)));
        let found: BTreeMap<_, _> = offsets
            .iter()
            .map(|(at, found)| (at.clone(), CommittedOffset::from(found.offset)))
            .collect();
        assert_eq!(found, (0..4).map(ten).collect());

        let back = BTreeMap::from([(partition("t", 1).unwrap(), Offset::new(8).into())]);
        admin.alter_group_offsets("g", &back).await.unwrap();
        admin.delete_group_offsets("g", &[partition("t", 2).unwrap()]).await.unwrap();
        let again = group.join();
        group.until("read again", || again.records.borrow().len() == 12).await;
        group.close(&again).await;
        admin.delete_group("g").await.unwrap();
        assert!(admin.list_groups().await.unwrap().is_empty());
    });
}

#[test]
fn who_does_not_poll_loses_its_partitions_and_cannot_commit() {
    each_kind(async |mut group, _| {
        let producer = group.client.producer().linger(Duration::ZERO).build();
        group.write(&producer, 0..8).await;
        let mut lazy = group.builder().poll_interval_max(Duration::from_secs(8)).build().unwrap();
        let mut read = 0;
        while read < 8 {
            read += lazy.poll(SECOND).await.unwrap().len();
        }
        let other = group.join_as("other".to_owned(), |builder| {
            builder.poll_interval_max(Duration::from_secs(8))
        });
        group.settled(&[&other], &[4]).await;
        let error = lazy.commit().await.unwrap_err();
        assert_eq!(error, ConsumeError::Rebalanced { group: "g".to_owned() });
        group.until("read again", || other.records.borrow().len() >= 8).await;
        lazy.poll(SECOND * 3).await.unwrap();
    });
}
