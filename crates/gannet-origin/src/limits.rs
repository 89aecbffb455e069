//! Limits that the origin holds its clients to: requests per time, and requests at once; and its own: so many workers,
//! with a queue before them. Only whether one is let in, and when its turn comes, is decided here; what the refused get
//! is decided elsewhere.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::behave::duration;

/// Paths and prefixes that have a gate of their own; requests of further ones are let in.
const MAX_GATES: usize = 100_000;

/// A bucket of tokens: so many, filled anew at an even pace over that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) requests: u32,
    pub(crate) per: Duration,
}

impl Rate {
    /// Reads `10/s`, `5/100ms` or `100/m`.
    fn read(text: &str) -> Option<Self> {
        let (requests, per) = text.split_once('/')?;
        let per = match per {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            other => duration(other)?,
        };
        Some(Self { requests: requests.parse().ok().filter(|n| *n > 0)?, per }).filter(|_| !per.is_zero())
    }
}

/// The limits of one gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) rate: Option<Rate>,
    /// The most requests at once.
    pub(crate) concurrency: Option<u64>,
    /// The most that are worked on at once; the others wait for their turn.
    pub(crate) workers: Option<NonZeroU32>,
}

impl Limit {
    /// Takes in one key, if it is one of this room; `None` means that the value makes no sense.
    pub(crate) fn apply(&mut self, key: &str, bytes: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(bytes).ok();
        match key {
            "rate" => self.rate = Some(Rate::read(text()?)?),
            "concurrency" => self.concurrency = Some(text()?.parse().ok()?),
            "workers" => self.workers = Some(text()?.parse().ok()?),
            _ => {}
        }
        Some(())
    }

    /// Reads a query of which every key is one of this room.
    pub(crate) fn read(query: &str) -> Option<Self> {
        let mut limit = Self::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=')?;
            let before = limit;
            limit.apply(key, value.as_bytes()).filter(|()| limit != before)?;
        }
        Some(limit)
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self != Self::default()
    }
}

/// What a gate stands before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Path(String),
    /// All paths that start so, together.
    Prefix(String),
}

/// Every gate that a request came to so far.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: Mutex<HashMap<Scope, Gate>>,
}

#[derive(Debug)]
struct Gate {
    tokens: f64,
    filled: Instant,
    in_flight: u64,
    /// When each worker is done with all that was given to it.
    workers: BinaryHeap<Reverse<Instant>>,
}

impl Gate {
    /// Gives work to the worker that is free first; yields when it will be done.
    fn work(&mut self, workers: NonZeroU32, takes: Duration, now: Instant) -> Instant {
        let is_idle = self.workers.len() < workers.get() as usize;
        let free = if is_idle { None } else { self.workers.pop() };
        let begins = free.map_or(now, |Reverse(free)| free.max(now));
        self.workers.push(Reverse(begins + takes));
        begins + takes
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let share = now.saturating_duration_since(self.filled).as_secs_f64() / rate.per.as_secs_f64();
        let capacity = f64::from(rate.requests);
        self.tokens = (self.tokens + capacity * share).min(capacity);
        self.filled = now;
    }
}

/// What became of a request at the gates.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Nothing limits it.
    Free,
    /// It is in for as long as the permit lives.
    Admitted(Permit),
    Refused,
}

/// A request that is in.
#[derive(Debug)]
pub(crate) struct Permit {
    gates: Arc<Gates>,
    asked: Vec<(Scope, Limit)>,
}

impl Permit {
    /// Says after what time work will be done that takes so long, once its turn has come. A client that goes does not
    /// stop it: few servers notice.
    pub(crate) fn work(&self, takes: Duration, now: Instant) -> Duration {
        let mut gates = self.gates.lock();
        let mut done = now + takes;
        for (scope, limit) in &self.asked {
            if let (Some(gate), Some(workers)) = (gates.get_mut(scope), limit.workers) {
                done = done.max(gate.work(workers, takes, now));
            }
        }
        done.saturating_duration_since(now)
    }
}

impl Gates {
    /// Lets a request in through all of its gates, or through none.
    pub(crate) fn admit(self: &Arc<Self>, asked: Vec<(Scope, Limit)>, now: Instant) -> Entry {
        if asked.is_empty() {
            return Entry::Free;
        }
        let mut gates = self.lock();
        for (scope, limit) in &asked {
            if gates.len() >= MAX_GATES && !gates.contains_key(scope) {
                return Entry::Free;
            }
            let full = limit.rate.map_or(0.0, |rate| f64::from(rate.requests));
            let fresh = Gate { tokens: full, filled: now, in_flight: 0, workers: BinaryHeap::new() };
            let gate = gates.entry(scope.clone()).or_insert(fresh);
            if let Some(rate) = limit.rate {
                gate.fill(rate, now);
            }
            let has_token = limit.rate.is_none() || gate.tokens >= 1.0;
            if !has_token || limit.concurrency.is_some_and(|most| gate.in_flight >= most) {
                return Entry::Refused;
            }
        }
        for (scope, limit) in &asked {
            let gate = gates.get_mut(scope).expect("each gate was looked up or made above");
            gate.in_flight += 1;
            gate.tokens -= if limit.rate.is_some() { 1.0 } else { 0.0 };
        }
        Entry::Admitted(Permit { gates: Arc::clone(self), asked })
    }

    /// A panic elsewhere cannot leave a gate half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut gates = self.gates.lock();
        for (scope, _) in &self.asked {
            if let Some(gate) = gates.get_mut(scope) {
                gate.in_flight -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &[(&str, &str)]) -> Vec<(Scope, Limit)> {
        let mut limit = Limit::default();
        query.iter().for_each(|(key, value)| limit.apply(key, value.as_bytes()).unwrap());
        vec![(Scope::Path("/".to_owned()), limit)]
    }

    #[test]
    fn a_bucket_gives_its_tokens_and_fills_at_an_even_pace() {
        let (gates, start) = (Arc::new(Gates::default()), Instant::now());
        let limit = asked(&[("rate", "4/s")]);
        let mut admitted = |at: u64| {
            let now = start + Duration::from_millis(at);
            matches!(gates.admit(limit.clone(), now), Entry::Admitted(_))
        };
        assert_eq!([0, 0, 0, 0, 0].map(&mut admitted), [true, true, true, true, false]);
        assert_eq!([200, 250, 250, 499, 500].map(&mut admitted), [false, true, false, false, true]);
    }

    #[test]
    fn so_many_are_in_at_once_until_one_leaves() {
        let (gates, now) = (Arc::new(Gates::default()), Instant::now());
        let limit = asked(&[("concurrency", "1")]);
        let first = gates.admit(limit.clone(), now);
        assert!(matches!(first, Entry::Admitted(_)));
        assert!(matches!(gates.admit(limit.clone(), now), Entry::Refused));
        drop(first);
        assert!(matches!(gates.admit(limit, now), Entry::Admitted(_)));
    }

    #[test]
    fn who_finds_all_workers_busy_waits_for_the_first_that_is_free() {
        let (gates, start) = (Arc::new(Gates::default()), Instant::now());
        let mut permits = Vec::new();
        let mut done_after = |(at, takes)| {
            let now = start + Duration::from_millis(at);
            let Entry::Admitted(permit) = gates.admit(asked(&[("workers", "2")]), now) else {
                panic!("nobody is refused")
            };
            let wait = permit.work(Duration::from_millis(takes), now);
            permits.push(permit);
            wait.as_millis()
        };
        assert_eq!([(0, 10), (0, 30), (5, 10), (5, 10), (40, 10)].map(&mut done_after), [10, 30, 15, 25, 10]);
    }

    #[test]
    fn shared_limits_are_read_whole_or_not_at_all() {
        let read = Limit::read("rate=100/s&workers=8").unwrap();
        assert_eq!(
            (read.rate.map(|rate| rate.requests), read.workers.map(NonZeroU32::get)),
            (Some(100), Some(8))
        );
        assert!(
            ["", "rate=x", "delay=5ms", "workers=0", "rate"].iter().all(|text| Limit::read(text).is_none())
        );
    }

    #[test]
    fn rates_that_make_no_sense_are_refused() {
        let is_read = |text: &str| Limit::default().apply("rate", text.as_bytes()).is_some();
        let read = ["5/100ms", "100/m", "0/s", "5/0s", "5", "x/s"].map(is_read);
        assert_eq!(read, [true, true, false, false, false, false]);
    }
}
