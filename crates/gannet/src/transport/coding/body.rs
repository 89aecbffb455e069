//! A body on the wire with its content codings taken off as it is read. What came over the wire is counted and
//! checked against the announced length here, since nobody behind sees it.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Decoder, Step};
use crate::error::{Error, ErrorKind, Phase};
use crate::permit::Left;
use crate::transport::WireBody;

/// Pieces that are given out in a row, 1 MiB in all, before others have a right to the thread.
const RUN: u32 = 16;

/// A body that is decoded as it is read.
#[derive(Debug)]
pub(crate) struct Decoded {
    wire: WireBody,
    decoder: Decoder,
    /// The length on the wire that the head announced.
    promised: Option<u64>,
    received: u64,
    /// Bytes of the wire that nobody has heard of yet.
    unheard: usize,
    run: u32,
    over: bool,
}

impl Decoded {
    /// Of a body whose first chunk was taken from the wire already.
    pub(crate) fn new(decoder: Decoder, wire: WireBody, first: Bytes, promised: Option<u64>) -> Self {
        let mut body = Self { wire, decoder, promised, received: 0, unheard: 0, run: 0, over: false };
        body.feed(first);
        body
    }

    /// The next piece, `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.run == RUN {
            return self.pause(cx);
        }
        loop {
            match self.decoder.step() {
                Ok(Step::Piece(piece)) => {
                    self.run += 1;
                    return Poll::Ready(Some(Ok(piece)));
                }
                Ok(Step::Hungry) => {}
                Ok(Step::Pause) => return self.pause(cx),
                Ok(Step::Done) => {
                    self.over = true;
                    return Poll::Ready(None);
                }
                Err(error) => return self.fail(error),
            }
            match self.wire.poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => self.feed(chunk),
                Poll::Ready(Some(Err(error))) => return self.fail(error),
                Poll::Ready(None) => match self.promised {
                    Some(promised) if promised != self.received => {
                        let message =
                            format!("the body has {} bytes, {promised} were announced", self.received);
                        return self.fail(Error::new(ErrorKind::BodyTruncated, Phase::Verify, message));
                    }
                    _ => self.decoder.end(),
                },
                Poll::Pending => {
                    self.run = 0;
                    return Poll::Pending;
                }
            }
        }
    }

    /// What is to be said of the host at the body's end.
    pub(crate) fn mark(&mut self, left: Left) {
        self.wire.mark(left);
    }

    /// Whether [`poll_piece`](Self::poll_piece) has given all.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The bytes that came over the wire since this was asked last.
    pub(crate) fn take_received(&mut self) -> usize {
        std::mem::take(&mut self.unheard)
    }

    fn feed(&mut self, chunk: Bytes) {
        self.received += chunk.len() as u64;
        self.unheard += chunk.len();
        self.decoder.feed(chunk);
    }

    fn pause(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.run = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.over = true;
        Poll::Ready(Some(Err(error)))
    }
}
