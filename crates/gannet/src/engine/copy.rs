//! The leader's body on its way into a part: write, flush, verify the length, commit. One at a time for each fetch.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::attempt::Led;
use crate::Moment;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::Got;
use crate::permit::Left;
use crate::policy::speed::{Asking, Found, Lately, LowestSpeed};
use crate::sink::Part;
use crate::transport::Leg;

/// A body on its way into a part.
pub(crate) struct Copy {
    pub(crate) attempt: u32,
    leg: Arc<Leg>,
    led: Box<Led>,
    part: Option<Box<dyn Part>>,
    limit: Option<u64>,
    waits_for: WaitsFor,
    lately: Lately,
}

/// What a copy that is pending waits for; a stall is the server's only while we ask it for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Wire,
    Sink,
}

impl Copy {
    pub(crate) fn new(
        attempt: u32,
        leg: Arc<Leg>,
        led: Box<Led>,
        part: Box<dyn Part>,
        limit: Option<u64>,
    ) -> Self {
        Self {
            attempt,
            leg,
            led,
            part: Some(part),
            limit,
            waits_for: WaitsFor::Wire,
            lately: Lately::default(),
        }
    }

    /// Whether it comes too slowly, or when to look again. The time counts while the wire is waited for.
    pub(crate) fn speed(&mut self, lowest: &LowestSpeed, now: Moment) -> Found {
        let waits_for_wire = self.waits_for == WaitsFor::Wire && !self.leg.is_waiting_for_the_stream();
        let asking = if waits_for_wire { Asking::Yes } else { Asking::No };
        self.lately.look(lowest, self.leg.bytes(), now, asking)
    }

    /// Ready when the body has its final place, or will not get it. `received` hears of each chunk's length.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut dyn FnMut(u64),
    ) -> Poll<Result<Got, Error>> {
        loop {
            if self.led.first.is_some() {
                self.waits_for = WaitsFor::Sink;
                ready!(self.part_mut().poll_ready(cx))?;
                let chunk = self.led.first.take().expect("a chunk is pending");
                self.heard(chunk.len(), received);
                self.check_limit(chunk.len())?;
                self.part_mut().write(chunk)?;
            }
            if self.led.body.is_over() {
                break;
            }
            self.waits_for = WaitsFor::Wire;
            let next = self.led.body.poll_chunk(cx);
            // A decoder takes in more than it gives out.
            self.heard(0, received);
            match ready!(next) {
                Some(chunk) => self.led.first = Some(chunk?),
                None => break,
            }
        }
        self.waits_for = WaitsFor::Sink;
        ready!(self.part_mut().poll_flush(cx))?;
        Poll::Ready(self.commit())
    }

    /// Counts what came over the wire, with a chunk of this length if there is one.
    fn heard(&mut self, chunk: usize, received: &mut dyn FnMut(u64)) {
        let came = self.led.body.wire_length(chunk);
        if came > 0 {
            received(came as u64);
        }
        if came > 0 || chunk > 0 {
            self.leg.moved(came);
        }
    }

    /// What the end of its body says of the host.
    pub(crate) fn mark(&mut self, left: Left) {
        self.led.body.mark(left);
    }

    pub(crate) fn waits_for(&self) -> WaitsFor {
        self.waits_for
    }

    /// Whether no byte of the body has left our hands.
    pub(crate) fn is_restartable(&self) -> bool {
        self.part.as_ref().is_none_or(|part| part.restartable())
    }

    fn commit(&mut self) -> Result<Got, Error> {
        let part = self.part.take().expect("a part is committed once");
        if let Some(promised) = self.led.promised
            && part.length() != promised
        {
            let message = format!("the body has {} bytes, {promised} were announced", part.length());
            return Err(Error::new(ErrorKind::BodyTruncated, Phase::Verify, message));
        }
        let receipt = part.commit()?;
        Ok(Got {
            reply: self.led.reply.take(),
            receipt,
            #[cfg(feature = "digests")]
            digests: self.led.body.take_computed(),
        })
    }

    fn check_limit(&mut self, more: usize) -> Result<(), Error> {
        let Some(limit) = self.limit else { return Ok(()) };
        if self.part_mut().length() + more as u64 > limit {
            Err(crate::sink::too_large(limit))
        } else {
            Ok(())
        }
    }

    fn part_mut(&mut self) -> &mut dyn Part {
        self.part.as_deref_mut().expect("a copy has its part until it is committed")
    }
}
