//! A look at a fetch under way, for displays: where it stands, and whether it waits for a retry. It changes nothing.

use http::StatusCode;

use super::Rest;
use crate::Moment;
use crate::error::Phase;
use crate::policy::host::Held;
use crate::transport::origin::key_of;

/// Where a fetch stands.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) started: Option<Moment>,
    pub(crate) attempts: u32,
    pub(crate) phase: Phase,
    pub(crate) bytes: u64,
    /// When the newest attempt made its last step forward.
    pub(crate) moved: Option<Moment>,
    pub(crate) pause: Option<Pause>,
    /// Why its newest attempt is not let in, while that waits for its host alone.
    pub(crate) held: Option<Held>,
    /// Retries of it that wait for the purse.
    pub(crate) unpaid: usize,
}

/// No attempt is under way: the next one starts at `until`.
#[derive(Debug)]
pub(crate) struct Pause {
    pub(crate) until: Moment,
    pub(crate) host: Box<str>,
    pub(crate) status: Option<StatusCode>,
}

impl<A> Rest<A> {
    pub(super) fn look(&self) -> Look {
        let attempts = self.book.count();
        let newest = self.book.leg(attempts.saturating_sub(1));
        let flies = self.book.open().next().is_some() || self.refused.is_kept();
        let pause = (!flies && attempts > 0 && self.asks.is_empty()).then(|| {
            let (_, url) = self.errand.target(self.book.mirror(attempts - 1));
            let status = self.failure.as_ref().and_then(|failure| failure.status());
            Some(Pause { until: self.machine.wake()?, host: key_of(url).into(), status })
        });
        let pause = pause.flatten();
        let mut open = self.book.open();
        let queues = open.next().filter(|(_, leg)| leg.standing().0 == Phase::Queue && open.next().is_none());
        let held = queues.and_then(|(attempt, leg)| {
            // Once it was redirected it waits for another host.
            let mirror = self.book.mirror(attempt);
            if leg.hop_count() > 0 { None } else { self.met.of(&self.errand, mirror).gate.held() }
        });
        Look {
            started: self.book.first_started(),
            attempts,
            phase: newest.filter(|_| flies).map_or(Phase::Queue, |leg| leg.standing().0),
            bytes: newest.map_or(0, |leg| leg.bytes()),
            moved: newest.map(|leg| leg.standing().1),
            pause,
            held,
            unpaid: self.asks.len(),
        }
    }
}
