//! Operators' requests.

use std::time::Duration;

use ottla_client::{
    AdminError, CallError, Client, ConfigResource, NewTopic, OffsetSpec, Record, RequestError,
    partition,
};
use ottla_types::{Offset, TopicName};
use ottla_wire::ErrorCode;

use crate::node::with_node;

#[test]
fn topics_are_made_described_and_deleted() {
    with_node(1, async |_, _, client| {
        let admin = client.admin();
        let orders = TopicName::parse("orders").unwrap();
        let made = NewTopic::new("orders").partitions(3).config("retention.ms", "1000");
        let id = admin.create_topic(made.clone()).await.unwrap();
        let topic = admin.describe_topic(&orders).await.unwrap();
        assert_eq!((topic.id, topic.partitions.len(), topic.is_internal), (id, 3, false));
        assert_eq!(admin.list_topics().await.unwrap().len(), 1);

        let twice = admin.create_topic(made).await.unwrap_err();
        assert_eq!(twice.code(), Some(ErrorCode::TopicAlreadyExists));
        assert!(twice.to_string().starts_with("cannot create topic orders: "), "{twice}");

        let configs = admin.describe_configs(&ConfigResource::Topic(orders.clone())).await.unwrap();
        let retention = configs.iter().find(|entry| entry.name == "retention.ms").unwrap();
        assert_eq!((retention.value.as_deref(), retention.is_own), (Some("1000"), true));

        admin.delete_topic(&orders).await.unwrap();
        let gone = admin.describe_topic(&orders).await.unwrap_err();
        assert_eq!(gone.code(), Some(ErrorCode::UnknownTopicOrPartition));
    });
}

#[test]
fn records_are_deleted_and_offsets_listed() {
    with_node(2, async |_, _, client| {
        let admin = client.admin();
        admin.create_topic(NewTopic::new("t").partitions(1)).await.unwrap();
        let producer = client.producer().build();
        for number in 0..5_u8 {
            let sent = producer.send(Record::to("t").value(vec![number])).await.unwrap();
            sent.await.unwrap();
        }
        let one = partition("t", 0).unwrap();
        let start = admin.delete_records(&one, Offset::new(2)).await.unwrap();
        assert_eq!(start, Offset::new(2));
        for (spec, expected) in [(OffsetSpec::Earliest, 2), (OffsetSpec::Latest, 5)] {
            let listed = admin.list_offset(&one, spec).await.unwrap().unwrap();
            assert_eq!(listed.offset, Offset::new(expected), "{spec:?}");
        }
    });
}

#[test]
fn a_cluster_that_is_not_there_is_said_to_be_so() {
    with_node(3, async |env, machine, _| {
        let nobody = machine.host.address(1);
        let client = Client::builder(env).bootstrap(nobody).build();
        let admin = client.admin().timeout(Duration::from_secs(3));
        let error = admin.list_topics().await.unwrap_err();
        let AdminError { source: RequestError::Call(CallError::Connect { address, .. }), .. } =
            error
        else {
            panic!("{error}")
        };
        assert_eq!(address, nobody);
    });
}
