//! A point on the client's own time line, in nanoseconds since an origin that only `engine::clock` knows.
//! Pure arithmetic: nothing here reads a clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, comparable with others of the same client only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The origin of the time line.
    pub(crate) const ZERO: Self = Self(0);

    /// The moment that lies `nanos` nanoseconds after the origin.
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The time that has passed since `earlier`, zero if it lies ahead.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}
