//! The breaker of one host: it opens when most of the recent attempts failed, and lets one probe through from time to
//! time. Connect errors, resets, timeouts and 5xx count; an answer that is merely unwelcome does not.

use std::time::Duration;

use crate::Moment;

use super::mutated::mutated;

/// Fewer attempts than this open nothing.
const ATTEMPTS: u32 = 20;
/// How long an attempt counts, in slots.
const SLOTS: usize = 6;
const SLOT: Duration = Duration::from_secs(5);
/// How long nobody is let through.
const OPEN: Duration = Duration::from_secs(5);
/// Failed probes before a host is given up.
const PROBES: u32 = 3;

/// The breaker of one host.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Breaker {
    state: State,
    /// The number of the newest slot, counted from the origin of time.
    slot: u64,
    counts: [Count; SLOTS],
    /// Failures since the last answer. A host that swallows everything is too slow to fail twenty times in the
    /// slots' time; so many in a row open the breaker whatever their time.
    in_a_row: u32,
    /// Since when it was open, and after how many failed probes the head of a reply closed it. Forgotten when a body
    /// ends well: a host whose every body breaks off is as dead as one that is silent.
    was: Option<(Moment, u32)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    attempts: u32,
    failed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open {
        since: Moment,
        until: Moment,
        failed_probes: u32,
    },
    Probing {
        since: Moment,
        failed_probes: u32,
    },
}

/// What the breaker says to one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Go,
    /// As the only one.
    Probe,
    /// Somebody probes.
    Wait,
    NotBefore(Moment),
}

/// What an attempt says of the host's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Answered,
    Failed,
    /// It was cut short by ourselves.
    Unknown,
}

impl Breaker {
    /// The state of a host that gave so many answers, and never failed.
    pub(crate) fn after(answered: u32, now: Moment) -> Self {
        let mut breaker = Self::default();
        breaker.turn(now).attempts = answered;
        breaker
    }

    pub(crate) fn asked(&self, now: Moment) -> Says {
        match self.state {
            State::Closed => Says::Go,
            State::Open { until, .. } if now < until => Says::NotBefore(until),
            State::Open { .. } => Says::Probe,
            State::Probing { .. } if mutated!(ManyProbes) => Says::Probe,
            State::Probing { .. } => Says::Wait,
        }
    }

    /// The probe goes through.
    pub(crate) fn probe_entered(&mut self) {
        if let State::Open { since, failed_probes, .. } = self.state {
            self.state = State::Probing { since, failed_probes };
        }
    }

    /// The probe has ended.
    pub(crate) fn probe_left(&mut self, life: Life, now: Moment) {
        let State::Probing { since, mut failed_probes } = self.state else { return };
        match life {
            Life::Answered => {
                *self = Self { was: Some((since, failed_probes)), ..Self::default() };
                return;
            }
            Life::Failed => failed_probes = failed_probes.saturating_add(1),
            // The next one probes, at once.
            Life::Unknown => {
                self.state = State::Open { since, until: now, failed_probes };
                return;
            }
        }
        self.state = State::Open { since, until: now + OPEN, failed_probes };
    }

    /// Whether the head of a probe's reply has closed it, and no body has ended well since.
    pub(crate) fn is_doubted(&self) -> bool {
        self.was.is_some() && self.state == State::Closed && !mutated!(HeadTrusted)
    }

    /// The host has done all that was asked of it.
    pub(crate) fn trusted(&mut self) {
        self.was = None;
    }

    /// The body has ended of the probe whose head closed the breaker.
    pub(crate) fn revived_left(&mut self, life: Life, now: Moment) {
        let closed_again = self.was.filter(|_| self.state == State::Closed);
        match (life, closed_again) {
            (Life::Failed, Some((since, failed_probes))) if !mutated!(HeadRevives) => {
                let failed_probes = failed_probes.saturating_add(1);
                *self = Self::default();
                self.state = State::Open { since, until: now + OPEN, failed_probes };
            }
            _ => self.left(life, now),
        }
    }

    /// An attempt that is no probe has ended. While the breaker is open it changes nothing: it began before.
    pub(crate) fn left(&mut self, life: Life, now: Moment) {
        if life == Life::Unknown || self.state != State::Closed {
            return;
        }
        let count = self.turn(now);
        count.attempts = count.attempts.saturating_add(1);
        if life == Life::Failed {
            count.failed = count.failed.saturating_add(1);
            self.in_a_row = self.in_a_row.saturating_add(1);
        } else {
            self.in_a_row = 0;
            self.was = None;
        }
        let sum = |part: fn(&Count) -> u32| self.counts.iter().map(part).fold(0, u32::saturating_add);
        let (attempts, failed) = (sum(|count| count.attempts), sum(|count| count.failed));
        let mostly = attempts >= ATTEMPTS && failed.saturating_mul(2) > attempts;
        if (mostly || self.in_a_row >= ATTEMPTS) && !mutated!(NeverOpens) {
            let (since, failed_probes) = self.was.take().unwrap_or((now, 0));
            self.state = State::Open { since, until: now + OPEN, failed_probes };
        }
    }

    /// The newest slot, after those whose time has passed were emptied.
    fn turn(&mut self, now: Moment) -> &mut Count {
        let slot = (now.since(Moment::ZERO).as_nanos() / SLOT.as_nanos()) as u64;
        for passed in (self.slot + 1..=slot).take(SLOTS) {
            self.counts[(passed % SLOTS as u64) as usize] = Count::default();
        }
        if slot > self.slot + SLOTS as u64 {
            self.counts = Default::default();
        }
        self.slot = self.slot.max(slot);
        &mut self.counts[(self.slot % SLOTS as u64) as usize]
    }

    /// Until when nobody is let through, if it is open.
    pub(crate) fn open_until(&self, now: Moment) -> Option<Moment> {
        match self.state {
            State::Closed => None,
            State::Open { until, .. } => Some(until),
            State::Probing { .. } => Some(now),
        }
    }

    /// When the host counts as given up: `after` its opening and three failed probes.
    pub(crate) fn gives_up_at(&self, after: Option<Duration>) -> Option<Moment> {
        let (State::Open { since, failed_probes, .. } | State::Probing { since, failed_probes }) = self.state
        else {
            return None;
        };
        (failed_probes >= PROBES && !mutated!(NeverGivesUp)).then_some(since + after?)
    }
}
