//! Machines, and the lives of what runs on them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_env::{Env, LoopId, Process, Purpose, Rng, Spawn, Task};

use crate::clock::SimClock;
use crate::disk::{Damage, Damaged, DiskFault, SimDisk, Storage};
use crate::draws::Draws;
use crate::executor::{MakeTask, Starting, current_loop, start_task};
use crate::kernel::{Kernel, lock};
use crate::net::{Network, SimNet};

/// A machine's number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(pub u32);

impl HostId {
    /// The machine's only address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        let [_, _, high, low] = self.0.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process is gone, the system is not: the page cache stays, and peers hear of it.
    Kill,
    /// The machine is gone: what was not synced may be lost, and peers hear nothing until it is
    /// back and answers them that it does not know them.
    PowerLoss,
}

/// What runs on a machine between a start and an end.
#[derive(Debug)]
pub(crate) struct Life {
    host: HostId,
    over: AtomicBool,
    silent: AtomicBool,
}

impl Life {
    pub(crate) fn host(&self) -> HostId {
        self.host
    }

    /// Whether nothing may leave it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether it ended without a word to its peers.
    pub(crate) fn ended_silently(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }
}

/// A machine: what stays when its node dies.
pub(crate) struct Machine {
    pub(crate) id: HostId,
    pub(crate) kernel: Arc<Kernel>,
    network: Arc<Network>,
    pub(crate) storage: Arc<Storage>,
    draws: [Draws; 5],
    wall_skew_ms: AtomicI64,
    /// Whether the system goes on when its node halts, and somebody starts only the node again.
    outlives_halts: AtomicBool,
    life: Mutex<Option<Arc<Life>>>,
    lives: AtomicU32,
    halts: Mutex<Vec<String>>,
}

impl Machine {
    pub(crate) fn new(id: HostId, kernel: Arc<Kernel>, network: Arc<Network>) -> Self {
        let draws = |what| Draws::new(kernel.seed, u64::from(id.0), what);
        Self {
            id,
            storage: Arc::new(Storage::new(id, Arc::clone(&kernel))),
            draws: [
                draws("uuid"),
                draws("placement"),
                draws("session"),
                draws("jitter"),
                draws("hashing"),
            ],
            wall_skew_ms: AtomicI64::new(0),
            outlives_halts: AtomicBool::new(false),
            life: Mutex::default(),
            lives: AtomicU32::new(0),
            halts: Mutex::default(),
            kernel,
            network,
        }
    }

    pub(crate) fn wall_skew_ms(&self) -> i64 {
        self.wall_skew_ms.load(Ordering::Relaxed)
    }

    fn end(&self, death: Death) -> Option<Arc<Life>> {
        let life = lock(&self.life).take()?;
        life.over.store(true, Ordering::Relaxed);
        life.silent.store(death == Death::PowerLoss, Ordering::Relaxed);
        self.kernel.note("death", u64::from(self.id.0), u64::from(death == Death::PowerLoss));
        self.storage.on_death(death);
        self.network.on_death(&life);
        self.kernel.bury(Arc::clone(&life));
        Some(life)
    }
}

/// A handle to a machine.
#[derive(Clone)]
pub struct Host {
    machine: Arc<Machine>,
}

impl Host {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        let weak = Arc::downgrade(&machine);
        machine.storage.on_crash_point(Box::new(move |death| {
            if let Some(machine) = weak.upgrade() {
                drop(machine.end(death));
            }
        }));
        Self { machine }
    }

    #[must_use]
    pub fn id(&self) -> HostId {
        self.machine.id
    }

    /// An address of this machine.
    #[must_use]
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.machine.id.ip(), port)
    }

    /// Starts a life with `loops` event loops and `main` as its first task.
    ///
    /// # Panics
    /// If the machine has a life already.
    pub fn start(&self, loops: usize, main: impl FnOnce(Env) -> Task) {
        assert!(loops > 0, "tasks need a loop");
        let machine = &self.machine;
        let life = Arc::new(Life {
            host: machine.id,
            over: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        });
        let before = lock(&machine.life).replace(Arc::clone(&life));
        assert!(before.is_none(), "one life at a time");
        let count = machine.lives.fetch_add(1, Ordering::Relaxed) + 1;
        machine.kernel.note("life", u64::from(machine.id.0), u64::from(count));
        machine.network.on_life(machine.id);
        let made = MakeTask::Made(main(self.env(&life, loops)));
        start_task(Starting { life, on: LoopId(0), name: "main", make: made });
    }

    /// Ends the life on this machine, if there is one.
    pub fn end(&self, death: Death) {
        drop(self.machine.end(death));
    }

    /// Whether a life is going on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        lock(&self.machine.life).is_some()
    }

    /// How many lives there were, the present one counted.
    #[must_use]
    pub fn lives(&self) -> u32 {
        self.machine.lives.load(Ordering::Relaxed)
    }

    /// Why lives on this machine have halted, in order; each is told once.
    #[must_use]
    pub fn take_halts(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.machine.halts))
    }

    /// Puts the machine's wall clock `ms` off the world's.
    pub fn set_wall_skew_ms(&self, ms: i64) {
        self.machine.wall_skew_ms.store(ms, Ordering::Relaxed);
    }

    /// Lets the machine's disk misbehave.
    pub fn disk_fault(&self, fault: DiskFault) {
        self.machine.storage.inject(fault);
    }

    /// Whether the machine keeps its power, and its page cache, when its node halts.
    pub fn set_outlives_halts(&self, outlives: bool) {
        self.machine.outlives_halts.store(outlives, Ordering::Relaxed);
    }

    /// Every file of the machine's disk, with its length, sorted by path.
    #[must_use]
    pub fn files(&self) -> Vec<(String, usize)> {
        self.machine.storage.files()
    }

    /// The content of a file, as a node would read it.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.machine.storage.content(path)
    }

    /// Harms a file on the device; false where the device does not hold what is to be harmed.
    ///
    /// # Panics
    /// For any harm but a flipped bit while a node lives: nobody else touches its files then.
    #[must_use]
    pub fn damage(&self, path: &str, damage: Damage) -> bool {
        let silent = matches!(damage, Damage::BitFlipped { .. });
        assert!(silent || !self.is_alive(), "a node has its files for itself");
        self.machine.storage.damage(path, damage)
    }

    /// Where the device has turned out to hold other bytes than it had promised; each is told once.
    #[must_use]
    pub fn take_damaged(&self) -> Vec<Damaged> {
        self.machine.storage.take_damaged()
    }

    /// Resets every connection between this machine and another, wherever it is in a frame.
    pub fn reset_connections(&self, other: &Self) {
        self.machine.network.reset_between(self.id(), other.id());
    }

    /// Cuts or heals the way between this machine and another, in both directions.
    pub fn set_cut(&self, other: &Self, cut: bool) {
        self.machine.network.set_cut(self.id(), other.id(), cut);
    }

    /// Adds to the time that every byte to and from this machine takes.
    pub fn set_delay(&self, delay: Duration) {
        self.machine.network.set_delay(self.id(), delay);
    }

    fn env(&self, life: &Arc<Life>, loops: usize) -> Env {
        let machine = &self.machine;
        let kernel = &machine.kernel;
        Env {
            clock: Arc::new(SimClock { kernel: Arc::clone(kernel), machine: Arc::clone(machine) }),
            disk: Arc::new(SimDisk::new(Arc::clone(&machine.storage), Arc::clone(life))),
            net: Arc::new(SimNet::new(Arc::clone(&machine.network), Arc::clone(life))),
            spawn: Arc::new(SimSpawn::new(Arc::clone(life), kernel.seed, loops)),
            rng: Arc::new(SimRng { machine: Arc::clone(machine) }),
            process: Arc::new(SimProcess { life: Arc::clone(life), machine: Arc::clone(machine) }),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.machine.id.0)
    }
}

struct SimSpawn {
    life: Arc<Life>,
    loops: usize,
    /// How long each loop was busy: drawn, a little more each time it is asked for.
    busy_nanos: Vec<AtomicU64>,
    draws: Draws,
}

impl SimSpawn {
    fn new(life: Arc<Life>, seed: u64, loops: usize) -> Self {
        let busy_nanos = (0..loops).map(|_| AtomicU64::new(0)).collect();
        let draws = Draws::new(seed, u64::from(life.host().0), "busy");
        Self { life, loops, busy_nanos, draws }
    }
}

impl Spawn for SimSpawn {
    fn loops(&self) -> usize {
        self.loops
    }

    fn current(&self) -> LoopId {
        current_loop()
    }

    fn busy(&self, on: LoopId) -> Duration {
        let more = Duration::from_millis(*self.draws.pick(&[0, 0, 1, 5, 20, 100]));
        let more = u64::try_from(more.as_nanos()).expect("milliseconds");
        Duration::from_nanos(self.busy_nanos[on.0].fetch_add(more, Ordering::Relaxed) + more)
    }

    fn spawn_on(&self, on: LoopId, name: &'static str, make: Box<dyn FnOnce() -> Task + Send>) {
        assert!(on.0 < self.loops, "no such loop");
        start_task(Starting { life: Arc::clone(&self.life), on, name, make: MakeTask::Make(make) });
    }

    fn spawn(&self, name: &'static str, task: Task) {
        let on = current_loop();
        start_task(Starting { life: Arc::clone(&self.life), on, name, make: MakeTask::Made(task) });
    }

    /// It takes no time, as everything that is not a call of a port.
    fn work(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// Draws go on where the last life of the machine stopped, as they would in the real world.
struct SimRng {
    machine: Arc<Machine>,
}

impl Rng for SimRng {
    fn next(&self, purpose: Purpose) -> u64 {
        let [uuid, placement, session, jitter, hashing] = &self.machine.draws;
        match purpose {
            Purpose::Uuid => uuid.next(),
            Purpose::Placement => placement.next(),
            Purpose::Session => session.next(),
            Purpose::Jitter => jitter.next(),
            Purpose::Hashing => hashing.next(),
        }
    }
}

struct SimProcess {
    life: Arc<Life>,
    machine: Arc<Machine>,
}

impl Process for SimProcess {
    fn halt(&self, why: &str) {
        if self.life.is_over() {
            return;
        }
        self.machine.kernel.print(format_args!("host {} halts: {why}", self.machine.id.0));
        lock(&self.machine.halts).push(why.to_owned());
        // The page cache may hold what the disk does not. Careful people restart the machine; most
        // start the node again.
        let stays = self.machine.outlives_halts.load(Ordering::Relaxed);
        drop(self.machine.end(if stays { Death::Kill } else { Death::PowerLoss }));
    }
}
