//! "The Tail at Scale" (Dean and Barroso, 2013) in virtual time: a job with a queue, one host whose places are always
//! taken, lognormal latencies and rare stragglers. The machine, the purse, the estimator and the hedging rules are
//! the real ones; only the gate and the origin are made up here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

use crate::Moment;
use crate::outcome::WhyStarted;

use super::backoff::Backoff;
use super::budget::{Extra, HostPurse, Purse, RESERVE, Ratio, RatioPurse, Taken};
use super::fetch::{Advice, Fact, Hedge, Hosts, Machine, Means, Opening, Order, Repeatable, Rules};
use super::fetch::{Silence, WhenEmpty};
use super::hedge::{Game, HedgeAfter, Hedged, Pays};
use super::latency::{Became, Heard, Latency};

/// Requests at once, and in flight at the host.
const PLACES: usize = 16;
const REQUESTS: usize = 20_000;
const SEEDS: u64 = 20;
const HEDGE_BUDGET: f64 = 0.02;
const DEADLINE: Duration = Duration::from_secs(86_400);

/// How the origin treats us.
#[derive(Debug, Clone, Copy)]
struct Origin {
    requests: usize,
    /// One request in a hundred is so many times slower.
    straggling: f64,
    stragglers: Stragglers,
    /// From this request on everything is twenty times slower.
    slow_from: usize,
}

/// Which first attempts straggle; of the others, each does with a chance of one in a hundred.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stragglers {
    AtRandom,
    OneOfEachHundred,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Hedging {
    Off,
    Auto,
}

/// What a job has shown.
#[derive(Debug, Default)]
struct Shown {
    /// From the start of a fetch to the first byte, in seconds.
    took: Vec<f64>,
    lasted: f64,
    hedges: u64,
    won: u64,
}

impl Shown {
    fn quantile(&mut self, share: f64) -> f64 {
        self.took.sort_by(f64::total_cmp);
        self.took[((share * self.took.len() as f64).ceil() as usize).saturating_sub(1)]
    }

    fn extra(&self) -> f64 {
        self.hedges as f64 / self.took.len() as f64
    }
}

/// All that is known of the one host.
struct Host {
    requests: usize,
    common: RatioPurse,
    purse: HostPurse,
    latency: Latency,
    pays: Pays,
    settled: u64,
    now: Moment,
}

impl Hosts for Host {
    fn advice(&self, _mirror: u32) -> Advice {
        let game = Game::of(self.settled, Some(self.requests as u64), self.common.balance(Extra::Hedge));
        let hedge_after = HedgeAfter::Auto.silence(self.common.ratio(Extra::Hedge), &self.latency, game);
        Advice { usual: self.latency.usual(), hedge_after, gate: self.pays.gate(self.now) }
    }
}

impl Purse for Host {
    fn deposit(&self, _mirror: u32) {
        self.purse.deposit(&self.common);
    }

    fn take(&self, extra: Extra, _mirror: u32) -> Taken {
        self.purse.take(extra, &self.common)
    }

    fn give_back(&self, extra: Extra, _mirror: u32) {
        self.purse.give_back(extra, &self.common);
    }
}

struct Flown {
    machine: Machine,
    began: Moment,
    attempts: Vec<Flight>,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    why: WhyStarted,
    entered: Option<Moment>,
    stands: Stands,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stands {
    Queued,
    Flying,
    Over,
}

struct World {
    dice: Rng,
    origin: Origin,
    hedging: Hedging,
    host: Host,
    fetches: Vec<Flown>,
    open: usize,
    in_flight: usize,
    /// Hedges that wait for the next place; they go before anybody's first attempt.
    gate: VecDeque<(usize, u32)>,
    /// Fetches whose hedge the purse refused; told in order when it has something again.
    refused: VecDeque<usize>,
    events: BinaryHeap<Reverse<(Moment, u64, usize, Next)>>,
    number: u64,
    /// The one of this hundred.
    straggler: usize,
    shown: Shown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Leads(u32),
    Wakes,
}

impl World {
    fn new(seed: u64, origin: Origin, hedging: Hedging) -> Self {
        let host = Host {
            requests: origin.requests,
            common: RatioPurse::new(Ratio::Share(0.2), Ratio::Share(HEDGE_BUDGET)),
            purse: HostPurse::default(),
            latency: Latency::default(),
            pays: Pays::default(),
            settled: 0,
            now: Moment::ZERO,
        };
        Self {
            dice: Rng::with_seed(seed),
            origin,
            hedging,
            host,
            fetches: Vec::new(),
            open: 0,
            in_flight: 0,
            gate: VecDeque::new(),
            refused: VecDeque::new(),
            events: BinaryHeap::new(),
            number: 0,
            straggler: 0,
            shown: Shown::default(),
        }
    }

    fn run(mut self) -> Shown {
        self.fill();
        while let Some(Reverse((now, _, fetch, next))) = self.events.pop() {
            self.host.now = now;
            match next {
                Next::Leads(attempt) if self.leave(fetch, attempt) => {
                    self.hear(fetch, attempt, Heard::Led);
                    self.tell(fetch, Fact::Led { attempt });
                    self.tell(fetch, Fact::Completed { attempt });
                }
                Next::Wakes if self.fetches[fetch].machine.wake() == Some(now) => {
                    self.tell(fetch, Fact::Woke)
                }
                Next::Leads(_) | Next::Wakes => {}
            }
            self.fill();
        }
        assert_eq!((self.shown.took.len(), self.open, self.in_flight), (self.origin.requests, 0, 0));
        self.shown
    }

    /// Places that are free go to hedges first, then to what was not started yet.
    fn fill(&mut self) {
        while self.in_flight < PLACES {
            if let Some((fetch, attempt)) = self.gate.pop_front() {
                if self.fetches[fetch].attempts[attempt as usize].stands == Stands::Queued {
                    self.enter(fetch, attempt);
                }
            } else if self.open < PLACES && self.fetches.len() < self.origin.requests {
                self.begin();
            } else {
                return;
            }
        }
    }

    fn begin(&mut self) {
        let after = Silence::Advised;
        let rules = Rules {
            mirrors: 1,
            opening: Opening::One,
            retries: Some(3),
            backoff: Backoff::default(),
            retry_within: None,
            hedge: (self.hedging == Hedging::Auto).then_some(Hedge { after, at_most: 1 }),
            deadline: Some(Moment::ZERO + DEADLINE),
            repeatable: Repeatable::Always,
            when_empty: WhenEmpty::Park,
            retry_after_max: Duration::from_secs(300),
        };
        self.open += 1;
        self.fetches.push(Flown { machine: Machine::new(rules), began: self.host.now, attempts: Vec::new() });
        self.tell(self.fetches.len() - 1, Fact::Began);
        for _ in 0..self.refused.len() {
            if self.host.common.balance(Extra::Hedge) > Some(0)
                && let Some(fetch) = self.refused.pop_front()
            {
                self.tell(fetch, Fact::Advised);
            }
        }
    }

    fn tell(&mut self, fetch: usize, fact: Fact) {
        let now = self.host.now;
        let mut dice = || 0;
        let refused_before = self.host.common.refused_of(Extra::Hedge);
        let machine = &mut self.fetches[fetch].machine;
        machine.on(fact, &mut Means { now, purse: &self.host, hosts: &self.host, dice: &mut dice });
        let orders = machine.take_orders();
        if let Some(wake) = machine.wake().filter(|wake| wake.since(Moment::ZERO) < DEADLINE) {
            self.at(wake, fetch, Next::Wakes);
        }
        if self.host.common.refused_of(Extra::Hedge) > refused_before {
            self.refused.push_back(fetch);
        }
        for order in orders {
            self.obey(fetch, order);
        }
    }

    fn obey(&mut self, fetch: usize, order: Order) {
        match order {
            Order::Start { attempt, why, .. } => {
                self.fetches[fetch].attempts.push(Flight { why, entered: None, stands: Stands::Queued });
                if why == WhyStarted::First {
                    return self.enter(fetch, attempt);
                }
                self.gate.push_back((fetch, attempt));
                self.shown.hedges += 1;
                let allowed = (RESERVE as f64).max(HEDGE_BUDGET * self.fetches.len() as f64);
                assert!(self.shown.hedges as f64 <= allowed, "the budget holds on every prefix");
            }
            Order::Stop { attempt, .. } => {
                if self.leave(fetch, attempt) {
                    self.hear(fetch, attempt, Heard::Superseded);
                }
            }
            Order::Settle(_) => {
                self.open -= 1;
                self.host.settled += 1;
                self.shown.lasted = self.host.now.since(Moment::ZERO).as_secs_f64();
                self.shown.took.push((self.host.now - self.fetches[fetch].began).as_secs_f64());
            }
            Order::Park { .. } | Order::Unpark { .. } => unreachable!("nothing fails here"),
        }
    }

    fn enter(&mut self, fetch: usize, attempt: u32) {
        self.in_flight += 1;
        let flight = &mut self.fetches[fetch].attempts[attempt as usize];
        (flight.entered, flight.stands) = (Some(self.host.now), Stands::Flying);
        let why = flight.why;
        let at = self.host.now + self.draw(why);
        self.at(at, fetch, Next::Leads(attempt));
        self.tell(fetch, Fact::Entered { attempt });
    }

    /// Gives its place back; whether it had one.
    fn leave(&mut self, fetch: usize, attempt: u32) -> bool {
        let flight = &mut self.fetches[fetch].attempts[attempt as usize];
        let flew = std::mem::replace(&mut flight.stands, Stands::Over) == Stands::Flying;
        self.in_flight -= usize::from(flew);
        flew
    }

    fn hear(&mut self, fetch: usize, attempt: u32, heard: Heard) {
        let flight = self.fetches[fetch].attempts[attempt as usize];
        let entered = flight.entered.expect("only what flew is heard of");
        if flight.why == WhyStarted::Hedge {
            let hedged = if heard == Heard::Led { Hedged::Won } else { Hedged::Lost };
            self.shown.won += u64::from(hedged == Hedged::Won);
            self.host.pays.ended(hedged, self.host.now);
        }
        if self.host.latency.record(heard, self.host.now - entered, self.host.now) == Became::Known {
            for fetch in 0..self.fetches.len() {
                self.tell(fetch, Fact::Advised);
            }
        }
    }

    fn at(&mut self, at: Moment, fetch: usize, next: Next) {
        self.number += 1;
        self.events.push(Reverse((at, self.number, fetch, next)));
    }

    /// Lognormal with a median of 5 ms and a sigma of 0.3 (Box and Muller, 1958), and one in a hundred slower.
    fn draw(&mut self, why: WhyStarted) -> Duration {
        let normal =
            (-2.0 * (1.0 - self.dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * self.dice.f64()).cos();
        let dice = self.dice.usize(0..100);
        let straggles = match (self.origin.stragglers, why) {
            (Stragglers::OneOfEachHundred, WhyStarted::First) => {
                let number = self.fetches.len() - 1;
                if number.is_multiple_of(100) {
                    self.straggler = number + dice;
                }
                number == self.straggler
            }
            _ => dice == 0,
        };
        let straggling = if straggles { self.origin.straggling } else { 1.0 };
        let slow = if self.fetches.len() > self.origin.slow_from { 20.0 } else { 1.0 };
        Duration::from_secs_f64(0.005 * (0.3 * normal).exp() * straggling * slow)
    }
}

fn job(seed: u64, origin: Origin, hedging: Hedging) -> Shown {
    World::new(seed, origin, hedging).run()
}

/// Holds each seed to how many times p99.9 has to fall.
fn assert_tail_falls(straggling: f64, times: f64) {
    let origin =
        Origin { requests: REQUESTS, straggling, stragglers: Stragglers::AtRandom, slow_from: usize::MAX };
    for seed in 0..SEEDS {
        let (mut without, mut with) = (job(seed, origin, Hedging::Off), job(seed, origin, Hedging::Auto));
        let (before, after) = (without.quantile(0.999), with.quantile(0.999));
        let (extra, won) = (with.extra(), with.won as f64 / with.hedges as f64);
        eprintln!(
            "stragglers x{straggling}, seed {seed:2}: p99.9 {:.1} ms, hedged {:.1} ms, {:.1} times lower; {:.2} % \
             more requests, {:.0} % of them win; the job takes {:.2} of the time",
            before * 1e3,
            after * 1e3,
            before / after,
            extra * 100.0,
            won * 100.0,
            with.lasted / without.lasted
        );
        assert!(before >= times * after, "seed {seed}: {before} s is not {times} times {after} s");
        assert!(extra <= HEDGE_BUDGET, "seed {seed}: {extra}");
    }
}

#[test]
fn hedging_lowers_the_tail_tenfold_for_two_percent_more_requests() {
    assert_tail_falls(50.0, 10.0);
}

#[test]
fn hedging_lowers_the_tail_twentyfold_where_stragglers_are_a_hundred_times_slower() {
    assert_tail_falls(100.0, 20.0);
}

#[test]
fn an_origin_that_turns_slow_for_everybody_is_not_stormed() {
    let origin = Origin {
        requests: REQUESTS,
        straggling: 50.0,
        stragglers: Stragglers::AtRandom,
        slow_from: REQUESTS / 2,
    };
    for seed in 0..SEEDS {
        let (without, with) = (job(seed, origin, Hedging::Off), job(seed, origin, Hedging::Auto));
        let pace = without.lasted / with.lasted;
        eprintln!(
            "slow at once, seed {seed:2}: {:.2} % more requests, {pace:.3} of the pace",
            with.extra() * 100.0
        );
        assert!(with.extra() <= HEDGE_BUDGET);
        assert!(pace >= 0.98, "seed {seed}: {pace}");
    }
}

#[test]
fn a_job_of_a_thousand_hardly_notices_its_stragglers() {
    let origin = |straggling| Origin {
        requests: 1_000,
        straggling,
        stragglers: Stragglers::OneOfEachHundred,
        slow_from: usize::MAX,
    };
    for seed in 0..SEEDS {
        let without = job(seed, origin(1.0), Hedging::Off).lasted;
        let (plain, hedged) = (job(seed, origin(50.0), Hedging::Off), job(seed, origin(50.0), Hedging::Auto));
        eprintln!(
            "a thousand, seed {seed:2}: with stragglers {:.2} times as long, hedged {:.2} times; {:.2} % more",
            plain.lasted / without,
            hedged.lasted / without,
            hedged.extra() * 100.0
        );
        assert!(hedged.extra() <= HEDGE_BUDGET);
        assert!(hedged.lasted <= 1.3 * without, "seed {seed}");
    }
}
