//! What clients may ask: one file per API, listed once, with its versions.

mod alter_configs;
mod api_versions;
mod config_resource;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod errors;
pub(crate) mod fetch;
mod fetch_answer;
mod fetch_incremental;
pub(crate) mod fetch_read;
mod find_coordinator;
pub(crate) mod gathered;
mod group_errors;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod keys;
mod leave_group;
mod legacy_fetch;
mod legacy_produce;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_offsets_old;
mod list_partition_reassignments;
mod metadata;
mod offline;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
pub(crate) mod produce;
mod sync_group;
mod timestamps;
mod topic_cursor;
mod update_features;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use ottla_env::Mono;
use ottla_types::limits::{ANSWER_BYTES_MAX, NAMES_PER_REQUEST_MAX};
use ottla_wire::{ApiKey, DecodeError, EncodeError, ErrorCode, Reader, RequestHeader, Writer};

use crate::broker::{Broker, Listening, Role};
use crate::clients::Known;
use crate::connection::{AnswerHeader, Blocked, Channel, Handled};
use crate::watch::ApiAt;

/// Why a request ends its connection: Kafka has no answer for these either.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the request cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    #[error("{key:?} version {version} is not served here")]
    NotServed { key: ApiKey, version: i16 },
    #[error(
        "{key:?} version {version} is one that Kafka 4 dropped; with ottla.legacy.clients.enable=true \
         it is served"
    )]
    Legacy { key: ApiKey, version: i16 },
    #[error("the answer cannot be written: {0}")]
    Answer(#[from] EncodeError),
    #[error("a fetch names more than {max} partitions")]
    TooManyPartitions { max: usize },
    #[error("a filter of access control entries has a number without a meaning")]
    UnknownAclFilter,
    #[error("a request names more than {NAMES_PER_REQUEST_MAX}")]
    TooManyNames,
    #[error("an append without acknowledgement failed")]
    SilentAppendFailed,
}

/// The body of an answer that is not there yet.
pub(crate) type Later = Pin<Box<dyn Future<Output = Result<Vec<u8>, Refused>>>>;

/// The body of an answer.
pub(crate) enum Answer {
    Now(Vec<u8>),
    Later(Later),
}

/// One request, as handlers off the hot path see it.
pub(crate) struct Call<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) listening: &'a Arc<Listening>,
    pub(crate) version: i16,
    /// As in the request's header.
    pub(crate) client_id: Option<&'a str>,
    /// Where the client connects from.
    pub(crate) peer: IpAddr,
    /// What the connection's client says that it is.
    pub(crate) software: &'a mut Option<Known>,
    pub(crate) body: Reader<'a>,
}

enum Handler {
    Produce,
    Fetch,
    Plain(fn(Call<'_>) -> Result<Answer, Refused>),
}

/// An API that this node serves.
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) versions: RangeInclusive<i16>,
    /// Served on the listeners of these roles.
    pub(crate) roles: &'static [Role],
    handler: Handler,
}

impl Api {
    /// The oldest version that is served to clients from before Kafka 4, if they are.
    pub(crate) fn legacy_min(&self) -> i16 {
        *self.key.versions_ever().start().min(self.versions.start())
    }

    /// Whether it is a version that only such clients use.
    fn is_legacy(&self, version: i16) -> bool {
        (self.legacy_min()..*self.versions.start()).contains(&version)
    }
}

const fn api(key: ApiKey, versions: RangeInclusive<i16>, handler: Handler) -> Api {
    Api { key, versions, roles: &[Role::Broker], handler }
}

/// Everything that is served, and so advertised, to clients that Kafka 4 talks to. What others are
/// served beside it, [`Api::legacy_min`] says.
pub(crate) static TABLE: &[Api] = &[
    api(ApiKey::Produce, 3..=13, Handler::Produce),
    api(ApiKey::Fetch, 4..=18, Handler::Fetch),
    api(ApiKey::ListOffsets, 1..=11, Handler::Plain(list_offsets::handle)),
    api(ApiKey::Metadata, 0..=13, Handler::Plain(metadata::handle)),
    Api {
        key: ApiKey::ApiVersions,
        versions: 0..=5,
        roles: &[Role::Broker, Role::Controller],
        handler: Handler::Plain(api_versions::handle),
    },
    api(ApiKey::OffsetCommit, 2..=10, Handler::Plain(offset_commit::handle)),
    api(ApiKey::OffsetFetch, 1..=10, Handler::Plain(offset_fetch::handle)),
    api(ApiKey::FindCoordinator, 0..=6, Handler::Plain(find_coordinator::handle)),
    api(ApiKey::JoinGroup, 0..=9, Handler::Plain(join_group::handle)),
    api(ApiKey::Heartbeat, 0..=4, Handler::Plain(heartbeat::handle)),
    api(ApiKey::LeaveGroup, 0..=5, Handler::Plain(leave_group::handle)),
    api(ApiKey::SyncGroup, 0..=5, Handler::Plain(sync_group::handle)),
    api(ApiKey::DescribeGroups, 0..=6, Handler::Plain(describe_groups::handle)),
    api(ApiKey::ListGroups, 0..=5, Handler::Plain(list_groups::handle)),
    api(ApiKey::DeleteGroups, 0..=3, Handler::Plain(delete_groups::handle)),
    api(ApiKey::OffsetDelete, 0..=0, Handler::Plain(offset_delete::handle)),
    api(ApiKey::CreateTopics, 2..=7, Handler::Plain(create_topics::handle)),
    api(ApiKey::DeleteTopics, 1..=6, Handler::Plain(delete_topics::handle)),
    api(ApiKey::OffsetForLeaderEpoch, 2..=4, Handler::Plain(offset_for_leader_epoch::handle)),
    api(ApiKey::DeleteRecords, 0..=2, Handler::Plain(delete_records::handle)),
    // Version 6 is Kafka's two-phase commit, still marked unstable there.
    api(ApiKey::InitProducerId, 0..=5, Handler::Plain(init_producer_id::handle)),
    api(ApiKey::DescribeAcls, 1..=3, Handler::Plain(describe_acls::handle)),
    api(ApiKey::DescribeConfigs, 1..=4, Handler::Plain(describe_configs::handle)),
    api(ApiKey::AlterConfigs, 0..=2, Handler::Plain(alter_configs::handle)),
    api(ApiKey::IncrementalAlterConfigs, 0..=1, Handler::Plain(alter_configs::handle_incremental)),
    api(ApiKey::DescribeLogDirs, 1..=5, Handler::Plain(describe_log_dirs::handle)),
    api(ApiKey::CreatePartitions, 0..=3, Handler::Plain(create_partitions::handle)),
    api(ApiKey::ElectLeaders, 0..=2, Handler::Plain(elect_leaders::handle)),
    api(
        ApiKey::ListPartitionReassignments,
        0..=0,
        Handler::Plain(list_partition_reassignments::handle),
    ),
    api(ApiKey::DescribeClientQuotas, 0..=1, Handler::Plain(describe_client_quotas::handle)),
    api(
        ApiKey::DescribeUserScramCredentials,
        0..=0,
        Handler::Plain(describe_user_scram_credentials::handle),
    ),
    Api {
        key: ApiKey::DescribeQuorum,
        versions: 0..=2,
        roles: &[Role::Broker, Role::Controller],
        handler: Handler::Plain(describe_quorum::handle),
    },
    api(ApiKey::UpdateFeatures, 0..=2, Handler::Plain(update_features::handle)),
    api(ApiKey::DescribeCluster, 0..=2, Handler::Plain(describe_cluster::handle)),
    api(ApiKey::ConsumerGroupHeartbeat, 0..=1, Handler::Plain(consumer_group_heartbeat::handle)),
    api(ApiKey::ConsumerGroupDescribe, 0..=1, Handler::Plain(consumer_group_describe::handle)),
    api(ApiKey::ListConfigResources, 0..=1, Handler::Plain(list_config_resources::handle)),
    api(ApiKey::DescribeProducers, 0..=0, Handler::Plain(describe_producers::handle)),
    api(ApiKey::DescribeTopicPartitions, 0..=0, Handler::Plain(describe_topic_partitions::handle)),
];

/// Whether the frame is a Produce request; all that is looked at is its key.
pub(crate) fn is_produce(frame: &[u8]) -> bool {
    frame.first_chunk() == Some(&ApiKey::Produce.to_wire().to_be_bytes())
}

/// Handles one frame. `resumed` is what this same frame left behind when it was kept before.
pub(crate) fn handle(
    channel: &mut Channel,
    frame: &[u8],
    resumed: Option<Blocked>,
    now: Mono,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let mut reader = Reader::new(frame);
    let (key, header) = RequestHeader::decode_any(&mut reader)?;
    let (version, correlation_id) = (header.request_api_version, header.correlation_id);
    let client_id = header.client_id;
    let role = channel.listening.role;
    let mut table = TABLE.iter().enumerate();
    let api = table.find(|(_, api)| api.key == key && api.roles.contains(&role));
    if let Some((at, _)) = api {
        channel.stopwatch.is_for(ApiAt(at));
    }
    let legacy = channel.broker.config.legacy_clients;
    let serves = |api: &Api| api.versions.contains(&version) || (legacy && api.is_legacy(version));
    let Some((_, api)) = api.filter(|(_, api)| serves(api)) else {
        return refuse(channel, api.map(|(_, api)| api), key, version, correlation_id);
    };
    let flexible = key.header_versions(version).response > 0;
    let header = AnswerHeader { correlation_id, flexible };
    match &api.handler {
        Handler::Produce => {
            let progress = match resumed {
                Some(Blocked::Produce(progress)) => progress,
                _ => channel.lane.progress(),
            };
            produce::handle(channel, header, version, reader.remaining(), progress, now, cx)
        }
        Handler::Fetch => {
            let waited = match resumed {
                Some(Blocked::Fetch(waiting)) => Some(waiting),
                _ => None,
            };
            fetch::handle(channel, header, version, reader.remaining(), waited, now, cx)
        }
        Handler::Plain(handler) => {
            let broker = Arc::clone(&channel.broker);
            let listening = Arc::clone(&channel.listening);
            let call = Call {
                broker: &broker,
                listening: &listening,
                version,
                client_id: client_id.as_deref(),
                peer: channel.peer,
                software: &mut channel.software,
                body: reader,
            };
            Ok(match handler(call)? {
                Answer::Now(body) => {
                    channel.answer_body(header, &body);
                    Handled::Done
                }
                Answer::Later(answer) => Handled::Blocked(Blocked::Elsewhere { header, answer }),
            })
        }
    }
}

/// A version that is not served ends the connection, except that ApiVersions is always answered:
/// it is how a client finds out.
fn refuse(
    channel: &mut Channel,
    api: Option<&Api>,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
) -> Result<Handled, Refused> {
    if key != ApiKey::ApiVersions {
        return Err(match api.is_some_and(|api| api.is_legacy(version)) {
            true => Refused::Legacy { key, version },
            false => Refused::NotServed { key, version },
        });
    }
    let body = api_versions::unsupported_version()?;
    channel.answer_body(AnswerHeader { correlation_id, flexible: false }, &body);
    Ok(Handled::Done)
}

/// Kafka's name of an error, given its code.
pub(crate) fn error_name(code: i16) -> &'static str {
    ErrorCode::from_wire(code).unwrap_or(ErrorCode::UnknownServerError).name()
}

/// Encodes an answer's body.
fn encode(
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<Vec<u8>, Refused> {
    let mut body = Vec::new();
    write(&mut Writer::bounded(&mut body, ANSWER_BYTES_MAX))?;
    Ok(body)
}

/// Names that a request asks about, each once and in the order in which it came first: to repeat a
/// name must not repeat what is told of it.
fn each_once<'a>(
    names: impl IntoIterator<Item = Cow<'a, str>>,
) -> Result<Vec<Cow<'a, str>>, Refused> {
    let (mut seen, mut once) = (BTreeSet::new(), Vec::new());
    for name in names {
        if seen.insert(name.clone()) {
            once.push(name);
        }
        if once.len() > NAMES_PER_REQUEST_MAX {
            return Err(Refused::TooManyNames);
        }
    }
    Ok(once)
}
