//! From an origin to a stream: look-up, TCP with Happy Eyeballs (RFC 8305), TLS. Times of each step go to the leg.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dns::Resolver;
use super::origin::Protocol;
use super::{BoxFuture, Leg, Origin, fault};
use crate::error::{Error, ErrorKind, Phase};

/// How long one address is tried alone before the next joins in (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// What one read takes at most, in bytes. hyper doubles its buffer after each read that fills it, up to the length that
/// a head may have; a read that falls short of 64 KiB keeps it there. A chunk of a body keeps the buffer alive that it
/// was read into, so a large buffer costs memory wherever chunks wait, and an allocator keeps few that large.
const READ: usize = 60 << 10;

/// Which HTTP versions may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HttpVersions {
    /// HTTP/2 where the server's TLS offers it, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; over plain http by prior knowledge (RFC 9113, section 3.3).
    Http2,
}

/// Makes connections.
pub(crate) struct Connector {
    pub(crate) resolver: Resolver,
    pub(crate) network: Network,
    pub(crate) versions: HttpVersions,
    /// For each address; the TLS handshake is within it.
    pub(crate) limit: Duration,
    #[cfg(feature = "_tls")]
    pub(crate) tls: super::tls::Tls,
}

/// What lies beneath the connections.
pub(crate) enum Network {
    /// The machine's own sockets.
    Sockets,
    /// Another, such as a simulated one.
    #[cfg_attr(not(test), expect(dead_code, reason = "made by simulations only"))]
    Other(Arc<dyn OtherNetwork>),
}

/// A network that is not the machine's own.
pub(crate) trait OtherNetwork: Send + Sync {
    fn connect(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;
}

/// A byte stream in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that is ready for HTTP.
pub(crate) struct Connected {
    pub(crate) io: Counted,
    pub(crate) counts: Arc<IoCounts>,
    pub(crate) protocol: Protocol,
    pub(crate) address: Option<SocketAddr>,
}

impl Connector {
    /// A new connection to `origin`.
    ///
    /// # Cancel safety
    /// Dropping it closes what was opened.
    pub(crate) async fn connect(&self, origin: &Origin, leg: &Leg) -> Result<Connected, Error> {
        let (io, address) = match &self.network {
            Network::Sockets => {
                let stream = self.tcp(origin, leg).await?;
                let address = stream.peer_addr().ok();
                (Io::Tcp(stream), address)
            }
            Network::Other(network) => {
                leg.enter(Phase::Connect);
                let stream = timeout(self.limit, network.connect(origin.host(), origin.port)).await;
                let stream = stream.map_err(|_| self.too_slow(Phase::Connect, ErrorKind::ConnectTimeout))?;
                (Io::Other(stream.map_err(|cause| fault::connect(cause, None))?), None)
            }
        };
        let counts = Arc::new(IoCounts::default());
        let (io, protocol) = self.secure(io, origin, leg, address).await?;
        Ok(Connected { io: Counted { io, counts: Arc::clone(&counts) }, counts, protocol, address })
    }

    async fn tcp(&self, origin: &Origin, leg: &Leg) -> Result<TcpStream, Error> {
        let addresses = match origin.host().parse::<IpAddr>() {
            Ok(address) => Arc::from([address]),
            Err(_) => {
                leg.enter(Phase::Dns);
                let found = timeout(self.limit, self.resolver.look_up(origin.host())).await;
                found.map_err(|_| self.too_slow(Phase::Dns, ErrorKind::LookupTimeout))??
            }
        };
        leg.enter(Phase::Connect);
        let order = in_order(&addresses, leg.attempt);
        self.eyeballs(order.into_iter().map(|address| SocketAddr::new(address, origin.port)).collect()).await
    }

    /// Tries one address after the other, the next when one fails or is silent for 250 ms; the first wins.
    async fn eyeballs(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, Error> {
        let mut rest = addresses.into_iter();
        let mut running = FuturesUnordered::new();
        let mut last = Error::new(ErrorKind::NameNotFound, Phase::Dns, "the name has no address");
        loop {
            let Some(address) = rest.next() else {
                return match running.next().await {
                    Some(Ok(stream)) => Ok(stream),
                    Some(Err(error)) if running.is_empty() => Err(error),
                    Some(Err(error)) => {
                        last = error;
                        continue;
                    }
                    None => Err(last),
                };
            };
            running.push(self.one(address));
            match timeout(STAGGER, running.next()).await {
                Ok(Some(Ok(stream))) => return Ok(stream),
                Ok(Some(Err(error))) => last = error,
                Ok(None) | Err(_) => {}
            }
        }
    }

    async fn one(&self, address: SocketAddr) -> Result<TcpStream, Error> {
        match timeout(self.limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A failure to set it costs latency only.
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Ok(Err(cause)) => Err(fault::connect(cause, Some(address))),
            Err(_) => {
                let message = format!("{address} did not answer within {:?} (--connect-timeout)", self.limit);
                Err(Error::new(ErrorKind::ConnectTimeout, Phase::Connect, message))
            }
        }
    }

    #[cfg(feature = "_tls")]
    async fn secure(
        &self,
        io: Io,
        origin: &Origin,
        leg: &Leg,
        address: Option<SocketAddr>,
    ) -> Result<(Io, Protocol), Error> {
        if !origin.https {
            return Ok((io, self.plain_protocol()));
        }
        leg.enter(Phase::Tls);
        let handshake = self.tls.handshake(io, origin.host(), address);
        let stream = timeout(self.limit, handshake).await;
        let stream = stream.map_err(|_| self.too_slow(Phase::Tls, ErrorKind::ConnectTimeout))??;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ if self.versions == HttpVersions::Http2 => {
                let message = "the server does not offer HTTP/2 (--http2)";
                return Err(Error::new(ErrorKind::TlsHandshake, Phase::Tls, message));
            }
            _ => Protocol::Http1,
        };
        Ok((Io::Tls(Box::new(stream)), protocol))
    }

    #[cfg(not(feature = "_tls"))]
    async fn secure(
        &self,
        io: Io,
        origin: &Origin,
        _: &Leg,
        _: Option<SocketAddr>,
    ) -> Result<(Io, Protocol), Error> {
        if origin.https {
            let message = "https is not built in (feature `tls`)";
            return Err(Error::new(ErrorKind::TlsSettings, Phase::Tls, message));
        }
        Ok((io, self.plain_protocol()))
    }

    fn plain_protocol(&self) -> Protocol {
        match self.versions {
            HttpVersions::Http2 => Protocol::Http2,
            HttpVersions::Auto | HttpVersions::Http1 => Protocol::Http1,
        }
    }

    fn too_slow(&self, phase: Phase, kind: ErrorKind) -> Error {
        let what = match phase {
            Phase::Dns => "look-up",
            Phase::Tls => "TLS handshake",
            _ => "connection",
        };
        Error::new(kind, phase, format!("no {what} within {:?} (--connect-timeout)", self.limit))
    }

    /// What an origin's connections will speak, where that is known before the first of them.
    pub(crate) fn foreknown(&self, origin: &Origin) -> Protocol {
        match (origin.https, self.versions) {
            (true, HttpVersions::Auto) if cfg!(feature = "http2") => Protocol::Unknown,
            (_, HttpVersions::Http2) => Protocol::Http2,
            _ => Protocol::Http1,
        }
    }
}

/// IPv6 and IPv4 in turn (RFC 8305, section 4); a retry begins with another address.
fn in_order(addresses: &[IpAddr], attempt: u32) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv6());
    let first_is_six = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (lead, follow) = if first_is_six { (six, four) } else { (four, six) };
    let mut follow = follow.into_iter();
    let mut order: Vec<IpAddr> = Vec::with_capacity(addresses.len());
    for address in lead {
        order.push(address);
        order.extend(follow.next());
    }
    order.extend(follow);
    let turn = attempt as usize % order.len().max(1);
    order.rotate_left(turn);
    order
}

/// Interim replies (1xx) that may come before the final one; a server can send them without end.
pub(super) const INTERIM_REPLIES: u32 = 16;

/// Bytes that went through a connection.
#[derive(Debug, Default)]
pub(crate) struct IoCounts {
    read: AtomicU64,
    written: AtomicU64,
    /// Interim replies of the exchange that is under way.
    interim: AtomicU32,
    /// What `read` and `written` were when a reply last went on.
    useful: AtomicU64,
    answered: AtomicU64,
    /// What may come without any reply going on, in bytes; 0 is without limit.
    useless_limit: AtomicU64,
}

impl IoCounts {
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn forget_interim(&self) {
        self.interim.store(0, Ordering::Relaxed);
    }

    pub(super) fn count_interim(&self) {
        self.interim.fetch_add(1, Ordering::Relaxed);
    }

    /// A reply went on: a head came, or a part of a body that was waited for.
    pub(super) fn went_on(&self) {
        self.useful.store(self.read(), Ordering::Relaxed);
        self.answered.store(self.written(), Ordering::Relaxed);
    }

    /// Nobody waits any more for so many bytes, which may have come unread: they served a request that has ended.
    pub(super) fn left_unread(&self, bytes: u64) {
        let read = self.read();
        let forgive = |useful: u64| Some(useful.saturating_add(bytes).min(read));
        let _ = self.useful.fetch_update(Ordering::Relaxed, Ordering::Relaxed, forgive);
    }

    /// Over HTTP/2, what may come without any reply going on: bodies that nobody reads yet, and frames beside them.
    pub(super) fn limit_useless(&self, bytes: u64) {
        self.useless_limit.store(bytes, Ordering::Relaxed);
    }

    /// More came than may: interim replies, or what serves no request.
    pub(super) fn is_flooded(&self) -> bool {
        self.interim.load(Ordering::Relaxed) > INTERIM_REPLIES || self.is_useless()
    }

    /// More came than serves any request. A server that takes a long body answers with a frame for many bytes of it;
    /// to each frame of a flood there is at most one answer.
    pub(super) fn is_useless(&self) -> bool {
        let limit = self.useless_limit.load(Ordering::Relaxed);
        let read = self.read().saturating_sub(self.useful.load(Ordering::Relaxed));
        limit > 0
            && read > limit
            && self.written().saturating_sub(self.answered.load(Ordering::Relaxed)) < read.saturating_mul(4)
    }
}

/// A stream that counts its bytes, so that an error can say what had been sent and received.
pub(crate) struct Counted {
    io: Io,
    counts: Arc<IoCounts>,
}

pub(crate) enum Io {
    Tcp(TcpStream),
    #[cfg(feature = "_tls")]
    Tls(Box<tokio_rustls::client::TlsStream<Self>>),
    Other(Box<dyn Stream>),
}

macro_rules! through {
    ($io:expr, $stream:ident => $call:expr) => {
        match $io {
            Io::Tcp($stream) => $call,
            #[cfg(feature = "_tls")]
            Io::Tls($stream) => $call,
            Io::Other($stream) => $call,
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        through!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        through!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        through!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        through!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.counts.is_flooded() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let result = match buf.remaining() {
            0..=READ => Pin::new(&mut self.io).poll_read(cx, buf),
            _ => Pin::new(&mut (&mut self.io).take(READ as u64)).poll_read(cx, buf),
        };
        self.counts.read.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.count_written(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.count_written(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Counted {
    fn count_written(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(length)) = result {
            self.counts.written.fetch_add(*length as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_a_retry_begins_elsewhere() {
        let four = |last| IpAddr::from([192, 0, 2, last]);
        let six = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        let found = [six, four(1), four(2)];
        assert_eq!(in_order(&found, 0), [six, four(1), four(2)]);
        assert_eq!(in_order(&found, 1), [four(1), four(2), six]);
        assert_eq!(in_order(&[], 3), Vec::<IpAddr>::new());
    }
}
