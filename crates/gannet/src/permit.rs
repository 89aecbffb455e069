//! A place at a host's gate. Whoever holds it may send one request; on leaving it says what became of that request.
//! Who is let in is decided in `policy`, who waits is kept in `engine`.

use std::sync::Arc;
use std::time::Duration;

use crate::outcome::WaitedFor;

/// A place at a gate, given back when dropped.
pub(crate) struct Permit {
    keeper: Arc<dyn Gatekeeper>,
    pass: Pass,
    left: Left,
    queued_for: Option<WaitedFor>,
}

/// Who takes a place back.
pub(crate) trait Gatekeeper: Send + Sync {
    /// The head of its reply has come, which says this of the host; the place is kept for the body. Not told of
    /// refusals: those close their place when it is given back.
    fn answered(&self, pass: Pass, left: Left);
    /// One place is free again.
    fn leave(&self, pass: Pass, left: Left);
}

/// What the gate's rules have to know again of one who leaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pass {
    /// The window in which it entered.
    pub(crate) window: u32,
    /// Requests in flight with it.
    pub(crate) in_flight: u32,
    pub(crate) role: Role,
    pub(crate) part: Part,
    pub(crate) rate: Rated,
}

impl Pass {
    /// What it is once its reply's head was counted.
    pub(crate) fn after_head(self) -> Self {
        let role = if self.role == Role::Probe { Role::Revived } else { self.role };
        Self { part: Part::Counted, role, ..self }
    }
}

/// Whether it has had its turn under the rate of all hosts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Rated {
    #[default]
    Owed,
    Kept,
}

/// Whether its window waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Part {
    /// Until its host has answered.
    #[default]
    Open,
    /// No more: it has its body under way, and was counted at its head.
    Counted,
}

/// Two who were let in are not told apart.
impl PartialEq for Pass {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// As what somebody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    #[default]
    Ordinary,
    /// The one whom an open breaker lets through.
    Probe,
    /// The same, once its reply's head has come: whether the host lives shows when the body ends.
    Revived,
}

/// How a request ended that had a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// With what was asked for.
    Success,
    /// With an answer that is no fault of the host's health: a redirect, 404, 410, a digest that does not match.
    Answered,
    /// 429 or 503, and for how long the server wants to be left alone (RFC 9110, section 10.2.3).
    Refused { status: u16, retry_after: Option<Duration> },
    /// A connect error, a reset or a timeout.
    Unreached,
    /// A 5xx other than 503.
    Broken,
    /// We stopped it, or never sent it: it says nothing.
    Cut,
}

impl Permit {
    /// A place that was given out with this pass. Dropped as it is, it says nothing of the host.
    pub(crate) fn new(keeper: Arc<dyn Gatekeeper>, pass: Pass) -> Self {
        Self { keeper, pass, left: Left::Cut, queued_for: None }
    }

    /// Whether it is the one that an open breaker lets through.
    pub(crate) fn is_probe(&self) -> bool {
        self.pass.role == Role::Probe
    }

    /// The turn under the rate of all hosts together was waited for already.
    pub(crate) fn in_turn(mut self) -> Self {
        self.pass.rate = Rated::Kept;
        self
    }

    /// Whether it was.
    pub(crate) fn is_in_turn(&self) -> bool {
        self.pass.rate == Rated::Kept
    }

    /// The head of the reply has come. What is not refused is counted now, however long its body takes.
    pub(crate) fn answered(&mut self, left: Left) {
        self.left = left;
        if self.pass.part == Part::Open && matches!(left, Left::Success | Left::Answered | Left::Broken) {
            self.keeper.answered(self.pass, left);
            self.pass = self.pass.after_head();
        }
    }

    /// It was waited for, since this held it back.
    pub(crate) fn after(mut self, queued_for: WaitedFor) -> Self {
        self.queued_for = Some(queued_for);
        self
    }

    /// What held it back, if it was waited for.
    pub(crate) fn queued_for(&self) -> Option<WaitedFor> {
        self.queued_for
    }

    /// What is to be said on leaving; the last word counts.
    pub(crate) fn mark(&mut self, left: Left) {
        self.left = left;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.keeper.leave(self.pass, self.left);
    }
}
