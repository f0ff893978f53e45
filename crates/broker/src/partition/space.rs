//! A full disk: appends are refused before it is, and go on by themselves when space returns.
//!
//! What is kept free, the reserve, is for what must not fail for want of space: the metadata log,
//! checkpoints, indexes, and the batches that are under way when the end is seen. Others may take
//! it all the same, so an append that finds no space is an ordinary refusal, too.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ottla_env::{DiskExt, Env, Space};
use tokio::sync::Notify;

use super::{LogDirectory, Partition, State};

/// The largest reserve that nobody asked for.
const RESERVE_BYTES_MAX: u64 = 1 << 30;

/// The part of a small file system that is its reserve where nobody asked for another: 5 %.
const RESERVE_PART: u64 = 20;

/// How much more than the reserve must be free before appends are taken again, as a part of the
/// reserve: without it, every removed segment would let a moment's appends in.
const RESUME_PART: u64 = 8;

/// How often to look while there are appends, or while they are refused. What this node appends in
/// between is counted; this is for what others write.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long appends are refused at least once one has found no space: where the file system says
/// that there is some, as with a quota, only another try can tell.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// Whether a log directory takes appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    Short,
}

impl Room {
    /// What comes after `self` when `space` is seen.
    fn judge(self, space: Space, reserve: u64) -> Self {
        let kept_free = match self {
            Self::Enough => reserve,
            Self::Short => reserve.saturating_add(reserve / RESUME_PART),
        };
        if space.available_bytes > kept_free { Self::Enough } else { Self::Short }
    }
}

fn derived_reserve(space: Space) -> u64 {
    RESERVE_BYTES_MAX.min(space.total_bytes / RESERVE_PART)
}

/// The space of one log directory.
#[derive(Debug)]
pub(crate) struct SpaceWatch {
    place: PathBuf,
    /// `ottla.log.dir.reserve.bytes`; `None`: derived from the size of the file system.
    reserve: Option<u64>,
    /// Bytes appended since the start.
    appended: AtomicU64,
    /// How far `appended` may go before the next look; 0 while appends are refused.
    limit: AtomicU64,
    /// Somebody has appended since the last look.
    active: AtomicBool,
    /// An append has found no space since the last look.
    found_none: AtomicBool,
    asked: Notify,
}

impl SpaceWatch {
    /// Of the file system that has the directory `place`. It takes nothing before the first look.
    pub(crate) fn new(place: &Path, reserve: Option<u64>) -> Self {
        Self {
            place: place.to_owned(),
            reserve,
            appended: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            active: AtomicBool::new(false),
            found_none: AtomicBool::new(false),
            asked: Notify::new(),
        }
    }

    /// Whether there is room for an append. It may be a batch a loop more than there is: the
    /// reserve has room for those.
    pub(crate) fn admits(&self) -> bool {
        self.appended.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed)
    }

    /// Bytes that were appended since the start.
    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// The directory has grown.
    pub(super) fn on_appended(&self, bytes: u64) {
        self.appended.fetch_add(bytes, Ordering::Relaxed);
        if !self.active.load(Ordering::Relaxed) && !self.active.swap(true, Ordering::Relaxed) {
            self.asked.notify_one();
        }
    }

    /// Something that appends wait for has failed; if for want of space, they are refused for a
    /// while from now on, and this says so.
    pub(super) fn refuses_after(&self, failure: ErrorKind) -> bool {
        let no_space = matches!(failure, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        if no_space {
            self.on_none_found();
        }
        no_space
    }

    /// An append has found no space.
    pub(super) fn on_none_found(&self) {
        self.found_none.store(true, Ordering::Relaxed);
        self.limit.store(0, Ordering::Relaxed);
        self.asked.notify_one();
    }

    /// Looks at the file system.
    async fn look(&self, env: &Env, before: Room) -> Room {
        self.active.store(false, Ordering::Relaxed);
        // What is appended during the look may be in it or not, and is counted again.
        let appended = self.appended.load(Ordering::Relaxed);
        let space = match env.disk.space_of(&self.place).await {
            Ok(space) => space,
            Err(error) => {
                tracing::warn!(%error, "free space of the log directory is unknown");
                Space { total_bytes: 0, available_bytes: u64::MAX }
            }
        };
        let reserve = self.reserve.unwrap_or_else(|| derived_reserve(space));
        let found_none = self.found_none.swap(false, Ordering::Relaxed);
        let room = if found_none { Room::Short } else { before.judge(space, reserve) };
        let limit = match room {
            Room::Enough => appended.saturating_add(space.available_bytes - reserve),
            Room::Short => 0,
        };
        self.limit.store(limit, Ordering::Relaxed);
        if room != before {
            self.tell(room, space, reserve, found_none);
        }
        if found_none {
            env.clock.sleep(RETRY_AFTER).await;
        }
        room
    }

    fn tell(&self, room: Room, space: Space, reserve_bytes: u64, found_none: bool) {
        let (directory, available_bytes) = (self.place.display(), space.available_bytes);
        match room {
            // Not less than the end of what a person was called for.
            Room::Enough => tracing::warn!(
                %directory, available_bytes, reserve_bytes,
                "the log directory has room again: appends are taken"
            ),
            Room::Short => tracing::error!(
                %directory, available_bytes, reserve_bytes, found_none,
                "the log directory is full: appends are refused until there is room"
            ),
        }
    }

    /// Looks for the first time: appends may follow.
    pub(crate) async fn begin(&self, env: &Env) -> Room {
        self.look(env, Room::Enough).await
    }
}

/// Watches a log directory's space after the first look: runs as long as the node.
pub(crate) async fn run_space_watch(env: Env, directory: Arc<LogDirectory>, mut room: Room) {
    let watch = directory.space();
    loop {
        match room {
            Room::Enough => watch.asked.notified().await,
            Room::Short => {}
        }
        env.clock.sleep(LOOK_EVERY).await;
        room = watch.look(&env, room).await;
    }
}

impl Partition {
    /// An append has found no space: what was written of it is cut off, and no other is tried
    /// for a while.
    pub(super) fn on_no_space(self: &Arc<Self>, env: &Env, state: &State) {
        self.directory.space().on_none_found();
        let (plan, partition) = (state.log().cut_plan(), Arc::clone(self));
        let env_of_cut = env.clone();
        // Whoever waits for rolls before it moves the directory or stops waits for this, too.
        let held = Arc::clone(&self.rolling).try_lock_owned();
        let cut = async move {
            let _held = match held {
                Ok(held) => held,
                // A roll that has ended lets go just now.
                Err(_) => Arc::clone(&partition.rolling).lock_owned().await,
            };
            match plan.perform(&env_of_cut.disk).await {
                Ok(()) => partition.state.lock().log_mut().on_cut(),
                Err(error) => {
                    let why = format!("cannot cut off the torn end of {}: {error}", partition.name);
                    partition.directory.fail(&env_of_cut, &why).await;
                }
            }
        };
        env.spawn.spawn("cut", Box::pin(cut));
    }
}

#[cfg(test)]
mod tests {
    use ottla_sim::{DiskFault, Host, Sim};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    #[rustfmt::skip]
    fn appends_end_at_the_reserve_and_go_on_above_it() {
        use Room::{Enough, Short};
        let check = |before: Room, available_bytes: u64, reserve: u64, after: Room| {
            let space = Space { total_bytes: 1_000, available_bytes };
            assert_eq!(before.judge(space, reserve), after, "{available_bytes} of {reserve}");
        };
        check(Enough, 801, 800, Enough);
        check(Enough, 800, 800, Short);
        check(Short,  801, 800, Short);
        check(Short,  900, 800, Short);
        check(Short,  901, 800, Enough);
        check(Enough, 1,   0,   Enough);
        check(Enough, 0,   0,   Short);
        check(Short,  1,   0,   Enough);
        check(Short,  u64::MAX, u64::MAX, Short);
    }

    #[test]
    fn the_reserve_is_a_gib_or_a_twentieth() {
        for (total_bytes, reserve) in [(0, 0), (100 * MIB, 5 * MIB), (1 << 44, 1 << 30)] {
            assert_eq!(derived_reserve(Space { total_bytes, available_bytes: 0 }), reserve);
        }
    }

    /// A watched directory on a disk, of which `main` is told.
    fn watched(reserve: u64, main: impl AsyncFnOnce(&Env, &Host, &SpaceWatch) + 'static) {
        let mut sim = Sim::new(1);
        let host = sim.host();
        let machine = host.clone();
        sim.run(&host, |env| async move {
            let watch = SpaceWatch::new(Path::new(""), Some(reserve));
            assert!(!watch.admits(), "nothing is known yet");
            main(&env, &machine, &watch).await;
        });
    }

    #[test]
    fn what_is_appended_between_two_looks_counts() {
        watched(10_000, async |env, host, watch| {
            host.disk_fault(DiskFault::Room(Some(10_500)));
            watch.begin(env).await;
            for bytes in [400, 99, 1_000] {
                assert!(watch.admits(), "up to {bytes} more");
                watch.on_appended(bytes);
            }
            assert!(!watch.admits(), "the reserve is touched");
        });
    }

    #[test]
    fn an_append_that_found_no_space_ends_appends_for_a_while() {
        watched(10_000, async |env, _, watch| {
            watch.begin(env).await;
            assert!(watch.admits(), "there is plenty");
            watch.on_none_found();
            assert!(!watch.admits(), "or so it seemed");
            let start = env.clock.mono();
            let room = watch.look(env, Room::Enough).await;
            assert_eq!(room, Room::Short, "whatever the file system says");
            assert!(env.clock.mono().since(start) >= RETRY_AFTER);
            assert_eq!(watch.look(env, room).await, Room::Enough, "another try");
            assert!(watch.admits());
        });
    }
}
