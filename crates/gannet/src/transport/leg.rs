//! The running record of one attempt: which phase it is in, since when, and what each phase took. The transport
//! writes it, the engine's timers and the outcome read it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

use crate::Moment;
use crate::clock::Clock;
use crate::error::Phase;
use crate::outcome::{ConnectionUsed, Timings, WaitedFor};
use crate::permit::Left;

/// The running record of one attempt.
#[derive(Debug)]
pub(crate) struct Leg {
    clock: Clock,
    /// The attempt's number within its fetch; retries go to another address by it.
    pub(crate) attempt: u32,
    pub(crate) queue_limit: Option<Duration>,
    pub(crate) ground: Ground,
    /// Shared connections that earlier attempts of the fetch went over.
    pub(crate) avoid: Box<[u64]>,
    pub(crate) turn: Turn,
    /// It is due now: it goes before those who wait.
    pub(crate) is_hedge: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Moment,
    /// The last byte or step forward.
    moved: Moment,
    timings: Timings,
    hops: Vec<Box<str>>,
    status: Option<StatusCode>,
    address: Option<SocketAddr>,
    connection: Option<ConnectionUsed>,
    bytes: u64,
    source: Source,
    /// How often it has gone into our queue or left it: odd is outside.
    places: u32,
    /// Time outside of our queue, until the current phase.
    silent: Duration,
    /// What its end says of the host, if whoever ended it knows.
    left: Option<Left>,
    /// The first thing that it queued for.
    queued_for: Option<WaitedFor>,
}

/// What the request's body waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The wire, if anything.
    Ready,
    /// The caller's stream, which has nothing to give.
    Silent,
}

/// Which connections an attempt may go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// An idle one, if there is one.
    Any,
    /// None that was idle: one such has just turned out to be closed.
    Fresh,
}

/// Tells whether all that runs waits for this attempt's body, as where bodies are written in order. Then it may go
/// beyond limits that the others fill.
pub(crate) struct Turn(pub(crate) Option<Box<dyn Fn() -> bool + Send + Sync>>);

/// How often one who waits looks whether all the others wait for it.
const TURN_LOOK: Duration = Duration::from_millis(100);

impl Turn {
    fn is_ours(&self) -> bool {
        self.0.as_ref().is_some_and(|is_ours| is_ours())
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("is_told", &self.0.is_some()).finish()
    }
}

/// What an attempt had done when it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) timings: Timings,
    pub(crate) hops: Vec<Box<str>>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) connection: Option<ConnectionUsed>,
    pub(crate) bytes: u64,
    pub(crate) queued_for: Option<WaitedFor>,
}

impl Leg {
    pub(crate) fn new(clock: Clock, attempt: u32, queue_limit: Option<Duration>, now: Moment) -> Self {
        let (ground, avoid) = (Ground::Any, Box::default());
        let state = State {
            phase: Phase::Queue,
            since: now,
            moved: now,
            timings: Timings::default(),
            hops: Vec::new(),
            status: None,
            address: None,
            connection: None,
            bytes: 0,
            source: Source::Ready,
            places: 0,
            silent: Duration::ZERO,
            left: None,
            queued_for: None,
        };
        Self {
            clock,
            attempt,
            queue_limit,
            ground,
            avoid,
            turn: Turn(None),
            is_hedge: false,
            state: Mutex::new(state),
        }
    }

    /// The attempt goes over to `phase`.
    pub(crate) fn enter(&self, phase: Phase) {
        let now = self.clock.now();
        let mut state = self.lock();
        let spent = now.since(state.since);
        let before = state.phase;
        state.timings.add(before, spent);
        if before != Phase::Queue {
            state.silent += spent;
        }
        state.places += u32::from((before == Phase::Queue) != (phase == Phase::Queue));
        state.phase = phase;
        state.since = now;
        state.moved = now;
    }

    /// Goes on in `phase` from `now`; the time since its record was closed counts nowhere.
    pub(crate) fn resume(&self, phase: Phase, now: Moment) {
        let mut state = self.lock();
        (state.phase, state.since, state.moved) = (phase, now, now);
    }

    /// A step forward within the phase, such as a chunk that was sent or received.
    pub(crate) fn moved(&self, bytes: usize) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.moved = now;
        state.bytes += bytes as u64;
    }

    /// It is ended now, which says this of its host.
    pub(crate) fn ends_as(&self, left: Left) {
        self.lock().left = Some(left);
    }

    /// Whether its host has been asked, and has not answered.
    pub(crate) fn is_silent(&self) -> bool {
        let state = self.lock();
        !matches!(state.phase, Phase::Queue | Phase::Body) && state.status.is_none()
    }

    /// What its end says of its host, if it was told.
    pub(crate) fn ended_as(&self) -> Option<Left> {
        self.lock().left
    }

    /// The connection that it went over last.
    pub(crate) fn connection(&self) -> Option<u64> {
        self.lock().connection.map(|used| used.id)
    }

    /// A step forward of the request's body; it counts no bytes.
    pub(crate) fn sent_some(&self) {
        self.lock().source = Source::Ready;
        self.moved(0);
    }

    /// The request's body has nothing to send until the caller's stream gives more.
    ///
    /// `hop` is that of the exchange whose body it is; one that was left behind by a redirect says nothing any more.
    pub(crate) fn waits_for_the_stream(&self, hop: usize) {
        let mut state = self.lock();
        if state.hops.len() == hop {
            state.source = Source::Silent;
        }
    }

    /// Whether the caller's stream is waited for, so that nobody else's silence can be judged.
    pub(crate) fn is_waiting_for_the_stream(&self) -> bool {
        self.lock().source == Source::Silent
    }

    pub(crate) fn on_connection(&self, address: Option<SocketAddr>, connection: ConnectionUsed) {
        let mut state = self.lock();
        state.address = address;
        state.connection = Some(connection);
    }

    pub(crate) fn replied(&self, status: StatusCode) {
        self.lock().status = Some(status);
    }

    /// It has to queue; the first cause counts.
    pub(crate) fn queues_for(&self, what: WaitedFor) {
        self.lock().queued_for.get_or_insert(what);
    }

    pub(crate) fn hopped(&self, to: Box<str>) {
        let mut state = self.lock();
        state.hops.push(to);
        // Whatever the last hop's body waited for, this one has its own.
        state.source = Source::Ready;
    }

    /// Waits, unless it turns out that all the others wait for this attempt.
    pub(crate) async fn unless_all_wait<F: Future>(&self, wait: F) -> Option<F::Output> {
        if self.turn.0.is_none() {
            return Some(wait.await);
        }
        let mut wait = std::pin::pin!(wait);
        loop {
            if let Ok(done) = tokio::time::timeout(TURN_LOOK, wait.as_mut()).await {
                return Some(done);
            }
            if self.turn.is_ours() {
                return None;
            }
        }
    }

    /// How often it has gone into our queue, or left it for its host: it begins inside, so odd is outside.
    pub(crate) fn places(&self) -> u32 {
        self.lock().places
    }

    /// How long it has had its hosts to itself, our own queues left out; `None` if it has not left the first.
    pub(crate) fn silence(&self, now: Moment) -> Option<Duration> {
        let state = self.lock();
        let current = if state.phase == Phase::Queue { Duration::ZERO } else { now.since(state.since) };
        (state.places > 0).then_some(state.silent + current)
    }

    /// The phase, and when it last moved.
    pub(crate) fn standing(&self) -> (Phase, Moment) {
        let state = self.lock();
        (state.phase, state.moved)
    }

    /// Bytes of body received so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Closes the current phase at `now` and tells all.
    pub(crate) fn trace(&self, now: Moment) -> Trace {
        let mut state = self.lock();
        let (phase, spent) = (state.phase, now.since(state.since));
        state.timings.add(phase, spent);
        state.since = now;
        Trace {
            timings: state.timings,
            hops: std::mem::take(&mut state.hops),
            status: state.status,
            address: state.address,
            connection: state.connection,
            bytes: state.bytes,
            queued_for: state.queued_for,
        }
    }

    /// How many redirects were followed so far.
    pub(crate) fn hop_count(&self) -> usize {
        self.lock().hops.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
