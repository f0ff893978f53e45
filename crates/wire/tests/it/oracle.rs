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
    fn named(name: &str) -> Option<Self> {
        ORACLES.iter().find(|(known, _)| *known == name).map(|(_, oracle)| oracle())
    }
}

macro_rules! oracles {
    ($($name:ident)*) => { &[$((stringify!($name), || Oracle::of::<theirs::$name>())),*] };
}

/// A message's name, and its oracle.
type Named = (&'static str, fn() -> Oracle);

#[rustfmt::skip]
const ORACLES: &[Named] = oracles! {
    AlterConfigsRequest AlterConfigsResponse ApiVersionsRequest ApiVersionsResponse
    ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse ConsumerGroupHeartbeatRequest
    ConsumerGroupHeartbeatResponse ConsumerProtocolAssignment ConsumerProtocolSubscription
    CreatePartitionsRequest CreatePartitionsResponse CreateTopicsRequest CreateTopicsResponse
    DeleteGroupsRequest DeleteGroupsResponse DeleteRecordsRequest DeleteRecordsResponse
    DeleteTopicsRequest DeleteTopicsResponse DescribeClientQuotasRequest
    DescribeAclsRequest DescribeAclsResponse
    DescribeClientQuotasResponse DescribeClusterRequest DescribeClusterResponse
    DescribeConfigsRequest DescribeConfigsResponse DescribeGroupsRequest DescribeGroupsResponse
    DescribeLogDirsRequest DescribeLogDirsResponse DescribeProducersRequest
    DescribeProducersResponse DescribeQuorumRequest DescribeQuorumResponse
    DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
    DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse ElectLeadersRequest
    ElectLeadersResponse EndTxnMarker FetchRequest FetchResponse FindCoordinatorRequest
    FindCoordinatorResponse HeartbeatRequest HeartbeatResponse IncrementalAlterConfigsRequest
    IncrementalAlterConfigsResponse InitProducerIdRequest InitProducerIdResponse JoinGroupRequest
    JoinGroupResponse KRaftVersionRecord LeaveGroupRequest LeaveGroupResponse
    ListConfigResourcesRequest ListConfigResourcesResponse ListGroupsRequest ListGroupsResponse
    ListOffsetsRequest ListOffsetsResponse ListPartitionReassignmentsRequest
    ListPartitionReassignmentsResponse MetadataRequest MetadataResponse OffsetCommitRequest
    OffsetCommitResponse OffsetDeleteRequest OffsetDeleteResponse OffsetFetchRequest
    OffsetFetchResponse OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse ProduceRequest
    ProduceResponse RequestHeader ResponseHeader SnapshotFooterRecord SnapshotHeaderRecord
    SyncGroupRequest SyncGroupResponse UpdateFeaturesRequest UpdateFeaturesResponse
};

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
