//! A reply whose head has come and whose body the caller reads. The limits of its fetch go on ruling; the stall
//! timer runs only while the caller asks for more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::{HeaderMap, StatusCode, Version};

use super::fetch::Aftermath;
use crate::Moment;
#[cfg(feature = "compression")]
use crate::engine::coding::Unasked;
use crate::engine::control::Tokens;
use crate::engine::fetch::{Driven, Mend, Prize, Settled, below, seconds};
use crate::engine::timer::Timer;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::{AttemptRecord, ReplyHead};
use crate::policy::speed::{Asking, Found, Lately};
#[cfg(feature = "compression")]
use crate::transport::coding::body::Decoded;
#[cfg(feature = "compression")]
use crate::transport::coding::{Decoder, codings};
use crate::transport::{Leg, WireBody};

mod mending;

/// A reply whose head has come. Its body is read with [`text`](Self::text), [`bytes`](Self::bytes),
/// [`json`](Self::json), [`chunk`](Self::chunk) or [`chunks`](Self::chunks). A body that breaks off is gone on with
/// within the retries if a strong validator vouches for it ([`ResumeParts`](crate::ResumeParts)); else, or if its rest
/// cannot be had, it is an error of kind [`BodyNotResumable`](ErrorKind::BodyNotResumable), since it cannot be begun anew
/// under the caller's hands.
///
/// As long as its body is not read to the end, it holds a connection and a place at its host's gate; dropping it
/// gives both back.
pub struct Response {
    reply: ReplyHead,
    body: Body,
}

struct Body {
    wire: Option<WireBody>,
    first: Option<Bytes>,
    taken: u64,
    promised: Option<u64>,
    /// Where the bytes of the wire end.
    ends_at: Option<u64>,
    attempts: Vec<AttemptRecord>,
    /// How it is gone on with if it breaks.
    mend: Option<Box<Mend>>,
    mending: Option<Pin<Box<dyn Driven + Send>>>,
    asked_at: Option<Moment>,
    lately: Lately,
    leg: Arc<Leg>,
    aftermath: Aftermath,
    tokens: Tokens,
    timer: Timer,
}

impl Response {
    pub(super) fn of(settled: Settled, aftermath: Aftermath) -> Result<Self, Error> {
        let Settled { end, record } = settled;
        let (led, leg, mend) = match end? {
            Prize::Head(led, leg, mend) => (*led, leg, mend),
            Prize::Kept(_) => unreachable!("a response's body is not kept by the engine"),
        };
        let tokens = aftermath.asked.wait_for_tokens();
        let body = Body {
            wire: Some(led.body),
            first: led.first,
            taken: 0,
            promised: led.promised,
            ends_at: led.promised,
            attempts: record.attempts,
            mend,
            mending: None,
            asked_at: None,
            lately: Lately::default(),
            leg,
            aftermath,
            tokens,
            timer: Timer::default(),
        };
        Ok(Self { reply: led.reply, body })
    }

    /// The reply's status.
    pub fn status(&self) -> StatusCode {
        self.reply.status
    }

    /// The reply's header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.reply.headers
    }

    /// The HTTP version that it came by.
    pub fn version(&self) -> Version {
        self.reply.version
    }

    /// The URL that answered, after redirects, without credentials.
    pub fn url(&self) -> &str {
        &self.reply.url
    }

    /// The body's length in bytes, if the head announced it; `None` for a body that is decoded.
    pub fn content_length(&self) -> Option<u64> {
        self.body.promised
    }

    /// Every attempt that was made for it.
    pub fn attempts(&self) -> &[AttemptRecord] {
        &self.body.attempts
    }

    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// The body broke off, stood still, or its fetch's time was over.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: the next call goes on where this one was.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = std::future::poll_fn(|cx| self.body.poll(cx)).await.transpose();
        chunk.map_err(|error| error.of_url(self.reply.url.clone()))
    }

    /// The body's pieces as a stream.
    pub fn chunks(self) -> Chunks {
        Chunks { body: self.body, url: self.reply.url }
    }

    /// The reply as other libraries want it, with its body still on its way. The URL that answered is in
    /// [`url`](Self::url) alone.
    pub fn into_http(self) -> http::Response<Chunks> {
        let Self { reply, body, .. } = self;
        let url = reply.url.clone();
        http::Response::from(reply).map(|()| Chunks { body, url })
    }

    /// The whole body, up to the client's limit (64 MiB unless set).
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and a body over the limit.
    ///
    /// # Cancel safety
    /// Dropping it loses what was read.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        #[cfg(feature = "compression")]
        self.take_codings_off();
        let limit = self.body.aftermath.core.memory_each;
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() as u64 > limit {
            return Err(crate::sink::too_large(limit).of_url(self.reply.url));
        }
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut whole = BytesMut::from(&first[..]);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if (whole.len() + chunk.len()) as u64 > limit {
                return Err(crate::sink::too_large(limit).of_url(self.reply.url));
            }
            whole.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(whole.freeze())
    }

    /// Decodes a body that came in a content coding though none was asked for, if nothing of it was read yet.
    #[cfg(feature = "compression")]
    fn take_codings_off(&mut self) {
        let body = &mut self.body;
        let as_sent = body.aftermath.unasked == Unasked::AsSent || self.reply.status.is_redirection();
        if self.reply.is_decoded || as_sent || body.taken > 0 {
            return;
        }
        // What nobody knows how to take off, and nobody asked for, may be no coding at all.
        let Ok(codings) = codings(&self.reply.headers) else { return };
        if codings.is_empty() {
            return;
        }
        // Where the wire broke says nothing of where the decoded body did.
        body.mend = None;
        body.ends_at = None;
        let Some(first) = body.first.take() else { return };
        let wire = body.wire.take().expect("a body of which nothing was read is there");
        let decoded = Decoded::new(Decoder::new(&codings), wire, first, body.promised.take());
        body.wire = Some(WireBody::Decoded(Box::new(decoded)));
        self.reply.is_decoded = true;
    }

    /// The whole body as text; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    /// Dropping it loses what was read.
    pub async fn text(self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The whole body, read as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`BadBody`](ErrorKind::BadBody) if it is not what `T` wants.
    ///
    /// # Cancel safety
    /// Dropping it loses what was read.
    #[cfg(feature = "json")]
    pub async fn json<T: serde_core::de::DeserializeOwned>(self) -> Result<T, Error> {
        read_json(&self.bytes().await?)
    }
}

#[cfg(feature = "json")]
pub(super) fn read_json<T: serde_core::de::DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|cause| {
        let message = format!("the body is not the JSON that was expected: {cause}");
        Error::new(ErrorKind::BadBody, Phase::Body, message).caused_by(cause)
    })
}

impl Body {
    /// Bytes that are still to be handed over, if known.
    fn left(&self) -> Option<u64> {
        match &self.wire {
            None => Some(0),
            Some(wire) if wire.is_over() => Some(self.first.as_ref().map_or(0, |first| first.len() as u64)),
            Some(_) => self.promised.map(|promised| promised.saturating_sub(self.taken)),
        }
    }

    /// The next piece off the wire.
    fn poll_wire(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        // A reader who is slow while there is always something to read is held to the limits too.
        if self.wire.is_some()
            && let Some(error) = self.cut_short(cx)
        {
            self.wire = None;
            self.first = None;
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(first) = self.first.take() {
            self.taken += first.len() as u64;
            if let Some(limit) = self.aftermath.asked.plan.max_body.filter(|limit| self.taken > *limit) {
                self.wire = None;
                return Poll::Ready(Some(Err(crate::sink::too_large(limit))));
            }
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(wire) = &mut self.wire else { return Poll::Ready(None) };
        let next = wire.poll_chunk(cx);
        let came = wire.wire_length(match &next {
            Poll::Ready(Some(Ok(chunk))) => chunk.len(),
            _ => 0,
        });
        if came > 0 {
            self.leg.moved(came);
            self.asked_at = None;
        }
        let end = match next {
            Poll::Ready(Some(Ok(chunk))) => {
                self.asked_at = None;
                self.taken += chunk.len() as u64;
                self.note_speed();
                if let Some(limit) = self.aftermath.asked.plan.max_body
                    && self.taken > limit
                {
                    self.wire = None;
                    return Poll::Ready(Some(Err(crate::sink::too_large(limit))));
                }
                return Poll::Ready(Some(Ok(chunk)));
            }
            Poll::Ready(Some(Err(cause))) => Some(Err(cause)),
            Poll::Ready(None) => match self.ends_at {
                Some(end) if end != self.taken => {
                    let message = match end {
                        u64::MAX => "the server gave a piece of the body, and not the rest of it".to_owned(),
                        _ => format!("the body has {} bytes, {end} were announced", self.taken),
                    };
                    Some(Err(Error::new(ErrorKind::BodyTruncated, Phase::Verify, message)))
                }
                _ => None,
            },
            Poll::Pending => match self.overdue(cx) {
                Some(error) => Some(Err(error)),
                None => return Poll::Pending,
            },
        };
        self.wire = None;
        Poll::Ready(end)
    }

    /// From now on the caller is the slow one.
    fn note_speed(&mut self) {
        if let Some(lowest) = self.aftermath.asked.plan.lowest_speed {
            let now = self.aftermath.core.clock.now();
            self.lately.look(&lowest, self.leg.bytes(), now, Asking::No);
        }
    }

    /// The caller has stopped it, or its deadline or time is over.
    fn cut_short(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        if self.tokens.poll(cx).is_ready() {
            return Some(Error::new(ErrorKind::Cancelled, Phase::Body, "stopped by the caller"));
        }
        let limits = self.aftermath.limits;
        if limits.job.is_none() && limits.item.is_none() {
            return None;
        }
        let now = self.aftermath.core.clock.now();
        let over = |limit: Option<Moment>| limit.is_some_and(|limit| limit <= now);
        if over(limits.job) {
            return Some(Error::new(ErrorKind::JobDeadline, Phase::Body, "the deadline came amid the body"));
        }
        let words = "its time was over amid the body";
        over(limits.item).then(|| Error::new(ErrorKind::ItemDeadline, Phase::Body, words))
    }

    /// The limit that was reached, if any; else the task is woken when the nearest will be.
    fn overdue(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        let clock = self.aftermath.core.clock;
        let stall = self.aftermath.asked.plan.stall;
        let limits = self.aftermath.limits;
        loop {
            let now = clock.now();
            if self.leg.is_waiting_for_the_stream() {
                // Our own caller's stream stands still, not the server.
                self.asked_at = Some(now);
            }
            let asked_at = (*self.asked_at.get_or_insert(now)).max(self.leg.standing().1);
            if let Some(error) = self.cut_short(cx) {
                return Some(error);
            }
            if asked_at + stall <= now {
                let message = format!("no further byte of the body within {}", seconds(stall));
                return Some(Error::new(ErrorKind::BodyStalled, Phase::Body, message));
            }
            let speed = self.aftermath.asked.plan.lowest_speed.map(|lowest| {
                let stands = self.leg.is_waiting_for_the_stream();
                let asking = if stands { Asking::No } else { Asking::Yes };
                (lowest, self.lately.look(&lowest, self.leg.bytes(), now, asking))
            });
            let slow = match speed {
                Some((lowest, Found::TooSlow)) => return Some(below(&lowest)),
                Some((_, Found::Fine { look_at })) => look_at,
                None => None,
            };
            let next = [limits.job, limits.item, Some(asked_at + stall), slow].into_iter().flatten().min();
            if self.timer.poll(cx, &clock, next).is_pending() {
                return None;
            }
        }
    }
}

/// The caller may have acted on the bytes that it was given. What no further attempt could cure keeps its name.
fn handed_on(cause: Error) -> Error {
    use ErrorKind as Kind;
    let keeps_its_name = matches!(
        cause.kind(),
        Kind::CodingBroken
            | Kind::Bomb
            | Kind::Digest
            | Kind::BodyTooLarge
            | Kind::BodyStalled
            | Kind::BodyTooSlow
            | Kind::BodyNotResumable
            | Kind::Cancelled
            | Kind::JobDeadline
            | Kind::ItemDeadline
    );
    if keeps_its_name {
        return cause;
    }
    Error::new(ErrorKind::BodyNotResumable, Phase::Body, cause.message().to_owned()).caused_by(cause)
}

/// The pieces of a body, as they come: a [`Stream`], and an [`http_body::Body`].
pub struct Chunks {
    body: Body,
    url: Box<str>,
}

impl Chunks {
    /// The next piece, `None` at the end.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = std::task::ready!(self.body.poll(cx));
        Poll::Ready(chunk.map(|chunk| chunk.map_err(|error| error.of_url(self.url.clone()))))
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        self.poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map(http_body::Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.left() == Some(0)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.left().map_or_else(http_body::SizeHint::default, http_body::SizeHint::with_exact)
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("reply", &self.reply).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks").field("url", &self.url).finish_non_exhaustive()
    }
}
