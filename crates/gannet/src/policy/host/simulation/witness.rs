//! Watches one host's rules from outside, and says what they broke.

use std::time::Duration;

use crate::Moment;
use crate::permit::{Left, Pass, Role};
use crate::policy::host::{self, Entry, HostRules};

use super::Plan;
use super::server::Nature;

pub(super) type Held = Result<(), &'static str>;

pub(super) fn hold(holds: bool, what: &'static str) -> Held {
    if holds { Ok(()) } else { Err(what) }
}

pub(super) struct Witness {
    in_flight: u32,
    probes: u32,
    /// The head of a probe's reply has come, and no body has ended well since.
    doubted: bool,
    not_before: Moment,
    /// Whether nothing that the server does may open the breaker.
    harmless: bool,
    cap: u32,
    host_rate: Option<f64>,
    /// Who entered by the rate that was set, and since when.
    entered: u32,
    longest: Duration,
    /// What an HTTP/2 server allows, once it has answered.
    streams: Option<u32>,
}

impl Witness {
    pub(super) fn new(plan: &Plan) -> Self {
        let harmless = |nature: Nature| {
            matches!(
                nature,
                Nature::Plain
                    | Nature::AtMost(_)
                    | Nature::PerSecond { status: 429, .. }
                    | Nature::TurnsSlow(_)
                    | Nature::Minute
                    | Nature::NotFound
                    | Nature::RefusesAll
                    | Nature::Streams(_)
            )
        };
        Self {
            in_flight: 0,
            probes: 0,
            doubted: false,
            not_before: Moment::ZERO,
            // Some long bodies break off, which is a failure.
            harmless: plan.long == 0 && harmless(plan.nature) && plan.then.is_none_or(harmless),
            cap: plan.settings.per_host.unwrap_or(100),
            host_rate: plan.settings.host_rate,
            entered: 0,
            longest: plan.settings.retry_after_max,
            streams: match (plan.nature, plan.then) {
                (Nature::Streams(streams), None) => Some(streams),
                _ => None,
            },
        }
    }

    /// The server wants to be left alone.
    pub(super) fn asked(&mut self, length: Duration, now: Moment) {
        self.not_before = self.not_before.max(now + length);
    }

    pub(super) fn entered(&mut self, pass: Pass, now: Moment, rules: &HostRules) -> Held {
        self.in_flight += 1;
        self.entered += 1;
        hold(now >= self.not_before, "nobody enters earlier than the server asked")?;
        hold(self.in_flight == rules.in_flight(), "places balance")?;
        if pass.role == Role::Probe {
            self.probes += 1;
            hold(self.probes == 1, "one probes at a time")?;
        } else {
            hold(self.in_flight <= rules.limit(), "no more than the limit are in flight")?;
            hold(self.in_flight <= 6 || !self.doubted, "a few go in at a head, and all at a body")?;
        }
        if let Some(rate) = self.host_rate {
            let allowed = rate * (now.since(Moment::ZERO).as_secs_f64() + 0.006) + 1.0;
            hold(f64::from(self.entered) <= allowed, "the rate that was set is held on every prefix")?;
        }
        self.bounds(rules)
    }

    /// The body of this one is on its way: it probes no more.
    pub(super) fn answered(&mut self, pass: Pass) {
        self.probes -= u32::from(pass.role == Role::Probe);
        self.doubted |= pass.role == Role::Probe;
    }

    pub(super) fn left(&mut self, pass: Pass, left: Left, now: Moment, rules: &HostRules) -> Held {
        self.in_flight -= 1;
        if pass.role == Role::Probe {
            self.probes -= 1;
        }
        self.doubted &= !matches!(left, Left::Success | Left::Answered | Left::Refused { status: 429, .. });
        if let Left::Refused { retry_after: Some(length), .. } = left {
            self.asked(length, now);
        }
        hold(self.in_flight == rules.in_flight(), "places balance")?;
        let broken = matches!(rules.held(now), Some(host::Held::Breaker { .. } | host::Held::GivenUp));
        hold(!(broken && self.harmless), "an unwelcome answer opens no breaker")?;
        hold(
            self.streams.is_none_or(|streams| rules.limit() <= streams),
            "no more than the streams are used",
        )?;
        self.bounds(rules)
    }

    fn bounds(&self, rules: &HostRules) -> Held {
        hold((1..=self.cap).contains(&rules.limit()), "the limit is between 1 and the cap")?;
        hold(rules.pace().is_none_or(|pace| pace > 0.0), "a pace lets somebody in")
    }

    /// Nobody more may enter: either somebody's leaving helps, or a moment that is still to come.
    pub(super) fn waits(&self, answer: Entry, wake: Option<Moment>, rules: &HostRules, now: Moment) -> Held {
        hold(wake.is_none_or(|at| at > now), "a wake lies ahead")?;
        hold(wake.is_some() || self.in_flight > 0, "somebody is woken, or in flight")?;
        hold(rules.held(now).is_some(), "who waits is told why")?;
        match answer {
            Entry::NotBefore(until) => {
                hold(until > now, "nobody is sent away until now")?;
                hold(wake.is_some_and(|at| at <= until), "the wake is not later than was said")
            }
            Entry::Away(until) => hold(
                until.since(now) > Duration::ZERO && self.longest < until.since(Moment::ZERO),
                "too long an absence",
            ),
            Entry::Full | Entry::GivenUp | Entry::Granted(_) => Ok(()),
        }
    }
}
