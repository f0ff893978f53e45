//! Who can be reached, and what a cluster says of itself.

use std::time::Duration;

use ottla_client::{CallError, Client, NewTopic, OffsetSpec, Record, RequestError, partition};
use ottla_types::{Offset, TopicName};

use crate::node::{with_configured_node, with_node};

const ELSEWHERE: &[(&str, &str)] = &[
    ("advertised.listeners", "PLAINTEXT://broker.example:9092"),
    ("listeners", "PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093"),
];

#[test]
fn a_broker_that_advertises_a_name_nobody_knows_is_told_of() {
    with_configured_node(11, ELSEWHERE, async |_, machine, client| {
        let bootstrap = machine.host.address(9092);
        assert_eq!(client.reach().await, Ok(bootstrap));
        assert_eq!(client.unreached(), [], "nobody was told anything yet");
        let admin = client.admin().timeout(Duration::from_secs(2));
        // Whoever was reached can list them all the same.
        admin.create_topic(NewTopic::new("t")).await.unwrap();
        assert_eq!(admin.list_topics().await.unwrap().len(), 1);
        let error =
            admin.list_offset(&partition("t", 0).unwrap(), OffsetSpec::Latest).await.unwrap_err();
        let RequestError::Call(CallError::Unresolved { host }) = &error.source else {
            panic!("{error}")
        };
        assert_eq!(host, "broker.example");
        let unreached = client.unreached();
        assert_eq!(unreached.len(), 1);
        assert_eq!((unreached[0].broker.id, unreached[0].told_by), (1, bootstrap));
        let broker = (unreached[0].broker.host.as_str(), unreached[0].broker.port);
        assert_eq!(broker, ("broker.example", 9092));
    });
}

#[test]
fn a_broker_that_advertises_an_address_nobody_answers_at_is_told_of() {
    with_configured_node(12, ELSEWHERE, async |env, machine, _| {
        let nobody = machine.host.address(1).ip();
        let bootstrap = machine.host.address(9092);
        let client = Client::builder(env)
            .bootstrap(bootstrap)
            .connect_timeout(Duration::from_secs(1))
            .resolver(move |_| Some(std::net::IpAddr::from([192, 0, 2, 1])))
            .build();
        assert_ne!(nobody, std::net::IpAddr::from([192, 0, 2, 1]));
        let admin = client.admin().timeout(Duration::from_secs(2));
        admin.create_topic(NewTopic::new("t")).await.unwrap();
        let one = partition("t", 0).unwrap();
        admin.list_offset(&one, OffsetSpec::Latest).await.unwrap_err();
        let unreached = client.unreached();
        assert_eq!(unreached.len(), 1);
        assert!(unreached[0].tries >= 1, "{unreached:?}");
        assert!(matches!(unreached[0].why, CallError::Connect { .. }), "{unreached:?}");
    });
}

#[test]
fn a_cluster_describes_itself() {
    with_node(13, async |_, machine, client| {
        let admin = client.admin();
        let cluster = admin.describe_cluster().await.unwrap();
        assert_eq!((cluster.id.len(), cluster.controller), (22, Some(1)));
        let nodes = admin.nodes().await.unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].address, Some(machine.host.address(9092)));
        assert_eq!(client.try_broker(&nodes[0]).await, Ok(()));
        let quorum = admin.describe_quorum().await.unwrap();
        assert_eq!((quorum.leader, quorum.voters.len(), quorum.observers.len()), (Some(1), 1, 0));
        let features = admin.features().await.unwrap();
        let level = features.iter().find(|each| each.name == "metadata.version").unwrap();
        assert!(level.finalized.is_some() && level.supported.is_some(), "{level:?}");
    });
}

#[test]
fn what_partitions_hold_is_asked_for_at_once() {
    with_node(14, async |_, _, client| {
        let admin = client.admin();
        let missing = TopicName::parse("missing").unwrap();
        assert_eq!(admin.find_topic(&missing).await.unwrap(), None);
        assert!(admin.list_topics().await.unwrap().is_empty(), "asking makes no topic");

        admin.create_topic(NewTopic::new("t").partitions(2)).await.unwrap();
        let producer = client.producer().build();
        let one = partition("t", 1).unwrap();
        let record = Record::to("t").partition(one.partition).value(vec![7; 1000]);
        producer.send(record).await.unwrap().await.unwrap();
        let asked = [partition("t", 0).unwrap(), one.clone(), partition("missing", 0).unwrap()];
        let ends = admin.list_offsets(&asked, OffsetSpec::Latest).await.unwrap();
        let ends: Vec<_> = ends.into_iter().map(|(of, end)| (of, end.offset)).collect();
        assert_eq!(ends, [(asked[0].clone(), Offset::ZERO), (one.clone(), Offset::new(1))]);
        let dirs = admin.log_dirs().await.unwrap();
        assert_eq!((dirs.len(), dirs[0].broker, &dirs[0].error), (1, 1, &None));
        assert!(dirs[0].replicas[&one] > 1000, "{dirs:?}");
    });
}
