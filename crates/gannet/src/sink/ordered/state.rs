//! Whose turn it is, what is held for later turns, where, and what is queued for the writer. Plain state under a
//! lock that `writer` holds: nothing here reads, writes or wakes; wakers to wake are collected.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::chunks::{Chunks, Count, Gauge, Kept, Piece};
use super::segment;
use super::spill::{Chore, Ground, Job};
use crate::error::{Error, ErrorKind};
use crate::sink::Room;
use crate::sink::io_error;

/// The body at its turn waits while this much, in bytes, is on its way to the writer.
pub(super) const QUEUE: u64 = 1 << 20;

/// Bodies before their turn wait while this much, in bytes, is on its way to the disk.
pub(super) const MOVING: u64 = 2 << 20;

/// Once memory is full, a body's bytes go to the disk when there are this many of them.
const BATCH: u64 = 64 << 10;

/// But at once when bodies with fewer hold this much, in bytes, beyond what memory is to hold.
pub(super) const SLACK: u64 = 2 << 20;

/// What goes to the disk in one piece, in bytes.
const PIECE: u64 = 1 << 20;

/// What a committed body or an epilogue costs beside its bytes, roughly, in bytes.
const OVERHEAD: u64 = 128;

/// The disk's bound is spread over about this many files, so that room is given back in parts.
const FILES: u64 = 64;

/// No file on the disk is left before it is this long, in bytes.
const SHORTEST: u64 = 1 << 20;

/// When the bytes of the body at its turn are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Showing {
    #[default]
    AsTheyCome,
    WhenWhole,
}

/// When the turn passes to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Passing {
    #[default]
    Settled,
    SettledAndClosed,
}

/// What is known of a request from the turn on.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    is_settled: bool,
    is_closed: bool,
}

/// Who asks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Turn,
    Later,
}

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    turn: u64,
    /// What is known of the requests from the turn on. Two bytes for each up to the last that is known.
    marks: VecDeque<Mark>,
    /// Texts for the end of turns to come. Counted as memory.
    epilogues: BTreeMap<u64, Kept>,
    /// Bodies that were committed before their turn.
    committed: BTreeMap<u64, Committed>,
    /// What the writer gets next.
    queue: VecDeque<Piece>,
    /// Bytes in `queue` and in the writer's hands, on the disk or not.
    queued: u64,
    /// All bytes of bodies in memory.
    pub(super) memory: Gauge,
    hold: u64,
    spill: u64,
    pub(super) ground: Ground,
    jobs: VecDeque<Job>,
    /// Bytes in `jobs` and in the hands of the thread that takes them to the disk.
    moving: u64,
    to_drop: Vec<Chunks>,
    pub(super) showing: Showing,
    pub(super) passing: Passing,
    is_unflushed: bool,
    failure: Option<Error>,
    /// Parts that wait for their turn, for room, for the disk, or for the queue.
    waiting: BTreeMap<u64, Waker>,
    room_watchers: Vec<Waker>,
    finish_watchers: Vec<Waker>,
    close_watchers: Vec<Waker>,
    /// To be woken once the lock is released.
    pub(super) woken: Vec<Waker>,
}

#[derive(Debug)]
struct Committed {
    pieces: VecDeque<Piece>,
    _overhead: Count,
}

impl State {
    pub(super) fn new(hold: u64, spill: u64) -> Self {
        let disk = Gauge::default();
        let folder = Arc::from(std::env::temp_dir());
        let mut state = Self {
            turn: 0,
            marks: VecDeque::new(),
            epilogues: BTreeMap::new(),
            committed: BTreeMap::new(),
            queue: VecDeque::new(),
            queued: 0,
            memory: Gauge::default(),
            hold,
            spill: 0,
            ground: Ground { folder, open: segment::unnamed, longest: 0, disk },
            jobs: VecDeque::new(),
            moving: 0,
            to_drop: Vec::new(),
            showing: Showing::default(),
            passing: Passing::default(),
            is_unflushed: false,
            failure: None,
            waiting: BTreeMap::new(),
            room_watchers: Vec::new(),
            finish_watchers: Vec::new(),
            close_watchers: Vec::new(),
            woken: Vec::new(),
        };
        state.set_spill(spill);
        state
    }

    pub(super) fn set_hold(&mut self, bytes: u64) {
        self.hold = bytes;
        self.announce();
    }

    pub(super) fn set_spill(&mut self, bytes: u64) {
        self.spill = bytes;
        self.ground.longest = (bytes / FILES).max(SHORTEST);
        self.announce();
    }

    pub(super) fn set_folder(&mut self, folder: &Path) {
        self.ground.folder = folder.into();
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Whether the turn of this number is over.
    pub(super) fn has_passed(&self, seq: u64) -> bool {
        seq < self.turn
    }

    pub(super) fn is_at_turn(&self, seq: u64) -> bool {
        self.turn == seq
    }

    /// Whether the bytes of this body go to the writer as they come.
    pub(super) fn streams(&self, seq: u64) -> bool {
        self.is_at_turn(seq) && self.showing == Showing::AsTheyCome
    }

    pub(super) fn queued(&self) -> u64 {
        self.queued
    }

    /// What of a bound this claim may use. Where bodies are held until they are whole, the later ones leave half of
    /// it to the one whose turn it is, or they could stand in its way for ever.
    fn share(&self, bound: u64, claim: Claim) -> u64 {
        match (self.showing, claim) {
            (Showing::WhenWhole, Claim::Later) => bound / 2,
            _ => bound,
        }
    }

    fn claim(&self, seq: u64) -> Claim {
        if self.is_at_turn(seq) { Claim::Turn } else { Claim::Later }
    }

    fn has_memory(&self, claim: Claim) -> bool {
        self.memory.now() < self.share(self.hold, claim)
    }

    fn has_disk(&self, claim: Claim) -> bool {
        self.ground.disk.now() + self.moving < self.share(self.spill, claim)
    }

    pub(super) fn room(&mut self, context: &Context<'_>) -> Room {
        if self.has_memory(Claim::Later) || self.has_disk(Claim::Later) || self.failure.is_some() {
            return Room::Any;
        }
        watch(&mut self.room_watchers, context);
        Room::Only(self.turn)
    }

    /// Whether a body that does not go to the writer yet may take another chunk.
    ///
    /// # Errors
    /// It never may: it is this body's turn, it is held until it is whole, and it is too large for that.
    pub(super) fn may_hold(&mut self, seq: u64, chunks: &mut Chunks) -> Result<bool, Error> {
        let claim = self.claim(seq);
        if self.has_memory(claim) {
            return Ok(true);
        }
        self.send_off(seq, chunks);
        if self.has_disk(claim) && self.moving < MOVING {
            return Ok(true);
        }
        if claim == Claim::Turn && self.moving == 0 && self.queued == 0 && self.to_drop.is_empty() {
            return Err(self.no_room());
        }
        Ok(false)
    }

    fn no_room(&self) -> Error {
        let message = format!(
            "the body does not fit into what is held until it is whole: {} bytes in memory, {} on the disk",
            self.hold, self.spill
        );
        io_error::without_cause(ErrorKind::MemoryFull, message)
    }

    /// Sends what a body holds to the disk if memory is full and it is worth a write.
    pub(super) fn relieve(&mut self, seq: u64, chunks: &mut Chunks) {
        let bound = self.share(self.hold, self.claim(seq));
        let now = self.memory.now();
        if now >= bound && (chunks.in_memory() >= BATCH || now >= bound + SLACK) {
            self.send_off(seq, chunks);
        }
    }

    /// Sends what a body holds to the disk, if memory is full and as far as the disk's bound goes.
    pub(super) fn send_off(&mut self, seq: u64, chunks: &mut Chunks) {
        let claim = self.claim(seq);
        while !self.has_memory(claim)
            && self.has_disk(claim)
            && let Some(moving) = chunks.send_off(PIECE)
        {
            self.moving += moving.len();
            self.jobs.push_back(Job { seq, moving });
        }
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

    /// Has what is on the disk dropped by the thread of the disk.
    pub(super) fn drop_later(&mut self, chunks: Chunks) {
        self.to_drop.push(chunks);
    }

    pub(super) fn enqueue(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        if self.failure.is_none() {
            let before = self.queue.len();
            self.queue.extend(pieces);
            self.queued += self.queue.range(before..).map(Piece::len).sum::<u64>();
        }
    }

    /// Keeps a body until its turn.
    pub(super) fn commit(&mut self, seq: u64, pieces: VecDeque<Piece>) {
        if !pieces.is_empty() {
            let overhead = Count::of(&self.memory, OVERHEAD);
            self.committed.insert(seq, Committed { pieces, _overhead: overhead });
        }
    }

    /// Notes that a request has settled, and moves the turn over all that are done.
    pub(super) fn settle(&mut self, seq: u64) {
        if let Some(mark) = self.mark(seq) {
            mark.is_settled = true;
            self.pass();
        }
    }

    /// Notes the text for the end of a turn. Only the first for a number counts.
    pub(super) fn close(&mut self, seq: u64, text: Bytes) {
        if self.passing == Passing::Settled || self.failure.is_some() {
            return;
        }
        let Some(mark) = self.mark(seq).filter(|mark| !mark.is_closed) else { return };
        mark.is_closed = true;
        if !text.is_empty() {
            self.epilogues.insert(seq, Kept::new(text, &self.memory, OVERHEAD));
        }
        self.pass();
    }

    /// What is known of a request, unless its turn is over.
    fn mark(&mut self, seq: u64) -> Option<&mut Mark> {
        let ahead = seq.checked_sub(self.turn)?;
        let index = usize::try_from(ahead).expect("fewer requests are in flight than memory has bytes");
        if index >= self.marks.len() {
            self.marks.resize(index + 1, Mark::default());
        }
        self.marks.get_mut(index)
    }

    fn pass(&mut self) {
        let before = self.turn;
        let passing = self.passing;
        let is_done = |mark: &&Mark| mark.is_settled && (mark.is_closed || passing == Passing::Settled);
        while self.marks.front().filter(is_done).is_some() {
            self.marks.pop_front();
            let epilogue = self.epilogues.remove(&self.turn);
            self.enqueue(epilogue.map(Piece::Kept));
            self.turn += 1;
            if let Some(committed) = self.committed.remove(&self.turn) {
                self.enqueue(committed.pieces);
            }
        }
        if self.turn != before {
            self.woken.extend(self.waiting.remove(&self.turn));
            self.woken.append(&mut self.room_watchers);
        }
    }

    /// The writer's next piece.
    pub(super) fn next_piece(&mut self) -> Option<Piece> {
        let piece = self.queue.pop_front()?;
        self.is_unflushed = true;
        Some(piece)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What the thread of the disk does next. Dropping comes first, since it makes room.
    pub(super) fn next_chore(&mut self) -> Option<Chore> {
        if !self.to_drop.is_empty() {
            return Some(Chore::Drop(std::mem::take(&mut self.to_drop)));
        }
        self.jobs.pop_front().map(Chore::Move)
    }

    pub(super) fn has_chore(&self) -> bool {
        !self.jobs.is_empty() || !self.to_drop.is_empty()
    }

    pub(super) fn is_unflushed(&self) -> bool {
        self.is_unflushed
    }

    /// So many bytes were written and are forgotten.
    pub(super) fn written(&mut self, bytes: u64) {
        self.queued = self.queued.saturating_sub(bytes);
        if self.queued < QUEUE {
            self.woken.extend(self.waiting.remove(&self.turn));
        }
        self.announce();
    }

    /// So many bytes of a body are on the disk, or were lost or called back on their way there.
    pub(super) fn moved(&mut self, seq: u64, bytes: u64) {
        self.moving = self.moving.saturating_sub(bytes);
        self.woken.extend(self.waiting.remove(&seq));
        self.announce();
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
        self.committed.clear();
        self.epilogues.clear();
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

    /// Wakes those for whom there is room now. They are woken in crowds, so those that wait for the disk are let be
    /// until half of what was on its way is there.
    pub(super) fn announce(&mut self) {
        let has_memory = self.has_memory(Claim::Later);
        let has_disk = self.has_disk(Claim::Later);
        if has_memory || (has_disk && self.moving < MOVING / 2) {
            self.woken.extend(std::mem::take(&mut self.waiting).into_values());
        } else if self.showing == Showing::WhenWhole {
            self.woken.extend(self.waiting.remove(&self.turn));
        }
        if has_memory || has_disk {
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
