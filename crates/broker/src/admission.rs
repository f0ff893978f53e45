//! Who may connect: how many, from where, how fast.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_env::{Clock, Mono};
use tokio::sync::Notify;

use crate::config::{ConnectionsConfig, LiveConfig};
use crate::stopping::Running;

/// How soon a listener that waits for room looks again whether its limits have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Of all descriptors, connections leave one of so many to files.
const DESCRIPTORS_LEFT: usize = 4;

/// Connections that came together are taken together, as long as they keep the rate over this time.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// The connections of all listeners of one role.
#[derive(Debug)]
pub(crate) struct Admission {
    counts: Mutex<Counts>,
    /// Somebody has left.
    left: Notify,
    /// What the system's limit of descriptors allows.
    descriptors_max: usize,
}

/// As many entries as connections at the most.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of: BTreeMap<IpAddr, usize>,
    pace: Pace,
}

/// An address has as many connections as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} has {max} connections, and may have no more")]
pub(crate) struct TooMany {
    pub(crate) address: IpAddr,
    pub(crate) max: usize,
}

/// A connection that was counted; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// `descriptors` is how many files and connections the process may have open; `None`: any
    /// number.
    pub(crate) fn new(descriptors: Option<usize>) -> Arc<Self> {
        let descriptors_max = descriptors.map_or(usize::MAX, |all| all - all / DESCRIPTORS_LEFT);
        Arc::new(Self { counts: Mutex::default(), left: Notify::new(), descriptors_max })
    }

    /// Waits until one more connection may be, at the rate that is allowed; false if the node stops
    /// before.
    pub(crate) async fn wait(
        &self,
        clock: &Arc<dyn Clock>,
        live: &LiveConfig,
        running: &Running,
    ) -> bool {
        loop {
            // Listed before the look: it hears of whoever leaves after that.
            let mut left = Box::pin(self.left.notified());
            left.as_mut().enable();
            let config = live.load();
            let until = {
                let (now, mut counts) = (clock.mono(), self.lock());
                counts.not_before(now, &config.connections, self.descriptors_max)
            };
            let Some(until) = until else { return true };
            let pause = async {
                match until {
                    NotBefore::Time(at) => clock.sleep_until(at).await,
                    NotBefore::SomebodyLeft => first(left, clock.sleep(LOOK_AGAIN)).await,
                }
            };
            if running.or(pause).await.is_none() {
                return false;
            }
        }
    }

    /// Counts a connection.
    ///
    /// # Errors
    /// When its address has as many as it may have.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &ConnectionsConfig,
    ) -> Result<Admitted, TooMany> {
        let (address, max) = (address.to_canonical(), limits.of_address(address));
        let mut counts = self.lock();
        let of = counts.of.get(&address).copied().unwrap_or(0);
        if of >= max {
            return Err(TooMany { address, max });
        }
        counts.of.insert(address, of + 1);
        counts.all += 1;
        Ok(Admitted { admission: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.all -= 1;
        let of = counts.of.get_mut(&self.address).expect("it was counted when it came");
        *of -= 1;
        if *of == 0 {
            counts.of.remove(&self.address);
        }
        drop(counts);
        self.admission.left.notify_waiters();
    }
}

/// What a connection has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotBefore {
    Time(Mono),
    SomebodyLeft,
}

impl Counts {
    fn not_before(
        &mut self,
        now: Mono,
        limits: &ConnectionsConfig,
        descriptors_max: usize,
    ) -> Option<NotBefore> {
        if self.all >= limits.count_max.min(descriptors_max) {
            return Some(NotBefore::SomebodyLeft);
        }
        let rate = limits.made_per_second_max?;
        self.pace.step(now, rate).err().map(NotBefore::Time)
    }
}

/// When connections came, as far as their rate depends on it (GCRA).
#[derive(Debug, Default)]
struct Pace {
    /// When the last one would have come, had all kept the rate to the nanosecond.
    even: Option<Mono>,
}

impl Pace {
    /// One more connection, `rate` in a second at the most; or when it may come. As in Kafka, a
    /// rate of 0 is one in a second.
    fn step(&mut self, now: Mono, rate: u32) -> Result<(), Mono> {
        let each = RATE_WINDOW / rate.max(1);
        let next = self.even.map_or(now, |even| even.after(each).max(now));
        let ahead = next.since(now);
        // The one that comes now is within the window as well.
        if ahead + each > RATE_WINDOW {
            return Err(now.after(ahead + each - RATE_WINDOW));
        }
        self.even = Some(next);
        Ok(())
    }
}

/// Waits for either.
async fn first(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    std::future::poll_fn(|cx| {
        let ready = a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready();
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NodeConfig, Properties};

    fn at(millis: u64) -> Mono {
        Mono::from_nanos(millis * 1_000_000)
    }

    fn limits(pairs: &[(&str, &str)]) -> ConnectionsConfig {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let given: Properties = pairs.iter().map(own).collect();
        NodeConfig::parse(&given, None).unwrap().connections
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may_have() {
        let limits = limits(&[
            ("max.connections.per.ip", "2"),
            ("max.connections.per.ip.overrides", "10.0.0.7:0,10.0.0.8:3"),
        ]);
        let admission = Admission::new(None);
        for (address, max) in [("10.0.0.1", 2), ("10.0.0.7", 0), ("10.0.0.8", 3), ("::1", 2)] {
            let address: IpAddr = address.parse().unwrap();
            let admit = || admission.admit(address, &limits);
            let mut all: Vec<Admitted> = (0..max).map(|_| admit().unwrap()).collect();
            assert_eq!(admit().unwrap_err(), TooMany { address, max });
            if all.pop().is_some() {
                all.push(admit().unwrap());
            }
        }
        let counts = admission.lock();
        assert_eq!((counts.all, counts.of.len()), (0, 0), "who has left is not counted");
    }

    #[test]
    fn beyond_the_limit_a_connection_waits_for_another_to_leave() {
        let few = limits(&[("max.connections", "2")]);
        let (admission, none) = (Admission::new(None), Admission::new(Some(2)));
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let wait =
            |of: &Arc<Admission>, limits| of.lock().not_before(at(0), limits, of.descriptors_max);
        assert_eq!(wait(&admission, &few), None);
        let one = admission.admit(address, &few).unwrap();
        assert_eq!(wait(&admission, &few), None);
        let _two = admission.admit(address, &few).unwrap();
        assert_eq!(wait(&admission, &few), Some(NotBefore::SomebodyLeft));
        drop(one);
        assert_eq!(wait(&admission, &few), None);
        let _all = [none.admit(address, &few).unwrap(), none.admit(address, &few).unwrap()];
        assert_eq!(wait(&none, &limits(&[])), Some(NotBefore::SomebodyLeft), "descriptors");
    }

    #[test]
    fn connections_come_at_their_rate() {
        let mut pace = Pace::default();
        // Ten in a second: as many at once, then one each 100 ms.
        for _ in 0..10 {
            assert_eq!(pace.step(at(5_000), 10), Ok(()));
        }
        assert_eq!(pace.step(at(5_000), 10), Err(at(5_100)));
        assert_eq!(pace.step(at(5_099), 10), Err(at(5_100)));
        assert_eq!(pace.step(at(5_100), 10), Ok(()));
        assert_eq!(pace.step(at(5_100), 10), Err(at(5_200)));
        // Whoever was away for long has no more than a second's worth.
        for _ in 0..10 {
            assert_eq!(pace.step(at(60_000), 10), Ok(()));
        }
        assert!(pace.step(at(60_000), 10).is_err());
        let mut slow = Pace::default();
        assert_eq!((slow.step(at(0), 0), slow.step(at(0), 0)), (Ok(()), Err(at(1_000))));
        assert_eq!(slow.step(at(1_000), 0), Ok(()));
    }
}
