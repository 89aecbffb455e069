//! What an attempt waited for before it started, once an earlier one had failed. Plain data.

use std::time::Duration;

/// What an attempt waited for before it started, once an earlier one had failed. Waiting for a place at the host's gate
/// and in the pool comes after that, and is [`Timings::queue`](super::Timings::queue).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waited {
    /// What for.
    pub what: WaitedFor,
    /// For how long.
    pub length: Duration,
}

/// Why an attempt did not start at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitedFor {
    /// The delay between attempts.
    Backoff,
    /// The time for which the server had asked to be left alone (RFC 9110, section 10.2.3).
    RetryAfter,
    /// The retry budget, which had nothing left.
    Budget,
    /// A place: as many requests were in flight to the host as may be.
    Gate,
    /// Its host's breaker, since most attempts there had failed.
    Breaker,
    /// The time for which the host wants to be left alone by everybody.
    CoolDown,
    /// Its turn under a rate: one that was set, or the pace that refusals have left.
    Rate,
}

impl WaitedFor {
    /// The stable spelling in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::RetryAfter => "retry_after",
            Self::Budget => "budget",
            Self::Gate => "gate",
            Self::Breaker => "breaker",
            Self::CoolDown => "cool_down",
            Self::Rate => "rate",
        }
    }
}

impl Waited {
    /// For so long, after a failure with which the server may have `asked` us to stay away.
    pub(crate) fn since_failure(length: Duration, asked: Option<Duration>) -> Self {
        let was_asked = asked.is_some_and(|asked| !asked.is_zero() && asked <= length);
        Self { what: if was_asked { WaitedFor::RetryAfter } else { WaitedFor::Backoff }, length }
    }
}
