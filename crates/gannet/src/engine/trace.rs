//! What a fetch tells `tracing` (feature `tracing`): a span `fetch`, a span `attempt` beneath it for each try, and
//! events for what happens in them. Without the feature all of it is nothing. URLs are told without credentials.

#[cfg(not(feature = "tracing"))]
pub(super) use nothing::{Trace, hopped};
#[cfg(feature = "tracing")]
pub(super) use spans::{Trace, hopped};

#[cfg(feature = "tracing")]
mod spans {
    use smallvec::SmallVec;
    use tracing::span::{EnteredSpan, Span};
    use tracing::{debug, debug_span, info, info_span};
    use url::Url;

    use crate::Moment;
    use crate::error::{Error, shown};
    use crate::outcome::{Record, WhyStarted};

    /// The spans of one fetch.
    #[derive(Debug, Default)]
    pub(in crate::engine) struct Trace {
        fetch: Option<Span>,
        /// By the attempts' numbers; one that has ended is closed.
        attempts: SmallVec<[Span; 1]>,
        failed_at: Option<Moment>,
    }

    impl Trace {
        /// The fetch is polled for the first time; what is entered now becomes the parent of its span.
        pub(in crate::engine) fn began(&mut self, seq: u64, url: &Url) {
            self.fetch = Some(info_span!(target: "gannet", "fetch", seq, url = &*shown(url)));
        }

        /// An attempt starts; a retry says how long after the failure.
        pub(in crate::engine) fn started(&mut self, mirror: u32, url: &Url, why: WhyStarted, now: Moment) {
            let fetch = self.fetch.as_ref().and_then(Span::id);
            let number = self.attempts.len() + 1;
            if let (WhyStarted::Retry, Some(failed_at)) = (why, self.failed_at) {
                let after_ms = millis(now.since(failed_at));
                debug!(target: "gannet", parent: fetch.clone(), attempt = number, after_ms, "retried");
            }
            // The URL is put into words only where somebody listens.
            let attempt = debug_span!(
                target: "gannet", parent: fetch, "attempt", number, mirror, url = &*shown(url), why = why.as_str()
            );
            self.attempts.push(attempt);
        }

        /// Within this attempt's span, until what is given back is dropped.
        pub(in crate::engine) fn enter(&self, attempt: u32) -> Option<EnteredSpan> {
            self.attempts.get(attempt as usize).map(|span| span.clone().entered())
        }

        pub(in crate::engine) fn led(&self, attempt: u32, status: http::StatusCode) {
            let Some(span) = self.attempts.get(attempt as usize) else { return };
            debug!(target: "gannet", parent: span.id(), status = status.as_u16(), "led");
        }

        pub(in crate::engine) fn failed(&mut self, attempt: u32, error: &Error, now: Moment) {
            self.failed_at = Some(now);
            let Some(span) = self.attempts.get(attempt as usize) else { return };
            let (kind, phase, message) = (error.kind().code(), error.phase().as_str(), error.message());
            debug!(target: "gannet", parent: span.id(), kind, phase, error = message, "failed");
        }

        /// An attempt is over: nothing happens in its span any more.
        pub(in crate::engine) fn ended(&mut self, attempt: u32) {
            if let Some(span) = self.attempts.get_mut(attempt as usize) {
                *span = Span::none();
            }
        }

        pub(in crate::engine) fn settled(&mut self, error: Option<&Error>, record: &Record) {
            let Some(fetch) = self.fetch.take() else { return };
            self.attempts.clear();
            let outcome = error.map_or("ok", |error| error.kind().code());
            let (ms, attempts) = (millis(record.total), record.attempts.len());
            info!(target: "gannet", parent: fetch.id(), outcome, ms, attempts, "settled");
        }
    }

    /// A redirect is followed; told in the span of the attempt that is being polled.
    pub(in crate::engine) fn hopped(to: &str) {
        debug!(target: "gannet", url = to, "hop");
    }

    fn millis(length: std::time::Duration) -> u64 {
        u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(not(feature = "tracing"))]
mod nothing {
    use url::Url;

    use crate::Moment;
    use crate::error::Error;
    use crate::outcome::{Record, WhyStarted};

    /// In the place of the spans.
    #[derive(Debug, Default)]
    pub(in crate::engine) struct Trace {}

    impl Trace {
        pub(in crate::engine) fn began(&mut self, _: u64, _: &Url) {}
        pub(in crate::engine) fn started(&mut self, _: u32, _: &Url, _: WhyStarted, _: Moment) {}
        pub(in crate::engine) fn enter(&self, _: u32) -> Self {
            Self {}
        }
        pub(in crate::engine) fn led(&self, _: u32, _: http::StatusCode) {}
        pub(in crate::engine) fn failed(&mut self, _: u32, _: &Error, _: Moment) {}
        pub(in crate::engine) fn ended(&mut self, _: u32) {}
        pub(in crate::engine) fn settled(&mut self, _: Option<&Error>, _: &Record) {}
    }

    pub(in crate::engine) fn hopped(_: &str) {}
}
