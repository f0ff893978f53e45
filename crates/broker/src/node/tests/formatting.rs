//! Power cuts while a folder is formatted: the next start formats it, or finds it formatted.

use super::*;

/// More disk calls than a formatting makes.
const CALLS: u32 = 120;

#[test]
fn a_folder_whose_formatting_lost_its_power_starts() {
    for calls in (0..CALLS).flat_map(|calls| [calls; 3]).zip(0..) {
        let (calls, seed) = calls;
        let mut world = World::new(seed);
        let machine = world.machine.clone();
        machine.start(1, |env| {
            let life = Life { env, machine: machine.clone() };
            Box::pin(async move {
                let _cut_short = Node::start(life.env.clone(), life.config(&[])).await;
                std::future::pending::<()>().await;
            })
        });
        machine.disk_fault(DiskFault::DeathAfter { calls, death: Death::PowerLoss });
        let operator = world.sim.host();
        world.sim.run(&operator, async move |env| {
            while machine.is_alive() && env.clock.mono().nanos() < 1_000_000_000 {
                env.clock.sleep(Duration::from_millis(1)).await;
            }
        });
        world.live(async |life| drop(life.node(&[]).await));
    }
}
