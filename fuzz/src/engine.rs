//! One target's run: draw, try, keep what is new.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::coverage::Coverage;
use crate::draws::Draws;
use crate::memory;
use crate::targets::Target;

/// Longer than any input of a few KiB may keep a loop of a node, slow build and busy machine
/// included.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Inputs that are kept: those of the last minutes, each of a few hundred bytes.
const CORPUS_MAX: usize = 20_000;

/// A target, and for how long.
pub(crate) struct Run<'a> {
    pub(crate) target: &'a Target,
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    /// Where an input goes that broke something.
    pub(crate) findings: &'a Path,
}

impl Run<'_> {
    /// Tries inputs until the time is over.
    ///
    /// # Errors
    /// With the first thing that broke.
    pub(crate) fn go(&self) -> Result<(), String> {
        let (mut draws, mut coverage) = (Draws::new(self.seed), Coverage::new());
        let mut corpus = (self.target.seeds)();
        assert!(!corpus.is_empty(), "a target has seeds");
        let seeds = corpus.len();
        let (begun, mut tried) = (Instant::now(), 0_u64);
        for at in 0..seeds {
            self.attempt(&mut coverage, &corpus[at])?;
        }
        while begun.elapsed() < self.time {
            let input = draws.input(&corpus);
            tried += 1;
            if self.attempt(&mut coverage, &input)? && corpus.len() < CORPUS_MAX {
                corpus.push(input);
            }
        }
        let guided = if coverage.is_guided() { "" } else { "; blindly: built without counters" };
        println!(
            "{:<12} {tried:>9} inputs in {:>3} s, {:>6} edges, {seeds} seeds, {} new inputs{guided}",
            self.target.name,
            begun.elapsed().as_secs(),
            coverage.edges(),
            corpus.len() - seeds,
        );
        Ok(())
    }

    /// Tries one input; whether it reached anything new.
    fn attempt(&self, coverage: &mut Coverage, input: &[u8]) -> Result<bool, String> {
        let before = memory::reset();
        Coverage::reset();
        let begun = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| (self.target.run)(input)));
        let took = begun.elapsed();
        let is_new = coverage.take();
        let memory = memory::most().saturating_sub(before);
        let memory_max = self.target.memory_max + self.target.memory_per_byte * input.len();
        let wrong = match ended {
            Err(panic) => Some(format!("it panics: {}", words(&*panic))),
            Ok(()) if took > TIME_MAX => Some(format!("it takes {} ms", took.as_millis())),
            Ok(()) if memory > memory_max => {
                Some(format!("it takes {memory} bytes of memory, and {memory_max} may be"))
            }
            Ok(()) => None,
        };
        match wrong {
            None => Ok(is_new),
            Some(wrong) => Err(format!("{wrong}\n{}", self.keep(input))),
        }
    }

    fn keep(&self, input: &[u8]) -> String {
        let name = format!("{}-{:016x}", self.target.name, fnv(input));
        let path = self.findings.join(name);
        let kept = fs::create_dir_all(self.findings).and_then(|()| fs::write(&path, input));
        match kept {
            Ok(()) => format!("its {} bytes: {}", input.len(), path.display()),
            Err(error) => format!("{}: {error}: {input:02x?}", path.display()),
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// FNV-1a, so that a finding has the same name each time.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
