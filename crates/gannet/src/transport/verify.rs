//! A body whose digests are computed as it is read, and compared at its end: then it gives an error in the place of its
//! end. It stands around a body of the wire, or around a decoded one, and changes no byte.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::WireBody;
use crate::digest::{Algorithm, Checks, Claim, Digest};
use crate::error::Error;

/// A body that is verified as it is read.
pub(crate) struct Verified {
    pub(super) wire: WireBody,
    /// Until its end.
    checks: Option<Checks>,
    computed: Vec<Digest>,
    /// The length that the head announced. A shorter body is judged by that, by those who count.
    promised: Option<u64>,
    received: u64,
}

impl Verified {
    /// Of a body of which `passed` was taken already, if anything was; `checks` has seen none of it.
    pub(crate) fn new(wire: WireBody, mut checks: Checks, promised: Option<u64>, passed: &[u8]) -> Self {
        checks.update(passed);
        let received = passed.len() as u64;
        Self { wire, checks: Some(checks), computed: Vec::new(), promised, received }
    }

    /// Compares with these too, and computes these; `passed` was taken already.
    pub(crate) fn add(
        &mut self,
        claims: impl IntoIterator<Item = Claim>,
        algorithms: &[Algorithm],
        passed: &[u8],
    ) {
        if let Some(checks) = &mut self.checks {
            checks.add(claims, algorithms, passed);
        }
    }

    /// The next chunk, `None` at the end if all digests are right.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.checks.is_none() {
            return Poll::Ready(None);
        }
        loop {
            let frame = match ready!(self.wire.poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.checks = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(self.end().err().map(Err)),
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    self.received += data.len() as u64;
                    self.checks.iter_mut().for_each(|checks| checks.update(&data));
                    return Poll::Ready(Some(Ok(data)));
                }
                Err(frame) => self.hear(frame),
            }
        }
    }

    /// What the reply has said so far, if it is not at its end.
    pub(crate) fn claims_of_reply(&self) -> impl Iterator<Item = Claim> + '_ {
        self.checks.iter().flat_map(Checks::claims_of_reply)
    }

    /// Whether all was given, and compared.
    pub(crate) fn is_over(&self) -> bool {
        self.checks.is_none()
    }

    /// What was computed, if the end was reached.
    pub(super) fn take_computed(&mut self) -> Vec<Digest> {
        std::mem::take(&mut self.computed)
    }

    fn hear(&mut self, frame: Frame<Bytes>) {
        if let (Ok(trailers), Some(checks)) = (frame.into_trailers(), &mut self.checks) {
            checks.trailers(&trailers);
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(checks) = self.checks.take() else { return Ok(()) };
        if self.promised.is_none_or(|promised| promised == self.received) {
            self.computed = checks.finish()?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified")
            .field("wire", &self.wire)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}
