//! The cluster, as the active controller knows it, and this node's part in it.

use ottla_broker::PartitionReport;
use ottla_types::NodeId;

use super::{Scraped, Section};
use crate::family::{Family, counter, gauge};
use crate::page::Page;

static BROKERS: Family = gauge("kafka_brokers", &[], "Brokers that are not fenced.");
static BROKER_INFO: Family =
    gauge("kafka_broker_info", &["id", "address"], "A registered broker; always 1.");
static ACTIVE_CONTROLLER: Family = gauge(
    "kafka_controller_kafkacontroller_activecontrollercount",
    &[],
    "1 where the active controller is, 0 elsewhere.",
);
static ACTIVE_BROKERS: Family = gauge(
    "kafka_controller_kafkacontroller_activebrokercount",
    &[],
    "Registered brokers that are not fenced.",
);
static FENCED_BROKERS: Family = gauge(
    "kafka_controller_kafkacontroller_fencedbrokercount",
    &[],
    "Registered brokers that are fenced.",
);
static TOPICS: Family =
    gauge("kafka_controller_kafkacontroller_globaltopiccount", &[], "Topics of the cluster.");
static PARTITIONS: Family = gauge(
    "kafka_controller_kafkacontroller_globalpartitioncount",
    &[],
    "Partitions of the cluster.",
);
static OFFLINE: Family = gauge(
    "kafka_controller_kafkacontroller_offlinepartitionscount",
    &[],
    "Partitions that nobody serves: without a leader, or damaged where their leader is.",
);
static NOT_PREFERRED: Family = gauge(
    "kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
    &[],
    "Partitions that another one leads than their preferred leader.",
);
static UNCLEAN_ELECTIONS: Family = counter(
    "kafka_controller_controllerstats_uncleanleaderelections_total",
    &[],
    "Leaders that were elected though they were neither in sync nor eligible: what they lack is \
     lost.",
);
static ELR_ELECTIONS: Family = counter(
    "kafka_controller_controllerstats_electionfromeligibleleaderreplicas_total",
    &[],
    "Leaders that were elected while nobody was in sync, because they are known to lack nothing \
     (KIP-966).",
);
static QUORUM_STATE: Family = gauge(
    "kafka_server_raftmetrics_current_state",
    &["state"],
    "What this node is in the metadata quorum; always 1.",
);
static QUORUM_LEADER: Family = gauge(
    "kafka_server_raftmetrics_current_leader",
    &[],
    "The number of the metadata quorum's leader, -1 for none.",
);
static QUORUM_EPOCH: Family =
    gauge("kafka_server_raftmetrics_current_epoch", &[], "The metadata quorum's epoch.");
static QUORUM_VOTE: Family = gauge(
    "kafka_server_raftmetrics_current_vote",
    &[],
    "The number of the node that this one has voted for: itself where it leads, -1 for none.",
);
static QUORUM_HIGH_WATERMARK: Family = gauge(
    "kafka_server_raftmetrics_high_watermark",
    &[],
    "Everything below is committed in the metadata log.",
);
static REPLICAS_HERE: Family = gauge(
    "kafka_server_replicamanager_partitioncount",
    &[],
    "Partitions that this node has a replica of.",
);
static LED_HERE: Family =
    gauge("kafka_server_replicamanager_leadercount", &[], "Partitions that this node leads.");
static OFFLINE_HERE: Family = gauge(
    "kafka_server_replicamanager_offlinereplicacount",
    &[],
    "Replicas of this node that it cannot serve, because their files are damaged.",
);
static ISR_SHRINKS: Family = counter(
    "kafka_server_replicamanager_isrshrinks_total",
    &[],
    "Replicas that fell behind partitions led here: none, while each partition has one replica.",
);
static ISR_EXPANDS: Family = counter(
    "kafka_server_replicamanager_isrexpands_total",
    &[],
    "Replicas that caught up with partitions led here: none, while each partition has one replica.",
);
static UNDER_REPLICATED: Family = gauge(
    "kafka_server_replicamanager_underreplicatedpartitions",
    &[],
    "Partitions led here with fewer replicas in sync than there are.",
);
static UNDER_MIN_ISR: Family = gauge(
    "kafka_server_replicamanager_underminisrpartitioncount",
    &[],
    "Partitions led here with fewer replicas in sync than acks=all needs.",
);
static AT_MIN_ISR: Family = gauge(
    "kafka_server_replicamanager_atminisrpartitioncount",
    &[],
    "Partitions led here with no more replicas in sync than acks=all needs.",
);

pub(super) static SECTION: Section = Section {
    title: "The cluster",
    about: "What the controller knows of all, and what this node has of it.",
    families: &[
        &BROKERS,
        &BROKER_INFO,
        &ACTIVE_CONTROLLER,
        &ACTIVE_BROKERS,
        &FENCED_BROKERS,
        &TOPICS,
        &PARTITIONS,
        &OFFLINE,
        &NOT_PREFERRED,
        &UNCLEAN_ELECTIONS,
        &ELR_ELECTIONS,
        &QUORUM_STATE,
        &QUORUM_LEADER,
        &QUORUM_VOTE,
        &QUORUM_EPOCH,
        &QUORUM_HIGH_WATERMARK,
        &REPLICAS_HERE,
        &LED_HERE,
        &OFFLINE_HERE,
        &ISR_SHRINKS,
        &ISR_EXPANDS,
        &UNDER_REPLICATED,
        &UNDER_MIN_ISR,
        &AT_MIN_ISR,
    ],
};

pub(super) fn write(page: &mut Page<'_, '_>, scraped: &Scraped) {
    brokers(page, scraped);
    quorum(page, scraped);
    let node = scraped.node.node;
    let count = |counts: &dyn Fn(&PartitionReport) -> bool| {
        let all = scraped.topics.iter().flat_map(|topic| &topic.partitions);
        all.filter(|partition| counts(partition)).count()
    };
    let damaged = |it: &PartitionReport| it.is_here && it.log.is_none();
    page.single(&TOPICS, scraped.topics.len());
    page.single(&PARTITIONS, count(&|_| true));
    page.single(&OFFLINE, count(&|it| it.leader.is_none() || damaged(it)));
    page.single(&NOT_PREFERRED, count(&|it| it.leader != it.preferred));
    page.single(&REPLICAS_HERE, count(&|it| it.is_here));
    page.single(&LED_HERE, count(&|it| it.leader == Some(node)));
    page.single(&OFFLINE_HERE, count(&damaged));
    page.single(&ISR_SHRINKS, 0);
    page.single(&ISR_EXPANDS, 0);
    let led = |it: &PartitionReport| it.leader == Some(node);
    page.single(&UNDER_REPLICATED, count(&|it| led(it) && it.is_under_replicated()));
    page.single(&UNDER_MIN_ISR, count(&|it| led(it) && it.is_under_min_isr()));
    page.single(&AT_MIN_ISR, count(&|it| led(it) && it.is_at_min_isr()));
}

fn brokers(page: &mut Page<'_, '_>, scraped: &Scraped) {
    let brokers = &scraped.node.brokers;
    let fenced = brokers.iter().filter(|broker| broker.fenced).count();
    page.single(&BROKERS, brokers.len() - fenced);
    page.family(&BROKER_INFO);
    for broker in brokers {
        let address = broker.address.as_deref().unwrap_or_default();
        page.sample(&[&broker.id, &address], 1);
    }
    page.single(&ACTIVE_BROKERS, brokers.len() - fenced);
    page.single(&FENCED_BROKERS, fenced);
}

fn quorum(page: &mut Page<'_, '_>, scraped: &Scraped) {
    let quorum = scraped.node.quorum;
    let leads = quorum.leader.is_some_and(|leader| leader.get() == scraped.node.node.get());
    page.single(&ACTIVE_CONTROLLER, u8::from(leads));
    page.single(&UNCLEAN_ELECTIONS, scraped.node.elections.unclean);
    page.single(&ELR_ELECTIONS, scraped.node.elections.from_elr);
    page.family(&QUORUM_STATE);
    page.sample(&[&if leads { "leader" } else { "observer" }], 1);
    page.single(&QUORUM_LEADER, NodeId::to_wire(quorum.leader));
    page.single(&QUORUM_VOTE, NodeId::to_wire(quorum.leader.filter(|_| leads)));
    page.single(&QUORUM_EPOCH, quorum.epoch);
    page.single(&QUORUM_HIGH_WATERMARK, quorum.end);
}
