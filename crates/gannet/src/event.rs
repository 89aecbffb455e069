//! All that watchers are told while things run: progress, logs and metrics read this one closed enum.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::error::Phase;
use crate::outcome::{Ending, Outcome, WhyStarted};
use crate::part::Part;

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
    /// The budget had nothing for a further attempt. In a job, a retry waits for it; a hedge is not made.
    BudgetRefused {
        /// The request's place in the input.
        seq: u64,
        /// What it would have been: a retry or a hedge.
        why: WhyStarted,
    },
    /// Bytes of a body came.
    Received {
        /// The request's place in the input.
        seq: u64,
        /// How many.
        bytes: u64,
    },
    /// A part file stands for a body that a later run could go on with: told before its first byte is written,
    /// each time that more of it is on the disk, and again before more is written to it if it was told of more than 3 s
    /// ago, or in an earlier run ([`OnDisk::held`](crate::part::OnDisk::held)). Only of fetches whose parts are left
    /// ([`ClientBuilder::leave_parts`](crate::ClientBuilder::leave_parts)).
    Part {
        /// The request's place in the input.
        seq: u64,
        /// What is known of it.
        part: &'a Part,
    },
    /// The part file that was told of, or given by [`Request::part`](crate::Request::part), is not gone on with: it was
    /// removed, and its body is begun anew.
    PartGone {
        /// The request's place in the input.
        seq: u64,
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
    /// Of these, those that wait for the purse.
    late: AtomicUsize,
}

/// What a fetch under way waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// A gate, a place in the pool, or its backoff.
    ForUs,
    /// For the purse, in the line of its job.
    InLine,
    /// A server, or the sink.
    ForOthers,
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

/// What holds a job back: why it does not run faster, as of its last step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HeldBack {
    /// Nothing of ours: all that is left is on the wire.
    #[default]
    Nothing,
    /// As many fetches run as may, and there is, or may be, more input.
    Concurrency {
        /// Fetches that may run at once.
        limit: usize,
    },
    /// As many fetches run as bring more throughput, with [`Concurrency::Auto`](crate::Concurrency::Auto).
    AutoConcurrency {
        /// Fetches that may run at once now.
        limit: usize,
    },
    /// All that waits is for hosts that are full.
    PerHost {
        /// Requests that this host may have in flight.
        limit: u32,
        /// One of these hosts, as `http://name:port`.
        host: Box<str>,
    },
    /// All that waits is for hosts that let nobody in now: they refuse, cool down, or only fail.
    HostGate {
        /// One of these hosts, as `http://name:port`.
        host: Box<str>,
        /// Why it lets nobody in, for people.
        why: Box<str>,
    },
    /// What waits may not go faster: a rate was set, for all hosts together or for each.
    Rate {
        /// The rate, in requests a second.
        limit: Box<str>,
        /// One of the hosts that are held to it, as `http://name:port`, where it is the rate of each host
        /// ([`ClientBuilder::host_rate`](crate::ClientBuilder::host_rate), or a Crawl-delay); `None` where it is
        /// [`ClientBuilder::rate`](crate::ClientBuilder::rate).
        host: Option<Box<str>>,
    },
    /// All that is left waits for its backoff or for a Retry-After.
    Waiting {
        /// The host of the request whose time comes first, as `http://name:port`.
        host: Box<str>,
        /// The status that it answered last, if it answered.
        status: Option<StatusCode>,
        /// Until the next attempt starts.
        left: Duration,
    },
    /// All that is left waits for the retry budget.
    Budget {
        /// Retries that wait for it.
        waiting: usize,
    },
    /// As many connections are open as may be, and an attempt waits for one.
    Connections {
        /// Connections that may be open at once.
        limit: usize,
    },
    /// The input is silent, and more could run.
    Input,
    /// The output has no room for further bodies.
    Output,
}

/// A cause of [`HeldBack`], without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeldBackBy {
    /// See [`HeldBack::Concurrency`] and [`HeldBack::AutoConcurrency`].
    Concurrency,
    /// See [`HeldBack::PerHost`].
    PerHost,
    /// See [`HeldBack::Waiting`].
    Waiting,
    /// See [`HeldBack::Connections`].
    Connections,
    /// See [`HeldBack::Input`].
    Input,
    /// See [`HeldBack::Output`].
    Output,
    /// See [`HeldBack::Budget`].
    Budget,
    /// See [`HeldBack::HostGate`].
    HostGate,
    /// See [`HeldBack::Rate`].
    Rate,
}

impl HeldBackBy {
    /// Every cause there is.
    pub const ALL: [Self; 9] = [
        Self::Concurrency,
        Self::PerHost,
        Self::Waiting,
        Self::Connections,
        Self::Input,
        Self::Output,
        Self::Budget,
        Self::HostGate,
        Self::Rate,
    ];

    /// The stable spelling in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::PerHost => "per_host",
            Self::Waiting => "waiting",
            Self::Connections => "connections",
            Self::Input => "input",
            Self::Output => "output",
            Self::Budget => "budget",
            Self::HostGate => "host_gate",
            Self::Rate => "rate",
        }
    }
}

/// For how long each cause has held a job back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldBackTimes([Duration; HeldBackBy::ALL.len()]);

impl HeldBackTimes {
    /// For how long this cause has.
    pub fn by(&self, cause: HeldBackBy) -> Duration {
        self.0[cause as usize]
    }

    /// The cause that has for the longest; `None` if nothing has.
    pub fn most(&self) -> Option<HeldBackBy> {
        HeldBackBy::ALL
            .into_iter()
            .filter(|cause| !self.by(*cause).is_zero())
            .max_by_key(|cause| self.by(*cause))
    }

    pub(crate) fn add(&mut self, cause: HeldBackBy, length: Duration) {
        self.0[cause as usize] += length;
    }
}

/// One of the fetches under way, to show which hold a job up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slow {
    /// The request's place in the input.
    pub seq: u64,
    /// Its URL, without credentials.
    pub url: Box<str>,
    /// Since its first attempt began.
    pub since: Duration,
    /// Bytes of body that its newest attempt has received.
    pub bytes: u64,
    /// Where its newest attempt stands; [`Phase::Queue`] while it waits for a turn or a backoff.
    pub phase: Phase,
    /// Attempts started so far.
    pub attempts: u32,
    /// For how long its newest attempt has made no step forward; `None` before the first.
    pub still: Option<Duration>,
    /// Until its next attempt starts, if it waits for its backoff or a Retry-After.
    pub pause: Option<Duration>,
    /// What its last attempt that failed was answered, if it was answered.
    pub status: Option<StatusCode>,
    /// Why it is not let in, for people: "breaker open for 3 s: most attempts failed".
    pub held: Option<Box<str>>,
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
            Event::BudgetRefused { .. } | Event::Part { .. } | Event::PartGone { .. } => {}
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

    /// How many have settled, and of how many; `None` before the input has ended.
    pub(crate) fn settled_of(&self) -> (u64, Option<u64>) {
        let ended = self.input_ended.load(Ordering::Relaxed);
        (self.settled.load(Ordering::Relaxed), ended.then(|| self.inputs.load(Ordering::Relaxed)))
    }

    /// Fetches that wait at a gate, for their backoff or for the purse, and have nothing on the wire.
    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    /// Of these, those that wait for the purse.
    pub(crate) fn late(&self) -> usize {
        self.late.load(Ordering::Relaxed)
    }

    pub(crate) fn park(&self, waits: Waits) {
        self.parked.fetch_add(1, Ordering::Relaxed);
        self.late.fetch_add(usize::from(waits == Waits::InLine), Ordering::Relaxed);
    }

    pub(crate) fn unpark(&self, waits: Waits) {
        self.parked.fetch_sub(1, Ordering::Relaxed);
        self.late.fetch_sub(usize::from(waits == Waits::InLine), Ordering::Relaxed);
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
