//! What the machine is told of its mirrors' hosts: how fast they are, and whether hedges are held back there.
//! Nothing here is remembered by the machine: it asks anew at each fact.

use std::time::Duration;

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
