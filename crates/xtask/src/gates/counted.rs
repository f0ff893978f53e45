//! What a request costs in things that can be counted, whatever else the machine does.
//!
//! The broker runs under a tool that counts, once with few requests and once with many: what one
//! request costs is the difference, from which start, stop and background drop out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Figures;
use crate::node::{Launch, Node, target};
use crate::{Outcome, command};

/// Requests of either kind in each run: enough for buffers to reach their size.
const WARM_UP: u64 = 1_000;
/// Requests that are counted: what differs by chance between two runs is small beside them.
const COUNTED: u64 = 4_000;
/// Requests that are counted where many connections want the same partition.
const CONTENDED: u64 = 30_000;

/// One record of 100 bytes in each request, all on one connection, five at a time: small requests
/// as a client sends that does not wait for each answer.
const PRODUCE: &str =
    "--partitions 1 --connections 1 --in-flight 5 --records 1 --record-bytes 100 --acks 1";
const REREAD: &str = "--connections 1 --in-flight 5";
/// The same from sixteen connections, on all loops, to one partition.
const CROWD: &str =
    "--partitions 1 --connections 16 --in-flight 5 --records 1 --record-bytes 100 --acks 1";

/// The allocator's doors, through which every allocation of Rust's goes.
const ALLOCATORS: [&str; 3] =
    ["__rustc::__rust_alloc", "__rustc::__rust_alloc_zeroed", "__rustc::__rust_realloc"];

/// Counts by name.
type Counts = BTreeMap<String, u64>;

/// Instructions and allocations, as callgrind counts them: in user space only.
pub(super) fn instructions() -> Result<Figures, String> {
    let measure = |produce, reread| {
        let out = Scratch::new("callgrind");
        let to = format!("--callgrind-out-file={}", out.0.display());
        let node = run_beneath(&["valgrind", "--tool=callgrind", "--quiet", &to], produce, reread)?;
        let profile = callgrind_profile(&node, &out)?;
        // A signal that is handled while another thread runs ends callgrind 3.19 with an assertion.
        drop(node.kill());
        callgrind_counts(&profile)
    };
    let [produce, fetch] = each_kind(measure)?;
    let of = |counts: &Counts, name: &str| a_request(counts, name, COUNTED);
    Ok(Figures::from([
        ("produce-instructions", of(&produce, INSTRUCTIONS)),
        ("produce-allocations", of(&produce, ALLOCATIONS)),
        ("fetch-instructions", of(&fetch, INSTRUCTIONS)),
        ("fetch-allocations", of(&fetch, ALLOCATIONS)),
    ]))
}

/// System calls of any kind.
pub(super) fn syscalls() -> Result<Figures, String> {
    let measure = |produce, reread| {
        let out = Scratch::new("strace");
        let to = out.0.display().to_string();
        // -D: the broker is our child, and the tool beside it.
        run_beneath(&["strace", "-D", "-f", "-c", "-o", &to], produce, reread)?.stop()?;
        Ok(strace_counts(&out.wait()?))
    };
    let [produce, fetch] = each_kind(measure)?;
    let all = |counts: &Counts| counts.keys().map(|name| a_request(counts, name, COUNTED)).sum();
    say_kinds("produce", &produce);
    say_kinds("fetch", &fetch);
    Ok(Figures::from([("produce-syscalls", all(&produce)), ("fetch-syscalls", all(&fetch))]))
}

/// How often somebody waited for a lock, or was woken from waiting: each is a call of `futex`, and
/// all other calls run at full speed.
pub(super) fn lock_waits() -> Result<Figures, String> {
    let measure = |requests: u64| {
        let out = Scratch::new("futex");
        let to = out.0.display().to_string();
        let filter = ["--seccomp-bpf", "-e", "trace=futex"];
        let strace = [&["strace", "-D", "-f"][..], &filter, &["-c", "-o", &to]].concat();
        let node = Node::start(page_cache()?, &strace)?;
        generate(&node, "produce", requests, CROWD)?;
        node.stop()?;
        Ok::<_, String>(strace_counts(&out.wait()?))
    };
    let few = measure(WARM_UP)?;
    let many = measure(WARM_UP + CONTENDED)?;
    let waits = a_request(&difference(&many, &few), "futex", CONTENDED);
    Ok(Figures::from([("lock-waits", waits)]))
}

fn page_cache() -> Result<Launch, String> {
    Launch::ottla(&["ottla.durability=page-cache"])
}

/// What produces, and what fetches add to a run that has few of both.
fn each_kind(run: impl Fn(u64, u64) -> Result<Counts, String>) -> Result<[Counts; 2], String> {
    let few = run(WARM_UP, WARM_UP)?;
    let produces = run(WARM_UP + COUNTED, WARM_UP)?;
    let fetches = run(WARM_UP, WARM_UP + COUNTED)?;
    Ok([difference(&produces, &few), difference(&fetches, &few)])
}

fn run_beneath(tool: &[&str], produce: u64, reread: u64) -> Result<Node, String> {
    let node = Node::start(page_cache()?, tool)?;
    generate(&node, "produce", produce, PRODUCE)?;
    generate(&node, "reread", reread, REREAD)?;
    Ok(node)
}

/// What callgrind has counted so far: the first of the parts that it would write.
fn callgrind_profile(node: &Node, out: &Scratch) -> Result<String, String> {
    let pid = format!("--pid={}", node.pid());
    command::output(command::program("vgdb").args([&pid, "dump"])).map(drop)?;
    Scratch(out.0.with_added_extension("1")).read()
}

fn generate(node: &Node, case: &str, requests: u64, options: &str) -> Outcome {
    let mut generator = command::program(target().join("release/ottla-bench"));
    generator.args([case, "--topic", "gates", "--address", &node.launch.address.to_string()]);
    generator.args(["--pid", &node.pid().to_string(), "--requests", &requests.to_string()]);
    command::output(generator.args(options.split(' '))).map(drop)
}

/// What is in `many` beyond `few`; fewer of something is none of it.
fn difference(many: &Counts, few: &Counts) -> Counts {
    let beyond = |(name, count): (&String, &u64)| {
        (name.clone(), count.saturating_sub(few.get(name).copied().unwrap_or(0)))
    };
    many.iter().map(beyond).collect()
}

#[allow(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn a_request(counts: &Counts, name: &str, requests: u64) -> f64 {
    counts.get(name).copied().unwrap_or(0) as f64 / requests as f64
}

/// The calls that are made for requests, the most frequent first.
fn say_kinds(what: &str, counts: &Counts) {
    let mut kinds: Vec<(f64, &str)> =
        counts.keys().map(|name| (a_request(counts, name, COUNTED), name.as_str())).collect();
    kinds.retain(|(count, _)| *count >= 0.01);
    kinds.sort_by(|a, b| b.0.total_cmp(&a.0));
    let said: Vec<String> =
        kinds.iter().map(|(count, name)| format!("{name} {count:.2}")).collect();
    println!("  {what}: {}", said.join(", "));
}

const INSTRUCTIONS: &str = "instructions";
const ALLOCATIONS: &str = "allocations";

/// All instructions, and all calls of the allocator, of a callgrind profile.
///
/// # Errors
/// When it does not say: a profile in which nobody allocates has lost the names.
fn callgrind_counts(profile: &str) -> Result<Counts, String> {
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    let instructions = totals.and_then(|total| total.trim().parse().ok());
    let instructions = instructions.ok_or("callgrind counted no instructions")?;
    // A name is spelt once, with its number; then the number stands for it.
    let mut allocators = Vec::new();
    let (mut callee, mut allocations) = ("", 0_u64);
    for line in profile.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        if key == "calls" {
            let calls = value.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            allocations += calls.filter(|_| allocators.contains(&callee)).unwrap_or(0);
        } else if key == "fn" || key == "cfn" {
            let (number, name) = value.split_once(' ').unwrap_or((value, ""));
            if ALLOCATORS.contains(&name) {
                allocators.push(number);
            }
            callee = number;
        }
    }
    if allocations == 0 {
        return Err("the profile names no allocator: its symbols have changed".to_owned());
    }
    let counts = [(INSTRUCTIONS, instructions), (ALLOCATIONS, allocations)];
    Ok(counts.map(|(name, count)| (name.to_owned(), count)).into())
}

/// The calls of a summary of strace's, by name.
fn strace_counts(summary: &str) -> Counts {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (name, calls) = (columns.last()?, columns.get(3)?.parse().ok()?);
        (*name != "total").then(|| ((*name).to_owned(), calls))
    };
    summary.lines().filter_map(row).collect()
}

/// Where a tool writes what it counted. Dropping it removes the file.
struct Scratch(PathBuf);

/// A tool beside the broker writes its summary after the broker has ended.
const SUMMARY_SECONDS_MAX: u64 = 20;

impl Scratch {
    fn new(name: &str) -> Self {
        let file = format!("ottla-gates-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(file))
    }

    fn read(&self) -> Result<String, String> {
        read(&self.0)
    }

    /// The text, once it ends with the row of totals.
    fn wait(&self) -> Result<String, String> {
        let deadline = Instant::now() + Duration::from_secs(SUMMARY_SECONDS_MAX);
        loop {
            match self.read() {
                Ok(text) if text.trim_end().ends_with("total") => return Ok(text),
                read if Instant::now() > deadline => {
                    let text = read?;
                    return Err(format!("no totals in {}:\n{text}", self.0.display()));
                }
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _absent = std::fs::remove_file(&self.0);
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_the_calls_of_the_allocators_doors() {
        let profile = "fn=(1) main\n16 4\ncfn=(7) __rustc::__rust_alloc\ncalls=3 0 \n16 30\n\
                       cfn=(8) other\ncalls=9 0 \n16 1\nfn=(2) more\ncfn=(7)\ncalls=2 0 \n1 2\n\
                       totals: 4711\n";
        let counts = callgrind_counts(profile).unwrap();
        assert_eq!((counts[INSTRUCTIONS], counts[ALLOCATIONS]), (4_711, 5));
        assert!(callgrind_counts("totals: 4711\n").is_err(), "no names");
        assert!(callgrind_counts(&profile.replace("totals", "x")).is_err(), "no totals");
    }

    #[test]
    fn calls_are_read_by_name_and_their_total_is_none() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
                       ------ ----------- ----------- --------- --------- ----------------\n \
                       60.00    0.000120           1       100        50 read\n \
                       40.00    0.000080           1        20           futex\n\
                       ------ ----------- ----------- --------- --------- ----------------\n\
                       100.00    0.000200           1       120        50 total\n";
        let expected = [("futex", 20), ("read", 100)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(strace_counts(summary), expected.into());
    }

    #[test]
    fn a_difference_is_never_below_nothing() {
        let counts = |n: u64, m: u64| Counts::from([("a".to_owned(), n), ("b".to_owned(), m)]);
        assert_eq!(difference(&counts(10, 1), &counts(4, 3)), counts(6, 0));
    }
}
