//! Replies that are written byte for byte, for what no well-meant server would send.
//! Only the script is here; the HTTP/1 room plays it.

use std::time::Duration;

use bytes::Bytes;

/// A reply for one path, step by step; without a last [`Step::Fin`], [`Step::Reset`] or
/// [`Step::KeepOpen`], the connection goes on to the next request.
///
/// # Examples
///
/// ```
/// use gannet_origin::RawReply;
///
/// let two_lengths = RawReply::new()
///     .send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")
///     .fin();
/// # let _ = two_lengths;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawReply {
    pub(crate) steps: Vec<Step>,
}

/// One step of a [`RawReply`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Write these bytes.
    Send(Bytes),
    /// Write these bytes that many times, or until the client goes.
    Repeat(Bytes, u64),
    /// Write nothing for that long.
    Pause(Duration),
    /// Half-close the TCP connection; nothing after this is played.
    Fin,
    /// Reset the TCP connection; nothing after this is played.
    Reset,
    /// Be silent until the client goes; nothing after this is played.
    KeepOpen,
}

impl RawReply {
    /// Starts a reply without any step.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds [`Step::Send`].
    #[must_use]
    pub fn send(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// Adds [`Step::Repeat`].
    #[must_use]
    pub fn repeat(self, bytes: impl Into<Bytes>, times: u64) -> Self {
        self.step(Step::Repeat(bytes.into(), times))
    }

    /// Adds [`Step::Pause`].
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        self.step(Step::Pause(pause))
    }

    /// Adds [`Step::Fin`].
    #[must_use]
    pub fn fin(self) -> Self {
        self.step(Step::Fin)
    }

    /// Adds [`Step::Reset`].
    #[must_use]
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// Adds [`Step::KeepOpen`].
    #[must_use]
    pub fn keep_open(self) -> Self {
        self.step(Step::KeepOpen)
    }
}

impl FromIterator<Step> for RawReply {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self { steps: steps.into_iter().collect() }
    }
}
