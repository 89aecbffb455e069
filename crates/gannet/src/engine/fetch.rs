//! One fetch under the driver: makes its attempts, turns what they bring into facts, and keeps the books. It owns the
//! part being written. No decision is made here.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::attempt::{self, Begins, Goes, Led, Place};
use super::book::Book;
use super::copy::Copy;
use super::drive::{Drive, Limits, Listening, Work};
use super::errand::{Errand, Keep, Parking};
use super::job::late::Asking;
use super::timer::Timer;
use super::trace::Trace;
use crate::Moment;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase, shown};
use crate::event::{Event, Waits};
use crate::outcome::{Got, Record, WhyStarted, WhyStopped};
use crate::permit::{Left, Permit};
use crate::policy::classify;
use crate::policy::fetch::{Fact, Failure, Machine, Means, StopReason, Verdict};
use crate::policy::latency::Heard;
use crate::transport::Leg;
use crate::transport::leg::Ground;

use advice::{Adviser, Met};
pub(crate) use look::Look;
pub(crate) use parts::Mend;
use parts::Parts;
use refused::Refused;
use words::{broken, too_slow};

pub(super) use heard::of_stopped;
pub(crate) use words::{LAST_ONE, below};

mod advice;
mod heard;
mod limits;
mod look;
pub(crate) mod parts;
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
    Head(Box<Led>, Arc<Leg>, Option<Box<Mend>>),
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
    Box::pin(Drive::new(Rest::new(Arc::new(errand), attempt::lead, place, queued_at)))
}

/// Goes on with a body that broke in the caller's hands; lazy until polled.
pub(crate) fn drive_on(mend: &Mend, good: u64, broken: Error) -> Pin<Box<dyn Driven + Send>> {
    let now = mend.errand.core.clock.now();
    let mut rest = Rest::new(Arc::new(mend.errand()), attempt::lead, None, now);
    rest.parts.hand_on(mend, good, broken);
    Box::pin(Drive::new(rest))
}

type Launch<A> = fn(Arc<Errand>, u32, Arc<Leg>, Place, Begins) -> A;

/// What an attempt of a fetch comes to.
trait Attempting: Future<Output = Result<Box<Led>, Error>> {}

impl<A: Future<Output = Result<Box<Led>, Error>>> Attempting for A {}

/// All of a fetch but its attempts' futures.
struct Rest<A> {
    launch: Launch<A>,
    errand: Arc<Errand>,
    machine: Machine,
    led: Option<(u32, Box<Led>)>,
    copy: Option<Copy>,
    parts: Parts<A>,
    got: Option<Got>,
    failure: Option<Error>,
    refused: Refused,
    book: Book,
    place: Option<Place>,
    met: Met,
    parking: Parking,
    /// Retries that wait for the purse.
    asks: Vec<Asking>,
    listening: Listening,
    trace: Trace,
}

/// Something that an attempt brought.
enum Brought {
    Led(Box<Led>),
    Copied(Box<Got>),
}

impl<A: Attempting> Work for Rest<A> {
    type Attempt = A;
    type Brought = Result<Brought, Error>;
    type Settled = Settled;

    fn clock(&self) -> Clock {
        self.errand.core.clock
    }

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn tell(&mut self, fact: Fact, now: Moment) {
        let core = &self.errand.core;
        let mut dice = || core.dice();
        let mut adviser = Adviser::new(&self.errand, &self.met, now);
        adviser.pays_in = !self.parts.is_handed_on();
        self.machine.on(fact, &mut Means { now, purse: &adviser, hosts: &adviser, dice: &mut dice });
    }

    fn begins(&mut self, now: Moment) {
        self.trace.began(self.errand.seq, self.errand.target(0).1);
        self.reopen();
        self.tell(Fact::Began, now);
    }

    fn start(&mut self, attempt: u32, mirror: u32, why: WhyStarted, now: Moment) -> A {
        // Its place goes back before the next attempt asks for one.
        self.refused = Refused::None;
        let errand = Arc::clone(&self.errand);
        let mut leg = Leg::new(errand.core.clock, attempt, errand.plan.queue, now);
        if attempt > 0 {
            leg.avoid = self.book.connections();
            leg.ground = if why == WhyStarted::Redo { Ground::Fresh } else { Ground::Any };
        }
        leg.turn = errand.turn();
        leg.is_hedge = why == WhyStarted::Hedge;
        let leg = Arc::new(leg);
        let (_, url) = errand.target(mirror);
        let other = (mirror > 0).then(|| shown(url));
        self.book.started(Arc::clone(&leg), (mirror, other), why, now, Clock::wall());
        let begins = self.parts.begins((attempt, mirror), &errand);
        if !matches!(begins, Begins::Broken(_)) {
            self.trace.started(mirror, url, why, now);
            errand.tell(&Event::AttemptStarted { seq: errand.seq, url: url.as_str(), why });
        }
        let place = self.place.take();
        let place = place.unwrap_or_else(|| Place::at(self.met.of(&errand, mirror)));
        if let Some(what) = place.permit.as_ref().and_then(Permit::queued_for) {
            self.book.queued_for(attempt, what);
        }
        (self.launch)(errand, mirror, leg, place, begins)
    }

    fn poll_attempt(
        &mut self,
        attempt: u32,
        future: Pin<&mut A>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Brought, Error>> {
        let _span = self.trace.enter(attempt);
        future.poll(cx).map(|result| result.map(Brought::Led))
    }

    fn poll_leader(&mut self, cx: &mut Context<'_>) -> Poll<(u32, Result<Brought, Error>)> {
        self.poll_copy(cx)
    }

    fn happened(&mut self, attempt: u32, brought: Result<Brought, Error>, now: Moment) {
        match brought {
            Ok(Brought::Led(mut led)) if led.refused.is_some() => {
                let error = led.refused.take().expect("it was just looked at");
                self.fail_and_tell(attempt, error, now);
                // While a further attempt is planned it would only hold a connection and a place.
                self.refused =
                    if self.machine.is_settling() { Refused::Held { attempt, led } } else { Refused::None };
            }
            Ok(Brought::Led(led)) => {
                self.refused = Refused::None;
                self.trace.led(attempt, led.reply.status);
                self.led = Some((attempt, led));
                self.heard(attempt, Heard::Led, now);
                self.tell(Fact::Led { attempt }, now);
                if let Err(error) = self.receive() {
                    self.fail_and_tell(attempt, error, now);
                } else if self.got.is_some() || matches!(self.errand.keep, Keep::Head) {
                    self.tell(Fact::Completed { attempt }, now);
                }
            }
            Ok(Brought::Copied(got)) => {
                self.copy = None;
                self.parts.copied();
                self.got = Some(*got);
                self.tell(Fact::Completed { attempt }, now);
            }
            Err(error) => self.fail_and_tell(attempt, error, now),
        }
    }

    fn stopped(&mut self, attempt: u32, why: StopReason, now: Moment) {
        if let Some(heard) = of_stopped(why, self.errand.limits) {
            self.heard(attempt, heard, now);
            let was_silent = self.book.leg(attempt).is_some_and(|leg| leg.is_silent());
            if heard == Heard::TimedOut && was_silent {
                self.say_to_host(attempt, Left::Unreached);
            }
        }
        let why = match why {
            StopReason::Superseded | StopReason::Pointless => WhyStopped::Superseded,
            StopReason::Deadline => WhyStopped::Deadline,
            StopReason::Cancelled => WhyStopped::Cancelled,
        };
        self.end_attempt(attempt, why, now);
    }

    fn has_heard(&mut self, cx: &mut Context<'_>, now: Moment) -> bool {
        self.has_heard_of(cx, now)
    }

    fn limits(&mut self, now: Moment) -> Limits {
        let (overdue, next) = self.phases(now);
        let Some((attempt, error)) = overdue else {
            return Limits::LookAt([next, self.listening.look_at()].into_iter().flatten().min());
        };
        self.retire(attempt);
        let mendable = self.is_mendable(&error);
        let error = broken(error, mendable);
        Limits::Over { attempt, failure: self.fail(attempt, error, now) }
    }

    /// It holds nothing while it waits.
    fn park(&mut self, mirror: u32) {
        let late = self.errand.late.as_ref().expect("only fetches of a job are told to wait for the purse");
        self.asks.push(late.wait(self.met.of(&self.errand, mirror), mirror));
        self.book.parked();
    }

    fn unpark(&mut self, mirror: u32) {
        self.asks.retain(|ask| ask.mirror != mirror);
    }

    fn settle(&mut self, verdict: Verdict, now: Moment) -> Option<Settled> {
        self.asks.clear();
        (!self.begins_to_keep(verdict, now)).then(|| self.close(verdict, now))
    }

    fn poll_last(&mut self, cx: &mut Context<'_>, timer: &mut Timer) -> Option<Poll<Settled>> {
        self.refused.is_kept().then(|| self.poll_refused(cx, timer))
    }

    fn stop_last(&mut self, now: Moment) -> Option<Settled> {
        let stopped = || Error::new(ErrorKind::Cancelled, Phase::Body, "stopped by the caller");
        self.refused.is_kept().then(|| self.end_refused(Err(stopped()), now))
    }

    /// Tells the job whether anything is on the wire.
    fn waits(&mut self) {
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
}

impl<A: Attempting> Driven for Drive<Rest<A>, A> {
    fn look(&self) -> Look {
        self.work().look()
    }

    fn advise(self: Pin<&mut Self>) {
        self.work_mut().listening.tell();
    }

    fn stop(self: Pin<&mut Self>) -> Settled {
        self.stop()
    }
}

impl<A: Attempting> Rest<A> {
    /// Writes down that an attempt has failed, and drops what it brought.
    fn fail(&mut self, attempt: u32, error: Error, now: Moment) -> Failure {
        let mirror = self.book.mirror(attempt);
        let (_, url) = self.errand.target(mirror);
        let error = if error.url().is_some() { error } else { error.of_url(shown(url)) };
        let brought = self.copy.as_ref().map_or(classify::Brought::AtOnce, Copy::brought);
        let failure = classify::failure(&error, self.errand.plan.retry_errors, brought);
        let failure = self.errand.judge(mirror, failure);
        self.heard(attempt, heard::of_failed(&error), now);
        self.say_to_host(attempt, attempt::of_error(&error));
        let direct = self.book.leg(attempt).is_some_and(|leg| leg.hop_count() == 0);
        if direct && attempt::is_of_host(&error) {
            self.met.of(&self.errand, mirror).gate.went_wrong(error.message());
        }
        self.trace.failed(attempt, &error, now);
        self.end_attempt(attempt, WhyStopped::Failed(error.clone()), now);
        self.failure = Some(words::last_of(self.failure.take(), error));
        failure
    }

    fn fail_and_tell(&mut self, attempt: u32, error: Error, now: Moment) {
        let failure = self.fail(attempt, error, now);
        self.tell(Fact::Failed { attempt, failure }, now);
    }
}

impl<A> Rest<A> {
    fn new(errand: Arc<Errand>, launch: Launch<A>, place: Option<Place>, queued_at: Moment) -> Self {
        Self {
            launch,
            machine: Machine::new(errand.rules()),
            errand,
            led: None,
            copy: None,
            parts: Parts::default(),
            got: None,
            failure: None,
            refused: Refused::None,
            book: Book::new(queued_at),
            met: Met::at(place.as_ref().map(|place| Arc::clone(&place.host))),
            place,
            parking: Parking::default(),
            asks: Vec::new(),
            listening: Listening::default(),
            trace: Trace::default(),
        }
    }

    /// Drops what an attempt has brought, and writes down why.
    fn end_attempt(&mut self, attempt: u32, why: WhyStopped, now: Moment) {
        self.set_aside(attempt, &why);
        self.book.ended(attempt, why, now);
        self.trace.ended(attempt);
        self.led.take_if(|(number, _)| *number == attempt);
    }

    /// The leader's body goes into a part of the sink, if it is to be kept here.
    fn receive(&mut self) -> Result<(), Error> {
        let Keep::Whole(sink) = &self.errand.keep else { return Ok(()) };
        let sink = Arc::clone(sink);
        let Some((attempt, led)) = self.led.take() else { return Ok(()) };
        if led.goes == Goes::Unchanged {
            self.lets_go();
            let (request, _) = self.errand.target(self.book.mirror(attempt));
            self.got = request.kept.clone().map(|kept| Got::unchanged(led.reply, kept));
            return Ok(());
        }
        let (place, head) = self.place_for(attempt, &led, &*sink)?;
        let leg = Arc::clone(self.book.leg(attempt).expect("a leader was started"));
        let copy = Copy::new(attempt, leg, led, place, self.errand.plan.max_body);
        self.copy = Some(copy.with_head(head));
        self.tell_of_part();
        Ok(())
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

    /// Whether a further attempt could bring the leader's body after this.
    fn is_mendable(&self, error: &Error) -> bool {
        self.copy.as_ref().is_none_or(|copy| copy.is_mendable(error))
    }

    /// Closes the books.
    fn close(&mut self, verdict: Verdict, now: Moment) -> Settled {
        let mut winner = None;
        let end = match verdict {
            Verdict::Won { attempt } => {
                winner = Some(attempt);
                let leg = self.book.leg(attempt).cloned();
                self.book.ended(attempt, WhyStopped::Won, now);
                match (self.got.take(), self.led.take(), leg) {
                    (Some(got), _, _) => Ok(Prize::Kept(got)),
                    (None, Some((_, led)), Some(leg)) => {
                        let mend =
                            Mend::of(&self.errand, &led, self.book.mirror(attempt), self.book.retries());
                        Ok(Prize::Head(led, leg, mend))
                    }
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

    fn size_behind<A: Attempting>(_: Launch<A>) -> usize {
        size_of::<Drive<Rest<A>, A>>()
    }

    #[test]
    fn a_fetch_under_way_takes_at_most_4_kib() {
        let size = size_behind(attempt::lead);
        assert!(size <= 4096, "a fetch takes {size} bytes on the heap");
    }
}
