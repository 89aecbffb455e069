//! One connection and the right to use it: what HTTP/1 and HTTP/2 have in common and apart, how a fresh stream
//! becomes either, and the lease that an exchange holds.

use std::net::SocketAddr;
#[cfg(feature = "http2")]
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use super::body::RequestBody;
use super::connect::{Connected, IoCounts};
use super::pool::Pool;
use super::{Leg, Origin, Spawn};
use crate::Moment;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::ConnectionUsed;

/// Streams of one HTTP/2 connection at once.
#[cfg(feature = "http2")]
pub(crate) const STREAMS: u32 = 100;
/// What a server may send on one stream before it is read, in bytes.
const STREAM_WINDOW: u32 = 1 << 20;

/// What may come on a connection of HTTP/2 without any reply going on, in bytes: what each of its streams may hold
/// unread, and as much again. A server that sends frames without end, and serves nothing, is left.
fn useless_limit(streams: u32) -> u64 {
    u64::from(streams + 1) * u64::from(STREAM_WINDOW)
}

/// Header fields of one reply's head.
pub(crate) const HEAD_FIELDS: usize = 256;
/// Bytes of one reply's head.
pub(crate) const HEAD_BYTES: usize = 256 << 10;

fn handshake_failed(cause: hyper::Error) -> Error {
    let message = format!("the connection broke at its start: {cause}");
    Error::new(ErrorKind::ConnectFailed, Phase::Connect, message).caused_by(cause)
}

/// What a new connection is given beside its stream.
pub(super) struct Opening<'a> {
    pub(super) id: u64,
    /// `None` for one beyond the limit, on which those within it wait.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    pub(super) spawn: &'a Arc<dyn Spawn>,
}

/// A connection of HTTP/1; who holds it owns it.
pub(crate) struct Http1 {
    pub(crate) sender: hyper::client::conn::http1::SendRequest<RequestBody>,
    /// Whether the last request had a body, which may still be on its way out when the reply has ended.
    pub(crate) sent_body: bool,
    /// Whether the reply leaves open where it ends, so that what follows it is not trusted.
    pub(crate) is_last: bool,
    pub(crate) common: Common,
}

/// A connection of HTTP/2, shared by its streams.
pub(crate) struct Http2 {
    #[cfg(feature = "http2")]
    pub(crate) sender: hyper::client::conn::http2::SendRequest<RequestBody>,
    pub(crate) common: Common,
    streams: AtomicU32,
    /// What the server allows, as last heard.
    allowed: Arc<AtomicU32>,
    retired: AtomicBool,
}

/// What connections of either version have.
pub(crate) struct Common {
    pub(super) id: u64,
    pub(crate) io: Arc<IoCounts>,
    address: Option<SocketAddr>,
    served: AtomicU64,
    /// What `served` was at the last sweep.
    seen: AtomicU64,
    pub(super) idle_since: Moment,
    driver: AbortHandle,
    _slot: Option<OwnedSemaphorePermit>,
}

/// The right to one exchange on a connection. Dropped without [`give_back`](Self::give_back), an HTTP/1
/// connection is closed.
pub(crate) struct Lease {
    kind: Kind,
    pool: Arc<Pool>,
    origin: Arc<Origin>,
}

pub(crate) enum Kind {
    /// `None` once given back.
    One(Option<Http1>),
    Two(Arc<Http2>),
}

impl Http1 {
    pub(super) async fn open(connected: Connected, opening: Opening<'_>) -> Result<Self, Error> {
        if !cfg!(feature = "http1") {
            let message = "HTTP/1.1 is not built in (feature `http1`)";
            return Err(Error::new(ErrorKind::Settings, Phase::Connect, message));
        }
        let Connected { io, counts, address, .. } = connected;
        let io = hyper_util::rt::TokioIo::new(io);
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(HEAD_FIELDS)
            .max_buf_size(HEAD_BYTES)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(io)
            .await
            .map_err(handshake_failed)?;
        let driver = opening.spawn.spawn(Box::pin(async move {
            // An error ends the exchange that is on it, which hears of it by itself.
            let _ = connection.await;
        }));
        Ok(Self {
            sender,
            sent_body: false,
            is_last: false,
            common: Common::new(counts, address, driver, opening),
        })
    }

    pub(super) fn is(&self, id: u64, since: Moment) -> bool {
        self.common.id == id && self.common.idle_since == since
    }
}

impl Http2 {
    /// A new connection, with one stream already taken.
    #[cfg(feature = "http2")]
    pub(super) async fn open(connected: Connected, opening: Opening<'_>) -> Result<Self, Error> {
        let Connected { io, counts, address, .. } = connected;
        let io = hyper_util::rt::TokioIo::new(io);
        let (sender, connection) =
            hyper::client::conn::http2::Builder::new(Executor(Arc::clone(opening.spawn)))
                .timer(hyper_util::rt::TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                // Streams that nobody reads must not starve those that are read.
                .initial_connection_window_size(STREAM_WINDOW * STREAMS)
                .max_header_list_size(HEAD_BYTES as u32)
                .handshake(io)
                .await
                .map_err(handshake_failed)?;
        let allowed = Arc::new(AtomicU32::new(STREAMS));
        let heard = Arc::clone(&allowed);
        let driver = opening.spawn.spawn(Box::pin(async move {
            let mut connection = connection;
            let _ = std::future::poll_fn(|cx| {
                let end = Pin::new(&mut connection).poll(cx);
                let streams = u32::try_from(connection.current_max_send_streams()).unwrap_or(STREAMS);
                heard.store(streams.clamp(1, STREAMS), Ordering::Relaxed);
                end
            })
            .await;
        }));
        let common = Common::new(counts, address, driver, opening);
        common.io.limit_useless(useless_limit(1));
        Ok(Self { sender, common, streams: AtomicU32::new(1), allowed, retired: AtomicBool::new(false) })
    }

    #[cfg(not(feature = "http2"))]
    pub(super) async fn open(_: Connected, _: Opening<'_>) -> Result<Self, Error> {
        Err(Error::new(ErrorKind::Settings, Phase::Connect, "HTTP/2 is not built in (feature `http2`)"))
    }

    pub(super) fn is_closed(&self) -> bool {
        #[cfg(feature = "http2")]
        return self.sender.is_closed();
        #[cfg(not(feature = "http2"))]
        return true;
    }

    pub(super) fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn open_stream(&self) {
        let before = self.streams.fetch_add(1, Ordering::Relaxed);
        self.common.io.limit_useless(useless_limit(before + 1));
    }

    fn close_stream(&self) {
        let before = self.streams.fetch_sub(1, Ordering::Relaxed);
        // What the stream held unread was allowed by its window, which goes with it.
        self.common.io.left_unread(u64::from(STREAM_WINDOW));
        self.common.io.limit_useless(useless_limit(before.saturating_sub(1)));
    }

    pub(super) fn has_room(&self) -> bool {
        self.streams() < self.allowed()
    }

    /// Streams that the server allows at once, at most 100.
    pub(crate) fn allowed(&self) -> u32 {
        self.allowed.load(Ordering::Relaxed)
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.load(Ordering::Relaxed) == 0
    }

    /// Whether no stream was opened since this was asked before, and none is open.
    pub(super) fn was_quiet(&self) -> bool {
        let served = self.common.served.load(Ordering::Relaxed);
        self.common.seen.swap(served, Ordering::Relaxed) == served && self.is_idle()
    }
}

impl Lease {
    pub(super) fn new(kind: Kind, pool: &Arc<Pool>, origin: &Arc<Origin>) -> Self {
        Self { kind, pool: Arc::clone(pool), origin: Arc::clone(origin) }
    }

    pub(crate) fn kind_mut(&mut self) -> &mut Kind {
        &mut self.kind
    }

    pub(crate) fn common(&self) -> Option<&Common> {
        match &self.kind {
            Kind::One(connection) => connection.as_ref().map(|connection| &connection.common),
            Kind::Two(connection) => Some(&connection.common),
        }
    }

    /// Over HTTP/2, how many streams the server allows.
    pub(crate) fn streams(&self) -> Option<u32> {
        match &self.kind {
            Kind::One(_) => None,
            Kind::Two(connection) => Some(connection.allowed()),
        }
    }

    /// Whether the connection serves this exchange alone.
    pub(crate) fn is_exclusive(&self) -> bool {
        matches!(self.kind, Kind::One(_))
    }

    /// The exchange has ended well: the connection may serve again.
    pub(crate) fn give_back(mut self) {
        if let Kind::One(connection) = &mut self.kind {
            let connection = connection.take();
            let serves_on = |connection: &Http1| !connection.is_last && !connection.sender.is_closed();
            if let Some(connection) = connection.filter(serves_on) {
                self.pool.take_back(connection, &self.origin);
            }
        }
    }

    pub(super) fn tell(&self, leg: &Leg) {
        if let Some(common) = self.common() {
            let reused = common.served.fetch_add(1, Ordering::Relaxed) > 0;
            leg.on_connection(common.address, ConnectionUsed { id: common.id, reused });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::One(connection) => {
                if let Some(connection) = connection.take() {
                    connection.common.driver.abort();
                }
            }
            Kind::Two(connection) => {
                connection.close_stream();
                self.pool.stream_ended(connection, &self.origin);
            }
        }
    }
}

impl Common {
    fn new(
        io: Arc<IoCounts>,
        address: Option<SocketAddr>,
        driver: AbortHandle,
        opening: Opening<'_>,
    ) -> Self {
        Self {
            id: opening.id,
            io,
            address,
            served: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            idle_since: Moment::ZERO,
            driver,
            _slot: opening.slot,
        }
    }

    /// Whether an exchange before the current one went over it.
    pub(crate) fn is_reused(&self) -> bool {
        self.served.load(Ordering::Relaxed) > 1
    }
}

/// Spawns HTTP/2's own tasks through the engine.
#[cfg(feature = "http2")]
#[derive(Clone)]
struct Executor(Arc<dyn Spawn>);

#[cfg(feature = "http2")]
impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(Box::pin(async move {
            task.await;
        }));
    }
}
