//! Stands for the journal where the feature `journal` is off: there is none.

use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use crate::error::Error;
use crate::event::Event;
use crate::outcome::Outcome;
use crate::part::Part;
use crate::request::Request;
use crate::version::{Kept, Outdated, Written};

/// No journal.
pub(crate) enum Ledger {}

#[expect(dead_code, reason = "without a journal nothing is known")]
pub(crate) enum Known {
    Open { part: Option<Box<Part>>, outdated: Option<Box<Outdated>> },
    Settled(Box<Outcome>),
}

/// Nobody hears of parts.
#[derive(Clone)]
pub(crate) enum PartLog {}

impl PartLog {
    pub(crate) fn hear(&self, _: &Event<'_>) {
        match *self {}
    }

    pub(crate) fn poll_written(&self, _: u64, _: &mut Context<'_>) -> Poll<()> {
        match *self {}
    }
}

#[expect(dead_code, reason = "without a journal nothing is asked")]
#[derive(PartialEq, Eq)]
pub(crate) enum IsAsked {
    Yes,
    No,
}

impl Ledger {
    pub(crate) fn poll_ready(&mut self, _: &mut Context<'_>, _: u64) -> Poll<Result<(), Error>> {
        match *self {}
    }

    pub(crate) fn admit(
        &mut self,
        _: u64,
        _: Option<u64>,
        _: &Result<Request, Error>,
    ) -> Result<Known, Error> {
        match *self {}
    }

    pub(crate) fn name_files(&mut self, _: Box<dyn FnMut(PathBuf) + Send>) {
        match *self {}
    }

    pub(crate) fn look_up(&mut self, _: u64, _: &str, _: &Path) {
        match *self {}
    }

    pub(crate) fn look_up_owner(&self, _: u64, _: &str, _: &Path) -> IsAsked {
        match *self {}
    }

    pub(crate) fn poll_found(&mut self, _: &mut Context<'_>) -> Poll<Written> {
        match *self {}
    }

    pub(crate) fn keeps(&mut self, _: u64, _: &Kept) {
        match *self {}
    }

    pub(crate) fn recall(
        &mut self,
        _: u64,
        _: Option<u64>,
        _: &Result<Request, Error>,
    ) -> Option<Box<Outcome>> {
        match *self {}
    }

    pub(crate) fn part_gone(&self, _: u64) {
        match *self {}
    }

    pub(crate) fn part_log(&self) -> PartLog {
        match *self {}
    }

    pub(crate) fn settled(&mut self, _: &Outcome) {
        match *self {}
    }

    pub(crate) fn error(&self) -> Option<Error> {
        match *self {}
    }

    pub(crate) fn input_ended(&mut self, _: u64) {
        match *self {}
    }

    pub(crate) fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<()> {
        match *self {}
    }
}
