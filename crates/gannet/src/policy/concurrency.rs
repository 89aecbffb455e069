//! How many fetches a job runs at once, if it is to find that out by itself: as many as bring more throughput. Pure:
//! what was done and `now` are arguments.
//!
//! The method is that of BBR (Cardwell and others, "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016),
//! with fetches in the place of packets in flight. By Little's law the throughput of N fetches is N / (time of one),
//! until something is full; beyond that point more of them only wait longer. That point is (highest throughput) x
//! (shortest time of one), both of the last windows. It begins by doubling until that brings nothing, then stays a
//! little above the point, and tries a quarter more and a quarter less in turn: more finds room that has come free,
//! less shows the shortest time.

use std::time::Duration;

use crate::Moment;

/// Fetches at once: a number, or what turns out to be best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Concurrency {
    /// At most so many.
    Fixed(usize),
    /// From 16 on, as long as more bring more throughput: 4 at least, and at most so many.
    Auto {
        /// No more than so many.
        most: usize,
    },
}

impl Concurrency {
    /// What turns out to be best, up to 1024.
    pub const AUTO: Self = Self::Auto { most: 1024 };
}

impl From<usize> for Concurrency {
    fn from(fetches: usize) -> Self {
        Self::Fixed(fetches.max(1))
    }
}

/// What was done so far, and what is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Done {
    /// Requests that were obtained.
    pub(crate) requests: u64,
    /// Bytes of bodies that came.
    pub(crate) bytes: u64,
    /// Fetches that take a place now.
    pub(crate) active: usize,
}

/// Finds how many at once are best.
#[derive(Debug)]
pub(crate) struct Climber {
    limit: usize,
    most: usize,
    window: Window,
    last: [Seen; WINDOWS],
    /// Windows that were judged.
    judged: usize,
    pace: Pace,
}

/// What one window has shown.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Units of work a second.
    throughput: f64,
    /// Fetches at once for each unit a second: seconds that one unit took.
    time: f64,
}

#[derive(Debug)]
struct Window {
    began: Moment,
    done: Done,
    looked: Moment,
    /// Fetches at once, summed over time, in seconds.
    active: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    /// It is doubled; the best throughput so far, and how many windows brought no more.
    Doubling { best: f64, flat: u32 },
    /// It follows what was seen; the step of the turn.
    Cruising { step: usize },
}

const LEAST: usize = 4;
const START: usize = 16;
/// Windows that are remembered; more than a turn has steps.
const WINDOWS: usize = 10;
/// The steps of a turn, as factors.
const TURN: [f64; 8] = [1.25, 1.0, 0.75, 0.75, 1.0, 1.0, 1.0, 1.0];
/// It stays so far above the point. Times the lowest step it has to be below 1, or it would never come down.
const ABOVE: f64 = 1.1;
/// A doubling that brings less than this brings nothing.
const GROWTH: f64 = 1.25;
/// Doublings without growth before it stops doubling.
const FLAT: u32 = 2;
/// A window lasts at least so long, and until each of its fetches could be done twice.
const SHORTEST: Duration = Duration::from_millis(50);
/// Bodies that take long are judged by their bytes after so long.
const LONG: Duration = Duration::from_secs(1);
/// What a request costs beside its bytes, in bytes.
const REQUEST: f64 = 65_536.0;
/// A window in which fewer than this share of the places were taken says nothing about the limit.
const IN_USE: f64 = 0.75;

impl Climber {
    /// Up to `most` at once.
    pub(crate) fn new(most: usize, now: Moment) -> Self {
        let most = most.max(1);
        Self {
            limit: START.min(most),
            most,
            window: Window { began: now, done: Done::default(), looked: now, active: 0.0 },
            last: [Seen::default(); WINDOWS],
            judged: 0,
            pace: Pace::Doubling { best: 0.0, flat: 0 },
        }
    }

    /// How many may run at once.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// So much is `done` by now.
    pub(crate) fn note(&mut self, done: Done, now: Moment) {
        let window = &mut self.window;
        window.active += done.active as f64 * now.since(window.looked).as_secs_f64();
        window.looked = now;
        let length = now.since(window.began);
        let requests = done.requests.saturating_sub(window.done.requests);
        let bytes = done.bytes.saturating_sub(window.done.bytes);
        let units = requests as f64 + bytes as f64 / REQUEST;
        let enough = 2.0 * self.limit as f64;
        let is_over = match length {
            short if short < SHORTEST => false,
            long if long >= LONG => units >= enough,
            _ => requests as f64 >= enough,
        };
        if !is_over {
            return;
        }
        let seconds = length.as_secs_f64();
        let active = window.active / seconds;
        self.window = Window { began: now, done, looked: now, active: 0.0 };
        if active >= IN_USE * self.limit as f64 {
            let throughput = units / seconds;
            self.judge(Seen { throughput, time: active / throughput });
        }
    }

    fn judge(&mut self, seen: Seen) {
        self.last[self.judged % WINDOWS] = seen;
        self.judged += 1;
        let limit = match self.pace {
            Pace::Doubling { best, flat } => {
                let flat = if seen.throughput >= best * GROWTH { 0 } else { flat + 1 };
                let best = best.max(seen.throughput);
                let is_done = flat >= FLAT || self.limit >= self.most;
                self.pace = if is_done { Pace::Cruising { step: 0 } } else { Pace::Doubling { best, flat } };
                if is_done { self.point() * ABOVE } else { self.limit as f64 * 2.0 }
            }
            Pace::Cruising { step } => {
                let next = (step + 1) % TURN.len();
                self.pace = Pace::Cruising { step: next };
                self.point() * ABOVE * TURN[step]
            }
        };
        // Upwards, or a small number would never grow.
        self.limit = (limit.ceil() as usize).clamp(LEAST.min(self.most), self.most);
    }

    /// As many as fill what is there, by what was seen lately.
    fn point(&self) -> f64 {
        let seen = &self.last[..self.judged.min(WINDOWS)];
        let highest = seen.iter().map(|seen| seen.throughput).fold(0.0, f64::max);
        let shortest = seen.iter().map(|seen| seen.time).fold(f64::INFINITY, f64::min);
        highest * shortest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use fastrand::Rng;

    /// A server that works on so many requests at once, each for so long, while the others wait their turn.
    struct Server {
        places: usize,
        work: Duration,
        /// How far the work of one request may lie from the usual, as a share.
        spread: f64,
    }

    /// A job with an endless list.
    struct Job {
        climber: Climber,
        now: Moment,
        /// When each that is at work is done.
        at_work: BinaryHeap<Reverse<Moment>>,
        waiting: usize,
        done: Done,
        dice: Rng,
        most_limit: usize,
    }

    impl Job {
        fn new(seed: u64) -> Self {
            Self {
                climber: Climber::new(1024, Moment::ZERO),
                now: Moment::ZERO,
                at_work: BinaryHeap::new(),
                waiting: 0,
                done: Done::default(),
                dice: Rng::with_seed(seed),
                most_limit: 0,
            }
        }

        /// Runs so many seconds; requests a second over the second half of them.
        fn runs(&mut self, server: &Server, seconds: u64) -> f64 {
            let end = self.now + Duration::from_secs(seconds);
            let half = self.now + Duration::from_secs(seconds) / 2;
            let mut at_half = None;
            self.most_limit = 0;
            while self.now < end {
                self.waiting += self.climber.limit().saturating_sub(self.waiting + self.at_work.len());
                while self.waiting > 0 && self.at_work.len() < server.places {
                    let far = 1.0 + server.spread * (2.0 * self.dice.f64() - 1.0);
                    self.at_work.push(Reverse(self.now + server.work.mul_f64(far)));
                    self.waiting -= 1;
                }
                let Some(Reverse(next)) = self.at_work.pop() else { unreachable!("something runs") };
                self.done.active = self.waiting + self.at_work.len() + 1;
                self.now = next;
                self.done.requests += 1;
                self.climber.note(self.done, self.now);
                if self.now >= half {
                    at_half.get_or_insert(self.done.requests);
                    self.most_limit = self.most_limit.max(self.climber.limit());
                }
            }
            (self.done.requests - at_half.unwrap_or(0)) as f64 / (seconds as f64 / 2.0)
        }
    }

    fn best(server: &Server) -> f64 {
        server.places.min(1024) as f64 / server.work.as_secs_f64()
    }

    #[test]
    fn it_reaches_nine_tenths_of_the_best_throughput_and_does_not_run_away() {
        for (places, millis) in [(1, 5), (8, 5), (8, 100), (30, 20), (100, 20), (400, 100), (900, 50)] {
            for seed in 0..5 {
                let server = Server { places, work: Duration::from_millis(millis), spread: 0.5 };
                let mut job = Job::new(seed);
                let share = job.runs(&server, 120) / best(&server);
                assert!(share >= 0.9, "{places} places, {millis} ms, seed {seed}: {share:.2}");
                let most = 2 * places + 3 * LEAST;
                assert!(job.most_limit <= most, "{places} places, seed {seed}: up to {}", job.most_limit);
            }
        }
    }

    #[test]
    fn it_finds_capacity_that_has_come_free_and_leaves_what_has_gone() {
        for seed in 0..5 {
            let work = Duration::from_millis(20);
            let mut job = Job::new(seed);
            for places in [40, 80, 160, 80, 20] {
                let server = Server { places, work, spread: 0.3 };
                let share = job.runs(&server, 60) / best(&server);
                assert!(share >= 0.9, "{places} places, seed {seed}: {share:.2}");
                assert!(
                    job.most_limit <= 2 * places + 3 * LEAST,
                    "{places} places: up to {}",
                    job.most_limit
                );
            }
        }
    }

    #[test]
    fn a_server_that_turns_slow_does_not_starve_it() {
        let mut job = Job::new(1);
        for millis in [20, 200, 20] {
            let server = Server { places: 50, work: Duration::from_millis(millis), spread: 0.3 };
            let share = job.runs(&server, 120) / best(&server);
            assert!(share >= 0.9, "{millis} ms: {share:.2}");
        }
    }

    #[test]
    fn long_bodies_are_judged_by_their_bytes() {
        // Each fetch gets at most 1 MB/s, and all of them 50 MB/s; none ends.
        let mut climber = Climber::new(1024, Moment::ZERO);
        let (mut now, mut done) = (Moment::ZERO, Done::default());
        for _ in 0..600 {
            now = now + Duration::from_millis(100);
            done.active = climber.limit();
            done.bytes += 100_000 * climber.limit().min(50) as u64;
            climber.note(done, now);
        }
        assert!((45..=100).contains(&climber.limit()), "{}", climber.limit());
    }

    #[test]
    fn places_that_are_not_taken_say_nothing_about_the_limit() {
        let mut climber = Climber::new(1024, Moment::ZERO);
        let (mut now, mut done) = (Moment::ZERO, Done { active: 3, ..Done::default() });
        for _ in 0..10_000 {
            now = now + Duration::from_millis(10);
            done.requests += 3;
            climber.note(done, now);
        }
        assert_eq!(climber.limit(), START);
    }

    #[test]
    fn it_stays_within_its_bounds() {
        for most in [1, 3, 16, 100] {
            let mut job = Job::new(1);
            job.climber = Climber::new(most, Moment::ZERO);
            let server = Server { places: 5_000, work: Duration::from_millis(20), spread: 0.3 };
            job.runs(&server, 20);
            assert!(job.most_limit <= most, "{} of {most}", job.most_limit);
        }
    }
}
