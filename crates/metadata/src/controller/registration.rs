//! Nodes that join the cluster.

use ottla_types::{BrokerEpoch, BrokerId, NodeId, Offset, Uuid};

use crate::features::{FeatureRange, MetadataVersion, SUPPORTED_FEATURES};
use crate::image::{BrokerImage, ControllerImage, Endpoint, MetadataImage};
use crate::record::{Record, RegistrationChange};

use super::election::elect_returning;
use super::{Controller, Outcome};

/// Directory ids that mean "unassigned", "lost" and the like: the first hundred.
const RESERVED_DIRECTORIES: u128 = 100;

/// What a broker tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationRequest {
    /// `node.id`.
    pub id: BrokerId,
    /// Random for each run of the process.
    pub incarnation: Uuid,
    /// The advertised listeners.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The ids of the log directories.
    pub directories: Vec<Uuid>,
}

/// What a controller tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerRegistrationRequest {
    /// `node.id`.
    pub id: NodeId,
    /// Random for each run of the process.
    pub incarnation: Uuid,
    /// The controller listeners.
    pub endpoints: Vec<Endpoint>,
}

/// A feature that the cluster uses at a level that this build does not support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedFeature {
    /// The feature.
    pub name: String,
    /// Its finalized level.
    pub level: i16,
    /// The lowest level that is supported.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

/// Why a broker cannot join. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterBrokerError {
    /// The log has no bootstrap records yet.
    #[error("the cluster has no metadata.version yet")]
    NoMetadataVersion,
    /// The cluster uses a feature at a level that the broker does not support.
    #[error(
        "Unable to register because the broker does not support finalized version {level} of \
         {name}. The broker wants a version between {min} and {max}, inclusive.",
        level = .0.level, name = .0.name, min = .0.min, max = .0.max
    )]
    UnsupportedFeature(UnsupportedFeature),
    /// A broker without directories can keep nothing.
    #[error("No directories specified in request")]
    NoDirectories,
    /// A directory has one of the ids that mean something else.
    #[error("Reserved directory ID in request")]
    ReservedDirectory,
    /// Two directories have one id.
    #[error("Duplicate directory ID in request")]
    DuplicateDirectory,
    /// The disk was in another broker before, and that broker still claims it.
    #[error("Broker {broker} is already registered with directory {directory}")]
    DirectoryOfAnother {
        /// The other broker.
        broker: BrokerId,
        /// The directory.
        directory: Uuid,
    },
}

/// What a node of this build supports, by name.
fn supported() -> Vec<FeatureRange> {
    let range =
        |&(name, min, max): &(&str, i16, i16)| FeatureRange { name: name.to_owned(), min, max };
    SUPPORTED_FEATURES.iter().map(range).collect()
}

/// The range of a feature that this build serves.
fn supported_feature(name: &str) -> Option<&'static (&'static str, i16, i16)> {
    SUPPORTED_FEATURES.iter().find(|(supported, ..)| *supported == name)
}

/// What is finalized, and what is about to be.
fn finalized<'a>(
    image: &'a MetadataImage,
    bootstrap: &'a [Record],
) -> impl Iterator<Item = (&'a str, i16)> {
    let to_come = bootstrap.iter().filter_map(|record| match record {
        Record::FeatureLevel { name, level } => Some((name.as_str(), *level)),
        _ => None,
    });
    image.finalized_features().chain(to_come)
}

impl Controller {
    /// A feature of the cluster, or of the `bootstrap` records that it will begin with, at a level
    /// that this build knows and cannot keep: it decides how the log itself is read and written.
    #[must_use]
    pub fn unsupported_feature(
        image: &MetadataImage,
        bootstrap: &[Record],
    ) -> Option<UnsupportedFeature> {
        finalized(image, bootstrap).find_map(|(name, level)| {
            let (_, min, max) = *supported_feature(name)?;
            let unsupported = UnsupportedFeature { name: name.to_owned(), level, min, max };
            (!(min..=max).contains(&level)).then_some(unsupported)
        })
    }

    /// The features that the cluster, or its `bootstrap` records, has finalized above level 0 and
    /// that this build does not serve. They stay in the log for whoever serves them; meanwhile they
    /// are not advertised, so no client relies on them.
    #[must_use]
    pub fn unserved_features(image: &MetadataImage, bootstrap: &[Record]) -> Vec<(String, i16)> {
        let unserved = finalized(image, bootstrap)
            .filter(|(name, level)| *level > 0 && supported_feature(name).is_none());
        unserved.map(|(name, level)| (name.to_owned(), level)).collect()
    }

    /// Registers a controller; `None` while `metadata.version` has no record for that.
    #[must_use]
    pub fn register_controller(
        image: &MetadataImage,
        request: &ControllerRegistrationRequest,
    ) -> Option<Record> {
        if image.metadata_version()? < MetadataVersion::CONTROLLER_REGISTRATION {
            return None;
        }
        Some(Record::RegisterController(ControllerImage {
            id: request.id,
            incarnation: request.incarnation,
            endpoints: request.endpoints.clone(),
            features: supported(),
        }))
    }

    /// Registers a broker of this build, fenced; a former incarnation of it is superseded. The
    /// record must be appended at `next`, because a broker's epoch is the offset of its record.
    ///
    /// # Errors
    /// When the broker cannot be part of this cluster.
    pub fn register_broker(
        image: &MetadataImage,
        request: &BrokerRegistrationRequest,
        next: Offset,
    ) -> Result<Outcome<BrokerEpoch>, RegisterBrokerError> {
        check_features(image)?;
        check_directories(image, request)?;
        let epoch = BrokerEpoch::new(next.get());
        let record = Record::RegisterBroker(broker_image(request, epoch));
        Ok(Outcome { records: vec![record], response: epoch })
    }

    /// Registers anew, with the epochs that they have, what this process registered before: a
    /// record of a newer `metadata.version` tells more. `broker` and `controller` are what it told
    /// then.
    #[must_use]
    pub fn register_again(
        image: &MetadataImage,
        broker: &BrokerRegistrationRequest,
        controller: &ControllerRegistrationRequest,
    ) -> Vec<Record> {
        let mut records: Vec<_> =
            Self::register_controller(image, controller).into_iter().collect();
        if let Some(registered) = image.broker(broker.id) {
            let fresh = broker_image(broker, registered.epoch);
            let (fenced, in_controlled_shutdown) =
                (registered.fenced, registered.in_controlled_shutdown);
            records.push(Record::RegisterBroker(BrokerImage {
                fenced,
                in_controlled_shutdown,
                ..fresh
            }));
        }
        records
    }

    /// Lets a registered broker in, and makes it the leader of what it may lead. The records need
    /// not stay together: a crash between them leaves old leader epochs, which the next
    /// registration replaces.
    ///
    /// # Panics
    /// If the broker is not registered.
    #[must_use]
    pub fn unfence_broker(image: &MetadataImage, broker: BrokerId) -> Vec<Record> {
        let registration = image.broker(broker).expect("it was registered by this controller");
        let change = RegistrationChange::fence(broker, registration.epoch, false);
        let mut records = vec![Record::BrokerRegistrationChange(change)];
        records.extend(elect_returning(image, broker));
        records
    }

    /// Sees a broker off that has closed its logs: whoever starts this folder next, Apache Kafka
    /// included, need not wait for a session to end.
    #[must_use]
    pub fn fence_broker(image: &MetadataImage, broker: BrokerId) -> Option<Record> {
        let registration = image.broker(broker).filter(|registration| !registration.fenced)?;
        let change = RegistrationChange::fence(broker, registration.epoch, true);
        Some(Record::BrokerRegistrationChange(change))
    }
}

/// A broker that has just registered.
fn broker_image(request: &BrokerRegistrationRequest, epoch: BrokerEpoch) -> BrokerImage {
    let mut directories = request.directories.clone();
    directories.sort_unstable();
    BrokerImage {
        id: request.id,
        epoch,
        incarnation: request.incarnation,
        endpoints: request.endpoints.clone(),
        features: supported(),
        rack: request.rack.clone(),
        fenced: true,
        in_controlled_shutdown: false,
        directories,
        cordoned: None,
    }
}

fn check_features(image: &MetadataImage) -> Result<(), RegisterBrokerError> {
    if image.metadata_version().is_none() {
        return Err(RegisterBrokerError::NoMetadataVersion);
    }
    match Controller::unsupported_feature(image, &[]) {
        Some(feature) => Err(RegisterBrokerError::UnsupportedFeature(feature)),
        None => Ok(()),
    }
}

fn check_directories(
    image: &MetadataImage,
    request: &BrokerRegistrationRequest,
) -> Result<(), RegisterBrokerError> {
    if request.directories.is_empty() {
        return Err(RegisterBrokerError::NoDirectories);
    }
    for (at, directory) in request.directories.iter().enumerate() {
        if u128::from_be_bytes(*directory.as_bytes()) < RESERVED_DIRECTORIES {
            return Err(RegisterBrokerError::ReservedDirectory);
        }
        if request.directories[..at].contains(directory) {
            return Err(RegisterBrokerError::DuplicateDirectory);
        }
        let claims = |broker: &&std::sync::Arc<BrokerImage>| {
            broker.id != request.id && broker.directories.contains(directory)
        };
        if let Some(other) = image.brokers().find(claims) {
            let (broker, directory) = (other.id, *directory);
            return Err(RegisterBrokerError::DirectoryOfAnother { broker, directory });
        }
    }
    Ok(())
}
