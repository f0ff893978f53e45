//! The host in the fake world: what it writes, when it answers, what a crash leaves.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::{Answer, DiskExt, Env, Open, Reply, reply};
use ottla_metadata::{
    Controller, CreateTopics, DeleteTopics, FeatureUpdate, MetadataDelta, MetadataImage,
    MetadataVersion, NewTopic, Record, TopicSelector, UpdateFeatures, UpgradeType,
};
use ottla_records::Batches;
use ottla_sim::{Death, DiskFault, Host as Machine, Sim};
use ottla_types::{NodeId, Timestamp, TopicName, Uuid};

use super::batches::{BatchContent, read};
use super::{
    BOOTSTRAP_CHECKPOINT, Checkpoint, ControllerHandle, ControllerHost, MAILBOX_MAX,
    METADATA_DIRECTORY, Metadata, Unavailable,
};
use crate::config::{NodeConfig, Properties};
use crate::identity::Identity;
use crate::node::StartError;
use crate::publisher::MetadataPublisher;

/// One machine and its lives.
struct World {
    sim: Sim,
    machine: Machine,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(seed);
        let machine = sim.host();
        Self { sim, machine }
    }

    /// What `life` comes to; `None` if the machine dies on the way. A former life ends before.
    fn live<T: 'static>(&mut self, life: impl AsyncFnOnce(Env) -> T + 'static) -> Option<T> {
        if self.machine.is_alive() {
            self.machine.end(Death::Kill);
        }
        let (to, answer) = reply();
        let life = |env| -> ottla_env::Task { Box::pin(async move { to.send(life(env).await) }) };
        self.machine.start(1, life);
        let operator = self.sim.host();
        self.sim.run(&operator, |_| answer).ok()
    }
}

/// A started controller.
struct Node {
    host: ControllerHost,
    handle: ControllerHandle,
    metadata: Arc<Metadata>,
    identity: Identity,
}

fn config(properties: &[(&str, &str)]) -> NodeConfig {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut all: Properties = properties.iter().map(own).collect();
    all.entry("log.dirs".to_owned()).or_insert_with(|| "some/data".to_owned());
    NodeConfig::parse(&all, Some("the-cluster".to_owned())).unwrap()
}

async fn start_with(
    env: &Env,
    config: &NodeConfig,
    publisher: impl MetadataPublisher + 'static,
) -> Result<Node, StartError> {
    let identity = Identity::establish(env, config).await?;
    let listeners = [&config.broker_listeners[..], &config.controller_listeners[..]].concat();
    let (host, handle, metadata) =
        ControllerHost::start(env, config, &identity, &listeners, false, Box::new(publisher))
            .await?;
    Ok(Node { host, handle, metadata, identity })
}

async fn start(env: &Env) -> Node {
    start_with(env, &config(&[]), Prompt).await.unwrap()
}

/// Serves every change at once.
struct Prompt;

impl MetadataPublisher for Prompt {
    fn publish(&mut self, _: &MetadataDelta, _: &Arc<MetadataImage>) -> Answer<()> {
        let (done, answer) = reply();
        done.send(());
        answer
    }
}

/// Serves a change when the test says so, the first apart.
#[derive(Clone, Default)]
struct Held {
    told: Rc<RefCell<Vec<String>>>,
    waiting: Rc<RefCell<Vec<Reply<()>>>>,
}

impl MetadataPublisher for Held {
    fn publish(&mut self, delta: &MetadataDelta, image: &Arc<MetadataImage>) -> Answer<()> {
        let (done, answer) = reply();
        let created = delta.topics().map(|topic| format!("+{}", topic.topic.name));
        let removed = delta.removed_topics().map(|topic| format!("-{}", topic.name));
        let all: Vec<_> = created.chain(removed).collect();
        self.told.borrow_mut().push(format!("{} {}", image.end(), all.join(" ")));
        if self.told.borrow().len() == 1 {
            done.send(());
        } else {
            self.waiting.borrow_mut().push(done);
        }
        answer
    }
}

fn topic(name: &str) -> CreateTopics {
    let topic = NewTopic { name: name.to_owned(), ..NewTopic::default() };
    CreateTopics { topics: vec![topic], validate_only: false }
}

async fn create(node: &Node, name: &str) -> Result<(), String> {
    let answer = node.handle.create_topics(topic(name)).await.expect("the controller runs");
    let outcome = answer.expect("it has room").remove(0).outcome;
    outcome.map(|_| ()).map_err(|error| error.to_string())
}

fn names(image: &MetadataImage) -> Vec<String> {
    image.topics().map(|topic| topic.name.to_string()).collect()
}

/// The batches of the metadata log: offsets, epoch, kinds of records.
async fn batches(env: &Env) -> Vec<String> {
    let path = Path::new("some/data").join(METADATA_DIRECTORY).join("00000000000000000000.log");
    let bytes = env.disk.read_whole(&path).await.unwrap();
    let walked = Batches::new(&bytes).map(|batch| {
        let batch = batch.unwrap();
        let kinds = match read(&batch).unwrap() {
            BatchContent::Control(records) => records.iter().map(kind).collect::<Vec<_>>(),
            BatchContent::Metadata(records) => records.iter().map(|(_, r)| kind(r)).collect(),
        };
        let header = batch.header;
        let epoch = header.leader_epoch.unwrap();
        format!("{}-{} @{epoch} {}", header.base_offset, header.last_offset(), kinds.join(" "))
    });
    walked.collect()
}

/// The innermost name that says which record it is.
fn kind(record: &impl std::fmt::Debug) -> String {
    let text = format!("{record:?}");
    let text = text.strip_prefix("Quorum(").unwrap_or(&text);
    text.split([' ', '(', '{', ')']).next().unwrap_or_default().to_owned()
}

const FIRST_START: [&str; 5] = [
    "0-2 @1 LeaderChange Version Voters",
    "3-6 @1 BeginTransaction FeatureLevel FeatureLevel EndTransaction",
    "7-7 @1 RegisterController",
    "8-8 @1 RegisterBroker",
    "9-9 @1 BrokerRegistrationChange",
];

#[test]
fn the_first_start_writes_kafkas_batches_in_kafkas_order() {
    let mut world = World::new(1);
    let (written, image) = world
        .live(async |env| {
            let node = start(&env).await;
            (batches(&env).await, node.metadata.image())
        })
        .unwrap();
    assert_eq!(written, FIRST_START);
    assert_eq!((image.cluster_id(), image.end().get()), ("the-cluster", 10));
    assert_eq!(image.controller(), Some(NodeId::new(1)));
    let broker = image.broker(NodeId::new(1)).unwrap();
    assert_eq!((broker.epoch.get(), broker.fenced), (8, false));
    let features: Vec<_> = image.finalized_features().collect();
    assert_eq!(features, [("group.version", 1), ("kraft.version", 1), ("metadata.version", 30)]);
}

#[test]
fn a_static_quorum_keeps_its_voters_out_of_the_log() {
    let mut world = World::new(1);
    let properties = [("controller.quorum.voters", "1@127.0.0.1:9093")];
    let (written, files, state) = world
        .live(async move |env| {
            drop(start_with(&env, &config(&properties), Prompt).await.unwrap());
            let quorum = Path::new("some/data").join(METADATA_DIRECTORY);
            let files = env.disk.list(&quorum).await.unwrap();
            let state = env.disk.read_whole(&quorum.join("quorum-state")).await.unwrap();
            (batches(&env).await, files, String::from_utf8(state).unwrap())
        })
        .unwrap();
    assert_eq!(written[0], "0-0 @1 LeaderChange");
    assert!(!files.iter().any(|file| file.name.ends_with(".checkpoint")));
    assert!(state.contains(r#""currentVoters":[{"voterId":1}],"data_version":0"#), "{state}");
}

#[test]
fn a_restart_writes_one_batch_for_each_of_its_roles() {
    let mut world = World::new(1);
    // Held: a host without a handle stops in peace, and says so in the log.
    let _killed = world.live(async |env| {
        let node = start(&env).await;
        create(&node, "orders").await.unwrap();
        create(&node, "audit").await.unwrap();
        // Whoever lets go of it stops it in peace.
        node
    });
    let (written, image) = world
        .live(async |env| {
            let node = start(&env).await;
            (batches(&env).await, node.metadata.image())
        })
        .unwrap();
    assert_eq!(written[..5], FIRST_START);
    assert_eq!(
        written[5..],
        [
            "10-11 @1 Topic Partition",
            "12-13 @1 Topic Partition",
            "14-14 @2 LeaderChange",
            "15-15 @2 RegisterController",
            "16-16 @2 RegisterBroker",
            "17-19 @2 BrokerRegistrationChange PartitionChange PartitionChange",
        ]
    );
    let orders = image.topic("orders").unwrap();
    assert_eq!(orders.partitions[0].leader_epoch.get(), 1, "its leader is another incarnation");
}

#[test]
fn a_clean_stop_sees_the_node_off() {
    let mut world = World::new(1);
    let (written, epochs, refused) = world
        .live(async |env| {
            let Node { host, handle, .. } = start(&env).await;
            host.stop().await;
            let quorum = Path::new("some/data").join(METADATA_DIRECTORY);
            let epochs = env.disk.read_whole(&quorum.join("leader-epoch-checkpoint")).await;
            (batches(&env).await, epochs.unwrap(), handle.create_topics(topic("late")).await)
        })
        .unwrap();
    assert_eq!(written[5..], ["10-10 @1 BrokerRegistrationChange"]);
    assert_eq!(epochs, b"0\n1\n1 0\n");
    assert_eq!(refused, Ok(Err(Unavailable::Ended)));
}

#[test]
fn requests_that_come_during_a_sync_share_the_next_one() {
    const SYNC: Duration = Duration::from_millis(100);
    let mut world = World::new(1);
    let machine = world.machine.clone();
    let took = world.live(async move |env| {
        let node = start(&env).await;
        machine.disk_fault(DiskFault::Slow(SYNC));
        let began = env.clock.mono();
        let first = node.handle.create_topics(topic("first"));
        env.clock.sleep(SYNC / 10).await;
        let others: Vec<_> =
            (0..100).map(|n| node.handle.create_topics(topic(&format!("t{n}")))).collect();
        assert!(node.metadata.image().topic("first").is_none(), "nothing is durable yet");
        first.await.unwrap().unwrap();
        assert_eq!(node.metadata.image().topics().count(), 1);
        for other in others {
            other.await.unwrap().unwrap();
        }
        assert_eq!(node.metadata.image().topics().count(), 101);
        env.clock.mono().since(began)
    });
    let took = took.unwrap();
    assert!(took >= SYNC * 2 && took < SYNC * 3, "{took:?} for 101 requests");
}

#[test]
fn an_answer_waits_until_the_change_is_served() {
    let mut world = World::new(1);
    let told = world.live(async |env| {
        let publisher = Held::default();
        let held = publisher.clone();
        let node = start_with(&env, &config(&[]), publisher).await.unwrap();
        let mut created = node.handle.create_topics(topic("orders"));
        let name = TopicSelector::Name("orders".to_owned());
        let deleted = node.handle.delete_topics(DeleteTopics { topics: vec![name] });
        let mut again = node.handle.create_topics(topic("orders"));
        env.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(node.metadata.image().topics().count(), 1, "made, deleted and made again");
        let pending = async |answer: &mut Answer<_>| {
            let pinned = std::pin::Pin::new(answer);
            let mut pinned = Some(pinned);
            std::future::poll_fn(|cx| {
                let answer = pinned.take().expect("polled once");
                std::task::Poll::Ready(answer.poll(cx).is_pending())
            })
            .await
        };
        assert!(pending(&mut created).await && pending(&mut again).await, "nobody serves it yet");
        // Served out of order: answered in order all the same.
        let waiting: Vec<_> = held.waiting.borrow_mut().drain(..).collect();
        for done in waiting.into_iter().rev() {
            done.send(());
        }
        created.await.unwrap().unwrap();
        deleted.await.unwrap().unwrap();
        again.await.unwrap().unwrap();
        held.told.borrow().clone()
    });
    assert_eq!(told.unwrap(), ["10 ", "12 +orders", "13 -orders", "15 +orders"]);
}

#[test]
fn a_refusal_that_rests_on_an_uncommitted_change_waits_for_it() {
    let mut world = World::new(1);
    let machine = world.machine.clone();
    let refused = world.live(async move |env| {
        let node = start(&env).await;
        machine.disk_fault(DiskFault::Slow(Duration::from_millis(100)));
        let created = node.handle.create_topics(topic("orders"));
        let refused = create(&node, "orders").await;
        assert_eq!(names(&node.metadata.image()), ["orders"], "whoever is refused can see why");
        created.await.unwrap().unwrap();
        refused
    });
    assert_eq!(refused.unwrap(), Err("Topic 'orders' already exists.".to_owned()));
}

#[test]
fn a_full_mailbox_refuses_at_once() {
    let mut world = World::new(1);
    world.live(async |env| {
        let node = start(&env).await;
        let ask = |n| node.handle.create_topics(topic(&format!("t{n}")));
        let answers: Vec<_> = (0..MAILBOX_MAX + 2).map(ask).collect();
        for (n, answer) in answers.into_iter().enumerate() {
            let refused = answer.await.unwrap().err();
            assert_eq!(refused, (n >= MAILBOX_MAX).then_some(Unavailable::Behind), "{n}");
        }
    });
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut world = World::new(1);
    let mut given = Vec::new();
    for _ in 0..3 {
        let blocks = world.live(async |env| {
            let node = start(&env).await;
            let first = node.handle.allocate_producer_ids();
            let second = node.handle.allocate_producer_ids();
            [first.await.unwrap().unwrap(), second.await.unwrap().unwrap()]
        });
        given.extend(blocks.unwrap().map(|block| (block.first.get(), block.count)));
    }
    let expected: Vec<_> = (0..6).map(|nth| (nth * 1_000, 1_000)).collect();
    assert_eq!(given, expected);
}

#[test]
fn a_failed_sync_halts_the_node() {
    let mut world = World::new(1);
    let machine = world.machine.clone();
    let lived = world.live(async move |env| {
        let node = start(&env).await;
        machine.disk_fault(DiskFault::NextSyncFails);
        drop(node.handle.create_topics(topic("orders")).await);
        std::future::pending::<()>().await;
    });
    assert_eq!(lived, None);
    let halts = world.machine.take_halts();
    assert_eq!(halts.len(), 1);
    assert!(
        halts[0].starts_with("the controller cannot go on: sync the metadata log"),
        "{halts:?}"
    );
}

/// So small that a segment holds the first start, and each topic needs another one.
const SMALL_SEGMENTS: [(&str, &str); 1] = [("internal.metadata.log.segment.bytes", "512")];

#[test]
fn a_death_between_any_two_disk_calls_loses_no_answer() {
    let runs = [(&[][..], 0), (&[][..], 1), (&SMALL_SEGMENTS[..], 2)];
    for (death, (properties, seed)) in
        [Death::Kill, Death::PowerLoss].into_iter().flat_map(|death| runs.map(|run| (death, run)))
    {
        let config = config(properties);
        let mut calls = 0;
        while dies_after(seed, calls, death, &config) {
            calls += 1;
        }
        assert!(calls > 20, "{death:?}: only {calls} calls");
    }
}

#[test]
fn the_log_goes_on_in_another_segment() {
    let mut world = World::new(1);
    let segments = world.live(async |env| {
        let node = start_with(&env, &config(&SMALL_SEGMENTS), Prompt).await.unwrap();
        for n in 0..10 {
            create(&node, &format!("topic-{n}")).await.unwrap();
        }
        let quorum = Path::new("some/data").join(METADATA_DIRECTORY);
        let files = env.disk.list(&quorum).await.unwrap();
        files.iter().filter(|file| file.name.ends_with(".log")).count()
    });
    assert!(segments.unwrap() > 3);
    let found = world.live(async |env| {
        let node = start_with(&env, &config(&SMALL_SEGMENTS), Prompt).await.unwrap();
        names(&node.metadata.image()).len()
    });
    assert_eq!(found, Some(10));
}

#[test]
fn a_change_that_no_segment_could_hold_is_written_in_parts() {
    let mut world = World::new(2);
    let live = |world: &mut World, creates: bool| {
        world.live(async move |env| {
            let node = start_with(&env, &config(&SMALL_SEGMENTS), Prompt).await.unwrap();
            if creates {
                let topic = |n: i32| NewTopic { name: format!("topic-{n}"), ..NewTopic::default() };
                let topics = (0..50).map(topic).collect();
                let request = CreateTopics { topics, validate_only: false };
                let told = node.handle.create_topics(request).await.unwrap().unwrap();
                assert!(told.iter().all(|each| each.outcome.is_ok()));
            }
            names(&node.metadata.image()).len()
        })
    };
    assert_eq!(live(&mut world, true), Some(50));
    assert_eq!(live(&mut world, false), Some(50));
}

#[test]
fn a_snapshot_stands_for_a_beginning_that_is_gone() {
    let mut world = World::new(1);
    let quorum = Path::new("some/data").join(METADATA_DIRECTORY);
    let image = world.live(async move |env| {
        let identity = Identity::establish(&env, &config(&[])).await.unwrap();
        let formatted = quorum.join("00000000000000000000-0000000000.checkpoint");
        let first = Checkpoint::decode(&env.disk.read_whole(&formatted).await.unwrap()).unwrap();
        let name = TopicName::parse("kept").unwrap();
        let kept = Record::Topic { name, id: Uuid::from_u128(500) };
        let records = Controller::bootstrap_records().into_iter().chain([kept]).collect();
        let snapshot = Checkpoint { records, ..first }.encode(Timestamp::from_millis(1));
        let path = quorum.join("00000000000000000100-0000000007.checkpoint");
        env.disk.replace_file(&path, &snapshot).await.unwrap();
        let segment = quorum.join("00000000000000000100.log");
        env.disk.open_file(&segment, Open::New).await.unwrap();
        drop(identity);
        start(&env).await.metadata.image()
    });
    let image = image.unwrap();
    assert_eq!(names(&image), ["kept"]);
    assert_eq!((image.epoch().get(), image.broker(NodeId::new(1)).unwrap().epoch.get()), (8, 104));
}

/// What is left to do on a machine that has died under its node.
async fn hang() {
    std::future::pending::<()>().await;
}

/// A first start, three topics and a stop, on a machine that dies after so many disk calls; then a
/// second life, which must find all that was answered. Whether it died.
fn dies_after(seed: u64, calls: u32, death: Death, config: &NodeConfig) -> bool {
    let (first, second) = (config.clone(), config.clone());
    let mut world = World::new(seed);
    let answered = Rc::new(RefCell::new(Vec::new()));
    let note = Rc::clone(&answered);
    world.machine.disk_fault(DiskFault::DeathAfter { calls, death });
    let lived = world.live(async move |env| {
        let Ok(node) = start_with(&env, &first, Prompt).await else { return hang().await };
        for name in ["a", "b", "c"] {
            let Ok(Ok(_)) = node.handle.create_topics(topic(name)).await else {
                return hang().await;
            };
            note.borrow_mut().push(name.to_owned());
        }
        node.host.stop().await;
    });
    let (found, identity) = world
        .live(async move |env| {
            let node = start_with(&env, &second, Prompt).await.unwrap();
            create(&node, "later").await.unwrap();
            (names(&node.metadata.image()), node.identity.cluster_id.clone())
        })
        .unwrap_or_else(|| panic!("no second life after {calls} calls and {death:?}"));
    assert_eq!(identity, "the-cluster");
    for name in answered.borrow().iter() {
        assert!(found.contains(name), "{name} was answered, and {found:?} is left after {calls}");
    }
    lived.is_none()
}

/// Formats a folder for a cluster that will agree on these features.
async fn format_with(env: &Env, features: &[(&str, i16)]) {
    drop(Identity::establish(env, &config(&[])).await.unwrap());
    let feature =
        |(name, level): &(&str, i16)| Record::FeatureLevel { name: (*name).into(), level: *level };
    let records = features.iter().map(feature).collect();
    let bootstrap = Checkpoint { records, ..Checkpoint::default() };
    let bytes = bootstrap.encode(Timestamp::from_millis(1));
    let path = Path::new("some/data").join(BOOTSTRAP_CHECKPOINT);
    env.disk.replace_file(&path, &bytes).await.unwrap();
}

#[test]
fn a_cluster_whose_log_cannot_be_kept_is_refused_before_a_byte_is_written() {
    let mut world = World::new(1);
    let (refused, files) = world
        .live(async |env| {
            format_with(&env, &[("metadata.version", 31), ("group.version", 1)]).await;
            let refused = start_with(&env, &config(&[]), Prompt).await.err().unwrap();
            let quorum = Path::new("some/data").join(METADATA_DIRECTORY);
            (refused.to_string(), env.disk.list(&quorum).await.unwrap())
        })
        .unwrap();
    assert_eq!(
        refused,
        "cannot start from the data folder: the cluster has agreed on metadata.version 31, and \
         this version of Ottla supports 7 to 30; Kafka's kafka-features can lower it"
    );
    assert!(!files.iter().any(|file| file.name == "quorum-state"));
    assert!(files.iter().all(|file| !file.name.ends_with(".log") || file.len == 0), "{files:?}");
}

/// What `kafka-storage format` of Apache Kafka 4.3.1 finalizes unless it is told otherwise.
const APACHE_FEATURES: [(&str, i16); 6] = [
    ("metadata.version", 30),
    ("eligible.leader.replicas.version", 1),
    ("group.version", 1),
    ("share.version", 1),
    ("streams.version", 1),
    ("transaction.version", 2),
];

#[test]
fn features_that_are_not_served_are_kept_for_whoever_serves_them() {
    let mut world = World::new(1);
    let mut lives = Vec::new();
    for life in 0..2 {
        let found = world.live(async move |env| {
            if life == 0 {
                format_with(&env, &APACHE_FEATURES).await;
            }
            let image = start(&env).await.metadata.image();
            let own = |(name, level): (&str, i16)| (name.to_owned(), level);
            image.finalized_features().map(own).collect::<Vec<_>>()
        });
        lives.push(found.unwrap());
    }
    assert_eq!(lives[0], lives[1]);
    let found: Vec<_> = lives[0].iter().map(|(name, level)| (name.as_str(), *level)).collect();
    for kept in APACHE_FEATURES {
        assert!(found.contains(&kept), "{kept:?} is not in {found:?}");
    }
}

/// A folder whose metadata.version is from before directories, transactions and registrations of
/// controllers: every record is written so that nodes of that version can read it.
#[test]
fn an_old_cluster_gets_old_records() {
    let mut world = World::new(1);
    let written = world.live(async |env| {
        drop(Identity::establish(&env, &config(&[])).await.unwrap());
        let old = Record::FeatureLevel { name: "metadata.version".into(), level: 7 };
        let bootstrap = Checkpoint { records: vec![old], ..Checkpoint::default() };
        let bytes = bootstrap.encode(Timestamp::from_millis(1));
        let path = Path::new("some/data").join(BOOTSTRAP_CHECKPOINT);
        env.disk.replace_file(&path, &bytes).await.unwrap();
        let node = start(&env).await;
        create(&node, "orders").await.unwrap();
        batches(&env).await
    });
    assert_eq!(
        written.unwrap()[1..],
        [
            "3-3 @1 FeatureLevel",
            "4-4 @1 RegisterBroker",
            "5-5 @1 BrokerRegistrationChange",
            "6-7 @1 Topic Partition"
        ]
    );
}

/// Its nodes register again once there are records that tell more of them, and keep their epochs.
#[test]
fn an_old_cluster_comes_up_to_date() {
    let mut world = World::new(1);
    let written = world.live(async |env| {
        drop(Identity::establish(&env, &config(&[])).await.unwrap());
        let old = Record::FeatureLevel { name: "metadata.version".into(), level: 7 };
        let bootstrap = Checkpoint { records: vec![old], ..Checkpoint::default() };
        let bytes = bootstrap.encode(Timestamp::from_millis(1));
        let path = Path::new("some/data").join(BOOTSTRAP_CHECKPOINT);
        env.disk.replace_file(&path, &bytes).await.unwrap();
        let node = start(&env).await;
        let before = Arc::clone(node.metadata.image().broker(NodeId::new(1)).unwrap());
        let update = |level, kind| UpdateFeatures {
            updates: vec![FeatureUpdate { feature: "metadata.version".into(), level, kind }],
            validate_only: false,
        };
        for (level, kind, allowed) in [
            (30, Some(UpgradeType::Upgrade), true),
            (30, Some(UpgradeType::Upgrade), true),
            (7, Some(UpgradeType::SafeDowngrade), false),
        ] {
            let answer = node.handle.update_features(update(level, kind)).await;
            assert_eq!(answer.expect("the controller runs").unwrap().is_ok(), allowed, "{level}");
        }
        create(&node, "orders").await.unwrap();
        let image = node.metadata.image();
        assert_eq!(*image.broker(NodeId::new(1)).unwrap(), before, "the same registration");
        assert_eq!(image.controllers().count(), 1);
        batches(&env).await
    });
    assert_eq!(
        written.unwrap()[4..],
        [
            "6-6 @1 FeatureLevel",
            "7-8 @1 RegisterController RegisterBroker",
            "9-9 @1 FeatureLevel",
            "10-11 @1 Topic Partition"
        ]
    );
    let image = world.live(async |env| start(&env).await.metadata.image()).unwrap();
    assert_eq!(image.metadata_version(), Some(MetadataVersion::LATEST));
    assert_eq!(names(&image), ["orders"]);
}

#[test]
fn a_folder_is_refused_that_is_not_this_nodes() {
    let mut world = World::new(1);
    world.live(async |env| drop(start(&env).await));
    let refused = world.live(async |env| {
        let other = Identity::establish(&env, &config(&[("node.id", "2")])).await;
        let other = other.unwrap_err().to_string();
        env.disk.unlink(Path::new("some/data/meta.properties")).await.unwrap();
        let lost = Identity::establish(&env, &config(&[])).await.unwrap_err().to_string();
        [other, lost]
    });
    assert_eq!(
        refused.unwrap(),
        [
            "the data folder some/data belongs to node 1, and node.id is 2: set node.id=1, or \
             choose another folder with --override log.dirs=FOLDER",
            "some/data holds __cluster_metadata-0/00000000000000000000.log and no \
             meta.properties, so nobody knows whose data that is: bring the file back, or choose \
             an empty folder with --override log.dirs=FOLDER",
        ]
    );
}
