//! Drives one fetch: carries out the machine's orders, tells it what happened, and keeps the books. It owns the
//! attempts and the part being written; dropping it stops all of them. No decision is made here.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::attempt::{self, Led, Place};
use super::book::Book;
use super::copy::Copy;
use super::errand::{Errand, Keep, Parking};
use super::job::late::Asking;
use super::timer::Timer;
use super::trace::Trace;
use crate::Moment;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase, shown};
use crate::event::{Event, Waits};
use crate::outcome::{Got, Record, WhyStarted, WhyStopped};
use crate::permit::Left;
use crate::policy::classify;
use crate::policy::fetch::{Fact, Machine, Means, Order, StopReason, Verdict};
use crate::policy::latency::Heard;
use crate::transport::Leg;
use crate::transport::leg::Ground;

use advice::{Adviser, Met};
use heard::Listening;
pub(crate) use look::Look;
use refused::Refused;
use words::{broken, too_slow};

pub(crate) use words::below;

mod advice;
mod heard;
mod limits;
mod look;
mod refused;
mod words;

/// What a settled fetch leaves.
pub(crate) struct Settled {
    pub(crate) end: Result<Prize, Error>,
    pub(crate) record: Record,
}

/// What a fetch was for.
pub(crate) enum Prize {
    Kept(Got),
    Head(Box<Led>, Arc<Leg>),
}

/// A fetch under way, whatever its attempts are made of.
pub(crate) trait Driven: Future<Output = Settled> {
    /// The caller stops it: all attempts end now, and it settles.
    fn stop(self: Pin<&mut Self>) -> Settled;

    /// Where it stands.
    fn look(&self) -> Look;

    /// Its job has come so far that its hedges may be due earlier.
    fn advise(self: Pin<&mut Self>);
}

/// Starts a fetch; lazy until polled.
pub(crate) fn drive(errand: Errand, place: Option<Place>, queued_at: Moment) -> Pin<Box<dyn Driven + Send>> {
    Box::pin(Drive::new(Arc::new(errand), attempt::lead, place, queued_at))
}

type Launch<A> = fn(Arc<Errand>, u32, Arc<Leg>, Place) -> A;

pin_project! {
    struct Drive<A> {
        launch: Launch<A>,
        // The first attempt runs inline; it is rarely followed by another.
        #[pin]
        first: Option<A>,
        rest: Rest<A>,
    }
}

/// All of a fetch but its first attempt's future.
struct Rest<A> {
    errand: Arc<Errand>,
    machine: Machine,
    others: Vec<(u32, Pin<Box<A>>)>,
    led: Option<(u32, Box<Led>)>,
    copy: Option<Copy>,
    got: Option<Got>,
    failure: Option<Error>,
    refused: Refused,
    book: Book,
    timer: Timer,
    place: Option<Place>,
    met: Met,
    begun: bool,
    parking: Parking,
    /// Retries that wait for the purse.
    asks: Vec<Asking>,
    listening: Listening,
    trace: Trace,
}

impl<A: Future<Output = Result<Box<Led>, Error>>> Drive<A> {
    fn new(errand: Arc<Errand>, launch: Launch<A>, place: Option<Place>, queued_at: Moment) -> Self {
        let rest = Rest {
            machine: Machine::new(errand.rules()),
            errand,
            others: Vec::new(),
            led: None,
            copy: None,
            got: None,
            failure: None,
            refused: Refused::None,
            book: Book::new(queued_at),
            timer: Timer::default(),
            met: Met::at(place.as_ref().map(|place| Arc::clone(&place.host))),
            place,
            begun: false,
            parking: Parking::default(),
            asks: Vec::new(),
            listening: Listening::default(),
            trace: Trace::default(),
        };
        Self { launch, first: None, rest }
    }

    fn clock(self: Pin<&mut Self>) -> Clock {
        self.project().rest.errand.core.clock
    }

    /// Carries out what the machine has ordered; `Some` when the fetch is over.
    fn carry_out(mut self: Pin<&mut Self>, now: Moment) -> Option<Settled> {
        loop {
            let orders = self.as_mut().project().rest.machine.take_orders();
            if orders.is_empty() {
                return None;
            }
            for order in orders {
                match order {
                    Order::Start { attempt, mirror, why } => self.as_mut().start(attempt, mirror, why, now),
                    Order::Stop { attempt, why } => self.as_mut().stop_attempt(attempt, why, now),
                    Order::Park { mirror } => self.as_mut().project().rest.park(mirror),
                    Order::Unpark { mirror } => {
                        self.as_mut().project().rest.asks.retain(|ask| ask.mirror != mirror);
                    }
                    Order::Settle(verdict) => {
                        let rest = self.project().rest;
                        rest.asks.clear();
                        return (!rest.begins_to_keep(verdict, now)).then(|| rest.settle(verdict, now));
                    }
                }
            }
        }
    }

    fn start(self: Pin<&mut Self>, attempt: u32, mirror: u32, why: WhyStarted, now: Moment) {
        let mut this = self.project();
        let rest = this.rest;
        // Its place goes back before the next attempt asks for one.
        rest.refused = Refused::None;
        let errand = Arc::clone(&rest.errand);
        let mut leg = Leg::new(errand.core.clock, attempt, errand.plan.queue, now);
        if attempt > 0 {
            leg.avoid = rest.book.connections();
            leg.ground = if why == WhyStarted::Redo { Ground::Fresh } else { Ground::Any };
        }
        leg.turn = errand.turn();
        leg.is_hedge = why == WhyStarted::Hedge;
        let leg = Arc::new(leg);
        let (_, url) = errand.target(mirror);
        let other = (mirror > 0).then(|| shown(url));
        rest.book.started(Arc::clone(&leg), (mirror, other), why, now, Clock::wall());
        rest.trace.started(mirror, url, why, now);
        errand.tell(&Event::AttemptStarted { seq: errand.seq, url: url.as_str(), why });
        let place = rest.place.take();
        let place = place.unwrap_or_else(|| Place { host: rest.met.of(&errand, mirror), permit: None });
        let future = (this.launch)(errand, mirror, leg, place);
        if this.first.is_none() && attempt == 0 {
            this.first.set(Some(future));
        } else {
            rest.others.push((attempt, Box::pin(future)));
        }
    }

    fn stop_attempt(self: Pin<&mut Self>, attempt: u32, why: StopReason, now: Moment) {
        if let Some(heard) = heard::of_stopped(why, self.rest.errand.limits) {
            self.rest.heard(attempt, heard, now);
        }
        let why = match why {
            StopReason::Superseded | StopReason::Pointless => WhyStopped::Superseded,
            StopReason::Deadline => WhyStopped::Deadline,
            StopReason::Cancelled => WhyStopped::Cancelled,
        };
        self.end_attempt(attempt, why, now);
    }

    /// Drops what an attempt owns, and writes down why.
    fn end_attempt(self: Pin<&mut Self>, attempt: u32, why: WhyStopped, now: Moment) {
        let mut this = self.project();
        this.rest.book.ended(attempt, why, now);
        this.rest.trace.ended(attempt);
        if attempt == 0 {
            this.first.set(None);
        }
        let rest = this.rest;
        rest.others.retain(|(number, _)| *number != attempt);
        rest.led.take_if(|(number, _)| *number == attempt);
        rest.copy.take_if(|copy| copy.attempt == attempt);
    }

    /// Polls all that is under way; `Some` is the first thing that happened.
    fn poll_running(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<(u32, Result<Brought, Error>)> {
        let this = self.as_mut().project();
        let rest = this.rest;
        if let Some(copy) = &mut rest.copy {
            let errand = &rest.errand;
            let mut received = |bytes| errand.tell(&Event::Received { seq: errand.seq, bytes });
            let _span = rest.trace.enter(copy.attempt);
            if let Poll::Ready(result) = copy.poll(cx, &mut received) {
                let attempt = copy.attempt;
                let restartable = copy.is_restartable();
                return Some((
                    attempt,
                    result.map(Brought::Copied).map_err(|error| broken(error, restartable)),
                ));
            }
        }
        let first = {
            let _span = rest.trace.enter(0);
            this.first.as_pin_mut().map(|first| first.poll(cx))
        };
        if let Some(Poll::Ready(result)) = first {
            let mut this = self.project();
            this.first.set(None);
            return Some((0, result.map(Brought::Led)));
        }
        for index in 0..rest.others.len() {
            let (attempt, future) = &mut rest.others[index];
            let attempt = *attempt;
            let _span = rest.trace.enter(attempt);
            if let Poll::Ready(result) = future.as_mut().poll(cx) {
                rest.others.swap_remove(index);
                return Some((attempt, result.map(Brought::Led)));
            }
        }
        None
    }
}

/// Something that an attempt brought.
enum Brought {
    Led(Box<Led>),
    Copied(Got),
}

impl<A: Future<Output = Result<Box<Led>, Error>>> Future for Drive<A> {
    type Output = Settled;

    /// On each poll I/O is tried before timers are judged.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Settled> {
        let clock = self.as_mut().clock();
        let mut now = clock.now();
        if !std::mem::replace(&mut self.as_mut().project().rest.begun, true) {
            self.as_mut().project().rest.begins(now);
        }
        loop {
            if let Some(settled) = self.as_mut().carry_out(now) {
                return Poll::Ready(settled);
            }
            if self.rest.refused.is_kept() {
                return self.project().rest.poll_refused(cx);
            }
            if let Some((attempt, brought)) = self.as_mut().poll_running(cx) {
                now = clock.now();
                self.as_mut().happened(attempt, brought, now);
                continue;
            }
            if self.as_mut().project().rest.has_heard(cx, now) {
                continue;
            }
            let (overdue, next) = self.as_mut().project().rest.limits(now);
            if let Some((attempt, error)) = overdue {
                self.rest.retire(attempt);
                let error = broken(error, self.rest.is_restartable());
                self.as_mut().happened(attempt, Err(error), now);
                continue;
            }
            let wake = self.rest.machine.wake();
            if wake.is_some_and(|wake| wake <= now) {
                self.as_mut().project().rest.tell_machine(Fact::Woke, now);
                continue;
            }
            let at = [wake, next, self.rest.listening.look_at].into_iter().flatten().min();
            if self.as_mut().project().rest.timer.poll(cx, &clock, at).is_pending() {
                self.as_mut().project().rest.note_parking();
                return Poll::Pending;
            }
            now = clock.now();
        }
    }
}

impl<A: Future<Output = Result<Box<Led>, Error>>> Driven for Drive<A> {
    fn look(&self) -> Look {
        self.rest.look()
    }

    fn advise(self: Pin<&mut Self>) {
        self.project().rest.listening.tell();
    }

    fn stop(mut self: Pin<&mut Self>) -> Settled {
        let now = self.as_mut().clock().now();
        if self.rest.refused.is_kept() {
            let stopped = Error::new(ErrorKind::Cancelled, Phase::Body, "stopped by the caller");
            return self.project().rest.end_refused(Err(stopped), now);
        }
        self.as_mut().project().rest.tell_machine(Fact::Cancelled, now);
        self.carry_out(now).expect("a cancelled fetch settles at once")
    }
}

impl<A: Future<Output = Result<Box<Led>, Error>>> Drive<A> {
    /// Turns what an attempt brought into facts.
    fn happened(mut self: Pin<&mut Self>, attempt: u32, brought: Result<Brought, Error>, now: Moment) {
        match brought {
            Ok(Brought::Led(mut led)) if led.refused.is_some() => {
                let error = led.refused.take().expect("it was just looked at");
                self.as_mut().failed(attempt, error, now);
                let rest = self.project().rest;
                // While a further attempt is planned it would only hold a connection and a place.
                rest.refused =
                    if rest.machine.is_settling() { Refused::Held { attempt, led } } else { Refused::None };
            }
            Ok(Brought::Led(led)) => {
                let rest = self.as_mut().project().rest;
                rest.refused = Refused::None;
                rest.trace.led(attempt, led.reply.status);
                rest.led = Some((attempt, led));
                rest.heard(attempt, Heard::Led, now);
                rest.tell_machine(Fact::Led { attempt }, now);
                if let Err(error) = self.as_mut().project().rest.receive() {
                    self.failed(attempt, error, now);
                } else if matches!(self.rest.errand.keep, Keep::Head) {
                    self.project().rest.tell_machine(Fact::Completed { attempt }, now);
                }
            }
            Ok(Brought::Copied(got)) => {
                let rest = self.project().rest;
                rest.copy = None;
                rest.got = Some(got);
                rest.tell_machine(Fact::Completed { attempt }, now);
            }
            Err(error) => self.failed(attempt, error, now),
        }
    }

    fn failed(mut self: Pin<&mut Self>, attempt: u32, error: Error, now: Moment) {
        let mirror = self.rest.book.mirror(attempt);
        let (_, url) = self.rest.errand.target(mirror);
        let error = if error.url().is_some() { error } else { error.of_url(shown(url)) };
        let failure = classify::failure(&error, self.rest.errand.plan.retry_errors);
        let failure = self.rest.errand.judge(mirror, failure);
        self.rest.heard(attempt, heard::of_failed(&error), now);
        self.as_mut().project().rest.say_to_host(attempt, attempt::of_error(&error));
        self.as_mut().project().rest.trace.failed(attempt, &error, now);
        self.as_mut().end_attempt(attempt, WhyStopped::Failed(error.clone()), now);
        let rest = self.project().rest;
        rest.failure = Some(error);
        rest.tell_machine(Fact::Failed { attempt, failure }, now);
    }
}

impl<A> Rest<A> {
    fn begins(&mut self, now: Moment) {
        self.trace.began(self.errand.seq, self.errand.target(0).1);
        self.tell_machine(Fact::Began, now);
    }

    fn tell_machine(&mut self, fact: Fact, now: Moment) {
        let core = &self.errand.core;
        let mut dice = || core.dice();
        let adviser = Adviser::new(&self.errand, &self.met, now);
        self.machine.on(fact, &mut Means { now, purse: &adviser, hosts: &adviser, dice: &mut dice });
    }

    /// The leader's body goes into a part of the sink, if it is to be kept here.
    fn receive(&mut self) -> Result<(), Error> {
        let Keep::Whole(sink) = &self.errand.keep else { return Ok(()) };
        let Some((attempt, led)) = self.led.take() else { return Ok(()) };
        let (request, _) = self.errand.target(self.book.mirror(attempt));
        let part = sink.begin(self.errand.seq, request, &led.reply)?;
        let leg = Arc::clone(self.book.leg(attempt).expect("a leader was started"));
        self.copy = Some(Copy::new(attempt, leg, led, part, self.errand.plan.max_body));
        Ok(())
    }

    /// Tells the job whether anything is on the wire.
    fn note_parking(&mut self) {
        let Some(tallies) = &self.errand.tallies else { return };
        let queues = |leg: &Leg| leg.standing().0 == Phase::Queue;
        let waits_for_us = self.copy.is_none() && self.book.open().all(|(_, leg)| queues(leg));
        let waits = match waits_for_us {
            true if self.book.open().next().is_none() && !self.asks.is_empty() => Waits::InLine,
            true => Waits::ForUs,
            false => Waits::ForOthers,
        };
        self.parking.note(tallies, waits);
    }

    /// What an attempt's end says of its host, for the place that it may still hold.
    fn say_to_host(&mut self, attempt: u32, left: Left) {
        if let Some(leg) = self.book.leg(attempt) {
            leg.ends_as(left);
        }
        if let Some(copy) = self.copy.as_mut().filter(|copy| copy.attempt == attempt) {
            copy.mark(left);
        }
    }

    /// Whether no byte of the leader's body has left our hands.
    fn is_restartable(&self) -> bool {
        self.copy.as_ref().is_none_or(Copy::is_restartable)
    }

    fn settle(&mut self, verdict: Verdict, now: Moment) -> Settled {
        let mut winner = None;
        let end = match verdict {
            Verdict::Won { attempt } => {
                winner = Some(attempt);
                let leg = self.book.leg(attempt).cloned();
                self.book.ended(attempt, WhyStopped::Won, now);
                match (self.got.take(), self.led.take(), leg) {
                    (Some(got), _, _) => Ok(Prize::Kept(got)),
                    (None, Some((_, led)), Some(leg)) => Ok(Prize::Head(led, leg)),
                    _ => unreachable!("a winner has its body"),
                }
            }
            Verdict::GaveUp { why, .. } => Err(self.gave_up(why)),
            Verdict::DeadlineCame => Err(self.deadline_came(now)),
            Verdict::Cancelled => {
                Err(Error::new(ErrorKind::Cancelled, Phase::Queue, "stopped by the caller"))
            }
        };
        let record = self.book.close(winner, now, Clock::wall());
        let end = end.map_err(|error| {
            let error = match error.url() {
                Some(_) => error,
                None => error.of_url(shown(self.errand.target(0).1)),
            };
            error.after_attempts(record.attempts.clone().into())
        });
        self.trace.settled(end.as_ref().err(), &record);
        Settled { end, record }
    }
}

/// A length of time for people.
pub(crate) fn seconds(length: std::time::Duration) -> String {
    match length.as_secs_f64() {
        short if short < 1.0 => format!("{} ms", (short * 1000.0).round()),
        some if some < 100.0 => format!("{} s", (some * 10.0).round() / 10.0),
        long => format!("{} s", long.round()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_behind<A>(_: Launch<A>) -> usize {
        size_of::<Drive<A>>()
    }

    #[test]
    fn a_fetch_under_way_takes_at_most_4_kib() {
        let size = size_behind(attempt::lead);
        assert!(size <= 4096, "a fetch takes {size} bytes on the heap");
    }
}
