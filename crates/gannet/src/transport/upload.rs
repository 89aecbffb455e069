//! A streamed body on its way out: who holds the exchange can stop it, what the stream owes of its length is checked,
//! and the leg hears whether the stream or the wire is waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;

use super::Leg;
use super::body::PIECE;
use crate::error::{Error, ErrorKind, Phase};
use crate::request::body::{Body, Once, Source};

/// Empty pieces that are passed over before others get a turn.
const EMPTY_PIECES: usize = 32;

/// A streamed body, as the wire takes it.
pub(crate) struct Upload {
    shared: Arc<Shared>,
    leg: Arc<Leg>,
    /// The redirects that were followed before this exchange.
    hop: usize,
    source: Option<Source>,
    /// Received of the stream, and not yet handed over.
    rest: Bytes,
    /// What the stream still owes.
    owed: Option<u64>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No byte was asked for.
    Untouched,
    Flowing,
    /// The stream has ended as it had to.
    Ended,
    Broken,
}

/// The hold of an exchange on the body that it sends. Dropping it stops the body, and the stream is dropped.
pub(crate) struct Sending(Arc<Shared>);

struct Shared {
    once: Arc<Once>,
    stopped: AtomicBool,
    sent: AtomicBool,
    waker: AtomicWaker,
    failure: Mutex<Option<Error>>,
}

impl Upload {
    pub(crate) fn new(once: &Arc<Once>, leg: Arc<Leg>) -> (Self, Sending) {
        let shared = Arc::new(Shared {
            once: Arc::clone(once),
            stopped: AtomicBool::new(false),
            sent: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            failure: Mutex::new(None),
        });
        let upload = Self {
            shared: Arc::clone(&shared),
            hop: leg.hop_count(),
            leg,
            source: None,
            rest: Bytes::new(),
            owed: once.length(),
            stage: Stage::Untouched,
        };
        (upload, Sending(shared))
    }

    /// The next piece of at most 64 KiB, `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.shared.waker.register(cx.waker());
        if self.shared.stopped.load(Ordering::Acquire) {
            return self.fail(stopped());
        }
        if self.stage == Stage::Untouched {
            match self.shared.take() {
                Ok(source) => self.source = Some(source),
                Err(error) => return self.fail(error),
            }
            self.stage = Stage::Flowing;
        }
        for _ in 0..EMPTY_PIECES {
            if let Some(piece) = self.cut_piece() {
                self.leg.sent_some();
                return Poll::Ready(Some(Ok(piece)));
            }
            let Some(source) = &mut self.source else { return Poll::Ready(None) };
            match source.as_mut().poll_next(cx) {
                Poll::Pending => {
                    self.leg.waits_for_the_stream(self.hop);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(piece))) => {
                    if let Err(error) = self.receive(piece) {
                        return self.fail(error);
                    }
                }
                Poll::Ready(Some(Err(cause))) => {
                    let message = format!("the body's stream failed: {cause}");
                    let error = Error::new(ErrorKind::BadRequest, Phase::Send, message);
                    return self.fail(error.caused_by_boxed(cause));
                }
                Poll::Ready(None) => {
                    if let Some(owed) = self.owed.filter(|owed| *owed > 0) {
                        return self.fail(bad(&format!("ended {owed} bytes before its length")));
                    }
                    self.source = None;
                    self.stage = Stage::Ended;
                    self.leg.sent_some();
                    self.note_end();
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// What may be handed over now. The last bytes of a known length wait for the stream's end: it might give more.
    fn cut_piece(&mut self) -> Option<Bytes> {
        let waits = self.owed == Some(0) && self.stage == Stage::Flowing;
        if self.rest.is_empty() || waits {
            return None;
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.note_end();
        Some(piece)
    }

    fn receive(&mut self, piece: Bytes) -> Result<(), Error> {
        if let Some(owed) = self.owed {
            let more = || bad("gave more bytes than its length");
            self.owed = Some(owed.checked_sub(piece.len() as u64).ok_or_else(more)?);
        }
        if self.rest.is_empty() {
            self.rest = piece;
        } else if !piece.is_empty() {
            unreachable!("the stream is asked when nothing is left, or for its end");
        }
        Ok(())
    }

    fn note_end(&self) {
        if self.is_over() {
            self.shared.sent.store(true, Ordering::Release);
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.source = None;
        self.rest = Bytes::new();
        self.stage = Stage::Broken;
        // From here on the reply is waited for, if anything is.
        self.leg.sent_some();
        *self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        Poll::Ready(Some(Err(error)))
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Ended && self.rest.is_empty()
    }

    /// Bytes that are still to go out, if known.
    pub(super) fn left(&self) -> Option<u64> {
        self.owed.map(|owed| owed + self.rest.len() as u64)
    }
}

impl Sending {
    /// Whether all of the body was handed over.
    pub(crate) fn is_over(&self) -> bool {
        self.0.sent.load(Ordering::Acquire)
    }

    /// Why the body broke off by its own fault, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

impl Shared {
    /// An exchange that has ended takes nothing.
    fn take(&self) -> Result<Source, Error> {
        let source = self.once.take(|| self.stopped.load(Ordering::Acquire));
        source.ok_or_else(|| if self.stopped.load(Ordering::Acquire) { stopped() } else { Body::spent() })
    }
}

/// All of a body in memory, at most `limit` bytes of it.
///
/// # Cancel safety
/// Dropping it drops the stream, of which nothing can be sent any more.
pub(crate) async fn whole(body: &Body, leg: &Arc<Leg>, limit: u64) -> Result<Bytes, Error> {
    let once = match (body.as_bytes(), body.as_stream()) {
        (Some(bytes), _) => return Ok(bytes.clone()),
        (None, Some(once)) => once,
        (None, None) => return Ok(Bytes::new()),
    };
    let (mut upload, _sending) = Upload::new(once, Arc::clone(leg));
    let mut whole = BytesMut::new();
    while let Some(piece) = std::future::poll_fn(|cx| upload.poll_piece(cx)).await {
        let piece = piece?;
        if (whole.len() + piece.len()) as u64 > limit {
            let message = format!(
                "a custom transport is given whole bodies, and this stream is over the limit of {limit} bytes \
                 (max_memory)"
            );
            return Err(Error::new(ErrorKind::BadRequest, Phase::Send, message));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::BadRequest, Phase::Send, format!("the body's stream {what}"))
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, Phase::Send, "the exchange had ended")
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("stage", &self.stage)
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}
