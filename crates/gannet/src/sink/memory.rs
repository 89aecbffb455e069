//! The sink that keeps bodies in memory, each and all together under a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::{Part, Sink};
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::{Receipt, ReplyHead};
use crate::request::Request;

/// Keeps each body in memory.
///
/// A body over `each` bytes fails with [`BodyTooLarge`](ErrorKind::BodyTooLarge); one that would take the bodies
/// kept by this sink over `all` bytes fails with [`MemoryFull`](ErrorKind::MemoryFull).
#[derive(Debug, Clone)]
pub struct Memory {
    each: u64,
    all: u64,
    held: Arc<AtomicU64>,
}

impl Memory {
    /// Bodies of at most 64 MiB, at most 1 GiB together.
    pub const DEFAULT_EACH: u64 = 64 << 20;
    /// See [`DEFAULT_EACH`](Self::DEFAULT_EACH).
    pub const DEFAULT_ALL: u64 = 1 << 30;

    /// Bodies of at most `each` bytes, at most `all` bytes together.
    pub fn new(each: u64, all: u64) -> Self {
        Self { each, all, held: Arc::default() }
    }
}

/// Chunks up to this length, in bytes, are copied out of the connection's buffer.
const SMALL: usize = 4096;

impl Memory {
    /// A body of this length is no longer kept by the job: its outcome was handed over.
    pub(crate) fn release(&self, length: u64) {
        self.held.fetch_sub(length, Ordering::Relaxed);
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(Self::DEFAULT_EACH, Self::DEFAULT_ALL)
    }
}

/// Most bodies come in one chunk, which is then kept as it is.
#[derive(Debug)]
struct Held {
    sink: Memory,
    first: Bytes,
    rest: BytesMut,
    counted: u64,
}

impl Sink for Memory {
    fn begin(&self, _: u64, _: &Request, _: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        Ok(Box::new(Held { sink: self.clone(), first: Bytes::new(), rest: BytesMut::new(), counted: 0 }))
    }
}

impl Part for Held {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let length = chunk.len() as u64;
        if self.counted + length > self.sink.each {
            return Err(too_large(self.sink.each));
        }
        self.counted += length;
        if self.sink.held.fetch_add(length, Ordering::Relaxed) + length > self.sink.all {
            let message = format!(
                "the bodies held in memory are over their limit of {} bytes (ClientBuilder::max_memory)",
                self.sink.all
            );
            return Err(Error::new(ErrorKind::MemoryFull, Phase::Sink, message));
        }
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = chunk;
        } else {
            if self.rest.is_empty() {
                self.rest.extend_from_slice(&self.first);
                self.first = Bytes::new();
            }
            self.rest.extend_from_slice(&chunk);
        }
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn length(&self) -> u64 {
        self.counted
    }

    fn commit(mut self: Box<Self>) -> Result<Receipt, Error> {
        self.counted = 0;
        let rest = std::mem::take(&mut self.rest);
        let first = std::mem::take(&mut self.first);
        let body = match (rest.is_empty(), first.len()) {
            (false, _) => rest.freeze(),
            // A small chunk would keep the connection's whole read buffer alive.
            (true, ..=SMALL) => Bytes::copy_from_slice(&first),
            (true, _) => first,
        };
        Ok(Receipt::in_memory(body))
    }
}

impl Drop for Held {
    /// What was not committed no longer counts.
    fn drop(&mut self) {
        self.sink.held.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

pub(crate) fn too_large(limit: u64) -> Error {
    let message = format!("the body is over its limit of {limit} bytes (--max-size)");
    Error::new(ErrorKind::BodyTooLarge, Phase::Body, message)
}
