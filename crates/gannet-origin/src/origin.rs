//! The public face: an [`Origin`] that runs, and the [`OriginBuilder`] that starts it. What it answers,
//! and how, is decided in other rooms.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::count::{Counts, Ledger, RequestRecord};
use crate::fault2::Http2Fault;
use crate::hostile2::Hostility;
use crate::limits::{Limit, Rate};
use crate::raw::RawReply;
use crate::reply::{File, Rulebook};
use crate::serve::{self, Guarded, Shared};
use crate::tls::{self, Accepting, Certificate, Tls, TlsVersions};
use crate::tls_fault::TlsFault;

/// Requests that the log keeps unless told otherwise.
const DEFAULT_LOG_LIMIT: usize = 100_000;

/// A server on the loopback that runs until it is dropped: then its tasks end and its sockets close.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use gannet_origin::Origin;
///
/// let origin = Origin::start_in_thread(Origin::builder())?;
/// let url = origin.url("/file?size=1024&seed=7&delay=20ms");
/// assert!(url.starts_with("http://127.0.0.1:"));
/// assert_eq!(origin.counts().requests, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    scheme: &'static str,
    ca_pem: String,
    certificate_pem: String,
    ledger: Arc<Ledger>,
    life: Life,
}

/// What keeps an origin running, and is ended with it.
#[derive(Debug)]
enum Life {
    Task(tokio::task::JoinHandle<()>),
    Thread { stop: Option<oneshot::Sender<()>>, thread: Option<std::thread::JoinHandle<()>> },
}

impl Origin {
    /// Starts to describe an origin; as it is, it is plain HTTP on a free port of 127.0.0.1.
    pub fn builder() -> OriginBuilder {
        OriginBuilder::default()
    }

    /// Starts an origin in a thread and a runtime of its own, so that it shares nothing with the client.
    /// Dropping it waits for the thread to end: every socket is closed by then.
    ///
    /// # Errors
    ///
    /// As [`OriginBuilder::start`], and if no thread or runtime can be had.
    pub fn start_in_thread(builder: OriginBuilder) -> io::Result<Self> {
        let (started, wait_for_start) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("gannet-origin".to_owned())
            .spawn(move || run_in_thread(builder, &started, stopped))?;
        let face = wait_for_start.recv().map_err(io::Error::other)??;
        let life = Life::Thread { stop: Some(stop), thread: Some(thread) };
        Ok(face.into_origin(life))
    }

    /// Names a path of this origin, query included, in full.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}://{}{path_and_query}", self.scheme, self.addr)
    }

    /// Names `localhost` instead of the address; else like [`url`](Self::url).
    pub fn localhost_url(&self, path_and_query: &str) -> String {
        format!("{}://localhost:{}{path_and_query}", self.scheme, self.addr.port())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The CA that signed its certificate, in PEM; empty without TLS.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The certificate that it shows, in PEM; empty without TLS.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// What it counted. A client may hold a whole reply an instant before it is counted as complete: see
    /// [`wait_until`](Self::wait_until).
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    /// The last requests, the oldest first; at most as many as [`OriginBuilder::log_limit`] says.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.ledger.requests()
    }

    /// Counts the requests whose path, without the query, starts with `prefix`.
    pub fn requests_to(&self, prefix: &str) -> u64 {
        self.ledger.requests_to(prefix)
    }

    /// Empties the log and starts all counts anew, and with them the scripts; what is open or in flight
    /// stays counted as that.
    pub fn reset_counts(&self) {
        self.ledger.reset();
    }

    /// Waits until the counts meet a condition; `false` if the time ran out before.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn wait_until(&self, is_met: impl FnMut(&Counts) -> bool, timeout: Duration) -> bool {
        self.ledger.wait_until(is_met, timeout).await
    }

    /// Blocks the thread until the counts meet a condition; `false` if the time ran out before. Use
    /// [`wait_until`](Self::wait_until) within a runtime.
    pub fn wait_until_blocking(&self, is_met: impl FnMut(&Counts) -> bool, timeout: Duration) -> bool {
        self.ledger.wait_until_blocking(is_met, timeout)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        match &mut self.life {
            Life::Task(task) => task.abort(),
            Life::Thread { stop, thread } => {
                // The sender going away is the sign to stop; a thread that panicked has stopped already.
                drop(stop.take());
                let _ = thread.take().map(std::thread::JoinHandle::join);
            }
        }
    }
}

/// What an origin shall be like.
#[derive(Debug, Clone)]
pub struct OriginBuilder {
    bind: SocketAddr,
    tls: Option<Tls>,
    tls_versions: TlsVersions,
    tls_fault: Option<TlsFault>,
    certificate: Certificate,
    /// A fault of HTTP/2, and how many connections it befalls.
    http2_fault: Option<(Http2Fault, u64)>,
    log_limit: usize,
    /// Path prefixes, and the limits that they share, as they were written.
    limits: Vec<(String, String)>,
    rules: Rulebook,
}

impl Default for OriginBuilder {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            tls_versions: TlsVersions::Both,
            tls_fault: None,
            certificate: Certificate::Good,
            http2_fault: None,
            log_limit: DEFAULT_LOG_LIMIT,
            limits: Vec::new(),
            rules: Rulebook::default(),
        }
    }
}

impl OriginBuilder {
    /// Listens on that port of 127.0.0.1. Default: 0, any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.bind.set_port(port);
        self
    }

    /// Listens there. Default: 127.0.0.1, any free port. 0.0.0.0 and \[::\] are every address of the loopback: who
    /// comes by another address of this machine is hung up on unheard. Any other address is refused at the start.
    #[must_use]
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.bind = addr;
        self
    }

    /// Speaks TLS. Default: plain, where HTTP/2 is known by its first bytes.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Shows that certificate under TLS. Default: [`Certificate::Good`].
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Speaks those versions of TLS. Default: 1.2 and 1.3.
    #[must_use]
    pub fn tls_versions(mut self, versions: TlsVersions) -> Self {
        self.tls_versions = versions;
        self
    }

    /// Does that wrong under TLS, on every connection; nothing without TLS. Default: nothing.
    #[must_use]
    pub fn tls_fault(mut self, fault: TlsFault) -> Self {
        self.tls_fault = Some(fault);
        self
    }

    /// Does that wrong on every connection over HTTP/2. Default: nothing.
    #[must_use]
    pub fn http2_fault(self, fault: Http2Fault) -> Self {
        self.http2_fault_first(u64::MAX, fault)
    }

    /// Does that wrong over HTTP/2 on the first so many connections of the origin, those over HTTP/1 counted
    /// too; later ones are served as they should be.
    #[must_use]
    pub fn http2_fault_first(mut self, connections: u64, fault: Http2Fault) -> Self {
        self.http2_fault = Some((fault, connections));
        self
    }

    /// Draws latencies, stragglers and failures from that seed and the number of the request. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.seed = seed;
        self
    }

    /// Keeps that many requests in the log. Default: 100,000. Cost: some 200 bytes for each.
    #[must_use]
    pub fn log_limit(mut self, requests: usize) -> Self {
        self.log_limit = requests;
        self
    }

    /// Treats every path that starts with `prefix` as if it came with that query, in which the keys are
    /// those of [`QUERY_KEYS`](crate::QUERY_KEYS); a query of the URL goes above it.
    #[must_use]
    pub fn behave(self, prefix: impl Into<String>, query: impl Into<String>) -> Self {
        self.script(prefix, [query.into()])
    }

    /// Treats the n-th request of each path that starts with `prefix` as if it came with the n-th query;
    /// the last one stays.
    #[must_use]
    pub fn script<Q: Into<String>>(
        mut self,
        prefix: impl Into<String>,
        queries: impl IntoIterator<Item = Q>,
    ) -> Self {
        self.rules.scripts.push((prefix.into(), queries.into_iter().map(Into::into).collect()));
        self
    }

    /// Serves these bytes at that path, of that type; an empty type sends no Content-Type. The path is
    /// written as it is meant (`/a b.txt`): a request fits whose path is the same once its escapes are
    /// resolved. All query keys hold for it as for any other body; one that asks for another body goes above.
    /// With [`behave`](Self::behave) it has validators and ranges: `.behave("/a%20b.txt", "etag=strong")`, where
    /// the prefix is matched as it is sent, escapes and all.
    #[must_use]
    pub fn file(
        mut self,
        path: impl Into<String>,
        content_type: impl Into<String>,
        bytes: impl Into<Bytes>,
    ) -> Self {
        let file = File { content_type: Bytes::from(content_type.into()), bytes: bytes.into() };
        self.rules.files.insert(path.into().into_bytes(), file);
        self
    }

    /// Answers with 429 what comes to the paths that start with `prefix`, together, beyond that many
    /// requests in that time: a bucket of `requests` tokens that fills at an even pace. The key `rate` does
    /// the same for each path alone; with `retry-after`, that header comes with each 429.
    #[must_use]
    pub fn rate(mut self, prefix: impl Into<String>, requests: u32, per: Duration) -> Self {
        let limit = Limit { rate: Some(Rate { requests, per }), ..Limit::default() };
        self.rules.limits.push((prefix.into(), limit));
        self
    }

    /// Answers with 429 what comes to the paths that start with `prefix`, together, while that many
    /// requests are in flight. The key `concurrency` does the same for each path alone.
    #[must_use]
    pub fn concurrency(mut self, prefix: impl Into<String>, most: u64) -> Self {
        let limit = Limit { concurrency: Some(most), ..Limit::default() };
        self.rules.limits.push((prefix.into(), limit));
        self
    }

    /// Holds the paths that start with `prefix`, together, to what the keys `rate`, `concurrency` and `workers` say:
    /// `rate=100/s&workers=8`.
    #[must_use]
    pub fn limits(mut self, prefix: impl Into<String>, query: impl Into<String>) -> Self {
        self.limits.push((prefix.into(), query.into()));
        self
    }

    /// Answers each request of exactly that path (the query is not looked at) with these bytes, over
    /// HTTP/1; over HTTP/2 the stream is reset.
    #[must_use]
    pub fn raw(mut self, path: impl Into<String>, reply: RawReply) -> Self {
        self.rules.raws.push((path.into(), reply));
        self
    }

    /// Starts the origin on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// If the address is not of the loopback, a script or a rate makes no sense, the port is taken, or no
    /// certificate can be made.
    ///
    /// # Cancel safety
    ///
    /// Nothing runs before it is done.
    pub async fn start(self) -> io::Result<Origin> {
        let (face, serving) = self.prepare().await?;
        Ok(face.into_origin(Life::Task(tokio::spawn(serving))))
    }

    async fn prepare(mut self) -> io::Result<(Face, impl Future<Output = ()> + Send + 'static)> {
        let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if !self.bind.ip().is_loopback() && !self.bind.ip().is_unspecified() {
            return Err(refuse(format!("refuses to listen on {}, which is not loopback", self.bind)));
        }
        self.rules.check().map_err(|nonsense| refuse(nonsense.to_string()))?;
        for (prefix, query) in self.limits {
            let limit =
                Limit::read(&query).ok_or_else(|| refuse(format!("the limits {query:?} make no sense")))?;
            self.rules.limits.push((prefix, limit));
        }
        if self.rules.limits.iter().any(|(_, limit)| limit.rate.is_some_and(|rate| rate.per.is_zero())) {
            return Err(refuse("a rate over no time at all makes no sense".to_owned()));
        }
        let accepting =
            self.tls.map(|tls| tls::acceptor(tls, self.tls_versions, self.certificate)).transpose()?;
        let listener = tokio::net::TcpListener::bind(self.bind).await?;
        let ledger = Arc::new(Ledger::new(self.log_limit));
        let (guarded, ca_pem, certificate_pem) = match accepting {
            Some(Accepting { acceptor, ca_pem, certificate_pem }) => {
                (Some(Guarded { acceptor, fault: self.tls_fault }), ca_pem, certificate_pem)
            }
            None => (None, String::new(), String::new()),
        };
        let face = Face {
            addr: listener.local_addr()?,
            scheme: if guarded.is_some() { "https" } else { "http" },
            ca_pem,
            certificate_pem,
            ledger: Arc::clone(&ledger),
        };
        let hostility = self.http2_fault.map(|(fault, connections)| Hostility::new(fault, connections));
        let shared = Arc::new(Shared { ledger, rules: self.rules, gates: Arc::default(), hostility });
        Ok((face, serve::accept(listener, guarded, shared)))
    }
}

/// What is known of an origin once it listens.
struct Face {
    addr: SocketAddr,
    scheme: &'static str,
    ca_pem: String,
    certificate_pem: String,
    ledger: Arc<Ledger>,
}

impl Face {
    fn into_origin(self, life: Life) -> Origin {
        let Self { addr, scheme, ca_pem, certificate_pem, ledger } = self;
        Origin { addr, scheme, ca_pem, certificate_pem, ledger, life }
    }
}

/// Runs an origin in this thread until the sender of `stopped` goes away.
fn run_in_thread(
    builder: OriginBuilder,
    started: &mpsc::SyncSender<io::Result<Face>>,
    stopped: oneshot::Receiver<()>,
) {
    let report = |outcome| started.send(outcome).expect("the starting thread waits for this message");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(error)),
    };
    runtime.block_on(async {
        let serving = match builder.prepare().await {
            Ok((face, serving)) => {
                report(Ok(face));
                serving
            }
            Err(error) => return report(Err(error)),
        };
        tokio::select! {
            _ = stopped => {}
            () = serving => {}
        }
    });
}
