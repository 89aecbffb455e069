//! The retries of one job that the purse refused: they wait in line, and are granted as first attempts pay in or,
//! when the list is done, as time passes. Here too a job looks whether it has come to its end game. Who is granted
//! what is decided in `policy::waiting`.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use smallvec::SmallVec;

use super::{Job, Reading};
use crate::Moment;
use crate::engine::core::Core;
use crate::engine::hosts::Host;
use crate::policy::budget::{Extra, Taken};
use crate::policy::hedge::Game;
use crate::policy::waiting::{Ticket, Waiting};
use crate::sink::Room;

/// The line of one job.
pub(crate) struct Late {
    core: Arc<Core>,
    state: Mutex<State>,
}

struct State {
    line: Waiting<Arc<Ask>>,
    list: List,
}

/// Whether first attempts may still start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// They pay for the retries.
    GoesOn,
    /// None will start, or none can before a retry has: time pays.
    Stands,
}

/// One that waits.
struct Ask {
    host: Arc<Host>,
    /// Of [`WAITS`], or an [`Answer`].
    answer: AtomicU8,
    waker: AtomicWaker,
}

/// No answer yet.
const WAITS: u8 = 0;

/// What one that waited is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Answer {
    /// The purse has paid.
    Granted = 1,
    /// The host was given up; nothing was paid.
    GivenUp = 2,
}

/// A fetch's place in the line. Dropping it leaves the line; what was granted meanwhile is given back.
pub(crate) struct Asking {
    late: Arc<Late>,
    ask: Arc<Ask>,
    ticket: Ticket,
    pub(crate) mirror: u32,
}

/// Those who were granted something in one step.
type Granted = SmallVec<[Arc<Ask>; 4]>;

impl Late {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let state = State { line: Waiting::default(), list: List::GoesOn };
        Self { core, state: Mutex::new(state) }
    }

    /// A first attempt at `host` has paid in.
    pub(crate) fn paid_in(&self, host: &Host) {
        let mut state = self.lock();
        if state.line.len() > 0 {
            state.line.deposited(host.origin.number);
            let granted = self.grant(&mut state);
            drop(state);
            wake(&granted);
        }
    }

    /// A request of the job was obtained.
    pub(super) fn obtained(&self, now: Moment) {
        self.lock().line.obtained(now);
    }

    /// An extra was given back.
    pub(crate) fn given_back(&self) {
        let granted = self.grant(&mut self.lock());
        wake(&granted);
    }

    /// Whether a retry at `host` may ask the purse itself: nobody is overtaken.
    pub(crate) fn may_ask(&self, host: &Host) -> bool {
        self.lock().line.may_ask(host.origin.number)
    }

    /// A retry at `mirror` waits, behind all others.
    pub(crate) fn wait(self: &Arc<Self>, host: Arc<Host>, mirror: u32) -> Asking {
        let number = host.origin.number;
        let ask = Arc::new(Ask { host, answer: AtomicU8::new(WAITS), waker: AtomicWaker::new() });
        let ticket = self.lock().line.wait(number, Arc::clone(&ask));
        Asking { late: Arc::clone(self), ask, ticket, mirror }
    }

    /// Whether first attempts may still start, as of now; when time will pay next.
    pub(crate) fn look(&self, list: List, now: Moment) -> Option<Moment> {
        let mut state = self.lock();
        if state.list != list {
            state.list = list;
            match list {
                List::GoesOn => state.line.list_goes_on(),
                List::Stands => state.line.list_done(now, self.core.purse.ratio(Extra::Retry)),
            }
        }
        state.line.wake()
    }

    /// Pays in what time has paid for until now.
    pub(crate) fn refill(&self, now: Moment) {
        let mut state = self.lock();
        let paid = state.line.refill(now);
        if paid > 0 {
            self.core.purse.refill(paid);
            let granted = self.grant(&mut state);
            drop(state);
            wake(&granted);
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().line.len()
    }

    fn grant(&self, state: &mut State) -> Granted {
        let purse = &self.core.purse;
        let answer = Cell::new(Answer::Granted);
        let take = |ask: &Ask| {
            if ask.host.gate.is_given_up() {
                answer.set(Answer::GivenUp);
                return Taken::Granted;
            }
            answer.set(Answer::Granted);
            match purse.balance(Extra::Retry) {
                Some(0) => Taken::Refused,
                _ => ask.host.purse.take_for_waiting(Extra::Retry, purse),
            }
        };
        let mut granted = Granted::new();
        while let Some(ask) = state.line.grant(|_, ask| take(ask)) {
            ask.answer.store(answer.get() as u8, Ordering::Release);
            granted.push(ask);
        }
        granted
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(granted: &Granted) {
    granted.iter().for_each(|ask| ask.waker.wake());
}

impl Job {
    /// When time will pay for a retry that waits, if it does: when no first attempt can start any more, or none before
    /// a retry that waits has.
    pub(super) fn late_wake(&mut self, cx: &mut Context<'_>) -> Option<Moment> {
        if self.late.waiting() == 0 {
            return None;
        }
        let done = self.stopped.is_some() || (self.reading == Reading::Over && self.queue.is_empty());
        let all_wait = self.at_gates.is_empty()
            && self.entered.is_empty()
            && self.terms.tallies.late() >= self.running.len();
        let stands = done || all_wait || self.terms.sink.room(cx) != Room::Any;
        let list = if stands { List::Stands } else { List::GoesOn };
        self.late.look(list, self.core.clock.now())
    }

    /// When the end game begins, hedges may be due that were not.
    pub(super) fn look_for_the_end_game(&mut self) {
        if self.game == Game::Ending || !self.terms.plan.hedge.is_some_and(|after| after.is_learned()) {
            return;
        }
        let (settled, inputs) = self.terms.tallies.settled_of();
        self.game = Game::of(settled, inputs, self.core.purse.balance(Extra::Hedge));
        if self.game == Game::Ending {
            self.running.iter_mut().for_each(|running| running.fetch.as_mut().advise());
        }
    }
}

impl Ask {
    fn take(&self) -> Option<Answer> {
        match self.answer.swap(WAITS, Ordering::AcqRel) {
            given if given == Answer::Granted as u8 => Some(Answer::Granted),
            given if given == Answer::GivenUp as u8 => Some(Answer::GivenUp),
            _ => None,
        }
    }
}

impl Asking {
    /// Ready when it was answered; whoever is told has taken a grant over.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Answer> {
        self.ask.waker.register(waker);
        self.ask.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let left = self.late.lock().line.leave(self.ticket);
        if left.is_none() && self.ask.take() == Some(Answer::Granted) {
            self.ask.host.purse.give_back(Extra::Retry, &self.late.core.purse);
            self.late.given_back();
        }
    }
}
