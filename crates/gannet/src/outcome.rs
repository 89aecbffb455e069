//! The final answer of a fetch, with the record of every attempt. Plain data: nothing here waits or writes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};

use crate::error::{Error, Phase};
use crate::version::Kept;

pub use attempt::{AttemptRecord, ConnectionUsed, Timings, WhyStarted, WhyStopped};
#[cfg(all(test, feature = "journal"))]
pub(crate) use recorded::EntryError;
#[cfg(feature = "journal")]
pub use recorded::{EarlierRun, Recorded, RecordedError, Wanted};
#[cfg(feature = "journal")]
pub(crate) use recorded::{Entry, name_of, version_of};
pub use waited::{Waited, WaitedFor};

mod attempt;
#[cfg(feature = "digests")]
mod digests;
#[cfg(feature = "journal")]
mod recorded;
mod waited;

/// The final answer of one request of a job: what came, or why not, and the record of every attempt.
#[derive(Debug, Clone)]
#[must_use]
pub struct Outcome {
    pub(crate) seq: u64,
    pub(crate) url: Box<str>,
    pub(crate) line: Option<u64>,
    pub(crate) verdict: Verdict,
    pub(crate) record: Record,
    /// What its journal knew before this run; then nothing was sent.
    #[cfg(feature = "journal")]
    pub(crate) recorded: Option<Box<Recorded>>,
}

/// How a request ended: the five words of a report's `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Obtained, whole and verified.
    Ok,
    /// Tried and given up.
    Failed,
    /// Not tried, or cut short, since the job's deadline came first.
    Unfinished,
    /// Stopped by the caller.
    Cancelled,
    /// Not fetched since it was there already.
    Skipped,
}

impl Ending {
    /// The stable spelling in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Got(Got),
    Skipped(PathBuf),
    Not(Error),
}

/// What an obtained request left behind.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) reply: ReplyHead,
    pub(crate) receipt: Receipt,
    /// What its file has held all along, if the server has said so.
    pub(crate) unchanged: Option<Box<Kept>>,
    /// Those that were computed of the body, as it was kept.
    #[cfg(feature = "digests")]
    pub(crate) digests: Vec<crate::digest::Digest>,
}

impl Got {
    /// The server has said that the file holds its version.
    pub(crate) fn unchanged(reply: ReplyHead, kept: Box<Kept>) -> Self {
        let receipt = Receipt::in_file(kept.there.path.clone(), kept.there.length);
        Self {
            reply,
            receipt,
            unchanged: Some(kept),
            #[cfg(feature = "digests")]
            digests: Vec::new(),
        }
    }
}

/// The head of the reply that was accepted, and how it came.
#[derive(Clone)]
#[non_exhaustive]
pub struct ReplyHead {
    /// The reply's status.
    pub status: StatusCode,
    /// The HTTP version it came by.
    pub version: Version,
    /// The reply's header fields.
    pub headers: HeaderMap,
    /// The URL that answered, after redirects, without credentials.
    pub url: Box<str>,
    /// Whether a content coding was taken off the body; the fields still tell of the body as it was sent.
    pub is_decoded: bool,
}

impl std::fmt::Debug for ReplyHead {
    /// Shows the fields' names only: their values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(http::HeaderName::as_str).collect();
        let url = &self.url;
        f.debug_struct("ReplyHead")
            .field("status", &self.status)
            .field("url", url)
            .field("fields", &names)
            .finish()
    }
}

impl ReplyHead {
    /// Takes it out, for its last user.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            status: self.status,
            version: self.version,
            headers: std::mem::take(&mut self.headers),
            url: std::mem::take(&mut self.url),
            is_decoded: self.is_decoded,
        }
    }
}

impl From<ReplyHead> for http::Response<()> {
    /// Status, version and header fields; of a body that was decoded, without those that tell how it was sent
    /// (Content-Encoding, Content-Length).
    fn from(mut head: ReplyHead) -> Self {
        if head.is_decoded {
            head.headers.remove(http::header::CONTENT_ENCODING);
            head.headers.remove(http::header::CONTENT_LENGTH);
        }
        let mut response = Self::new(());
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        response
    }
}

/// Where a body lies and how long it is. Given by a sink at its commit.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Receipt {
    /// The body itself, if it was kept in memory.
    pub body: Option<Bytes>,
    /// The file it was written to.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub length: u64,
    /// How many bytes were there when the attempt began that brought the rest; 0 if it brought all.
    pub resumed_from: u64,
}

impl Receipt {
    /// A receipt for `length` bytes that were kept nowhere.
    pub fn of_length(length: u64) -> Self {
        Self { length, ..Self::default() }
    }

    /// A receipt for a body in memory.
    pub fn in_memory(body: Bytes) -> Self {
        let length = body.len() as u64;
        Self { body: Some(body), ..Self::of_length(length) }
    }

    /// A receipt for a file of `length` bytes at `path`.
    pub fn in_file(path: PathBuf, length: u64) -> Self {
        Self { path: Some(path), ..Self::of_length(length) }
    }
}

/// All that is known about how a fetch went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) attempts: Vec<AttemptRecord>,
    /// The attempt, by its place in `attempts`, whose body was kept.
    pub(crate) winner: Option<usize>,
    pub(crate) queued: Duration,
    pub(crate) total: Duration,
    pub(crate) started: Option<SystemTime>,
    pub(crate) ended: Option<SystemTime>,
}

impl Outcome {
    /// One that has settled in this run.
    pub(crate) fn new(seq: u64, line: Option<u64>, url: Box<str>, verdict: Verdict, record: Record) -> Self {
        Self {
            seq,
            url,
            line,
            verdict,
            record,
            #[cfg(feature = "journal")]
            recorded: None,
        }
    }

    /// The request's place in the input, from 0.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The line of the list that it came from, from 1.
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// The URL that was asked for, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        match &self.verdict {
            Verdict::Got(_) => Ending::Ok,
            Verdict::Skipped(_) => Ending::Skipped,
            Verdict::Not(error) => match error.kind() {
                crate::ErrorKind::JobDeadline => Ending::Unfinished,
                crate::ErrorKind::Cancelled => Ending::Cancelled,
                _ => Ending::Failed,
            },
        }
    }

    /// The row of the journal that it comes from, if it had settled in an earlier run: then nothing was sent
    /// in this one.
    #[cfg(feature = "journal")]
    pub fn recorded(&self) -> Option<&Recorded> {
        self.recorded.as_deref()
    }

    /// Whether it had settled in an earlier run, and comes from the job's journal.
    pub fn is_from_journal(&self) -> bool {
        #[cfg(feature = "journal")]
        return self.recorded.is_some();
        #[cfg(not(feature = "journal"))]
        false
    }

    /// Whether the body is there: obtained now, or skipped since it was there already.
    pub fn is_obtained(&self) -> bool {
        matches!(self.ending(), Ending::Ok | Ending::Skipped)
    }

    /// Whether nothing but a head came, since the file that is there holds the server's version
    /// ([`IfExists::Update`](crate::sink::IfExists::Update)). The status is 304 then (RFC 9110, section 15.4.5), and the
    /// length that of the file.
    pub fn is_unchanged(&self) -> bool {
        #[cfg(feature = "journal")]
        if let Some(recorded) = &self.recorded {
            return recorded.is_unchanged();
        }
        matches!(&self.verdict, Verdict::Got(got) if got.unchanged.is_some())
    }

    /// Why it was not obtained.
    pub fn error(&self) -> Option<&Error> {
        match &self.verdict {
            Verdict::Not(error) => Some(error),
            Verdict::Got(_) | Verdict::Skipped(_) => None,
        }
    }

    /// The accepted reply's head.
    pub fn reply(&self) -> Option<&ReplyHead> {
        match &self.verdict {
            Verdict::Got(got) => Some(&got.reply),
            Verdict::Skipped(_) | Verdict::Not(_) => None,
        }
    }

    /// The status of the reply, accepted or not.
    pub fn status(&self) -> Option<StatusCode> {
        self.reply().map(|reply| reply.status).or_else(|| self.error().and_then(Error::status))
    }

    /// The body, if it was kept in memory.
    pub fn body(&self) -> Option<&Bytes> {
        match &self.verdict {
            Verdict::Got(got) => got.receipt.body.as_ref(),
            Verdict::Skipped(_) | Verdict::Not(_) => None,
        }
    }

    /// Bytes of a body that is held in memory, accepted or refused.
    pub(crate) fn bytes_in_memory(&self) -> u64 {
        let refused = || self.error()?.reply()?.kept.as_ref()?.body.as_ref();
        self.body().or_else(refused).map_or(0, |body| body.len() as u64)
    }

    /// The file that holds the body.
    pub fn path(&self) -> Option<&std::path::Path> {
        match &self.verdict {
            Verdict::Got(got) => got.receipt.path.as_deref(),
            Verdict::Skipped(path) => Some(path),
            Verdict::Not(_) => None,
        }
    }

    /// The body's length in bytes; 0 if nothing was obtained.
    pub fn length(&self) -> u64 {
        match &self.verdict {
            Verdict::Got(got) => got.receipt.length,
            Verdict::Skipped(_) | Verdict::Not(_) => 0,
        }
    }

    /// How many bytes of the body were there when the attempt began that brought the rest; 0 if it brought all.
    pub fn resumed_from(&self) -> u64 {
        let Verdict::Got(got) = &self.verdict else { return 0 };
        got.receipt.resumed_from
    }

    /// Every attempt, in the order in which they started; of what comes from a journal, those of the run that settled
    /// it.
    pub fn attempts(&self) -> &[AttemptRecord] {
        #[cfg(feature = "journal")]
        if let Some(recorded) = &self.recorded {
            return recorded.attempts();
        }
        &self.record.attempts
    }

    /// How many attempts there were before those of [`attempts`](Self::attempts); 0 but of what comes from a journal, which
    /// may not have kept all.
    pub fn attempts_not_kept(&self) -> usize {
        #[cfg(feature = "journal")]
        if let Some(recorded) = &self.recorded {
            return (recorded.attempt_count() as usize).saturating_sub(recorded.attempts().len());
        }
        0
    }

    /// The URL that this attempt of the outcome tried first, without credentials; redirects are its
    /// [`hops`](AttemptRecord::hops).
    pub fn url_of<'a>(&'a self, attempt: &'a AttemptRecord) -> &'a str {
        attempt.mirror_url.as_deref().unwrap_or(&self.url)
    }

    /// The attempt whose body was kept, by its place in [`attempts`](Self::attempts).
    pub fn winner(&self) -> Option<usize> {
        self.record.winner
    }

    /// Time spent waiting for a turn before the first attempt started.
    pub fn queued(&self) -> Duration {
        self.record.queued
    }

    /// From the first attempt's start to the end.
    pub fn total(&self) -> Duration {
        self.record.total
    }

    /// When the first attempt started, by the wall clock; `None` if none did.
    pub fn started(&self) -> Option<SystemTime> {
        self.record.started
    }

    /// When it ended, by the wall clock.
    pub fn ended(&self) -> Option<SystemTime> {
        self.record.ended
    }

    /// Bytes of the bodies of refused statuses that its errors hold.
    pub(crate) fn error_bytes(&self) -> usize {
        self.error().map_or(0, |error| {
            error.reply().map_or(0, |reply| reply.body.len())
                + error.attempts().iter().map(AttemptRecord::error_bytes).sum::<usize>()
        })
    }

    /// Lets go of the bodies of refused statuses.
    pub(crate) fn forget_error_bodies(&mut self) {
        if let Verdict::Not(error) = &mut self.verdict {
            *error = error.clone().without_bodies();
        }
        self.record.attempts.iter_mut().for_each(AttemptRecord::forget_error_body);
    }

    /// The whole reply as other libraries want it, or why there is none.
    ///
    /// # Errors
    /// As [`into_result`](Self::into_result).
    pub fn into_http(self) -> Result<http::Response<Bytes>, Error> {
        let head = self.reply().cloned();
        let body = self.into_result()?;
        let head = head.map_or_else(|| http::Response::new(()), http::Response::from);
        Ok(head.map(|()| body))
    }

    /// The body's bytes, or why there are none.
    ///
    /// # Errors
    /// The fetch's own error; for a body that was not kept in memory, one of kind
    /// [`BadBody`](crate::ErrorKind::BadBody).
    pub fn into_result(self) -> Result<Bytes, Error> {
        match self.verdict {
            Verdict::Got(Got { receipt: Receipt { body: Some(body), .. }, .. }) => Ok(body),
            Verdict::Got(_) | Verdict::Skipped(_) => {
                Err(Error::new(crate::ErrorKind::BadBody, Phase::Sink, "the body was not kept in memory")
                    .of_url(self.url))
            }
            Verdict::Not(error) => Err(error),
        }
    }
}
