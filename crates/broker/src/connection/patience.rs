//! Peers that keep a connection and do nothing with it: how long each may.
//!
//! A connection is looked at now and then and compared with how it was the time before, so that a
//! request costs nothing: a pass compares one number, and no timer moves.

use std::time::Duration;

use ottla_env::Mono;

/// How soon a connection is looked at again on which something is under way.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a new connection may take to send its first request. Every client asks for the
/// versions of the APIs at once.
const FIRST_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a request may take to arrive, besides what [`ARRIVE_BYTES_MIN`] allows it.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// Bytes that have to arrive in a second after that: less than any line of today's.
const ARRIVE_BYTES_MIN: usize = 32 * 1024;

/// How long a peer may keep memory without using it while others wait for some.
const SHORT_TIME_MAX: Duration = Duration::from_secs(5);

/// Why a peer is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Late {
    #[error("no request came in its first {} seconds", FIRST_REQUEST_TIME_MAX.as_secs())]
    NoRequest,
    #[error("a request arrived too slowly")]
    SlowRequest,
    #[error("it took no answers while memory was short")]
    SlowReader,
    #[error("its requests waited behind one that takes its time, while memory was short")]
    Hoarder,
    #[error("nothing came or went for {0:?}")]
    Idle(Duration),
}

/// How a connection is, when it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Requests that have arrived so far.
    pub(super) requests: u64,
    /// One is here, or may not come for want of memory.
    pub(super) done_its_part: bool,
    /// When the last byte came or went.
    pub(super) moved_at: Mono,
    /// When the peer took something last.
    pub(super) wrote_at: Mono,
    /// Bytes of a request that the peer is sending and nobody else keeps from arriving.
    pub(super) arriving: Option<usize>,
    /// Answers wait for the peer.
    pub(super) untaken: bool,
    /// Requests are in memory, behind one that waits for others' doings.
    pub(super) hoards: bool,
    /// Appends wait for our disk.
    pub(super) owed: bool,
    /// Others wait for memory.
    pub(super) short: bool,
}

/// What was seen of a connection the times before.
#[derive(Debug)]
pub(super) struct Patience {
    /// The next look; nobody need do anything before.
    pub(super) at: Mono,
    accepted: Mono,
    idle_max: Option<Duration>,
    /// The request that has been arriving, by number, and since when.
    arriving: Option<(u64, Mono)>,
    /// The last write before answers began to wait, and since when they have.
    untaken: Option<(Mono, Mono)>,
    hoarding: Option<(u64, Mono)>,
}

impl Patience {
    /// The first look is at once.
    pub(super) fn new(accepted: Mono, idle_max: Option<Duration>) -> Self {
        Self { at: accepted, accepted, idle_max, arriving: None, untaken: None, hoarding: None }
    }

    /// Judges the peer, and sets when it is looked at next.
    pub(super) fn look(&mut self, now: Mono, state: &State) -> Result<(), Late> {
        if state.owed {
            // Half of it may be in the log already.
            self.at = now.after(LOOK_EVERY);
            return Ok(());
        }
        let arriving = since(&mut self.arriving, state.arriving.map(|_| state.requests), now);
        let untaken = since(&mut self.untaken, state.untaken.then_some(state.wrote_at), now);
        let hoarding = since(&mut self.hoarding, state.hoards.then_some(state.requests), now);
        let earned = state.arriving.unwrap_or(0) / ARRIVE_BYTES_MIN;
        let earned = Duration::from_secs(earned as u64);
        let is_new = state.requests == 0 && !state.done_its_part;
        if is_new && now.since(self.accepted) >= FIRST_REQUEST_TIME_MAX + earned {
            return Err(Late::NoRequest);
        }
        let request_max = if state.short { SHORT_TIME_MAX } else { REQUEST_TIME_MAX };
        if arriving.is_some_and(|time| time >= request_max + earned) {
            return Err(Late::SlowRequest);
        }
        // What came before is no reason to wait for what does not come.
        let stalls = now.since(state.moved_at) >= SHORT_TIME_MAX;
        if state.short && arriving.is_some() && stalls {
            return Err(Late::SlowRequest);
        }
        let too_long = |time: Option<Duration>| time.is_some_and(|time| time >= SHORT_TIME_MAX);
        if state.short && too_long(untaken) {
            return Err(Late::SlowReader);
        }
        if state.short && too_long(hoarding) {
            return Err(Late::Hoarder);
        }
        if let Some(idle) = self.idle_max.filter(|idle| now.since(state.moved_at) >= *idle) {
            return Err(Late::Idle(idle));
        }
        self.at = self.next(now, state);
        Ok(())
    }

    fn next(&self, now: Mono, state: &State) -> Mono {
        let never = Mono::from_nanos(u64::MAX);
        let idle = self.idle_max.map_or(never, |idle| state.moved_at.after(idle));
        let something = state.arriving.is_some() || state.untaken || state.hoards;
        match (something || state.done_its_part, state.requests) {
            (true, _) => {
                let stalled = state.moved_at.after(SHORT_TIME_MAX);
                let soon = now.after(LOOK_EVERY);
                idle.min(if stalled > now { stalled.min(soon) } else { soon })
            }
            // Still the first request is awaited, at the latest for a little longer than that.
            (false, 0) => idle.min(self.accepted.after(FIRST_REQUEST_TIME_MAX)).max(now),
            (false, _) => idle,
        }
    }
}

/// How long the same thing has been seen; nothing is seen where `thing` is `None`.
fn since<T: PartialEq>(
    seen: &mut Option<(T, Mono)>,
    thing: Option<T>,
    now: Mono,
) -> Option<Duration> {
    let Some(thing) = thing else {
        *seen = None;
        return None;
    };
    match seen {
        Some((before, at)) if *before == thing => Some(now.since(*at)),
        _ => {
            *seen = Some((thing, now));
            Some(Duration::ZERO)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const IDLE: Duration = Duration::from_mins(10);

    fn at(seconds: u64) -> Mono {
        Mono::from_nanos(seconds * 1_000_000_000)
    }

    /// A peer that has sent requests and rests since the beginning.
    fn quiet() -> State {
        State {
            requests: 3,
            done_its_part: false,
            moved_at: at(0),
            wrote_at: at(0),
            arriving: None,
            untaken: false,
            hoards: false,
            owed: false,
            short: false,
        }
    }

    /// Moves all the time, so that it is never idle.
    fn busy() -> State {
        State { moved_at: at(u64::MAX / 1_000_000_000), ..quiet() }
    }

    #[test]
    #[rustfmt::skip]
    fn a_peer_is_given_up_when_its_time_is_over() {
        let new = State { requests: 0, ..busy() };
        check(quiet(),                                         Late::Idle(IDLE), 10 * MINUTE);
        check(new,                                             Late::NoRequest, 10);
        check(State { arriving: Some(2), ..new },              Late::NoRequest, 10);
        check(State { done_its_part: true, ..quiet() },        Late::Idle(IDLE), 10 * MINUTE);
        check(State { arriving: Some(2), ..busy() },           Late::SlowRequest, MINUTE);
        check(State { arriving: Some(40 << 15), ..busy() },    Late::SlowRequest, MINUTE + 40);
        check(State { arriving: Some(2), short: true, ..busy() }, Late::SlowRequest, 5);
        check(State { arriving: Some(5 << 15), short: true, ..busy() }, Late::SlowRequest, 10);
        check(State { untaken: true, short: true, ..busy() },  Late::SlowReader, 5);
        check(State { untaken: true, ..quiet() },              Late::Idle(IDLE), 10 * MINUTE);
        check(State { hoards: true, short: true, ..busy() },   Late::Hoarder, 5);
        check(State { hoards: true, ..quiet() },               Late::Idle(IDLE), 10 * MINUTE);
    }

    #[track_caller]
    fn check(state: State, why: Late, after: u64) {
        let mut patience = Patience::new(at(0), Some(IDLE));
        let mut looks = 0;
        loop {
            let now = patience.at;
            let looked = patience.look(now, &state);
            looks += 1;
            if let Err(late) = looked {
                assert_eq!((late, now), (why, at(after)), "{state:?}");
                return;
            }
            assert!(patience.at > now && looks < 1_000, "{state:?} at {now:?}");
        }
    }

    #[test]
    fn whoever_moves_is_not_given_up() {
        let mut patience = Patience::new(at(0), Some(IDLE));
        for second in 0..10_000 {
            let now = at(second);
            let state = State {
                requests: 1 + second / 50,
                moved_at: now,
                wrote_at: at(second / 4 * 4),
                arriving: Some(2),
                untaken: true,
                hoards: second % 4 != 0,
                short: second % 10_000 > 9_000 && second % 50 < 4,
                ..quiet()
            };
            if patience.at <= now {
                assert_eq!(patience.look(now, &state), Ok(()), "{second}");
            }
        }
    }

    #[test]
    fn a_peer_to_which_an_append_is_owed_is_not_given_up() {
        let mut patience = Patience::new(at(0), Some(IDLE));
        let owed = State { owed: true, requests: 0, untaken: true, short: true, ..quiet() };
        for second in [0, 5, 10, 11 * MINUTE] {
            assert_eq!(patience.look(at(second), &owed), Ok(()));
            assert_eq!(patience.at, at(second + 5));
        }
        assert_eq!(patience.look(at(11 * MINUTE + 5), &quiet()), Err(Late::Idle(IDLE)));
    }

    #[test]
    fn without_a_limit_a_quiet_peer_is_never_looked_at() {
        let mut patience = Patience::new(at(0), None);
        assert_eq!(patience.look(at(0), &quiet()), Ok(()));
        assert_eq!(patience.at, Mono::from_nanos(u64::MAX));
    }
}
