//! What was asked for, as far as it is the same for all URLs of a run and an outcome does not tell it. Plain data.

use http::{HeaderName, Method};

use crate::input::Slips;

/// What all requests of a run share, for those who write about them.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The method of the first request; a redirect may have changed it (RFC 9110, section 15.4).
    pub(crate) method: Method,
    /// The page that we came from.
    pub(crate) referer: Option<String>,
    /// Names of fields whose values are secrets, beside those that always are.
    pub(crate) secret: Vec<HeaderName>,
    /// What inputs say of themselves.
    pub(crate) slips: Slips,
}

impl Default for Asked {
    fn default() -> Self {
        Self { method: Method::GET, referer: None, secret: Vec::new(), slips: Slips::default() }
    }
}
