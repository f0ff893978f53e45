//! The brokers that a client chose for a new partition, and the partition's first state on them.

use ottla_types::{BrokerId, Uuid};

use crate::image::{MetadataImage, PartitionImage};

/// Why the brokers that a client chose cannot keep a partition. The words are Kafka's, measured on
/// 4.3.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// There are none.
    #[error("The manual partition assignment includes an empty replica list.")]
    ToNobody,
    /// A broker does not exist.
    #[error(
        "The manual partition assignment includes broker {0}, but no such broker is registered."
    )]
    ToUnknown(i32),
    /// A broker takes no new replicas.
    #[error(
        "The manual partition assignment includes broker {0}, but all its log directories are \
         cordoned."
    )]
    ToCordoned(BrokerId),
    /// A broker would keep two replicas of a partition.
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    ToSame(BrokerId),
    /// Partitions would have different numbers of replicas.
    #[error(
        "The manual partition assignment includes a partition with {found} replica(s), but this \
         is not consistent with previous partitions, which have {before} replica(s)."
    )]
    Uneven {
        /// The replicas of this partition.
        found: usize,
        /// The replicas of the partitions before.
        before: usize,
    },
    /// Nobody could lead the partition.
    #[error(
        "All brokers specified in the manual partition assignment for partition {0} are fenced or \
         in controlled shutdown."
    )]
    ToFenced(i32),
}

/// The first state of partition number `partition` on the brokers that a client chose, as many as
/// the partitions `before` it have.
pub(super) fn assigned_partition(
    image: &MetadataImage,
    partition: i32,
    brokers: &[i32],
    before: Option<usize>,
) -> Result<PartitionImage, AssignmentError> {
    let replicas = check_replicas(image, brokers, before)?;
    if !replicas.iter().any(|id| is_active(image, *id)) {
        return Err(AssignmentError::ToFenced(partition));
    }
    Ok(new_partition(image, replicas))
}

/// In ascending order, as Kafka looks at them: the first mistake in that order is told.
fn check_replicas(
    image: &MetadataImage,
    brokers: &[i32],
    before: Option<usize>,
) -> Result<Vec<BrokerId>, AssignmentError> {
    if brokers.is_empty() {
        return Err(AssignmentError::ToNobody);
    }
    let mut sorted = brokers.to_vec();
    sorted.sort_unstable();
    let mut previous = None;
    for raw in sorted {
        let unknown = AssignmentError::ToUnknown(raw);
        let Some(broker) = BrokerId::from_wire(raw).and_then(|id| image.broker(id)) else {
            return Err(unknown);
        };
        if broker.is_cordoned() {
            return Err(AssignmentError::ToCordoned(broker.id));
        }
        if previous == Some(raw) {
            return Err(AssignmentError::ToSame(broker.id));
        }
        previous = Some(raw);
    }
    match before {
        Some(before) if before != brokers.len() => {
            Err(AssignmentError::Uneven { found: brokers.len(), before })
        }
        Some(_) | None => Ok(brokers.iter().map(|raw| BrokerId::new(*raw)).collect()),
    }
}

pub(super) fn is_active(image: &MetadataImage, id: BrokerId) -> bool {
    image.broker(id).is_some_and(|broker| broker.is_active())
}

/// A partition on these brokers, in sync wherever somebody is active.
pub(super) fn new_partition(image: &MetadataImage, replicas: Vec<BrokerId>) -> PartitionImage {
    let isr = replicas.iter().copied().filter(|id| is_active(image, *id)).collect();
    let directories = replicas.iter().map(|id| directory_on(image, *id)).collect();
    PartitionImage::new(replicas, directories, isr)
}

/// With one directory there is no choice; a broker with more chooses itself and tells (KIP-858).
fn directory_on(image: &MetadataImage, id: BrokerId) -> Uuid {
    const UNASSIGNED: Uuid = Uuid::from_u128(1);
    match image.broker(id).map(|broker| broker.directories.as_slice()) {
        Some([only]) => *only,
        Some(_) | None => UNASSIGNED,
    }
}
