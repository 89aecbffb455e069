//! The sink that writes all bodies to one writer, in input order and never interleaved. What may be written when is
//! in `state`, the thread that writes in `writer`, what waits on the disk in `spill`. Nothing here waits on the
//! writer or the disk itself.

use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

mod chunks;
mod segment;
mod spill;
mod state;
mod writer;

use self::chunks::{Chunks, Landed};
use self::state::{Passing, QUEUE, Showing, State};
use self::writer::{Owner, Shared};
use super::{Admission, Part, Room, Sink, io_error};
use crate::error::{Error, ErrorKind};
use crate::outcome::{Receipt, ReplyHead};
use crate::request::Request;

/// Writes all bodies to one writer, such as standard output, in input order and never interleaved.
///
/// The body whose turn it is streams to the writer as it comes. Later ones are held in memory, 64 MiB in all unless
/// [`hold`](Self::hold) says otherwise; beyond that on the disk, in temporary files that have no name and go with
/// the process, however it ends, 1 GiB in all unless [`spill`](Self::spill) says otherwise. When both are full, only
/// the request whose turn it is may start or go on. The bound of memory is exceeded by at most 5 MiB on their way to
/// the writer and to the disk, and one chunk for each body in progress; that of the disk by at most 1 MiB and one
/// chunk. Room on the disk is given back file by file, of which there are about 64. Where a body cannot be held,
/// since the disk is full or there is no such folder, that body fails.
///
/// The writer runs on a thread of its own, since it may block for ever, and so does what writes to the disk; nothing
/// waits for the writer but [`finish`](Self::finish). A body is committed when it is queued, so an outcome may say
/// that a body was obtained which the writer then fails to write: `finish` tells. Bytes that were handed to the
/// writer are never repeated: if a body breaks after that, they stay, unless [`whole`](Self::whole) holds each back.
///
/// Cheap to clone; clones write to the same writer.
#[derive(Debug, Clone)]
pub struct Ordered {
    owner: Arc<Owner>,
}

impl Ordered {
    /// What is held in memory for later turns unless [`hold`](Self::hold) says otherwise, in bytes: 64 MiB.
    pub const DEFAULT_HOLD: usize = 64 << 20;

    /// What is held on the disk for later turns unless [`spill`](Self::spill) says otherwise, in bytes: 1 GiB.
    pub const DEFAULT_SPILL: u64 = 1 << 30;

    /// Writes to standard output.
    pub fn to_stdout() -> Self {
        Self::over("standard output", writer::stdout())
    }

    /// Writes to `writer`, in pieces of up to 64 KiB, and flushes it when there is no more to write at the moment.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self::over("the output", Box::new(writer))
    }

    fn over(name: &'static str, writer: Box<dyn Write + Send>) -> Self {
        let state = State::new(Self::DEFAULT_HOLD as u64, Self::DEFAULT_SPILL);
        Self { owner: Arc::new(Owner::new(Shared::new(name, writer, state))) }
    }

    /// Holds up to `bytes` in memory of the bodies that are not at their turn.
    #[must_use]
    pub fn hold(self, bytes: usize) -> Self {
        self.shared().change(|state| state.set_hold(bytes as u64));
        self
    }

    /// Holds up to `bytes` on the disk of the bodies that are not at their turn, once memory is full; 0 holds
    /// nothing there.
    #[must_use]
    pub fn spill(self, bytes: u64) -> Self {
        self.shared().change(|state| state.set_spill(bytes));
        self
    }

    /// Puts the unnamed files into `folder`; by default the system's for temporary files, which is `$TMPDIR` or
    /// `/tmp` on unix. On a file system that knows no files without a name they have one, made up and for this user
    /// alone, for a moment before the first byte is in them.
    ///
    /// A folder that lies in memory (tmpfs) is no relief for memory.
    #[must_use]
    pub fn spill_in(self, folder: impl AsRef<Path>) -> Self {
        self.shared().change(|state| state.set_folder(folder.as_ref()));
        self
    }

    /// Holds each body back until it is whole, that whose turn it is too: nothing of a body that fails is written,
    /// and each can be begun anew until its commit.
    ///
    /// Later bodies may then use half of what [`hold`](Self::hold) and [`spill`](Self::spill) allow; the rest is for
    /// the body whose turn it is. If that does not fit, it fails with [`MemoryFull`](crate::ErrorKind::MemoryFull).
    #[must_use]
    pub fn whole(self) -> Self {
        self.shared().change(|state| state.showing = Showing::WhenWhole);
        self
    }

    /// Lets the turn pass on only when an [`epilogue`](Self::epilogue) was given as well, for every request.
    #[must_use]
    pub fn epilogues(self) -> Self {
        self.shared().change(|state| state.passing = Passing::SettledAndClosed);
        self
    }

    /// Gives the text that is written behind the body of the request of this number, or in its place if it has none;
    /// it may be empty. To be called once for each number, from any thread, in any order, before its request has
    /// settled or after. A second text for a number is ignored, as are all without [`epilogues`](Self::epilogues).
    ///
    /// Texts that wait for their turn count as held in memory.
    pub fn epilogue(&self, seq: u64, text: impl Into<Bytes>) {
        let text = text.into();
        self.shared().change(|state| state.close(seq, text));
    }

    /// Waits until all that was committed, and whose turn came, is written and flushed.
    ///
    /// # Errors
    /// The writer has failed: with [`SinkClosed`](crate::ErrorKind::SinkClosed) if its reader has gone.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; it can be called again.
    pub async fn finish(&self) -> Result<(), Error> {
        poll_fn(|context| self.shared().change(|state| state.poll_finished(context))).await
    }

    /// Waits until nothing more can be written, since the writer's reader has gone or the writer failed, and says
    /// why. Stays pending for ever if that does not happen.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; it can be called again.
    pub async fn closed(&self) -> Error {
        poll_fn(|context| self.shared().change(|state| state.poll_closed(context))).await
    }

    /// Whether nothing more can be written.
    pub fn is_closed(&self) -> bool {
        self.shared().change(|state| state.check().is_err())
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }
}

impl Sink for Ordered {
    fn admit(&self, seq: u64, _: &mut Request) -> Result<Admission, Error> {
        if self.shared().change(|state| state.has_passed(seq)) {
            let message =
                "this ordered output has served another job; each job needs one of its own".to_owned();
            return Err(io_error::without_cause(ErrorKind::SinkFailed, message));
        }
        Ok(Admission::Fetch)
    }

    fn room(&self, context: &mut Context<'_>) -> Room {
        self.shared().change(|state| state.room(context))
    }

    fn keeps_order(&self) -> bool {
        true
    }

    fn begin(&self, seq: u64, _: &Request, _: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        let shared = self.shared().clone();
        let held = shared.change(|state| state.check().map(|()| Chunks::new(&state.memory)))?;
        Ok(Box::new(Turn { shared, seq, held, length: 0, handed: 0 }))
    }

    fn settled(&self, seq: u64) {
        self.shared().change(|state| state.settle(seq));
    }
}

/// One body: at its turn its bytes go to the writer, before that they are held.
#[derive(Debug)]
struct Turn {
    shared: Arc<Shared>,
    seq: u64,
    held: Chunks,
    length: u64,
    /// Bytes that were handed to the writer.
    handed: u64,
}

impl Turn {
    /// Hands what is held to the writer, if this body's bytes are to go there.
    fn hand_over(&mut self, state: &mut State) -> Result<bool, Error> {
        let streams = state.streams(self.seq);
        if streams && self.held.len() > 0 {
            let length = self.held.len();
            state.enqueue(self.held.take()?);
            self.handed += length;
        }
        Ok(streams)
    }
}

impl Part for Turn {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            self.held.look()?;
            let has_room = match self.hand_over(state)? {
                true => state.queued() < QUEUE,
                false => state.may_hold(self.seq, &mut self.held)?,
            };
            if has_room {
                return Poll::Ready(Ok(()));
            }
            state.wait(self.seq, context);
            Poll::Pending
        })
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            self.length += chunk.len() as u64;
            self.held.push(chunk);
            if !self.hand_over(state)? {
                state.relieve(self.seq, &mut self.held);
            }
            Ok(())
        })
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            if self.hand_over(state)? {
                return Poll::Ready(Ok(()));
            }
            // At its turn it is written at once after its commit, so the disk would be a detour.
            if !state.is_at_turn(self.seq) {
                state.send_off(self.seq, &mut self.held);
            }
            if self.held.look()? == Landed::All || state.is_at_turn(self.seq) {
                return Poll::Ready(Ok(()));
            }
            state.wait(self.seq, context);
            Poll::Pending
        })
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn restartable(&self) -> bool {
        self.handed == 0
    }

    fn commit(mut self: Box<Self>) -> Result<Receipt, Error> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            let pieces = self.held.take()?;
            match state.is_at_turn(self.seq) {
                true => state.enqueue(pieces),
                false => state.commit(self.seq, pieces),
            }
            Ok(Receipt::of_length(self.length))
        })
    }
}

impl Drop for Turn {
    /// What is held still is forgotten.
    fn drop(&mut self) {
        let held = std::mem::replace(&mut self.held, Chunks::none());
        // Memory is given back before the lock is taken, since the drop of a chunk can run anyone's code.
        let away = held.is_away().then_some(held);
        self.shared.change(|state| {
            if let Some(away) = away {
                state.drop_later(away);
            }
            state.stop_waiting(self.seq);
            state.announce();
        });
    }
}

#[cfg(test)]
mod tests;
