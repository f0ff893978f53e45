//! A small generator of random values, keyed so that each test repeats itself.

use ottla_types::Uuid;
use ottla_wire::{List, Reader, ResponseHeader, UnknownTags};
use std::borrow::Cow;

/// SplitMix64 (Steele, Lea, Flood 2014): a counter through a mixer.
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
    /// Draw no unknown tags.
    plain: bool,
}

/// What can be drawn so that a version can say it.
pub(crate) trait Arbitrary: Sized {
    fn draw(random: &mut Random, version: i16) -> Self;
}

impl Random {
    /// The same name gives the same numbers.
    pub(crate) fn named(name: &str) -> Self {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { state: name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv), plain: false }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn draw<T: Arbitrary>(&mut self, version: i16) -> T {
        T::draw(self, version)
    }

    /// Without unknown tags.
    pub(crate) fn draw_plain<T: Arbitrary>(&mut self, version: i16) -> T {
        self.plain = true;
        let drawn = T::draw(self, version);
        self.plain = false;
        drawn
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    pub(crate) fn pick<'p, T>(&mut self, from: &'p [T]) -> &'p T {
        &from[self.below(from.len())]
    }

    /// Mostly short, sometimes with a length that takes two bytes as a varint.
    fn length(&mut self) -> usize {
        if self.one_in(12) { 120 + self.below(200) } else { self.below(9) }
    }

    /// Numbers at the edges of their type as often as others.
    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => 0x7fff_ffff_ffff_ffff >> (8 * self.below(8)),
            4 => self.next() >> self.below(64),
            _ => self.next(),
        }
    }

    /// Tags far above those that any struct knows.
    pub(crate) fn unknown_tags(&mut self, flexible: bool) -> UnknownTags<'static> {
        if !flexible || self.plain || !self.one_in(5) {
            return UnknownTags::default();
        }
        let count = 1 + self.below(3) as u8;
        let mut header = vec![0, 0, 0, 0, count];
        for at in 0..count {
            let value_length = self.below(4) as u8;
            // 100 fits in one byte of varint, 1_000 and more do not.
            let tag: &[u8] = match at {
                0 => &[100],
                1 => &[0xe8, 7],
                // The largest tag that a signed number holds: the oracle knows no larger ones.
                _ => &[0xff, 0xff, 0xff, 0xff, 7],
            };
            header.extend_from_slice(tag);
            header.push(value_length);
            header.extend(self.bytes(value_length.into()));
        }
        let mut reader = Reader::new(header.leak());
        ResponseHeader::decode(&mut reader, 1).expect("a header was spelled out").unknown_tags
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Arbitrary for $number {
            fn draw(random: &mut Random, _: i16) -> Self {
                random.number() as Self
            }
        }
    )*};
}

numbers!(i8, i16, u16, i32, u32, i64);

impl Arbitrary for f64 {
    fn draw(random: &mut Random, _: i16) -> Self {
        // Not any bits: a NaN is not even equal to itself.
        random.number() as Self / 7.0
    }
}

impl Arbitrary for bool {
    fn draw(random: &mut Random, _: i16) -> Self {
        random.one_in(2)
    }
}

impl Arbitrary for Uuid {
    fn draw(random: &mut Random, _: i16) -> Self {
        let zero = random.one_in(4);
        let (high, low) = (random.next(), random.next());
        if zero { Self::ZERO } else { Self::from_u128(u128::from(high) << 64 | u128::from(low)) }
    }
}

impl Arbitrary for Cow<'static, str> {
    fn draw(random: &mut Random, _: i16) -> Self {
        let length = random.length();
        (0..length).map(|_| *random.pick(&['a', 'Z', '0', '-', 'é', '語', '\0'])).collect()
    }
}

impl Arbitrary for Cow<'static, [u8]> {
    fn draw(random: &mut Random, _: i16) -> Self {
        let length = random.length();
        random.bytes(length).into()
    }
}

impl<T: Arbitrary> Arbitrary for Option<T> {
    fn draw(random: &mut Random, version: i16) -> Self {
        (!random.one_in(4)).then(|| random.draw(version))
    }
}

impl<T: Arbitrary> Arbitrary for List<'static, T> {
    fn draw(random: &mut Random, version: i16) -> Self {
        let many = size_of::<T>() <= 16 && random.one_in(8);
        let length = if many { 130 } else { random.below(4) };
        (0..length).map(|_| random.draw(version)).collect()
    }
}
