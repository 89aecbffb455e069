//! The body of a refused reply, which is kept on request once the machine has given up. It streams into the sink as any
//! body; the fetch ends in the same error whatever becomes of it. Whether a fetch gives up is not decided here.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::parts::Place;
use super::{Copy, Led, Rest, Settled, Waits, below, too_slow};
use crate::Moment;
use crate::engine::copy::{Copied, WaitsFor};
use crate::engine::errand::Keep;
use crate::engine::timer::Timer;
use crate::error::{Error, ErrorKind, Phase};
use crate::event::Event;
use crate::outcome::Got;
use crate::policy::fetch::Verdict;
use crate::policy::speed::Found;

/// The body of the last refused reply.
#[derive(Default)]
pub(super) enum Refused {
    #[default]
    None,
    /// It is not read as long as a further attempt may be made.
    Held { attempt: u32, led: Box<Led> },
    /// Its fetch has failed; it is on its way into the sink.
    Kept { verdict: Verdict, copy: Box<Copy> },
}

impl Refused {
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }
}

impl<A> Rest<A> {
    /// Begins to keep the refused body, if it is that of the attempt which `verdict` names; `false` if there is none,
    /// or no place for it.
    pub(super) fn begins_to_keep(&mut self, verdict: Verdict, now: Moment) -> bool {
        let held = std::mem::take(&mut self.refused);
        let (Refused::Held { attempt, led }, Verdict::GaveUp { attempt: last, .. }) = (held, verdict) else {
            return false;
        };
        let Keep::Whole(sink) = &self.errand.keep else { return false };
        let sink = Arc::clone(sink);
        if attempt != last {
            return false;
        }
        let limit = self.errand.plan.max_body;
        if let (Some(length), Some(limit)) = (led.promised, limit)
            && length > limit
        {
            self.mourn(crate::sink::too_large(limit));
            return false;
        }
        // What there is of the body itself goes before it.
        if !self.lets_go() {
            return false;
        }
        let (request, _) = self.errand.target(self.book.mirror(attempt));
        let part = match sink.begin(self.errand.seq, request, &led.reply) {
            Ok(part) => part,
            Err(error) => {
                self.mourn(error);
                return false;
            }
        };
        let leg = Arc::clone(self.book.leg(attempt).expect("a refused attempt was started"));
        leg.resume(Phase::Body, now);
        if let Some(tallies) = &self.errand.tallies {
            self.parking.note(tallies, Waits::ForOthers);
        }
        let copy = Box::new(Copy::new(attempt, leg, led, Place::of(part, None), limit));
        self.refused = Refused::Kept { verdict, copy };
        true
    }

    /// Ready when the refused body is kept, or will not be. The deadline and the stall's limit hold as for any body.
    pub(super) fn poll_refused(&mut self, cx: &mut Context<'_>, timer: &mut Timer) -> Poll<Settled> {
        let clock = self.errand.core.clock;
        loop {
            let Refused::Kept { copy, .. } = &mut self.refused else { unreachable!("a body is being kept") };
            let errand = &self.errand;
            let mut received = |bytes| errand.tell(&Event::Received { seq: errand.seq, bytes });
            if let Poll::Ready(result) = copy.poll(cx, &mut received) {
                let result = result.map(|copied| match copied {
                    Copied::All(got) => *got,
                    Copied::Some => unreachable!("a refused body is no range that was asked for"),
                });
                return Poll::Ready(self.end_refused(result, clock.now()));
            }
            let now = clock.now();
            let attempt = copy.attempt;
            let stall = errand.plan.stall;
            let moved = self.book.leg(attempt).map_or(now, |leg| leg.standing().1);
            let stalls = (copy.waits_for() == WaitsFor::Wire).then(|| moved + stall);
            let speed = errand.plan.lowest_speed.map(|lowest| (lowest, copy.speed(&lowest, now)));
            let slow = match speed {
                Some((lowest, Found::TooSlow)) => {
                    self.retire(attempt);
                    return Poll::Ready(self.end_refused(Err(below(&lowest)), now));
                }
                Some((_, Found::Fine { look_at })) => look_at,
                None => None,
            };
            let deadline = [errand.limits.job, errand.limits.item].into_iter().flatten().min();
            if stalls.is_some_and(|at| at <= now) {
                self.retire(attempt);
                return Poll::Ready(self.end_refused(Err(too_slow(Phase::Body, stall)), now));
            }
            if deadline.is_some_and(|at| at <= now) {
                let late = Error::new(ErrorKind::ItemDeadline, Phase::Body, "the deadline came");
                return Poll::Ready(self.end_refused(Err(late), now));
            }
            let at = [stalls, slow, deadline].into_iter().flatten().min();
            if timer.poll(cx, &clock, at).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Settles, with the body or without it.
    pub(super) fn end_refused(&mut self, result: Result<Got, Error>, now: Moment) -> Settled {
        let Refused::Kept { verdict, copy } = std::mem::take(&mut self.refused) else {
            unreachable!("a body was being kept")
        };
        self.book.went_on(copy.attempt, now);
        drop(copy);
        match result {
            Ok(got) => self.failure = self.failure.take().map(|error| error.kept(got.receipt)),
            Err(error) => self.mourn(error),
        }
        self.close(verdict, now)
    }

    /// A body that is not kept is said beside the status; an output that is gone for all comes before it.
    fn mourn(&mut self, lost: Error) {
        self.failure = self.failure.take().map(|status| {
            let url = status.url().map(Box::<str>::from);
            if lost.kind().ends_the_output() {
                let lost = url.map_or(lost.clone(), |url| lost.of_url(url));
                return lost.caused_by(status);
            }
            status.and(&format!("; its body was not kept: {}", lost.message()))
        });
    }
}
