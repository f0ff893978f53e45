//! Runs the node in the simulator, seed by seed, on every core.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_sim::{Counts, Event, Options, Report, Workload, simulate};

const USAGE: &str = "\
usage: sim --seeds A..B            these seeds (0..200 without any option)
       sim --minutes M [--from A]  one seed after the other, for so long
       sim --seed N                one seed
           --groups                ... of groups of consumers, instead of records; with any of these
           --trace                 ... printing all that happens, to stderr
           --without 0,2           ... without some of its faults
           --shrink                ... without any fault that is not needed to fail";

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Whether the seeds are about groups, for whoever tells of one.
static GROUPS: AtomicBool = AtomicBool::new(false);

/// From so many seeds on, everything that some seed must meet has to have happened.
const SEEDS_THAT_MEET_ALL: u64 = 200;

enum Work {
    Seeds { seeds: Range<u64>, workload: Workload },
    Minutes { from: u64, minutes: u64, workload: Workload },
    Seed { seed: u64, options: Options, shrinks: bool },
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(work) = parse(&arguments) else {
        say(USAGE);
        return ExitCode::from(2);
    };
    tell_the_seed_of_a_panic();
    let clean = match work {
        Work::Seeds { seeds, workload } => run_many(seeds, None, workload),
        Work::Minutes { from, minutes, workload } => {
            let until = Instant::now() + Duration::from_secs(60 * minutes);
            run_many(from..u64::MAX, Some(until), workload)
        }
        Work::Seed { seed, options, shrinks: false } => run_one(seed, &options),
        Work::Seed { seed, options, shrinks: true } => shrink(seed, options),
    };
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Option<Work> {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let known = [
        "--seeds",
        "--minutes",
        "--from",
        "--seed",
        "--groups",
        "--trace",
        "--without",
        "--shrink",
    ];
    let workload = if has("--groups") { Workload::Groups } else { Workload::Records };
    if arguments.iter().any(|a| a.starts_with('-') && !known.contains(&a.as_str())) {
        return None;
    }
    if let Some(seed) = value("--seed") {
        let without: Result<BTreeSet<usize>, _> =
            value("--without").unwrap_or_default().split_terminator(',').map(str::parse).collect();
        let options = Options { workload, without: without.ok()?, prints: has("--trace") };
        let shrinks = has("--shrink");
        return Some(Work::Seed { seed: seed.parse().ok()?, options, shrinks });
    }
    if let Some(minutes) = value("--minutes") {
        let from = value("--from").unwrap_or("0").parse().ok()?;
        return Some(Work::Minutes { from, minutes: minutes.parse().ok()?, workload });
    }
    let (from, to) = value("--seeds").unwrap_or("0..200").split_once("..")?;
    Some(Work::Seeds { seeds: from.parse().ok()?..to.parse().ok()?, workload })
}

/// One line to stdout; a reader that went away is no failure.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

fn tell_the_seed_of_a_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(seed) = SEED.get() {
            drop(writeln!(std::io::stderr(), "seed {seed}: panic; {}", replay(seed)));
        }
        usual(panic);
    }));
}

fn replay(seed: u64) -> String {
    let groups = if GROUPS.load(Ordering::Relaxed) { " --groups" } else { "" };
    format!("replay with: cargo xtask sim{groups} --seed {seed} --trace")
}

/// Runs a seed; `None` where the node panicked, which the hook has told.
fn run(seed: u64, options: &Options) -> Option<Report> {
    SEED.set(Some(seed));
    GROUPS.store(options.workload == Workload::Groups, Ordering::Relaxed);
    let report = catch_unwind(AssertUnwindSafe(|| simulate(seed, options))).ok();
    SEED.set(None);
    report
}

fn run_one(seed: u64, options: &Options) -> bool {
    let Some(report) = run(seed, options) else { return false };
    say(&report.to_string());
    report.is_clean()
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    failed: Vec<u64>,
    time: Duration,
    lives: u64,
    acked: u64,
    read: u64,
    hand_overs: u64,
    traces: u64,
    events: Counts,
    faults: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, seed: u64, report: Option<Report>) {
        self.seeds += 1;
        let Some(report) = report else { return self.failed.push(seed) };
        self.time += report.time;
        self.lives += u64::from(report.lives);
        self.acked += report.acked;
        self.read += report.read;
        self.hand_overs += report.hand_overs;
        for (event, count) in &report.events {
            *self.events.entry(*event).or_default() += count;
        }
        for fault in &report.faults {
            *self.faults.entry(fault.kind()).or_default() += 1;
        }
        // In any order: cores finish when they like.
        self.traces ^= report.trace_hash;
        if !report.is_clean() {
            say(&format!("{report}\n  {}", replay(seed)));
            self.failed.push(seed);
        }
    }

    /// Events that should have happened by now and have not.
    fn unmet(&self, workload: Workload) -> Vec<Event> {
        if workload == Workload::Groups {
            return Vec::new();
        }
        let unmet = |event: &Event| !self.events.contains_key(event);
        match self.seeds {
            ..SEEDS_THAT_MEET_ALL => Vec::new(),
            _ => Event::ALL.into_iter().filter(unmet).collect(),
        }
    }
}

fn run_many(seeds: Range<u64>, until: Option<Instant>, workload: Workload) -> bool {
    let begun = Instant::now();
    let (next, totals) = (AtomicU64::new(seeds.start), Mutex::new(Totals::default()));
    let enough = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || until.is_some_and(|until| Instant::now() >= until) {
                        return;
                    }
                    let report = run(seed, &Options { workload, ..Options::default() });
                    let mut totals = totals.lock().expect("nothing panics under the lock");
                    totals.add(seed, report);
                    // Ten examples are enough to go on with.
                    enough.store(totals.failed.len() >= 10, Ordering::Relaxed);
                }
            });
        }
    });
    let totals = totals.into_inner().expect("nothing panics under the lock");
    let real = begun.elapsed();
    say(&format!(
        "{} seeds, {} failed {:?}: {} s simulated in {:.1} s, {} lives, {} acked, {} read, \
         {} hand-overs, traces {:016x}",
        totals.seeds,
        totals.failed.len(),
        totals.failed,
        totals.time.as_secs(),
        real.as_secs_f64(),
        totals.lives,
        totals.acked,
        totals.read,
        totals.hand_overs,
        totals.traces
    ));
    say(&format!("faults: {:?}", totals.faults));
    say(&format!("met: {:?}", totals.events));
    let unmet = totals.unmet(workload);
    if !unmet.is_empty() {
        say(&format!("never met, so the seeds prove nothing about them: {unmet:?}"));
    }
    totals.failed.is_empty() && unmet.is_empty()
}

/// Leaves out one fault after the other as long as the seed still fails.
fn shrink(seed: u64, mut options: Options) -> bool {
    let fails = |options: &Options| run(seed, options).is_none_or(|report| !report.is_clean());
    if !fails(&options) {
        say(&format!("seed {seed} does not fail"));
        return true;
    }
    // A run has fewer faults than this.
    for fault in 0..16 {
        if options.without.insert(fault) && !fails(&options) {
            options.without.remove(&fault);
        }
    }
    let without: Vec<String> = options.without.iter().map(ToString::to_string).collect();
    say(&format!("seed {seed} still fails --without {}", without.join(",")));
    run_one(seed, &options)
}
