//! One fetch as a lazy future: nothing is looked up, opened or timed before its first poll.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::Client;
use super::asked::{Asked, wishes};
use super::handle::JobHandle;
use super::response::Response;
#[cfg(feature = "compression")]
use crate::engine::coding::{self, Unasked};
use crate::engine::control::{Control, Tokens, Wish};
use crate::engine::core::Core;
use crate::engine::errand::{Errand, Keep, Limits, Purpose};
use crate::engine::fetch::{Driven, Prize, Settled, drive};
use crate::error::{Error, ErrorKind, Phase};
use crate::event::Tallies;
use crate::outcome::{Receipt, Record};
use crate::policy::fetch::Opening;
use crate::request::body::Body;
use crate::request::form::Form;
use crate::request::{Repeat, Request, basic, bearer, set_authorization, set_body};
use crate::sink::{Admission, Files, IfExists, Memory};

/// One request on its way to a `T`: a [`Response`] by default, or what [`text`](Self::text),
/// [`bytes`](Self::bytes), [`into_json`](Self::into_json) and [`save_to`](Self::save_to) make of it.
///
/// It is lazy: before the first poll there is no look-up, no socket and no timer. A URL that cannot be fetched is an
/// `Err` on await. Awaited as it is, it gives the head first, and after that the body is never restarted; with a
/// terminal such as `text` the engine owns the body, and retries and hedges to its last byte.
///
/// # Errors
/// A status outside `ok_status` (200 to 299 unless set) is an `Err` with status, headers and the first 64 KiB of the
/// body in it.
///
/// # Cancel safety
/// Dropping it stops every attempt at once: connections with an unfinished reply are closed (or drained, when at
/// most 64 KiB are known to be left, for at most 50 ms by the client), HTTP/2 streams are reset. After the drop
/// nothing appears under a final name.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), gannet::Error> {
/// let text = gannet::get("http://localhost/").text().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fetch is lazy: nothing happens until it is awaited"]
pub struct Fetch<T = Response> {
    state: State,
    pub(super) finish: fn(Settled, Aftermath) -> Result<T, Error>,
}

enum State {
    Lazy(Box<Lazy>),
    Running(Box<Running>),
    Over,
}

struct Lazy {
    core: Arc<Core>,
    asked: Asked,
    /// One request, or the legs of a race.
    requests: Vec<Result<Request, Error>>,
    keep: Keep,
    control: Option<Arc<Control>>,
    tallies: Option<Arc<Tallies>>,
}

struct Running {
    fetch: Pin<Box<dyn Driven + Send>>,
    tokens: Tokens,
    control: Option<Arc<Control>>,
    aftermath: Aftermath,
    polled: bool,
}

/// What a body that the caller reads still has to hold to.
pub(super) struct Aftermath {
    pub(super) core: Arc<Core>,
    pub(super) limits: Limits,
    pub(super) asked: Asked,
    /// Whether a body that comes in a content coding though none was asked for may be decoded.
    #[cfg(feature = "compression")]
    pub(super) unasked: Unasked,
}

impl Fetch {
    pub(super) fn new(client: &Client, request: Result<Request, Error>) -> Self {
        let schemes = client.core.plan.schemes;
        Self::over(client, vec![request.and_then(|request| schemes.check(request))])
    }

    pub(super) fn over(client: &Client, requests: Vec<Result<Request, Error>>) -> Self {
        let lazy = Lazy {
            core: Arc::clone(&client.core),
            asked: Asked::of(client),
            requests,
            keep: Keep::Head,
            control: None,
            tallies: None,
        };
        Self { state: State::Lazy(Box::new(lazy)), finish: Response::of }
    }

    /// Awaits the whole body as text; what is not UTF-8 is replaced.
    ///
    /// With the feature `compression` it is asked for in gzip, br, zstd or deflate, and decoded;
    /// `ClientBuilder::decode` changes that. So it is for [`bytes`](Self::bytes) and
    /// [`into_json`](Self::into_json).
    ///
    /// # Errors
    /// The fetch's own; a body that breaks off is fetched anew within the retries.
    pub fn text(self) -> Fetch<String> {
        self.in_memory(|settled, _| Ok(String::from_utf8_lossy(&body_of(settled)?).into_owned()))
    }

    /// Awaits the whole body.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn bytes(self) -> Fetch<Bytes> {
        self.in_memory(|settled, _| body_of(settled))
    }

    /// Awaits the whole body and reads it as JSON.
    ///
    /// # Errors
    /// Beside the fetch's own, [`BadBody`](ErrorKind::BadBody) if it is not what `T` wants.
    #[cfg(feature = "json")]
    pub fn into_json<T: serde_core::de::DeserializeOwned>(self) -> Fetch<T> {
        self.in_memory(|settled, _| {
            let body = body_of(settled)?;
            super::response::read_json(&body)
        })
    }

    /// Awaits the whole body in a file at `path`, which is only given to a whole body, by an atomic rename.
    ///
    /// # Errors
    /// Beside the fetch's own, those of the place: it cannot be written, or its folder does not exist.
    pub fn save_to(mut self, path: impl Into<PathBuf>) -> Fetch<Receipt> {
        if let Some(lazy) = self.lazy_mut() {
            lazy.asked.purpose = Purpose::Store;
            lazy.keep = Keep::Whole(Arc::new(Files::at(vec![path.into()]).if_exists(IfExists::Overwrite)));
        }
        self.finished_by(|settled, _| match settled.end? {
            Prize::Kept(got) => Ok(got.receipt),
            Prize::Head(..) => unreachable!("a saved body is kept whole"),
        })
    }

    fn in_memory<T>(mut self, finish: fn(Settled, Aftermath) -> Result<T, Error>) -> Fetch<T> {
        if let Some(lazy) = self.lazy_mut() {
            lazy.keep = Keep::Whole(Arc::new(Memory::new(lazy.core.memory_each, lazy.core.memory_all)));
            lazy.asked.purpose = Purpose::Read;
        }
        self.finished_by(finish)
    }
}

impl<T> Fetch<T> {
    wishes!();

    /// Adds a header field. A text that cannot stand in a field is an `Err` on await.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => self.change(|request| Ok(request.header(name, value))),
            _ => self.change(|_| Err(bad("a header field has a name or value that cannot be sent"))),
        }
    }

    /// Says what the body's digest is to be; see [`Request::digest`].
    ///
    /// A fetch that the engine brings to its end tries again at a mirror. A [`Response`] gives the error in the place of
    /// its body's end.
    #[cfg(feature = "digests")]
    pub fn digest(self, expected: crate::digest::Digest) -> Self {
        self.change(|request| Ok(request.digest(expected.clone())))
    }

    /// Adds pairs to the URL's query, percent-encoded.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs: Vec<(K, V)> = pairs.into_iter().collect();
        self.change(move |mut request| {
            request.url.query_pairs_mut().extend_pairs(pairs);
            Ok(request)
        })
    }

    /// Sends `body` as it is: bytes, or a [`Body::stream`], which goes out once.
    pub fn body(self, body: impl Into<Body>) -> Self {
        let body = body.into();
        self.change(|request| Ok(request.body(body)))
    }

    /// Sends pairs as an HTML form does (`application/x-www-form-urlencoded`).
    pub fn form<K: AsRef<str>, V: AsRef<str>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.change(|request| {
            Ok(request
                .change(|template| set_body(template, "application/x-www-form-urlencoded", body.into())))
        })
    }

    /// Sends a form of several parts (`multipart/form-data`, RFC 7578), with the files in it as a stream.
    pub fn multipart(self, form: Form) -> Self {
        self.change(|request| Ok(request.multipart(form)))
    }

    /// Sends `value` as JSON.
    #[cfg(feature = "json")]
    pub fn json(self, value: &impl serde_core::Serialize) -> Self {
        let body = serde_json::to_vec(value);
        self.change(|request| match body {
            Ok(body) => Ok(request.change(|template| set_body(template, "application/json", body.into()))),
            Err(cause) => Err(bad(&format!("the value is no JSON: {cause}")).caused_by(cause)),
        })
    }

    /// Authorizes by name and password (RFC 7617).
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        let value = basic(user.as_ref().as_bytes(), password.as_ref().as_bytes());
        self.change(|request| Ok(request.change(|template| set_authorization(template, value))))
    }

    /// Authorizes by a token (RFC 6750).
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        let value = bearer(token.as_ref());
        self.change(|request| {
            let value = value?;
            Ok(request.change(|template| set_authorization(template, value)))
        })
    }

    /// Says that the same content lies at `url` too; retries and hedges go there.
    pub fn mirror(self, url: &str) -> Self {
        let schemes = self.lazy_ref().map_or_else(Default::default, |lazy| lazy.core.plan.schemes);
        self.change(|request| request.mirror(url).and_then(|request| schemes.check(request)))
    }

    /// Says whether it may be sent twice, whatever its method (RFC 9110, section 9.2.2).
    pub fn repeatable(self, repeat: Repeat) -> Self {
        self.change(|request| Ok(request.repeatable(repeat)))
    }

    pub(super) fn finished_by<U>(self, finish: fn(Settled, Aftermath) -> Result<U, Error>) -> Fetch<U> {
        Fetch { state: self.state, finish }
    }

    fn change(mut self, with: impl FnOnce(Request) -> Result<Request, Error>) -> Self {
        if let Some(request) = self.lazy_mut().and_then(|lazy| lazy.requests.first_mut()) {
            let unset = Err(bad("the request was taken"));
            *request = std::mem::replace(request, unset).and_then(with);
        }
        self
    }

    fn asked_mut(&mut self) -> Option<&mut Asked> {
        self.lazy_mut().map(|lazy| &mut lazy.asked)
    }

    fn lazy_ref(&self) -> Option<&Lazy> {
        match &self.state {
            State::Lazy(lazy) => Some(lazy),
            State::Running(_) | State::Over => None,
        }
    }

    fn lazy_mut(&mut self) -> Option<&mut Lazy> {
        match &mut self.state {
            State::Lazy(lazy) => Some(lazy),
            State::Running(_) | State::Over => None,
        }
    }

    /// Gives a handle the control of what is about to run.
    pub(super) fn controlled(&mut self) -> (Arc<Control>, Arc<Tallies>) {
        let (control, tallies) = (Arc::<Control>::default(), Arc::<Tallies>::default());
        if let Some(lazy) = self.lazy_mut() {
            lazy.control = Some(Arc::clone(&control));
            lazy.tallies = Some(Arc::clone(&tallies));
        }
        (control, tallies)
    }

    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<(Settled, Option<Aftermath>)> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Lazy(lazy) => match lazy.begin() {
                    Ok(running) => self.state = State::Running(Box::new(running)),
                    Err(error) => return Poll::Ready((unsettled(error), None)),
                },
                State::Running(mut running) => match running.poll(cx) {
                    Poll::Ready(settled) => return Poll::Ready((settled, Some(running.aftermath))),
                    Poll::Pending => {
                        self.state = State::Running(running);
                        return Poll::Pending;
                    }
                },
                State::Over => panic!("a fetch was polled after it had settled"),
            }
        }
    }
}

impl<T: Send + 'static> Fetch<T> {
    /// Runs it in the background: C#'s `Task.Run`. It runs on though its caller goes away.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(mut self) -> JobHandle<Result<T, Error>> {
        let (control, tallies) = self.controlled();
        JobHandle::spawn(self, control, tallies)
    }
}

impl<T> Future for Fetch<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (settled, aftermath) = std::task::ready!(self.poll_settled(cx));
        Poll::Ready(match aftermath {
            Some(aftermath) => (self.finish)(settled, aftermath),
            None => settled.end.and_then(|_| Err(bad("nothing was begun"))),
        })
    }
}

impl Lazy {
    fn begin(self) -> Result<Running, Error> {
        let core = self.core;
        let now = core.clock.now();
        let (deadline, timeout) = self.asked.limits(&core, now);
        let limits = Limits { job: deadline, item: timeout };
        let mut requests: SmallVec<[Request; 1]> = SmallVec::new();
        let mut failure = None;
        for request in self.requests {
            match request {
                Ok(request) => requests.push(request),
                Err(error) => failure = Some(error),
            }
        }
        if requests.is_empty() {
            return Err(
                failure.unwrap_or_else(|| Error::new(ErrorKind::NoInput, Phase::Queue, "no URL was given"))
            );
        }
        admit(&self.keep, &mut requests)?;
        let errand = Errand {
            lane: core.lanes.here()?,
            core: Arc::clone(&core),
            plan: Arc::clone(&self.asked.plan),
            seq: 0,
            opening: if requests.len() > 1 || requests[0].raced { Opening::Race } else { Opening::One },
            requests,
            keep: self.keep,
            purpose: self.asked.purpose,
            limits,
            tallies: self.tallies,
            late: None,
            part_log: None,
        };
        let tokens = self.asked.wait_for_tokens();
        #[cfg(feature = "compression")]
        let unasked = coding::unasked(&errand);
        let aftermath = Aftermath {
            core,
            limits,
            asked: self.asked,
            #[cfg(feature = "compression")]
            unasked,
        };
        Ok(Running {
            fetch: drive(errand, None, now),
            tokens,
            control: self.control,
            aftermath,
            polled: false,
        })
    }
}

impl Running {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Settled> {
        let stopped = self.tokens.poll(cx).is_ready()
            || self.control.as_ref().is_some_and(|control| control.wish(cx) == Wish::Cancel);
        // Stopped before its first poll, it opens nothing.
        if stopped && !std::mem::replace(&mut self.polled, true) {
            return Poll::Ready(self.fetch.as_mut().stop());
        }
        self.polled = true;
        match self.fetch.as_mut().poll(cx) {
            Poll::Pending if stopped => Poll::Ready(self.fetch.as_mut().stop()),
            other => other,
        }
    }
}

/// The sink gives its place to the body before anything is sent; the legs of a race have one place.
fn admit(keep: &Keep, requests: &mut [Request]) -> Result<(), Error> {
    let (Keep::Whole(sink), [first, others @ ..]) = (keep, requests) else { return Ok(()) };
    if let Admission::Skip(path) = sink.admit(0, first)? {
        let message = format!("{} is there already", path.display());
        return Err(Error::new(ErrorKind::Exists, Phase::Sink, message));
    }
    for other in others {
        other.place.clone_from(&first.place);
    }
    Ok(())
}

fn body_of(settled: Settled) -> Result<Bytes, Error> {
    match settled.end? {
        Prize::Kept(got) => Ok(got.receipt.body.unwrap_or_default()),
        Prize::Head(..) => unreachable!("a body in memory is kept whole"),
    }
}

fn unsettled(error: Error) -> Settled {
    Settled { end: Err(error), record: Record::default() }
}

fn bad(message: &str) -> Error {
    Error::new(ErrorKind::BadRequest, Phase::Queue, message)
}

impl<T> std::fmt::Debug for Fetch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::Lazy(_) => "not begun",
            State::Running(_) => "running",
            State::Over => "over",
        };
        f.debug_struct("Fetch").field("state", &state).finish_non_exhaustive()
    }
}
