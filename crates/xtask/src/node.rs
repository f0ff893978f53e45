//! Systems to try things on: a node of ours or of Apache Kafka, on free ports, in a fresh folder.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Outcome, command};

/// A start takes milliseconds, that of a JVM seconds; a busy machine takes many times that.
const START_SECONDS_MAX: u64 = 240;
/// A clean stop syncs what is dirty: gigabytes, after a bulk run.
const STOP_SECONDS_MAX: u64 = 240;

/// Everything a node needs to start. Dropping it removes its folder.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Program and arguments.
    pub(crate) line: Vec<OsString>,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    /// What it ends with when it was asked to end: a JVM says that a signal ended it.
    clean_exit: i32,
    at_end: AtEnd,
}

/// What becomes of a node's folder.
#[derive(Clone, Copy, Debug)]
enum AtEnd {
    Remove,
    /// It stays, its large files emptied.
    Empty,
    /// It is somebody else's by now.
    Nothing,
}

impl Launch {
    /// A node of ours, with `overrides` as `name=value`. The binary must have been built.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn ottla(overrides: &[&str]) -> Result<Self, String> {
        let (folder, address) = prepare(|_| String::new())?;
        let binary = target().join("release/ottla");
        let mut line: Vec<OsString> = vec![binary.into(), "server".into(), "--config".into()];
        line.push(folder.join(CONFIG).into());
        for each in overrides {
            line.extend(["--override".into(), each.into()]);
        }
        Ok(Self { line, address, folder, clean_exit: 0, at_end: AtEnd::Remove })
    }

    /// A node of Apache Kafka's, its folder formatted; `properties` as `name=value` beside those
    /// that every node has, `jvm` beside what its own start script says.
    ///
    /// # Errors
    /// When there is no place for it, or it cannot be formatted.
    pub(crate) fn kafka(
        classpath: &str,
        jvm: &[String],
        properties: &[String],
    ) -> Result<Self, String> {
        let more = properties.join("\n");
        let (folder, address) = prepare(|controller| {
            format!("controller.quorum.bootstrap.servers={controller}\n{more}\n")
        })?;
        let config = folder.join(CONFIG);
        let java = ["java", "-cp", classpath].map(OsString::from);
        let mut format = Command::new("java");
        format.args(&java[1..]).args(["kafka.tools.StorageTool", "format", "-t"]);
        format.arg("b3R0bGEtYmVuY2gtbm9kZQ").arg("-c").arg(&config).arg("--standalone");
        command::output(&mut format)?;
        let collector = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];
        let mut line = java.to_vec();
        line.extend(collector.map(OsString::from));
        line.extend(jvm.iter().map(OsString::from));
        line.extend(["kafka.Kafka".into(), config.into()]);
        Ok(Self { line, address, folder, clean_exit: 128 + 15, at_end: AtEnd::Remove })
    }

    /// With another program than the one that was built to be measured.
    #[must_use]
    pub(crate) fn with_binary(mut self, binary: PathBuf) -> Self {
        self.line[0] = binary.into();
        self
    }

    /// Leaves the folder behind, its large files emptied: whoever made the folder around it removes
    /// it later. Thousands of files that are deleted now would slow down those that come next.
    #[must_use]
    pub(crate) fn left_behind(mut self) -> Self {
        self.at_end = AtEnd::Empty;
        self
    }

    /// All of it; what stays here is not the owner of the folder any more.
    fn take(&mut self) -> Self {
        let taken = Self {
            line: self.line.clone(),
            address: self.address,
            folder: self.folder.clone(),
            clean_exit: self.clean_exit,
            at_end: self.at_end,
        };
        self.at_end = AtEnd::Nothing;
        taken
    }

    /// The log directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the node printed so far.
    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("output")).unwrap_or_default()
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        match self.at_end {
            AtEnd::Remove => drop(fs::remove_dir_all(&self.folder)),
            AtEnd::Empty => empty_large_files(&self.folder),
            AtEnd::Nothing => {}
        }
    }
}

/// Below this a file's blocks are not worth the visit.
const LARGE_BYTES: u64 = 1 << 20;

fn empty_large_files(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() {
            empty_large_files(&entry.path());
        } else if about.len() > LARGE_BYTES {
            // A disk that fills up will say so itself.
            let _emptied = fs::File::create(entry.path());
        }
    }
}

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    pub(crate) launch: Launch,
}

impl Node {
    /// Starts a node, `before` its program as `taskset` does, and waits until it listens.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub(crate) fn start(launch: Launch, before: &[&str]) -> Result<Self, String> {
        let output = fs::File::create(launch.folder.join("output")).map_err(|e| e.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let mut line = before.iter().map(OsString::from).chain(launch.line.iter().cloned());
        let program = line.next().expect("a program");
        let mut start = Command::new(&program);
        start.args(line).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = start.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let mut node = Self { child, launch };
        node.wait_until_it_listens()?;
        Ok(node)
    }

    fn wait_until_it_listens(&mut self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while TcpStream::connect(self.launch.address).is_err() {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(format!("the node does not listen:\n{}", self.launch.output()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and hands out what it was started with: it can be started again on its folder.
    pub(crate) fn kill(mut self) -> Launch {
        let _gone = self.child.kill();
        let _status = self.child.wait();
        self.launch.take()
    }

    /// Asks it to stop, and demands that it ends well.
    ///
    /// # Errors
    /// When it does not end, or not with success.
    pub(crate) fn stop(mut self) -> Outcome {
        terminate(self.child.id())?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        loop {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.code() == Some(self.launch.clean_exit) => return Ok(()),
                Some(status) => {
                    return Err(format!("the node {status}:\n{}", self.launch.output()));
                }
                None if Instant::now() > deadline => return Err("the node does not stop".into()),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // After a clean stop there is nothing left to kill.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Asks a process to end.
///
/// # Errors
/// When there is no such process.
pub(crate) fn terminate(pid: u32) -> Outcome {
    command::run(Command::new("kill").args(["-TERM", &pid.to_string()]))
}

/// Builds what is tried and measured.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build(packages: &[&str]) -> Outcome {
    let mut build = command::cargo();
    build.args(["build", "--release", "--locked", "--quiet"]);
    for package in packages {
        build.args(["-p", package]);
    }
    command::run(&mut build)
}

/// Builds a program without optimising it, for those who do not measure, and says where it is.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build_debug(package: &str) -> Result<PathBuf, String> {
    let mut build = command::cargo();
    command::run(build.args(["build", "--locked", "--quiet", "-p", package]))?;
    Ok(target().join("debug").join(package))
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    command::root().join(target)
}

/// The name of the configuration in a node's folder.
const CONFIG: &str = "server.properties";

/// A folder with a configuration, and the address of its clients; `more` is added to what every
/// system is told and gets the controller's address.
fn prepare(more: impl Fn(SocketAddr) -> String) -> Result<(PathBuf, SocketAddr), String> {
    let folder = fresh_folder(&std::env::temp_dir())?;
    let [client, controller] = free_ports().map_err(|error| format!("find ports: {error}"))?;
    let text = properties(&folder.join("data"), client, controller) + &more(controller);
    let config = folder.join(CONFIG);
    fs::write(&config, text).map_err(|error| format!("write {}: {error}", config.display()))?;
    Ok((folder, client))
}

/// A folder that nobody has used: deleted files would slow a file system down for minutes.
fn fresh_folder(parent: &Path) -> Result<PathBuf, String> {
    for number in 0.. {
        let folder = parent.join(format!("ottla-{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("make {}: {error}", folder.display())),
        }
    }
    unreachable!("numbers do not end")
}

/// Two ports that are free now, below those that the kernel gives to clients: one of these could
/// be taken before the node binds it.
fn free_ports() -> io::Result<[SocketAddr; 2]> {
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let free = |port: &u16| TcpListener::bind(address(*port)).is_ok();
    let mut ports = (first..32_000).filter(free);
    match (ports.next(), ports.next()) {
        (Some(a), Some(b)) => Ok([address(a), address(b)]),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn properties(data: &Path, client: SocketAddr, controller: SocketAddr) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners=PLAINTEXT://{client},CONTROLLER://{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={}\n",
        data.display()
    )
}
