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
    /// Extras that were granted, by the mirror that they were taken for.
    pub(super) at: [u64; 4],
    /// Retries that were granted later than they were asked for.
    pub(super) late: u64,
    pub(super) given_back: u64,
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
            at: std::array::from_fn(|mirror| self.at[mirror] - earlier.at[mirror]),
            late: self.late - earlier.late,
            given_back: self.given_back - earlier.given_back,
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
        let taken = if rng.bool() { RESERVE } else { rng.u64(0..=RESERVE) };
        for _ in 0..taken {
            let _ = (purse.take(Extra::Retry, 0), purse.take(Extra::Hedge, 0));
        }
        purse
    }

    /// Time pays for a retry, and a waiting one is granted.
    pub(super) fn grant(&self, mirror: u32) {
        self.inner.refill(1);
        self.note(|tally| tally.late += 1);
        assert_eq!(self.take(Extra::Retry, mirror), Taken::Granted, "what was paid in can be taken");
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.get()
    }

    /// Extras never exceed the budget on any prefix.
    pub(super) fn hold_prefix(&self) -> Held {
        let Ratio::Share(share) = self.ratio else { return Ok(()) };
        let tally = self.tally();
        let allowed = (RESERVE as f64).max(share * tally.deposits as f64);
        let retries = (tally.retries - tally.given_back) as f64;
        hold(retries <= allowed + tally.late as f64, "retries never exceed the budget")?;
        hold(tally.hedges as f64 <= allowed, "hedges never exceed the budget")
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
    }
}

impl Purse for WatchedPurse {
    fn deposit(&self, mirror: u32) {
        self.note(|tally| tally.deposits += 1);
        self.inner.deposit(mirror);
    }

    fn take(&self, extra: Extra, mirror: u32) -> Taken {
        let taken = self.inner.take(extra, mirror);
        self.note(|tally| {
            tally.at[mirror as usize] += u64::from(taken == Taken::Granted);
            match (extra, taken) {
                (Extra::Retry, Taken::Granted) => tally.retries += 1,
                (Extra::Retry, _) => tally.retries_refused += 1,
                (_, Taken::Granted) => tally.hedges += 1,
                (_, _) => tally.hedges_refused += 1,
            }
        });
        taken
    }

    fn take_again(&self, extra: Extra, mirror: u32) -> Taken {
        let taken = self.inner.take_again(extra, mirror);
        self.note(|tally| {
            tally.at[mirror as usize] += u64::from(taken == Taken::Granted);
            match taken {
                Taken::Granted => tally.hedges += 1,
                // It was asked for, whether or not it is counted.
                _ => tally.hedges_refused += 1,
            }
        });
        taken
    }

    fn give_back(&self, extra: Extra, mirror: u32) {
        assert_eq!(extra, Extra::Retry, "only retries wait for the purse");
        self.note(|tally| {
            tally.given_back += 1;
            tally.at[mirror as usize] -= 1;
        });
        self.inner.give_back(extra, mirror);
    }
}
