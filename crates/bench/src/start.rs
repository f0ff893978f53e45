//! How long a system takes from nothing to its first answer.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::frames;
use crate::process::CpuClock;

/// Beyond this a start has failed: reading ten gigabytes takes a JVM a while.
const START_SECONDS_MAX: u64 = 600;
const USAGE: &str = "start --address HOST:PORT -- COMMAND...";

/// A system that was started from its command line. It is left running.
#[derive(Debug)]
pub(crate) struct Started {
    program: String,
    address: SocketAddr,
    at: Instant,
    pid: u32,
}

impl Started {
    /// Starts `COMMAND...` and prints its process id.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn new(address: SocketAddr, line: &[String]) -> Result<Self, String> {
        let (program, arguments) = line.split_first().ok_or("a command is needed behind `--`")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let at = Instant::now();
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        println!("start.pid {}", child.id());
        Ok(Self { program: program.clone(), address, at, pid: child.id() })
    }

    /// Prints the CPU seconds that it has taken so far.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn print_cpu(&self, name: &str) -> Result<(), String> {
        println!("{name} {:.6}", CpuClock::of(self.pid)?.seconds());
        Ok(())
    }

    /// Asks until there is an answer, and prints the milliseconds since the start as `name`.
    ///
    /// # Errors
    /// The last refusal, when there is no answer in time.
    pub(crate) fn until<T>(
        &self,
        name: &str,
        mut ask: impl FnMut(&mut Connection) -> Result<T, String>,
    ) -> Result<T, String> {
        let deadline = self.at + Duration::from_secs(START_SECONDS_MAX);
        loop {
            let opened = Connection::open(self.address).map_err(|error| error.to_string());
            match opened.and_then(|mut connection| ask(&mut connection)) {
                Ok(answer) => {
                    println!("{name} {:.3}", self.at.elapsed().as_secs_f64() * 1e3);
                    return Ok(answer);
                }
                Err(why) if Instant::now() > deadline => {
                    return Err(format!("{}: no {name}: {why}", self.program));
                }
                Err(_) => std::thread::sleep(Duration::from_micros(500)),
            }
        }
    }
}

/// Starts a command and asks it for its versions until it answers.
///
/// # Errors
/// When it does not.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [option, address, dashes, line @ ..] = arguments else {
        return Err(USAGE.to_owned());
    };
    if option != "--address" || dashes != "--" {
        return Err(USAGE.to_owned());
    }
    let address = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    Started::new(address, line)?.until("start.ms", first_answer)
}

/// The versions that it serves: the first thing that every client asks.
///
/// # Errors
/// When it does not say.
pub(crate) fn first_answer(connection: &mut Connection) -> Result<(), String> {
    let answer = connection.ask(&frames::api_versions()).map_err(|error| error.to_string())?;
    // Correlation id, then the error.
    match answer.get(4..6) {
        Some([0, 0]) => Ok(()),
        _ => Err("ApiVersions was refused".to_owned()),
    }
}
