//! Requests that are not sent, and fail in their place in a list: what is wrong with them is known, and what they are.

use super::Request;
use crate::error::Error;

impl Request {
    /// Refuses it: wherever it is fetched it fails with this error, and nothing is sent. Of several the first counts.
    ///
    /// So a [`Source`](crate::source::Source) says of an element that something is wrong with it beside its URL (a digest
    /// that cannot be read, a header field that cannot be sent). It keeps its place in the list, and a
    /// [`Journal`](crate::Journal) knows it again when it is mended, as it is known by method, URL, name and id; an element
    /// that is an error and no request is known by the text of its URL alone.
    pub fn refused(mut self, error: Error) -> Self {
        let url = self.url.as_str();
        self.refusal.get_or_insert_with(|| error.of_url(url));
        self
    }

    /// Why it is [refused](Self::refused), if it is.
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// Gives it back if it may be sent.
    pub(crate) fn unless_refused(mut self) -> Result<Self, Error> {
        match self.refusal.take() {
            None => Ok(self),
            Some(error) => Err(error),
        }
    }
}
