//! Why a cluster does not answer: the cause, and what helps.

use std::time::Duration;

use ottla_client::{CallError, Client, Unreached};
use ottla_env::{Env, Mono};

use super::Session;
use super::address::Place;
use crate::failure::Failure;

/// How long a broker that nobody ever got through to may still be coming.
const GRACE: Duration = Duration::from_millis(1_500);

/// The same where other brokers of the cluster answer: the metadata may change by itself.
const GRACE_AMONG_OTHERS: Duration = Duration::from_secs(15);

/// None of the places to begin with answers as a broker does.
pub(super) fn no_bootstrap(places: &[Place], refused: &[CallError]) -> Failure {
    let mut told: Vec<String> = Vec::new();
    for why in refused {
        let place = places.iter().find(|place| {
            let of = |address| place.addresses.contains(address);
            address_in(why).is_some_and(of)
        });
        let typed = place.map_or("the broker", |place| place.typed.as_str());
        let line = cause(typed, why);
        if !told.contains(&line) {
            told.push(line);
        }
    }
    Failure::told(told.join("\n"))
}

const fn address_in(error: &CallError) -> Option<&std::net::SocketAddr> {
    match error {
        CallError::Connect { address, .. }
        | CallError::Lost { address, .. }
        | CallError::TimedOut { address, .. }
        | CallError::Unsupported { address, .. }
        | CallError::Unsayable { address, .. }
        | CallError::Garbage { address, .. }
        | CallError::Stranger { address, .. } => Some(address),
        CallError::Unresolved { .. } | CallError::NoBootstrap | CallError::UnknownBroker { .. } => {
            None
        }
    }
}

/// One sentence for what happened at `place`, one for what helps.
fn cause(place: &str, error: &CallError) -> String {
    match error {
        CallError::Connect { address, why } if why.contains("refused") => format!(
            "nothing listens at {place} ({address}). Start a node with `ottla`, or say where one \
             is: -b HOST:PORT, or OTTLA_BOOTSTRAP in the environment"
        ),
        CallError::Connect { address, why } if why.starts_with("nothing within") => format!(
            "no answer from {place} ({address}): {why}. The machine is off or unknown here, or a \
             firewall is in between"
        ),
        CallError::Connect { address, why } => {
            format!("{place} ({address}) cannot be reached: {why}")
        }
        CallError::Stranger { speaks, .. } if speaks == "TLS" => format!(
            "{place} wants TLS, which this version does not speak. Use a PLAINTEXT listener of the \
             cluster, if it has one"
        ),
        CallError::Stranger { speaks, .. } => format!(
            "{place} speaks {speaks}: that is no Kafka broker. A broker's port is 9092 unless \
             somebody chose another one"
        ),
        CallError::Lost { .. } => format!(
            "{place} closed the connection instead of answering as a broker does. It is no Kafka \
             broker, or it wants TLS or a password, neither of which this version has"
        ),
        CallError::TimedOut { after, .. } => format!(
            "{place} took the connection and said nothing within {after:?}. It is no Kafka \
             broker, or it wants TLS, or it is very busy (raise \
             socket.connection.setup.timeout.ms with -X)"
        ),
        CallError::Garbage { .. } => {
            format!("{place} does not answer as a Kafka broker does: {error}")
        }
        CallError::Unsupported { .. }
        | CallError::Unsayable { .. }
        | CallError::Unresolved { .. }
        | CallError::NoBootstrap
        | CallError::UnknownBroker { .. } => error.to_string(),
    }
}

/// The commonest mistake of all: the cluster answers, and names addresses that are for others.
pub(crate) fn wrong_address(places: &[Place], unreached: &Unreached) -> String {
    let Unreached { broker, told_by, why, .. } = unreached;
    let typed = places.iter().find(|place| place.addresses.contains(told_by));
    let reached = typed.map_or_else(|| told_by.to_string(), |place| place.typed.clone());
    let because = match why {
        CallError::Unresolved { .. } => "nobody here knows that name".to_owned(),
        CallError::Connect { why, .. } if why.contains("refused") => {
            "nothing listens there".to_owned()
        }
        CallError::Connect { why, .. } => why.clone(),
        CallError::Stranger { speaks, .. } => format!("{speaks} is spoken there"),
        why => why.to_string(),
    };
    let own = reached.rsplit_once(':').map_or(reached.as_str(), |(host, _)| host);
    format!(
        "Reached {reached}, but it told me to use broker {id} at {host}:{port}, which is not \
         reachable from here: {because}.\nThe broker's advertised.listeners is wrong for this \
         client. Fix: set advertised.listeners=PLAINTEXT://{own}:{port}, or another address that \
         this machine can reach, and restart broker {id} (`ottla doctor` tries them all)",
        id = broker.id,
        host = broker.host,
        port = broker.port,
    )
}

/// The failure of a command, in the words of somebody who knows where it was headed.
pub(super) fn explained(session: &Session, failure: Failure) -> Failure {
    let Some(call) = failure.call() else { return failure };
    let unreached = session.client.unreached();
    let concerned = unreached.iter().find(|each| match call {
        CallError::Unresolved { host } => each.broker.host == *host,
        call => each.broker.address.as_ref() == address_in(call),
    });
    match concerned {
        Some(unreached) => Failure::told(wrong_address(&session.places, unreached)),
        None => failure,
    }
}

/// Ends when a broker that the command needs turns out to be out of reach for good: commands try
/// again and again, and would do so in silence.
pub(super) async fn watch(env: &Env, client: &Client, places: &[Place]) -> Failure {
    let mut since: Option<Mono> = None;
    loop {
        env.clock.sleep(Duration::from_millis(250)).await;
        let unreached: Vec<Unreached> =
            client.unreached().into_iter().filter(|each| each.tries > 0).collect();
        let Some(first) = unreached.first() else {
            since = None;
            continue;
        };
        let now = env.clock.mono();
        let noticed = *since.get_or_insert(now);
        let alone = client.known_brokers() == unreached.len();
        let grace = if alone { GRACE } else { GRACE_AMONG_OTHERS };
        if now.since(noticed) >= grace {
            return Failure::told(wrong_address(places, first));
        }
    }
}
