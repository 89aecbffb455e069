//! News for a hedge that waits for nothing else: its host's usual time becomes known, or what held it back may be over.
//! Nothing is decided here.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;

use crate::Moment;
use crate::policy::budget::{Extra, RatioPurse};
use crate::policy::fetch::Machine;
use crate::policy::hedge::HedgeAfter;

/// Where a hedge waits for news alone, how often it looks whether what held it back is over: a cool-down, hedges that
/// do not pay, an empty purse.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How news is heard of.
#[derive(Default)]
pub(in crate::engine) struct Listening {
    /// The usual time of this mirror's host becomes known; allocated only by those that wait for it.
    host: Option<(u32, Pin<Box<OwnedNotified>>)>,
    look_at: Option<Moment>,
    /// For the job's news.
    waker: Option<Waker>,
    news: News,
}

/// Whether the job has news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) enum News {
    #[default]
    None,
    Some,
}

impl Listening {
    /// The job has news: all of its hedges look again.
    pub(in crate::engine) fn tell(&mut self) {
        self.news = News::Some;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What the job has told since the last call.
    pub(in crate::engine) fn take_told(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// This task is woken by the job's news.
    pub(in crate::engine) fn keep(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// When to look again, whatever else happens.
    pub(in crate::engine) fn look_at(&self) -> Option<Moment> {
        self.look_at
    }

    /// Whether there is news for a hedge that waits for it; else the task is woken by it. `advised` becomes ready when
    /// the usual time of a mirror's host is known.
    pub(in crate::engine) fn has_news(
        &mut self,
        cx: &mut Context<'_>,
        now: Moment,
        machine: &Machine,
        (after, purse): (HedgeAfter, &RatioPurse),
        advised: impl FnOnce(u32) -> OwnedNotified,
    ) -> bool {
        let Some(mirror) = machine.awaits_advice() else {
            (self.host, self.look_at) = (None, None);
            return false;
        };
        let empty = machine.is_unhedged() && purse.balance(Extra::Hedge) == Some(0);
        let look_at = *self.look_at.get_or_insert(now + LOOK_AGAIN);
        if look_at <= now {
            self.look_at = Some(now + LOOK_AGAIN);
            if !empty {
                return true;
            }
        }
        match &mut self.host {
            Some((listened, advised)) if *listened == mirror => {
                let ready = advised.as_mut().poll(cx).is_ready();
                if ready {
                    self.host = None;
                }
                ready
            }
            _ if !after.is_learned() || machine.is_unhedged() => false,
            _ => {
                self.host = Some((mirror, Box::pin(advised(mirror))));
                // It may have come between the last look and now.
                true
            }
        }
    }
}
