//! One accepted connection, plain or under TLS: bytes in, bytes out, and the ways to end it.
//! It sees the client leave while it waits. It knows nothing of requests and replies.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

/// Bytes that are read ahead while a reply is on its way; beyond them, the client is not read from,
/// and so is not seen to leave before the next write.
const MAX_READ_AHEAD: usize = 1 << 20;

/// Room that is made before a read.
const READ_SIZE: usize = 16 << 10;

/// How long what the client still sends is swallowed after a FIN, so that the FIN is not followed by
/// the RST that the kernel sends for unread bytes.
const LINGER: Duration = Duration::from_secs(2);

/// A stream over one TCP connection.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The TCP connection underneath.
    fn tcp(&self) -> &TcpStream;

    /// How it is closed in good order.
    fn farewell(&self) -> Farewell {
        Farewell::Full
    }
}

/// What is said when a connection is closed in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// All that belongs to it: under TLS a close_notify.
    Full,
    /// A FIN alone.
    Bare,
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl<W: Wire> Wire for TlsStream<W> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.tcp()
    }

    fn farewell(&self) -> Farewell {
        self.get_ref().0.farewell()
    }
}

/// The client went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientLeft;

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pause {
    Until(Instant),
    UntilClientLeaves,
}

impl Pause {
    pub(crate) fn lasting(wait: Duration) -> Self {
        Self::after(Instant::now(), wait)
    }

    /// Ends that long after an instant, or never if that is beyond what the clock can tell.
    pub(crate) fn after(start: Instant, wait: Duration) -> Self {
        start.checked_add(wait).map_or(Self::UntilClientLeaves, Self::Until)
    }

    /// Waits it out.
    ///
    /// # Cancel safety
    ///
    /// Waiting again takes up where it was left.
    pub(crate) async fn elapse(self) {
        match self {
            Self::Until(instant) => tokio::time::sleep_until(instant).await,
            Self::UntilClientLeaves => std::future::pending().await,
        }
    }
}

/// What ended a wait.
enum Woke {
    Elapsed,
    Read(io::Result<usize>),
}

/// A connection and what was read from it but not yet used.
pub(crate) struct Link<W> {
    pub(crate) io: W,
    pub(crate) inbox: BytesMut,
}

impl<W: Wire> Link<W> {
    pub(crate) fn new(io: W) -> Self {
        Self { io, inbox: BytesMut::with_capacity(READ_SIZE) }
    }

    /// Reads more into the inbox.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: either bytes are in the inbox, or none were read.
    pub(crate) async fn fill(&mut self) -> Result<(), ClientLeft> {
        self.inbox.reserve(READ_SIZE);
        match self.io.read_buf(&mut self.inbox).await {
            Ok(0) | Err(_) => Err(ClientLeft),
            Ok(_) => Ok(()),
        }
    }

    /// Waits, and sees the client leave meanwhile; what it sends goes to the inbox.
    ///
    /// # Cancel safety
    ///
    /// Nothing that was read is lost.
    pub(crate) async fn wait(&mut self, pause: Pause) -> Result<(), ClientLeft> {
        loop {
            if self.inbox.len() < MAX_READ_AHEAD {
                self.inbox.reserve(READ_SIZE);
            }
            let may_read = self.inbox.len() < MAX_READ_AHEAD;
            let woke = tokio::select! {
                () = pause.elapse() => Woke::Elapsed,
                read = self.io.read_buf(&mut self.inbox), if may_read => Woke::Read(read),
            };
            match woke {
                Woke::Elapsed => return Ok(()),
                Woke::Read(Ok(0) | Err(_)) => return Err(ClientLeft),
                Woke::Read(Ok(_)) => {}
            }
        }
    }

    /// Writes all of the bytes and flushes them.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some of the bytes may be written.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientLeft> {
        self.io.write_all(bytes).await.map_err(|_| ClientLeft)?;
        self.io.flush().await.map_err(|_| ClientLeft)
    }

    /// Resets the TCP connection. Bytes that the kernel could not yet hand to the client are lost.
    pub(crate) fn reset(self) {
        // A client that is gone already needs no reset.
        let _ = SockRef::from(self.io.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Half-closes the TCP connection below whatever lies above, and swallows the rest.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed in any case.
    pub(crate) async fn fin(mut self) {
        // A client that is gone already needs no FIN.
        let _ = SockRef::from(self.io.tcp()).shutdown(std::net::Shutdown::Write);
        self.linger().await;
    }

    /// Closes in good order, under TLS with close_notify unless it is to be left out, and swallows the rest.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed in any case.
    pub(crate) async fn close(mut self) {
        if self.io.farewell() == Farewell::Bare {
            return self.fin().await;
        }
        if self.io.shutdown().await.is_ok() {
            self.linger().await;
        }
    }

    async fn linger(&mut self) {
        let swallow = async {
            while self.fill().await.is_ok() {
                self.inbox.clear();
            }
        };
        // The time is up or the client is gone; the end is the same.
        let _ = tokio::time::timeout(LINGER, swallow).await;
    }
}
