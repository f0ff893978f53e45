//! `kafka-metadata-quorum`.

use std::collections::BTreeMap;

use ottla_client::{Admin, QuorumDescription, QuorumListener, QuorumReplica};
use ottla_types::{Offset, Timestamp, Uuid};

use super::columns::table;
use super::flags::{Command, Flag, Given, Grammar, flag, word};
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, put, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-metadata-quorum",
    about: "shows how far the nodes of the metadata quorum are.",
    grammar: Grammar::Commands { shared: &SHARED, commands: &COMMANDS },
    run,
    manner: Manner::Traced,
};

static SHARED: [Flag; 3] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("bootstrap-controller", "servers", "Not supported: name a broker"),
    word("command-config", "file", "Properties of the client"),
];

static DESCRIBE: [Flag; 3] = [
    flag("status", "Shows a summary"),
    flag("replication", "Shows each node"),
    flag("human-readable", "Shows how long ago instead of when; with --replication"),
];

static ADD: [Flag; 1] = [flag("dry-run", "Only asks whether it could be done")];

static REMOVE: [Flag; 3] = [
    word("controller-id", "number", "The controller").or('i'),
    word("controller-directory-id", "id", "Its directory").or('d'),
    flag("dry-run", "Only asks whether it could be done"),
];

static COMMANDS: [Command; 3] = [
    Command { name: "describe", flags: &DESCRIBE, about: "shows the quorum" },
    Command { name: "add-controller", flags: &ADD, about: "not supported" },
    Command { name: "remove-controller", flags: &REMOVE, about: "not supported" },
];

fn run(given: &Given) -> Result<(), ToolError> {
    given.demand_one("bootstrap-server", "bootstrap-controller")?;
    if given.has("bootstrap-controller") {
        return Err(ToolError::unsupported("--bootstrap-controller"));
    }
    if given.command != "describe" {
        let what = format!("kafka-metadata-quorum {}", given.command);
        return Err(ToolError::unsupported(&what));
    }
    let (status, replication) = (given.has("status"), given.has("replication"));
    let is_human = given.has("human-readable");
    let refused = match (status, replication) {
        (true, true) => {
            "Only one of --status or --replication should be specified with describe sub-command"
        }
        (false, false) => {
            "One of --status or --replication must be specified with describe sub-command"
        }
        (true, false) if is_human => {
            "The option --human-readable is only supported along with --replication"
        }
        (true, false) | (false, true) => "",
    };
    if !refused.is_empty() {
        return Err(ToolError::terse(refused));
    }
    talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin();
        let quorum = admin.describe_quorum().await?;
        if status {
            return show_status(&admin, &quorum).await;
        }
        let now = is_human.then(|| session.env.clock.wall());
        Ok(put(&replicas(&quorum, now)?)?)
    })
}

fn leader(quorum: &QuorumDescription) -> Result<&QuorumReplica, Thrown> {
    let leader = quorum.voters.iter().find(|voter| Some(voter.id) == quorum.leader);
    leader.ok_or_else(|| Thrown::new("java.util.NoSuchElementException", "No value present"))
}

const fn end(replica: &QuorumReplica) -> i64 {
    match replica.log_end {
        Some(end) => end.get(),
        // Kafka's number for what the leader does not know.
        None => -1,
    }
}

async fn show_status(admin: &Admin, quorum: &QuorumDescription) -> Result<(), ToolError> {
    let id = admin.describe_cluster().await?.id;
    let leader = leader(quorum)?;
    let last = quorum.voters.iter().min_by_key(|voter| end(voter)).unwrap_or(leader);
    let lag_ms = match (leader.caught_up, last.caught_up) {
        _ if last.id == leader.id => 0,
        (Some(leader), Some(last)) => leader.millis() - last.millis(),
        (None, _) | (_, None) => -1,
    };
    line(&format!("ClusterId:              {id}"))?;
    line(&format!("LeaderId:               {}", leader.id))?;
    line(&format!("LeaderEpoch:            {}", quorum.leader_epoch))?;
    let high_watermark = quorum.high_watermark.map_or(-1, Offset::get);
    line(&format!("HighWatermark:          {high_watermark}"))?;
    line(&format!("MaxFollowerLag:         {}", end(leader) - end(last)))?;
    line(&format!("MaxFollowerLagTimeMs:   {lag_ms}"))?;
    line(&format!("CurrentVoters:          {}", nodes(&quorum.voters, &quorum.listeners)))?;
    Ok(line(&format!("CurrentObservers:       {}", nodes(&quorum.observers, &quorum.listeners)))?)
}

/// `[{"id": 1, "directoryId": "...", "endpoints": ["..."]}]`.
fn nodes(replicas: &[QuorumReplica], listeners: &BTreeMap<i32, Vec<QuorumListener>>) -> String {
    let node = |replica: &QuorumReplica| {
        let mut text = format!("{{\"id\": {}", replica.id);
        if replica.directory != Uuid::ZERO {
            text.push_str(&format!(", \"directoryId\": \"{}\"", replica.directory));
        }
        let endpoints: Vec<String> = listeners
            .get(&replica.id)
            .into_iter()
            .flatten()
            .map(|each| format!("\"{}://{}:{}\"", each.name, each.host, each.port))
            .collect();
        if !endpoints.is_empty() {
            text.push_str(&format!(", \"endpoints\": [{}]", endpoints.join(", ")));
        }
        text.push('}');
        text
    };
    format!("[{}]", replicas.iter().map(node).collect::<Vec<_>>().join(", "))
}

/// The table of all nodes; with `now`, how long ago instead of when.
fn replicas(quorum: &QuorumDescription, now: Option<Timestamp>) -> Result<String, Thrown> {
    let leader = leader(quorum)?;
    let time = |time: Option<Timestamp>| match (time, now) {
        (None, _) => "-1".to_owned(),
        (Some(time), None) => time.millis().to_string(),
        (Some(time), Some(now)) => format!("{} ms ago", (now.millis() - time.millis()).max(0)),
    };
    let row = |replica: &QuorumReplica, status: &str| {
        vec![
            replica.id.to_string(),
            replica.directory.to_string(),
            end(replica).to_string(),
            (end(leader) - end(replica)).to_string(),
            time(replica.fetched),
            time(replica.caught_up),
            status.to_owned(),
        ]
    };
    let followers = quorum.voters.iter().filter(|voter| voter.id != leader.id);
    let mut rows = vec![row(leader, "Leader")];
    rows.extend(followers.map(|voter| row(voter, "Follower")));
    rows.extend(quorum.observers.iter().map(|observer| row(observer, "Observer")));
    let titles = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    Ok(table(&titles, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: i32, end: i64) -> QuorumReplica {
        QuorumReplica {
            id,
            directory: Uuid::from_u128(1),
            log_end: Some(Offset::new(end)),
            caught_up: Some(Timestamp::from_millis(90)),
            fetched: None,
        }
    }

    #[test]
    fn nodes_are_shown_with_how_far_they_are() {
        let quorum = QuorumDescription {
            leader: Some(2),
            leader_epoch: 3,
            high_watermark: None,
            voters: vec![replica(1, 7), replica(2, 9)],
            observers: vec![replica(3, 4)],
            listeners: BTreeMap::new(),
        };
        let words = |text: &str| {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(words).collect::<Vec<_>>()
        };
        let told = replicas(&quorum, None).unwrap();
        assert_eq!(
            words(&told)[1..],
            [
                "2 AAAAAAAAAAAAAAAAAAAAAQ 9 0 -1 90 Leader",
                "1 AAAAAAAAAAAAAAAAAAAAAQ 7 2 -1 90 Follower",
                "3 AAAAAAAAAAAAAAAAAAAAAQ 4 5 -1 90 Observer",
            ]
        );
        let told = replicas(&quorum, Some(Timestamp::from_millis(100))).unwrap();
        assert!(told.contains("10 ms ago"), "{told}");
        let nobody = QuorumDescription { leader: None, ..quorum };
        assert!(replicas(&nobody, None).is_err());
    }

    #[test]
    fn nodes_are_named_with_their_endpoints() {
        let listener =
            QuorumListener { name: "CONTROLLER".to_owned(), host: "h".to_owned(), port: 9093 };
        let listeners = BTreeMap::from([(1, vec![listener])]);
        assert_eq!(
            nodes(&[replica(1, 0)], &listeners),
            "[{\"id\": 1, \"directoryId\": \"AAAAAAAAAAAAAAAAAAAAAQ\", \"endpoints\": \
             [\"CONTROLLER://h:9093\"]}]"
        );
        assert_eq!(nodes(&[], &listeners), "[]");
    }
}
