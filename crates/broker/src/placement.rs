//! Which loop serves which connection: few loops while there is little to do, all of them when one
//! is not enough.
//!
//! A producer and a consumer on one loop need no wake-up of another thread between an append and
//! the answer that it completes; on two loops they need one for each message, which costs more
//! than all the rest of it. So connections stay together for as long as one processor is enough for
//! them. Loops that are full give some of theirs to the one with the least to do, and loops that
//! have had little to do for a while give all of theirs back. A connection moves between two
//! requests only.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_env::{LoopId, Mono, Spawn};

/// How long loops are watched before connections are moved: long enough to tell a load from a
/// request, short enough that nobody waits for it.
const WINDOW: Duration = Duration::from_millis(20);

/// Of the time: a loop that waits for events less than the rest of it gives connections away. Not
/// all of it, so that nobody waits long behind another's request, and so that a loop shows as full
/// that is kept from its processor now and then.
const FULL_PERMILLE: u64 = 700;

/// What the other loop must have less of, so that moving evens something out.
const GAP_PERMILLE: u64 = 300;

/// Two loops that need no more than this together become one, on which it will be less ...
const TOGETHER_PERMILLE: u64 = 600;

/// ... once they were found so this many times in a row: what comes in bursts stays spread.
const CALM_LOOKS: u32 = 10;

/// The loops of a node, and what they have to do.
#[derive(Debug)]
pub(crate) struct Placement {
    loops: Vec<Loop>,
    /// When they are looked at again, in nanoseconds as [`Mono`].
    next_look: AtomicU64,
    /// Taken by whoever looks, once a window; nobody waits for it.
    last_look: Mutex<Look>,
}

#[derive(Debug, Default)]
struct Loop {
    connections: AtomicUsize,
    busy_permille: AtomicU64,
    /// Connections that should go, and where to.
    leaving: AtomicUsize,
    leaving_to: AtomicUsize,
}

/// What was found when the loops were looked at.
#[derive(Debug)]
struct Look {
    at: Mono,
    /// How long each loop had been busy.
    busy: Vec<Duration>,
    /// How often in a row less loops would have done.
    calm: u32,
}

/// What should become of a loop's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shift {
    from: usize,
    to: usize,
    /// At most so many.
    count: usize,
}

/// A connection's place on a loop, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    placement: Arc<Placement>,
    on: LoopId,
}

impl Placement {
    pub(crate) fn new(loops: usize, now: Mono) -> Self {
        let look = Look { at: now, busy: vec![Duration::ZERO; loops], calm: 0 };
        Self {
            loops: (0..loops).map(|_| Loop::default()).collect(),
            next_look: AtomicU64::new(0),
            last_look: Mutex::new(look),
        }
    }

    /// A place for a new connection: on the first loop with room.
    pub(crate) fn admit(self: &Arc<Self>, spawn: &dyn Spawn, now: Mono) -> Place {
        self.look(spawn, now);
        let has_room = |each: &Loop| each.busy_permille.load(Ordering::Relaxed) < FULL_PERMILLE;
        let connections = |at: &usize| self.loops[*at].connections.load(Ordering::Relaxed);
        let on = self.loops.iter().position(has_room);
        let on = on.or_else(|| (0..self.loops.len()).min_by_key(connections));
        self.place(LoopId(on.expect("a node has a loop")))
    }

    fn place(self: &Arc<Self>, on: LoopId) -> Place {
        self.loops[on.0].connections.fetch_add(1, Ordering::Relaxed);
        Place { placement: Arc::clone(self), on }
    }

    /// Looks at what the loops have to do, once a window.
    fn look(&self, spawn: &dyn Spawn, now: Mono) {
        if self.loops.len() == 1 || now.nanos() < self.next_look.load(Ordering::Relaxed) {
            return;
        }
        // Somebody else does it.
        let Ok(mut last) = self.last_look.try_lock() else { return };
        let window = now.since(last.at);
        if window < WINDOW {
            return;
        }
        self.next_look.store(now.after(WINDOW).nanos(), Ordering::Relaxed);
        last.at = now;
        let mut found = Vec::with_capacity(self.loops.len());
        for (at, each) in self.loops.iter().enumerate() {
            let busy = spawn.busy(LoopId(at));
            let more = busy.saturating_sub(std::mem::replace(&mut last.busy[at], busy));
            let busy = permille(more, window);
            each.busy_permille.store(busy, Ordering::Relaxed);
            each.leaving.store(0, Ordering::Relaxed);
            found.push((busy, each.connections.load(Ordering::Relaxed)));
        }
        let shift = spread(&found).or_else(|| {
            let together = gather(&found);
            last.calm = if together.is_some() { last.calm + 1 } else { 0 };
            together.filter(|_| last.calm >= CALM_LOOKS)
        });
        if let Some(Shift { from, to, count }) = shift {
            self.loops[from].leaving_to.store(to, Ordering::Relaxed);
            self.loops[from].leaving.store(count, Ordering::Release);
        }
    }
}

fn permille(part: Duration, whole: Duration) -> u64 {
    let permille = part.as_nanos() * 1_000 / whole.as_nanos().max(1);
    u64::try_from(permille).unwrap_or(u64::MAX)
}

/// What a full loop gives away, given how busy each loop is and how many connections it has.
fn spread(loops: &[(u64, usize)]) -> Option<Shift> {
    let busiest = (0..loops.len()).max_by_key(|at| loops[*at].0)?;
    let idlest = (0..loops.len()).min_by_key(|at| loops[*at].0)?;
    let (busy, connections) = loops[busiest];
    // One alone has nobody to make room for.
    if busy < FULL_PERMILLE || connections < 2 || loops[idlest].0 + GAP_PERMILLE > busy {
        return None;
    }
    // As many as even it out, if all are alike; rounded, and never all of them.
    let many = u64::try_from(connections).expect("there are descriptors for all of them");
    let even = (many * (busy - loops[idlest].0) + busy) / (2 * busy);
    let count = usize::try_from(even).expect("less than there are");
    (count > 0).then_some(Shift { from: busiest, to: idlest, count })
}

/// What a loop with little to do gives back, given the same.
fn gather(loops: &[(u64, usize)]) -> Option<Shift> {
    if loops.iter().any(|each| each.0 >= FULL_PERMILLE) {
        return None;
    }
    let from = (1..loops.len()).rev().find(|at| loops[*at].1 > 0)?;
    let together = |to: &usize| loops[*to].0 + loops[from].0 <= TOGETHER_PERMILLE;
    let to = (0..from).find(together)?;
    Some(Shift { from, to, count: loops[from].1 })
}

impl Place {
    /// The loop.
    pub(crate) fn on(&self) -> LoopId {
        self.on
    }

    /// The place that the connection should go to, if it should leave this one. Asked between
    /// requests.
    pub(crate) fn next(&self, spawn: &dyn Spawn, now: Mono) -> Option<Self> {
        self.placement.look(spawn, now);
        let here = &self.placement.loops[self.on.0];
        if here.leaving.load(Ordering::Acquire) == 0 {
            return None;
        }
        // Only this loop's connections count down; a look may begin anew meanwhile.
        here.leaving
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .ok()?;
        Some(self.placement.place(LoopId(here.leaving_to.load(Ordering::Relaxed))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.placement.loops[self.on.0].connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn connections_stay_together_until_their_loop_is_full() {
        check(&[(0, 0)],                           None);
        check(&[(1_000, 9)],                       None);
        check(&[(0, 5), (0, 0)],                   None);
        check(&[(690, 5), (0, 0)],                 None);
        check(&[(700, 5), (0, 0)],                 Some((0, 1, 3)));
        check(&[(1_000, 2), (10, 0)],              Some((0, 1, 1)));
        // Alone: the loop has nothing to give.
        check(&[(1_000, 1), (10, 0)],              None);
        check(&[(0, 1), (1_000, 1)],               None);
        // All are full.
        check(&[(1_000, 9), (900, 3)],             None);
        check(&[(500, 9), (900, 3), (100, 0)],     Some((1, 2, 1)));
        check(&[(800, 9), (510, 3)],               None);
        // As many as even it out.
        check(&[(900, 8), (600, 8)],               Some((0, 1, 1)));
        check(&[(900, 2), (600, 2)],               None);
    }

    #[test]
    #[rustfmt::skip]
    fn loops_with_little_left_become_one() {
        check(&[(100, 1), (100, 3)],               Some((1, 0, 3)));
        check(&[(400, 1), (201, 3)],               None);
        check(&[(400, 1), (0, 0)],                 None);
        check(&[(400, 1), (300, 1), (250, 1)],     Some((2, 1, 1)));
        check(&[(400, 1), (200, 1), (200, 1)],     Some((2, 0, 1)));
    }

    /// Loops by how busy they are and their connections; from, to and how many.
    fn check(loops: &[(u64, usize)], moved: Option<(usize, usize, usize)>) {
        let moved = moved.map(|(from, to, count)| Shift { from, to, count });
        assert_eq!(spread(loops).or_else(|| gather(loops)), moved, "{loops:?}");
    }

    /// Loops that were busy for as long as a test says.
    struct Busy(Mutex<Vec<Duration>>);

    impl Spawn for Busy {
        fn loops(&self) -> usize {
            self.0.lock().unwrap().len()
        }

        fn current(&self) -> LoopId {
            LoopId(0)
        }

        fn busy(&self, on: LoopId) -> Duration {
            self.0.lock().unwrap()[on.0]
        }

        fn spawn_on(
            &self,
            _: LoopId,
            _: &'static str,
            _: Box<dyn FnOnce() -> ottla_env::Task + Send>,
        ) {
            unreachable!("nothing is spawned")
        }

        fn spawn(&self, _: &'static str, _: ottla_env::Task) {
            unreachable!("nothing is spawned")
        }

        fn work(&self, _: Box<dyn FnOnce() + Send>) {
            unreachable!("nothing is computed")
        }
    }

    #[test]
    fn half_of_a_full_loop_moves_and_comes_back_when_it_is_quiet() {
        let spawn = Busy(Mutex::new(vec![Duration::ZERO; 2]));
        let at = |millis| Mono::from_nanos(0).after(Duration::from_millis(millis));
        let placement = Arc::new(Placement::new(2, at(0)));
        let mut places: Vec<_> = (0..4).map(|_| placement.admit(&spawn, at(1))).collect();
        assert_eq!(on(&places), [0, 0, 0, 0]);
        spawn.0.lock().unwrap()[0] = Duration::from_millis(29);
        settle(&mut places, &spawn, at(30));
        assert_eq!(on(&places), [1, 1, 0, 0]);
        // Busy still, but evenly.
        *spawn.0.lock().unwrap() = [49, 20].map(Duration::from_millis).to_vec();
        settle(&mut places, &spawn, at(50));
        assert_eq!(on(&places), [1, 1, 0, 0]);
        for calm in 0..u64::from(CALM_LOOKS) {
            assert_eq!(on(&places), [1, 1, 0, 0], "calm {calm} times is no calm");
            settle(&mut places, &spawn, at(71 + 21 * calm - 11));
            assert_eq!(on(&places), [1, 1, 0, 0], "not looked at before the window is over");
            settle(&mut places, &spawn, at(71 + 21 * calm));
        }
        assert_eq!(on(&places), [0, 0, 0, 0]);
        drop(places);
        assert_eq!(placement.loops[0].connections.load(Ordering::Relaxed), 0);
    }

    fn settle(places: &mut [Place], spawn: &dyn Spawn, now: Mono) {
        for place in places {
            if let Some(next) = place.next(spawn, now) {
                *place = next;
            }
        }
    }

    fn on(places: &[Place]) -> Vec<usize> {
        places.iter().map(|place| place.on().0).collect()
    }
}
