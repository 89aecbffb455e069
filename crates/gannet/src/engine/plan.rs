//! What a fetch holds to, resolved from the client's settings and the caller's wishes. Plain data.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

#[cfg(feature = "compression")]
use super::coding::Decoding;
use super::media::MediaTypes;
use crate::error::{Error, ErrorKind, Phase, shown};
use crate::policy::backoff::Backoff;
use crate::policy::classify::RetryErrors;
use crate::policy::hedge::HedgeAfter;
use crate::policy::resume::ResumeParts;
use crate::policy::speed::LowestSpeed;
use crate::request::Request;

/// What a fetch holds to.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Retries after the first attempt; `None` is without end.
    pub(crate) retries: Option<u32>,
    pub(crate) backoff: Backoff,
    pub(crate) retry_errors: RetryErrors,
    /// No retry starts later than this after the first attempt.
    pub(crate) retry_within: Option<Duration>,
    pub(crate) retry_after_max: Duration,
    pub(crate) hedge: Option<HedgeAfter>,
    /// Hedges of one fetch in all.
    pub(crate) hedges: u32,
    /// Without a byte of the reply.
    pub(crate) first_byte: Duration,
    /// Without a further byte of the body.
    pub(crate) stall: Duration,
    /// Bodies that come more slowly fail.
    pub(crate) lowest_speed: Option<LowestSpeed>,
    /// In our own queue; `None` in a job, whose deadline rules it.
    pub(crate) queue: Option<Duration>,
    pub(crate) ok_status: StatusSet,
    /// The types of replies that are taken; `None` is any.
    pub(crate) accept_types: Option<MediaTypes>,
    pub(crate) refused_body: RefusedBody,
    pub(crate) max_body: Option<u64>,
    pub(crate) resume: ResumeParts,
    pub(crate) parts: UnfinishedParts,
    pub(crate) redirects: Redirects,
    pub(crate) schemes: Schemes,
    #[cfg(feature = "robots")]
    pub(crate) robots: super::robots::Robots,
    #[cfg(feature = "compression")]
    pub(crate) decoding: Decoding,
    #[cfg(feature = "digests")]
    pub(crate) sent_digests: super::digests::SentDigests,
    /// Those that are computed of each body, whether anybody expects one or not.
    #[cfg(feature = "digests")]
    pub(crate) digests: Vec<crate::digest::Algorithm>,
    /// For one fetch, from its first poll or, in a job, from its start.
    pub(crate) timeout: Option<Duration>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            retries: Some(3),
            backoff: Backoff::default(),
            retry_errors: RetryErrors::Transient,
            retry_within: None,
            retry_after_max: Duration::from_secs(300),
            hedge: None,
            hedges: 2,
            first_byte: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            lowest_speed: None,
            queue: Some(Duration::from_secs(60)),
            ok_status: StatusSet::default(),
            accept_types: None,
            refused_body: RefusedBody::InError,
            max_body: None,
            resume: ResumeParts::Safe,
            parts: UnfinishedParts::Removed,
            redirects: Redirects::Follow(10),
            schemes: Schemes::HttpAndHttps,
            #[cfg(feature = "robots")]
            robots: super::robots::Robots::Ignore,
            #[cfg(feature = "compression")]
            decoding: Decoding::default(),
            #[cfg(feature = "digests")]
            sent_digests: super::digests::SentDigests::default(),
            #[cfg(feature = "digests")]
            digests: Vec::new(),
            timeout: None,
        }
    }
}

/// What to do about a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Redirects {
    /// Follow at most so many.
    Follow(u32),
    /// Take the redirect itself for the reply.
    Return,
}

/// Which schemes are fetched, for URLs and their redirects alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Schemes {
    /// `http` and `https`; a redirect from https to http is refused all the same.
    #[default]
    HttpAndHttps,
    /// `https` alone.
    HttpsOnly,
    /// `http` alone.
    HttpOnly,
}

impl Schemes {
    pub(crate) fn allow(self, scheme: &str) -> bool {
        match self {
            Self::HttpAndHttps => matches!(scheme, "http" | "https"),
            Self::HttpsOnly => scheme == "https",
            Self::HttpOnly => scheme == "http",
        }
    }

    /// Why a URL of this scheme is not fetched.
    pub(crate) fn refusal(self, scheme: &str) -> String {
        let fetched = match self {
            Self::HttpAndHttps => "only http and https are",
            Self::HttpsOnly => "only https is (--proto)",
            Self::HttpOnly => "only http is (--proto)",
        };
        format!("the scheme {scheme}: is not fetched, {fetched}")
    }

    /// Gives the request back if it is not refused, and all its URLs may be fetched.
    pub(crate) fn check(self, request: Request) -> Result<Request, Error> {
        let request = request.unless_refused()?;
        let urls = || (0..request.mirror_count()).map(|index| request.mirror_url(index));
        match urls().find(|url| !self.allow(url.scheme())) {
            None => Ok(request),
            Some(url) => {
                let error = Error::new(ErrorKind::BadScheme, Phase::Queue, self.refusal(url.scheme()));
                Err(error.of_url(shown(url)))
            }
        }
    }
}

/// What becomes of the body of a refused status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedBody {
    /// Its beginning stands in the error.
    InError,
    /// That of the last reply goes to the sink.
    Kept,
}

/// What becomes of a part file when its fetch ends without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnfinishedParts {
    Removed,
    /// It stays if a later run can go on with it, and [`Event::Part`](crate::Event::Part) has told of it.
    Left,
}

/// Statuses that count as success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Option<Arc<[(u16, u16)]>>);

impl StatusSet {
    /// Every status.
    pub const ANY: Self = Self(None);

    /// These ranges, both ends included.
    pub fn ranges(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        Self(Some(ranges.into_iter().collect()))
    }

    /// Whether `status` counts as success.
    pub fn contains(&self, status: StatusCode) -> bool {
        let code = status.as_u16();
        self.0.as_ref().is_none_or(|ranges| ranges.iter().any(|&(low, high)| (low..=high).contains(&code)))
    }
}

impl Default for StatusSet {
    /// 200 to 299.
    fn default() -> Self {
        Self::ranges([(200, 299)])
    }
}
