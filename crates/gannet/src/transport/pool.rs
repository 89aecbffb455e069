//! Connections kept for the next exchange, one pool for each runtime. Idle HTTP/1 connections lie on a stack for
//! each origin, so that the warmest serves next; an HTTP/2 connection is shared. A connect belongs to the attempt
//! that needs it and dies with it; where an origin may speak HTTP/2, the others wait for the first connect.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;

use super::connect::Connector;
use super::connection::{Http1, Http2, Kind, Lease, Opening, STREAMS};
use super::origin::Protocol;
use super::{Leg, Origin, Spawn};
use crate::Moment;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::number::ByNumber;

/// The connections of one client in one runtime.
pub(crate) struct Pool {
    pub(crate) connector: Arc<Connector>,
    pub(crate) spawn: Arc<dyn Spawn>,
    clock: Clock,
    limits: PoolLimits,
    /// One for each connection that the client may have open in all its pools.
    slots: Arc<Semaphore>,
    numbers: Arc<AtomicU64>,
    state: Mutex<State>,
}

/// What a pool holds to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolLimits {
    pub(crate) idle_time: Duration,
    pub(crate) idle_connections: usize,
}

#[derive(Default)]
struct State {
    hosts: ByNumber<Place>,
    /// The order in which connections became idle, oldest first; entries of those taken since are passed over.
    order: VecDeque<(u64, u64, Moment)>,
    idle: usize,
    reaper: Option<AbortHandle>,
}

/// What one origin has.
#[derive(Default)]
struct Place {
    idle: Vec<Http1>,
    shared: Vec<Arc<Http2>>,
    /// Someone's first connect, on which the others wait.
    dialing: bool,
    waiting: VecDeque<oneshot::Sender<Result<(), Error>>>,
}

enum Found {
    Lease(Lease),
    Wait(oneshot::Receiver<Result<(), Error>>),
    /// Open a new one, alone or with others waiting for it.
    Dial(Option<Dialing>),
}

/// The duty to connect for all who wait; dropped undone, it passes to one of them.
struct Dialing {
    pool: Arc<Pool>,
    origin: Arc<Origin>,
    done: bool,
}

impl Pool {
    pub(crate) fn new(
        connector: Arc<Connector>,
        spawn: Arc<dyn Spawn>,
        clock: Clock,
        limits: PoolLimits,
        slots: Arc<Semaphore>,
        numbers: Arc<AtomicU64>,
    ) -> Arc<Self> {
        Arc::new(Self { connector, spawn, clock, limits, slots, numbers, state: Mutex::default() })
    }

    /// A connection to `origin`, idle, shared or new.
    ///
    /// # Cancel safety
    /// Dropping it gives up the connect or the wait; a wake meant for it passes on.
    pub(crate) async fn check_out(self: &Arc<Self>, origin: &Arc<Origin>, leg: &Leg) -> Result<Lease, Error> {
        loop {
            match self.find(origin) {
                Found::Lease(lease) => {
                    lease.tell(leg);
                    return Ok(lease);
                }
                Found::Wait(told) => {
                    leg.enter(Phase::Connect);
                    if let Ok(Err(error)) = told.await {
                        return Err(error);
                    }
                }
                Found::Dial(dialing) => {
                    // Boxed: it is rare, and a handshake's state is large.
                    let result = Box::pin(self.dial(origin, leg)).await;
                    if let Some(dialing) = dialing {
                        dialing.done(result.as_ref().err().cloned());
                    }
                    let lease = result?;
                    lease.tell(leg);
                    return Ok(lease);
                }
            }
        }
    }

    fn find(self: &Arc<Self>, origin: &Arc<Origin>) -> Found {
        let mut state = self.lock();
        let state = &mut *state;
        let place = state.hosts.entry(origin.number).or_default();
        while let Some(connection) = place.idle.pop() {
            state.idle -= 1;
            if !connection.sender.is_closed() {
                return Found::Lease(Lease::new(Kind::One(Some(connection)), self, origin));
            }
        }
        place.shared.retain(|connection| !connection.is_closed());
        let free =
            place.shared.iter().find(|connection| connection.streams.load(Ordering::Relaxed) < STREAMS);
        if let Some(connection) = free {
            connection.streams.fetch_add(1, Ordering::Relaxed);
            return Found::Lease(Lease::new(Kind::Two(Arc::clone(connection)), self, origin));
        }
        let known = match origin.protocol() {
            Protocol::Unknown => self.connector.foreknown(origin),
            known => known,
        };
        if known == Protocol::Http1 {
            return Found::Dial(None);
        }
        if place.dialing {
            let (told, wait) = oneshot::channel();
            place.waiting.push_back(told);
            return Found::Wait(wait);
        }
        place.dialing = true;
        Found::Dial(Some(Dialing { pool: Arc::clone(self), origin: Arc::clone(origin), done: false }))
    }

    async fn dial(self: &Arc<Self>, origin: &Arc<Origin>, leg: &Leg) -> Result<Lease, Error> {
        let slot = self.slot(leg).await?;
        let connected = self.connector.connect(origin, leg).await?;
        origin.learn(connected.protocol);
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        let opening = Opening { id, slot, spawn: &self.spawn };
        let kind = match connected.protocol {
            Protocol::Http2 => {
                let connection = Arc::new(Http2::open(connected, opening).await?);
                self.lock().hosts.entry(origin.number).or_default().shared.push(Arc::clone(&connection));
                Kind::Two(connection)
            }
            Protocol::Http1 | Protocol::Unknown => Kind::One(Some(Http1::open(connected, opening).await?)),
        };
        Ok(Lease::new(kind, self, origin))
    }

    /// The right to one more connection; the longest idle one makes room if it has to.
    async fn slot(&self, leg: &Leg) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        self.evict(|_, _| true, 1);
        let wait = Arc::clone(&self.slots).acquire_owned();
        let slot = match leg.queue_limit {
            Some(limit) => tokio::time::timeout(limit, wait).await.map_err(|_| {
                let message = format!("all connections that the client may open were in use for {limit:?}");
                Error::new(ErrorKind::QueueTimeout, Phase::Queue, message)
            })?,
            None => wait.await,
        };
        slot.map_err(|_| Error::new(ErrorKind::Cancelled, Phase::Queue, "the client is closed"))
    }

    pub(super) fn take_back(self: &Arc<Self>, mut connection: Http1, origin: &Origin) {
        let now = self.clock.now();
        connection.common.idle_since = now;
        let mut state = self.lock();
        state.order.push_back((origin.number, connection.common.id, now));
        state.hosts.entry(origin.number).or_default().idle.push(connection);
        state.idle += 1;
        if state.order.len() > 2 * state.idle + 64 {
            state.forget_taken();
        }
        if state.reaper.as_ref().is_none_or(AbortHandle::is_finished) {
            state.reaper =
                Some(self.spawn.spawn(Box::pin(reap(Arc::downgrade(self), self.limits.idle_time))));
        }
        let excess = state.idle.saturating_sub(self.limits.idle_connections);
        drop(state);
        if excess > 0 {
            self.evict(|_, _| true, excess);
        }
    }

    /// Closes the longest idle connections that `due` names, at most `most` of them.
    fn evict(&self, due: impl Fn(Moment, Moment) -> bool, most: usize) {
        let now = self.clock.now();
        let mut closed = Vec::new();
        let mut state = self.lock();
        while closed.len() < most {
            let Some(&(host, id, since)) = state.order.front() else { break };
            if !due(now, since) {
                break;
            }
            state.order.pop_front();
            closed.extend(state.take_idle(host, id, since));
        }
        drop(state);
        drop(closed);
    }

    /// Idle and open connections, for the client's gauges.
    pub(crate) fn idle(&self) -> usize {
        let state = self.lock();
        let quiet = |place: &Place| place.shared.iter().filter(|shared| shared.is_idle()).count();
        state.idle + state.hosts.values().map(quiet).sum::<usize>()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `since` tells an entry of the order from an older one of a connection that has served meanwhile.
    fn take_idle(&mut self, host: u64, id: u64, since: Moment) -> Option<Http1> {
        let place = self.hosts.get_mut(&host)?;
        let index = place.idle.iter().position(|connection| connection.is(id, since))?;
        self.idle -= 1;
        let connection = place.idle.remove(index);
        if place.is_empty() {
            self.hosts.remove(&host);
        }
        Some(connection)
    }

    fn forget_taken(&mut self) {
        let hosts = &self.hosts;
        self.order.retain(|&(host, id, since)| {
            let idle = |place: &Place| place.idle.iter().any(|connection| connection.is(id, since));
            hosts.get(&host).is_some_and(idle)
        });
    }

    /// Drops what has closed by itself or is idle beyond its time.
    fn sweep(&mut self) -> Vec<Arc<Http2>> {
        let mut closed = Vec::new();
        let mut idle = 0;
        self.hosts.retain(|_, place| {
            place.idle.retain(|connection| !connection.sender.is_closed());
            idle += place.idle.len();
            place.shared.retain(|connection| {
                let keep = !connection.is_closed() && !connection.was_quiet();
                if !keep {
                    closed.push(Arc::clone(connection));
                }
                keep
            });
            !place.is_empty()
        });
        self.idle = idle;
        closed
    }
}

impl Place {
    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty() && !self.dialing && self.waiting.is_empty()
    }
}

/// Closes idle connections when their time is over; ends when none is left.
async fn reap(pool: Weak<Pool>, idle_time: Duration) {
    loop {
        tokio::time::sleep(idle_time / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.evict(|now, since| now.since(since) >= idle_time, usize::MAX);
        let mut state = pool.lock();
        let closed = state.sweep();
        let none_left = state.hosts.is_empty();
        if none_left {
            state.order.clear();
            state.reaper = None;
        }
        drop(state);
        drop(closed);
        if none_left {
            return;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.lock().reaper.take() {
            reaper.abort();
        }
    }
}

impl Dialing {
    /// The connect has ended. A new shared connection serves all who wait; after a failure all of them fail.
    fn done(mut self, failure: Option<Error>) {
        self.done = true;
        let waiting = {
            let mut state = self.pool.lock();
            let place = state.hosts.entry(self.origin.number).or_default();
            place.dialing = false;
            std::mem::take(&mut place.waiting)
        };
        for told in waiting {
            let _ = told.send(failure.clone().map_or(Ok(()), Err));
        }
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.pool.lock();
        let Some(place) = state.hosts.get_mut(&self.origin.number) else { return };
        place.dialing = false;
        while let Some(told) = place.waiting.pop_front() {
            if told.send(Ok(())).is_ok() {
                // It finds nobody dialing and does so itself; the others go on waiting, for it.
                place.dialing = false;
                break;
            }
        }
    }
}
