//! A place in a group: one consumer after the other, each until it leaves, dies or is dropped.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ottla_client::{
    Client, CommittedOffset, ConsumeError, Consumer, ConsumerRecord, GroupProtocol, OffsetReset,
    RequestError,
};
use ottla_env::Env;
use ottla_wire::ErrorCode;

use super::super::client::Phase;
use super::checks::{Floors, MemberName, Standing};
use super::plan::{GroupPlan, MemberPlan, Speaks};
use super::{Stage, client, group_name, topic_name};
use crate::draws::Draws;
use crate::host::{Death, Host};

/// How long topics may have been made before their groups know.
const METADATA_AGE_MAX: Duration = Duration::from_secs(5);

/// A place, as whoever keeps it sees it.
pub(super) struct Place {
    pub(super) stage: Rc<Stage>,
    pub(super) host: Host,
    pub(super) name: MemberName,
    pub(super) group: GroupPlan,
    pub(super) plan: MemberPlan,
}

/// What keeper and life tell each other.
#[derive(Default)]
struct Signals {
    leaves: Cell<bool>,
    ended: Cell<bool>,
}

impl Place {
    /// Fills the place with lives, on a machine of its own, until the run drains: then the last
    /// one stays.
    pub(super) async fn keep(mut self, env: Env) {
        let draws = self.draws("keeper");
        loop {
            self.name.life += 1;
            let signals = Rc::new(Signals::default());
            self.start(&signals);
            let span = Duration::from_millis(draws.within(2_000..40_000));
            let until = env.clock.mono().after(span);
            while env.clock.mono() < until || self.stage.phase() > Phase::Trouble {
                env.clock.sleep(Duration::from_millis(100)).await;
                if signals.ended.get() {
                    break;
                }
            }
            if draws.one_in(2) {
                // Some are killed while they say farewell.
                signals.leaves.set(true);
                let patience = Duration::from_millis(*draws.pick(&[50, 20_000]));
                let until = env.clock.mono().after(patience);
                while !signals.ended.get() && env.clock.mono() < until {
                    env.clock.sleep(Duration::from_millis(20)).await;
                }
            }
            self.host.end(Death::Kill);
            let name = self.name.as_seen(self.plan.is_static);
            self.stage.checks.borrow_mut().on_gone(name);
            env.clock.sleep(Duration::from_millis(draws.within(1..5_000))).await;
        }
    }

    fn draws(&self, what: &str) -> Draws {
        let MemberName { group, place, life } = self.name;
        let who = (group * 100 + place) as u64 * 1_000 + u64::from(life);
        Draws::new(self.stage.seed, who, what)
    }

    fn start(&self, signals: &Rc<Signals>) {
        let (stage, name, draws) = (Rc::clone(&self.stage), self.name, self.draws("member"));
        let (group, plan, signals) = (self.group.clone(), self.plan, Rc::clone(signals));
        self.host.start(1, |env| {
            Box::pin(async move {
                let life = Life { stage, env, name, group, plan, draws, signals };
                life.live().await;
            })
        });
    }
}

/// A member of a group.
struct Life {
    stage: Rc<Stage>,
    env: Env,
    name: MemberName,
    group: GroupPlan,
    plan: MemberPlan,
    draws: Draws,
    signals: Rc<Signals>,
}

impl Life {
    async fn live(self) {
        let client = client(&self.env, &self.stage);
        loop {
            let mut consumer = self.consumer(&client);
            let ended = self.read(&mut consumer).await;
            if let Ok(()) = ended {
                // What cannot be said to the coordinator it finds out by itself.
                drop(consumer.close().await);
                self.stage.checks.borrow_mut().on_gone(self.seen());
                self.signals.ended.set(true);
                return;
            }
            drop(consumer);
            self.stage.checks.borrow_mut().on_gone(self.seen());
            self.env.clock.sleep(Duration::from_millis(self.draws.within(100..2_000))).await;
        }
    }

    /// Its name for the checker.
    fn seen(&self) -> MemberName {
        self.name.as_seen(self.plan.is_static)
    }

    fn consumer(&self, client: &Client) -> Consumer {
        let topics = if self.plan.modest { 1 } else { self.stage.topics };
        let topics: Vec<String> = (0..topics).map(topic_name).collect();
        let stage = Rc::clone(&self.stage);
        let name = self.seen();
        let mut builder = client
            .consumer()
            .group(&group_name(self.name.group))
            .subscribe(topics.iter().map(String::as_str))
            .offset_reset(OffsetReset::Earliest)
            .session_timeout(self.group.session_timeout)
            .heartbeat_interval(self.group.heartbeat_interval)
            .poll_interval_max(self.group.poll_interval_max)
            .metadata_age_max(METADATA_AGE_MAX)
            .poll_records_max(usize::try_from(self.draws.within(1..30)).expect("a few"))
            .on_rebalance(move |event| stage.checks.borrow_mut().on_rebalance(name, event));
        if self.plan.is_static {
            builder = builder.instance(&format!("place-{}", self.name.place));
        }
        let builder = match self.plan.speaks {
            Speaks::Classic(assignors) => builder.assignors(assignors.iter().copied()),
            Speaks::Consumer => builder.protocol(GroupProtocol::Consumer),
        };
        builder.build().expect("the names are legal")
    }

    /// Reads until it is to leave; an error that only a new consumer helps against.
    async fn read(&self, consumer: &mut Consumer) -> Result<(), ConsumeError> {
        while !self.signals.leaves.get() {
            let wait = Duration::from_millis(self.draws.within(50..1_000));
            let polled = consumer.poll(wait).await;
            let standing = standing(consumer);
            self.stage.checks.borrow_mut().on_polled(self.seen(), standing.as_ref());
            let records = match polled {
                Ok(records) => records,
                Err(error) => {
                    self.judge(&error);
                    if matches!(error, ConsumeError::Group { .. }) {
                        return Err(error);
                    }
                    continue;
                }
            };
            self.on_records(standing.as_ref(), &records);
            self.think(!records.is_empty()).await;
            let forgets = self.group.forgets_one_in;
            if !records.is_empty() && (forgets == 0 || !self.draws.one_in(forgets)) {
                self.commit(consumer, &records).await;
            }
        }
        Ok(())
    }

    /// Takes its time over records.
    async fn think(&self, busy: bool) {
        // In the end there may be much left to read.
        let busy = busy && self.stage.phase() == Phase::Trouble;
        let millis = match (busy, self.plan.slow) {
            (true, true) if self.draws.one_in(20) => 20_000,
            (true, _) if self.draws.one_in(10) => self.draws.within(1..3_000),
            _ => return,
        };
        self.env.clock.sleep(Duration::from_millis(millis)).await;
    }

    fn on_records(&self, standing: Option<&Standing>, records: &[ConsumerRecord]) {
        let mut checks = self.stage.checks.borrow_mut();
        for record in records {
            let text = record.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let at = (&record.partition, record.offset);
            checks.on_read(self.seen(), standing.cloned(), at, &text);
        }
    }

    /// Commits what was just read.
    async fn commit(&self, consumer: &Consumer, records: &[ConsumerRecord]) {
        let mut offsets = std::collections::BTreeMap::new();
        for record in records {
            let next = CommittedOffset::from(record.offset.next());
            offsets.insert(record.partition.clone(), next);
        }
        let floors: Floors =
            offsets.iter().map(|(at, committed)| (at.clone(), committed.offset.get())).collect();
        let taken = self.stage.checks.borrow_mut().on_commit_begun(self.seen(), &floors);
        match consumer.commit_offsets(&offsets).await {
            Ok(()) => {
                self.stage.checks.borrow_mut().on_committed(self.seen(), &floors, &taken);
            }
            Err(error) => self.judge(&error),
        }
    }

    /// Errors that members must be ready for; others are somebody's mistake.
    fn judge(&self, error: &ConsumeError) {
        let fine = match error {
            ConsumeError::Rebalanced { .. } | ConsumeError::TimedOut { .. } => true,
            ConsumeError::Call(error) => error.is_retriable(),
            ConsumeError::Group { source, .. } => self.may_be_refused(source),
            _ => false,
        };
        if !fine {
            let name = self.name;
            self.stage.checks.borrow_mut().violate(format!("{name} has met an error: {error}"));
        }
    }

    /// Somebody else may have its name: its own former life. And members of the two protocols may
    /// find each other where no migration is possible.
    fn may_be_refused(&self, source: &RequestError) -> bool {
        match source.code() {
            Some(ErrorCode::FencedInstanceId | ErrorCode::UnreleasedInstanceId) => {
                self.plan.is_static
            }
            Some(ErrorCode::InconsistentGroupProtocol | ErrorCode::GroupIdNotFound) => {
                self.group.is_mixed()
            }
            _ => false,
        }
    }
}

/// Who a consumer thinks it is.
fn standing(consumer: &Consumer) -> Option<Standing> {
    Some(Standing { id: consumer.member_id()?, epoch: consumer.epoch()? })
}
