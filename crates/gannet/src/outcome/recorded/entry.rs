//! What a journal is to keep of one request, borrowed from its outcome or from the row that it was. Plain data: nothing
//! here reads or writes a journal.

use std::borrow::Cow;
use std::path::Path;

use http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderName, Method, Version};

use super::{Recorded, RecordedError, Wanted, micros, millis, tries};
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::{Ending, Outcome, Verdict};
use crate::version::Kept;

/// What is to be kept of one request; the fields are those of [`Recorded`].
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) seq: u64,
    pub(crate) line: Option<u64>,
    pub(crate) url: &'a str,
    pub(crate) method: &'a str,
    pub(crate) line_hash: u64,
    pub(crate) ending: Ending,
    pub(crate) error: Option<EntryError<'a>>,
    pub(crate) status: Option<u16>,
    pub(crate) http: Option<Version>,
    pub(crate) bytes: u64,
    pub(crate) final_url: Option<&'a str>,
    pub(crate) path: Option<&'a Path>,
    pub(crate) etag: Option<Cow<'a, str>>,
    pub(crate) last_modified: Option<Cow<'a, str>>,
    pub(crate) content_type: Option<Cow<'a, str>>,
    pub(crate) digests: Option<Cow<'a, str>>,
    pub(crate) attempts: u32,
    pub(crate) winner: Option<usize>,
    pub(crate) tries: Option<Cow<'a, str>>,
    /// In milliseconds since 1970.
    pub(crate) started: Option<u64>,
    pub(crate) ended: Option<u64>,
    /// In microseconds.
    pub(crate) queued: u64,
    pub(crate) total: u64,
}

/// Why it was not obtained.
#[derive(Debug)]
pub(crate) struct EntryError<'a> {
    pub(crate) kind: ErrorKind,
    pub(crate) phase: Phase,
    pub(crate) message: &'a str,
    pub(crate) wanted: Option<Wanted>,
}

impl<'a> Entry<'a> {
    /// Of an outcome. Its attempts are written to `tries`.
    pub(crate) fn of_outcome(
        outcome: &'a Outcome,
        method: &'a Method,
        line_hash: u64,
        tries: &'a mut String,
    ) -> Self {
        let reply = outcome.reply();
        let field = |name: HeaderName| {
            let value = reply?.headers.get(name)?.as_bytes();
            // What looks for what is wrong with a text is slow where nothing is.
            Some(str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed))
        };
        let unchanged = match &outcome.verdict {
            Verdict::Got(got) => got.unchanged.as_deref(),
            Verdict::Skipped(_) | Verdict::Not(_) => None,
        };
        let attempts = outcome.attempts();
        let left_out = tries::write(tries, attempts);
        Self {
            seq: outcome.seq(),
            line: outcome.line(),
            url: outcome.url(),
            method: method.as_str(),
            line_hash,
            ending: outcome.ending(),
            error: outcome.error().map(EntryError::of),
            status: outcome.status().map(|status| status.as_u16()),
            http: reply.map(|reply| reply.version),
            bytes: outcome.length(),
            final_url: reply.map(|reply| &*reply.url).filter(|url| *url != outcome.url()),
            path: outcome.path(),
            // A 304 need not name them; and of a file that it found by its time alone, none is known.
            etag: unchanged.map_or_else(|| field(ETAG), |kept| borrowed(&kept.etag)),
            last_modified: unchanged
                .map_or_else(|| field(LAST_MODIFIED), |kept| borrowed(&kept.last_modified)),
            content_type: field(CONTENT_TYPE),
            #[cfg(feature = "digests")]
            digests: super::digests::write(outcome.digests()).map(Cow::Owned),
            #[cfg(not(feature = "digests"))]
            digests: None,
            attempts: u32::try_from(attempts.len()).unwrap_or(u32::MAX),
            winner: outcome.winner().and_then(|winner| winner.checked_sub(left_out)),
            tries: (!attempts.is_empty()).then_some(Cow::Borrowed(tries)),
            started: outcome.started().map(millis),
            ended: outcome.ended().map(millis),
            queued: micros(outcome.queued()),
            total: micros(outcome.total()),
        }
    }

    /// Of a row, as it is.
    pub(crate) fn of_row(row: &'a Recorded) -> Self {
        Self {
            seq: row.seq,
            line: row.line,
            url: &row.url,
            method: row.method.as_str(),
            line_hash: row.line_hash,
            ending: row.ending,
            error: row.error.as_ref().map(EntryError::of_row),
            status: row.status,
            http: row.http,
            bytes: row.bytes,
            final_url: row.final_url.as_deref(),
            path: row.path.as_deref(),
            etag: borrowed(&row.etag),
            last_modified: borrowed(&row.last_modified),
            content_type: borrowed(&row.content_type),
            digests: borrowed(&row.digests),
            attempts: row.attempts,
            winner: row.winner,
            tries: borrowed(&row.tries),
            started: row.started.map(millis),
            ended: row.ended.map(millis),
            queued: micros(row.queued),
            total: micros(row.total),
        }
    }

    /// It takes the place of a row that was opened again: the attempts of that stay.
    pub(crate) fn follows(&mut self, before: &Recorded) {
        if let Some(tries) = &before.tries {
            let began = before.started.map_or(0, millis);
            self.tries = tries::join(tries, began, self.tries.as_deref()).map(Cow::Owned);
        }
    }

    /// It was stopped after it was sent, and may not be sent twice.
    pub(crate) fn is_unanswered(&mut self) {
        let phase = self.error.as_ref().map_or(Phase::Wait, |error| error.phase);
        let message = "the run ended after this was sent, which may not be sent twice: it may have been done";
        self.ending = Ending::Failed;
        self.error = Some(EntryError { kind: ErrorKind::Unanswered, phase, message, wanted: None });
    }

    /// It was stopped while it was tried again: it has failed as it had before.
    pub(crate) fn has_failed_as(&mut self, before: &'a Recorded) {
        self.ending = before.ending;
        self.error = before.error.as_ref().map(EntryError::of_row);
        self.status = before.status;
    }

    /// It was not obtained, and its file holds what it held.
    pub(crate) fn still_has(&mut self, kept: &'a Kept) {
        let Kept { there, url, etag, last_modified, .. } = kept;
        self.path = Some(&there.path);
        self.bytes = there.length;
        self.final_url = url.as_deref().filter(|url| *url != self.url);
        self.etag = borrowed(etag);
        self.last_modified = borrowed(last_modified);
    }

    /// It was not obtained, and its file holds what the row before says.
    pub(crate) fn still_has_body_of(&mut self, before: &'a Recorded) {
        self.path = before.path.as_deref();
        self.bytes = before.bytes;
        self.final_url = before.final_url.as_deref();
        self.etag = borrowed(&before.etag);
        self.last_modified = borrowed(&before.last_modified);
        self.digests = borrowed(&before.digests);
    }
}

impl<'a> EntryError<'a> {
    fn of(error: &'a Error) -> Self {
        let wanted = match () {
            () if error.is_out_of_budget() => Some(Wanted::Budget),
            () if error.is_out_of_time() => Some(Wanted::Time),
            () => None,
        };
        Self { kind: error.kind(), phase: error.phase(), message: error.message(), wanted }
    }

    fn of_row(error: &'a RecordedError) -> Self {
        let RecordedError { kind, phase, message, wanted } = error;
        Self { kind: *kind, phase: *phase, message, wanted: *wanted }
    }
}

fn borrowed(text: &Option<Box<str>>) -> Option<Cow<'_, str>> {
    text.as_deref().map(Cow::Borrowed)
}
