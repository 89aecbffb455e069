//! Which fetches ask for content codings and decode them. What a caller reads is decoded; what is stored is kept as
//! it was sent, unless the client's settings say otherwise.

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, RANGE};

use super::attempt::Led;
use super::errand::{Errand, Purpose};
use crate::error::Error;
use crate::outcome::ReplyHead;
use crate::request::Request;
use crate::transport::WireBody;
use crate::transport::coding::body::Decoded;
use crate::transport::coding::{ACCEPTED, Decoder, codings};

/// Whose bodies are asked for in a content coding (gzip, br, zstd, deflate) and decoded (feature `compression`).
///
/// Bodies of refused statuses, redirects that are handed to the caller and replies to requests with a Range are never
/// decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Decoding {
    /// Those that are read with `text`, `bytes` and `into_json` of a builder. Files, sinks, outcomes and a plain
    /// [`Response`](crate::Response) take what is sent, and do not ask for a coding: without the field
    /// Accept-Encoding, as curl leaves it out, servers send none. A request with an Accept-Encoding of its own gets
    /// what it asked for, not decoded.
    #[default]
    WhereItIsRead,
    /// All of them, files and plain responses too (`--compressed`), whoever wrote the Accept-Encoding.
    Always,
    /// None; no coding is asked for.
    Never,
}

/// Adds Accept-Encoding (RFC 9110, section 12.5.3), if this fetch decodes and the caller has not chosen.
pub(super) fn ask(errand: &Errand, request: &Request, headers: &mut HeaderMap) {
    if decodes(errand, request) && !names(errand, request, &ACCEPT_ENCODING) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    }
}

/// The same attempt with its body decoded, if it has a body and a coding, and this fetch decodes.
///
/// # Errors
/// The body has a coding that is unknown, or too many.
pub(super) fn decoded(errand: &Errand, mirror: u32, led: Led) -> Result<Led, Error> {
    let (request, _) = errand.target(mirror);
    if led.first.is_none() || led.reply.status.is_redirection() || !decodes(errand, request) {
        return Ok(led);
    }
    let codings = codings(&led.reply.headers)?;
    let Led { reply, body, first: Some(first), promised, refused, goes } = led else { return Ok(led) };
    if codings.is_empty() {
        return Ok(Led { reply, body, first: Some(first), promised, refused, goes });
    }
    let decoded = Decoded::new(Decoder::new(&codings), body, first, promised);
    let reply = ReplyHead { is_decoded: true, ..reply };
    let body = WireBody::Decoded(Box::new(decoded));
    Ok(Led { reply, body, first: None, promised: None, refused, goes })
}

/// What may be done about a body that comes in a content coding though none was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// A caller who reads it as text, bytes or JSON gets it decoded.
    Decoded,
    /// The caller has chosen codings or a range, or wants none decoded.
    AsSent,
}

/// What may be done about such a body of this fetch.
pub(crate) fn unasked(errand: &Errand) -> Unasked {
    let (request, _) = errand.target(0);
    let chosen = names(errand, request, &ACCEPT_ENCODING) || names(errand, request, &RANGE);
    if chosen || errand.plan.decoding == Decoding::Never { Unasked::AsSent } else { Unasked::Decoded }
}

fn decodes(errand: &Errand, request: &Request) -> bool {
    let wanted = match errand.plan.decoding {
        Decoding::Never => false,
        Decoding::Always => true,
        Decoding::WhereItIsRead => {
            errand.purpose == Purpose::Read && !names(errand, request, &ACCEPT_ENCODING)
        }
    };
    // A part of an encoded body cannot be decoded by itself.
    wanted && !names(errand, request, &RANGE)
}

/// Whether the caller has set this field, for the client or for the request.
fn names(errand: &Errand, request: &Request, field: &HeaderName) -> bool {
    request.template.headers.contains_key(field) || errand.core.default_headers.contains_key(field)
}
