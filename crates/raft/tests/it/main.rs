//! Scripts of one voter's life.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use ottla_raft::{
    ControlRecord, Effect, Endpoint, Event, Identity, LogEnd, QuorumState, RaftNode, Voter,
    VoterSet, Voters,
};
use ottla_testkit::trace::{self, argument};
use ottla_types::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};

#[test]
fn first_start_leads_in_epoch_one() {
    script("first_start");
}

#[test]
fn a_static_quorum_writes_no_voters() {
    script("static_voters");
}

#[test]
fn a_restart_leads_in_a_new_epoch() {
    script("restart");
}

#[test]
fn a_changed_listener_is_written_once() {
    script("changed_listener");
}

#[test]
fn who_cannot_lead_is_told_why() {
    script("not_electable");
}

#[test]
#[should_panic(expected = "cannot happen")]
fn an_append_before_the_election_is_a_bug() {
    let mut node = World::default();
    node.run("format");
    node.run("start");
    node.run("append 1");
}

#[test]
#[should_panic(expected = "but the log ends at")]
fn a_sync_past_the_end_is_a_bug() {
    let mut node = World::default();
    for command in ["format", "start", "campaign", "written", "sync 4"] {
        node.run(command);
    }
}

fn script(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/traces");
    let mut world = World::default();
    trace::check(&path.join(format!("{name}.trace")), |command| world.run(command));
}

/// One voter and its disk.
#[derive(Default)]
struct World {
    node: Option<RaftNode>,
    disk: Disk,
}

struct Disk {
    state: QuorumState,
    voters: Voters,
    end: i64,
    synced: i64,
    epoch: Option<LeaderEpoch>,
}

impl Default for Disk {
    fn default() -> Self {
        let voters = Voters::Configured(VoterSet::new());
        Self { state: QuorumState::NEW, voters, end: 0, synced: 0, epoch: None }
    }
}

impl World {
    fn run(&mut self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let verb = words.next().unwrap();
        let number = words.next().and_then(|word| word.parse::<i64>().ok());
        match verb {
            "format" => self.format(command),
            "start" => self.start(argument(command, "port").map_or(9093, |p| p.parse().unwrap())),
            "crash" => self.crash(),
            "campaign" => self.step(Event::Campaign),
            "written" => self.step(Event::QuorumStateWritten),
            "append" => {
                self.disk.end += number.unwrap();
                self.step(Event::Appended(Offset::new(self.disk.end)))
            }
            "sync" => {
                let end = number.unwrap_or(self.disk.end);
                self.disk.synced = end;
                self.step(Event::Synced(Offset::new(end)))
            }
            other => panic!("no command `{other}`"),
        }
    }

    fn format(&mut self, command: &str) -> String {
        let ids = argument(command, "voters").unwrap_or("1");
        let configured = argument(command, "kraft") == Some("0");
        let directory = argument(command, "directory").map_or(7, |d| d.parse().unwrap());
        let directory = (!configured).then(|| Uuid::from_u128(directory));
        let voter = Voter { directory, endpoints: vec![endpoint(9093)] };
        let id = |text: &str| NodeId::new(text.parse().unwrap());
        let set: VoterSet = ids.split(',').map(|text| (id(text), voter.clone())).collect();
        let voters = if configured { Voters::Configured(set) } else { Voters::Formatted(set) };
        self.disk = Disk { voters, ..Disk::default() };
        String::new()
    }

    fn start(&mut self, port: u16) -> String {
        let identity = Identity {
            node: NodeId::new(1),
            directory: Uuid::from_u128(7),
            endpoints: vec![endpoint(port)],
        };
        let log = LogEnd { offset: Offset::new(self.disk.end), epoch: self.disk.epoch };
        match RaftNode::new(identity, self.disk.state, self.disk.voters.clone(), log) {
            Ok(node) => {
                self.node = Some(node);
                String::new()
            }
            Err(refused) => refused.to_string(),
        }
    }

    /// What was not synced is gone.
    fn crash(&mut self) -> String {
        self.node = None;
        self.disk.end = self.disk.synced;
        if self.disk.end == 0 {
            self.disk.epoch = None;
        }
        String::new()
    }

    fn step(&mut self, event: Event) -> String {
        let node = self.node.as_mut().expect("the node runs");
        let mut out = Vec::new();
        node.step(Timestamp::from_millis(1000), event, &mut out);
        out.into_iter().map(|effect| self.perform(effect)).collect()
    }

    fn perform(&mut self, effect: Effect) -> String {
        match effect {
            Effect::WriteQuorumState(state) => {
                self.disk.state = state;
                let voters = &self.disk.voters;
                format!("quorum-state {}\n", state.to_text(voters.version(), voters.set()))
            }
            Effect::Append(batch) => {
                let records: String = batch.records.iter().map(|r| self.record(r)).collect();
                self.disk.end += i64::try_from(batch.records.len()).unwrap();
                self.disk.epoch = Some(batch.epoch);
                let (epoch, at) = (batch.epoch, batch.timestamp.millis());
                let end = self.step(Event::Appended(Offset::new(self.disk.end)));
                format!("append epoch={epoch} at={at}\n{records}{end}")
            }
            Effect::AdvanceHighWatermark(offset) => format!("high watermark {offset}\n"),
        }
    }

    fn record(&mut self, record: &ControlRecord) -> String {
        match record {
            ControlRecord::LeaderChange { leader, voters, granting } => {
                format!("  leader change: {leader} of {voters:?}, granted by {granting:?}\n")
            }
            ControlRecord::Version(version) => format!("  kraft.version {}\n", version.level()),
            ControlRecord::Voters(set) => {
                let at = Offset::new(self.disk.end + 2);
                self.disk.voters = Voters::Logged { set: set.clone(), at };
                let ports: Vec<_> = set.values().map(|v| v.endpoints[0].port).collect();
                format!("  voters at {at}: {:?} on {ports:?}\n", set.keys())
            }
        }
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port }
}
