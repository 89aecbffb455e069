//! The one error type: what kind, in which phase, of which URL, with what evidence.
//! Messages are lower-case fragments and never hold credentials; nothing here decides whether to retry.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};

use crate::outcome::{AttemptRecord, Receipt};

mod evidence;

/// Why a fetch, or one attempt of it, failed. One pointer wide and cheap to clone.
#[derive(Clone)]
pub struct Error(Arc<Evidence>);

#[derive(Clone)]
struct Evidence {
    kind: ErrorKind,
    phase: Phase,
    message: Box<str>,
    url: Option<Box<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    reply: Option<Arc<ErrorReply>>,
    attempts: Arc<[AttemptRecord]>,
    retry_after: Option<Duration>,
    unsent: bool,
    out_of_budget: bool,
    out_of_time: bool,
    handed_on: bool,
}

/// The reply behind an error of kind [`ErrorKind::Status`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ErrorReply {
    /// The reply's status.
    pub status: StatusCode,
    /// The HTTP version it came by.
    pub version: Version,
    /// The reply's header fields.
    pub headers: HeaderMap,
    /// The first 64 KiB of the body, not decoded. Under
    /// [`keep_refused_body`](crate::ClientBuilder::keep_refused_body) the whole body if it was kept in memory, else
    /// empty.
    pub body: Bytes,
    /// Where the body lies, under [`keep_refused_body`](crate::ClientBuilder::keep_refused_body).
    pub kept: Option<Receipt>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident => $code:literal,)*) => {
        /// What went wrong. [`code`](Self::code) is its stable spelling in reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $name,)* }

        impl ErrorKind {
            /// Every kind there is, for tables and schemas.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable spelling of this kind in reports, such as `connect.refused`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Whether the output itself is gone, for every request alike: its disk is full, read-only or fails, or
            /// its reader has gone.
            pub(crate) const fn ends_the_output(self) -> bool {
                matches!(self, Self::DiskFull | Self::ReadOnly | Self::DiskFailed | Self::SinkClosed)
            }

            /// The kind of this spelling.
            #[cfg(feature = "journal")]
            pub(crate) fn of_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// The text is no URL.
    BadUrl => "input.bad_url",
    /// The URL's scheme is neither http nor https.
    BadScheme => "input.bad_scheme",
    /// An entry of the input is not what its format asks for.
    BadEntry => "input.bad_entry",
    /// A line of the input is longer than the limit.
    LineTooLong => "input.line_too_long",
    /// A line of the input is not UTF-8 or holds a NUL.
    NotText => "input.not_text",
    /// The input itself could not be read on.
    InputUnreadable => "input.unreadable",
    /// The request cannot be sent as asked: a bad header, a body that does not serialise.
    BadRequest => "input.bad_request",
    /// A cookie, or a file of cookies, cannot be used.
    BadCookie => "cookies.unusable",
    /// No URL was given.
    NoInput => "input.empty",
    /// A future of this library was polled outside of a tokio runtime.
    NoRuntime => "runtime.missing",
    /// The host's name does not exist.
    NameNotFound => "dns.nxdomain",
    /// The look-up failed.
    LookupFailed => "dns.failed",
    /// The look-up took too long.
    LookupTimeout => "dns.timeout",
    /// The server refused the connection.
    Refused => "connect.refused",
    /// No address answered in time.
    ConnectTimeout => "connect.timeout",
    /// There is no way to the address.
    Unreachable => "connect.unreachable",
    /// The process has no free file descriptor.
    NoDescriptors => "connect.no_descriptors",
    /// The connection could not be made for another reason.
    ConnectFailed => "connect.failed",
    /// The certificate is expired or not yet valid.
    CertExpired => "tls.cert_expired",
    /// The certificate is for other names.
    CertName => "tls.cert_name",
    /// The certificate's issuer is not trusted.
    CertUntrusted => "tls.cert_untrusted",
    /// The certificate is unusable for another reason.
    CertInvalid => "tls.cert_invalid",
    /// The handshake failed.
    TlsHandshake => "tls.handshake",
    /// The TLS settings cannot be used.
    TlsSettings => "tls.settings",
    /// The connection was reset or closed amid an exchange.
    Reset => "connection.reset",
    /// The connection was closed before a byte of the reply.
    EmptyReply => "reply.empty",
    /// A reused connection turned out closed before a byte of the reply.
    StaleConnection => "connection.stale",
    /// The server declined the stream unprocessed (HTTP/2 REFUSED_STREAM, or GOAWAY beyond the last stream).
    StreamRefused => "http2.refused",
    /// The reply breaks the protocol.
    BadReply => "reply.malformed",
    /// The reply's head is over its limit.
    HeadTooLarge => "reply.head_too_large",
    /// No byte of the reply, or of its body, came in time.
    FirstByteTimeout => "wait.timeout",
    /// The status is not among those accepted.
    Status => "reply.status",
    /// The reply's Content-Type is not among those accepted.
    ContentType => "reply.content_type",
    /// The body stood still for too long.
    BodyStalled => "body.stalled",
    /// The body came more slowly than it may, for too long.
    BodyTooSlow => "body.too_slow",
    /// The body ended before its framing did.
    BodyTruncated => "body.truncated",
    /// The body is over its limit.
    BodyTooLarge => "body.too_large",
    /// The body broke after bytes of it had been handed over.
    BodyNotResumable => "body.not_resumable",
    /// The body is not what its content coding says, or goes on after the coding's end.
    CodingBroken => "body.coding_broken",
    /// The body ended before the end of its content coding.
    CodingCut => "body.coding_cut",
    /// The body has a content coding that was not asked for, or too many.
    CodingUnknown => "body.coding_unknown",
    /// The decoded body is too many times as long as what came over the wire.
    Bomb => "body.bomb",
    /// The body has another digest than the caller, or its own reply, says.
    Digest => "integrity.digest",
    /// The body is not what the caller asked it to be (text, JSON).
    BadBody => "body.unreadable",
    /// Too many redirects.
    TooManyRedirects => "redirect.too_many",
    /// The redirect's target is unusable.
    BadRedirect => "redirect.bad_location",
    /// The redirect leads from https to http, or to a scheme that is never followed.
    RedirectRefused => "redirect.refused",
    /// robots.txt disallows the URL, or the reply's X-Robots-Tag forbids to keep its body.
    RobotsDisallowed => "robots.disallowed",
    /// robots.txt could not be had, so nothing of the origin is allowed.
    RobotsUnavailable => "robots.unavailable",
    /// The deadline of the job came first.
    JobDeadline => "deadline.job",
    /// The time of this one fetch ran out.
    ItemDeadline => "deadline.item",
    /// The caller stopped it.
    Cancelled => "cancelled",
    /// An earlier run of its job was stopped after it was sent, and it may not be sent twice: what came of it is not known.
    Unanswered => "request.unanswered",
    /// Our own gate or pool had no place for too long.
    QueueTimeout => "queue.timeout",
    /// The server asked to be left alone for longer than is waited for, or past the deadline.
    HostAway => "host.away",
    /// Nothing but failures came from the host for so long that it was given up.
    HostUnavailable => "host.unavailable",
    /// The output's name cannot be used.
    BadName => "sink.bad_name",
    /// The output exists already.
    Exists => "sink.exists",
    /// The output may not be written.
    Forbidden => "sink.forbidden",
    /// The output's place is not what it has to be (a folder in the way, a missing one).
    BadPlace => "sink.bad_place",
    /// The output's disk is full.
    DiskFull => "sink.disk_full",
    /// The output's disk is read-only.
    ReadOnly => "sink.read_only",
    /// The output's disk fails: it did not take or keep what was written (EIO).
    DiskFailed => "sink.disk_failed",
    /// Writing the output failed for another reason.
    SinkFailed => "sink.failed",
    /// The reader of the output has gone.
    SinkClosed => "sink.closed",
    /// The bodies held in memory are over their limit.
    MemoryFull => "sink.memory_full",
    /// Another process works with the journal.
    JournalLocked => "journal.locked",
    /// A newer version of this library wrote the journal.
    JournalNewer => "journal.newer_version",
    /// The journal does not hold what was written to it.
    JournalDamaged => "journal.damaged",
    /// The journal belongs to another list, and its job is not finished, or is to be gone on with.
    JournalOtherList => "journal.other_list",
    /// The journal could not be read or written, or a body could not be made durable before its row.
    JournalFailed => "journal.failed",
    /// A custom transport failed.
    Transport => "transport.failed",
    /// Settings contradict one another.
    Settings => "settings.contradiction",
}

/// The step of a fetch in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Waiting for our own gate, pool or backoff.
    Queue,
    /// Looking up the host's addresses.
    Dns,
    /// Connecting to an address.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// Waiting for the first byte of the reply.
    Wait,
    /// Receiving the body.
    Body,
    /// Writing the body to its place.
    Sink,
    /// Checking length and digest.
    Verify,
}

impl Phase {
    /// The stable spelling of this phase in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Wait => "wait",
            Self::Body => "body",
            Self::Sink => "sink",
            Self::Verify => "verify",
        }
    }

    /// The phase of this spelling.
    #[cfg(feature = "journal")]
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        use Phase::{Body, Connect, Dns, Queue, Send, Sink, Tls, Verify, Wait};
        let all = [Queue, Dns, Connect, Tls, Send, Wait, Body, Sink, Verify];
        all.into_iter().find(|phase| phase.as_str() == name)
    }
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// In which phase it went wrong.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// The URL that was being fetched, without credentials.
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// What happened, without the URL: a lower-case fragment.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The reply's status, if there was a reply.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.reply.as_ref().map(|reply| reply.status)
    }

    /// The reply behind a refused status: head and the first 64 KiB of its body.
    pub fn reply(&self) -> Option<&ErrorReply> {
        self.0.reply.as_deref()
    }

    /// Every attempt that was made, in the order in which they started.
    pub fn attempts(&self) -> &[AttemptRecord] {
        &self.0.attempts
    }

    /// How long the server asked us to stay away (RFC 9110, section 10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether a limit on time was reached: a deadline, a timeout, a stall. Never true together with
    /// [`is_cancelled`](Self::is_cancelled).
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::JobDeadline
                | ErrorKind::ItemDeadline
                | ErrorKind::LookupTimeout
                | ErrorKind::ConnectTimeout
                | ErrorKind::FirstByteTimeout
                | ErrorKind::BodyStalled
                | ErrorKind::BodyTooSlow
                | ErrorKind::QueueTimeout
        )
    }

    /// Whether it would have been retried, had the retry budget allowed it.
    pub fn is_out_of_budget(&self) -> bool {
        self.0.out_of_budget
    }

    /// Whether it would have been tried, or tried again, had its deadline come later.
    pub fn is_out_of_time(&self) -> bool {
        self.0.out_of_time
    }

    /// Whether the caller stopped it.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == ErrorKind::Cancelled
    }

    /// The innermost cause, said once.
    pub fn root_cause(&self) -> String {
        let mut cause: Option<&(dyn StdError + 'static)> = self.source();
        let mut text = self.0.message.to_string();
        while let Some(inner) = cause {
            text = inner.to_string();
            cause = inner.source();
        }
        text
    }

    pub(crate) fn new(kind: ErrorKind, phase: Phase, message: impl Into<String>) -> Self {
        Self(Arc::new(Evidence {
            kind,
            phase,
            message: message.into().into_boxed_str(),
            url: None,
            source: None,
            reply: None,
            attempts: Arc::from([]),
            retry_after: None,
            unsent: false,
            out_of_budget: false,
            out_of_time: false,
            handed_on: false,
        }))
    }

    /// An error for a custom [`Transport`](crate::Transport) to return; it is retried like a reset connection.
    pub fn transport(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transport, Phase::Wait, message)
    }

    /// An error for a custom [`Source`](crate::source::Source) to give for an element that is no request that can be sent.
    /// Credentials in the URL are taken out.
    pub fn input(url: &str, message: impl Into<String>) -> Self {
        let url = crate::request::without_userinfo(url);
        Self::new(ErrorKind::BadRequest, Phase::Queue, message).of_url(url)
    }

    /// The same of another kind: one of those whose code begins with `input.`; any other becomes
    /// [`BadEntry`](ErrorKind::BadEntry). Without a URL where the element has none that could be shown.
    pub fn unusable_input(kind: ErrorKind, url: Option<&str>, message: impl Into<String>) -> Self {
        let kind = if kind.code().starts_with("input.") { kind } else { ErrorKind::BadEntry };
        let error = Self::new(kind, Phase::Queue, message);
        match url {
            Some(url) => error.of_url(crate::request::without_userinfo(url)),
            None => error,
        }
    }

    /// An error for a custom [`Sink`](crate::sink::Sink) or [`Part`](crate::sink::Part) to return; it is not retried.
    pub fn sink(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SinkFailed, Phase::Sink, message)
    }

    fn with(mut self, change: impl FnOnce(&mut Evidence)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = self.url() {
            write!(f, "{url}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.kind().code())
            .field("phase", &self.phase().as_str())
            .field("url", &self.url())
            .field("message", &self.message())
            .field("source", &self.0.source)
            .field("attempts", &self.attempts().len())
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Shows a URL without userinfo, for messages and records.
pub(crate) fn shown(url: &url::Url) -> Box<str> {
    if url.username().is_empty() && url.password().is_none() {
        return url.as_str().into();
    }
    let mut bare = url.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.as_str().into()
}
