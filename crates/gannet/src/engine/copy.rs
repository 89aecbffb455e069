//! The leader's body on its way into a part: write, flush, verify the length, commit. One at a time for each fetch.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::attempt::{Goes, Led};
#[cfg(feature = "digests")]
use super::digests::ReadBack;
use super::fetch::parts::{Had, Place};
use crate::Moment;
#[cfg(feature = "digests")]
use crate::digest::Claim;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::{Got, ReplyHead};
use crate::permit::Left;
use crate::policy::classify::Brought;
use crate::policy::resume::leaves_good_bytes;
use crate::policy::speed::{Asking, Found, Lately, LowestSpeed};
use crate::sink::Part;
use crate::transport::Leg;

/// A body on its way into a part.
pub(crate) struct Copy {
    pub(crate) attempt: u32,
    leg: Arc<Leg>,
    led: Box<Led>,
    part: Option<Box<dyn Part>>,
    /// What a further attempt can go on by, if it can.
    known: Option<Box<crate::part::Part>>,
    /// How much of the body was there before.
    resumed_from: u64,
    limit: Option<u64>,
    waits_for: WaitsFor,
    lately: Lately,
    /// What its reply says of the whole.
    #[cfg(feature = "digests")]
    claims: Vec<Claim>,
    /// Where it has to be compared as a whole, since it comes in pieces.
    #[cfg(feature = "digests")]
    read_back: Option<Box<ReadBack>>,
}

/// What a copy has come to.
pub(crate) enum Copied {
    /// The body has its place.
    All(Box<Got>),
    /// What the server gave at once; the rest is to be asked for.
    Some,
}

/// What a copy that is pending waits for; a stall is the server's only while we ask it for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Wire,
    Sink,
}

impl Copy {
    pub(crate) fn new(attempt: u32, leg: Arc<Leg>, led: Box<Led>, place: Place, limit: Option<u64>) -> Self {
        let part = place.part;
        Self {
            attempt,
            leg,
            led,
            resumed_from: part.length(),
            part: Some(part),
            known: place.known,
            limit,
            waits_for: WaitsFor::Wire,
            lately: Lately::default(),
            #[cfg(feature = "digests")]
            claims: place.claims,
            #[cfg(feature = "digests")]
            read_back: place.read_back,
        }
    }

    /// Whether it comes too slowly, or when to look again. The time counts while the wire is waited for.
    pub(crate) fn speed(&mut self, lowest: &LowestSpeed, now: Moment) -> Found {
        let waits_for_wire = self.waits_for == WaitsFor::Wire && !self.leg.is_waiting_for_the_stream();
        let asking = if waits_for_wire { Asking::Yes } else { Asking::No };
        self.lately.look(lowest, self.leg.bytes(), now, asking)
    }

    /// Ready when the body has its final place, or will not get it, or the rest has to be asked for. `received` hears of
    /// each chunk's length.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut dyn FnMut(u64),
    ) -> Poll<Result<Copied, Error>> {
        loop {
            if matches!(self.led.goes, Goes::Complete { .. }) {
                break;
            }
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
        if self.is_cut() {
            return Poll::Ready(Ok(Copied::Some));
        }
        self.check_length()?;
        self.waits_for = WaitsFor::Sink;
        ready!(self.part_mut().poll_flush(cx))?;
        #[cfg(feature = "digests")]
        if let (Some(read_back), Some(part)) = (&mut self.read_back, &self.part) {
            ready!(read_back.poll(&**part, cx))?;
        }
        Poll::Ready(self.commit().map(|got| Copied::All(Box::new(got))))
    }

    /// Whether all came that the server would give at once, and more is to be had: it may give less than was asked for
    /// (RFC 9110, section 15.3.7).
    fn is_cut(&mut self) -> bool {
        let Goes::On { end, total, .. } = self.led.goes else { return false };
        total.is_none_or(|total| end < total) && self.part_mut().length() == end
    }

    /// What is known of the body so far, to ask for the rest.
    pub(crate) fn known(&mut self) -> Option<crate::part::Part> {
        let good = self.part_mut().length();
        let mut known = self.known.as_deref().cloned()?;
        if let Goes::On { total: Some(total), .. } = self.led.goes {
            known.total = Some(total);
        }
        Some(crate::part::Part { good, ..known })
    }

    /// Goes on with the rest that was asked for; `false` if it is none.
    pub(crate) fn goes_on(&mut self, led: Box<Led>) -> bool {
        let follows = led.goes != Goes::Anew;
        if follows {
            self.led = led;
        }
        follows
    }

    /// Where the bytes lie that a later run would find, with what is known of them.
    pub(crate) fn on_disk(&self) -> Option<(u64, &crate::part::OnDisk, &crate::part::Part)> {
        let (good, on_disk) = self.part.as_ref()?.on_disk()?;
        Some((good, on_disk, self.known.as_deref()?))
    }

    /// What stays of it for a further attempt, if there is anything to go on by.
    pub(crate) fn into_had(mut self, mirror: u32) -> Option<Had> {
        let known = self.known()?;
        let part = self.part.take()?;
        Some(Had {
            part,
            known,
            mirror,
            reply: Some(self.led.reply.take()),
            #[cfg(feature = "digests")]
            claims: self.claims,
        })
    }

    /// Whether it is of use to a further attempt, or to a later run.
    pub(crate) fn is_worth_keeping(&self, is_good: bool) -> bool {
        let part = self.part.as_ref().filter(|_| is_good && self.known.is_some());
        part.is_some_and(|part| {
            let length = part.length();
            length > 0 && self.led.promised.is_none_or(|promised| length <= promised)
        })
    }

    /// Whether it comes in one piece.
    pub(crate) fn brought(&self) -> Brought {
        if self.resumed_from > 0 { Brought::InPieces } else { Brought::AtOnce }
    }

    /// It is of no use to a further attempt.
    pub(crate) fn discard(self) {
        if let Some(part) = self.part {
            part.discard();
        }
    }

    /// It goes on with what an earlier attempt has brought, whose reply tells more of the body.
    pub(crate) fn with_head(mut self, head: Option<ReplyHead>) -> Self {
        if let (Goes::Complete { .. }, Some(head)) = (self.led.goes, head) {
            self.led.reply = head;
        }
        self
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

    /// Whether a further attempt could still bring the body: no byte has left our hands, or there is something to go
    /// on by.
    pub(crate) fn is_mendable(&self, error: &Error) -> bool {
        let goes_on = self.known.is_some() && leaves_good_bytes(error.kind());
        goes_on || self.part.as_ref().is_none_or(|part| part.restartable())
    }

    fn check_length(&mut self) -> Result<(), Error> {
        let length = self.part_mut().length();
        match self.led.promised {
            Some(promised) if length != promised => {
                let message = format!("the body has {length} bytes, {promised} were announced");
                Err(Error::new(ErrorKind::BodyTruncated, Phase::Verify, message))
            }
            _ => Ok(()),
        }
    }

    fn commit(&mut self) -> Result<Got, Error> {
        let part = self.part.take().expect("a part is committed once");
        let mut receipt = part.commit()?;
        receipt.resumed_from = self.resumed_from;
        Ok(Got {
            reply: self.led.reply.take(),
            receipt,
            unchanged: None,
            #[cfg(feature = "digests")]
            digests: match self.read_back.take() {
                Some(read_back) => read_back.into_computed(),
                None => self.led.body.take_computed(),
            },
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
