//! The thread that writes, and the lock between it and the parts. Nothing here decides what is written when.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;

use super::state::State;
use crate::error::ErrorKind;
use crate::sink::io_error;

/// Small bodies reach the writer in pieces of up to this length, in bytes.
const PIECE: usize = 64 << 10;

/// What the parts and the writing thread share.
pub(super) struct Shared {
    name: &'static str,
    inner: Mutex<Inner>,
    has_news: Condvar,
}

struct Inner {
    state: State,
    /// Here when no thread has it.
    writer: Option<BufWriter<Box<dyn Write + Send>>>,
    /// The last handle is gone: the thread ends when it has nothing to do.
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
    }
}

impl Shared {
    pub(super) fn new(name: &'static str, writer: Box<dyn Write + Send>, hold: usize) -> Arc<Self> {
        let writer = Some(BufWriter::with_capacity(PIECE, writer));
        let inner = Inner { state: State::new(hold), writer, is_ended: false };
        Arc::new(Self { name, inner: Mutex::new(inner), has_news: Condvar::new() })
    }

    /// Changes the state under the lock; then starts or tells the thread, and wakes who is to be woken.
    pub(super) fn change<R>(self: &Arc<Self>, with: impl FnOnce(&mut State) -> R) -> R {
        let mut inner = self.locked();
        let result = with(&mut inner.state);
        let writer = if inner.state.has_work() { inner.writer.take() } else { None };
        let woken = std::mem::take(&mut inner.state.woken);
        if inner.state.has_work() {
            self.has_news.notify_one();
        }
        drop(inner);
        woken.into_iter().for_each(std::task::Waker::wake);
        if let Some(writer) = writer {
            self.start(writer);
        }
        result
    }

    fn start(self: &Arc<Self>, writer: BufWriter<Box<dyn Write + Send>>) {
        let shared = self.clone();
        let thread = std::thread::Builder::new().name("gannet-output".to_owned());
        if let Err(cause) = thread.spawn(move || Running { shared }.run(writer)) {
            let error = io_error::of(self.name, cause);
            self.change(|state| state.fail(error));
        }
    }

    /// What the thread does next. Hands the writer back at the end, in the same step in which the end is seen.
    fn next(&self, writer: &mut Option<BufWriter<Box<dyn Write + Send>>>) -> Order {
        let mut inner = self.locked();
        loop {
            if let Some(chunk) = inner.state.next_chunk() {
                return Order::Write(chunk);
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
    Write(Bytes),
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
        if let Err(cause) = self.work(&mut writer) {
            // Without this its drop would try to write the rest once more.
            drop(writer.map(BufWriter::into_parts));
            let error = io_error::of(self.shared.name, cause);
            self.shared.change(|state| state.fail(error));
        }
    }

    /// Works until the end (`Ok`) or until the writer fails.
    fn work(&self, writer: &mut Option<BufWriter<Box<dyn Write + Send>>>) -> io::Result<()> {
        loop {
            let order = self.shared.next(writer);
            let Some(writer) = writer else { return Ok(()) };
            match order {
                Order::Write(chunk) => {
                    writer.write_all(&chunk)?;
                    self.shared.change(|state| state.written(chunk.len()));
                }
                Order::Flush => {
                    writer.flush()?;
                    self.shared.change(State::flushed);
                }
                Order::End => return Ok(()),
            }
        }
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
