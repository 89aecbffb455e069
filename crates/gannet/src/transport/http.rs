//! One exchange over HTTP: a wall around hyper that is narrow enough for another codec to stand there. A head and
//! a body go out on a leased connection, a head and a body with the lease in it come back.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "http2")]
use http::header::{CONNECTION, UPGRADE};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request};
use url::{Position, Url};

use super::body::{Hold, HttpBody, RequestBody, opening_phase};
use super::connect::{INTERIM_REPLIES, IoCounts};
use super::connection::{HEAD_FIELDS, Kind, Lease};
use super::fault::{self, Age, Progress, Standing};
use super::pool::Pool;
use super::upload::Sending;
use super::{Leg, Origin};
use crate::error::{Error, ErrorKind, Phase};
use crate::permit::{Left, Permit};
use crate::request::body::Body;

/// What goes out in one hop.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// Sends one request to `origin` and receives the reply's head; over HTTP/2 also how many streams the server allows.
/// The body then holds the permit, marked with what `judge` says of the head; an error leaves it where it is.
///
/// # Cancel safety
/// Dropping it closes the connection, or resets the stream.
pub(crate) async fn exchange(
    pool: &Arc<Pool>,
    origin: &Arc<Origin>,
    out: Outgoing<'_>,
    permit: &mut Option<Permit>,
    judge: &(dyn Fn(&http::response::Parts) -> Left + Sync),
    leg: &Arc<Leg>,
) -> Result<(http::response::Parts, HttpBody, Option<u32>), Error> {
    let mut lease = ready(pool, origin, leg).await?;
    leg.enter(opening_phase(&out.body));
    let before = lease.common().map_or((0, 0), |common| (common.io.written(), common.io.read()));
    let (body, sending) = RequestBody::new(&out.body, leg);
    let answer = match lease.kind_mut() {
        Kind::One(Some(connection)) => {
            connection.sent_body = !out.body.is_empty();
            let mut request = for_http1(out, body)?;
            let io = &connection.common.io;
            count_interim(&mut request, io);
            let answer = connection.sender.send_request(request).await;
            if io.is_flooded() {
                return Err(flooded());
            }
            answer
        }
        Kind::One(None) => unreachable!("a lease in use holds its connection"),
        #[cfg(feature = "http2")]
        Kind::Two(connection) => connection.sender.clone().send_request(for_http2(out, body)?).await,
        #[cfg(not(feature = "http2"))]
        Kind::Two(_) => unreachable!("HTTP/2 connections are not made without the feature"),
    };
    if let Some(common) = lease.common() {
        if common.io.is_useless() {
            return Err(useless());
        }
        common.io.went_on();
    }
    let response = answer.map_err(|cause| {
        let own = sending.as_ref().and_then(Sending::failure);
        own.unwrap_or_else(|| fault::exchange(cause, standing(&lease, before)))
    })?;
    let (head, incoming) = response.into_parts();
    if head.headers.len() > HEAD_FIELDS {
        let message = format!("the reply's head is over its limit of {HEAD_FIELDS} fields");
        return Err(Error::new(ErrorKind::HeadTooLarge, Phase::Wait, message));
    }
    // Somebody on the way may have gone by the length (RFC 9112, section 6.3).
    if head.headers.contains_key(TRANSFER_ENCODING)
        && head.headers.contains_key(CONTENT_LENGTH)
        && let Kind::One(Some(connection)) = lease.kind_mut()
    {
        connection.is_last = true;
    }
    let streams = lease.streams();
    let mut permit = permit.take().expect("an exchange ends once");
    permit.answered(judge(&head));
    let hold = Hold { lease, permit, sending };
    Ok((head, HttpBody::new(incoming, hold, Arc::clone(&pool.spawn)), streams))
}

/// How long a connection may go on sending a body whose reply has ended, before another is taken.
const STILL_SENDING: Duration = Duration::from_millis(50);

/// Connections that turned out to be closed by the server before anything was sent, for one attempt: kept ones of
/// HTTP/1, which are found closed one after the other, and shared ones of HTTP/2.
const CLOSED_HTTP1: u32 = 64;
const CLOSED_HTTP2: u32 = 2;

/// A connection that can take a request. A server that closes each before it can be used is not dialled in a circle:
/// that is a failure, which is counted and waited after as others are.
async fn ready(pool: &Arc<Pool>, origin: &Arc<Origin>, leg: &Arc<Leg>) -> Result<Lease, Error> {
    let (mut closed_http1, mut closed_http2) = (0, 0);
    loop {
        let mut lease = pool.check_out(origin, leg).await?;
        if is_ready(&mut lease).await {
            return Ok(lease);
        }
        match lease.kind_mut() {
            Kind::One(_) => closed_http1 += 1,
            Kind::Two(_) => closed_http2 += 1,
        }
        let was_new = lease.common().is_some_and(|common| !common.is_reused());
        if was_new || closed_http1 >= CLOSED_HTTP1 || closed_http2 >= CLOSED_HTTP2 {
            let message = "the server closed the connection before it could be used";
            return Err(Error::new(ErrorKind::ConnectFailed, Phase::Connect, message));
        }
    }
}

/// Whether the connection takes a request; one that was closed meanwhile does not, and costs nothing.
async fn is_ready(lease: &mut Lease) -> bool {
    match lease.kind_mut() {
        Kind::One(Some(connection)) if connection.sent_body => {
            let ready = tokio::time::timeout(STILL_SENDING, connection.sender.ready()).await;
            matches!(ready, Ok(Ok(())))
        }
        Kind::One(Some(connection)) => connection.sender.ready().await.is_ok(),
        Kind::One(None) => false,
        #[cfg(feature = "http2")]
        Kind::Two(connection) => !connection.sender.is_closed(),
        #[cfg(not(feature = "http2"))]
        Kind::Two(_) => false,
    }
}

/// Counts the interim replies (1xx) of one exchange. Beyond their limit the connection gives nothing more.
fn count_interim(request: &mut Request<RequestBody>, io: &Arc<IoCounts>) {
    io.forget_interim();
    let io = Arc::clone(io);
    hyper::ext::on_informational(request, move |_| io.count_interim());
}

fn flooded() -> Error {
    let message = format!("more than {INTERIM_REPLIES} interim replies (1xx) came before the final one");
    Error::new(ErrorKind::BadReply, Phase::Wait, message)
}

fn useless() -> Error {
    let message = "the server sends frames without end that serve no request";
    Error::new(ErrorKind::BadReply, Phase::Wait, message)
}

/// HTTP/1.1 wants the origin's form of the target and a Host field (RFC 9112, section 3.2).
fn for_http1(mut out: Outgoing<'_>, body: RequestBody) -> Result<Request<RequestBody>, Error> {
    if !out.headers.contains_key(HOST) {
        let host = HeaderValue::from_str(&out.url[Position::BeforeHost..Position::AfterPort]);
        out.headers.insert(HOST, host.map_err(|cause| bad(cause.into()))?);
    }
    if out.body.length().is_none() {
        // Said by us, since hyper sends no body of unknown length with a GET.
        out.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let has_content = [Method::POST, Method::PUT, Method::PATCH].contains(&out.method);
    if has_content && out.body.is_empty() {
        // Servers answer 411 to a method that has content and says nothing of it (RFC 9110, section 8.6).
        out.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let target = &out.url[Position::BeforePath..Position::AfterQuery];
    assemble(out.method, target, out.headers, body)
}

/// HTTP/2 wants the whole target and no fields of a connection (RFC 9113, section 8.2.2).
#[cfg(feature = "http2")]
fn for_http2(mut out: Outgoing<'_>, body: RequestBody) -> Result<Request<RequestBody>, Error> {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        out.headers.remove(name);
    }
    let target = &out.url[..Position::AfterQuery];
    assemble(out.method, target, out.headers, body)
}

fn assemble(
    method: Method,
    target: &str,
    headers: HeaderMap,
    body: RequestBody,
) -> Result<Request<RequestBody>, Error> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().map_err(|cause: http::uri::InvalidUri| bad(cause.into()))?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn bad(cause: http::Error) -> Error {
    let message = format!("the request cannot be written: {cause}");
    Error::new(ErrorKind::BadRequest, Phase::Send, message).caused_by(cause)
}

fn standing(lease: &Lease, before: (u64, u64)) -> Standing {
    let moved = |after: u64, before: u64| if after > before { Progress::Some } else { Progress::None };
    match lease.common() {
        Some(common) => Standing {
            connection: if common.is_reused() { Age::Reused } else { Age::New },
            wrote: moved(common.io.written(), before.0),
            read: moved(common.io.read(), before.1),
        },
        None => Standing { connection: Age::New, wrote: Progress::Some, read: Progress::Some },
    }
}
