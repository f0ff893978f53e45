//! What the connections of one loop share: buffers, so that neither a connection nor a request
//! has to have its own.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use super::gathering::Gathering;
use super::parked::Parking;
use super::stopwatch::Run;
use crate::api::fetch_read::FetchRoom;
use crate::api::produce::Progress;

/// Reads into one buffer per loop go through this many bytes: about what fits a core's cache.
pub(crate) const LOOP_BUFFER_BYTES: usize = 1024 * 1024;

/// A buffer for answers that is kept; a list of all topics needs a larger one, once in a while.
const ANSWERS_BYTES_KEPT: usize = 64 * 1024;

/// Partitions that a kept [`Progress`] has room for: 100 bytes each.
const PROGRESS_KEPT: usize = 1_024;

/// Of a kept [`FetchRoom`]: a dozen small answers, or one for some hundred partitions.
const FETCH_ROOM_BYTES_KEPT: usize = 256 * 1024;

/// Parked answers whose room is kept, about 200 bytes each: 50 KiB.
const PARKINGS_KEPT: usize = 256;

/// The room that a kept parked answer may have, in bytes and in partitions.
const PARKING_ROOM_KEPT: usize = 256;

/// Runs of requests whose room is kept: a pass rarely has more than one. No pass has more of them
/// than its buffer holds frames.
const TIMES_KEPT: usize = 64;

/// What the connections of one loop share.
#[derive(Debug)]
pub(crate) struct Lane {
    buffer: RefCell<Vec<u8>>,
    answers: RefCell<Vec<u8>>,
    progress: RefCell<Progress>,
    fetch_room: RefCell<FetchRoom>,
    parkings: RefCell<Vec<Parking>>,
    times: RefCell<Vec<Run>>,
    gathering: RefCell<Gathering>,
}

impl Lane {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            buffer: RefCell::new(vec![0; LOOP_BUFFER_BYTES]),
            answers: RefCell::default(),
            progress: RefCell::default(),
            fetch_room: RefCell::default(),
            parkings: RefCell::default(),
            times: RefCell::default(),
            gathering: RefCell::default(),
        })
    }

    /// To read into.
    pub(super) fn buffer(&self) -> RefMut<'_, Vec<u8>> {
        self.buffer.borrow_mut()
    }

    /// An empty buffer to encode answers into; goes back by [`Self::keep_answers`].
    pub(super) fn answers(&self) -> Vec<u8> {
        self.answers.take()
    }

    /// Takes an empty buffer back.
    pub(super) fn keep_answers(&self, buffer: Vec<u8>) {
        assert!(buffer.is_empty(), "answers that nobody has sent");
        if buffer.capacity() <= ANSWERS_BYTES_KEPT {
            self.answers.replace(buffer);
        }
    }

    /// Small batches that are appended together.
    pub(crate) fn gathering(&self) -> RefMut<'_, Gathering> {
        self.gathering.borrow_mut()
    }

    /// For a Produce request that has not begun; goes back by [`Self::keep_progress`].
    pub(crate) fn progress(&self) -> Progress {
        self.progress.take()
    }

    /// Takes it back once the request is done with.
    pub(crate) fn keep_progress(&self, mut progress: Progress) {
        progress.clear();
        if progress.room() <= PROGRESS_KEPT {
            self.progress.replace(progress);
        }
    }

    /// For a look at the partitions of a Fetch; goes back by [`Self::keep_fetch_room`].
    pub(crate) fn fetch_room(&self) -> FetchRoom {
        self.fetch_room.take()
    }

    /// Takes it back once the look is answered, or has to be repeated.
    pub(crate) fn keep_fetch_room(&self, mut room: FetchRoom) {
        room.clear();
        if room.bytes() <= FETCH_ROOM_BYTES_KEPT {
            self.fetch_room.replace(room);
        }
    }

    /// For an answer that has to wait; goes back by [`Self::keep_parking`].
    pub(crate) fn parking(&self) -> Parking {
        self.parkings.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes it back once the answer is on its way.
    pub(crate) fn keep_parking(&self, mut parking: Parking) {
        parking.answer.clear();
        parking.waits.clear();
        let mut kept = self.parkings.borrow_mut();
        let room = parking.answer.capacity().max(parking.waits.capacity());
        if kept.len() < PARKINGS_KEPT && room <= PARKING_ROOM_KEPT {
            kept.push(parking);
        }
    }

    /// Requests were answered whose time is not known before the clock is looked at again.
    pub(super) fn keep_time(&self, run: Run) {
        let mut times = self.times.borrow_mut();
        let joined = times.last_mut().is_some_and(|last| last.takes(run));
        if !joined {
            times.push(run);
        }
    }

    /// Whether there are such.
    pub(super) fn has_times(&self) -> bool {
        !self.times.borrow().is_empty()
    }

    /// Takes them, one after the other.
    pub(super) fn take_times(&self, take: impl FnMut(Run)) {
        let mut times = self.times.borrow_mut();
        times.drain(..).for_each(take);
        if times.capacity() > TIMES_KEPT {
            times.shrink_to(TIMES_KEPT);
        }
    }
}
