//! The body of a request: bytes or files, which may go out again and again, or a stream, which goes out once. Nothing
//! here sends; what a stream is, and who may take it, is said here.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_core::Stream;

use super::file::FileStream;
use crate::error::{Error, ErrorKind, Phase};

/// Any error, as a body's stream may give it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request: bytes, a file, or a stream.
///
/// Bytes and files can be sent again: by a retry, a hedge, a redirect that keeps the body. A file is
/// opened anew for each exchange. A stream goes out once. Clones of a
/// body share its stream: the first exchange that asks for a byte of it takes it, and whatever would send it again
/// fails and says that the body was a stream. As long as no byte was taken (the connect failed, say), retries work as
/// ever. A request with a stream is never hedged, and its mirrors cannot be raced.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use futures::stream;
///
/// let lines = stream::iter(["one\n", "two\n"]).map(|line| Ok::<_, std::io::Error>(Bytes::from(line)));
/// let client = gannet::Client::new();
/// client.post("http://localhost/").body(gannet::Body::stream(lines, None)).await?;
/// client.put("http://localhost/").body(gannet::Body::file("photo.jpeg")?).await?;
/// # Ok(()) }
/// # use futures::StreamExt as _;
/// ```
#[derive(Clone, Default)]
pub struct Body(Content);

#[derive(Clone)]
enum Content {
    Bytes(Bytes),
    Stream(Arc<Once>),
}

/// The pieces of a streamed body.
pub(crate) type Source = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// A stream that one exchange may take, or one that is opened anew for each.
pub(crate) struct Once {
    length: Option<u64>,
    supply: Supply,
}

enum Supply {
    Once(Mutex<Option<Source>>),
    Again(Box<dyn Fn() -> Source + Send + Sync>),
}

impl Body {
    /// The pieces of `stream`, sent as they come: with a Content-Length over HTTP/1.1 if `length` (in bytes) is
    /// known, else in chunks (RFC 9112, section 7.1); in DATA frames over HTTP/2. No more is asked of the stream than
    /// the connection takes.
    ///
    /// A stream that gives an error, or fewer or more bytes than `length`, fails the fetch by an error of kind
    /// [`BadRequest`](ErrorKind::BadRequest), and the connection is closed. The last bytes of a known length go out
    /// when the stream has ended; of a `length` of 0 the stream is not read at all. While the stream itself has
    /// nothing to give, no timeout but the deadline runs.
    pub fn stream<S, E>(stream: S, length: Option<u64>) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        if length == Some(0) {
            return Self::default();
        }
        let source: Source = Box::pin(Pieces { stream });
        let supply = Supply::Once(Mutex::new(Some(source)));
        Self(Content::Stream(Arc::new(Once { length, supply })))
    }

    /// What `open` gives, opened for each exchange.
    pub(super) fn again(open: impl Fn() -> Source + Send + Sync + 'static, length: Option<u64>) -> Self {
        if length == Some(0) {
            return Self::default();
        }
        Self(Content::Stream(Arc::new(Once { length, supply: Supply::Again(Box::new(open)) })))
    }

    /// Another library's body, as a [`stream`](Self::stream) whose length is its exact size hint. Trailers are left
    /// out.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let length = body.size_hint().exact();
        Self::stream(Frames { body }, length)
    }

    /// The file at `path`, read in pieces of 64 KiB by a thread of its own while it is sent. Its length is asked for
    /// now, by one short call that may block. It is opened for each exchange, so that retries, hedges and redirects
    /// that keep the body send it again; if its length is another one by then, the fetch fails with
    /// [`BadRequest`](ErrorKind::BadRequest).
    ///
    /// # Errors
    /// [`BadRequest`](ErrorKind::BadRequest): there is no such file, or it is none.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = FileStream::of(path.as_ref())?;
        let length = file.length();
        Ok(Self::again(move || Box::pin(Pieces { stream: file.anew() }), Some(length)))
    }

    /// Its length in bytes, if known.
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Stream(once) => once.length,
        }
    }

    /// The bytes; `None` for a stream or a file.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Content::Bytes(bytes) => Some(bytes),
            Content::Stream(_) => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }

    pub(crate) fn as_stream(&self) -> Option<&Arc<Once>> {
        match &self.0 {
            Content::Bytes(_) => None,
            Content::Stream(once) => Some(once),
        }
    }

    /// Whether it was a stream that an exchange has taken.
    pub(crate) fn is_spent(&self) -> bool {
        self.as_stream().is_some_and(|once| once.is_spent())
    }

    /// Whether no more than one exchange can have it.
    pub(crate) fn goes_out_once(&self) -> bool {
        self.as_stream().is_some_and(|once| matches!(once.supply, Supply::Once(_)))
    }

    /// Whether it cannot go out for both.
    pub(crate) fn shares_stream_with(&self, other: &Self) -> bool {
        match (self.as_stream(), other.as_stream()) {
            (Some(one), Some(other)) => self.goes_out_once() && Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Why a stream that was taken does not go out another time.
    pub(crate) fn spent() -> Error {
        Error::new(ErrorKind::BadRequest, Phase::Send, Self::SPENT)
    }

    pub(crate) const SPENT: &str = "the body was a stream and cannot be sent again";
}

impl Once {
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes the stream, unless it was taken or `gone` says that the exchange has ended meanwhile.
    pub(crate) fn take(&self, gone: impl FnOnce() -> bool) -> Option<Source> {
        match &self.supply {
            Supply::Once(source) => {
                let mut source = locked(source);
                if gone() { None } else { source.take() }
            }
            Supply::Again(open) => (!gone()).then(open),
        }
    }

    fn is_spent(&self) -> bool {
        match &self.supply {
            Supply::Once(source) => locked(source).is_none(),
            Supply::Again(_) => false,
        }
    }
}

fn locked(source: &Mutex<Option<Source>>) -> MutexGuard<'_, Option<Source>> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Content {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => { $(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Self(Content::Bytes(bytes.into()))
            }
        }
    )* };
}

from_bytes!(Bytes, BytesMut, Vec<u8>, Box<[u8]>, String, &'static str, &'static [u8]);

impl From<()> for Body {
    /// No body.
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Body {
    /// Shows its length only: what is in it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.as_stream().is_some() { "stream" } else { "bytes" };
        f.debug_struct("Body").field("kind", &kind).field("length", &self.length()).finish()
    }
}

pin_project_lite::pin_project! {
    /// A stream whose errors are boxed.
    struct Pieces<S> {
        #[pin]
        stream: S,
    }
}

impl<S, E> Stream for Pieces<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().stream.poll_next(cx).map(|piece| piece.map(|piece| piece.map_err(Into::into)))
    }
}

pin_project_lite::pin_project! {
    /// The data frames of another library's body.
    struct Frames<B> {
        #[pin]
        body: B,
    }
}

impl<B: http_body::Body> Stream for Frames<B> {
    type Item = Result<Bytes, B::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(match std::task::ready!(self.as_mut().project().body.poll_frame(cx)) {
                None => None,
                Some(Err(error)) => Some(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => Some(Ok(data.copy_to_bytes(data.remaining()))),
                    Err(_) => continue,
                },
            });
        }
    }
}
