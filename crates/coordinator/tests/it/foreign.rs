//! Groups of kinds that are not served here, in a log that Apache Kafka wrote: what is taken away
//! under their names here would be taken from them there.

use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::{
    DeleteGroupError, Effects, GroupAnswer, GroupId, GroupRequest, GroupSettings, GroupShard, Now,
    Ticket,
};
use ottla_metadata::{MetadataReplay, Record};
use ottla_types::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicName, Uuid};

use crate::records::bytes;

/// An offset of group `s` that was committed long ago.
const OFFSET: (&str, Option<&str>) = (
    "0001 0001 73 0001 74 00000000",
    Some("0004 0000000000000005 ffffffff 01 0000000000000009 00"),
);

/// Record type 17, a streams group's epoch; nobody here looks into its value.
const EPOCH: (&str, Option<&str>) = ("0011 0001 73", Some("0000 00"));
const NO_EPOCH: (&str, Option<&str>) = ("0011 0001 73", None);

/// Record type 19, a member of it.
const MEMBER: (&str, Option<&str>) = ("0013 0001 73 0001 6d", Some("0000 00"));
const NO_MEMBER: (&str, Option<&str>) = ("0013 0001 73 0001 6d", None);

/// Record type 2, a classic group without members.
const CLASSIC: (&str, Option<&str>) =
    ("0002 0001 73", Some("0003 0000 00000000 ffff ffff ffffffffffffffff 00000000"));

/// Of a kind that is not invented yet, and whose key names nobody.
const UNKNOWN: (&str, Option<&str>) = ("0063 ffff", Some("0000"));

#[test]
fn a_group_of_another_kind_is_neither_expired_nor_deleted() {
    check(&[OFFSET], true);
    check(&[OFFSET, UNKNOWN], true);
    check(&[OFFSET, EPOCH], false);
    check(&[MEMBER, OFFSET], false);
    check(&[MEMBER, EPOCH, OFFSET, NO_EPOCH], false);
    // It was deleted there.
    check(&[MEMBER, EPOCH, OFFSET, NO_MEMBER, NO_EPOCH], true);
    // Its members have changed their protocol.
    check(&[MEMBER, EPOCH, OFFSET, CLASSIC], true);
}

fn metadata() -> MetadataReplay {
    let mut metadata = MetadataReplay::new("cluster");
    let name = TopicName::parse("t").unwrap();
    let topic = Record::Topic { name, id: Uuid::from_u128(1) };
    metadata.record(Offset::ZERO, &topic).unwrap();
    drop(metadata.take(Offset::new(1), LeaderEpoch::new(1)));
    metadata
}

fn check(stored: &[(&str, Option<&str>)], goes: bool) {
    let load = || {
        let mut shard = GroupShard::new(PartitionId::ZERO, Arc::new(GroupSettings::default()));
        for (key, value) in stored {
            shard.replay(None, &bytes(key), value.map(bytes).as_deref()).unwrap();
        }
        shard
    };
    let metadata = metadata();
    let image = metadata.image();
    let (mut shard, mut effects) = (load(), Effects::default());
    // Long after the retention.
    let wall = Timestamp::from_millis(1 << 40);
    shard.on_loaded(Now { mono: Duration::ZERO, wall }, image, &mut effects);
    assert_eq!(effects.records, [], "{stored:?}");
    let mono = shard.next_deadline().expect("expiry is armed");
    shard.on_time(Now { mono, wall }, image, &mut effects);
    assert_eq!(!effects.records.is_empty(), goes, "{stored:?}: {:?}", effects.records);

    let (mut shard, mut effects) = (load(), Effects::default());
    let delete = GroupRequest::Delete(vec![GroupId::new("s")]);
    let now = Now { mono: Duration::ZERO, wall };
    shard.step(now, image, Ticket(1), delete, &mut effects);
    let result = if goes { Ok(()) } else { Err(DeleteGroupError::NonEmptyGroup) };
    let answer = GroupAnswer::Delete(vec![("s".into(), result)]);
    assert_eq!(effects.answers, [(Ticket(1), answer)], "{stored:?}");
    assert_eq!(!effects.records.is_empty(), goes, "{stored:?}: {:?}", effects.records);
}
