//! From the files to a leader whose node is registered.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Env};
use ottla_log::{
    Checkpointed, DormantLog, Log, LogConfig, OpenLogError, PARTITION_METADATA, PartitionMetadata,
};
use ottla_metadata::{
    BrokerRegistrationRequest, Controller, ControllerConfig, ControllerRegistrationRequest,
    Elections, Endpoint, MetadataReplay, Record, UnsupportedFeature,
};
use ottla_raft::{self as raft, LogEnd, QuorumState, RaftNode, SnapshotId, Voters};
use ottla_types::{BrokerEpoch, LeaderEpoch, Offset, Uuid};

use crate::config::{Listener, NodeConfig, as_set};
use crate::identity::{self, Identity};

use super::quorum::{Followed, QUORUM_STATE, Quorum, storage};
use super::{BOOTSTRAP_CHECKPOINT, Checkpoint, HostError, METADATA_DIRECTORY};

/// Kafka's number of the security protocol PLAINTEXT.
const PLAINTEXT: i16 = 0;

/// `default.replication.factor`, which has no other value yet.
const REPLICATION_FACTOR: i16 = 1;

/// A leader, its own registration appended and not committed yet.
pub(super) struct Leading {
    pub(super) quorum: Quorum,
    pub(super) controller: Controller,
    pub(super) registered: Registered,
    pub(super) broker_epoch: BrokerEpoch,
    /// How it came to lead its partitions.
    pub(super) elections: Elections,
}

/// What this node told of itself, in both its roles.
pub(super) struct Registered {
    pub(super) broker: BrokerRegistrationRequest,
    pub(super) controller: ControllerRegistrationRequest,
}

/// Leads, and appends what a new leader writes first. All of it shares one sync.
pub(super) async fn lead(
    env: &Env,
    config: &NodeConfig,
    identity: &Identity,
    listeners: &[Listener],
    sync_failed: bool,
) -> Result<Leading, HostError> {
    let directory = config.log_dir.join(METADATA_DIRECTORY);
    let snapshot = newest_snapshot(&env.disk, &directory).await?;
    let settings =
        LogConfig { segment_bytes: config.metadata_segment_bytes, ..LogConfig::default() };
    let log = open_log(env, &directory, settings, sync_failed).await?;
    let mut followed = follow(env, config, identity, log, &directory, snapshot.as_ref()).await?;
    let bootstrap = bootstrap_records(&env.disk, config, snapshot.as_ref()).await?;
    check_features(&mut followed, &bootstrap)?;
    let covered = snapshot.as_ref().map(|(id, _)| *id);
    let raft = raft_node(env, config, identity, listeners, &followed, covered).await?;
    let mut quorum = Quorum::lead(env, directory, followed, raft).await?;
    activate(&mut quorum, &bootstrap).await?;
    let registered = registration(env, config, identity, listeners);
    let (broker_epoch, elections) = register(&mut quorum, &registered).await?;
    let controller = Controller::new(ControllerConfig {
        partitions: config.partitions_default,
        replication_factor: REPLICATION_FACTOR,
        topic_defaults: as_set(config, quorum.image()).0.logs.topics,
        group_limits: config.groups.limits(),
    });
    Ok(Leading { quorum, controller, registered, broker_epoch, elections })
}

/// Refuses a cluster whose log this build cannot keep, before a byte is written; says what else the
/// cluster has agreed on that is not served.
fn check_features(followed: &mut Followed, bootstrap: &[Record]) -> Result<(), HostError> {
    let epoch = followed.log.leader_epochs().latest().unwrap_or(LeaderEpoch::ZERO);
    let (_, image) = followed.replay.take(followed.log.end().offset, epoch);
    let to_come = if image.metadata_version().is_none() { bootstrap } else { &[] };
    if let Some(feature) = Controller::unsupported_feature(&image, to_come) {
        let UnsupportedFeature { name, level, min, max } = feature;
        return Err(HostError::UnsupportedFeature { name, level, min, max });
    }
    let unserved = Controller::unserved_features(&image, to_come);
    if !unserved.is_empty() {
        let named: Vec<_> =
            unserved.iter().map(|(name, level)| format!("{name} {level}")).collect();
        tracing::warn!(
            "the cluster has agreed on {}, which this version of Ottla does not serve: kept for an \
             Apache Kafka that may take over, and not advertised to clients",
            named.join(", ")
        );
    }
    Ok(())
}

/// All of the log is read again, and written again where a sync has failed: nothing is known of it.
async fn open_log(
    env: &Env,
    directory: &Path,
    settings: LogConfig,
    sync_failed: bool,
) -> Result<Log, OpenLogError> {
    let known = Checkpointed { sync_failed, ..Checkpointed::default() };
    let dormant = DormantLog::survey(&env.disk, directory, settings, known).await?;
    let mut log = dormant.open(&env.disk).await?;
    if let Some(unsynced) = log.take_unsynced() {
        unsynced.make_durable(&env.disk).await?;
        log.on_synced(unsynced.upto);
    }
    Ok(log)
}

/// Reads the log, over the snapshot if its beginning is gone.
async fn follow(
    env: &Env,
    config: &NodeConfig,
    identity: &Identity,
    log: Log,
    directory: &Path,
    snapshot: Option<&(SnapshotId, Checkpoint)>,
) -> Result<Followed, HostError> {
    write_partition_metadata(&env.disk, directory).await?;
    let formatted = snapshot.and_then(|(_, checkpoint)| checkpoint.voters.clone());
    let configured = config.quorum_voters.clone().map(Voters::Configured);
    let voters = formatted.map(Voters::Formatted).or(configured);
    let start = log.start_offset();
    let replay = MetadataReplay::new(&identity.cluster_id);
    let mut followed = Followed { log, replay, voters };
    let from = if start == Offset::ZERO {
        start
    } else {
        let snapshot = snapshot.filter(|(id, _)| id.end >= start);
        let (id, checkpoint) = snapshot.ok_or(HostError::MissingSnapshot { start })?;
        load(&mut followed.replay, *id, checkpoint)?;
        id.end
    };
    if let Some(version) = snapshot.and_then(|(_, checkpoint)| checkpoint.version) {
        followed.replay.kraft_version(version.level());
    }
    followed.catch_up(env, from).await?;
    Ok(followed)
}

fn load(
    replay: &mut MetadataReplay,
    id: SnapshotId,
    checkpoint: &Checkpoint,
) -> Result<(), HostError> {
    for record in &checkpoint.records {
        let replayed = replay.record(id.end, record);
        replayed.map_err(|error| HostError::Replay { at: id.end, error })?;
    }
    Ok(())
}

async fn write_partition_metadata(disk: &Arc<dyn Disk>, directory: &Path) -> Result<(), HostError> {
    let files = disk.list(directory).await.map_err(storage("list the metadata directory"))?;
    if files.iter().any(|file| file.name == PARTITION_METADATA) {
        return Ok(());
    }
    let written = PartitionMetadata { topic_id: Uuid::METADATA_TOPIC }.write(disk, directory).await;
    written.map_err(storage("write partition.metadata"))
}

/// The newest snapshot of the metadata directory, that of formatting included.
async fn newest_snapshot(
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<Option<(SnapshotId, Checkpoint)>, HostError> {
    let files = match disk.list(directory).await {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(storage("list the metadata directory")(error)),
    };
    let ids = files.iter().filter_map(|file| SnapshotId::from_file_name(&file.name));
    let Some(id) = ids.max() else { return Ok(None) };
    let checkpoint = read_checkpoint(disk, directory.join(id.to_string())).await?;
    Ok(Some((id, checkpoint)))
}

async fn read_checkpoint(disk: &Arc<dyn Disk>, path: PathBuf) -> Result<Checkpoint, HostError> {
    let bytes = disk.read_whole(&path).await.map_err(storage("read a snapshot"))?;
    let name = path.display().to_string();
    Checkpoint::decode(&bytes).map_err(|error| HostError::Checkpoint { name, error })
}

/// The records that formatting chose: in their own file up to 4.3, in the first snapshot from 4.4
/// on (KIP-1170).
async fn bootstrap_records(
    disk: &Arc<dyn Disk>,
    config: &NodeConfig,
    snapshot: Option<&(SnapshotId, Checkpoint)>,
) -> Result<Vec<Record>, HostError> {
    let path = config.log_dir.join(BOOTSTRAP_CHECKPOINT);
    match disk.read_whole(&path).await {
        Ok(_) => Ok(read_checkpoint(disk, path).await?.records),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let first = snapshot.filter(|(id, _)| *id == SnapshotId::BOOTSTRAP);
            let records = first.map_or(&[][..], |(_, checkpoint)| &checkpoint.records);
            let given = !records.is_empty();
            Ok(if given { records.to_vec() } else { Controller::bootstrap_records() })
        }
        Err(error) => Err(storage("read bootstrap.checkpoint")(error)),
    }
}

async fn raft_node(
    env: &Env,
    config: &NodeConfig,
    identity: &Identity,
    listeners: &[Listener],
    followed: &Followed,
    snapshot: Option<SnapshotId>,
) -> Result<RaftNode, HostError> {
    let path = config.log_dir.join(METADATA_DIRECTORY).join(QUORUM_STATE);
    let state = match env.disk.read_whole(&path).await {
        Ok(bytes) => QuorumState::parse(&String::from_utf8_lossy(&bytes))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => QuorumState::NEW,
        Err(error) => return Err(storage("read quorum-state")(error)),
    };
    let endpoints = bound(&config.controller_listeners, listeners);
    let me = raft::Identity {
        node: config.node_id,
        directory: identity.directory,
        endpoints: endpoints.map(|l| identity::endpoint(&config.advertised(l))).collect(),
    };
    let voters = followed.voters.clone().ok_or(HostError::NoVoters)?;
    let covered = snapshot.map(|id| id.epoch);
    let epoch = followed.log.leader_epochs().latest().or(covered);
    let end = LogEnd { offset: followed.log.end().offset, epoch };
    Ok(RaftNode::new(me, state, voters, end)?)
}

/// Of the listeners that are bound, those of one role: they have their ports by now.
fn bound<'a>(
    role: &'a [Listener],
    listeners: &'a [Listener],
) -> impl Iterator<Item = &'a Listener> {
    listeners.iter().filter(|bound| role.iter().any(|listener| listener.name == bound.name))
}

async fn activate(quorum: &mut Quorum, bootstrap: &[Record]) -> Result<(), HostError> {
    let open_transaction = quorum.open_transaction();
    // The image of the log's end: every decision from here on is made over it.
    let _ = quorum.take_changes();
    let records = Controller::activation_records(quorum.image(), open_transaction, bootstrap);
    quorum.append(&records).await?;
    let _ = quorum.take_changes();
    Ok(())
}

fn registration(
    env: &Env,
    config: &NodeConfig,
    identity: &Identity,
    listeners: &[Listener],
) -> Registered {
    let endpoints = |role| {
        bound(role, listeners).map(|l| metadata_endpoint(&config.advertised(l))).collect::<Vec<_>>()
    };
    let controller = ControllerRegistrationRequest {
        id: config.node_id,
        incarnation: env.rng.uuid(),
        endpoints: endpoints(&config.controller_listeners),
    };
    let broker = BrokerRegistrationRequest {
        id: config.node_id,
        incarnation: env.rng.uuid(),
        endpoints: endpoints(&config.broker_listeners),
        rack: None,
        directories: vec![identity.directory],
    };
    Registered { broker, controller }
}

/// Registers this node in both its roles. The lock on its folder says that its former incarnation
/// is dead, so it waits for no session to end, and since nothing is served before this returns, it
/// is let in at once.
async fn register(
    quorum: &mut Quorum,
    node: &Registered,
) -> Result<(BrokerEpoch, Elections), HostError> {
    let record = Controller::register_controller(quorum.image(), &node.controller);
    quorum.append(record.as_slice()).await?;
    let outcome = Controller::register_broker(quorum.image(), &node.broker, quorum.end())?;
    quorum.append(&outcome.records).await?;
    let _ = quorum.take_changes();
    let unfence = Controller::unfence_broker(quorum.image(), node.broker.id);
    quorum.append(&unfence).await?;
    let (changes, _) = quorum.take_changes();
    Ok((outcome.response, changes.elections()))
}

fn metadata_endpoint(listener: &Listener) -> Endpoint {
    Endpoint {
        listener: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: PLAINTEXT,
    }
}
