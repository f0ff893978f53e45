//! The content of one file: what reads see, and what a power loss may leave of it.

use std::collections::BTreeMap;

use crate::draws::Draws;

const PAGE: usize = 4096;
/// What a device writes as a whole.
const SECTOR: usize = 512;

/// A file of a world whose files are small: one stretch of bytes, and beside it the durable
/// content of those pages that are not synced.
#[derive(Debug, Default)]
pub(super) struct Pages {
    bytes: Vec<u8>,
    durable_len: usize,
    unsynced: BTreeMap<usize, Unsynced>,
    /// What a misdirected write has put in the place of pages, as the next power loss shows.
    strays: BTreeMap<usize, Vec<u8>>,
    changes: u64,
}

/// A page whose cached content is not on the device.
#[derive(Debug)]
struct Unsynced {
    /// What is on the device: the end may be missing, and is zeros then.
    durable: Vec<u8>,
    /// The number of its last change.
    change: u64,
    /// The system takes it for clean, so no later sync writes it.
    lost: bool,
    /// A sync that covered it succeeded, and the device has not written it since.
    lied_about: bool,
}

/// What a sync that was submitted has to make durable.
#[derive(Debug)]
pub(super) struct SyncImage {
    change: u64,
    len: usize,
    pages: Vec<(usize, Vec<u8>)>,
}

impl Pages {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.bytes
    }

    /// The pages that the device holds as they are, the last one excepted.
    pub(super) fn on_device(&self) -> impl Iterator<Item = usize> {
        let whole = self.bytes.len().saturating_sub(1) / PAGE;
        (0..whole).filter(|page| !self.unsynced.contains_key(page))
    }

    /// Changes what the device holds, behind the back of whoever wrote it.
    pub(super) fn harm(&mut self, harm: impl FnOnce(&mut Vec<u8>)) -> bool {
        harm(&mut self.bytes);
        self.durable_len = self.bytes.len();
        self.unsynced.clear();
        self.strays.clear();
        true
    }

    /// Flips a bit of a page that the device holds as it is; whether it does.
    pub(super) fn flip(&mut self, at: usize, bit: u8) -> bool {
        if at >= self.bytes.len() || self.unsynced.contains_key(&(at / PAGE)) {
            return false;
        }
        self.bytes[at] ^= 1 << bit;
        true
    }

    /// A write that belongs elsewhere lands on a page.
    pub(super) fn stray(&mut self, page: usize, content: Vec<u8>) {
        self.strays.insert(page, content);
    }

    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> usize {
        let at = usize::try_from(at).map_or(self.bytes.len(), |at| at.min(self.bytes.len()));
        let there = &self.bytes[at..];
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        count
    }

    pub(super) fn write(&mut self, at: usize, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = at + data.len();
        assert!(end < 1 << 28, "files of this world are small");
        self.touch(at, end);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(data);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        assert!(len < 1 << 28, "files of this world are small");
        self.touch(len, self.bytes.len());
        self.bytes.resize(len, 0);
    }

    /// The pages of the range are about to change: their durable content is kept aside.
    fn touch(&mut self, from: usize, to: usize) {
        self.changes += 1;
        if from >= to {
            return;
        }
        for page in from / PAGE..=(to - 1) / PAGE {
            let (bytes, durable_len) = (&self.bytes, self.durable_len);
            let entry = self.unsynced.entry(page).or_insert_with(|| Unsynced {
                durable: slice_of(bytes, page, durable_len).to_vec(),
                change: 0,
                lost: false,
                lied_about: false,
            });
            entry.change = self.changes;
            entry.lost = false;
        }
    }

    /// Whether a sync would have nothing to do.
    pub(super) fn is_durable(&self) -> bool {
        self.durable_len == self.bytes.len() && self.unsynced.values().all(|page| page.lost)
    }

    pub(super) fn sync_image(&self) -> SyncImage {
        let image = |page: usize| slice_of(&self.bytes, page, usize::MAX).to_vec();
        let dirty = self.unsynced.iter().filter(|(_, page)| !page.lost);
        SyncImage {
            change: self.changes,
            len: self.bytes.len(),
            pages: dirty.map(|(number, _)| (*number, image(*number))).collect(),
        }
    }

    /// A page of the image that was not changed since, by the number of a draw: the device says
    /// that it has it, and has not. Its number, and what it should hold.
    pub(super) fn lie(&mut self, image: &SyncImage, draws: &Draws) -> Option<(usize, Vec<u8>)> {
        let (number, content) = image.pages.get(draws.index(image.pages.len().max(1)))?;
        let page = self.unsynced.get_mut(number)?;
        if page.change > image.change {
            return None;
        }
        (page.lost, page.lied_about) = (true, true);
        Some((*number, content.clone()))
    }

    /// The device has the image, but for pages that it lied about.
    pub(super) fn synced(&mut self, image: SyncImage) {
        self.durable_len = image.len;
        for (number, content) in image.pages {
            self.strays.remove(&number);
            let Some(page) = self.unsynced.get_mut(&number) else { continue };
            if page.lost {
                continue;
            }
            if page.change <= image.change {
                self.unsynced.remove(&number);
            } else {
                (page.durable, page.lied_about) = (content, false);
            }
        }
    }

    /// The device has refused the image, and the system forgets that it ever had to write it.
    pub(super) fn sync_failed(&mut self, image: &SyncImage) {
        for (number, _) in &image.pages {
            if let Some(page) = self.unsynced.get_mut(number)
                && page.change <= image.change
            {
                page.lost = true;
            }
        }
    }

    /// Leaves what a power loss may leave: of each unsynced page the old or the new content, or a
    /// mixture of their sectors, in no order; of the length anything in between. The places where
    /// bytes are wrong that were promised to be durable.
    pub(super) fn lose_power(&mut self, draws: &Draws) -> Vec<usize> {
        let len = self.bytes.len();
        let (low, high) = (len.min(self.durable_len), len.max(self.durable_len));
        let fate = *draws.pick(&Fate::ALL);
        let end = match fate {
            Fate::AllLost => self.durable_len,
            Fate::AllKept => len,
            Fate::WholePages | Fate::TornPages => low + draws.index(high - low + 1),
        };
        self.bytes.resize(high, 0);
        let mut damaged = self.land_strays();
        for (number, page) in std::mem::take(&mut self.unsynced) {
            let (start, stop) = (number * PAGE, ((number + 1) * PAGE).min(high));
            if page.lied_about {
                damaged.push(start);
            }
            let page_kept = draws.one_in(2);
            for sector in (start..stop).step_by(SECTOR) {
                let kept = match fate {
                    Fate::AllLost => false,
                    Fate::AllKept => true,
                    Fate::WholePages => page_kept,
                    Fate::TornPages => draws.one_in(2),
                };
                if page.lost || !kept {
                    let stretch = &mut self.bytes[sector..(sector + SECTOR).min(stop)];
                    restore(stretch, &page.durable, sector - start);
                }
            }
        }
        self.bytes.truncate(end);
        self.durable_len = end;
        damaged
    }

    /// What misdirected writes left is on the device; pages that wait for a sync are not there.
    fn land_strays(&mut self) -> Vec<usize> {
        let mut landed = Vec::new();
        for (page, content) in std::mem::take(&mut self.strays) {
            let start = page * PAGE;
            let end = (start + content.len()).min(self.bytes.len());
            if start < end && !self.unsynced.contains_key(&page) {
                self.bytes[start..end].copy_from_slice(&content[..end - start]);
                landed.push(start);
            }
        }
        landed
    }
}

/// How a power loss treats one file's unsynced pages.
#[derive(Clone, Copy, Debug)]
enum Fate {
    AllLost,
    AllKept,
    WholePages,
    TornPages,
}

impl Fate {
    const ALL: [Self; 4] = [Self::AllLost, Self::AllKept, Self::WholePages, Self::TornPages];
}

/// The page's part of `bytes`, as far as it lies below `end`.
fn slice_of(bytes: &[u8], page: usize, end: usize) -> &[u8] {
    let end = end.min(bytes.len());
    &bytes[(page * PAGE).min(end)..((page + 1) * PAGE).min(end)]
}

/// Puts durable content, which may end early, back into a stretch `at` bytes into its page.
fn restore(stretch: &mut [u8], durable: &[u8], at: usize) {
    let there = durable.get(at..).unwrap_or_default();
    let count = there.len().min(stretch.len());
    stretch[..count].copy_from_slice(&there[..count]);
    stretch[count..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(at: usize, data: &[u8]) -> Pages {
        let mut pages = Pages::default();
        pages.write(at, data);
        pages
    }

    fn sync(pages: &mut Pages) {
        let image = pages.sync_image();
        pages.synced(image);
    }

    fn lose_power(pages: &mut Pages, seed: u64) -> Vec<u8> {
        pages.lose_power(&Draws::new(seed, 0, "power"));
        pages.bytes.clone()
    }

    #[test]
    fn synced_bytes_survive_whatever_is_written_beside_them() {
        for seed in 0..100 {
            let mut pages = written(0, &[1; 10_000]);
            sync(&mut pages);
            pages.write(10_000, &[2; 10_000]);
            let left = lose_power(&mut pages, seed);
            assert_eq!(left[..10_000], [1; 10_000], "seed {seed}");
            assert!(left[10_000..].iter().all(|byte| [0, 2].contains(byte)), "seed {seed}");
        }
    }

    #[test]
    fn unsynced_pages_are_kept_lost_and_torn() {
        let fates: Vec<Vec<u8>> = (0..100)
            .map(|seed| {
                let mut pages = written(0, &[1; 2 * PAGE]);
                sync(&mut pages);
                pages.write(0, &[2; 2 * PAGE]);
                lose_power(&mut pages, seed)
            })
            .collect();
        let is = |left: &[u8], first: u8, second: u8| {
            left[..PAGE] == [first; PAGE] && left[PAGE..] == [second; PAGE]
        };
        for (first, second) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            assert!(fates.iter().any(|left| is(left, first, second)), "{first} {second}");
        }
        let torn = |left: &&Vec<u8>| left[..PAGE].contains(&1) && left[..PAGE].contains(&2);
        let torn = fates.iter().find(torn).expect("some page is torn");
        assert!(torn.chunks(SECTOR).all(|sector| sector == [sector[0]; SECTOR]), "between sectors");
    }

    #[test]
    fn an_unsynced_truncation_may_come_back() {
        let lens: Vec<usize> = (0..100)
            .map(|seed| {
                let mut pages = written(0, &[1; 6_000]);
                sync(&mut pages);
                pages.truncate(100);
                lose_power(&mut pages, seed).len()
            })
            .collect();
        assert!(lens.contains(&100) && lens.contains(&6_000), "{lens:?}");
    }

    #[test]
    fn a_failed_sync_loses_its_pages_for_good_unless_they_are_written_again() {
        for seed in 0..50 {
            let mut pages = written(0, &[1; PAGE]);
            sync(&mut pages);
            pages.write(0, &[2; 10]);
            let image = pages.sync_image();
            pages.sync_failed(&image);
            sync(&mut pages);
            assert_eq!(pages.bytes[0], 2, "reads do not show it");
            assert_eq!(lose_power(&mut pages, seed), [1; PAGE], "but it is gone");

            let mut pages = written(0, &[1; PAGE]);
            let image = pages.sync_image();
            pages.sync_failed(&image);
            pages.write(5, &[2]);
            sync(&mut pages);
            let left = lose_power(&mut pages, seed);
            assert_eq!((left[0], left[5]), (1, 2), "the whole page was written again");
        }
    }

    #[test]
    fn what_changes_while_a_sync_is_under_way_is_not_covered_by_it() {
        let lost_later_write = (0..50).any(|seed| {
            let mut pages = written(0, &[1; 100]);
            let image = pages.sync_image();
            pages.write(0, &[2; 100]);
            pages.synced(image);
            let left = lose_power(&mut pages, seed);
            assert!(left == [1; 100] || left == [2; 100], "one sector, one content");
            left == [1; 100]
        });
        assert!(lost_later_write);
    }
}
