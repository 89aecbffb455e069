//! An attempt that asks for the rest of a body: the fields that ask for it, and what its reply comes to. What a reply
//! is good for is decided in `policy::resume`.

use std::sync::Arc;

use http::StatusCode;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE};

use super::Hop;
use crate::engine::errand::Errand;
use crate::error::{Error, ErrorKind, Phase};
use crate::part::{Answer, ContentRange, Part};
use crate::policy::resume::{self, Ask, Judged, Toward};

/// With what an attempt begins.
#[derive(Debug)]
pub(crate) enum Begins {
    /// With the whole body.
    Anew,
    /// With the rest of it.
    At(Arc<Onward>),
    /// With nothing: its body broke in the caller's hands, and this is how.
    Broken(Error),
}

/// What is there of a body, and what is asked for.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) part: Part,
    pub(crate) asked: Ask,
    pub(crate) toward: Toward,
    pub(crate) if_not: IfNot,
}

/// What happens if the rest cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfNot {
    /// The whole is asked for.
    StartAgain,
    /// The attempt fails, and the next one may begin anew.
    Fail,
    /// The attempt fails for good: the bytes have left our hands.
    Lost,
}

/// Whether the bytes of a leader follow others that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goes {
    /// They are the whole body.
    Anew,
    /// They follow the first `from` bytes, up to `end`.
    On { from: u64, end: u64, total: Option<u64> },
    /// There are none to follow: the first `from` bytes are the whole body.
    Complete { from: u64 },
    /// There are none: the file has them, of the version that the server has.
    Unchanged,
}

impl Goes {
    pub(super) fn follows(self) -> bool {
        self != Self::Anew
    }

    /// How many bytes were there.
    pub(crate) fn from(self) -> Option<u64> {
        match self {
            Self::Anew | Self::Unchanged => None,
            Self::On { from, .. } | Self::Complete { from } => Some(from),
        }
    }

    /// The length of the whole, if it is known.
    pub(crate) fn total(self) -> Option<u64> {
        match self {
            Self::On { total, .. } => total,
            Self::Complete { from } => Some(from),
            Self::Anew | Self::Unchanged => None,
        }
    }

    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Complete { .. })
    }

    /// How many bytes there are, with those that are there; `promised` is what the head says of its own.
    pub(super) fn promised(self, promised: Option<u64>) -> Option<u64> {
        match self {
            Self::Anew | Self::Unchanged => promised,
            Self::On { end, .. } => Some(end),
            Self::Complete { from } => Some(from),
        }
    }
}

impl Begins {
    /// # Errors
    /// It begins with a failure.
    pub(super) fn onward(self) -> Result<Option<Arc<Onward>>, Error> {
        match self {
            Self::Anew => Ok(None),
            Self::At(onward) => Ok(Some(onward)),
            Self::Broken(error) => Err(error),
        }
    }
}

impl Onward {
    /// Adds the fields that ask for the rest, as it is, unless the caller has chosen codings.
    pub(super) fn ask(&self, headers: &mut HeaderMap, chosen: Option<HeaderName>) {
        let range = format!("bytes={}-", self.asked.from);
        headers.insert(RANGE, range.parse().expect("digits can stand in a field"));
        if let Some(version) = self.asked.version.as_deref().and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(IF_RANGE, version);
        }
        if chosen.is_none() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }
}

/// Refuses a part of the body where the whole was asked for (RFC 9110, section 15.3.7): a cache may hold no more of it.
pub(super) fn admit_whole(errand: &Errand, head: &http::response::Parts) -> Result<(), Error> {
    let fields = std::iter::once(&errand.core.default_headers);
    let mut fields = fields.chain(errand.requests.iter().map(|request| &request.template.headers));
    if head.status != StatusCode::PARTIAL_CONTENT || fields.any(|fields| fields.contains_key(RANGE)) {
        return Ok(());
    }
    let answer = Answer::of(head.status.as_u16(), "", &head.headers);
    match answer.range {
        Some(ContentRange::Bytes { first: 0, end, total: Some(total) }) if end == total => Ok(()),
        _ => {
            let message = "the server sent a part of the body (206), where the whole was asked for";
            Err(Error::new(ErrorKind::BadReply, Phase::Wait, message))
        }
    }
}

/// What a reply comes to; `None` if the whole is to be asked for.
///
/// # Errors
/// The rest cannot be had, and this attempt may not begin anew.
pub(super) fn judge(hop: &Hop, head: &http::response::Parts) -> Result<Option<Goes>, Error> {
    let Some(onward) = &hop.onward else { return Ok(Some(Goes::Anew)) };
    let answer = Answer::of(head.status.as_u16(), hop.url.as_str(), &head.headers);
    let from = onward.asked.from;
    let judged = resume::judge(&onward.part, &onward.asked, onward.toward, &answer);
    match (judged, onward.if_not) {
        (Judged::GoOn { end, total }, _) => Ok(Some(Goes::On { from, end, total })),
        (Judged::Complete, _) => Ok(Some(Goes::Complete { from })),
        (Judged::TakeWhole, IfNot::StartAgain) => Ok(Some(Goes::Anew)),
        (Judged::AsAny, IfNot::StartAgain | IfNot::Fail) => Ok(Some(Goes::Anew)),
        // What is no success is refused by its status, and one that is accepted all the same is another body.
        (Judged::AsAny, IfNot::Lost) if !head.status.is_success() => Ok(Some(Goes::Anew)),
        (Judged::StartAgain, IfNot::StartAgain) => Ok(None),
        (_, IfNot::Fail) => {
            let message = format!("the rest of the body after {from} bytes is not of the same version");
            Err(Error::new(ErrorKind::BodyTruncated, Phase::Wait, message))
        }
        (_, IfNot::Lost) => {
            let message = format!(
                "the server has no rest of the same body after {from} bytes (status {}); what was already handed \
                 on cannot be taken back",
                head.status.as_u16()
            );
            Err(Error::new(ErrorKind::BodyNotResumable, Phase::Wait, message))
        }
    }
}
