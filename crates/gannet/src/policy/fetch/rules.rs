//! What one fetch may do, fixed for its life. Nothing here changes while it runs.

use std::time::Duration;

use crate::Moment;
use crate::policy::backoff::Backoff;

/// What the machine holds to, fixed for the fetch's life.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// How many URLs may serve this fetch, at least 1.
    pub(crate) mirrors: u32,
    pub(crate) opening: Opening,
    /// Retries after the first attempt; `None` is without end.
    pub(crate) retries: Option<u32>,
    pub(crate) backoff: Backoff,
    /// No retry starts later than this after the first attempt; `None` is no bound.
    pub(crate) retry_within: Option<Duration>,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) deadline: Option<Moment>,
    pub(crate) repeatable: Repeatable,
    pub(crate) when_empty: WhenEmpty,
    /// A Retry-After beyond this fails the fetch at once.
    pub(crate) retry_after_max: Duration,
}

/// Which attempts start at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The first URL; its mirrors serve retries and hedges.
    One,
    /// Every URL, as legs of a race; all of them are firsts.
    Race,
}

/// Whether the request may be sent twice (RFC 9110, section 9.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeatable {
    /// The method is idempotent, or the caller said so.
    Always,
    /// Only as long as no byte of it was written.
    WhileUnsent,
}

/// What a retry does that finds the purse empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenEmpty {
    /// It is not made: a single fetch has nobody to wait for.
    Fail,
    /// It waits for a grant: other fetches of its job pay in.
    Park,
}

/// Another attempt after a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hedge {
    /// The silence of the newest attempt that is waited for.
    pub(crate) after: Silence,
    /// Hedges of one fetch in all.
    pub(crate) at_most: u32,
}

/// How long a silence is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// So long at every host.
    Fixed(Duration),
    /// What [`Hosts`] says of the host of the silent attempt; no hedge as long as it says nothing.
    Advised,
}
