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

    /// The newest record of `key` is at `offset`, behind all others so far.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        let hash = self.hash(key);
        let at = self.find(hash);
        let slot = &mut self.slots[at];
        if slot[2] == 0 {
            if self.len == self.len_max {
                return Err(Full);
            }
            self.len += 1;
        }
        let word = offset.get().cast_unsigned() + 1;
        assert!(slot[2] < word, "records are looked at in their order");
        *slot = [hash[0], hash[1], word];
        Ok(())
    }

    /// Where the newest record of `key` is, if one is in the map.
    pub(crate) fn newest(&self, key: &[u8]) -> Option<Offset> {
        let [.., word] = self.slots[self.find(self.hash(key))];
        word.checked_sub(1).map(|offset| Offset::new(offset.cast_signed()))
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
    fn find(&self, hash: [u64; 2]) -> usize {
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
    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let [one, two, three, four] = self.seeds;
        let (mut left, mut right) = (one ^ key.len() as u64, two);
        let mut rest = key;
        loop {
            let (low, high, after) = words(rest);
            left = fold(left ^ low, three ^ high);
            right = fold(right ^ high, four ^ low) ^ right.rotate_left(23);
            rest = after;
            if rest.is_empty() {
                return [fold(left, right ^ one), fold(right ^ four, left ^ two)];
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

    #[test]
    fn the_newest_offset_of_each_key_is_found() {
        let mut map = KeyMap::new(1_000, SEEDS, Offset::ZERO);
        let mut expected = BTreeMap::new();
        for offset in 0..5_000_i64 {
            // Keys of all lengths, those of one byte and none among them.
            let number = offset.wrapping_mul(7_919) % 991;
            let key = format!("{number}").repeat(usize::try_from(number % 13).unwrap());
            map.put(key.as_bytes(), Offset::new(offset)).unwrap();
            expected.insert(key, offset);
        }
        for (key, offset) in &expected {
            assert_eq!(map.newest(key.as_bytes()), Some(Offset::new(*offset)), "{key}");
        }
        assert_eq!(map.len, expected.len());
        assert_eq!(map.newest(b"another"), None);
    }

    #[test]
    fn keys_that_differ_in_any_way_are_not_the_same() {
        let mut map = KeyMap::new(100_000, SEEDS, Offset::ZERO);
        let mut offset = Offset::ZERO;
        for len in 0..40 {
            let zeros = vec![0; len];
            let flipped = (0..len * 8).map(|bit| {
                let mut key = vec![0; len];
                key[bit / 8] ^= 1 << (bit % 8);
                key
            });
            for key in std::iter::once(zeros).chain(flipped) {
                assert_eq!(map.newest(&key), None, "{key:?}");
                map.put(&key, offset).unwrap();
                offset = offset.next();
            }
        }
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = KeyMap::new(2, SEEDS, Offset::ZERO);
        assert_eq!(map.put(b"a", Offset::new(1)), Ok(()));
        assert_eq!(map.put(b"b", Offset::new(2)), Ok(()));
        assert_eq!(map.put(b"c", Offset::new(3)), Err(Full));
        assert_eq!(map.put(b"a", Offset::new(4)), Ok(()));
        assert_eq!(map.newest(b"a"), Some(Offset::new(4)));
        assert_eq!(map.newest(b"c"), None);
    }
}
