//! Watches one fetch from outside, by the facts it was told and the orders it gave, and says which invariant was
//! broken. It shares no logic with the machine; where the machine throws dice, it knows their lowest and highest.

use std::time::Duration;

use crate::Moment;
use crate::outcome::WhyStarted;

use super::super::{
    Advice, Class, Fact, Failure, GaveUp, HedgeGate, Opening, Order, Repeatable, Rules, Sent, Silence,
    StopReason, Verdict, WhenEmpty,
};
use super::purse::Tally;

/// Nothing, or the invariant that was broken.
pub(super) type Held = Result<(), &'static str>;

pub(super) fn hold(holds: bool, invariant: &'static str) -> Held {
    if holds { Ok(()) } else { Err(invariant) }
}

/// The dice of a schedule lie between these.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice {
    pub(super) low: u32,
    pub(super) high: u32,
}

/// One fact, and all that followed from it at once.
pub(super) struct Step<'a> {
    pub(super) fact: Fact,
    pub(super) now: Moment,
    pub(super) wake_before: Option<Moment>,
    pub(super) orders: &'a [Order],
    pub(super) wake: Option<Moment>,
    pub(super) paid: Tally,
    /// What was known of each mirror's host.
    pub(super) known: &'a [Advice],
}

pub(super) struct Witness {
    rules: Rules,
    dice: Dice,
    lateness: Duration,
    attempts: Vec<Seen>,
    places: Vec<Place>,
    verdict: Option<Verdict>,
    last_failed: Option<u32>,
    /// Whether a request that must not be sent twice may have been.
    sent: bool,
    /// Since when nothing has been in flight.
    idle: Option<Moment>,
    /// The sum of the times in which nothing was in flight.
    slept: Duration,
    /// The most that the machine may think it has slept.
    slept_at_most: Duration,
    /// Whether any server asked for a wait.
    asked: bool,
    began: Option<Moment>,
    /// The mirrors for which a retry waits for the purse.
    parked: Vec<u32>,
    /// Whether a host was given up for which one was.
    given_up: bool,
    /// How many attempts there were when a hedge was refused last.
    refused_at: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    mirror: u32,
    why: WhyStarted,
    entered: Option<Moment>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Flying,
    Leading,
    Stopped,
    Failed,
    Won,
}

/// What the witness knows of a mirror: the earliest and the latest moment at which it is ready again.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    dead: bool,
    away: Option<Duration>,
    failures: u32,
    earliest: Moment,
    latest: Moment,
    latest_backoff: Moment,
}

impl Place {
    fn is_usable(&self) -> bool {
        !self.dead && self.away.is_none()
    }
}

impl Witness {
    pub(super) fn new(rules: Rules, dice: Dice, lateness: Duration) -> Self {
        let places = vec![Place::default(); rules.mirrors as usize];
        Self {
            rules,
            dice,
            lateness,
            attempts: Vec::new(),
            places,
            verdict: None,
            last_failed: None,
            sent: false,
            idle: None,
            slept: Duration::ZERO,
            slept_at_most: Duration::ZERO,
            asked: false,
            began: None,
            parked: Vec::new(),
            given_up: false,
            refused_at: None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.verdict.is_some()
    }

    pub(super) fn verdict_in_words(&self) -> Option<&'static str> {
        Some(match self.verdict? {
            Verdict::Won { .. } => "won",
            Verdict::DeadlineCame => "deadline",
            Verdict::Cancelled => "cancelled",
            Verdict::GaveUp { why, .. } => match why {
                GaveUp::Lasting => "lasting",
                GaveUp::NoRetriesLeft => "no retries left",
                GaveUp::HostGivenUp => "host given up",
                GaveUp::NoBudget => "no budget",
                GaveUp::NoTime { .. } => "no time",
                GaveUp::AskedToStayAway { .. } => "asked to stay away",
                GaveUp::SleptEnough => "slept enough",
                GaveUp::NotRepeatable => "not repeatable",
                GaveUp::WindowOver { .. } => "window over",
            },
        })
    }

    /// Holds the machine to every invariant after one step.
    pub(super) fn watch(&mut self, step: &Step<'_>) -> Held {
        if self.verdict.is_some() {
            hold(step.orders.is_empty() && step.wake.is_none(), "nothing follows the verdict")?;
            return self.hold_unheard_grant(step);
        }
        self.hold_no_outliving(step)?;
        let heard = self.hear(step);
        for order in step.orders {
            self.hold_order(order, step)?;
        }
        if step.fact == Fact::Advised {
            self.refused_at = None;
        }
        if step.paid.hedges_refused > 0 {
            self.refused_at = Some(self.attempts.len());
        }
        if !heard {
            self.hold_unheard_grant(step)?;
        }
        self.hold_payment(step)?;
        self.hold_consequence(step, heard)?;
        self.hold_parked(step)?;
        self.hold_hedged(step, heard)?;
        self.hold_wake(step, heard)?;
        let waits = self.count(State::Flying) + self.count(State::Leading) + self.parked.len() > 0;
        self.idle = if waits { None } else { self.idle.or(Some(step.now)) };
        Ok(())
    }

    /// Takes the fact into the books; whether it was about something alive.
    fn hear(&mut self, step: &Step<'_>) -> bool {
        match step.fact {
            Fact::Began => self.began.replace(self.began.unwrap_or(step.now)).is_none(),
            Fact::Woke | Fact::Advised => self.began.is_some(),
            Fact::Granted { mirror } => {
                let place = self.parked.iter().position(|parked| *parked == mirror);
                place.map(|place| self.parked.remove(place)).is_some()
            }
            Fact::GivenUp { mirror } => {
                let place = self.parked.iter().position(|parked| *parked == mirror);
                self.places[mirror as usize].dead |= place.is_some();
                self.given_up |= place.is_some();
                place.map(|place| self.parked.remove(place)).is_some()
            }
            Fact::Entered { attempt } => {
                let flies = matches!(self.state(attempt), Some(State::Flying | State::Leading));
                let enters = flies && self.attempts[attempt as usize].entered.is_none();
                if enters {
                    self.attempts[attempt as usize].entered = Some(step.now);
                }
                enters
            }
            Fact::Queued { attempt } => {
                let flies = self.state(attempt) == Some(State::Flying);
                flies && self.attempts[attempt as usize].entered.take().is_some()
            }
            Fact::Cancelled => true,
            Fact::Led { attempt } => {
                let leads = self.state(attempt) == Some(State::Flying) && self.count(State::Leading) == 0;
                if leads {
                    self.attempts[attempt as usize].state = State::Leading;
                }
                leads
            }
            Fact::Completed { attempt } => {
                let wins = self.state(attempt) == Some(State::Leading);
                if wins {
                    self.attempts[attempt as usize].state = State::Won;
                }
                wins
            }
            Fact::Failed { attempt, failure } => {
                let lives = matches!(self.state(attempt), Some(State::Flying | State::Leading));
                if lives {
                    self.hear_failure(attempt, failure, step);
                }
                lives
            }
        }
    }

    fn hear_failure(&mut self, attempt: u32, failure: Failure, step: &Step<'_>) {
        self.attempts[attempt as usize].state = State::Failed;
        self.last_failed = Some(attempt);
        self.sent |= self.rules.repeatable == Repeatable::WhileUnsent && failure.sent == Sent::Perhaps;
        let redone =
            step.orders.iter().any(|order| matches!(order, Order::Start { why: WhyStarted::Redo, .. }));
        if redone {
            return;
        }
        let now = step.now;
        let mirror = self.attempts[attempt as usize].mirror as usize;
        let (least, most) = self.delays_after(self.places[mirror].failures);
        let place = &mut self.places[mirror];
        place.dead |= failure.class == Class::LastingHere;
        place.earliest = place.earliest.max(now + least);
        place.latest_backoff = place.latest_backoff.max(now + most);
        place.latest = place.latest.max(place.latest_backoff);
        place.failures += 1;
        if let Some(asked) = failure.retry_after {
            self.asked = true;
            place.earliest = place.earliest.max(now + asked);
            place.latest = place.latest.max(now + asked + (asked / 10).min(Duration::from_secs(1)));
            if asked > self.rules.retry_after_max && place.is_usable() {
                place.away = Some(asked);
            }
        }
    }

    /// The shortest and the longest delay after so many earlier failures: a fixed pause knows no dice.
    fn delays_after(&self, failures: u32) -> (Duration, Duration) {
        let (backoff, dice) = (self.rules.backoff, self.dice);
        let thrown = || (backoff.delay(failures, dice.low), backoff.delay(failures, dice.high));
        backoff.pause.map_or_else(thrown, |pause| (pause, pause))
    }

    /// The last moment at which a retry may start.
    fn window_end(&self) -> Option<Moment> {
        Some(self.began? + self.rules.retry_within?)
    }

    fn is_past_window(&self, now: Moment) -> bool {
        self.window_end().is_some_and(|end| now > end)
    }

    fn hold_order(&mut self, order: &Order, step: &Step<'_>) -> Held {
        hold(self.verdict.is_none(), "exactly one verdict, and nothing after it")?;
        match *order {
            Order::Start { attempt, mirror, why } => self.hold_start(attempt, mirror, why, step),
            Order::Stop { attempt, why } => self.hold_stop(attempt, why, step),
            Order::Park { mirror } => self.hold_park(mirror, step),
            Order::Unpark { mirror } => {
                let place = self.parked.iter().position(|parked| *parked == mirror);
                let place = place.ok_or("only what is parked leaves the queue")?;
                self.parked.remove(place);
                Ok(())
            }
            Order::Settle(verdict) => {
                self.verdict = Some(verdict);
                hold(
                    self.count(State::Flying) + self.count(State::Leading) == 0,
                    "nothing flies after the verdict",
                )?;
                self.hold_verdict(verdict, step)
            }
        }
    }

    /// Waiting for the purse is no backoff, and holds nothing else up.
    fn hold_park(&mut self, mirror: u32, step: &Step<'_>) -> Held {
        hold(self.rules.when_empty == WhenEmpty::Park, "only a job's fetches wait for the purse")?;
        hold(step.paid.retries_refused > 0, "only what the purse refused is parked")?;
        hold(!self.parked.contains(&mirror), "one retry waits for each mirror")?;
        self.parked.push(mirror);
        self.sleep_until(step);
        Ok(())
    }

    /// Nobody waits beside a leader, or in vain.
    fn hold_parked(&self, step: &Step<'_>) -> Held {
        let leads = self.count(State::Leading) > 0;
        hold(!leads || self.parked.is_empty(), "no retry is parked beside a leader")?;
        let due = self.window_end().is_some_and(|end| end < step.now);
        let woken = step.fact == Fact::Woke && self.verdict.is_none();
        hold(!(due && woken) || self.parked.is_empty(), "no retry is parked after the time for retries")
    }

    /// A grant that nobody waits for is given back.
    fn hold_unheard_grant(&self, step: &Step<'_>) -> Held {
        let stray = u64::from(matches!(step.fact, Fact::Granted { .. }));
        let Tally { deposits, late, given_back, retries, hedges, .. } = step.paid;
        hold(given_back == late && late == stray, "a grant that nobody waits for is given back")?;
        hold(deposits == 0 && hedges == 0 && retries == stray, "nothing is paid for nothing")
    }

    /// A grant that somebody waited for is a retry at its mirror, unless it came too late.
    fn hold_grant(&self, mirror: u32, step: &Step<'_>) -> Held {
        let starts = |order: &&Order| matches!(order, Order::Start { mirror: at, why: WhyStarted::Retry, .. } if *at == mirror);
        let started = step.orders.iter().filter(starts).count();
        let useless =
            self.is_late(step.now) || self.is_past_window(step.now) || !self.fits(mirror, step.now, step);
        hold(started > 0 || useless, "a grant starts the retry that waited for it")?;
        hold(step.paid.given_back == u64::from(useless), "a grant that came too late is given back")
    }

    fn fits(&self, mirror: u32, at: Moment, step: &Step<'_>) -> bool {
        let usual = step.known[mirror as usize].usual.unwrap_or_default();
        self.rules.deadline.is_none_or(|deadline| at + usual < deadline)
    }

    /// A hedge that is due and held back by nothing starts, or was refused by the purse.
    fn hold_hedged(&self, step: &Step<'_>, heard: bool) -> Held {
        let Some(rule) = self.rules.hedge.filter(|_| heard && self.verdict.is_none()) else { return Ok(()) };
        let Some(newest) = self.attempts.last().filter(|seen| seen.state == State::Flying) else {
            return Ok(());
        };
        let flying = |seen: &Seen| seen.state == State::Flying && seen.why == WhyStarted::Hedge;
        let may = self.rules.repeatable == Repeatable::Always
            && !self.attempts.iter().any(flying)
            && self.started(WhyStarted::Hedge) < rule.at_most
            && self.refused_at != Some(self.attempts.len())
            && !self.is_late(step.now);
        let after = match rule.after {
            Silence::Fixed(after) => Some(after),
            Silence::Advised => step.known[newest.mirror as usize].hedge_after,
        };
        let silent = newest.entered.zip(after).is_some_and(|(entered, after)| entered + after <= step.now);
        let place = (0..self.rules.mirrors).any(|mirror| {
            let place = self.places[mirror as usize];
            place.is_usable()
                && place.latest <= step.now
                && step.known[mirror as usize].gate == HedgeGate::Open
                && self.fits(mirror, step.now, step)
        });
        hold(!(may && silent && place), "a hedge that is due and not held back starts")
    }

    fn sleep_until(&mut self, step: &Step<'_>) {
        if let Some(idle) = self.idle.take() {
            self.slept += step.wake_before.unwrap_or(step.now).min(step.now).since(idle);
        }
    }

    fn hold_start(&mut self, attempt: u32, mirror: u32, why: WhyStarted, step: &Step<'_>) -> Held {
        hold(attempt as usize == self.attempts.len(), "attempts are numbered without gaps")?;
        hold(mirror < self.rules.mirrors, "the mirror exists")?;
        hold(!self.is_late(step.now), "nothing starts at or after the deadline")?;
        hold(self.count(State::Leading) == 0, "nothing starts beside a leader")?;
        hold(why == WhyStarted::First || !self.sent, "nothing is sent twice that must not be")?;
        let place = self.places[mirror as usize];
        hold(place.is_usable(), "no mirror is tried that is dead or wants us away")?;
        if matches!(why, WhyStarted::Retry | WhyStarted::Redo) {
            hold(!self.is_past_window(step.now), "no retry starts after the time for retries")?;
        }
        match why {
            WhyStarted::First => hold(step.fact == Fact::Began, "firsts start at the beginning")?,
            WhyStarted::Redo => {
                hold(self.is_redo(mirror, step.fact), "a redo follows a failure at its mirror")?
            }
            WhyStarted::Retry => {
                hold(step.now >= place.earliest, "no mirror is retried before backoff and Retry-After")?;
                let failures = self.count(State::Failed) as u32;
                hold(self.started(WhyStarted::Retry) < failures, "each retry follows a failure")?;
                hold(self.fits(mirror, step.now, step), "a retry starts while the usual time fits")?;
                self.hold_sleep(place, step)?;
            }
            WhyStarted::Hedge => {
                hold(self.fits(mirror, step.now, step), "a hedge starts while the usual time fits")?;
                let open = step.known[mirror as usize].gate == HedgeGate::Open;
                hold(open, "no hedge starts where hedges are held back")?;
                self.hold_hedge(place, step)?;
            }
        }
        self.attempts.push(Seen { mirror, why, entered: None, state: State::Flying });
        self.hold_count()
    }

    fn is_redo(&self, mirror: u32, fact: Fact) -> bool {
        let Fact::Failed { attempt, failure } = fact else { return false };
        failure.class == Class::Unprocessed && self.attempts[attempt as usize].mirror == mirror
    }

    /// Backoffs are bounded in sum where no deadline bounds them.
    fn hold_sleep(&mut self, place: Place, step: &Step<'_>) -> Held {
        if let Some(failures) = place.failures.checked_sub(1) {
            self.slept_at_most += self.delays_after(failures).1;
        }
        self.sleep_until(step);
        let bounded = self.rules.deadline.is_none() && self.rules.retries.is_some() && !self.asked;
        let total = self.rules.backoff.total.filter(|_| bounded).unwrap_or(Duration::MAX);
        hold(self.slept <= total, "backoffs are bounded in sum")
    }

    fn hold_hedge(&self, place: Place, step: &Step<'_>) -> Held {
        let hedge = self.rules.hedge.ok_or("a hedge needs a rule")?;
        hold(self.rules.repeatable == Repeatable::Always, "only what may be sent twice is hedged")?;
        hold(step.now >= place.earliest, "no mirror is hedged at before backoff and Retry-After")?;
        let flies = |seen: &&Seen| seen.state == State::Flying;
        let newest = self.attempts.last().filter(flies).ok_or("a hedge needs a silent attempt")?;
        let after = match hedge.after {
            Silence::Fixed(after) => after,
            Silence::Advised => step.known[newest.mirror as usize].hedge_after.ok_or("nobody knows when")?,
        };
        let entered = newest.entered.ok_or("our own queue is nobody's silence")?;
        hold(entered + after <= step.now, "a hedge waits for the silence of the newest")?;
        let hedges = self.attempts.iter().filter(flies).filter(|seen| seen.why == WhyStarted::Hedge).count();
        hold(hedges == 0, "one hedge flies at a time")
    }

    fn hold_count(&self) -> Held {
        let hedges = self.rules.hedge.map_or(0, |hedge| hedge.at_most);
        let firsts = match self.rules.opening {
            Opening::One => 1,
            Opening::Race => self.rules.mirrors,
        };
        hold(self.started(WhyStarted::First) <= firsts, "no more firsts than allowed")?;
        hold(self.started(WhyStarted::Redo) <= 1, "one redo at most")?;
        hold(self.started(WhyStarted::Hedge) <= hedges, "no more hedges than allowed")?;
        let retries = self.rules.retries.unwrap_or(u32::MAX);
        hold(self.started(WhyStarted::Retry) <= retries, "no more retries than allowed")
    }

    fn hold_stop(&mut self, attempt: u32, why: StopReason, step: &Step<'_>) -> Held {
        let lives = matches!(self.state(attempt), Some(State::Flying | State::Leading));
        hold(lives, "only what flies is stopped")?;
        self.attempts[attempt as usize].state = State::Stopped;
        let right = match why {
            StopReason::Superseded => self.count(State::Leading) + self.count(State::Won) == 1,
            StopReason::Deadline => self.is_late(step.now),
            StopReason::Cancelled => step.fact == Fact::Cancelled,
            StopReason::Pointless => is_lasting_everywhere(step.fact),
        };
        hold(right, "a stop names its reason")
    }

    fn hold_verdict(&self, verdict: Verdict, step: &Step<'_>) -> Held {
        match verdict {
            Verdict::Won { attempt } => {
                let brought = step.fact == Fact::Completed { attempt };
                hold(
                    brought && self.state(attempt) == Some(State::Won),
                    "only a leader that brought its body wins",
                )
            }
            Verdict::DeadlineCame => {
                let stopped = step.orders.iter().any(|order| matches!(order, Order::Stop { .. }));
                hold(stopped || self.parked.is_empty(), "what failed for want of budget says so")?;
                hold(self.is_late(step.now), "the deadline has come")
            }
            Verdict::Cancelled => hold(step.fact == Fact::Cancelled, "only the caller cancels"),
            Verdict::GaveUp { attempt, why } => {
                hold(self.last_failed == Some(attempt), "the last failure is named")?;
                self.hold_gave_up(why, step)
            }
        }
    }

    /// There is no giving up while a retry is allowed and affordable.
    fn hold_gave_up(&self, why: GaveUp, step: &Step<'_>) -> Held {
        let mut usable = self.places.iter().filter(|place| place.is_usable());
        let retries = self.started(WhyStarted::Retry);
        let truly = match why {
            GaveUp::HostGivenUp => self.given_up && self.places.iter().all(|place| place.dead),
            GaveUp::Lasting => is_lasting_everywhere(step.fact) || self.places.iter().all(|place| place.dead),
            GaveUp::NoRetriesLeft => self.rules.retries == Some(retries),
            GaveUp::NoBudget => match self.rules.when_empty {
                WhenEmpty::Fail => step.paid.retries_refused > 0,
                WhenEmpty::Park => {
                    let granted = matches!(step.fact, Fact::Granted { .. });
                    self.is_late(step.now) && (granted || !self.parked.is_empty())
                }
            },
            GaveUp::NoTime { wanted } => {
                let usual = step.known.iter().filter_map(|known| known.usual).max().unwrap_or_default();
                let deadline = self.rules.deadline.ok_or("only a deadline leaves no time")?;
                step.now + wanted + usual >= deadline && self.is_too_late_everywhere(step)
            }
            GaveUp::AskedToStayAway { wanted } => {
                usable.next().is_none() && self.places.iter().any(|place| place.away == Some(wanted))
            }
            GaveUp::SleptEnough => self.rules.backoff.total.is_some_and(|total| {
                let over = |place: &Place| self.slept_at_most + place.latest_backoff.since(step.now) > total;
                let beyond = |place: &Place| self.is_past_window(place.latest);
                let bounded = self.rules.deadline.is_none() && self.rules.retries.is_some();
                bounded && usable.all(|place| over(place) || beyond(place))
            }),
            GaveUp::WindowOver { wanted } => {
                let over = self.is_past_window(step.now);
                self.is_past_window(step.now + wanted) && (over || self.is_too_late_everywhere(step))
            }
            GaveUp::NotRepeatable => self.sent,
        };
        hold(truly, "a fetch gives up for a true reason only")
    }

    /// Whether no mirror can be retried before the deadline and within the time for retries.
    fn is_too_late_everywhere(&self, step: &Step<'_>) -> bool {
        (0..self.rules.mirrors).all(|mirror| {
            let place = self.places[mirror as usize];
            let at = place.latest.max(step.now);
            !place.is_usable() || !self.fits(mirror, at, step) || self.is_past_window(at)
        })
    }

    /// What has started was paid for, and nothing else was.
    fn hold_payment(&self, step: &Step<'_>) -> Held {
        let started = |wanted: WhyStarted| {
            let is = |order: &&Order| matches!(order, Order::Start { why, .. } if *why == wanted);
            step.orders.iter().filter(is).count() as u64
        };
        hold(started(WhyStarted::First) == step.paid.deposits, "each first pays in")?;
        let retries = step.paid.retries - step.paid.given_back;
        hold(started(WhyStarted::Retry) == retries, "each retry is paid for")?;
        hold(started(WhyStarted::Hedge) == step.paid.hedges, "each hedge is paid for")?;
        let extras = |mirror: usize| {
            let is = |order: &&Order| {
                matches!(order, Order::Start { mirror: at, why, .. }
                if *at as usize == mirror && matches!(why, WhyStarted::Retry | WhyStarted::Hedge))
            };
            step.orders.iter().filter(is).count() as u64
        };
        let right = (0..self.places.len()).all(|mirror| extras(mirror) == step.paid.at[mirror]);
        hold(right, "an extra is paid for at its own host")
    }

    /// What has to follow from a fact at once.
    fn hold_consequence(&self, step: &Step<'_>, heard: bool) -> Held {
        if !heard {
            return hold(step.orders.is_empty(), "a fact about nothing alive changes nothing");
        }
        let (flying, late) = (self.count(State::Flying), self.is_late(step.now));
        match step.fact {
            Fact::Began if !late => match self.rules.opening {
                Opening::One => hold(self.started(WhyStarted::First) == 1, "the first attempt starts"),
                Opening::Race => {
                    hold(self.started(WhyStarted::First) == self.rules.mirrors, "every leg starts")
                }
            },
            Fact::Led { .. } => hold(flying == 0, "whoever leads, leads alone"),
            Fact::Completed { attempt } => {
                hold(self.verdict == Some(Verdict::Won { attempt }), "a leader that brought its body wins")
            }
            Fact::Cancelled => hold(self.verdict.is_some(), "cancelling ends the fetch"),
            Fact::Failed { failure, .. } if failure.class == Class::LastingEverywhere => {
                hold(self.verdict.is_some(), "a failure that lasts everywhere ends the fetch")
            }
            Fact::Failed { failure, .. } if !late => self.hold_promptness(failure, step),
            Fact::Granted { mirror } => {
                hold(!late || self.verdict.is_some(), "the deadline ends the fetch")?;
                self.hold_grant(mirror, step)
            }
            Fact::Began
            | Fact::Failed { .. }
            | Fact::Woke
            | Fact::Advised
            | Fact::GivenUp { .. }
            | Fact::Entered { .. }
            | Fact::Queued { .. } => {
                let poor = matches!(self.verdict, Some(Verdict::GaveUp { why: GaveUp::NoBudget, .. }));
                let ended = self.verdict == Some(Verdict::DeadlineCame) || poor;
                hold(!late || ended, "the deadline ends the fetch")
            }
        }
    }

    /// A mirror that has not failed yet is tried at once.
    fn hold_promptness(&self, failure: Failure, step: &Step<'_>) -> Held {
        let nothing_planned = step.wake_before.is_none() || step.wake_before == self.rules.deadline;
        let starts = step.orders.iter().filter(|order| matches!(order, Order::Start { .. })).count();
        let before = &self.attempts[..self.attempts.len() - starts];
        let used = |mirror: usize| {
            before.iter().any(|seen| seen.mirror as usize == mirror && seen.state == State::Flying)
        };
        let fresh = (0..self.places.len()).any(|mirror| {
            let place = self.places[mirror];
            let fits = self.fits(mirror as u32, step.now, step);
            place.is_usable() && place.failures == 0 && !used(mirror) && fits
        });
        let started = |order: &Order| matches!(order, Order::Start { why, .. } if *why != WhyStarted::Hedge);
        let prompt = step.orders.iter().any(started) || step.paid.retries_refused > 0;
        let spent =
            self.sent || self.rules.retries.is_some_and(|most| self.started(WhyStarted::Retry) >= most);
        let spent = spent || self.is_past_window(step.now) || !self.parked.is_empty();
        let due = nothing_planned && fresh && !spent && failure.class != Class::LastingEverywhere;
        hold(prompt || !due, "a mirror that has not failed is tried at once")
    }

    fn hold_no_outliving(&self, step: &Step<'_>) -> Held {
        let latest = self.rules.deadline.map(|deadline| deadline + self.lateness);
        let outlived = self.began.is_some() && latest.is_some_and(|latest| latest < step.now);
        hold(!outlived, "no attempt outlives the deadline")
    }

    /// A wake-up always changes something, and there is always one where nothing else will come.
    fn hold_wake(&self, step: &Step<'_>, heard: bool) -> Held {
        if self.verdict.is_some() || self.began.is_none() {
            return hold(step.wake.is_none(), "nothing is waited for outside of a running fetch");
        }
        if !heard {
            return hold(step.wake == step.wake_before, "a fact about nothing alive changes nothing");
        }
        if step.wake_before.is_some_and(|wake| wake <= step.now) && step.fact == Fact::Woke {
            let moved = step.wake.is_none_or(|wake| step.wake_before.is_some_and(|before| wake > before));
            hold(moved || !step.orders.is_empty(), "a wake-up always changes something")?;
        }
        let led_late = matches!(step.fact, Fact::Led { .. }) && self.is_late(step.now);
        hold(led_late || step.wake.is_none_or(|wake| wake > step.now), "what is due is done at once")?;
        if let Some(deadline) = self.rules.deadline {
            hold(step.wake.is_some_and(|wake| wake <= deadline), "the deadline is waited for")?;
        }
        if self.count(State::Flying) + self.count(State::Leading) > 0 {
            return Ok(());
        }
        if !self.parked.is_empty() {
            let end = self.window_end().map(|end| end + Duration::from_nanos(1));
            let ends = end.is_none_or(|end| step.wake.is_some_and(|wake| wake <= end));
            return hold(ends, "no retry is parked beyond the time for retries");
        }
        let wake = step.wake.ok_or("something is in flight, planned or parked until the verdict")?;
        hold(!self.is_past_window(wake), "nothing is slept for in vain")?;
        let longest = self.places.iter().filter(|place| place.is_usable()).map(|place| place.latest).max();
        hold(longest.is_some_and(|longest| wake <= longest), "no pause is longer than it has to be")?;
        hold(self.rules.deadline.is_none_or(|deadline| wake < deadline), "nothing is slept for in vain")
    }

    fn is_late(&self, now: Moment) -> bool {
        self.rules.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn state(&self, attempt: u32) -> Option<State> {
        self.attempts.get(attempt as usize).map(|seen| seen.state)
    }

    fn count(&self, state: State) -> usize {
        self.attempts.iter().filter(|seen| seen.state == state).count()
    }

    fn started(&self, why: WhyStarted) -> u32 {
        self.attempts.iter().filter(|seen| seen.why == why).count() as u32
    }
}

fn is_lasting_everywhere(fact: Fact) -> bool {
    matches!(fact, Fact::Failed { failure, .. } if failure.class == Class::LastingEverywhere)
}
