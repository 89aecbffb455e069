//! One exchange on the wire: a request head and body go out, a reply head and body come back. Pool, connector,
//! TLS and look-ups stand behind it. Nothing in this room retries, hedges or follows redirects, and tasks are
//! spawned through the [`Spawn`] that the engine hands it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;

use crate::error::Error;
use crate::permit::{Left, Permit};

pub(crate) mod body;
#[cfg(feature = "compression")]
pub(crate) mod coding;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod dns;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod leg;
pub(crate) mod origin;
pub(crate) mod pool;
#[cfg(feature = "_tls")]
pub(crate) mod tls;
pub(crate) mod upload;
#[cfg(feature = "digests")]
pub(crate) mod verify;

pub(crate) use leg::Leg;
pub(crate) use origin::Origin;

/// A boxed future, as the object-safe traits of this library return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends one request and receives its reply: your own transport, a mock, a simulator.
///
/// A client built with one keeps everything else: gates, retries, hedges, budget, deadline, redirects, sinks.
///
/// # Cancel safety
/// The returned future is dropped when its attempt is stopped; it has to leave nothing behind.
///
/// # Examples
/// ```
/// use gannet::{BoxFuture, Error, Reply, Transport, WireRequest};
///
/// struct Hello;
///
/// impl Transport for Hello {
///     fn send(&self, _request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
///         Box::pin(async { Ok(Reply::new(http::Response::new("hello"))) })
///     }
/// }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// Sends `request`; the reply's body may still be on its way when this resolves.
    fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>>;
}

/// What exchanges go over. Only a custom transport's futures and bodies are boxed.
pub(crate) enum Wire {
    /// Our own HTTP, over the lane's pool.
    Http,
    Custom(std::sync::Arc<dyn Transport>),
}

/// What a [`Transport`] is given: one hop of one attempt, with an absolute URL. A body that was a stream is read whole
/// before, up to the client's `max_memory` for each body.
pub type WireRequest = ::http::Request<Bytes>;

/// What a [`Transport`] gives back.
#[derive(Debug)]
pub struct Reply {
    pub(crate) head: ::http::response::Parts,
    pub(crate) body: http_body_util::combinators::UnsyncBoxBody<Bytes, Error>,
}

impl Reply {
    /// A reply whose body is at hand.
    pub fn new(response: ::http::Response<impl Into<Bytes>>) -> Self {
        let (head, body) = response.into_parts();
        let body = http_body_util::Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
        Self { head, body }
    }

    /// A reply whose body comes in pieces.
    pub fn streaming<B>(response: ::http::Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        let (head, body) = response.into_parts();
        Self { head, body: body.boxed_unsync() }
    }
}

/// Where shared tasks (connection drivers, drains) are spawned; counted by the engine.
pub(crate) trait Spawn: Send + Sync {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> tokio::task::AbortHandle;
}

/// The body of a reply, of either kind of wire; a custom one is boxed, ours is not.
#[derive(Debug)]
pub(crate) enum WireBody {
    Http(body::HttpBody),
    Custom(Custom),
    /// Either, with its content codings taken off.
    #[cfg(feature = "compression")]
    Decoded(Box<coding::body::Decoded>),
    /// Any of them, with its digests computed and compared.
    #[cfg(feature = "digests")]
    Verified(Box<verify::Verified>),
}

/// The body of a custom transport's reply, with its place at the host's gate.
pub(crate) struct Custom {
    pub(crate) body: http_body_util::combinators::UnsyncBoxBody<Bytes, Error>,
    pub(crate) place: Permit,
}

impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custom").field("body", &self.body).finish_non_exhaustive()
    }
}

impl WireBody {
    /// The next chunk, `None` at the end. Trailers are passed over.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        #[cfg(feature = "digests")]
        if let Self::Verified(body) = self {
            return body.poll_chunk(cx);
        }
        loop {
            match std::task::ready!(self.poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(Ok(data))) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next chunk or trailers, `None` at the end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Http(body) => body.poll_frame(cx),
            Self::Custom(held) => Pin::new(&mut held.body).poll_frame(cx),
            #[cfg(feature = "compression")]
            Self::Decoded(body) => body.poll_piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data))),
            #[cfg(feature = "digests")]
            Self::Verified(body) => {
                body.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    /// What is to be said of the host at the body's end.
    pub(crate) fn mark(&mut self, left: Left) {
        match self {
            Self::Http(body) => body.mark(left),
            Self::Custom(held) => held.place.mark(left),
            #[cfg(feature = "compression")]
            Self::Decoded(body) => body.mark(left),
            #[cfg(feature = "digests")]
            Self::Verified(body) => body.wire.mark(left),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Http(body) => body.is_over(),
            Self::Custom(held) => held.body.is_end_stream(),
            #[cfg(feature = "compression")]
            Self::Decoded(body) => body.is_over(),
            #[cfg(feature = "digests")]
            Self::Verified(body) => body.is_over(),
        }
    }

    /// Of a chunk of this length that was given out, the bytes that came over the wire: as many, unless the body is
    /// decoded; then those that came since this was asked last.
    pub(crate) fn wire_length(&mut self, length: usize) -> usize {
        match self {
            Self::Http(_) | Self::Custom(_) => length,
            #[cfg(feature = "compression")]
            Self::Decoded(body) => body.take_received(),
            #[cfg(feature = "digests")]
            Self::Verified(body) => body.wire.wire_length(length),
        }
    }

    /// The whole length that the reply's head promised.
    pub(crate) fn promised(&self) -> Option<u64> {
        match self {
            Self::Http(body) => body.left(),
            Self::Custom(held) => held.body.size_hint().exact(),
            #[cfg(feature = "compression")]
            Self::Decoded(_) => None,
            #[cfg(feature = "digests")]
            Self::Verified(body) => body.wire.promised(),
        }
    }

    /// The digests that were computed of the body as it was given out, at its end.
    #[cfg(feature = "digests")]
    pub(crate) fn take_computed(&mut self) -> Vec<crate::digest::Digest> {
        match self {
            Self::Verified(body) => body.take_computed(),
            _ => Vec::new(),
        }
    }
}
