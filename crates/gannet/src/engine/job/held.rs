//! What holds a job back, for displays and reports. It is noted whenever the job begins to wait, by a few comparisons;
//! the clock is read only when the cause has changed, and the particulars are looked up only when asked for.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use url::Url;

use super::places::Places;
use super::{Job, Reading, Running};
use crate::Moment;
use crate::engine::hosts::Host;
use crate::event::{HeldBack, HeldBackBy, HeldBackTimes, Slow};
use crate::policy::host as policy;
use crate::sink::Room;

/// What has held a job back so far.
#[derive(Debug, Default)]
pub(super) struct Held {
    by: Option<HeldBackBy>,
    since: Moment,
    times: HeldBackTimes,
}

/// Whether the source has kept the job waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// It was asked, and has nothing yet.
    Silent,
    /// It was not asked, or has given.
    Enough,
}

/// Fetches under way that are shown as slow.
const SLOWEST: usize = 3;

impl Job {
    /// Notes what holds the job back from now on.
    pub(super) fn note_held_back(&mut self, cx: &mut Context<'_>, supply: Supply) {
        let by = self.held_by(cx, supply);
        if by != self.held.by {
            self.change_held(by);
        }
    }

    /// From now on it is held back by this, or by nothing.
    pub(super) fn change_held(&mut self, by: Option<HeldBackBy>) {
        let now = self.core.clock.now();
        let held = &mut self.held;
        if let Some(before) = held.by {
            held.times.add(before, now.since(held.since));
        }
        (held.by, held.since) = (by, now);
    }

    fn held_by(&self, cx: &mut Context<'_>, supply: Supply) -> Option<HeldBackBy> {
        if self.stopped.is_some() {
            return None;
        }
        let (running, parked) = (self.running.len(), self.terms.tallies.parked());
        let more = self.reading == Reading::On || !self.queue.is_empty();
        if more && self.terms.sink.keeps_order() && self.terms.sink.room(cx) != Room::Any {
            return Some(HeldBackBy::Output);
        }
        if supply == Supply::Silent {
            return Some(HeldBackBy::Input);
        }
        if more && self.active() >= self.places.limit() {
            return Some(HeldBackBy::Concurrency);
        }
        let cap = self.core.connections;
        if cap != usize::MAX && parked > 0 && self.core.lanes.connections(cap) >= cap {
            return Some(HeldBackBy::Connections);
        }
        if !self.queue.is_empty() {
            if !self.entered.is_empty() {
                return Some(HeldBackBy::Rate);
            }
            if self.core.hosts.settings().host_rate.is_some() && self.rate_that_holds().is_some() {
                return Some(HeldBackBy::Rate);
            }
            // While something is on the wire it is the limit that holds, or nearly; then nothing is looked up.
            let by_gate = self.active() == 0 && self.gate_that_holds().is_some();
            return Some(if by_gate { HeldBackBy::HostGate } else { HeldBackBy::PerHost });
        }
        if running > 0 && self.terms.tallies.late() >= running {
            return Some(HeldBackBy::Budget);
        }
        if running == 0 || parked < running {
            return None;
        }
        Some(if self.gate_that_holds().is_some() { HeldBackBy::HostGate } else { HeldBackBy::Waiting })
    }

    /// What holds it back, in particular.
    pub(crate) fn held_back(&self) -> HeldBack {
        match self.held.by {
            None => HeldBack::Nothing,
            Some(HeldBackBy::Concurrency) => match &self.places {
                Places::Fixed(limit) => HeldBack::Concurrency { limit: *limit },
                Places::Found(climber) => HeldBack::AutoConcurrency { limit: climber.limit() },
            },
            Some(HeldBackBy::Connections) => HeldBack::Connections { limit: self.core.connections },
            Some(HeldBackBy::Budget) => HeldBack::Budget { waiting: self.late.waiting() },
            Some(HeldBackBy::Input) => HeldBack::Input,
            Some(HeldBackBy::Output) => HeldBack::Output,
            Some(HeldBackBy::PerHost) => self.full_host(),
            Some(HeldBackBy::HostGate) => self.gate_that_holds().unwrap_or_else(|| self.full_host()),
            Some(HeldBackBy::Rate) => self.rate_that_holds().unwrap_or_else(|| self.full_host()),
            Some(HeldBackBy::Waiting) => self.nearest_pause().unwrap_or_else(|| self.full_host()),
        }
    }

    /// For how long each cause has held it back until now.
    pub(crate) fn held_back_times(&self) -> HeldBackTimes {
        let mut times = self.held.times;
        if let Some(by) = self.held.by {
            times.add(by, self.core.clock.now().since(self.held.since));
        }
        times
    }

    /// The fetches that have been under way for the longest, the slowest first.
    pub(crate) fn slowest(&self) -> Vec<Slow> {
        let now = self.core.clock.now();
        let mut all: Vec<(Moment, &Running)> = self
            .running
            .iter()
            .filter_map(|running| Some((running.fetch.look().started?, running)))
            .collect();
        all.sort_by_key(|(started, running)| (*started, running.seq));
        let slow = |(started, running): (Moment, &Running)| {
            let look = running.fetch.look();
            Slow {
                seq: running.seq,
                url: running.url.clone(),
                since: now.since(started),
                bytes: look.bytes,
                phase: look.phase,
                attempts: look.attempts,
                still: look.moved.map(|moved| now.since(moved)),
                pause: look.pause.as_ref().map(|pause| pause.until.since(now)),
                status: look.pause.as_ref().and_then(|pause| pause.status),
                held: match look.held {
                    Some(held) => Some(held.to_string().into()),
                    None => (look.unpaid > 0).then(|| "the retry budget has nothing left".into()),
                },
            }
        };
        all.into_iter().take(SLOWEST).map(slow).collect()
    }

    /// Requests that were read and wait for their turn.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// For how long nothing is sent, when all that is under way waits for its next attempt, or for a host that lets
    /// nobody in; `None` if something is on the wire or may go at any time, or nothing is under way.
    pub(crate) fn rests_for(&self) -> Option<Duration> {
        let now = self.core.clock.now();
        let rests = |running: &Running| {
            let look = running.fetch.look();
            match (look.pause, look.held) {
                (Some(pause), _) => Some(pause.until.since(now)),
                (
                    None,
                    Some(policy::Held::CoolDown { remaining, .. } | policy::Held::Breaker { remaining }),
                ) => Some(remaining),
                (None, _) => None,
            }
        };
        let all: Option<Vec<Duration>> = self.running.iter().map(rests).collect();
        all?.into_iter().min()
    }

    /// The pause that ends first, among the fetches that wait for their next attempt.
    fn nearest_pause(&self) -> Option<HeldBack> {
        let pauses = self.running.iter().filter_map(|running| running.fetch.look().pause);
        let pause = pauses.min_by_key(|pause| pause.until)?;
        let left = pause.until.since(self.core.clock.now());
        Some(HeldBack::Waiting { host: pause.host, status: pause.status, left })
    }

    /// A host whose gate lets nobody in for other reasons than that it is full.
    fn gate_that_holds(&self) -> Option<HeldBack> {
        let host = self.host_waited_for()?;
        match host.gate.held()? {
            policy::Held::Limit(_) => None,
            why => Some(HeldBack::HostGate { host: host.origin.key.clone(), why: why.to_string().into() }),
        }
    }

    /// The rate of all hosts together if somebody waits for it, else that of a host.
    fn rate_that_holds(&self) -> Option<HeldBack> {
        if !self.entered.is_empty() {
            let limit = self.core.hosts.rate()?.to_string().into();
            return Some(HeldBack::Rate { limit, host: None });
        }
        let host = self.host_waited_for()?;
        match host.gate.held()? {
            policy::Held::HostRate(rate) => {
                Some(HeldBack::Rate { limit: rate.to_string().into(), host: Some(host.origin.key.clone()) })
            }
            _ => None,
        }
    }

    /// A host that is full.
    fn full_host(&self) -> HeldBack {
        match self.host_waited_for() {
            Some(host) => HeldBack::PerHost { limit: host.gate.limit(), host: host.origin.key.clone() },
            None => HeldBack::Nothing,
        }
    }

    /// One that the queue waits for, or else that of a fetch under way.
    fn host_waited_for(&self) -> Option<Arc<Host>> {
        let queued = self.at_gates.iter().find_map(|gate| self.hosts.get(&gate.host).cloned());
        let under_way = || {
            let url: Url = self.running.iter().next()?.url.parse().ok()?;
            Some(self.core.hosts.of(&url))
        };
        queued.or_else(under_way)
    }
}
