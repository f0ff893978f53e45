//! The same work for many, spread over the loops.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_env::{Env, LoopId, reply};

/// Does `work` for every item, for at most `most` of them at a time, on all loops. The outcomes
/// come in the order of the items.
pub(super) async fn spread<T, R, F>(
    env: &Env,
    most: usize,
    items: Vec<T>,
    work: impl Fn(T) -> F + Clone + Send + 'static,
) -> Vec<R>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Future<Output = R> + 'static,
{
    let count = items.len();
    let waiting: VecDeque<(usize, T)> = items.into_iter().enumerate().collect();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut workers = Vec::new();
    for worker in 0..most.min(count) {
        let (to, done) = reply();
        let (waiting, work) = (Arc::clone(&waiting), work.clone());
        let make = move || -> ottla_env::Task {
            Box::pin(async move {
                let mut outcomes = Vec::new();
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some((at, item)) = next() {
                    outcomes.push((at, work(item).await));
                }
                to.send(outcomes);
            })
        };
        env.spawn.spawn_on(LoopId(worker % env.spawn.loops()), "spread", Box::new(make));
        workers.push(done);
    }
    let mut outcomes = Vec::with_capacity(count);
    for worker in workers {
        match worker.await {
            Ok(some) => outcomes.extend(some),
            // The loop has ended, and the node with it.
            Err(_) => std::future::pending().await,
        }
    }
    outcomes.sort_unstable_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use ottla_sim::Sim;

    use super::*;

    #[test]
    fn everything_is_done_in_its_place_and_no_more_at_once_than_allowed() {
        for (items, most, rounds) in [(0, 4, 0), (3, 4, 1), (4, 4, 1), (9, 4, 3), (5, 1, 5)] {
            let mut sim = Sim::new(1);
            let host = sim.host();
            let (done, took, at_once) = sim.run(&host, move |env| async move {
                let clock = Arc::clone(&env.clock);
                let busy = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
                let (begun, seen) = (env.clock.mono(), Arc::clone(&busy));
                let work = move |item: u64| {
                    let (clock, busy) = (Arc::clone(&clock), Arc::clone(&busy));
                    async move {
                        let now = busy.0.fetch_add(1, Ordering::Relaxed) + 1;
                        busy.1.fetch_max(now, Ordering::Relaxed);
                        clock.sleep(Duration::from_secs(1)).await;
                        busy.0.fetch_sub(1, Ordering::Relaxed);
                        item * 10
                    }
                };
                let done = spread(&env, most, (0..items).collect(), work).await;
                let took = env.clock.mono().since(begun).as_secs();
                (done, took, seen.1.load(Ordering::Relaxed))
            });
            assert_eq!(done, (0..items).map(|item| item * 10).collect::<Vec<_>>());
            assert_eq!(took, rounds, "{items} items, {most} at a time");
            assert!(at_once <= most);
        }
    }
}
