//! Records in the log of groups that this version cannot read.

use super::*;

/// What a client is told of its offset after a start that found another record behind it.
fn check(seed: u64, key: &[u8], value: &[u8], told: (i16, i64)) {
    let mut world = World::new(seed);
    let (known_key, known) = offset_record(1_000);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (key, value) in [(known_key.as_slice(), known.as_slice()), (key, value)] {
        let (key, value) = (Some(key), Some(value));
        let timestamp = Timestamp::from_millis(1);
        builder.push(NewRecord { timestamp, key, value, headers: &[] });
    }
    let batch = builder.build();
    world.live(async move |life| {
        let node = life.node(FEW).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, GROUP).await;
        let topic = node.broker.partitions.topic("__consumer_offsets").unwrap();
        let partition = Arc::clone(topic.partition(0).unwrap());
        partition.opened(&life.env).await.unwrap();
        partition.append(&life.env, &batch.checked(), std::task::Waker::noop()).unwrap();
        node.stop().await;
    });
    world.live(async move |life| {
        let node = life.node(FEW).await;
        let mut client = life.client().await;
        life.pause(1_000).await;
        assert_eq!(client.committed().await, told);
        // Who only asks what groups there are is answered, and so is a change of topics.
        client.groups().await;
        client.delete_topic(TOPIC).await;
        node.stop().await;
    });
}

#[test]
fn an_offset_that_cannot_be_read_does_not_make_an_older_one_count() {
    let (key, mut value) = offset_record(9_000);
    // Version 99 of the value: some later version wrote it.
    value[1] = 99;
    check(80, &key, &value, (NOT_COORDINATOR, -1));
    // Nor is it known who has a partition: record type 8, version 99, of any group.
    let current = [0, 8, 0, 1, b'g', 0, 1, b'm'];
    check(81, &current, &[0, 99], (NOT_COORDINATOR, -1));
}

#[test]
fn a_record_that_names_nothing_is_left_out() {
    // An offset of the topic with the empty name, and half a record type.
    let of_nothing = [0, 1, 0, 1, b'g', 0, 0, 0, 0, 0, 0];
    check(82, &of_nothing, &[0, 99], (OK, 1_000));
    check(83, &[0], &[0, 99], (OK, 1_000));
}
