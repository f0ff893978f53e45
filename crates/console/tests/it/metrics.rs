//! What is counted, after work that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_client::{Client, CommittedOffset, NewTopic, OffsetReset, Record};
use ottla_types::{Offset, PartitionId, TopicName, TopicPartition};

use crate::world::{Operator, beside_node};

/// Every series and its value.
type Series = BTreeMap<String, f64>;

async fn scrape(operator: &Operator, path: &str) -> (String, Series) {
    let got = operator.get(path).await;
    assert_eq!(got.status, "200 OK");
    let lines = got.body.lines().filter(|line| !line.starts_with('#'));
    let mut series = Series::new();
    for line in lines {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {name}");
    }
    (got.body, series)
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    let topic = TopicName::parse(topic).unwrap();
    TopicPartition { topic, partition: PartitionId::from_wire(partition).unwrap() }
}

/// Five records of `orders`, of which a group has read two, and everything of it read once.
async fn work(client: &Client) {
    client.admin().create_topic(NewTopic::new("orders").partitions(2)).await.unwrap();
    let producer = client.producer().build();
    for at in 0..5 {
        let to = PartitionId::from_wire(at % 2).unwrap();
        let record = Record::to("orders").partition(to).value("v");
        producer.send(record).await.unwrap().await.unwrap();
    }
    let both = [partition("orders", 0), partition("orders", 1)];
    let reader = client.consumer().offset_reset(OffsetReset::Earliest);
    let mut reader = reader.assign(both.clone()).unwrap();
    for _ in 0..5 {
        reader.next().await.unwrap();
    }
    let offsets = both.map(|partition| (partition, CommittedOffset::from(Offset::new(1))));
    let offsets = BTreeMap::from(offsets);
    client.admin().alter_group_offsets("a \"group\"", &offsets).await.unwrap();
    producer.close().await;
}

#[test]
fn what_is_told_is_what_was_done() {
    beside_node(Duration::ZERO, async |operator| {
        let client = operator.client();
        work(&client).await;
        let (_, series) = scrape(&operator, "/metrics").await;
        let orders = |name: &str| format!("{name}{{topic=\"orders\"}}");
        let log = |name: &str| format!("{name}{{topic=\"orders\",partition=\"0\"}}");
        let group = r#"{consumergroup="a \"group\"",topic="orders""#;
        for (name, expected) in [
            (orders("kafka_server_brokertopicmetrics_messagesin_total"), 5.0),
            (orders("kafka_server_brokertopicmetrics_totalproducerequests_total"), 5.0),
            (orders("kafka_server_brokertopicmetrics_failedproducerequests_total"), 0.0),
            (orders("kafka_topic_partitions"), 2.0),
            (log("kafka_topic_partition_current_offset"), 3.0),
            (log("kafka_topic_partition_oldest_offset"), 0.0),
            (log("kafka_topic_partition_in_sync_replica"), 1.0),
            (log("kafka_topic_partition_leader"), 1.0),
            (log("kafka_log_log_logendoffset"), 3.0),
            (log("kafka_log_log_numlogsegments"), 1.0),
            (log("kafka_cluster_partition_underminisr"), 0.0),
            (format!("kafka_consumergroup_lag{group},partition=\"0\"}}"), 2.0),
            (format!("kafka_consumergroup_lag{group},partition=\"1\"}}"), 1.0),
            (format!("kafka_consumergroup_current_offset{group},partition=\"1\"}}"), 1.0),
            (format!("kafka_consumergroup_lag_sum{group}}}"), 3.0),
            (orders("kafka_server_brokertopicmetrics_failedfetchrequests_total"), 0.0),
            ("kafka_controller_controllerstats_uncleanleaderelections_total".to_owned(), 0.0),
            (
                "kafka_controller_controllerstats_electionfromeligibleleaderreplicas_total"
                    .to_owned(),
                0.0,
            ),
            ("kafka_server_replicamanager_isrshrinks_total".to_owned(), 0.0),
            ("kafka_server_replicamanager_isrexpands_total".to_owned(), 0.0),
            ("kafka_server_raftmetrics_current_vote".to_owned(), 1.0),
            (format!("kafka_consumergroup_current_offset_sum{group}}}"), 2.0),
            (r#"kafka_consumergroup_members{consumergroup="a \"group\""}"#.to_owned(), 0.0),
            ("kafka_network_requestmetrics_requests_total{request=\"Produce\"}".to_owned(), 5.0),
            (
                "kafka_network_requestmetrics_requests_total{request=\"CreateTopics\"}".to_owned(),
                1.0,
            ),
            ("ottla_request_seconds_count{request=\"Produce\"}".to_owned(), 5.0),
            ("ottla_request_seconds_bucket{request=\"Produce\",le=\"+Inf\"}".to_owned(), 5.0),
            ("kafka_controller_kafkacontroller_activecontrollercount".to_owned(), 1.0),
            ("kafka_controller_kafkacontroller_offlinepartitionscount".to_owned(), 0.0),
            ("kafka_server_replicamanager_underreplicatedpartitions".to_owned(), 0.0),
            ("kafka_server_replicamanager_leadercount".to_owned(), 4.0),
            ("kafka_server_kafkaserver_brokerstate".to_owned(), 3.0),
            ("kafka_coordinator_group_groupmetadatamanager_numgroups".to_owned(), 1.0),
            ("kafka_brokers".to_owned(), 1.0),
            ("ottla_build_info{version=\"1.2.3\"}".to_owned(), 1.0),
            ("ottla_log_dir_takes_records".to_owned(), 1.0),
        ] {
            assert_eq!(series.get(&name), Some(&expected), "{name}");
        }
        let value = |name: &str| series[name];
        let bytes = |name: &str| value(&orders(name));
        let size: f64 = (0..2)
            .map(|at| value(&format!("kafka_log_log_size{{topic=\"orders\",partition=\"{at}\"}}")))
            .sum();
        assert_eq!(bytes("kafka_server_brokertopicmetrics_bytesin_total"), size);
        assert_eq!(bytes("kafka_server_brokertopicmetrics_bytesout_total"), size);
        assert!(value("ottla_log_sync_seconds_count") >= 5.0, "each append waited for a sync");
        let open = r#"kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT""#;
        let open: f64 =
            series.iter().filter(|(name, _)| name.starts_with(open)).map(|(_, count)| count).sum();
        assert!(open >= 1.0, "the client's connections");
    });
}

#[test]
fn lag_has_the_names_of_kafka_lag_exporter_too() {
    beside_node(Duration::ZERO, async |operator| {
        let client = operator.client();
        work(&client).await;
        let (_, series) = scrape(&operator, "/metrics").await;
        let cluster = client.admin().describe_cluster().await.unwrap().id;
        let exported = format!(r#"{{cluster_name="{cluster}",group="a \"group\"""#);
        let first = r#",topic="orders",partition="0"}"#;
        for (name, expected) in [
            (format!("kafka_consumergroup_group_max_lag{exported}}}"), 2.0),
            (format!("kafka_consumergroup_group_sum_lag{exported}}}"), 3.0),
            (format!("kafka_consumergroup_group_topic_sum_lag{exported},topic=\"orders\"}}"), 3.0),
            (format!("kafka_consumergroup_group_lag{exported}{first}"), 2.0),
            ("ottla_group_lag_seconds_left_out".to_owned(), 0.0),
        ] {
            assert_eq!(series.get(&name), Some(&expected), "{name}");
        }
    });
}

#[test]
fn lag_in_seconds_is_the_age_of_the_oldest_record_that_was_not_read() {
    beside_node(Duration::ZERO, async |operator| {
        let client = operator.client();
        client.admin().create_topic(NewTopic::new("t")).await.unwrap();
        let producer = client.producer().build();
        let from = partition("t", 0);
        let read_to = async |offset| {
            let offsets = [(from.clone(), CommittedOffset::from(Offset::new(offset)))];
            let offsets = BTreeMap::from(offsets);
            client.admin().alter_group_offsets("g", &offsets).await.unwrap();
        };
        // An hour behind each other.
        for _ in 0..3 {
            producer.send(Record::to("t").value("v")).await.unwrap().await.unwrap();
            operator.env.clock.sleep(Duration::from_hours(1)).await;
        }
        let told = async |name: &str| {
            let (_, series) = scrape(&operator, "/metrics").await;
            let mut found = series.iter().filter(|(series, _)| series.starts_with(name));
            let value = found.next().map(|(_, value)| (value / 3_600.0).round());
            assert!(found.next().is_none(), "{name} once");
            value
        };
        for (committed, hours) in [(0, 3.0), (1, 2.0), (2, 1.0), (3, 0.0)] {
            read_to(committed).await;
            for name in ["lag_seconds", "max_lag_seconds"] {
                let name = format!("kafka_consumergroup_group_{name}{{");
                assert_eq!(told(&name).await, Some(hours), "{name} at {committed}");
            }
        }
        // What nobody can read any more is not what the group is late with.
        read_to(0).await;
        client.admin().delete_records(&from, Offset::new(1)).await.unwrap();
        assert_eq!(told("kafka_consumergroup_group_lag_seconds{").await, Some(2.0));
        producer.close().await;
    });
}

#[test]
fn what_is_exported_is_documented_and_the_other_way_round() {
    beside_node(Duration::ZERO, async |operator| {
        work(&operator.client()).await;
        let (text, _) = scrape(&operator, "/metrics").await;
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let exported: Vec<&str> = names.map(|line| line.split(' ').next().unwrap()).collect();
        let reference = ottla_console::reference();
        let rows = reference.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: BTreeSet<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
        assert_eq!(exported.len(), documented.len(), "each family once");
        assert_eq!(exported.into_iter().collect::<BTreeSet<_>>(), documented);
    });
}

#[test]
fn topics_alone_are_told_without_their_partitions() {
    beside_node(Duration::ZERO, async |operator| {
        work(&operator.client()).await;
        let (text, series) = scrape(&operator, "/metrics/topics").await;
        assert!(!text.contains("partition=") && series.len() > 100);
        assert!(series.keys().any(|name| name.starts_with("kafka_consumergroup_lag_sum")));
    });
}

#[test]
fn errors_are_counted_and_totals_outlive_their_topics() {
    beside_node(Duration::ZERO, async |operator| {
        let client = operator.client();
        work(&client).await;
        let topic = NewTopic::new("small").config("max.message.bytes", "10");
        client.admin().create_topic(topic).await.unwrap();
        let producer = client.producer().build();
        let refused = producer.send(Record::to("small").value("too large")).await.unwrap().await;
        assert!(refused.is_err());
        producer.close().await;
        let (_, before) = scrape(&operator, "/metrics").await;
        let errors = "kafka_network_requestmetrics_errors_total\
                      {request=\"Produce\",error=\"MESSAGE_TOO_LARGE\"}";
        assert!(before[errors] >= 1.0);
        let small = |name: &str| before[&format!("{name}{{topic=\"small\"}}")];
        assert!(small("kafka_server_brokertopicmetrics_failedproducerequests_total") >= 1.0);
        assert!(small("kafka_server_brokertopicmetrics_bytesrejected_total") > 10.0);
        let orders = TopicName::parse("orders").unwrap();
        client.admin().delete_topic(&orders).await.unwrap();
        let (text, after) = scrape(&operator, "/metrics").await;
        assert!(!text.contains("messagesin_total{topic=\"orders\"}"));
        for name in ["messagesin", "bytesin", "bytesout", "totalproducerequests"] {
            let name = format!("kafka_server_brokertopicmetrics_{name}_total");
            assert!(after[&name] >= before[&name] && before[&name] >= 5.0, "{name}");
        }
    });
}
