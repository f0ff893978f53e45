//! Time.

use std::ffi::c_int;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use ottla_env::{Clock, Mono, Timer};
use ottla_types::Timestamp;
use tokio::time::Sleep;

/// The system's clocks; monotonic time counts from the start of the world.
#[derive(Debug)]
pub(crate) struct RealClock {
    origin: Instant,
}

impl RealClock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for RealClock {
    fn mono(&self) -> Mono {
        Mono::from_nanos(0).after(self.origin.elapsed())
    }

    fn wall(&self) -> Timestamp {
        // A clock before 1970 is a machine that does not know the time yet: 1970 is the best guess.
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(RealTimer { origin: self.origin, sleep: None, armed: false })
    }
}

struct RealTimer {
    origin: Instant,
    /// Made when first armed: most connections never wait for time.
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Timer for RealTimer {
    fn set(&mut self, at: Option<Mono>) {
        self.armed = at.is_some();
        let Some(at) = at else { return };
        let since_origin = at.since(Mono::from_nanos(0));
        // The end of time is more than an Instant holds.
        let Some(deadline) = self.origin.checked_add(since_origin) else {
            self.armed = false;
            return;
        };
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(deadline.into()),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline.into()))),
        }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            // A finished Sleep must not be polled into its past again: it answers Ready for ever.
            Some(sleep) if self.armed => sleep.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }
}

/// The processor time of one loop's thread, read by any of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopClock(c_int);

/// `struct timespec` where `time_t` and `long` have 64 bits.
#[repr(C)]
#[derive(Default)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

// SAFETY: the declaration of the C library's function, on 64-bit systems.
#[expect(unsafe_code, reason = "rustix has no clocks of other threads")]
unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
}

/// A clock's number says whose it is: the lower bits, that a thread's processor time is meant.
const THREAD_TIME_BITS: u32 = 3;
const THREAD_TIME: c_int = 0b110;

impl LoopClock {
    /// The calling thread's.
    pub(crate) fn of_this_thread() -> Self {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        Self((!thread << THREAD_TIME_BITS) | THREAD_TIME)
    }

    /// The processor time that the thread has used so far; none where the system does not say.
    pub(crate) fn used(self) -> Duration {
        let mut time = Timespec::default();
        // SAFETY: `time` has the layout of the system's timespec and outlives the call.
        #[expect(unsafe_code, reason = "see the declaration")]
        let failed = unsafe { clock_gettime(self.0, &raw mut time) } != 0;
        let known = (u64::try_from(time.seconds), u32::try_from(time.nanoseconds));
        match known {
            (Ok(seconds), Ok(nanoseconds)) if !failed => Duration::new(seconds, nanoseconds),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_s_work_shows_on_its_clock_and_on_no_other() {
        let own = LoopClock::of_this_thread();
        let clock = std::thread::spawn(move || {
            let clock = LoopClock::of_this_thread();
            let before = own.used();
            let mut work = 1_u64;
            while clock.used() < Duration::from_millis(2) {
                work = std::hint::black_box(work.wrapping_mul(31));
            }
            (own.used() - before, clock)
        });
        let (own_used, gone) = clock.join().unwrap();
        assert!(own_used < Duration::from_millis(2), "{own_used:?}");
        assert_eq!(gone.used(), Duration::ZERO, "nobody knows of a thread that ended");
    }
}
