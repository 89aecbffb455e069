//! Bodies in both directions: the request's bytes in pieces, the reply's with the connection that it holds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Lease;
use super::upload::{Sending, Upload};
use super::{Leg, Spawn, fault};
use crate::error::{Error, Phase};
use crate::permit::{Left, Permit};
use crate::request::body::Body as Given;

/// How much of a request's body is handed over at once, in bytes.
pub(super) const PIECE: usize = 64 << 10;

/// The body of a request; the leg hears of each piece that goes out.
#[derive(Debug)]
pub(crate) struct RequestBody(Outgoing);

#[derive(Debug)]
enum Outgoing {
    Bytes { rest: Bytes, leg: Arc<Leg> },
    Stream(Box<Upload>),
}

impl RequestBody {
    /// A streamed body comes with the hold on it, which whoever holds the exchange keeps.
    pub(crate) fn new(body: &Given, leg: &Arc<Leg>) -> (Self, Option<Sending>) {
        match body.as_stream() {
            Some(once) => {
                let (upload, sending) = Upload::new(once, Arc::clone(leg));
                (Self(Outgoing::Stream(Box::new(upload))), Some(sending))
            }
            None => {
                let rest = body.as_bytes().cloned().unwrap_or_default();
                (Self(Outgoing::Bytes { rest, leg: Arc::clone(leg) }), None)
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Outgoing::Bytes { rest, .. } if rest.is_empty() => Poll::Ready(None),
            Outgoing::Bytes { rest, leg } => {
                let length = rest.len().min(PIECE);
                let piece = rest.split_to(length);
                leg.sent_some();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Outgoing::Stream(upload) => {
                upload.poll_piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Outgoing::Bytes { rest, .. } => rest.is_empty(),
            Outgoing::Stream(upload) => upload.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Outgoing::Bytes { rest, .. } => SizeHint::with_exact(rest.len() as u64),
            Outgoing::Stream(upload) => upload.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// What is known to be left of a body whose reader has gone is drained up to this length, in bytes, so that its
/// connection can serve again.
pub(crate) const DRAIN: u64 = 64 << 10;
/// And for no longer than this.
const DRAIN_TIME: Duration = Duration::from_millis(40);

/// The body of a reply. At its end the connection goes back to the pool; dropped before, the connection is
/// closed, or drained if little is left.
pub(crate) struct HttpBody {
    incoming: Option<Incoming>,
    hold: Option<Hold>,
    spawn: Arc<dyn Spawn>,
    over: bool,
}

/// What a body keeps from others until it ends: its connection and its place at the host's gate, and the request's
/// body if that may still be on its way.
pub(super) struct Hold {
    pub(super) lease: Lease,
    pub(super) permit: Permit,
    pub(super) sending: Option<Sending>,
}

impl Hold {
    /// Whether the stream that was to be sent still gives. Then the connection is closed rather than given back.
    fn is_sending(&self) -> bool {
        self.sending.as_ref().is_some_and(|sending| !sending.is_over())
    }

    /// First the connection, then the permit: who gets the permit finds the connection.
    fn give_back(self) {
        if self.is_sending() {
            return;
        }
        self.lease.give_back();
        drop(self.permit);
    }
}

impl HttpBody {
    pub(super) fn new(incoming: Incoming, hold: Hold, spawn: Arc<dyn Spawn>) -> Self {
        let mut body = Self { incoming: Some(incoming), hold: Some(hold), spawn, over: false };
        body.end_if_over();
        body
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        match std::task::ready!(Pin::new(incoming).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Some(common) = self.hold.as_ref().and_then(|hold| hold.lease.common()) {
                    common.io.went_on();
                }
                self.end_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(cause)) => {
                self.over = true;
                self.incoming = None;
                // A stream that failed takes the connection with it.
                let own = self.hold.take().and_then(|mut hold| {
                    hold.permit.mark(Left::Unreached);
                    hold.sending?.failure()
                });
                Poll::Ready(Some(Err(own.unwrap_or_else(|| fault::body(cause)))))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// What is to be said of the host at the body's end.
    pub(crate) fn mark(&mut self, left: Left) {
        if let Some(hold) = &mut self.hold {
            hold.permit.mark(left);
        }
    }

    /// Bytes that are still to come, if known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.incoming.as_ref().map_or(Some(0), |incoming| incoming.size_hint().exact())
    }

    fn end_if_over(&mut self) {
        if self.incoming.as_ref().is_some_and(Body::is_end_stream) {
            self.end();
        }
    }

    fn end(&mut self) {
        self.over = true;
        self.incoming = None;
        if let Some(hold) = self.hold.take() {
            hold.give_back();
        }
    }
}

impl std::fmt::Debug for HttpBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpBody").field("left", &self.left()).field("over", &self.over).finish()
    }
}

impl Drop for HttpBody {
    fn drop(&mut self) {
        let (Some(incoming), Some(hold)) = (self.incoming.take(), self.hold.take()) else { return };
        let little_is_left = incoming.size_hint().exact().is_some_and(|left| left <= DRAIN);
        if little_is_left && hold.lease.is_exclusive() && !hold.is_sending() {
            self.spawn.spawn(Box::pin(drain(incoming, hold)));
        }
    }
}

/// Reads a body to its end for its connection's sake.
async fn drain(mut incoming: Incoming, hold: Hold) {
    let whole = async {
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    if tokio::time::timeout(DRAIN_TIME, whole).await == Ok(true) {
        hold.give_back();
    }
}

/// The phase that a request begins its exchange in.
pub(crate) fn opening_phase(body: &Given) -> Phase {
    if body.is_empty() { Phase::Wait } else { Phase::Send }
}
