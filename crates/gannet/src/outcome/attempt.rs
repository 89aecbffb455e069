//! The record of one attempt: why it started, why it stopped, where its time went. Plain data.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

use super::{Waited, WaitedFor};
use crate::error::{Error, Phase};

/// Why an attempt was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhyStarted {
    /// The first attempt, or a leg of a race.
    First,
    /// An earlier attempt had failed.
    Retry,
    /// An earlier attempt was refused unprocessed or met a stale connection; costs no budget.
    Redo,
    /// The newest attempt had been silent for the hedge delay.
    Hedge,
}

impl WhyStarted {
    /// The stable spelling in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Redo => "redo",
            Self::Hedge => "hedge",
        }
    }
}

/// Why an attempt stopped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WhyStopped {
    /// It brought the whole body, or led and was handed to the caller.
    Won,
    /// Another attempt led first.
    Superseded,
    /// It failed.
    Failed(Error),
    /// The deadline came.
    Deadline,
    /// The caller stopped it.
    Cancelled,
}

impl WhyStopped {
    /// Why it failed, if it did.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Won | Self::Superseded | Self::Deadline | Self::Cancelled => None,
        }
    }

    /// The stable spelling in reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Superseded => "superseded",
            Self::Failed(_) => "failed",
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One attempt: why it started, why it stopped, and where its time went.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// Which of the request's URLs it tried: 0 is the request's own, then its mirrors in order.
    pub mirror: usize,
    /// The mirror's URL, without credentials; `None` for the request's own.
    /// [`Outcome::url_of`](crate::Outcome::url_of) gives either.
    pub mirror_url: Option<Box<str>>,
    /// Why it was started.
    pub why_started: WhyStarted,
    /// Why it stopped.
    pub why_stopped: WhyStopped,
    /// From the fetch's first attempt's start to this one's.
    pub began: Duration,
    /// What it waited for before that, if it is a retry.
    pub waited: Option<Waited>,
    /// What it queued for at its host's gate, as that began; `None` if it was let in at once. How long is
    /// [`Timings::queue`], for the first attempt of a job's request [`Outcome::queued`](crate::Outcome::queued).
    pub queued_for: Option<WaitedFor>,
    /// Time in each phase.
    pub timings: Timings,
    /// The redirects it followed, in order, without credentials.
    pub hops: Vec<Box<str>>,
    /// The reply's status, if a reply came.
    pub status: Option<StatusCode>,
    /// Bytes of body received.
    pub bytes: u64,
    /// The address that it talked to last.
    pub address: Option<SocketAddr>,
    /// The connection that it used last.
    pub connection: Option<ConnectionUsed>,
}

impl AttemptRecord {
    pub(super) fn error_bytes(&self) -> usize {
        match &self.why_stopped {
            WhyStopped::Failed(error) => error.reply().map_or(0, |reply| reply.body.len()),
            _ => 0,
        }
    }

    pub(crate) fn forget_error_body(&mut self) {
        if let WhyStopped::Failed(error) = &mut self.why_stopped {
            *error = error.clone().without_bodies();
        }
    }
}

/// Which connection an attempt used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionUsed {
    /// Unique within the client.
    pub id: u64,
    /// Whether it had served an exchange before.
    pub reused: bool,
}

/// Time spent in each phase of an attempt, all hops together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Waiting for our own gate and pool.
    pub queue: Duration,
    /// Looking up addresses.
    pub dns: Duration,
    /// Connecting.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// Sending, and waiting for the first byte of the body.
    pub wait: Duration,
    /// Receiving the body after its first byte.
    pub body: Duration,
}

impl Timings {
    pub(crate) fn add(&mut self, phase: Phase, length: Duration) {
        let part = match phase {
            Phase::Queue => &mut self.queue,
            Phase::Dns => &mut self.dns,
            Phase::Connect => &mut self.connect,
            Phase::Tls => &mut self.tls,
            Phase::Send | Phase::Wait => &mut self.wait,
            Phase::Body | Phase::Sink | Phase::Verify => &mut self.body,
        };
        *part += length;
    }

    /// From the attempt's start to the first byte of the body, queueing apart (time to first byte).
    pub fn to_first_byte(&self) -> Duration {
        self.dns + self.connect + self.tls + self.wait
    }
}
