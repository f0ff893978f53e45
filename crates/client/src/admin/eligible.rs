//! Replicas that may lead although they are not in sync.

use std::collections::BTreeMap;

use ottla_types::{PartitionId, TopicName};
use ottla_wire::messages::DescribeTopicPartitionsRequest;
use ottla_wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};

use super::{Admin, AdminError, Repeat, missing};
use crate::error::BrokerError;

/// Who may lead a partition although it is not in sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EligibleReplicas {
    /// Nodes that have all that was committed; `None` where the broker does not say.
    pub eligible: Option<Vec<i32>>,
    /// Those that had it when nobody was left; `None` where the broker does not say.
    pub last_known: Option<Vec<i32>>,
}

/// A page of them, and the partition that the next one begins with.
type PageOfReplicas = (BTreeMap<PartitionId, EligibleReplicas>, Option<i32>);

impl Admin {
    /// Who may lead the partitions of a topic although it is not in sync, `per_page` partitions a
    /// request.
    ///
    /// # Errors
    /// When there is no such topic, the cluster is too old for the question, or nobody answers.
    pub async fn eligible_replicas(
        &self,
        topic: &TopicName,
        per_page: i32,
    ) -> Result<BTreeMap<PartitionId, EligibleReplicas>, AdminError> {
        let (mut all, mut next) = (BTreeMap::new(), None);
        loop {
            let (page, following) = self.page_of_replicas(topic, per_page, next).await?;
            let is_last = page.is_empty();
            all.extend(page);
            // A broker that gives nothing and promises more would keep this up for ever.
            match following {
                Some(partition) if !is_last => next = Some(partition),
                Some(_) | None => return Ok(all),
            }
        }
    }

    async fn page_of_replicas(
        &self,
        topic: &TopicName,
        per_page: i32,
        from: Option<i32>,
    ) -> Result<PageOfReplicas, AdminError> {
        let cursor = |partition_index| Cursor {
            topic_name: topic.as_str().into(),
            partition_index,
            ..Cursor::default()
        };
        let named = TopicRequest { name: topic.as_str().into(), ..TopicRequest::default() };
        let request = DescribeTopicPartitionsRequest {
            topics: vec![named].into(),
            response_partition_limit: per_page,
            cursor: from.map(cursor),
            ..DescribeTopicPartitionsRequest::default()
        };
        let what = format_args!("describe the partitions of {topic}");
        self.ask(what, Repeat::Always, &request, |answer| {
            let answer = answer.get();
            let described = answer.topics.first().ok_or_else(missing)?;
            BrokerError::check(described.error_code)?;
            let partitions = described.partitions.iter().filter_map(|each| {
                let eligible = each.eligible_leader_replicas.map(|nodes| nodes.iter().collect());
                let last_known = each.last_known_elr.map(|nodes| nodes.iter().collect());
                let id = PartitionId::from_wire(each.partition_index)?;
                Some((id, EligibleReplicas { eligible, last_known }))
            });
            Ok((partitions.collect(), answer.next_cursor.map(|next| next.partition_index)))
        })
        .await
    }
}
