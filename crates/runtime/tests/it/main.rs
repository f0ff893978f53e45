//! The real world keeps the promises of the ports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use ottla_env::{DiskExt as _, Open, conformance};
use ottla_runtime::RealEnv;

/// A directory of this test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ottla-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn check(name: &str, loops: usize) {
    let scratch = Scratch::new(name);
    let loops = NonZeroUsize::new(loops).unwrap();
    RealEnv::start(loops, async |env| {
        conformance::everything(&env, &scratch.0, "127.0.0.1:0".parse().unwrap()).await;
    })
    .unwrap();
}

#[test]
fn the_real_world_conforms_with_one_loop() {
    check("one-loop", 1);
}

#[test]
fn the_real_world_conforms_with_three_loops() {
    check("three-loops", 3);
}

/// Runs one test of this binary again in a process of its own, which finds `role` in its
/// environment; its exit code.
fn in_a_child(test: &str, role: &str, path: &std::path::Path) -> Option<i32> {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test]).env(role, path).stdout(std::process::Stdio::null());
    child.stderr(std::process::Stdio::null()).status().unwrap().code()
}

fn start<T>(main: impl AsyncFnOnce(ottla_env::Env) -> T) -> T {
    RealEnv::start(NonZeroUsize::MIN, async |env| main(env).await).unwrap()
}

#[test]
fn a_lock_belongs_to_one_process_until_that_ends() {
    const ROLE: &str = "OTTLA_TEST_LOCKER";
    const TEST: &str = "a_lock_belongs_to_one_process_until_that_ends";
    if let Some(path) = std::env::var_os(ROLE) {
        let refused = start(async |env| env.disk.lock_file(path.as_ref()).await.err());
        assert_eq!(refused.map(|error| error.kind()), None, "the lock is taken");
        return;
    }
    let scratch = Scratch::new("lock");
    std::fs::create_dir(&scratch.0).unwrap();
    let path = scratch.0.join(".lock");
    let lock = start(async |env| env.disk.lock_file(&path).await.unwrap());
    assert_ne!(in_a_child(TEST, ROLE, &path), Some(0), "another process is refused");
    drop(lock);
    assert_eq!(in_a_child(TEST, ROLE, &path), Some(0), "and takes it when it is free");
}

#[test]
fn a_sync_of_much_is_one_answer_whether_it_is_written_in_pieces_first_or_not() {
    const BYTES: usize = 24 * 1024 * 1024;
    let scratch = Scratch::new("much");
    std::fs::create_dir(&scratch.0).unwrap();
    start(async |env| {
        env.disk.space_of(&scratch.0).await.unwrap();
        let part = vec![7; BYTES / 3];
        // The second one comes too soon for pieces; a file alone has no file system synced for it.
        for names in [["a", "b", "c"].as_slice(), &["d", "e", "f"], &["g"]] {
            let mut files = Vec::new();
            for name in names {
                files.push(env.disk.open_file(&scratch.0.join(name), Open::New).await.unwrap());
            }
            for at in 0..3 {
                let file = &files[at % files.len()];
                let from = env.disk.len_of(file).await.unwrap();
                file.write_at(from, &[std::io::IoSlice::new(&part)]).unwrap();
            }
            env.disk.sync_files(files).await.unwrap();
        }
    });
}

#[test]
fn halting_ends_the_process_with_kafkas_status() {
    const ROLE: &str = "OTTLA_TEST_HALTER";
    if std::env::var_os(ROLE).is_some() {
        start(async |env| env.process.halt("the test says so"));
    }
    let code =
        in_a_child("halting_ends_the_process_with_kafkas_status", ROLE, std::path::Path::new(""));
    assert_eq!(code, Some(1), "not 101, which a test that failed ends with");
}

#[test]
fn what_main_returns_comes_back_and_the_world_ends_with_it() {
    let (to, answer) = ottla_env::reply::<()>();
    let returned = RealEnv::start(NonZeroUsize::new(2).unwrap(), async |env| {
        let forever = Box::new(move || {
            Box::pin(async move {
                std::future::pending::<()>().await;
                to.send(());
            }) as ottla_env::Task
        });
        env.spawn.spawn_on(ottla_env::LoopId(1), "forever", forever);
        7
    });
    assert_eq!(returned.unwrap(), 7);
    let answer = start(async |_| answer.await);
    assert_eq!(answer, Err(ottla_env::reply::Abandoned), "its task was dropped");
}
