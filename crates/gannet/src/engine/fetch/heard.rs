//! What a fetch tells of its hosts, and what it is told of them: how long they were silent, whether hedges won, and
//! when there is news that makes a hedge due. Nothing is decided here.

use std::task::{Context, Poll};

use super::{Attempting, Rest};
use crate::Moment;
use crate::engine::drive::{News, Work as _};
use crate::engine::errand::Limits;
use crate::engine::job::late::{Answer, Asking};
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::WhyStarted;
use crate::policy::fetch::{Fact, StopReason};
use crate::policy::hedge::Hedged;
use crate::policy::latency::Heard;

/// What a stopped attempt says of its host.
///
/// Time that was over for the fetch alone is a limit of its silence; when all of a job's was, it says nothing.
pub(in crate::engine) fn of_stopped(why: StopReason, limits: Limits) -> Option<Heard> {
    match (why, limits.item) {
        (StopReason::Superseded, _) => Some(Heard::Superseded),
        (StopReason::Deadline, Some(item)) if limits.job.is_none_or(|job| item < job) => {
            Some(Heard::TimedOut)
        }
        (StopReason::Deadline | StopReason::Cancelled | StopReason::Pointless, _) => None,
    }
}

/// What a failed attempt says of its host.
pub(super) fn of_failed(error: &Error) -> Heard {
    match error.kind() {
        ErrorKind::FirstByteTimeout | ErrorKind::ConnectTimeout => Heard::TimedOut,
        _ => Heard::Failed,
    }
}

impl<A: Attempting> Rest<A> {
    /// Tells the machine what it waits for, beside attempts and time; whether there was anything.
    pub(super) fn has_heard_of(&mut self, cx: &mut Context<'_>, now: Moment) -> bool {
        let mut heard = self.note_places(now);
        let answered = |(place, ask): (usize, &Asking)| match ask.poll(cx.waker()) {
            Poll::Ready(answer) => Some((place, answer)),
            Poll::Pending => None,
        };
        if let Some((place, answer)) = self.asks.iter().enumerate().find_map(answered) {
            let mirror = self.asks.swap_remove(place).mirror;
            let fact = match answer {
                Answer::Granted => Fact::Granted { mirror },
                Answer::GivenUp => Fact::GivenUp { mirror },
            };
            self.tell(fact, now);
            heard = true;
        }
        if self.has_news(cx, now) {
            self.tell(Fact::Advised, now);
            heard = true;
        }
        heard
    }

    /// An attempt has led, or ended without.
    pub(super) fn heard(&self, attempt: u32, heard: Heard, now: Moment) {
        let Some(leg) = self.book.leg(attempt) else { return };
        if heard != Heard::Led && leg.standing().0 == Phase::Body {
            // It was heard when it led.
            return;
        }
        let Some(silence) = leg.silence(now) else { return };
        let is_hedge = self.book.why(attempt) == Some(WhyStarted::Hedge);
        if heard == Heard::Failed && !is_hedge {
            return;
        }
        let host = self.met.of(&self.errand, self.book.mirror(attempt));
        if self.machine.is_repeatable() {
            host.heard(heard, silence, now);
        }
        if is_hedge {
            host.hedged(if heard == Heard::Led { Hedged::Won } else { Hedged::Lost }, now);
        }
    }

    /// Tells the machine of attempts that got their places or queue again; whether there was one.
    fn note_places(&mut self, now: Moment) -> bool {
        if self.errand.plan.hedge.is_none() {
            return false;
        }
        let mut told = false;
        while let Some((attempt, phase)) = self.book.moved_place() {
            told = true;
            let fact = match phase {
                Phase::Queue => Fact::Queued { attempt },
                _ => Fact::Entered { attempt },
            };
            self.tell(fact, now);
        }
        told
    }

    /// Whether there is news for a hedge that waits for it; else the task is woken by it.
    fn has_news(&mut self, cx: &mut Context<'_>, now: Moment) -> bool {
        let Self { errand, machine, met, listening, .. } = self;
        let Some(after) = errand.plan.hedge else { return false };
        if listening.take_told() == News::Some {
            return true;
        }
        if after.is_learned() && errand.late.is_some() {
            listening.keep(cx.waker());
        }
        let advised = |mirror| met.of(errand, mirror).advised();
        listening.has_news(cx, now, machine, (after, &errand.core.purse), advised)
    }
}
