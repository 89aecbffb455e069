//! All that watchers are told while things run: progress, logs and metrics read this one closed enum.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::outcome::{Ending, Outcome, WhyStarted};

/// One thing that happened. Told synchronously: a watcher must not block.
#[derive(Debug)]
pub enum Event<'a> {
    /// A request was read from the input.
    Read {
        /// Its place in the input.
        seq: u64,
    },
    /// The input has ended after so many requests.
    InputEnded {
        /// How many requests it held.
        inputs: u64,
    },
    /// An attempt was started.
    AttemptStarted {
        /// The request's place in the input.
        seq: u64,
        /// The URL that is tried, without credentials.
        url: &'a str,
        /// Why.
        why: WhyStarted,
    },
    /// Bytes of a body came.
    Received {
        /// The request's place in the input.
        seq: u64,
        /// How many.
        bytes: u64,
    },
    /// A request has settled.
    Settled(&'a Outcome),
}

/// Who is told of events.
pub(crate) type Watcher = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Running counts of a job.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    inputs: AtomicU64,
    input_ended: AtomicBool,
    started: AtomicU64,
    settled: AtomicU64,
    obtained: AtomicU64,
    failed: AtomicU64,
    attempts: AtomicU64,
    retries: AtomicU64,
    hedges: AtomicU64,
    bytes: AtomicU64,
    parked: AtomicUsize,
}

/// How far a job is: counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Requests read so far.
    pub inputs: u64,
    /// Whether `inputs` is all of them.
    pub input_ended: bool,
    /// Requests of which an attempt was started.
    pub started: u64,
    /// Requests that have settled.
    pub settled: u64,
    /// Of these, obtained.
    pub obtained: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Attempts started.
    pub attempts: u64,
    /// Of these, retries.
    pub retries: u64,
    /// Of these, hedges.
    pub hedges: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
}

impl Tallies {
    pub(crate) fn count(&self, event: &Event<'_>) {
        let add = |counter: &AtomicU64, by| {
            counter.fetch_add(by, Ordering::Relaxed);
        };
        match event {
            Event::Read { .. } => add(&self.inputs, 1),
            Event::InputEnded { .. } => self.input_ended.store(true, Ordering::Relaxed),
            Event::AttemptStarted { why, .. } => {
                add(&self.attempts, 1);
                match why {
                    WhyStarted::First => add(&self.started, 1),
                    WhyStarted::Retry | WhyStarted::Redo => add(&self.retries, 1),
                    WhyStarted::Hedge => add(&self.hedges, 1),
                }
            }
            Event::Received { bytes, .. } => add(&self.bytes, *bytes),
            Event::Settled(outcome) => {
                add(&self.settled, 1);
                match outcome.ending() {
                    Ending::Ok | Ending::Skipped => add(&self.obtained, 1),
                    Ending::Failed => add(&self.failed, 1),
                    Ending::Unfinished | Ending::Cancelled => {}
                }
            }
        }
    }

    /// Fetches that wait at a gate or for their backoff, and have nothing on the wire.
    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    pub(crate) fn park(&self) {
        self.parked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unpark(&self) {
        self.parked.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            inputs: read(&self.inputs),
            input_ended: self.input_ended.load(Ordering::Relaxed),
            started: read(&self.started),
            settled: read(&self.settled),
            obtained: read(&self.obtained),
            failed: read(&self.failed),
            attempts: read(&self.attempts),
            retries: read(&self.retries),
            hedges: read(&self.hedges),
            bytes: read(&self.bytes),
        }
    }
}
