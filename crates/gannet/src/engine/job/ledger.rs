//! The job's dealings with its journal, if it has one: what is known of a line is asked before it is queued, what has
//! settled is handed over. What a journal says is decided in `journal`.

use std::task::{Context, Poll};

use super::{Job, Stop, unstarted_as};
use crate::error::Error;
use crate::event::Event;
use crate::outcome::{Outcome, Verdict};
use crate::request::Request;
use crate::source::Input;

#[cfg(feature = "journal")]
pub(crate) use crate::journal::{IsAsked, Known, PartLog, Run as Ledger};
#[cfg(not(feature = "journal"))]
pub(crate) use absent::{IsAsked, Known, Ledger, PartLog};

#[cfg(not(feature = "journal"))]
mod absent;

impl Job {
    /// Whether the job's journal can say what it knows of the next line, and take what comes of it. A journal that has
    /// failed stops the job.
    pub(super) fn may_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Requests are queued in the order of the list.
        if self.looking.is_some() {
            return Poll::Pending;
        }
        let Some(ledger) = &mut self.terms.ledger else { return Poll::Ready(()) };
        match ledger.poll_ready(cx, self.inputs) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // What the source still holds is accounted for.
            Poll::Ready(Err(_)) => {
                self.stop(Stop::Cancelled);
                Poll::Ready(())
            }
        }
    }

    /// Asks the journal about an input; `None` if it is to be fetched, or has an error of its own that is told. What is
    /// done is done, also where nothing more is begun.
    pub(super) fn known(&mut self, seq: u64, input: &mut Input) -> Option<Outcome> {
        let ledger = self.terms.ledger.as_mut()?;
        let known = match self.stopped {
            Some(_) => Ok(Known::Settled(ledger.recall(seq, input.line, &input.request)?)),
            None => ledger.admit(seq, input.line, &input.request),
        };
        match known {
            Ok(Known::Open { part, outdated }) => {
                if let Ok(request) = &mut input.request {
                    request.part = request.part.take().or(part);
                    request.outdated = outdated;
                }
                None
            }
            Ok(Known::Settled(outcome)) => {
                if let Ok(request) = &mut input.request {
                    self.terms.sink.known(seq, request, outcome.path());
                }
                Some(*outcome)
            }
            Err(error) => {
                let url = url_of(&input.request);
                let outcome = unstarted_as(seq, input.line, url.clone(), Verdict::Not(error.of_url(url)));
                self.stop(Stop::Cancelled);
                Some(outcome)
            }
        }
    }

    /// What is there already is not gone on with: nothing stays of what an earlier run has left of its body.
    pub(super) fn drop_part(&self, seq: u64, request: &mut Request) {
        let Some(part) = request.part.take() else { return };
        // What cannot be opened cannot be removed either.
        let opened = self.terms.sink.reopen(seq, request, &part).ok().flatten();
        opened.into_iter().for_each(|part| part.discard());
        if let Some(ledger) = &self.terms.ledger {
            ledger.part_gone(seq);
        }
        self.tell(&Event::PartGone { seq });
    }

    /// Hands over what has settled.
    pub(super) fn record(&mut self, outcome: &Outcome) {
        if let Some(ledger) = &mut self.terms.ledger {
            ledger.settled(outcome);
            if ledger.error().is_some() {
                self.stop(Stop::Cancelled);
            }
        }
    }

    /// The list has ended.
    pub(super) fn tell_ledger_of_end(&mut self) {
        let is_whole = self.stopped.is_none();
        if let Some(ledger) = self.terms.ledger.as_mut().filter(|_| is_whole) {
            ledger.input_ended(self.inputs);
        }
    }

    /// Ready when the journal has all that has settled.
    pub(super) fn poll_recorded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.terms.ledger {
            Some(ledger) => ledger.poll_end(cx),
            None => Poll::Ready(()),
        }
    }

    /// What went wrong with the journal, if something did.
    pub(crate) fn ledger_error(&self) -> Option<Error> {
        self.terms.ledger.as_ref().and_then(Ledger::error)
    }
}

fn url_of(request: &Result<Request, Error>) -> Box<str> {
    match request {
        Ok(request) => request.url().into(),
        Err(error) => error.url().unwrap_or_default().into(),
    }
}
