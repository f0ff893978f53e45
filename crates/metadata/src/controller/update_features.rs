//! UpdateFeatures: the levels of features that the cluster agrees on (KIP-584, KIP-778).

use std::collections::BTreeMap;

use ottla_types::NodeId;

use crate::features::{
    FeatureRange, KRAFT_VERSION, METADATA_VERSION, MetadataVersion, OTHER_FEATURES,
    SUPPORTED_FEATURES,
};
use crate::image::MetadataImage;
use crate::record::Record;

use super::{Controller, Outcome};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateFeatures {
    /// The features; of one that is named twice, the last counts.
    pub updates: Vec<FeatureUpdate>,
    /// Answer as if, and change nothing.
    pub validate_only: bool,
}

/// A feature and its level to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    /// Its name, whatever that may be.
    pub feature: String,
    /// The level, as the client sent it; 0 takes the feature away.
    pub level: i16,
    /// What the client takes the change for; `None` for a number that nobody knows.
    pub kind: Option<UpgradeType>,
}

/// What a client takes a change of a level for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    /// Not a downgrade.
    Upgrade,
    /// A downgrade that loses nothing.
    SafeDowngrade,
    /// A downgrade that may lose metadata.
    UnsafeDowngrade,
}

/// Why no level changes, of no feature. The words are Kafka's, measured on 4.3.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateFeaturesError {
    /// The level cannot follow the one that there is.
    #[error("Invalid update version {level} for feature {feature}. {reason}")]
    Invalid {
        /// The feature.
        feature: String,
        /// Its level to be.
        level: i16,
        /// What is wrong with it.
        reason: InvalidUpdate,
    },
    /// Metadata could get lost.
    #[error("Unsupported metadata.version downgrade from {from} to {to}. {reason}")]
    MetadataDowngrade {
        /// The level that there is.
        from: i16,
        /// The level to be.
        to: i16,
        /// What the client took it for, answered.
        reason: RefusedDowngrade,
    },
}

/// Why a level cannot follow another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpdate {
    /// Nobody knows such an upgrade type.
    #[error("The controller does not support the given upgrade type.")]
    UpgradeType,
    /// Levels begin with 0.
    #[error("A feature version cannot be less than 0.")]
    Negative,
    /// A node does not know the feature.
    #[error("{0} does not support this feature.")]
    UnknownTo(Member),
    /// A node does not know the level.
    #[error("{member} only supports versions {min}-{max}")]
    OutOfRange {
        /// The node.
        member: Member,
        /// The lowest level that it knows.
        min: i16,
        /// The highest.
        max: i16,
    },
    /// It is a downgrade, and the client did not call it so.
    #[error(
        "Can't downgrade the version of this feature without setting the upgrade type to either \
         safe or unsafe downgrade."
    )]
    NotCalledDowngrade,
    /// It is an upgrade, and the client called it a downgrade.
    #[error("Can't downgrade to a newer version.")]
    CalledDowngrade,
    /// There is no such feature, in no version of Kafka.
    #[error("Feature {0} not found.")]
    NotFound(String),
    /// The feature is never downgraded.
    #[error("Can't downgrade the version of this feature.")]
    NoDowngrade,
    /// The quorum's voters would have to move from the configuration into the log. No word of
    /// Kafka's, which can do that.
    #[error(
        "The voters of this quorum are configured (controller.quorum.voters), and this version \
         cannot write them to the log."
    )]
    ConfiguredVoters,
}

/// Why `metadata.version` is not lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedDowngrade {
    /// It was called safe, and is not.
    #[error(
        "Refusing to perform the requested downgrade because it might delete metadata information."
    )]
    NotSafe,
    /// It was called unsafe.
    #[error("Unsafe metadata downgrade is not supported in this version.")]
    Unsafe,
}

/// A node, as one that has to support a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Member {
    /// The active controller.
    #[error("Local controller {0}")]
    This(NodeId),
    /// A broker.
    #[error("Broker {0}")]
    Broker(NodeId),
    /// Another controller.
    #[error("Controller {0}")]
    Controller(NodeId),
}

impl Controller {
    /// Changes the levels of features, of all or of none. `me` is the active controller.
    ///
    /// # Errors
    /// When a level cannot follow the one that there is, or a node does not support it.
    ///
    /// # Panics
    /// If the cluster has no `metadata.version` yet.
    pub fn update_features(
        image: &MetadataImage,
        me: NodeId,
        request: &UpdateFeatures,
    ) -> Result<Outcome<()>, UpdateFeaturesError> {
        let updates: BTreeMap<&str, &FeatureUpdate> =
            request.updates.iter().map(|update| (update.feature.as_str(), update)).collect();
        let mut records = Vec::new();
        for update in updates.into_values() {
            records.extend(update_feature(image, me, update)?);
        }
        if request.validate_only {
            records.clear();
        }
        Ok(Outcome { records, response: () })
    }
}

/// The record of one change; none for `kraft.version`, which has no record in this log.
fn update_feature(
    image: &MetadataImage,
    me: NodeId,
    update: &FeatureUpdate,
) -> Result<Option<Record>, UpdateFeaturesError> {
    let (feature, to) = (update.feature.as_str(), update.level);
    let from = finalized_level(image, feature);
    let invalid =
        |reason| UpdateFeaturesError::Invalid { feature: feature.to_owned(), level: to, reason };
    let kind = update.kind.ok_or_else(|| invalid(InvalidUpdate::UpgradeType))?;
    if to < 0 {
        return Err(invalid(InvalidUpdate::Negative));
    }
    check_supported(image, me, feature, to).map_err(invalid)?;
    if to < from && kind == UpgradeType::Upgrade {
        return Err(invalid(InvalidUpdate::NotCalledDowngrade));
    }
    if to > from && kind != UpgradeType::Upgrade {
        return Err(invalid(InvalidUpdate::CalledDowngrade));
    }
    match feature {
        METADATA_VERSION => check_metadata_version(from, to, kind)?,
        KRAFT_VERSION if to > from => return Err(invalid(InvalidUpdate::ConfiguredVoters)),
        KRAFT_VERSION if to < from => return Err(invalid(InvalidUpdate::NoDowngrade)),
        KRAFT_VERSION => return Ok(None),
        _ if !is_known(feature) => {
            return Err(invalid(InvalidUpdate::NotFound(feature.to_owned())));
        }
        _ => {}
    }
    Ok(Some(Record::FeatureLevel { name: feature.to_owned(), level: to }))
}

fn finalized_level(image: &MetadataImage, feature: &str) -> i16 {
    image.finalized_features().find(|(name, _)| *name == feature).map_or(0, |(_, level)| level)
}

/// Whether some version of Kafka has a feature of that name.
fn is_known(feature: &str) -> bool {
    SUPPORTED_FEATURES.iter().any(|(name, ..)| *name == feature)
        || OTHER_FEATURES.contains(&feature)
}

/// Whether every node supports a level: this controller first, then brokers, then the others.
fn check_supported(
    image: &MetadataImage,
    me: NodeId,
    feature: &str,
    level: i16,
) -> Result<(), InvalidUpdate> {
    let own = SUPPORTED_FEATURES.iter().find(|(name, ..)| *name == feature);
    check_range(Member::This(me), own.map(|(_, min, max)| (*min, *max)), level)?;
    for broker in image.brokers() {
        check_range(Member::Broker(broker.id), range_in(&broker.features, feature), level)?;
    }
    for other in image.controllers().filter(|controller| controller.id != me) {
        check_range(Member::Controller(other.id), range_in(&other.features, feature), level)?;
    }
    Ok(())
}

fn range_in(features: &[FeatureRange], feature: &str) -> Option<(i16, i16)> {
    features.iter().find(|range| range.name == feature).map(|range| (range.min, range.max))
}

/// Who does not know a feature supports its absence, level 0.
fn check_range(member: Member, range: Option<(i16, i16)>, level: i16) -> Result<(), InvalidUpdate> {
    let (min, max) = range.unwrap_or((0, 0));
    match (min..=max).contains(&level) {
        true => Ok(()),
        false if max == 0 => Err(InvalidUpdate::UnknownTo(member)),
        false => Err(InvalidUpdate::OutOfRange { member, min, max }),
    }
}

/// A level below another is safe where every record that is written in the higher one can be
/// written in the lower one.
fn check_metadata_version(
    from: i16,
    to: i16,
    kind: UpgradeType,
) -> Result<(), UpdateFeaturesError> {
    let known = |level| MetadataVersion::from_level(level).expect("within what is supported");
    if to >= from || !known(from).changes_metadata_since(known(to)) {
        return Ok(());
    }
    let reason = match kind {
        UpgradeType::UnsafeDowngrade => RefusedDowngrade::Unsafe,
        UpgradeType::Upgrade | UpgradeType::SafeDowngrade => RefusedDowngrade::NotSafe,
    };
    Err(UpdateFeaturesError::MetadataDowngrade { from, to, reason })
}
