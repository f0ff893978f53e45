//! A large group: how long it takes to rest after many join, one leaves, one dies.

mod crowd;
mod member;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crowd::Crowd;
use member::{ClassicMember, ConsumerMember, Member, Setting};

use crate::connection::Connection;
use crate::frames::{self, groups as group_frames};
use crate::process::CpuClock;

/// A coordinator that has not come for this long will not come.
const COORDINATOR_SECONDS_MAX: u64 = 60;

/// One run.
#[derive(Debug)]
struct Options {
    address: SocketAddr,
    pid: u32,
    members: usize,
    partitions: i32,
    session_ms: i32,
    heartbeat_ms: u64,
    consumer_protocol: bool,
    /// Whether one dies in the end, which takes its session's time.
    death: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            pid: 0,
            members: 500,
            partitions: 1_000,
            session_ms: 6_000,
            heartbeat_ms: 1_000,
            consumer_protocol: false,
            death: true,
        };
        let pairs: Vec<String> =
            arguments.iter().filter(|argument| *argument != "--no-death").cloned().collect();
        options.death = pairs.len() == arguments.len();
        for pair in pairs.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            options.set(name, value)?;
        }
        if options.address.port() == 0 || options.pid == 0 || options.members < 3 {
            return Err("--address, --pid and at least three --members are needed".to_owned());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = || format!("{name} cannot be `{value}`");
        match name {
            "--address" => self.address = value.parse().map_err(|_| wrong())?,
            "--pid" => self.pid = value.parse().map_err(|_| wrong())?,
            "--members" => self.members = value.parse().map_err(|_| wrong())?,
            "--partitions" => self.partitions = value.parse().map_err(|_| wrong())?,
            "--session-ms" => self.session_ms = value.parse().map_err(|_| wrong())?,
            "--heartbeat-ms" => self.heartbeat_ms = value.parse().map_err(|_| wrong())?,
            "--protocol" => {
                self.consumer_protocol = match value {
                    "classic" => false,
                    "consumer" => true,
                    _ => return Err(wrong()),
                }
            }
            _ => return Err(format!("unknown option `{name}`")),
        }
        Ok(())
    }

    fn member(&self, setting: &Setting, group: &str, number: usize) -> Box<dyn Member> {
        match self.consumer_protocol {
            false => Box::new(ClassicMember::new(setting, group)),
            true => Box::new(ConsumerMember::new(setting, group, number)),
        }
    }
}

/// Times the three, and prints each with the CPU time that the broker spent on it.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let group = frames::fresh_topic();
    let setting = prepare(&options, &group)?;
    let members = (0..options.members).map(|number| options.member(&setting, &group, number));
    let mut crowd = Crowd::open(options.address, members.collect(), options.partitions)?;
    let clock = CpuClock::of(options.pid)?;
    let mut time = |name: &str, change: &mut dyn FnMut(&mut Crowd) -> Result<(), String>| {
        let (started, cpu) = (Instant::now(), clock.seconds());
        change(&mut crowd)?;
        let generation = crowd.await_rest()?;
        println!("groups.{name}_ms {:.1}", started.elapsed().as_secs_f64() * 1000.0);
        println!("groups.{name}_broker_cpu_s {:.3}", clock.seconds() - cpu);
        println!("groups.{name}_generation {generation}");
        Ok::<_, String>(())
    };
    time("join", &mut Crowd::enter)?;
    time("leave", &mut |crowd| crowd.leave(options.members / 2))?;
    if options.death {
        time("death", &mut |crowd| crowd.die(options.members / 3))?;
    }
    println!("groups.session_ms {}", options.session_ms);
    println!("groups.members {}", options.members);
    Ok(())
}

/// A topic to share, and a coordinator for the group.
fn prepare(options: &Options, topic: &str) -> Result<Setting, String> {
    let mut control = Connection::open(options.address).map_err(|error| error.to_string())?;
    let mut ask = |frame: &[u8]| control.ask(frame).map_err(|error| error.to_string());
    frames::topic_created(&ask(&frames::create_topic(topic, options.partitions))?)?;
    let deadline = Instant::now() + Duration::from_secs(COORDINATOR_SECONDS_MAX);
    while group_frames::coordinator_found(&ask(&group_frames::find_coordinator(topic))?)? != 0 {
        if Instant::now() > deadline {
            return Err("there is no coordinator".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Setting {
        topic: topic.to_owned(),
        topic_id: group_frames::topic_id_found(&ask(&group_frames::topic_id(topic))?)?,
        partitions: options.partitions,
        session_ms: options.session_ms,
        heartbeat: Duration::from_millis(options.heartbeat_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_pairs_and_strangers_are_refused() {
        check("--address 127.0.0.1:9 --pid 7", Ok((500, false)));
        check("--address 127.0.0.1:9 --pid 7 --members 9 --protocol consumer", Ok((9, true)));
        check(
            "--address 127.0.0.1:9 --pid 7 --protocol share",
            Err("--protocol cannot be `share`"),
        );
        check("--pid", Err("--pid needs a value"));
        check("--speed 9", Err("unknown option `--speed`"));
    }

    fn check(text: &str, expected: Result<(usize, bool), &str>) {
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let parsed = Options::parse(&arguments).map(|it| (it.members, it.consumer_protocol));
        assert_eq!(parsed, expected.map_err(str::to_owned), "{text}");
    }
}
