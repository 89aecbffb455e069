//! What runs in the background: C#'s `Task.Run`, with a hand on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use crate::engine::background;
use crate::engine::control::Control;
use crate::event::{Progress, Tallies};

/// Something that runs in the background. Awaiting it gives its value; dropping it lets it run on, unless
/// [`cancel_on_drop`](Self::cancel_on_drop) was asked for.
///
/// # Panics
/// Awaiting it resumes a panic of what ran, and panics if the runtime that ran it has ended.
///
/// # Cancel safety
/// Awaiting `&mut handle` may be dropped and begun again; the value is given once.
#[must_use = "dropping the handle lets the job run on, out of reach"]
pub struct JobHandle<T> {
    task: JoinHandle<T>,
    control: Arc<Control>,
    tallies: Arc<Tallies>,
    on_drop: OnDrop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    RunOn,
    Cancel,
}

impl<T: Send + 'static> JobHandle<T> {
    pub(super) fn spawn(
        job: impl Future<Output = T> + Send + 'static,
        control: Arc<Control>,
        tallies: Arc<Tallies>,
    ) -> Self {
        Self { task: background(job), control, tallies, on_drop: OnDrop::RunOn }
    }
}

impl<T> JobHandle<T> {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.tallies.now()
    }

    /// Stops it now. Awaiting the handle still gives every outcome; what was cut is `cancelled`.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Starts nothing new and finishes what runs; a single fetch or race runs already.
    pub fn drain(&self) {
        self.control.drain();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Ties it to its handle: dropping the handle cancels it.
    pub fn cancel_on_drop(mut self) -> Self {
        self.on_drop = OnDrop::Cancel;
        self
    }
}

impl<T> Future for JobHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match std::task::ready!(Pin::new(&mut self.task).poll(cx)) {
            Ok(value) => Poll::Ready(value),
            Err(failure) => match failure.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => panic!("the runtime of a spawned job ended before the job did"),
            },
        }
    }
}

impl<T> Drop for JobHandle<T> {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Cancel {
            self.control.cancel();
            self.task.abort();
        }
    }
}

impl<T> std::fmt::Debug for JobHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobHandle").field("progress", &self.progress()).finish_non_exhaustive()
    }
}
