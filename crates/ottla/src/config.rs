//! `ottla config`: what a node would be, and what it could be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ottla_broker::{Effective, NodeConfig, escape_value, reference};

use crate::given::{Given, Mistakes, Sources};

const EXAMPLES: &str = "\
Examples:
  ottla config
  ottla config --all > server.properties
  ottla config --config server.properties --all
  ottla config describe topic hello";

/// Prints the properties that a node would be started with, as a file for `ottla server --config`.
/// With a command: lists, shows and changes those of a running cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<crate::settings::Command>,

    #[command(flatten)]
    given: Sources,

    /// The defaults, too, as comments: they hold where nobody says anything.
    #[arg(long)]
    all: bool,

    /// Every property there is, with what it means, as Markdown.
    #[arg(long, conflicts_with_all = ["all", "config", "overrides"])]
    reference: bool,
}

/// What is to be printed.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Mistakes> {
    if arguments.reference {
        return Ok(reference());
    }
    crate::server::say_warnings();
    let given = arguments.given.read();
    let config = given.config()?;
    Ok(print(&given, &config, arguments.all))
}

/// Property by property, under the place that says it; what counts least first.
fn print(given: &Given, config: &NodeConfig, all: bool) -> String {
    let mut by_place: BTreeMap<Option<&str>, Vec<&Effective>> = BTreeMap::new();
    for effective in &config.effective {
        let names = [Some(effective.property.name()), effective.property.synonym()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        by_place.entry(given.place_of(&names)).or_default().push(effective);
    }
    let mut text = String::new();
    let places = given.layers.iter().map(|layer| layer.place.as_str());
    for place in places {
        if let Some(said) = by_place.get(&Some(place)) {
            section(&mut text, &format!("From {place}:"), said, false);
        }
    }
    if let Some(defaults) = by_place.get(&None).filter(|_| all) {
        section(&mut text, "Defaults:", defaults, true);
    }
    text
}

fn section(text: &mut String, title: &str, said: &[&Effective], is_default: bool) {
    if !text.is_empty() {
        text.push('\n');
    }
    let mut line = |line: &str| writeln!(text, "{line}").expect("a String takes everything");
    line(&format!("# {title}"));
    for effective in said {
        let property = effective.property;
        match &effective.value {
            _ if is_default && property.is_internal() => {}
            Some(_) if property.is_sensitive() => line(&format!("# {} is set", property.name())),
            // To say a default is more than to say nothing: nodes tell the two apart, and the page
            // is to be the configuration that it was printed from.
            Some(value) if is_default => line(&format!("# {}={value}", property.name())),
            Some(value) => line(&format!("{}={}", property.name(), escape_value(value))),
            None => line(&format!("# {} is not set", property.name())),
        }
    }
}
