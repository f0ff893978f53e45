//! To bytes.

use std::borrow::Cow;

use ottla_types::{
    BrokerEpoch, BrokerId, LeaderEpoch, NodeId, PartitionEpoch, PartitionId, ProducerId, Uuid,
};
use ottla_wire::List;
use ottla_wire::records::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord, ClearElrRecord,
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord,
    ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord, RemoveTopicRecord,
    TopicRecord, UnregisterBrokerRecord, register_broker_record, register_controller_record,
};

use crate::features::MetadataVersion;
use crate::image::{BrokerImage, ControllerImage, LeaderRecovery};
use crate::record::{ConfigResource, NewPartition, PartitionChange, Record, RegistrationChange};

/// A record and the version to write it in.
pub(super) fn record(record: &Record, at: MetadataVersion) -> (MetadataRecord<'_>, i16) {
    match record {
        Record::RegisterBroker(image) => {
            let version = at.register_broker_record();
            (MetadataRecord::RegisterBroker(broker(image, version)), version)
        }
        Record::Partition(new) => {
            let version = at.partition_record();
            (MetadataRecord::Partition(partition(new, version)), version)
        }
        Record::PartitionChange(change) => {
            (MetadataRecord::PartitionChange(partition_change(change)), at.partition_record())
        }
        Record::BrokerRegistrationChange(change) => {
            let record = MetadataRecord::BrokerRegistrationChange(registration_change(change));
            (record, registration_change_version(change))
        }
        other => (version_zero(other), 0),
    }
}

/// The records that have one version only.
fn version_zero(record: &Record) -> MetadataRecord<'_> {
    match record {
        Record::UnregisterBroker { broker, epoch } => {
            MetadataRecord::UnregisterBroker(UnregisterBrokerRecord {
                broker_id: broker.get(),
                broker_epoch: epoch.get(),
                ..Default::default()
            })
        }
        Record::RegisterController(image) => MetadataRecord::RegisterController(controller(image)),
        Record::Topic { name, id } => MetadataRecord::Topic(TopicRecord {
            name: name.as_str().into(),
            topic_id: *id,
            ..Default::default()
        }),
        Record::RemoveTopic { id } => {
            MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: *id, ..Default::default() })
        }
        Record::Config { resource, name, value } => {
            MetadataRecord::Config(config(resource, name, value.as_deref()))
        }
        Record::FeatureLevel { name, level } => MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: name.into(),
            feature_level: *level,
            ..Default::default()
        }),
        Record::ProducerIds { by, next } => MetadataRecord::ProducerIds(producer_ids(*by, *next)),
        Record::ClearElr { topic } => MetadataRecord::ClearElr(ClearElrRecord {
            topic_name: topic.as_ref().map_or("", |name| name.as_str()).into(),
            ..Default::default()
        }),
        Record::BeginTransaction { name } => {
            let name = Some(name.into());
            MetadataRecord::BeginTransaction(BeginTransactionRecord { name, ..Default::default() })
        }
        Record::EndTransaction => MetadataRecord::EndTransaction(Default::default()),
        Record::AbortTransaction { reason } => {
            let reason = Some(reason.into());
            MetadataRecord::AbortTransaction(AbortTransactionRecord {
                reason,
                ..Default::default()
            })
        }
        Record::NoOp => MetadataRecord::NoOp(Default::default()),
        Record::RegisterBroker(_)
        | Record::Partition(_)
        | Record::PartitionChange(_)
        | Record::BrokerRegistrationChange(_) => unreachable!("these have versions"),
    }
}

fn nodes(ids: &[NodeId]) -> List<'static, i32> {
    ids.iter().map(|id| id.get()).collect()
}

fn optional_nodes(ids: Option<&Vec<NodeId>>) -> Option<List<'static, i32>> {
    ids.map(|ids| nodes(ids))
}

fn uuids(ids: &[Uuid]) -> List<'static, Uuid> {
    ids.iter().copied().collect()
}

const fn recovery(state: LeaderRecovery) -> i8 {
    match state {
        LeaderRecovery::Recovered => 0,
        LeaderRecovery::Recovering => 1,
    }
}

/// The directories of brokers and replicas are left out where the cluster is from before they had
/// ids (KIP-858).
const DIRECTORIES_SINCE: (i16, i16) = (3, 1);

fn broker(image: &BrokerImage, version: i16) -> RegisterBrokerRecord<'_> {
    let directories =
        if version >= DIRECTORIES_SINCE.0 { image.directories.as_slice() } else { &[] };
    let endpoints = image.endpoints.iter().map(|endpoint| register_broker_record::BrokerEndpoint {
        name: Cow::Borrowed(&endpoint.listener),
        host: Cow::Borrowed(&endpoint.host),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
        ..Default::default()
    });
    let features = image.features.iter().map(|feature| register_broker_record::BrokerFeature {
        name: Cow::Borrowed(&feature.name),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
        ..Default::default()
    });
    RegisterBrokerRecord {
        broker_id: image.id.get(),
        incarnation_id: image.incarnation,
        broker_epoch: image.epoch.get(),
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: image.rack.as_deref().map(Cow::Borrowed),
        fenced: image.fenced,
        in_controlled_shutdown: image.in_controlled_shutdown,
        log_dirs: uuids(directories),
        cordoned_log_dirs: image.cordoned.as_deref().map(uuids),
        ..Default::default()
    }
}

fn controller(image: &ControllerImage) -> RegisterControllerRecord<'_> {
    use register_controller_record::{ControllerEndpoint, ControllerFeature};
    let endpoints = image.endpoints.iter().map(|endpoint| ControllerEndpoint {
        name: Cow::Borrowed(&endpoint.listener),
        host: Cow::Borrowed(&endpoint.host),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
        ..Default::default()
    });
    let features = image.features.iter().map(|feature| ControllerFeature {
        name: Cow::Borrowed(&feature.name),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
        ..Default::default()
    });
    RegisterControllerRecord {
        controller_id: image.id.get(),
        incarnation_id: image.incarnation,
        end_points: endpoints.collect(),
        features: features.collect(),
        ..Default::default()
    }
}

fn partition(new: &NewPartition, version: i16) -> PartitionRecord<'_> {
    let state = &new.state;
    let directories =
        if version >= DIRECTORIES_SINCE.1 { state.directories.as_slice() } else { &[] };
    // Absent rather than empty: versions that lack the fields can then write the record too.
    let elr = |ids: &Vec<NodeId>| (!ids.is_empty()).then(|| nodes(ids));
    PartitionRecord {
        partition_id: new.partition.get(),
        topic_id: new.topic,
        replicas: nodes(&state.replicas),
        isr: nodes(&state.isr),
        removing_replicas: nodes(&state.removing),
        adding_replicas: nodes(&state.adding),
        leader: NodeId::to_wire(state.leader),
        leader_recovery_state: recovery(state.recovery),
        leader_epoch: LeaderEpoch::get(state.leader_epoch),
        partition_epoch: PartitionEpoch::get(state.partition_epoch),
        directories: uuids(directories),
        eligible_leader_replicas: elr(&state.elr),
        last_known_elr: elr(&state.last_known_elr),
        ..Default::default()
    }
}

fn partition_change(change: &PartitionChange) -> PartitionChangeRecord<'_> {
    const NO_LEADER_CHANGE: i32 = -2;
    PartitionChangeRecord {
        partition_id: PartitionId::get(change.partition),
        topic_id: change.topic,
        isr: optional_nodes(change.isr.as_ref()),
        leader: change.leader.map_or(NO_LEADER_CHANGE, NodeId::to_wire),
        replicas: optional_nodes(change.replicas.as_ref()),
        removing_replicas: optional_nodes(change.removing.as_ref()),
        adding_replicas: optional_nodes(change.adding.as_ref()),
        leader_recovery_state: change.recovery.map_or(-1, recovery),
        directories: change.directories.as_deref().map(uuids),
        eligible_leader_replicas: optional_nodes(change.elr.as_ref()),
        last_known_elr: optional_nodes(change.last_known_elr.as_ref()),
        ..Default::default()
    }
}

fn registration_change(change: &RegistrationChange) -> BrokerRegistrationChangeRecord<'_> {
    BrokerRegistrationChangeRecord {
        broker_id: change.broker.get(),
        broker_epoch: change.epoch.get(),
        fenced: match change.fenced {
            Some(false) => -1,
            None => 0,
            Some(true) => 1,
        },
        in_controlled_shutdown: change.in_controlled_shutdown.into(),
        log_dirs: change.directories.as_deref().map(uuids).unwrap_or_default(),
        cordoned_log_dirs: change.cordoned.as_deref().map(uuids),
        ..Default::default()
    }
}

/// The lowest version that can say it, as Kafka writes it.
const fn registration_change_version(change: &RegistrationChange) -> i16 {
    if change.cordoned.is_some() {
        3
    } else if change.directories.is_some() {
        2
    } else if change.in_controlled_shutdown {
        1
    } else {
        0
    }
}

fn producer_ids(
    by: Option<(BrokerId, BrokerEpoch)>,
    next: ProducerId,
) -> ProducerIdsRecord<'static> {
    ProducerIdsRecord {
        broker_id: by.map_or(-1, |(broker, _)| broker.get()),
        broker_epoch: by.map_or(-1, |(_, epoch)| epoch.get()),
        next_producer_id: next.get(),
        ..Default::default()
    }
}

fn config<'a>(
    resource: &'a ConfigResource,
    name: &'a str,
    value: Option<&'a str>,
) -> ConfigRecord<'a> {
    let (resource_type, resource_name) = match resource {
        ConfigResource::Topic(name) => (2, Cow::Borrowed(name.as_str())),
        ConfigResource::Broker(None) => (4, Cow::Borrowed("")),
        ConfigResource::Broker(Some(id)) => (4, Cow::Owned(id.to_string())),
        ConfigResource::Group(name) => (32, Cow::Borrowed(name.as_str())),
        ConfigResource::Other { kind, name } => (*kind, Cow::Borrowed(name.as_str())),
    };
    ConfigRecord {
        resource_type,
        resource_name,
        name: name.into(),
        value: value.map(Cow::Borrowed),
        ..Default::default()
    }
}
