//! One fetch of a job under way, and the outcome that it becomes. Nothing is decided here.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::engine::fetch::{Driven, Prize, Settled};
use crate::outcome::{Outcome, Verdict};

/// A fetch under way, with what its outcome needs.
pub(super) struct Running {
    pub(super) seq: u64,
    pub(super) line: Option<u64>,
    pub(super) url: Box<str>,
    pub(super) fetch: Pin<Box<dyn Driven + Send>>,
}

impl Future for Running {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let settled = std::task::ready!(self.fetch.as_mut().poll(cx));
        Poll::Ready(self.outcome(settled))
    }
}

impl Running {
    pub(super) fn outcome(&mut self, settled: Settled) -> Outcome {
        let verdict = match settled.end {
            Ok(Prize::Kept(got)) => Verdict::Got(got),
            Ok(Prize::Head(..)) => unreachable!("a job keeps whole bodies"),
            Err(error) => Verdict::Not(error),
        };
        let url = std::mem::take(&mut self.url);
        Outcome::new(self.seq, self.line, url, verdict, settled.record)
    }
}
