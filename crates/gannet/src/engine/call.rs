//! One call of anybody's under the driver: its attempts are futures that a closure makes, and the first value wins.
//! Here too is what many calls share: the purse, the usual time, dice. No decision is made here.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use smallvec::SmallVec;

use super::core::Core;
use super::drive::{Drive, Limits as Due, Listening, Work};
use super::errand::{Limits, silence};
use super::fetch::of_stopped;
use super::tempo::Tempo;
use crate::Moment;
use crate::clock::Clock;
use crate::outcome::WhyStarted;
use crate::policy::backoff::Backoff;
use crate::policy::budget::{Extra, HostPurse, Purse, Ratio, RatioPurse, Taken};
use crate::policy::fetch::{
    Advice, Class, Fact, Failure, Hedge, Hosts, Machine, Means, Opening, Repeatable, Rules, Sent, StopReason,
    Verdict, WhenEmpty,
};
use crate::policy::hedge::{Game, HedgeAfter, Hedged};
use crate::policy::latency::Heard;

/// Errors of one call that are kept, the newest ones; without it a call that is retried without end would grow.
pub(crate) const ERRORS_KEPT: usize = 64;

/// What many calls share.
pub(crate) struct Shared {
    clock: Clock,
    paid: Paid,
    tempo: Tempo,
    dice: Mutex<fastrand::Rng>,
}

/// What pays for further attempts.
enum Paid {
    /// A purse of the calls' own.
    Alone(Box<RatioPurse>),
    /// A client's purse, on which these calls draw as one host does.
    OfClient(Arc<Core>, HostPurse),
}

impl Shared {
    pub(crate) fn alone(retry: Ratio, hedge: Ratio) -> Self {
        Self::with(Clock::new(), Paid::Alone(Box::new(RatioPurse::new(retry, hedge))), fastrand::u64(..))
    }

    pub(crate) fn of_client(core: &Arc<Core>) -> Self {
        let seed = u64::from(core.dice());
        Self::with(core.clock, Paid::OfClient(Arc::clone(core), HostPurse::default()), seed)
    }

    fn with(clock: Clock, paid: Paid, seed: u64) -> Self {
        Self { clock, paid, tempo: Tempo::default(), dice: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn purse(&self) -> &RatioPurse {
        match &self.paid {
            Paid::Alone(purse) => purse,
            Paid::OfClient(core, _) => &core.purse,
        }
    }

    fn dice(&self) -> u32 {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).u32(..)
    }
}

impl Purse for Shared {
    fn deposit(&self, mirror: u32) {
        match &self.paid {
            Paid::Alone(purse) => purse.deposit(mirror),
            Paid::OfClient(core, calls) => calls.deposit(&core.purse),
        }
    }

    fn take(&self, extra: Extra, mirror: u32) -> Taken {
        match &self.paid {
            Paid::Alone(purse) => purse.take(extra, mirror),
            Paid::OfClient(core, calls) => calls.take(extra, &core.purse),
        }
    }

    fn take_again(&self, extra: Extra, mirror: u32) -> Taken {
        match &self.paid {
            Paid::Alone(purse) => purse.take_again(extra, mirror),
            Paid::OfClient(core, calls) => calls.take_for_waiting(extra, &core.purse),
        }
    }

    fn give_back(&self, extra: Extra, mirror: u32) {
        match &self.paid {
            Paid::Alone(purse) => purse.give_back(extra, mirror),
            Paid::OfClient(core, calls) => calls.give_back(extra, &core.purse),
        }
    }
}

/// What a call is to hold to.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// `None` is without end.
    pub(crate) retries: Option<u32>,
    pub(crate) backoff: Backoff,
    pub(crate) retry_after_max: Duration,
    pub(crate) hedge: Option<HedgeAfter>,
    /// Hedges of one call in all.
    pub(crate) hedges: u32,
}

impl Terms {
    fn rules(&self, limits: Limits) -> Rules {
        Rules {
            mirrors: 1,
            opening: Opening::One,
            retries: self.retries,
            backoff: self.backoff,
            retry_within: None,
            hedge: self.hedge.map(|after| Hedge { after: silence(after), at_most: self.hedges }),
            deadline: limits.nearest(),
            repeatable: Repeatable::Always,
            when_empty: WhenEmpty::Fail,
            retry_after_max: self.retry_after_max,
        }
    }
}

/// What makes the attempts of a call, and judges their errors.
pub(crate) struct Asks<F, R, A> {
    /// By the attempt's number.
    pub(crate) make: F,
    /// Whether another attempt may cure this error.
    pub(crate) retry_if: R,
    /// For how long this error asks us to wait.
    pub(crate) retry_after: A,
}

/// How a call ended.
pub(crate) struct Ended<T, E> {
    pub(crate) end: Result<T, Verdict>,
    pub(crate) attempts: u32,
    /// At most [`ERRORS_KEPT`], with the attempts' numbers, in the order in which they came.
    pub(crate) errors: Vec<(u32, E)>,
}

/// A call under way.
pub(crate) struct Calling<T, E, F, Fut, R, A>(Driving<T, E, F, Fut, R, A>);

/// Its driver.
type Driving<T, E, F, Fut, R, A> = Pin<Box<Drive<Call<T, E, F, R, A>, Fut>>>;

/// All of a call but its attempts' futures.
struct Call<T, E, F, R, A> {
    asks: Asks<F, R, A>,
    shared: Arc<Shared>,
    machine: Machine,
    hedge: Option<HedgeAfter>,
    limits: Limits,
    flying: SmallVec<[Flying; 2]>,
    attempts: u32,
    won: Option<T>,
    errors: Vec<(u32, E)>,
    listening: Listening,
}

/// An attempt in flight.
struct Flying {
    attempt: u32,
    why: WhyStarted,
    since: Moment,
    entered: Entered,
}

/// Whether the machine knows that an attempt is silent from its start on: it waits for no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entered {
    Told,
    Untold,
}

impl<T, E, F, Fut, R, A> Calling<T, E, F, Fut, R, A>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: FnMut(&E) -> bool,
    A: FnMut(&E) -> Option<Duration>,
{
    /// Lazy until polled.
    pub(crate) fn new(asks: Asks<F, R, A>, shared: Arc<Shared>, terms: &Terms, limits: Limits) -> Self {
        Self(Box::pin(Drive::new(Call {
            asks,
            shared,
            machine: Machine::new(terms.rules(limits)),
            hedge: terms.hedge,
            limits,
            flying: SmallVec::new(),
            attempts: 0,
            won: None,
            errors: Vec::new(),
            listening: Listening::default(),
        })))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended<T, E>> {
        self.0.as_mut().poll(cx)
    }

    /// The caller stops it: all attempts end now.
    pub(crate) fn stop(&mut self) -> Ended<T, E> {
        self.0.as_mut().stop()
    }
}

impl<T, E, F, Fut, R, A> Work for Call<T, E, F, R, A>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: FnMut(&E) -> bool,
    A: FnMut(&E) -> Option<Duration>,
{
    type Attempt = Fut;
    type Brought = Result<T, E>;
    type Settled = Ended<T, E>;

    fn clock(&self) -> Clock {
        self.shared.clock
    }

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn tell(&mut self, fact: Fact, now: Moment) {
        let shared = &*self.shared;
        let mut dice = || shared.dice();
        let adviser = Adviser { shared, hedge: self.hedge, now };
        self.machine.on(fact, &mut Means { now, purse: shared, hosts: &adviser, dice: &mut dice });
    }

    fn start(&mut self, attempt: u32, _mirror: u32, why: WhyStarted, now: Moment) -> Fut {
        self.attempts += 1;
        self.flying.push(Flying { attempt, why, since: now, entered: Entered::Untold });
        (self.asks.make)(attempt)
    }

    fn poll_attempt(
        &mut self,
        _attempt: u32,
        future: Pin<&mut Fut>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, E>> {
        future.poll(cx)
    }

    fn happened(&mut self, attempt: u32, brought: Result<T, E>, now: Moment) {
        match brought {
            Ok(value) => {
                self.ends(attempt, Some(Heard::Led), now);
                self.won = Some(value);
                self.tell(Fact::Led { attempt }, now);
                self.tell(Fact::Completed { attempt }, now);
            }
            Err(error) => {
                self.ends(attempt, Some(Heard::Failed), now);
                let passes = (self.asks.retry_if)(&error);
                let failure = Failure {
                    class: if passes { Class::Passing } else { Class::LastingHere },
                    retry_after: (self.asks.retry_after)(&error),
                    sent: Sent::Perhaps,
                };
                if self.errors.len() == ERRORS_KEPT {
                    self.errors.remove(0);
                }
                self.errors.push((attempt, error));
                self.tell(Fact::Failed { attempt, failure }, now);
            }
        }
    }

    fn stopped(&mut self, attempt: u32, why: StopReason, now: Moment) {
        self.ends(attempt, of_stopped(why, self.limits), now);
    }

    fn has_heard(&mut self, cx: &mut Context<'_>, now: Moment) -> bool {
        let Some(after) = self.hedge else { return false };
        let untold = self.flying.iter_mut().find(|flying| flying.entered == Entered::Untold);
        let heard = match untold {
            Some(flying) => {
                flying.entered = Entered::Told;
                Some(Fact::Entered { attempt: flying.attempt })
            }
            None => {
                let Self { shared, machine, listening, .. } = self;
                let news =
                    listening.has_news(cx, now, machine, (after, shared.purse()), |_| shared.tempo.advised());
                news.then_some(Fact::Advised)
            }
        };
        if let Some(fact) = heard {
            self.tell(fact, now);
        }
        heard.is_some()
    }

    fn limits(&mut self, _now: Moment) -> Due {
        Due::LookAt(self.listening.look_at())
    }

    fn park(&mut self, _mirror: u32) {
        unreachable!("a call does not wait for the purse")
    }

    fn unpark(&mut self, _mirror: u32) {}

    fn settle(&mut self, verdict: Verdict, _now: Moment) -> Option<Ended<T, E>> {
        let end = match verdict {
            Verdict::Won { .. } => Ok(self.won.take().expect("a winner has brought its value")),
            lost => Err(lost),
        };
        Some(Ended { end, attempts: self.attempts, errors: std::mem::take(&mut self.errors) })
    }
}

impl<T, E, F, R, A> Call<T, E, F, R, A> {
    /// An attempt is over; what its silence said is learned from.
    fn ends(&mut self, attempt: u32, heard: Option<Heard>, now: Moment) {
        let Some(place) = self.flying.iter().position(|flying| flying.attempt == attempt) else { return };
        let ended = self.flying.remove(place);
        let Some(heard) = heard else { return };
        let is_hedge = ended.why == WhyStarted::Hedge;
        self.shared.tempo.heard(heard, now.since(ended.since), now);
        if is_hedge {
            let hedged = if heard == Heard::Led { Hedged::Won } else { Hedged::Lost };
            self.shared.tempo.hedged(hedged, now);
        }
    }
}

/// What the machine of one call is told.
struct Adviser<'a> {
    shared: &'a Shared,
    hedge: Option<HedgeAfter>,
    now: Moment,
}

impl Hosts for Adviser<'_> {
    fn advice(&self, _mirror: u32) -> Advice {
        let learned = self.hedge.filter(|after| after.is_learned());
        let budget = self.shared.purse().ratio(Extra::Hedge);
        self.shared.tempo.advice(learned.map(|after| (after, budget, Game::Running)), self.now)
    }
}
