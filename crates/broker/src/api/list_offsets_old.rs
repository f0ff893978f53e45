//! ListOffsets 0: where segments begin, as clients before 0.10.1 look for a place to start from.

use std::borrow::Cow;
use std::sync::Arc;

use ottla_types::Offset;
use ottla_wire::ErrorCode;
use ottla_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::list_offsets::{Found, OffsetSpec, find};
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;
use crate::partition::{Isolation, Partition};

/// One topic of the request, apart from the wire.
struct Topic {
    name: String,
    partitions: Vec<Asked>,
}

struct Asked {
    index: i32,
    timestamp: i64,
    /// Offsets to tell at the most.
    most: usize,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = ListOffsetsRequest::decode(&mut call.body, 0)?;
    let topics = request.topics.iter().map(|topic| Topic {
        name: topic.name.into_owned(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| Asked {
                index: partition.partition_index,
                timestamp: partition.timestamp,
                most: usize::try_from(partition.max_num_offsets).unwrap_or(0),
            })
            .collect(),
    });
    let (topics, broker) = (topics.collect::<Vec<_>>(), Arc::clone(call.broker));
    Ok(Answer::Later(Box::pin(async move {
        let mut told = Told::default();
        let mut responses = Vec::with_capacity(topics.len());
        for topic in &topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                partitions.push(told.answer(&broker, &topic.name, asked).await);
            }
            responses.push(ListOffsetsTopicResponse {
                name: Cow::Borrowed(topic.name.as_str()),
                partitions: partitions.into(),
                ..Default::default()
            });
        }
        let response = ListOffsetsResponse { topics: responses.into(), ..Default::default() };
        encode(|writer| response.encode(writer, 0))
    })))
}

/// Offsets that one answer tells beside the first of each partition: 8 MB. A log has some thousands
/// of segments, and may be named as often as a frame has room.
const OFFSETS_MAX: usize = 1_000_000;

/// How many were told.
#[derive(Default)]
struct Told(usize);

impl Told {
    async fn answer(
        &mut self,
        broker: &Broker,
        topic: &str,
        asked: &Asked,
    ) -> ListOffsetsPartitionResponse<'static> {
        let most = asked.most.min((OFFSETS_MAX - self.0).max(1));
        let (error, offsets) = match look_up(broker, topic, asked, most).await {
            Ok(offsets) => (ErrorCode::None, offsets),
            Err(error) => (error, Vec::new()),
        };
        self.0 = OFFSETS_MAX.min(self.0 + offsets.len());
        ListOffsetsPartitionResponse {
            partition_index: asked.index,
            error_code: error.code(),
            old_style_offsets: offsets.iter().map(|offset| offset.get()).collect(),
            ..Default::default()
        }
    }
}

/// Offsets that records of the time or later ones are not before, the newest first.
async fn look_up(
    broker: &Broker,
    topic: &str,
    asked: &Asked,
    most: usize,
) -> Result<Vec<Offset>, ErrorCode> {
    let spec = OffsetSpec::from_wire(asked.timestamp, 0).ok_or(ErrorCode::UnsupportedVersion)?;
    let entry = broker.partitions.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = entry.partition(asked.index)?;
    let Found { offset, .. } = find(broker, partition, spec, Isolation::ReadUncommitted).await?;
    // Nothing is as late as that: whatever comes will be.
    let first = offset.unwrap_or_else(|| partition.bounds().high_watermark.offset);
    Ok(segments_before(partition, first, most))
}

/// `first`, and where the segments before it begin.
fn segments_before(partition: &Partition, first: Offset, most: usize) -> Vec<Offset> {
    let (view, start) = (partition.view(), partition.bounds().log_start);
    let sealed = view.sealed_sizes();
    let bases =
        std::iter::once(view.active_base()).chain(sealed.iter().rev().map(|(base, _)| *base));
    let before = bases.map(|base| base.max(start)).filter(|base| *base < first);
    let mut offsets: Vec<Offset> = std::iter::once(first).chain(before).take(most).collect();
    offsets.dedup();
    offsets
}
