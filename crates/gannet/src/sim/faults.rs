//! A network that fails by a seed, for tests of code that uses a client: a layer over any transport, which decides
//! for each request what goes wrong with it. It opens no socket and reads no clock but tokio's, which a test pauses.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::faulty_body::{Break, FaultyBody};
use crate::Moment;
use crate::client::Client;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::transport::{BoxFuture, Reply, Transport, WireRequest};

/// A seeded, faulty network over another [`Transport`], such as [`Replies`](super::Replies).
///
/// The inner transport says what the servers would serve, this layer what goes wrong on the way. The fate of the n-th
/// request for a URL follows from the seed, the settings, the URL and n alone, whatever else is in flight. At most one
/// fault strikes a request. Clones share what they have seen.
///
/// # Examples
/// Ten minutes of trouble take no time under a paused clock:
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use gannet::sim::{Fault, Faults, Replies};
///
/// let replies = Replies::new().on("https://a.example/x", "hello");
/// let faults = Faults::new(7, replies)
///     .latency(Duration::from_millis(50), 0.3)
///     .stragglers(0.01, 50.0)
///     .with(Fault::Refused, 0.1)
///     .with(Fault::Cut, 0.1)
///     .outage("a.example", Duration::ZERO..Duration::from_secs(600));
/// let client = faults.client();
/// let began = tokio::time::Instant::now();
/// while client.get("https://a.example/x").text().await.is_err() {
///     tokio::time::sleep(Duration::from_secs(1)).await;
/// }
/// assert!(began.elapsed() >= Duration::from_secs(600) && faults.fates().len() > 10);
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Faults {
    seed: u64,
    shares: Vec<(Fault, f64)>,
    /// The median of the time to the first byte, and the spread of its logarithm.
    latency: (Duration, f64),
    /// The share of requests that take so many times as long.
    stragglers: (f64, f64),
    outages: Vec<(Box<str>, Range<Duration>)>,
    inner: Arc<dyn Transport>,
    log: Arc<Log>,
}

/// What can go wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is refused; the server sees nothing.
    Refused,
    /// The server gets the request, and the connection is reset before a byte of its reply.
    Reset,
    /// The request is swallowed: no byte ever comes.
    Silent,
    /// The connection breaks at a random byte of the body, before its end.
    Cut,
    /// The body stands still at a random byte, and the connection stays open.
    Stalled,
    /// The body comes in pieces of at most `piece` bytes (at least 1), each after a pause.
    Dripped {
        /// The longest piece, in bytes.
        piece: usize,
        /// The pause before each.
        every: Duration,
    },
    /// 503 without asking the server, and Retry-After in whole seconds, if any (rounded up).
    Unavailable {
        /// When the client is wanted back.
        retry_after: Option<Duration>,
    },
    /// 429 without asking the server, and Retry-After in whole seconds, if any (rounded up).
    TooManyRequests {
        /// When the client is wanted back.
        retry_after: Option<Duration>,
    },
}

/// What was decided for one request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fate {
    /// The request's URL.
    pub url: String,
    /// How many requests for this URL came before it.
    pub nth: u32,
    /// The time to the first byte, or to the failure.
    pub latency: Duration,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// Where in the body, in thousandths of its announced length (of 1,000 bytes if none is announced).
    at: u16,
}

/// What the clones of a network have seen.
#[derive(Default)]
struct Log {
    /// Runs from the first request.
    clock: OnceLock<Clock>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    counts: HashMap<String, u32>,
    fates: Vec<Fate>,
}

impl Faults {
    /// Over `inner`; nothing goes wrong and nothing takes time until more is said.
    pub fn new(seed: u64, inner: impl Transport) -> Self {
        Self {
            seed,
            shares: Vec::new(),
            latency: (Duration::ZERO, 0.0),
            stragglers: (0.0, 1.0),
            outages: Vec::new(),
            inner: Arc::new(inner),
            log: Arc::default(),
        }
    }

    /// Over `inner`, with faults, shares and latencies that are themselves drawn from the seed: each kind of fault is
    /// absent from half of the seeds and strikes at most 8 % of the requests of the others. Leaving out whole kinds
    /// finds more than mixing all of them always (Groce et al., Swarm Testing, 2012).
    pub fn drawn(seed: u64, inner: impl Transport) -> Self {
        let mut dice = fastrand::Rng::with_seed(mixed(seed, b"how badly"));
        let wait = |dice: &mut fastrand::Rng| dice.bool().then(|| Duration::from_secs(dice.u64(1..30)));
        let faults = [
            Fault::Refused,
            Fault::Reset,
            Fault::Silent,
            Fault::Cut,
            Fault::Stalled,
            Fault::Dripped { piece: dice.usize(1..64), every: Duration::from_millis(dice.u64(1..2_000)) },
            Fault::Unavailable { retry_after: wait(&mut dice) },
            Fault::TooManyRequests { retry_after: wait(&mut dice) },
        ];
        let mut network = Self::new(seed, inner)
            .latency(Duration::from_millis(dice.u64(1..200)), dice.f64())
            .stragglers(0.05 * dice.f64(), 1.0 + 99.0 * dice.f64());
        for fault in faults {
            let share = if dice.bool() { 0.08 * dice.f64() } else { 0.0 };
            network = network.with(fault, share);
        }
        network
    }

    /// Of all requests this share, 0 to 1, meets `fault`.
    ///
    /// # Panics
    /// `share` is no share, or all shares together are over 1.
    pub fn with(mut self, fault: Fault, share: f64) -> Self {
        assert_share(share);
        self.shares.push((fault, share));
        let sum: f64 = self.shares.iter().map(|(_, share)| share).sum();
        assert!(sum <= 1.0 + 1e-9, "the shares of all faults are {sum} together, and 1 is all requests");
        self
    }

    /// The time to the first byte is lognormal: half of the requests take longer than `median`, and `sigma` is the
    /// standard deviation of the logarithm (0.3 is a calm server, 1 a wild one).
    ///
    /// # Panics
    /// `sigma` is negative, or no finite number.
    pub fn latency(mut self, median: Duration, sigma: f64) -> Self {
        assert!(sigma.is_finite() && sigma >= 0.0, "a spread is not negative: {sigma}");
        self.latency = (median, sigma);
        self
    }

    /// Of all requests this share, 0 to 1, takes `times` as long as it would have taken.
    ///
    /// # Panics
    /// `share` is no share, or `times` is negative or no finite number.
    pub fn stragglers(mut self, share: f64, times: f64) -> Self {
        assert_share(share);
        assert!(times.is_finite() && times >= 0.0, "a length of time is not negative: {times}");
        self.stragglers = (share, times);
        self
    }

    /// Between these moments, counted from the first request, `host` refuses every connection, whatever its shares.
    pub fn outage(mut self, host: &str, when: Range<Duration>) -> Self {
        self.outages.push((host.into(), when));
        self
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A client with the default settings over this network, its jitter drawn from the same seed. For other settings
    /// give a clone to [`ClientBuilder::transport`](crate::ClientBuilder::transport), and the seed to
    /// [`ClientBuilder::seed`](crate::ClientBuilder::seed).
    pub fn client(&self) -> Client {
        let client = Client::builder().transport(self.clone()).seed(self.seed).build();
        client.expect("the default settings do not contradict one another")
    }

    /// What was decided for each request until now, in the order in which they came. Grows with each.
    pub fn fates(&self) -> Vec<Fate> {
        self.log.lock().fates.clone()
    }

    /// Decides on a request, at once, so that fates follow the order in which requests were sent.
    fn decide(&self, request: &WireRequest) -> Fate {
        let url = request.uri().to_string();
        let clock = self.log.clock.get_or_init(Clock::new);
        let since = clock.now().since(Moment::ZERO);
        let host = request.uri().host().unwrap_or_default();
        let is_down = self.outages.iter().any(|(name, when)| &**name == host && when.contains(&since));
        let mut seen = self.log.lock();
        let count = seen.counts.entry(url.clone()).or_default();
        let nth = *count;
        *count += 1;
        let mut fate = self.draw(url, nth);
        if is_down {
            fate.fault = Some(Fault::Refused);
        }
        seen.fates.push(fate.clone());
        fate
    }

    fn draw(&self, url: String, nth: u32) -> Fate {
        let mut dice = fastrand::Rng::with_seed(mixed(mixed(self.seed, url.as_bytes()), &nth.to_le_bytes()));
        // Each throw is made in each case: a setting that changes moves nothing but what it is about.
        let (throw, straggles, at) = (dice.f64(), dice.f64(), dice.u16(0..1_000));
        let (median, sigma) = self.latency;
        let (share, times) = self.stragglers;
        let slow = if straggles < share { times } else { 1.0 };
        let nanos = median.as_secs_f64() * (sigma * normal(&mut dice)).exp() * slow;
        let mut edge = 0.0;
        let fault = self.shares.iter().find(|(_, share)| {
            edge += share;
            throw < edge
        });
        // A delay that no timer can hold is as good as for ever.
        let latency = Duration::try_from_secs_f64(nanos).unwrap_or(Duration::MAX);
        Fate { url, nth, latency, fault: fault.map(|(fault, _)| *fault), at }
    }

    fn failure(&self, kind: ErrorKind, phase: Phase, what: &str) -> Error {
        Error::new(kind, phase, format!("{what} (simulated, seed {})", self.seed))
    }
}

impl Transport for Faults {
    fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        let Fate { latency, fault, at, .. } = self.decide(&request);
        Box::pin(async move {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            let how = match fault {
                None => return self.inner.send(request).await,
                Some(Fault::Refused) => {
                    return Err(self.failure(ErrorKind::Refused, Phase::Connect, "connection refused"));
                }
                Some(Fault::Reset) => {
                    // The server did its work; only its word is lost.
                    drop(self.inner.send(request).await?);
                    return Err(self.failure(ErrorKind::Reset, Phase::Wait, "the connection was reset"));
                }
                Some(Fault::Silent) => std::future::pending().await,
                Some(Fault::Unavailable { retry_after }) => {
                    return Ok(busy(StatusCode::SERVICE_UNAVAILABLE, retry_after));
                }
                Some(Fault::TooManyRequests { retry_after }) => {
                    return Ok(busy(StatusCode::TOO_MANY_REQUESTS, retry_after));
                }
                Some(Fault::Cut) => Break::Cut(self.failure(
                    ErrorKind::BodyTruncated,
                    Phase::Body,
                    "the connection broke before the body's end",
                )),
                Some(Fault::Stalled) => Break::Stall,
                Some(Fault::Dripped { piece, every }) => Break::Drip { piece: piece.max(1), every },
            };
            let reply = self.inner.send(request).await?;
            let body = FaultyBody::new(reply.body, how, at);
            Ok(Reply::streaming(Response::from_parts(reply.head, body)))
        })
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, nth, latency, fault, .. } = self;
        write!(f, "{url} #{nth}: after {latency:?} ")?;
        match fault {
            Some(fault) => write!(f, "{fault:?}"),
            None => f.write_str("served"),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("seed", &self.seed)
            .field("shares", &self.shares)
            .field("latency", &self.latency)
            .field("stragglers", &self.stragglers)
            .field("outages", &self.outages)
            .finish_non_exhaustive()
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn assert_share(share: f64) {
    assert!((0.0..=1.0).contains(&share), "a share lies between 0 and 1: {share}");
}

fn busy(status: StatusCode, retry_after: Option<Duration>) -> Reply {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    if let Some(length) = retry_after {
        let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Reply::new(response)
}

/// A seed of its own for each text (FNV-1a, then the end of splitmix64, since near seeds must not give near dice).
fn mixed(seed: u64, text: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = text.iter().fold(start, step);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A throw of the normal distribution (Box and Muller, 1958).
fn normal(dice: &mut fastrand::Rng) -> f64 {
    let (one, other) = (1.0 - dice.f64(), dice.f64());
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}
