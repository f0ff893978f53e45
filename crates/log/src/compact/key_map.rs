//! Where the newest record of each key lies, in bounded memory.
//!
//! A key is kept as two hashes of 64 bits, whose seeds nobody outside knows: that two keys of a log
//! are taken for one is as likely as two random ids being the same, and nobody can bring it about.

use ottla_types::Offset;

/// Bytes of a key in the map, as in Kafka.
pub const KEY_BYTES: u64 = 24;

/// Two hashes, and the offset plus one; a slot of zeros is free, and costs no memory before it is
/// used.
type Slot = [u64; 3];

/// Numbers that decide where keys lie, and which would be taken for one: drawn at random.
#[derive(Clone, Copy, Debug)]
pub struct HashSeeds(pub [u64; 4]);

/// Keys and the offset of the newest record of each.
#[derive(Debug)]
pub(crate) struct KeyMap {
    slots: Vec<Slot>,
    seeds: [u64; 4],
    len: usize,
    len_max: usize,
    /// Everything below it is in the map.
    upto: Offset,
}

/// A key as the map knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash([u64; 2]);

/// Keys whose places in memory are asked for together. A place is nowhere near the one before it,
/// so each is waited for as long as memory takes; a processor waits for a dozen at a time as long
/// as for one.
const TOGETHER: usize = 16;

/// There is no room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl KeyMap {
    /// A map of so many keys at the most, and of everything below `from`, where nothing is to be
    /// known.
    pub(crate) fn new(len_max: usize, seeds: HashSeeds, from: Offset) -> Self {
        let len_max = len_max.max(1);
        // Nine tenths are used at the most: beyond that, looking takes long.
        let slots = len_max + len_max / 9 + 1;
        Self { slots: vec![[0; 3]; slots], seeds: seeds.0, len: 0, len_max, upto: from }
    }

    /// The newest records of these keys are at these offsets, in rising order and behind all others
    /// so far.
    pub(crate) fn put_all(&mut self, keys: &[(KeyHash, Offset)]) -> Result<(), Full> {
        for keys in keys.chunks(TOGETHER) {
            self.fetch(keys.iter().map(|(key, _)| *key));
            for (key, offset) in keys {
                self.put(*key, *offset)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, key: KeyHash, offset: Offset) -> Result<(), Full> {
        let at = self.find(key);
        let slot = &mut self.slots[at];
        if slot[2] == 0 {
            if self.len == self.len_max {
                return Err(Full);
            }
            self.len += 1;
        }
        let word = offset.get().cast_unsigned() + 1;
        assert!(slot[2] < word, "records are looked at in their order");
        *slot = [key.0[0], key.0[1], word];
        Ok(())
    }

    /// Where the newest record of each key is, if one is in the map; onto the end of `found`.
    pub(crate) fn newest_of(&self, keys: &[KeyHash], found: &mut Vec<Option<Offset>>) {
        for keys in keys.chunks(TOGETHER) {
            self.fetch(keys.iter().copied());
            found.extend(keys.iter().map(|key| self.newest(*key)));
        }
    }

    fn newest(&self, key: KeyHash) -> Option<Offset> {
        let [.., word] = self.slots[self.find(key)];
        word.checked_sub(1).map(|offset| Offset::new(offset.cast_signed()))
    }

    /// Has the processor fetch where these keys will be looked for.
    fn fetch(&self, keys: impl Iterator<Item = KeyHash>) {
        let first = |key: KeyHash| self.slots[scale(key.0[0], self.slots.len())];
        let all = keys.map(first).fold(0, |all, [one, _, three]| all ^ one ^ three);
        // The reads depend on nothing, and nothing on them: they overlap.
        std::hint::black_box(all);
    }

    /// Everything below `upto` was looked at.
    pub(crate) fn advance(&mut self, upto: Offset) {
        self.upto = self.upto.max(upto);
    }

    /// Where that ends which was looked at.
    pub(crate) const fn upto(&self) -> Offset {
        self.upto
    }

    /// The slot of a key, or the free one where it belongs.
    fn find(&self, KeyHash(hash): KeyHash) -> usize {
        let slots = self.slots.len();
        let mut at = scale(hash[0], slots);
        loop {
            let [first, second, word] = self.slots[at];
            if word == 0 || [first, second] == hash {
                return at;
            }
            at = if at + 1 == slots { 0 } else { at + 1 };
        }
    }

    /// Two hashes of one walk over the key.
    pub(crate) fn hash(&self, key: &[u8]) -> KeyHash {
        let [one, two, three, four] = self.seeds;
        let (mut left, mut right) = (one ^ key.len() as u64, two);
        let mut rest = key;
        loop {
            let (low, high, after) = words(rest);
            left = fold(left ^ low, three ^ high);
            right = fold(right ^ high, four ^ low) ^ right.rotate_left(23);
            rest = after;
            if rest.is_empty() {
                return KeyHash([fold(left, right ^ one), fold(right ^ four, left ^ two)]);
            }
        }
    }
}

/// Sixteen bytes from the front, zeros where there are fewer, and what follows them.
fn words(bytes: &[u8]) -> (u64, u64, &[u8]) {
    if let Some((block, rest)) = bytes.split_first_chunk::<16>() {
        let (low, high) = block.split_at(8);
        return (word(low), word(high), rest);
    }
    let mut block = [0; 16];
    block[..bytes.len()].copy_from_slice(bytes);
    let (low, high) = block.split_at(8);
    (word(low), word(high), &[])
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("eight bytes"))
}

/// Both halves of a product, over each other: every bit of both factors counts.
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    halves(product).0 ^ halves(product).1
}

/// Spreads all 64-bit numbers over `0..below`.
fn scale(number: u64, below: usize) -> usize {
    let (high, _) = halves(u128::from(number) * below as u128);
    usize::try_from(high).expect("it is below a usize")
}

fn halves(wide: u128) -> (u64, u64) {
    let low = u64::try_from(wide & u128::from(u64::MAX)).expect("64 bits");
    let high = u64::try_from(wide >> 64).expect("64 bits");
    (high, low)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SEEDS: HashSeeds = HashSeeds([0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 3, 0xff51]);

    /// One key after the other.
    fn put(map: &mut KeyMap, key: &[u8], offset: i64) -> Result<(), Full> {
        map.put_all(&[(map.hash(key), Offset::new(offset))])
    }

    fn newest(map: &KeyMap, key: &[u8]) -> Option<i64> {
        let mut found = Vec::new();
        map.newest_of(&[map.hash(key)], &mut found);
        found[0].map(Offset::get)
    }

    #[test]
    fn the_newest_offset_of_each_key_is_found() {
        let mut map = KeyMap::new(1_000, SEEDS, Offset::ZERO);
        let (mut expected, mut keys) = (BTreeMap::new(), Vec::new());
        for offset in 0..5_000_i64 {
            // Keys of all lengths, those of one byte and none among them.
            let number = offset.wrapping_mul(7_919) % 991;
            let key = format!("{number}").repeat(usize::try_from(number % 13).unwrap());
            keys.push((map.hash(key.as_bytes()), Offset::new(offset)));
            expected.insert(key, offset);
        }
        // A key comes again within what is fetched together, and far behind it.
        map.put_all(&keys).unwrap();
        for (key, offset) in &expected {
            assert_eq!(newest(&map, key.as_bytes()), Some(*offset), "{key}");
        }
        let (asked, offsets): (Vec<_>, Vec<_>) =
            expected.iter().map(|(key, at)| (map.hash(key.as_bytes()), Offset::new(*at))).unzip();
        let mut found = vec![None];
        map.newest_of(&asked, &mut found);
        assert_eq!(found[1..], offsets.into_iter().map(Some).collect::<Vec<_>>());
        assert_eq!(map.len, expected.len());
        assert_eq!(newest(&map, b"another"), None);
    }

    #[test]
    fn keys_that_differ_in_any_way_are_not_the_same() {
        let mut map = KeyMap::new(100_000, SEEDS, Offset::ZERO);
        let mut offset = 0;
        for len in 0..40 {
            let zeros = vec![0; len];
            let flipped = (0..len * 8).map(|bit| {
                let mut key = vec![0; len];
                key[bit / 8] ^= 1 << (bit % 8);
                key
            });
            for key in std::iter::once(zeros).chain(flipped) {
                assert_eq!(newest(&map, &key), None, "{key:?}");
                put(&mut map, &key, offset).unwrap();
                offset += 1;
            }
        }
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = KeyMap::new(2, SEEDS, Offset::ZERO);
        assert_eq!(put(&mut map, b"a", 1), Ok(()));
        assert_eq!(put(&mut map, b"b", 2), Ok(()));
        assert_eq!(put(&mut map, b"c", 3), Err(Full));
        assert_eq!(put(&mut map, b"a", 4), Ok(()));
        assert_eq!(newest(&map, b"a"), Some(4));
        assert_eq!(newest(&map, b"c"), None);
    }
}
