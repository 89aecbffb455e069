//! A purse that is the real one, with a count of its own of all that goes in and out.

use std::cell::Cell;
use std::ops::Sub;

use fastrand::Rng;

use crate::policy::budget::{Extra, Purse, RESERVE, Ratio, RatioPurse, Taken};

use super::witness::{Held, hold};

#[derive(Debug)]
pub(super) struct WatchedPurse {
    inner: RatioPurse,
    ratio: Ratio,
    tally: Cell<Tally>,
}

/// What went in and out of a purse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) deposits: u64,
    pub(super) retries: u64,
    pub(super) hedges: u64,
    pub(super) retries_refused: u64,
    pub(super) hedges_refused: u64,
}

impl Sub for Tally {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            deposits: self.deposits - earlier.deposits,
            retries: self.retries - earlier.retries,
            hedges: self.hedges - earlier.hedges,
            retries_refused: self.retries_refused - earlier.retries_refused,
            hedges_refused: self.hedges_refused - earlier.hedges_refused,
        }
    }
}

impl WatchedPurse {
    /// A purse from which others may have taken already.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let ratio = if rng.u32(0..4) == 0 { Ratio::Off } else { Ratio::Share(rng.f64() / 2.0) };
        let purse = Self { inner: RatioPurse::new(ratio, ratio), ratio, tally: Cell::default() };
        for _ in 0..rng.u64(0..=RESERVE) {
            let _ = (purse.take(Extra::Retry), purse.take(Extra::Hedge));
        }
        purse
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.get()
    }

    /// Extras never exceed the budget on any prefix.
    pub(super) fn hold_prefix(&self) -> Held {
        let Ratio::Share(share) = self.ratio else { return Ok(()) };
        let tally = self.tally();
        let allowed = (RESERVE as f64).max(share * tally.deposits as f64);
        hold(tally.retries as f64 <= allowed, "retries never exceed the budget")?;
        hold(tally.hedges as f64 <= allowed, "hedges never exceed the budget")
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
    }
}

impl Purse for WatchedPurse {
    fn deposit(&self) {
        self.note(|tally| tally.deposits += 1);
        self.inner.deposit();
    }

    fn take(&self, extra: Extra) -> Taken {
        let taken = self.inner.take(extra);
        self.note(|tally| match (extra, taken) {
            (Extra::Retry, Taken::Granted) => tally.retries += 1,
            (Extra::Hedge, Taken::Granted) => tally.hedges += 1,
            (Extra::Retry, Taken::Refused) => tally.retries_refused += 1,
            (Extra::Hedge, Taken::Refused) => tally.hedges_refused += 1,
        });
        taken
    }
}
