//! The settings of retries: how long between them, after which errors, and for how long in all. What contradicts
//! itself is refused here; when a retry starts is decided in `policy`.

use std::time::Duration;

use super::{ClientBuilder, contradict, settings};
use crate::engine::plan::UnfinishedParts;
use crate::error::Error;
use crate::policy::classify::RetryErrors;
use crate::policy::resume::ResumeParts;
use crate::policy::speed::LowestSpeed;

/// A speed is measured over at least so long.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);

/// The delays of the exponential backoff that the caller has named.
#[derive(Debug, Default)]
pub(super) struct NamedDelays {
    first: Option<Duration>,
    longest: Option<Duration>,
}

impl ClientBuilder {
    /// Retries after the first attempt (default 3); `None` is without end.
    pub fn retries(mut self, count: impl Into<Option<u32>>) -> Self {
        self.plan.retries = count.into();
        if self.plan.retries.is_none() {
            self.plan.backoff.total = None;
        }
        self
    }

    /// The first and the longest delay of the exponential backoff (default 250 ms and 30 s), before full jitter.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.plan.backoff.base = first;
        self.named_delays.first = Some(first);
        self.retry_max_delay(longest)
    }

    /// The longest delay of the exponential backoff (default 30 s).
    pub fn retry_max_delay(mut self, longest: Duration) -> Self {
        self.plan.backoff.cap = longest;
        self.named_delays.longest = Some(longest);
        self
    }

    /// Pauses for this long before each retry, without jitter, in the place of the exponential backoff. A longer
    /// Retry-After still counts. The bound of 2 min on all delays of a fetch together does not hold then.
    pub fn retry_delay(mut self, pause: Duration) -> Self {
        self.plan.backoff.fix(pause);
        self
    }

    /// Which errors are retried (default: those that may pass by themselves).
    pub fn retry_errors(mut self, errors: RetryErrors) -> Self {
        self.plan.retry_errors = errors;
        self
    }

    /// Which bodies a further attempt goes on with where the last one broke off (default: those that a strong validator
    /// vouches for; RFC 9110, sections 13.1.5 and 14). It asks for the rest with `Range` and `If-Range`, and as it is
    /// (`Accept-Encoding: identity`). Where the server does not give the rest of the same version, the body is begun
    /// anew; one of which bytes were handed on already, such as to standard output, then fails with
    /// [`BodyNotResumable`](crate::ErrorKind::BodyNotResumable). Requests with a body or a Range of their own, methods
    /// other than GET, and bodies that are decoded always begin anew.
    pub fn resume_parts(mut self, rule: ResumeParts) -> Self {
        self.plan.resume = rule;
        self
    }

    /// Leaves the part file of a fetch that is stopped or fails, if a later run can go on with it: one of a body over
    /// 1 MiB or of unknown length, with a strong validator (default: it is removed). [`Event::Part`](crate::Event::Part)
    /// tells what a later run has to hand to [`Request::part`](crate::Request::part).
    pub fn leave_parts(mut self) -> Self {
        self.plan.parts = UnfinishedParts::Left;
        self
    }

    /// No retry starts later than this after the fetch's first attempt began (default: no bound); waiting for a turn
    /// in a job's queue does not count. It takes the place of the bound of 2 min on all delays of a fetch together.
    pub fn retry_within(mut self, length: Duration) -> Self {
        self.plan.retry_within = Some(length);
        self.plan.backoff.total = None;
        self
    }

    /// A Retry-After beyond this fails the fetch at once (default 5 min).
    pub fn retry_after_max(mut self, length: Duration) -> Self {
        self.plan.retry_after_max = length;
        self
    }

    /// Refuses a lowest speed that stops nothing, or is over before it can be measured.
    pub(super) fn check_speed(&self) -> Result<(), Error> {
        match self.plan.lowest_speed {
            Some(LowestSpeed { bytes_per_second: 0, .. }) => {
                Err(settings("lowest_speed (--speed-limit) 0 B/s stops nothing".into()))
            }
            Some(LowestSpeed { over, .. }) if over < SHORTEST_LOOK => Err(settings(format!(
                "lowest_speed over (--speed-time) {over:?} is too short to measure a speed: {SHORTEST_LOOK:?} at least"
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses delays that contradict one another.
    pub(super) fn check_retries(&self) -> Result<(), Error> {
        let (plan, named) = (&self.plan, &self.named_delays);
        if let (Some(first), Some(longest)) = (named.first, named.longest)
            && first > longest
        {
            let names = ("the first backoff", "the longest (--retry-max-delay)");
            return Err(contradict((names.0, &first), (names.1, &longest)));
        }
        let Some(pause) = plan.backoff.pause else { return Ok(()) };
        let name = "retry_delay (--retry-delay)";
        if let Some(first) = named.first {
            return Err(contradict((name, &pause), ("the first backoff", &first)));
        }
        if let Some(longest) = named.longest {
            return Err(contradict((name, &pause), ("retry_max_delay (--retry-max-delay)", &longest)));
        }
        if plan.retries == Some(0) {
            return Ok(());
        }
        if let Some(within) = plan.retry_within.filter(|within| pause > *within) {
            return Err(contradict((name, &pause), ("retry_within (--retry-max-time)", &within)));
        }
        if let Some(timeout) = plan.timeout.filter(|timeout| pause >= *timeout) {
            return Err(contradict((name, &pause), ("timeout (--max-time)", &timeout)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, ErrorKind};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pause_that_lets_no_retry_start_is_refused_with_both_names_and_values() {
        let refused = |builder: ClientBuilder, parts: [&str; 4]| {
            let error = builder.build().expect_err("the settings contradict one another");
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(parts.iter().all(|part| error.message().contains(part)), "{error}");
        };
        let paused = || Client::builder().retry_delay(5 * SECOND);
        refused(paused().retry_within(SECOND), ["retry_delay", "5s", "retry_within", "1s"]);
        refused(paused().timeout(2 * SECOND), ["retry_delay", "5s", "timeout", "2s"]);
        refused(paused().retry_max_delay(9 * SECOND), ["retry_delay", "5s", "retry_max_delay", "9s"]);
        refused(paused().backoff(SECOND, 3 * SECOND), ["retry_delay", "5s", "first backoff", "1s"]);
        let shrunk = Client::builder().backoff(3 * SECOND, 4 * SECOND).retry_max_delay(2 * SECOND);
        refused(shrunk, ["first backoff", "3s", "--retry-max-delay", "2s"]);
    }

    #[test]
    fn a_lowest_speed_that_cannot_be_judged_is_refused() {
        let said = |speed, over| {
            Client::builder().lowest_speed(speed, over).build().map_err(|error| error.to_string())
        };
        assert!(said(0, SECOND).is_err_and(|said| said.contains("--speed-limit")));
        assert!(said(1, SECOND / 100).is_err_and(|said| said.contains("--speed-time) 10ms")));
        assert!(said(1, SECOND).is_ok());
    }

    #[test]
    fn delays_that_do_not_meet_are_taken() {
        let milli = Duration::from_millis(1);
        assert!(Client::builder().retry_max_delay(milli).build().is_ok(), "below the first delay's default");
        assert!(Client::builder().retry_delay(5 * SECOND).timeout(SECOND).retries(0).build().is_ok());
        let client = Client::builder().retry_delay(SECOND).retry_within(SECOND).build().expect("they agree");
        assert_eq!((client.core.plan.backoff.total, client.core.plan.retry_within), (None, Some(SECOND)));
    }
}
