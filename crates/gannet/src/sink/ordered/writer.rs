//! The thread that writes, and the lock between it and the parts. Nothing here decides what is written when.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::chunks::Piece;
use super::segment::Growing;
use super::spill::{Chore, Ground, Mover};
use super::state::State;
use crate::error::{Error, ErrorKind};
use crate::sink::io_error;

/// Small bodies reach the writer in pieces of up to this length, in bytes.
const PIECE: usize = 64 << 10;

/// What the parts and the writing thread share.
pub(super) struct Shared {
    name: &'static str,
    inner: Mutex<Inner>,
    /// For the thread that writes.
    has_news: Condvar,
    /// For the thread that takes bodies to the disk.
    has_chores: Condvar,
}

struct Inner {
    state: State,
    /// Here when no thread has it.
    writer: Option<BufWriter<Box<dyn Write + Send>>>,
    /// Here when no thread has it.
    growing: Option<Growing>,
    /// The last handle is gone: each thread ends when it has nothing to do.
    is_ended: bool,
}

/// The handles' common end: when the last is dropped, the thread ends after what is queued.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) shared: Arc<Shared>,
}

impl Owner {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.locked().is_ended = true;
        self.shared.has_news.notify_one();
        self.shared.has_chores.notify_one();
    }
}

impl Shared {
    pub(super) fn new(name: &'static str, writer: Box<dyn Write + Send>, state: State) -> Arc<Self> {
        let writer = Some(BufWriter::with_capacity(PIECE, writer));
        let inner = Inner { state, writer, growing: Some(Growing::default()), is_ended: false };
        let inner = Mutex::new(inner);
        Arc::new(Self { name, inner, has_news: Condvar::new(), has_chores: Condvar::new() })
    }

    /// Changes the state under the lock; then starts or tells the threads, and wakes who is to be woken.
    pub(super) fn change<R>(self: &Arc<Self>, with: impl FnOnce(&mut State) -> R) -> R {
        let mut inner = self.locked();
        let result = with(&mut inner.state);
        let writer = if inner.state.has_work() { inner.writer.take() } else { None };
        let growing = if inner.state.has_chore() { inner.growing.take() } else { None };
        let woken = std::mem::take(&mut inner.state.woken);
        if inner.state.has_work() {
            self.has_news.notify_one();
        }
        if inner.state.has_chore() {
            self.has_chores.notify_one();
        }
        drop(inner);
        woken.into_iter().for_each(std::task::Waker::wake);
        if let Some(writer) = writer {
            let shared = self.clone();
            self.start("gannet-output", Box::new(move || Running { shared }.run(writer)));
        }
        if let Some(growing) = growing {
            let shared = self.clone();
            self.start("gannet-hold", Box::new(move || Mover { shared }.run(growing)));
        }
        result
    }

    fn start(self: &Arc<Self>, name: &str, work: Box<dyn FnOnce() + Send>) {
        if let Err(cause) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
            let error = io_error::of(self.name, cause);
            self.change(|state| state.fail(error));
        }
    }

    /// What the thread of the disk does next, and where. Hands back what it has at the end, as [`next`](Self::next).
    pub(super) fn next_chore(&self, growing: &mut Option<Growing>) -> Option<(Chore, Ground)> {
        let mut inner = self.locked();
        loop {
            if let Some(chore) = inner.state.next_chore() {
                return Some((chore, inner.state.ground.clone()));
            }
            if inner.is_ended {
                inner.growing = growing.take();
                return None;
            }
            inner = self.has_chores.wait(inner).expect(HELD);
        }
    }

    /// What the thread does next. Hands the writer back at the end, in the same step in which the end is seen.
    fn next(&self, writer: &mut Option<BufWriter<Box<dyn Write + Send>>>) -> Order {
        let mut inner = self.locked();
        loop {
            if let Some(piece) = inner.state.next_piece() {
                return Order::Write(piece);
            }
            if inner.state.is_unflushed() {
                return Order::Flush;
            }
            if inner.is_ended {
                inner.writer = writer.take();
                return Order::End;
            }
            inner = self.has_news.wait(inner).expect(HELD);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect(HELD)
    }
}

const HELD: &str = "no thread panics while it holds the lock of this sink";

enum Order {
    Write(Piece),
    Flush,
    End,
}

/// The thread's own handle. If the writer panics, its drop says so to all who wait.
struct Running {
    shared: Arc<Shared>,
}

impl Running {
    fn run(self, writer: BufWriter<Box<dyn Write + Send>>) {
        let mut writer = Some(writer);
        if let Err(error) = self.work(&mut writer) {
            // Without this its drop would try to write the rest once more.
            drop(writer.map(BufWriter::into_parts));
            self.shared.change(|state| state.fail(error));
        }
    }

    /// Works until the end (`Ok`) or until the writer fails.
    fn work(&self, writer: &mut Option<BufWriter<Box<dyn Write + Send>>>) -> Result<(), Error> {
        let mut buffer = Vec::new();
        loop {
            let order = self.shared.next(writer);
            let Some(writer) = writer else { return Ok(()) };
            match order {
                Order::Write(piece) => {
                    self.write(writer, &piece, &mut buffer)?;
                    let length = piece.len();
                    drop(piece);
                    self.shared.change(|state| state.written(length));
                }
                Order::Flush => {
                    writer.flush().map_err(|cause| self.unwritten(cause))?;
                    self.shared.change(State::flushed);
                }
                Order::End => return Ok(()),
            }
        }
    }

    fn write(&self, writer: &mut dyn Write, piece: &Piece, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let mut put = |bytes: &[u8]| writer.write_all(bytes).map_err(|cause| self.unwritten(cause));
        match piece {
            Piece::Kept(kept) => put(&kept.bytes),
            Piece::Run(run) => run.iter().try_for_each(|kept| put(&kept.bytes)),
            Piece::Disk(extent) => extent.read(buffer, |cause| self.unread(&cause), put),
        }
    }

    fn unwritten(&self, cause: io::Error) -> Error {
        io_error::of(self.shared.name, cause)
    }

    fn unread(&self, cause: &io::Error) -> Error {
        let name = self.shared.name;
        let message = format!(
            "cannot write {name}: the temporary file of a body that waited for its turn cannot be read: {cause}"
        );
        io_error::without_cause(ErrorKind::SinkFailed, message)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = format!("cannot write {}: its writer panicked", self.shared.name);
            let error = io_error::without_cause(ErrorKind::SinkFailed, message);
            self.shared.change(|state| state.fail(error));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Standard output without the line buffer that would split binary bodies.
#[cfg(unix)]
pub(super) fn stdout() -> Box<dyn Write + Send> {
    use std::os::fd::AsFd;
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(std::fs::File::from(descriptor)),
        Err(_) => Box::new(io::stdout()),
    }
}

#[cfg(not(unix))]
pub(super) fn stdout() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}
