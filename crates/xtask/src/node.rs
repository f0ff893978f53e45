//! A node of ours, started for a while: release build, free ports, a fresh folder.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::{Outcome, command};

/// A start on an empty folder takes milliseconds; a debug build on a busy machine takes longer.
const START_SECONDS_MAX: u64 = 30;
/// A clean stop syncs what is dirty: gigabytes, after a bulk run.
const STOP_SECONDS_MAX: u64 = 60;

/// A running node. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Node {
    /// Builds the binary and starts it below `parent`, with `overrides` as `name=value`.
    ///
    /// # Errors
    /// When it cannot be built, or does not listen in time.
    pub(crate) fn start(parent: &Path, overrides: &[&str]) -> Result<Self, String> {
        let binary = build()?;
        let folder = fresh_folder(parent)?;
        let [client, controller] = free_ports().map_err(|error| format!("find ports: {error}"))?;
        let config = folder.join("server.properties");
        write(&config, &properties(&folder.join("data"), client, controller))?;
        write(&folder.join("output"), "")?;
        let output = fs::File::create(folder.join("output")).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let mut start = Command::new(&binary);
        start.arg("server").arg("--config").arg(&config).stdout(output).stderr(errors);
        for each in overrides {
            start.args(["--override", each]);
        }
        let child = start.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut node = Self { child, address: client, folder };
        node.wait_until_it_listens()?;
        Ok(node)
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn wait_until_it_listens(&mut self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(format!("the node does not listen; it said:\n{}", self.output()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What it printed so far.
    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("output")).unwrap_or_default()
    }

    /// Asks it to stop, and demands that it ends well.
    ///
    /// # Errors
    /// When it does not end, or not with success.
    pub(crate) fn stop(mut self) -> Outcome {
        command::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        loop {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the node {status}:\n{}", self.output())),
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
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

fn build() -> Result<PathBuf, String> {
    command::run(command::cargo().args(["build", "--release", "--locked", "-p", "ottla"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(command::root().join(target).join("release/ottla"))
}

/// A folder that nobody has used: deleted files would slow a file system down for minutes.
pub(crate) fn fresh_folder(parent: &Path) -> Result<PathBuf, String> {
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

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()))
}

/// Two ports that were free a moment ago, both held until both are known.
fn free_ports() -> io::Result<[SocketAddr; 2]> {
    let (a, b) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok([a.local_addr()?, b.local_addr()?])
}

fn properties(data: &Path, client: SocketAddr, controller: SocketAddr) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners=PLAINTEXT://{client},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{client}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n",
        data.display()
    )
}
