//! What is learned of an error on its way to the caller: its cause, URL, reply and attempts, and what stood in the way
//! of trying again.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Error, ErrorReply, Phase};
use crate::outcome::{AttemptRecord, Receipt};

impl Error {
    pub(crate) fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with(|evidence| evidence.source = Some(Arc::new(source)))
    }

    /// The same for a cause of any type.
    pub(crate) fn caused_by_boxed(self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.with(|evidence| evidence.source = Some(Arc::from(source)))
    }

    pub(crate) fn of_url(self, url: impl Into<Box<str>>) -> Self {
        self.with(|evidence| evidence.url = Some(url.into()))
    }

    pub(crate) fn of_reply(self, reply: ErrorReply) -> Self {
        self.with(|evidence| evidence.reply = Some(Arc::new(reply)))
    }

    /// The body of its reply was kept.
    pub(crate) fn kept(self, receipt: Receipt) -> Self {
        self.with(|evidence| {
            if let Some(reply) = &mut evidence.reply {
                let reply = Arc::make_mut(reply);
                reply.body = receipt.body.clone().unwrap_or_default();
                reply.kept = Some(receipt);
            }
        })
    }

    pub(crate) fn asked_to_wait(self, length: Option<Duration>) -> Self {
        self.with(|evidence| evidence.retry_after = length)
    }

    pub(crate) fn after_attempts(self, records: Arc<[AttemptRecord]>) -> Self {
        self.with(|evidence| evidence.attempts = records)
    }

    /// The same without the bodies of refused statuses, its attempts' included.
    pub(crate) fn without_bodies(self) -> Self {
        self.with(|evidence| {
            if let Some(reply) = &mut evidence.reply {
                let reply = Arc::make_mut(reply);
                reply.body = Bytes::new();
                reply.kept.iter_mut().for_each(|receipt| receipt.body = None);
            }
            let mut attempts = evidence.attempts.to_vec();
            attempts.iter_mut().for_each(AttemptRecord::forget_error_body);
            evidence.attempts = attempts.into();
        })
    }

    /// Says more after the message.
    pub(crate) fn and(self, more: &str) -> Self {
        self.with(|evidence| evidence.message = format!("{}{more}", evidence.message).into())
    }

    /// No byte of the request had been written when this happened.
    pub(crate) fn unsent(self) -> Self {
        self.with(|evidence| evidence.unsent = true)
    }

    /// It would have been retried, had the retry budget allowed it.
    pub(crate) fn for_want_of_budget(self) -> Self {
        self.with(|evidence| evidence.out_of_budget = true)
    }

    /// It would have been tried, had its deadline come later.
    pub(crate) fn for_want_of_time(self) -> Self {
        self.with(|evidence| evidence.out_of_time = true)
    }

    /// Bytes of the body had left our hands when this happened, so that nothing can be begun anew.
    pub(crate) fn handed_on(self) -> Self {
        self.with(|evidence| evidence.handed_on = true)
    }

    pub(crate) fn was_handed_on(&self) -> bool {
        self.0.handed_on
    }

    pub(crate) fn was_unsent(&self) -> bool {
        self.0.unsent || matches!(self.phase(), Phase::Queue | Phase::Dns | Phase::Connect | Phase::Tls)
    }
}
