//! The wall: the real world is named in `runtime` only, and a core does nothing but decide.
//!
//! It is what lets a whole cluster run in one thread from one seed. Crates of the workshop and the
//! binaries are outside of it: they are never simulated.

use super::tokens::{Kind, Path, Token, items_with, paths};
use super::{Finding, Source, links};
use crate::workspace::Room;

/// How much of the world a file may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wall {
    /// Anything; `unsafe` too, with its reason.
    World,
    /// Anything but `unsafe`.
    Workshop,
    /// The ports of `env` only.
    Host,
    /// Nothing: no port, no waiting, no lock.
    Core,
}

impl Wall {
    /// A crate without `env` in its manifest is pure; `env` itself declares the ports.
    pub(super) fn of(room: &Room, file: &str) -> Self {
        let in_product =
            file.contains("/src/") && !file.contains("/src/bin/") && !is_test_module(file);
        match room.package.as_str() {
            "ottla-runtime" | "ottla-bench" => Self::World,
            "ottla" | "ottla-testkit" | "ottla-xtask" => Self::Workshop,
            // Tests that read vectors, and the simulator's own command line.
            _ if !in_product => Self::Workshop,
            "ottla-env" => Self::Host,
            _ if links(room, "ottla-env") => Self::Host,
            _ => Self::Core,
        }
    }
}

/// Addresses are values: only sockets are the world.
const ADDRESSES: [&str; 8] = [
    "AddrParseError",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    "Shutdown",
];

/// What a core leaves to its host.
const WAITING: [&str; 6] = ["async", "await", "tokio", "Mutex", "RwLock", "Condvar"];

pub(super) fn check(wall: Wall, source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |line, what: String| findings.push(Finding::new(&source.file, line, what));
    if wall != Wall::World {
        for token in tokens.iter().filter(|each| each.kind == Kind::Word && each.is("unsafe")) {
            found(token.line, "`unsafe` outside of runtime and bench".to_owned());
        }
    }
    let tokens = &outside_of_tests(tokens);
    if matches!(wall, Wall::Host | Wall::Core) {
        for path in paths(tokens) {
            if let Some(instead) = forbidden(&path) {
                found(path.line, format!("`{}`: {instead}", path.parts.join("::")));
            }
        }
        for window in tokens.windows(3) {
            if let Some(what) = forbidden_call(window) {
                found(window[0].line, what.to_owned());
            }
        }
    }
    if below_the_edge(&source.file) {
        for token in tokens.iter().filter(|each| each.is("ErrorCode")) {
            found(token.line, "Kafka's error codes exist in broker::api only".to_owned());
        }
    }
    if wall == Wall::Core {
        for token in tokens.iter().filter(|each| WAITING.iter().any(|word| each.is(word))) {
            found(token.line, format!("`{}` in a core: deciding is all it does", token.text));
        }
    }
    findings
}

/// Where failures have names of their own, and not yet a code of Kafka's.
fn below_the_edge(file: &str) -> bool {
    const CORES_AND_STORAGE: [&str; 5] =
        ["crates/records/", "crates/log/", "crates/raft/", "crates/metadata/", "crates/broker/"];
    CORES_AND_STORAGE.iter().any(|room| file.starts_with(room))
        && !file.starts_with("crates/broker/src/api/")
        && !is_test_module(file)
}

/// A module of unit tests in a file of its own.
fn is_test_module(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// Without the modules of unit tests: a test of a lock-free structure needs threads.
fn outside_of_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let tests = items_with(tokens, &["#", "[", "cfg", "(", "test", ")", "]"]);
    let in_test = |token: &&Token<'a>| {
        tests.iter().any(|item| item.as_ptr_range().contains(&std::ptr::from_ref(*token)))
    };
    tokens.iter().filter(|token| !in_test(token)).copied().collect()
}

/// Why a name is forbidden, said as what to use instead.
fn forbidden(path: &Path<'_>) -> Option<&'static str> {
    let parts = path.parts.as_slice();
    if parts.iter().any(|part| matches!(*part, "HashMap" | "HashSet" | "RandomState")) {
        return Some("its order differs from run to run; use a BTree map or set");
    }
    match parts {
        ["std", "fs", ..] => Some("use env::Disk"),
        ["std", "net", rest @ ..] if !rest.first().is_some_and(|it| ADDRESSES.contains(it)) => {
            Some("use env::Net")
        }
        ["std", "thread", ..] => Some("use env::Spawn"),
        ["std", "process", ..] => Some("use env::Process"),
        ["std", "time", "Instant" | "SystemTime", ..] | [.., "Instant" | "SystemTime", "now"] => {
            Some("use env::Clock")
        }
        ["tokio", rest @ ..] if rest.first() != Some(&"sync") => Some("use env; only tokio::sync"),
        ["rand" | "getrandom" | "fastrand", ..] if parts.len() > 1 => Some("use env::Rng"),
        _ => None,
    }
}

fn forbidden_call(window: &[Token<'_>]) -> Option<&'static str> {
    match window {
        [dot, name, open] if dot.is(".") && name.is("elapsed") && open.is("(") => {
            Some("`.elapsed()` reads a clock: use env::Clock")
        }
        [select, mark, _] if select.is("select") && mark.is("!") => {
            Some("`select!` picks at random: take one event from one mailbox")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;
    use crate::workspace::{Dependency, Need};

    #[test]
    fn the_world_is_named_in_the_runtime_only() {
        for text in [
            "use std::fs;",
            "use std::{fmt, fs::File};",
            "std::fs::read(x)",
            "use std::net::{IpAddr, TcpStream};",
            "use std::net;",
            "std::thread::spawn(f)",
            "std::process::exit(1)",
            "use std::time::Instant;",
            "std::time::SystemTime::now()",
            "let t = Instant::now();",
            "start.elapsed()",
            "tokio::spawn(f)",
            "use tokio::{net, sync};",
            "tokio::select! { }",
            "use std::collections::HashMap;",
            "let s: HashSet<u8>;",
            "rand::random()",
        ] {
            check(Wall::Host, text, 1.max(usize::from(text.contains("select")) * 2));
            check(Wall::Workshop, text, 0);
        }
    }

    #[test]
    fn values_ports_and_texts_are_free() {
        for text in [
            "use std::net::{IpAddr, SocketAddr};",
            "use std::time::Duration;",
            "use tokio::sync::oneshot;",
            "use std::collections::BTreeMap;",
            "// std::fs and HashMap",
            "let s = \"std::fs::read\";",
            "fn elapsed(now: Mono) {}",
            "async fn f() { g().await }",
            "#[cfg(test)] mod tests { use std::thread; }",
        ] {
            check(Wall::Host, text, 0);
        }
    }

    #[test]
    fn a_core_waits_for_nothing() {
        check(Wall::Core, "async fn f() {}", 1);
        check(Wall::Core, "x.await", 1);
        check(Wall::Core, "use std::sync::{Arc, Mutex};", 1);
        check(Wall::Core, "use std::sync::Arc;", 0);
    }

    #[test]
    fn unsafe_code_is_for_the_runtime() {
        check(Wall::World, "unsafe { f() }", 0);
        check(Wall::Workshop, "unsafe { f() }", 1);
        check(Wall::Core, "// unsafe", 0);
    }

    #[test]
    fn error_codes_exist_at_the_edge_only() {
        check_in("crates/log/src/log.rs", Wall::Host, "ErrorCode::None", 1);
        check_in("crates/broker/src/partition/mod.rs", Wall::Host, "use a::ErrorCode;", 1);
        check_in("crates/broker/src/api/produce.rs", Wall::Host, "ErrorCode::None", 0);
        check_in("crates/broker/src/node/tests.rs", Wall::Host, "ErrorCode::None", 0);
        check_in("crates/wire/src/lib.rs", Wall::Core, "ErrorCode::None", 0);
    }

    fn check(wall: Wall, text: &str, count: usize) {
        check_in("a.rs", wall, text, count);
    }

    fn check_in(file: &str, wall: Wall, text: &str, count: usize) {
        let source = Source { file: file.to_owned(), text: text.to_owned() };
        let findings = super::check(wall, &source, &tokens(text));
        assert_eq!(findings.len(), count, "{wall:?} {text}: {findings:?}");
    }

    #[test]
    fn the_manifest_decides_how_pure_a_crate_is() {
        check_wall("ottla-runtime", "crates/runtime/src/disk.rs", Wall::World);
        check_wall("ottla-log with env", "crates/log/src/lib.rs", Wall::Host);
        check_wall("ottla-raft", "crates/raft/src/lib.rs", Wall::Core);
        check_wall("ottla-raft", "crates/raft/tests/it/main.rs", Wall::Workshop);
        check_wall("ottla-broker with env", "crates/broker/src/node/tests.rs", Wall::Workshop);
        check_wall("ottla-sim with env", "crates/sim/src/bin/sim.rs", Wall::Workshop);
    }

    fn check_wall(package: &str, file: &str, wall: Wall) {
        let (package, dependencies) = match package.strip_suffix(" with env") {
            Some(name) => (name, vec!["ottla-env"]),
            None => (package, vec![]),
        };
        let dependency = |name: &str| Dependency { package: name.to_owned(), need: Need::Product };
        let room = Room {
            package: package.to_owned(),
            description: String::new(),
            folder: "crates".into(),
            dependencies: dependencies.into_iter().map(dependency).collect(),
        };
        assert_eq!(Wall::of(&room, file), wall, "{package} {file}");
    }
}
