//! Seeded schedules of several fetches that share a purse, in virtual time. After every step a witness holds
//! the machine to its invariants. `GANNET_TEST_SIM_COUNT` and `GANNET_TEST_SIM_SEED` say how many schedules and from
//! where.

use std::time::Duration;

use fastrand::Rng;

use crate::Moment;
use crate::policy::backoff::Backoff;

use super::mutated::{Mutant, with};
use super::{Advice, Class, Fact, Failure, Hedge, HedgeGate, Hosts, Machine, Means, Opening, Order};
use super::{Repeatable, Rules, Sent, Silence, WhenEmpty};

use purse::WatchedPurse;
use witness::{Dice, Held, Step, Witness, hold};

mod purse;
mod witness;

/// Schedules in an ordinary test run.
const COUNT: u64 = 10_000;
/// Schedules within which each mutant has to be caught.
const MUTANT_COUNT: u64 = 5_000;
/// Steps of one schedule; more means that it does not end.
const STEPS_MAX: u32 = 4_000;
/// From this attempt on everything succeeds, so that retries without end do end.
const PATIENCE: u32 = 30;

#[test]
fn every_invariant_holds_on_every_schedule() {
    let first = setting("GANNET_TEST_SIM_SEED", 0);
    let count = setting("GANNET_TEST_SIM_COUNT", COUNT);
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let broken = std::thread::scope(|scope| {
        let search = |thread| (first + thread..first + count).step_by(threads as usize).find_map(caught_at);
        let searches: Vec<_> = (0..threads).map(|thread| scope.spawn(move || search(thread))).collect();
        searches.into_iter().filter_map(|search| search.join().expect("panics are caught seed by seed")).min()
    });
    if let Some((seed, what)) = broken {
        panic!("broken: {what}\nseed {seed}; again with:\n{}", replay(seed));
    }
}

#[test]
fn the_schedules_reach_every_verdict_and_every_reason() {
    let mut reached = std::collections::BTreeSet::new();
    for seed in 0..2_000 {
        reached.extend(run(seed).expect("no invariant is broken"));
    }
    let words: Vec<_> = reached.into_iter().collect();
    let expected = [
        "asked to stay away",
        "cancelled",
        "deadline",
        "host given up",
        "lasting",
        "no budget",
        "no retries left",
        "no time",
        "not repeatable",
        "slept enough",
        "window over",
        "won",
    ];
    assert_eq!(words, expected);
}

#[test]
fn the_simulation_catches_every_mutant_and_nothing_else() {
    assert_eq!((0..MUTANT_COUNT).find_map(caught_at), None);
    for mutant in Mutant::ALL {
        let caught: Vec<_> = with(*mutant, || (0..MUTANT_COUNT).filter_map(caught_at).collect());
        let (seed, what) = *caught.first().unwrap_or_else(|| panic!("{mutant:?} is not caught"));
        eprintln!("{mutant:?}: caught in {} of {MUTANT_COUNT}, first by seed {seed}: {what}", caught.len());
    }
}

/// The command that runs one schedule again.
fn replay(seed: u64) -> String {
    let test = "policy::fetch::simulation::every_invariant_holds_on_every_schedule";
    format!(
        "GANNET_TEST_SIM_SEED={seed} GANNET_TEST_SIM_COUNT=1 cargo test -p gannet --lib -- --exact {test}"
    )
}

fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => otherwise,
    }
}

fn caught_at(seed: u64) -> Option<(u64, &'static str)> {
    let ended = std::panic::catch_unwind(|| run(seed)).unwrap_or(Err("the machine never panics"));
    ended.err().map(|what| (seed, what))
}

/// Runs the schedule of one seed to its end; the verdicts of its fetches in words, or what was broken.
fn run(seed: u64) -> Result<Vec<&'static str>, &'static str> {
    let mut world = World::draw(seed);
    let mut steps = 0;
    while let Some(event) = world.next() {
        steps += 1;
        hold(steps < STEPS_MAX, "every fetch ends")?;
        world.step(event)?;
    }
    world.close()
}

struct World {
    rng: Rng,
    dice: Dice,
    purse: WatchedPurse,
    /// How late every wake-up is.
    lateness: Duration,
    fetches: Vec<Simulated>,
    events: Vec<Event>,
}

struct Simulated {
    machine: Machine,
    witness: Witness,
    nature: Nature,
    known: Known,
}

/// What is known of the host of each mirror, for now.
#[derive(Debug, Clone)]
struct Known(Vec<Advice>);

impl Hosts for Known {
    fn advice(&self, mirror: u32) -> Advice {
        self.0[mirror as usize]
    }
}

/// How servers treat a fetch.
#[derive(Debug, Clone, Copy)]
struct Nature {
    /// Attempts out of a hundred that fail.
    failing: u32,
    /// Failures out of a hundred that carry a Retry-After.
    asking: u32,
    latency: u64,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    at: Moment,
    fetch: usize,
    fact: Fact,
}

impl World {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let dice = match rng.u32(0..4) {
            0 => Dice { low: u32::MAX, high: u32::MAX },
            1 => Dice { low: u32::MAX / 2, high: u32::MAX },
            _ => Dice { low: 0, high: u32::MAX },
        };
        let purse = WatchedPurse::draw(&mut rng);
        let lateness = if rng.bool() { millis(rng.u64(1..100)) } else { Duration::ZERO };
        let mut world = Self { dice, purse, lateness, fetches: Vec::new(), events: Vec::new(), rng };
        for fetch in 0..world.rng.usize(1..=4) {
            world.add(fetch);
        }
        world
    }

    fn add(&mut self, fetch: usize) {
        let rng = &mut self.rng;
        let began = Moment::ZERO + millis(rng.u64(0..100));
        let rules = draw_rules(rng, began);
        let nature = Nature {
            failing: [0, 30, 70, 95][rng.usize(0..4)],
            asking: [0, 30, 70][rng.usize(0..3)],
            latency: rng.u64(1..400),
        };
        self.events.push(Event { at: began, fetch, fact: Fact::Began });
        if rng.u32(0..8) == 0 {
            let at = Moment::ZERO + millis(rng.u64(0..1_000));
            self.events.push(Event { at, fetch, fact: Fact::Cancelled });
        }
        for _ in 0..rng.u32(0..6) {
            let at = Moment::ZERO + millis(rng.u64(0..2_000));
            self.events.push(Event { at, fetch, fact: Fact::Advised });
        }
        if rng.u32(0..8) == 0 {
            // Nobody waits for this one, or no longer, or not yet.
            let fact = Fact::Granted { mirror: rng.u32(0..rules.mirrors) };
            self.events.push(Event { at: Moment::ZERO + millis(rng.u64(0..1_000)), fetch, fact });
        }
        let known = Known((0..rules.mirrors).map(|_| draw_advice(rng)).collect());
        let witness = Witness::new(rules.clone(), self.dice, self.lateness);
        self.fetches.push(Simulated { machine: Machine::new(rules), witness, nature, known });
    }

    /// The next thing to happen; at the same moment I/O comes before timers.
    fn next(&mut self) -> Option<Event> {
        let wakes = self.fetches.iter().enumerate().filter_map(|(fetch, simulated)| {
            let at = simulated.machine.wake()? + self.lateness;
            Some(Event { at, fetch, fact: Fact::Woke })
        });
        let wake = wakes.min_by_key(|event| event.at);
        let first = (0..self.events.len()).min_by_key(|place| self.events[*place].at);
        match (first, wake) {
            (Some(first), Some(wake)) if wake.at < self.events[first].at => Some(wake),
            (Some(first), _) => Some(self.events.remove(first)),
            (None, wake) => wake,
        }
    }

    fn step(&mut self, event: Event) -> Held {
        if event.fact == Fact::Advised || self.rng.u32(0..10) == 0 {
            for advice in &mut self.fetches[event.fetch].known.0 {
                *advice = draw_advice(&mut self.rng);
            }
        }
        self.tell(event)?;
        if self.rng.u32(0..16) == 0 {
            self.tell(Event { fact: Fact::Woke, ..event })?;
        }
        Ok(())
    }

    /// Tells the machine of one fact, and the witness what it made of it.
    fn tell(&mut self, Event { at: now, fetch, fact }: Event) -> Held {
        let Simulated { machine, witness, known, .. } = &mut self.fetches[fetch];
        let wake_before = machine.wake();
        let before = self.purse.tally();
        if let Fact::Granted { mirror } = fact {
            self.purse.grant(mirror);
        }
        let (rng, dice) = (&mut self.rng, self.dice);
        let mut throw = || rng.u32(dice.low..=dice.high);
        machine.on(fact, &mut Means { now, purse: &self.purse, hosts: known, dice: &mut throw });
        let orders = machine.take_orders();
        let (paid, wake) = (self.purse.tally() - before, machine.wake());
        witness.watch(&Step { fact, now, wake_before, orders: &orders, wake, paid, known: &known.0 })?;
        self.purse.hold_prefix()?;
        for order in orders {
            self.obey(order, now, fetch);
        }
        Ok(())
    }

    fn obey(&mut self, order: Order, now: Moment, fetch: usize) {
        match order {
            Order::Start { attempt, .. } => self.foresee(attempt, now, fetch),
            Order::Stop { attempt, .. } => {
                // Some facts cross the order on their way.
                let crosses = self.rng.u32(0..4) == 0;
                self.events.retain(|event| {
                    crosses || event.fetch != fetch || attempt_of(event.fact) != Some(attempt)
                });
            }
            Order::Park { mirror } => self.foresee_grant(mirror, now, fetch),
            Order::Unpark { mirror } => {
                let crosses = self.rng.u32(0..4) == 0;
                let facts = [Fact::Granted { mirror }, Fact::GivenUp { mirror }];
                self.events.retain(|event| crosses || event.fetch != fetch || !facts.contains(&event.fact));
            }
            Order::Settle(_) => {}
        }
    }

    /// Draws when the purse will pay. It always does in the end, but for the deadline.
    fn foresee_grant(&mut self, mirror: u32, now: Moment, fetch: usize) {
        let wait = [0, 20, 500, 60_000][self.rng.usize(0..4)];
        let at = now + millis(self.rng.u64(0..=wait));
        let dies = self.rng.u32(0..10) == 0;
        let fact = if dies { Fact::GivenUp { mirror } } else { Fact::Granted { mirror } };
        self.events.push(Event { at, fetch, fact });
    }

    /// Draws what will become of an attempt.
    fn foresee(&mut self, attempt: u32, now: Moment, fetch: usize) {
        let nature = self.fetches[fetch].nature;
        let rng = &mut self.rng;
        let fails = attempt < PATIENCE && rng.u32(0..100) < nature.failing;
        let silent = rng.u32(0..10) == 0;
        let latency = if silent { 10_000 } else { rng.u64(0..nature.latency) };
        let entered = now + millis([0, 0, rng.u64(0..200)][rng.usize(0..3)]);
        self.events.push(Event { at: entered, fetch, fact: Fact::Entered { attempt } });
        if rng.u32(0..6) == 0 {
            // A redirect: it queues at its next host.
            let (queued, again) = (entered + millis(latency / 4), entered + millis(latency / 2));
            self.events.push(Event { at: queued, fetch, fact: Fact::Queued { attempt } });
            self.events.push(Event { at: again, fetch, fact: Fact::Entered { attempt } });
        }
        let led = entered + millis(latency);
        let ended = led + millis(rng.u64(0..nature.latency));
        if !fails || rng.u32(0..4) == 0 {
            self.events.push(Event { at: led, fetch, fact: Fact::Led { attempt } });
        }
        let fact = if fails {
            Fact::Failed { attempt, failure: draw_failure(rng, nature) }
        } else {
            Fact::Completed { attempt }
        };
        self.events.push(Event { at: ended, fetch, fact });
    }

    /// Checks that all has ended, and that nothing wakes the dead.
    fn close(mut self) -> Result<Vec<&'static str>, &'static str> {
        let at = Moment::from_nanos(u64::MAX / 2);
        for fetch in 0..self.fetches.len() {
            hold(self.fetches[fetch].witness.has_ended(), "every fetch ends")?;
            let grant = Fact::Granted { mirror: 0 };
            let late =
                [Fact::Woke, Fact::Led { attempt: 0 }, Fact::Began, Fact::Cancelled, Fact::Advised, grant];
            for fact in late {
                self.tell(Event { at, fetch, fact })?;
            }
        }
        Ok(self.fetches.iter().filter_map(|simulated| simulated.witness.verdict_in_words()).collect())
    }
}

fn attempt_of(fact: Fact) -> Option<u32> {
    match fact {
        Fact::Entered { attempt }
        | Fact::Queued { attempt }
        | Fact::Led { attempt }
        | Fact::Completed { attempt } => Some(attempt),
        Fact::Failed { attempt, .. } => Some(attempt),
        Fact::Began
        | Fact::Woke
        | Fact::Advised
        | Fact::Granted { .. }
        | Fact::GivenUp { .. }
        | Fact::Cancelled => None,
    }
}

fn draw_failure(rng: &mut Rng, nature: Nature) -> Failure {
    let class = match rng.u32(0..20) {
        0..=11 => Class::Passing,
        12..=14 => Class::Unprocessed,
        15..=18 => Class::LastingHere,
        _ => Class::LastingEverywhere,
    };
    let asks = rng.u32(0..100) < nature.asking;
    let retry_after = asks.then(|| millis([0, 200, 1_000, 3_000, 20_000][rng.usize(0..5)]));
    let sent = if rng.bool() { Sent::Perhaps } else { Sent::Nothing };
    Failure { class, retry_after, sent }
}

fn draw_advice(rng: &mut Rng) -> Advice {
    Advice {
        usual: rng.bool().then(|| millis([1, 30, 300][rng.usize(0..3)])),
        hedge_after: (rng.u32(0..3) > 0).then(|| millis(rng.u64(1..300))),
        gate: if rng.u32(0..4) == 0 { HedgeGate::Held } else { HedgeGate::Open },
    }
}

fn draw_rules(rng: &mut Rng, began: Moment) -> Rules {
    let after = if rng.bool() { Silence::Advised } else { Silence::Fixed(millis(rng.u64(0..300))) };
    let hedge = Hedge { after, at_most: rng.u32(0..4) };
    let retries = [Some(0), Some(1), Some(2), Some(3), Some(5), None][rng.usize(0..6)];
    let total = [None, Some(millis(300)), Some(millis(2_000))][rng.usize(0..3)];
    let pause = (rng.u32(0..3) == 0).then(|| millis([0, 50, 400, 3_000][rng.usize(0..4)]));
    let backoff = Backoff { base: millis(rng.u64(1..500)), cap: millis(rng.u64(100..2_000)), total, pause };
    let retry_within = (rng.u32(0..3) == 0).then(|| millis([0, 200, 1_000, 4_000][rng.usize(0..4)]));
    Rules {
        mirrors: rng.u32(1..=4),
        opening: if rng.u32(0..3) == 0 { Opening::Race } else { Opening::One },
        retries,
        backoff,
        retry_within,
        hedge: rng.bool().then_some(hedge),
        deadline: rng.bool().then(|| Moment::ZERO + millis(rng.u64(0..2_000)).max(began.since(Moment::ZERO))),
        repeatable: if rng.u32(0..4) == 0 { Repeatable::WhileUnsent } else { Repeatable::Always },
        when_empty: if rng.bool() { WhenEmpty::Park } else { WhenEmpty::Fail },
        retry_after_max: millis(5_000),
    }
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
