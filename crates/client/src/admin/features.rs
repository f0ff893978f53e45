//! What brokers serve, and which features the cluster has finalized.

use std::collections::BTreeMap;

use ottla_wire::messages::UpdateFeaturesRequest;
use ottla_wire::messages::update_features_request::FeatureUpdateKey;

use super::{Admin, AdminError, Repeat};
use crate::cluster::Lane;
use crate::error::{BrokerError, CallError};
use crate::metadata::Node;

/// What may be lost when a feature gets another level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureChange {
    /// The level rises.
    Upgrade,
    /// The level may fall where nothing gets lost.
    SafeDowngrade,
    /// The level may fall, whatever gets lost.
    UnsafeDowngrade,
}

impl FeatureChange {
    const fn to_wire(self) -> i8 {
        match self {
            Self::Upgrade => 1,
            Self::SafeDowngrade => 2,
            Self::UnsafeDowngrade => 3,
        }
    }
}

impl Admin {
    /// The versions of each API that a broker serves, by the API's number.
    ///
    /// # Errors
    /// When it cannot be reached: it is tried once.
    pub async fn api_versions(&self, of: &Node) -> Result<BTreeMap<i16, (i16, i16)>, AdminError> {
        let what = || format!("ask broker {} what it serves", of.id);
        let unresolved = || CallError::Unresolved { host: of.host.clone() };
        let failed = |source: CallError| AdminError { what: what(), source: source.into() };
        let address = of.address.ok_or_else(unresolved).map_err(failed)?;
        let connection = self.cluster.connection(address, Lane::COMMON).await.map_err(failed)?;
        Ok(connection.versions().apis().clone())
    }

    /// The offset in the metadata that [`Self::features`] tells of; `None` where it is not known.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn features_epoch(&self) -> Result<Option<i64>, AdminError> {
        self.persist("look up the features", Repeat::Always, async || {
            Ok(self.cluster.versions().await?.features_epoch())
        })
        .await
    }

    /// Gives features other levels, 0 for none; all of them, or none.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn update_features(
        &self,
        levels: &BTreeMap<String, i16>,
        change: FeatureChange,
        validate_only: bool,
    ) -> Result<(), AdminError> {
        let update = |(name, level): (&String, &i16)| FeatureUpdateKey {
            feature: name.clone().into(),
            max_version_level: *level,
            upgrade_type: change.to_wire(),
            ..FeatureUpdateKey::default()
        };
        let request = UpdateFeaturesRequest {
            timeout_ms: self.timeout_ms(),
            feature_updates: levels.iter().map(update).collect(),
            validate_only,
            ..UpdateFeaturesRequest::default()
        };
        self.ask("update features", Repeat::UnlessServed, &request, |answer| {
            let answer = answer.get();
            BrokerError::check_with(answer.error_code, answer.error_message.as_deref())?;
            let refused = answer.results.iter().find(|each| each.error_code != 0);
            refused.map_or(Ok(()), |each| {
                BrokerError::check_with(each.error_code, each.error_message.as_deref())
            })
        })
        .await
    }
}
