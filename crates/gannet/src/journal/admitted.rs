//! What is kept of a line between its admission and its outcome. Data only.

use crate::outcome::Recorded;
use crate::version::Kept;

/// A line that waits for its turn, as tens of thousands do: most have nothing but their hash.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) hash: u64,
    pub(super) own: Option<Box<Own>>,
}

/// What is not alike for all lines.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) method: http::Method,
    /// Whether it is not sent twice by itself.
    pub(super) goes_once: bool,
    /// What this job's own row says, which is opened again.
    pub(super) row: Option<Recorded>,
    /// What its file holds, while nothing else is known to take its place.
    pub(super) kept: Option<Kept>,
    /// Whether the file of its row holds another body than is wanted.
    pub(super) holds: Holds,
}

/// What the file of a line holds from before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing that speaks against it.
    #[default]
    Nothing,
    /// What its row says, which is not wanted any more.
    Outdated,
}
