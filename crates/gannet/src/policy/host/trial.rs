//! Whether a lowering helps. It is tried, and taken back if as much is refused as before: then the host fails at random,
//! and nothing is lowered for a while.

use std::time::Duration;

use crate::Moment;

use super::limit::Set;
use super::shares::{Shares, far_above};

/// How many windows a lowering has to show that it helps.
const WINDOWS: u32 = 3;
/// And as many attempts as would have had so many refusals before; but no more attempts than this.
const REFUSALS: f64 = 10.0;
const ATTEMPTS: u32 = 100;
/// Refusals under a lower number that say that it does not help, before so many attempts were seen.
const AS_BEFORE: u32 = 5;
/// How many paces are tried, one below the other.
const PACES: u32 = 2;
/// It helps when it brings the share refused below this part of what it was.
const HELPED: f64 = 0.5;
/// Fewer refusals than this show nothing.
pub(super) const TELLING: u32 = 3;
/// How long no lowering is tried after one that did not help. Each further one makes it twice as long, up to the most.
const CALM: Duration = Duration::from_secs(30);
const CALM_MAX: Duration = Duration::from_secs(240);
/// Unless so many attempts show that it had helped after all: far more is refused without it.
const CALM_TELLING: u32 = 100;

/// A lowering that has to show that it helps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    before: Set,
    /// The share refused before.
    share: f64,
    windows: u32,
    seen: Shares,
    /// Paces that were tried; none while it is a number in flight.
    paces: u32,
}

/// What a trial shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Open,
    /// Too much is refused for a number that would help, though little was seen.
    AsBefore,
    Helped,
    Useless,
}

impl Trial {
    /// A trial of a number in flight, or of the first pace.
    pub(super) fn new(before: Set, share: f64, paces: u32) -> Self {
        Self { before, share, windows: 0, seen: Shares::default(), paces }
    }

    /// The same trial, of a pace, or of another pace.
    pub(super) fn of_pace(self) -> Self {
        Self { windows: 1, seen: Shares::default(), paces: self.paces + 1, ..self }
    }

    pub(super) fn before(&self) -> Set {
        self.before
    }

    pub(super) fn is_of_number(&self) -> bool {
        self.paces == 0
    }

    pub(super) fn may_try_pace(&self) -> bool {
        self.paces < PACES
    }

    /// Whether a pace is tried that still lets too many in, and another may be tried.
    pub(super) fn asks_for_less(&self) -> bool {
        !self.is_of_number() && self.may_try_pace() && self.seen.pushed > 0
    }

    /// The share refused before.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// The share refused since.
    pub(super) fn share_now(&self) -> f64 {
        self.seen.pushed_back()
    }

    /// Whether far more is refused than before.
    pub(super) fn made_it_worse(&self) -> bool {
        self.share_now() > far_above(self.share)
    }

    /// A window has ended. The first is the one that led to the trial.
    pub(super) fn count(&mut self, window: Shares) -> Verdict {
        if self.windows > 0 {
            self.seen.add(window);
        }
        self.windows += u32::from(self.windows == 0 || window.all() > 0);
        if self.windows <= WINDOWS {
            return Verdict::Open;
        }
        let as_before = self.share_now() >= self.share * HELPED;
        let all = self.seen.all();
        let refusals = f64::from(all) * self.share >= REFUSALS;
        let is_over = refusals && all >= ATTEMPTS / 2 || all >= ATTEMPTS;
        if self.is_of_number() && as_before && self.seen.pushed >= AS_BEFORE && !is_over {
            Verdict::AsBefore
        } else if !is_over {
            Verdict::Open
        } else if as_before && self.seen.pushed >= TELLING {
            Verdict::Useless
        } else {
            Verdict::Helped
        }
    }
}

/// The time after a lowering that did not help.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calm {
    /// No lowering is tried before.
    until: Moment,
    length: Duration,
    /// The share refused while the lowering held.
    share: f64,
    seen: Shares,
}

impl Calm {
    /// A lowering did not help: under it, this share was refused.
    pub(super) fn begin(&mut self, share: f64, now: Moment) {
        let length = (self.length * 2).clamp(CALM, CALM_MAX);
        *self = Self { until: now + length, length, share, seen: Shares::default() };
    }

    pub(super) fn holds(&self, now: Moment) -> bool {
        now < self.until
    }

    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// A window has ended. If far more is refused now than while the lowering held, it had helped, and may be tried again.
    pub(super) fn seen(&mut self, window: Shares, now: Moment) {
        if !self.holds(now) {
            return;
        }
        self.seen.add(window);
        if self.seen.all() >= CALM_TELLING && self.seen.pushed_back() > far_above(self.share) {
            (self.until, self.length) = (now, Duration::ZERO);
        }
    }
}
