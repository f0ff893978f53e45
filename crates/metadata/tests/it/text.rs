//! Records and images as lines.

use std::fmt::Write;

use ottla_metadata::{
    BrokerImage, ConfigResource, LeaderRecovery, MetadataImage, PartitionChange, PartitionImage,
    Record, RegistrationChange,
};

pub(crate) fn of_record(record: &Record) -> String {
    match record {
        Record::RegisterBroker(broker) => format!("RegisterBroker {}", of_broker(broker)),
        Record::UnregisterBroker { broker, epoch } => format!("UnregisterBroker {broker} {epoch}"),
        Record::BrokerRegistrationChange(change) => of_registration_change(change),
        Record::RegisterController(controller) => {
            format!("RegisterController {} incarnation {:?}", controller.id, controller.incarnation)
        }
        Record::Topic { name, id } => format!("Topic {name} {id}"),
        Record::RemoveTopic { id } => format!("RemoveTopic {id}"),
        Record::Partition(new) => {
            format!("Partition {} {}: {}", new.topic, new.partition, of_partition(&new.state))
        }
        Record::PartitionChange(change) => of_partition_change(change),
        Record::Config { resource, name, value } => {
            format!("Config {} {name}={value:?}", of_resource(resource))
        }
        Record::FeatureLevel { name, level } => format!("FeatureLevel {name} {level}"),
        Record::ProducerIds { by: Some((broker, epoch)), next } => {
            format!("ProducerIds of {broker} {epoch}, next {next}")
        }
        Record::ProducerIds { by: None, next } => format!("ProducerIds next {next}"),
        Record::ClearElr { topic } => format!("ClearElr {topic:?}"),
        Record::BeginTransaction { name } => format!("BeginTransaction {name}"),
        Record::EndTransaction => "EndTransaction".into(),
        Record::AbortTransaction { reason } => format!("AbortTransaction {reason}"),
        Record::NoOp => "NoOp".into(),
    }
}

pub(crate) fn of_resource(resource: &ConfigResource) -> String {
    match resource {
        ConfigResource::Topic(name) => format!("topic {name}"),
        ConfigResource::Broker(id) => format!("broker {id:?}"),
        ConfigResource::Group(name) => format!("group {name}"),
        ConfigResource::Other { kind, name } => format!("kind {kind} {name}"),
    }
}

fn of_broker(broker: &BrokerImage) -> String {
    let mut text = format!("{} epoch {}", broker.id, broker.epoch);
    let endpoints = broker.endpoints.iter().map(|e| format!(" {}:{}", e.host, e.port));
    text.extend(endpoints);
    text.push_str(if broker.fenced { " fenced" } else { "" });
    text.push_str(if broker.in_controlled_shutdown { " leaving" } else { "" });
    write!(text, " directories {:?}", broker.directories).unwrap();
    text
}

fn of_registration_change(change: &RegistrationChange) -> String {
    let mut text = format!("BrokerRegistrationChange {} {}", change.broker, change.epoch);
    text.push_str(match change.fenced {
        Some(true) => " fence",
        Some(false) => " unfence",
        None => "",
    });
    text.push_str(if change.in_controlled_shutdown { " leaving" } else { "" });
    if let Some(cordoned) = &change.cordoned {
        write!(text, " cordoned {cordoned:?}").unwrap();
    }
    text
}

fn of_partition(state: &PartitionImage) -> String {
    let mut text = format!(
        "leader {:?} epochs {}/{} replicas {:?} isr {:?} in {:?}",
        state.leader,
        state.leader_epoch,
        state.partition_epoch,
        state.replicas,
        state.isr,
        state.directories
    );
    if !(state.elr.is_empty() && state.last_known_elr.is_empty()) {
        write!(text, " elr {:?} last known {:?}", state.elr, state.last_known_elr).unwrap();
    }
    text.push_str(if state.recovery == LeaderRecovery::Recovering { " recovering" } else { "" });
    text
}

fn of_partition_change(change: &PartitionChange) -> String {
    let mut text = format!("PartitionChange {} {}:", change.topic, change.partition);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, " {name} {value}").unwrap();
        }
    };
    add("leader", change.leader.map(|leader| format!("{leader:?}")));
    add("isr", change.isr.as_ref().map(|ids| format!("{ids:?}")));
    add("replicas", change.replicas.as_ref().map(|ids| format!("{ids:?}")));
    add("elr", change.elr.as_ref().map(|ids| format!("{ids:?}")));
    add("recovery", change.recovery.map(|recovery| format!("{recovery:?}")));
    add("last known", change.last_known_elr.as_ref().map(|ids| format!("{ids:?}")));
    text
}

pub(crate) fn of_image(image: &MetadataImage) -> String {
    let features: Vec<_> = image.finalized_features().collect();
    let mut text = format!(
        "end {} epoch {} controller {:?} features {features:?} next producer id {}\n",
        image.end(),
        image.epoch(),
        image.controller(),
        image.next_producer_id()
    );
    for broker in image.brokers() {
        writeln!(text, "broker {}", of_broker(broker)).unwrap();
    }
    for (resource, properties) in image.all_configs() {
        writeln!(text, "{} {properties:?}", of_resource(resource)).unwrap();
    }
    for topic in image.topics() {
        writeln!(text, "topic {} {} {:?}", topic.name, topic.id, topic.configs).unwrap();
        for (partition, state) in topic.numbered() {
            writeln!(text, "  {partition}: {}", of_partition(state)).unwrap();
        }
    }
    text
}
