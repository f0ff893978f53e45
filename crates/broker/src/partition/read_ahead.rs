//! Bytes on their way from the device into the page cache, so that no loop ever waits for them.

use std::io;
use std::sync::Arc;

use ottla_env::{DiskExt, Env, File, Part, reply};
use ottla_log::{ReadError, RecordSlice};
use tokio::sync::Semaphore;

use super::Partition;

/// Records that are read from the device at once for one partition of a fetch: so much keeps a
/// device busy, and a slow one does not delay the answer by more than it takes for that.
const WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// A page: what reads ahead are counted in.
const UNIT_BYTES: u64 = 4 * 1024;

/// Reads ahead of a log directory that may be under way at once: 32 windows, 64 MiB. Who wants more
/// waits for its turn, since what is read and not sent yet must not push itself out of the cache.
const UNITS_MAX: usize = 64 * 1024 * 1024 / 4096;

/// Nobody waits for a read that is made on suspicion: it leaves half of the room to those who do.
const UNITS_KEPT: usize = UNITS_MAX / 2;

/// What has to come from the device before a fetch can be answered.
#[derive(Clone, Debug)]
pub(crate) enum Cold {
    /// What a log needs to find what was asked for: headers, or a segment's indexes.
    Log(ottla_log::Cold),
    /// Records that are to be sent.
    Records(ColdRecords),
    /// What committed readers have to know of a log, nobody knows before it is open.
    Writer(Arc<Partition>),
}

/// A range of a segment.
#[derive(Clone, Debug)]
pub(crate) struct ColdRecords {
    file: Arc<dyn File>,
    at: u64,
    len: u32,
}

impl ColdRecords {
    /// The front of a slice, as much of it as is read at once.
    pub(crate) fn front_of(slice: &RecordSlice) -> Self {
        let len = slice.len.min(WINDOW_BYTES);
        Self { file: Arc::clone(&slice.file), at: slice.at, len }
    }

    /// All of a slice.
    pub(crate) fn all_of(slice: &RecordSlice) -> Self {
        Self { len: slice.len, ..Self::front_of(slice) }
    }

    /// What lies behind a slice in its segment, if the end of it is not in the page cache.
    pub(crate) fn behind(slice: &RecordSlice) -> Option<Self> {
        let at = slice.at + u64::from(slice.len);
        let cached = slice.file.is_cached(at + u64::from(WINDOW_BYTES) - 1, 1);
        (!cached).then(|| Self { file: Arc::clone(&slice.file), at, len: WINDOW_BYTES })
    }

    /// The front of what waits to be sent, if it is not in the page cache any more.
    pub(crate) fn of_unsent(part: &Part) -> Option<Self> {
        let Part::File { file, at, len } = part else { return None };
        let len = u32::try_from(*len).map_or(WINDOW_BYTES, |len| len.min(WINDOW_BYTES));
        let cached = file.is_cached(*at, len.into());
        (!cached).then(|| Self { file: Arc::clone(file), at: *at, len })
    }

    /// Whether both begin at the same byte.
    pub(crate) fn begins_as(&self, slice: &RecordSlice) -> bool {
        Arc::ptr_eq(&self.file, &slice.file) && self.at == slice.at
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }
}

impl Cold {
    /// Whether another look has met the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Log(one), Self::Log(other)) => one.is_same(other),
            (Self::Records(one), Self::Records(other)) => {
                Arc::ptr_eq(&one.file, &other.file) && one.at == other.at
            }
            (Self::Writer(one), Self::Writer(other)) => Arc::ptr_eq(one, other),
            (Self::Log(_) | Self::Records(_) | Self::Writer(_), _) => false,
        }
    }

    fn units(&self) -> u32 {
        let len = match self {
            Self::Log(_) | Self::Writer(_) => UNIT_BYTES,
            Self::Records(range) => u64::from(range.len),
        };
        let units = len.div_ceil(UNIT_BYTES).min(UNITS_MAX as u64);
        u32::try_from(units).expect("a few thousand")
    }

    async fn warm(&self, env: &Env) -> Result<(), ReadError> {
        match self {
            Self::Log(cold) => cold.warm(&env.disk).await,
            Self::Records(range) => {
                Ok(env.disk.cache_range(&range.file, range.at, range.len.into()).await?)
            }
            Self::Writer(partition) => {
                // What became of it the next look finds out, unless it is as it was.
                let full = |_| ReadError::Storage(io::ErrorKind::StorageFull.into());
                partition.opened(env).await.map_err(full)
            }
        }
    }
}

/// The reads ahead of one log directory.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    room: Arc<Semaphore>,
}

impl ReadAhead {
    pub(super) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(UNITS_MAX)) }
    }

    /// Brings the bytes into the page cache.
    ///
    /// Once begun, it ends and keeps its room until then, whether or not somebody waits for it: the
    /// device is not told that a client has left.
    ///
    /// # Errors
    /// When the device cannot read them.
    pub(crate) async fn warm(&self, env: &Env, cold: &Cold) -> Result<(), ReadError> {
        let room = Arc::clone(&self.room).acquire_many_owned(cold.units()).await;
        let room = room.expect("nobody closes it");
        let (reader, cold) = (env.clone(), cold.clone());
        let (to, read) = reply();
        let reading = async move {
            let outcome = cold.warm(&reader).await;
            drop(room);
            to.send(outcome);
        };
        env.spawn.spawn("read", Box::pin(reading));
        let ended = |_| Err(ReadError::Storage(io::Error::other("the loop has ended")));
        read.await.unwrap_or_else(ended)
    }

    /// Begins to bring bytes into the page cache that will probably be asked for next, if there is
    /// room for that.
    pub(crate) fn speculate(&self, env: &Env, cold: Cold) {
        if self.room.available_permits() < UNITS_KEPT {
            return;
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(cold.units()) else { return };
        let reader = env.clone();
        let reading = async move {
            // Whoever asks for the bytes finds out by itself.
            drop(cold.warm(&reader).await);
            drop(room);
        };
        env.spawn.spawn("read ahead", Box::pin(reading));
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::path::Path;
    use std::task::Poll;

    use ottla_env::Open;
    use ottla_sim::{DiskFault, Sim};

    use super::*;

    #[test]
    fn reads_ahead_are_bounded_and_leave_room_for_those_who_wait() {
        let mut sim = Sim::new(1);
        let host = sim.host();
        let slow = host.clone();
        let left = sim.run(&host, |env| async move {
            let file = env.disk.open_file(Path::new("log"), Open::New).await.unwrap();
            let ahead = ReadAhead::new();
            slow.disk_fault(DiskFault::Slow(std::time::Duration::from_secs(1)));
            for n in 0..100 {
                let len = WINDOW_BYTES;
                let at = u64::from(len) * n;
                let range = ColdRecords { file: Arc::clone(&file), at, len };
                ahead.speculate(&env, Cold::Records(range));
            }
            let units = (WINDOW_BYTES / 4096) as usize;
            let left = ahead.room.available_permits();
            assert!((UNITS_KEPT - units..UNITS_KEPT).contains(&left), "{left}");
            let huge = ColdRecords { file, at: 0, len: u32::MAX };
            ahead.warm(&env, &Cold::Records(huge)).await.unwrap();
            ahead.room.available_permits()
        });
        assert_eq!(left, UNITS_MAX);
    }

    #[test]
    fn who_leaves_does_not_give_the_room_of_a_read_to_the_next() {
        let mut sim = Sim::new(1);
        let host = sim.host();
        let slow = host.clone();
        let (left, after) = sim.run(&host, |env| async move {
            let file = env.disk.open_file(Path::new("log"), Open::New).await.unwrap();
            let ahead = ReadAhead::new();
            slow.disk_fault(DiskFault::Slow(std::time::Duration::from_secs(1)));
            let range = Cold::Records(ColdRecords { file, at: 0, len: WINDOW_BYTES });
            let mut warming = Box::pin(ahead.warm(&env, &range));
            let polled = poll_fn(|cx| Poll::Ready(warming.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            env.clock.sleep(std::time::Duration::from_millis(500)).await;
            drop(warming);
            let left = ahead.room.available_permits();
            env.clock.sleep(std::time::Duration::from_secs(2)).await;
            (left, ahead.room.available_permits())
        });
        let units = (WINDOW_BYTES / 4096) as usize;
        assert_eq!((left, after), (UNITS_MAX - units, UNITS_MAX));
    }
}
