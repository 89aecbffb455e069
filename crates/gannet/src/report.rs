//! What came of a job: every request accounted for exactly once. Counting only; nothing here is kept by request.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::event::{HeldBackBy, HeldBackTimes};
use crate::outcome::{Ending, Outcome, WhyStarted};

use times::Times;

mod times;

/// Counts and quantiles of a job, in constant memory.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct JobReport {
    inputs: u64,
    from_journal: u64,
    endings: [u64; 5],
    unchanged: u64,
    bytes_unchanged: u64,
    firsts: u64,
    retries: u64,
    hedges: u64,
    hedges_won: u64,
    budget_refused: u64,
    bytes: u64,
    errors: BTreeMap<&'static str, u64>,
    /// Of the requests that were obtained.
    totals: Times,
    fatal: Option<Error>,
    held_back: HeldBackTimes,
    budget: Option<Budget>,
}

/// What the budget of a client has left for further attempts, and how often it had nothing. All fetches of the client
/// share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Budget {
    /// Retries that could be made now; `None` is without bound.
    pub retry_left: Option<u64>,
    /// Hedges that could be made now; `None` is without bound.
    pub hedge_left: Option<u64>,
    /// Retries that it refused. In a job these wait, and are made later.
    pub retry_refused: u64,
    /// Hedges that it refused.
    pub hedge_refused: u64,
}

impl JobReport {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        self.inputs += 1;
        self.endings[outcome.ending() as usize] += 1;
        if outcome.is_unchanged() {
            self.unchanged += 1;
            self.bytes_unchanged += outcome.length();
        }
        self.bytes += outcome.length();
        if outcome.is_from_journal() {
            self.from_journal += 1;
        } else {
            self.add_attempts(outcome);
        }
        if let Some(error) = outcome.error() {
            *self.errors.entry(error.kind().code()).or_default() += 1;
            self.budget_refused += u64::from(error.is_out_of_budget());
            let of_all = error.kind().ends_the_output()
                || matches!(
                    error.kind(),
                    ErrorKind::NoRuntime
                        | ErrorKind::JournalOtherList
                        | ErrorKind::JournalDamaged
                        | ErrorKind::JournalFailed
                );
            if of_all && !outcome.is_from_journal() && self.fatal.is_none() {
                self.fatal = Some(error.clone());
            }
        }
    }

    fn add_attempts(&mut self, outcome: &Outcome) {
        for attempt in outcome.attempts() {
            match attempt.why_started {
                WhyStarted::First => self.firsts += 1,
                WhyStarted::Retry | WhyStarted::Redo => self.retries += 1,
                WhyStarted::Hedge => self.hedges += 1,
            }
        }
        let winner = outcome.winner().and_then(|winner| outcome.attempts().get(winner));
        self.hedges_won += u64::from(winner.is_some_and(|winner| winner.why_started == WhyStarted::Hedge));
        if outcome.ending() == Ending::Ok {
            self.totals.record(outcome.total());
        }
    }

    /// Of the requests, those that had settled in an earlier run: nothing was sent for them. They count in endings,
    /// bytes and errors, and not in attempts and times.
    pub fn from_journal(&self) -> u64 {
        self.from_journal
    }

    /// Requests read.
    pub fn inputs(&self) -> u64 {
        self.inputs
    }

    /// Requests that ended in this way.
    pub fn count(&self, ending: Ending) -> u64 {
        self.endings[ending as usize]
    }

    /// Of the requests that are ok, those whose file was found to hold the server's version: no body came
    /// ([`Outcome::is_unchanged`]).
    pub fn unchanged(&self) -> u64 {
        self.unchanged
    }

    /// Of the [`bytes`](Self::bytes), those that were found unchanged.
    pub fn bytes_unchanged(&self) -> u64 {
        self.bytes_unchanged
    }

    /// Requests whose body is there: obtained now, or there already.
    pub fn obtained(&self) -> u64 {
        self.count(Ending::Ok) + self.count(Ending::Skipped)
    }

    /// First attempts.
    pub fn firsts(&self) -> u64 {
        self.firsts
    }

    /// Attempts after a failure, those without budget included.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Attempts against silence.
    pub fn hedges(&self) -> u64 {
        self.hedges
    }

    /// Of these, those that led.
    pub fn hedges_won(&self) -> u64 {
        self.hedges_won
    }

    /// Requests that failed for want of retry budget.
    pub fn budget_refused(&self) -> u64 {
        self.budget_refused
    }

    /// All attempts: `firsts + retries + hedges`.
    pub fn attempts(&self) -> u64 {
        self.firsts + self.retries + self.hedges
    }

    /// Bytes of the bodies obtained, those included that were found unchanged.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How often each error code occurred.
    pub fn errors(&self) -> &BTreeMap<&'static str, u64> {
        &self.errors
    }

    /// The time within which this share (0 to 1) of the obtained requests was obtained; `None` if none was.
    /// It is at most 1 in 1,024 too long.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        self.totals.quantile(share)
    }

    /// What held the job back for the longest; `None` if nothing did, or it was not noted.
    pub fn held_back_by(&self) -> Option<HeldBackBy> {
        self.held_back.most()
    }

    /// For how long each cause has held the job back.
    pub fn held_back(&self) -> HeldBackTimes {
        self.held_back
    }

    /// Notes what has held the job back, from [`FetchEach::held_back_times`](crate::FetchEach::held_back_times), in
    /// the place of what was noted before.
    pub fn note_held_back(&mut self, times: HeldBackTimes) {
        self.held_back = times;
    }

    /// What the client's budget had left and had refused when the job ended; `None` if it was not noted.
    pub fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// Notes the budget, from [`Client::budget`](crate::Client::budget), in the place of what was noted before.
    pub fn note_budget(&mut self, budget: Budget) {
        self.budget = Some(budget);
    }

    /// Notes an error of the job as a whole, such as that of its journal
    /// ([`FetchEach::error`](crate::FetchEach::error)); the first one counts.
    pub fn note_fatal(&mut self, error: Error) {
        self.fatal.get_or_insert(error);
    }

    /// The error that ended the job as a whole: the output is gone, or its journal is.
    pub fn fatal(&self) -> Option<&Error> {
        self.fatal.as_ref()
    }
}
