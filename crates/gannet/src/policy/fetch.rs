//! The machine of one fetch: attempts, alternatives, retry, hedge, race, deadline and budget under one rule.
//! It takes facts in the past tense and a `now`, and gives orders. It knows no clock, dice, socket or body.
//!
//! The rule: another attempt may start when the last one failed and its backoff has passed, or when the newest
//! has been silent for the hedge delay. A race is a hedge with zero delay whose legs are all firsts.

use std::time::Duration;

use smallvec::SmallVec;

use crate::Moment;
use crate::outcome::WhyStarted;
use crate::policy::budget::{Extra, Purse};

use mirrors::Mirrors;
use mutated::mutated;

pub(crate) use advice::{Advice, HedgeGate, Hosts};
pub(crate) use rules::{Hedge, Opening, Repeatable, Rules, Silence, WhenEmpty};

mod advice;
mod further;
mod mirrors;
mod mutated;
mod parked;
mod rules;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fact {
    /// The fetch was polled for the first time.
    Began,
    /// An attempt got its place at its host's gate: from now on it is the host that is silent, not we.
    Entered { attempt: u32 },
    /// An attempt was redirected and queues again, at its next host's gate: nobody is silent meanwhile.
    Queued { attempt: u32 },
    /// An attempt received the first byte of its body under an accepted status, or the end of an empty one.
    Led { attempt: u32 },
    /// The leader brought its last byte, and it was kept (or the caller took over the body).
    Completed { attempt: u32 },
    /// An attempt ended without success, before or after it led.
    Failed { attempt: u32, failure: Failure },
    /// The time that `wake` named has come.
    Woke,
    /// The purse has paid for the retry that is parked for this mirror. One that is not parked any more is given
    /// back.
    Granted { mirror: u32 },
    /// The host of this mirror, for which a retry is parked, was given up: it waits for the purse in vain.
    GivenUp { mirror: u32 },
    /// What is known of a host has changed in a way that may make a hedge due: its usual time became known, a gate
    /// was opened, the end game began, or the purse that refused a hedge has something again.
    Advised,
    /// The caller stopped the fetch.
    Cancelled,
}

/// What the machine has to know of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    /// What the server asked for (RFC 9110, section 10.2.3), already cleaned of nonsense.
    pub(crate) retry_after: Option<Duration>,
    /// Whether a byte of the request may have reached the server.
    pub(crate) sent: Sent,
}

/// Whether a further attempt can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It may pass: connect errors, resets, stalls, 503.
    Passing,
    /// Never processed: REFUSED_STREAM, GOAWAY beyond the last stream, a stale connection. Redone once without
    /// backoff and budget; a second time it counts as passing.
    Unprocessed,
    /// This URL will never do; another mirror may: 404, a bad certificate.
    LastingHere,
    /// No mirror will do: the output cannot be written, the request is bad.
    LastingEverywhere,
}

/// Whether a byte of the request may have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// No byte was written.
    Nothing,
    /// It may have been processed.
    Perhaps,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    /// Start attempt number `attempt` (they count from 0 without gaps) at URL number `mirror`.
    Start { attempt: u32, mirror: u32, why: WhyStarted },
    /// Stop the attempt; what it received is not used.
    Stop { attempt: u32, why: StopReason },
    /// Wait for the purse with a retry at `mirror`, at the back of its queue, until it is granted, left off or the
    /// fetch settles.
    Park { mirror: u32 },
    /// The retry at `mirror` waits no more.
    Unpark { mirror: u32 },
    /// The fetch is over. Nothing is in flight or parked any more; no order follows.
    Settle(Verdict),
}

/// Why the machine stops an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Another attempt leads.
    Superseded,
    /// The deadline has come.
    Deadline,
    /// The caller stopped the fetch.
    Cancelled,
    /// Another attempt's failure rules out all.
    Pointless,
}

/// How the fetch ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// This attempt's body is the answer.
    Won { attempt: u32 },
    /// All attempts failed and no other may be made.
    GaveUp { attempt: u32, why: GaveUp },
    /// The deadline came first.
    DeadlineCame,
    /// The caller stopped it.
    Cancelled,
}

/// Why no further attempt is made after the last failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum GaveUp {
    /// The failure lasts, so that a retry cannot help.
    Lasting,
    /// The retries are used up.
    NoRetriesLeft,
    /// The host was given up while the retry waited for the purse.
    HostGivenUp,
    /// The budget has nothing left; where retries are parked, the deadline came before a grant.
    NoBudget,
    /// The backoff or Retry-After would end after the deadline, or too near to it for the host's usual time; the
    /// server wanted us back after `wanted`.
    NoTime { wanted: Duration },
    /// The server wants us to stay away for longer than the limit.
    AskedToStayAway { wanted: Duration },
    /// The delays of all retries together are over their bound.
    SleptEnough,
    /// The request may have been processed, and may not be sent twice.
    NotRepeatable,
    /// The next attempt was due after `wanted`, and [`Rules::retry_within`] is over by then.
    WindowOver { wanted: Duration },
}

/// What the machine may draw on for one step.
pub(crate) struct Means<'a> {
    pub(crate) now: Moment,
    pub(crate) purse: &'a dyn Purse,
    pub(crate) hosts: &'a dyn Hosts,
    /// Any u32, evenly spread.
    pub(crate) dice: &'a mut dyn FnMut() -> u32,
}

/// The state of one fetch.
#[derive(Debug)]
pub(crate) struct Machine {
    rules: Rules,
    orders: SmallVec<[Order; 4]>,
    stage: Stage,
    began: Moment,
    /// In the order of their start.
    flight: SmallVec<[Flying; 2]>,
    leader: Option<u32>,
    /// At most one for each mirror.
    plans: SmallVec<[Plan; 2]>,
    mirrors: Mirrors,
    spent: Spent,
    /// Whether a request that must not be sent twice may have been processed.
    forbidden: bool,
    /// The newest attempt for which the purse refused a hedge; asked for again only when advised.
    unhedged: Option<u32>,
    /// The newest attempt for which a hedge was refused; its wish is counted once, however often it is asked for.
    wished: Option<u32>,
    /// When a hedge will be due, as far as is known.
    hedge_due: Option<Moment>,
    /// The last attempt that failed, and why nothing followed from it.
    last: Option<(u32, GaveUp)>,
}

/// How far a fetch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Running,
    Settled,
}

/// An attempt in flight.
#[derive(Debug, Clone, Copy)]
struct Flying {
    attempt: u32,
    mirror: u32,
    why: WhyStarted,
    /// Since when its host may have been silent.
    entered: Option<Moment>,
}

/// A retry that waits for its time, or for the purse.
#[derive(Debug, Clone, Copy)]
struct Plan {
    mirror: u32,
    /// When it is due; parked, when it is too late.
    at: Moment,
    waits_for: WaitsFor,
    /// How much of the wait counts against [`Backoff::total`](crate::policy::backoff::Backoff::total).
    backoff: Duration,
}

/// What a planned retry waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    Time,
    Grant,
}

/// What a fetch has used of what its rules allow.
#[derive(Debug, Default)]
struct Spent {
    attempts: u32,
    retries: u32,
    hedges: u32,
    redos: u32,
    backoff: Duration,
}

impl Machine {
    /// A fetch that has not begun.
    pub(crate) fn new(rules: Rules) -> Self {
        let mirrors = Mirrors::new(rules.mirrors.max(1));
        Self {
            rules,
            orders: SmallVec::new(),
            stage: Stage::New,
            began: Moment::ZERO,
            flight: SmallVec::new(),
            leader: None,
            plans: SmallVec::new(),
            mirrors,
            spent: Spent::default(),
            forbidden: false,
            unhedged: None,
            wished: None,
            hedge_due: None,
            last: None,
        }
    }

    /// Takes one fact; what follows from it stands in [`take_orders`](Self::take_orders).
    ///
    /// A fact about an attempt that is not in flight, or about a settled fetch, changes nothing. What an attempt
    /// brought late (`Led`, `Completed`) is taken before the deadline is judged: work done is never thrown away.
    pub(crate) fn on(&mut self, fact: Fact, means: &mut Means<'_>) {
        match (self.stage, fact) {
            (Stage::New, Fact::Began) => self.begin(means),
            (Stage::Running, Fact::Entered { attempt }) => self.enter(attempt, means),
            (Stage::Running, Fact::Queued { attempt }) => self.queue(attempt, means),
            (Stage::Running, Fact::Led { attempt }) => self.lead(attempt),
            (Stage::Running, Fact::Completed { attempt }) => self.complete(attempt, means.now),
            (Stage::Running, Fact::Failed { attempt, failure }) => self.fail(attempt, failure, means),
            (Stage::Running, Fact::Advised) if mutated!(AdviceMissed) => {}
            (Stage::Running, Fact::Woke) => self.go_on(means),
            (Stage::Running, Fact::Advised) => {
                self.unhedged = self.unhedged.filter(|_| mutated!(RefusalIsForGood));
                self.go_on(means);
            }
            (Stage::Running, Fact::Granted { mirror }) => self.granted(mirror, means),
            (Stage::Running, Fact::GivenUp { mirror }) => self.given_up(mirror, means),
            (Stage::New | Stage::Settled, Fact::Granted { mirror }) => self.give_back(mirror, means),
            (Stage::New | Stage::Running, Fact::Cancelled) => self.cancel(means.now),
            (Stage::New, _) | (Stage::Running, Fact::Began) => {}
            (Stage::Settled, _) => {
                if mutated!(OrderAfterVerdict) {
                    self.orders.push(Order::Stop { attempt: 0, why: StopReason::Superseded });
                }
            }
        }
    }

    /// The orders since the last call, in the order in which they are to be carried out.
    pub(crate) fn take_orders(&mut self) -> SmallVec<[Order; 4]> {
        std::mem::take(&mut self.orders)
    }

    /// Whether its verdict is among the orders that were not taken yet.
    pub(crate) fn is_settling(&self) -> bool {
        self.orders.iter().any(|order| matches!(order, Order::Settle(_)))
    }

    /// When to report [`Fact::Woke`]: the nearest of the deadline, a backoff's end and a hedge's time.
    ///
    /// A `Woke` at that moment always gives orders, or moves the next one to a later moment.
    pub(crate) fn wake(&self) -> Option<Moment> {
        if self.stage != Stage::Running {
            return None;
        }
        let retry = self.plans.iter().map(|plan| plan.at).min().filter(|at| *at < parked::NEVER);
        [self.rules.deadline, retry, self.hedge_due].into_iter().flatten().min()
    }

    fn begin(&mut self, means: &mut Means<'_>) {
        self.stage = Stage::Running;
        self.began = means.now;
        if self.is_late(means.now) {
            return self.end_late();
        }
        let firsts = match self.rules.opening {
            Opening::One => 1,
            Opening::Race => self.rules.mirrors.max(1),
        };
        for mirror in 0..firsts {
            if mirror == 0 || !mutated!(DepositMissing) {
                means.purse.deposit(mirror);
            }
            self.start(mirror, WhyStarted::First);
        }
        self.go_on(means);
    }

    fn lead(&mut self, attempt: u32) {
        if mutated!(LeaderReplaced) && self.leader.is_some() && self.leader != Some(attempt) {
            self.leader = Some(attempt);
        }
        if self.leader.is_some() || !self.is_flying(attempt) {
            return;
        }
        self.leader = Some(attempt);
        self.hedge_due = self.hedge_due.filter(|_| mutated!(LeaderHedged));
        if !mutated!(PlanKept) {
            self.drop_plans(|_| true);
        }
        let Self { flight, orders, .. } = self;
        flight.retain(|other| {
            let stays = other.attempt == attempt || mutated!(LoserFlies);
            if !stays {
                orders.push(Order::Stop { attempt: other.attempt, why: StopReason::Superseded });
            }
            stays
        });
    }

    fn complete(&mut self, attempt: u32, now: Moment) {
        if mutated!(LateBodyLost) && self.is_late(now) {
            return self.end_late();
        }
        self.lead(attempt);
        if self.leader == Some(attempt) {
            self.land(attempt);
            self.end(StopReason::Superseded, Verdict::Won { attempt });
        }
    }

    fn cancel(&mut self, now: Moment) {
        if self.is_late(now) {
            return self.end_late();
        }
        if mutated!(CancelledFlies) {
            self.flight.clear();
        }
        self.end(StopReason::Cancelled, Verdict::Cancelled);
    }

    fn fail(&mut self, attempt: u32, failure: Failure, means: &mut Means<'_>) {
        self.forbidden |= mutated!(LeaderFailsForGood) && self.leader == Some(attempt);
        let Some(failed) = self.land(attempt) else { return };
        self.last = Some((attempt, GaveUp::Lasting));
        if self.is_late(means.now) {
            return self.end_late();
        }
        if failure.class == Class::LastingEverywhere {
            return self.end(StopReason::Pointless, Verdict::GaveUp { attempt, why: GaveUp::Lasting });
        }
        self.forbid_if_sent(failure.sent);
        if self.may_redo(failed.mirror, failure, means.now) {
            self.spent.redos += 1;
            self.start(failed.mirror, WhyStarted::Redo);
        } else {
            self.plan_after(failed.mirror, failure, means);
        }
        if mutated!(LivingForgotten) && self.plans.is_empty() {
            self.flight.clear();
        }
        self.go_on(means);
    }

    /// A request that must not be sent twice is not started again once it may have been processed
    /// (RFC 9110, section 9.2.2).
    fn forbid_if_sent(&mut self, sent: Sent) {
        let once = self.rules.repeatable == Repeatable::WhileUnsent && !mutated!(SentTwice);
        if once && sent == Sent::Perhaps {
            self.forbidden = true;
            self.drop_plans(|_| true);
        }
    }

    fn may_redo(&self, mirror: u32, failure: Failure, now: Moment) -> bool {
        let mirror = self.mirrors.at(mirror);
        failure.class == Class::Unprocessed
            && failure.retry_after.is_none()
            && (!self.is_past_window(now) || mutated!(WindowForRetriesOnly))
            && (self.spent.redos == 0 || mutated!(RedoneTwice))
            && !self.forbidden
            && mirror.is_alive()
            && !mirror.is_asking(now)
    }

    /// Plans a retry for the attempt that failed at `mirror`, and again those that were to start there.
    fn plan_after(&mut self, mirror: u32, failure: Failure, means: &mut Means<'_>) {
        self.mirrors.at_mut(mirror).failed(failure, means.now, &self.rules, means.dice);
        let before = self.plans.len();
        self.drop_plans(|plan| plan.mirror == mirror);
        for _ in self.plans.len()..=before {
            if let Err(why) = self.plan_retry(mirror, means) {
                self.say(why);
            }
        }
    }

    /// What is due now, the deadline first; gives up when nothing is in flight and nothing planned.
    fn go_on(&mut self, means: &mut Means<'_>) {
        if self.is_late(means.now) && !mutated!(DeadlineMissed) {
            return self.end_late();
        }
        self.start_retries(means);
        self.start_hedge(means);
        if mutated!(ParkedForgotten) && self.flight.is_empty() && self.last.is_some() {
            self.drop_plans(|plan| plan.waits_for == WaitsFor::Grant);
        }
        if self.flight.is_empty() && self.plans.is_empty() {
            let (attempt, why) = self.last.expect("a fetch with nothing in flight has seen a failure");
            self.end(StopReason::Pointless, Verdict::GaveUp { attempt, why });
        }
    }

    fn start(&mut self, mirror: u32, why: WhyStarted) {
        let attempt = self.spent.attempts;
        self.spent.attempts += 1;
        self.flight.push(Flying { attempt, mirror, why, entered: None });
        self.orders.push(Order::Start { attempt, mirror, why });
    }

    /// The deadline has come. Where all that was left is parked, it was the purse that the fetch failed for.
    fn end_late(&mut self) {
        let waits = self.plans.iter().any(|plan| plan.waits_for == WaitsFor::Grant);
        let waits = waits && self.flight.is_empty() && !mutated!(WantOfBudgetHidden);
        let verdict = match self.last.filter(|_| waits) {
            Some((attempt, _)) => Verdict::GaveUp { attempt, why: GaveUp::NoBudget },
            None => Verdict::DeadlineCame,
        };
        self.end(StopReason::Deadline, verdict);
    }

    /// Stops what is in flight, and settles.
    fn end(&mut self, why: StopReason, verdict: Verdict) {
        self.stage = Stage::Settled;
        self.leader = None;
        self.hedge_due = None;
        self.plans.clear();
        let stops = self.flight.drain(..).map(|flying| Order::Stop { attempt: flying.attempt, why });
        self.orders.extend(stops);
        self.orders.push(Order::Settle(verdict));
        if mutated!(TwoVerdicts) {
            self.orders.push(Order::Settle(verdict));
        }
    }

    /// Takes an attempt that has ended out of the flight.
    fn land(&mut self, attempt: u32) -> Option<Flying> {
        let place = self.flight.iter().position(|flying| flying.attempt == attempt)?;
        self.leader = self.leader.filter(|leader| *leader != attempt);
        Some(self.flight.remove(place))
    }

    fn say(&mut self, why: GaveUp) {
        self.last = self.last.map(|(attempt, _)| (attempt, why));
    }

    fn is_flying(&self, attempt: u32) -> bool {
        self.flight.iter().any(|flying| flying.attempt == attempt)
    }

    fn is_late(&self, now: Moment) -> bool {
        self.rules.deadline.is_some_and(|deadline| deadline <= now)
    }
}
