//! From records to images, transactions included.

use std::sync::Arc;

use ottla_types::{LeaderEpoch, NodeId, Offset};

use crate::delta::{MetadataDelta, ReplayError};
use crate::image::MetadataImage;
use crate::record::Record;

/// Follows the metadata log from its start, in as many pieces as its host likes.
#[derive(Debug)]
pub struct MetadataReplay {
    image: Arc<MetadataImage>,
    delta: MetadataDelta,
    /// The records of an open transaction take effect at its end, or never (KIP-868).
    transaction: Option<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    start: Offset,
    records: Vec<Record>,
}

impl MetadataReplay {
    /// From the empty cluster.
    #[must_use]
    pub fn new(cluster_id: &str) -> Self {
        let image = Arc::new(MetadataImage::empty(cluster_id));
        Self { delta: MetadataDelta::new(&image), image, transaction: None }
    }

    /// The image at the last [`MetadataReplay::take`].
    #[must_use]
    pub const fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// Where the open transaction began, if one is open.
    #[must_use]
    pub fn open_transaction(&self) -> Option<Offset> {
        self.transaction.as_ref().map(|transaction| transaction.start)
    }

    /// Takes the record at `offset`.
    ///
    /// # Errors
    /// When the record cannot follow those before it.
    pub fn record(&mut self, offset: Offset, record: &Record) -> Result<(), ReplayError> {
        match (record, &mut self.transaction) {
            (Record::BeginTransaction { .. }, None) => {
                self.transaction = Some(Transaction { start: offset, records: Vec::new() });
                Ok(())
            }
            (Record::BeginTransaction { .. }, Some(_)) => {
                Err(ReplayError::TransactionInTransaction)
            }
            (Record::EndTransaction | Record::AbortTransaction { .. }, None) => {
                Err(ReplayError::NoTransaction)
            }
            (Record::EndTransaction, Some(_)) => self.end_transaction(),
            (Record::AbortTransaction { .. }, Some(_)) => {
                self.transaction = None;
                Ok(())
            }
            (record, Some(open)) => {
                open.records.push(record.clone());
                Ok(())
            }
            (record, None) => self.delta.replay(record),
        }
    }

    /// An epoch begins. The quorum's own records are never part of a transaction.
    pub const fn leader_change(&mut self, leader: NodeId) {
        self.delta.on_leader_change(leader);
    }

    /// The level of `kraft.version` changes.
    pub const fn kraft_version(&mut self, level: i16) {
        self.delta.on_kraft_version(level);
    }

    /// What changed since the last call, and the image of the log below `end`, whose last record
    /// has `epoch`.
    pub fn take(&mut self, end: Offset, epoch: LeaderEpoch) -> (MetadataDelta, Arc<MetadataImage>) {
        self.image = self.delta.finish(end, epoch);
        let fresh = MetadataDelta::new(&self.image);
        (std::mem::replace(&mut self.delta, fresh), Arc::clone(&self.image))
    }

    fn end_transaction(&mut self) -> Result<(), ReplayError> {
        let ended = self.transaction.take();
        ended.into_iter().flat_map(|t| t.records).try_for_each(|record| self.delta.replay(&record))
    }
}
