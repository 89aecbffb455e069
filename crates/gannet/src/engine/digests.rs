//! Which bodies are verified, and against what: by what the reply says of the bytes on the wire, and by what the caller
//! says of the bytes that reach him. Nothing is computed here.

use http::Method;
use http::response::Parts;

use super::attempt::Led;
use super::errand::Errand;
use crate::digest::{Checks, Claim};
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

/// Whether the caller wants digests of the body. It is fetched whole then: what was there before went through no hasher.
pub(super) fn are_wanted(errand: &Errand) -> bool {
    let are_given = errand.requests.iter().any(|request| !request.digests().is_empty());
    are_given || !errand.plan.digests.is_empty()
}

/// The same attempt, its body verified by what the caller expects of it, as it reaches him. A reply to HEAD has no body.
pub(super) fn expected(errand: &Errand, mirror: u32, led: Led) -> Led {
    let (request, _) = errand.target(mirror);
    let wanted = &errand.plan.digests;
    if (request.digests().is_empty() && wanted.is_empty()) || *request.http_method() == Method::HEAD {
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
