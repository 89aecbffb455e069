//! Whose turn it is, what is held for later turns and what is queued for the writer. Plain state under a lock that
//! `writer` holds: nothing here writes or wakes; wakers to wake are collected.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::sink::Room;

/// The body at its turn waits while this much, in bytes, is on its way to the writer.
pub(super) const QUEUE: usize = 1 << 20;

/// What a committed body costs beside its bytes, roughly, in bytes.
const OVERHEAD: usize = 128;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    turn: u64,
    /// Whether the requests from the turn on have settled. One byte for each that settled before its turn.
    settled: VecDeque<bool>,
    /// Bodies that were committed before their turn. Bounded by `hold`.
    committed: BTreeMap<u64, Chunks>,
    /// What the writer gets next. Bounded by `hold` and `QUEUE` together.
    queue: VecDeque<Bytes>,
    /// Bytes in `queue` and in the writer's hands.
    queued: usize,
    /// Bytes in `committed` and in parts that are not at their turn.
    held: usize,
    hold: usize,
    is_unflushed: bool,
    failure: Option<Error>,
    /// Parts that wait for their turn, for room, or for the queue.
    waiting: BTreeMap<u64, Waker>,
    room_watchers: Vec<Waker>,
    finish_watchers: Vec<Waker>,
    close_watchers: Vec<Waker>,
    /// To be woken once the lock is released.
    pub(super) woken: Vec<Waker>,
}

impl State {
    pub(super) fn new(hold: usize) -> Self {
        Self { hold, ..Self::default() }
    }

    pub(super) fn set_hold(&mut self, bytes: usize) {
        self.hold = bytes;
        self.announce_room();
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    pub(super) fn is_at_turn(&self, seq: u64) -> bool {
        self.turn == seq
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn has_room(&self) -> bool {
        self.held + self.queued < self.hold
    }

    pub(super) fn room(&mut self, context: &Context<'_>) -> Room {
        if self.has_room() || self.failure.is_some() {
            return Room::Any;
        }
        watch(&mut self.room_watchers, context);
        Room::Only(self.turn)
    }

    pub(super) fn wait(&mut self, seq: u64, context: &Context<'_>) {
        let known = self.waiting.get(&seq).is_some_and(|known| known.will_wake(context.waker()));
        if !known {
            self.woken.extend(self.waiting.insert(seq, context.waker().clone()));
        }
    }

    /// Wakes rather than drops the waker, since a drop under the lock could run anyone's code.
    pub(super) fn stop_waiting(&mut self, seq: u64) {
        self.woken.extend(self.waiting.remove(&seq));
    }

    /// Counts bytes as held.
    pub(super) fn keep(&mut self, bytes: usize) {
        self.held += bytes;
    }

    /// Counts bytes as held no longer.
    pub(super) fn release(&mut self, bytes: usize) {
        self.held -= bytes;
        if bytes > 0 {
            self.announce_room();
        }
    }

    pub(super) fn enqueue(&mut self, mut chunks: Chunks) {
        chunks.close();
        if self.failure.is_none() && chunks.length > 0 {
            self.queued += chunks.length;
            self.queue.extend(chunks.closed);
        }
    }

    /// Keeps a body until its turn, whose bytes are counted as held already.
    pub(super) fn commit(&mut self, seq: u64, chunks: Chunks) {
        if chunks.len() > 0 {
            self.held += OVERHEAD;
            self.committed.insert(seq, chunks);
        }
    }

    /// Notes that a request has settled, and moves the turn over all that have.
    pub(super) fn settle(&mut self, seq: u64) {
        let Some(ahead) = seq.checked_sub(self.turn) else { return };
        let index = usize::try_from(ahead).expect("fewer requests are in flight than memory has bytes");
        if index >= self.settled.len() {
            self.settled.resize(index + 1, false);
        }
        self.settled[index] = true;
        let before = self.turn;
        while self.settled.front() == Some(&true) {
            self.settled.pop_front();
            self.turn += 1;
            if let Some(chunks) = self.committed.remove(&self.turn) {
                self.held -= chunks.len() + OVERHEAD;
                self.enqueue(chunks);
            }
        }
        if self.turn != before {
            self.woken.extend(self.waiting.remove(&self.turn));
            self.woken.append(&mut self.room_watchers);
        }
    }

    /// The writer's next piece.
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.queue.pop_front()?;
        self.is_unflushed = true;
        Some(chunk)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn is_unflushed(&self) -> bool {
        self.is_unflushed
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.queued = self.queued.saturating_sub(bytes);
        if self.queued < QUEUE {
            self.woken.extend(self.waiting.remove(&self.turn));
        }
        self.announce_room();
    }

    pub(super) fn flushed(&mut self) {
        self.is_unflushed = false;
        if self.is_finished() {
            self.woken.append(&mut self.finish_watchers);
        }
    }

    /// Nothing can be written any more: what is queued and held is forgotten.
    pub(super) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.queue.clear();
        self.queued = 0;
        self.is_unflushed = false;
        let forgotten: usize = self.committed.values().map(|chunks| chunks.len() + OVERHEAD).sum();
        self.held -= forgotten;
        self.committed.clear();
        self.woken.extend(std::mem::take(&mut self.waiting).into_values());
        self.woken.append(&mut self.room_watchers);
        self.woken.append(&mut self.finish_watchers);
        self.woken.append(&mut self.close_watchers);
    }

    pub(super) fn poll_finished(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        self.check()?;
        if self.is_finished() {
            return Poll::Ready(Ok(()));
        }
        watch(&mut self.finish_watchers, context);
        Poll::Pending
    }

    pub(super) fn poll_closed(&mut self, context: &Context<'_>) -> Poll<Error> {
        if let Some(error) = &self.failure {
            return Poll::Ready(error.clone());
        }
        watch(&mut self.close_watchers, context);
        Poll::Pending
    }

    fn is_finished(&self) -> bool {
        self.queued == 0 && !self.is_unflushed
    }

    fn announce_room(&mut self) {
        if self.has_room() {
            self.woken.extend(std::mem::take(&mut self.waiting).into_values());
            self.woken.append(&mut self.room_watchers);
        }
    }
}

/// Remembers a waker once, however often its task asks.
fn watch(watchers: &mut Vec<Waker>, context: &Context<'_>) {
    if !watchers.iter().any(|known| known.will_wake(context.waker())) {
        watchers.push(context.waker().clone());
    }
}

/// Chunks up to this length, in bytes, are copied together, so that they do not keep a connection's buffer alive.
const TINY: usize = 4 << 10;

/// Small chunks are copied into pieces of this length, in bytes.
const PIECE: usize = 16 << 10;

/// The bytes of a body in order.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    closed: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        if chunk.len() > TINY {
            self.close();
            self.closed.push_back(chunk);
            return;
        }
        if self.tail.len() + chunk.len() > PIECE {
            self.close();
        }
        self.tail.extend_from_slice(&chunk);
    }

    fn close(&mut self) {
        if !self.tail.is_empty() {
            self.closed.push_back(self.tail.split().freeze());
        }
    }
}
