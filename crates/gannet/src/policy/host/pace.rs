//! The pace of one host: how fast it takes requests, measured, and how fast it is sent them after it refused some at
//! a concurrency at which it took others.

use std::time::Duration;

use crate::Moment;

use super::mutated::mutated;
use super::rate::Rate;
use super::shares::Shares;

/// The length and number of the slots in which what was taken is counted: 2 s in all, and the one being filled.
const SLOT: Duration = Duration::from_millis(250);
const SLOTS: usize = 8;
pub(super) const SEEN: Duration = Duration::from_secs(2);
/// How long a spell of refusals is watched at least, and how many have to be taken in it, before it says a rate.
const SPELL: Duration = Duration::from_millis(200);
const SPELL_TAKEN: u32 = 10;
/// Requests of a spell from which its share says more than that of all.
const SPELL_SEEN: u32 = 40;
/// Below what was taken, so that what the server still holds against us runs off.
const BELOW: f64 = 0.95;
/// By how much a window without refusals raises the pace.
const RAISE: f64 = 1.02;
/// And how many have to be taken for all of it: what few say is little.
const RAISE_TAKEN: u32 = 10;
/// The pace towards a host that took nothing at all, in requests a second, and how a success raises it.
const BLIND: f64 = 1.0;
const BLIND_RAISE: f64 = 2.0;
/// How far a pace is raised above what is taken.
const AHEAD: f64 = 1.1;
/// A pace so many times above what is taken rules nothing.
const IDLE: f64 = 2.0;

/// How many requests a host took, over the last two seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    began: Moment,
    last: Moment,
    slot: u64,
    counts: [u32; SLOTS + 1],
}

impl Taken {
    /// So many were taken of late.
    pub(crate) fn after(began: Moment, last: Moment, taken: u32, now: Moment) -> Self {
        let mut all = Self { began, last, ..Self::default() };
        all.turn(now);
        all.counts[(all.slot % (SLOTS + 1) as u64) as usize] = taken;
        all
    }

    /// One was taken.
    pub(crate) fn count(&mut self, now: Moment) {
        self.turn(now);
        let place = (self.slot % self.counts.len() as u64) as usize;
        self.counts[place] = self.counts[place].saturating_add(1);
    }

    /// Requests a second, over the last two seconds or since the first was sent.
    pub(crate) fn per_second(&mut self, now: Moment) -> f64 {
        self.turn(now);
        let taken: u32 = self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
        let into = now.since(Moment::ZERO).as_nanos() % SLOT.as_nanos();
        let span = SLOT.as_secs_f64() * SLOTS as f64 + into as f64 / 1e9;
        let lived = now.since(self.began).max(SLOT).as_secs_f64();
        f64::from(taken) / span.min(lived)
    }

    /// The same, once two seconds were seen, and as long as requests are sent: what a host that was left alone did not
    /// take says nothing.
    pub(crate) fn measured(&mut self, now: Moment) -> Option<f64> {
        let sent = self.last.max(self.began);
        let idle = now.since(sent) >= SLOT * 2;
        let at = if idle { sent } else { now };
        (at.since(self.began) >= SEEN).then(|| self.per_second(at))
    }

    /// When the host was sent something last.
    pub(super) fn last(&self) -> Moment {
        self.last
    }

    /// The host is sent something at `now`. After nothing for two seconds, what was before says nothing.
    pub(crate) fn sent(&mut self, now: Moment) {
        if now.since(self.last) >= SEEN {
            self.began = now;
        }
        self.last = now;
    }

    fn turn(&mut self, now: Moment) {
        let slot = (now.since(Moment::ZERO).as_nanos() / SLOT.as_nanos()) as u64;
        let length = self.counts.len() as u64;
        if slot >= self.slot + length {
            self.counts = Default::default();
        } else {
            for passed in self.slot + 1..=slot {
                self.counts[(passed % length) as usize] = 0;
            }
        }
        self.slot = self.slot.max(slot);
    }
}

/// A spell of refusals: what a host takes while it refuses is what it allows; before, it may have taken a burst.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spell {
    last: Option<Moment>,
    /// The window of the first refusal.
    window: u32,
    /// All that was in flight at the first refusal had been answered by then, and so many were taken since.
    since: Option<Moment>,
    taken: u32,
    /// What became of requests from its first window on.
    seen: Shares,
}

impl Spell {
    /// The host refused one, in this window.
    pub(super) fn refused(&mut self, window: u32, now: Moment) {
        if self.last.is_none_or(|last| now.since(last) >= SEEN) {
            *self = Self { window, ..Self::default() };
        }
        self.last = Some(now);
    }

    /// The host took one.
    pub(super) fn took(&mut self) {
        self.taken = self.taken.saturating_add(1);
    }

    /// This window has ended.
    pub(super) fn turned(&mut self, window: u32, shares: Shares, now: Moment) {
        self.seen.add(shares);
        if self.last.is_some() && self.since.is_none() && window != self.window {
            (self.since, self.taken) = (Some(now), 0);
        }
    }

    /// The share refused from its first window on; `None` as long as too few were seen.
    pub(super) fn share(&self) -> Option<f64> {
        (self.seen.all() >= SPELL_SEEN).then(|| self.seen.at_least())
    }

    /// Whether enough were taken to say how many a second are.
    pub(super) fn is_measured(&self, now: Moment) -> bool {
        self.since.is_some_and(|since| now.since(since) >= SPELL) && self.taken >= SPELL_TAKEN
    }

    /// Requests a second; `None` as long as too few were seen.
    pub(super) fn measured(&self, taken: &mut Taken, now: Moment) -> Option<f64> {
        let length = now.since(self.since?);
        if length >= SEEN {
            return taken.measured(now);
        }
        self.is_measured(now).then(|| f64::from(self.taken) / length.as_secs_f64())
    }
}

/// The pace at which a host is sent requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rate: Rate,
    knows: Knows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knows {
    /// It was measured.
    Measured,
    /// Nothing was taken, so nothing could be measured.
    Nothing,
}

impl Pace {
    /// A pace below what is taken, kept in time with the pace before.
    pub(crate) fn below(per_second: f64, before: Option<Self>) -> Self {
        let per_second = if mutated!(PaceAbove) { per_second * 1.2 } else { per_second * BELOW };
        Self::kept(per_second.max(BLIND), Knows::Measured, before)
    }

    /// The pace towards a host that took nothing.
    pub(crate) fn blind(before: Option<Self>) -> Self {
        Self::kept(BLIND, Knows::Nothing, before)
    }

    fn kept(per_second: f64, knows: Knows, before: Option<Self>) -> Self {
        let mut rate = before.map_or_else(|| Rate::new(per_second), |before| before.rate);
        rate.set(per_second);
        Self { rate, knows }
    }

    /// What is refused has nothing to do with the pace: it is raised whatever is taken.
    pub(crate) fn freed(mut self, taken: f64) -> Option<Self> {
        self.rate.set(self.rate.per_second() * RAISE);
        (self.rate.per_second() < taken * IDLE).then_some(self)
    }

    /// A window has passed in which so many were taken and none was refused. `None`: the pace rules nothing any more.
    pub(crate) fn raised(mut self, taken: f64, in_window: u32) -> Option<Self> {
        let by = match self.knows {
            Knows::Measured if mutated!(PaceNeverRaised) => 1.0,
            Knows::Measured => {
                1.0 + (RAISE - 1.0) * f64::from(in_window.min(RAISE_TAKEN)) / f64::from(RAISE_TAKEN)
            }
            Knows::Nothing => BLIND_RAISE,
        };
        // A pace that rules nothing does not run ahead of what is taken.
        if self.knows == Knows::Nothing || self.rate.per_second() < taken * AHEAD {
            self.rate.set(self.rate.per_second() * by);
        }
        (self.rate.per_second() < taken * IDLE || taken <= 0.0).then_some(self)
    }
}
