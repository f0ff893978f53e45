//! Which brokers keep a new partition.

use ottla_types::BrokerId;

use crate::image::MetadataImage;

/// The brokers that may keep replicas, those that can lead first within their own circle.
pub(super) struct Placement {
    active: Vec<BrokerId>,
    inactive: Vec<BrokerId>,
    /// Where the first partition's stripe begins.
    start: usize,
}

/// Why no brokers can be chosen. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Nobody could lead.
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    NobodyActive,
    /// A broker keeps one replica of a partition at most.
    #[error(
        "The target replication factor of {wanted} cannot be reached because only {registered} \
         broker(s) are registered or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers {
        /// The replication factor.
        wanted: usize,
        /// How many brokers there are.
        registered: usize,
    },
}

impl Placement {
    pub(super) fn over(image: &MetadataImage, start: usize) -> Self {
        let usable = image.brokers().filter(|broker| !broker.is_cordoned());
        let (active, inactive): (Vec<_>, Vec<_>) = usable.partition(|broker| broker.is_active());
        let ids = |brokers: Vec<&std::sync::Arc<crate::image::BrokerImage>>| {
            brokers.into_iter().map(|broker| broker.id).collect()
        };
        Self { active: ids(active), inactive: ids(inactive), start }
    }

    /// Whether `replicas` of each partition can be placed.
    pub(super) const fn check(&self, replicas: usize) -> Result<(), PlacementError> {
        let registered = self.active.len() + self.inactive.len();
        if self.active.is_empty() {
            return Err(PlacementError::NobodyActive);
        }
        if replicas > registered {
            return Err(PlacementError::TooFewBrokers { wanted: replicas, registered });
        }
        Ok(())
    }

    /// The replicas of a partition, the preferred leader first: the next broker of the circle
    /// leads, and the ones after it follow, so that leaders and followers spread evenly.
    pub(super) fn replicas_of(&self, partition: usize, replicas: usize) -> Vec<BrokerId> {
        assert!(!self.active.is_empty(), "somebody can lead");
        let circle = |brokers: &[BrokerId], count: usize| -> Vec<BrokerId> {
            let from = self.start + partition;
            (0..count).map(|nth| brokers[(from + nth) % brokers.len()]).collect()
        };
        let active = replicas.min(self.active.len());
        let mut chosen = circle(&self.active, active);
        chosen.extend(circle(&self.inactive, replicas - active));
        assert_eq!(chosen.len(), replicas, "as many as asked for");
        chosen
    }
}
