//! The loop of one shard: take what was asked, step, append, and answer what is committed.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ottla_coordinator::{
    Asker, Effects, GroupAnswer, GroupRecord, GroupRequest, GroupSettings, GroupShard, Now, Ticket,
};
use ottla_env::{Env, Mailbox, Mono, Reply, Timer};
use ottla_metadata::MetadataImage;
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};

use super::append::append;
use super::batch::{Batch, bytes_of};
use super::load::load;
use super::news::{News, NewsSlot};
use super::{Answered, Ask, Unavailable};
use crate::config::LiveConfig;
use crate::partition::{AppendError, Partition};

/// Requests that share an append, if so many wait; and with them its sync.
const REQUESTS_PER_APPEND_MAX: usize = 256;

/// Bytes of an append after which no further request joins it: Kafka's `max.message.bytes`. What
/// one request leads to stays together in any case.
const BYTES_PER_APPEND_MAX: usize = 1 << 20;

/// Bytes that one batch may have: what has to stay together, as the record of a classic group.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Passes before the loop's other tasks have their turn.
const PASSES_MAX: usize = 8;

/// How long a shard waits after its log could not be written or read, before it tries again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What a shard is made of, and made again of when its log could not be written.
pub(super) struct ShardHost {
    pub(super) env: Env,
    pub(super) partition: Arc<Partition>,
    pub(super) live: Arc<LiveConfig>,
    pub(super) mailbox: Mailbox<Ask>,
    pub(super) news: Arc<NewsSlot>,
    pub(super) image: Arc<MetadataImage>,
}

/// The loop's state.
struct Loop {
    host: ShardHost,
    shard: GroupShard,
    /// Who waits for a decision. As many as there are connections: each has one request under way.
    undecided: BTreeMap<Ticket, Waiting>,
    next_ticket: u64,
    /// Decided, and not committed: in the order of the log.
    uncommitted: VecDeque<Uncommitted>,
    /// The high watermark for which this task is listed at the partition.
    listed_for: Option<Offset>,
    /// What the shard has to be told, or was told and could not write: one that is loaded again is
    /// told again.
    unwritten: News,
    /// The shard was thrown away.
    failed: bool,
    /// Behind the last record that the shard knows.
    end: Offset,
    timer: Box<dyn Timer>,
    /// No deadline is looked at before this.
    not_before: Option<Mono>,
    passes: usize,
}

/// Answers that count once the high watermark has reached an offset.
struct Uncommitted {
    committed_at: Offset,
    since: Mono,
    answers: Vec<(Waiting, GroupAnswer)>,
}

/// Somebody who waits for an answer.
struct Waiting {
    to: Reply<Answered>,
    /// The member that is silent meanwhile.
    asker: Option<Asker>,
}

/// What made the loop go round.
enum Happening {
    Asked(Ask),
    Told(News),
    Due,
    /// The node's half of the mailbox is gone.
    Abandoned,
}

/// Why what the shard thinks is not what its log says.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("a record and what comes with it have {bytes} bytes, and {max} fit a batch")]
    TooLarge { bytes: usize, max: usize },
}

/// Why the loop does not go round any more.
enum Ended {
    /// The partition is not this node's any more.
    Over,
    NotWritten(NotWritten),
}

impl ShardHost {
    /// Serves until the partition is not this node's any more.
    pub(super) async fn run(self) {
        let settings = Arc::new(self.live.load().groups.settings.clone());
        let shard = GroupShard::new(self.partition.name().partition, settings);
        let timer = self.env.clock.timer();
        let mut serving = Loop {
            host: self,
            shard,
            undecided: BTreeMap::new(),
            next_ticket: 0,
            uncommitted: VecDeque::new(),
            listed_for: None,
            unwritten: News::default(),
            failed: false,
            end: Offset::ZERO,
            timer,
            not_before: None,
            passes: 0,
        };
        while let Some(effects) = serving.load().await {
            match serving.serve(effects).await {
                Ended::Over => break,
                Ended::NotWritten(error) => serving.on_not_written(&error),
            }
        }
        serving.refuse_all();
        // Nobody looks any more.
        serving.host.news.end();
    }
}

impl Loop {
    fn now(&self) -> Now {
        let clock = &self.host.env.clock;
        Now { mono: Duration::from_nanos(clock.mono().nanos()), wall: clock.wall() }
    }

    /// Makes the shard of what the log says, however long that takes, and tells what it does first;
    /// `None` if it is not this node's any more, or cannot be made. Whoever asks meanwhile is told
    /// to ask again.
    async fn load(&mut self) -> Option<Effects> {
        let (env, partition) = (self.host.env.clone(), Arc::clone(&self.host.partition));
        let settings = self.settings();
        let mut loading = pin!(load_at_last(env, partition, settings, self.failed));
        let loaded = poll_fn(|cx| {
            self.poll_committed(cx);
            while let Poll::Ready(asked) = self.host.mailbox.poll_next(cx) {
                match asked {
                    Some(ask) => ask.refuse(Unavailable::Loading),
                    None => return Poll::Ready(None),
                }
            }
            while let Poll::Ready(news) = self.host.news.poll(cx) {
                if news.over {
                    return Poll::Ready(None);
                }
                self.hear(news);
            }
            loading.as_mut().poll(cx)
        });
        (self.shard, self.end) = loaded.await?;
        self.failed = false;
        let (mut effects, now) = (Effects::default(), self.now());
        self.shard.on_loaded(now, &self.host.image, &mut effects);
        Some(effects)
    }

    /// Goes round and round; `effects` are those of the shard's first look around.
    async fn serve(&mut self, effects: Effects) -> Ended {
        let mut written = self.write_in_parts(effects).await;
        if written.is_ok() {
            written = self.act(false).await;
        }
        while written.is_ok() {
            written = match self.next().await {
                Happening::Abandoned => return Ended::Over,
                Happening::Told(news) if news.over => return Ended::Over,
                Happening::Told(news) => {
                    self.hear(news);
                    self.act(false).await
                }
                Happening::Due => match self.serve_requests(None).await {
                    Ok(()) => self.act(true).await,
                    error @ Err(_) => error,
                },
                Happening::Asked(ask) => self.serve_requests(Some(ask)).await,
            };
        }
        Ended::NotWritten(written.expect_err("looked at above"))
    }

    /// Remembers what the shard is to be told. The newest metadata holds from now on; what follows
    /// from it waits until it can be written.
    fn hear(&mut self, mut news: News) {
        if let Some(image) = news.image.take() {
            self.host.image = image;
            self.shard.configure(self.settings());
        }
        self.unwritten.then(news);
    }

    /// Lets the shard do what it has to do by itself: about topics, and about time where something
    /// is `due`. While nothing can be written nobody is put out of a group: what is not written did
    /// not happen.
    async fn act(&mut self, due: bool) -> Result<(), NotWritten> {
        if !self.may_write() {
            self.not_before = Some(self.host.env.clock.mono().after(TRY_AGAIN_AFTER));
            return Ok(());
        }
        self.not_before = None;
        let (mut effects, now) = (Effects::default(), self.now());
        if !self.unwritten.is_nothing() {
            let changes = self.unwritten.clone().changes();
            self.shard.on_metadata(now, &self.host.image, &changes, &mut effects);
        }
        if due {
            let late = std::mem::take(&mut self.uncommitted);
            late.iter().for_each(|late| self.grant(late));
            self.uncommitted = late;
            self.shard.on_time(now, &self.host.image, &mut effects);
        }
        self.write_in_parts(effects).await?;
        self.unwritten = News::default();
        Ok(())
    }

    /// Serves whoever waits already: they share the append, and the sync. What is due comes behind
    /// them: a heartbeat that came in time counts.
    async fn serve_requests(&mut self, first: Option<Ask>) -> Result<(), NotWritten> {
        let (mut effects, mut batch) = (Effects::default(), self.batch());
        let mut room = REQUESTS_PER_APPEND_MAX;
        let mut next = first.or_else(|| self.host.mailbox.try_next());
        while let Some(ask) = next {
            // All offsets of many groups go: no part of that hangs on another.
            if matches!(ask.request, GroupRequest::Delete(_)) {
                self.append(std::mem::replace(&mut batch, self.batch())).await?;
                self.answer(std::mem::take(&mut effects.answers));
                self.step(ask, &mut effects);
                self.write_in_parts(std::mem::take(&mut effects)).await?;
            } else {
                self.step(ask, &mut effects);
                self.take(&mut batch, std::mem::take(&mut effects.records)).await?;
            }
            room -= 1;
            let has_room = room > 0 && batch.bytes() < BYTES_PER_APPEND_MAX;
            next = has_room.then(|| self.host.mailbox.try_next()).flatten();
        }
        self.append(batch).await?;
        self.answer(effects.answers);
        Ok(())
    }

    /// What happens next. Answers that have become true are sent on the way.
    async fn next(&mut self) -> Happening {
        let deadline = match self.unwritten.is_nothing() {
            true => self
                .shard
                .next_deadline()
                .map(|at| Mono::from_nanos(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))),
            // There was no room for what it leads to.
            false => self.not_before,
        };
        self.timer.set(deadline.map(|at| at.max(self.not_before.unwrap_or(at))));
        poll_fn(|cx| {
            self.poll_committed(cx);
            if self.passes >= PASSES_MAX {
                self.passes = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.passes += 1;
            if let Poll::Ready(news) = self.host.news.poll(cx) {
                return Poll::Ready(Happening::Told(news));
            }
            if deadline.is_some() && self.timer.poll_expired(cx).is_ready() {
                return Poll::Ready(Happening::Due);
            }
            match self.host.mailbox.poll_next(cx) {
                Poll::Ready(Some(ask)) => Poll::Ready(Happening::Asked(ask)),
                Poll::Ready(None) => Poll::Ready(Happening::Abandoned),
                Poll::Pending => {
                    self.passes = 0;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Whether something may be written: there is space, and as many replicas are in sync as have
    /// to have it.
    fn may_write(&self) -> bool {
        let partition = &self.host.partition;
        partition.directory().space().admits()
            && partition.has_replicas_in_sync(|| Arc::clone(&self.host.image))
    }

    fn step(&mut self, Ask { request, to }: Ask, effects: &mut Effects) {
        if may_write(&request) && !self.may_write() {
            return to.send(Err(Unavailable::NotWritten));
        }
        // Before anything has changed for it.
        if bytes_of(&request) > self.batch_bytes_max() / 2 {
            return to.send(Err(Unavailable::TooLarge));
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.undecided.insert(ticket, Waiting { to, asker: request.asker() });
        let now = self.now();
        self.shard.step(now, &self.host.image, ticket, request, effects);
    }

    fn batch(&self) -> Batch {
        Batch::new(self.host.env.clock.wall())
    }

    /// Appends a batch, if there is anything in it. What is in it stays together.
    async fn append(&mut self, batch: Batch) -> Result<(), NotWritten> {
        let (bytes, max) = (batch.bytes(), self.batch_bytes_max());
        if batch.is_empty() {
            return Ok(());
        }
        if bytes > max {
            return Err(NotWritten::TooLarge { bytes, max });
        }
        self.end = append(&self.host.env, &self.host.partition, &batch.build()).await?;
        Ok(())
    }

    /// No batch is larger than a segment, nor than what a follower or a start should have to hold.
    fn batch_bytes_max(&self) -> usize {
        let segment = self.host.partition.settings().segment_bytes as usize;
        segment.min(BATCH_BYTES_MAX)
    }

    /// What holds for groups, so that the record of a classic one fits a batch: seven parts of
    /// sixteen are what members say, seven what they are assigned, and the rest is around them.
    fn settings(&self) -> Arc<GroupSettings> {
        let mut settings = self.host.live.load().groups.settings.clone();
        let fits = self.batch_bytes_max() / 16 * 7;
        settings.classic_bytes_max = settings.classic_bytes_max.min(fits);
        Arc::new(settings)
    }

    /// Takes what one request led to into a batch. What is more than half of what a batch may have
    /// is written in parts: a large consumer group's new target, a record for each member. The
    /// epoch that makes it count comes last, so that a crash in between leaves the former one.
    async fn take(
        &mut self,
        batch: &mut Batch,
        records: Vec<GroupRecord>,
    ) -> Result<(), NotWritten> {
        for record in records {
            batch.push(&record);
            if batch.bytes() > self.batch_bytes_max() / 2 {
                self.append(std::mem::replace(batch, self.batch())).await?;
            }
        }
        Ok(())
    }

    /// Appends what the shard did by itself. It may be much, for all groups at once, and each
    /// record stands for itself: where it is more than fits an append, it becomes several.
    async fn write_in_parts(&mut self, effects: Effects) -> Result<(), NotWritten> {
        let mut batch = self.batch();
        for record in effects.records {
            batch.push(&record);
            if batch.bytes() >= BYTES_PER_APPEND_MAX.min(self.batch_bytes_max() / 2) {
                self.append(std::mem::replace(&mut batch, self.batch())).await?;
            }
        }
        self.append(batch).await?;
        self.answer(effects.answers);
        Ok(())
    }

    /// Lists answers behind all that was appended so far. Also where they led to no records: what
    /// they say may rest on what is not committed yet.
    fn answer(&mut self, answers: Vec<(Ticket, GroupAnswer)>) {
        let mut replies = Vec::with_capacity(answers.len());
        for (ticket, answer) in answers {
            // A shard answers once.
            let Waiting { to, asker } =
                self.undecided.remove(&ticket).expect("a ticket is answered once");
            let asker = asker.map(|asker| asker.named_by(&answer));
            replies.push((Waiting { to, asker }, answer));
        }
        if !replies.is_empty() {
            let (committed_at, since) = (self.end, self.host.env.clock.mono());
            self.uncommitted.push_back(Uncommitted { committed_at, since, answers: replies });
        }
    }

    /// Sends what has become true, and has this task woken when there is more.
    fn poll_committed(&mut self, cx: &Context<'_>) {
        loop {
            let bounds = self.host.partition.bounds();
            let early = planted::is(Bug::GroupAnsweredBeforeCommit);
            let committed = if early { self.end } else { bounds.high_watermark.offset };
            while let Some(first) = self.uncommitted.pop_front_if(|it| it.committed_at <= committed)
            {
                self.grant(&first);
                for (waiting, answer) in first.answers {
                    waiting.to.send(Ok(answer));
                }
            }
            let wanted = self.uncommitted.front().map(|first| first.committed_at);
            if wanted.is_none() || wanted == self.listed_for {
                return;
            }
            self.listed_for = wanted;
            let wanted = wanted.expect("looked at above");
            self.host.partition.park_produce(wanted, cx.waker());
            // It may have come in between; then the task was woken, and looks again.
        }
    }

    /// Nobody is put out for the time in which the log was slow, and its answer not with it.
    fn grant(&mut self, late: &Uncommitted) {
        let now = self.now();
        let waited = self.host.env.clock.mono().since(late.since);
        for asker in late.answers.iter().filter_map(|(waiting, _)| waiting.asker.as_ref()) {
            self.shard.on_late_answer(now, asker, waited);
        }
    }

    /// The shard knows what its log does not: it is thrown away. What was appended before stays,
    /// and its answers wait for it.
    fn on_not_written(&mut self, error: &NotWritten) {
        let partition = self.host.partition.name();
        tracing::warn!(%partition, %error, "groups could not be written, and are loaded again");
        self.failed = true;
        for (_, Waiting { to, .. }) in std::mem::take(&mut self.undecided) {
            to.send(Err(Unavailable::NotWritten));
        }
    }

    /// Nothing is promised any more.
    fn refuse_all(&mut self) {
        for (_, Waiting { to, .. }) in std::mem::take(&mut self.undecided) {
            to.send(Err(Unavailable::NotCoordinator));
        }
        for (Waiting { to, .. }, _) in self.uncommitted.drain(..).flat_map(|it| it.answers) {
            to.send(Err(Unavailable::NotCoordinator));
        }
    }
}

/// Loads a shard, again and again until it can be; after a failure not at once. `None` if it never
/// can be.
async fn load_at_last(
    env: Env,
    partition: Arc<Partition>,
    settings: Arc<GroupSettings>,
    after_failure: bool,
) -> Option<(GroupShard, Offset)> {
    let mut rests = after_failure;
    loop {
        if std::mem::replace(&mut rests, true) {
            env.clock.sleep(TRY_AGAIN_AFTER).await;
        }
        let began = env.clock.mono();
        let mut shard = GroupShard::new(partition.name().partition, Arc::clone(&settings));
        match load(&env, &partition, &mut shard).await {
            Ok(loaded) => {
                let (took, records) = (env.clock.mono().since(began), loaded.records);
                if records > 0 {
                    tracing::info!(partition = %partition.name(), records, ?took, "groups loaded");
                }
                return Some((shard, loaded.end));
            }
            Err(error) => {
                tracing::error!(partition = %partition.name(), %error, "groups cannot be loaded");
                if error.is_final() {
                    return None;
                }
            }
        }
    }
}

/// Whether the request may lead to records. Where none can be written it is refused before anything
/// has changed for it; whoever only wants to know something is answered.
fn may_write(request: &GroupRequest) -> bool {
    match request {
        GroupRequest::Join(_)
        | GroupRequest::Sync(_)
        | GroupRequest::Leave(_)
        | GroupRequest::ConsumerHeartbeat(_)
        | GroupRequest::CommitOffsets(_)
        | GroupRequest::DeleteOffsets(_)
        | GroupRequest::Delete(_) => true,
        GroupRequest::Heartbeat(_)
        | GroupRequest::FetchOffsets(_)
        | GroupRequest::Describe(_)
        | GroupRequest::ConsumerDescribe(_)
        | GroupRequest::List(_)
        | GroupRequest::Survey { .. } => false,
    }
}
