//! Profiles: properties of clients under a name, so that nobody types them twice.
//!
//! A profile is a file of Kafka's client properties, `NAME.properties`, in the folder `ottla` of
//! the user's configuration; the file `current` there names the one in use. A project has its own:
//! the nearest `.ottla.properties` from the working directory up to the top of its repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ottla_broker::parse_properties;

use super::properties::{ClientProperties, PROPERTIES};
use crate::failure::Failure;
use crate::show::{Answer, Cell, Column, Format, Show, Table, print};

const PROJECT_FILE: &str = ".ottla.properties";

const MORE: &str = "\
A project can have its own: a file .ottla.properties with the same lines, in its folder.";

/// Names for clusters, and what is said to them.
#[derive(Debug, clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes a profile, or makes it anew
    #[command(after_help = "Examples:\n  ottla profile create staging client.id=me \
                            bootstrap.servers=localhost:9092")]
    Create {
        /// Letters, digits, dots, dashes
        name: String,
        /// Properties of clients: `ottla topic list -X list` shows all
        #[arg(required = true, value_name = "NAME=VALUE")]
        properties: Vec<String>,
    },
    /// Lists the profiles, and the properties of each
    #[command(after_help = "Examples:\n  ottla profile list")]
    List {
        #[command(flatten)]
        show: Show,
    },
    /// Chooses the profile of all commands to come
    #[command(after_help = "Examples:\n  ottla profile use staging")]
    Use {
        /// One of `ottla profile list`; `none` for no profile
        name: String,
    },
}

type Properties = Vec<(String, String)>;

/// The properties of the profile in use: the one that is named, or `OTTLA_PROFILE`, or the
/// project's, or the one that was chosen.
pub(super) fn chosen(named: Option<&str>) -> Result<Properties, Failure> {
    let variable = std::env::var("OTTLA_PROFILE").ok().filter(|name| !name.is_empty());
    if let Some(name) = named.map(str::to_owned).or(variable) {
        return of_name(&name);
    }
    if let Some(file) = project_file() {
        return read(&file);
    }
    match current() {
        Some(name) => of_name(&name),
        None => Ok(Properties::new()),
    }
}

fn of_name(name: &str) -> Result<Properties, Failure> {
    let known = names();
    if !known.iter().any(|each| each == name) {
        let near = crate::near::suggestion(name, known.iter().map(String::as_str));
        return Err(Failure::usage(format!(
            "there is no profile {name}{near} `ottla profile list` shows all; `ottla profile \
             create {name} bootstrap.servers=HOST:PORT` makes one"
        )));
    }
    match file_of(name) {
        Some(file) => read(&file),
        None => Ok(Properties::new()),
    }
}

fn read(file: &Path) -> Result<Properties, Failure> {
    let unread = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("cannot read the profile {}: {why}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| unread(&error))?;
    let (properties, wrong) = parse_properties(&text);
    match wrong.first() {
        None => Ok(properties.into_iter().collect()),
        Some(why) => Err(unread(why)),
    }
}

/// The nearest project file, looked for up to the top of the repository.
fn project_file() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    for folder in here.ancestors() {
        let file = folder.join(PROJECT_FILE);
        if file.is_file() {
            return Some(file);
        }
        if folder.join(".git").exists() {
            return None;
        }
    }
    None
}

/// Where the user's profiles are; `None` where the user has no folder at all.
fn folder() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty());
    let base = of("XDG_CONFIG_HOME").map(PathBuf::from);
    let base = base.or_else(|| of("HOME").map(|home| Path::new(&home).join(".config")));
    base.map(|base| base.join("ottla"))
}

fn file_of(name: &str) -> Option<PathBuf> {
    folder().map(|folder| folder.join(format!("{name}.properties")))
}

fn current() -> Option<String> {
    let name = fs::read_to_string(folder()?.join("current")).ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// All profiles there are, by their names.
pub(crate) fn names() -> Vec<String> {
    let Some(entries) = folder().and_then(|folder| fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let name_of = |entry: io::Result<fs::DirEntry>| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.strip_suffix(".properties").map(str::to_owned)
    };
    let mut names: Vec<String> = entries.filter_map(name_of).collect();
    names.sort_unstable();
    names
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let ran = match &arguments.command {
        Command::List { show } => list(Format::or_default(show.output)),
        Command::Use { name } => choose(name),
        Command::Create { name, properties } => create(name, properties),
    };
    ran.map_or_else(|failure| failure.end(), |()| ExitCode::SUCCESS)
}

fn list(format: Format) -> Result<(), Failure> {
    const COLUMNS: &[Column] = &[
        Column::text("NAME", "name"),
        Column::text("IN-USE", "in_use"),
        Column::text("PROPERTIES", "properties"),
    ];
    let project = project_file();
    let current = current().filter(|_| project.is_none());
    let mut table = Table::new(COLUMNS);
    let spelled = |properties: Properties| {
        let pairs: Vec<String> =
            properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Cell::text(pairs.join(" "))
    };
    if let Some(file) = &project {
        let name = file.display().to_string();
        table.row([Cell::text(name), Cell::yes(true), spelled(read(file)?)]);
    }
    for name in names() {
        let in_use = Cell::yes(current.as_deref() == Some(name.as_str()));
        table.row([Cell::text(name.clone()), in_use, spelled(of_name(&name)?)]);
    }
    Ok(print("profiles", &Answer::Table(table), format)?)
}

fn choose(name: &str) -> Result<(), Failure> {
    if name != "none" {
        of_name(name)?;
    }
    let text = if name == "none" { String::new() } else { format!("{name}\n") };
    write("current", &text)?;
    crate::failure::say(&match name {
        "none" => "no profile is in use now".to_owned(),
        name => format!("profile {name} is in use now"),
    });
    Ok(())
}

fn create(name: &str, pairs: &[String]) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name == "none" || name.starts_with('.') || !name.chars().all(legal) {
        return Err(Failure::usage(format!(
            "`{name}` is no name for a profile: letters, digits, dots and dashes are"
        )));
    }
    let mut checked = ClientProperties::default();
    let mut text = String::new();
    for pair in pairs {
        let (property, value) = pair.split_once('=').ok_or_else(|| {
            let some = PROPERTIES[0].name;
            Failure::usage(format!("`{pair}` is not NAME=VALUE, as {some}=all is"))
        })?;
        let (property, value) = (property.trim(), value.trim());
        checked.set(property, value).map_err(Failure::Usage)?;
        text.push_str(&format!("{property}={}\n", ottla_broker::escape_value(value)));
    }
    write(&format!("{name}.properties"), &text)
}

fn write(file: &str, text: &str) -> Result<(), Failure> {
    let folder = folder().ok_or_else(|| {
        Failure::told("there is no place for profiles: neither XDG_CONFIG_HOME nor HOME is set")
    })?;
    let path = folder.join(file);
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, text));
    written.map_err(|error| Failure::told(format!("cannot write {}: {error}", path.display())))
}
