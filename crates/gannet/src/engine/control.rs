//! The caller's hand on what runs: cancel, drain, tokens. Looked at on each poll; a change wakes the job.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What the caller wants now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    /// Start nothing new, finish what runs.
    Drain,
    /// Stop now.
    Cancel,
}

/// The caller's hand on a job, shared with its handle.
#[derive(Debug, Default)]
pub(crate) struct Control {
    cancelled: AtomicBool,
    drained: AtomicBool,
    waker: AtomicWaker,
}

impl Control {
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(crate) fn drain(&self) {
        self.drained.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// What the caller wants; the task is woken when that changes.
    pub(crate) fn wish(&self, cx: &mut Context<'_>) -> Wish {
        self.waker.register(cx.waker());
        if self.cancelled.load(Ordering::Acquire) {
            Wish::Cancel
        } else if self.drained.load(Ordering::Acquire) {
            Wish::Drain
        } else {
            Wish::GoOn
        }
    }
}

/// The tokens that may stop a fetch, any of them.
#[derive(Default)]
pub(crate) struct Tokens {
    waiting: Vec<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Tokens {
    pub(crate) fn new(tokens: &[CancellationToken]) -> Self {
        let waiting = tokens.iter().map(|token| Box::pin(token.clone().cancelled_owned())).collect();
        Self { waiting }
    }

    /// Ready when one of them is cancelled.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let cancelled = self.waiting.iter_mut().any(|token| token.as_mut().poll(cx).is_ready());
        if cancelled { Poll::Ready(()) } else { Poll::Pending }
    }
}
