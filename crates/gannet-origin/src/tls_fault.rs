//! What goes wrong below the TLS of an origin: bytes that stop, an alert, silence, an end without a word.
//! TLS itself is made next door.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::link::{Farewell, Link, Pause, Wire};

/// Bytes of a TLS record before its content (RFC 8446, section 5.1).
const RECORD_HEAD: usize = 5;

/// A fatal alert that says handshake_failure (RFC 8446, section 6), as one record.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// What is wrong with an origin's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// After so many bytes that the origin sends, those of the handshake first, comes a FIN and no more.
    CutAfter(u64),
    /// The ClientHello is answered with a fatal alert, handshake_failure.
    Alert,
    /// The ClientHello is read, and never answered.
    Silence,
    /// A connection that the origin closes ends without close_notify (RFC 8446, section 6.1), as every
    /// reply without a length then does. Over HTTP/1.
    NoCloseNotify,
}

/// A TCP connection of which only so many bytes go out.
#[derive(Debug)]
pub(crate) struct Clipped {
    tcp: TcpStream,
    /// Bytes that may still go out; `None` for any number.
    room: Option<u64>,
    farewell: Farewell,
}

impl Clipped {
    pub(crate) fn new(tcp: TcpStream, fault: Option<TlsFault>) -> Self {
        let room = match fault {
            Some(TlsFault::CutAfter(bytes)) => Some(bytes),
            _ => None,
        };
        let is_curt = fault == Some(TlsFault::NoCloseNotify);
        Self { tcp, room, farewell: if is_curt { Farewell::Bare } else { Farewell::Full } }
    }
}

impl Wire for Clipped {
    fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    fn farewell(&self) -> Farewell {
        self.farewell
    }
}

impl AsyncRead for Clipped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Clipped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(room) = self.room else { return Pin::new(&mut self.tcp).poll_write(cx, bytes) };
        if room == 0 {
            // A client that is gone already needs no FIN.
            let _ = SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, &bytes[..len]))?;
        self.room = Some(room - written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.room.is_none() {
            return Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.room.is_none() && self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// Reads a ClientHello and answers it with an alert.
///
/// # Cancel safety
///
/// Dropping it closes the connection.
pub(crate) async fn alert(tcp: TcpStream) {
    let mut link = Link::new(tcp);
    if read_hello(&mut link).await && link.write(&ALERT).await.is_ok() {
        link.close().await;
    }
}

/// Reads a ClientHello and is silent until the client leaves.
///
/// # Cancel safety
///
/// Dropping it closes the connection.
pub(crate) async fn silence(tcp: TcpStream) {
    // The client leaves sooner or later; nothing else can happen.
    let _ = Link::new(tcp).wait(Pause::UntilClientLeaves).await;
}

/// Reads one record; `false` if the client left before.
async fn read_hello<W: Wire>(link: &mut Link<W>) -> bool {
    loop {
        let len = match link.inbox.first_chunk::<RECORD_HEAD>() {
            Some(head) => RECORD_HEAD + usize::from(u16::from_be_bytes([head[3], head[4]])),
            None => RECORD_HEAD,
        };
        if len > RECORD_HEAD && link.inbox.len() >= len {
            return true;
        }
        if link.fill().await.is_err() {
            return false;
        }
    }
}
