//! Records as Apache Kafka wrote them, and scripts of the controller.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bounds;
mod text;
mod world;

use std::path::Path;

use ottla_metadata::{MetadataVersion, Record};
use ottla_testkit::trace;

use world::World;

#[test]
fn apaches_records_survive_byte_for_byte() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors");
    let vectors = std::fs::read_to_string(path.join("apache_4_3_records.hex")).unwrap();
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let bytes: Vec<u8> = (0..line.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
            .collect();
        let record = Record::decode(&bytes).unwrap();
        let mut again = Vec::new();
        record.encode(MetadataVersion::LATEST, &mut again).unwrap();
        assert_eq!(again, bytes, "{}", text::of_record(&record));
    }
}

#[test]
fn first_start_bootstraps_and_registers() {
    script("first_start");
}

#[test]
fn a_restart_supersedes_the_former_self() {
    script("restart");
}

#[test]
fn topics_are_created_or_refused_as_kafka_does() {
    script("create_topics");
}

#[test]
fn properties_are_altered_or_refused_as_kafka_does() {
    script("alter_configs");
}

#[test]
fn manual_assignments_are_checked_as_kafka_does() {
    script("assignments");
}

#[test]
fn topics_are_deleted_or_refused_as_kafka_does() {
    script("delete_topics");
}

#[test]
fn topics_get_more_partitions_or_are_refused_as_kafka_does() {
    script("create_partitions");
}

#[test]
fn leaders_are_elected_on_request_as_kafka_does() {
    script("elect_leaders");
}

#[test]
fn features_go_up_and_down_as_kafka_lets_them() {
    script("update_features");
}

#[test]
fn a_log_of_apache_kafka_is_followed() {
    script("apache_log");
}

#[test]
fn transactions_take_effect_together_or_not_at_all() {
    script("transactions");
}

#[test]
fn a_record_that_cannot_follow_is_refused() {
    script("refused_records");
}

fn script(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/traces");
    let mut world = World::new();
    trace::check(&path.join(format!("{name}.trace")), |command| world.run(command));
}
