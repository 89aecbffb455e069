//! What a fetch tells of its hosts, and what it is told of them: how long they were silent, whether hedges won, and
//! when there is news that makes a hedge due. Nothing is decided here.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;

use super::Rest;
use crate::Moment;
use crate::engine::errand::Limits;
use crate::engine::job::late::{Answer, Asking};
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::WhyStarted;
use crate::policy::budget::Extra;
use crate::policy::fetch::{Fact, StopReason};
use crate::policy::hedge::Hedged;
use crate::policy::latency::Heard;

/// Where a hedge waits for news alone, how often it looks whether what held it back is over: a cool-down, hedges that
/// do not pay, an empty purse.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How a fetch hears of news.
#[derive(Default)]
pub(super) struct Listening {
    /// The usual time of this mirror's host becomes known; allocated only by those that wait for it.
    host: Option<(u32, Pin<Box<OwnedNotified>>)>,
    pub(super) look_at: Option<Moment>,
    /// For the job's news.
    waker: Option<Waker>,
    news: News,
}

/// Whether the job has news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum News {
    #[default]
    None,
    Some,
}

/// What a stopped attempt says of its host.
///
/// Time that was over for the fetch alone is a limit of its silence; when all of a job's was, it says nothing.
pub(super) fn of_stopped(why: StopReason, limits: Limits) -> Option<Heard> {
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

impl<A> Rest<A> {
    /// A retry waits for the purse; it holds nothing meanwhile.
    pub(super) fn park(&mut self, mirror: u32) {
        let late = self.errand.late.as_ref().expect("only fetches of a job are told to wait for the purse");
        self.asks.push(late.wait(self.met.of(&self.errand, mirror), mirror));
    }

    /// Tells the machine what it waits for, beside attempts and time; whether there was anything.
    pub(super) fn has_heard(&mut self, cx: &mut Context<'_>, now: Moment) -> bool {
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
            self.tell_machine(fact, now);
            heard = true;
        }
        if self.has_news(cx, now) {
            self.tell_machine(Fact::Advised, now);
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
            self.tell_machine(fact, now);
        }
        told
    }

    /// Whether there is news for a hedge that waits for it; else the task is woken by it.
    fn has_news(&mut self, cx: &mut Context<'_>, now: Moment) -> bool {
        let Some(after) = self.errand.plan.hedge else { return false };
        if std::mem::take(&mut self.listening.news) == News::Some {
            return true;
        }
        if after.is_learned() && self.errand.late.is_some() {
            self.listening.keep(cx.waker());
        }
        let Some(mirror) = self.machine.awaits_advice() else {
            (self.listening.host, self.listening.look_at) = (None, None);
            return false;
        };
        let empty = self.machine.is_unhedged() && self.errand.core.purse.balance(Extra::Hedge) == Some(0);
        let look_at = *self.listening.look_at.get_or_insert(now + LOOK_AGAIN);
        if look_at <= now {
            self.listening.look_at = Some(now + LOOK_AGAIN);
            if !empty {
                return true;
            }
        }
        match &mut self.listening.host {
            Some((listened, advised)) if *listened == mirror => {
                let ready = advised.as_mut().poll(cx).is_ready();
                if ready {
                    self.listening.host = None;
                }
                ready
            }
            _ if !after.is_learned() || self.machine.is_unhedged() => false,
            _ => {
                let host = self.met.of(&self.errand, mirror);
                self.listening.host = Some((mirror, Box::pin(host.advised())));
                // It may have come between the last look and now.
                true
            }
        }
    }
}

impl Listening {
    /// The job has news: all of its hedges look again.
    pub(super) fn tell(&mut self) {
        self.news = News::Some;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn keep(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}
