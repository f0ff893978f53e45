//! The offsets that a log directory keeps of its partitions: how far each is trusted, where it
//! begins, what is committed. Kafka's files, each replaced as a whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ottla_env::Env;
use ottla_log::{
    CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT, OffsetCheckpoint,
    RECOVERY_POINT_CHECKPOINT,
};
use ottla_types::{Offset, TopicPartition};

use super::Partition;

type Offsets = BTreeMap<TopicPartition, Offset>;

/// The checkpoint files of one log directory, and what they say.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    recovery_points: CheckpointFile,
    log_starts: CheckpointFile,
    high_watermarks: CheckpointFile,
    compacted: CheckpointFile,
}

/// What the files say of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) recovery_point: Option<Offset>,
    pub(crate) log_start: Option<Offset>,
}

impl Checkpoints {
    /// Those of a directory about which nothing is known.
    pub(crate) fn none(place: &Path) -> Self {
        Self {
            recovery_points: CheckpointFile::new(place, RECOVERY_POINT_CHECKPOINT),
            log_starts: CheckpointFile::new(place, LOG_START_CHECKPOINT),
            high_watermarks: CheckpointFile::new(place, HIGH_WATERMARK_CHECKPOINT),
            compacted: CheckpointFile::new(place, CLEANER_CHECKPOINT),
        }
    }

    /// Reads the files. One that does not parse to its last line does not exist.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn read(env: &Env, place: &Path) -> io::Result<Self> {
        let read = Self::none(place);
        for file in read.files() {
            file.read(env).await?;
        }
        Ok(read)
    }

    const fn files(&self) -> [&CheckpointFile; 4] {
        [&self.recovery_points, &self.log_starts, &self.high_watermarks, &self.compacted]
    }

    /// How far a log has been compacted; `None` if it never was.
    pub(crate) fn compacted(&self, partition: &TopicPartition) -> Option<Offset> {
        self.compacted.get(partition)
    }

    /// Remembers how far a log has been compacted. Durable when this returns.
    ///
    /// # Errors
    /// As [`Self::set_log_start`].
    pub(crate) async fn set_compacted(
        &self,
        env: &Env,
        partition: &Partition,
        upto: Offset,
    ) -> io::Result<()> {
        self.compacted.set(env, [(partition, upto)]).await
    }

    /// What the files say of a partition.
    pub(crate) fn of(&self, partition: &TopicPartition) -> Remembered {
        Remembered {
            recovery_point: self.recovery_points.get(partition),
            log_start: self.log_starts.get(partition),
        }
    }

    /// Remembers where a log begins from now on. Durable when this returns; calls that wait for
    /// each other share a write.
    ///
    /// # Errors
    /// When the disk refuses; what the file says is then the old or the new value.
    pub(crate) async fn set_log_start(
        &self,
        env: &Env,
        partition: &Partition,
        start: Offset,
    ) -> io::Result<()> {
        self.log_starts.set(env, [(partition, start)]).await
    }

    /// Remembers below which offsets logs are durable and need not be read. Durable when this
    /// returns.
    ///
    /// # Errors
    /// As [`Self::set_log_start`].
    pub(crate) async fn set_recovery_points<'a>(
        &self,
        env: &Env,
        points: impl IntoIterator<Item = (&'a Partition, Offset)>,
    ) -> io::Result<()> {
        self.recovery_points.set(env, points).await
    }

    /// Remembers what is committed. Durable when this returns.
    ///
    /// # Errors
    /// As [`Self::set_log_start`].
    pub(crate) async fn set_high_watermarks<'a>(
        &self,
        env: &Env,
        offsets: impl IntoIterator<Item = (&'a Partition, Offset)>,
    ) -> io::Result<()> {
        self.high_watermarks.set(env, offsets).await
    }

    /// Forgets partitions whose directories go away, before a namesake could be taken for them.
    /// What cannot be written is forgotten all the same, and written with the next change.
    /// They have been retired: nothing that is under way enters them again.
    ///
    /// # Errors
    /// As [`Self::set_log_start`].
    pub(crate) async fn forget(&self, env: &Env, gone: &[TopicPartition]) -> io::Result<()> {
        let mut outcome = Ok(());
        for file in self.files() {
            outcome = outcome.and(file.forget(env, gone).await);
        }
        outcome
    }
}

/// One file, and what it should say.
#[derive(Debug)]
struct CheckpointFile {
    place: PathBuf,
    name: &'static str,
    wanted: Mutex<Wanted>,
    /// The newest change that the file holds. Held by whoever writes.
    written: tokio::sync::Mutex<u64>,
}

#[derive(Debug, Default)]
struct Wanted {
    offsets: Offsets,
    /// Changes so far.
    changes: u64,
}

impl CheckpointFile {
    fn new(place: &Path, name: &'static str) -> Self {
        let written = tokio::sync::Mutex::new(0);
        Self { place: place.to_owned(), name, wanted: Mutex::default(), written }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, partition: &TopicPartition) -> Option<Offset> {
        self.wanted().offsets.get(partition).copied()
    }

    async fn read(&self, env: &Env) -> io::Result<()> {
        let read = OffsetCheckpoint::read(&env.disk, &self.place, self.name).await?;
        self.wanted().offsets = read.offsets;
        Ok(())
    }

    async fn set<'a>(
        &self,
        env: &Env,
        offsets: impl IntoIterator<Item = (&'a Partition, Offset)>,
    ) -> io::Result<()> {
        self.change(env, |wanted| {
            // Whoever forgets a partition has retired it first, so under the lock either it is
            // seen to be gone, or what is set now will be forgotten.
            let mut changed = false;
            for (partition, offset) in offsets.into_iter().filter(|(there, _)| !there.is_gone()) {
                changed |= wanted.insert(partition.name().clone(), offset) != Some(offset);
            }
            changed
        })
        .await
    }

    async fn forget(&self, env: &Env, gone: &[TopicPartition]) -> io::Result<()> {
        self.change(env, |wanted| {
            gone.iter().filter(|gone| wanted.remove(gone).is_some()).count() > 0
        })
        .await
    }

    async fn change(&self, env: &Env, change: impl FnOnce(&mut Offsets) -> bool) -> io::Result<()> {
        let due = {
            let mut wanted = self.wanted();
            let changed = change(&mut wanted.offsets);
            wanted.changes += u64::from(changed);
            wanted.changes
        };
        let mut written = self.written.lock().await;
        if *written >= due {
            return Ok(());
        }
        let (offsets, upto) = {
            let wanted = self.wanted();
            (wanted.offsets.clone(), wanted.changes)
        };
        OffsetCheckpoint { offsets }.write(&env.disk, &self.place, self.name).await?;
        *written = upto;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;

    use ottla_env::{DiskExt, reply};
    use ottla_sim::{Death, DiskFault, Host, Sim};
    use ottla_types::{PartitionId, TopicName};

    use super::*;

    fn named(text: &str) -> TopicPartition {
        let (topic, partition) = text.rsplit_once('-').unwrap();
        let partition = PartitionId::from_wire(partition.parse().unwrap()).unwrap();
        TopicPartition { topic: TopicName::parse(topic).unwrap(), partition }
    }

    async fn set(file: &CheckpointFile, env: &Env, name: &str, offset: i64) {
        let offset = Offset::new(offset);
        let set = |wanted: &mut Offsets| wanted.insert(named(name), offset) != Some(offset);
        file.change(env, set).await.unwrap();
    }

    fn live(sim: &mut Sim, machine: &Host, life: impl AsyncFnOnce(Env) + 'static) {
        let (to, lived) = reply();
        machine.start(1, |env| {
            Box::pin(async move {
                life(env).await;
                to.send(());
            })
        });
        let operator = sim.host();
        sim.run(&operator, |_| lived).expect("the machine lives on");
        machine.end(Death::PowerLoss);
    }

    #[test]
    fn what_was_set_outlives_a_power_loss() {
        let mut sim = Sim::new(1);
        let machine = sim.host();
        live(&mut sim, &machine, async |env| {
            let place = Path::new("data");
            env.disk.make_dir(place).await.unwrap();
            env.disk.sync_names(Path::new(".")).await.unwrap();
            let checkpoints = Checkpoints::read(&env, place).await.unwrap();
            for start in [3, 7] {
                set(&checkpoints.log_starts, &env, "a-0", start).await;
            }
            set(&checkpoints.recovery_points, &env, "a-0", 9).await;
            set(&checkpoints.recovery_points, &env, "b-1", 4).await;
            checkpoints.forget(&env, &[named("b-1")]).await.unwrap();
        });
        live(&mut sim, &machine, async |env| {
            let checkpoints = Checkpoints::read(&env, Path::new("data")).await.unwrap();
            let (recovery_point, log_start) = (Some(Offset::new(9)), Some(Offset::new(7)));
            assert_eq!(checkpoints.of(&named("a-0")), Remembered { recovery_point, log_start });
            assert_eq!(checkpoints.of(&named("b-1")), Remembered::default());
        });
    }

    #[test]
    fn what_could_not_be_written_is_written_with_the_next_call() {
        let mut sim = Sim::new(1);
        let machine = sim.host();
        let disk = machine.clone();
        live(&mut sim, &machine, async move |env| {
            let place = Path::new("data");
            env.disk.make_dir(place).await.unwrap();
            env.disk.sync_names(Path::new(".")).await.unwrap();
            let checkpoints = Checkpoints::none(place);
            set(&checkpoints.recovery_points, &env, "a-0", 9).await;
            disk.disk_fault(DiskFault::Room(Some(0)));
            checkpoints.forget(&env, &[named("a-0")]).await.unwrap_err();
            disk.disk_fault(DiskFault::Room(None));
            checkpoints.forget(&env, &[]).await.unwrap();
        });
        live(&mut sim, &machine, async |env| {
            let checkpoints = Checkpoints::read(&env, Path::new("data")).await.unwrap();
            assert_eq!(checkpoints.of(&named("a-0")), Remembered::default());
        });
    }

    #[test]
    fn calls_that_wait_for_each_other_share_a_write() {
        let mut sim = Sim::new(2);
        let host = sim.host();
        let done = sim.run(&host, |env| async move {
            env.disk.make_dir(Path::new("data")).await.unwrap();
            let checkpoints = Rc::new(Checkpoints::none(Path::new("data")));
            let done = Rc::new(Cell::new(0));
            for partition in 0..100 {
                let (env, checkpoints) = (env.clone(), Rc::clone(&checkpoints));
                let (done, spawn) = (Rc::clone(&done), Arc::clone(&env.spawn));
                let task = async move {
                    set(&checkpoints.log_starts, &env, &format!("t-{partition}"), 1).await;
                    done.set(done.get() + 1);
                };
                spawn.spawn("set", Box::pin(task));
            }
            let begun = env.clock.mono();
            while done.get() < 100 {
                env.clock.sleep(std::time::Duration::from_millis(1)).await;
            }
            env.clock.mono().since(begun)
        });
        assert!(done.as_millis() < 100, "{done:?}");
    }
}
