//! The gate of one host: who may send to it now, and who waits. One freed place wakes exactly one waiter, and a
//! waiter that goes away passes its wake on. The numbers are decided by `policy::host`; what it wants to be asked
//! again for, at some moment, the first in line waits for with a timer.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;

use super::timer::Timer;
use crate::Moment;
use crate::clock::Clock;
use crate::permit::{Gatekeeper, Left, Pass, Permit};
use crate::policy::host::{Entry, Held, HostRules, Shut, Speaks};

/// The gate of one host.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Permits given out by all gates of the client.
    given: Arc<AtomicUsize>,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    rules: HostRules,
    waiting: VecDeque<Arc<Cell>>,
    /// How many of `waiting` have gone away.
    gone: usize,
    /// What the first in line has set its timer to.
    armed: Option<Moment>,
    dice: fastrand::Rng,
    /// What went wrong here last, for those who are turned away. Nothing did at most hosts: one word for these.
    #[expect(clippy::box_collection, reason = "a million hosts are known, and most have none")]
    trouble: Option<Box<String>>,
}

/// A waiter's half of a grant.
#[derive(Debug)]
struct Cell {
    grant: Mutex<Grant>,
    /// Who waits goes away at this moment.
    deadline: Option<Moment>,
}

#[derive(Debug)]
enum Grant {
    Awaited(Waker),
    Granted(Pass),
    Closed(Closed),
    Over,
}

/// Why nobody is let in, and waiting does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The server wants to be left alone until then: longer than is waited for, or than the waiter has time.
    Away(Moment),
    /// Most attempts failed, and the next one goes after the waiter has gone.
    Failing(Moment),
    /// Nothing but failures came from the host for too long.
    GivenUp,
}

impl Closed {
    /// What one with this deadline waits for in vain.
    fn for_one_until(deadline: Option<Moment>, (until, why): (Moment, Shut)) -> Option<Self> {
        deadline.filter(|deadline| *deadline <= until).map(|_| match why {
            Shut::Asked => Self::Away(until),
            Shut::Failing => Self::Failing(until),
        })
    }
}

/// Where in the line one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// All who wait.
    All,
    /// Nobody: a hedge that is due.
    Nobody,
}

/// Those to be woken once the lock is free.
type Woken = SmallVec<[Waker; 2]>;

impl Gate {
    pub(crate) fn new(rules: HostRules, given: Arc<AtomicUsize>, clock: Clock, seed: u64) -> Self {
        let dice = fastrand::Rng::with_seed(seed);
        let state = State { rules, waiting: VecDeque::new(), gone: 0, armed: None, dice, trouble: None };
        Self { state: Mutex::new(state), given, clock }
    }

    /// A place, if one is free and nobody waits for it.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.has_waiters() {
            return None;
        }
        let Entry::Granted(pass) = state.rules.enter(now) else { return None };
        drop(state);
        Some(self.permit(pass))
    }

    /// Waits for a place, in the order of asking; one who goes away at `deadline` is told at once when the server
    /// wants to be left alone until later.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; a place that was already granted goes to the next.
    pub(crate) fn enter(self: &Arc<Self>, behind: Behind, deadline: Option<Moment>) -> Entering {
        Entering { gate: Arc::clone(self), stage: Stage::New, behind, deadline, timer: Timer::default() }
    }

    /// A place beyond the limit, for one whom those inside are made to wait for by ourselves.
    pub(crate) fn enter_beyond(self: &Arc<Self>) -> Permit {
        let pass = self.lock().rules.enter_beyond(self.clock.now());
        self.permit(pass)
    }

    /// Whether nothing but the number of requests in flight keeps others out: no wish of the server's, no failures and no
    /// rate.
    pub(crate) fn is_merely_full(&self) -> bool {
        matches!(self.held(), None | Some(Held::Limit(_)))
    }

    /// The host answered in this version; if that widens the gate, waiters come in.
    pub(crate) fn learned(&self, speaks: Speaks) {
        self.change(|rules, _, _| rules.learned(speaks));
    }

    /// The server says that nothing is left for this long.
    pub(crate) fn exhausted(&self, length: std::time::Duration) {
        self.change(|rules, now, dice| rules.exhausted(length, now, dice.u32(..)));
    }

    /// The host wants this long between two requests.
    #[cfg(feature = "robots")]
    pub(crate) fn crawl_delay(&self, delay: std::time::Duration) {
        self.change(|rules, _, _| rules.crawl_delay(delay));
    }

    /// Requests that may be in flight now.
    pub(crate) fn limit(&self) -> u32 {
        self.lock().rules.limit()
    }

    /// An exchange here went wrong, by the host's fault.
    pub(crate) fn went_wrong(&self, message: &str) {
        self.lock().trouble = Some(Box::new(message.to_owned()));
    }

    /// What went wrong here last.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock().trouble.as_deref().cloned()
    }

    /// Why one who asked now would have to wait, for people; `None` if it would not.
    pub(crate) fn held(&self) -> Option<Held> {
        self.lock().rules.held(self.clock.now())
    }

    /// Whether hedges are held back here, since refusals have lowered the host.
    pub(crate) fn holds_hedges(&self) -> bool {
        self.lock().rules.holds_hedges(self.clock.now())
    }

    /// Whether nobody is let in, by the server's wish or since most attempts failed.
    pub(crate) fn is_shut(&self) -> bool {
        self.lock().rules.shut_until(self.clock.now()).is_some()
    }

    /// Whether nobody waits for the host any more, since nothing but failures came from it.
    pub(crate) fn is_given_up(&self) -> bool {
        self.lock().rules.is_given_up(self.clock.now())
    }

    /// Whether there is nothing to remember of the host.
    pub(crate) fn is_idle(&self) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        // Nobody else has looked since the last one left.
        state.rules.look(now);
        !state.has_waiters() && state.rules.is_idle(now)
    }

    fn permit(self: &Arc<Self>, pass: Pass) -> Permit {
        self.given.fetch_add(1, Ordering::Relaxed);
        Permit::new(Arc::clone(self) as Arc<dyn Gatekeeper>, pass)
    }

    /// Tells the rules something, and lets in whom they then let in.
    fn change(&self, tell: impl FnOnce(&mut HostRules, Moment, &mut fastrand::Rng)) {
        let now = self.clock.now();
        let mut state = self.lock();
        let State { rules, dice, .. } = &mut *state;
        tell(rules, now, dice);
        let woken = state.serve(now);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gatekeeper for Gate {
    fn answered(&self, pass: Pass, left: Left) {
        self.change(|rules, now, _| rules.answered(pass, left, now));
    }

    fn leave(&self, pass: Pass, left: Left) {
        self.given.fetch_sub(1, Ordering::Relaxed);
        self.change(|rules, now, dice| rules.leave(pass, left, now, dice.u32(..)));
    }
}

impl State {
    fn has_waiters(&self) -> bool {
        self.waiting.len() > self.gone
    }

    /// Gives free places to those who wait, in their order, and turns away those for whom waiting is in vain. Somebody
    /// who still waits is woken to mind the moment at which the rules want to be asked again.
    fn serve(&mut self, now: Moment) -> Woken {
        let mut woken = Woken::new();
        while self.has_waiters() {
            match self.rules.enter(now) {
                Entry::Granted(pass) => woken.extend(self.grant(pass, now)),
                Entry::Full => break,
                Entry::NotBefore(_) => {
                    self.turn_away_late(now, &mut woken);
                    break;
                }
                Entry::Away(until) => self.turn_away(|_| Some(Closed::Away(until)), &mut woken),
                Entry::GivenUp => self.turn_away(|_| Some(Closed::GivenUp), &mut woken),
            }
        }
        let wake = if self.has_waiters() { self.rules.wake(now) } else { None };
        if wake != self.armed {
            self.armed = None;
            if wake.is_some() {
                woken.extend(self.first().and_then(|cell| cell.waker()));
            }
        }
        woken
    }

    /// The first who still waits.
    fn first(&mut self) -> Option<&Arc<Cell>> {
        while self.waiting.front().is_some_and(|cell| cell.is_over()) {
            self.waiting.pop_front();
            self.gone -= 1;
        }
        self.waiting.front()
    }

    /// Gives a place to the first in line. Whoever is then the first minds the timer.
    fn grant(&mut self, pass: Pass, now: Moment) -> Option<Waker> {
        self.first();
        let Some(cell) = self.waiting.pop_front() else {
            self.rules.leave(pass, Left::Cut, now, 0);
            return None;
        };
        self.armed = None;
        cell.becomes(Grant::Granted(pass))
    }

    /// Turns those away who have no time until the server wants to be asked again.
    fn turn_away_late(&mut self, now: Moment, woken: &mut Woken) {
        if let Some(shut) = self.rules.shut_until(now) {
            self.turn_away(|cell| Closed::for_one_until(cell.deadline, shut), woken);
        }
    }

    /// Turns away those whom `why` gives a reason.
    fn turn_away(&mut self, why: impl Fn(&Cell) -> Option<Closed>, woken: &mut Woken) {
        let before = self.waiting.len();
        self.waiting.retain(|cell| {
            let Some(why) = why(cell).filter(|_| !cell.is_over()) else { return true };
            woken.extend(cell.becomes(Grant::Closed(why)));
            false
        });
        if self.waiting.len() < before {
            self.armed = None;
        }
    }

    fn forget_gone(&mut self) {
        if self.gone > 32 && self.gone * 2 > self.waiting.len() {
            self.waiting.retain(|cell| !cell.is_over());
            self.gone = 0;
        }
    }
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, Grant> {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        matches!(*self.lock(), Grant::Over)
    }

    fn waker(&self) -> Option<Waker> {
        match &*self.lock() {
            Grant::Awaited(waker) => Some(waker.clone()),
            _ => None,
        }
    }

    /// The waiter's fate; gives its waker.
    fn becomes(&self, fate: Grant) -> Option<Waker> {
        match std::mem::replace(&mut *self.lock(), fate) {
            Grant::Awaited(waker) => Some(waker),
            _ => None,
        }
    }
}

/// The wait for a place at a gate.
pub(crate) struct Entering {
    gate: Arc<Gate>,
    stage: Stage,
    behind: Behind,
    deadline: Option<Moment>,
    timer: Timer,
}

enum Stage {
    New,
    InLine(Arc<Cell>),
    Over,
}

impl Future for Entering {
    type Output = Result<Permit, Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Stage::New = this.stage
            && let Poll::Ready(answer) = this.ask(cx)
        {
            this.stage = Stage::Over;
            return Poll::Ready(answer.map(|pass| this.gate.permit(pass)));
        }
        let Stage::InLine(cell) = &this.stage else { return Poll::Pending };
        loop {
            let mut grant = cell.lock();
            match *grant {
                Grant::Granted(pass) => {
                    *grant = Grant::Over;
                    drop(grant);
                    this.stage = Stage::Over;
                    return Poll::Ready(Ok(this.gate.permit(pass)));
                }
                Grant::Closed(why) => {
                    *grant = Grant::Over;
                    drop(grant);
                    this.stage = Stage::Over;
                    return Poll::Ready(Err(why));
                }
                Grant::Awaited(_) | Grant::Over => *grant = Grant::Awaited(cx.waker().clone()),
            }
            drop(grant);
            // The gate's lock comes first wherever both are taken.
            let now = this.gate.clock.now();
            let mut state = this.gate.lock();
            if !state.first().is_some_and(|first| Arc::ptr_eq(first, cell)) {
                return Poll::Pending;
            }
            // The moment that it minds may be now.
            state.armed = state.rules.wake(now);
            let woken = state.serve(now);
            let is_served = !matches!(*cell.lock(), Grant::Awaited(_));
            let due = if is_served { None } else { state.rules.wake(now) };
            if !is_served {
                state.armed = due;
            }
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            if !is_served && this.timer.poll(cx, &this.gate.clock, due).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Entering {
    /// Asks for the first time; pending, it stands in line.
    fn ask(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pass, Closed>> {
        let now = self.gate.clock.now();
        let mut state = self.gate.lock();
        let overtakes = self.behind == Behind::Nobody;
        let entry = if overtakes || !state.has_waiters() { state.rules.enter(now) } else { Entry::Full };
        match entry {
            Entry::Granted(pass) => return Poll::Ready(Ok(pass)),
            Entry::Away(until) => return Poll::Ready(Err(Closed::Away(until))),
            Entry::GivenUp => return Poll::Ready(Err(Closed::GivenUp)),
            Entry::Full | Entry::NotBefore(_) => {}
        }
        let shut = state.rules.shut_until(now);
        if let Some(why) = shut.and_then(|shut| Closed::for_one_until(self.deadline, shut)) {
            return Poll::Ready(Err(why));
        }
        let grant = Mutex::new(Grant::Awaited(cx.waker().clone()));
        let cell = Arc::new(Cell { grant, deadline: self.deadline });
        match self.behind {
            Behind::All => state.waiting.push_back(Arc::clone(&cell)),
            Behind::Nobody => state.waiting.push_front(Arc::clone(&cell)),
        }
        drop(state);
        self.stage = Stage::InLine(cell);
        Poll::Pending
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let Stage::InLine(cell) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let now = self.gate.clock.now();
        // The gate's lock first, as everywhere.
        let mut state = self.gate.lock();
        let was_first = state.first().is_some_and(|first| Arc::ptr_eq(first, &cell));
        let before = std::mem::replace(&mut *cell.lock(), Grant::Over);
        let woken = match before {
            Grant::Granted(pass) => {
                state.rules.leave(pass, Left::Cut, now, 0);
                state.serve(now)
            }
            Grant::Awaited(_) => {
                state.gone += 1;
                state.forget_gone();
                // The first minds the timer, or was just told to: now the next does. For all others nothing changed.
                let next = if was_first {
                    state.armed = None;
                    state.first().and_then(|cell| cell.waker())
                } else {
                    None
                };
                next.into_iter().collect()
            }
            Grant::Closed(_) | Grant::Over => return,
        };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn gate(cap: u32) -> Arc<Gate> {
        Arc::new(Gate::new(HostRules::new(Some(cap)), Arc::default(), Clock::new(), 1))
    }

    fn poll(entering: &mut Entering, count: &Arc<Count>) -> Option<Permit> {
        let waker = Waker::from(Arc::clone(count));
        match Pin::new(entering).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(entered) => Some(entered.expect("the gate is not closed")),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_freed_place_wakes_exactly_one_of_a_hundred_waiters() {
        let (gate, count) = (gate(1), Arc::new(Count::default()));
        let held = gate.try_enter().expect("a new gate has a place");
        let mut waiters: Vec<Entering> = (0..100).map(|_| gate.enter(Behind::All, None)).collect();
        assert!(waiters.iter_mut().all(|waiter| poll(waiter, &count).is_none()));
        drop(held);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(poll(&mut waiters[0], &count).is_some());
    }

    #[test]
    fn a_dropped_waiter_passes_its_wake_on() {
        let (gate, first, second) = (gate(1), Arc::new(Count::default()), Arc::new(Count::default()));
        let held = gate.try_enter();
        let (mut one, mut two) = (gate.enter(Behind::All, None), gate.enter(Behind::All, None));
        assert!(poll(&mut one, &first).is_none() && poll(&mut two, &second).is_none());
        drop(held);
        drop(one);
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (1, 1));
        assert!(poll(&mut two, &second).is_some());
    }

    #[test]
    fn places_balance_over_random_steps() {
        let mut dice = fastrand::Rng::with_seed(11);
        let (gate, count) = (gate(3), Arc::new(Count::default()));
        let (mut waiters, mut held) = (Vec::new(), Vec::new());
        for _ in 0..20_000 {
            match dice.u8(0..5) {
                0 | 1 => waiters.push(gate.enter(Behind::All, None)),
                2 if !held.is_empty() => drop(held.swap_remove(dice.usize(0..held.len()))),
                3 if !waiters.is_empty() => drop(waiters.swap_remove(dice.usize(0..waiters.len()))),
                _ => waiters.retain_mut(|waiter| {
                    poll(waiter, &count).is_none_or(|permit| {
                        held.push(permit);
                        false
                    })
                }),
            }
            assert!(held.len() <= 3 && gate.given.load(Ordering::Relaxed) == held.len());
        }
        drop((waiters, held));
        let state = gate.lock();
        assert_eq!((state.rules.in_flight(), state.has_waiters()), (0, false));
    }

    #[test]
    fn a_widened_gate_lets_the_waiters_in() {
        let gate = Arc::new(Gate::new(HostRules::new(None), Arc::default(), Clock::new(), 1));
        let count = Arc::new(Count::default());
        let held: Vec<Permit> = std::iter::from_fn(|| gate.try_enter()).collect();
        let mut waiters: Vec<Entering> = (0..10).map(|_| gate.enter(Behind::All, None)).collect();
        assert!(waiters.iter_mut().all(|waiter| poll(waiter, &count).is_none()));
        gate.learned(Speaks::Http2 { streams: 100, in_all: 400 });
        assert_eq!((held.len(), count.0.load(Ordering::Relaxed)), (6, 10));
        assert!(waiters.iter_mut().all(|waiter| poll(waiter, &count).is_some()));
    }
}
