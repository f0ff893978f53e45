//! The metadata log and what it says, followed to its end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{DiskExt, Env};
use ottla_log::{
    AppendError, Appended, LEADER_EPOCH_CHECKPOINT, Log, LogPosition, ReadOutcome, Unsynced,
};
use ottla_metadata::{MetadataDelta, MetadataImage, MetadataReplay, MetadataVersion, Record};
use ottla_raft::{ControlBatch, ControlRecord, Effect, Event, RaftNode, Voters};
use ottla_records::{Batch, Batches, BuiltBatch};
use ottla_types::{LeaderEpoch, Offset};

use super::HostError;
use super::batches::{BatchContent, Control, control_batch, metadata_batch, read};

/// The file with the epochs and votes of the quorum.
pub(super) const QUORUM_STATE: &str = "quorum-state";

/// Bytes of the log that are read at once; a larger batch comes whole all the same.
const READ_BYTES: u32 = 1 << 20;

/// Records of one batch. Kafka's number: 10,000 partitions are less than its 8 MiB.
const RECORDS_PER_BATCH_MAX: usize = 10_000;

/// Bytes of one batch, which may be no larger than a segment either. Kafka's number.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A log that is being followed, before anybody leads.
pub(super) struct Followed {
    pub(super) log: Log,
    pub(super) replay: MetadataReplay,
    pub(super) voters: Option<Voters>,
}

impl Followed {
    /// Reads everything from `from` to the end of the log.
    pub(super) async fn catch_up(&mut self, env: &Env, from: Offset) -> Result<(), HostError> {
        let (view, end) = (self.log.view(), self.log.end());
        let mut at = from;
        while at < end.offset {
            match view.read(at, end, READ_BYTES, true)? {
                ReadOutcome::Slice(slice) => {
                    let len = slice.len as usize;
                    let read = env.disk.read_at(&slice.file, slice.at, len).await;
                    let bytes = read.map_err(storage("read the metadata log"))?;
                    at = self.follow(at, &bytes)?;
                }
                ReadOutcome::Cold(cold) => cold.warm(&env.disk).await?,
                ReadOutcome::Empty => break,
            }
        }
        Ok(())
    }

    fn follow(&mut self, mut at: Offset, bytes: &[u8]) -> Result<Offset, HostError> {
        let before = at;
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| HostError::Batch { at, error: error.into() })?;
            self.take(&batch)?;
            at = batch.header.last_offset().next();
        }
        assert!(at > before, "a read yields at least one whole batch");
        Ok(at)
    }

    fn take(&mut self, batch: &Batch<'_>) -> Result<(), HostError> {
        let base = batch.header.base_offset;
        match read(batch).map_err(|error| HostError::Batch { at: base, error })? {
            BatchContent::Metadata(records) => {
                for (at, record) in records {
                    let replayed = self.replay.record(at, &record);
                    replayed.map_err(|error| HostError::Replay { at, error })?;
                }
            }
            BatchContent::Control(controls) => {
                for (at, control) in (base.get()..).zip(controls) {
                    self.take_control(Offset::new(at), control);
                }
            }
        }
        Ok(())
    }

    fn take_control(&mut self, at: Offset, control: Control) {
        match control {
            Control::Quorum(ControlRecord::Voters(set)) => {
                self.voters = Some(Voters::Logged { set, at });
            }
            Control::Quorum(record) => replay_control(&mut self.replay, &record),
            Control::SnapshotHeader { .. } | Control::SnapshotFooter => {}
        }
    }
}

fn replay_control(replay: &mut MetadataReplay, record: &ControlRecord) {
    match record {
        ControlRecord::LeaderChange { leader, .. } => replay.leader_change(*leader),
        ControlRecord::Version(version) => replay.kraft_version(version.level()),
        ControlRecord::Voters(_) => {}
    }
}

pub(super) fn storage(what: &'static str) -> impl Fn(std::io::Error) -> HostError {
    move |error| HostError::Storage { what, error }
}

/// A quorum that this node leads. Its image is that of the log's end, committed or not.
pub(super) struct Quorum {
    env: Env,
    directory: PathBuf,
    log: Log,
    raft: RaftNode,
    replay: MetadataReplay,
}

impl Quorum {
    /// Begins a new epoch.
    pub(super) async fn lead(
        env: &Env,
        directory: PathBuf,
        followed: Followed,
        raft: RaftNode,
    ) -> Result<Self, HostError> {
        let Followed { log, replay, .. } = followed;
        let mut quorum = Self { env: env.clone(), directory, log, raft, replay };
        quorum.happened(Event::Campaign).await?;
        tracing::info!(epoch = %quorum.epoch(), "leads the metadata quorum");
        Ok(quorum)
    }

    /// The state at the end of the log, as of the last [`Quorum::take_changes`].
    pub(super) const fn image(&self) -> &Arc<MetadataImage> {
        self.replay.image()
    }

    /// Where the next record goes.
    pub(super) fn end(&self) -> Offset {
        self.log.end().offset
    }

    /// Whether everything in the log is committed.
    pub(super) fn is_committed(&self) -> bool {
        self.raft.high_watermark() == Some(self.end())
    }

    pub(super) fn open_transaction(&self) -> Option<Offset> {
        self.replay.open_transaction()
    }

    /// The log directory that the metadata log lies in.
    pub(super) fn log_directory(&self) -> &Path {
        self.directory.parent().expect("the metadata log has a directory of its own")
    }

    pub(super) const fn env(&self) -> &Env {
        &self.env
    }

    /// What changed since the last call.
    pub(super) fn take_changes(&mut self) -> (MetadataDelta, Arc<MetadataImage>) {
        let epoch = self.epoch();
        self.replay.take(self.end(), epoch)
    }

    /// Appends records, to the page cache only. Up to 10,000 stay together, if they have no more
    /// than 8 MiB and fit into a segment: no crash parts them.
    ///
    /// Without an effect where there is no space for the first of them
    /// ([`HostError::is_no_space`], and the end is where it was).
    pub(super) async fn append(&mut self, records: &[Record]) -> Result<(), HostError> {
        let now = self.env.clock.wall();
        let mut parts: VecDeque<&[Record]> = records.chunks(RECORDS_PER_BATCH_MAX).collect();
        while let Some(records) = parts.pop_front() {
            let version = self.image().metadata_version().unwrap_or(MetadataVersion::LATEST);
            let base = self.end();
            let batch = metadata_batch(base, records, version, now);
            if batch.bytes().len() > self.batch_bytes_max() && records.len() > 1 {
                let (first, second) = records.split_at(records.len() / 2);
                parts.push_front(second);
                parts.push_front(first);
                continue;
            }
            self.append_batch(&batch, self.epoch()).await?;
            for (at, record) in (base.get()..).map(Offset::new).zip(records) {
                let replayed = self.replay.record(at, record);
                replayed.map_err(|error| HostError::Replay { at, error })?;
            }
            self.happened(Event::Appended(self.end())).await?;
        }
        Ok(())
    }

    fn batch_bytes_max(&self) -> usize {
        BATCH_BYTES_MAX.min(self.log.segment_bytes() as usize)
    }

    /// What has to be synced, unless a sync runs already.
    pub(super) fn take_unsynced(&mut self) -> Option<Unsynced> {
        self.log.take_unsynced()
    }

    /// A sync has succeeded; the new high watermark, if it moved.
    pub(super) fn on_synced(&mut self, upto: LogPosition) -> Option<Offset> {
        self.log.on_synced(upto);
        let mut effects = Vec::new();
        let synced = self.log.synced_end().offset;
        self.raft.step(self.env.clock.wall(), Event::Synced(synced), &mut effects);
        effects.into_iter().find_map(|effect| match effect {
            Effect::AdvanceHighWatermark(offset) => Some(offset),
            Effect::WriteQuorumState(_) | Effect::Append(_) => None,
        })
    }

    /// Writes what a reader that does not rebuild it needs to go on: the epochs of the log.
    pub(super) async fn close(&self) -> Result<(), HostError> {
        let path = self.directory.join(LEADER_EPOCH_CHECKPOINT);
        let text = self.log.leader_epochs().encode();
        let written = self.env.disk.replace_file(&path, text.as_bytes()).await;
        written.map_err(storage("write the epochs of the metadata log"))
    }

    fn epoch(&self) -> LeaderEpoch {
        self.raft.leading().expect("this node leads")
    }

    /// Steps the raft node and performs what it asks for, until it asks for nothing more.
    async fn happened(&mut self, event: Event) -> Result<(), HostError> {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            let mut effects = Vec::new();
            self.raft.step(self.env.clock.wall(), next, &mut effects);
            for effect in effects {
                assert!(event.is_none(), "one effect at a time leads to an event");
                event = self.perform(effect).await?;
            }
        }
        Ok(())
    }

    async fn perform(&mut self, effect: Effect) -> Result<Option<Event>, HostError> {
        match effect {
            Effect::WriteQuorumState(state) => {
                let voters = self.raft.voters();
                let text = state.to_text(voters.version(), voters.set());
                let path = self.directory.join(QUORUM_STATE);
                let written = self.env.disk.replace_file(&path, text.as_bytes()).await;
                written.map_err(storage("write quorum-state"))?;
                Ok(Some(Event::QuorumStateWritten))
            }
            Effect::Append(batch) => self.open_epoch(batch).await.map(Some),
            Effect::AdvanceHighWatermark(_) => unreachable!("only a sync moves it"),
        }
    }

    async fn open_epoch(&mut self, batch: ControlBatch) -> Result<Event, HostError> {
        let ControlBatch { epoch, timestamp, records } = batch;
        for record in &records {
            replay_control(&mut self.replay, record);
        }
        let controls: Vec<_> = records.into_iter().map(Control::Quorum).collect();
        let built = control_batch(self.end(), &controls, timestamp);
        self.append_batch(&built, epoch).await?;
        Ok(Event::Appended(self.end()))
    }

    /// Only a roll waits for the disk, once in a GiB.
    async fn append_batch(
        &mut self,
        batch: &BuiltBatch,
        epoch: LeaderEpoch,
    ) -> Result<(), HostError> {
        let now = self.env.clock.wall();
        let mut appended = self.log.append(&batch.checked(), epoch, now);
        if matches!(appended, Err(AppendError::NeedsRoll)) {
            self.roll().await?;
            appended = self.log.append(&batch.checked(), epoch, now);
        }
        if matches!(appended, Err(AppendError::Full(_))) {
            let cut = self.log.cut_plan().perform(&self.env.disk).await;
            cut.map_err(storage("cut off the torn end of the metadata log"))?;
            self.log.on_cut();
        }
        match appended? {
            Appended::New { .. } => Ok(()),
            Appended::Duplicate { .. } => unreachable!("no producer stamps these batches"),
        }
    }

    async fn roll(&mut self) -> Result<(), HostError> {
        match self.log.roll_plan().prepare(&self.env.disk).await {
            Ok(fresh) => {
                self.log.roll(fresh);
                Ok(())
            }
            Err(error) => {
                // After a failed sync nobody goes on anyway.
                self.log.abandon_roll();
                Err(error.into())
            }
        }
    }
}
