//! Which request belongs to which API and answer.

use ottla_wire::{ApiKey, DecodeError, EncodeError, Reader, Writer, messages};

/// A request of Kafka's protocol.
pub(crate) trait Request {
    /// The API it belongs to.
    const KEY: ApiKey;

    /// Its answer.
    type Response<'a>;

    fn encode(&self, writer: &mut Writer<'_>, version: i16) -> Result<(), EncodeError>;

    fn decode(body: &[u8], version: i16) -> Result<Self::Response<'_>, DecodeError>;

    /// About how many bytes it has beside small fields: what its frame is made with room for.
    fn bulk(&self) -> usize {
        0
    }

    /// The oldest version that can say what this client has to say.
    fn version_min() -> i16 {
        *Self::KEY.known_versions().start()
    }

    /// The newest version that this client has meaning for.
    fn version_max() -> i16 {
        *Self::KEY.known_versions().end()
    }
}

macro_rules! requests {
    ($($request:ident => $response:ident $(from $min:literal)? $(up to $max:literal)?
        $(bulk $bulk:path)?;)*) => {$(
        impl Request for messages::$request<'_> {
            const KEY: ApiKey = messages::$request::KEY;

            type Response<'a> = messages::$response<'a>;

            fn encode(&self, writer: &mut Writer<'_>, version: i16) -> Result<(), EncodeError> {
                Self::encode(self, writer, version)
            }

            fn decode(body: &[u8], version: i16) -> Result<Self::Response<'_>, DecodeError> {
                messages::$response::decode(&mut Reader::new(body), version)
            }

            $(fn bulk(&self) -> usize {
                $bulk(self)
            })?

            $(fn version_min() -> i16 {
                $min
            })?

            $(fn version_max() -> i16 {
                $max
            })?
        }
    )*};
}

requests! {
    // Version 5 asks the broker to be a certain node of a certain cluster.
    ApiVersionsRequest => ApiVersionsResponse up to 4;
    ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse;
    ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse;
    CreatePartitionsRequest => CreatePartitionsResponse;
    CreateTopicsRequest => CreateTopicsResponse;
    DeleteGroupsRequest => DeleteGroupsResponse;
    DeleteRecordsRequest => DeleteRecordsResponse;
    DeleteTopicsRequest => DeleteTopicsResponse from 6;
    DescribeClusterRequest => DescribeClusterResponse;
    DescribeConfigsRequest => DescribeConfigsResponse;
    DescribeGroupsRequest => DescribeGroupsResponse;
    DescribeLogDirsRequest => DescribeLogDirsResponse;
    DescribeQuorumRequest => DescribeQuorumResponse;
    DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
    FetchRequest => FetchResponse up to 17;
    // Many keys at once, since Kafka 3.0.
    FindCoordinatorRequest => FindCoordinatorResponse from 4 up to 6;
    HeartbeatRequest => HeartbeatResponse;
    IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    // Version 6 has a mode of two-phase commits that nothing here asks for.
    InitProducerIdRequest => InitProducerIdResponse up to 5;
    JoinGroupRequest => JoinGroupResponse;
    LeaveGroupRequest => LeaveGroupResponse from 3;
    ListConfigResourcesRequest => ListConfigResourcesResponse from 1;
    ListGroupsRequest => ListGroupsResponse;
    ListOffsetsRequest => ListOffsetsResponse;
    // Topic ids, since Kafka 2.8.
    MetadataRequest => MetadataResponse from 10;
    // From version 10 on topics have ids only; names are what a group's offsets belong to here.
    OffsetCommitRequest => OffsetCommitResponse up to 9;
    OffsetDeleteRequest => OffsetDeleteResponse;
    OffsetFetchRequest => OffsetFetchResponse from 8 up to 9;
    ProduceRequest => ProduceResponse bulk records_of;
    SyncGroupRequest => SyncGroupResponse;
    // The levels of upgrades and downgrades, since Kafka 3.3.
    UpdateFeaturesRequest => UpdateFeaturesResponse from 1;
}

/// Bytes of records.
fn records_of(request: &messages::ProduceRequest<'_>) -> usize {
    let mut bytes = 0;
    for topic in &request.topic_data {
        for partition in &topic.partition_data {
            bytes += partition.records.as_deref().map_or(0, <[u8]>::len);
        }
    }
    bytes
}
