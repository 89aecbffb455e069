//! The one purse that retries and hedges of all fetches share. Pure: no clock; one atomic step a taking.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an extra attempt is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// After a failure.
    Retry,
    /// Against silence.
    Hedge,
}

/// Where extra attempts are paid from.
pub(crate) trait Purse {
    /// A first attempt has started.
    fn deposit(&self);
    /// Takes one extra attempt if there is one to take.
    #[must_use]
    fn take(&self, extra: Extra) -> Taken;
}

/// Whether an extra attempt was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is paid for.
    Granted,
    /// There is nothing left for it now.
    Refused,
}

/// Extras of a kind as a share of first attempts, or without a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ratio {
    /// At most `max(RESERVE, share * firsts)` extras on every prefix.
    Share(f64),
    /// No bound.
    Off,
}

/// Extras of each kind that are granted before any first attempt has paid for them.
pub(crate) const RESERVE: u64 = 10;

/// A ratio purse (the idea is Finagle's `RetryBudget`): each first attempt deposits, each extra takes.
/// Extras of a kind are at most `max(RESERVE, ratio * firsts)` on every prefix.
#[derive(Debug)]
pub(crate) struct RatioPurse {
    retry: Ratio,
    hedge: Ratio,
    firsts: AtomicU64,
    retries: AtomicU64,
    hedges: AtomicU64,
    refused: AtomicU64,
}

impl RatioPurse {
    /// A purse with a ratio for each kind.
    pub(crate) fn new(retry: Ratio, hedge: Ratio) -> Self {
        Self {
            retry,
            hedge,
            firsts: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            hedges: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// How many extras were refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn allowed(&self, ratio: Ratio) -> u64 {
        match ratio {
            Ratio::Off => u64::MAX,
            Ratio::Share(share) => {
                let firsts = self.firsts.load(Ordering::Relaxed) as f64;
                RESERVE.max((share * firsts) as u64)
            }
        }
    }
}

impl Purse for RatioPurse {
    fn deposit(&self) {
        self.firsts.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, extra: Extra) -> Taken {
        let (ratio, taken) = match extra {
            Extra::Retry => (self.retry, &self.retries),
            Extra::Hedge => (self.hedge, &self.hedges),
        };
        let allowed = self.allowed(ratio);
        let step = |taken: u64| (taken < allowed).then_some(taken + 1);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(_) => Taken::Granted,
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Taken::Refused
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_never_exceed_the_larger_of_reserve_and_share_on_any_prefix() {
        let purse = RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02));
        let mut granted = 0;
        for firsts in 1..=500_u64 {
            purse.deposit();
            while purse.take(Extra::Retry) == Taken::Granted {
                granted += 1;
            }
            assert_eq!(granted, RESERVE.max(firsts / 5));
        }
        assert_eq!(purse.refused(), 500);
    }

    #[test]
    fn kinds_do_not_share_their_reserve_and_off_never_refuses() {
        let purse = RatioPurse::new(Ratio::Off, Ratio::Share(0.02));
        let retries = (0..1000).filter(|_| purse.take(Extra::Retry) == Taken::Granted).count();
        let hedges = (0..1000).filter(|_| purse.take(Extra::Hedge) == Taken::Granted).count();
        assert_eq!((retries, hedges), (1000, 10));
    }
}
