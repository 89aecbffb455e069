//! What a journal has of one request that has settled, and the outcome that it is made of or becomes again. Plain
//! data: nothing here reads or writes a journal.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::{AttemptRecord, Ending, Got, Outcome, Receipt, Record, ReplyHead, Verdict};
use crate::error::{Error, ErrorKind, ErrorReply, Phase};

#[cfg(feature = "digests")]
mod digests;
mod entry;
mod json;
mod tries;

pub(crate) use entry::Entry;
#[cfg(test)]
pub(crate) use entry::EntryError;
use tries::Tries;

/// One request that has settled, as its journal has it. Times are by the wall clock of the run that settled it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Recorded {
    /// The request's place in the input, from 0.
    pub seq: u64,
    /// The line of the list that it came from, from 1.
    pub line: Option<u64>,
    /// The URL that was asked for, without credentials.
    pub url: Box<str>,
    /// The request's method.
    pub method: Method,
    /// Identifies the line: a hash of all that is asked for, credentials, header fields and body apart.
    pub line_hash: u64,
    /// How it ended.
    pub ending: Ending,
    /// Why it was not obtained.
    pub error: Option<RecordedError>,
    /// The reply's status, accepted or not.
    pub status: Option<u16>,
    /// The HTTP version of the accepted reply.
    pub http: Option<Version>,
    /// The body's length in bytes; 0 if nothing was obtained, and nothing is there from before.
    pub bytes: u64,
    /// The URL that answered, after redirects, without credentials; `None` for the one that was asked for.
    pub final_url: Option<Box<str>>,
    /// The file that holds the body, as it was named to the run that wrote it; of what was not obtained, the file that
    /// still holds an earlier version of it, to which `etag`, `last_modified`, `bytes`, `final_url` and `digests` belong
    /// then.
    pub path: Option<PathBuf>,
    /// The reply's ETag.
    pub etag: Option<Box<str>>,
    /// The reply's Last-Modified.
    pub last_modified: Option<Box<str>>,
    /// The reply's Content-Type.
    pub content_type: Option<Box<str>>,
    /// Digests of the body, a JSON object of names and values in hexadecimal; `None` if none was computed.
    pub digests: Option<Box<str>>,
    /// The attempt whose body was kept, by its place among [`attempts`](Self::attempts).
    pub winner: Option<usize>,
    /// When the first attempt started, in whole milliseconds.
    pub started: Option<SystemTime>,
    /// When it ended, in whole milliseconds.
    pub ended: Option<SystemTime>,
    /// Time spent waiting before the first attempt started, in whole microseconds.
    pub queued: Duration,
    /// From the first attempt's start to the end, in whole microseconds.
    pub total: Duration,
    /// How many attempts there were.
    pub(crate) attempts: u32,
    /// The attempts as JSON, which docs/JOURNAL.md describes.
    pub(crate) tries: Option<Box<str>>,
    pub(crate) parsed: OnceLock<Tries>,
}

/// The attempts of one run of a job that had not settled a request for good: what had failed or was stopped, and was
/// opened again by a later run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EarlierRun {
    /// When the first of its attempts started, in whole milliseconds by the wall clock of that run.
    pub began: SystemTime,
    /// Its attempts, in the order in which they started; of the earliest run perhaps not the first ones, if there were more
    /// [than are kept](Recorded::attempts_not_kept).
    pub attempts: Vec<AttemptRecord>,
}

/// Why a request of a journal was not obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// In which phase.
    pub phase: Phase,
    /// What happened: a lower-case fragment.
    pub message: Box<str>,
    /// What it would have needed to be tried again.
    pub wanted: Option<Wanted>,
}

/// What a failed request would have needed to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wanted {
    /// Budget for retries: [`Error::is_out_of_budget`].
    Budget,
    /// Time: [`Error::is_out_of_time`].
    Time,
}

impl Recorded {
    /// Every attempt of the run that settled it, in the order in which they started; of very many with long URLs the
    /// latest, and how many there were is [`attempt_count`](Self::attempt_count). Their errors have kind, phase and message,
    /// and no cause. A URL or a message of more than 2 KiB is cut, and ends with an ellipsis then, and so does a hop if all of
    /// an attempt have more than 16 KiB; an ellipsis also stands for the hops behind the first 1,024.
    pub fn attempts(&self) -> &[AttemptRecord] {
        &self.tries().own
    }

    /// The attempts of the runs before the one that settled it, the earliest run first. A run that had no attempt at it is
    /// not among them, nor one that died before it was written down.
    pub fn earlier_runs(&self) -> &[EarlierRun] {
        &self.tries().earlier
    }

    /// How many attempts there were before those of [`earlier_runs`](Self::earlier_runs), or if there are none, before the
    /// first of [`attempts`](Self::attempts): of all attempts of earlier runs the latest 64 are kept, and of all attempts
    /// the latest that fit into 64 KiB.
    pub fn attempts_not_kept(&self) -> u64 {
        self.tries().not_kept
    }

    fn tries(&self) -> &Tries {
        self.parsed.get_or_init(|| self.tries.as_deref().map_or_else(Tries::default, tries::read))
    }

    /// Whether the body is there: obtained, or skipped since it was there already.
    pub fn is_obtained(&self) -> bool {
        matches!(self.ending, Ending::Ok | Ending::Skipped)
    }

    /// Whether its file was found to hold the server's version, and no body came.
    pub fn is_unchanged(&self) -> bool {
        self.ending == Ending::Ok && self.status == Some(StatusCode::NOT_MODIFIED.as_u16())
    }

    /// How many attempts there were in the run that settled it; unlike [`attempts`](Self::attempts) it costs nothing.
    pub fn attempt_count(&self) -> u32 {
        self.attempts
    }

    /// The URL that one of its attempts tried first, without credentials.
    pub fn url_of<'a>(&'a self, attempt: &'a AttemptRecord) -> &'a str {
        attempt.mirror_url.as_deref().unwrap_or(&self.url)
    }

    /// The outcome that it was, as far as it is known: of the reply's fields those that were kept, no body.
    pub(crate) fn into_outcome(self) -> Outcome {
        let verdict = match (&self.error, self.ending) {
            (Some(error), _) => Verdict::Not(error.restore(&self)),
            (None, Ending::Skipped) => Verdict::Skipped(self.path.clone().unwrap_or_default()),
            (None, _) => Verdict::Got(Got {
                reply: self.reply(),
                receipt: self.receipt(),
                unchanged: None,
                #[cfg(feature = "digests")]
                digests: self.body_digests(),
            }),
        };
        let record = Record {
            winner: self.winner,
            queued: self.queued,
            total: self.total,
            started: self.started,
            ended: self.ended,
            ..Record::default()
        };
        let mut outcome = Outcome::new(self.seq, self.line, self.url.clone(), verdict, record);
        outcome.recorded = Some(Box::new(self));
        outcome
    }

    fn reply(&self) -> ReplyHead {
        let mut headers = HeaderMap::new();
        let kept =
            [(ETAG, &self.etag), (LAST_MODIFIED, &self.last_modified), (CONTENT_TYPE, &self.content_type)];
        for (name, value) in kept {
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        ReplyHead {
            status: self.known_status().unwrap_or(StatusCode::OK),
            version: self.http.unwrap_or(Version::HTTP_11),
            headers,
            url: self.final_url.as_ref().unwrap_or(&self.url).clone(),
            is_decoded: false,
        }
    }

    fn receipt(&self) -> Receipt {
        Receipt { path: self.path.clone(), ..Receipt::of_length(self.bytes) }
    }

    fn known_status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status?).ok()
    }
}

impl RecordedError {
    fn restore(&self, row: &Recorded) -> Error {
        let mut error = Error::new(self.kind, self.phase, &*self.message).of_url(row.url.clone());
        if let Some(status) = row.known_status() {
            error = error.of_reply(ErrorReply {
                status,
                version: Version::HTTP_11,
                headers: HeaderMap::new(),
                body: bytes::Bytes::new(),
                kept: None,
            });
        }
        match self.wanted {
            Some(Wanted::Budget) => error.for_want_of_budget(),
            Some(Wanted::Time) => error.for_want_of_time(),
            None => error,
        }
    }
}

impl Wanted {
    /// The stable spelling in journals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Time => "time",
        }
    }
}

/// The spellings of HTTP's versions.
const VERSIONS: [(Version, &str); 5] = [
    (Version::HTTP_11, "1.1"),
    (Version::HTTP_2, "2"),
    (Version::HTTP_10, "1.0"),
    (Version::HTTP_3, "3"),
    (Version::HTTP_09, "0.9"),
];

/// How journals spell a version.
pub(crate) fn name_of(version: Version) -> &'static str {
    VERSIONS.iter().find(|(known, _)| *known == version).map_or("1.1", |(_, name)| name)
}

/// The version that is spelled so.
pub(crate) fn version_of(name: &str) -> Option<Version> {
    VERSIONS.iter().find(|(_, known)| *known == name).map(|(version, _)| *version)
}

/// Since 1970.
fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}
