//! Which versions of which APIs a broker serves.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use ottla_wire::messages::ApiVersionsResponse;
use ottla_wire::{ApiKey, DecodeError, ErrorCode, Reader};

/// What a broker serves, and the features that its cluster has finalized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    apis: BTreeMap<i16, (i16, i16)>,
    features: BTreeMap<String, i16>,
    supported_features: BTreeMap<String, (i16, i16)>,
    features_epoch: Option<i64>,
}

impl Versions {
    /// Nothing is known yet.
    pub(crate) const fn unknown() -> Self {
        Self {
            apis: BTreeMap::new(),
            features: BTreeMap::new(),
            supported_features: BTreeMap::new(),
            features_epoch: None,
        }
    }

    /// What an answer of `ApiVersions` says. A refusal is a version that does not exist.
    pub(crate) fn of_answer(body: &Bytes, version: i16) -> Result<Self, DecodeError> {
        // The first two bytes are the error in every version, and what follows it may be older.
        let code = Reader::new(body).i16()?;
        if code == ErrorCode::UnsupportedVersion.code() {
            return Err(DecodeError::UnsupportedVersion { version });
        }
        let answer = ApiVersionsResponse::decode(&mut Reader::new(body), version)?;
        let apis = answer.api_keys.iter();
        let features = answer.finalized_features.iter();
        Ok(Self {
            apis: apis.map(|api| (api.api_key, (api.min_version, api.max_version))).collect(),
            features: features
                .map(|feature| (feature.name.into_owned(), feature.max_version_level))
                .collect(),
            supported_features: (answer.supported_features.iter())
                .map(|known| (known.name.into_owned(), (known.min_version, known.max_version)))
                .collect(),
            features_epoch: (answer.finalized_features_epoch >= 0)
                .then_some(answer.finalized_features_epoch),
        })
    }

    /// The newest version of an API within `ours` that the broker serves, too.
    pub(crate) fn common(&self, api: ApiKey, ours: RangeInclusive<i16>) -> Option<i16> {
        let version = match (self.apis.get(&api.to_wire()), api) {
            (Some((low, high)), _) => (*ours.end()).min(*high).max(*low),
            (None, _) => return None,
        };
        ours.contains(&version).then_some(version)
    }

    /// The lowest and the highest version of each API, by its number.
    pub(crate) const fn apis(&self) -> &BTreeMap<i16, (i16, i16)> {
        &self.apis
    }

    /// The offset in the metadata that the finalized features are of.
    pub(crate) const fn features_epoch(&self) -> Option<i64> {
        self.features_epoch
    }

    /// The features that the cluster has finalized, with their levels.
    pub(crate) const fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The levels of features that the broker could serve.
    pub(crate) const fn supported_features(&self) -> &BTreeMap<String, (i16, i16)> {
        &self.supported_features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_in_common_is_chosen() {
        check((0, 9), 3..=7, Some(7));
        check((0, 5), 3..=7, Some(5));
        check((5, 9), 3..=7, Some(7));
        check((8, 9), 3..=7, None);
        check((0, 2), 3..=7, None);
        check((7, 7), 3..=7, Some(7));
        // A broker that contradicts itself serves nothing.
        check((9, 0), 3..=7, None);
    }

    fn check((low, high): (i16, i16), ours: RangeInclusive<i16>, expected: Option<i16>) {
        let apis = BTreeMap::from([(ApiKey::Metadata.to_wire(), (low, high))]);
        let versions = Versions { apis, ..Versions::unknown() };
        assert_eq!(versions.common(ApiKey::Metadata, ours.clone()), expected, "{low}..={high}");
        assert_eq!(versions.common(ApiKey::Fetch, ours), None);
    }
}
