//! What tools ask of a cluster: where properties come from, who may lead, which levels there are.

use std::collections::BTreeMap;

use ottla_client::{
    ConfigResource, ConfigSource, FeatureChange, NewTopic, OffsetSpec, Record, partition,
};
use ottla_types::{Offset, PartitionId, TopicName};
use ottla_wire::ErrorCode;

use crate::node::with_node;

#[test]
fn properties_tell_where_they_may_come_from() {
    with_node(11, async |_, _, client| {
        let admin = client.admin();
        let topic = NewTopic::new("t").config("max.message.bytes", "2000");
        admin.create_topic(topic).await.unwrap();
        let resource = ConfigResource::Topic(TopicName::parse("t").unwrap());
        let entries = admin.describe_configs(&resource).await.unwrap();
        let entry = entries.iter().find(|entry| entry.name == "max.message.bytes").unwrap();
        assert_eq!(entry.source, ConfigSource::Topic);
        let shown: Vec<(ConfigSource, &str, Option<&str>)> = entry
            .synonyms
            .iter()
            .map(|each| (each.source, each.name.as_str(), each.value.as_deref()))
            .collect();
        assert_eq!(shown[0], (ConfigSource::Topic, "max.message.bytes", Some("2000")));
        assert_eq!(shown[1].1, "message.max.bytes");
    });
}

#[test]
fn partitions_are_placed_by_hand_and_say_who_may_lead_them() {
    with_node(12, async |_, _, client| {
        let admin = client.admin();
        let name = TopicName::parse("placed").unwrap();
        let nodes = admin.nodes().await.unwrap();
        let (here, nowhere) = (vec![nodes[0].id], vec![nodes[0].id + 1]);
        let placed = NewTopic::new("placed").assignments(vec![here.clone(), here.clone()]);
        admin.create_topic(placed).await.unwrap();
        admin.create_partitions_at(&name, 3, Some(&[here])).await.unwrap();
        let refused = admin.create_partitions_at(&name, 4, Some(&[nowhere])).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::InvalidReplicaAssignment));
        // One partition a page, so that pages follow each other.
        let eligible = admin.eligible_replicas(&name, 1).await.unwrap();
        let numbers: Vec<PartitionId> = eligible.keys().copied().collect();
        assert_eq!(numbers, [0, 1, 2].map(PartitionId::new));
        let fenced = admin.registered_brokers(true).await.unwrap();
        assert_eq!((fenced.len(), fenced[0].is_fenced), (1, false));
    });
}

#[test]
fn features_change_their_levels_or_say_why_not() {
    with_node(13, async |_, _, client| {
        let admin = client.admin();
        let before = admin.features_epoch().await.unwrap();
        assert!(before.is_some());
        let level = |level: i16| BTreeMap::from([("group.version".to_owned(), level)]);
        let down = FeatureChange::SafeDowngrade;
        admin.update_features(&level(0), down, true).await.unwrap();
        assert_eq!(admin.feature_level("group.version").await.unwrap(), Some(1));
        let refused = admin.update_features(&level(9), FeatureChange::Upgrade, false).await;
        assert_eq!(refused.unwrap_err().code(), Some(ErrorCode::InvalidUpdateVersion));
        let node = admin.nodes().await.unwrap().remove(0);
        let served = admin.api_versions(&node).await.unwrap();
        assert!(served.contains_key(&18), "ApiVersions is served: {served:?}");
    });
}

#[test]
fn all_records_are_deleted_and_each_offset_of_a_group() {
    with_node(14, async |_, _, client| {
        let admin = client.admin();
        admin.create_topic(NewTopic::new("t").partitions(1)).await.unwrap();
        let producer = client.producer().build();
        for number in 0..3_u8 {
            let sent = producer.send(Record::to("t").value(vec![number])).await.unwrap();
            sent.await.unwrap();
        }
        let (one, none) = (partition("t", 0).unwrap(), partition("t", 7).unwrap());
        assert_eq!(admin.delete_all_records(&one).await.unwrap(), Offset::new(3));
        let end = admin.list_offset(&one, OffsetSpec::Earliest).await.unwrap().unwrap();
        assert_eq!(end.offset, Offset::new(3));

        let offsets = BTreeMap::from([(one.clone(), Offset::new(1).into())]);
        admin.alter_group_offsets("g", &offsets).await.unwrap();
        let both = [one.clone(), none];
        let deleted = admin.delete_each_group_offset("g", &both).await.unwrap();
        assert_eq!(deleted[&one], Ok(()));
        assert!(admin.group_offsets("g").await.unwrap().is_empty());
    });
}
