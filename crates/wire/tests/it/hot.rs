//! The hand-written paths say what the generated messages say, byte for byte.

use crate::hostile::mutations;
use crate::random::Random;
use crate::subject::Subject;
use ottla_types::Uuid;
use ottla_wire::hot::{
    AbortedTransaction, CurrentLeader, Entry, EpochAndOffset, FetchPartition, FetchRequest,
    FetchResponseHead, FetchResponsePartition, FetchResponseWriter, NodeEndpoint, ProducePartition,
    ProduceRequest, ProduceResponsePartition, ProduceResponseWriter, RecordError, ResponseRecords,
    TopicRef,
};
use ottla_wire::messages::fetch_request;
use ottla_wire::messages::fetch_response::{FetchResponse, PartitionData};
use ottla_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use ottla_wire::messages::{self, ResponseHeader};
use ottla_wire::{ApiKey, EncodeError, OpenFrame, Reader, Writer};
use std::borrow::Cow;

const DRAWS: usize = 200;

fn topic<'a>(name: &'a str, id: Uuid, version: i16) -> TopicRef<'a> {
    if version >= 13 { TopicRef::Id(id) } else { TopicRef::Name(name) }
}

#[test]
fn a_produce_request_is_visited_as_it_is_decoded() {
    for version in messages::ProduceRequest::VERSIONS {
        let mut random = Random::named("produce request");
        for _ in 0..DRAWS {
            let request: messages::ProduceRequest<'static> = random.draw(version);
            check_produce_request(&request, version);
        }
    }
}

fn check_produce_request(request: &messages::ProduceRequest<'static>, version: i16) {
    let bytes = request.to_bytes(version).unwrap();
    let visited = ProduceRequest::decode(&bytes, version).unwrap();
    assert_eq!(visited.transactional_id, request.transactional_id.as_deref());
    assert_eq!(visited.acks, request.acks);
    assert_eq!(visited.timeout_ms, request.timeout_ms);
    let topics: Vec<_> = request.topic_data.iter().collect();
    let expected: Vec<(TopicRef<'_>, i32, Option<Vec<u8>>)> = (topics.iter())
        .flat_map(|data| {
            let name = topic(&data.name, data.topic_id, version);
            let partitions: Vec<_> = data.partition_data.iter().collect();
            partitions.into_iter().map(move |p| (name, p.index, p.records.map(Cow::into_owned)))
        })
        .collect();
    let flat = |Entry { topic, partition: ProducePartition { index, records } }| {
        (topic, index, records.map(<[u8]>::to_vec))
    };
    let lone = visited.partitions.lone().copied().map(flat);
    let trailing = topics.last().is_some_and(|last| last.partition_data.is_empty());
    assert_eq!(lone, (expected.len() == 1 && !trailing).then(|| expected[0].clone()));
    assert_eq!(visited.partitions.map(flat).collect::<Vec<_>>(), expected);
}

#[test]
fn a_fetch_request_is_visited_as_it_is_decoded() {
    for version in messages::FetchRequest::VERSIONS {
        let mut random = Random::named("fetch request");
        for _ in 0..DRAWS {
            check_fetch_request(&random.draw(version), version);
        }
    }
}

fn check_fetch_request(request: &messages::FetchRequest<'static>, version: i16) {
    let bytes = request.to_bytes(version).unwrap();
    let visited = FetchRequest::decode(&bytes, version).unwrap();
    let state = &request.replica_state;
    let replica = if version >= 15 { state.replica_id } else { request.replica_id };
    assert_eq!((visited.replica_id, visited.replica_epoch), (replica, state.replica_epoch));
    assert_eq!(visited.cluster_id, request.cluster_id.as_deref());
    assert_eq!(visited.rack_id, request.rack_id);
    assert_eq!(
        (visited.max_wait_ms, visited.min_bytes, visited.max_bytes, visited.isolation_level),
        (request.max_wait_ms, request.min_bytes, request.max_bytes, request.isolation_level)
    );
    assert_eq!(
        (visited.session_id, visited.session_epoch),
        (request.session_id, request.session_epoch)
    );
    let topics: Vec<_> = request.topics.iter().collect();
    let expected: Vec<(TopicRef<'_>, FetchPartition)> = (topics.iter())
        .flat_map(|t| {
            t.partitions.iter().map(|p| (topic(&t.topic, t.topic_id, version), by_hand(&p)))
        })
        .collect();
    let found: Vec<_> = visited.partitions.map(|entry| (entry.topic, entry.partition)).collect();
    assert_eq!(found, expected);
    let topics: Vec<_> = request.forgotten_topics_data.iter().collect();
    let expected: Vec<(TopicRef<'_>, i32)> = (topics.iter())
        .flat_map(|t| t.partitions.iter().map(|p| (topic(&t.topic, t.topic_id, version), p)))
        .collect();
    let found: Vec<_> = visited.forgotten.map(|entry| (entry.topic, entry.partition)).collect();
    assert_eq!(found, expected);
}

fn by_hand(p: &fetch_request::FetchPartition<'_>) -> FetchPartition {
    FetchPartition {
        partition: p.partition,
        current_leader_epoch: p.current_leader_epoch,
        fetch_offset: p.fetch_offset,
        last_fetched_epoch: p.last_fetched_epoch,
        log_start_offset: p.log_start_offset,
        partition_max_bytes: p.partition_max_bytes,
        replica_directory_id: p.replica_directory_id,
        high_watermark: p.high_watermark,
    }
}

#[test]
fn visitors_refuse_what_the_decoders_refuse_and_nothing_else() {
    let mut random = Random::named("hostile visitors");
    for version in messages::ProduceRequest::VERSIONS {
        let request: messages::ProduceRequest<'static> = random.draw(version);
        for bytes in mutations(&request.to_bytes(version).unwrap(), &mut random, 300) {
            let generated =
                messages::ProduceRequest::decode(&mut Reader::new(&bytes), version).is_ok();
            let visited = ProduceRequest::decode(&bytes, version).map(|r| r.partitions.count());
            assert_eq!(visited.is_ok(), generated, "version {version}: {bytes:x?}");
        }
    }
    for version in messages::FetchRequest::VERSIONS {
        let request: messages::FetchRequest<'static> = random.draw(version);
        for bytes in mutations(&request.to_bytes(version).unwrap(), &mut random, 300) {
            let generated =
                messages::FetchRequest::decode(&mut Reader::new(&bytes), version).is_ok();
            let visited = FetchRequest::decode(&bytes, version)
                .map(|r| r.partitions.count() + r.forgotten.count());
            assert_eq!(visited.is_ok(), generated, "version {version}: {bytes:x?}");
        }
    }
}

/// A frame as the generated code makes it.
fn framed<S: Subject>(message: &S, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let frame = OpenFrame::open(&mut out);
    let header = ResponseHeader { correlation_id: 77, ..ResponseHeader::default() };
    let key = S::KEY.expect("a response");
    header.encode_for(&mut Writer::new(&mut out), key, version)?;
    out.extend(message.to_bytes(version)?);
    frame.close(&mut out, 0)?;
    Ok(out)
}

#[test]
fn a_fetch_response_is_written_as_it_is_encoded() {
    for version in FetchResponse::VERSIONS {
        let mut random = Random::named("fetch response");
        for _ in 0..DRAWS {
            // Drawn for the newest version: older ones must refuse the same fields.
            let drawn_for = if random.one_in(2) { version } else { *FetchResponse::VERSIONS.end() };
            // Without unknown tags: the writers have none to send.
            let response: FetchResponse<'static> = random.draw_plain(drawn_for);
            let expected = framed(&response, version).map_err(|_| ());
            let written = write_fetch(&response, version).map_err(|_| ());
            assert_eq!(written, expected, "version {version}: {response:?}");
        }
    }
}

fn write_fetch(response: &FetchResponse<'static>, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let mut holes: Vec<(usize, Vec<u8>)> = Vec::new();
    let head = FetchResponseHead {
        correlation_id: 77,
        throttle_time_ms: response.throttle_time_ms,
        error_code: response.error_code,
        session_id: response.session_id,
        topics: response.responses.len(),
    };
    let mut writer = FetchResponseWriter::begin(&mut out, version, &head)?;
    for t in &response.responses {
        writer.topic(topic(&t.topic, t.topic_id, version), t.partitions.len())?;
        for p in &t.partitions {
            let here = p.partition_index % 2 == 0;
            let at = write_fetch_partition(&mut writer, &p, here)?;
            if !here {
                holes.push((at, p.records.unwrap_or_default().into_owned()));
            }
        }
    }
    let endpoints: Vec<_> = response.node_endpoints.iter().collect();
    let endpoints: Vec<_> = (endpoints.iter())
        .map(|e| NodeEndpoint {
            node_id: e.node_id,
            host: &e.host,
            port: e.port,
            rack: e.rack.as_deref(),
        })
        .collect();
    writer.finish(&endpoints)?;
    // From the back, so that the positions in front stay true.
    for (at, records) in holes.into_iter().rev() {
        out.splice(at..at, records);
    }
    Ok(out)
}

fn write_fetch_partition(
    writer: &mut FetchResponseWriter<'_>,
    p: &PartitionData<'_>,
    here: bool,
) -> Result<usize, EncodeError> {
    let aborted: Option<Vec<_>> = p.aborted_transactions.as_ref().map(|list| {
        let one = |t: messages::fetch_response::AbortedTransaction<'_>| AbortedTransaction {
            producer_id: t.producer_id,
            first_offset: t.first_offset,
        };
        list.iter().map(one).collect()
    });
    let partition = FetchResponsePartition {
        partition_index: p.partition_index,
        error_code: p.error_code,
        high_watermark: p.high_watermark,
        last_stable_offset: p.last_stable_offset,
        log_start_offset: p.log_start_offset,
        diverging_epoch: Some(EpochAndOffset {
            epoch: p.diverging_epoch.epoch,
            end_offset: p.diverging_epoch.end_offset,
        }),
        current_leader: Some(CurrentLeader {
            leader_id: p.current_leader.leader_id,
            leader_epoch: p.current_leader.leader_epoch,
        }),
        snapshot_id: Some(EpochAndOffset {
            epoch: p.snapshot_id.epoch,
            end_offset: p.snapshot_id.end_offset,
        }),
        aborted_transactions: aborted.as_deref(),
        preferred_read_replica: p.preferred_read_replica,
    };
    let records = p.records.as_ref().map_or(ResponseRecords::Null, |records| match here {
        true => ResponseRecords::Here(records),
        false => ResponseRecords::Elsewhere(records.len()),
    });
    writer.partition(&partition, records)
}

#[test]
fn a_produce_response_is_written_as_it_is_encoded() {
    for version in ProduceResponse::VERSIONS {
        let mut random = Random::named("produce response");
        for _ in 0..DRAWS {
            let drawn_for =
                if random.one_in(2) { version } else { *ProduceResponse::VERSIONS.end() };
            let response: ProduceResponse<'static> = random.draw_plain(drawn_for);
            let expected = framed(&response, version).map_err(|_| ());
            let written = write_produce(&response, version).map_err(|_| ());
            assert_eq!(written, expected, "version {version}: {response:?}");
        }
    }
}

fn write_produce(
    response: &ProduceResponse<'static>,
    version: i16,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let mut writer = ProduceResponseWriter::begin(&mut out, version, 77, response.responses.len())?;
    for t in &response.responses {
        writer.topic(topic(&t.name, t.topic_id, version), t.partition_responses.len())?;
        for p in &t.partition_responses {
            write_produce_partition(&mut writer, &p)?;
        }
    }
    let endpoints: Vec<_> = response.node_endpoints.iter().collect();
    let endpoints: Vec<_> = (endpoints.iter())
        .map(|e| NodeEndpoint {
            node_id: e.node_id,
            host: &e.host,
            port: e.port,
            rack: e.rack.as_deref(),
        })
        .collect();
    writer.finish(response.throttle_time_ms, &endpoints)?;
    Ok(out)
}

fn write_produce_partition(
    writer: &mut ProduceResponseWriter<'_>,
    p: &PartitionProduceResponse<'_>,
) -> Result<(), EncodeError> {
    let errors: Vec<_> = p.record_errors.iter().collect();
    let errors: Vec<_> = (errors.iter())
        .map(|e| RecordError {
            batch_index: e.batch_index,
            message: e.batch_index_error_message.as_deref(),
        })
        .collect();
    writer.partition(&ProduceResponsePartition {
        index: p.index,
        error_code: p.error_code,
        base_offset: p.base_offset,
        log_append_time_ms: p.log_append_time_ms,
        log_start_offset: p.log_start_offset,
        record_errors: &errors,
        error_message: p.error_message.as_deref(),
        current_leader: Some(CurrentLeader {
            leader_id: p.current_leader.leader_id,
            leader_epoch: p.current_leader.leader_epoch,
        }),
    })
}

#[test]
fn versions_outside_of_the_range_are_refused() {
    for version in [-1, 14, 19, i16::MAX] {
        assert!(ProduceRequest::decode(&[0; 64], version).is_err(), "{version}");
        assert!(ProduceResponseWriter::begin(&mut Vec::new(), version, 0, 0).is_err(), "{version}");
    }
    for version in [-1, 19, i16::MAX] {
        let head = FetchResponseHead::default();
        assert!(FetchRequest::decode(&[0; 64], version).is_err(), "{version}");
        assert!(FetchResponseWriter::begin(&mut Vec::new(), version, &head).is_err(), "{version}");
    }
    assert_eq!(ApiKey::Fetch.versions_ever(), FetchResponse::VERSIONS);
    assert_eq!(ApiKey::Produce.versions_ever(), ProduceResponse::VERSIONS);
}
