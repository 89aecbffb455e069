//! All of them: C#'s `Task.WhenAll`, in input order, with no outcome lost.

use std::future::Future;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::Client;
use super::asked::{Asked, wishes};
use super::each::Setting;
use super::handle::JobHandle;
use crate::engine::errand::Purpose;
use crate::error::Error;
use crate::event::{HeldBackTimes, Tallies};
use crate::outcome::Outcome;
use crate::policy::concurrency::Concurrency;
use crate::policy::job::{Goal, OnFailure};
use crate::report::{Budget, JobReport};
use crate::sink::{Files, Sink};
use crate::source::Source;

/// Outcomes that are collected in one go.
const AT_ONCE: usize = 128;

/// All requests of a source on their way to what `C` makes of them: a `Vec<Outcome>` by default, or what
/// [`text`](Self::text), [`bytes`](Self::bytes), [`save_into`](Self::save_into) and
/// [`fail_fast`](Self::fail_fast) ask for.
///
/// It is lazy: the source is not read before the first poll.
///
/// # Cancel safety
/// Dropping it stops every fetch at once, as for [`Fetch`](crate::Fetch); outcomes that were not handed out are lost
/// with it. To stop it and keep them, use [`cancel_on`](Self::cancel_on) or a [`JobHandle`].
#[must_use = "a job is lazy: nothing happens until it is awaited"]
pub struct FetchAll<S, C = Outcomes> {
    setting: Setting<S>,
    collect: C,
}

/// Turns outcomes into what an awaited [`FetchAll`] gives. Sealed.
pub trait Collect: sealed::Sealed {
    /// What awaiting gives.
    type Output;

    #[doc(hidden)]
    fn add(&mut self, outcome: Outcome);

    #[doc(hidden)]
    fn was_held_back(&mut self, times: HeldBackTimes) {
        let _ = times;
    }

    #[doc(hidden)]
    fn budget_left(&mut self, budget: Budget) {
        let _ = budget;
    }

    #[doc(hidden)]
    fn was_not_recorded(&mut self, error: Error) {
        let _ = error;
    }

    #[doc(hidden)]
    fn end(&mut self) -> Self::Output;

    #[doc(hidden)]
    fn fail(&mut self, error: Error) -> Self::Output;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Outcomes {}
    impl<T> Sealed for super::Bodies<T> {}
    impl<T> Sealed for super::FailFast<T> {}
    impl Sealed for super::Saved {}
}

/// Collects every outcome, in input order, bodies in memory. The bodies of refused statuses are kept up to 64 MiB
/// together; those that come later are left out of their errors.
#[derive(Debug, Default)]
pub struct Outcomes {
    all: Vec<Option<Outcome>>,
    error_bytes: usize,
}

/// What is kept of the bodies of refused statuses, in bytes, in all.
const ERROR_BODIES: usize = 64 << 20;

/// Collects every body, or why there is none, in input order.
pub struct Bodies<T> {
    all: Outcomes,
    of: fn(Outcome) -> Result<T, Error>,
}

/// Collects every body, and ends at the first failure.
pub struct FailFast<T> {
    all: Outcomes,
    of: fn(Outcome) -> Result<T, Error>,
    value: PhantomData<T>,
}

/// Counts, in constant memory; the bodies are in files.
#[derive(Debug, Default)]
pub struct Saved(JobReport);

/// Why an awaited [`FetchAll::fail_fast`] gave no values: the failure that came first, and every outcome until then.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobError {
    /// The failure that came first.
    pub cause: Error,
    /// Every outcome, in input order; what was cut short is cancelled or unfinished.
    pub outcomes: Vec<Outcome>,
}

impl<S: Source> FetchAll<S> {
    pub(super) fn new(client: &Client, source: S) -> Self {
        Self { setting: Setting::new(client, source), collect: Outcomes::default() }
    }

    pub(super) fn from_setting(setting: Setting<S>) -> Self {
        Self { setting, collect: Outcomes::default() }
    }

    /// Gives each body as text; what is not UTF-8 is replaced.
    pub fn text(self) -> FetchAll<S, Bodies<String>> {
        self.bodies(|outcome| Ok(String::from_utf8_lossy(&outcome.into_result()?).into_owned()))
    }

    /// Gives each body.
    pub fn bytes(self) -> FetchAll<S, Bodies<Bytes>> {
        self.bodies(Outcome::into_result)
    }

    /// Gives each body, read as JSON.
    #[cfg(feature = "json")]
    pub fn into_json<T: serde_core::de::DeserializeOwned>(self) -> FetchAll<S, Bodies<T>> {
        self.bodies(|outcome| {
            let url: Box<str> = outcome.url().into();
            super::response::read_json(&outcome.into_result()?).map_err(|error| error.of_url(url))
        })
    }

    /// Saves each body below `directory`, in constant memory, and gives a report.
    ///
    /// # Errors
    /// The first failure of the directory itself: it cannot be made, its disk is full or read-only.
    pub fn save_into(self, directory: impl Into<PathBuf>) -> FetchAll<S, Saved> {
        self.save_with(Arc::new(Files::in_directory(directory)))
    }

    /// Gives each body to `sink`, in constant memory, and gives a report.
    pub fn save_with(mut self, sink: Arc<dyn Sink>) -> FetchAll<S, Saved> {
        self.setting.sink = Some(sink);
        FetchAll { setting: self.setting, collect: Saved::default() }
    }

    fn bodies<T>(mut self, of: fn(Outcome) -> Result<T, Error>) -> FetchAll<S, Bodies<T>> {
        self.setting.asked.purpose = Purpose::Read;
        FetchAll { setting: self.setting, collect: Bodies { all: self.collect, of } }
    }
}

impl<S: Source, T> FetchAll<S, Bodies<T>> {
    /// Ends at the first failure, as C#'s `Task.WhenAll` throws: the others are cancelled, and what they had is in
    /// the error.
    pub fn fail_fast(mut self) -> FetchAll<S, FailFast<T>> {
        self.setting.on_failure = OnFailure::Stop;
        let Bodies { all, of } = self.collect;
        FetchAll { setting: self.setting, collect: FailFast { all, of, value: PhantomData } }
    }
}

impl<S, C> FetchAll<S, C> {
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

    fn asked_mut(&mut self) -> Option<&mut Asked> {
        Some(&mut self.setting.asked)
    }
}

impl<S, C> FetchAll<S, C>
where
    S: Source + Unpin + Send + 'static,
    C: Collect<Output: Send> + Unpin + Send + 'static,
{
    /// Runs it in the background: C#'s `Task.Run`. It runs on though its caller goes away.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> JobHandle<C::Output> {
        let control = Arc::clone(&self.setting.control);
        let tallies: Arc<Tallies> = Arc::clone(&self.setting.tallies);
        JobHandle::spawn(self, control, tallies)
    }
}

impl<S, C> Future for FetchAll<S, C>
where
    S: Source + Unpin,
    C: Collect + Unpin,
{
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let Self { setting, collect } = self.get_mut();
        for _ in 0..AT_ONCE {
            match std::task::ready!(setting.poll_next(cx)) {
                Ok(Some(outcome)) => collect.add(outcome),
                Ok(None) => {
                    collect.was_held_back(setting.held_back_times());
                    collect.budget_left(setting.budget());
                    if let Some(error) = setting.journal_error() {
                        collect.was_not_recorded(error);
                    }
                    return Poll::Ready(collect.end());
                }
                Err(error) => return Poll::Ready(collect.fail(error)),
            }
        }
        // Others have a right to the thread too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Collect for Outcomes {
    type Output = Vec<Outcome>;

    fn add(&mut self, mut outcome: Outcome) {
        self.error_bytes += outcome.error_bytes();
        if self.error_bytes > ERROR_BODIES {
            self.error_bytes -= outcome.error_bytes();
            outcome.forget_error_bodies();
        }
        let place = usize::try_from(outcome.seq).unwrap_or(usize::MAX);
        if self.all.len() <= place {
            self.all.resize_with(place + 1, || None);
        }
        self.all[place] = Some(outcome);
    }

    fn end(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.all).into_iter().flatten().collect()
    }

    fn fail(&mut self, error: Error) -> Vec<Outcome> {
        vec![Outcome::of_error(error)]
    }
}

impl<T> Collect for Bodies<T> {
    type Output = Vec<Result<T, Error>>;

    fn add(&mut self, outcome: Outcome) {
        self.all.add(outcome);
    }

    fn end(&mut self) -> Self::Output {
        self.all.end().into_iter().map(self.of).collect()
    }

    fn fail(&mut self, error: Error) -> Self::Output {
        vec![Err(error)]
    }
}

impl<T> Collect for FailFast<T> {
    type Output = Result<Vec<T>, JobError>;

    fn add(&mut self, outcome: Outcome) {
        self.all.add(outcome);
    }

    fn end(&mut self) -> Self::Output {
        let outcomes = self.all.end();
        if let Some(cause) = first_failure(&outcomes) {
            return Err(JobError { cause, outcomes });
        }
        let mut values = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match (self.of)(outcome) {
                Ok(value) => values.push(value),
                Err(cause) => return Err(JobError { cause, outcomes: Vec::new() }),
            }
        }
        Ok(values)
    }

    fn fail(&mut self, error: Error) -> Self::Output {
        Err(JobError { cause: error, outcomes: Vec::new() })
    }
}

/// By the clock, the failure that came first; what was cut short because of another's failure is not the cause.
fn first_failure(outcomes: &[Outcome]) -> Option<Error> {
    let own = |outcome: &&Outcome| outcome.error().is_some_and(|error| !error.is_cancelled());
    let first = outcomes.iter().filter(own).min_by_key(|outcome| outcome.ended());
    first.and_then(Outcome::error).or_else(|| outcomes.iter().find_map(Outcome::error)).cloned()
}

impl Collect for Saved {
    type Output = Result<JobReport, Error>;

    fn add(&mut self, outcome: Outcome) {
        self.0.add(&outcome);
    }

    fn was_held_back(&mut self, times: HeldBackTimes) {
        self.0.note_held_back(times);
    }

    fn budget_left(&mut self, budget: Budget) {
        self.0.note_budget(budget);
    }

    fn was_not_recorded(&mut self, error: Error) {
        self.0.note_fatal(error);
    }

    fn end(&mut self) -> Self::Output {
        let report = std::mem::take(&mut self.0);
        match report.fatal() {
            Some(error) => Err(error.clone()),
            None => Ok(report),
        }
    }

    fn fail(&mut self, error: Error) -> Self::Output {
        Err(error)
    }
}

impl JobError {
    /// Whether a limit on time was the cause.
    pub fn is_timeout(&self) -> bool {
        self.cause.is_timeout()
    }

    /// Whether the caller stopped it.
    pub fn is_cancelled(&self) -> bool {
        self.cause.is_cancelled()
    }
}

impl std::fmt::Display for JobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.cause)
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl Outcome {
    /// The outcome of a job that could not even begin.
    pub(super) fn of_error(error: Error) -> Self {
        let url = error.url().unwrap_or_default().into();
        let verdict = crate::outcome::Verdict::Not(error);
        Self::new(0, None, url, verdict, crate::outcome::Record::default())
    }
}

impl<S, C> std::fmt::Debug for FetchAll<S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchAll").field("progress", &self.setting.tallies.now()).finish_non_exhaustive()
    }
}
