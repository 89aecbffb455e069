//! Who may send to a host now, and when to look again: limit, pace, cool-down and breaker of one host. Pure: the
//! gate around it keeps the waiters, and tells it what became of each request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Moment;
use crate::permit::{Left, Part, Pass, Rated, Role};

use breaker::{Life, Says};
use cooldown::{Absence, CoolDown};
use limit::{Entered, Reception};
use load::Load;
use mutated::mutated;
use rate::Rate;

mod breaker;
mod cooldown;
mod limit;
mod load;
mod mutated;
mod pace;
pub(crate) mod rate;
mod shares;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod trial;

/// Requests in flight to a host of HTTP/1, where nothing else is set; browsers use the same number.
pub(crate) const HTTP1_IN_FLIGHT: u32 = 6;
/// Requests in flight to a host of HTTP/2, where nothing else is set.
pub(crate) const HTTP2_IN_FLIGHT: u32 = 100;
/// How long a dead host is waited for.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(120);
/// The longest absence a host may ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// What the caller set for each host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Requests in flight, whichever version the host speaks.
    pub(crate) per_host: Option<u32>,
    /// Requests a second.
    pub(crate) host_rate: Option<f64>,
    /// A host is given up so long after its breaker opened; `None` is never.
    pub(crate) give_up: Option<Duration>,
    /// A longer absence is not waited for.
    pub(crate) retry_after_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { per_host: None, host_rate: None, give_up: Some(GIVE_UP), retry_after_max: RETRY_AFTER_MAX }
    }
}

/// The state of one host.
#[derive(Debug, Clone)]
pub(crate) struct HostRules {
    settings: Arc<Settings>,
    host_rate: Option<Box<Rate>>,
    cool_down: CoolDown,
    load: Load,
}

/// Which version a host turned out to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    /// And allows so many streams at once on a connection.
    Http2 {
        streams: u32,
        /// And on all that are opened to it, where the caller wants more than one has streams for.
        in_all: u32,
    },
}

/// What one who asks for a place is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Entry {
    /// Come in, and bring the pass back on leaving.
    Granted(Pass),
    /// Not before somebody leaves.
    Full,
    /// Not before this moment.
    NotBefore(Moment),
    /// The server wants to be left alone until then, which is longer than is waited for.
    Away(Moment),
    /// The host is dead: fail as `host.unavailable`.
    GivenUp,
}

/// Why nobody is let in until some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// The server asked for it.
    Asked,
    /// Most attempts failed.
    Failing,
}

/// Why nobody may enter now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Held {
    /// So many are in flight, and no more may be.
    Limit(u32),
    /// Refusals made it so slow, in requests a second.
    Pace(f64),
    /// The caller did, in requests a second.
    HostRate(f64),
    /// The server asked for it, by this status; 0 is a RateLimit field.
    CoolDown { remaining: Duration, status: u16 },
    /// Most attempts failed; one goes to see after this time.
    Breaker { remaining: Duration },
    /// Nothing came back from it for so long that it is not waited for any more.
    GivenUp,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(limit) => write!(f, "limit: {limit} in flight"),
            Self::Pace(pace) => write!(f, "pace: {pace:.1} a second after refusals"),
            Self::HostRate(rate) => write!(f, "host rate: {rate} a second"),
            Self::CoolDown { remaining, status: 0 } => {
                write!(f, "cool-down for {} s: the server says nothing is left", seconds(*remaining))
            }
            Self::CoolDown { remaining, status } => {
                write!(f, "cool-down for {} s after status {status}", seconds(*remaining))
            }
            Self::Breaker { remaining } if remaining.is_zero() => {
                f.write_str("breaker open, one goes to see: most attempts failed")
            }
            Self::Breaker { remaining } => {
                write!(f, "breaker open for {} s: most attempts failed", seconds(*remaining))
            }
            Self::GivenUp => f.write_str("given up: nothing but failures"),
        }
    }
}

/// Whole seconds, none of them told as 0.
fn seconds(length: Duration) -> u64 {
    length.as_nanos().div_ceil(1_000_000_000) as u64
}

impl HostRules {
    /// A host of which nothing is known; `cap` is the caller's own limit under either version.
    #[cfg(test)]
    pub(crate) fn new(cap: Option<u32>) -> Self {
        Self::with(&Settings { per_host: cap, ..Settings::default() })
    }

    /// A host of which nothing is known.
    #[cfg(test)]
    pub(crate) fn with(settings: &Settings) -> Self {
        Self::sharing(Arc::new(*settings))
    }

    /// A host of which nothing is known.
    pub(crate) fn sharing(settings: Arc<Settings>) -> Self {
        Self {
            host_rate: settings.host_rate.map(|per_second| Box::new(Rate::new(per_second))),
            cool_down: CoolDown::default(),
            load: Load::new(settings.per_host.unwrap_or(HTTP1_IN_FLIGHT)),
            settings,
        }
    }

    /// Asks for a place.
    #[must_use]
    pub(crate) fn enter(&mut self, now: Moment) -> Entry {
        self.look(now);
        if let Some((_, until, absence)) = self.cool_down.lasts(now) {
            return match absence {
                Absence::Bearable => Entry::NotBefore(until),
                Absence::TooLong => Entry::Away(until),
            };
        }
        let role = match self.load.says(now) {
            Says::Go => Role::Ordinary,
            Says::Probe => Role::Probe,
            Says::Wait | Says::NotBefore(_) if self.is_given_up(now) => return Entry::GivenUp,
            Says::Wait => return Entry::Full,
            Says::NotBefore(until) => return Entry::NotBefore(until),
        };
        // Those that were in flight when the breaker opened may be hanging: the probe does not wait for them.
        if role == Role::Ordinary && self.load.is_full() {
            return Entry::Full;
        }
        if let Some(next) = self.next_by_rate().filter(|next| *next > now) {
            return Entry::NotBefore(next);
        }
        if role == Role::Probe {
            self.load.probe_entered();
        }
        Entry::Granted(self.go(role, now))
    }

    /// Takes a place beyond the limit: the others are held by ourselves, until this one has gone through.
    #[must_use]
    pub(crate) fn enter_beyond(&mut self, now: Moment) -> Pass {
        self.go(Role::Ordinary, now)
    }

    fn go(&mut self, role: Role, now: Moment) -> Pass {
        if let Some(rate) = &mut self.host_rate {
            rate.take(now);
        }
        let Entered { window, in_flight } = self.load.entered(now);
        Pass { window, in_flight, role, part: Part::Open, rate: Rated::Owed }
    }

    /// The head of a reply has come that is no refusal. From now on the window does not wait for this request, nor the
    /// others for a probe: its body may take as long as it likes. Told once, before [`leave`](Self::leave), whose pass
    /// is then [`after_head`](Pass::after_head).
    pub(crate) fn answered(&mut self, pass: Pass, left: Left, now: Moment) {
        let entered = Entered { window: pass.window, in_flight: pass.in_flight };
        self.load.answered(entered, reception(left), now);
        if pass.role == Role::Probe {
            self.probe_left(life(left), now);
        }
    }

    /// A place is given back. `dice` is any u32, for the jitter after a Retry-After.
    pub(crate) fn leave(&mut self, pass: Pass, left: Left, now: Moment, dice: u32) {
        if let Left::Refused { status, retry_after: Some(length) } = left {
            self.cool_down.ask(status, length, self.settings.retry_after_max, now, dice);
        }
        let entered = Entered { window: pass.window, in_flight: pass.in_flight };
        match pass.part {
            Part::Open => self.load.left(entered, reception(left), now),
            Part::Counted => self.load.ended(entered, reception(left), now),
        }
        match pass.role {
            Role::Ordinary => self.load.lived(life(left), now),
            Role::Probe => {
                self.probe_left(life(left), now);
                if life(left) == Life::Answered {
                    self.load.watched(now).breaker.trusted();
                }
            }
            Role::Revived => self.load.watched(now).breaker.revived_left(life(left), now),
        }
    }

    fn probe_left(&mut self, life: Life, now: Moment) {
        let watched = self.load.watched(now);
        watched.breaker.probe_left(life, now);
        if life == Life::Answered {
            watched.limit.revived();
        }
    }

    /// The server says that nothing is left for `length` (RateLimit-Remaining: 0).
    pub(crate) fn exhausted(&mut self, length: Duration, now: Moment, dice: u32) {
        self.cool_down.ask(0, length, self.settings.retry_after_max, now, dice);
    }

    /// The host answered in this version.
    pub(crate) fn learned(&mut self, speaks: Speaks) {
        let usual = match (speaks, self.settings.per_host) {
            (Speaks::Http1, cap) => cap.unwrap_or(HTTP1_IN_FLIGHT),
            (Speaks::Http2 { .. }, cap) if mutated!(StreamsIgnored) => cap.unwrap_or(HTTP2_IN_FLIGHT),
            (Speaks::Http2 { streams, .. }, None) => HTTP2_IN_FLIGHT.min(streams),
            (Speaks::Http2 { in_all, .. }, Some(cap)) => cap.min(in_all),
        };
        self.load.usually(usual);
    }

    /// The host wants this long between two requests (Crawl-delay); a slower rate that was set stands.
    #[cfg_attr(not(feature = "robots"), expect(dead_code, reason = "only robots.txt names such a delay"))]
    pub(crate) fn crawl_delay(&mut self, delay: Duration) {
        let per_second = 1.0 / delay.as_secs_f64().max(1e-9);
        if self.host_rate.as_ref().is_none_or(|rate| rate.per_second() > per_second) {
            self.host_rate = Some(Box::new(Rate::new(per_second)));
        }
    }

    /// Until when the server wants to be left alone, if it does.
    pub(crate) fn cools_until(&self, now: Moment) -> Option<Moment> {
        self.cool_down.lasts(now).map(|(_, until, _)| until)
    }

    /// Until when nobody is let in, by the server's wish or since most attempts failed, if that is known.
    pub(crate) fn shut_until(&self, now: Moment) -> Option<(Moment, Shut)> {
        if let Some(until) = self.cools_until(now) {
            return Some((until, Shut::Asked));
        }
        let until = self.load.open_until(now).filter(|until| *until > now)?;
        Some((until, Shut::Failing))
    }

    /// Whether there is nothing to remember of the host: it is as one of which nothing is known.
    pub(crate) fn is_idle(&self, now: Moment) -> bool {
        self.in_flight() == 0
            && self.cools_until(now).is_none()
            && self.load.open_until(now).is_none()
            && !self.load.remembers(now)
            && self.next_by_rate().is_none_or(|next| next <= now)
    }

    /// Time has passed.
    pub(crate) fn look(&mut self, now: Moment) {
        self.load.look(now);
    }

    /// When time alone changes what one who asks is told; `None` while somebody may enter, or only a leaving helps.
    pub(crate) fn wake(&self, now: Moment) -> Option<Moment> {
        if mutated!(WakeStale) {
            return Some(now);
        }
        if let Some((_, until, _)) = self.cool_down.lasts(now) {
            return (!mutated!(WakeForgotten)).then_some(until);
        }
        let give_up = self.gives_up_at().filter(|at| *at > now);
        let opens = match self.load.says(now) {
            Says::NotBefore(until) => Some(until),
            Says::Wait => None,
            Says::Go if self.load.is_full() => self.load.measured().and_then(|watched| watched.limit.wake()),
            Says::Go | Says::Probe => self.next_by_rate(),
        };
        opens.into_iter().chain(give_up).filter(|at| *at > now).min()
    }

    fn next_by_rate(&self) -> Option<Moment> {
        let host_rate =
            self.host_rate.as_ref().filter(|_| !mutated!(HostRateIgnored)).map(|rate| rate.next());
        host_rate.max(self.load.next())
    }

    fn gives_up_at(&self) -> Option<Moment> {
        self.load.measured()?.breaker.gives_up_at(self.settings.give_up)
    }

    /// Whether those who wait are to fail as `host.unavailable`.
    pub(crate) fn is_given_up(&self, now: Moment) -> bool {
        self.gives_up_at().is_some_and(|at| now >= at)
    }

    /// Why one who asked now would have to wait.
    pub(crate) fn held(&self, now: Moment) -> Option<Held> {
        if self.is_given_up(now) {
            return Some(Held::GivenUp);
        }
        if let Some((status, until, _)) = self.cool_down.lasts(now) {
            return Some(Held::CoolDown { remaining: until - now, status });
        }
        if let Some(until) = self.load.open_until(now) {
            return Some(Held::Breaker { remaining: until - now });
        }
        let later = |next: Moment| next > now;
        let set = self.host_rate.as_ref().filter(|rate| later(rate.next()));
        let pace = self.load.pace().filter(|_| self.load.next().is_some_and(later));
        let rate = pace.map(Held::Pace).or(set.map(|rate| Held::HostRate(rate.per_second())));
        let full = self.load.is_full().then(|| Held::Limit(self.load.limit()));
        // One who may go beyond the limit would still have to keep to the rate.
        rate.or(full)
    }

    /// Whether refusals hold the host back: no hedges then.
    pub(crate) fn holds_hedges(&self, now: Moment) -> bool {
        self.is_lowered() || self.cools_until(now).is_some() || self.load.open_until(now).is_some()
    }

    /// Whether refusals hold the host below what is usual.
    fn is_lowered(&self) -> bool {
        self.load.is_lowered()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// How many requests may be in flight now.
    pub(crate) fn limit(&self) -> u32 {
        self.load.limit()
    }

    /// Requests a second that refusals allow; `None` is no bound.
    #[cfg(test)]
    pub(crate) fn pace(&self) -> Option<f64> {
        self.load.pace()
    }
}

fn reception(left: Left) -> Reception {
    match left {
        Left::Success | Left::Answered => Reception::Taken,
        Left::Refused { .. } | Left::Unreached => Reception::PushedBack,
        Left::Broken => Reception::Failed,
        Left::Cut => Reception::Unknown,
    }
}

fn life(left: Left) -> Life {
    match left {
        Left::Answered if mutated!(NotFoundBreaks) => Life::Failed,
        Left::Refused { status: 429, .. } if mutated!(TooManyBreaks) => Life::Failed,
        Left::Success | Left::Answered | Left::Refused { status: 429, .. } => Life::Answered,
        Left::Refused { .. } | Left::Unreached | Left::Broken => Life::Failed,
        Left::Cut => Life::Unknown,
    }
}
