//! Connections kept for the next exchange, one pool for each runtime. Idle HTTP/1 connections lie on a stack for
//! each origin, so that the warmest serves next; an HTTP/2 connection is shared. A connect belongs to the attempt
//! that needs it and dies with it; where an origin may speak HTTP/2, the others wait for the first connect.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;

use super::connect::Connector;
use super::connection::{Http1, Http2, Kind, Lease, Opening};
use super::leg::Ground;
use super::origin::Protocol;
use super::{Leg, Origin, Spawn};
use crate::Moment;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::number::ByNumber;

/// Connections of HTTP/2 to one origin, where one has not streams enough; one more for a hedge or a retry.
pub(crate) const SHARED: usize = 4;

/// The connections that a client may open, in all its pools.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    /// How many wait for one.
    waiting: AtomicUsize,
}

/// Counts one who waits.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    pub(crate) fn new(connections: usize) -> Self {
        let free = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { free, waiting: AtomicUsize::new(0) }
    }

    /// How many are taken, of this many.
    pub(crate) fn taken(&self, connections: usize) -> usize {
        connections.min(Semaphore::MAX_PERMITS) - self.free.available_permits()
    }
}

/// The connections of one client in one runtime.
pub(crate) struct Pool {
    pub(crate) connector: Arc<Connector>,
    pub(crate) spawn: Arc<dyn Spawn>,
    clock: Clock,
    limits: PoolLimits,
    /// One for each connection that the client may have open in all its pools.
    slots: Arc<Slots>,
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
        slots: Arc<Slots>,
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
            match self.find(origin, leg) {
                Found::Lease(lease) => {
                    lease.tell(leg);
                    return Ok(lease);
                }
                Found::Wait(told) => {
                    leg.enter(Phase::Connect);
                    match leg.unless_all_wait(told).await {
                        Some(Ok(Err(error))) => return Err(error),
                        Some(_) => {}
                        None => {
                            let lease = Box::pin(self.dial(origin, leg)).await?;
                            lease.tell(leg);
                            return Ok(lease);
                        }
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

    fn find(self: &Arc<Self>, origin: &Arc<Origin>, leg: &Leg) -> Found {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(place) = state.hosts.get_mut(&origin.number) {
            while let Some(connection) = place.idle.pop() {
                state.idle -= 1;
                // After one that had gone stale, the others that lay beside it are not trusted either.
                if leg.ground == Ground::Any && !connection.sender.is_closed() {
                    return Found::Lease(Lease::new(Kind::One(Some(connection)), self, origin));
                }
            }
            place.shared.retain(|connection| !connection.is_closed());
            if let Some(connection) = place.stream(&leg.avoid) {
                return Found::Lease(Lease::new(Kind::Two(connection), self, origin));
            }
        }
        let known = match origin.protocol() {
            Protocol::Unknown => self.connector.foreknown(origin),
            known => known,
        };
        if known == Protocol::Http1 {
            return Found::Dial(None);
        }
        let place = state.hosts.entry(origin.number).or_default();
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
                let mut state = self.lock();
                state.hosts.entry(origin.number).or_default().shared.push(Arc::clone(&connection));
                self.keep_reaping(&mut state);
                drop(state);
                Kind::Two(connection)
            }
            Protocol::Http1 | Protocol::Unknown => Kind::One(Some(Http1::open(connected, opening).await?)),
        };
        Ok(Lease::new(kind, self, origin))
    }

    /// The right to one more connection; the longest idle one makes room if it has to.
    ///
    /// `None` is one beyond the limit, for an attempt that all the others wait for: they would hold theirs for ever.
    async fn slot(&self, leg: &Leg) -> Result<Option<OwnedSemaphorePermit>, Error> {
        if let Ok(slot) = Arc::clone(&self.slots.free).try_acquire_owned() {
            return Ok(Some(slot));
        }
        let _waits = Waits::new(&self.slots.waiting);
        self.make_room();
        let wait = leg.unless_all_wait(Arc::clone(&self.slots.free).acquire_owned());
        let slot = match leg.queue_limit {
            Some(limit) => tokio::time::timeout(limit, wait).await.map_err(|_| {
                let message = format!("all connections that the client may open were in use for {limit:?}");
                Error::new(ErrorKind::QueueTimeout, Phase::Queue, message)
            })?,
            None => wait.await,
        };
        slot.transpose().map_err(|_| Error::new(ErrorKind::Cancelled, Phase::Queue, "the client is closed"))
    }

    /// Closes one idle connection of either version, if there is one.
    fn make_room(&self) {
        if self.evict(|_, _| true, 1) > 0 {
            return;
        }
        let mut state = self.lock();
        let quiet = state.hosts.values_mut().find_map(|place| {
            let index = place.shared.iter().position(|connection| connection.is_idle())?;
            Some(place.shared.swap_remove(index))
        });
        drop(state);
        drop(quiet);
    }

    /// No new stream is opened on this connection: it was silent for too long.
    pub(crate) fn retire(&self, id: u64) {
        let state = self.lock();
        for connection in state.hosts.values().flat_map(|place| &place.shared) {
            if connection.common.id == id {
                connection.retire();
            }
        }
    }

    /// A stream has ended. If that left its connection idle, and the server takes no more on it or others wait for
    /// room, it is closed: a server may go on sending on one that stays open.
    pub(super) fn stream_ended(&self, connection: &Http2, origin: &Origin) {
        let is_needed = !connection.is_retired() && !connection.is_closed();
        if !connection.is_idle() || is_needed && self.slots.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut state = self.lock();
        let Some(place) = state.hosts.get_mut(&origin.number) else { return };
        let index = place.shared.iter().position(|shared| shared.common.id == connection.common.id);
        let closed = index.map(|index| place.shared.swap_remove(index));
        drop(state);
        drop(closed);
    }

    pub(super) fn take_back(self: &Arc<Self>, mut connection: Http1, origin: &Origin) {
        if self.slots.waiting.load(Ordering::Relaxed) > 0 {
            // Somebody waits for the right to open one elsewhere: closing this one gives it.
            return drop(connection);
        }
        let now = self.clock.now();
        connection.common.idle_since = now;
        let mut state = self.lock();
        state.order.push_back((origin.number, connection.common.id, now));
        state.hosts.entry(origin.number).or_default().idle.push(connection);
        state.idle += 1;
        if state.order.len() > 2 * state.idle + 64 {
            state.forget_taken();
        }
        self.keep_reaping(&mut state);
        let excess = state.idle.saturating_sub(self.limits.idle_connections);
        drop(state);
        if excess > 0 {
            self.evict(|_, _| true, excess);
        }
    }

    /// There is something that may become idle: the reaper lives.
    fn keep_reaping(self: &Arc<Self>, state: &mut State) {
        if state.reaper.as_ref().is_none_or(AbortHandle::is_finished) {
            state.reaper =
                Some(self.spawn.spawn(Box::pin(reap(Arc::downgrade(self), self.limits.idle_time))));
        }
    }

    /// Closes the longest idle connections that `due` names, at most `most` of them; how many there were.
    fn evict(&self, due: impl Fn(Moment, Moment) -> bool, most: usize) -> usize {
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
        closed.len()
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
    /// A stream on one of the shared connections, the least busy first; none on those to avoid, unless there are as
    /// many connections as there may be.
    fn stream(&self, avoid: &[u64]) -> Option<Arc<Http2>> {
        let free = |connection: &&Arc<Http2>| !connection.is_retired() && connection.has_room();
        let other = |connection: &&Arc<Http2>| !avoid.contains(&connection.common.id);
        let chosen =
            self.shared.iter().filter(free).filter(other).min_by_key(|connection| connection.streams());
        let crowded = self.shared.len() >= SHARED + usize::from(!avoid.is_empty());
        let chosen = chosen.or_else(|| {
            let any = self.shared.iter().filter(|_| crowded).filter(|connection| !connection.is_retired());
            any.min_by_key(|connection| connection.streams())
        })?;
        chosen.open_stream();
        Some(Arc::clone(chosen))
    }

    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty() && !self.dialing && self.waiting.is_empty()
    }
}

/// The reaper looks no oftener than this.
const REAPING: Duration = Duration::from_millis(20);

/// Closes idle connections when their time is over; ends when none is left.
async fn reap(pool: Weak<Pool>, idle_time: Duration) {
    loop {
        tokio::time::sleep((idle_time / 2).max(REAPING)).await;
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
        for told in self.end() {
            let _ = told.send(failure.clone().map_or(Ok(()), Err));
        }
    }

    fn end(&self) -> VecDeque<oneshot::Sender<Result<(), Error>>> {
        let mut state = self.pool.lock();
        let Some(place) = state.hosts.get_mut(&self.origin.number) else { return VecDeque::new() };
        place.dialing = false;
        let waiting = std::mem::take(&mut place.waiting);
        if place.is_empty() {
            state.hosts.remove(&self.origin.number);
        }
        waiting
    }
}

impl Drop for Dialing {
    /// Undone: all who waited look again, and one of them connects for the others.
    fn drop(&mut self) {
        if !self.done {
            for told in self.end() {
                let _ = told.send(Ok(()));
            }
        }
    }
}
