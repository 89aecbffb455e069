//! Requests whose file is there, and is to be replaced only by another version: what earlier jobs have written down of
//! each is asked for before it is queued, one at a time. What follows from it is decided in `policy::update`.

use std::task::{Context, Poll};

use http::Method;
use http::header::{
    HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use super::{Job, Waiting};
use crate::clock::Clock;
use crate::policy::update;
use crate::request::Request;
use crate::version::{There, Written};

/// A request of which is being looked up what is written down.
pub(super) struct Looking {
    pub(super) waiting: Waiting,
    there: There,
}

impl Job {
    /// Queues a request whose file is there, once it is known what was written down of it.
    pub(super) fn queue_update(&mut self, waiting: Waiting, there: There) {
        if !self.may_ask_under_a_condition(&waiting.request) {
            return self.queue(waiting);
        }
        match &mut self.terms.ledger {
            None => self.queue_unless(waiting, there, Written::NoRow),
            Some(ledger) => {
                ledger.look_up(waiting.seq, waiting.request.url(), &there.path);
                self.looking = Some(Box::new(Looking { waiting, there }));
            }
        }
    }

    /// Takes in what was looked up; whether anything changed.
    pub(super) fn looked_up(&mut self, cx: &mut Context<'_>) -> bool {
        if self.looking.is_none() {
            return false;
        }
        let Some(ledger) = &mut self.terms.ledger else { return false };
        let Poll::Ready(written) = ledger.poll_found(cx) else { return false };
        let Some(looking) = self.looking.take() else { return false };
        self.queue_unless(looking.waiting, looking.there, written);
        true
    }

    fn queue_unless(&mut self, mut waiting: Waiting, there: There, written: Written) {
        if let Some(kept) = update::kept(there, written, Clock::wall()) {
            if let Some(ledger) = &mut self.terms.ledger {
                ledger.keeps(waiting.seq, &kept);
            }
            waiting.request.kept = Some(Box::new(kept));
        }
        self.queue(waiting);
    }

    /// Whether the request leaves room for a condition: a GET without a body, conditions or a range of the caller's own.
    /// What has to have a digest is fetched, or it would not be compared.
    fn may_ask_under_a_condition(&self, request: &Request) -> bool {
        #[cfg(feature = "digests")]
        if !request.digests().is_empty() || !self.terms.plan.digests.is_empty() {
            return false;
        }
        let own = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];
        let has_own = |fields: &HeaderMap| own.iter().any(|name| fields.contains_key(name));
        let template = &request.template;
        template.method == Method::GET
            && template.body.is_empty()
            && !has_own(&template.headers)
            && !has_own(&self.core.default_headers)
    }
}
