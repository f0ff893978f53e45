//! XXH3 with 64 bits and no seed: the hash by which Kafka tells whether topics have changed.
//!
//! Written down in full because it is stored: a group that moves between Kafka and us must find
//! its own number again, or every group would rebalance for nothing.

/// The bytes that the algorithm mixes in; part of its definition.
#[rustfmt::skip]
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

const PRIME32_1: u64 = 0x9E37_79B1;
const PRIME32_2: u64 = 0x85EB_CA77;
const PRIME32_3: u64 = 0xC2B2_AE3D;
const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME64_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME64_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME64_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME64_5: u64 = 0x27D4_EB2F_1656_67C5;
const PRIME_MX1: u64 = 0x1656_6791_9E37_79F9;
const PRIME_MX2: u64 = 0x9FB2_1C65_1E98_DF25;

/// What one step of the long form takes in.
const STRIPE: usize = 64;
/// Stripes between two scrambles: each moves the secret by 8 bytes, until it is used up.
const STRIPES_PER_BLOCK: usize = (SECRET.len() - STRIPE) / 8;

/// The hash of `data`.
pub(crate) fn xxh3_64(data: &[u8]) -> i64 {
    let hash = match data.len() {
        0 => avalanche64(secret(56) ^ secret(64)),
        1..=3 => up_to_3(data),
        4..=8 => up_to_8(data),
        9..=16 => up_to_16(data),
        17..=128 => up_to_128(data),
        129..=240 => up_to_240(data),
        _ => long(data),
    };
    hash.cast_signed()
}

fn up_to_3(data: &[u8]) -> u64 {
    let len = data.len();
    let combined = u64::from(data[0]) << 16
        | u64::from(data[len >> 1]) << 24
        | u64::from(data[len - 1])
        | (len as u64) << 8;
    let key = u64::from(read32(&SECRET, 0) ^ read32(&SECRET, 4));
    avalanche64(combined ^ key)
}

fn up_to_8(data: &[u8]) -> u64 {
    let len = data.len() as u64;
    let first = u64::from(read32(data, 0));
    let last = u64::from(read32(data, data.len() - 4));
    let mut hash = (last | first << 32) ^ secret(8) ^ secret(16);
    hash ^= hash.rotate_left(49) ^ hash.rotate_left(24);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^= (hash >> 35).wrapping_add(len);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^ (hash >> 28)
}

fn up_to_16(data: &[u8]) -> u64 {
    let low = read64(data, 0) ^ secret(24) ^ secret(32);
    let high = read64(data, data.len() - 8) ^ secret(40) ^ secret(48);
    let mixed = (data.len() as u64)
        .wrapping_add(low.swap_bytes())
        .wrapping_add(high)
        .wrapping_add(fold(low, high));
    avalanche(mixed)
}

fn up_to_128(data: &[u8]) -> u64 {
    let len = data.len();
    let mut acc = (len as u64).wrapping_mul(PRIME64_1);
    // From both ends inwards, 16 bytes each.
    for pair in (0..=(len - 1) / 32).rev() {
        acc = acc.wrapping_add(mix16(data, 16 * pair, 32 * pair));
        acc = acc.wrapping_add(mix16(data, len - 16 * (pair + 1), 32 * pair + 16));
    }
    avalanche(acc)
}

fn up_to_240(data: &[u8]) -> u64 {
    let len = data.len();
    let mut acc = (len as u64).wrapping_mul(PRIME64_1);
    for at in 0..8 {
        acc = acc.wrapping_add(mix16(data, 16 * at, 16 * at));
    }
    acc = avalanche(acc);
    for at in 8..len / 16 {
        acc = acc.wrapping_add(mix16(data, 16 * at, 16 * (at - 8) + 3));
    }
    avalanche(acc.wrapping_add(mix16(data, len - 16, 136 - 17)))
}

fn long(data: &[u8]) -> u64 {
    let mut acc =
        [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];
    // The last stripe, whole or not, is taken from the end, so it is left out here.
    for (number, stripe) in data[..data.len() - 1].chunks_exact(STRIPE).enumerate() {
        let in_block = number % STRIPES_PER_BLOCK;
        accumulate(&mut acc, stripe, in_block * 8);
        if in_block + 1 == STRIPES_PER_BLOCK {
            scramble(&mut acc);
        }
    }
    accumulate(&mut acc, &data[data.len() - STRIPE..], SECRET.len() - STRIPE - 7);
    let mut hash = (data.len() as u64).wrapping_mul(PRIME64_1);
    for pair in 0..4 {
        let at = 11 + 16 * pair;
        hash =
            hash.wrapping_add(fold(acc[2 * pair] ^ secret(at), acc[2 * pair + 1] ^ secret(at + 8)));
    }
    avalanche(hash)
}

fn accumulate(acc: &mut [u64; 8], stripe: &[u8], secret_at: usize) {
    for lane in 0..8 {
        let value = read64(stripe, 8 * lane);
        let keyed = value ^ secret(secret_at + 8 * lane);
        acc[lane ^ 1] = acc[lane ^ 1].wrapping_add(value);
        acc[lane] = acc[lane].wrapping_add((keyed & 0xFFFF_FFFF).wrapping_mul(keyed >> 32));
    }
}

fn scramble(acc: &mut [u64; 8]) {
    for (lane, value) in acc.iter_mut().enumerate() {
        *value ^= (*value >> 47) ^ secret(SECRET.len() - STRIPE + 8 * lane);
        *value = value.wrapping_mul(PRIME32_1);
    }
}

fn mix16(data: &[u8], at: usize, secret_at: usize) -> u64 {
    fold(read64(data, at) ^ secret(secret_at), read64(data, at + 8) ^ secret(secret_at + 8))
}

/// Both halves of the product, folded into one.
fn fold(a: u64, b: u64) -> u64 {
    let [low, high] = halves(u128::from(a) * u128::from(b));
    low ^ high
}

fn halves(product: u128) -> [u64; 2] {
    let bytes = product.to_le_bytes();
    [read64(&bytes, 0), read64(&bytes, 8)]
}

fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 37;
    hash = hash.wrapping_mul(PRIME_MX1);
    hash ^ (hash >> 32)
}

fn avalanche64(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(PRIME64_2);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(PRIME64_3);
    hash ^ (hash >> 32)
}

fn secret(at: usize) -> u64 {
    read64(&SECRET, at)
}

fn read64(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().expect("8 bytes were taken"))
}

fn read32(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().expect("4 bytes were taken"))
}

#[cfg(test)]
mod tests {
    use super::xxh3_64;

    /// Measured with the library that Kafka uses (hash4j 0.22).
    #[test]
    #[rustfmt::skip]
    fn the_hash_is_the_one_that_kafka_computes_at_every_length_where_the_algorithm_changes() {
        check(0, 0x2d06_8005_38d3_94c2);
        check(1, 0x13e6_08bc_156d_efed);
        check(2, 0x1c90_74b9_3943_b86c);
        check(3, 0xa908_8dda_485b_481c);
        check(4, 0x6d92_53b1_6c8b_1ed3);
        check(5, 0x9986_20e1_0e3a_4b37);
        check(8, 0x6053_9db6_3047_1163);
        check(9, 0xfeff_6683_61d7_23a8);
        check(16, 0xb8c8_59b0_f030_b585);
        check(17, 0x714a_0440_8e79_b80f);
        check(32, 0x19ff_4ee1_d6ba_1a55);
        check(33, 0x3e44_983a_d216_79c8);
        check(64, 0x287e_b1fa_9e4b_e2c1);
        check(65, 0x8292_18de_4d79_8646);
        check(96, 0xf084_e7cf_bc62_4743);
        check(97, 0x1daa_8327_1a8e_7b7c);
        check(128, 0x6742_5a03_6502_61bf);
        check(129, 0xc664_bf33_11c6_abc4);
        check(160, 0xd70d_ea8d_e694_b883);
        check(161, 0x06c5_f272_55d9_9356);
        check(200, 0x746c_d002_5327_bf5b);
        check(240, 0x6455_6dc6_b462_a6cf);
        check(241, 0x8bea_dd3a_8874_fe17);
        check(256, 0x3c38_817f_6d79_c0da);
        check(300, 0xfd9a_a0f0_d62e_0227);
        check(1000, 0x6c4f_14bd_97bd_9e82);
        check(1024, 0x9b81_661c_641c_72b1);
        check(1025, 0x806c_2072_ed71_3576);
        check(1088, 0x2f87_81e0_1841_f0da);
        check(1089, 0x2a90_437f_e231_e7e8);
        check(2048, 0xabe6_0481_3ba6_2ed1);
        check(5000, 0x799a_addd_7339_581d);
    }

    fn check(len: usize, hash: u64) {
        let data: Vec<u8> = (0..len).map(|at| ((at * 7 + 3) & 0xff).try_into().unwrap()).collect();
        assert_eq!(xxh3_64(&data).cast_unsigned(), hash, "{len} bytes");
    }
}
