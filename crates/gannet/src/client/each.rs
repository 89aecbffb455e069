//! Outcomes as they settle: C#'s `Task.WhenEach` and `Parallel.ForEachAsync`. Here too is the setting of a job that
//! all builders of jobs share.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::Client;
use super::all::{FetchAll, Outcomes};
use super::asked::{Asked, wishes};
use super::handle::JobHandle;
use crate::engine::control::Control;
use crate::engine::core::Core;
use crate::engine::job::ledger::Ledger;
use crate::engine::job::{Job, JobPlan};
use crate::engine::plan::UnfinishedParts;
use crate::error::Error;
use crate::event::{HeldBack, HeldBackTimes, Progress, Slow, Tallies};
use crate::outcome::Outcome;
use crate::policy::concurrency::Concurrency;
use crate::policy::job::{Goal, OnFailure};
use crate::report::Budget;
use crate::sink::{Memory, Sink};
use crate::source::Source;

/// Fetches at once, unless set.
const CONCURRENCY: Concurrency = Concurrency::Fixed(64);

/// A job that has been described and perhaps begun.
pub(super) struct Setting<S> {
    core: Arc<Core>,
    source: S,
    pub(super) asked: Asked,
    pub(super) sink: Option<Arc<dyn Sink>>,
    pub(super) concurrency: Concurrency,
    pub(super) goal: Goal,
    pub(super) on_failure: OnFailure,
    pub(super) control: Arc<Control>,
    pub(super) tallies: Arc<Tallies>,
    /// Where bodies go, unless the caller named a sink.
    memory: Memory,
    job: Option<Box<Job>>,
    #[cfg(feature = "journal")]
    pub(super) journal: Option<crate::journal::Journal>,
}

impl<S: Source> Setting<S> {
    pub(super) fn new(client: &Client, source: S) -> Self {
        let mut asked = Asked::of(client);
        // The deadline rules a job's queue; nothing else needs to.
        asked.change(|plan| plan.queue = None);
        Self {
            core: Arc::clone(&client.core),
            source,
            asked,
            sink: None,
            concurrency: CONCURRENCY,
            goal: Goal::All,
            on_failure: OnFailure::GoOn,
            control: Arc::default(),
            tallies: Arc::default(),
            memory: Memory::new(client.core.memory_each, client.core.memory_all),
            job: None,
            #[cfg(feature = "journal")]
            journal: None,
        }
    }

    /// The next outcome; an error if the job cannot even begin.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Outcome>, Error>> {
        if self.job.is_none() {
            match self.begin() {
                Ok(job) => self.job = Some(Box::new(job)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let job = self.job.as_mut().expect("a job was begun");
        job.poll_next(cx, &mut self.source).map(Ok)
    }

    fn begin(&mut self) -> Result<Job, Error> {
        let lane = self.core.lanes.here()?;
        let now = self.core.clock.now();
        let (deadline, timeout) = self.asked.limits(&self.core, now);
        let memory = || Arc::new(self.memory.clone()) as Arc<dyn Sink>;
        let ledger = self.ledger()?;
        if ledger.is_some() {
            self.asked.change(|plan| plan.parts = UnfinishedParts::Left);
        }
        let terms = JobPlan {
            plan: Arc::clone(&self.asked.plan),
            purpose: self.asked.purpose,
            sink: self.sink.clone().unwrap_or_else(memory),
            concurrency: self.concurrency,
            goal: self.goal,
            on_failure: self.on_failure,
            deadline: [deadline, timeout].into_iter().flatten().min(),
            control: Arc::clone(&self.control),
            tallies: Arc::clone(&self.tallies),
            ledger,
        };
        Ok(Job::new(Arc::clone(&self.core), lane, terms, self.asked.wait_for_tokens()))
    }
}

impl<S> Setting<S> {
    #[cfg(feature = "journal")]
    fn ledger(&self) -> Result<Option<Ledger>, Error> {
        self.journal.as_ref().map(crate::journal::Journal::begin).transpose()
    }

    #[cfg(not(feature = "journal"))]
    fn ledger(&self) -> Result<Option<Ledger>, Error> {
        Ok(None)
    }

    /// What went wrong with the job's journal.
    pub(super) fn journal_error(&self) -> Option<Error> {
        self.job.as_ref().and_then(|job| job.ledger_error())
    }

    pub(super) fn held_back_times(&self) -> HeldBackTimes {
        self.job.as_ref().map_or_else(HeldBackTimes::default, |job| job.held_back_times())
    }

    pub(super) fn budget(&self) -> Budget {
        self.core.purse.told()
    }
}

/// Outcomes as they settle. The input is read lazily, no further than places are free for it, and may be endless.
///
/// # Cancel safety
/// Dropping it stops every fetch at once. [`next`](Self::next) is cancel safe.
#[must_use = "a job is lazy: nothing happens until it is polled"]
pub struct FetchEach<S> {
    setting: Setting<S>,
    over: Option<Error>,
    ended: bool,
}

impl<S: Source> FetchEach<S> {
    pub(super) fn new(client: &Client, source: S) -> Self {
        Self { setting: Setting::new(client, source), over: None, ended: false }
    }

    /// Gives each body to `sink`, in the place of memory.
    pub fn save_with(mut self, sink: Arc<dyn Sink>) -> Self {
        self.setting.sink = Some(sink);
        self
    }
}

impl<S> FetchEach<S> {
    wishes!();

    /// At most so many fetches at once (default 64), or [`Concurrency::AUTO`]; a host's own limit rules beside it.
    pub fn concurrency(mut self, fetches: impl Into<Concurrency>) -> Self {
        self.setting.concurrency = fetches.into();
        self
    }

    /// Keeps what settles in `journal`, and takes from there what had settled before.
    ///
    /// # Cancel safety
    /// Dropping the job keeps what has settled: it is committed by the journal's own thread. What was under way is
    /// not done; part files that the next run can go on with stay.
    #[cfg(feature = "journal")]
    pub fn journal(mut self, journal: crate::journal::Journal) -> Self {
        self.setting.journal = Some(journal);
        self
    }

    /// Ends when so many are obtained; the others are cancelled.
    pub fn until(mut self, goal: Goal) -> Self {
        self.setting.goal = goal;
        self
    }

    /// A limit for each request, from its start; the job's own is [`timeout`](Self::timeout).
    pub fn timeout_each(mut self, length: std::time::Duration) -> Self {
        self.setting.asked.change(|plan| plan.timeout = Some(length));
        self
    }

    /// Cancels the rest at the first failure.
    pub fn fail_early(mut self) -> Self {
        self.setting.on_failure = OnFailure::Stop;
        self
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.setting.tallies.now()
    }

    /// What holds it back, as of its last step.
    pub fn held_back(&self) -> HeldBack {
        self.setting.job.as_ref().map_or(HeldBack::Nothing, |job| job.held_back())
    }

    /// For how long each cause has held it back until now.
    pub fn held_back_times(&self) -> HeldBackTimes {
        self.setting.held_back_times()
    }

    /// What is left of its client's budget for retries and hedges, and how often it had nothing.
    pub fn budget(&self) -> Budget {
        self.setting.budget()
    }

    /// Up to 3 fetches that have been under way for the longest, the slowest first. Looks at each that is under way.
    pub fn slowest(&self) -> Vec<Slow> {
        self.setting.job.as_ref().map_or_else(Vec::new, |job| job.slowest())
    }

    /// Requests that were read and wait for their turn: no attempt of theirs was started.
    pub fn queued(&self) -> usize {
        self.setting.job.as_ref().map_or(0, |job| job.queued())
    }

    /// For how long nothing will be sent, when all that is under way waits for its next attempt, or for a host that lets
    /// nobody in; `None` if something may happen at any time, or nothing is under way. Looks at each that is under way.
    pub fn rests_for(&self) -> Option<Duration> {
        self.setting.job.as_ref().and_then(|job| job.rests_for())
    }

    /// Stops it now; [`next`](Self::next) goes on giving outcomes, until every request that was read has one.
    pub fn cancel(&self) {
        self.setting.control.cancel();
    }

    /// Starts nothing new and finishes what runs.
    pub fn drain(&self) {
        self.setting.control.drain();
    }

    /// Why the job could not even begin, or, once it has ended, what went wrong with its journal; or `None`.
    pub fn error(&self) -> Option<&Error> {
        self.over.as_ref()
    }

    fn asked_mut(&mut self) -> Option<&mut Asked> {
        Some(&mut self.setting.asked)
    }
}

impl<S: Source + Unpin> FetchEach<S> {
    /// The next outcome, in the order in which they settle; `None` when every input has one.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn next(&mut self) -> Option<Outcome> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<S: Source + Unpin + Send + 'static> FetchEach<S> {
    /// Runs it in the background and collects every outcome, in input order. For an endless input, spawn a task
    /// that loops over [`next`](Self::next) instead.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> JobHandle<Vec<Outcome>> {
        FetchAll::<S, Outcomes>::from_setting(self.setting).spawn()
    }
}

impl<S: Source + Unpin> Stream for FetchEach<S> {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(self.setting.poll_next(cx));
        Poll::Ready(match next {
            Ok(Some(outcome)) => {
                let kept = outcome.bytes_in_memory();
                if self.setting.sink.is_none() {
                    self.setting.memory.release(kept);
                }
                Some(outcome)
            }
            Ok(None) => {
                self.ended = true;
                self.over = self.setting.journal_error();
                None
            }
            Err(error) => {
                self.ended = true;
                self.over = Some(error.clone());
                Some(Outcome::of_error(error))
            }
        })
    }
}

impl<S> std::fmt::Debug for FetchEach<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchEach").field("progress", &self.progress()).finish_non_exhaustive()
    }
}
