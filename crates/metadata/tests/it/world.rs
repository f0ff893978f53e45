//! A controller, its log and the words of the scripts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use ottla_metadata::{
    AlterConfigs, Alteration, Assignment, BrokerConfigError, BrokerConfigs,
    BrokerRegistrationRequest, ConfigChange, ConfigResource, ConfigRule, ConfigSource, Controller,
    ControllerConfig, ControllerRegistrationRequest, CreatePartitions, CreateTopics, CreatedTopic,
    DeleteTopics, ElectLeaders, Election, Endpoint, FeatureUpdate, GroupConfigLimits,
    MetadataDelta, MetadataReplay, MorePartitions, NewTopic, Outcome, PartitionChange, Record,
    TopicConfig, TopicSelector, UpdateFeatures, UpgradeType,
};
use ottla_testkit::trace::argument;
use ottla_types::{LeaderEpoch, NodeId, Offset, PartitionId, TopicId, TopicName, Uuid};

use crate::text;

pub(crate) struct World {
    controller: Controller,
    replay: MetadataReplay,
    epoch: LeaderEpoch,
    drawn: u128,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = ControllerConfig {
            partitions: 1,
            replication_factor: 1,
            topic_defaults: TopicConfig { max_message_bytes: 2_000_000, ..TopicConfig::KAFKA },
            group_limits: GroupConfigLimits::KAFKA,
        };
        Self {
            controller: Controller::new(config),
            replay: MetadataReplay::new("cluster"),
            epoch: LeaderEpoch::new(1),
            drawn: 1_000,
        }
    }

    pub(crate) fn run(&mut self, command: &str) -> String {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "activate" => self.activate(),
            "register" => self.register(rest),
            "unfence" => self.append(&Controller::unfence_broker(self.image(), node(rest))),
            "fence" => {
                let record = Controller::fence_broker(self.image(), node(rest));
                self.append(record.as_slice())
            }
            "create" => self.create(rest),
            "delete" => self.delete(rest),
            "grow" => self.grow(rest),
            "elect" => self.elect(rest),
            "features" => self.features(rest),
            "alter" => self.alter(rest),
            "producer-ids" => self.producer_ids(rest),
            "image" => text::of_image(self.image()),
            "apache" => self.apache(rest.parse().unwrap()),
            "record" => self.record(rest),
            other => panic!("no command `{other}`"),
        }
    }

    fn image(&self) -> &ottla_metadata::MetadataImage {
        self.replay.image()
    }

    fn end(&self) -> Offset {
        self.image().end()
    }

    /// What a host does: append, replay, publish.
    fn append(&mut self, records: &[Record]) -> String {
        let mut said = String::new();
        let mut offset = self.end();
        for record in records {
            writeln!(said, "{offset} {}", text::of_record(record)).unwrap();
            if let Err(error) = self.replay.record(offset, record) {
                writeln!(said, "refused: {error}").unwrap();
                return said;
            }
            offset = offset.next();
        }
        let (delta, _) = self.replay.take(offset, self.epoch);
        said.push_str(&of_delta(&delta));
        said
    }

    fn activate(&mut self) -> String {
        self.replay.leader_change(NodeId::new(1));
        let open = self.replay.open_transaction();
        let bootstrap = Controller::bootstrap_records();
        let mut said = self.append(&Controller::activation_records(self.image(), open, &bootstrap));
        let request = ControllerRegistrationRequest {
            id: NodeId::new(1),
            incarnation: self.draw(),
            endpoints: vec![endpoint("CONTROLLER", 9093)],
        };
        let record = Controller::register_controller(self.image(), &request);
        said.push_str(&self.append(record.as_slice()));
        said
    }

    fn register(&mut self, command: &str) -> String {
        let directories = argument(command, "directories").unwrap_or("200");
        let directories =
            directories.split(',').filter(|d| !d.is_empty()).map(|d| uuid(d.parse().unwrap()));
        let request = BrokerRegistrationRequest {
            id: node(command.split(' ').next().unwrap()),
            incarnation: self.draw(),
            endpoints: vec![endpoint("PLAINTEXT", 9092)],
            rack: None,
            directories: directories.collect(),
        };
        match Controller::register_broker(self.image(), &request, self.end()) {
            Ok(outcome) => {
                let said = self.append(&outcome.records);
                assert_eq!(self.image().broker(request.id).unwrap().epoch, outcome.response);
                said
            }
            Err(error) => format!("refused: {error}"),
        }
    }

    fn create(&mut self, request: &str) -> String {
        let topics = request.split(" + ").map(new_topic).collect();
        let validate_only = request.split(' ').any(|word| word == "validate");
        let request = CreateTopics { topics, validate_only };
        let mut drawn = self.drawn;
        let mut draw = || {
            drawn += 1;
            uuid(drawn)
        };
        let Outcome { records, response } =
            self.controller.create_topics(self.replay.image(), &request, &mut draw);
        self.drawn = drawn;
        let mut said = self.append(&records);
        for topic in response {
            let outcome = match topic.outcome {
                Ok(created) => of_created(&created),
                Err(refused) => format!("refused: {refused}"),
            };
            writeln!(said, "{:?} {outcome}", topic.name).unwrap();
        }
        said
    }

    fn delete(&mut self, request: &str) -> String {
        let request = DeleteTopics { topics: request.split(' ').map(selector).collect() };
        let Outcome { records, response } = Controller::delete_topics(self.image(), &request);
        let mut said = self.append(&records);
        for topic in response {
            let outcome = match topic.outcome {
                Ok(()) => "goes".to_owned(),
                Err(refused) => format!("refused: {refused}"),
            };
            writeln!(said, "{:?} {:?} {outcome}", topic.name, topic.id).unwrap();
        }
        said
    }

    /// `alter KIND:NAME CHANGE...`, resources parted by ` + `; a change is `=name=value`,
    /// `-name`, `+name=items` or `~name=items`; without a sign, the properties are replaced.
    fn alter(&mut self, request: &str) -> String {
        let validate_only = request.split(' ').any(|word| word == "validate");
        let resources = request.split(" + ").map(altered).collect();
        let request = AlterConfigs { resources, validate_only };
        let Outcome { records, response } =
            self.controller.alter_configs(self.replay.image(), &request, &Brokers);
        let mut said = self.append(&records);
        for ((resource, _), outcome) in request.resources.iter().zip(response) {
            let resource = text::of_resource(resource);
            match outcome {
                Ok(()) => writeln!(said, "{resource} altered").unwrap(),
                Err(refused) => writeln!(said, "{resource} refused: {refused}").unwrap(),
            }
        }
        said
    }

    fn grow(&mut self, request: &str) -> String {
        let topics = request.split(" + ").map(more_partitions).collect();
        let validate_only = request.split(' ').any(|word| word == "validate");
        let request = CreatePartitions { topics, validate_only };
        let Outcome { records, response } = Controller::create_partitions(self.image(), &request);
        // Thousands of records are not for a reader.
        let mut said = match records.len() {
            0..10 => self.append(&records),
            many => format!("{many} records\n"),
        };
        for topic in response {
            let outcome = match topic.outcome {
                Ok(()) => "grows".to_owned(),
                Err(refused) => format!("refused: {refused}"),
            };
            writeln!(said, "{:?} {outcome}", topic.name).unwrap();
        }
        said
    }

    fn elect(&mut self, request: &str) -> String {
        let (kind, rest) = request.split_once(' ').unwrap_or((request, ""));
        let election = match kind {
            "preferred" => Election::Preferred,
            "unclean" => Election::Unclean,
            other => panic!("no election `{other}`"),
        };
        let named = |word: &str| {
            let (topic, partitions) = word.split_once('=').unwrap();
            (topic.to_owned(), partitions.split(',').map(|p| p.parse().unwrap()).collect())
        };
        let partitions = (!rest.is_empty()).then(|| rest.split(' ').map(named).collect());
        let request = ElectLeaders { election, partitions };
        let Outcome { records, response } = Controller::elect_leaders(self.image(), &request);
        let mut said = self.append(&records);
        for topic in response {
            writeln!(said, "{:?}", topic.topic).unwrap();
            for (partition, outcome) in topic.partitions {
                let outcome = match outcome {
                    Ok(()) => "elected".to_owned(),
                    Err(refused) => format!("refused: {refused}"),
                };
                writeln!(said, "  {partition} {outcome}").unwrap();
            }
        }
        said
    }

    fn features(&mut self, request: &str) -> String {
        let validate_only = request.split(' ').any(|word| word == "validate");
        let updates = request.split(' ').filter_map(|word| word.split_once('='));
        let updates = updates.map(|(feature, change)| {
            let (level, kind) = change.split_once(',').unwrap_or((change, "up"));
            let kind = match kind {
                "up" => Some(UpgradeType::Upgrade),
                "safe" => Some(UpgradeType::SafeDowngrade),
                "unsafe" => Some(UpgradeType::UnsafeDowngrade),
                _ => None,
            };
            FeatureUpdate { feature: feature.to_owned(), level: level.parse().unwrap(), kind }
        });
        let request = UpdateFeatures { updates: updates.collect(), validate_only };
        match Controller::update_features(self.image(), NodeId::new(1), &request) {
            Ok(Outcome { records, .. }) => format!("{}agreed", self.append(&records)),
            Err(refused) => format!("refused: {refused}"),
        }
    }

    fn producer_ids(&mut self, command: &str) -> String {
        let epoch = self.image().broker(NodeId::new(1)).map(|broker| broker.epoch.get());
        let epoch = argument(command, "epoch").map(|e| e.parse().unwrap()).or(epoch).unwrap_or(0);
        let epoch = ottla_types::BrokerEpoch::new(epoch);
        match Controller::allocate_producer_ids(self.image(), NodeId::new(1), epoch) {
            Ok(Outcome { records, response }) => {
                let said = self.append(&records);
                format!("{said}{} from {}", response.count, response.first)
            }
            Err(error) => format!("refused: {error}"),
        }
    }

    /// The n-th of the records of Apache Kafka, counted from 1.
    fn apache(&mut self, nth: usize) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors");
        let vectors = std::fs::read_to_string(path.join("apache_4_3_records.hex")).unwrap();
        let line = vectors.lines().filter(|line| !line.starts_with('#')).nth(nth - 1).unwrap();
        let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
        self.append(&[Record::decode(&bytes).unwrap()])
    }

    fn record(&mut self, command: &str) -> String {
        let (kind, rest) = command.split_once(' ').unwrap_or((command, ""));
        let id = |key| uuid(argument(rest, key).map_or(1, |text| text.parse().unwrap()));
        self.append(&[match kind {
            "begin" => Record::BeginTransaction { name: rest.into() },
            "end" => Record::EndTransaction,
            "abort" => Record::AbortTransaction { reason: rest.into() },
            "topic" => Record::Topic {
                name: TopicName::parse(argument(rest, "name").unwrap()).unwrap(),
                id: id("id"),
            },
            "remove" => Record::RemoveTopic { id: id("id") },
            "change" => Record::PartitionChange(partition_change(id("id"), rest)),
            "kraft-version" => {
                self.replay.kraft_version(rest.parse().unwrap());
                return self.append(&[]);
            }
            "feature" => Record::FeatureLevel {
                name: argument(rest, "name").unwrap().into(),
                level: argument(rest, "level").unwrap().parse().unwrap(),
            },
            "producer-ids" => Record::ProducerIds {
                by: Some((NodeId::new(1), ottla_types::BrokerEpoch::ZERO)),
                next: ottla_types::ProducerId::new(rest.parse().unwrap()),
            },
            "unregister" => Record::UnregisterBroker {
                broker: NodeId::new(1),
                epoch: ottla_types::BrokerEpoch::new(rest.parse().unwrap()),
            },
            "config" => Record::Config {
                resource: ConfigResource::Topic(
                    TopicName::parse(argument(rest, "topic").unwrap()).unwrap(),
                ),
                name: argument(rest, "name").unwrap().into(),
                value: argument(rest, "value").map(str::to_owned),
            },
            "clear-elr" => Record::ClearElr { topic: TopicName::parse(rest).ok() },
            other => panic!("no record `{other}`"),
        }])
    }

    fn draw(&mut self) -> Uuid {
        self.drawn += 1;
        uuid(self.drawn)
    }
}

fn of_delta(delta: &MetadataDelta) -> String {
    let mut said = String::new();
    for topic in delta.topics() {
        let created = if topic.created { " created" } else { "" };
        let configs = if topic.configs_changed { " configs" } else { "" };
        let name = &topic.topic.name;
        writeln!(said, "-> {name}{created}{configs} {:?}", topic.partitions).unwrap();
    }
    for resource in delta.configured() {
        writeln!(said, "-> {} configs", text::of_resource(resource)).unwrap();
    }
    for topic in delta.removed_topics() {
        writeln!(said, "-> {} removed", topic.name).unwrap();
    }
    said
}

fn of_created(created: &CreatedTopic) -> String {
    let set = created.configs.iter().filter(|config| config.source != ConfigSource::Default);
    let set: Vec<_> = set.map(|c| format!("{}={} ({:?})", c.name, c.value, c.source)).collect();
    format!(
        "comes: {} {}x{}, {} configs, {}",
        created.id,
        created.partitions,
        created.replication_factor,
        created.configs.len(),
        set.join(" ")
    )
}

fn new_topic(text: &str) -> NewTopic {
    let mut topic =
        NewTopic { name: text.split(' ').next().unwrap().into(), ..NewTopic::default() };
    topic.name = topic.name.replace('~', " ");
    topic.partitions = argument(text, "partitions").map(|p| p.parse().unwrap());
    topic.replication_factor = argument(text, "factor").map(|f| f.parse().unwrap());
    for (key, value) in text.split(' ').filter_map(|word| word.split_once('=')) {
        if let Some(partition) = key.strip_prefix("on.") {
            let brokers = value.split(',').filter(|b| !b.is_empty()).map(|b| b.parse().unwrap());
            let partition = partition.parse().unwrap();
            topic.assignments.push(Assignment { partition, brokers: brokers.collect() });
        }
        if let Some(property) = key.strip_prefix("config.") {
            let value = (value != "null").then(|| value.to_owned());
            topic.configs.push((property.to_owned(), value));
        }
    }
    topic
}

/// The properties of brokers, as far as the scripts need some.
struct Brokers;

impl BrokerConfigs for Brokers {
    fn property(&self, name: &str) -> Option<(ConfigRule, Option<&'static str>)> {
        const POLICIES: &[&str] = &["compact", "delete"];
        match name {
            "log.cleanup.policy" => {
                Some((ConfigRule::List { words: POLICIES, served: POLICIES }, Some("delete")))
            }
            "min.insync.replicas" => Some((ConfigRule::Int { min: 1, max: i32::MAX }, Some("1"))),
            _ => None,
        }
    }

    fn check(
        &self,
        _: Option<NodeId>,
        changed: &BTreeMap<String, String>,
    ) -> Result<(), BrokerConfigError> {
        let unknown = changed.keys().find(|name| self.property(name).is_none());
        unknown.map_or(Ok(()), |name| Err(BrokerConfigError::Unknown { name: name.clone() }))
    }
}

fn altered(text: &str) -> (ConfigResource, Alteration) {
    let mut words = text.split(' ').filter(|word| *word != "validate");
    let (kind, name) = words.next().unwrap().split_once(':').unwrap();
    let resource = match kind {
        "topic" => ConfigResource::Topic(TopicName::parse(name).unwrap()),
        "broker" => ConfigResource::Broker((!name.is_empty()).then(|| node(name))),
        "group" => ConfigResource::Group(name.to_owned()),
        other => panic!("no kind `{other}`"),
    };
    let words: Vec<&str> = words.collect();
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    let change = |word: &&str| {
        let (name, value) = pair(&word[1..]);
        let change = match &word[..1] {
            "=" => ConfigChange::Set(value),
            "-" => ConfigChange::Delete,
            "+" => ConfigChange::Append(value),
            "~" => ConfigChange::Subtract(value),
            other => panic!("no sign `{other}`"),
        };
        (name, change)
    };
    let alteration = if words.iter().all(|word| word.starts_with(char::is_alphabetic)) {
        Alteration::Replace(words.iter().map(|word| pair(word)).collect())
    } else {
        Alteration::Change(words.iter().map(change).collect())
    };
    (resource, alteration)
}

fn more_partitions(text: &str) -> MorePartitions {
    let brokers = |list: &str| {
        list.split(',').filter(|b| !b.is_empty()).map(|b| b.parse().unwrap()).collect()
    };
    let assignments = argument(text, "on").map(|all| match all {
        "none" => Vec::new(),
        all => all.split('/').map(brokers).collect(),
    });
    MorePartitions {
        name: text.split(' ').next().unwrap().into(),
        count: argument(text, "count").unwrap().parse().unwrap(),
        assignments,
    }
}

/// A change of a leader or of lists of brokers; `none` where there is nobody.
fn partition_change(topic: TopicId, text: &str) -> PartitionChange {
    let nodes = |key| {
        argument(text, key).map(|list| match list {
            "none" => Vec::new(),
            list => list.split(',').map(node).collect(),
        })
    };
    let partition = PartitionId::new(argument(text, "partition").unwrap().parse().unwrap());
    PartitionChange {
        leader: nodes("leader").map(|leader| leader.first().copied()),
        isr: nodes("isr"),
        elr: nodes("elr"),
        ..PartitionChange::of(topic, partition)
    }
}

fn selector(word: &str) -> TopicSelector {
    let id = |text: &str| uuid(text.parse().unwrap());
    match word.split_once('@') {
        None => TopicSelector::Name(word.to_owned()),
        Some(("", "")) => TopicSelector::Neither,
        Some(("", number)) => TopicSelector::Id(id(number)),
        Some((name, number)) => TopicSelector::Both(name.to_owned(), id(number)),
    }
}

fn uuid(number: u128) -> TopicId {
    Uuid::from_u128(number)
}

fn node(text: &str) -> NodeId {
    NodeId::new(text.parse().unwrap())
}

fn endpoint(listener: &str, port: u16) -> Endpoint {
    Endpoint { listener: listener.into(), host: "127.0.0.1".into(), port, security_protocol: 0 }
}
