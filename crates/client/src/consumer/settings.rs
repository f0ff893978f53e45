//! How a consumer is made.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ottla_types::{InvalidTopicName, TopicName, TopicPartition};

use super::assignor::Assignor;
use super::fetch::FetchSettings;
use super::group::{Group, GroupProtocol, GroupSettings, Topics};
use super::{ConsumeError, Consumer, Rebalance};
use crate::cluster::Cluster;

/// Where reading begins where nothing was committed, or what was committed is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// With the first record that is there.
    Earliest,
    /// With the next record to be written.
    Latest,
    /// Nowhere: [`ConsumeError::NoOffset`].
    Fail,
}

/// Which records of transactions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All.
    ReadUncommitted,
    /// Those of committed ones; and nothing behind one that is still open.
    ReadCommitted,
}

impl Isolation {
    pub(crate) const fn to_wire(self) -> i8 {
        self.hides_aborted() as i8
    }

    pub(super) const fn hides_aborted(self) -> bool {
        matches!(self, Self::ReadCommitted)
    }
}

/// Hears what a group gives and takes.
pub(super) type Listener = Rc<dyn Fn(&Rebalance)>;

/// Settings of a [`Consumer`].
#[derive(Clone)]
#[must_use = "nothing happens before `build`"]
pub struct ConsumerBuilder {
    cluster: Rc<Cluster>,
    group: Option<GroupSettings>,
    names: Vec<String>,
    pattern: Option<String>,
    settings: Settings,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) reset: OffsetReset,
    pub(super) auto_commit: Option<Duration>,
    pub(super) poll_records_max: usize,
    pub(super) fetch: FetchSettings,
    pub(super) listener: Option<Listener>,
}

impl ConsumerBuilder {
    pub(crate) fn new(cluster: Rc<Cluster>) -> Self {
        let fetch = FetchSettings {
            min_bytes: 1,
            max_bytes: 50 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
            max_wait: Duration::from_millis(500),
            isolation: Isolation::ReadUncommitted,
        };
        let settings = Settings {
            reset: OffsetReset::Latest,
            auto_commit: None,
            poll_records_max: 500,
            fetch,
            listener: None,
        };
        Self { cluster, group: None, names: Vec::new(), pattern: None, settings }
    }

    /// The group whose offsets are used, and which shares out what is subscribed to.
    pub fn group(mut self, id: &str) -> Self {
        self.group = Some(GroupSettings {
            id: id.to_owned(),
            instance: None,
            rack: None,
            protocol: GroupProtocol::Classic,
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            server_assignor: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            poll_interval_max: Duration::from_secs(300),
            metadata_age_max: Duration::from_secs(300),
        });
        self
    }

    fn of_group(mut self, set: impl FnOnce(&mut GroupSettings)) -> Self {
        if let Some(group) = &mut self.group {
            set(group);
        }
        self
    }

    /// Topics to share with the group.
    pub fn subscribe<'a>(mut self, topics: impl IntoIterator<Item = &'a str>) -> Self {
        self.names.extend(topics.into_iter().map(str::to_owned));
        self
    }

    /// All topics whose whole name fits a regular expression, also those to come; the coordinator
    /// matches, so this takes [`GroupProtocol::Consumer`].
    pub fn subscribe_pattern(mut self, pattern: &str) -> Self {
        self.pattern = Some(pattern.to_owned());
        self
    }

    /// Which protocol the group speaks. Default: [`GroupProtocol::Classic`]. To be said after
    /// [`Self::group`], as everything about the membership.
    pub fn protocol(self, protocol: GroupProtocol) -> Self {
        self.of_group(|group| group.protocol = protocol)
    }

    /// A name that outlives the process: a restart within the session timeout moves nothing.
    pub fn instance(self, name: &str) -> Self {
        self.of_group(|group| group.instance = Some(name.to_owned()))
    }

    /// Where the consumer runs, for assignments that keep it near the brokers.
    pub fn rack(self, rack: &str) -> Self {
        self.of_group(|group| group.rack = Some(rack.to_owned()))
    }

    /// How a classic group may share out, best first; all of its members must know one of them.
    /// Nobody stops reading what stays theirs if all are cooperative. Default: range, then
    /// cooperative-sticky.
    pub fn assignors(self, assignors: impl IntoIterator<Item = Assignor>) -> Self {
        self.of_group(|group| group.assignors = assignors.into_iter().collect())
    }

    /// How the coordinator shares out: `uniform` or `range`. Default: its own choice.
    pub fn server_assignor(self, name: &str) -> Self {
        self.of_group(|group| group.server_assignor = Some(name.to_owned()))
    }

    /// How long a classic group waits for a silent member. Default: 45 s.
    pub fn session_timeout(self, timeout: Duration) -> Self {
        self.of_group(|group| group.session_timeout = timeout)
    }

    /// How often a member of a classic group is heard of. Default: 3 s.
    pub fn heartbeat_interval(self, interval: Duration) -> Self {
        self.of_group(|group| group.heartbeat_interval = interval)
    }

    /// How long an application may take between two polls before its partitions are given to
    /// others. Default: 5 min.
    pub fn poll_interval_max(self, interval: Duration) -> Self {
        self.of_group(|group| group.poll_interval_max = interval)
    }

    /// How often the leader of a classic group looks for new partitions. Default: 5 min.
    pub fn metadata_age_max(self, age: Duration) -> Self {
        self.of_group(|group| group.metadata_age_max = age)
    }

    /// Where reading begins where nothing was committed. Default: [`OffsetReset::Latest`].
    pub const fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.settings.reset = reset;
        self
    }

    /// Commits what was handed out by earlier polls every so often, before partitions are given
    /// back, and at the end. Default: the application commits.
    pub const fn auto_commit(mut self, every: Duration) -> Self {
        self.settings.auto_commit = Some(every);
        self
    }

    /// Records that one poll hands out at most. Default: 500.
    pub const fn poll_records_max(mut self, count: usize) -> Self {
        self.settings.poll_records_max = count;
        self
    }

    /// Which records of transactions are read. Default: [`Isolation::ReadUncommitted`].
    pub const fn isolation(mut self, isolation: Isolation) -> Self {
        self.settings.fetch.isolation = isolation;
        self
    }

    /// Bytes that a broker collects before it answers, and how long it waits for them at most.
    /// Default: 1 byte, 500 ms.
    pub const fn fetch_wait(mut self, min_bytes: i32, max_wait: Duration) -> Self {
        self.settings.fetch.min_bytes = min_bytes;
        self.settings.fetch.max_wait = max_wait;
        self
    }

    /// Bytes of one answer, and of one partition in it; the first batch may be larger. Default:
    /// 50 MiB and 1 MiB.
    pub const fn fetch_bytes(mut self, all: i32, partition: i32) -> Self {
        self.settings.fetch.max_bytes = all;
        self.settings.fetch.partition_max_bytes = partition;
        self
    }

    /// Hears what the group gives and takes, in the middle of polls.
    pub fn on_rebalance(mut self, listener: impl Fn(&Rebalance) + 'static) -> Self {
        self.settings.listener = Some(Rc::new(listener));
        self
    }

    /// The consumer; if it subscribes, it begins to join its group.
    ///
    /// # Errors
    /// When a topic's name is not legal, or it subscribes without a group.
    pub fn build(self) -> Result<Consumer, ConsumeError> {
        let names = self.names.iter().map(|name| TopicName::parse(name));
        let names: BTreeSet<TopicName> = names.collect::<Result<_, InvalidTopicName>>()?;
        let subscribes = !names.is_empty() || self.pattern.is_some();
        if !subscribes {
            let group = self.group.map(|group| group.id);
            return Ok(Consumer::new(self.cluster, self.settings, group, None));
        }
        let group = self.group.ok_or(ConsumeError::NoGroup)?;
        if self.pattern.is_some() && group.protocol == GroupProtocol::Classic {
            return Err(ConsumeError::PatternInClassicGroup);
        }
        let topics = Topics { names, pattern: self.pattern };
        let id = group.id.clone();
        let joined = Group::join(&self.cluster, group, topics);
        Ok(Consumer::new(self.cluster, self.settings, Some(id), Some(joined)))
    }

    /// A consumer of these partitions, whatever others read.
    ///
    /// # Errors
    /// When it also subscribes.
    pub fn assign(
        self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Consumer, ConsumeError> {
        let mut consumer = self.build()?;
        consumer.assign(partitions)?;
        Ok(consumer)
    }
}

impl std::fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsumerBuilder").field("topics", &self.names).finish_non_exhaustive()
    }
}
