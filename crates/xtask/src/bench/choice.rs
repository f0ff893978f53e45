//! Which of Kafka's settings are its best here.

use super::cases::Placement;
use super::runs::generator;
use super::sample::Sample;
use super::systems::{Kafka, Settings, System};
use crate::command;
use crate::node::Node;

/// What all of it takes, about.
pub(crate) const SECONDS: f64 = 50.0;

/// Small requests and large ones: a setting must not win by one kind alone.
const LOADS: [(&str, &str); 2] = [
    (
        "produce.requests",
        "--requests 60000 --connections 16 --records 1 --record-bytes 100 --acks 1",
    ),
    ("produce.bytes", "--requests 4000 --acks 1 --delete"),
];

/// Tries the settings one after the other: each load once to warm up and once to count. The lowest
/// geometric mean of CPU times wins.
///
/// # Errors
/// When Kafka does not run.
pub(crate) fn best(classpath: String) -> Result<Kafka, String> {
    let mut kafka = Kafka { classpath, settings: Settings::ALL[0] };
    let mut best: Option<(f64, Settings)> = None;
    for settings in Settings::ALL {
        kafka.settings = settings;
        let cost = cost(&kafka)?;
        eprintln!("Apache Kafka with {}: {:.3} (CPU, less is better)", settings.describe(), cost);
        if best.is_none_or(|(lowest, _)| cost < lowest) {
            best = Some((cost, settings));
        }
    }
    let (_, settings) = best.ok_or("there is nothing to choose from")?;
    eprintln!("chosen: {}", settings.describe());
    Ok(Kafka { settings, ..kafka })
}

fn cost(kafka: &Kafka) -> Result<f64, String> {
    let launch = System::Kafka.launch(kafka, &["log.segment.delete.delay.ms=500"], &[])?;
    let node = Node::start(launch, &["taskset", "-c", "1"])?;
    let mut product = 1.0;
    for (by, arguments) in LOADS {
        let once = || {
            let mut generator = generator(Placement::Pinned);
            generator.args(["produce", "--address", &node.launch.address.to_string()]);
            generator.args(["--pid", &node.pid().to_string()]).args(arguments.split(' '));
            command::output(&mut generator).map(|text| Sample::parse(&text))
        };
        let _warm_up = once()?;
        let sample = once()?;
        let cpu = sample.get("produce.broker_cpu_s").unwrap_or(f64::NAN);
        // A millionth of a GB and a request weigh about the same; only the order counts.
        product *= 1e6 * cpu / sample.get(by).unwrap_or(f64::NAN);
    }
    Ok(product.sqrt())
}
