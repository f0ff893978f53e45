//! Producer ids, given to brokers in blocks.

use ottla_types::{BrokerEpoch, BrokerId, ProducerId};

use crate::image::MetadataImage;
use crate::record::Record;

use super::{Controller, Outcome};

/// How many ids a broker gets at once; Kafka's number.
const BLOCK: i64 = 1_000;

/// Producer ids that belong to one broker alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: ProducerId,
    /// How many there are.
    pub count: i64,
}

/// Why no block is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateProducerIdsError {
    /// The broker is not registered.
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
    /// The request comes from an older incarnation of the broker.
    #[error("Expected broker epoch {registered}, but got broker epoch {given}")]
    StaleBrokerEpoch {
        /// The epoch of its registration.
        registered: BrokerEpoch,
        /// The epoch in the request.
        given: BrokerEpoch,
    },
    /// 2^63 ids were given.
    #[error(
        "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type \
         limit"
    )]
    Exhausted,
}

impl Controller {
    /// Gives a broker the next block of producer ids.
    ///
    /// # Errors
    /// When the broker is not registered with that epoch, or no ids are left.
    pub fn allocate_producer_ids(
        image: &MetadataImage,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<Outcome<ProducerIdBlock>, AllocateProducerIdsError> {
        let registration =
            image.broker(broker).ok_or(AllocateProducerIdsError::UnknownBroker(broker))?;
        if registration.epoch != epoch {
            let registered = registration.epoch;
            return Err(AllocateProducerIdsError::StaleBrokerEpoch { registered, given: epoch });
        }
        let first = image.next_producer_id();
        let next = first.get().checked_add(BLOCK).ok_or(AllocateProducerIdsError::Exhausted)?;
        let record = Record::ProducerIds { by: Some((broker, epoch)), next: ProducerId::new(next) };
        let response = ProducerIdBlock { first, count: BLOCK };
        Ok(Outcome { records: vec![record], response })
    }
}
