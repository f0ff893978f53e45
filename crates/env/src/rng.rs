//! Randomness, split by purpose so that one purpose's draws do not shift another's.

/// What a random number is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Cluster, directory, topic and incarnation ids.
    Uuid,
    /// Where a new topic's striping begins.
    Placement,
    /// Fetch session ids.
    Session,
    /// Time-outs spread apart.
    Jitter,
    /// Seeds of hashes that nobody is to foresee.
    Hashing,
}

/// The port to randomness.
pub trait Rng: Send + Sync {
    /// 64 random bits.
    fn next(&self, purpose: Purpose) -> u64;
}

impl dyn Rng {
    /// A random uuid that Kafka does not keep for itself.
    pub fn uuid(&self) -> ottla_types::Uuid {
        loop {
            let high = u128::from(self.next(Purpose::Uuid));
            let low = u128::from(self.next(Purpose::Uuid));
            let uuid = ottla_types::Uuid::from_u128((high << 64) | low);
            if !uuid.is_reserved() {
                return uuid;
            }
        }
    }
}
