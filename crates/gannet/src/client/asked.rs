//! What the caller asked of a fetch or job: time, tokens, retries, hedges. Resolved at the first poll.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Client;
use crate::Moment;
use crate::engine::control::Tokens;
use crate::engine::core::Core;
use crate::engine::errand::Purpose;
use crate::engine::plan::{Plan, StatusSet};

/// What the caller asked for.
pub(super) struct Asked {
    pub(super) plan: Arc<Plan>,
    pub(super) purpose: Purpose,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) tokens: Vec<CancellationToken>,
}

impl Asked {
    pub(super) fn of(client: &Client) -> Self {
        let scope = client.scope.as_deref();
        Self {
            plan: Arc::clone(&client.core.plan),
            purpose: Purpose::Store,
            timeout: None,
            deadline: scope.and_then(|scope| scope.deadline),
            tokens: scope.map_or_else(Vec::new, |scope| scope.tokens.clone()),
        }
    }

    pub(super) fn change(&mut self, with: impl FnOnce(&mut Plan)) {
        with(Arc::make_mut(&mut self.plan));
    }

    /// Of several, the nearest rules.
    pub(super) fn timeout(&mut self, length: Duration) {
        self.timeout = Some(self.timeout.map_or(length, |other| other.min(length)));
    }

    /// Of several, the nearest rules.
    pub(super) fn deadline(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |other| other.min(at)));
    }

    pub(super) fn cancel_on(&mut self, token: &CancellationToken) {
        self.tokens.push(token.clone());
    }

    pub(super) fn any_status(&mut self) {
        self.change(|plan| plan.ok_status = StatusSet::ANY);
    }

    /// The deadline as a moment, and the timeout counted from `now`.
    pub(super) fn limits(&self, core: &Core, now: Moment) -> (Option<Moment>, Option<Moment>) {
        let deadline = self.deadline.map(|at| core.clock.moment(at));
        (deadline, self.timeout.map(|length| now + length))
    }

    pub(super) fn wait_for_tokens(&self) -> Tokens {
        Tokens::new(&self.tokens)
    }
}

/// The wishes that every lazy builder takes, said once.
macro_rules! wishes {
    () => {
        /// It must be over within `length`, counted from the first poll; of several limits the nearest rules.
        pub fn timeout(mut self, length: std::time::Duration) -> Self {
            if let Some(asked) = self.asked_mut() {
                asked.timeout(length);
            }
            self
        }

        /// It must be over by `at`; of several limits the nearest rules.
        pub fn deadline(mut self, at: tokio::time::Instant) -> Self {
            if let Some(asked) = self.asked_mut() {
                asked.deadline(at);
            }
            self
        }

        /// It stops when `token` is cancelled.
        pub fn cancel_on(mut self, token: &tokio_util::sync::CancellationToken) -> Self {
            if let Some(asked) = self.asked_mut() {
                asked.cancel_on(token);
            }
            self
        }

        /// At most `count` retries after the first attempt (default 3), exponential from 250 ms with full jitter.
        pub fn retry(mut self, count: u32) -> Self {
            if let Some(asked) = self.asked_mut() {
                asked.change(|plan| plan.retries = Some(count));
            }
            self
        }

        /// Pauses for `pause` before each retry, in the place of the exponential delays; a longer Retry-After counts.
        pub fn retry_delay(mut self, pause: std::time::Duration) -> Self {
            if let Some(asked) = self.asked_mut() {
                asked.change(|plan| plan.backoff.fix(pause));
            }
            self
        }

        /// A further attempt when the newest has been silent for `after`: a fixed time, or one that is learned of
        /// each host ([`HedgeAfter::Auto`](crate::HedgeAfter::Auto)); at most 2, within the hedge budget (Dean and
        /// Barroso, "The Tail at Scale", 2013). Off by default.
        pub fn hedge(mut self, after: impl Into<crate::HedgeAfter>) -> Self {
            if let Some(asked) = self.asked_mut() {
                asked.change(|plan| plan.hedge = Some(after.into()));
            }
            self
        }

        /// Takes a reply of any status for success, in the place of 200 to 299.
        pub fn any_status(mut self) -> Self {
            if let Some(asked) = self.asked_mut() {
                asked.any_status();
            }
            self
        }
    };
}

pub(super) use wishes;
