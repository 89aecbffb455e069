//! The settings of a client, each with unit and default. Settings that contradict one another are refused, with both
//! names and values.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Client;
use crate::clock::Clock;
#[cfg(feature = "compression")]
use crate::engine::coding::Decoding;
use crate::engine::core::Core;
use crate::engine::hosts::Hosts;
use crate::engine::lane::Lanes;
use crate::engine::plan::{Plan, Redirects, StatusSet};
use crate::error::{Error, ErrorKind, Phase};
use crate::event::{Event, Watcher};
use crate::policy::budget::{Ratio, RatioPurse};
use crate::policy::hedge::HedgeAfter;
use crate::policy::speed::LowestSpeed;
use crate::sink::Memory;
use crate::transport::connect::{Connector, HttpVersions, Network};
use crate::transport::dns::Resolver;
use crate::transport::pool::PoolLimits;
#[cfg(feature = "_tls")]
use crate::transport::tls::{Tls, TlsVersion, Trust, authorities};
use crate::transport::{Transport, Wire};

use gates::Gates;
use retrying::NamedDelays;

mod gates;
mod retrying;
mod taking;

/// Settings for a new [`Client`].
#[must_use]
pub struct ClientBuilder {
    plan: Plan,
    named_delays: NamedDelays,
    user_agent: Result<HeaderValue, Error>,
    default_headers: HeaderMap,
    gates: Gates,
    connections: usize,
    idle_connections: Option<usize>,
    idle_time: Duration,
    connect_timeout: Option<Duration>,
    versions: HttpVersions,
    #[cfg(feature = "_tls")]
    trust: Trust,
    #[cfg(feature = "_tls")]
    trusts: Vec<&'static str>,
    #[cfg(feature = "_tls")]
    tls_min: TlsVersion,
    retry_budget: Ratio,
    hedge_budget: Ratio,
    memory_each: u64,
    memory_all: u64,
    #[cfg(feature = "cookies")]
    cookies: Option<crate::Cookies>,
    wire: Wire,
    watcher: Option<Watcher>,
    network: Network,
    seed: Option<u64>,
}

/// The limit of a connect, unless set.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections that are kept, unless set.
const IDLE_CONNECTIONS: usize = 512;

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            plan: Plan::default(),
            named_delays: NamedDelays::default(),
            user_agent: Ok(HeaderValue::from_static(concat!("gannet/", env!("CARGO_PKG_VERSION")))),
            default_headers: HeaderMap::new(),
            gates: Gates::default(),
            connections: usize::MAX,
            idle_connections: None,
            idle_time: Duration::from_secs(30),
            connect_timeout: None,
            versions: HttpVersions::Auto,
            #[cfg(feature = "_tls")]
            trust: Trust::Platform,
            #[cfg(feature = "_tls")]
            trusts: Vec::new(),
            #[cfg(feature = "_tls")]
            tls_min: TlsVersion::default(),
            retry_budget: Ratio::Share(0.2),
            hedge_budget: Ratio::Share(0.02),
            memory_each: Memory::DEFAULT_EACH,
            memory_all: Memory::DEFAULT_ALL,
            #[cfg(feature = "cookies")]
            cookies: None,
            wire: Wire::Http,
            watcher: None,
            network: Network::Sockets,
            seed: None,
        }
    }
}

impl ClientBuilder {
    /// What the client calls itself (default `gannet/VERSION`).
    pub fn user_agent(mut self, name: impl AsRef<str>) -> Self {
        self.user_agent = HeaderValue::from_str(name.as_ref())
            .map_err(|_| settings(format!("user_agent {:?} cannot stand in a header field", name.as_ref())));
        self
    }

    /// A header field of every request, unless the request has its own of that name.
    pub fn default_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.default_headers.append(name, value);
        self
    }

    /// Takes cookies from every reply, and sends them where they belong, beside a Cookie field of the caller's own
    /// (default: none). The store may be shared by several clients.
    #[cfg(feature = "cookies")]
    pub fn cookies(mut self, cookies: crate::Cookies) -> Self {
        self.cookies = Some(cookies);
        self
    }

    /// Connections open at once, in all (default: no limit of ours).
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Idle connections that are kept (default 512); those idle for the longest are closed first.
    pub fn max_idle_connections(mut self, connections: usize) -> Self {
        self.idle_connections = Some(connections);
        self
    }

    /// How long an idle connection is kept (default 30 s).
    pub fn idle_timeout(mut self, length: Duration) -> Self {
        self.idle_time = length;
        self
    }

    /// For look-up, each address, and the TLS handshake (default 10 s).
    pub fn connect_timeout(mut self, length: Duration) -> Self {
        self.connect_timeout = Some(length);
        self
    }

    /// Without a byte of the reply, and without a further byte of its body (default 30 s).
    pub fn read_timeout(mut self, length: Duration) -> Self {
        self.plan.first_byte = length;
        self.plan.stall = length;
        self
    }

    /// Bodies that come more slowly than this, on the average over so long, end their attempt with
    /// [`BodyTooSlow`](ErrorKind::BodyTooSlow), which is retried as a stall is (default: none). The time counts while
    /// we wait for the network, not while the sink, or the caller of a [`Response`](crate::Response), takes nothing.
    /// curl's `--speed-limit` and `--speed-time`.
    pub fn lowest_speed(mut self, bytes_per_second: u64, over: Duration) -> Self {
        self.plan.lowest_speed = Some(LowestSpeed { bytes_per_second, over });
        self
    }

    /// Waiting for a place at the host's gate or in the pool, outside of a job (default 60 s).
    pub fn queue_timeout(mut self, length: Duration) -> Self {
        self.plan.queue = Some(length);
        self
    }

    /// For each fetch, retries and body included (default: none).
    pub fn timeout(mut self, length: Duration) -> Self {
        self.plan.timeout = Some(length);
        self
    }

    /// A further attempt when the newest has been silent for so long: a fixed time, or one that is learned of each
    /// host (default: off).
    pub fn hedge(mut self, after: impl Into<HedgeAfter>) -> Self {
        self.plan.hedge = Some(after.into());
        self
    }

    /// Retries of all fetches together, as a share of first attempts (default 0.2); `None` is without bound. The
    /// first 10 are always granted.
    pub fn retry_budget(mut self, share: impl Into<Option<f64>>) -> Self {
        self.retry_budget = share.into().map_or(Ratio::Off, Ratio::Share);
        self
    }

    /// Hedges of all fetches together, as a share of first attempts (default 0.02); `None` is without bound. The
    /// first 10 are always granted.
    pub fn hedge_budget(mut self, share: impl Into<Option<f64>>) -> Self {
        self.hedge_budget = share.into().map_or(Ratio::Off, Ratio::Share);
        self
    }

    /// Statuses that count as success (default 200 to 299).
    pub fn ok_status(mut self, statuses: StatusSet) -> Self {
        self.plan.ok_status = statuses;
        self
    }

    /// The longest body that is taken, in bytes (default: no limit for files, 64 MiB in memory).
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.plan.max_body = Some(bytes);
        self
    }

    /// The longest body in memory, and all bodies of one job in memory, in bytes (default 64 MiB and 1 GiB).
    pub fn max_memory(mut self, each: u64, all: u64) -> Self {
        self.memory_each = each;
        self.memory_all = all;
        self
    }

    /// What to do about redirects (default: follow at most 10).
    pub fn redirects(mut self, redirects: Redirects) -> Self {
        self.plan.redirects = redirects;
        self
    }

    /// Whose bodies are asked for in a content coding and decoded (default [`Decoding::WhereItIsRead`]).
    ///
    /// A decoded body counts by its decoded length against [`max_body`](Self::max_body) and
    /// [`max_memory`](Self::max_memory), and may be at most 1,000 times as long as what came over the wire, once it
    /// is past 1 MiB. The reply's header fields stay as they were sent, Content-Encoding and Content-Length among
    /// them.
    #[cfg(feature = "compression")]
    pub fn decode(mut self, decoding: Decoding) -> Self {
        self.plan.decoding = decoding;
        self
    }

    /// Which HTTP versions may be spoken (default: HTTP/2 where TLS offers it, else HTTP/1.1).
    pub fn http_versions(mut self, versions: HttpVersions) -> Self {
        self.versions = versions;
        self
    }

    /// Trusts the certificate authorities of this PEM text, in the place of the platform's.
    #[cfg(feature = "_tls")]
    pub fn trust_authorities(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.trust = Trust::Authorities(pem.as_ref().into());
        self.trusts.push("trust_authorities (--cacert)");
        self
    }

    /// Trusts any certificate. Whoever stands between can then read and change everything.
    #[cfg(feature = "_tls")]
    pub fn danger_trust_anybody(mut self) -> Self {
        self.trust = Trust::Anybody;
        self.trusts.push("danger_trust_anybody (-k)");
        self
    }

    /// Sends requests by `transport`, in the place of HTTP.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.wire = Wire::Custom(Arc::new(transport));
        self
    }

    /// Tells `watcher` all that happens. It is called on the engine's own thread and must not block.
    pub fn watch(mut self, watcher: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Arc::new(watcher));
        self
    }

    #[cfg(test)]
    pub(crate) fn network(mut self, network: Arc<dyn crate::transport::connect::OtherNetwork>) -> Self {
        self.network = Network::Other(network);
        self
    }

    /// Draws jitter from this seed, for runs that repeat.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The client. Touches no network and needs no runtime.
    ///
    /// # Errors
    /// [`Settings`](ErrorKind::Settings) that contradict one another, with both names and values, and
    /// [`TlsSettings`](ErrorKind::TlsSettings) that cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        self.check()?;
        let clock = Clock::new();
        let host_settings = self.host_settings();
        let connector = Connector {
            resolver: Resolver::new(clock),
            network: self.network,
            versions: self.versions,
            limit: self.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            #[cfg(feature = "_tls")]
            tls: Tls::new(self.trust, self.versions, self.tls_min),
        };
        let limits = PoolLimits {
            idle_time: self.idle_time,
            idle_connections: self.idle_connections.unwrap_or(IDLE_CONNECTIONS).min(self.connections),
        };
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let core = Core {
            clock,
            hosts: Hosts::new(host_settings, self.gates.rate, clock, seed),
            lanes: Lanes::new(connector, clock, limits, self.connections),
            purse: RatioPurse::new(self.retry_budget, self.hedge_budget),
            plan: Arc::new(self.plan),
            user_agent: self.user_agent?,
            default_headers: self.default_headers,
            #[cfg(feature = "cookies")]
            cookies: self.cookies,
            wire: self.wire,
            watcher: self.watcher,
            connections: self.connections,
            memory_each: self.memory_each,
            memory_all: self.memory_all,
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
        };
        Ok(Client { core: Arc::new(core), scope: None })
    }

    /// Refuses what contradicts itself.
    fn check(&self) -> Result<(), Error> {
        let plan = &self.plan;
        if self.connections == 0 {
            return Err(settings("max_connections 0 lets nothing run".into()));
        }
        if let Some(idle) = self.idle_connections.filter(|idle| *idle > self.connections) {
            let most = self.connections;
            return Err(contradict(("max_idle_connections", &idle), ("max_connections", &most)));
        }
        if let (Some(connect), Some(timeout)) = (self.connect_timeout, plan.timeout)
            && connect > timeout
        {
            let names = ("connect_timeout (--connect-timeout)", "timeout (--max-time)");
            return Err(contradict((names.0, &connect), (names.1, &timeout)));
        }
        self.check_hedge()?;
        self.check_retries()?;
        self.check_gates()?;
        self.check_speed()?;
        if self.memory_each > self.memory_all {
            let names = ("max_memory for each body", "for all");
            return Err(contradict((names.0, &self.memory_each), (names.1, &self.memory_all)));
        }
        check_share(self.retry_budget)?;
        check_share(self.hedge_budget)?;
        self.check_trust()
    }

    /// Refuses a hedge that could never start.
    fn check_hedge(&self) -> Result<(), Error> {
        let Some(hedge) = self.plan.hedge else { return Ok(()) };
        let name = "hedge (--hedge)";
        if let HedgeAfter::Fixed(after) = hedge {
            if let Some(timeout) = self.plan.timeout.filter(|timeout| after >= *timeout) {
                return Err(contradict((name, &after), ("timeout (--max-time)", &timeout)));
            }
            let first_byte = self.plan.first_byte;
            if after >= first_byte {
                return Err(contradict((name, &after), ("read_timeout (--read-timeout)", &first_byte)));
            }
        }
        if self.hedge_budget == Ratio::Share(0.0) {
            return Err(contradict((name, &hedge), ("hedge_budget (--hedge-budget)", &0)));
        }
        match hedge {
            HedgeAfter::Quantile(share) if !(share > 0.0 && share < 1.0) => {
                Err(settings(format!("hedge (--hedge) after the quantile {share}: a share between 0 and 1")))
            }
            _ => Ok(()),
        }
    }

    #[cfg(feature = "_tls")]
    fn check_trust(&self) -> Result<(), Error> {
        if let [first, second, ..] = self.trusts[..]
            && first != second
        {
            return Err(settings(format!("{first} contradicts {second}: give one of them")));
        }
        match &self.trust {
            Trust::Authorities(pem) => authorities(pem).map(|_| ()),
            Trust::Platform | Trust::Anybody => Ok(()),
        }
    }

    #[cfg(not(feature = "_tls"))]
    fn check_trust(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Refuses a budget that is no share.
pub(super) fn check_share(ratio: Ratio) -> Result<(), Error> {
    match ratio {
        Ratio::Share(share) if !(0.0..=1.0).contains(&share) => {
            Err(settings(format!("a budget of {share} is no share between 0 and 1")))
        }
        Ratio::Share(_) | Ratio::Off => Ok(()),
    }
}

fn settings(message: String) -> Error {
    Error::new(ErrorKind::Settings, Phase::Queue, message)
}

fn contradict(one: (&str, &dyn std::fmt::Debug), other: (&str, &dyn std::fmt::Debug)) -> Error {
    settings(format!("{} {:?} contradicts {} {:?}", one.0, one.1, other.0, other.1))
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("plan", &self.plan).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(builder: ClientBuilder) -> String {
        let error = builder.build().expect_err("the settings contradict one another");
        assert_eq!(error.kind(), ErrorKind::Settings);
        error.message().to_owned()
    }

    #[test]
    fn contradictions_are_refused_with_both_names_and_values() {
        let second = Duration::from_secs(1);
        let text = refusal(Client::builder().timeout(second).connect_timeout(5 * second));
        assert!(
            text.contains("connect_timeout")
                && text.contains("5s")
                && text.contains("timeout")
                && text.contains("1s")
        );
        let text = refusal(Client::builder().timeout(second).hedge(2 * second));
        assert!(text.contains("hedge") && text.contains("2s") && text.contains("1s"));
        let text = refusal(Client::builder().read_timeout(second).hedge(second));
        assert_eq!(text, "hedge (--hedge) 1s contradicts read_timeout (--read-timeout) 1s");
        let text = refusal(Client::builder().max_connections(4).max_idle_connections(5));
        assert!(text.contains("max_idle_connections 5") && text.contains("max_connections 4"));
        assert!(refusal(Client::builder().per_host(0)).contains("per_host"));
        assert!(refusal(Client::builder().retry_budget(1.5)).contains("1.5"));
    }

    #[test]
    fn a_client_is_built_outside_of_a_runtime() {
        assert_eq!(Client::new().gauges().connections, 0);
    }
}
