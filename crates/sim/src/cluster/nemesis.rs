//! Whoever makes things go wrong.

use std::rc::Rc;
use std::time::Duration;

use ottla_env::{Env, Task};

use super::client::Shared;
use super::node::Supervised;
use super::plan::{Fault, PlannedFault};
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
        let host = &self.node.host;
        host.disk_fault(DiskFault::Healed);
        host.set_delay(Duration::ZERO);
        for client in &self.clients {
            client.set_cut(host, false);
        }
    }

    async fn happen(&self, planned: PlannedFault) {
        self.env.clock.sleep(planned.at).await;
        if planned.fault.excuses_halting() {
            self.node.excuse();
            self.shared.history.borrow_mut().on_power_loss();
        }
        if let Some((begin, end)) = planned.disk_faults() {
            self.node.host.disk_fault(begin);
            if let Some((time, end)) = end {
                self.env.clock.sleep(time).await;
                self.node.host.disk_fault(end);
            }
        }
        let host = &self.node.host;
        match planned.fault {
            Fault::Death { death, .. } | Fault::Stop { death } => {
                if death == Death::PowerLoss {
                    self.shared.history.borrow_mut().on_power_loss();
                }
                if matches!(planned.fault, Fault::Stop { .. }) {
                    self.node.stop(death);
                }
            }
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
            Fault::WallJump { ms } => host.set_wall_skew_ms(ms),
            Fault::SyncFails { .. } | Fault::Full { .. } | Fault::Slow { .. } => {}
        }
    }
}
