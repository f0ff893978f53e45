//! Every message against what Apache Kafka's own classes wrote, and against what real clients said.

use ottla_testkit::{Recorded, Vector, messages, recorded, vectors_of};
use ottla_wire::messages::{RequestHeader, ResponseHeader};
use ottla_wire::records::MetadataRecord;
use ottla_wire::{ApiKey, Reader, Writer};
use std::collections::BTreeSet;

/// How one message is taken apart and put together again.
struct Codec {
    name: &'static str,
    newest: i16,
    again: fn(&[u8], i16) -> Result<Again, String>,
}

/// What became of a message.
struct Again {
    /// Encoded with its lists copied.
    copied: Vec<u8>,
    /// Encoded with every element of its lists written anew.
    written: Vec<u8>,
    debug: String,
    /// Bytes behind the message.
    left: usize,
}

macro_rules! codecs {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($(Codec {
            name: stringify!($name),
            newest: *ottla_wire::$module::$name::VERSIONS.end(),
            again: |bytes, version| {
                let mut reader = Reader::new(bytes);
                let message = ottla_wire::$module::$name::decode(&mut reader, version)
                    .map_err(|error| error.to_string())?;
                let (mut copied, mut written) = (Vec::new(), Vec::new());
                message.encode(&mut Writer::new(&mut copied), version)
                    .map_err(|error| error.to_string())?;
                message.encode(&mut Writer::spelling_out_lists(&mut written), version)
                    .map_err(|error| error.to_string())?;
                let left = reader.remaining().len();
                Ok(Again { copied, written, debug: format!("{message:?}"), left })
            },
        }),*),*]
    };
}

#[rustfmt::skip]
const CODECS: &[Codec] = codecs! {
    messages:
        AlterConfigsRequest AlterConfigsResponse ApiVersionsRequest ApiVersionsResponse
        ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse ConsumerGroupHeartbeatRequest
        ConsumerGroupHeartbeatResponse CreatePartitionsRequest CreatePartitionsResponse
        CreateTopicsRequest CreateTopicsResponse DeleteGroupsRequest DeleteGroupsResponse
        DeleteRecordsRequest DeleteRecordsResponse DeleteTopicsRequest DeleteTopicsResponse
        DescribeAclsRequest DescribeAclsResponse
        DescribeClientQuotasRequest DescribeClientQuotasResponse DescribeClusterRequest
        DescribeClusterResponse DescribeConfigsRequest DescribeConfigsResponse DescribeGroupsRequest
        DescribeGroupsResponse DescribeLogDirsRequest DescribeLogDirsResponse
        DescribeProducersRequest DescribeProducersResponse DescribeQuorumRequest
        DescribeQuorumResponse DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
        DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse ElectLeadersRequest
        ElectLeadersResponse FetchRequest FetchResponse FindCoordinatorRequest
        FindCoordinatorResponse HeartbeatRequest HeartbeatResponse IncrementalAlterConfigsRequest
        IncrementalAlterConfigsResponse InitProducerIdRequest InitProducerIdResponse
        JoinGroupRequest JoinGroupResponse LeaveGroupRequest LeaveGroupResponse
        ListConfigResourcesRequest ListConfigResourcesResponse ListGroupsRequest ListGroupsResponse
        ListOffsetsRequest ListOffsetsResponse ListPartitionReassignmentsRequest
        ListPartitionReassignmentsResponse MetadataRequest MetadataResponse OffsetCommitRequest
        OffsetCommitResponse OffsetDeleteRequest OffsetDeleteResponse OffsetFetchRequest
        OffsetFetchResponse OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse ProduceRequest
        ProduceResponse RequestHeader ResponseHeader SyncGroupRequest SyncGroupResponse
        UpdateFeaturesRequest UpdateFeaturesResponse;
    records:
        AbortTransactionRecord AccessControlEntryRecord BeginTransactionRecord
        BrokerRegistrationChangeRecord ClearElrRecord ClientQuotaRecord ConfigRecord
        ConsumerGroupCurrentMemberAssignmentKey ConsumerGroupCurrentMemberAssignmentValue
        ConsumerGroupMemberMetadataKey ConsumerGroupMemberMetadataValue ConsumerGroupMetadataKey
        ConsumerGroupMetadataValue ConsumerGroupPartitionMetadataKey
        ConsumerGroupPartitionMetadataValue ConsumerGroupRegularExpressionKey
        ConsumerGroupRegularExpressionValue ConsumerGroupTargetAssignmentMemberKey
        ConsumerGroupTargetAssignmentMemberValue ConsumerGroupTargetAssignmentMetadataKey
        ConsumerGroupTargetAssignmentMetadataValue ConsumerProtocolAssignment
        ConsumerProtocolSubscription DelegationTokenRecord EndTransactionRecord EndTxnMarker
        FeatureLevelRecord FenceBrokerRecord GroupMetadataKey GroupMetadataValue KRaftVersionRecord
        LeaderChangeMessage NoOpRecord OffsetCommitKey OffsetCommitValue PartitionChangeRecord
        PartitionRecord ProducerIdsRecord RegisterBrokerRecord RegisterControllerRecord
        RemoveAccessControlEntryRecord RemoveDelegationTokenRecord RemoveTopicRecord
        RemoveUserScramCredentialRecord SnapshotFooterRecord SnapshotHeaderRecord TopicRecord
        UnfenceBrokerRecord UnregisterBrokerRecord UserScramCredentialRecord VotersRecord
        ZkMigrationStateRecord;
};

/// Vectors of stored values rather than of one message.
const FRAMED: &str = "MetadataRecord";

#[test]
fn every_message_is_written_as_apache_kafka_writes_it() {
    for codec in CODECS {
        for vector in vectors_of(codec.name) {
            let what = || format!("{} v{} {}", codec.name, vector.version, vector.variant);
            let again = (codec.again)(&vector.bytes, vector.version)
                .unwrap_or_else(|error| panic!("{}: {error}", what()));
            assert_eq!(again.left, 0, "{}", what());
            assert_eq!(again.copied, vector.bytes, "{}", what());
            assert_eq!(again.written, vector.bytes, "{}, element by element", what());
        }
    }
}

#[test]
fn every_field_means_what_it_means_to_apache_kafka() {
    let mut told = 0;
    for codec in CODECS {
        for Vector { version, variant, bytes, meaning } in vectors_of(codec.name) {
            let Some(apache) = meaning else { continue };
            let Again { debug, .. } = (codec.again)(&bytes, version).unwrap();
            let ours = debug.parse().unwrap_or_else(|error| panic!("{debug}: {error:?}"));
            let difference = apache.difference(&ours);
            assert_eq!(difference, None, "{} v{version} {variant}: {debug}", codec.name);
            told += 1;
        }
    }
    assert!(told > 300, "only {told} vectors tell what they mean");
}

#[test]
fn every_vector_is_tested_and_every_newest_version_has_one() {
    let tested: BTreeSet<&str> = CODECS.iter().map(|codec| codec.name).chain([FRAMED]).collect();
    let names = messages();
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), tested);
    for codec in CODECS {
        let newest = vectors_of(codec.name).into_iter().map(|vector| vector.version).max();
        assert_eq!(newest, Some(codec.newest), "{}", codec.name);
    }
}

#[test]
fn every_prefix_of_a_message_is_refused_without_a_panic() {
    for codec in CODECS {
        for vector in vectors_of(codec.name) {
            // All the cuts of a large message would take minutes and say nothing new.
            let step = 1 + vector.bytes.len() / 200;
            for length in (0..vector.bytes.len()).step_by(step) {
                let again = (codec.again)(&vector.bytes[..length], vector.version);
                assert!(again.is_err(), "{} v{} cut at {length}", codec.name, vector.version);
            }
        }
    }
}

#[test]
fn metadata_records_are_framed_as_apache_kafka_frames_them() {
    for Vector { version, variant, bytes, .. } in vectors_of(FRAMED) {
        let record = MetadataRecord::decode(&bytes)
            .unwrap_or_else(|error| panic!("{variant} v{version}: {error}"));
        let name = format!("{record:?}");
        assert!(name.contains(&variant), "{variant} became {name}");
        let mut again = Vec::new();
        record.encode(&mut again, version).unwrap();
        assert_eq!(again, bytes, "{variant} v{version}");
    }
}

/// Clients that send bytes behind their requests: Apache Kafka does not look at them, and neither
/// may we.
const CHATTY: [(&str, i16, &str); 1] = [("Metadata", 13, "confluent-kafka")];

#[test]
fn what_real_clients_say_is_read_and_written_alike() {
    for Recorded { api, version, client, request, .. } in recorded() {
        let mut reader = Reader::new(&request);
        let (key, header) = RequestHeader::decode_any(&mut reader).unwrap();
        assert_eq!((format!("{key:?}"), header.request_api_version), (api.clone(), version));
        let mut head = Vec::new();
        let header_version = key.header_versions(version).request;
        header.encode(&mut Writer::new(&mut head), header_version).unwrap();
        let left = check_recorded(&format!("{api}Request"), version, &client, &request, &head);
        assert_eq!(left > 0, CHATTY.contains(&(&api, version, &client)), "{api} of {client}");
    }
}

#[test]
fn what_real_clients_are_told_is_read_and_written_alike() {
    for Recorded { api, version, client, request, response } in recorded() {
        let Some(response) = response else { continue };
        let (key, _) = RequestHeader::decode_any(&mut Reader::new(&request)).unwrap();
        // Apache Kafka 4.3.1 does not know ApiVersions 5, and says so in version 0.
        let version = if (key, version) == (ApiKey::ApiVersions, 5) { 0 } else { version };
        let header_version = key.header_versions(version).response;
        let header = ResponseHeader::decode(&mut Reader::new(&response), header_version).unwrap();
        let mut head = Vec::new();
        header.encode(&mut Writer::new(&mut head), header_version).unwrap();
        let left = check_recorded(&format!("{api}Response"), version, &client, &response, &head);
        assert_eq!(left, 0, "{api} to {client}");
    }
}

/// Header and body of a frame, written again, are the frame; returns how many bytes lie behind.
#[track_caller]
fn check_recorded(message: &str, version: i16, client: &str, frame: &[u8], head: &[u8]) -> usize {
    let what = format!("{message} v{version} of {client}");
    let body = frame.strip_prefix(head).unwrap_or_else(|| panic!("{what}: another header"));
    let codec = CODECS.iter().find(|codec| codec.name == message).expect("recorded means served");
    let again = (codec.again)(body, version).unwrap_or_else(|error| panic!("{what}: {error}"));
    let body = &body[..body.len() - again.left];
    assert_eq!(again.copied, body, "{what}");
    assert_eq!(again.written, body, "{what}, element by element");
    again.left
}
