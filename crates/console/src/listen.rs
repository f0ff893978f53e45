//! Connections, and what is asked on them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ottla_broker::{Readiness, Watch};
use ottla_env::{Env, Listener, Socket, Stream};
use tokio::sync::Mutex;

use crate::answer::{Answer, METRICS, Status};
use crate::metrics::{Extent, Scraper};
use crate::page::Page;
use crate::request::{HEAD_BYTES_MAX, Malformed, Request, is_whole, parse};
use crate::within::within;

/// Connections at once, each with a head of up to 8 KiB and a part of an answer of 40 KiB: 3 MiB.
/// Whoever comes when there are so many is not served.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to say what it wants.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// How long it may take to receive the answer, behind others that want one.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// How long to wait before accepting again when the system refused.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

const INDEX: &str = "\
/metrics         what the node counts, for Prometheus
/metrics/topics  the same, without single partitions
/health          whether the process is alive
/ready           whether the node serves
";

/// The HTTP side of a node. It answers from its start on, and stops with the loop that it is on.
pub struct Console {
    state: Rc<State>,
    address: SocketAddr,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "console at {}", self.address)
    }
}

struct State {
    env: Env,
    version: &'static str,
    watch: RefCell<Option<Watch>>,
    open: Cell<usize>,
    /// One answer at a time: each looks at every partition.
    scraper: Mutex<Scraper>,
}

/// One connection's place among those that there may be.
struct Place(Rc<State>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

impl Console {
    /// Listens on `address`, for a node of this version that is about to start, on the calling
    /// task's loop.
    ///
    /// # Errors
    /// When the address is taken, or not ours.
    pub fn start(env: &Env, address: SocketAddr, version: &'static str) -> io::Result<Self> {
        let listener = env.net.listen(address)?;
        let address = listener.local_address();
        let state = Rc::new(State {
            env: env.clone(),
            version,
            watch: RefCell::new(None),
            open: Cell::new(0),
            scraper: Mutex::default(),
        });
        env.spawn.spawn("console", Box::pin(accept(Rc::clone(&state), listener)));
        Ok(Self { state, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The node has started.
    pub fn watch(&self, node: Watch) {
        self.state.watch.replace(Some(node));
    }
}

async fn accept(state: Rc<State>, mut listener: Box<dyn Listener>) {
    loop {
        match listener.accept().await {
            Ok(socket) => take(&state, socket),
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted for HTTP");
                state.env.clock.sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn take(state: &Rc<State>, socket: Box<dyn Socket>) {
    if state.open.get() >= CONNECTIONS_MAX {
        return;
    }
    state.open.set(state.open.get() + 1);
    let place = Place(Rc::clone(state));
    let serve = async move {
        let peer = socket.peer_address();
        let served = match socket.into_stream() {
            Ok(mut stream) => place.0.serve(&mut *stream).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "not answered over HTTP");
        }
    };
    state.env.spawn.spawn("http", Box::pin(serve));
}

impl State {
    async fn serve(&self, stream: &mut dyn Stream) -> io::Result<()> {
        let clock = &*self.env.clock;
        let head = within(clock, clock.mono().after(REQUEST_TIME_MAX), read_head(stream)).await?;
        let deadline = clock.mono().after(ANSWER_TIME_MAX);
        within(clock, deadline, self.answer(&head, Answer::new(stream))).await
    }

    async fn answer(&self, head: &[u8], mut answer: Answer<'_>) -> io::Result<()> {
        if !is_whole(head) {
            return answer.text(Status::HeadTooLarge, "the request is too large\n").await;
        }
        match parse(head) {
            Ok(request) => {
                answer.of(&request);
                self.route(&request, &mut answer).await
            }
            Err(Malformed::Request) => {
                answer.text(Status::BadRequest, "this is no request of HTTP/1\n").await
            }
            Err(Malformed::Method) => {
                answer.text(Status::MethodNotAllowed, "only GET and HEAD are served\n").await
            }
        }
    }

    async fn route(&self, request: &Request<'_>, answer: &mut Answer<'_>) -> io::Result<()> {
        match request.path {
            "/" => answer.text(Status::Ok, INDEX).await,
            "/health" | "/healthz" => answer.text(Status::Ok, "alive\n").await,
            "/ready" | "/readyz" => match self.readiness() {
                Some(Readiness::Ready) => answer.text(Status::Ok, "ready\n").await,
                Some(Readiness::Fenced) => answer.text(Status::Unavailable, "fenced\n").await,
                Some(Readiness::Stopping) => answer.text(Status::Unavailable, "stopping\n").await,
                None => answer.text(Status::Unavailable, "starting\n").await,
            },
            "/metrics" => self.metrics(Extent::Partitions, answer).await,
            "/metrics/topics" => self.metrics(Extent::Topics, answer).await,
            _ => answer.text(Status::NotFound, INDEX).await,
        }
    }

    fn readiness(&self) -> Option<Readiness> {
        self.watch.borrow().as_ref().map(Watch::readiness)
    }

    async fn metrics(&self, extent: Extent, answer: &mut Answer<'_>) -> io::Result<()> {
        let Some(watch) = self.watch.borrow().clone() else {
            return answer.text(Status::Unavailable, "starting\n").await;
        };
        let mut scraper = self.scraper.lock().await;
        let Some(scraped) = scraper.scrape(&watch, &*self.env.clock).await else {
            return answer.text(Status::Unavailable, "stopped\n").await;
        };
        answer.begin(METRICS).await?;
        let mut page = Page::new(answer);
        scraped.write(&mut page, self.version, extent).await?;
        page.end().await
    }
}

/// Reads until the head is complete, or larger than it may be.
async fn read_head(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !is_whole(&head) && head.len() <= HEAD_BYTES_MAX {
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(head)
}
