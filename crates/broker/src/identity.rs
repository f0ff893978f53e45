//! Whose folder this is: meta.properties, and what formatting an empty folder leaves.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Env, File, FileLock, Open, reply};
use ottla_log::{PARTITION_METADATA, PartitionMetadata};
use ottla_metadata::Controller;
use ottla_raft::{Endpoint, KRaftVersion, SnapshotId, Voter, VoterSet};
use ottla_types::{NodeId, Timestamp, Uuid};

use crate::config::{Listener, NodeConfig, escape, parse_properties};
use crate::controller::{BOOTSTRAP_CHECKPOINT, Checkpoint, METADATA_DIRECTORY};
use crate::partition::VANISHED;

pub(crate) const META_PROPERTIES: &str = "meta.properties";
/// It bears this name until all else of a formatting is durable.
const META_PROPERTIES_TEMPORARY: &str = "meta.properties.tmp";
const LOCK: &str = ".lock";

/// A node's place on disk, held against every other process.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) cluster_id: String,
    /// Of the log directory.
    pub(crate) directory: Uuid,
    _lock: Box<dyn FileLock>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "another process uses the data folder {folder}: stop it, or choose another folder with \
         --override log.dirs=FOLDER"
    )]
    InUse { folder: String },
    #[error("cannot use the data folder {folder}: {error}{}", cure(.error))]
    Storage { folder: String, error: io::Error },
    #[error(
        "{folder} holds {found} and no {META_PROPERTIES}, so nobody knows whose data that is: bring \
         the file back, or choose an empty folder with --override log.dirs=FOLDER"
    )]
    NotEmpty { folder: String, found: String },
    #[error(
        "the data folder {folder} vanished while a node was using it, and no new cluster is made \
         in its place: bring it back, for example by mounting it, or remove {folder}/{VANISHED} to \
         begin anew"
    )]
    Vanished { folder: String },
    #[error(
        "{folder}/{META_PROPERTIES} {error}: bring the file back, or choose an empty folder with \
         --override log.dirs=FOLDER"
    )]
    Properties { folder: String, error: PropertiesError },
    #[error(
        "the data folder {folder} belongs to node {found}, and node.id is {configured}: set \
         node.id={found}, or choose another folder with --override log.dirs=FOLDER"
    )]
    OtherNode { folder: String, configured: NodeId, found: NodeId },
}

/// What somebody can do about a disk that refuses.
pub(crate) fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space on the disk of the data folder"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; this user must be able to write there: choose another folder with \
             --override log.dirs=FOLDER"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file stands in its way: choose a folder with --override log.dirs=FOLDER"
        }
        _ => "",
    }
}

/// Why a text is not a meta.properties that a node can live with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    #[error("{0}")]
    Line(String),
    #[error("has no {0}")]
    Missing(&'static str),
    #[error("has {name}={value}, which makes no sense")]
    Invalid { name: &'static str, value: String },
    #[error("is of version {0}; only version 1 is supported")]
    Version(String),
}

impl Identity {
    /// Takes the folder's lock and reads whose it is. An empty folder is formatted as Kafka's
    /// `kafka-storage format --standalone` does.
    ///
    /// # Errors
    /// When the folder is in use, another node's, or not readable.
    pub(crate) async fn establish(env: &Env, config: &NodeConfig) -> Result<Self, IdentityError> {
        let folder = config.log_dir.as_path();
        let named = |error| IdentityError::Storage { folder: folder.display().to_string(), error };
        env.disk.make_dir(folder).await.map_err(named)?;
        let lock = lock(&env.disk, folder).await?;
        let properties = match env.disk.read_whole(&folder.join(META_PROPERTIES)).await {
            Ok(bytes) => own_properties(env, config, &bytes).await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_empty(&env.disk, folder).await?;
                format(env, config).await.map_err(named)?
            }
            Err(error) => return Err(named(error)),
        };
        let MetaProperties { cluster_id, directory, .. } = properties;
        let directory = directory.expect("written where it was missing");
        Ok(Self { cluster_id, directory, _lock: lock })
    }
}

/// Makes files and names durable: those in `folders`, and those of the first of them and of its
/// parents, since a life that was cut short may have made any of them and gone no further. Parents
/// that may not be read are not ours. All at once: their commits of the journal are one, or a few.
async fn make_durable(
    disk: &Arc<dyn Disk>,
    files: Vec<Arc<dyn File>>,
    folders: [&Path; 2],
) -> io::Result<()> {
    let sync = |folder: &Path| {
        let (to, synced) = reply();
        disk.sync_dir(folder, to);
        synced
    };
    let own = folders.map(sync);
    let parents: Vec<_> = folders[0].ancestors().skip(1).map(sync).collect();
    disk.sync_files(files).await?;
    let ended = |_| Err(io::Error::other("the disk's host ended"));
    for synced in own {
        synced.await.unwrap_or_else(ended)?;
    }
    for synced in parents {
        match synced.await.unwrap_or_else(ended) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

async fn lock(disk: &Arc<dyn Disk>, folder: &Path) -> Result<Box<dyn FileLock>, IdentityError> {
    disk.lock_file(&folder.join(LOCK)).await.map_err(|error| {
        let folder = folder.display().to_string();
        match error.kind() {
            io::ErrorKind::WouldBlock => IdentityError::InUse { folder },
            _ => IdentityError::Storage { folder, error },
        }
    })
}

/// Formatting writes meta.properties last, so a folder without it may hold what an interrupted
/// formatting left, but no partition and no metadata log.
async fn check_empty(disk: &Arc<dyn Disk>, folder: &Path) -> Result<(), IdentityError> {
    let refused = |found: &str| IdentityError::NotEmpty {
        folder: folder.display().to_string(),
        found: found.to_owned(),
    };
    let named = |error| IdentityError::Storage { folder: folder.display().to_string(), error };
    let entries = disk.list(folder).await.map_err(named)?;
    let is_partition =
        |name: &str| name.rsplit_once('-').is_some_and(|(_, number)| number.parse::<u32>().is_ok());
    if entries.iter().any(|entry| entry.name == VANISHED) {
        return Err(IdentityError::Vanished { folder: folder.display().to_string() });
    }
    let mut directories = entries.iter().filter(|entry| entry.is_dir);
    let other = |name: &str| name != METADATA_DIRECTORY && is_partition(name);
    if let Some(partition) = directories.find(|entry| other(&entry.name)) {
        return Err(refused(&partition.name));
    }
    if entries.iter().any(|entry| entry.name == METADATA_DIRECTORY) {
        let files = disk.list(&folder.join(METADATA_DIRECTORY)).await.map_err(named)?;
        if let Some(log) = files.iter().find(|entry| entry.name.ends_with(".log")) {
            return Err(refused(&format!("{METADATA_DIRECTORY}/{}", log.name)));
        }
    }
    Ok(())
}

/// Reads and checks the properties of a formatted folder. A folder from before directories had ids
/// (KIP-858) is given one.
async fn own_properties(
    env: &Env,
    config: &NodeConfig,
    bytes: &[u8],
) -> Result<MetaProperties, IdentityError> {
    let folder = || config.log_dir.display().to_string();
    let mut properties = MetaProperties::parse(&String::from_utf8_lossy(bytes))
        .map_err(|error| IdentityError::Properties { folder: folder(), error })?;
    if properties.node != config.node_id {
        let (configured, found) = (config.node_id, properties.node);
        return Err(IdentityError::OtherNode { folder: folder(), configured, found });
    }
    let found = &properties.cluster_id;
    if let Some(given) = config.cluster_id.as_ref().filter(|given| *given != found) {
        tracing::warn!(
            "the data folder belongs to cluster {found}; the cluster id {given} that the \
             environment names is ignored"
        );
    }
    if properties.directory.is_none() {
        properties.directory = Some(env.rng.uuid());
        let path = config.log_dir.join(META_PROPERTIES);
        let written = env.disk.replace_file(&path, properties.to_text().as_bytes()).await;
        written.map_err(|error| IdentityError::Storage { folder: folder(), error })?;
    }
    Ok(properties)
}

/// Writes what Kafka's format tool of 4.3 writes. meta.properties comes last: where it is, all the
/// rest is, whatever crash came between.
async fn format(env: &Env, config: &NodeConfig) -> io::Result<MetaProperties> {
    let cluster_id = config.cluster_id.clone().unwrap_or_else(|| env.rng.uuid().to_string());
    let directory = env.rng.uuid();
    let properties = MetaProperties {
        node: config.node_id,
        cluster_id,
        directory: Some(directory),
        others: BTreeMap::new(),
    };
    let (folder, now) = (config.log_dir.as_path(), env.clock.wall());
    let quorum = folder.join(METADATA_DIRECTORY);
    env.disk.make_dir(&quorum).await?;
    let bootstrap =
        Checkpoint { records: Controller::bootstrap_records(), ..Checkpoint::default() };
    let mut files = vec![(folder.join(BOOTSTRAP_CHECKPOINT), bootstrap.encode(now))];
    if config.quorum_voters.is_none() {
        let voters = first_voters(config, directory, now);
        files.push((quorum.join(SnapshotId::BOOTSTRAP.to_string()), voters.encode(now)));
    }
    let metadata = PartitionMetadata { topic_id: Uuid::METADATA_TOPIC };
    files.push((quorum.join(PARTITION_METADATA), metadata.encode().into_bytes()));
    // Synced together: a start waits for little else.
    let temporary = folder.join(META_PROPERTIES_TEMPORARY);
    files.push((temporary.clone(), properties.to_text().into_bytes()));
    let mut written = Vec::with_capacity(files.len());
    for (path, content) in files {
        written.push(overwrite(&env.disk, &path, &content).await?);
    }
    // The name of the quorum's directory, too: a power cut must not keep meta.properties alone.
    make_durable(&env.disk, written, [folder, &quorum]).await?;
    env.disk.move_to(&temporary, &folder.join(META_PROPERTIES)).await?;
    env.disk.sync_names(folder).await?;
    tracing::info!(folder = %folder.display(), cluster = %properties.cluster_id, "formatted");
    Ok(properties)
}

async fn overwrite(disk: &Arc<dyn Disk>, path: &Path, content: &[u8]) -> io::Result<Arc<dyn File>> {
    let file = disk.open_file(path, Open::Ensure).await?;
    disk.truncate_to(&file, 0).await?;
    file.write_at(0, &[IoSlice::new(content)])?;
    Ok(file)
}

/// The snapshot that names this node as the only voter.
fn first_voters(config: &NodeConfig, directory: Uuid, now: Timestamp) -> Checkpoint {
    let endpoints = config.controller_listeners.iter().map(|l| endpoint(&config.advertised(l)));
    let voter = Voter { directory: Some(directory), endpoints: endpoints.collect() };
    Checkpoint {
        last_contained: Some(now),
        version: Some(KRaftVersion::Reconfigurable),
        voters: Some(VoterSet::from([(config.node_id, voter)])),
        records: Vec::new(),
    }
}

/// A listener as the quorum knows it.
pub(crate) fn endpoint(listener: &Listener) -> Endpoint {
    Endpoint { listener: listener.name.clone(), host: listener.host.clone(), port: listener.port }
}

/// The content of meta.properties.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MetaProperties {
    node: NodeId,
    cluster_id: String,
    directory: Option<Uuid>,
    /// What nobody here knows, kept for whoever does.
    others: BTreeMap<String, String>,
}

const VERSION: &str = "version";
const CLUSTER_ID: &str = "cluster.id";
const NODE_ID: &str = "node.id";
const DIRECTORY_ID: &str = "directory.id";

impl MetaProperties {
    fn parse(text: &str) -> Result<Self, PropertiesError> {
        let (mut pairs, mut wrong) = parse_properties(text);
        if let Some(first) = wrong.drain(..).next() {
            return Err(PropertiesError::Line(first));
        }
        let version = pairs.remove(VERSION).ok_or(PropertiesError::Missing(VERSION))?;
        if version != "1" {
            return Err(PropertiesError::Version(version));
        }
        let node = pairs.remove(NODE_ID).ok_or(PropertiesError::Missing(NODE_ID))?;
        let invalid =
            |name, value: &str| PropertiesError::Invalid { name, value: value.to_owned() };
        let number = node.parse().ok().and_then(NodeId::from_wire);
        let node = number.ok_or_else(|| invalid(NODE_ID, &node))?;
        let cluster_id = pairs.remove(CLUSTER_ID).ok_or(PropertiesError::Missing(CLUSTER_ID))?;
        if cluster_id.is_empty() {
            return Err(invalid(CLUSTER_ID, ""));
        }
        let directory = pairs.remove(DIRECTORY_ID);
        let directory = directory
            .map(|text| text.parse().map_err(|_| invalid(DIRECTORY_ID, &text)))
            .transpose()?;
        Ok(Self { node, cluster_id, directory, others: pairs })
    }

    fn to_text(&self) -> String {
        let mut text = format!("#\n{NODE_ID}={}\n", self.node);
        if let Some(directory) = self.directory {
            text.push_str(&format!("{DIRECTORY_ID}={directory}\n"));
        }
        text.push_str(&format!("{VERSION}=1\n{CLUSTER_ID}={}\n", escape(&self.cluster_id)));
        for (name, value) in &self.others {
            text.push_str(&format!("{}={}\n", escape(name), escape(value)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Apache Kafka 4.3.1 writes it, date and order included.
    const APACHE: &str = "#\n#Sat Nov 21 12:28:11 UTC 2026\nnode.id=1\n\
        directory.id=AGJwCWisQdGuY9hIGzZrzA\nversion=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";

    #[test]
    fn meta_properties_are_read_as_kafka_writes_them() {
        let read = MetaProperties::parse(APACHE).unwrap();
        assert_eq!(read.node, NodeId::new(1));
        assert_eq!(read.cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
        assert_eq!(read.directory, "AGJwCWisQdGuY9hIGzZrzA".parse().ok());
        assert_eq!(read.to_text(), APACHE.replace("#Sat Nov 21 12:28:11 UTC 2026\n", ""));
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let text = "version = 1\nnode.id: 7\ncluster.id=a\\=b\\:c\nreserved.broker.max.id=1\n";
        let read = MetaProperties::parse(text).unwrap();
        assert_eq!((read.node.get(), read.cluster_id.as_str()), (7, "a=b:c"));
        assert_eq!(read.directory, None);
        assert_eq!(MetaProperties::parse(&read.to_text()), Ok(read));
    }

    #[test]
    #[rustfmt::skip]
    fn a_folder_without_an_identity_is_refused() {
        use PropertiesError::{Invalid, Missing, Version};
        let invalid = |name, value: &str| Invalid { name, value: value.into() };
        check("", Missing("version"));
        check("version=0\nbroker.id=1", Version("0".into()));
        check("version=1", Missing("node.id"));
        check("version=1\nnode.id=x", invalid("node.id", "x"));
        check("version=1\nnode.id=-1", invalid("node.id", "-1"));
        check("version=1\nnode.id=1", Missing("cluster.id"));
        check("version=1\nnode.id=1\ncluster.id=", invalid("cluster.id", ""));
        check("version=1\nnode.id=1\ncluster.id=c\ndirectory.id=d", invalid("directory.id", "d"));
    }

    fn check(text: &str, error: PropertiesError) {
        assert_eq!(MetaProperties::parse(text), Err(error), "{text}");
    }
}
