//! How long a host wants to be left alone: Retry-After (RFC 9110, section 10.2.3), or a RateLimit field that says
//! nothing is left.

use std::time::Duration;

use crate::Moment;

use super::mutated::mutated;

/// The longest jitter after the moment that the server named.
const JITTER_MAX: Duration = Duration::from_secs(1);

/// The latest moment that a host has named, and how it is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CoolDown {
    until: Moment,
    /// The status that asked; 0 where a field did.
    status: u16,
    absence: Absence,
}

/// How long an absence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Absence {
    /// One that is waited for.
    #[default]
    Bearable,
    /// Beyond what is waited for.
    TooLong,
}

impl CoolDown {
    /// The server asked for `length` from `now` on. It comes out longer by 0 to 10 %, at most a second, never shorter;
    /// `dice` is any u32. An earlier wish that reaches further stands.
    pub(crate) fn ask(&mut self, status: u16, length: Duration, longest: Duration, now: Moment, dice: u32) {
        if length.is_zero() {
            return;
        }
        let jitter = (length / 10).min(JITTER_MAX).mul_f64(f64::from(dice) / f64::from(u32::MAX));
        let mut until = now + length + jitter;
        if mutated!(CameBackEarly) {
            until = now + length.saturating_sub(jitter);
        }
        if until > self.until || mutated!(LastWishRules) {
            let absence = if length > longest { Absence::TooLong } else { Absence::Bearable };
            *self = Self { until, status, absence };
        }
    }

    /// The status that asked, the moment and the kind of the absence, if it lasts.
    pub(crate) fn lasts(&self, now: Moment) -> Option<(u16, Moment, Absence)> {
        (now < self.until && !mutated!(CoolDownForgotten)).then_some((self.status, self.until, self.absence))
    }
}
