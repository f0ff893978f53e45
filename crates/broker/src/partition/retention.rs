//! Retention: looks now and then for records that need not be kept any longer.

use std::sync::Arc;
use std::time::Duration;

use ottla_env::Env;
use ottla_log::{Expired, LogFacts, ReadError, RetentionLimits, SegmentFacts};
use ottla_metadata::TopicConfig;
use ottla_types::Timestamp;

use super::deletion::{DeleteRecordsError, Surveyed};
use super::spread::spread;
use super::{Partition, Partitions};

/// How long a roll is given before the segment that it seals is looked at again.
const ROLL_WAIT: Duration = Duration::from_secs(1);

/// How often a segment that is rolled is looked at again before it is left to the next time.
const ROLL_WAITS: usize = 5;

/// Partitions that are looked at at the same time: those that lose records share one write of the
/// file that says where logs start.
const WINDOW: usize = 64;

/// Why a partition's old records stay for now.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Delete(#[from] DeleteRecordsError),
}

/// Looks through all partitions once, as long as `goes_on`.
pub(crate) async fn enforce_retention(
    env: &Env,
    partitions: &Partitions,
    goes_on: impl Fn() -> bool,
) {
    let mut waiting = enforce_on_all(env, partitions.all(), &goes_on).await;
    for _ in 0..ROLL_WAITS {
        if waiting.is_empty() || !goes_on() {
            return;
        }
        env.clock.sleep(ROLL_WAIT).await;
        waiting = enforce_on_all(env, waiting, &goes_on).await;
    }
}

/// Says which of them wait for a roll.
async fn enforce_on_all(
    env: &Env,
    partitions: Vec<Arc<Partition>>,
    goes_on: impl Fn() -> bool,
) -> Vec<Arc<Partition>> {
    let mut rolling = Vec::new();
    for window in partitions.chunks(WINDOW) {
        if !goes_on() {
            break;
        }
        let own = env.clone();
        let enforce = move |partition: Arc<Partition>| {
            let env = own.clone();
            async move { (enforce_on(&env, &partition).await, partition) }
        };
        let outcomes = spread(env, WINDOW, window.to_vec(), enforce).await;
        let waits = outcomes.into_iter().filter(|(outcome, _)| *outcome == Outcome::Rolling);
        rolling.extend(waits.map(|(_, partition)| partition));
    }
    rolling
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The last segment has to go, too, and its successor is being made.
    Rolling,
}

async fn enforce_on(env: &Env, partition: &Arc<Partition>) -> Outcome {
    match try_enforce(env, partition).await {
        Ok(outcome) => outcome,
        // The topic was deleted meanwhile.
        Err(RetentionError::Delete(DeleteRecordsError::NotLeader)) => Outcome::Done,
        Err(error) => {
            tracing::error!(partition = %partition.name(), %error, "old records not deleted");
            Outcome::Done
        }
    }
}

async fn try_enforce(env: &Env, partition: &Arc<Partition>) -> Result<Outcome, RetentionError> {
    let (now, limits) = (env.clock.wall(), limits_of(&partition.settings()));
    if partition.is_offline() {
        return Ok(Outcome::Done);
    }
    if !partition.is_open() {
        // Most partitions are idle, and are left asleep unless there is something to do.
        let surveyed = partition.survey_asleep(env, older_than(limits, now)).await?;
        let (_, expired) = look(env, surveyed, limits, now).await?;
        if expired.segments() == 0 || partition.opened(env).await.is_err() {
            return Ok(Outcome::Done);
        }
    }
    let (segments, expired) = look(env, partition.survey(), limits, now).await?;
    let sealed = segments.len() - 1;
    if expired.segments() > sealed {
        partition.roll_now(env);
    }
    let gone = expired.segments().min(sealed);
    if gone > 0 {
        // What is below the start already goes by the same way.
        let to = segments[gone].base.max(partition.bounds().log_start);
        let start = partition.delete_below(env, to).await?;
        let Expired { below_start, by_size, by_age } = expired;
        let partition = partition.name();
        tracing::info!(%partition, %start, below_start, by_size, by_age, "old segments deleted");
    }
    Ok(if expired.segments() > sealed { Outcome::Rolling } else { Outcome::Done })
}

/// All segments, and how many of them may go.
async fn look(
    env: &Env,
    surveyed: Surveyed,
    limits: RetentionLimits,
    now: Timestamp,
) -> Result<(Vec<SegmentFacts>, Expired), RetentionError> {
    let Surveyed { bounds, view, active } = surveyed;
    let mut segments = view.sealed_facts(&env.disk, older_than(limits, now), now).await?;
    segments.push(active);
    let log = LogFacts {
        segments: &segments,
        start: bounds.log_start,
        high_watermark: bounds.high_watermark.offset,
        end: bounds.log_end.offset,
    };
    let expired = log.expired(limits, now);
    Ok((segments, expired))
}

/// Never what a topic does not say: one that is to be compacted only keeps its records.
fn limits_of(config: &TopicConfig) -> RetentionLimits {
    if !config.cleanup.deletes() {
        return RetentionLimits::NONE;
    }
    RetentionLimits { age: config.retention, bytes: config.retention_bytes }
}

/// The time before which records are too old.
fn older_than(limits: RetentionLimits, now: Timestamp) -> Option<Timestamp> {
    let millis = i64::try_from(limits.age?.as_millis()).unwrap_or(i64::MAX);
    Some(Timestamp::from_millis(now.millis().saturating_sub(millis)))
}

#[cfg(test)]
mod tests {
    use ottla_metadata::CleanupPolicy;

    use super::*;

    #[test]
    fn only_topics_that_say_delete_lose_records_by_themselves() {
        let kafkas = RetentionLimits { age: TopicConfig::KAFKA.retention, bytes: Some(5) };
        for (cleanup, limits) in [
            (CleanupPolicy::Keep, RetentionLimits::NONE),
            (CleanupPolicy::Compact, RetentionLimits::NONE),
            (CleanupPolicy::Delete, kafkas),
            (CleanupPolicy::CompactAndDelete, kafkas),
        ] {
            let config = TopicConfig { cleanup, retention_bytes: Some(5), ..TopicConfig::KAFKA };
            assert_eq!(limits_of(&config), limits, "{cleanup:?}");
        }
    }

    #[test]
    fn a_retention_longer_than_time_itself_makes_nothing_old() {
        let ever = RetentionLimits { age: Some(Duration::MAX), bytes: None };
        let older = older_than(ever, Timestamp::from_millis(1_000)).unwrap();
        assert!(older < Timestamp::from_millis(0));
        assert_eq!(older_than(RetentionLimits::NONE, Timestamp::from_millis(1_000)), None);
    }
}
