//! What the machine is told of its mirrors' hosts: how fast they are, and whether hedges are held back there.
//! Nothing here is remembered by the machine: it asks anew at each fact.

use std::time::Duration;

use crate::outcome::WhyStarted;

use super::{Machine, Repeatable};

/// The hosts of one fetch's mirrors.
pub(crate) trait Hosts {
    /// What is known now of the host of this mirror.
    fn advice(&self, mirror: u32) -> Advice;
}

/// What is known of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Advice {
    /// Its usual time: a retry or hedge is only started when that still fits before the deadline.
    pub(crate) usual: Option<Duration>,
    /// The silence after which an attempt here is hedged, where the rules leave that to advice.
    pub(crate) hedge_after: Option<Duration>,
    /// Whether a hedge may start here.
    pub(crate) gate: HedgeGate,
}

/// Whether a due hedge may start at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HedgeGate {
    #[default]
    Open,
    /// Refusals have lowered the host's limit, or it cools down, or its hedges win less than one time in five.
    Held,
}

/// Nothing is known of any host.
impl Hosts for () {
    fn advice(&self, _mirror: u32) -> Advice {
        Advice::default()
    }
}

impl Machine {
    /// The mirror of a silent attempt, if a hedge may follow it and only advice is waited for: what is known of its
    /// host, or a gate or a purse that is closed to hedges.
    pub(crate) fn awaits_advice(&self) -> Option<u32> {
        let hedge = self.rules.hedge?;
        let newest = self.flight.last()?;
        let may = self.leader.is_none()
            && self.hedge_due.is_none()
            && newest.entered.is_some()
            && self.rules.repeatable == Repeatable::Always
            && self.spent.hedges < hedge.at_most
            && newest.attempt + 1 == self.spent.attempts
            && !self.flight.iter().any(|flying| flying.why == WhyStarted::Hedge);
        may.then_some(newest.mirror)
    }

    /// Whether its request may be sent twice, whatever happens.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.rules.repeatable == Repeatable::Always
    }

    /// Whether the purse has refused a hedge of the newest attempt.
    pub(crate) fn is_unhedged(&self) -> bool {
        self.unhedged.is_some() && self.unhedged == self.flight.last().map(|newest| newest.attempt)
    }
}
