//! From bytes.

use std::borrow::Cow;

use ottla_types::{
    BrokerEpoch, BrokerId, LeaderEpoch, NodeId, PartitionEpoch, PartitionId, ProducerId, TopicName,
    Uuid,
};
use ottla_wire::List;
use ottla_wire::records::{
    BrokerRegistrationChangeRecord, ConfigRecord, MetadataRecord, PartitionChangeRecord,
    PartitionRecord, RegisterBrokerRecord, RegisterControllerRecord,
};

use crate::features::FeatureRange;
use crate::image::{BrokerImage, ControllerImage, Endpoint, LeaderRecovery, PartitionImage};
use crate::record::{ConfigResource, NewPartition, PartitionChange, Record, RegistrationChange};

use super::RecordError;

type Read<T> = Result<T, RecordError>;

pub(super) fn record(value: &[u8]) -> Read<Record> {
    let unsupported = |what| Err(RecordError::Unsupported { what });
    Ok(match MetadataRecord::decode(value)? {
        MetadataRecord::RegisterBroker(it) => Record::RegisterBroker(broker(&it)?),
        MetadataRecord::UnregisterBroker(it) => Record::UnregisterBroker {
            broker: node(it.broker_id, "BrokerId")?,
            epoch: broker_epoch(it.broker_epoch)?,
        },
        MetadataRecord::Topic(it) => {
            Record::Topic { name: topic(&it.name, "Name")?, id: it.topic_id }
        }
        MetadataRecord::Partition(it) => Record::Partition(new_partition(&it)?),
        MetadataRecord::Config(it) => config(&it)?,
        MetadataRecord::PartitionChange(it) => Record::PartitionChange(partition_change(&it)?),
        MetadataRecord::FenceBroker(it) => fence(it.id, it.epoch, true)?,
        MetadataRecord::UnfenceBroker(it) => fence(it.id, it.epoch, false)?,
        MetadataRecord::RemoveTopic(it) => Record::RemoveTopic { id: it.topic_id },
        MetadataRecord::FeatureLevel(it) => {
            Record::FeatureLevel { name: it.name.into_owned(), level: it.feature_level }
        }
        MetadataRecord::ProducerIds(it) => Record::ProducerIds {
            by: match it.broker_id {
                // A snapshot says which ids are taken, and not by whom.
                -1 => None,
                id => Some((node(id, "BrokerId")?, broker_epoch(it.broker_epoch)?)),
            },
            next: ProducerId::from_wire(it.next_producer_id).ok_or(field("NextProducerId"))?,
        },
        MetadataRecord::BrokerRegistrationChange(it) => {
            Record::BrokerRegistrationChange(registration_change(&it)?)
        }
        MetadataRecord::NoOp(_) | MetadataRecord::ZkMigrationState(_) => Record::NoOp,
        MetadataRecord::BeginTransaction(it) => {
            Record::BeginTransaction { name: it.name.unwrap_or_default().into_owned() }
        }
        MetadataRecord::EndTransaction(_) => Record::EndTransaction,
        MetadataRecord::AbortTransaction(it) => {
            Record::AbortTransaction { reason: it.reason.unwrap_or_default().into_owned() }
        }
        MetadataRecord::RegisterController(it) => Record::RegisterController(controller(&it)?),
        MetadataRecord::ClearElr(it) => Record::ClearElr {
            topic: match it.topic_name.as_ref() {
                "" => None,
                name => Some(topic(name, "TopicName")?),
            },
        },
        MetadataRecord::DelegationToken(_) | MetadataRecord::RemoveDelegationToken(_) => {
            return unsupported("delegation tokens");
        }
        MetadataRecord::UserScramCredential(_) | MetadataRecord::RemoveUserScramCredential(_) => {
            return unsupported("SCRAM credentials");
        }
        MetadataRecord::ClientQuota(_) => return unsupported("client quotas"),
        MetadataRecord::AccessControlEntry(_) | MetadataRecord::RemoveAccessControlEntry(_) => {
            return unsupported("access control lists");
        }
        MetadataRecord::UnregisterController(_) => {
            return unsupported("controllers that unregister (metadata.version 4.4-IV2)");
        }
    })
}

const fn field(field: &'static str) -> RecordError {
    RecordError::Field { field }
}

fn node(raw: i32, name: &'static str) -> Read<NodeId> {
    NodeId::from_wire(raw).ok_or(RecordError::Field { field: name })
}

fn nodes(raw: &List<'_, i32>, name: &'static str) -> Read<Vec<NodeId>> {
    raw.iter().map(|id| node(id, name)).collect()
}

fn optional_nodes(raw: Option<&List<'_, i32>>, name: &'static str) -> Read<Option<Vec<NodeId>>> {
    raw.map(|list| nodes(list, name)).transpose()
}

fn uuids(raw: &List<'_, Uuid>) -> Vec<Uuid> {
    raw.iter().collect()
}

fn broker_epoch(raw: i64) -> Read<BrokerEpoch> {
    BrokerEpoch::from_wire(raw).ok_or(field("BrokerEpoch"))
}

fn partition(raw: i32) -> Read<PartitionId> {
    PartitionId::from_wire(raw).ok_or(field("PartitionId"))
}

fn topic(text: &str, name: &'static str) -> Read<TopicName> {
    TopicName::parse(text).map_err(|_| field(name))
}

/// -1 is nobody.
fn leader(raw: i32) -> Read<Option<NodeId>> {
    match raw {
        -1 => Ok(None),
        id => node(id, "Leader").map(Some),
    }
}

/// -1 is no change.
const fn recovery(raw: i8) -> Read<Option<LeaderRecovery>> {
    match raw {
        -1 => Ok(None),
        0 => Ok(Some(LeaderRecovery::Recovered)),
        1 => Ok(Some(LeaderRecovery::Recovering)),
        _ => Err(field("LeaderRecoveryState")),
    }
}

fn broker(it: &RegisterBrokerRecord<'_>) -> Read<BrokerImage> {
    let endpoint = |e: ottla_wire::records::register_broker_record::BrokerEndpoint<'_>| Endpoint {
        listener: e.name.into_owned(),
        host: e.host.into_owned(),
        port: e.port,
        security_protocol: e.security_protocol,
    };
    let feature =
        |f: ottla_wire::records::register_broker_record::BrokerFeature<'_>| FeatureRange {
            name: f.name.into_owned(),
            min: f.min_supported_version,
            max: f.max_supported_version,
        };
    Ok(BrokerImage {
        id: node(it.broker_id, "BrokerId")?,
        epoch: broker_epoch(it.broker_epoch)?,
        incarnation: it.incarnation_id,
        endpoints: it.end_points.iter().map(endpoint).collect(),
        features: it.features.iter().map(feature).collect(),
        rack: it.rack.clone().map(Cow::into_owned),
        fenced: it.fenced,
        in_controlled_shutdown: it.in_controlled_shutdown,
        directories: uuids(&it.log_dirs),
        cordoned: it.cordoned_log_dirs.as_ref().map(uuids),
    })
}

fn controller(it: &RegisterControllerRecord<'_>) -> Read<ControllerImage> {
    use ottla_wire::records::register_controller_record::{ControllerEndpoint, ControllerFeature};
    let endpoint = |e: ControllerEndpoint<'_>| Endpoint {
        listener: e.name.into_owned(),
        host: e.host.into_owned(),
        port: e.port,
        security_protocol: e.security_protocol,
    };
    let feature = |f: ControllerFeature<'_>| FeatureRange {
        name: f.name.into_owned(),
        min: f.min_supported_version,
        max: f.max_supported_version,
    };
    Ok(ControllerImage {
        id: node(it.controller_id, "ControllerId")?,
        incarnation: it.incarnation_id,
        endpoints: it.end_points.iter().map(endpoint).collect(),
        features: it.features.iter().map(feature).collect(),
    })
}

fn new_partition(it: &PartitionRecord<'_>) -> Read<NewPartition> {
    let recovered = recovery(it.leader_recovery_state)?.ok_or(field("LeaderRecoveryState"))?;
    let state = PartitionImage {
        replicas: nodes(&it.replicas, "Replicas")?,
        directories: uuids(&it.directories),
        isr: nodes(&it.isr, "Isr")?,
        removing: nodes(&it.removing_replicas, "RemovingReplicas")?,
        adding: nodes(&it.adding_replicas, "AddingReplicas")?,
        elr: optional_nodes(it.eligible_leader_replicas.as_ref(), "EligibleLeaderReplicas")?
            .unwrap_or_default(),
        last_known_elr: optional_nodes(it.last_known_elr.as_ref(), "LastKnownElr")?
            .unwrap_or_default(),
        leader: leader(it.leader)?,
        recovery: recovered,
        leader_epoch: LeaderEpoch::from_wire(it.leader_epoch).ok_or(field("LeaderEpoch"))?,
        partition_epoch: PartitionEpoch::from_wire(it.partition_epoch)
            .ok_or(field("PartitionEpoch"))?,
    };
    Ok(NewPartition { topic: it.topic_id, partition: partition(it.partition_id)?, state })
}

fn partition_change(it: &PartitionChangeRecord<'_>) -> Read<PartitionChange> {
    /// "The leader stays."
    const NO_LEADER_CHANGE: i32 = -2;
    Ok(PartitionChange {
        topic: it.topic_id,
        partition: partition(it.partition_id)?,
        leader: match it.leader {
            NO_LEADER_CHANGE => None,
            raw => Some(leader(raw)?),
        },
        isr: optional_nodes(it.isr.as_ref(), "Isr")?,
        replicas: optional_nodes(it.replicas.as_ref(), "Replicas")?,
        directories: it.directories.as_ref().map(uuids),
        removing: optional_nodes(it.removing_replicas.as_ref(), "RemovingReplicas")?,
        adding: optional_nodes(it.adding_replicas.as_ref(), "AddingReplicas")?,
        recovery: recovery(it.leader_recovery_state)?,
        elr: optional_nodes(it.eligible_leader_replicas.as_ref(), "EligibleLeaderReplicas")?,
        last_known_elr: optional_nodes(it.last_known_elr.as_ref(), "LastKnownElr")?,
    })
}

/// The form of before 3.3; logs from then are still replayed.
fn fence(broker: i32, epoch: i64, fenced: bool) -> Read<Record> {
    let (broker, epoch) = (node(broker, "Id")?, broker_epoch(epoch)?);
    Ok(Record::BrokerRegistrationChange(RegistrationChange::fence(broker, epoch, fenced)))
}

fn registration_change(it: &BrokerRegistrationChangeRecord<'_>) -> Read<RegistrationChange> {
    Ok(RegistrationChange {
        broker: node(it.broker_id, "BrokerId")?,
        epoch: broker_epoch(it.broker_epoch)?,
        fenced: match it.fenced {
            -1 => Some(false),
            0 => None,
            1 => Some(true),
            _ => return Err(field("Fenced")),
        },
        in_controlled_shutdown: match it.in_controlled_shutdown {
            0 => false,
            1 => true,
            _ => return Err(field("InControlledShutdown")),
        },
        directories: (!it.log_dirs.is_empty()).then(|| uuids(&it.log_dirs)),
        cordoned: it.cordoned_log_dirs.as_ref().map(uuids),
    })
}

fn config(it: &ConfigRecord<'_>) -> Read<Record> {
    let resource = match (it.resource_type, it.resource_name.as_ref()) {
        (2, name) => ConfigResource::Topic(topic(name, "ResourceName")?),
        (4, "") => ConfigResource::Broker(None),
        (4, id) => {
            let id = id.parse().ok().and_then(BrokerId::from_wire);
            ConfigResource::Broker(Some(id.ok_or(field("ResourceName"))?))
        }
        (32, name) => ConfigResource::Group(name.to_owned()),
        (kind, name) => ConfigResource::Other { kind, name: name.to_owned() },
    };
    let value = it.value.clone().map(Cow::into_owned);
    Ok(Record::Config { resource, name: it.name.clone().into_owned(), value })
}
