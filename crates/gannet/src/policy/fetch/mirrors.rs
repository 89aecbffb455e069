//! What the machine knows of each mirror: whether it may be tried again, and from when on.
//! Nothing here starts, counts or pays for an attempt.

use std::time::Duration;

use smallvec::SmallVec;

use crate::Moment;
use crate::policy::backoff::Backoff;

use super::{Class, Failure, Rules, mutated};

/// All mirrors of one fetch, by number.
#[derive(Debug)]
pub(super) struct Mirrors(SmallVec<[Mirror; 2]>);

/// One mirror's record in this fetch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mirror {
    standing: Standing,
    /// Failures that may pass; a redo's cause is none.
    failures: u32,
    backoff_until: Moment,
    asked_until: Moment,
}

/// Whether a mirror may be tried again at all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Standing {
    /// It may, once it is ready.
    #[default]
    Alive,
    /// It never will do.
    Dead,
    /// It asked for a longer absence than the limit.
    Away { wanted: Duration },
}

/// The longest jitter after a Retry-After; it is a tenth of what was asked, where that is less.
const JITTER_MAX: Duration = Duration::from_secs(1);

impl Mirrors {
    pub(super) fn new(count: u32) -> Self {
        Self((0..count).map(|_| Mirror::default()).collect())
    }

    pub(super) fn at(&self, number: u32) -> &Mirror {
        &self.0[number as usize]
    }

    /// Every mirror, beginning with the one after `last` and ending with `last` itself.
    pub(super) fn after(&self, last: u32) -> impl Iterator<Item = (u32, &Mirror)> {
        let count = self.0.len() as u32;
        (1..=count).map(move |step| (last + step) % count).map(|number| (number, self.at(number)))
    }

    /// Those that may be tried again, now or later.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Mirror> {
        self.0.iter().filter(|mirror| mirror.standing == Standing::Alive)
    }

    /// The shortest absence that any mirror asked for beyond the limit.
    pub(super) fn shortest_absence(&self) -> Option<Duration> {
        let wanted = |mirror: &Mirror| match mirror.standing {
            Standing::Away { wanted } => Some(wanted),
            Standing::Alive | Standing::Dead => None,
        };
        self.0.iter().filter_map(wanted).min()
    }

    pub(super) fn at_mut(&mut self, number: u32) -> &mut Mirror {
        &mut self.0[number as usize]
    }
}

impl Mirror {
    /// An attempt here has failed: from now on it is dead, or resting for backoff and Retry-After.
    pub(super) fn failed(
        &mut self,
        failure: Failure,
        now: Moment,
        rules: &Rules,
        dice: &mut dyn FnMut() -> u32,
    ) {
        if failure.class == Class::LastingHere && !mutated!(DeadMirrorRetried) {
            self.standing = Standing::Dead;
        }
        let delay = delay(rules.backoff, self.failures, dice());
        self.failures = self.failures.saturating_add(1);
        self.backoff_until = self.backoff_until.max(now + delay);
        if let Some(asked) = failure.retry_after.filter(|_| !mutated!(RetryAfterIgnored)) {
            self.asked_until = self.asked_until.max(now + asked + jitter(asked, dice()));
            if asked > rules.retry_after_max && self.standing == Standing::Alive && !mutated!(AbsenceIgnored)
            {
                self.standing = Standing::Away { wanted: asked };
            }
        }
    }

    /// Its host was given up.
    pub(super) fn dies(&mut self) {
        self.standing = Standing::Dead;
    }

    pub(super) fn is_alive(&self) -> bool {
        self.standing == Standing::Alive
    }

    /// The first moment at which it may be tried again, if it is alive.
    pub(super) fn ready(&self) -> Moment {
        self.backoff_until.max(self.asked_until)
    }

    /// Whether what it asked for is not over yet.
    pub(super) fn is_asking(&self, now: Moment) -> bool {
        self.asked_until > now
    }

    /// How much of the wait from `now` is backoff, and not what the server asked for.
    pub(super) fn backoff_from(&self, now: Moment) -> Duration {
        self.backoff_until.since(now.max(self.asked_until))
    }
}

fn delay(backoff: Backoff, failures: u32, dice: u32) -> Duration {
    let exponential = Backoff { pause: None, ..backoff };
    match backoff.pause {
        _ if mutated!(BackoffIgnored) => Duration::ZERO,
        Some(_) if mutated!(PauseIgnored) => exponential.delay(failures, dice),
        Some(pause) if mutated!(PauseDiced) => pause.mul_f64(f64::from(dice) / f64::from(u32::MAX)),
        _ => backoff.delay(failures, dice),
    }
}

fn jitter(asked: Duration, dice: u32) -> Duration {
    (asked / 10).min(JITTER_MAX).mul_f64(f64::from(dice) / f64::from(u32::MAX))
}
