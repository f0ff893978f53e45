//! From offsets to times, for whoever watches readers. Rare, so it may wait for the disk.

use std::sync::Arc;

use ottla_env::Disk;
use ottla_records::BatchHeader;
use ottla_types::{Offset, Timestamp, TimestampType};

use crate::listing::Listing;
use crate::lookup::Headers;
use crate::{LogPosition, LogView, ReadError};

impl LogView {
    /// When the first batch below `upto` was written that ends with `from` or behind it: the
    /// timestamp of its first record, or the time of its append where the log keeps that. `None`
    /// if there is no such batch, or it has no time.
    ///
    /// Segments that nobody has needed so far are looked at and closed again: one who watches
    /// takes no descriptors from those who read.
    ///
    /// # Errors
    /// When the disk fails, or a batch on the way is damaged.
    pub async fn written_at(
        &self,
        disk: &Arc<dyn Disk>,
        from: Offset,
        upto: LogPosition,
    ) -> Result<Option<Timestamp>, ReadError> {
        let upto = self.rebounded(disk, upto).await?;
        for span in self.spans(from, upto) {
            let opened;
            let loaded = match span.segment.get() {
                Some(loaded) => loaded,
                None => {
                    let listing = Listing::read(disk, &span.segment.directory).await?;
                    opened = span.segment.load_front(disk, &listing, None).await?.loaded;
                    &opened
                }
            };
            let entry = loaded.index.entry_before(from);
            let segment = (span.segment.base, &loaded.file);
            let mut headers = Headers::from(disk, segment, entry, span.end);
            while let Some(batch) = headers.next().await? {
                if batch.header.last_offset() >= from {
                    return Ok(time_of(&batch.header));
                }
            }
        }
        Ok(None)
    }
}

fn time_of(header: &BatchHeader) -> Option<Timestamp> {
    match header.attributes.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        // Where no record has a time, the first one's is Kafka's -1.
        TimestampType::CreateTime => header.max_timestamp.map(|_| header.base_timestamp),
    }
}
