//! Random numbers, and inputs that are like others.

/// SplitMix64 (Steele, Lea, Flood 2014): a counter through a mixer.
#[derive(Debug)]
pub(crate) struct Draws(u64);

/// Bytes that are longer than this are cut: the interesting ones are short.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// What breaks those who trust it: lengths, counts and varints at their edges.
const TEMPTING: &[&[u8]] = &[
    &[0x00],
    &[0x01],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0x7f, 0xff],
    &[0xff, 0xff],
    &[0x00, 0x00],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0x00, 0x00, 0x00, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Another input, like one of those that are known.
    pub(crate) fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        // What was found last is followed up first.
        let newest = corpus.len().saturating_sub(20);
        let from = if self.below(3) == 0 { &corpus[newest..] } else { corpus };
        let mut bytes = self.pick(from).clone();
        for _ in 0..1 << self.below(5) {
            self.change(&mut bytes, corpus);
        }
        bytes.truncate(INPUT_BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let rest = bytes.len() - at;
        match self.below(11) {
            0 | 1 if rest > 0 => bytes[at] ^= 1 << self.below(8),
            2 if rest > 0 => bytes[at] = self.below(256) as u8,
            3 if rest > 0 => {
                let by = 1 + self.below(16) as u8;
                let less = self.below(2) == 0;
                bytes[at] =
                    if less { bytes[at].wrapping_sub(by) } else { bytes[at].wrapping_add(by) };
            }
            4 => {
                let tempting = *self.pick(TEMPTING);
                let over = tempting.len().min(rest);
                bytes[at..at + over].copy_from_slice(&tempting[..over]);
            }
            5 => {
                let tempting = *self.pick(TEMPTING);
                insert(bytes, at, tempting);
            }
            6 => bytes.truncate(at),
            7 if rest > 0 => {
                let count = 1 + self.below(rest.min(64));
                bytes.drain(at..at + count);
            }
            8 if rest > 0 => {
                // Again and again: what is counted should be there.
                let count = 1 + self.below(rest.min(64));
                let piece = bytes[at..at + count].repeat(1 << self.below(5));
                insert(bytes, at, &piece);
            }
            9 => {
                let other = self.pick(corpus);
                let (from, to) = (self.below(other.len() + 1), self.below(other.len() + 1));
                let piece = other[from.min(to)..from.max(to)].to_vec();
                insert(bytes, at, &piece);
            }
            _ => {
                let other = self.pick(corpus);
                let tail = other[self.below(other.len() + 1)..].to_vec();
                bytes.truncate(at);
                bytes.extend_from_slice(&tail);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if bytes.len() + piece.len() <= 2 * INPUT_BYTES_MAX {
        bytes.splice(at..at, piece.iter().copied()).for_each(drop);
    }
}
