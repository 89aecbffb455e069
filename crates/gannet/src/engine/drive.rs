//! The driver: carries out a machine's orders on attempts of any kind, tells it what happened, and keeps its time.
//! Fetches and calls both run under it. It owns the attempts; dropping it stops all of them. No decision is made here.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::timer::Timer;
use crate::Moment;
use crate::clock::Clock;
use crate::outcome::WhyStarted;
use crate::policy::fetch::{Fact, Failure, Machine, Order, StopReason, Verdict};

pub(super) use news::{Listening, News};

mod news;

/// What is driven: what its attempts are made of, what they bring, and what is left when all is over.
pub(super) trait Work {
    /// One attempt under way. Dropping it stops it.
    type Attempt;
    /// Something that an attempt brought.
    type Brought;
    type Settled;

    fn clock(&self) -> Clock;

    fn machine(&self) -> &Machine;

    fn machine_mut(&mut self) -> &mut Machine;

    /// Tells the machine of a fact, with the means that it may draw on.
    fn tell(&mut self, fact: Fact, now: Moment);

    /// It is polled for the first time.
    fn begins(&mut self, now: Moment) {
        self.tell(Fact::Began, now);
    }

    /// Makes an attempt; it is polled soon after.
    fn start(&mut self, attempt: u32, mirror: u32, why: WhyStarted, now: Moment) -> Self::Attempt;

    fn poll_attempt(
        &mut self,
        attempt: u32,
        future: Pin<&mut Self::Attempt>,
        cx: &mut Context<'_>,
    ) -> Poll<Self::Brought>;

    /// Polls what goes on after an attempt's future has ended, if anything does.
    fn poll_leader(&mut self, _cx: &mut Context<'_>) -> Poll<(u32, Self::Brought)> {
        Poll::Pending
    }

    /// Turns what an attempt brought into facts, and tells them.
    fn happened(&mut self, attempt: u32, brought: Self::Brought, now: Moment);

    /// The machine stops an attempt, which is dropped after this.
    fn stopped(&mut self, attempt: u32, why: StopReason, now: Moment);

    /// Tells the machine of anything beside attempts and time; whether there was something.
    fn has_heard(&mut self, cx: &mut Context<'_>, now: Moment) -> bool;

    /// What its own limits say of the attempts in flight, beside the machine's deadline.
    fn limits(&mut self, _now: Moment) -> Limits {
        Limits::LookAt(None)
    }

    /// A retry at `mirror` waits for the purse.
    fn park(&mut self, mirror: u32);

    /// The retry at `mirror` waits no more.
    fn unpark(&mut self, mirror: u32);

    /// All is over, and nothing is in flight. `None` if something is left to do, by [`poll_last`](Self::poll_last).
    fn settle(&mut self, verdict: Verdict, now: Moment) -> Option<Self::Settled>;

    /// Does what is left after the verdict; `None` as long as there is no verdict.
    fn poll_last(&mut self, _cx: &mut Context<'_>, _timer: &mut Timer) -> Option<Poll<Self::Settled>> {
        None
    }

    /// It is stopped in the midst of [`poll_last`](Self::poll_last).
    fn stop_last(&mut self, _now: Moment) -> Option<Self::Settled> {
        None
    }

    /// Nothing more can be done until the task is woken.
    fn waits(&mut self) {}
}

/// What the limits of the work itself say.
pub(super) enum Limits {
    /// An attempt has lasted too long, and failed of it; it is dropped before the machine is told.
    Over { attempt: u32, failure: Failure },
    /// When to look again.
    LookAt(Option<Moment>),
}

/// What happens to one piece of work before others get the thread.
const EVENTS_A_POLL: usize = 256;

pin_project! {
    /// Work under way, and its attempts.
    pub(super) struct Drive<W, A> {
        // The first attempt runs inline; it is rarely followed by another.
        #[pin]
        first: Option<A>,
        others: Vec<(u32, Pin<Box<A>>)>,
        timer: Timer,
        begun: bool,
        work: W,
    }
}

impl<W, A> Drive<W, A> {
    /// Lazy until polled.
    pub(super) fn new(work: W) -> Self {
        Self { first: None, others: Vec::new(), timer: Timer::default(), begun: false, work }
    }

    pub(super) fn work(&self) -> &W {
        &self.work
    }

    pub(super) fn work_mut(self: Pin<&mut Self>) -> &mut W {
        self.project().work
    }
}

impl<W: Work> Drive<W, W::Attempt> {
    /// The caller stops it: all attempts end now, and it settles.
    pub(super) fn stop(mut self: Pin<&mut Self>) -> W::Settled {
        let work = self.as_mut().work_mut();
        let now = work.clock().now();
        if let Some(settled) = work.stop_last(now) {
            return settled;
        }
        work.tell(Fact::Cancelled, now);
        self.carry_out(now).expect("what is cancelled settles at once")
    }

    /// Carries out what the machine has ordered; `Some` when all is over.
    fn carry_out(mut self: Pin<&mut Self>, now: Moment) -> Option<W::Settled> {
        loop {
            let orders = self.as_mut().work_mut().machine_mut().take_orders();
            if orders.is_empty() {
                return None;
            }
            for order in orders {
                match order {
                    Order::Start { attempt, mirror, why } => self.as_mut().start(attempt, mirror, why, now),
                    Order::Stop { attempt, why } => {
                        self.as_mut().work_mut().stopped(attempt, why, now);
                        self.as_mut().drop_attempt(attempt);
                    }
                    Order::Park { mirror } => self.as_mut().work_mut().park(mirror),
                    Order::Unpark { mirror } => self.as_mut().work_mut().unpark(mirror),
                    Order::Settle(verdict) => return self.work_mut().settle(verdict, now),
                }
            }
        }
    }

    fn start(self: Pin<&mut Self>, attempt: u32, mirror: u32, why: WhyStarted, now: Moment) {
        let mut this = self.project();
        let future = this.work.start(attempt, mirror, why, now);
        if this.first.is_none() && attempt == 0 {
            this.first.set(Some(future));
        } else {
            this.others.push((attempt, Box::pin(future)));
        }
    }

    fn drop_attempt(self: Pin<&mut Self>, attempt: u32) {
        let mut this = self.project();
        if attempt == 0 {
            this.first.set(None);
        }
        this.others.retain(|(number, _)| *number != attempt);
    }

    /// Polls all that is under way; `Some` is the first thing that happened.
    fn poll_running(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<(u32, W::Brought)> {
        let mut this = self.project();
        let work = this.work;
        if let Poll::Ready(brought) = work.poll_leader(cx) {
            return Some(brought);
        }
        let first = this.first.as_mut().as_pin_mut().map(|first| work.poll_attempt(0, first, cx));
        if let Some(Poll::Ready(brought)) = first {
            this.first.set(None);
            return Some((0, brought));
        }
        for index in 0..this.others.len() {
            let (attempt, future) = &mut this.others[index];
            let attempt = *attempt;
            if let Poll::Ready(brought) = work.poll_attempt(attempt, future.as_mut(), cx) {
                this.others.swap_remove(index);
                return Some((attempt, brought));
            }
        }
        None
    }
}

impl<W: Work> Future for Drive<W, W::Attempt> {
    type Output = W::Settled;

    /// On each poll I/O is tried before timers are judged.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Settled> {
        let clock = self.work.clock();
        let mut now = clock.now();
        if !std::mem::replace(self.as_mut().project().begun, true) {
            self.as_mut().work_mut().begins(now);
        }
        for _ in 0..EVENTS_A_POLL {
            if let Some(settled) = self.as_mut().carry_out(now) {
                return Poll::Ready(settled);
            }
            let this = self.as_mut().project();
            if let Some(last) = this.work.poll_last(cx, this.timer) {
                return last;
            }
            if let Some((attempt, brought)) = self.as_mut().poll_running(cx) {
                now = clock.now();
                self.as_mut().work_mut().happened(attempt, brought, now);
                continue;
            }
            let work = self.as_mut().work_mut();
            if work.has_heard(cx, now) {
                continue;
            }
            let look_at = match work.limits(now) {
                Limits::LookAt(at) => at,
                Limits::Over { attempt, failure } => {
                    self.as_mut().drop_attempt(attempt);
                    self.as_mut().work_mut().tell(Fact::Failed { attempt, failure }, now);
                    continue;
                }
            };
            let wake = self.work.machine().wake();
            if wake.is_some_and(|wake| wake <= now) {
                self.as_mut().work_mut().tell(Fact::Woke, now);
                continue;
            }
            let at = [wake, look_at].into_iter().flatten().min();
            let this = self.as_mut().project();
            if this.timer.poll(cx, &clock, at).is_pending() {
                this.work.waits();
                return Poll::Pending;
            }
            now = clock.now();
        }
        // Attempts that end at once, without delay or bound, leave the thread to others from time to time.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
