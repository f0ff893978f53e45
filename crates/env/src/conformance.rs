//! The conformance suite of the ports: run by both worlds, in their own tests.
//!
//! Each suite is a task over an [`Env`] that panics with the promise that the world broke. A world
//! that passes is one that a node may be put on.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    CachedRead, DiskExt as _, Env, File, Full, LoopId, Mono, Open, Outbound, Part, Stream, Task,
    mailbox, reply,
};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// Everything below: files under `root`, which does not exist yet, and sockets on `address`, whose
/// port is 0.
///
/// # Panics
/// When the world breaks a promise.
pub async fn everything(env: &Env, root: &Path, address: SocketAddr) {
    clock(env).await;
    spawn(env).await;
    mailboxes_and_replies(env).await;
    disk(env, root).await;
    net(env, root, address).await;
    assert_ne!(env.rng.uuid(), env.rng.uuid(), "two draws differ");
}

/// Time.
///
/// # Panics
/// When the world breaks a promise.
pub async fn clock(env: &Env) {
    let start = env.clock.mono();
    env.clock.sleep(SHORT).await;
    assert!(env.clock.mono().since(start) >= SHORT, "a sleep is not shorter than asked for");
    assert!(env.clock.wall().millis() > 1_577_836_800_000, "it is later than the year 2020");

    let mut timer = env.clock.timer();
    assert!(expires_at_once(&mut *timer).await.is_pending(), "a new timer is not armed");
    timer.set(Some(start));
    assert!(expires_at_once(&mut *timer).await.is_ready(), "the past is over");
    assert!(expires_at_once(&mut *timer).await.is_ready(), "and stays so");
    timer.set(None);
    assert!(expires_at_once(&mut *timer).await.is_pending(), "a timer can be disarmed");
    timer.set(Some(Mono::from_nanos(u64::MAX)));
    assert!(expires_at_once(&mut *timer).await.is_pending(), "the end of time is not reached");
    timer.set(Some(env.clock.mono().after(SHORT)));
    poll_fn(|cx| timer.poll_expired(cx)).await;

    let order = Rc::new(RefCell::new(Vec::new()));
    for (name, wait) in [("second", SHORT * 8), ("first", SHORT)] {
        let (env, order) = (env.clone(), Rc::clone(&order));
        let task = env.clone();
        task.spawn.spawn(
            "sleeper",
            Box::pin(async move {
                env.clock.sleep(wait).await;
                order.borrow_mut().push(name);
            }),
        );
    }
    // A busy machine may be late with all of them.
    within(env, async {
        while order.borrow().len() < 2 {
            env.clock.sleep(SHORT).await;
        }
    })
    .await;
    assert_eq!(*order.borrow(), ["first", "second"], "timers expire in order");
}

async fn expires_at_once(timer: &mut dyn crate::Timer) -> Poll<()> {
    poll_fn(|cx| Poll::Ready(timer.poll_expired(cx))).await
}

/// Loops.
///
/// # Panics
/// When the world breaks a promise.
pub async fn spawn(env: &Env) {
    assert_eq!(env.spawn.current(), LoopId(0), "the suite runs on loop 0");
    for number in 0..env.spawn.loops() {
        let (to, answer) = reply();
        let inside = env.clone();
        env.spawn.spawn_on(
            LoopId(number),
            "loop",
            Box::new(move || {
                Box::pin(async move {
                    let (to_inner, inner) = reply();
                    let spawn = Arc::clone(&inside.spawn);
                    inside
                        .spawn
                        .spawn("inner", Box::pin(async move { to_inner.send(spawn.current()) }));
                    let inner = inner.await;
                    to.send((inside.spawn.current(), inner));
                })
            }),
        );
        let expected = Ok((LoopId(number), Ok(LoopId(number))));
        assert_eq!(within(env, answer).await, expected, "a task runs where it was put");
    }
}

/// Mailboxes and replies, across loops.
///
/// # Panics
/// When the world breaks a promise.
pub async fn mailboxes_and_replies(env: &Env) {
    let (sender, mut mailbox) = mailbox(2);
    assert_eq!((sender.try_send(1), sender.try_send(2)), (Ok(()), Ok(())), "there is room for 2");
    assert_eq!(sender.try_send(3), Err(Full::Behind(3)), "and no more");
    assert_eq!((mailbox.next().await, mailbox.try_next()), (Some(1), Some(2)), "in order");
    assert_eq!(mailbox.try_next(), None, "nothing is left");

    let last = LoopId(env.spawn.loops() - 1);
    let remote = sender.clone();
    env.spawn.spawn_on(
        last,
        "sender",
        Box::new(move || {
            Box::pin(async move { assert_eq!(remote.try_send(4), Ok(()), "there is room again") })
        }),
    );
    assert_eq!(within(env, mailbox.next()).await, Some(4), "an event wakes its host");

    let (to, answer) = reply::<()>();
    env.spawn.spawn_on(last, "forgetful", Box::new(move || Box::pin(async move { drop(to) })));
    assert_eq!(within(env, answer).await, Err(reply::Abandoned), "a dropped reply tells");

    drop(mailbox);
    assert_eq!(sender.try_send(5), Err(Full::Gone(5)), "a host that ended takes nothing");
}

/// Files, below `root`, which does not exist yet.
///
/// # Panics
/// When the world breaks a promise.
pub async fn disk(env: &Env, root: &Path) {
    names(env, root).await;
    contents(env, root).await;
    directories(env, root).await;
    residency(env, root).await;
    file_system(env, root).await;
    many_at_once(env, root).await;
    locks(env, root).await;
}

async fn names(env: &Env, root: &Path) {
    let disk = &env.disk;
    let (one, two) = (root.join("one"), root.join("two"));
    assert_eq!(kind(disk.open_file(&one, Open::Ensure).await), ErrorKind::NotFound, "no directory");
    disk.make_dir(&root.join("a/b")).await.expect("missing parents are made");
    disk.make_dir(root).await.expect("a directory that exists is fine");
    assert_eq!(kind(disk.open_file(&one, Open::Existing).await), ErrorKind::NotFound, "no file");

    let file = disk.open_file(&one, Open::New).await.expect("a new file is made");
    assert_eq!(kind(disk.open_file(&one, Open::New).await), ErrorKind::AlreadyExists, "not new");
    write(&file, 0, &[b"one"]);
    let again = disk.open_file(&one, Open::Existing).await.expect("it exists now");
    assert_eq!(cached(&again, 0, 9), b"one", "what was written is read by everybody at once");
    let again = disk.open_file(&one, Open::Ensure).await.expect("it exists now");
    assert_eq!(cached(&again, 0, 9), b"one", "ensuring a file leaves its content");

    let other = disk.open_file(&two, Open::Ensure).await.expect("ensuring makes it");
    write(&other, 0, &[b"two"]);
    disk.move_to(&one, &two).await.expect("a rename replaces");
    assert_eq!(disk.read_whole(&two).await.expect("it is there"), b"one", "under the new name");
    assert_eq!(kind(disk.open_file(&one, Open::Existing).await), ErrorKind::NotFound, "moved away");
    assert_eq!(cached(&other, 0, 9), b"two", "a replaced file lives as long as it is open");
    assert_eq!(kind(disk.move_to(&one, &two).await), ErrorKind::NotFound, "nothing to move");

    disk.unlink(&two).await.expect("a file is removed");
    assert_eq!(kind(disk.unlink(&two).await), ErrorKind::NotFound, "only once");
    write(&file, 3, &[b"!"]);
    assert_eq!(cached(&file, 0, 9), b"one!", "a removed file lives as long as it is open");
    disk.sync_files(vec![file]).await.expect("and may be synced");
}

async fn contents(env: &Env, root: &Path) {
    let disk = &env.disk;
    let path = root.join("content");
    let file = disk.open_file(&path, Open::New).await.expect("a new file is made");
    assert_eq!(disk.len_of(&file).await.expect("open"), 0, "a new file is empty");
    assert_eq!(cached(&file, 0, 4), b"", "and reads as nothing");
    write(&file, 0, &[b"ab", b"", b"cdef"]);
    write(&file, 2, &[b"CD"]);
    assert_eq!(cached(&file, 1, 4), b"bCDe", "parts follow each other, and overwrite");
    assert_eq!(cached(&file, 5, 4), b"f", "a read ends where the file does");
    assert_eq!(cached(&file, 6, 4), b"", "beyond it is nothing");
    assert_eq!(cached(&file, 99, 4), b"", "however far");
    assert_eq!(disk.read_at(&file, 4, 99).await.expect("open"), b"ef", "the Later half agrees");
    assert_eq!(disk.read_at(&file, 99, 99).await.expect("open"), b"", "beyond the end, too");

    write(&file, 10_000, &[b"x"]);
    assert_eq!(disk.len_of(&file).await.expect("open"), 10_001, "a write extends the file");
    assert_eq!(cached(&file, 9_998, 9), b"\0\0x", "a hole reads as zeros");
    disk.sync_files(vec![Arc::clone(&file), Arc::clone(&file)]).await.expect("a file syncs");
    disk.sync_files(Vec::new()).await.expect("nothing is synced easily");
    disk.truncate_to(&file, 5).await.expect("a file is cut");
    disk.truncate_to(&file, 8).await.expect("a file is extended");
    assert_eq!(cached(&file, 0, 99), b"abCDe\0\0\0", "what was cut off does not come back");

    // More parts than one system call takes.
    let numbers: Vec<[u8; 2]> = (0..3_000_u16).map(u16::to_be_bytes).collect();
    let parts: Vec<&[u8]> = numbers.iter().map(<[u8; 2]>::as_slice).collect();
    write(&file, 3, &parts);
    assert_eq!(cached(&file, 3, 9_999), parts.concat(), "every part is written");

    disk.replace_file(&path, b"new").await.expect("a file is replaced");
    assert_eq!(disk.read_whole(&path).await.expect("it is there"), b"new", "as a whole");
    disk.unlink(&path).await.expect("it is there");
}

async fn directories(env: &Env, root: &Path) {
    let disk = &env.disk;
    let (from, onto) = (root.join("a"), root.join("c"));
    let file = disk.open_file(&from.join("f"), Open::New).await.expect("a new file is made");
    write(&file, 0, &[b"12345"]);
    let entry = |name: &str, is_dir, len| crate::DirEntry { name: name.to_owned(), is_dir, len };
    let listed = disk.list(&from).await.expect("it exists");
    assert_eq!(listed, [entry("b", true, 0), entry("f", false, 5)], "sorted by name");
    let other = disk.open_file(&from.join("g"), Open::New).await.expect("a new file is made");
    write(&other, 0, &[b"1"]);
    let at = crate::GlanceAt { note: "f", measured: "f" };
    let seen = disk.look_at(vec![onto.clone(), from.clone(), from.join("b")], at).await;
    let seen = seen.expect("a look is answered").into_iter().map(|seen| {
        let entries = seen.entries.map_err(|error| error.kind());
        (entries, seen.note.map_err(|error| error.kind()))
    });
    let missing = ErrorKind::NotFound;
    let expected = [
        (Err(missing), Err(missing)),
        (Ok([&listed[..], &[entry("g", false, 0)]].concat()), Ok(b"12345".to_vec())),
        (Ok(Vec::new()), Err(missing)),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected, "in the order of the folders");
    disk.unlink(&from.join("g")).await.expect("it exists");
    disk.move_to(&from, &onto).await.expect("a directory is renamed");
    assert_eq!(disk.list(&onto).await.expect("it exists"), listed, "with all in it");
    assert_eq!(kind(disk.list(&from).await), ErrorKind::NotFound, "the old name is gone");
    write(&file, 5, &[b"6"]);
    assert_eq!(disk.read_whole(&onto.join("f")).await.expect("it moved"), b"123456", "files too");
    for directory in [&onto, root] {
        disk.sync_names(directory).await.expect("names are synced");
    }
    assert_eq!(kind(disk.sync_names(&from).await), ErrorKind::NotFound, "of what there is");
    disk.remove_tree(&onto).await.expect("a directory is removed with all in it");
    assert_eq!(kind(disk.remove_tree(&onto).await), ErrorKind::NotFound, "only once");
    assert_eq!(disk.list(root).await.expect("it exists"), [], "nothing is left");
}

async fn residency(env: &Env, root: &Path) {
    let disk = &env.disk;
    let path = root.join("pages");
    let file = disk.open_file(&path, Open::New).await.expect("a new file is made");
    assert!(file.is_cached(0, 1), "an empty file has nothing to wait for");
    disk.cache_range(&file, 0, 1).await.expect("nor to read");
    let len = 3 * 1024 * 1024 + 1;
    write(&file, 0, &[&vec![7; len]]);
    let len = len as u64;
    for (at, of) in [(0, len), (0, 1), (len - 1, 1), (4_095, 2), (1, 0), (0, 2 * len), (len, 9)] {
        assert!(file.is_cached(at, of), "what was just written is cached: {of} from {at}");
        disk.cache_range(&file, at, of).await.expect("a range is brought into the cache");
    }
    disk.cache_range(&file, u64::MAX, u64::MAX).await.expect("as far as the file goes");
    assert_eq!(cached(&file, len - 1, 9), [7], "nothing has changed");
    disk.unlink(&path).await.expect("it is there");
}

async fn file_system(env: &Env, root: &Path) {
    let disk = &env.disk;
    let space = disk.space_of(root).await.expect("a directory has a file system");
    assert!(space.available_bytes <= space.total_bytes, "{space:?}");
    assert!(space.available_bytes > 0, "the suite needs some room");
    let nowhere = root.join("nowhere");
    assert_eq!(kind(disk.space_of(&nowhere).await), ErrorKind::NotFound, "no directory");
    assert_eq!(kind(disk.sync_file_system(&nowhere).await), ErrorKind::NotFound, "no directory");

    let path = root.join("synced");
    let file = disk.open_file(&path, Open::New).await.expect("a new file is made");
    write(&file, 0, &[b"synced"]);
    disk.sync_file_system(root).await.expect("all of it is made durable");
    disk.sync_file_system(root).await.expect("and again");
    assert_eq!(cached(&file, 0, 9), b"synced", "nothing has changed");
    disk.unlink(&path).await.expect("it is there");
}

/// A node with thousands of partitions submits thousands of calls before it waits for the first.
async fn many_at_once(env: &Env, root: &Path) {
    let path = root.join("many");
    let file = env.disk.open_file(&path, Open::New).await.expect("a new file is made");
    let files: Vec<_> = std::iter::repeat_n(Arc::clone(&file), 100).collect();
    let (synced_to, synced) = reply();
    env.disk.sync(files, synced_to);
    let ask = |_| {
        let (to, answer) = reply();
        env.disk.len(&file, to);
        answer
    };
    let answers: Vec<_> = (0..5_000).map(ask).collect();
    for answer in answers {
        let len = within(env, answer).await.expect("every call is answered");
        assert_eq!(len.expect("open"), 0, "every call is answered");
    }
    within(env, synced).await.expect("a sync of many is one answer").expect("it syncs");
    env.disk.unlink(&path).await.expect("it is there");
}

async fn locks(env: &Env, root: &Path) {
    let path = root.join("lock");
    let lock = env.disk.lock_file(&path).await.expect("nobody has it");
    drop(lock);
    drop(env.disk.lock_file(&path).await.expect("nobody has it any more"));
    env.disk.unlink(&path).await.expect("the lock's file was made");
}

/// Sockets on `address`, whose port is 0, and answers from a file below `root`, which exists.
///
/// # Panics
/// When the world breaks a promise.
pub async fn net(env: &Env, root: &Path, address: SocketAddr) {
    let mut listener = env.net.listen(address).expect("any port is free");
    let address = listener.local_address();
    assert_ne!(address.port(), 0, "a port was chosen");
    assert!(env.net.listen(address).is_err(), "a port is one listener's");

    let path = root.join("sent");
    let file = env.disk.open_file(&path, Open::New).await.expect("a new file is made");
    write(&file, 0, &[&[b'f'; 100_000]]);

    // The server sits on the last loop, so that sockets change loops where there are several, and
    // once more when there is something to read already.
    let last = LoopId(env.spawn.loops() - 1);
    for round in 0..3 {
        let connected = env.net.connect(address);
        let (mut client, socket) = join(env, connected, listener.accept()).await;
        let socket = socket.expect("a connection arrives");
        assert_eq!(socket.peer_address().ip(), address.ip(), "it came from here");
        let inside = env.clone();
        let file = Arc::clone(&file);
        env.spawn.spawn_on(
            last,
            "server",
            Box::new(move || {
                Box::pin(async move {
                    let stream = socket.into_stream().expect("the loop takes it");
                    inside.clock.sleep(SHORT).await;
                    let socket = stream.into_socket().expect("the peer is there");
                    assert_eq!(socket.peer_address().ip(), address.ip(), "it still is the same");
                    let back_to = LoopId(0);
                    let then = inside.clone();
                    let serve = move || -> Task {
                        Box::pin(async move {
                            let stream = socket.into_stream().expect("the loop takes it");
                            serve(&then, stream, &file, round).await;
                        })
                    };
                    inside.spawn.spawn_on(back_to, "server", Box::new(serve));
                })
            }),
        );
        let client = client.as_mut().expect("somebody listens");
        within(env, ask(&mut **client, round)).await;
    }
    drop(listener);
    assert!(within(env, env.net.connect(address)).await.is_err(), "nobody listens any more");
    env.disk.unlink(&path).await.expect("it is there");
}

/// Answers one request of 4 bytes with bytes, a file range and bytes, more than any buffer holds.
async fn serve(env: &Env, mut stream: Box<dyn Stream>, file: &Arc<dyn File>, round: usize) {
    let mut request = [0; 4];
    within(env, read_exact(&mut *stream, &mut request)).await;
    assert_eq!(&request, b"ping", "the request arrives");
    let mut outbound = Outbound::default();
    for _ in 0..ANSWERS {
        // More byte parts than one system call gathers.
        for _ in 0..100 {
            outbound.push(Part::Bytes(Bytes::from_static(b"head")));
        }
        outbound.push(Part::File { file: Arc::clone(file), at: 7, len: FILE_BYTES as u64 });
        outbound.push(Part::Bytes(Bytes::from_static(b"tail")));
    }
    while !outbound.is_empty() {
        let before = outbound.len();
        let written = within(env, poll_fn(|cx| stream.poll_write(cx, &mut outbound))).await;
        written.expect("the peer reads");
        assert!(outbound.len() < before, "ready means progress");
    }
    if round == 2 {
        // The client leaves first this time.
        let mut rest = [0; 1];
        let end = within(env, stream.read(&mut rest)).await;
        assert!(matches!(end, Ok(0) | Err(_)), "a peer that left has no more to say");
        let broken = within(env, write_until_error(env, &mut *stream)).await;
        assert!(broken.is_err(), "and nothing to hear");
    }
}

const ANSWERS: usize = 100;
const FILE_BYTES: usize = 99_000;

async fn ask(stream: &mut dyn Stream, round: usize) {
    stream.write_all(Bytes::from_static(b"ping")).await.expect("the server reads");
    let expected = [b"head".repeat(100).as_slice(), &vec![b'f'; FILE_BYTES], b"tail"].concat();
    let mut answer = vec![0; expected.len()];
    for _ in 0..ANSWERS {
        read_exact(stream, &mut answer).await;
        assert!(answer == expected, "parts arrive in order and unchanged");
    }
    if round != 2 {
        assert_eq!(stream.read(&mut answer).await.expect("closed in peace"), 0, "then the end");
        assert_eq!(stream.read(&mut answer).await.expect("closed in peace"), 0, "again");
    }
}

/// The first write after the peer left may still be taken.
async fn write_until_error(env: &Env, stream: &mut dyn Stream) -> io::Result<()> {
    for _ in 0..100 {
        stream.write_all(Bytes::from_static(b"more")).await?;
        env.clock.sleep(SHORT).await;
    }
    Ok(())
}

async fn read_exact(stream: &mut dyn Stream, buffer: &mut [u8]) {
    let mut done = 0;
    while done < buffer.len() {
        let read = stream.read(&mut buffer[done..]).await.expect("the peer is there");
        assert_ne!(read, 0, "the peer has more to say");
        done += read;
    }
}

/// The output of `future`, which takes no longer than [`LONG`].
async fn within<F: Future>(env: &Env, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut timer = env.clock.timer();
    timer.set(Some(env.clock.mono().after(LONG)));
    poll_fn(|cx| {
        assert!(timer.poll_expired(cx).is_pending(), "everything ends in time");
        future.as_mut().poll(cx)
    })
    .await
}

/// Both outputs.
async fn join<A: Future, B: Future>(env: &Env, a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut a_output, mut b_output) = (None, None);
    within(
        env,
        poll_fn(|cx| {
            if a_output.is_none()
                && let Poll::Ready(output) = a.as_mut().poll(cx)
            {
                a_output = Some(output);
            }
            if b_output.is_none()
                && let Poll::Ready(output) = b.as_mut().poll(cx)
            {
                b_output = Some(output);
            }
            match (a_output.take(), b_output.take()) {
                (Some(a), Some(b)) => Poll::Ready((a, b)),
                (a, b) => {
                    (a_output, b_output) = (a, b);
                    Poll::Pending
                }
            }
        }),
    )
    .await
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("this cannot succeed"),
        Err(error) => error.kind(),
    }
}

fn write(file: &Arc<dyn File>, at: u64, parts: &[&[u8]]) {
    let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    file.write_at(at, &parts).expect("the disk takes it");
}

/// What a read of fresh pages finds: they are in the cache, since they were just written.
fn cached(file: &Arc<dyn File>, at: u64, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    match file.read_cached(at, &mut buffer).expect("the disk answers") {
        CachedRead::Ready(count) => buffer.truncate(count),
        CachedRead::Cold => panic!("what was just written is cached"),
    }
    buffer
}
