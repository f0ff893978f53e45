//! How often members come: a group that has just moved is asked more often than one that rests.
//!
//! A member learns what it is to have with its next heartbeat, and every step of a move takes one
//! from each member that it concerns. With Kafka's five seconds in between, a group of any size
//! takes that long, twice, to do what costs milliseconds. So the interval that is answered grows
//! with the time since the last target assignment, up to what is configured: a move of a second is
//! seen through an eighth of a second later, one of a minute costs a few dozen heartbeats. The time
//! is in the log, so another coordinator goes on at the same pace.

use std::time::Duration;

/// A member waits an eighth of the time that the move has taken so far.
const SHARE_OF_THE_MOVE: u32 = 8;

/// However few they are. librdkafka gives a heartbeat up that is not answered within its interval,
/// and if the answer that it misses has a new epoch, it is fenced with the next one: so this is
/// longer than a disk or a busy machine keeps an answer waiting in all but the worst moments.
const LEAST: Duration = Duration::from_millis(500);

/// Time of one heartbeat among those of all members: 2,500 a second of one group, which cost some
/// 20 ms of a processor, however large the group is.
const A_MEMBER: Duration = Duration::from_micros(400);

/// The interval until a member's next heartbeat. `moved` is how long ago the last target assignment
/// was made, zero if one is due; `None` if nobody knows.
pub(super) fn interval(configured: Duration, members: usize, moved: Option<Duration>) -> Duration {
    let Some(moved) = moved else { return configured };
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    let least = LEAST.max(A_MEMBER.saturating_mul(members));
    (moved / SHARE_OF_THE_MOVE).max(least).min(configured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_often_while_their_group_moves_and_as_configured_when_it_rests() {
        check(10, Some(0), 500);
        check(10, Some(8_000), 1_000);
        check(10, Some(39_000), 4_875);
        check(10, Some(60_000), 5_000);
        check(10, None, 5_000);
    }

    #[test]
    fn many_members_share_what_one_group_may_cost() {
        check(500, Some(0), 500);
        check(2_500, Some(4_000), 1_000);
        check(500, Some(8_000), 1_000);
        check(20_000, Some(0), 5_000);
        check(usize::MAX, Some(0), 5_000);
    }

    fn check(members: usize, moved_ms: Option<u64>, expected_ms: u64) {
        let configured = Duration::from_secs(5);
        let interval = interval(configured, members, moved_ms.map(Duration::from_millis));
        assert_eq!(interval, Duration::from_millis(expected_ms), "{members}, {moved_ms:?}");
    }
}
