//! A mock for tests of code that uses a client: it stands in the place of the network and gives the replies that it
//! was told to give. It opens no socket, and waits in tokio's time, which a test can pause.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Phase};
use crate::transport::{BoxFuture, Reply, Transport, WireRequest};

/// Replies in the place of a network, for tests of code that uses a [`Client`].
///
/// Everything but the wire is the real engine: retries, hedges, races, redirects, deadlines, sinks, limits. A URL for
/// which nothing was said is an error that names it, and is not retried. Clones share all.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gannet::Error> {
/// use gannet::sim::Replies;
///
/// let replies = Replies::new().on("https://a.example/x", "hello");
/// let text = replies.client().get("https://a.example/x").text().await?;
/// assert_eq!((text.as_str(), replies.requests().len()), ("hello", 1));
/// # Ok(()) }
/// ```
///
/// What happens over time: a script for each URL, in the order of the requests; its last answer stays.
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), gannet::Error> {
/// use std::time::Duration;
/// use gannet::sim::{Answer, Replies};
///
/// let replies = Replies::new()
///     .on("https://a.example/x", Answer::status(503))
///     .then(Answer::refused())
///     .then(Answer::chunks(["hal", "f"]).cut())
///     .then(Answer::ok("whole").after(Duration::from_secs(5)));
/// assert_eq!(replies.client().get("https://a.example/x").text().await?, "whole");
/// assert_eq!(replies.requests().len(), 4);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Replies(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    scripts: HashMap<String, VecDeque<Answer>>,
    /// The URL that `then` goes on with.
    newest: Option<String>,
    requests: Vec<WireRequest>,
}

/// What a request is answered with, made by [`Answer::ok`] and its siblings.
#[derive(Debug, Clone)]
#[must_use]
pub struct Answer {
    delay: Duration,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Reply { status: StatusCode, headers: Vec<(HeaderName, HeaderValue)>, body: Pieces },
    Failure(Error),
    Silence,
}

/// A body in pieces.
#[derive(Debug, Clone)]
struct Pieces {
    left: VecDeque<Bytes>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The length is announced.
    Whole,
    /// The pieces come one by one, without a length.
    Unannounced,
    /// The connection breaks.
    Cut,
}

impl Replies {
    /// No reply to anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers requests for `url` so: an [`Answer`], or a text or bytes for a 200 with that body. A second call for a
    /// URL goes on with its script, as [`then`](Self::then) does.
    ///
    /// # Panics
    /// `url` is no absolute URL.
    pub fn on(self, url: &str, answer: impl Into<Answer>) -> Self {
        let url = match url::Url::parse(url) {
            Ok(url) => String::from(url),
            Err(cause) => panic!("{url} is no absolute URL: {cause}"),
        };
        let mut state = self.lock();
        state.scripts.entry(url.clone()).or_default().push_back(answer.into());
        state.newest = Some(url);
        drop(state);
        self
    }

    /// Answers requests for `url` with this status and no body.
    ///
    /// # Panics
    /// `url` is no absolute URL, or `status` is none.
    pub fn on_status(self, url: &str, status: u16) -> Self {
        self.on(url, Answer::status(status))
    }

    /// Answers the next request for the URL named last so; the last answer of a script is given again and again.
    ///
    /// # Panics
    /// No URL was named before.
    pub fn then(self, answer: impl Into<Answer>) -> Self {
        let newest = self.lock().newest.clone().expect("`then` goes on with the URL of an `on`");
        self.on(&newest, answer)
    }

    /// A client with the default settings over these replies; for other settings give a clone to
    /// [`ClientBuilder::transport`](crate::ClientBuilder::transport).
    pub fn client(&self) -> Client {
        let client = Client::builder().transport(self.clone()).build();
        client.expect("the default settings do not contradict one another")
    }

    /// Every request that was received until now, in order: those of retries, hedges and redirects too.
    pub fn requests(&self) -> Vec<WireRequest> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: WireRequest) -> Answer {
        let url = request.uri().to_string();
        let mut state = self.lock();
        state.requests.push(request);
        let answer = match state.scripts.get_mut(&url) {
            Some(script) if script.len() > 1 => script.pop_front(),
            Some(script) => script.front().cloned(),
            None => None,
        };
        answer.unwrap_or_else(|| {
            let mut known: Vec<&str> = state.scripts.keys().map(String::as_str).collect();
            known.sort_unstable();
            let message = format!("the test has no reply for {url}, only for [{}]", known.join(", "));
            Answer::failing(Error::new(ErrorKind::BadRequest, Phase::Send, message))
        })
    }
}

impl Answer {
    /// 200 with this body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::reply(StatusCode::OK, Pieces { left: VecDeque::from([body.into()]), end: End::Whole })
    }

    /// This status, without a body; see [`body`](Self::body).
    ///
    /// # Panics
    /// `status` is not between 100 and 999.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status has three digits");
        Self::reply(status, Pieces { left: VecDeque::new(), end: End::Whole })
    }

    /// 200 with a body that comes in these pieces, and whose length is not announced.
    pub fn chunks<B: Into<Bytes>>(pieces: impl IntoIterator<Item = B>) -> Self {
        let left = pieces.into_iter().map(Into::into).collect();
        Self::reply(StatusCode::OK, Pieces { left, end: End::Unannounced })
    }

    /// The connection is refused.
    pub fn refused() -> Self {
        Self::failing(Error::new(ErrorKind::Refused, Phase::Connect, "connection refused (by the test)"))
    }

    /// The connection is reset before a byte of the reply, after the request was sent.
    pub fn reset() -> Self {
        Self::failing(Error::new(ErrorKind::Reset, Phase::Wait, "the connection was reset (by the test)"))
    }

    /// No reply ever comes.
    pub fn silence() -> Self {
        Self { delay: Duration::ZERO, what: What::Silence }
    }

    /// With this body, in the place of its own.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        if let What::Reply { body: pieces, .. } = &mut self.what {
            pieces.left = VecDeque::from([body.into()]);
        }
        self
    }

    /// With a further header field.
    ///
    /// # Panics
    /// Name or value cannot stand in a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("the name can stand in a header field");
        let value: HeaderValue = value.parse().expect("the value can stand in a header field");
        if let What::Reply { headers, .. } = &mut self.what {
            headers.push((name, value));
        }
        self
    }

    /// The connection breaks where the body would end.
    pub fn cut(mut self) -> Self {
        if let What::Reply { body, .. } = &mut self.what {
            body.end = End::Cut;
        }
        self
    }

    /// Only after `delay` in tokio's time, which `tokio::time::pause` makes virtual.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn reply(status: StatusCode, body: Pieces) -> Self {
        Self { delay: Duration::ZERO, what: What::Reply { status, headers: Vec::new(), body } }
    }

    fn failing(error: Error) -> Self {
        Self { delay: Duration::ZERO, what: What::Failure(error) }
    }
}

macro_rules! from_body {
    ($($type:ty),*) => { $(
        impl From<$type> for Answer {
            fn from(body: $type) -> Self {
                Self::ok(body)
            }
        }
    )* };
}

from_body!(&'static str, String, Bytes, Vec<u8>);

impl Transport for Replies {
    fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        // Taken at once, so that scripts follow the order in which requests were sent.
        let Answer { delay, what } = self.answer(request);
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let (status, headers, body) = match what {
                What::Reply { status, headers, body } => (status, headers, body),
                What::Failure(error) => return Err(error),
                What::Silence => std::future::pending().await,
            };
            let mut response = http::Response::new(body);
            *response.status_mut() = status;
            response.headers_mut().extend(headers);
            Ok(Reply::streaming(response))
        })
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(match (self.left.pop_front(), self.end) {
            (Some(piece), _) => Some(Ok(Frame::data(piece))),
            (None, End::Cut) => {
                self.end = End::Unannounced;
                let message = "the body ended before its announced end (by the test)";
                Some(Err(Error::new(ErrorKind::BodyTruncated, Phase::Body, message)))
            }
            (None, _) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left.iter().all(Bytes::is_empty) && self.end != End::Cut
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Whole => SizeHint::with_exact(self.left.iter().map(|piece| piece.len() as u64).sum()),
            End::Unannounced | End::Cut => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let (urls, requests) = (state.scripts.len(), state.requests.len());
        f.debug_struct("Replies").field("urls", &urls).field("requests", &requests).finish()
    }
}
