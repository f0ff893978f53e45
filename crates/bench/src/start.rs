//! How long a system takes from nothing to its first answer.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::frames;

/// Beyond this a start has failed.
const START_SECONDS_MAX: u64 = 60;

/// Starts a command and asks it for its versions until it answers.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let usage = "start --address HOST:PORT -- COMMAND...";
    let [option, address, dashes, program, rest @ ..] = arguments else {
        return Err(usage.to_owned());
    };
    if option != "--address" || dashes != "--" {
        return Err(usage.to_owned());
    }
    let address = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let deadline = started + Duration::from_secs(START_SECONDS_MAX);
    while first_answer(address).is_none() {
        if Instant::now() > deadline {
            return Err(format!("{program} does not answer"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    println!("start.pid {}", child.id());
    println!("start.ms {:.3}", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn first_answer(address: SocketAddr) -> Option<()> {
    let answer = Connection::open(address).ok()?.ask(&frames::api_versions()).ok()?;
    // Correlation id, then the error.
    (answer.get(4..6)? == [0, 0]).then_some(())
}
