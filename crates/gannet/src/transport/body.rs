//! Bodies in both directions: the request's bytes in pieces, the reply's with the connection that it holds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Lease;
use super::{Leg, Spawn, fault};
use crate::error::{Error, Phase};

/// How much of a request's body is handed over at once, in bytes.
const PIECE: usize = 64 << 10;

/// The body of a request; the leg hears of each piece that goes out.
#[derive(Debug)]
pub(crate) struct RequestBody {
    rest: Bytes,
    leg: Arc<Leg>,
}

impl RequestBody {
    pub(crate) fn new(rest: Bytes, leg: Arc<Leg>) -> Self {
        Self { rest, leg }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.leg.sent_some();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
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

/// What a body keeps from others until it ends: its connection and its place at the host's gate.
struct Hold {
    lease: Lease,
    permit: Permit,
}

/// A place at a gate, given back when dropped.
pub(crate) struct Permit(Arc<dyn Gatekeeper>);

/// Who takes a place back.
pub(crate) trait Gatekeeper: Send + Sync {
    /// One place is free again.
    fn leave(&self);
}

impl Permit {
    pub(crate) fn new(keeper: Arc<dyn Gatekeeper>) -> Self {
        Self(keeper)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl HttpBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease, permit: Permit, spawn: Arc<dyn Spawn>) -> Self {
        let mut body =
            Self { incoming: Some(incoming), hold: Some(Hold { lease, permit }), spawn, over: false };
        body.end_if_over();
        body
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        match std::task::ready!(Pin::new(incoming).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.end_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(cause)) => {
                self.over = true;
                self.incoming = None;
                self.hold = None;
                Poll::Ready(Some(Err(fault::body(cause))))
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

    /// Bytes that are still to come, if known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.incoming.as_ref().map_or(Some(0), |incoming| incoming.size_hint().exact())
    }

    fn end_if_over(&mut self) {
        if self.incoming.as_ref().is_some_and(Body::is_end_stream) {
            self.end();
        }
    }

    /// First the connection, then the permit: who gets the permit finds the connection.
    fn end(&mut self) {
        self.over = true;
        self.incoming = None;
        if let Some(hold) = self.hold.take() {
            hold.lease.give_back();
            drop(hold.permit);
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
        if little_is_left && hold.lease.is_exclusive() {
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
        hold.lease.give_back();
    }
}

/// The phase that a request begins its exchange in.
pub(crate) fn opening_phase(body: &Bytes) -> Phase {
    if body.is_empty() { Phase::Wait } else { Phase::Send }
}
