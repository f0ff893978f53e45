//! Members of groups, one request at a time, as lean as they can be: nothing is consumed.

use std::time::{Duration, Instant};

use ottla_types::Uuid;
use ottla_wire::ErrorCode;

use crate::frames::groups::{self as frames, Membership};

/// A coordinator that is not there yet is asked again after this.
const PAUSE: Duration = Duration::from_millis(20);

/// What all members of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: i32,
    pub(crate) session_ms: i32,
    /// Between the heartbeats of a classic member; the broker tells a consumer group's.
    pub(crate) heartbeat: Duration,
}

/// Where a member stands: its generation or epoch, and how many partitions it owns in it.
pub(crate) type Place = (i32, usize);

/// What is said next, and when.
pub(crate) type Next = (Instant, Vec<u8>);

/// A member of a group, of either protocol.
pub(crate) trait Member {
    /// The first request.
    fn enter(&mut self) -> Vec<u8>;

    /// What an answer leads to.
    ///
    /// # Errors
    /// When the broker refuses what no broker should.
    fn on_answer(&mut self, answer: &[u8]) -> Result<Next, String>;

    /// `None` while it is between two places.
    fn place(&self) -> Option<Place>;

    /// The last request.
    fn leave(&self) -> Vec<u8>;
}

fn refused(what: &str, of: &Membership, code: i16) -> String {
    format!("{what} of {} was answered with {}", of.member, frames::error_name(code))
}

/// What a classic member waits for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Join,
    Sync,
    Heartbeat,
}

/// The classic protocol: join, sync, heartbeats.
#[derive(Debug)]
pub(crate) struct ClassicMember {
    setting: Setting,
    of: Membership,
    asked: Asked,
    owned: Option<usize>,
}

impl ClassicMember {
    pub(crate) fn new(setting: &Setting, group: &str) -> Self {
        let of = Membership { group: group.to_owned(), member: String::new(), generation: -1 };
        Self { setting: setting.clone(), of, asked: Asked::Join, owned: None }
    }

    fn join(&mut self) -> Vec<u8> {
        self.asked = Asked::Join;
        self.owned = None;
        frames::join(&self.of, &self.setting.topic, self.setting.session_ms)
    }

    fn on_joined(&mut self, answer: &[u8]) -> Result<Next, String> {
        let joined = frames::joined(answer)?;
        let now = Instant::now();
        match ErrorCode::from_wire(joined.code) {
            _ if frames::is_too_early(joined.code) => Ok((now + PAUSE, self.join())),
            Some(ErrorCode::MemberIdRequired) => {
                self.of.member = joined.member;
                Ok((now, self.join()))
            }
            Some(ErrorCode::None) => {
                self.of.member = joined.member;
                self.of.generation = joined.generation;
                self.asked = Asked::Sync;
                let Setting { topic, partitions, .. } = &self.setting;
                Ok((now, frames::sync(&self.of, topic, &joined.led, *partitions)))
            }
            _ => Err(refused("JoinGroup", &self.of, joined.code)),
        }
    }

    fn on_synced(&mut self, answer: &[u8]) -> Result<Next, String> {
        let (code, owned) = frames::synced(answer)?;
        match ErrorCode::from_wire(code) {
            Some(ErrorCode::None) => {
                self.owned = Some(owned);
                Ok(self.heartbeat())
            }
            Some(ErrorCode::RebalanceInProgress) => Ok((Instant::now(), self.join())),
            _ => Err(refused("SyncGroup", &self.of, code)),
        }
    }

    fn heartbeat(&mut self) -> Next {
        self.asked = Asked::Heartbeat;
        (Instant::now() + self.setting.heartbeat, frames::heartbeat(&self.of))
    }

    fn on_heartbeat(&mut self, answer: &[u8]) -> Result<Next, String> {
        let code = frames::heartbeat_answered(answer)?;
        match ErrorCode::from_wire(code) {
            Some(ErrorCode::None) => Ok(self.heartbeat()),
            Some(ErrorCode::RebalanceInProgress) => Ok((Instant::now(), self.join())),
            _ => Err(refused("Heartbeat", &self.of, code)),
        }
    }
}

impl Member for ClassicMember {
    fn enter(&mut self) -> Vec<u8> {
        self.join()
    }

    fn on_answer(&mut self, answer: &[u8]) -> Result<Next, String> {
        match self.asked {
            Asked::Join => self.on_joined(answer),
            Asked::Sync => self.on_synced(answer),
            Asked::Heartbeat => self.on_heartbeat(answer),
        }
    }

    fn place(&self) -> Option<Place> {
        self.owned.map(|owned| (self.of.generation, owned))
    }

    fn leave(&self) -> Vec<u8> {
        frames::leave(&self.of)
    }
}

/// The consumer protocol (KIP-848): heartbeats only.
#[derive(Debug)]
pub(crate) struct ConsumerMember {
    setting: Setting,
    of: Membership,
    owned: Vec<i32>,
}

impl ConsumerMember {
    pub(crate) fn new(setting: &Setting, group: &str, number: usize) -> Self {
        let member = format!("member-{number}");
        let of = Membership { group: group.to_owned(), member, generation: 0 };
        Self { setting: setting.clone(), of, owned: Vec::new() }
    }
}

impl Member for ConsumerMember {
    fn enter(&mut self) -> Vec<u8> {
        let owned = (self.setting.topic_id, self.owned.as_slice());
        frames::consumer_heartbeat(&self.of, Some(&self.setting.topic), Some(owned))
    }

    fn on_answer(&mut self, answer: &[u8]) -> Result<Next, String> {
        let told = frames::told(answer)?;
        let now = Instant::now();
        if frames::is_too_early(told.code) {
            return Ok((now + PAUSE, self.enter()));
        }
        if told.code != 0 {
            return Err(refused("ConsumerGroupHeartbeat", &self.of, told.code));
        }
        self.of.generation = told.epoch;
        if let Some(assignment) = told.assignment
            && assignment != self.owned
        {
            self.owned = assignment;
            // Nothing is consumed, so that what is taken away is given back at once.
            let owned = (self.setting.topic_id, self.owned.as_slice());
            return Ok((now, frames::consumer_heartbeat(&self.of, None, Some(owned))));
        }
        let interval = Duration::from_millis(u64::try_from(told.interval_ms).unwrap_or(0));
        Ok((now + interval, frames::consumer_heartbeat(&self.of, None, None)))
    }

    fn place(&self) -> Option<Place> {
        (self.of.generation > 0).then_some((self.of.generation, self.owned.len()))
    }

    fn leave(&self) -> Vec<u8> {
        let of = Membership { generation: -1, ..self.of.clone() };
        frames::consumer_heartbeat(&of, None, None)
    }
}
