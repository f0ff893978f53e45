//! Which partition a record goes to.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use ottla_types::TopicName;

use super::Record;

/// A choice of the application's own: a record and the number of partitions, to a partition.
pub type ChoosePartition = Rc<dyn Fn(&Record, usize) -> usize>;

/// How partitions are chosen for records that do not name one.
#[derive(Clone, Default)]
pub enum Partitioner {
    /// Records with a key by its hash, the same as Kafka's own clients; others stay with one
    /// partition for about a batch, then with another one.
    #[default]
    HashOrSticky,
    /// One partition after the other, whatever the key.
    RoundRobin,
    /// The application chooses.
    Custom(ChoosePartition),
}

impl fmt::Debug for Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HashOrSticky => "HashOrSticky",
            Self::RoundRobin => "RoundRobin",
            Self::Custom(_) => "Custom",
        })
    }
}

/// What a partitioner remembers.
#[derive(Debug, Default)]
pub(super) struct Choices {
    next: Cell<usize>,
    sticky: std::cell::RefCell<BTreeMap<TopicName, Sticky>>,
}

#[derive(Clone, Copy, Debug)]
struct Sticky {
    partition: usize,
    bytes: usize,
}

impl Choices {
    /// A partition below `count` for a record.
    pub(super) fn choose(
        &self,
        partitioner: &Partitioner,
        (topic, record): (&TopicName, &Record),
        (count, batch_bytes): (usize, usize),
        draw: impl FnOnce() -> u64,
    ) -> usize {
        assert!(count > 0, "a topic has partitions");
        match (partitioner, &record.key) {
            (Partitioner::HashOrSticky, Some(key)) => by_key(key, count),
            (Partitioner::HashOrSticky, None) => {
                self.stick(topic, record, (count, batch_bytes), draw)
            }
            (Partitioner::RoundRobin, _) => {
                let next = self.next.get();
                self.next.set(next.wrapping_add(1));
                next % count
            }
            (Partitioner::Custom(choose), _) => choose(record, count) % count,
        }
    }

    fn stick(
        &self,
        topic: &TopicName,
        record: &Record,
        (count, batch_bytes): (usize, usize),
        draw: impl FnOnce() -> u64,
    ) -> usize {
        let mut sticky = self.sticky.borrow_mut();
        let used = sticky.get(topic).filter(|each| each.partition < count);
        let partition = match used {
            Some(used) if used.bytes < batch_bytes => *used,
            used => {
                let drawn = usize::try_from(draw() % (count as u64)).expect("below the count");
                // The next one is another one, where there is another one.
                let again = used.is_some_and(|used| used.partition == drawn);
                Sticky { partition: if again { (drawn + 1) % count } else { drawn }, bytes: 0 }
            }
        };
        let bytes = partition.bytes + record.size();
        sticky.insert(topic.clone(), Sticky { bytes, ..partition });
        partition.partition
    }
}

/// The partition of a key, as Kafka's own clients choose it.
#[allow(clippy::cast_possible_truncation, reason = "Java's sign bit is dropped")]
pub(super) fn by_key(key: &[u8], count: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % count
}

/// Austin Appleby's `MurmurHash2`, with the seed that Kafka's clients agree on.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut h = 0x9747_b28c ^ len;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let k = u32::from_le_bytes(*word).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ (k ^ (k >> 24)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
        h = (h ^ last).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `MurmurHash2` with Kafka's seed that its clients agree on.
    #[test]
    fn keys_are_hashed_as_by_kafka() {
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
        check("abc", 479_470_107);
    }

    fn check(key: &str, hash: i32) {
        assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
    }

    #[test]
    fn records_without_a_key_stay_for_a_batch_and_then_move() {
        let topic = TopicName::parse("t").expect("legal");
        let choices = Choices::default();
        let record = Record::to("t").value(vec![0; 40]);
        let chosen: Vec<usize> = (0..9)
            .map(|_| choices.choose(&Partitioner::HashOrSticky, (&topic, &record), (3, 100), || 1))
            .collect();
        let runs: Vec<usize> = chosen.chunk_by(|a, b| a == b).map(<[usize]>::len).collect();
        assert!(runs.iter().all(|run| *run <= 3) && runs.len() > 2, "{chosen:?}");
    }

    #[test]
    fn round_robin_takes_turns() {
        let topic = TopicName::parse("t").expect("legal");
        let choices = Choices::default();
        let record = Record::to("t").key("k");
        let next = || choices.choose(&Partitioner::RoundRobin, (&topic, &record), (3, 100), || 0);
        assert_eq!([next(), next(), next(), next()], [0, 1, 2, 0]);
    }
}
