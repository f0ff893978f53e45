//! Groups and their members.

use std::collections::BTreeSet;

use ottla_types::{PartitionId, TopicName, TopicPartition};
use ottla_wire::messages::leave_group_request::MemberIdentity;
use ottla_wire::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, LeaveGroupRequest,
    ListGroupsRequest, consumer_group_describe_response as described,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Admin, AdminError, Repeat, missing};
use crate::cluster::Lane;
use crate::consumer::protocol;
use crate::error::{BrokerError, RequestError};

/// A group, as a list of groups shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupListing {
    /// Its name.
    pub id: String,
    /// What its members do: `consumer`, `connect`, or empty where nobody has said.
    pub protocol_type: String,
    /// Kafka's word for what it is at: `Stable`, `Empty`.
    pub state: String,
    /// Kafka's word for its kind: `classic` or `consumer`.
    pub kind: String,
}

/// A group in detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub id: String,
    /// Kafka's word for what it is at: `Stable`, `Empty`, `Dead` for a group that is not there.
    pub state: String,
    /// What shares out its partitions: `range`, `uniform`.
    pub assignor: String,
    /// Who takes part in it.
    pub members: Vec<GroupMember>,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// The epochs of the group and of what it last assigned; `None` in classic groups.
    pub epochs: Option<(i32, i32)>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// What the coordinator calls it.
    pub id: String,
    /// What it calls itself across restarts, if it is static.
    pub instance: Option<String>,
    /// The application.
    pub client_id: String,
    /// Where it runs.
    pub host: String,
    /// What it may read.
    pub assignment: BTreeSet<TopicPartition>,
    /// Its epoch; `None` in classic groups.
    pub epoch: Option<i32>,
    /// What it is to read once the others have let go of it; `None` in classic groups.
    pub target: Option<BTreeSet<TopicPartition>>,
    /// Whether it speaks the protocol of consumer groups, in a group that has both kinds.
    pub is_modern: Option<bool>,
}

impl Admin {
    /// All groups of the cluster.
    ///
    /// # Errors
    /// When a broker refuses, or does not answer in time.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, AdminError> {
        self.persist("list groups", Repeat::Always, async || {
            self.cluster.refresh(Some(&[])).await?;
            let mut groups = Vec::new();
            // Each broker knows the groups that it coordinates.
            for node in self.cluster.nodes() {
                let request = ListGroupsRequest::default();
                let answer = self.cluster.call(node, Lane::COMMON, &request).await?;
                let answer = answer.get();
                BrokerError::check(answer.error_code)?;
                groups.extend(answer.groups.iter().map(|group| GroupListing {
                    id: group.group_id.into_owned(),
                    protocol_type: group.protocol_type.into_owned(),
                    state: group.group_state.into_owned(),
                    kind: group.group_type.into_owned(),
                }));
            }
            groups.sort_unstable();
            Ok(groups)
        })
        .await
    }

    /// A group in detail, of either protocol.
    ///
    /// # Errors
    /// When its coordinator refuses, or does not answer in time.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, AdminError> {
        let what = format_args!("describe group {group}");
        self.persist(what, Repeat::Always, async || {
            if self.cluster.serves(ApiKey::ConsumerGroupDescribe).await? {
                match self.describe_consumer_group(group).await {
                    // That is how a coordinator says that the group is a classic one.
                    Err(RequestError::Refused(refused))
                        if refused.is(ErrorCode::GroupIdNotFound) => {}
                    described => return described,
                }
            }
            self.describe_classic_group(group).await
        })
        .await
    }

    async fn describe_consumer_group(&self, id: &str) -> Result<GroupDescription, RequestError> {
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![id.into()].into(),
            ..ConsumerGroupDescribeRequest::default()
        };
        let node = self.cluster.find_coordinator(id).await?;
        let answer = self.cluster.call(node, Lane::COMMON, &request).await?;
        let group = answer.get().groups.first().ok_or_else(missing)?;
        BrokerError::check_with(group.error_code, group.error_message.as_deref())?;
        let member = |member: described::Member<'_>| GroupMember {
            id: member.member_id.into_owned(),
            instance: member.instance_id.map(std::borrow::Cow::into_owned),
            client_id: member.client_id.into_owned(),
            host: member.client_host.into_owned(),
            assignment: assignment_of(&member.assignment),
            epoch: Some(member.member_epoch),
            target: Some(assignment_of(&member.target_assignment)),
            is_modern: match member.member_type {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        };
        Ok(GroupDescription {
            id: id.to_owned(),
            state: group.group_state.into_owned(),
            assignor: group.assignor_name.into_owned(),
            members: group.members.iter().map(member).collect(),
            coordinator: node,
            epochs: Some((group.group_epoch, group.assignment_epoch)),
        })
    }

    async fn describe_classic_group(&self, id: &str) -> Result<GroupDescription, RequestError> {
        let request = DescribeGroupsRequest {
            groups: vec![id.into()].into(),
            ..DescribeGroupsRequest::default()
        };
        let node = self.cluster.find_coordinator(id).await?;
        let answer = self.cluster.call(node, Lane::COMMON, &request).await?;
        let group = answer.get().groups.first().ok_or_else(missing)?;
        BrokerError::check_with(group.error_code, group.error_message.as_deref())?;
        let members = group.members.iter().map(|member| GroupMember {
            id: member.member_id.into_owned(),
            instance: member.group_instance_id.map(std::borrow::Cow::into_owned),
            client_id: member.client_id.into_owned(),
            host: member.client_host.into_owned(),
            // Groups of other kinds, Connect's for example, put their own bytes there.
            assignment: protocol::assignment(&member.member_assignment).unwrap_or_default(),
            epoch: None,
            target: None,
            is_modern: None,
        });
        Ok(GroupDescription {
            id: id.to_owned(),
            state: group.group_state.into_owned(),
            assignor: group.protocol_data.into_owned(),
            members: members.collect(),
            coordinator: node,
            epochs: None,
        })
    }

    /// Deletes a group that has no members, and its offsets.
    ///
    /// # Errors
    /// When it has members, does not exist, or nobody answers in time.
    pub async fn delete_group(&self, group: &str) -> Result<(), AdminError> {
        let request = DeleteGroupsRequest {
            groups_names: vec![group.into()].into(),
            ..DeleteGroupsRequest::default()
        };
        let what = format_args!("delete group {group}");
        self.ask_coordinator(what, (Repeat::UnlessServed, group), &request, |answer| {
            let gone = answer.get().results.first().ok_or_else(missing)?;
            BrokerError::check_with(gone.error_code, gone.error_message.as_deref())
        })
        .await
    }

    /// Removes a static member from a classic group before its session is over.
    ///
    /// # Errors
    /// When there is no such member, or nobody answers in time.
    pub async fn remove_member(&self, group: &str, instance: &str) -> Result<(), AdminError> {
        let request = LeaveGroupRequest {
            group_id: group.into(),
            members: vec![MemberIdentity {
                group_instance_id: Some(instance.into()),
                ..MemberIdentity::default()
            }]
            .into(),
            ..LeaveGroupRequest::default()
        };
        let what = format_args!("remove member {instance} of group {group}");
        self.ask_coordinator(what, (Repeat::UnlessServed, group), &request, |answer| {
            let answer = answer.get();
            BrokerError::check(answer.error_code)?;
            let member = answer.members.first().ok_or_else(missing)?;
            BrokerError::check(member.error_code)
        })
        .await
    }
}

fn assignment_of(assignment: &described::Assignment<'_>) -> BTreeSet<TopicPartition> {
    let mut partitions = BTreeSet::new();
    for topic in &assignment.topic_partitions {
        let Ok(name) = TopicName::parse(&topic.topic_name) else { continue };
        let known = topic.partitions.iter().filter_map(PartitionId::from_wire);
        partitions.extend(known.map(|id| TopicPartition { topic: name.clone(), partition: id }));
    }
    partitions
}
