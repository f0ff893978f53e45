//! A node, and the command line beside it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A node, killed when the test ends.
pub(crate) struct Node {
    child: Child,
    /// Where its clients find it.
    pub(crate) address: String,
    /// Where its metrics are.
    pub(crate) http: String,
    folder: PathBuf,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Its standard output, if it has done all there was to do.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }
}

impl Node {
    /// Returns when it serves.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// As [`Self::start`], with properties.
    pub(crate) fn start_with(name: &str, overrides: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut command = quiet_ottla();
        let listeners = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
        let data = format!("log.dirs={}", folder.join("data").display());
        command.args(["server", "--override", listeners, "--override", &data]);
        command.args(["--override", "group.initial.rebalance.delay.ms=0"]);
        command.args(["--override", "ottla.http.listener=http://127.0.0.1:0"]);
        command.args(overrides.iter().flat_map(|pair| ["--override", *pair]));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told: Vec<String> =
            lines.map_while(Result::ok).take_while(|line| !line.contains("stop")).collect();
        let address = told.iter().find_map(|line| {
            let (_, rest) = line.trim().strip_prefix("listening")?.split_once("PLAINTEXT://")?;
            Some(rest.split(',').next()?.to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("the node does not start: {told:?}"));
        let http = told.iter().find_map(|line| {
            let (_, rest) = line.trim().strip_prefix("metrics")?.split_once("http://")?;
            Some(rest.strip_suffix("/metrics")?.to_owned())
        });
        let http = http.expect("it answers HTTP");
        Self { child, address, http, folder }
    }

    /// Runs a command against it.
    pub(crate) fn ottla(&self, arguments: &[&str]) -> Said {
        self.ottla_given("", arguments)
    }

    /// Runs a command against it that reads something.
    pub(crate) fn ottla_given(&self, stdin: &str, arguments: &[&str]) -> Said {
        let mut command = quiet_ottla();
        command.env("OTTLA_BOOTSTRAP", &self.address).args(arguments);
        command.current_dir(&self.folder);
        said(command, stdin)
    }

    /// Where commands run.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, without what the caller's environment may say of Kafka.
pub(crate) fn quiet_ottla() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    let foreign = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for name in foreign.filter(|name| name.starts_with("KAFKA_") || name.starts_with("OTTLA_")) {
        command.env_remove(name);
    }
    command.env_remove("CLUSTER_ID").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// Runs a command to its end.
pub(crate) fn said(mut command: Command, stdin: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or(-1);
    Said { code, out: text(output.stdout), err: text(output.stderr) }
}
