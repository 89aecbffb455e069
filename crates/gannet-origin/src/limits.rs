//! Limits that the origin holds its clients to: requests per time, and requests at once. Only whether one
//! is let in is decided here; what the refused get is decided elsewhere.

use std::collections::HashMap;
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
}

impl Limit {
    /// Takes in one key, if it is one of this room; `None` means that the value makes no sense.
    pub(crate) fn apply(&mut self, key: &str, bytes: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(bytes).ok();
        match key {
            "rate" => self.rate = Some(Rate::read(text()?)?),
            "concurrency" => self.concurrency = Some(text()?.parse().ok()?),
            _ => {}
        }
        Some(())
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.rate.is_some() || self.concurrency.is_some()
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
}

impl Gate {
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
    Admitted(#[expect(dead_code, reason = "only its drop does something")] Permit),
    Refused,
}

/// A request that is in.
#[derive(Debug)]
pub(crate) struct Permit {
    gates: Arc<Gates>,
    scopes: Vec<Scope>,
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
            let fresh = Gate { tokens: full, filled: now, in_flight: 0 };
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
        let scopes = asked.into_iter().map(|(scope, _)| scope).collect();
        Entry::Admitted(Permit { gates: Arc::clone(self), scopes })
    }

    /// A panic elsewhere cannot leave a gate half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut gates = self.gates.lock();
        for scope in &self.scopes {
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
    fn rates_that_make_no_sense_are_refused() {
        let is_read = |text: &str| Limit::default().apply("rate", text.as_bytes()).is_some();
        let read = ["5/100ms", "100/m", "0/s", "5/0s", "5", "x/s"].map(is_read);
        assert_eq!(read, [true, true, false, false, false, false]);
    }
}
