//! An attempt that wants a body only if it is another version than the one in its file: the field that asks so, and
//! whether a 304 is the answer to it. Which condition is asked under is decided in `policy::update`.

use http::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::response::Parts;
use http::{Method, StatusCode};

use super::{Goes, Hop, Led};
use crate::engine::errand::Errand;
use crate::error::Phase;
use crate::outcome::ReplyHead;
use crate::policy::update;
use crate::transport::{Leg, WireBody};
use crate::version::{Kept, There, Unless};

/// Whether the condition is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conditions {
    Asked,
    /// The server's answer to it was none.
    Dropped,
}

/// What a reply says of the version in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing.
    Nothing,
    /// It is the server's.
    Unchanged,
    /// Nothing that could be believed, or the file is gone by now: the body is to be asked for plainly.
    Nonsense,
}

/// What this hop asks by. A validator belongs to the URL that it came from; ranges have a condition of their own.
fn asked_by<'e>(errand: &'e Errand, mirror: u32, hop: &Hop) -> Option<&'e Kept> {
    let kept = errand.target(mirror).0.kept.as_deref()?;
    let is_asked = hop.conditions == Conditions::Asked && hop.onward.is_none();
    let is_plain = hop.method == Method::GET && hop.body.is_empty();
    let is_its_own = kept.url.as_ref().is_none_or(|url| **url == *hop.url.as_str());
    Some(kept).filter(|_| is_asked && is_plain && is_its_own)
}

/// Adds the field that asks.
pub(super) fn ask(errand: &Errand, mirror: u32, hop: &Hop, headers: &mut HeaderMap) {
    let Some(kept) = asked_by(errand, mirror, hop) else { return };
    let (name, value) = match &kept.unless {
        Unless::Etag(etag) => (IF_NONE_MATCH, etag),
        Unless::NotSince(date) => (IF_MODIFIED_SINCE, date),
    };
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What the reply says; a 304 that was not asked for is a status like any other.
pub(super) fn judge(errand: &Errand, mirror: u32, hop: &Hop, head: &Parts) -> Says {
    if head.status != StatusCode::NOT_MODIFIED {
        return Says::Nothing;
    }
    let Some(kept) = asked_by(errand, mirror, hop) else { return Says::Nothing };
    let field = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    match update::is_about(&kept.unless, field(ETAG), field(LAST_MODIFIED)) && stands(&kept.there) {
        true => Says::Unchanged,
        false => Says::Nonsense,
    }
}

/// Whether the file is as it was when it was asked about: since then it may have waited for its turn.
fn stands(there: &There) -> bool {
    std::fs::symlink_metadata(&there.path)
        .is_ok_and(|met| met.is_file() && met.len() == there.length && met.modified().ok() == there.modified)
}

/// The attempt that leads by saying that nothing has changed.
pub(super) fn unchanged(hop: &Hop, head: Parts, body: WireBody, leg: &Leg) -> Box<Led> {
    leg.enter(Phase::Body);
    let (status, version, headers) = (head.status, head.version, head.headers);
    let reply = ReplyHead { status, version, headers, url: hop.url.as_str().into(), is_decoded: false };
    Box::new(Led { reply, body, first: None, promised: None, refused: None, goes: Goes::Unchanged })
}
