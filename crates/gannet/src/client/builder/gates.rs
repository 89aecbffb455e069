//! The settings of the hosts' gates: how many requests at once and a second, and how long a dead host is waited for.
//! What they lead to is decided in `policy::host`.

use std::time::Duration;

use super::{ClientBuilder, contradict, settings};
use crate::error::Error;
use crate::policy::host;

/// What the caller set for hosts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gates {
    pub(super) per_host: Option<u32>,
    pub(super) rate: Option<f64>,
    pub(super) host_rate: Option<f64>,
    pub(super) give_up: Option<Duration>,
    /// What the caller said.
    named_give_up: Option<Duration>,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            per_host: None,
            rate: None,
            host_rate: None,
            give_up: Some(host::GIVE_UP),
            named_give_up: None,
        }
    }
}

impl ClientBuilder {
    /// Requests in flight to one host, under either HTTP version (default: 6 over HTTP/1, 100 over HTTP/2, or as many
    /// as the server allows).
    pub fn per_host(mut self, requests: u32) -> Self {
        self.gates.per_host = Some(requests);
        self
    }

    /// Requests a second to all hosts together, evenly spread, retries and hedges included (default: no bound).
    pub fn rate(mut self, per_second: f64) -> Self {
        self.gates.rate = Some(per_second);
        self
    }

    /// Requests a second to each host, evenly spread, retries and hedges included (default: no bound). It works beside
    /// [`rate`](Self::rate).
    pub fn host_rate(mut self, per_second: f64) -> Self {
        self.gates.host_rate = Some(per_second);
        self
    }

    /// How long a host is waited for of which nothing but failures comes (default 2 min); then, once three probes have
    /// failed, what waits for it fails as [`HostUnavailable`](crate::ErrorKind::HostUnavailable). `None` is for ever;
    /// so it is with [`retries`](Self::retries) without end.
    pub fn host_give_up(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.gates.give_up = after.into();
        self.gates.named_give_up = self.gates.give_up;
        self
    }

    pub(super) fn host_settings(&self) -> host::Settings {
        host::Settings {
            per_host: self.gates.per_host,
            host_rate: self.gates.host_rate,
            // Who retries without end waits without end.
            give_up: self.gates.give_up.filter(|_| self.plan.retries.is_some()),
            retry_after_max: self.plan.retry_after_max,
        }
    }

    pub(super) fn check_gates(&self) -> Result<(), Error> {
        if self.gates.per_host == Some(0) {
            return Err(settings("per_host 0 (--per-host) lets nothing run".into()));
        }
        if let (None, Some(after)) = (self.plan.retries, self.gates.named_give_up) {
            let names = ("retries (--retry)", "host_give_up (--host-give-up)");
            return Err(contradict((names.0, &format_args!("inf")), (names.1, &after)));
        }
        for (name, rate) in
            [("rate (--rate)", self.gates.rate), ("host_rate (--host-rate)", self.gates.host_rate)]
        {
            if let Some(rate) = rate
                && !(rate > 0.0 && rate.is_finite())
            {
                return Err(settings(format!("{name} {rate} is no number of requests a second")));
            }
        }
        Ok(())
    }
}
