//! What an operator asks of a node; the answers are those of a broker of 4.3.1.

use ottla_wire::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use ottla_wire::messages::describe_producers_request::TopicRequest;
use ottla_wire::messages::elect_leaders_request::TopicPartitions;
use ottla_wire::messages::update_features_request::FeatureUpdateKey;
use ottla_wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeProducersRequest,
    DescribeProducersResponse, ElectLeadersRequest, ElectLeadersResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, UpdateFeaturesRequest,
    UpdateFeaturesResponse,
};

use super::*;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_PARTITIONS: i16 = 37;
const ELECTION_NOT_NEEDED: i16 = 84;
const INVALID_UPDATE_VERSION: i16 = 95;

impl Client {
    async fn call(
        &mut self,
        key: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Answered {
        self.send(key, version, body).await;
        self.answer(key, version).await
    }

    /// Asks for `count` partitions of the topic.
    async fn grow(&mut self, count: i32, validate_only: bool) -> i16 {
        let topic = CreatePartitionsTopic { name: TOPIC.into(), count, ..Default::default() };
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { assignments: None, ..topic }].into(),
            timeout_ms: 10_000,
            validate_only,
            ..Default::default()
        };
        let answer = self.call(ApiKey::CreatePartitions, 3, |w| request.encode(w, 3)).await;
        let response = CreatePartitionsResponse::decode(&mut answer.body(), 3).unwrap();
        response.results.first().unwrap().error_code
    }

    async fn appends_to(&mut self, index: i32) -> i16 {
        self.produce_to((TOPIC, index), -1, &batch(10)).await.error
    }

    /// The partitions of the topic that Metadata tells of, with their leader epochs.
    async fn partitions(&mut self) -> Vec<(i32, i32)> {
        let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic].into()), ..Default::default() };
        let answer = self.call(ApiKey::Metadata, METADATA, |w| request.encode(w, METADATA)).await;
        let response = MetadataResponse::decode(&mut answer.body(), METADATA).unwrap();
        let topic = response.topics.first().unwrap();
        topic.partitions.iter().map(|it| (it.partition_index, it.leader_epoch)).collect()
    }

    /// The sizes of the topic's partitions, and whether the directory tells of its room.
    async fn sizes(&mut self, indexes: Option<&[i32]>) -> (Vec<(i32, i64)>, bool) {
        let topic = |indexes: &[i32]| DescribableLogDirTopic {
            topic: TOPIC.into(),
            partitions: indexes.to_vec().into(),
            ..Default::default()
        };
        let request = DescribeLogDirsRequest {
            topics: indexes.map(|indexes| vec![topic(indexes)].into()),
            ..Default::default()
        };
        let answer = self.call(ApiKey::DescribeLogDirs, 4, |w| request.encode(w, 4)).await;
        let response = DescribeLogDirsResponse::decode(&mut answer.body(), 4).unwrap();
        let directory = response.results.first().unwrap();
        let has_room =
            0 < directory.usable_bytes && directory.usable_bytes <= directory.total_bytes;
        let of = |topic: ottla_wire::messages::describe_log_dirs_response::DescribeLogDirsTopic<
            '_,
        >| {
            let sizes = topic.partitions.iter().map(|it| (it.partition_index, it.partition_size));
            sizes.collect::<Vec<_>>()
        };
        (directory.topics.iter().flat_map(of).collect(), has_room)
    }

    /// `partition error: id epoch sequence timestamp coordinator transaction`, a line a producer.
    async fn producers(&mut self, topic: &'static str, indexes: &[i32]) -> Vec<String> {
        let asked = TopicRequest {
            name: topic.into(),
            partition_indexes: indexes.to_vec().into(),
            ..Default::default()
        };
        let request = DescribeProducersRequest { topics: vec![asked].into(), ..Default::default() };
        let answer = self.call(ApiKey::DescribeProducers, 0, |w| request.encode(w, 0)).await;
        let response = DescribeProducersResponse::decode(&mut answer.body(), 0).unwrap();
        let mut told = Vec::new();
        for partition in &response.topics.first().unwrap().partitions {
            let (index, error) = (partition.partition_index, partition.error_code);
            if partition.active_producers.is_empty() {
                told.push(format!("{index} {error}"));
            }
            for it in &partition.active_producers {
                let (id, epoch, sequence) = (it.producer_id, it.producer_epoch, it.last_sequence);
                let (time, coordinator) = (it.last_timestamp, it.coordinator_epoch);
                let start = it.current_txn_start_offset;
                told.push(format!(
                    "{index} {error}: {id} {epoch} {sequence} {time} {coordinator} {start}"
                ));
            }
        }
        told
    }

    /// Preferred leaders for partitions of the topic, or for all there are.
    async fn elect(&mut self, indexes: Option<&[i32]>) -> Vec<(i32, i16)> {
        let topic = |indexes: &[i32]| TopicPartitions {
            topic: TOPIC.into(),
            partitions: indexes.to_vec().into(),
            ..Default::default()
        };
        let request = ElectLeadersRequest {
            topic_partitions: indexes.map(|indexes| vec![topic(indexes)].into()),
            ..Default::default()
        };
        let answer = self.call(ApiKey::ElectLeaders, 2, |w| request.encode(w, 2)).await;
        let response = ElectLeadersResponse::decode(&mut answer.body(), 2).unwrap();
        assert_eq!(response.error_code, OK);
        let results = response.replica_election_results.iter();
        let told = results.flat_map(|topic| {
            let partitions = topic.partition_result.iter();
            partitions.map(|it| (it.partition_id, it.error_code)).collect::<Vec<_>>()
        });
        told.collect()
    }

    async fn update_feature(&mut self, feature: &'static str, level: i16, kind: i8) -> i16 {
        let update = FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            upgrade_type: kind,
            ..Default::default()
        };
        let request =
            UpdateFeaturesRequest { feature_updates: vec![update].into(), ..Default::default() };
        let answer = self.call(ApiKey::UpdateFeatures, 2, |w| request.encode(w, 2)).await;
        UpdateFeaturesResponse::decode(&mut answer.body(), 2).unwrap().error_code
    }

    async fn finalized(&mut self, feature: &str) -> Option<i16> {
        let request = ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        };
        self.send(ApiKey::ApiVersions, 4, |writer| request.encode(writer, 4)).await;
        // Whatever the version, the header is that of the first.
        let frame = self.answer(ApiKey::ApiVersions, 4).await.frame;
        let response = ApiVersionsResponse::decode(&mut Reader::new(&frame[4..]), 4).unwrap();
        let finalized = response.finalized_features.iter().find(|it| it.name == feature);
        finalized.map(|it| it.max_version_level)
    }
}

#[test]
fn more_partitions_take_records_at_once_and_stay() {
    let mut world = World::new(51);
    world.live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        assert_eq!(client.appends_to(0).await, OK);
        assert_eq!(client.appends_to(2).await, UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(client.grow(3, true).await, OK);
        assert_eq!(client.partitions().await, [(0, 0)], "it was a dry run");
        assert_eq!(client.grow(3, false).await, OK);
        assert_eq!(client.appends_to(2).await, OK);
        assert_eq!(client.appends_to(0).await, OK);
        assert_eq!(client.grow(3, false).await, INVALID_PARTITIONS);
        assert_eq!(client.partitions().await, [(0, 0), (1, 0), (2, 0)]);
    });
    world.live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.partitions().await, [(0, 1), (1, 1), (2, 1)]);
        assert_eq!(client.grow(4, false).await, OK);
        assert_eq!(client.appends_to(3).await, OK);
        let (sizes, _) = client.sizes(None).await;
        let written: Vec<_> = sizes.iter().filter(|(_, size)| *size > 0).map(|it| it.0).collect();
        assert_eq!(written, [0, 2, 3]);
    });
}

#[test]
fn a_topic_that_was_deleted_does_not_grow() {
    World::new(52).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.grow(3, false).await, UNKNOWN_TOPIC_OR_PARTITION);
        client.create(&[]).await;
        client.delete().await;
        assert_eq!(client.grow(3, false).await, UNKNOWN_TOPIC_OR_PARTITION);
        client.create(&[]).await;
        assert_eq!(client.grow(2, false).await, OK);
        assert_eq!(client.appends_to(1).await, OK);
    });
}

#[test]
fn sizes_count_every_segment_of_logs_open_and_asleep() {
    const SMALL: &[(&str, &str)] = &[("internal.segment.bytes", "1000")];
    let mut world = World::new(53);
    let size = i64::try_from(batch(400).len()).unwrap();
    world.live(async move |life| {
        let node = life.node(SMALL).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        assert_eq!(client.sizes(Some(&[0])).await, (vec![(0, 0)], true));
        for batches in 1..=5 {
            client.produce(-1, &batch(400)).await;
            assert_eq!(client.sizes(Some(&[0])).await.0, [(0, batches * size)]);
        }
        assert_eq!(client.sizes(None).await.0, [(0, 5 * size)]);
        assert_eq!(client.sizes(Some(&[0, 0, 1, -1])).await.0, [(0, 5 * size)]);
        assert_eq!(client.sizes(Some(&[])).await.0, []);
        drop(client);
        node.stop().await;
    });
    world.live(async move |life| {
        let _node = life.node(SMALL).await;
        let mut client = life.client().await;
        assert_eq!(client.sizes(None).await, (vec![(0, 5 * size)], true), "nobody has opened it");
        client.produce(-1, &batch(400)).await;
        assert_eq!(client.sizes(None).await.0, [(0, 6 * size)]);
    });
}

#[test]
fn producers_are_told_of_by_partition_also_of_logs_asleep() {
    let mut world = World::new(54);
    world.live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        assert_eq!(client.producers(TOPIC, &[0, 1, -1]).await, ["0 0", "1 3", "-1 3"]);
        client.produce(-1, &numbered(0)).await;
        client.produce(-1, &numbered(1)).await;
        assert_eq!(client.producers(TOPIC, &[0, 0, 0]).await, ["0 0: 7 0 1 1 -1 -1"], "once");
        assert_eq!(client.producers("missing", &[0]).await, ["0 3"]);
        assert_eq!(client.producers("no topic", &[0]).await, ["0 17"]);
        drop(client);
        node.stop().await;
    });
    world.live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.producers(TOPIC, &[0]).await, ["0 0: 7 0 1 1 -1 -1"]);
    });
}

#[test]
fn a_node_alone_needs_no_election_and_moves_nothing() {
    World::new(55).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.elect(None).await, []);
        client.create(&[]).await;
        assert_eq!(client.elect(Some(&[0])).await, [(0, ELECTION_NOT_NEEDED)]);
        assert_eq!(client.elect(Some(&[1])).await, [(1, UNKNOWN_TOPIC_OR_PARTITION)]);
        assert_eq!(client.elect(Some(&[])).await, []);
        assert_eq!(client.elect(None).await, []);
        let request = ListPartitionReassignmentsRequest::default();
        let key = ApiKey::ListPartitionReassignments;
        let answer = client.call(key, 0, |w| request.encode(w, 0)).await;
        let moves = ListPartitionReassignmentsResponse::decode(&mut answer.body(), 0).unwrap();
        assert!(moves.topics.is_empty() && moves.error_code == OK);
    });
}

#[test]
fn features_that_cannot_change_do_not() {
    World::new(56).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        for (feature, level, kind, error) in [
            ("metadata.version", 30, 1, OK),
            ("metadata.version", 29, 2, INVALID_UPDATE_VERSION),
            ("metadata.version", 30, 4, INVALID_UPDATE_VERSION),
            ("kraft.version", 1, 1, OK),
            ("nothing.version", 1, 1, INVALID_UPDATE_VERSION),
            ("group.version", 2, 1, INVALID_UPDATE_VERSION),
            ("group.version", 0, 1, INVALID_UPDATE_VERSION),
        ] {
            assert_eq!(client.update_feature(feature, level, kind).await, error, "{feature}");
        }
        assert_eq!(client.finalized("metadata.version").await, Some(30));
        assert_eq!(client.finalized("group.version").await, Some(1));
    });
}

#[test]
fn a_feature_goes_down_and_up_and_a_restart_knows_its_level() {
    let mut world = World::new(57);
    world.live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.update_feature("group.version", 0, 2).await, OK);
        assert_eq!(client.finalized("group.version").await, None);
    });
    world.live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.finalized("group.version").await, None);
        assert_eq!(client.update_feature("group.version", 1, 1).await, OK);
        assert_eq!(client.finalized("group.version").await, Some(1));
    });
}
