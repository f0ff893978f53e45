//! Faults of the disk, one at a time.

use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::{CachedRead, DiskExt as _, Env, File, Open};
use ottla_sim::{Damage, Death, DiskFault, Host, Lie, ReadOnly, Sim};

const PAGE: usize = 4_096;
const SEGMENT: &str = "t-0/00000000000000000000.log";

struct World {
    sim: Sim,
    host: Host,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(seed);
        let host = sim.host();
        Self { sim, host }
    }

    /// What `life` comes to on the machine, whose node ends afterwards as `death` says.
    fn live<T: 'static>(&mut self, death: Death, life: impl AsyncFnOnce(Env) -> T + 'static) -> T {
        let (to, answer) = ottla_env::reply();
        self.host.start(1, |env| Box::pin(async move { to.send(life(env).await) }));
        let operator = self.sim.host();
        let result = self.sim.run(&operator, |_| answer);
        self.host.end(death);
        result.expect("it lives on")
    }

    /// A segment of three pages, synced, of 1, 2 and 3, that no cache holds any more.
    fn with_segment(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.live(Death::PowerLoss, async |env| {
            let file = segment(&env, Open::New).await;
            for page in 0..3_u8 {
                write(&file, PAGE * usize::from(page), &[page + 1; PAGE]).unwrap();
            }
            env.disk.sync_files(vec![file]).await.unwrap();
        });
        world
    }
}

async fn segment(env: &Env, how: Open) -> Arc<dyn File> {
    if how == Open::New {
        env.disk.make_dir(Path::new("t-0")).await.unwrap();
    }
    let file = env.disk.open_file(Path::new(SEGMENT), how).await.unwrap();
    env.disk.sync_names(Path::new("t-0")).await.unwrap();
    env.disk.sync_names(Path::new("")).await.unwrap();
    file
}

fn write(file: &Arc<dyn File>, at: usize, bytes: &[u8]) -> io::Result<()> {
    file.write_at(at as u64, &[IoSlice::new(bytes)])
}

async fn read(env: &Env, file: &Arc<dyn File>, at: usize) -> io::Result<u8> {
    env.disk.read_at(file, at as u64, 1).await.map(|bytes| bytes[0])
}

#[test]
fn a_page_that_the_device_cannot_read_is_not_in_the_cache_until_it_is_written() {
    let mut world = World::with_segment(1);
    world.host.disk_fault(DiskFault::UnreadableOneIn(1));
    world.live(Death::Kill, async |env| {
        let file = segment(&env, Open::Existing).await;
        let mut byte = [0];
        assert_eq!(file.read_cached(0, &mut byte).unwrap(), CachedRead::Cold);
        assert!(read(&env, &file, 0).await.is_err());
        let last = read(&env, &file, 2 * PAGE).await;
        assert_eq!(last.unwrap(), 3, "the last page was in use a moment ago");
        write(&file, 0, &[7; PAGE]).unwrap();
        assert_eq!(read(&env, &file, 0).await.unwrap(), 7);
        assert!(read(&env, &file, PAGE).await.is_err());
    });
    world.host.disk_fault(DiskFault::Healed);
    world.live(Death::Kill, async |env| {
        let file = segment(&env, Open::Existing).await;
        assert_eq!(read(&env, &file, PAGE).await.unwrap(), 2);
    });
}

#[test]
fn a_lie_is_believed_until_the_power_is_lost_and_then_told() {
    for seed in 0..50 {
        let lost = damaged_after(seed, Lie::Lost);
        assert!(lost.0.contains(&0), "seed {seed}: the old content stays: {lost:?}");
        assert_eq!(lost.1, 1, "seed {seed}");
        let strayed = damaged_after(seed, Lie::Misdirected);
        assert!(strayed.0.contains(&0) && strayed.1 >= 1, "seed {seed}: {strayed:?}");
        let copies = strayed.0.iter().filter(|page| **page == 4).count();
        assert!(matches!(copies, 2 | 3), "seed {seed}: {strayed:?}");
    }
}

/// What the pages of a segment hold after a device has lied about one of three new ones; and how
/// many places it has to answer for.
fn damaged_after(seed: u64, lie: Lie) -> (Vec<u8>, usize) {
    let mut world = World::with_segment(seed);
    world.host.disk_fault(DiskFault::NextSyncLies(lie));
    world.live(Death::Kill, async |env| {
        let file = segment(&env, Open::Existing).await;
        (3..6).for_each(|page: usize| write(&file, PAGE * page, &[4; PAGE]).unwrap());
        env.disk.sync_files(vec![Arc::clone(&file)]).await.unwrap();
    });
    let pages = |world: &World| -> Vec<u8> {
        world.host.content(SEGMENT).unwrap().chunks(PAGE).map(|page| page[0]).collect()
    };
    assert_eq!(pages(&world), [1, 2, 3, 4, 4, 4], "a kill does not show it");
    assert!(world.host.take_damaged().is_empty());
    world.live(Death::PowerLoss, async |_| ());
    let damaged = world.host.take_damaged();
    assert!(damaged.iter().all(|damaged| damaged.path == SEGMENT));
    (pages(&world), damaged.len())
}

#[test]
fn a_stall_and_a_slow_disk_take_the_time_that_they_say() {
    let took = |fault: Option<DiskFault>| {
        let mut world = World::with_segment(4);
        if let Some(fault) = fault {
            world.host.disk_fault(fault);
        }
        world.live(Death::Kill, async |env| {
            let begun = env.clock.mono();
            segment(&env, Open::Existing).await;
            Duration::from_nanos(env.clock.mono().nanos() - begun.nanos())
        })
    };
    let (usual, stalled) = (took(None), took(Some(DiskFault::Stall(Duration::from_secs(9)))));
    assert!(usual < Duration::from_secs(1) && stalled > Duration::from_secs(8));
    let (slow, times) = (took(Some(DiskFault::SlowTimes(100))), usual * 100);
    assert!(slow > usual * 50 && slow < times * 2, "{slow:?} instead of {usual:?}");
}

#[test]
fn a_read_only_disk_refuses_what_it_should() {
    let refused = |what: ReadOnly| {
        let mut world = World::with_segment(5);
        world.host.disk_fault(DiskFault::ReadOnly(what));
        world.live(Death::Kill, async |env| {
            let file = segment(&env, Open::Existing).await;
            let made = env.disk.open_file(Path::new("t-0/new"), Open::New).await;
            let removed = env.disk.unlink(Path::new(SEGMENT)).await;
            let moved = env.disk.move_to(Path::new("t-0"), Path::new("t-1")).await;
            let cut = env.disk.truncate_to(&file, 1).await;
            let is = |error: &io::Error| error.kind() == ErrorKind::ReadOnlyFilesystem;
            [
                made.as_ref().is_err_and(is),
                removed.as_ref().is_err_and(is),
                moved.as_ref().is_err_and(is),
                cut.as_ref().is_err_and(is),
                write(&file, 0, &[1]).as_ref().is_err_and(is),
            ]
        })
    };
    assert_eq!(refused(ReadOnly::Names), [true, true, true, false, false]);
    assert_eq!(refused(ReadOnly::Everything), [true; 5]);
}

#[test]
fn files_are_harmed_while_the_node_is_down_and_stay_so() {
    let left = |damage: Damage| {
        let mut world = World::with_segment(6);
        assert!(world.host.damage(SEGMENT, damage));
        world.live(Death::PowerLoss, async |_| ());
        world.host.content(SEGMENT)
    };
    assert_eq!(left(Damage::Removed), None);
    assert_eq!(left(Damage::CutTo(5)), Some(vec![1; 5]));
    assert_eq!(left(Damage::Zeroed), Some(vec![0; 3 * PAGE]));
    let flipped = left(Damage::BitFlipped { at: PAGE + 1, bit: 3 }).unwrap();
    assert_eq!(flipped[PAGE..PAGE + 3], [2, 2 ^ 8, 2]);
}

#[test]
fn a_halt_without_a_reboot_keeps_what_the_device_refused() {
    for (outlives, expected) in [(true, 9), (false, 1)] {
        let mut world = World::with_segment(7);
        world.host.set_outlives_halts(outlives);
        world.host.disk_fault(DiskFault::NextSyncFails);
        world.live(Death::Kill, async |env| {
            let file = segment(&env, Open::Existing).await;
            write(&file, 0, &[9; PAGE]).unwrap();
            env.disk.sync_files(vec![file]).await.unwrap_err();
        });
        // The halt of a life that has ended says nothing: this one is told to by its own process.
        world.host.start(1, |env| Box::pin(async move { env.process.halt("sync") }));
        let host = world.host.clone();
        let operator = world.sim.host();
        world.sim.run(&operator, async move |env: Env| {
            while host.is_alive() {
                env.clock.sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(world.host.content(SEGMENT).unwrap()[0], expected, "outlives: {outlives}");
    }
}
