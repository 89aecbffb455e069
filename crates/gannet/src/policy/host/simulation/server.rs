//! Servers in virtual time: what they take, refuse and lose.

use std::time::Duration;

use fastrand::Rng;

use crate::Moment;
use crate::permit::Left;
use crate::policy::host::Speaks;

/// How a server treats a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Nature {
    /// It serves all.
    Plain,
    /// It answers 429 when more than so many are in flight.
    AtMost(u32),
    /// It answers `status` to more than so many a second, after a burst.
    PerSecond { rate: f64, burst: f64, status: u16 },
    /// So many of a hundred fail, half by 500 and half by 503.
    Random(u32),
    /// It turns twenty times slower at this second.
    TurnsSlow(u64),
    /// It answers the 50th request by 429 and wants to be left alone for a minute; then again and again.
    Minute,
    /// Nothing comes back but a reset, after so many milliseconds.
    Dead(u64),
    /// It is dead until this second.
    DeadUntil(u64),
    /// The head of each answer comes, and its body breaks off.
    BreaksBodies,
    /// 60 % are not found.
    NotFound,
    /// It refuses all.
    RefusesAll,
    /// It speaks HTTP/2 and allows so few streams.
    Streams(u32),
}

pub(super) struct Server {
    pub(super) nature: Nature,
    /// The median time of an answer, in milliseconds.
    pub(super) median: f64,
    busy: u32,
    tokens: f64,
    filled: Moment,
    seen: u32,
    alone_until: Moment,
}

/// What the server does with one request.
pub(super) struct Reply {
    pub(super) after: Duration,
    pub(super) left: Left,
    pub(super) serves: Serves,
}

/// Whether the request takes one of the server's own places until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    Yes,
    No,
}

impl Server {
    /// From now on it is another, with the same requests in service.
    pub(super) fn turns(&mut self, nature: Nature) {
        *self = Self { busy: self.busy, filled: self.filled, ..Self::new(nature, self.median) };
    }

    pub(super) fn new(nature: Nature, median: f64) -> Self {
        let tokens = if let Nature::PerSecond { burst, .. } = nature { burst } else { 0.0 };
        let zero = Moment::ZERO;
        Self { nature, median, busy: 0, tokens, filled: zero, seen: 0, alone_until: zero }
    }

    pub(super) fn speaks(&self) -> Speaks {
        match self.nature {
            Nature::Streams(streams) => Speaks::Http2 { streams, in_all: streams },
            _ => Speaks::Http1,
        }
    }

    pub(super) fn receive(&mut self, now: Moment, rng: &mut Rng) -> Reply {
        self.seen += 1;
        let after = lognormal(self.median, rng);
        let seconds = now.since(Moment::ZERO).as_secs();
        match self.nature {
            Nature::Plain | Nature::Streams(_) | Nature::BreaksBodies => self.serve(after, Left::Success),
            Nature::AtMost(most) if self.busy >= most => refuse(429, rng),
            Nature::AtMost(_) => self.serve(after, Left::Success),
            Nature::PerSecond { rate, burst, status } => {
                self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * rate).min(burst);
                self.filled = now;
                if self.tokens < 1.0 {
                    return refuse(status, rng);
                }
                self.tokens -= 1.0;
                self.serve(after, Left::Success)
            }
            Nature::Random(percent) if rng.u32(0..100) < percent => {
                let refused = Left::Refused { status: 503, retry_after: None };
                self.serve(after, if rng.bool() { Left::Broken } else { refused })
            }
            Nature::TurnsSlow(at) if seconds >= at => self.serve(after * 20, Left::Success),
            Nature::Minute => self.minute(now, after, rng),
            Nature::Dead(millis) => Reply::lost(millis),
            Nature::DeadUntil(second) if seconds < second => Reply::lost(5),
            Nature::NotFound if rng.u32(0..100) < 60 => self.serve(after, Left::Answered),
            Nature::RefusesAll => refuse(429, rng),
            Nature::Random(_) | Nature::TurnsSlow(_) | Nature::DeadUntil(_) | Nature::NotFound => {
                self.serve(after, Left::Success)
            }
        }
    }

    fn minute(&mut self, now: Moment, after: Duration, rng: &mut Rng) -> Reply {
        if self.seen.is_multiple_of(50) {
            self.alone_until = now + Duration::from_secs(60);
        }
        if now < self.alone_until {
            let retry_after = Some(self.alone_until - now);
            return Reply { left: Left::Refused { status: 429, retry_after }, ..refuse(429, rng) };
        }
        self.serve(after, Left::Success)
    }

    fn serve(&mut self, after: Duration, left: Left) -> Reply {
        self.busy += 1;
        Reply { after, left, serves: Serves::Yes }
    }

    pub(super) fn served(&mut self) {
        self.busy -= 1;
    }
}

impl Reply {
    fn lost(millis: u64) -> Self {
        Self { after: Duration::from_millis(millis), left: Left::Unreached, serves: Serves::No }
    }
}

fn refuse(status: u16, rng: &mut Rng) -> Reply {
    let left = Left::Refused { status, retry_after: None };
    Reply { after: lognormal(2.0, rng), left, serves: Serves::No }
}

/// A time with this median in milliseconds, and a sigma of 0.4.
pub(super) fn lognormal(median: f64, rng: &mut Rng) -> Duration {
    let (one, two) = (rng.f64().max(1e-12), rng.f64());
    let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
    Duration::from_secs_f64(median / 1000.0 * (0.4 * normal).exp())
}
