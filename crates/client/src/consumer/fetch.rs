//! Fetching records: one request at a time to each leader, for every partition of which no more
//! than one answer waits to be handed out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ottla_records::{Batches, Record};
use ottla_types::{LeaderEpoch, Offset, TopicId, TopicName, TopicPartition, limits};
use ottla_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_wire::messages::fetch_response::PartitionData;
use ottla_wire::messages::{FetchRequest, FetchResponse};

use super::{ConsumerRecord, Isolation};
use crate::cluster::{Cluster, Lane};
use crate::error::{BrokerError, CallError};

/// How much, and how long to wait for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchSettings {
    pub(super) min_bytes: i32,
    pub(super) max_bytes: i32,
    pub(super) partition_max_bytes: i32,
    pub(super) max_wait: Duration,
    pub(super) isolation: Isolation,
}

/// A partition to be read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) partition: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) from: Offset,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    /// Tells this request from one before a seek.
    pub(super) nonce: u64,
}

/// What a fetch brought for one partition.
pub(super) struct Fetched {
    pub(super) wanted: Wanted,
    pub(super) result: Result<Chunk, FetchFailure>,
}

/// Records, and where to go on behind them: also behind what is not shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) records: VecDeque<ConsumerRecord>,
    pub(super) next: Offset,
    pub(super) high_watermark: Option<Offset>,
}

/// Why there are no records.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FetchFailure {
    Refused(BrokerError),
    /// What was read is not what a leader may send.
    Corrupt(String),
}

/// The result of one request.
pub(super) struct Landed {
    pub(super) node: i32,
    pub(super) result: Result<Vec<Fetched>, CallError>,
}

pub(super) type Flight = Pin<Box<dyn Future<Output = Landed>>>;

/// Asks a node for records.
pub(super) fn fetch(
    cluster: &Rc<Cluster>,
    (node, lane): (i32, Lane),
    settings: FetchSettings,
    wanted: Vec<Wanted>,
) -> Flight {
    let cluster = Rc::clone(cluster);
    Box::pin(async move {
        let request = request(settings, &wanted);
        let timeout = cluster.settings.request_timeout + settings.max_wait;
        let answer = cluster.call_within(node, lane, &request, timeout).await;
        let result = answer.map(|answer| {
            let answer = answer.get();
            wanted.into_iter().map(|each| of_answer(each, &answer, settings.isolation)).collect()
        });
        Landed { node, result }
    })
}

fn request(settings: FetchSettings, wanted: &[Wanted]) -> FetchRequest<'static> {
    let mut topics: BTreeMap<(&TopicName, TopicId), Vec<FetchPartition<'static>>> = BTreeMap::new();
    for each in wanted {
        let partitions = topics.entry((&each.partition.topic, each.topic_id)).or_default();
        partitions.push(FetchPartition {
            partition: each.partition.partition.get(),
            current_leader_epoch: LeaderEpoch::to_wire(each.leader_epoch),
            fetch_offset: each.from.get(),
            partition_max_bytes: settings.partition_max_bytes,
            ..FetchPartition::default()
        });
    }
    let topic =
        |((name, id), partitions): ((&TopicName, TopicId), Vec<FetchPartition<'static>>)| {
            FetchTopic {
                topic: name.to_string().into(),
                topic_id: id,
                partitions: partitions.into(),
                ..FetchTopic::default()
            }
        };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: i32::try_from(settings.max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: settings.min_bytes,
        max_bytes: settings.max_bytes,
        isolation_level: settings.isolation.to_wire(),
        session_epoch: -1,
        topics: topics.into_iter().map(topic).collect(),
        ..FetchRequest::default()
    }
}

fn of_answer(wanted: Wanted, answer: &FetchResponse<'_>, isolation: Isolation) -> Fetched {
    let result = match BrokerError::check(answer.error_code) {
        Err(error) => Err(FetchFailure::Refused(error)),
        Ok(()) => {
            let ours = answer.responses.iter().filter(|topic| {
                if topic.topic.is_empty() {
                    topic.topic_id == wanted.topic_id
                } else {
                    topic.topic == wanted.partition.topic.as_str()
                }
            });
            let index = wanted.partition.partition.get();
            let mut ours = ours.filter_map(|topic| {
                topic.partitions.iter().find(|each| each.partition_index == index)
            });
            match ours.next() {
                None => {
                    Err(FetchFailure::Corrupt("the answer is about other partitions".to_owned()))
                }
                Some(partition) => chunk(&wanted, &partition, isolation),
            }
        }
    };
    Fetched { wanted, result }
}

fn chunk(
    wanted: &Wanted,
    partition: &PartitionData<'_>,
    isolation: Isolation,
) -> Result<Chunk, FetchFailure> {
    BrokerError::check(partition.error_code).map_err(FetchFailure::Refused)?;
    let aborted = partition.aborted_transactions.iter().flatten();
    let aborted = aborted.map(|each| (each.first_offset, each.producer_id)).collect();
    let bytes = partition.records.as_deref().unwrap_or_default();
    let chunk = decode(wanted, bytes, isolation.hides_aborted().then_some(aborted));
    chunk
        .map(|chunk| Chunk { high_watermark: Offset::from_wire(partition.high_watermark), ..chunk })
}

/// The records of some batches; with `aborted` those of aborted transactions are left out.
fn decode(
    wanted: &Wanted,
    bytes: &[u8],
    aborted: Option<Vec<(i64, i64)>>,
) -> Result<Chunk, FetchFailure> {
    let corrupt = |what: &dyn std::fmt::Display| FetchFailure::Corrupt(what.to_string());
    let mut aborted = aborted.unwrap_or_default();
    aborted.sort_unstable();
    let mut aborted = aborted.into_iter().peekable();
    let mut aborting: BTreeSet<i64> = BTreeSet::new();
    let mut chunk = Chunk { records: VecDeque::new(), next: wanted.from, high_watermark: None };
    let mut batches = Batches::new(bytes);
    for batch in &mut batches {
        let batch = batch.map_err(|error| corrupt(&error))?;
        if !batch.crc_matches() {
            return Err(corrupt(&"the checksum of a batch does not fit its bytes"));
        }
        let header = batch.header;
        while let Some((_, producer)) =
            aborted.next_if(|(first, _)| *first <= header.last_offset().get())
        {
            aborting.insert(producer);
        }
        let records = batch.records(limits::INFLATED_BATCH_BYTES_MAX);
        let records = records.map_err(|error| corrupt(&error))?;
        let producer = header.producer.map(|stamp| stamp.id.get());
        let is_control = header.attributes.is_control();
        let is_aborted = header.attributes.is_transactional()
            && producer.is_some_and(|producer| aborting.contains(&producer));
        if is_control {
            // Whatever ends a transaction, the producer's next one is another.
            producer.iter().for_each(|producer| _ = aborting.remove(producer));
        } else if !is_aborted {
            // Whatever the header says: no record is shorter than seven bytes.
            let count = header.records_count.min(header.size / 7);
            chunk.records.reserve(usize::try_from(count).unwrap_or(0));
            for record in &records {
                let record = record.map_err(|error| corrupt(&error))?;
                // A batch is sent whole, and may begin before what was asked for.
                if record.offset >= wanted.from {
                    chunk.records.push_back(owned(&wanted.partition, &record, header.leader_epoch));
                }
            }
        }
        chunk.next = chunk.next.max(header.last_offset().next());
    }
    Ok(chunk)
}

fn owned(
    partition: &TopicPartition,
    record: &Record<'_>,
    leader_epoch: Option<LeaderEpoch>,
) -> ConsumerRecord {
    let header = |(name, value): (&[u8], Option<&[u8]>)| {
        (Bytes::copy_from_slice(name), value.map(Bytes::copy_from_slice))
    };
    ConsumerRecord {
        partition: partition.clone(),
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(Bytes::copy_from_slice),
        value: record.value.map(Bytes::copy_from_slice),
        headers: record.headers.iter().map(header).collect(),
        leader_epoch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::{BatchBuilder, BatchOptions, Compression, NewRecord, ProducerStamp};
    use ottla_types::{ProducerEpoch, ProducerId, Sequence, Timestamp};

    fn batch(base: i64, producer: Option<i64>, control: bool, values: &[&str]) -> Vec<u8> {
        let stamp = |id| ProducerStamp {
            id: ProducerId::new(id),
            epoch: ProducerEpoch::ZERO,
            base_sequence: Some(Sequence::ZERO),
        };
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset::new(base),
            compression: if control { Compression::None } else { Compression::Zstd },
            producer: producer.map(stamp),
            transactional: producer.is_some(),
            control,
            ..BatchOptions::default()
        });
        for value in values {
            builder.push(NewRecord {
                timestamp: Timestamp::from_millis(1),
                key: control.then_some(&[0, 0, 0, 0][..]),
                value: Some(value.as_bytes()),
                headers: &[],
            });
        }
        builder.build().into_bytes()
    }

    fn wanted(from: i64) -> Wanted {
        Wanted {
            partition: crate::partition("t", 0).expect("legal"),
            topic_id: TopicId::ZERO,
            from: Offset::new(from),
            leader_epoch: None,
            nonce: 0,
        }
    }

    fn check(from: i64, bytes: &[u8], aborted: Option<Vec<(i64, i64)>>, values: &str, next: i64) {
        let chunk = decode(&wanted(from), bytes, aborted).expect("sound");
        let read = chunk.records.iter().map(|record| {
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
        });
        assert_eq!(read.collect::<Vec<_>>().join(" "), values);
        assert_eq!(chunk.next, Offset::new(next));
    }

    #[test]
    fn records_before_the_position_are_left_out_and_cut_batches_come_again() {
        let mut bytes = batch(10, None, false, &["a", "b", "c"]);
        check(11, &bytes, None, "b c", 13);
        let second = batch(13, None, false, &["d"]);
        bytes.extend_from_slice(&second[..second.len() - 1]);
        check(10, &bytes, None, "a b c", 13);
        check(5, &[], None, "", 5);
    }

    #[test]
    fn aborted_records_are_shown_to_those_who_want_to_see_them() {
        let parts = [
            batch(0, Some(7), false, &["x"]),
            batch(1, Some(8), false, &["y"]),
            batch(2, Some(7), true, &["marker"]),
            batch(3, Some(7), false, &["z"]),
            batch(4, Some(8), true, &["marker"]),
        ];
        let bytes = parts.concat();
        check(0, &bytes, None, "x y z", 5);
        check(0, &bytes, Some(vec![(0, 7)]), "y z", 5);
        check(0, &bytes, Some(vec![(1, 8), (0, 7)]), "z", 5);
    }

    #[test]
    fn flipped_bits_are_found() {
        let bytes = batch(0, None, false, &["hello"]);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            // The offset and the epoch of the leader are not covered by the checksum.
            if let Ok(chunk) = decode(&wanted(0), &bytes, None) {
                assert!(at < 16 || chunk.records.is_empty(), "byte {at}");
            }
        }
    }
}
