//! The only place that reads time: a monotonic clock for waiting, the wall clock for what is written down.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::Moment;

/// Turns the runtime's instants into moments of one client. Follows tokio's paused clock in tests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// Moments before the client was built are its origin.
    pub(crate) fn moment(&self, at: Instant) -> Moment {
        Moment::ZERO + at.saturating_duration_since(self.epoch)
    }

    /// `None` for a moment so far away that no timer need be set.
    pub(crate) fn instant(&self, moment: Moment) -> Option<Instant> {
        self.epoch.checked_add(moment.since(Moment::ZERO))
    }

    pub(crate) fn wall() -> SystemTime {
        SystemTime::now()
    }
}
