//! Whoever makes things go wrong.

use std::rc::Rc;
use std::time::Duration;

use ottla_env::{Env, Task};

use super::client::Shared;
use super::node::Supervised;
use super::plan::{Fault, PlannedFault};
use super::sometimes::{self, Event};
use super::vandal;
use crate::disk::DiskFault;
use crate::host::{Death, Host};

/// What the faults act on.
pub(super) struct Nemesis {
    pub(super) env: Env,
    pub(super) node: Rc<Supervised>,
    pub(super) clients: Vec<Host>,
    pub(super) shared: Rc<Shared>,
}

impl Nemesis {
    /// Lets every fault happen at its time; those that last may overlap.
    pub(super) fn begin(self: &Rc<Self>, faults: &[PlannedFault]) {
        for fault in faults {
            let (nemesis, fault) = (Rc::clone(self), *fault);
            let task: Task = Box::pin(async move { nemesis.happen(fault).await });
            self.env.spawn.spawn("fault", task);
        }
    }

    /// Ends every fault.
    pub(super) fn heal(&self) {
        self.node.heal();
        let host = &self.node.host;
        host.disk_fault(DiskFault::Healed);
        host.set_delay(Duration::ZERO);
        for client in &self.clients {
            client.set_cut(host, false);
        }
    }

    async fn happen(&self, planned: PlannedFault) {
        self.env.clock.sleep(planned.at).await;
        let fault = planned.fault;
        if fault.excuses_halting() {
            self.node.excuse();
            self.on_power_loss();
        }
        if let Fault::SyncFails { reboots, .. } = fault {
            self.node.host.set_outlives_halts(!reboots);
        }
        let excuses_not_starting = fault.excuses_not_starting();
        if excuses_not_starting {
            self.node.excuse_starting(true);
        }
        if let Some((begin, end)) = planned.disk_faults() {
            self.node.host.disk_fault(begin);
            if let Some((time, end)) = end {
                self.env.clock.sleep(time).await;
                self.node.host.disk_fault(end);
            }
        }
        if excuses_not_starting {
            // Whoever has met it needs a moment to say so.
            self.env.clock.sleep(Duration::from_millis(100)).await;
            self.node.excuse_starting(false);
        }
        self.happen_to_the_node(fault);
        self.happen_to_the_net(fault).await;
    }

    fn on_power_loss(&self) {
        self.shared.history.borrow_mut().on_power_loss();
    }

    fn happen_to_the_node(&self, fault: Fault) {
        let host = &self.node.host;
        match fault {
            Fault::Death { death, .. } | Fault::Deaths { death, .. } | Fault::Stop { death }
                if death == Death::PowerLoss =>
            {
                self.on_power_loss();
            }
            Fault::Lie { .. } => self.on_power_loss(),
            _ => {}
        }
        match fault {
            Fault::Stop { death } => self.node.stop(death),
            Fault::Deaths { death, lives, calls } => {
                for life in 1..=lives {
                    // Some at the same place, some later: each start gets further, or not.
                    self.node.die_again(calls * life / lives, death);
                }
                host.end(death);
            }
            Fault::Vandalism { stops, what } => {
                self.node.vandalise(what);
                if stops {
                    self.node.stop(Death::Kill);
                } else {
                    host.end(Death::Kill);
                }
            }
            Fault::Rot { draw, kills } => {
                if let Some(path) = vandal::rot(host, draw) {
                    sometimes::happens(Event::BitFlipped);
                    self.shared.history.borrow_mut().write_off(vandal::partition_of(&path));
                }
                if kills {
                    host.end(Death::Kill);
                }
            }
            Fault::WallJump { ms } => {
                host.set_wall_skew_ms(ms);
                self.shared.history.borrow_mut().on_wall_jump(ms);
            }
            _ => {}
        }
    }

    async fn happen_to_the_net(&self, fault: Fault) {
        let host = &self.node.host;
        match fault {
            Fault::Cut { client, time } => {
                self.clients[client].set_cut(host, true);
                self.env.clock.sleep(time).await;
                self.clients[client].set_cut(host, false);
            }
            Fault::Reset { client } => self.clients[client].reset_connections(host),
            Fault::Delay { by, time } => {
                host.set_delay(by);
                self.env.clock.sleep(time).await;
                host.set_delay(Duration::ZERO);
            }
            _ => {}
        }
    }
}
