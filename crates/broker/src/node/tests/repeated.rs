//! Requests that name the same thing again and again: what is told of it is told once.

use ottla_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_wire::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    OffsetFetchRequest, OffsetFetchResponse,
};

use super::*;

/// More than one request may ask about.
const TOO_MANY: usize = 100_001;

fn repeated(name: &'static str) -> Vec<std::borrow::Cow<'static, str>> {
    vec![name.into(); TOO_MANY]
}

#[test]
fn a_repeated_name_is_told_once() {
    World::new(401).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;

        let (key, version) = (ApiKey::FindCoordinator, 6);
        let request =
            FindCoordinatorRequest { coordinator_keys: repeated("g").into(), ..Default::default() };
        client.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = client.answer(key, version).await;
        let response = FindCoordinatorResponse::decode(&mut answer.body(), version).unwrap();
        assert_eq!(response.coordinators.len(), 1);

        let (key, version) = (ApiKey::DescribeGroups, 6);
        let request = DescribeGroupsRequest { groups: repeated("g").into(), ..Default::default() };
        client.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = client.answer(key, version).await;
        let response = DescribeGroupsResponse::decode(&mut answer.body(), version).unwrap();
        assert_eq!(response.groups.len(), 1);
        node.stop().await;
    });
}

#[test]
fn a_repeated_partition_has_one_offset() {
    World::new(402).live(async |life| {
        let node = life.node(&[]).await;
        let mut client = life.client().await;
        let topic = |partitions: &[i32]| OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: partitions.to_vec().into(),
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: Some(vec![topic(&[0, 0, 1]), topic(&[1, 2])].into()),
            ..Default::default()
        };
        let request =
            OffsetFetchRequest { groups: vec![group.clone(), group].into(), ..Default::default() };
        let (key, version) = (ApiKey::OffsetFetch, 9);
        loop {
            client.send(key, version, |writer| request.encode(writer, version)).await;
            let answer = client.answer(key, version).await;
            let response = OffsetFetchResponse::decode(&mut answer.body(), version).unwrap();
            let groups: Vec<_> = response.groups.iter().collect();
            assert_eq!(groups.len(), 1);
            let told = groups[0].topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|it| it.partition_index).collect::<Vec<_>>()
            });
            let told: Vec<i32> = told.collect();
            if groups[0].error_code == 0 {
                assert_eq!(told, [0, 1, 2]);
                break;
            }
            // Nobody has looked for the coordinator yet, and so there is none.
            let find = FindCoordinatorRequest {
                coordinator_keys: vec!["g".into()].into(),
                ..Default::default()
            };
            client.send(ApiKey::FindCoordinator, 6, |writer| find.encode(writer, 6)).await;
            client.answer(ApiKey::FindCoordinator, 6).await;
            life.pause(1_000).await;
        }
        node.stop().await;
    });
}
