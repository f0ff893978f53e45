//! `kafka-cluster`.

use ottla_client::RegisteredBroker;

use super::columns::{row, widest};
use super::flags::{Command, Flag, Given, Grammar, OptionError, flag, word};
use super::settings::Settings;
use super::{Manner, Tool, ToolError, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-cluster",
    about: "shows the id of a cluster, and its brokers.",
    grammar: Grammar::Commands { shared: &[], commands: &COMMANDS },
    run,
    manner: Manner::Traced,
};

static COMMANDS: [Command; 3] = [
    Command { name: "cluster-id", flags: &FLAGS, about: "shows the id" },
    Command { name: "unregister", flags: &UNREGISTER, about: "not supported" },
    Command { name: "list-endpoints", flags: &ENDPOINTS, about: "lists the brokers" },
];

const SERVER: Flag = word("bootstrap-server", "servers", "Brokers to begin with; required").or('b');
const CONTROLLER: Flag =
    word("bootstrap-controller", "servers", "Not supported: name a broker").or('C');
const CONFIG: Flag = word("config", "file", "As --command-config; deprecated");
const COMMAND_CONFIG: Flag = word("command-config", "file", "Properties of the client").or('c');

static FLAGS: [Flag; 4] = [SERVER, CONTROLLER, CONFIG, COMMAND_CONFIG];

static UNREGISTER: [Flag; 5] =
    [SERVER, CONTROLLER, CONFIG, COMMAND_CONFIG, word("id", "number", "The broker").or('i')];

static ENDPOINTS: [Flag; 5] = [
    SERVER,
    CONTROLLER,
    CONFIG,
    COMMAND_CONFIG,
    flag("include-fenced-brokers", "Those as well that do not serve"),
];

fn run(given: &Given) -> Result<(), ToolError> {
    given.demand_one("bootstrap-server", "bootstrap-controller")?;
    if given.command == "unregister" {
        given.demand("id")?;
        return Err(ToolError::unsupported("kafka-cluster unregister"));
    }
    if given.has("bootstrap-controller") {
        return Err(ToolError::unsupported("--bootstrap-controller"));
    }
    if given.has("config") && given.has("command-config") {
        let told = "--config and --command-config cannot be specified together.";
        return Err(OptionError::argument(told).into());
    }
    if given.has("config") {
        line(
            "Option --config has been deprecated and will be removed in a future version. Use \
             --command-config instead.",
        )?;
    }
    let mut settings =
        Settings::default().read(given, (&["config", "command-config"], &[]), &[])?;
    settings.bootstrap(given)?;
    talk(&settings, async |session, _| {
        let admin = session.admin();
        if given.command == "cluster-id" {
            let id = admin.describe_cluster().await?.id;
            return Ok(line(&format!("Cluster ID: {id}"))?);
        }
        let fenced = given.has("include-fenced-brokers");
        Ok(line(&table(&admin.registered_brokers(fenced).await?))?)
    })
}

fn table(brokers: &[RegisteredBroker]) -> String {
    let rack = |broker: &RegisteredBroker| broker.rack.clone().unwrap_or_else(|| "null".to_owned());
    let racks = brokers.iter().filter_map(|broker| broker.rack.as_deref());
    let width_of_racks = match widest(0, racks) {
        0 => 10,
        width => width,
    };
    let hosts = widest(0, brokers.iter().map(|broker| broker.host.as_str()));
    let widths = [10, hosts, 10, width_of_racks, 10, 15];
    let titles = ["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"];
    let mut text = row(&widths, &titles);
    for broker in brokers {
        let (id, port) = (broker.id.to_string(), broker.port.to_string());
        let state = if broker.is_fenced { "fenced" } else { "unfenced" };
        let cells = [&id, &broker.host, &port, &rack(broker), state, "broker"];
        text.push_str(&format!("\n{}", row(&widths, &cells)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_a_table() {
        let broker = RegisteredBroker {
            id: 1,
            host: "localhost".to_owned(),
            port: 9092,
            rack: None,
            is_fenced: false,
        };
        assert_eq!(
            table(&[broker]),
            "ID         HOST      PORT       RACK       STATE      ENDPOINT_TYPE  \n\
             1          localhost 9092       null       unfenced   broker         "
        );
    }
}
