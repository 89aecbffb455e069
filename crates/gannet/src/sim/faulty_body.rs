//! A body that goes wrong on its way, as [`Faults`](super::Faults) decided: cut, stalled or dripped. It keeps the
//! length that the server announced.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::Sleep;

use crate::error::Error;

/// How a body goes wrong.
#[derive(Debug)]
pub(super) enum Break {
    /// It ends with this error.
    Cut(Error),
    /// It stands still.
    Stall,
    /// It comes in small pieces, each after a pause.
    Drip { piece: usize, every: Duration },
}

/// A body that goes wrong.
#[derive(Debug)]
pub(super) struct FaultyBody {
    inner: UnsyncBoxBody<Bytes, Error>,
    how: Break,
    /// Bytes until it breaks.
    left: u64,
    /// Came from the server, not yet given.
    held: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
}

/// The length that is taken for a body which announces none, in bytes.
const UNKNOWN: u64 = 1_000;

impl FaultyBody {
    /// `at` is where it breaks, in thousandths of its length.
    pub(super) fn new(inner: UnsyncBoxBody<Bytes, Error>, how: Break, at: u16) -> Self {
        let length = inner.size_hint().exact().unwrap_or(UNKNOWN);
        let left = match how {
            Break::Drip { .. } => u64::MAX,
            // Rounded down, so that the last byte never comes.
            Break::Cut(_) | Break::Stall => (u128::from(length) * u128::from(at) / 1_000) as u64,
        };
        Self { inner, how, left, held: Bytes::new(), pause: None }
    }

    fn longest(&self) -> usize {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        if let Break::Drip { piece, .. } = self.how { left.min(piece) } else { left }
    }
}

impl Body for FaultyBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let is_drip = matches!(self.how, Break::Drip { .. });
            if self.left == 0 {
                let Break::Cut(error) = &self.how else { return Poll::Pending };
                return Poll::Ready(Some(Err(error.clone())));
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
                let longest = self.longest().min(self.held.len());
                let piece = self.held.split_to(longest);
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.held.is_empty() {
                match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => self.held = data,
                        // Trailers: there is nothing after them.
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    },
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None if is_drip => return Poll::Ready(None),
                    // Shorter than was taken for: it breaks at its end.
                    None => self.left = 0,
                }
                continue;
            }
            if let Break::Drip { every, .. } = self.how {
                self.pause = Some(Box::pin(tokio::time::sleep(every)));
                continue;
            }
            let longest = self.longest().min(self.held.len());
            self.left -= longest as u64;
            let piece = self.held.split_to(longest);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.how, Break::Drip { .. }) && self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.inner.size_hint().exact() {
            Some(left) => SizeHint::with_exact(left + self.held.len() as u64),
            None => SizeHint::default(),
        }
    }
}
