//! A network that delays, cuts, resets, and hands over bytes in pieces.
//!
//! Bytes of one direction arrive in order. A cut stops them where they are until it is healed; a
//! reset loses what was not read. A machine that lost its power answers nothing until it is back,
//! and then that it does not know the connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use ottla_env::net::Connecting;
use ottla_env::{Listener, Mono, Net, Outbound, Part, Socket, Stream};

use crate::disk::SimFile;
use crate::draws::Draws;
use crate::host::{HostId, Life};
use crate::kernel::{Event, Kernel, lock};

/// Connections that may wait to be accepted.
const BACKLOG: usize = 128;

/// How long a connection is tried to a machine that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// All machines' sockets.
pub(crate) struct Network {
    kernel: Arc<Kernel>,
    state: Mutex<State>,
}

struct State {
    draws: Draws,
    listeners: BTreeMap<SocketAddr, Listening>,
    connections: BTreeMap<u64, [End; 2]>,
    connections_made: u64,
    alive: BTreeSet<HostId>,
    silent: BTreeSet<HostId>,
    cuts: BTreeSet<(HostId, HostId)>,
    delays: BTreeMap<HostId, Duration>,
    ports: u16,
}

struct Listening {
    life: Arc<Life>,
    waiting: VecDeque<Arrived>,
    waker: Option<Waker>,
}

/// One end of a connection: what comes in there, and who waits for it.
struct End {
    life: Arc<Life>,
    incoming: VecDeque<(Mono, Bytes)>,
    incoming_bytes: usize,
    last_arrival: Mono,
    /// Nothing comes after this moment.
    ends_at: Option<Mono>,
    reader: Option<Waker>,
    /// The other end's task, which waits for room here.
    writer: Option<Waker>,
    /// Bytes that may be under way or unread.
    window: usize,
    /// Whether reads and writes here move odd pieces, single bytes among them.
    choppy: bool,
    closed: bool,
    reset: bool,
}

/// Which end of which connection.
#[derive(Clone, Copy)]
struct EndId {
    connection: u64,
    side: usize,
}

impl Network {
    pub(crate) fn new(kernel: Arc<Kernel>) -> Self {
        let state = State {
            draws: Draws::new(kernel.seed, 0, "network"),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            connections_made: 0,
            alive: BTreeSet::new(),
            silent: BTreeSet::new(),
            cuts: BTreeSet::new(),
            delays: BTreeMap::new(),
            ports: 20_000,
        };
        Self { kernel, state: Mutex::new(state) }
    }

    pub(crate) fn on_life(&self, host: HostId) {
        let mut state = lock(&self.state);
        state.alive.insert(host);
        state.silent.remove(&host);
    }

    pub(crate) fn on_death(&self, life: &Arc<Life>) {
        let mut state = lock(&self.state);
        let host = life.host();
        state.alive.remove(&host);
        if life.ended_silently() {
            state.silent.insert(host);
        }
        let of_host = |address: &SocketAddr, _: &mut Listening| address.ip() == host.ip();
        let gone: Vec<_> = state.listeners.extract_if(.., of_host).collect();
        drop(state);
        // Outside of the lock: connections that nobody accepted end with it.
        drop(gone);
    }

    pub(crate) fn set_delay(&self, host: HostId, delay: Duration) {
        lock(&self.state).delays.insert(host, delay);
    }

    pub(crate) fn set_cut(&self, one: HostId, other: HostId, cut: bool) {
        let mut state = lock(&self.state);
        let way = (one.min(other), one.max(other));
        if cut {
            state.cuts.insert(way);
        } else {
            state.cuts.remove(&way);
            let wakers = state.on_way(way).into_iter().flat_map(|end| state.wakers(end)).collect();
            drop(state);
            wake(wakers);
        }
    }

    pub(crate) fn reset_between(&self, one: HostId, other: HostId) {
        let mut state = lock(&self.state);
        let way = (one.min(other), one.max(other));
        let mut wakers = Vec::new();
        for end in state.on_way(way) {
            self.kernel.note("reset", end.connection, end.side as u64);
            state.end(end).reset = true;
            wakers.extend(state.wakers(end));
        }
        drop(state);
        wake(wakers);
    }

    /// Lets the reader at an end look again, at a time.
    fn wake_reader_at(self: &Arc<Self>, at: Mono, end: EndId) {
        let network = Arc::clone(self);
        self.kernel.run_at(at, move || {
            let mut state = lock(&network.state);
            let Some(ends) = state.connections.get_mut(&end.connection) else { return };
            let waker = ends[end.side].reader.take();
            drop(state);
            wake(waker.into_iter().collect());
        });
    }

    fn local(&self, life: &Life, mut address: SocketAddr) -> SocketAddr {
        // Loopback and "any" are this machine's own address, the only one it has.
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            address.set_ip(life.host().ip());
        }
        if address.port() == 0 {
            let mut state = lock(&self.state);
            state.ports += 1;
            address.set_port(state.ports);
        }
        address
    }

    /// Makes a connection, if somebody listens; the connecting end.
    fn join(self: &Arc<Self>, life: &Arc<Life>, to: SocketAddr) -> io::Result<SimStream> {
        let mut state = lock(&self.state);
        let State { listeners, draws, connections, connections_made, .. } = &mut *state;
        let Some(listening) = listeners.get_mut(&to) else {
            return Err(ErrorKind::ConnectionRefused.into());
        };
        if listening.waiting.len() >= BACKLOG {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        *connections_made += 1;
        let connection = *connections_made;
        let server_life = Arc::clone(&listening.life);
        connections
            .insert(connection, [End::new(Arc::clone(life), draws), End::new(server_life, draws)]);
        let port = 30_000 + u16::try_from(connection % 30_000).expect("below 30,000");
        let peer_address = SocketAddr::new(life.host().ip(), port);
        let side = |side| SimStream { network: Arc::clone(self), id: EndId { connection, side } };
        listening.waiting.push_back(Arrived { stream: side(1), peer_address });
        let waker = listening.waker.take();
        drop(state);
        self.kernel.note("connect", connection, u64::from(life.host().0));
        wake(waker.into_iter().collect());
        Ok(side(0))
    }
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

impl End {
    fn new(life: Arc<Life>, draws: &Draws) -> Self {
        Self {
            life,
            incoming: VecDeque::new(),
            incoming_bytes: 0,
            last_arrival: Mono::from_nanos(0),
            ends_at: None,
            reader: None,
            writer: None,
            window: *draws.pick(&[2_000, 16_384, 65_536, 1 << 20]),
            choppy: draws.one_in(4),
            closed: false,
            reset: false,
        }
    }
}

impl State {
    fn end(&mut self, id: EndId) -> &mut End {
        &mut self.connections.get_mut(&id.connection).expect("open while an end lives")[id.side]
    }

    fn peer(&mut self, id: EndId) -> &mut End {
        self.end(EndId { side: 1 - id.side, ..id })
    }

    fn wakers(&mut self, id: EndId) -> Vec<Waker> {
        let end = self.end(id);
        end.reader.take().into_iter().chain(end.writer.take()).collect()
    }

    fn on_way(&self, way: (HostId, HostId)) -> Vec<EndId> {
        let between = |ends: &[End; 2]| {
            let (one, other) = (ends[0].life.host(), ends[1].life.host());
            (one.min(other), one.max(other)) == way
        };
        let on_way = self.connections.iter().filter(|(_, ends)| between(ends));
        on_way.flat_map(|(id, _)| [0, 1].map(|side| EndId { connection: *id, side })).collect()
    }

    fn is_cut(&self, one: HostId, other: HostId) -> bool {
        self.cuts.contains(&(one.min(other), one.max(other)))
    }

    /// How long a piece of data is under way: usually a local network, sometimes a lost packet.
    fn latency(&self, one: HostId, other: HostId) -> Duration {
        let micros = match self.draws.below(200) {
            0 => self.draws.within(10_000..200_000),
            1..10 => self.draws.within(300..3_000),
            _ => self.draws.within(20..200),
        };
        let delay = |host| self.delays.get(&host).copied().unwrap_or_default();
        Duration::from_micros(micros) + delay(one) + delay(other)
    }

    /// Bytes that one call at this end moves at most.
    fn piece(&mut self, id: EndId) -> usize {
        if self.end(id).choppy {
            *self.draws.pick(&[1, 2, 7, 100, 1_460, 1 << 16])
        } else {
            usize::MAX
        }
    }

    /// What both directions of a connection have in common, before anything is moved.
    fn checked(&mut self, id: EndId) -> io::Result<()> {
        let end = self.end(id);
        if end.life.is_over() || end.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Whether the machine at the other end is there and can be reached, but does not know the
    /// connection: its answer to anything is a reset.
    fn is_forgotten(&mut self, id: EndId) -> bool {
        let (here, there) = (self.end(id).life.host(), Arc::clone(&self.peer(id).life));
        there.is_over() && !self.is_cut(here, there.host()) && !self.silent.contains(&there.host())
    }
}

/// A life's way to the network.
pub(crate) struct SimNet {
    network: Arc<Network>,
    life: Arc<Life>,
}

impl SimNet {
    pub(crate) fn new(network: Arc<Network>, life: Arc<Life>) -> Self {
        Self { network, life }
    }
}

impl Net for SimNet {
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let address = self.network.local(&self.life, address);
        let mut state = lock(&self.network.state);
        if self.life.is_over() || address.ip() != self.life.host().ip() {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        if state.listeners.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let life = Arc::clone(&self.life);
        state.listeners.insert(address, Listening { life, waiting: VecDeque::new(), waker: None });
        Ok(Box::new(SimListener {
            network: Arc::clone(&self.network),
            life: Arc::clone(&self.life),
            address,
        }))
    }

    fn connect(&self, address: SocketAddr) -> Connecting {
        let (network, life) = (Arc::clone(&self.network), Arc::clone(&self.life));
        let address = network.local(&life, address);
        Box::pin(async move {
            let mut waited = Duration::ZERO;
            loop {
                let (latency, reachable, answers) = {
                    let state = lock(&network.state);
                    let of_address = |host: &&HostId| host.ip() == address.ip();
                    let host = state.alive.iter().chain(&state.silent).find(of_address).copied();
                    let here = life.host();
                    let there = host.unwrap_or(here);
                    let silent = state.silent.contains(&there);
                    (state.latency(here, there), !state.is_cut(here, there), !silent)
                };
                if reachable && answers {
                    sleep(&network.kernel, latency).await;
                    let stream = network.join(&life, address)?;
                    return Ok(Box::new(stream) as Box<dyn Stream>);
                }
                if waited >= CONNECT_TIMEOUT {
                    return Err(ErrorKind::TimedOut.into());
                }
                // As TCP does: tried again, further and further apart.
                let pause = waited.max(Duration::from_millis(200));
                sleep(&network.kernel, pause).await;
                waited += pause;
            }
        })
    }
}

async fn sleep(kernel: &Arc<Kernel>, time: Duration) {
    let until = kernel.now().after(time);
    std::future::poll_fn(|cx| {
        if kernel.now() >= until {
            return Poll::Ready(());
        }
        kernel.at(until, Event::Wake(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

struct SimListener {
    network: Arc<Network>,
    life: Arc<Life>,
    address: SocketAddr,
}

impl Listener for SimListener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Socket>>> {
        let mut state = lock(&self.network.state);
        let Some(listening) = state.listeners.get_mut(&self.address) else {
            return Poll::Ready(Err(io::Error::other("this life is over")));
        };
        match listening.waiting.pop_front() {
            Some(arrived) => Poll::Ready(Ok(Box::new(arrived))),
            None => {
                listening.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        // After a death the address may be the next life's already.
        if self.life.is_over() {
            return;
        }
        let gone = lock(&self.network.state).listeners.remove(&self.address);
        drop(gone);
    }
}

struct Arrived {
    stream: SimStream,
    peer_address: SocketAddr,
}

impl Socket for Arrived {
    fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    fn into_stream(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.stream))
    }
}

/// One end of a connection.
struct SimStream {
    network: Arc<Network>,
    id: EndId,
}

impl Stream for SimStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!buffer.is_empty(), "a read of nothing looks like the end");
        let now = self.network.kernel.now();
        let mut state = lock(&self.network.state);
        state.checked(self.id)?;
        let (here, there) = (state.end(self.id).life.host(), state.peer(self.id).life.host());
        let cut = state.is_cut(here, there);
        let piece = state.piece(self.id).min(buffer.len());
        let end = state.end(self.id);
        let count = if cut { 0 } else { end.take_arrived(now, &mut buffer[..piece]) };
        if count > 0 {
            let writer = end.writer.take();
            drop(state);
            wake(writer.into_iter().collect());
            self.network.kernel.note("receive", self.id.connection, count as u64);
            return Poll::Ready(Ok(count));
        }
        if !cut && end.incoming.is_empty() && end.ends_at.is_some_and(|at| at <= now) {
            return Poll::Ready(Ok(0));
        }
        end.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut Outbound,
    ) -> Poll<io::Result<()>> {
        let now = self.network.kernel.now();
        let mut state = lock(&self.network.state);
        state.checked(self.id)?;
        if state.is_forgotten(self.id) {
            state.end(self.id).reset = true;
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let piece = state.piece(self.id);
        let peer = state.peer(self.id);
        if peer.closed && !peer.life.is_over() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = peer.window.saturating_sub(peer.incoming_bytes).min(piece);
        if room == 0 {
            peer.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        let bytes = front(outbound, room)?;
        outbound.advance(bytes.len() as u64);
        self.send(now, bytes);
        Poll::Ready(Ok(()))
    }

    fn into_socket(self: Box<Self>) -> io::Result<Box<dyn Socket>> {
        let mut state = lock(&self.network.state);
        state.checked(self.id)?;
        let peer_address = SocketAddr::new(state.peer(self.id).life.host().ip(), 0);
        drop(state);
        Ok(Box::new(Arrived { stream: *self, peer_address }))
    }
}

impl SimStream {
    fn send(&self, now: Mono, bytes: Bytes) {
        let mut state = lock(&self.network.state);
        let (here, there) = (state.end(self.id).life.host(), state.peer(self.id).life.host());
        let latency = state.latency(here, there);
        self.network.kernel.note("send", self.id.connection, bytes.len() as u64);
        let peer = state.peer(self.id);
        let arrival = peer.last_arrival.max(now.after(latency));
        peer.last_arrival = arrival;
        peer.incoming_bytes += bytes.len();
        peer.incoming.push_back((arrival, bytes));
        drop(state);
        let id = EndId { side: 1 - self.id.side, ..self.id };
        self.network.wake_reader_at(arrival, id);
    }
}

/// Up to `count` bytes of the front part.
fn front(outbound: &Outbound, count: usize) -> io::Result<Bytes> {
    match outbound.parts().next().expect("a write of nothing makes no progress") {
        Part::Bytes(bytes) => Ok(bytes.slice(..count.min(bytes.len()))),
        Part::File { file, at, len } => {
            let count = usize::try_from(*len).unwrap_or(usize::MAX).min(count);
            let mut copied = vec![0; count];
            // The range was cut off under us: the frame that promised it cannot be completed.
            match SimFile::send(file, *at, &mut copied)? {
                0 => Err(ErrorKind::UnexpectedEof.into()),
                read => {
                    copied.truncate(read);
                    Ok(copied.into())
                }
            }
        }
    }
}

impl End {
    /// Moves what has arrived into the buffer.
    fn take_arrived(&mut self, now: Mono, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len()
            && let Some((at, bytes)) = self.incoming.front_mut()
            && *at <= now
        {
            let count = bytes.len().min(buffer.len() - done);
            bytes.copy_to_slice(&mut buffer[done..done + count]);
            done += count;
            if bytes.is_empty() {
                self.incoming.pop_front();
            }
        }
        self.incoming_bytes -= done;
        done
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let now = self.network.kernel.now();
        let mut state = lock(&self.network.state);
        let life = Arc::clone(&state.end(self.id).life);
        state.end(self.id).closed = true;
        let there = state.peer(self.id).life.host();
        let latency = state.latency(life.host(), there);
        let peer = state.peer(self.id);
        if peer.closed {
            let ends = state.connections.remove(&self.id.connection);
            drop(state);
            drop(ends);
            return;
        }
        // Killed: the system says goodbye. Without power: nobody does.
        let says_goodbye = !(life.is_over() && life.ended_silently());
        if says_goodbye {
            let end = peer.last_arrival.max(now.after(latency));
            peer.ends_at = Some(end);
            let waker = peer.writer.take();
            drop(state);
            wake(waker.into_iter().collect());
            self.network.wake_reader_at(end, EndId { side: 1 - self.id.side, ..self.id });
        }
    }
}
