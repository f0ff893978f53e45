//! Pages that the device cannot read: whoever asks for them is told, and all else goes on.

use super::*;

const KAFKA_STORAGE_ERROR: i16 = 56;

/// Of six batches the last one ends on the page on which a seventh begins.
const BATCH_BYTES: usize = 3_000;

#[test]
fn a_page_that_the_device_cannot_read_is_told_and_the_rest_is_served() {
    for len in [100, 20_000, 1 << 20] {
        World::new(5).live(async move |life| {
            // An entry for each batch: none is found by reading another one's header.
            let node = life.node(&[("log.index.interval.bytes", "0")]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            for offset in 0..6 {
                assert_eq!(client.produce(-1, &batch(BATCH_BYTES)).await.base_offset, offset);
            }
            life.machine.disk_fault(DiskFault::UnreadableOneIn(1));
            let refused = client.fetch(0, (1, len), 0).await;
            assert_eq!((refused.error, refused.bytes), (KAFKA_STORAGE_ERROR, 0), "{len}");
            assert_eq!(client.produce(-1, &batch(BATCH_BYTES)).await.base_offset, 6);
            let last = client.fetch(6, (1, len), 0).await;
            assert_eq!((last.error, last.bytes > BATCH_BYTES), (OK, true), "{len}");
            assert_eq!(life.machine.take_halts(), Vec::<String>::new());
            let watch = node.watch();
            let topic = watch.topics().into_iter().find(|topic| topic.as_str() == "t");
            let traffic = watch.topic(&topic.unwrap()).unwrap().traffic;
            assert!(traffic.failed_fetches >= 1, "{len}");

            life.machine.disk_fault(DiskFault::Healed);
            let healed = client.fetch(0, (1, len), 0).await;
            assert_eq!((healed.error, healed.bytes > BATCH_BYTES), (OK, true), "{len}");
        });
    }
}
