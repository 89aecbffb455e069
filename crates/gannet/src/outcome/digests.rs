//! The digests of what a fetch obtained. Only told here.

use super::{Outcome, Verdict};
use crate::digest::Digest;

impl Outcome {
    /// The digests that were computed of the body as it was kept: for who expected them, for what the reply says of a body
    /// that is not decoded, for [`compute_digest`](crate::ClientBuilder::compute_digest).
    pub fn digests(&self) -> &[Digest] {
        match &self.verdict {
            Verdict::Got(got) => &got.digests,
            Verdict::Skipped(_) | Verdict::Not(_) => &[],
        }
    }
}
