//! One attempt as a row's `tries` tells it, with its fields in their order. Plain data.

use std::net::IpAddr;

use gannet::{AttemptRecord, WhyStopped};
use serde::Serialize;

use super::millis;
use super::row::Connection;

/// One attempt.
#[derive(Debug, Serialize)]
pub(super) struct Try<'a> {
    /// From 1, in the order of their starts.
    attempt: usize,
    mirror: usize,
    why_started: &'static str,
    why_stopped: &'static str,
    error: Option<Trouble<'a>>,
    /// From the first attempt's start to this one's.
    began_ms: f64,
    waited: Option<Pause>,
    /// Why it was not let in at once at its host's gate.
    queued_for: Option<&'static str>,
    ms: Phases,
    status: Option<u16>,
    bytes: u64,
    ip: Option<IpAddr>,
    conn: Option<Connection>,
    hops: &'a [Box<str>],
}

/// What it waited for before it started.
#[derive(Debug, Serialize)]
struct Pause {
    #[serde(rename = "for")]
    what: &'static str,
    ms: f64,
}

#[derive(Debug, Serialize)]
struct Trouble<'a> {
    code: &'static str,
    message: &'a str,
}

/// Each phase's own time, all hops together.
#[derive(Debug, Serialize)]
struct Phases {
    queue: f64,
    dns: f64,
    connect: f64,
    tls: f64,
    wait: f64,
    body: f64,
}

impl<'a> Try<'a> {
    pub(super) fn all(attempts: &'a [AttemptRecord]) -> Vec<Self> {
        attempts.iter().enumerate().map(|(index, attempt)| Self::of(index, attempt)).collect()
    }

    fn of(index: usize, attempt: &'a AttemptRecord) -> Self {
        let error = match &attempt.why_stopped {
            WhyStopped::Failed(error) => {
                Some(Trouble { code: error.kind().code(), message: error.message() })
            }
            _ => None,
        };
        let timings = attempt.timings;
        Self {
            attempt: index + 1,
            mirror: attempt.mirror,
            why_started: attempt.why_started.as_str(),
            why_stopped: attempt.why_stopped.as_str(),
            error,
            began_ms: millis(attempt.began),
            waited: attempt
                .waited
                .map(|waited| Pause { what: waited.what.as_str(), ms: millis(waited.length) }),
            queued_for: attempt.queued_for.map(gannet::WaitedFor::as_str),
            ms: Phases {
                queue: millis(timings.queue),
                dns: millis(timings.dns),
                connect: millis(timings.connect),
                tls: millis(timings.tls),
                wait: millis(timings.wait),
                body: millis(timings.body),
            },
            status: attempt.status.map(|status| status.as_u16()),
            bytes: attempt.bytes,
            ip: attempt.address.map(|address| address.ip()),
            conn: Connection::of(attempt),
            hops: &attempt.hops,
        }
    }
}
