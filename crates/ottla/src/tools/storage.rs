//! `kafka-storage`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ottla_broker::{Formatted, IdentityError, NodeConfig, Properties, format_folder};
use ottla_runtime::RealEnv;

use super::flags::{Command, Flag, Given, Grammar, flag, word};
use super::levels;
use super::settings::{properties_of, read_file};
use super::{Manner, Tool, ToolError, line};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-storage",
    about: "makes the folder of a node ready, and says what is in it.",
    grammar: Grammar::Commands { shared: &[], commands: &COMMANDS },
    run,
    manner: Manner::Plain,
};

const CONFIG: Flag = word("config", "file", "The configuration of the node; required").or('c');
const RELEASE: Flag = word("release-version", "release", "4.3, which is what there is").or('r');

static INFO: [Flag; 1] = [CONFIG];
static FORMAT: [Flag; 9] = [
    CONFIG,
    word("cluster-id", "id", "The id of the cluster; required").or('t'),
    word("add-scram", "credential", "Not supported").or('S'),
    flag("ignore-formatted", "Leaves a folder as it is that is ready").or('g'),
    RELEASE,
    word("feature", "name=level", "Only levels that a new node has anyway").or('f'),
    flag("standalone", "The node is the only controller").or('s'),
    flag("no-initial-controllers", "The controllers are named elsewhere; not supported").or('N'),
    word("initial-controllers", "list", "Not supported").or('I'),
];
static MAPPING: [Flag; 1] = [RELEASE];
static DEPENDENCIES: [Flag; 1] = [word("feature", "name=level", "A feature").or('f')];

static COMMANDS: [Command; 5] = [
    Command { name: "info", flags: &INFO, about: "says what is in the folder" },
    Command { name: "format", flags: &FORMAT, about: "makes the folder ready" },
    Command { name: "version-mapping", flags: &MAPPING, about: "shows the levels of a release" },
    Command { name: "feature-dependencies", flags: &DEPENDENCIES, about: "shows what they need" },
    Command { name: "random-uuid", flags: &[], about: "shows an id that nobody has" },
];

/// The levels of features that the node itself begins with.
const OWN_LEVELS: [(&str, i16); 3] =
    [(levels::METADATA_VERSION, 30), ("kraft.version", 1), ("group.version", 1)];

fn run(given: &Given) -> Result<(), ToolError> {
    match given.command {
        "info" => info(given),
        "format" => format(given),
        "version-mapping" => {
            let release = given.word("release-version")?.unwrap_or(levels::LATEST);
            told(levels::mapping(release))
        }
        "feature-dependencies" => {
            given.demand("feature")?;
            for feature in given.words("feature") {
                let (name, level) = levels::name_and_level(feature).map_err(ToolError::Terse)?;
                told(levels::dependencies(&name, level))?;
            }
            Ok(())
        }
        _ => random_uuid(),
    }
}

fn told(lines: Result<Vec<String>, String>) -> Result<(), ToolError> {
    for each in lines.map_err(ToolError::Terse)? {
        line(&each)?;
    }
    Ok(())
}

fn no_loop(why: &std::io::Error) -> ToolError {
    ToolError::terse(format!("the event loop cannot start: {why}"))
}

fn random_uuid() -> Result<(), ToolError> {
    let drawn = RealEnv::start(NonZeroUsize::MIN, |env| async move {
        loop {
            let id = env.rng.uuid().to_string();
            // Kafka's own draws again, so that no id looks like an option.
            if !id.starts_with('-') {
                return id;
            }
        }
    });
    Ok(line(&drawn.map_err(|why| no_loop(&why))?)?)
}

/// The configuration of the node, with the cluster id that was named.
fn config_of(given: &Given, cluster_id: Option<&str>) -> Result<NodeConfig, ToolError> {
    let properties: Properties = properties_of(given.demand("config")?)?.into_iter().collect();
    let parsed = NodeConfig::parse(&properties, cluster_id.map(str::to_owned));
    let mut config = parsed.map_err(|wrong| {
        let mistakes: Vec<String> = wrong.mistakes.iter().map(ToString::to_string).collect();
        ToolError::Terse(mistakes.join("\n"))
    })?;
    config.log_dir = std::path::absolute(&config.log_dir).unwrap_or(config.log_dir);
    Ok(config)
}

fn check_format(given: &Given, config: &NodeConfig) -> Result<(), ToolError> {
    for option in ["add-scram", "initial-controllers", "no-initial-controllers"] {
        if given.has(option) {
            return Err(ToolError::unsupported(&format!("--{option}")));
        }
    }
    let is_standalone = given.has("standalone");
    if config.quorum_voters.is_some() && is_standalone {
        return Err(ToolError::terse(
            "You cannot specify controller.quorum.voters and format the node with \
             --initial-controllers or --standalone. If you want to use dynamic quorum, please \
             remove controller.quorum.voters and specify controller.quorum.bootstrap.servers \
             instead.",
        ));
    }
    if config.quorum_voters.is_none() && !is_standalone {
        return Err(ToolError::terse(
            "Because controller.quorum.voters is not set on this controller, you must specify one \
             of the following: --standalone, --initial-controllers, or --no-initial-controllers.",
        ));
    }
    if let Some(release) = given.word("release-version")? {
        let level = levels::level_of(release).map_err(ToolError::Terse)?;
        if level != OWN_LEVELS[0].1 {
            return Err(ToolError::unsupported(&format!("--release-version {release}")));
        }
    }
    for feature in given.words("feature") {
        let (name, level) = levels::name_and_level(feature).map_err(ToolError::Terse)?;
        let own = OWN_LEVELS.iter().find(|(own, _)| *own == name).map_or(0, |(_, level)| *level);
        if level != own {
            return Err(ToolError::unsupported(&format!("--feature {name}={level}")));
        }
    }
    Ok(())
}

fn format(given: &Given) -> Result<(), ToolError> {
    let cluster_id = given.demand("cluster-id")?;
    let config = config_of(given, Some(cluster_id))?;
    check_format(given, &config)?;
    let folder = config.log_dir.clone();
    let formatted =
        RealEnv::start(NonZeroUsize::MIN, |env| async move { format_folder(&env, &config).await });
    match formatted.map_err(|why| no_loop(&why))? {
        Ok(Formatted::Now(folder)) => {
            let what = match given.has("standalone") {
                true => "dynamic metadata voter directory",
                false => "metadata directory",
            };
            let (folder, version) = (folder.display(), levels::LATEST);
            Ok(line(&format!("Formatting {what} {folder} with metadata.version {version}."))?)
        }
        Ok(Formatted::Before { folder, cluster_id: found }) if found != cluster_id => {
            Err(ToolError::Terse(format!(
                "Invalid cluster.id in: {}/meta.properties. Expected {cluster_id}, but read {found}",
                folder.display()
            )))
        }
        Ok(Formatted::Before { .. }) if given.has("ignore-formatted") => {
            Ok(line("All of the log directories are already formatted.")?)
        }
        Ok(Formatted::Before { folder, .. }) => Err(ToolError::Terse(format!(
            "Log directory {} is already formatted. Use --ignore-formatted to ignore this \
             directory and format the others.",
            folder.display()
        ))),
        Err(IdentityError::InUse { .. }) => Err(ToolError::Terse(format!(
            "{} is in use: stop the node that has it open first",
            folder.display()
        ))),
        Err(why) => Err(ToolError::Terse(why.to_string())),
    }
}

fn info(given: &Given) -> Result<(), ToolError> {
    let config = config_of(given, None)?;
    let (text, problems) = described(&config.log_dir);
    super::put(&text)?;
    if problems { Err(ToolError::Told(1)) } else { Ok(()) }
}

/// What `info` says of a folder, and whether something is wrong with it.
fn described(folder: &Path) -> (String, bool) {
    let shown = folder.display();
    let meta: PathBuf = folder.join("meta.properties");
    let (found, metadata, problem) = if !folder.exists() {
        (false, None, Some(format!("{shown} does not exist")))
    } else if !folder.is_dir() {
        (false, None, Some(format!("{shown} is not a directory")))
    } else if !meta.exists() {
        (true, None, Some(format!("{shown} is not formatted.")))
    } else {
        match read_file(&meta.display().to_string()) {
            Ok(text) => (true, Some(ottla_broker::parse_properties(&text).0), None),
            Err(_) => (true, None, Some(format!("Error loading {}", meta.display()))),
        }
    };
    let mut text = String::new();
    if found {
        text.push_str(&format!("Found log directory:\n  {shown}\n\n"));
    }
    if let Some(metadata) = metadata {
        let pairs: BTreeMap<String, String> = metadata.into_iter().collect();
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        text.push_str(&format!("Found metadata: {{{}}}\n\n", pairs.join(", ")));
    }
    if let Some(problem) = &problem {
        text.push_str(&format!("Found problem:\n  {problem}\n\n"));
    }
    (text, problem.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let given = TOOL.grammar.read(&words).unwrap();
        match (TOOL.run)(&given) {
            Ok(()) => "done".to_owned(),
            Err(ToolError::Terse(told)) => told,
            Err(ToolError::Options(error)) => error.to_string(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn a_folder_is_formatted_once_for_one_cluster() {
        let folder = std::env::temp_dir().join(format!("ottla-storage-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("server.properties");
        let data = folder.join("data");
        let properties = format!(
            "node.id=1\nprocess.roles=broker,controller\nlisteners=PLAINTEXT://127.0.0.1:9092,\
             CONTROLLER://127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\nlog.dirs={}\n",
            data.display()
        );
        std::fs::write(&config, properties).unwrap();
        let (config, data) = (config.display(), data.display());
        let id = "MkU3OEVBNTcwNTJENDM2Qg";
        assert!(described(Path::new(&data.to_string())).0.contains("does not exist"));
        assert!(
            told(&format!("format -c {config} -t {id}")).starts_with("Because controller.quorum")
        );
        assert_eq!(told(&format!("format -c {config} -t {id} --standalone")), "done");
        let (text, problems) = described(Path::new(&data.to_string()));
        assert!(
            text.contains(&format!("Found metadata: {{cluster.id={id}, directory.id=")),
            "{text}"
        );
        assert!(!problems);
        assert_eq!(
            told(&format!("format -c {config} -t {id} --standalone")),
            format!(
                "Log directory {data} is already formatted. Use --ignore-formatted to ignore this \
                 directory and format the others."
            )
        );
        assert_eq!(told(&format!("format -c {config} -t {id} -s -g")), "done");
        let other = told(&format!("format -c {config} -t other -s -g"));
        assert!(other.starts_with("Invalid cluster.id in: "), "{other}");
        assert_eq!(
            told(&format!("format -c {config} -t {id} -s -f share.version=1")),
            "ottla: --feature share.version=1 is not supported"
        );
        assert_eq!(told("format -t x"), "argument --config/-c is required");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
