//! How fast somebody who is asked usually is, and whether asking twice helps: of a host, or of anybody's calls. What
//! follows from it is not decided here.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::Moment;
use crate::policy::budget::Ratio;
use crate::policy::fetch::Advice;
use crate::policy::hedge::{Game, HedgeAfter, Hedged, Pays};
use crate::policy::latency::{Became, Heard, Latency};

/// What is known of one who is asked.
#[derive(Debug, Default)]
pub(super) struct Tempo {
    known: Mutex<Known>,
    /// For those who wait until the usual time is known; made by the first of them.
    advised: OnceLock<Arc<Notify>>,
}

#[derive(Debug, Default)]
struct Known {
    latency: Latency,
    pays: Pays,
}

impl Tempo {
    /// An attempt ended its silence.
    pub(super) fn heard(&self, heard: Heard, silence: Duration, now: Moment) {
        let became = self.known().latency.record(heard, silence, now);
        if became == Became::Known
            && let Some(waiting) = self.advised.get()
        {
            waiting.notify_waiters();
        }
    }

    /// A hedge has ended.
    pub(super) fn hedged(&self, hedged: Hedged, now: Moment) {
        self.known().pays.ended(hedged, now);
    }

    /// What is known now; `hedge` is given where the delay of a hedge is learned.
    pub(super) fn advice(&self, hedge: Option<(HedgeAfter, Ratio, Game)>, now: Moment) -> Advice {
        let known = self.known();
        let silence = |(after, budget, game): (HedgeAfter, _, _)| after.silence(budget, &known.latency, game);
        Advice {
            usual: known.latency.usual(),
            hedge_after: hedge.and_then(silence),
            gate: known.pays.gate(now),
        }
    }

    /// Ready when the usual time has become known after this call.
    pub(super) fn advised(&self) -> OwnedNotified {
        Arc::clone(self.advised.get_or_init(Arc::default)).notified_owned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
