//! What a version cannot say, and what it says when nothing is set.

use crate::subject::Subject;
use ottla_wire::EncodeError;
use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::messages::{
    CreateTopicsRequest, DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest,
    MetadataRequest, ProduceResponse, fetch_request, produce_response,
};
use ottla_wire::records::{PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord};

#[test]
fn a_field_that_the_version_lacks_is_refused_unless_it_may_be_dropped() {
    let replica_state = fetch_request::ReplicaState { replica_id: 1, ..Default::default() };
    let request = FetchRequest { replica_state, ..Default::default() };
    refused(&request, 14, "FetchRequest.replica_state");
    refused(&request, 4, "FetchRequest.replica_state");
    let request = FetchRequest { replica_id: 1, ..Default::default() };
    refused(&request, 15, "FetchRequest.replica_id");
    let request = FetchRequest { rack_id: "a".into(), session_id: 7, ..Default::default() };
    assert_eq!(read_back(&request, 6), FetchRequest::default(), "both may be dropped");
    let keys = vec!["a".into()].into();
    let request = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
    refused(&request, 3, "FindCoordinatorRequest.coordinator_keys");
    let record =
        PartitionRecord { directories: vec![ottla_types::Uuid::ZERO].into(), ..Default::default() };
    refused(&record, 0, "PartitionRecord.directories");
}

fn refused<S: Subject>(message: &S, version: i16, field: &'static str) {
    let expected = Err(EncodeError::FieldNotInVersion { field, version });
    assert_eq!(message.to_bytes(version), expected);
}

fn read_back<S: Subject>(message: &S, version: i16) -> S {
    S::from_bytes(message.to_bytes(version).unwrap().leak(), version).unwrap()
}

#[test]
fn null_is_refused_in_versions_that_have_no_null() {
    let topics = vec![MetadataRequestTopic { name: None, ..Default::default() }];
    let request = MetadataRequest { topics: Some(topics.into()), ..Default::default() };
    let null = |field, version| Err(EncodeError::NullNotInVersion { field, version });
    assert_eq!(request.to_bytes(9), null("MetadataRequestTopic.name", 9));
    assert!(request.to_bytes(10).is_ok());
    let request = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(request.to_bytes(0), null("MetadataRequest.topics", 0));
    assert_eq!(read_back(&request, 1), request);
}

#[test]
fn versions_that_do_not_exist_are_refused_both_ways() {
    let (low, high) = (*FetchRequest::VERSIONS.start(), *FetchRequest::VERSIONS.end());
    for version in [low - 1, high + 1, -1, i16::MAX] {
        let refused = Err(EncodeError::UnsupportedVersion { version });
        assert_eq!(FetchRequest::default().to_bytes(version), refused);
        assert!(FetchRequest::from_bytes(&[0; 100], version).is_err());
    }
}

#[test]
fn a_string_longer_than_any_string_is_refused() {
    let mut request = FetchRequest { rack_id: "a".repeat(0x7fff).into(), ..Default::default() };
    assert_eq!(read_back(&request, 11), request);
    request.rack_id = "a".repeat(0x8000).into();
    for version in [11, 12] {
        let too_long = Err(EncodeError::TooLong { length: 0x8000 });
        assert_eq!(request.to_bytes(version), too_long);
    }
}

#[test]
fn what_is_not_set_is_what_kafka_takes_for_not_set() {
    let fetch = FetchRequest::default();
    assert_eq!((fetch.replica_id, fetch.max_bytes, fetch.session_epoch), (-1, i32::MAX, -1));
    assert_eq!(CreateTopicsRequest::default().timeout_ms, 60_000);
    assert_eq!(DescribeTopicPartitionsRequest::default().response_partition_limit, 2_000);
    let response = produce_response::PartitionProduceResponse::default();
    assert_eq!((response.log_append_time_ms, response.current_leader.leader_id), (-1, -1));
    assert_eq!(PartitionChangeRecord::default().leader, -2, "no change, unlike -1: no leader");
    assert_eq!(RegisterBrokerRecord::default().rack.as_deref(), Some(""), "null only if asked for");
    assert!(RegisterBrokerRecord::default().fenced);
    assert_eq!(ProduceResponse::default().to_bytes(3), Ok(vec![0; 8]));
}
