//! The loop of one shard: take what was asked, step, append, and answer what is committed.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ottla_coordinator::{
    Effects, GroupAnswer, GroupRecord, GroupRequest, GroupSettings, GroupShard, Now, Ticket,
};
use ottla_env::{Env, Mailbox, Mono, Reply, Timer};
use ottla_metadata::MetadataImage;
use ottla_records::{BatchBuilder, BatchOptions, BuiltBatch, NewRecord};
use ottla_types::planted::{self, Bug};
use ottla_types::{Offset, Timestamp};

use super::append::append;
use super::load::load;
use super::news::{News, NewsSlot};
use super::{Answered, Ask, Unavailable};
use crate::partition::{AppendError, Partition};

/// Requests that share an append, if so many wait; and with them its sync.
const REQUESTS_PER_APPEND_MAX: usize = 256;

/// Records of an append after which no further request joins it. What one request leads to stays
/// together in any case.
const RECORDS_PER_APPEND_MAX: usize = 4_096;

/// Passes before the loop's other tasks have their turn.
const PASSES_MAX: usize = 8;

/// How long a shard waits after its log could not be written or read, before it tries again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What a shard is made of, and made again of when its log could not be written.
pub(super) struct ShardHost {
    pub(super) env: Env,
    pub(super) partition: Arc<Partition>,
    pub(super) settings: Arc<GroupSettings>,
    pub(super) mailbox: Mailbox<Ask>,
    pub(super) news: Arc<NewsSlot>,
    pub(super) image: Arc<MetadataImage>,
}

/// The loop's state.
struct Loop {
    host: ShardHost,
    shard: GroupShard,
    /// Who waits for a decision. As many as there are connections: each has one request under way.
    undecided: BTreeMap<Ticket, Reply<Answered>>,
    next_ticket: u64,
    /// Decided, and not committed: in the order of the log.
    uncommitted: VecDeque<Uncommitted>,
    /// The high watermark for which this task is listed at the partition.
    listed_for: Option<Offset>,
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
    answers: Vec<(Reply<Answered>, GroupAnswer)>,
}

/// What made the loop go round.
enum Happening {
    Asked(Ask),
    Told(News),
    Due,
    /// The node's half of the mailbox is gone.
    Abandoned,
}

/// Why the loop does not go round any more.
enum Ended {
    /// The partition is not this node's any more.
    Over,
    /// What the shard thinks is not what its log says.
    NotWritten(AppendError),
}

impl ShardHost {
    /// Serves until the partition is not this node's any more.
    pub(super) async fn run(self) {
        let shard = GroupShard::new(self.partition.name().partition, Arc::clone(&self.settings));
        let timer = self.env.clock.timer();
        let mut serving = Loop {
            host: self,
            shard,
            undecided: BTreeMap::new(),
            next_ticket: 0,
            uncommitted: VecDeque::new(),
            listed_for: None,
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
    }
}

impl Loop {
    fn now(&self) -> Now {
        let clock = &self.host.env.clock;
        Now { mono: Duration::from_nanos(clock.mono().nanos()), wall: clock.wall() }
    }

    /// Makes the shard of what the log says, however long that takes, and tells what it does first;
    /// `None` if it is not this node's any more. Whoever asks meanwhile is told to ask again.
    async fn load(&mut self) -> Option<Effects> {
        let (env, partition) = (self.host.env.clone(), Arc::clone(&self.host.partition));
        let settings = Arc::clone(&self.host.settings);
        let mut loading = pin!(load_at_last(env, partition, settings));
        let mut missed = News::default();
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
                missed.then(news);
            }
            loading.as_mut().poll(cx).map(Some)
        });
        let (shard, end) = loaded.await?;
        (self.shard, self.end) = (shard, end);
        let mut effects = Effects::default();
        if let Some(image) = missed.image.take() {
            self.host.image = image;
        }
        let now = self.now();
        self.shard.on_loaded(now, &self.host.image, &mut effects);
        self.shard.on_metadata(now, &self.host.image, &missed.changes(), &mut effects);
        Some(effects)
    }

    /// Goes round and round; `effects` are those of the shard's first look around.
    async fn serve(&mut self, effects: Effects) -> Ended {
        if let Err(error) = self.write(effects).await {
            return Ended::NotWritten(error);
        }
        loop {
            let mut effects = Effects::default();
            match self.next().await {
                Happening::Abandoned => return Ended::Over,
                Happening::Told(news) if news.over => return Ended::Over,
                Happening::Told(news) => self.on_news(news, &mut effects),
                Happening::Due => self.on_due(&mut effects),
                Happening::Asked(ask) => self.step(ask, &mut effects),
            }
            // Whoever waits already shares the append, and the sync.
            let mut room = REQUESTS_PER_APPEND_MAX;
            while room > 0
                && effects.records.len() < RECORDS_PER_APPEND_MAX
                && let Some(ask) = self.host.mailbox.try_next()
            {
                self.step(ask, &mut effects);
                room -= 1;
            }
            if let Err(error) = self.write(effects).await {
                return Ended::NotWritten(error);
            }
        }
    }

    /// What happens next. Answers that have become true are sent on the way.
    async fn next(&mut self) -> Happening {
        let deadline = self
            .shard
            .next_deadline()
            .map(|at| Mono::from_nanos(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)));
        self.timer.set(deadline.max(self.not_before.filter(|_| deadline.is_some())));
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

    fn on_news(&mut self, mut news: News, effects: &mut Effects) {
        if let Some(image) = news.image.take() {
            self.host.image = image;
        }
        let now = self.now();
        self.shard.on_metadata(now, &self.host.image, &news.changes(), effects);
    }

    /// While the disk is full nobody is put out of a group: it could not be written down, and what
    /// is not written did not happen.
    fn on_due(&mut self, effects: &mut Effects) {
        if !self.has_room() {
            self.not_before = Some(self.host.env.clock.mono().after(TRY_AGAIN_AFTER));
            return;
        }
        self.not_before = None;
        let now = self.now();
        self.shard.on_time(now, &self.host.image, effects);
    }

    fn has_room(&self) -> bool {
        self.host.partition.directory().space().admits()
    }

    fn step(&mut self, Ask { request, to }: Ask, effects: &mut Effects) {
        if always_writes(&request) && !self.has_room() {
            return to.send(Err(Unavailable::NotWritten));
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.undecided.insert(ticket, to);
        let now = self.now();
        self.shard.step(now, &self.host.image, ticket, request, effects);
    }

    /// Appends what the steps of a pass led to, and lists their answers behind it.
    async fn write(&mut self, effects: Effects) -> Result<(), AppendError> {
        let Effects { records, answers, .. } = effects;
        if !records.is_empty() {
            let batch = build(&records, self.host.env.clock.wall());
            self.end = append(&self.host.env, &self.host.partition, &batch).await?;
        }
        let mut replies = Vec::with_capacity(answers.len());
        for (ticket, answer) in answers {
            // A shard answers once.
            let to = self.undecided.remove(&ticket).expect("a ticket is answered once");
            replies.push((to, answer));
        }
        // Also without records: what an answer says may rest on what is not committed yet.
        if !replies.is_empty() {
            let committed_at = self.end;
            self.uncommitted.push_back(Uncommitted { committed_at, answers: replies });
        }
        Ok(())
    }

    /// Sends what has become true, and has this task woken when there is more.
    fn poll_committed(&mut self, cx: &Context<'_>) {
        loop {
            let bounds = self.host.partition.bounds();
            let early = planted::is(Bug::GroupAnsweredBeforeCommit);
            let committed = if early { self.end } else { bounds.high_watermark.offset };
            while let Some(first) = self.uncommitted.pop_front_if(|it| it.committed_at <= committed)
            {
                for (to, answer) in first.answers {
                    to.send(Ok(answer));
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

    /// The shard knows what its log does not: it is thrown away. What was appended before stays,
    /// and its answers wait for it.
    fn on_not_written(&mut self, error: &AppendError) {
        let partition = self.host.partition.name();
        tracing::warn!(%partition, %error, "groups could not be written, and are loaded again");
        for (_, to) in std::mem::take(&mut self.undecided) {
            to.send(Err(Unavailable::NotWritten));
        }
    }

    /// Nothing is promised any more.
    fn refuse_all(&mut self) {
        for (_, to) in std::mem::take(&mut self.undecided) {
            to.send(Err(Unavailable::NotCoordinator));
        }
        for (to, _) in self.uncommitted.drain(..).flat_map(|it| it.answers) {
            to.send(Err(Unavailable::NotCoordinator));
        }
    }
}

/// Loads a shard, again and again until it can be, and there is room to go on with it.
async fn load_at_last(
    env: Env,
    partition: Arc<Partition>,
    settings: Arc<GroupSettings>,
) -> (GroupShard, Offset) {
    loop {
        let began = env.clock.mono();
        let mut shard = GroupShard::new(partition.name().partition, Arc::clone(&settings));
        match load(&env, &partition, &mut shard).await {
            Ok(loaded) if partition.directory().space().admits() => {
                let (took, records) = (env.clock.mono().since(began), loaded.records);
                if records > 0 {
                    tracing::info!(partition = %partition.name(), records, ?took, "groups loaded");
                }
                return (shard, loaded.end);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(partition = %partition.name(), %error, "groups cannot be loaded");
            }
        }
        env.clock.sleep(TRY_AGAIN_AFTER).await;
    }
}

/// Whether the request is in vain where nothing can be written; others may have an answer all the
/// same.
fn always_writes(request: &GroupRequest) -> bool {
    matches!(
        request,
        GroupRequest::CommitOffsets(_) | GroupRequest::DeleteOffsets(_) | GroupRequest::Delete(_)
    )
}

fn build(records: &[GroupRecord], now: Timestamp) -> BuiltBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for record in records {
        let bytes = record.encode();
        let (key, value) = (Some(bytes.key.as_slice()), bytes.value.as_deref());
        builder.push(NewRecord { timestamp: now, key, value, headers: &[] });
    }
    builder.build()
}
