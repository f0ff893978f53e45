//! From a command line to a cluster that answers, or to the reason why none does.

mod address;
pub(crate) mod explain;
pub(crate) mod profile;
pub(crate) mod properties;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use ottla_client::{Admin, Client};
use ottla_env::{Env, First, first};
use ottla_runtime::RealEnv;

use crate::failure::Failure;
use address::Place;
use properties::ClientProperties;

/// Where a cluster is, and how to behave towards it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Reach {
    /// Brokers to begin with [default: $OTTLA_BOOTSTRAP, $KAFKA_BOOTSTRAP_SERVERS, the profile's,
    /// localhost:9092]
    #[arg(short, long, global = true, value_name = "HOST:PORT,...", help_heading = "Cluster")]
    bootstrap: Option<String>,

    /// A property of Kafka's clients, as request.timeout.ms=5000; `-X list` shows all
    #[arg(
        short = 'X',
        long = "property",
        global = true,
        value_name = "NAME=VALUE",
        help_heading = "Cluster"
    )]
    pairs: Vec<String>,

    /// A profile other than the one in use: see `ottla profile`
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    profile: Option<String>,
}

/// A cluster that has answered, and what a command may do with it.
pub(crate) struct Session {
    pub(crate) env: Env,
    pub(crate) client: Client,
    pub(crate) properties: ClientProperties,
    pub(crate) places: Vec<Place>,
}

impl Session {
    pub(crate) fn admin(&self) -> Admin {
        self.client.admin().timeout(self.properties.admin_timeout())
    }
}

impl Reach {
    /// What was said in front of a command, where the command itself says nothing else.
    pub(crate) fn or(self, before: &Self) -> Self {
        let mut pairs = before.pairs.clone();
        pairs.extend(self.pairs);
        Self {
            bootstrap: self.bootstrap.or_else(|| before.bootstrap.clone()),
            pairs,
            profile: self.profile.or_else(|| before.profile.clone()),
        }
    }

    /// What the words of an unfinished command line say of a cluster.
    pub(crate) fn typed(words: &[String]) -> Self {
        let (mut reach, mut words) = (Self::default(), words.iter());
        while let Some(word) = words.next() {
            let of = |long: &str, short: &str| {
                if word == long || word == short {
                    return words.clone().next().cloned();
                }
                let joined = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
                let short = || word.strip_prefix(short).filter(|_| !word.starts_with("--"));
                joined.or_else(short).map(str::to_owned)
            };
            if let Some(list) = of("--bootstrap", "-b") {
                reach.bootstrap = Some(list);
            } else if let Some(pair) = of("--property", "-X") {
                reach.pairs.push(pair);
            } else if word == "--profile" {
                reach.profile = words.next().cloned();
            }
        }
        reach
    }

    /// Said by somebody else than clap.
    pub(crate) const fn of(bootstrap: Option<String>, pairs: Vec<String>) -> Self {
        Self { bootstrap, pairs, profile: None }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bootstrap.is_none() && self.pairs.is_empty() && self.profile.is_none()
    }

    /// Whether the properties are asked for instead of set.
    fn asks_for_list(&self) -> bool {
        self.pairs.iter().any(|each| each == "list" || each == "help")
    }

    /// Everything that was said of the client, the nearest word counting most.
    pub(crate) fn client_properties(&self) -> Result<ClientProperties, Failure> {
        let mut properties = ClientProperties::default();
        let told = |why: String| Failure::usage(why);
        for (name, value) in profile::chosen(self.profile.as_deref())? {
            properties.set(&name, &value).map_err(told)?;
        }
        let from_environment = || {
            let names = ["OTTLA_BOOTSTRAP", "KAFKA_BOOTSTRAP_SERVERS"];
            let said = names.into_iter().filter_map(|name| std::env::var(name).ok());
            said.map(|list| list.trim().to_owned()).find(|list| !list.is_empty())
        };
        // A profile that is named on the command line means its brokers.
        let named = self.profile.is_some() && properties.bootstrap.is_some();
        if let Some(list) = from_environment().filter(|_| !named) {
            properties.bootstrap = Some(list);
        }
        for pair in &self.pairs {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Failure::usage(format!(
                    "-X takes NAME=VALUE, and `{pair}` is not: write, for example, \
                     request.timeout.ms=5000"
                ))
            })?;
            properties.set(name.trim(), value.trim()).map_err(told)?;
        }
        if let Some(list) = &self.bootstrap {
            properties.bootstrap = Some(list.clone());
        }
        Ok(properties)
    }
}

/// Runs a command against the cluster that was named; its exit code.
pub(crate) fn run(
    reach: &Reach,
    command: impl AsyncFnOnce(&Session) -> Result<(), Failure>,
) -> ExitCode {
    let ended = if reach.asks_for_list() { list_properties() } else { perform(reach, command) };
    ended.map_or_else(|failure| failure.end(), |()| ExitCode::SUCCESS)
}

/// As [`run`], for commands that wait for a cluster which may not be there yet.
pub(crate) fn run_patiently(
    reach: &Reach,
    command: impl AsyncFnOnce(&Session) -> Result<(), Failure>,
) -> ExitCode {
    let perform = || -> Result<(), Failure> {
        let properties = reach.client_properties()?;
        let ran = RealEnv::start(NonZeroUsize::MIN, |env| async move {
            let session = open(env, properties)?;
            let ended = command(&session).await;
            ended.map_err(|failure| explain::explained(&session, failure))
        });
        ran.map_err(|error| Failure::told(format!("the event loop cannot start: {error}")))?
    };
    perform().map_or_else(|failure| failure.end(), |()| ExitCode::SUCCESS)
}

fn list_properties() -> Result<(), Failure> {
    use crate::show::{Answer, Cell, Column, Format, Table, print};
    const COLUMNS: &[Column] = &[Column::text("PROPERTY", "name"), Column::text("TAKES", "takes")];
    let mut table = Table::new(COLUMNS);
    for each in properties::PROPERTIES {
        table.row([Cell::text(each.name), Cell::text(each.takes)]);
    }
    Ok(print("client-properties", &Answer::Table(table), Format::or_default(None))?)
}

fn perform(
    reach: &Reach,
    command: impl AsyncFnOnce(&Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    with(reach.client_properties()?, command)
}

/// As [`run`], for those who have the properties already and say themselves how it ended.
pub(crate) fn with(
    properties: ClientProperties,
    command: impl AsyncFnOnce(&Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let ran = RealEnv::start(NonZeroUsize::MIN, |env| async move {
        let session = open(env, properties)?;
        greet(&session).await?;
        guarded(&session, command).await
    });
    ran.map_err(|error| Failure::told(format!("the event loop cannot start: {error}")))?
}

/// A client of the cluster that the properties name. Nobody was asked yet.
pub(crate) fn open(env: Env, properties: ClientProperties) -> Result<Session, Failure> {
    let list = properties.bootstrap.as_deref().unwrap_or("localhost:9092");
    let places = address::places(list).map_err(Failure::told)?;
    let mut builder = properties.client(Client::builder(env.clone()));
    for address in places.iter().flat_map(|place| &place.addresses) {
        builder = builder.bootstrap(*address);
    }
    let client = builder.resolver(address::resolver()).build();
    Ok(Session { env, client, properties, places })
}

/// Finds out whether anybody answers, before something waits for it.
pub(crate) async fn greet(session: &Session) -> Result<(), Failure> {
    let reached = session.client.reach().await;
    reached.map(drop).map_err(|refused| explain::no_bootstrap(&session.places, &refused))
}

/// Runs a command, and ends it when it could only wait for ever.
async fn guarded(
    session: &Session,
    command: impl AsyncFnOnce(&Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let watch = explain::watch(&session.env, &session.client, &session.places);
    let ended = match first(command(session), watch).await {
        First::Left(ended) => ended,
        First::Right(why) => Err(why),
    };
    ended.map_err(|failure| explain::explained(session, failure))
}

#[cfg(test)]
mod tests {
    use super::Reach;

    #[test]
    fn unfinished_command_lines_name_their_cluster() {
        for (line, bootstrap, profile) in [
            ("ottla topic describe o", None, None),
            ("ottla -b a:1 topic describe o", Some("a:1"), None),
            ("ottla topic describe -ba:1 o", Some("a:1"), None),
            ("ottla topic describe --bootstrap=a:1 --profile p o", Some("a:1"), Some("p")),
            ("ottla topic describe --bootstrap a:1 -b", Some("a:1"), None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let reach = Reach::typed(&words);
            assert_eq!(reach.bootstrap.as_deref(), bootstrap, "{line}");
            assert_eq!(reach.profile.as_deref(), profile, "{line}");
        }
    }
}
