//! What a fetch is to do and to hold to: its requests, plan, limits and where its body goes. Shared by its attempts.

use std::sync::Arc;
use std::task::{Context, Waker};

use smallvec::SmallVec;
use url::Url;

use super::core::Core;
use super::job::late::Late;
use super::job::ledger::PartLog;
use super::lane::Lane;
use super::plan::Plan;
use crate::Moment;
use crate::event::{Event, Tallies, Waits};
use crate::policy::budget::Extra;
use crate::policy::fetch::{Failure, Hedge, Opening, Repeatable, Rules, Sent, Silence, WhenEmpty};
use crate::policy::hedge::{Game, HedgeAfter};
use crate::request::Request;
use crate::sink::{Room, Sink};
use crate::transport::leg::Turn;

/// What a fetch is to do, shared by its attempts.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) core: Arc<Core>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) seq: u64,
    /// One request, or the legs of a race.
    pub(crate) requests: SmallVec<[Request; 1]>,
    pub(crate) opening: Opening,
    pub(crate) keep: Keep,
    #[cfg_attr(not(feature = "compression"), expect(dead_code, reason = "only decoding asks"))]
    pub(crate) purpose: Purpose,
    pub(crate) limits: Limits,
    pub(crate) tallies: Option<Arc<Tallies>>,
    /// Where its retries wait that the purse refuses; alone it has nobody to wait for.
    pub(crate) late: Option<Arc<Late>>,
    /// Where its job keeps what a later run goes on with.
    pub(crate) part_log: Option<PartLog>,
}

/// Whether a fetch has nothing on the wire; its job counts these.
#[derive(Default)]
pub(crate) struct Parking(Option<(Arc<Tallies>, Waits)>);

impl Parking {
    /// Nothing is on the wire now, or something is.
    pub(crate) fn note(&mut self, tallies: &Arc<Tallies>, waits: Waits) {
        let before = self.0.as_ref().map_or(Waits::ForOthers, |(_, before)| *before);
        if waits != before {
            *self = Self::default();
            if waits != Waits::ForOthers {
                tallies.park(waits);
                self.0 = Some((Arc::clone(tallies), waits));
            }
        }
    }
}

impl Drop for Parking {
    fn drop(&mut self) {
        if let Some((tallies, waits)) = self.0.take() {
            tallies.unpark(waits);
        }
    }
}

/// Where the body goes.
#[derive(Clone)]
pub(crate) enum Keep {
    /// To the caller, from its first byte on.
    Head,
    /// Whole, into a sink.
    Whole(Arc<dyn Sink>),
}

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be kept as it was sent.
    Store,
    /// To be read by the caller, in memory.
    Read,
}

/// When a fetch has to be over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// For the job that it belongs to, or what its caller calls its deadline.
    pub(crate) job: Option<Moment>,
    /// For itself.
    pub(crate) item: Option<Moment>,
}

impl Limits {
    /// The one that rules.
    pub(crate) fn nearest(&self) -> Option<Moment> {
        [self.job, self.item].into_iter().flatten().min()
    }
}

impl Errand {
    /// How its attempts learn that all the others wait for them; only where bodies are kept in order.
    pub(crate) fn turn(&self) -> Turn {
        let Keep::Whole(sink) = &self.keep else { return Turn(None) };
        if !sink.keeps_order() {
            return Turn(None);
        }
        let (sink, seq) = (Arc::clone(sink), self.seq);
        Turn(Some(Box::new(move || sink.room(&mut Context::from_waker(Waker::noop())) == Room::Only(seq))))
    }

    /// The request and the URL behind a mirror's number.
    pub(crate) fn target(&self, mirror: u32) -> (&Request, &Url) {
        let index = mirror as usize;
        match self.opening {
            Opening::Race if self.requests.len() > 1 => {
                let request = self.requests.get(index).unwrap_or(&self.requests[0]);
                (request, request.parsed_url())
            }
            Opening::Race | Opening::One => (&self.requests[0], self.requests[0].mirror_url(index)),
        }
    }

    /// Which of its request's URLs a mirror's number stands for.
    pub(crate) fn mirror_index(&self, mirror: u32) -> usize {
        let is_leg = self.opening == Opening::Race && self.requests.len() > 1;
        if is_leg { 0 } else { mirror as usize }
    }

    /// When it has to be over, for its job or for itself.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.limits.nearest()
    }

    pub(crate) fn rules(&self) -> Rules {
        let mirrors = match self.opening {
            Opening::Race if self.requests.len() > 1 => self.requests.len(),
            Opening::Race | Opening::One => self.requests[0].mirror_count(),
        };
        let repeatable = self
            .requests
            .iter()
            .all(|request| request.template.is_repeatable() && !request.template.body.goes_out_once());
        Rules {
            mirrors: mirrors as u32,
            opening: self.opening,
            retries: self.plan.retries,
            backoff: self.plan.backoff,
            retry_within: self.plan.retry_within,
            hedge: self.plan.hedge.map(|after| Hedge { after: silence(after), at_most: self.plan.hedges }),
            deadline: self.deadline(),
            repeatable: if repeatable { Repeatable::Always } else { Repeatable::WhileUnsent },
            when_empty: if self.late.is_some() { WhenEmpty::Park } else { WhenEmpty::Fail },
            retry_after_max: self.plan.retry_after_max,
        }
    }

    /// How far its job has come.
    pub(crate) fn game(&self) -> Game {
        let Some(tallies) = &self.tallies else { return Game::Running };
        let (settled, inputs) = tallies.settled_of();
        Game::of(settled, inputs, self.core.purse.balance(Extra::Hedge))
    }

    /// A stream of which nothing was taken can go out yet, and one that was taken never can, whatever the method.
    pub(crate) fn judge(&self, mirror: u32, failure: Failure) -> Failure {
        let (request, _) = self.target(mirror);
        let template = &request.template;
        let sent = if !template.body.goes_out_once() {
            failure.sent
        } else if template.body.is_spent() {
            Sent::Perhaps
        } else if template.is_repeatable() {
            Sent::Nothing
        } else {
            failure.sent
        };
        Failure { sent, ..failure }
    }

    /// Whether a stream of one of the requests has gone out.
    pub(crate) fn has_spent_a_stream(&self) -> bool {
        self.requests.iter().any(|request| request.template.body.is_spent())
    }

    /// Whether several legs of a race would have to send one stream.
    pub(crate) fn is_raced_with_one_stream(&self) -> bool {
        let body = |index: usize| &self.requests[index].template.body;
        let is_race = self.opening == Opening::Race;
        match self.requests.len() {
            _ if !is_race => false,
            1 => self.requests[0].mirror_count() > 1 && body(0).goes_out_once(),
            legs => (1..legs).any(|one| (0..one).any(|other| body(one).shares_stream_with(body(other)))),
        }
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(log) = &self.part_log {
            log.hear(event);
        }
        if let Some(tallies) = &self.tallies {
            tallies.count(event);
        }
        if let Some(watcher) = &self.core.watcher {
            watcher(event);
        }
    }
}

/// How the machine knows it.
pub(super) fn silence(after: HedgeAfter) -> Silence {
    match after {
        HedgeAfter::Fixed(after) => Silence::Fixed(after),
        HedgeAfter::Quantile(_) | HedgeAfter::Auto => Silence::Advised,
    }
}
