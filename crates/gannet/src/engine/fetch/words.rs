//! The errors of a fetch in words: why it gave up, what took too long, what cannot be taken back. Nothing is decided
//! here.

use super::{Rest, seconds};
use crate::Moment;
use crate::error::{Error, ErrorKind, Phase};
use crate::policy::fetch::GaveUp;
use crate::policy::speed::LowestSpeed;
use crate::request::body::Body;

impl<A> Rest<A> {
    pub(super) fn gave_up(&mut self, why: GaveUp) -> Error {
        let last = self.failure.take();
        let last =
            last.unwrap_or_else(|| Error::new(ErrorKind::Cancelled, Phase::Queue, "nothing was tried"));
        let back = |wanted: std::time::Duration| format!("in {}", seconds(wanted));
        match why {
            GaveUp::Lasting | GaveUp::NoRetriesLeft => last,
            GaveUp::HostGivenUp => {
                let message = "the host was given up while a retry waited for it (--host-give-up)";
                Error::new(ErrorKind::HostUnavailable, Phase::Queue, message).caused_by(last)
            }
            GaveUp::NoBudget => last.and("; not retried: the retry budget is exhausted").for_want_of_budget(),
            GaveUp::NoTime { wanted } => last
                .and(&format!("; not retried: the next attempt was due {}, after the deadline", back(wanted)))
                .for_want_of_time(),
            GaveUp::AskedToStayAway { wanted } => last.and(&format!(
                "; not retried: the server wants us back {}, which is too long to wait (--retry-after-max)",
                back(wanted)
            )),
            GaveUp::SleptEnough => {
                last.and("; not retried: the delays between retries are over their bound of 2 min")
            }
            GaveUp::WindowOver { wanted } => last.and(&format!(
                "; not retried: the next attempt was due {}, after the time for retries (--retry-max-time)",
                back(wanted)
            )),
            GaveUp::NotRepeatable if self.errand.has_spent_a_stream() => {
                last.and(&format!("; not retried: {}", Body::SPENT))
            }
            GaveUp::NotRepeatable => {
                last.and("; not retried: the request may have been processed and is not idempotent")
            }
        }
    }

    /// Which limit was nearer decides the word; the last failure, if any, is its cause. One that has failed, and whose
    /// next attempt was not let in before the job's deadline, has failed of that.
    pub(super) fn deadline_came(&mut self, now: Moment) -> Error {
        let limits = self.errand.limits;
        let job_first = limits.job.is_some_and(|job| limits.item.is_none_or(|item| job <= item));
        let phase = self.book.phase();
        let after = self
            .book
            .first_started()
            .map_or(String::new(), |first| format!(" after {}", seconds(now.since(first))));
        let (kind, what) = match job_first {
            true => (ErrorKind::JobDeadline, "the deadline came"),
            false => (ErrorKind::ItemDeadline, "its time was over (--max-time)"),
        };
        let error = Error::new(kind, phase, format!("{what}{after}, in phase {}", phase.as_str()));
        match self.failure.take() {
            Some(last) if job_first && phase == Phase::Queue => {
                last.and("; not retried: the deadline came while it waited for its host").for_want_of_time()
            }
            Some(last) => error.caused_by(last),
            None => error,
        }
    }
}

/// The failure that a fetch would end with, of the one before and this one. Who had failed and was then turned away at
/// the host's gate for want of time, or since the host wants to be left alone, has failed of the first.
pub(super) fn last_of(before: Option<Error>, error: Error) -> Error {
    let turned_away = matches!(error.kind(), ErrorKind::HostAway | ErrorKind::HostUnavailable)
        && error.phase() == Phase::Queue;
    match before.filter(|_| turned_away) {
        None => error,
        Some(before) if error.is_out_of_time() => before
            .and(&format!("; not retried: {}", error.message().split(LAST_ONE).next().unwrap_or_default()))
            .asked_to_wait(error.retry_after())
            .for_want_of_time(),
        Some(before) => error.caused_by(before),
    }
}

/// What stands before the last failure at a host.
pub(crate) const LAST_ONE: &str = "; the last one: ";

/// The error of a phase that lasted too long.
pub(super) fn too_slow(phase: Phase, limit: std::time::Duration) -> Error {
    let limit = seconds(limit);
    match phase {
        Phase::Body => {
            let message = format!("no further byte of the body within {limit} (--read-timeout)");
            Error::new(ErrorKind::BodyStalled, phase, message)
        }
        _ => {
            let message = format!("no byte of the reply within {limit} (--read-timeout)");
            Error::new(ErrorKind::FirstByteTimeout, phase, message)
        }
    }
}

/// The error of a body that came more slowly than it may.
pub(crate) fn below(lowest: &LowestSpeed) -> Error {
    let LowestSpeed { bytes_per_second, over } = lowest;
    let speed = match bytes_per_second {
        speed if speed % (1 << 20) == 0 => format!("{}m", speed >> 20),
        speed if speed % (1 << 10) == 0 => format!("{}k", speed >> 10),
        speed => speed.to_string(),
    };
    let message = format!(
        "the body came more slowly than --speed-limit {speed} for --speed-time {}s",
        over.as_secs_f64()
    );
    Error::new(ErrorKind::BodyTooSlow, Phase::Body, message)
}

/// A body that broke off can only be begun anew while no byte of it has left our hands.
pub(super) fn broken(error: Error, restartable: bool) -> Error {
    if restartable || error.phase() == Phase::Sink {
        return error;
    }
    if error.kind() == ErrorKind::Digest {
        return error.and("; what was already handed on cannot be taken back").handed_on();
    }
    let message = format!("{}; what was already handed on cannot be taken back", error.message());
    Error::new(ErrorKind::BodyNotResumable, Phase::Body, message).caused_by(error)
}
