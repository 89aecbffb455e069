//! Seeded runs of one host's rules against servers in virtual time, with a queue that is never empty. After every
//! step a witness holds the rules to their invariants. `GANNET_TEST_SIM_COUNT` and `GANNET_TEST_SIM_SEED` say how
//! many random schedules and from where.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;

use crate::Moment;

use super::mutated::{Mutant, with};
use super::{Entry, HostRules, Settings};
use crate::permit::{Left, Pass};

use server::{Nature, Server, Serves, lognormal};
use witness::{Held, Witness, hold};

mod server;
mod targets;
mod witness;

/// Random schedules in an ordinary test run.
const COUNT: u64 = 1_000;
/// Random schedules within which, beside the targets, each mutant has to be caught.
const MUTANT_COUNT: u64 = 300;

/// The longest body of those that are long, in milliseconds.
const LONGEST_BODY: u64 = 120_000;

/// What is drawn or chosen before a run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    nature: Nature,
    /// What the server is from the second half on.
    then: Option<Nature>,
    settings: Settings,
    median: f64,
    seconds: u64,
    /// Replies out of a hundred whose bodies go on for minutes.
    long: u32,
    /// Requests out of a hundred that we stop ourselves.
    cut: u32,
    /// What is counted begins so long after the start.
    settled: Duration,
}

/// What a run came to, after it had settled.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    entered: u32,
    answered: u32,
    refused: u32,
    given_up: Option<Moment>,
}

struct World {
    plan: Plan,
    rng: Rng,
    now: Moment,
    rules: HostRules,
    server: Server,
    witness: Witness,
    events: BinaryHeap<Reverse<Event>>,
    numbered: u64,
    figures: Figures,
    /// The wake that is set; the others have been replaced.
    wake: Option<Moment>,
}

struct Event {
    at: Moment,
    number: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Arrives(Pass),
    /// A body begins that goes on for so long.
    Answers(Pass, Left, Serves, Duration),
    Ends(Pass, Left, Serves),
    Woke,
    Exhausted(Duration),
    Turns,
    /// The queue has something again.
    Asks,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

fn run(plan: Plan) -> Result<Figures, &'static str> {
    let mut world = World {
        plan,
        rng: Rng::with_seed(plan.seed),
        now: Moment::ZERO,
        rules: HostRules::with(&plan.settings),
        server: Server::new(plan.nature, plan.median),
        witness: Witness::new(&plan),
        events: BinaryHeap::new(),
        numbered: 0,
        figures: Figures::default(),
        wake: None,
    };
    let end = Moment::ZERO + Duration::from_secs(plan.seconds);
    world.at(Moment::ZERO, What::Asks);
    if plan.then.is_some() {
        world.at(Moment::ZERO + Duration::from_secs(plan.seconds / 2), What::Turns);
    }
    if plan.cut > 0 {
        let at = Duration::from_millis(world.rng.u64(0..plan.seconds * 1000));
        let length = Duration::from_millis(world.rng.u64(0..4_000));
        world.at(Moment::ZERO + at, What::Exhausted(length));
    }
    while world.events.peek().is_some_and(|Reverse(event)| event.at < end) && world.figures.given_up.is_none()
    {
        let Some(Reverse(event)) = world.events.pop() else { break };
        world.now = event.at;
        world.step(event.what)?;
    }
    world.close()
}

impl World {
    fn at(&mut self, at: Moment, what: What) {
        self.numbered += 1;
        self.events.push(Reverse(Event { at, number: self.numbered, what }));
    }

    fn step(&mut self, what: What) -> Held {
        match what {
            What::Arrives(pass) => {
                let reply = self.server.receive(self.now, &mut self.rng);
                let mut left = reply.left;
                if self.rng.u32(0..100) < self.plan.cut {
                    left = Left::Cut;
                }
                let back = lognormal(1.0, &mut self.rng);
                let at = self.now + reply.after + back;
                let whole = matches!(left, Left::Success | Left::Answered | Left::Broken);
                let breaks = self.server.nature == Nature::BreaksBodies;
                if whole && breaks {
                    self.at(at, What::Answers(pass, left, reply.serves, Duration::from_millis(5)));
                } else if whole && self.plan.long > 0 && self.rng.u32(0..100) < self.plan.long {
                    let body = Duration::from_millis(self.rng.u64(0..LONGEST_BODY));
                    self.at(at, What::Answers(pass, left, reply.serves, body));
                } else {
                    self.at(at, What::Ends(pass, left, reply.serves));
                }
                return Ok(());
            }
            What::Answers(pass, left, serves, body) => self.answers(pass, left, serves, body),
            What::Ends(pass, left, serves) => self.ends(pass, left, serves)?,
            What::Exhausted(length) => {
                self.witness.asked(length, self.now);
                self.rules.exhausted(length, self.now, self.rng.u32(..));
            }
            What::Woke => {
                if self.wake != Some(self.now) {
                    return Ok(());
                }
                self.wake = None;
                self.rules.look(self.now);
            }
            What::Turns => {
                if let Some(nature) = self.plan.then {
                    self.server.turns(nature);
                }
                return Ok(());
            }
            What::Asks => {}
        }
        self.pump()
    }

    fn answers(&mut self, pass: Pass, left: Left, serves: Serves, body: Duration) {
        self.rules.answered(pass, left, self.now);
        self.witness.answered(pass);
        // Some bodies break off.
        let breaks = self.server.nature == Nature::BreaksBodies || self.rng.u32(0..4) == 0;
        let left = if breaks { Left::Unreached } else { left };
        let pass = pass.after_head();
        self.at(self.now + body, What::Ends(pass, left, serves));
    }

    fn ends(&mut self, pass: Pass, left: Left, serves: Serves) -> Held {
        if serves == Serves::Yes {
            self.server.served();
        }
        if self.now >= Moment::ZERO + self.plan.settled {
            match left {
                Left::Refused { .. } => self.figures.refused += 1,
                Left::Cut | Left::Unreached => {}
                Left::Success | Left::Answered | Left::Broken => self.figures.answered += 1,
            }
        }
        self.rules.learned(self.server.speaks());
        self.rules.leave(pass, left, self.now, self.rng.u32(..));
        self.witness.left(pass, left, self.now, &self.rules)
    }

    /// Lets in as many as may, and sets the wake.
    fn pump(&mut self) -> Held {
        let answer = loop {
            match self.rules.enter(self.now) {
                Entry::Granted(pass) => {
                    self.witness.entered(pass, self.now, &self.rules)?;
                    self.figures.entered += u32::from(self.now >= Moment::ZERO + self.plan.settled);
                    let there = lognormal(1.0, &mut self.rng);
                    self.at(self.now + there, What::Arrives(pass));
                }
                other => break other,
            }
        };
        if self.rules.is_given_up(self.now) {
            self.figures.given_up = Some(self.now);
            return Ok(());
        }
        let wake = self.rules.wake(self.now);
        self.witness.waits(answer, wake, &self.rules, self.now)?;
        if wake != self.wake {
            self.wake = wake;
            if let Some(at) = wake {
                // Timers are late, by up to two milliseconds.
                let late = at + Duration::from_micros(self.rng.u64(0..2_000));
                self.wake = Some(late);
                self.at(late, What::Woke);
            }
        }
        Ok(())
    }

    /// Lets all end that are under way.
    fn close(mut self) -> Result<Figures, &'static str> {
        while let Some(Reverse(event)) = self.events.pop() {
            self.now = event.at.max(self.now);
            match event.what {
                What::Arrives(pass) => {
                    self.rules.leave(pass, Left::Cut, self.now, 0);
                    self.witness.left(pass, Left::Cut, self.now, &self.rules)?;
                }
                What::Ends(pass, left, serves) => self.ends(pass, left, serves)?,
                What::Answers(pass, left, serves, body) => self.answers(pass, left, serves, body),
                _ => {}
            }
        }
        hold(self.rules.in_flight() == 0, "every place comes back")?;
        Ok(self.figures)
    }
}

/// A random schedule: some server that may turn into another, some settings.
fn draw(seed: u64) -> Plan {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let mut settings = Settings::default();
    if rng.bool() {
        settings.per_host = Some([1, 2, 6, 16, 64][rng.usize(0..5)]);
    }
    if rng.u32(0..4) == 0 {
        settings.host_rate = Some([5.0, 50.0, 500.0][rng.usize(0..3)]);
    }
    settings.retry_after_max = Duration::from_secs([1, 300][rng.usize(0..2)]);
    Plan {
        seed,
        nature: draw_nature(&mut rng),
        then: rng.bool().then(|| draw_nature(&mut rng)),
        settings,
        median: [5.0, 50.0, 400.0][rng.usize(0..3)],
        seconds: rng.u64(5..60),
        cut: [0, 0, 5, 40][rng.usize(0..4)],
        long: [0, 0, 2, 20][rng.usize(0..4)],
        settled: Duration::ZERO,
    }
}

fn draw_nature(rng: &mut Rng) -> Nature {
    match rng.u32(0..12) {
        0 => Nature::Plain,
        1 => Nature::AtMost(rng.u32(1..20)),
        2 => Nature::PerSecond { rate: 100.0, burst: 10.0, status: [429, 503][rng.usize(0..2)] },
        3 => Nature::Random(rng.u32(1..60)),
        4 => Nature::TurnsSlow(rng.u64(0..20)),
        5 => Nature::Minute,
        6 => Nature::Dead([5, 2_000][rng.usize(0..2)]),
        7 => Nature::DeadUntil(rng.u64(0..30)),
        8 => Nature::NotFound,
        9 => Nature::RefusesAll,
        10 => Nature::BreaksBodies,
        _ => Nature::Streams(rng.u32(1..6)),
    }
}

fn caught_at(seed: u64) -> Option<(u64, &'static str)> {
    let ended = std::panic::catch_unwind(|| run(draw(seed))).unwrap_or(Err("the rules never panic"));
    ended.err().map(|what| (seed, what))
}

fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => otherwise,
    }
}

#[test]
fn every_invariant_holds_on_every_schedule() {
    let first = setting("GANNET_TEST_SIM_SEED", 0);
    let count = setting("GANNET_TEST_SIM_COUNT", COUNT);
    if let Some((seed, what)) = (first..first + count).find_map(caught_at) {
        let test = "policy::host::simulation::every_invariant_holds_on_every_schedule";
        panic!(
            "broken: {what}\nseed {seed}: {:?}; again with:\nGANNET_TEST_SIM_SEED={seed} \
             GANNET_TEST_SIM_COUNT=1 cargo test -p gannet --lib -- --exact {test}",
            draw(seed)
        );
    }
}

#[test]
fn the_simulation_catches_every_mutant() {
    assert_eq!(targets::missed(), None);
    for mutant in Mutant::ALL {
        let caught = with(*mutant, || {
            let seeds = || (0..MUTANT_COUNT).find_map(caught_at);
            targets::missed().map(|what| (0, what)).or_else(seeds)
        });
        let (seed, what) = caught.unwrap_or_else(|| panic!("{mutant:?} is not caught"));
        eprintln!("{mutant:?}: caught by seed {seed}: {what}");
    }
}
