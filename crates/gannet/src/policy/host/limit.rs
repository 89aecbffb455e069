//! How many requests one host may have in flight, and how fast they may go: both follow what the host refuses.
//!
//! All is measured in windows. A window ends when everything that was in flight at its start has been answered or has
//! ended, and lasts at least 100 ms: bodies are not waited for. The place of a refused request stays closed until the window ends, so that what is in flight after a
//! burst is what the host takes. At its end the window is judged, once.

use std::time::Duration;

use crate::Moment;

use super::load::Light;
use super::mutated::mutated;
use super::pace::{Pace, SEEN, Spell, Taken};
use super::shares::{Shares, far_above};
use super::trial::{Calm, TELLING, Trial, Verdict};

/// The shortest window.
pub(super) const WINDOW: Duration = Duration::from_millis(100);
/// How often more than the limit is tried, and how soon after a lowering it is tried first.
const PROBE: Duration = Duration::from_secs(30);
const PROBE_FIRST: Duration = Duration::from_secs(2);
/// Refusals without anything taken, from which it follows that nothing is.
const NOTHING: u32 = 10;
/// Fewer closed places than this, or than a quarter of the limit, may be chance.
const FEW: u32 = 5;
/// After so many attempts the older ones count for half.
const HISTORY: u32 = 200;

/// What became of a request, as far as limit and pace are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reception {
    /// The server answered it.
    Taken,
    /// The server took it and failed.
    Failed,
    /// A refusal, or silence from a server that has too much to do.
    PushedBack,
    /// Nobody knows.
    Unknown,
}

/// Where and when a request entered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entered {
    pub(super) window: u32,
    /// Requests in flight with it.
    pub(super) in_flight: u32,
}

/// The limit and pace of one host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// What holds as long as nothing is refused.
    usual: u32,
    set: Set,
    window: Window,
    /// In flight since before the window, and since.
    older: u32,
    newer: u32,
    /// In flight, answered and counted: for their bodies no window waits.
    bodies: u32,
    /// Places of refused requests, closed until the window ends.
    closed: u32,
    /// What entered before this window says nothing of the present setting.
    fresh_from: u32,
    trial: Option<Trial>,
    /// What became of attempts under the present setting.
    history: Shares,
    probe: Probe,
    calm: Calm,
    taken: Taken,
    spell: Spell,
}

/// What is lowered and taken back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) limit: u32,
    /// One more than the most that was seen to work; `None` as long as nothing was lowered.
    pub(super) ceiling: Option<u32>,
    pub(super) pace: Option<Pace>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: u32,
    began: Moment,
    taken: u32,
    answered: u32,
    pushed: u32,
    /// The most in flight at which a request was answered.
    most: u32,
    /// In flight at its end, with the places of the refused closed, and with the one whose leaving ended it.
    stands: u32,
    /// Requests in flight with those that were pushed back, in all.
    crowd: u64,
}

impl Window {
    /// Whether more is refused than by a source that fails at random with this share.
    fn is_far_above(&self, share: f64) -> bool {
        f64::from(self.pushed) > f64::from(TELLING) + far_above(share) * f64::from(self.shares().all())
    }

    fn shares(&self) -> Shares {
        Shares { taken: self.taken, pushed: self.pushed }
    }
}

/// When more than the limit is tried.
#[derive(Debug, Clone, Copy)]
struct Probe {
    at: Moment,
    gap: Duration,
    /// By how much the limit is above what is known to work; 0 when nothing is tried.
    step: u32,
    /// Requests a second that were taken without a refusal when it began.
    taken: f64,
}

impl Limit {
    pub(crate) fn new(usual: u32) -> Self {
        Self {
            usual,
            set: Set { limit: usual.max(1), ceiling: None, pace: None },
            window: Window::default(),
            older: 0,
            newer: 0,
            bodies: 0,
            closed: 0,
            fresh_from: 0,
            trial: None,
            history: Shares::default(),
            probe: Probe { at: Moment::ZERO, gap: PROBE_FIRST, step: 0, taken: 0.0 },
            calm: Calm::default(),
            taken: Taken::default(),
            spell: Spell::default(),
        }
    }

    /// What all this would be, had it been kept since the first request.
    pub(super) fn after(light: &Light, now: Moment) -> Self {
        let mut limit = Self::new(light.usual);
        let (taken, answered) = (u32::from(light.in_window), u32::from(light.answered));
        let (number, began, most) = (light.number, light.began, u32::from(light.most));
        limit.window = Window { number, began, taken, answered: taken, most, ..Window::default() };
        (limit.older, limit.newer, limit.bodies) = (light.older, light.newer, light.bodies);
        limit.history.taken = answered - taken;
        // Those of the last two seconds, if they came evenly.
        let lived = now.since(light.sent_since).max(SEEN).as_secs_f64();
        let taken = (f64::from(light.recent) * SEEN.as_secs_f64() / lived) as u32;
        limit.taken = Taken::after(light.sent_since, light.sent_last, taken, now);
        limit
    }

    /// So many hold as long as nothing is refused. What refusals have lowered stays lowered.
    pub(crate) fn usually(&mut self, usual: u32) {
        self.usual = usual.max(1);
        self.set.limit = match self.set.ceiling {
            Some(_) => self.set.limit.min(self.usual),
            None => self.usual,
        };
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.older + self.newer + self.bodies
    }

    /// How many may be in flight, without those places that are closed for the rest of the window.
    pub(crate) fn limit(&self) -> u32 {
        self.set.limit.saturating_sub(self.closed).max(1)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.in_flight() >= self.limit().saturating_add(u32::from(mutated!(OneTooMany)))
    }

    pub(crate) fn pace(&self) -> Option<f64> {
        self.set.pace.map(|pace| pace.rate.per_second())
    }

    /// The moment before which the pace lets nobody in.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.set.pace.filter(|_| !mutated!(PaceIgnored)).map(|pace| pace.rate.next())
    }

    /// Whether refusals hold the host below what is usual.
    pub(crate) fn is_lowered(&self) -> bool {
        self.limit() < self.usual || self.set.pace.is_some()
    }

    /// When the host was sent something last.
    pub(super) fn last_sent(&self) -> Moment {
        self.taken.last()
    }

    /// When the window ends by time alone, if that opens a place.
    pub(crate) fn wake(&self) -> Option<Moment> {
        (self.older == 0 && self.closed > 0 && !self.is_blind()).then_some(self.window.began + WINDOW)
    }

    /// The window has refusals and nothing to measure them by, yet.
    fn is_blind(&self) -> bool {
        self.window.pushed > 0 && self.window.answered == 0 && self.older + self.newer > 0
    }

    pub(crate) fn entered(&mut self, now: Moment) -> Entered {
        self.taken.sent(now);
        self.newer += 1;
        if let Some(pace) = &mut self.set.pace {
            pace.rate.take(now);
        }
        Entered { window: self.window.number, in_flight: self.in_flight() }
    }

    /// The head of a reply has come: it counts, and its window does not wait for the body.
    pub(crate) fn answered(&mut self, entered: Entered, reception: Reception, now: Moment) {
        if mutated!(WaitsForBodies) {
            return;
        }
        self.bodies += 1;
        self.left(entered, reception, now);
    }

    /// A body has ended whose head was counted. One that broke off counts as refused as well.
    pub(crate) fn ended(&mut self, entered: Entered, reception: Reception, now: Moment) {
        if mutated!(WaitsForBodies) {
            return self.left(entered, reception, now);
        }
        debug_assert!(self.bodies > 0, "a body ends once");
        if !(mutated!(PlaceLost) && reception == Reception::Unknown) {
            self.bodies = self.bodies.saturating_sub(1);
        }
        if reception == Reception::PushedBack && !self.is_stale(entered) {
            // It counts once: what its head said is taken back, if that was in this window.
            if entered.window == self.window.number {
                self.window.taken = self.window.taken.saturating_sub(1);
                self.window.answered = self.window.answered.saturating_sub(1);
            }
            self.count(entered, reception, now);
        }
        self.look(now);
    }

    pub(crate) fn left(&mut self, entered: Entered, reception: Reception, now: Moment) {
        debug_assert!(self.in_flight() > 0, "a place is given back once");
        let newer = entered.window == self.window.number && self.newer > 0 || self.older == 0;
        let place = if newer { &mut self.newer } else { &mut self.older };
        *place = if mutated!(PlaceLost) && reception == Reception::Unknown {
            *place
        } else {
            place.saturating_sub(1)
        };
        if matches!(reception, Reception::Taken | Reception::Failed) {
            self.taken.count(now);
            self.spell.took();
        }
        if reception == Reception::PushedBack {
            self.spell.refused(self.window.number, now);
        }
        if !self.is_stale(entered) {
            self.count(entered, reception, now);
        }
        self.look(now);
    }

    /// Whether it entered under an earlier setting. Numbers wrap: what lies less than half of them behind is older.
    fn is_stale(&self, entered: Entered) -> bool {
        entered.window.wrapping_sub(self.fresh_from) > u32::MAX / 2
    }

    fn count(&mut self, entered: Entered, reception: Reception, now: Moment) {
        let window = &mut self.window;
        match reception {
            Reception::Unknown => {}
            Reception::Failed => window.taken = window.taken.saturating_add(1),
            Reception::Taken => {
                window.taken = window.taken.saturating_add(1);
                window.answered = window.answered.saturating_add(1);
                window.most = window.most.max(entered.in_flight);
            }
            Reception::PushedBack => {
                window.pushed = window.pushed.saturating_add(1);
                window.crowd = window.crowd.saturating_add(u64::from(entered.in_flight));
                if !self.calm.holds(now) || self.probe.step > 0 || window.is_far_above(self.calm.share()) {
                    self.closed = (self.closed + 1).min(self.set.limit - 1);
                }
            }
        }
    }

    /// Ends the window if it is over.
    pub(crate) fn look(&mut self, now: Moment) {
        if self.older > 0 || now < self.window.began + WINDOW || self.is_blind() {
            return;
        }
        let ended = Window { stands: self.limit().min(self.in_flight() + 1), ..self.window };
        self.window = Window { number: ended.number.wrapping_add(1), began: now, ..Window::default() };
        self.older = std::mem::take(&mut self.newer);
        self.closed = 0;
        self.spell.turned(ended.number, ended.shares(), now);
        self.history.add(ended.shares());
        if self.history.all() > HISTORY {
            self.history.taken /= 2;
            self.history.pushed /= 2;
        }
        self.calm.seen(ended.shares(), now);
        if ended.pushed == 0 {
            self.after_clean(&ended, now);
        } else if self.probe.step > 0 {
            self.probe_failed(&ended, now);
        } else if self.calm.holds(now) {
            self.raise_in_calm(now);
        } else if self.trial.is_none_or(|trial| ended.is_far_above(trial.share())) {
            self.lower(&ended, now);
        } else if self.trial.is_some_and(|trial| trial.asks_for_less()) && self.spell.is_measured(now) {
            // The pace may have been measured while the host took a burst.
            self.try_pace(now);
        }
        self.judge(&ended, now);
    }

    fn after_clean(&mut self, window: &Window, now: Moment) {
        if window.answered == 0 {
            return;
        }
        if self.trial.is_some() {
            // A trial is of one setting.
            return;
        }
        if self.calm.holds(now) {
            self.set.pace = self.set.pace.and_then(|pace| pace.freed(self.taken.per_second(now)));
        } else {
            self.raise(window.taken, now);
        }
        let Some(ceiling) = self.set.ceiling else { return };
        if self.probe.step > 0 && window.most >= self.set.limit {
            self.set.ceiling = Some(window.most + 1);
            self.probe.step = self.probe.step.saturating_mul(2).min(self.set.limit / 4).max(1);
        } else if self.probe.step == 0 && now >= self.probe.at && !mutated!(NeverProbes) {
            self.set.limit = ceiling - 1;
            (self.probe.step, self.probe.taken) = (1, self.taken.per_second(now));
            self.fresh_from = self.window.number;
        } else {
            return;
        }
        self.set.limit = self.set.limit.saturating_add(self.probe.step).min(self.usual);
        if window.most >= self.usual {
            self.set.ceiling = None;
            self.probe.step = 0;
        }
    }

    fn raise(&mut self, in_window: u32, now: Moment) {
        let taken = self.taken.per_second(now);
        self.set.pace = self.set.pace.and_then(|pace| pace.raised(taken, in_window));
    }

    /// How many a second the host takes while it refuses others.
    fn allows(&mut self, now: Moment) -> Option<f64> {
        if mutated!(BurstCounted) {
            return self.taken.measured(now);
        }
        let measured = self.spell.measured(&mut self.taken, now);
        measured.or_else(|| self.set.pace.and_then(|_| self.taken.measured(now)))
    }

    /// What is refused has nothing to do with pace or limit, so both return to what is usual, step by step.
    fn raise_in_calm(&mut self, now: Moment) {
        self.set.pace = self.set.pace.and_then(|pace| pace.freed(self.taken.per_second(now)));
        self.set.limit = (self.set.limit + 1).min(self.usual);
        self.set.ceiling = self.set.ceiling.map(|ceiling| ceiling.max(self.set.limit + 1));
        if self.set.limit == self.usual {
            self.set.ceiling = None;
        }
    }

    /// More than what works was tried, and refused.
    fn probe_failed(&mut self, window: &Window, now: Moment) {
        let works = self.set.ceiling.unwrap_or(self.usual).saturating_sub(1).max(1);
        self.lower_to(works, now);
        let whatever_number = window.crowd < u64::from(window.most) * u64::from(window.pushed);
        if whatever_number && window.pushed >= TELLING {
            // Refused where fewer were in flight than where others were answered: by their rate. What was taken of late
            // may be a burst, what was taken before was allowed.
            let taken = self.allows(now).unwrap_or(self.probe.taken);
            self.set.pace = Some(Pace::below(taken, self.set.pace));
        }
        self.probe.gap = (self.probe.gap * 2).min(PROBE);
    }

    fn lower_to(&mut self, works: u32, now: Moment) {
        self.set.limit = if mutated!(LimitForgotten) { self.usual } else { works.min(self.usual) };
        self.set.ceiling = Some(works + 1);
        self.probe = Probe { at: now + self.probe.gap, step: 0, ..self.probe };
        self.fresh_from = self.window.number;
    }

    fn lower(&mut self, window: &Window, now: Moment) {
        let before = self.set;
        // Where much was taken before under such a setting, the spell says more of the present.
        let spell = (before.ceiling.is_some() || before.pace.is_some()).then(|| self.spell.share()).flatten();
        let share = self.history.at_least().max(spell.unwrap_or(0.0));
        // With the places of the refused closed so few stand that it can only be their number.
        let few = before.pace.is_none()
            && window.stands + FEW < self.set.limit
            && window.stands < self.set.limit / 4 * 3;
        // Where a rate is known already, it takes more to believe in a number.
        let enough = before.pace.is_none() || window.pushed >= TELLING;
        let by_number = window.most > 0 && window.crowd > u64::from(window.most) * u64::from(window.pushed);
        let by_limit = window.taken > 0 && (few || enough && by_number);
        if window.taken == 0 && window.pushed < NOTHING {
            return;
        } else if window.taken == 0 {
            self.set.pace = Some(Pace::blind(before.pace));
        } else if by_limit {
            // Refused where more were in flight than where others were answered: by their number.
            let works = if few { window.stands } else { window.most.max(window.stands) };
            let works = works.min(self.set.limit.saturating_sub(1));
            self.probe.gap = PROBE_FIRST;
            self.lower_to(works.max(1), now);
        } else if let Some(taken) = self.allows(now) {
            // Refused at a number at which others were answered: by their rate, or at random.
            self.set.pace = Some(Pace::below(taken, before.pace));
        } else {
            return;
        }
        self.fresh_from = self.window.number;
        self.history = Shares::default();
        if self.trial.is_none() {
            // The window that is about to be judged is the one before the trial.
            self.trial = Some(Trial::new(before, share, u32::from(!by_limit)));
        }
    }

    /// The lowering that is tried becomes one of pace alone, or of a lower pace. `None`: no pace is known yet.
    fn try_pace(&mut self, now: Moment) -> Option<()> {
        let (trial, taken) = (self.trial?, self.allows(now)?);
        // The pace of now lets too many in.
        let taken = taken.min(self.pace().unwrap_or(f64::MAX));
        let Set { limit, ceiling, .. } = if trial.is_of_number() { trial.before() } else { self.set };
        let pace = Some(Pace::below(taken, self.set.pace));
        self.set = Set { limit: limit.min(self.usual), ceiling, pace };
        self.probe.step = 0;
        self.fresh_from = self.window.number;
        self.history = Shares::default();
        self.trial = Some(trial.of_pace());
        Some(())
    }

    /// Counts a window for the trial that runs, and judges the trial when it is over.
    fn judge(&mut self, window: &Window, now: Moment) {
        let Some(trial) = &mut self.trial else { return };
        let verdict = trial.count(window.shares());
        let trial = *trial;
        match verdict {
            Verdict::Open => {}
            Verdict::Helped => self.trial = None,
            Verdict::AsBefore | Verdict::Useless if mutated!(NumberAlone) && trial.is_of_number() => {
                self.take_back(&trial, now);
            }
            Verdict::AsBefore => _ = self.try_pace(now),
            Verdict::Useless if trial.may_try_pace() => {
                // It is not their number: their rate, or chance. Without a pace to try it is watched on.
                if self.try_pace(now).is_none() && !trial.is_of_number() {
                    self.take_back(&trial, now);
                }
            }
            Verdict::Useless => self.take_back(&trial, now),
        }
    }

    /// The lowering did not help.
    fn take_back(&mut self, trial: &Trial, now: Moment) {
        self.trial = None;
        // Where far more is refused than before, it is not chance: lower still.
        if trial.made_it_worse() || mutated!(NeverTakenBack) {
            return;
        }
        let before = trial.before();
        self.set = Set { limit: before.limit.min(self.usual), ..before };
        self.probe.step = 0;
        self.history = Shares::default();
        self.calm.begin(trial.share_now(), now);
    }

    /// The host lives again: what was learned of it while it was dead is forgotten.
    pub(crate) fn revived(&mut self) {
        self.set.pace = None;
        self.trial = None;
        self.fresh_from = self.window.number.wrapping_add(1);
    }
}
