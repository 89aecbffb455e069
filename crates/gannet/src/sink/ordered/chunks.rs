//! The bytes of one body in order: first what is on the disk or on its way there, then what is in memory. All that
//! is in memory is counted for as long as it is there. Nothing here decides what goes where.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};

use super::segment::Extent;
use super::spill::Moving;
use crate::error::Error;

/// Chunks up to this length, in bytes, are copied together, so that they do not keep a connection's buffer alive.
const TINY: usize = 4 << 10;

/// Small chunks are copied into pieces of this length, in bytes.
const PIECE: usize = 16 << 10;

/// How many bytes there are of something, in all bodies of a sink.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauge(Arc<Level>);

#[derive(Debug, Default)]
struct Level {
    now: AtomicU64,
    #[cfg(test)]
    most: AtomicU64,
}

impl Gauge {
    pub(super) fn now(&self) -> u64 {
        self.0.now.load(Ordering::Relaxed)
    }

    /// The most that there ever were.
    #[cfg(test)]
    pub(super) fn most(&self) -> u64 {
        self.0.most.load(Ordering::Relaxed)
    }
}

/// A share of a gauge. Its drop takes it off.
#[derive(Debug)]
pub(super) struct Count {
    gauge: Gauge,
    bytes: u64,
}

impl Count {
    pub(super) fn of(gauge: &Gauge, bytes: u64) -> Self {
        let mut count = Self { gauge: gauge.clone(), bytes: 0 };
        count.add(bytes);
        count
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        let _now = self.gauge.0.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        #[cfg(test)]
        self.gauge.0.most.fetch_max(_now, Ordering::Relaxed);
    }

    /// Leaves nothing here, and gives what was counted.
    fn take(&mut self) -> Self {
        Self { gauge: self.gauge.clone(), bytes: std::mem::take(&mut self.bytes) }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.gauge.0.now.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes in memory.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bytes: Bytes,
    _count: Count,
}

impl Kept {
    /// Counts the bytes, and `overhead` beside them.
    pub(super) fn new(bytes: Bytes, gauge: &Gauge, overhead: u64) -> Self {
        let count = Count::of(gauge, bytes.len() as u64 + overhead);
        Self { bytes, _count: count }
    }
}

/// A piece of a body that can be given to the writer.
#[derive(Debug)]
pub(super) enum Piece {
    Kept(Kept),
    /// Bytes that were on their way to the disk when they were needed.
    Run(Arc<Vec<Kept>>),
    Disk(Extent),
}

impl Piece {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Kept(kept) => kept.bytes.len() as u64,
            Self::Run(run) => run.iter().map(|kept| kept.bytes.len() as u64).sum(),
            Self::Disk(extent) => extent.len(),
        }
    }
}

/// What left the memory, or is about to.
#[derive(Debug)]
enum Away {
    Moving(Arc<Moving>),
    Disk(Extent),
}

/// The bytes of a body in order.
#[derive(Debug)]
pub(super) struct Chunks {
    away: VecDeque<Away>,
    /// How many of `away`, from the first on, are known to be on the disk.
    landed: usize,
    kept: VecDeque<Kept>,
    tail: BytesMut,
    tail_count: Count,
    gauge: Gauge,
    length: u64,
    /// Bytes in `kept` and `tail`.
    in_memory: u64,
}

impl Chunks {
    pub(super) fn new(gauge: &Gauge) -> Self {
        Self {
            away: VecDeque::new(),
            landed: 0,
            kept: VecDeque::new(),
            tail: BytesMut::new(),
            tail_count: Count::of(gauge, 0),
            gauge: gauge.clone(),
            length: 0,
            in_memory: 0,
        }
    }

    /// No bytes, in no sink's books.
    pub(super) fn none() -> Self {
        Self::new(&Gauge::default())
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Bytes in memory that are not on their way to the disk.
    pub(super) fn in_memory(&self) -> u64 {
        self.in_memory
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len() as u64;
        self.in_memory += chunk.len() as u64;
        if chunk.len() > TINY {
            self.close();
            self.kept.push_back(Kept::new(chunk, &self.gauge, 0));
            return;
        }
        if self.tail.len() + chunk.len() > PIECE {
            self.close();
        }
        self.tail_count.add(chunk.len() as u64);
        self.tail.extend_from_slice(&chunk);
    }

    fn close(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            self.kept.push_back(Kept { bytes, _count: self.tail_count.take() });
        }
    }

    /// Sends at least `wanted` bytes of what is in memory, from the first on, on their way to the disk, or all.
    pub(super) fn send_off(&mut self, wanted: u64) -> Option<Arc<Moving>> {
        self.close();
        let (mut run, mut bytes) = (Vec::new(), 0);
        while bytes < wanted
            && let Some(kept) = self.kept.pop_front()
        {
            bytes += kept.bytes.len() as u64;
            run.push(kept);
        }
        self.in_memory -= bytes;
        let moving = Arc::new(Moving::new(run, bytes));
        (bytes > 0).then(|| {
            self.away.push_back(Away::Moving(moving.clone()));
            moving
        })
    }

    /// Notes what has come to the disk; whether all did that was sent there.
    ///
    /// # Errors
    /// Something did not.
    pub(super) fn look(&mut self) -> Result<Landed, Error> {
        while let Some(next) = self.away.get_mut(self.landed) {
            if let Away::Moving(moving) = next {
                match moving.landed()? {
                    Some(extent) => *next = Away::Disk(extent),
                    None => return Ok(Landed::Some),
                }
            }
            self.landed += 1;
        }
        Ok(Landed::All)
    }

    /// Whether any byte is on the disk or on its way there.
    pub(super) fn is_away(&self) -> bool {
        !self.away.is_empty()
    }

    /// Takes all of it out, for the writer. What is still on its way to the disk is called back.
    ///
    /// # Errors
    /// Some of it did not get there, and is lost. The rest is forgotten.
    pub(super) fn take(&mut self) -> Result<VecDeque<Piece>, Error> {
        self.close();
        let Self { away, kept, .. } = std::mem::replace(self, Self::new(&self.gauge));
        let ready = |away| match away {
            Away::Moving(moving) => moving.call_back(),
            Away::Disk(extent) => Ok(Piece::Disk(extent)),
        };
        let mut pieces: VecDeque<Piece> = away.into_iter().map(ready).collect::<Result<_, _>>()?;
        pieces.extend(kept.into_iter().map(Piece::Kept));
        Ok(pieces)
    }
}

/// How much of what was sent to the disk is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landed {
    All,
    Some,
}
