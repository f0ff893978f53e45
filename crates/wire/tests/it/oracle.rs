//! Another implementation reads what ours writes, and writes the same.
//!
//! It is fed nothing but bytes encoded here: hostile lengths make it allocate until it aborts.

use crate::generated;
use crate::random::Random;
use crate::subject::{Subject, Visitor};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use std::ops::RangeInclusive;

/// Messages drawn per version.
const DRAWS: usize = 40;

struct Oracle {
    versions: RangeInclusive<i16>,
    again: fn(Bytes, i16) -> Result<Vec<u8>, String>,
}

impl Oracle {
    fn of<M: Decodable + Encodable + Message>() -> Self {
        Self { versions: M::VERSIONS.min..=M::VERSIONS.max, again: again::<M> }
    }

    /// `None` for the records of the metadata log, which it does not know, and for the two control
    /// records in which it takes the field `version` for the version of the message.
    #[rustfmt::skip]
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "AlterConfigsRequest" => Self::of::<theirs::AlterConfigsRequest>(),
            "AlterConfigsResponse" => Self::of::<theirs::AlterConfigsResponse>(),
            "ApiVersionsRequest" => Self::of::<theirs::ApiVersionsRequest>(),
            "ApiVersionsResponse" => Self::of::<theirs::ApiVersionsResponse>(),
            "ConsumerGroupDescribeRequest" => Self::of::<theirs::ConsumerGroupDescribeRequest>(),
            "ConsumerGroupDescribeResponse" => Self::of::<theirs::ConsumerGroupDescribeResponse>(),
            "ConsumerGroupHeartbeatRequest" => Self::of::<theirs::ConsumerGroupHeartbeatRequest>(),
            "ConsumerGroupHeartbeatResponse" =>
                Self::of::<theirs::ConsumerGroupHeartbeatResponse>(),
            "ConsumerProtocolAssignment" => Self::of::<theirs::ConsumerProtocolAssignment>(),
            "ConsumerProtocolSubscription" => Self::of::<theirs::ConsumerProtocolSubscription>(),
            "CreatePartitionsRequest" => Self::of::<theirs::CreatePartitionsRequest>(),
            "CreatePartitionsResponse" => Self::of::<theirs::CreatePartitionsResponse>(),
            "CreateTopicsRequest" => Self::of::<theirs::CreateTopicsRequest>(),
            "CreateTopicsResponse" => Self::of::<theirs::CreateTopicsResponse>(),
            "DeleteGroupsRequest" => Self::of::<theirs::DeleteGroupsRequest>(),
            "DeleteGroupsResponse" => Self::of::<theirs::DeleteGroupsResponse>(),
            "DeleteRecordsRequest" => Self::of::<theirs::DeleteRecordsRequest>(),
            "DeleteRecordsResponse" => Self::of::<theirs::DeleteRecordsResponse>(),
            "DeleteTopicsRequest" => Self::of::<theirs::DeleteTopicsRequest>(),
            "DeleteTopicsResponse" => Self::of::<theirs::DeleteTopicsResponse>(),
            "DescribeClientQuotasRequest" => Self::of::<theirs::DescribeClientQuotasRequest>(),
            "DescribeClientQuotasResponse" => Self::of::<theirs::DescribeClientQuotasResponse>(),
            "DescribeClusterRequest" => Self::of::<theirs::DescribeClusterRequest>(),
            "DescribeClusterResponse" => Self::of::<theirs::DescribeClusterResponse>(),
            "DescribeConfigsRequest" => Self::of::<theirs::DescribeConfigsRequest>(),
            "DescribeConfigsResponse" => Self::of::<theirs::DescribeConfigsResponse>(),
            "DescribeGroupsRequest" => Self::of::<theirs::DescribeGroupsRequest>(),
            "DescribeGroupsResponse" => Self::of::<theirs::DescribeGroupsResponse>(),
            "DescribeLogDirsRequest" => Self::of::<theirs::DescribeLogDirsRequest>(),
            "DescribeLogDirsResponse" => Self::of::<theirs::DescribeLogDirsResponse>(),
            "DescribeProducersRequest" => Self::of::<theirs::DescribeProducersRequest>(),
            "DescribeProducersResponse" => Self::of::<theirs::DescribeProducersResponse>(),
            "DescribeQuorumRequest" => Self::of::<theirs::DescribeQuorumRequest>(),
            "DescribeQuorumResponse" => Self::of::<theirs::DescribeQuorumResponse>(),
            "DescribeTopicPartitionsRequest" =>
                Self::of::<theirs::DescribeTopicPartitionsRequest>(),
            "DescribeTopicPartitionsResponse" =>
                Self::of::<theirs::DescribeTopicPartitionsResponse>(),
            "DescribeUserScramCredentialsRequest" =>
                Self::of::<theirs::DescribeUserScramCredentialsRequest>(),
            "DescribeUserScramCredentialsResponse" =>
                Self::of::<theirs::DescribeUserScramCredentialsResponse>(),
            "ElectLeadersRequest" => Self::of::<theirs::ElectLeadersRequest>(),
            "ElectLeadersResponse" => Self::of::<theirs::ElectLeadersResponse>(),
            "EndTxnMarker" => Self::of::<theirs::EndTxnMarker>(),
            "FetchRequest" => Self::of::<theirs::FetchRequest>(),
            "FetchResponse" => Self::of::<theirs::FetchResponse>(),
            "FindCoordinatorRequest" => Self::of::<theirs::FindCoordinatorRequest>(),
            "FindCoordinatorResponse" => Self::of::<theirs::FindCoordinatorResponse>(),
            "HeartbeatRequest" => Self::of::<theirs::HeartbeatRequest>(),
            "HeartbeatResponse" => Self::of::<theirs::HeartbeatResponse>(),
            "IncrementalAlterConfigsRequest" =>
                Self::of::<theirs::IncrementalAlterConfigsRequest>(),
            "IncrementalAlterConfigsResponse" =>
                Self::of::<theirs::IncrementalAlterConfigsResponse>(),
            "InitProducerIdRequest" => Self::of::<theirs::InitProducerIdRequest>(),
            "InitProducerIdResponse" => Self::of::<theirs::InitProducerIdResponse>(),
            "JoinGroupRequest" => Self::of::<theirs::JoinGroupRequest>(),
            "JoinGroupResponse" => Self::of::<theirs::JoinGroupResponse>(),
            "KRaftVersionRecord" => Self::of::<theirs::KRaftVersionRecord>(),
            "LeaveGroupRequest" => Self::of::<theirs::LeaveGroupRequest>(),
            "LeaveGroupResponse" => Self::of::<theirs::LeaveGroupResponse>(),
            "ListConfigResourcesRequest" => Self::of::<theirs::ListConfigResourcesRequest>(),
            "ListConfigResourcesResponse" => Self::of::<theirs::ListConfigResourcesResponse>(),
            "ListGroupsRequest" => Self::of::<theirs::ListGroupsRequest>(),
            "ListGroupsResponse" => Self::of::<theirs::ListGroupsResponse>(),
            "ListOffsetsRequest" => Self::of::<theirs::ListOffsetsRequest>(),
            "ListOffsetsResponse" => Self::of::<theirs::ListOffsetsResponse>(),
            "ListPartitionReassignmentsRequest" =>
                Self::of::<theirs::ListPartitionReassignmentsRequest>(),
            "ListPartitionReassignmentsResponse" =>
                Self::of::<theirs::ListPartitionReassignmentsResponse>(),
            "MetadataRequest" => Self::of::<theirs::MetadataRequest>(),
            "MetadataResponse" => Self::of::<theirs::MetadataResponse>(),
            "OffsetCommitRequest" => Self::of::<theirs::OffsetCommitRequest>(),
            "OffsetCommitResponse" => Self::of::<theirs::OffsetCommitResponse>(),
            "OffsetDeleteRequest" => Self::of::<theirs::OffsetDeleteRequest>(),
            "OffsetDeleteResponse" => Self::of::<theirs::OffsetDeleteResponse>(),
            "OffsetFetchRequest" => Self::of::<theirs::OffsetFetchRequest>(),
            "OffsetFetchResponse" => Self::of::<theirs::OffsetFetchResponse>(),
            "OffsetForLeaderEpochRequest" => Self::of::<theirs::OffsetForLeaderEpochRequest>(),
            "OffsetForLeaderEpochResponse" => Self::of::<theirs::OffsetForLeaderEpochResponse>(),
            "ProduceRequest" => Self::of::<theirs::ProduceRequest>(),
            "ProduceResponse" => Self::of::<theirs::ProduceResponse>(),
            "RequestHeader" => Self::of::<theirs::RequestHeader>(),
            "ResponseHeader" => Self::of::<theirs::ResponseHeader>(),
            "SnapshotFooterRecord" => Self::of::<theirs::SnapshotFooterRecord>(),
            "SnapshotHeaderRecord" => Self::of::<theirs::SnapshotHeaderRecord>(),
            "SyncGroupRequest" => Self::of::<theirs::SyncGroupRequest>(),
            "SyncGroupResponse" => Self::of::<theirs::SyncGroupResponse>(),
            "UpdateFeaturesRequest" => Self::of::<theirs::UpdateFeaturesRequest>(),
            "UpdateFeaturesResponse" => Self::of::<theirs::UpdateFeaturesResponse>(),
            _ => return None,
        })
    }
}

fn again<M: Decodable + Encodable>(mut bytes: Bytes, version: i16) -> Result<Vec<u8>, String> {
    let message = M::decode(&mut bytes, version).map_err(|error| error.to_string())?;
    if !bytes.is_empty() {
        return Err(format!("{} bytes left over", bytes.len()));
    }
    let mut out = BytesMut::new();
    message.encode(&mut out, version).map_err(|error| error.to_string())?;
    Ok(out.to_vec())
}

#[derive(Default)]
struct Agreement {
    versions: usize,
    unknown: Vec<&'static str>,
}

impl Visitor for Agreement {
    fn visit<S: Subject>(&mut self) {
        let Some(oracle) = Oracle::named(S::NAME) else {
            self.unknown.push(S::NAME);
            return;
        };
        for version in S::VERSIONS.filter(|version| oracle.versions.contains(version)) {
            self.versions += 1;
            let mut random = Random::named(&format!("oracle {} {version}", S::NAME));
            for _ in 0..DRAWS {
                let message: S = random.draw(version);
                let bytes = message.to_bytes(version).unwrap();
                let again = (oracle.again)(Bytes::from(bytes.clone()), version);
                assert_eq!(again, Ok(bytes), "{} {version}: {message:?}", S::NAME);
            }
        }
    }
}

#[test]
fn another_implementation_writes_the_same_bytes() {
    let mut agreement = Agreement::default();
    generated::each(&mut agreement);
    assert!(agreement.versions > 150, "{} versions", agreement.versions);
    assert!(
        agreement
            .unknown
            .iter()
            .all(|name| !name.ends_with("Request") && !name.ends_with("Response")),
        "only stored records go without an oracle: {:?}",
        agreement.unknown
    );
}
