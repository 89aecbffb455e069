//! Which bodies are verified, and against what: by what the reply says of the bytes on the wire, and by what the caller
//! says of the bytes that reach him. What one attempt brings is hashed as it comes; what several bring is read back at its
//! end.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Method;
use http::response::Parts;
use tokio::sync::oneshot;

use super::attempt::{Goes, Led};
use super::errand::Errand;
use crate::digest::{Checks, Claim, Digest};
use crate::error::{Error, ErrorKind, Phase};
use crate::sink::{Part, io_error};
use crate::transport::WireBody;
use crate::transport::verify::Verified;

/// Whether a reply's own digests are compared with its body (feature `digests`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SentDigests {
    /// Each body is compared with what its reply says: Repr-Digest and Content-Digest (RFC 9530), Digest (RFC 3230),
    /// x-goog-hash, Content-MD5.
    #[default]
    Verified,
    /// What replies say of digests is passed over.
    Ignored,
}

/// The same body, verified by what its reply says, if that says anything. No byte of it was read yet.
pub(super) fn sent(errand: &Errand, method: &Method, head: &Parts, body: WireBody) -> WireBody {
    if errand.plan.sent_digests == SentDigests::Ignored {
        return body;
    }
    match Checks::of_reply(method, head.status, &head.headers) {
        Some(checks) => {
            let promised = body.promised();
            WireBody::Verified(Box::new(Verified::new(body, checks, promised, &[])))
        }
        None => body,
    }
}

/// Whether the caller wants digests of the body.
pub(super) fn are_wanted(errand: &Errand) -> bool {
    let are_given = errand.requests.iter().any(|request| !request.digests().is_empty());
    are_given || !errand.plan.digests.is_empty()
}

/// The same attempt, its body verified by what the caller expects of it, as it reaches him. A reply to HEAD has no body.
pub(super) fn expected(errand: &Errand, mirror: u32, led: Led) -> Led {
    let (request, _) = errand.target(mirror);
    let wanted = &errand.plan.digests;
    // What follows bytes that are there is no whole that could be compared: it is read back at its end.
    let is_rest = led.goes != Goes::Anew;
    if (request.digests().is_empty() && wanted.is_empty())
        || *request.http_method() == Method::HEAD
        || is_rest
    {
        return led;
    }
    let claims = request.digests().iter().cloned().map(Claim::of_caller);
    let Led { reply, mut body, first, promised, refused, goes } = led;
    let passed = first.as_deref().unwrap_or_default();
    if let WireBody::Verified(verified) = &mut body
        && !verified.is_over()
    {
        verified.add(claims, wanted, passed);
    } else {
        let mut checks = Checks::default();
        checks.add(claims, wanted, &[]);
        body = WireBody::Verified(Box::new(Verified::new(body, checks, promised, passed)));
    }
    Led { reply, body, first, promised, refused, goes }
}

/// Whether digests are computed of this body: what goes on with it has to read it from its start.
pub(super) fn is_hashed(errand: &Errand, led: &Led) -> bool {
    are_wanted(errand) || matches!(led.body, WireBody::Verified(_))
}

/// What the reply says of the whole of its body, for whoever has to go on with it.
pub(super) fn claims(led: &Led) -> Vec<Claim> {
    match &led.body {
        WireBody::Verified(verified) => verified.claims_of_reply().collect(),
        _ => Vec::new(),
    }
}

/// What a body is to be compared with that several attempts have brought, the last of them by this reply; `known` is what
/// the first has said.
pub(super) fn of_pieces(errand: &Errand, mirror: u32, led: &Led, known: &[Claim]) -> Option<Box<ReadBack>> {
    let (request, _) = errand.target(mirror);
    let expected = request.digests().iter().cloned().map(Claim::of_caller).chain(known.iter().cloned());
    let nothing = http::HeaderMap::new();
    // The page that says that nothing is missing is another body.
    let is_rest = matches!(led.goes, Goes::On { .. });
    let says = is_rest && errand.plan.sent_digests == SentDigests::Verified;
    let headers = if says { &led.reply.headers } else { &nothing };
    let checks = Checks::of_rest(headers, expected, &errand.plan.digests)?;
    Some(Box::new(ReadBack::Waits(checks)))
}

/// A body that several attempts have brought, read back and hashed before it gets its name.
#[derive(Debug)]
pub(crate) enum ReadBack {
    /// For its end.
    Waits(Checks),
    /// A thread reads it.
    Reading(oneshot::Receiver<io::Result<Checks>>),
    /// It is what it should be.
    Sound(Vec<Digest>),
}

impl ReadBack {
    /// Ready when the part, which was flushed, is what it is said to be.
    ///
    /// # Errors
    /// [`Digest`](ErrorKind::Digest): it is not. It cannot be read.
    pub(crate) fn poll(&mut self, part: &dyn Part, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Self::Waits(checks) = self {
            let Some(bytes) = part.read_back()? else {
                return Poll::Ready(Err(unread("its sink does not give it back")));
            };
            *self = Self::Reading(read(std::mem::take(checks), bytes));
        }
        let Self::Reading(answer) = self else { return Poll::Ready(Ok(())) };
        let checks = match ready!(Pin::new(answer).poll(cx)) {
            Ok(Ok(checks)) => checks,
            Ok(Err(cause)) => return Poll::Ready(Err(not_read(cause))),
            Err(_) => return Poll::Ready(Err(unread("the reading thread was stopped"))),
        };
        *self = Self::Sound(checks.finish()?);
        Poll::Ready(Ok(()))
    }

    /// What was computed.
    pub(crate) fn into_computed(self) -> Vec<Digest> {
        match self {
            Self::Sound(digests) => digests,
            Self::Waits(_) | Self::Reading(_) => Vec::new(),
        }
    }
}

fn unread(why: &str) -> Error {
    let message = format!("the body cannot be read back to be compared: {why}");
    Error::new(ErrorKind::SinkFailed, Phase::Verify, message)
}

/// A disk that fails, or a want of descriptors, says nothing of the body.
fn not_read(cause: io::Error) -> Error {
    let why = cause.to_string();
    match io_error::kind_of(&cause) {
        kind @ (ErrorKind::DiskFailed | ErrorKind::NoDescriptors) => {
            let message = format!("the body cannot be read back: {why}");
            Error::new(kind, Phase::Sink, message).caused_by(cause)
        }
        _ => unread(&why).caused_by(cause),
    }
}

/// Hashes on a blocking thread, for as long as somebody waits for it.
fn read(mut checks: Checks, bytes: Box<dyn Read + Send>) -> oneshot::Receiver<io::Result<Checks>> {
    let (tell, told) = oneshot::channel();
    let hash = move || {
        let whole = WhileAwaited { bytes, tell: &tell };
        let hashed = checks.update_from(whole).map(|_| checks);
        drop(tell.send(hashed));
    };
    drop(tokio::task::spawn_blocking(hash));
    told
}

/// Ends with an error once nobody waits for it any more.
struct WhileAwaited<'a, T> {
    bytes: Box<dyn Read + Send>,
    tell: &'a oneshot::Sender<T>,
}

impl<T> Read for WhileAwaited<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.tell.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.bytes.read(buffer)
    }
}
