//! Membership in a group: a task that keeps it, and a consumer that follows.
//!
//! The task talks to the coordinator and never touches the consumer's partitions. It asks for a
//! [`Change`], and the consumer makes it the next time the application polls: so nothing is taken
//! from an application while it works on it. Until then the task keeps the membership alive.

mod classic;
mod modern;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ottla_env::Mono;
use ottla_types::{TopicName, TopicPartition};

use super::assignor::Assignor;
use crate::cluster::{Cluster, Lane};
use crate::connection::Answer;
use crate::error::{BrokerError, CallError, RequestError};
use crate::offsets::Committer;
use crate::request::Request;
use crate::wait::{self, Bell};

/// Which protocol a group speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// One member shares out the partitions; every broker serves it.
    Classic,
    /// The coordinator shares out the partitions, and nobody waits for the slowest (KIP-848).
    Consumer,
}

/// What a member says of itself, and how patient its group is.
#[derive(Clone, Debug)]
pub(super) struct GroupSettings {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) rack: Option<String>,
    pub(super) protocol: GroupProtocol,
    pub(super) assignors: Vec<Assignor>,
    pub(super) server_assignor: Option<String>,
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) poll_interval_max: Duration,
    /// How often the leader of a classic group looks for new partitions.
    pub(super) metadata_age_max: Duration,
}

/// What members subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topics {
    pub(super) names: BTreeSet<TopicName>,
    pub(super) pattern: Option<String>,
}

/// Something for the consumer to do before it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Let go of these: what was done with them may still be committed.
    Revoke(BTreeSet<TopicPartition>),
    /// These are yours, and no others, from this generation or epoch on.
    Assign { epoch: i32, partitions: BTreeSet<TopicPartition> },
    /// Everything belongs to others by now.
    Lose,
}

/// A member as its coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    /// The generation of a classic group, or the member's epoch.
    pub(super) epoch: i32,
}

/// What the task and the consumer share.
pub(super) struct Group {
    pub(super) cluster: Rc<Cluster>,
    pub(super) settings: GroupSettings,
    pub(super) topics: Topics,
    lane: Lane,
    /// A coordinator that makes one connection wait still takes commits on another.
    commit_lane: Lane,
    state: RefCell<State>,
    polled: Cell<Mono>,
    /// Rings for the consumer.
    pub(super) news: Bell,
    /// Rings for the task.
    done: Bell,
}

#[derive(Default)]
struct State {
    member: Option<Member>,
    coordinator: Option<i32>,
    change: Option<Change>,
    owned: BTreeSet<TopicPartition>,
    failed: Option<RequestError>,
    closing: bool,
    left: bool,
}

/// Why a membership does not go on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ended {
    /// The application wants to leave.
    Closing,
    /// The coordinator has given the partitions to others.
    Lost,
    /// The coordinator will not have this member.
    Failed(RequestError),
    /// It begins again, with what it has.
    Again,
}

impl Group {
    /// Joins a group in the background.
    pub(super) fn join(cluster: &Rc<Cluster>, settings: GroupSettings, topics: Topics) -> Rc<Self> {
        let group = Rc::new(Self {
            cluster: Rc::clone(cluster),
            topics,
            lane: cluster.new_lane(),
            commit_lane: cluster.new_lane(),
            state: RefCell::default(),
            polled: Cell::new(cluster.now()),
            news: Bell::default(),
            done: Bell::default(),
            settings,
        });
        let task = Rc::clone(&group);
        cluster.env.spawn.spawn(
            "client group",
            Box::pin(async move {
                let ended = match task.settings.protocol {
                    GroupProtocol::Classic => classic::run(&task).await,
                    GroupProtocol::Consumer => modern::run(&task).await,
                };
                task.on_ended(ended);
            }),
        );
        group
    }

    fn on_ended(&self, ended: Ended) {
        let mut state = self.state.borrow_mut();
        state.left = true;
        state.member = None;
        if let Ended::Failed(error) = ended {
            tracing::warn!(group = self.settings.id, %error, "the coordinator refuses this member");
            state.failed = Some(error);
        }
        drop(state);
        self.cluster.close_lane(self.lane);
        self.cluster.close_lane(self.commit_lane);
        self.news.ring();
    }

    // What the consumer does.

    /// The application is alive.
    pub(super) fn on_poll(&self) {
        self.polled.set(self.cluster.now());
    }

    /// What is to be changed before records are handed out.
    pub(super) fn change(&self) -> Option<Change> {
        self.state.borrow().change.clone()
    }

    /// It was changed, and this is what the consumer has.
    pub(super) fn on_changed(&self, change: &Change, owned: BTreeSet<TopicPartition>) {
        let mut state = self.state.borrow_mut();
        state.owned = owned;
        // A loss takes the place of whatever was asked for before.
        if state.change.as_ref() == Some(change) {
            state.change = None;
        }
        drop(state);
        self.done.ring();
    }

    /// Why the membership has ended for good, if it has.
    pub(super) fn failure(&self) -> Option<RequestError> {
        self.state.borrow().failed.clone()
    }

    /// Who this is; `None` while it is no member.
    pub(super) fn member(&self) -> Option<Member> {
        self.state.borrow().member.clone()
    }

    /// Who commits offsets; `None` while it is no member.
    pub(super) fn committer(&self) -> Option<Committer> {
        let Member { id, epoch } = self.member()?;
        Some(Committer::Member { id, instance: self.settings.instance.clone(), epoch })
    }

    /// Leaves the group in the background.
    pub(super) fn begin_leaving(&self) {
        self.state.borrow_mut().closing = true;
        self.done.ring();
    }

    /// Leaves the group, and waits until its coordinator knows or `deadline` is reached.
    pub(super) async fn leave(&self, deadline: Mono) {
        self.begin_leaving();
        let left = async {
            loop {
                let seen = self.news.rings();
                if self.state.borrow().left {
                    return;
                }
                self.news.rung_since(seen).await;
            }
        };
        // A coordinator that does not answer finds out by itself.
        let _ = wait::until(&*self.cluster.env.clock, deadline, left).await;
    }

    /// Asks the coordinator about offsets.
    pub(super) async fn ask_about_offsets<R: Request>(
        &self,
        request: &R,
    ) -> Result<Answer<R>, RequestError> {
        self.call((self.commit_lane, self.cluster.settings.request_timeout), request).await
    }

    /// Another broker may be the coordinator by now.
    pub(super) fn forget_coordinator(&self) {
        self.state.borrow_mut().coordinator = None;
    }

    // What the task does.

    fn is_closing(&self) -> bool {
        self.state.borrow().closing
    }

    fn owned(&self) -> BTreeSet<TopicPartition> {
        self.state.borrow().owned.clone()
    }

    fn set_member(&self, member: Option<Member>) {
        self.state.borrow_mut().member = member;
    }

    /// Asks for a change without waiting for it; it takes the place of one that was not made yet.
    fn put(&self, change: Change) {
        self.state.borrow_mut().change = Some(change);
        self.news.ring();
    }

    /// What was asked for is not to be done any more. A revocation that was begun goes on.
    fn withdraw(&self) {
        let mut state = self.state.borrow_mut();
        if matches!(state.change, Some(Change::Assign { .. })) {
            state.change = None;
        }
    }

    fn is_changed(&self) -> bool {
        self.state.borrow().change.is_none()
    }

    /// Waits until the consumer has made the change, or wants to leave.
    async fn changed(&self) {
        self.until(|| self.is_changed()).await;
    }

    /// Waits until `done`, or the consumer wants to leave.
    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let seen = self.done.rings();
            if self.is_closing() || done() {
                return;
            }
            self.done.rung_since(seen).await;
        }
    }

    /// Everything belongs to others; waits until the application knows.
    async fn lose(&self) {
        tracing::debug!(group = self.settings.id, "the coordinator does not know this member");
        self.set_member(None);
        if self.owned().is_empty() {
            // Nothing to lose, nor to be given any more.
            self.state.borrow_mut().change = None;
            return;
        }
        self.put(Change::Lose);
        self.changed().await;
    }

    /// Whether the application has not polled for longer than its group waits.
    fn is_stuck(&self) -> bool {
        self.cluster.now().since(self.polled.get()) > self.settings.poll_interval_max
    }

    /// A pause before another try; ends at once if the consumer wants to leave.
    async fn back_off(&self, tries: u32) {
        let _ = wait::first(self.until(|| false), self.cluster.back_off(tries)).await;
    }

    async fn coordinator(&self) -> Result<i32, RequestError> {
        let known = self.state.borrow().coordinator;
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.cluster.find_coordinator(&self.settings.id).await?;
        self.state.borrow_mut().coordinator = Some(found);
        Ok(found)
    }

    async fn call<R: Request>(
        &self,
        (lane, timeout): (Lane, Duration),
        request: &R,
    ) -> Result<Answer<R>, RequestError> {
        let node = self.coordinator().await?;
        let answer = self.cluster.call_within(node, lane, request, timeout).await;
        if answer.as_ref().is_err_and(CallError::is_retriable) {
            self.forget_coordinator();
        }
        Ok(answer?)
    }

    /// What to do about an error of the coordinator that means the same for all requests.
    fn on_error(&self, error: &RequestError) {
        let moved = match error {
            RequestError::Call(_) => true,
            RequestError::Refused(refused) => BrokerError::is_about_coordinator(refused),
        };
        if moved {
            self.forget_coordinator();
        }
    }
}
