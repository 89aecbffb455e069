//! The last line of a report, with its fields in their order. Plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use gannet::{Ending, ErrorKind, JobReport};
use serde::Serialize;

use super::millis;
use crate::exit::Exit;
use crate::job::Job;

/// What is known at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing<'a> {
    pub(crate) report: &'a JobReport,
    pub(crate) exit: Exit,
    pub(crate) elapsed: Duration,
    /// The setting that held the run back for the longest.
    pub(crate) held_back_by: Option<&'a str>,
    /// What is done is kept there.
    pub(crate) job: Option<&'a Job>,
}

/// How to go on where no journal knows.
pub(crate) const GO_ON: &str = "run the same command again";

impl Closing<'_> {
    /// Whether the deadline cut anything short.
    pub(crate) fn deadline_hit(&self) -> bool {
        self.exit == Exit::Deadline || self.report.count(Ending::Unfinished) > 0
    }

    /// How to go on, if anything is left to do.
    pub(crate) fn resume(&self) -> Option<String> {
        // What ends each run alike is to be mended first.
        let is_of_the_journal = |error: &gannet::Error| {
            matches!(error.kind(), ErrorKind::JournalDamaged | ErrorKind::JournalNewer)
        };
        if self.report.fatal().is_some_and(is_of_the_journal) {
            return None;
        }
        let is_cut = matches!(self.exit, Exit::Deadline | Exit::Signalled(_) | Exit::Local);
        let unread = self.report.errors().get(ErrorKind::InputUnreadable.code()).copied().unwrap_or_default();
        let has_failed = self.report.count(Ending::Failed) - unread;
        let is_left = self.exit == Exit::SomeFailed && self.job.is_some_and(Job::leaves_open);
        let how = || self.job.and_then(|job| job.resume(has_failed)).unwrap_or_else(|| GO_ON.to_owned());
        (is_cut || (is_left && has_failed == 0) || self.has_unread()).then(how)
    }

    /// Whether a list that could not be read to its end is to be gone on with.
    pub(crate) fn has_unread(&self) -> bool {
        let is_over = !matches!(self.exit, Exit::Obtained | Exit::StdoutClosed);
        is_over && self.report.fatal().is_none() && self.is_torn() && self.job.is_some_and(Job::has_lines)
    }

    fn is_torn(&self) -> bool {
        self.report.errors().contains_key(ErrorKind::InputUnreadable.code())
    }

    /// How to try again what failed, if the job is kept and over.
    pub(crate) fn retry(&self) -> Option<String> {
        let is_over = match self.exit {
            Exit::SomeFailed | Exit::NothingSucceeded | Exit::Integrity => true,
            // What no input was good for may be mended.
            Exit::Refused => self.report.fatal().is_none(),
            _ => false,
        };
        let has_failed = self.report.count(Ending::Failed) > 0 && !self.is_torn();
        self.job.filter(|_| is_over && has_failed).and_then(Job::retry)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    v: u32,
    r#type: &'static str,
    job: &'a str,
    inputs: u64,
    ok: u64,
    failed: u64,
    unfinished: u64,
    cancelled: u64,
    skipped: u64,
    unchanged: u64,
    exit: u8,
    deadline_hit: bool,
    firsts: u64,
    retries: u64,
    hedges: u64,
    hedges_won: u64,
    attempts: u64,
    budget_refused: u64,
    budget: Option<BudgetLeft>,
    errors: &'a BTreeMap<&'static str, u64>,
    ms_p: Quantiles,
    bytes: u64,
    elapsed_ms: f64,
    /// The setting that held the run back for the longest.
    held_back_by: Option<&'a str>,
    resume: Option<String>,
}

/// What the budget had left at the end, and how often it had nothing; without a bound nothing is left or taken.
#[derive(Debug, Serialize)]
struct BudgetLeft {
    retry_left: Option<u64>,
    hedge_left: Option<u64>,
    retry_refused: u64,
    hedge_refused: u64,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    #[serde(rename = "50")]
    half: Option<f64>,
    #[serde(rename = "99")]
    most: Option<f64>,
    #[serde(rename = "99.9")]
    nearly_all: Option<f64>,
}

impl<'a> Summary<'a> {
    pub(super) fn of(closing: &Closing<'a>, job: &'a str) -> Self {
        let report = closing.report;
        let quantile = |share| report.quantile(share).map(millis);
        Self {
            v: 1,
            r#type: "summary",
            job,
            inputs: report.inputs(),
            ok: report.count(Ending::Ok),
            failed: report.count(Ending::Failed),
            unfinished: report.count(Ending::Unfinished),
            cancelled: report.count(Ending::Cancelled),
            skipped: report.count(Ending::Skipped),
            unchanged: report.unchanged(),
            exit: closing.exit.code(),
            deadline_hit: closing.deadline_hit(),
            firsts: report.firsts(),
            retries: report.retries(),
            hedges: report.hedges(),
            hedges_won: report.hedges_won(),
            attempts: report.attempts(),
            budget_refused: report.budget_refused(),
            budget: report.budget().map(|budget| BudgetLeft {
                retry_left: budget.retry_left,
                hedge_left: budget.hedge_left,
                retry_refused: budget.retry_refused,
                hedge_refused: budget.hedge_refused,
            }),
            errors: report.errors(),
            ms_p: Quantiles { half: quantile(0.5), most: quantile(0.99), nearly_all: quantile(0.999) },
            bytes: report.bytes(),
            elapsed_ms: millis(closing.elapsed),
            held_back_by: closing.held_back_by,
            resume: closing.resume(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_fields_of_the_format_in_their_order() {
        let report = JobReport::default();
        let closing = Closing {
            report: &report,
            exit: Exit::Deadline,
            elapsed: Duration::from_micros(60_003_100),
            held_back_by: None,
            job: None,
        };
        let golden = concat!(
            r#"{"v":1,"type":"summary","job":"j","inputs":0,"ok":0,"failed":0,"unfinished":0,"cancelled":0,"skipped":0,"unchanged":0,"#,
            r#""exit":4,"deadline_hit":true,"firsts":0,"retries":0,"hedges":0,"hedges_won":0,"attempts":0,"#,
            r#""budget_refused":0,"budget":null,"errors":{},"ms_p":{"50":null,"99":null,"99.9":null},"bytes":0,"#,
            r#""elapsed_ms":60003.1,"held_back_by":null,"resume":"run the same command again"}"#,
        );
        assert_eq!(serde_json::to_string(&Summary::of(&closing, "j")).expect("a summary"), golden);
    }
}
