//! Why a call gave up, with the errors of its attempts.

use std::fmt;
use std::time::Duration;

use crate::engine::call::ERRORS_KEPT;
use crate::engine::fetch::seconds;
use crate::policy::fetch::{GaveUp, Verdict};

/// Why a call gave up, with the errors of its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptsError<E> {
    why: WhyGaveUp,
    attempts: u32,
    errors: Vec<(u32, E)>,
}

/// Why a call gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyGaveUp {
    /// Its deadline or timeout came; what was under way was dropped.
    Deadline,
    /// A token was cancelled; what was under way was dropped.
    Cancelled,
    /// [`retry_if`](crate::Attempts::retry_if) said no to an error.
    NotRetryable,
    /// Every attempt that it was allowed has failed.
    RetriesUsedUp,
    /// Another attempt was due, and the budget had nothing for it.
    BudgetEmpty,
    /// The next attempt was due after `wanted`, too late for the deadline, and was not waited for.
    #[non_exhaustive]
    NoTime {
        /// Counted from the last error.
        wanted: Duration,
    },
    /// An error asked for a longer wait than [`retry_after_max`](crate::Attempts::retry_after_max).
    #[non_exhaustive]
    AskedToStayAway {
        /// Counted from that error.
        wanted: Duration,
    },
    /// The delays of all retries together are over their bound of 2 min.
    SleptEnough,
}

impl<E> AttemptsError<E> {
    pub(super) fn new(verdict: Verdict, attempts: u32, errors: Vec<(u32, E)>) -> Self {
        let why = match verdict {
            Verdict::DeadlineCame => WhyGaveUp::Deadline,
            Verdict::Cancelled => WhyGaveUp::Cancelled,
            Verdict::GaveUp { why, .. } => match why {
                GaveUp::NoRetriesLeft => WhyGaveUp::RetriesUsedUp,
                GaveUp::NoBudget => WhyGaveUp::BudgetEmpty,
                GaveUp::NoTime { wanted } | GaveUp::WindowOver { wanted } => WhyGaveUp::NoTime { wanted },
                GaveUp::AskedToStayAway { wanted } => WhyGaveUp::AskedToStayAway { wanted },
                GaveUp::SleptEnough => WhyGaveUp::SleptEnough,
                GaveUp::Lasting | GaveUp::NotRepeatable | GaveUp::HostGivenUp => WhyGaveUp::NotRetryable,
            },
            Verdict::Won { .. } => unreachable!("a call that was won is no error"),
        };
        Self { why, attempts, errors }
    }

    /// Why it gave up.
    pub fn why(&self) -> WhyGaveUp {
        self.why
    }

    /// Whether the deadline or timeout came.
    pub fn is_timeout(&self) -> bool {
        self.why == WhyGaveUp::Deadline
    }

    /// Whether a token stopped it.
    pub fn is_cancelled(&self) -> bool {
        self.why == WhyGaveUp::Cancelled
    }

    /// How many attempts were begun.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The errors of the attempts that failed, with their numbers, in the order in which they came. Of more than 64,
    /// the newest 64. One that was stopped has none.
    pub fn errors(&self) -> impl ExactSizeIterator<Item = (u32, &E)> {
        debug_assert!(self.errors.len() <= ERRORS_KEPT, "older ones are dropped");
        self.errors.iter().map(|(attempt, error)| (*attempt, error))
    }

    /// The newest error; `None` if no attempt has failed by itself.
    pub fn last(&self) -> Option<&E> {
        self.errors.last().map(|(_, error)| error)
    }

    /// The newest error; `None` if no attempt has failed by itself.
    pub fn into_last(self) -> Option<E> {
        self.errors.into_iter().next_back().map(|(_, error)| error)
    }

    /// What [`errors`](Self::errors) gives.
    pub fn into_errors(self) -> Vec<(u32, E)> {
        self.errors
    }
}

impl<E> fmt::Display for AttemptsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = match self.attempts {
            0 => return write!(f, "{}, before its first attempt", self.why),
            1 => "1 attempt".into(),
            many => format!("{many} attempts"),
        };
        write!(f, "{}, after {made}", self.why)
    }
}

/// The newest error is its source, and is not in its text.
impl<E: std::error::Error + 'static> std::error::Error for AttemptsError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.last().map(|error| error as &(dyn std::error::Error + 'static))
    }
}

impl fmt::Display for WhyGaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("the deadline came"),
            Self::Cancelled => f.write_str("stopped by the caller"),
            Self::NotRetryable => f.write_str("failed with an error that is not retried"),
            Self::RetriesUsedUp => f.write_str("all attempts failed"),
            Self::BudgetEmpty => f.write_str("not retried: the retry budget is exhausted"),
            Self::NoTime { wanted } => {
                write!(f, "not retried: the next attempt was due in {}, after the deadline", seconds(*wanted))
            }
            Self::AskedToStayAway { wanted } => {
                write!(
                    f,
                    "not retried: we are wanted back in {}, which is too long to wait",
                    seconds(*wanted)
                )
            }
            Self::SleptEnough => f.write_str("not retried: the delays between retries are over their bound"),
        }
    }
}
