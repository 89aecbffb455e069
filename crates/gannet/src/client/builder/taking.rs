//! The settings that say which URLs and replies are taken at all: schemes, TLS versions, types, refused bodies.

use super::ClientBuilder;
#[cfg(feature = "digests")]
use crate::digest::Algorithm;
#[cfg(feature = "digests")]
use crate::engine::digests::SentDigests;
use crate::engine::media::MediaTypes;
use crate::engine::plan::{RefusedBody, Schemes};
#[cfg(feature = "robots")]
use crate::engine::robots::Robots;
#[cfg(feature = "_tls")]
use crate::transport::tls::TlsVersion;

impl ClientBuilder {
    /// Which schemes are fetched (default http and https). A URL or mirror of another scheme is an error of kind
    /// [`BadScheme`](crate::ErrorKind::BadScheme), before anything is sent; a redirect to one is
    /// [`RedirectRefused`](crate::ErrorKind::RedirectRefused).
    pub fn schemes(mut self, schemes: Schemes) -> Self {
        self.plan.schemes = schemes;
        self
    }

    /// The oldest TLS version that is spoken (default 1.2).
    #[cfg(feature = "_tls")]
    pub fn tls_min(mut self, oldest: TlsVersion) -> Self {
        self.tls_min = oldest;
        self
    }

    /// Whether robots.txt is obeyed (RFC 9309; default no), under the name `gannet`.
    ///
    /// Before the first URL of an origin its robots.txt is fetched by the client itself: once for all who ask, through
    /// the same gate, in at most a minute; at most 500 KiB of it count, for 24 h or until the idle host is forgotten. A
    /// 4xx allows everything; a 5xx, or no answer, nothing, and is asked for again after a minute. Targets of redirects
    /// are checked too. A Crawl-delay, up to 5 min, is kept between two requests. What is disallowed fails, unsent, with
    /// [`RobotsDisallowed`](crate::ErrorKind::RobotsDisallowed); so does, before the first byte of its body, a reply whose
    /// X-Robots-Tag says `noindex`, `none`, `noai` or `noimageai` to all or to us. If the rules cannot be had it is
    /// [`RobotsUnavailable`](crate::ErrorKind::RobotsUnavailable). None of these is retried.
    #[cfg(feature = "robots")]
    pub fn robots(mut self, robots: Robots) -> Self {
        self.plan.robots = robots;
        self
    }

    /// Takes only replies whose Content-Type lies in one of these ranges (default: any). Others, and those without a
    /// Content-Type, fail before the first byte of their body, with
    /// [`ContentType`](crate::ErrorKind::ContentType). The ranges are sent as the Accept field too, unless the
    /// caller sets one.
    pub fn accept_types(mut self, types: MediaTypes) -> Self {
        self.plan.accept_types = Some(types);
        self
    }

    /// Whether a body is compared with the digests that its own reply tells (default yes). It is done over the bytes as
    /// they are sent, before content codings are taken off; a body of another digest is an error of kind
    /// [`Digest`](crate::ErrorKind::Digest). It costs what the algorithms cost, for replies that tell any.
    #[cfg(feature = "digests")]
    pub fn sent_digests(mut self, wish: SentDigests) -> Self {
        self.plan.sent_digests = wish;
        self
    }

    /// Computes this digest of each body that the engine keeps, for [`Outcome::digests`](crate::Outcome::digests)
    /// (default none).
    #[cfg(feature = "digests")]
    pub fn compute_digest(mut self, algorithm: Algorithm) -> Self {
        self.plan.digests.push(algorithm);
        self
    }

    /// When a fetch ends in a refused status, its last reply's body goes to the sink all the same (default: the first
    /// 64 KiB go into the error). The outcome still is the error; [`ErrorReply::kept`](crate::ErrorReply::kept) says
    /// where the body lies. A body that breaks off or cannot be kept is said in the error's message. It rules fetches
    /// whose body the engine keeps, not those that give a [`Response`](crate::Response).
    ///
    /// In a sink of files such a body lies under the name of the file. What is named by it later cannot tell: under
    /// [`IfExists::Skip`](crate::sink::IfExists::Skip), the rule of [`Files::in_directory`](crate::sink::Files::in_directory),
    /// the next job takes it for the file, skips it, and counts it as obtained. Use another rule.
    pub fn keep_refused_body(mut self) -> Self {
        self.plan.refused_body = RefusedBody::Kept;
        self
    }
}
