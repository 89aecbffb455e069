//! How many fetches of a job may run at once: as many as its caller said, or as many as turn out to be best. What is
//! best is decided in `policy`.

use super::{Job, LATE, PARKED};
use crate::Moment;
use crate::policy::concurrency::{Climber, Concurrency, Done};

/// How many fetches of a job may run at once.
pub(super) enum Places {
    Fixed(usize),
    Found(Box<Climber>),
}

impl Places {
    pub(super) fn new(concurrency: Concurrency, now: Moment) -> Self {
        match concurrency {
            Concurrency::Fixed(places) => Self::Fixed(places.max(1)),
            Concurrency::Auto { most } => Self::Found(Box::new(Climber::new(most, now))),
        }
    }

    pub(super) fn limit(&self) -> usize {
        match self {
            Self::Fixed(places) => *places,
            Self::Found(climber) => climber.limit(),
        }
    }
}

impl Job {
    /// Whether one more may run. What waits at a gate, for its backoff or for the purse takes no slot, within reason.
    pub(super) fn has_slot(&self) -> bool {
        let (late, limit) = (self.terms.tallies.late(), self.places.limit());
        let waiting = self.running.len().saturating_sub(late);
        self.active() < limit && waiting < limit.saturating_mul(PARKED) && late < LATE
    }

    /// Fetches that take a place.
    pub(super) fn active(&self) -> usize {
        self.running.len().saturating_sub(self.terms.tallies.parked())
    }

    /// Something has settled: how much is done may change how many run at once.
    pub(super) fn note_done(&mut self) {
        let active = self.active() + 1;
        if let Places::Found(climber) = &mut self.places {
            let progress = self.terms.tallies.now();
            let done = Done { requests: progress.obtained, bytes: progress.bytes, active };
            climber.note(done, self.core.clock.now());
        }
    }
}
