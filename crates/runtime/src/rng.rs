//! Randomness from the system.

use ottla_env::{Purpose, Rng};
use rustix::rand::{GetRandomFlags, getrandom};

/// The system's generator; purposes need no streams of their own here.
#[derive(Debug)]
pub(crate) struct RealRng;

impl Rng for RealRng {
    fn next(&self, _: Purpose) -> u64 {
        let mut bytes = [0; 8];
        let filled = getrandom(&mut bytes, GetRandomFlags::empty())
            .expect("Linux answers requests of up to 256 bytes once it has booted");
        assert_eq!(filled, bytes.len(), "requests of up to 256 bytes are not cut");
        u64::from_ne_bytes(bytes)
    }
}
