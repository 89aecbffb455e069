//! The gate of one host: who may send to it now, and who waits. One freed place wakes exactly one waiter, and a
//! waiter that goes away passes its wake on. The numbers are decided by `policy::host`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Moment;
use crate::policy::host::{Entry, HostRules, Left, Pass, Speaks};
use crate::transport::body::{Gatekeeper, Permit};

/// The gate tells its rules neither the time nor how a request ended: only their limit is at work.
const NO_CLOCK: Moment = Moment::ZERO;

/// The gate of one host.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Permits given out by all gates of the client.
    given: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct State {
    rules: HostRules,
    waiting: VecDeque<Arc<Cell>>,
    /// How many of `waiting` have gone away.
    gone: usize,
}

/// A waiter's half of a grant.
#[derive(Debug, Default)]
struct Cell(Mutex<Grant>);

#[derive(Debug, Default)]
enum Grant {
    #[default]
    Waiting,
    Awaited(Waker),
    Granted,
    Over,
}

impl Gate {
    pub(crate) fn new(rules: HostRules, given: Arc<AtomicUsize>) -> Self {
        Self { state: Mutex::new(State { rules, waiting: VecDeque::new(), gone: 0 }), given }
    }

    /// A place, if one is free and nobody waits for it.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.lock();
        if state.has_waiters() || !state.is_let_in() {
            return None;
        }
        drop(state);
        Some(self.permit())
    }

    /// Waits for a place, in the order of asking.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; a place that was already granted goes to the next.
    pub(crate) fn enter(self: &Arc<Self>) -> Entering {
        Entering { gate: Arc::clone(self), cell: None }
    }

    /// A place beyond the limit, for one whom those inside are made to wait for by ourselves.
    pub(crate) fn enter_beyond(self: &Arc<Self>) -> Permit {
        let _ = self.lock().rules.enter_beyond(NO_CLOCK);
        self.permit()
    }

    /// The host answered in this version; if that widens the gate, waiters come in.
    pub(crate) fn learned(&self, speaks: Speaks) {
        let woken: Vec<Waker> = {
            let mut state = self.lock();
            state.rules.learned(speaks);
            std::iter::from_fn(|| state.grant_next()).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn limit(&self) -> u32 {
        self.lock().rules.limit()
    }

    fn permit(self: &Arc<Self>) -> Permit {
        self.given.fetch_add(1, Ordering::Relaxed);
        Permit::new(Arc::clone(self) as Arc<dyn Gatekeeper>)
    }

    fn put_back(&self) {
        let woken = {
            let mut state = self.lock();
            state.gives_back();
            state.grant_next()
        };
        if let Some(waker) = woken {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gatekeeper for Gate {
    fn leave(&self) {
        self.given.fetch_sub(1, Ordering::Relaxed);
        self.put_back();
    }
}

impl State {
    fn has_waiters(&self) -> bool {
        self.waiting.len() > self.gone
    }

    /// Gives a free place to the first who still waits; nothing if there is no place or nobody waits.
    fn grant_next(&mut self) -> Option<Waker> {
        while self.has_waiters() && self.is_let_in() {
            while let Some(cell) = self.waiting.pop_front() {
                let mut grant = cell.lock();
                match std::mem::replace(&mut *grant, Grant::Granted) {
                    Grant::Awaited(waker) => return Some(waker),
                    Grant::Waiting => return Some(Waker::noop().clone()),
                    Grant::Over | Grant::Granted => {
                        *grant = Grant::Over;
                        self.gone -= 1;
                    }
                }
            }
            self.gives_back();
        }
        None
    }

    fn is_let_in(&mut self) -> bool {
        matches!(self.rules.enter(NO_CLOCK), Entry::Granted(_))
    }

    fn gives_back(&mut self) {
        self.rules.leave(Pass::default(), Left::Cut, NO_CLOCK, 0);
    }

    fn forget_gone(&mut self) {
        if self.gone > 32 && self.gone * 2 > self.waiting.len() {
            self.waiting.retain(|cell| !matches!(*cell.lock(), Grant::Over));
            self.gone = 0;
        }
    }
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, Grant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait for a place at a gate.
pub(crate) struct Entering {
    gate: Arc<Gate>,
    /// `None` before the first poll and after the last.
    cell: Option<Arc<Cell>>,
}

impl Future for Entering {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let Some(cell) = &self.cell else {
            if let Some(permit) = self.gate.try_enter() {
                return Poll::Ready(permit);
            }
            let cell = Arc::new(Cell(Mutex::new(Grant::Awaited(cx.waker().clone()))));
            let gate = Arc::clone(&self.gate);
            let mut state = gate.lock();
            // A place may have come free between the two looks.
            if !state.has_waiters() && state.is_let_in() {
                drop(state);
                return Poll::Ready(gate.permit());
            }
            state.waiting.push_back(Arc::clone(&cell));
            self.cell = Some(cell);
            return Poll::Pending;
        };
        let mut grant = cell.lock();
        if matches!(*grant, Grant::Granted) {
            *grant = Grant::Over;
            drop(grant);
            self.cell = None;
            return Poll::Ready(self.gate.permit());
        }
        *grant = Grant::Awaited(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let Some(cell) = self.cell.take() else { return };
        // The gate's lock first, as in `grant_next`.
        let mut state = self.gate.lock();
        let before = std::mem::replace(&mut *cell.lock(), Grant::Over);
        match before {
            Grant::Granted => {
                drop(state);
                self.gate.put_back();
            }
            Grant::Waiting | Grant::Awaited(_) => {
                state.gone += 1;
                state.forget_gone();
            }
            Grant::Over => {}
        }
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
        Arc::new(Gate::new(HostRules::new(Some(cap)), Arc::default()))
    }

    fn poll(entering: &mut Entering, count: &Arc<Count>) -> Option<Permit> {
        let waker = Waker::from(Arc::clone(count));
        match Pin::new(entering).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_freed_place_wakes_exactly_one_of_a_hundred_waiters() {
        let (gate, count) = (gate(1), Arc::new(Count::default()));
        let held = gate.try_enter().expect("a new gate has a place");
        let mut waiters: Vec<Entering> = (0..100).map(|_| gate.enter()).collect();
        assert!(waiters.iter_mut().all(|waiter| poll(waiter, &count).is_none()));
        drop(held);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(poll(&mut waiters[0], &count).is_some());
    }

    #[test]
    fn a_dropped_waiter_passes_its_wake_on() {
        let (gate, first, second) = (gate(1), Arc::new(Count::default()), Arc::new(Count::default()));
        let held = gate.try_enter();
        let (mut one, mut two) = (gate.enter(), gate.enter());
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
                0 | 1 => waiters.push(gate.enter()),
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
        let gate = Arc::new(Gate::new(HostRules::new(None), Arc::default()));
        let count = Arc::new(Count::default());
        let held: Vec<Permit> = std::iter::from_fn(|| gate.try_enter()).collect();
        let mut waiters: Vec<Entering> = (0..10).map(|_| gate.enter()).collect();
        assert!(waiters.iter_mut().all(|waiter| poll(waiter, &count).is_none()));
        gate.learned(Speaks::Http2 { streams: 100 });
        assert_eq!((held.len(), count.0.load(Ordering::Relaxed)), (6, 10));
        assert!(waiters.iter_mut().all(|waiter| poll(waiter, &count).is_some()));
    }
}
