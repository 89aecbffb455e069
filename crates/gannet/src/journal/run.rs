//! One job's use of its journal: what is known of each line, in the order of the list, and what becomes of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::admitted::{Admitted, Holds, Own};
use super::earlier::{Wanted, What, word_of};
use super::group::Write;
use super::line::{hash_of, url_of};
use super::names::Names;
use super::naming::{Naming, Reopens, Tell};
use super::outdated::outdated;
use super::store::Block;
use super::sum::Sum;
use super::{Handle, PartLog, fetches, place, trouble};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::event::Event;
use crate::number::ByNumber;
use crate::outcome::{Ending, Entry, Outcome, Record, Recorded, Verdict, WhyStopped};
use crate::part::Part;
use crate::request::Request;
use crate::version::{Kept, Outdated, Written};

/// One job's use of its journal.
#[derive(Debug)]
pub(crate) struct Run {
    handle: Arc<Handle>,
    /// Lines that are known from earlier runs, if the list is theirs.
    known: u64,
    is_finished: bool,
    reopens_failed: bool,
    /// Nothing is fetched but what is opened again.
    leaves_open: bool,
    other_list: OtherList,
    block: Option<Block>,
    /// Lines that were admitted and have not settled.
    open: ByNumber<Admitted>,
    /// Whether every line that was met has settled for good.
    open_ends: u64,
    /// What this job has written down itself of what is looked up.
    found: Option<Written>,
    list: List,
    /// Something is wrong: nothing more is written.
    failed: Option<Error>,
    since: Since,
    past: Past,
    names: Names,
    /// Who is to hear of files.
    naming: Naming,
    /// Room to write lines, attempts and rows in.
    bytes: Vec<u8>,
    tries: String,
    sum: Sum,
}

/// Whether there are journals of earlier jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    None,
    Some,
}

/// How far the list was read before the job was stopped, if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    GoesOn,
    /// It cannot be read on.
    Torn,
    Whole,
}

/// Whether something was asked, and is to be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IsAsked {
    Yes,
    No,
}

/// Since when what is known of the list may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Nothing has been written since the journal was opened.
    Opening,
    /// Another job has worked with it: what it has left is waited for.
    AnotherJob,
}

/// What another list is after a job that is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherList {
    IsANewJob,
    IsRefused,
}

/// What is known of a line of the list.
pub(crate) enum Known {
    /// Nothing that settles it.
    Open {
        /// The first bytes of its body that are there.
        part: Option<Box<Part>>,
        /// The body that it has had, and that is not wanted any more.
        outdated: Option<Box<Outdated>>,
    },
    /// It has settled.
    Settled(Box<Outcome>),
}

impl Run {
    pub(super) fn new(handle: Arc<Handle>, since: Since) -> Self {
        let summary = handle.known();
        let (reopens_failed, leaves_open) = (handle.reopens_failed(), handle.leaves_open());
        let has_past = handle.is_begun_anew() || place::has_history(&handle.path);
        let past = if has_past { Past::Some } else { Past::None };
        let other_list = handle.other_list();
        let names = handle.lock_names().clone();
        if since == Since::Opening {
            handle.scribe.read_ahead(0..summary.lines);
        }
        Self {
            handle,
            known: summary.lines,
            is_finished: summary.is_finished,
            reopens_failed,
            leaves_open,
            other_list,
            block: None,
            open: ByNumber::default(),
            open_ends: 0,
            found: None,
            list: List::GoesOn,
            failed: None,
            since,
            past,
            names,
            naming: Naming::Done,
            bytes: Vec::new(),
            tries: String::new(),
            sum: Sum::default(),
        }
    }

    /// `tell` hears of the files of what has settled behind the first line that has not: before anything is said of a line.
    pub(crate) fn name_files(&mut self, tell: Tell) {
        let reopens = if self.reopens_failed { Reopens::Failed } else { Reopens::Stopped };
        self.naming = Naming::Due(tell, reopens);
    }

    /// Ready when it can be said of the line of this number what is known of it, and something can be written down.
    ///
    /// # Errors
    /// The journal is damaged, or writing it has failed; the job is over.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>, seq: u64) -> Poll<Result<(), Error>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if self.since == Since::AnotherJob {
            ready!(self.check(self.handle.scribe.poll_committed(cx)))?;
            let summary = self.handle.scribe.summary();
            (self.known, self.is_finished) = (summary.lines, summary.is_finished);
            self.handle.scribe.read_ahead(0..summary.lines);
            self.since = Since::Opening;
        }
        // The lines of another list, which is a new job, have nothing to do with them.
        if let Naming::Due(mut tell, reopens) = std::mem::take(&mut self.naming)
            && self.known > 0
            && !self.may_be_put_aside()
        {
            let names = self.names.clone();
            self.handle.scribe.tell_names(Box::new(move |path| tell(names.given(path))), reopens);
        }
        ready!(self.check(self.handle.scribe.poll_room(cx)))?;
        let has_it = |block: &Block| seq < block.first + block.hashes.len() as u64;
        while seq < self.known && !self.block.as_ref().is_some_and(has_it) {
            // Room for the next one, before that is there.
            self.block = None;
            let block = ready!(self.handle.scribe.poll_block(cx));
            let missing = || trouble::damaged(&self.handle.path, "its lines are missing");
            match block.and_then(|block| block.ok_or_else(missing)) {
                Ok(block) => self.block = Some(block),
                Err(error) => return self.check(Poll::Ready(Err(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn check(&mut self, polled: Poll<Result<(), Error>>) -> Poll<Result<(), Error>> {
        if let Poll::Ready(Err(error)) = &polled {
            self.failed.get_or_insert_with(|| error.clone());
        }
        polled
    }

    /// What is known of the next line of the list. To be called after [`poll_ready`](Self::poll_ready).
    ///
    /// # Errors
    /// The line is another one than that of the unfinished job; nothing more is written down.
    pub(crate) fn admit(
        &mut self,
        seq: u64,
        line: Option<u64>,
        request: &Result<Request, Error>,
    ) -> Result<Known, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // What a source gives out behind it has no place that is known.
        if self.list == List::Torn || request.as_ref().is_err_and(is_no_line) {
            self.list = List::Torn;
            return Ok(Known::Open { part: None, outdated: None });
        }
        let hash = hash_of(request, &mut self.bytes);
        let before = self.compare(seq, line, hash, request)?;
        let outdated = before.as_ref().and_then(|row| outdated(row, request));
        let before = match before {
            Some(row) if self.settles(&row, outdated.as_deref()) => {
                let mut outcome = row.into_outcome();
                // The list may have grown comments since.
                outcome.line = line.or(outcome.line);
                return Ok(Known::Settled(Box::new(outcome)));
            }
            other => other,
        };
        let is_opened_again = outdated.is_some() || before.as_ref().is_some_and(has_failed);
        if self.leaves_open && !is_opened_again {
            self.open_ends += 1;
            let url = url_of(request).into();
            return Ok(Known::Settled(Box::new(left_open(seq, line, url, before.as_ref()))));
        }
        let method = request.as_ref().map_or(http::Method::GET, |request| request.http_method().clone());
        let holds = if outdated.is_some() { Holds::Outdated } else { Holds::Nothing };
        let goes_once = request.as_ref().is_ok_and(|request| !request.template.is_repeatable());
        let is_bare =
            before.is_none() && method == http::Method::GET && !goes_once && holds == Holds::Nothing;
        let own = (!is_bare).then(|| Box::new(Own { method, goes_once, row: before, kept: None, holds }));
        self.open.insert(seq, Admitted { hash, own });
        let block = self.block.as_mut().filter(|_| seq < self.known);
        Ok(Known::Open { part: block.and_then(|block| block.take_part(seq)), outdated })
    }

    /// What has settled of the next line, where nothing more is begun: nothing is written down, and a line that is another
    /// one is not known. To be called after [`poll_ready`](Self::poll_ready).
    pub(crate) fn recall(
        &mut self,
        seq: u64,
        line: Option<u64>,
        request: &Result<Request, Error>,
    ) -> Option<Box<Outcome>> {
        if self.failed.is_some() || seq >= self.known {
            return None;
        }
        let block = self.block.as_mut()?;
        let place = usize::try_from(seq.checked_sub(block.first)?).ok()?;
        if block.hashes.get(place) != Some(&hash_of(request, &mut self.bytes)) {
            return None;
        }
        let row = block.take(seq).filter(|row| *row.url == *url_of(request))?;
        let row = self.named(row);
        self.settles(&row, outdated(&row, request).as_deref()).then(|| {
            let mut outcome = row.into_outcome();
            outcome.line = line.or(outcome.line);
            Box::new(outcome)
        })
    }

    /// What an earlier run has left of a body is not gone on with.
    pub(crate) fn part_gone(&self, seq: u64) {
        self.part_log().hear(&Event::PartGone { seq });
    }

    /// Where it is told what becomes of parts.
    pub(crate) fn part_log(&self) -> PartLog {
        PartLog::of(&self.handle.scribe)
    }

    /// The row of this line, if it is a line of the job; a line that is new is written down.
    fn compare(
        &mut self,
        seq: u64,
        line: Option<u64>,
        hash: u64,
        request: &Result<Request, Error>,
    ) -> Result<Option<Recorded>, Error> {
        if seq >= self.known {
            self.handle.scribe.push(Write::Line(hash));
            return Ok(None);
        }
        let may_be_put_aside = self.may_be_put_aside();
        let block = self.block.as_mut().expect("a line is admitted when its block is there");
        let place = usize::try_from(seq - block.first).expect("a block is short");
        if block.hashes.get(place) == Some(&hash) {
            let row = block.take(seq);
            return match row {
                // Two lines of one hash are not one line.
                Some(row) if *row.url != *url_of(request) => Err(self.other_list(seq, line, Some(&row))),
                row => Ok(row.map(|row| self.named(row))),
            };
        }
        if may_be_put_aside {
            self.handle.scribe.push(Write::Fork(seq));
            self.past = Past::Some;
            self.handle.scribe.push(Write::Line(hash));
            self.known = seq;
            return Ok(None);
        }
        let row = block.take(seq);
        Err(self.other_list(seq, line, row.as_ref()))
    }

    /// The row with the name that this run gives its file.
    fn named(&self, row: Recorded) -> Recorded {
        let path = row.path.map(|path: PathBuf| self.names.given(path));
        Recorded { path, ..row }
    }

    /// Whether the row is the last word on its line; what speaks against its body counts if that is there.
    fn settles(&self, row: &Recorded, outdated: Option<&Outdated>) -> bool {
        match row.ending {
            Ending::Ok | Ending::Skipped => outdated.is_none(),
            Ending::Failed => !self.reopens_failed,
            Ending::Unfinished | Ending::Cancelled => false,
        }
    }

    /// Whether another list is a new job.
    fn may_be_put_aside(&self) -> bool {
        self.is_finished && self.other_list == OtherList::IsANewJob
    }

    fn what_is_there(&self) -> &'static str {
        match self.is_finished {
            true => "belongs to a job with another list",
            false => "belongs to an unfinished job with another list",
        }
    }

    fn other_list(&mut self, seq: u64, line: Option<u64>, row: Option<&Recorded>) -> Error {
        let which = match line {
            Some(line) => format!("line {line}"),
            None => format!("request {}", seq + 1),
        };
        let was = row.map_or_else(String::new, |row| format!(", which was {}", row.url));
        let message = format!("{}: {which} differs{was}", self.what_is_there());
        let error = trouble::of(ErrorKind::JournalOtherList, &self.handle.path, message);
        self.failed.get_or_insert(error).clone()
    }

    /// Asks what is written down of a line that was admitted, and of its file; of this job first.
    pub(crate) fn look_up(&mut self, seq: u64, url: &str, file: &Path) {
        let wanted = Wanted { seq, url: url.into(), file: self.names.kept(file), what: What::Version };
        let own = self.open.get(&seq).and_then(|admitted| admitted.own.as_deref());
        self.found = own.and_then(|own| own.row.as_ref()).and_then(|row| word_of(row, &wanted));
        if self.found.is_none() {
            self.handle.scribe.look_up(wanted);
        }
    }

    /// Asks whose file this is that is there already for the line; of earlier jobs, for this one gives each of its lines a
    /// file of its own. `No` if there are none: then nothing is asked.
    pub(crate) fn look_up_owner(&self, seq: u64, url: &str, file: &Path) -> IsAsked {
        if self.past == Past::None {
            return IsAsked::No;
        }
        let wanted = Wanted { seq, url: url.into(), file: self.names.kept(file), what: What::Owner };
        self.handle.scribe.look_up(wanted);
        IsAsked::Yes
    }

    /// What is written down.
    pub(crate) fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<Written> {
        if let Some(written) = self.found.take() {
            return Poll::Ready(written);
        }
        self.handle.scribe.poll_found(cx).map(|written| match written {
            Written::Beside(own) => Written::Beside(self.names.given(own)),
            other => other,
        })
    }

    /// The line's file holds this, and is asked about.
    pub(crate) fn keeps(&mut self, seq: u64, kept: &Kept) {
        if let Some(admitted) = self.open.get_mut(&seq).filter(|_| kept.url.is_some()) {
            admitted.own.get_or_insert_default().kept = Some(kept.clone());
        }
    }

    /// Something has settled. What was stopped before it was tried leaves no row: it is not done.
    pub(crate) fn settled(&mut self, outcome: &Outcome) {
        if outcome.is_from_journal() {
            return;
        }
        let Some(Admitted { hash, own }) = self.open.remove(&outcome.seq()) else { return };
        let own = own.map_or_else(Own::default, |own| *own);
        // An output that is gone says nothing of the request, nor does a want of descriptors: it goes on later.
        let is_lost = outcome
            .error()
            .map(Error::kind)
            .is_some_and(|kind| kind.ends_the_output() || kind == ErrorKind::NoDescriptors);
        let is_stopped = is_lost || matches!(outcome.ending(), Ending::Unfinished | Ending::Cancelled);
        // Nothing is asked twice that may not be, by no run.
        let is_spent = is_stopped && own.goes_once && was_sent(outcome);
        self.open_ends += u64::from(is_stopped && !is_spent);
        if self.failed.is_some() || (is_stopped && outcome.attempts().is_empty()) {
            return;
        }
        let mut row = Entry::of_outcome(outcome, &own.method, hash, &mut self.tries);
        if let Some(before) = &own.row {
            row.follows(before);
        }
        if is_spent {
            row.is_unanswered();
        } else if is_lost {
            row.ending = Ending::Unfinished;
        }
        if let Some(before) = own.row.as_ref().filter(|row| is_stopped && has_failed(row))
            && self.leaves_open
        {
            row.has_failed_as(before);
        }
        if outcome.ending() != Ending::Ok {
            match (&own.kept, &own.row) {
                (Some(kept), _) => row.still_has(kept),
                (None, Some(before)) if own.holds == Holds::Outdated => row.still_has_body_of(before),
                (None, _) => {}
            }
        }
        let kept = row.path.map(|path| self.names.kept(path));
        row.path = kept.as_deref();
        let before = own.row.as_ref().map(|before| (before.ending, before.bytes));
        fetches::write(&row, &mut self.sum);
        self.handle.scribe.push_row(&row, &self.sum, before);
    }

    /// What has gone wrong with the journal.
    pub(crate) fn error(&self) -> Option<Error> {
        self.failed.clone().or_else(|| self.handle.scribe.error())
    }

    /// The list has ended, after so many lines; the job had not been stopped.
    pub(crate) fn input_ended(&mut self, inputs: u64) {
        if self.list == List::Torn {
            return;
        }
        self.list = List::Whole;
        if inputs < self.known && !self.may_be_put_aside() && self.failed.is_none() {
            let what = self.what_is_there();
            let message = format!("{what}: this one ends after {inputs} of {} lines", self.known);
            let error = trouble::of(ErrorKind::JournalOtherList, &self.handle.path, message);
            self.failed = Some(error);
        }
    }

    /// Nothing more comes: ready when all that has settled is committed.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_done = self.open_ends == 0 && self.open.is_empty();
        if self.list == List::Whole && is_done && self.failed.is_none() {
            // Once.
            self.open_ends = u64::MAX;
            self.handle.scribe.push(Write::Finish);
        }
        self.handle.scribe.poll_committed(cx).map(|committed| {
            if let Err(error) = committed {
                self.failed.get_or_insert(error);
            }
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.handle.release();
    }
}

/// What stands for all that a list still has, and cannot be read.
fn is_no_line(error: &Error) -> bool {
    error.kind() == ErrorKind::InputUnreadable
}

/// Whether the server may have seen the request of which nothing was made in the end.
fn was_sent(outcome: &Outcome) -> bool {
    outcome.attempts().last().is_some_and(|attempt| match attempt.why_stopped {
        WhyStopped::Failed(_) => attempt.status.is_some(),
        _ => attempt.connection.is_some(),
    })
}

fn has_failed(row: &Recorded) -> bool {
    row.ending == Ending::Failed
}

/// What ends without being tried, as open as it was.
fn left_open(seq: u64, line: Option<u64>, url: Box<str>, before: Option<&Recorded>) -> Outcome {
    let was_late = before.and_then(|row| row.error.as_ref()).map(|error| error.kind);
    let kind = was_late.filter(|kind| *kind == ErrorKind::JobDeadline).unwrap_or(ErrorKind::Cancelled);
    let error = Error::new(kind, Phase::Queue, "left as it is: only what failed is tried again");
    let record = Record { ended: Some(Clock::wall()), ..Record::default() };
    Outcome::new(seq, line, url.clone(), Verdict::Not(error.of_url(url)), record)
}
