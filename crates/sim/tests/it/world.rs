//! The world itself.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use ottla_env::{DiskExt as _, Env, Open, conformance};
use ottla_sim::{Death, DiskFault, Host, Sim};

/// Runs `main` on a machine of its own.
fn run<T: 'static>(seed: u64, main: impl AsyncFnOnce(Env) -> T + 'static) -> (T, Sim) {
    let mut sim = Sim::new(seed);
    let (operator, host) = (sim.host(), sim.host());
    let (to, answer) = ottla_env::reply();
    start(&host, 3, async move |env: Env| to.send(main(env).await));
    let result = sim.run(&operator, |_| answer);
    (result.expect("the machine lives on"), sim)
}

fn start(host: &Host, loops: usize, main: impl AsyncFnOnce(Env) + 'static) {
    host.start(loops, |env| Box::pin(async move { main(env).await }));
}

#[test]
fn the_fake_world_conforms() {
    for seed in 0..20 {
        run(seed, async |env| {
            conformance::everything(&env, Path::new("root"), "127.0.0.1:0".parse().unwrap()).await;
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another_one() {
    let trace = |seed| {
        let ((), sim) = run(seed, async |env| {
            conformance::everything(&env, Path::new("root"), "127.0.0.1:0".parse().unwrap()).await;
        });
        (sim.trace_hash(), sim.now(), sim.polls())
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

/// Writes letters to a file and syncs each, on a machine that dies after `calls` disk calls; what
/// the next life finds, and what was promised to be there.
fn letters_after(seed: u64, calls: u32, death: Death) -> (Vec<u8>, usize) {
    let mut sim = Sim::new(seed);
    let (operator, host) = (sim.host(), sim.host());
    let promised = Rc::new(Cell::new(0));
    let promise = Rc::clone(&promised);
    start(&host, 1, async move |env| {
        let file = env.disk.open_file(Path::new("letters"), Open::New).await.unwrap();
        env.disk.sync_names(Path::new("")).await.unwrap();
        for at in 0..26_u8 {
            if file.write_at(u64::from(at), &[IoSlice::new(&[b'a' + at])]).is_err() {
                // Dead since then; a node would try to halt here.
                std::future::pending::<()>().await;
            }
            env.disk.sync_files(vec![Arc::clone(&file)]).await.unwrap();
            promise.set(usize::from(at) + 1);
        }
        std::future::pending::<()>().await;
    });
    host.disk_fault(DiskFault::DeathAfter { calls, death });
    let found = sim.run(&operator, async move |_| {
        let (to, answer) = ottla_env::reply();
        while host.is_alive() {
            yield_now().await;
        }
        start(&host, 1, async move |env| {
            to.send(env.disk.read_whole(Path::new("letters")).await.unwrap_or_default());
        });
        answer.await.unwrap()
    });
    (found, promised.get())
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn what_was_synced_is_found_after_a_death_between_any_two_disk_calls() {
    let mut more_than_promised = 0;
    for death in [Death::Kill, Death::PowerLoss] {
        for calls in 0..130 {
            let (found, promised) = letters_after(u64::from(calls), calls, death);
            let alphabet: Vec<u8> = (b'a'..=b'z').take(found.len()).collect();
            assert_eq!(found[..promised], alphabet[..promised], "{death:?} after {calls}");
            // What was under way may be there, or its place only.
            let rest = &found[promised..];
            assert!(rest.is_empty() || *rest == [0] || *rest == alphabet[promised..], "{rest:?}");
            more_than_promised += found.len() - promised;
        }
    }
    assert!(more_than_promised > 0, "an unsynced letter may survive, too");
}

/// What becomes of a disk that has room for so many bytes more.
async fn fill(env: Env, host: Host) {
    let space = async || env.disk.space_of(Path::new("")).await.unwrap().available_bytes;
    let file = env.disk.open_file(Path::new("log"), Open::New).await.unwrap();
    let append = |at, len| file.write_at(at, &[IoSlice::new(&vec![1; len])]).map_err(|e| e.kind());
    append(0, 4_096).unwrap();
    host.disk_fault(DiskFault::Room(Some(10_000)));
    assert_eq!(space().await, 10_000);
    append(4_096, 6_000).unwrap();
    assert_eq!(space().await, 4_000);
    assert_eq!(append(10_096, 9_000), Err(io::ErrorKind::StorageFull));
    append(0, 10_096).expect("what is overwritten needs no room");
    env.disk.truncate_to(&file, 0).await.unwrap();
    assert_eq!(space().await, 14_096, "what is cut off is free again");
    append(0, 14_096).expect("and may be used");
    let other = env.disk.open_file(Path::new("other"), Open::New).await;
    assert_eq!(other.map_err(|e| e.kind()).unwrap_err(), io::ErrorKind::StorageFull);
    env.disk.unlink(Path::new("log")).await.unwrap();
    assert_eq!(space().await, 14_096, "as is what is removed");
    host.disk_fault(DiskFault::Room(None));
    assert!(space().await > 1 << 30, "there is plenty");
}

#[test]
fn a_disk_takes_as_much_as_it_has_room_for() {
    for seed in 0..50 {
        let mut sim = Sim::new(seed);
        let (operator, host) = (sim.host(), sim.host());
        let (to, answer) = ottla_env::reply();
        let inside = host.clone();
        start(&host, 1, async move |env| {
            fill(env, inside).await;
            to.send(());
        });
        sim.run(&operator, |_| answer).unwrap();
    }
}

#[test]
fn a_sync_of_everything_leaves_nothing_to_be_lost() {
    for (seed, fails) in (0..40).map(|seed| (seed, seed % 2 == 1)) {
        let mut sim = Sim::new(seed);
        let (operator, host) = (sim.host(), sim.host());
        let (to, written) = ottla_env::reply();
        if fails {
            host.disk_fault(DiskFault::NextSyncFails);
        }
        start(&host, 1, async move |env| {
            for name in ["a", "b", "c"] {
                env.disk.make_dir(Path::new(name)).await.unwrap();
                let path = Path::new(name).join("file");
                let file = env.disk.open_file(&path, Open::New).await.unwrap();
                file.write_at(0, &[IoSlice::new(name.as_bytes())]).unwrap();
            }
            to.send(env.disk.sync_file_system(Path::new("")).await.is_ok());
        });
        let machine = host.clone();
        let found = sim.run(&operator, async move |_| {
            assert_ne!(written.await.unwrap(), fails);
            machine.end(Death::PowerLoss);
            let (to, answer) = ottla_env::reply();
            start(&machine, 1, async move |env| {
                let mut found = Vec::new();
                for path in ["a/file", "b/file", "c/file"] {
                    found.push(env.disk.read_whole(Path::new(path)).await.unwrap_or_default());
                }
                to.send(found.concat());
            });
            answer.await.unwrap()
        });
        assert_eq!(found == b"abc", !fails, "seed {seed}: {found:?}");
    }
}

#[test]
fn cold_pages_are_warm_once_they_are_read_ahead() {
    let mut sim = Sim::new(1);
    let (operator, host) = (sim.host(), sim.host());
    host.disk_fault(DiskFault::ColdOneIn(2));
    let (to, answer) = ottla_env::reply();
    start(&host, 1, async move |env| {
        let file = env.disk.open_file(Path::new("cold"), Open::New).await.unwrap();
        let mut cold = 0;
        for at in (0..400_000).step_by(4_096) {
            file.write_at(at, &[IoSlice::new(&[1; 4_096])]).unwrap();
            if !file.is_cached(0, at + 4_096) {
                cold += 1;
                env.disk.cache_range(&file, 0, u64::MAX).await.unwrap();
                assert!(file.is_cached(0, at + 4_096), "it was just read");
            }
        }
        to.send(cold);
    });
    let cold = sim.run(&operator, |_| answer).unwrap();
    assert!((2..20).contains(&cold), "now and then: {cold}");
}

/// What a client gets that asks once, is answered after `fault` has set in, and waits a second.
fn answer_under(fault: impl FnOnce(&Host, &Host) + 'static) -> Result<Vec<u8>, io::ErrorKind> {
    let mut sim = Sim::new(3);
    let (server, client) = (sim.host(), sim.host());
    let address = server.address(9);
    start(&server, 1, async move |env| {
        let mut listener = env.net.listen(address).unwrap();
        let mut stream = listener.accept().await.unwrap().into_stream().unwrap();
        env.clock.sleep(Duration::from_millis(200)).await;
        drop(stream.write_all(Bytes::from_static(b"answer")).await);
        std::future::pending::<()>().await;
    });
    let victim = client.clone();
    let (to, answer) = ottla_env::reply();
    start(&client, 1, async move |env| {
        let mut stream = env.net.connect(address).await.unwrap();
        env.clock.sleep(Duration::from_millis(100)).await;
        fault(&server, &victim);
        let mut buffer = [0; 6];
        let mut timer = env.clock.timer();
        timer.set(Some(env.clock.mono().after(Duration::from_secs(1))));
        to.send(
            std::future::poll_fn(|cx| match timer.poll_expired(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut)),
                Poll::Pending => stream.poll_read(cx, &mut buffer).map_err(|error| error.kind()),
            })
            .await
            .map(|count| buffer[..count].to_vec()),
        );
    });
    let operator = sim.host();
    sim.run(&operator, |_| answer).unwrap()
}

#[test]
#[rustfmt::skip]
fn connections_are_cut_reset_and_left_alone_when_their_machine_dies() {
    use io::ErrorKind::{ConnectionReset, TimedOut};
    assert_eq!(answer_under(|_, _| ()),                               Ok(b"answer".to_vec()));
    assert_eq!(answer_under(|server, client| server.set_cut(client, true)),       Err(TimedOut));
    assert_eq!(answer_under(Host::reset_connections),   Err(ConnectionReset));
    assert_eq!(answer_under(|server, _| server.set_delay(Duration::from_secs(2))), Err(TimedOut));
    assert_eq!(answer_under(|server, _| server.end(Death::Kill)),     Ok(Vec::new()));
    assert_eq!(answer_under(|server, _| server.end(Death::PowerLoss)), Err(TimedOut));
}

#[test]
fn nothing_of_a_life_goes_on_after_its_end() {
    struct Dropped(Rc<Cell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let mut sim = Sim::new(1);
    let (operator, host) = (sim.host(), sim.host());
    let dropped = Rc::new(Cell::new(false));
    let guard = Dropped(Rc::clone(&dropped));
    start(&host, 1, async move |env| {
        let _guard = guard;
        env.process.halt("the test says so");
        assert!(env.net.listen("127.0.0.1:0".parse().unwrap()).is_err(), "nothing leaves it");
        std::future::pending::<()>().await;
    });
    let nemesis = host.clone();
    sim.run(&operator, async move |_| {
        while nemesis.is_alive() {
            yield_now().await;
        }
        yield_now().await;
    });
    assert!(dropped.get(), "its tasks are gone");
    assert_eq!(host.take_halts(), ["the test says so"]);
}

#[test]
#[should_panic(expected = "a deadlock")]
fn a_world_in_which_nothing_can_happen_is_noticed() {
    run(1, async |_| std::future::pending::<()>().await);
}
