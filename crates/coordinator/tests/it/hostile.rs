//! Logs that nobody wrote: damaged records are refused or taken, and nothing panics.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::{
    Effects, GroupAnswer, GroupId, GroupRequest, GroupSettings, GroupShard, ListGroups, Now,
    Ticket, TopicChanges,
};
use ottla_metadata::MetadataImage;
use ottla_types::{PartitionId, ProducerId, Timestamp};

use crate::random::Draws;

#[test]
fn damaged_records_are_refused_or_taken_without_a_panic() {
    let stored = vectors();
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..400 {
        let mut draws = Draws::new(seed);
        let mut shard = GroupShard::new(PartitionId::ZERO, Arc::new(GroupSettings::default()));
        for _ in 0..60 {
            let (key, value) = &stored[draws.below(stored.len())];
            let key = damaged(&mut draws, key);
            let value = value.as_ref().map(|value| damaged(&mut draws, value));
            let producer = draws.one_in(8).then_some(ProducerId::ZERO);
            match shard.replay(producer, &key, value.as_deref()) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        shard.replay_marker(ProducerId::ZERO, seed.is_multiple_of(2));
        live_with(&mut shard);
    }
    assert!(taken > 1_000 && refused > 1_000, "{taken} taken, {refused} refused");
}

/// What a node would do with it.
fn live_with(shard: &mut GroupShard) {
    let image = MetadataImage::empty("cluster");
    let at = |seconds: u64| Now {
        mono: Duration::from_secs(seconds),
        wall: Timestamp::from_millis(i64::try_from(seconds).unwrap() * 1_000),
    };
    let mut effects = Effects::default();
    shard.on_loaded(at(0), &image, &mut effects);
    shard.on_metadata(at(1), &image, &TopicChanges::default(), &mut effects);
    let list = GroupRequest::List(Arc::new(ListGroups::default()));
    shard.step(at(1), &image, Ticket(0), list, &mut effects);
    let Some((_, GroupAnswer::List(groups))) = effects.answers.pop() else { panic!("a list") };
    let groups: Vec<GroupId> = groups.into_iter().map(|group| group.group).collect();
    let describe = GroupRequest::Describe(groups.clone());
    shard.step(at(1), &image, Ticket(1), describe, &mut effects);
    shard.step(at(1), &image, Ticket(2), GroupRequest::ConsumerDescribe(groups), &mut effects);
    for hours in 0..30 {
        shard.on_time(at(hours * 3_600), &image, &mut effects);
    }
    for record in &effects.records {
        drop(record.encode());
    }
}

/// A few bytes changed, or some missing; often none.
fn damaged(draws: &mut Draws, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..draws.below(3) {
        let at = draws.below(bytes.len());
        let odd = [0x00, 0x01, 0x7f, 0x80, 0xff];
        bytes[at] = odd[draws.below(odd.len())];
    }
    if draws.one_in(10) {
        bytes.truncate(draws.below(bytes.len()));
    }
    bytes
}

/// Records that a real node wrote.
pub(crate) fn vectors() -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors");
    let text = std::fs::read_to_string(path.join("apache_4_3_groups.hex")).unwrap();
    let record = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        (crate::records::bytes(key), (value != "-").then(|| crate::records::bytes(value)))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(record).collect()
}
