//! One attempt, from its host's gate to the first byte of its body: one or more hops, each through the gate of its
//! own host. What it may not do: write a body, retry, or judge time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{Method, StatusCode};
use url::Url;

use super::errand::{Errand, Keep};
use super::hosts::Host;
use super::media::MediaTypes;
use super::plan::{Redirects, RefusedBody};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, ErrorReply, Phase, shown};
use crate::outcome::ReplyHead;
use crate::permit::Permit;
use crate::policy::host::Speaks;
use crate::request::body::Body;
use crate::transport::http::{Outgoing, exchange};
use crate::transport::pool::SHARED;
use crate::transport::upload::whole;
use crate::transport::{Leg, Wire, WireBody, WireRequest};

use entry::{Inside, enter, keep_rate};
use heard::{nothing_left, retry_after};
use redirect::{drop_secrets, redirect, wait_as_asked};
use unless::{Conditions, Says};

pub(crate) use entry::{Place, closed, queues_for};
pub(crate) use heard::{is_of_host, of_error};
pub(crate) use onward::{Begins, Goes, IfNot, Onward};

mod entry;
mod heard;
mod onward;
mod redirect;
mod unless;

/// An attempt that leads: an accepted head, and the body from its first byte on.
#[derive(Debug)]
pub(crate) struct Led {
    pub(crate) reply: ReplyHead,
    pub(crate) body: WireBody,
    pub(crate) first: Option<Bytes>,
    /// The whole length that the head promised.
    pub(crate) promised: Option<u64>,
    /// The status is not accepted: nothing leads, but the body may be wanted.
    pub(crate) refused: Option<Error>,
    /// Whether its bytes follow others that are there.
    pub(crate) goes: Goes,
}

const ERROR_BODY: usize = 64 << 10;
/// How long that body is waited for.
const ERROR_BODY_TIME: Duration = Duration::from_secs(1);

/// What a message shows of a Content-Type, in characters.
const MAX_TYPE_SHOWN: usize = 80;

/// What changes from hop to hop.
struct Hop {
    url: Url,
    method: Method,
    body: Body,
    /// Fields that only the first origin may see: once dropped they stay dropped, though the chain comes back.
    secrets: Fields,
    /// Fields that describe a body, which a redirect to GET has not.
    content: Fields,
    /// What is asked for, if not the whole.
    onward: Option<Arc<Onward>>,
    conditions: Conditions,
}

/// Whether a group of header fields goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fields {
    Sent,
    Dropped,
}

/// Runs one attempt until it leads.
///
/// # Cancel safety
/// Dropping it stops all that it has under way.
pub(crate) async fn lead(
    errand: Arc<Errand>,
    mirror: u32,
    leg: Arc<Leg>,
    place: Place,
    begins: Begins,
) -> Result<Box<Led>, Error> {
    let mut hop = first_hop(&errand, mirror)?;
    hop.onward = begins.onward()?;
    let mut place = Some(place);
    loop {
        #[cfg_attr(
            not(feature = "robots"),
            expect(unused_mut, reason = "robots.txt is read without a place")
        )]
        let Place { host, mut permit } =
            place.take().unwrap_or_else(|| Place::at(errand.core.hosts.of(&hop.url)));
        #[cfg(feature = "robots")]
        super::robots::check(&errand, &host, &hop.url, &mut permit).await?;
        let permit = match permit {
            Some(permit) => permit,
            None => Box::pin(enter(&errand, &host, &leg)).await?,
        };
        let permit = match errand.core.hosts.have_a_rate() {
            true => Box::pin(keep_rate(&errand, &host, &leg, permit)).await?,
            false => permit,
        };
        #[cfg_attr(not(feature = "cookies"), expect(unused_mut, reason = "cookies are marked in it"))]
        let (mut head, body) = send(&errand, &host, (mirror, &hop), permit, &leg).await?;
        #[cfg(feature = "cookies")]
        if let Some(cookies) = &errand.core.cookies {
            cookies.take(&mut head.headers, &hop.url);
        }
        leg.replied(head.status);
        if let Some(next) = redirect(&errand, &hop, &head, &leg)? {
            // Its place goes back before the next gate is asked, or two hosts could wait for one another.
            drop(body);
            leg.hopped(shown(&next.url));
            super::trace::hopped(&shown(&next.url));
            leg.enter(Phase::Queue);
            hop = next;
            Box::pin(wait_as_asked(&errand, &head)).await?;
            continue;
        }
        let says = unless::judge(&errand, mirror, &hop, &head);
        if says == Says::Unchanged {
            return Ok(unless::unchanged(&hop, head, body, &leg));
        }
        let goes = if says == Says::Nonsense { None } else { onward::judge(&hop, &head)? };
        let Some(goes) = goes else {
            // As with a redirect: its place goes back first.
            drop(body);
            leg.enter(Phase::Queue);
            (hop.onward, hop.conditions) = (None, Conditions::Dropped);
            continue;
        };
        let returned = errand.plan.redirects == Redirects::Return && is_redirect(head.status);
        if !goes.follows() && !errand.plan.ok_status.contains(head.status) && !returned {
            if errand.plan.refused_body == RefusedBody::Kept && matches!(errand.keep, Keep::Whole(_)) {
                return Ok(held(hop, head, body));
            }
            return Err(Box::pin(refused(head, body)).await);
        }
        return begin(&errand, mirror, (&hop.method, &hop.url), (head, body), goes, &leg).await;
    }
}

/// Whether a status leads elsewhere; 304 answers a condition, and leads nowhere.
fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection() && status != StatusCode::NOT_MODIFIED
}

/// Waits for the first byte of the body of a reply that is taken.
#[cfg_attr(
    not(feature = "digests"),
    expect(unused_variables, reason = "the method tells whether there is a body to compare")
)]
async fn begin(
    errand: &Errand,
    mirror: u32,
    (method, url): (&http::Method, &Url),
    (head, mut body): (http::response::Parts, WireBody),
    goes: Goes,
    leg: &Leg,
) -> Result<Box<Led>, Error> {
    let promised = body.promised();
    if !goes.is_complete() {
        admit(errand, &head, promised)?;
    }
    if goes == Goes::Anew {
        onward::admit_whole(errand, &head)?;
    }
    // What follows bytes that are there is no whole that could be compared.
    #[cfg(feature = "digests")]
    if goes == Goes::Anew {
        body = super::digests::sent(errand, method, &head, body);
    }
    let first = if body.is_over() || goes.is_complete() {
        None
    } else {
        std::future::poll_fn(|cx| body.poll_chunk(cx)).await.transpose()?
    };
    leg.enter(Phase::Body);
    let reply = ReplyHead {
        status: head.status,
        version: head.version,
        headers: head.headers,
        url: url.as_str().into(),
        is_decoded: false,
    };
    leading(
        errand,
        mirror,
        Led { reply, body, first, promised: goes.promised(promised), refused: None, goes },
    )
}

/// The attempt with its body as the caller wants it: decoded, and compared with what he expects.
#[cfg_attr(
    not(any(feature = "compression", feature = "digests")),
    expect(clippy::unnecessary_wraps, unused_variables, reason = "bodies are taken as they come")
)]
fn leading(errand: &Errand, mirror: u32, led: Led) -> Result<Box<Led>, Error> {
    #[cfg(feature = "compression")]
    let led = super::coding::decoded(errand, mirror, led)?;
    #[cfg(feature = "digests")]
    let led = super::digests::expected(errand, mirror, led);
    Ok(Box::new(led))
}

/// Refuses a reply of an accepted status whose head says that its body is not to be taken.
fn admit(errand: &Errand, head: &http::response::Parts, promised: Option<u64>) -> Result<(), Error> {
    #[cfg(feature = "robots")]
    super::robots::tagged(errand, head)?;
    if let Some(accepted) = &errand.plan.accept_types
        && !accepted.match_fields(&head.headers)
    {
        return Err(other_type(head, accepted));
    }
    match (promised, errand.plan.max_body) {
        (Some(length), Some(limit)) if length > limit => Err(crate::sink::too_large(limit)),
        _ => Ok(()),
    }
}

async fn send(
    errand: &Errand,
    host: &Host,
    hop: (u32, &Hop),
    permit: Permit,
    leg: &Arc<Leg>,
) -> Result<(http::response::Parts, WireBody), Error> {
    let mut inside = Inside { permit: Some(permit), leg };
    let sent = send_inside(errand, host, hop, &mut inside).await;
    match &sent {
        Ok((head, _)) => {
            if let Some(length) = nothing_left(&head.headers, Clock::wall) {
                host.gate.exhausted(length);
            }
        }
        Err(error) => inside.leaves(of_error(error)),
    }
    sent
}

async fn send_inside(
    errand: &Errand,
    host: &Host,
    (mirror, hop): (u32, &Hop),
    inside: &mut Inside<'_>,
) -> Result<(http::response::Parts, WireBody), Error> {
    let leg = inside.leg;
    let judge = |head: &http::response::Parts| heard::of_head(errand, head);
    if let Wire::Custom(custom) = &errand.core.wire {
        leg.enter(Phase::Send);
        let body = whole(&hop.body, leg, errand.core.memory_each).await?;
        leg.enter(Phase::Wait);
        let mut request = WireRequest::new(body);
        *request.method_mut() = hop.method.clone();
        *request.headers_mut() = headers(errand, mirror, hop);
        *request.uri_mut() = hop.url.as_str().parse().map_err(|cause: http::uri::InvalidUri| {
            Error::new(ErrorKind::BadUrl, Phase::Send, format!("the URL cannot be sent: {cause}"))
        })?;
        let reply = custom.send(request).await?;
        let mut place = inside.permit.take().expect("a place is used once");
        place.answered(judge(&reply.head));
        let held = crate::transport::Custom { body: reply.body, place };
        return Ok((reply.head, WireBody::Custom(held)));
    }
    let headers = headers(errand, mirror, hop);
    let out = Outgoing { method: hop.method.clone(), url: &hop.url, headers, body: hop.body.clone() };
    let (head, body, streams) =
        exchange(&errand.lane.pool, &host.origin, out, &mut inside.permit, &judge, leg).await?;
    host.learned(streams.map_or(Speaks::Http1, |streams| Speaks::Http2 {
        streams,
        in_all: streams.saturating_mul(SHARED as u32),
    }));
    Ok((head, WireBody::Http(body)))
}

fn first_hop(errand: &Errand, mirror: u32) -> Result<Hop, Error> {
    let (request, url) = errand.target(mirror);
    let template = &request.template;
    if errand.is_raced_with_one_stream() {
        let message = "the legs of a race would each send the body, and it is one stream";
        return Err(Error::new(ErrorKind::BadRequest, Phase::Send, message));
    }
    if template.body.is_spent() {
        return Err(Body::spent());
    }
    Ok(Hop {
        url: url.clone(),
        method: template.method.clone(),
        body: template.body.clone(),
        secrets: Fields::Sent,
        content: Fields::Sent,
        onward: None,
        conditions: Conditions::Asked,
    })
}

/// The fields of one hop: ours, the client's, the request's, less what this hop must not see.
fn headers(errand: &Errand, mirror: u32, hop: &Hop) -> HeaderMap {
    let (request, url) = errand.target(mirror);
    let (defaults, template) = (&errand.core.default_headers, &request.template);
    let mut headers = HeaderMap::with_capacity(template.headers.len() + defaults.len() + 4);
    headers.insert(USER_AGENT, errand.core.user_agent.clone());
    let anything = || http::HeaderValue::from_static("*/*");
    headers.insert(ACCEPT, errand.plan.accept_types.as_ref().map_or_else(anything, MediaTypes::field));
    for fields in [defaults, &template.headers] {
        let mut last = None;
        for (name, value) in fields {
            // The first value of a name takes the place of a default, further ones stand beside it.
            if last.replace(name) == Some(name) {
                headers.append(name, value.clone());
            } else {
                headers.insert(name, value.clone());
            }
        }
    }
    #[cfg(feature = "compression")]
    super::coding::ask(errand, request, &mut headers);
    if let Some(value) = request.authorization_of(errand.mirror_index(mirror))
        && !template.headers.contains_key(AUTHORIZATION)
    {
        headers.insert(AUTHORIZATION, value.clone());
    }
    // The framing follows from the body alone (RFC 9112, section 6), whatever the caller wrote.
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if let Some(onward) = &hop.onward {
        let chosen = defaults.contains_key(ACCEPT_ENCODING) || template.headers.contains_key(ACCEPT_ENCODING);
        onward.ask(&mut headers, chosen.then_some(ACCEPT_ENCODING));
    }
    unless::ask(errand, mirror, hop, &mut headers);
    if hop.content == Fields::Dropped {
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            headers.remove(name);
        }
    }
    if hop.secrets == Fields::Dropped {
        drop_secrets(&mut headers, url);
    }
    // A hop's own cookies are no secrets of the first origin.
    #[cfg(feature = "cookies")]
    if let Some(cookies) = &errand.core.cookies {
        cookies.give(&mut headers, &hop.url);
    }
    headers
}

/// The error of a status that is not accepted, with the beginning of its body.
async fn refused(head: http::response::Parts, mut body: WireBody) -> Error {
    let mut kept = BytesMut::new();
    let reading = async {
        while kept.len() < ERROR_BODY {
            match std::future::poll_fn(|cx| body.poll_chunk(cx)).await {
                Some(Ok(chunk)) => {
                    let room = ERROR_BODY - kept.len();
                    kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Some(Err(_)) | None => break,
            }
        }
    };
    // What came within the time is kept.
    let _ = tokio::time::timeout(ERROR_BODY_TIME, reading).await;
    status_error(head.status, head.version, head.headers, kept.freeze())
}

/// A refused reply with its body, of which nothing was read.
fn held(hop: Hop, head: http::response::Parts, body: WireBody) -> Box<Led> {
    let error = status_error(head.status, head.version, head.headers.clone(), Bytes::new());
    let (status, version, headers) = (head.status, head.version, head.headers);
    let reply = ReplyHead { status, version, headers, url: hop.url.as_str().into(), is_decoded: false };
    let promised = body.promised();
    Box::new(Led { reply, body, first: None, promised, refused: Some(error), goes: Goes::Anew })
}

fn status_error(status: StatusCode, version: http::Version, headers: HeaderMap, body: Bytes) -> Error {
    let wait = retry_after(&headers, Clock::wall());
    let reason = status.canonical_reason().map_or_else(String::new, |reason| format!(" {reason}"));
    let reply = ErrorReply { status, version, headers, body, kept: None };
    Error::new(ErrorKind::Status, Phase::Wait, format!("the server answered {}{reason}", status.as_u16()))
        .of_reply(reply)
        .asked_to_wait(wait)
}

/// The error of a reply whose type is not among those accepted; its body is not read.
fn other_type(head: &http::response::Parts, accepted: &MediaTypes) -> Error {
    let came = match head.headers.get(CONTENT_TYPE) {
        Some(field) => String::from_utf8_lossy(field.as_bytes()).chars().take(MAX_TYPE_SHOWN).collect(),
        None => String::from("of no Content-Type"),
    };
    let message = format!("the reply is {came}, accepted is {accepted} (--accept)");
    let reply = ErrorReply {
        status: head.status,
        version: head.version,
        headers: head.headers.clone(),
        body: Bytes::new(),
        kept: None,
    };
    Error::new(ErrorKind::ContentType, Phase::Wait, message).of_reply(reply)
}
