//! When a job is over: the goal, and whether a failure ends it. Pure counting.

use crate::outcome::Ending;

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Goal {
    /// Every request.
    #[default]
    All,
    /// One of them, whichever.
    First,
    /// So many of them.
    AtLeast(u64),
    /// This share of them, in percent; known when the input has ended.
    Percent(f64),
}

/// What follows from a settled request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    GoOn,
    /// The goal is met: the rest is not needed.
    Met,
    /// A request failed, and the caller wants to end at the first failure.
    Failed,
}

/// Whether the first failure ends the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnFailure {
    #[default]
    GoOn,
    Stop,
}

/// Counts what settled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    goal: Goal,
    on_failure: OnFailure,
    obtained: u64,
    inputs: Option<u64>,
}

impl Tally {
    pub(crate) fn new(goal: Goal, on_failure: OnFailure) -> Self {
        Self { goal, on_failure, obtained: 0, inputs: None }
    }

    /// A request has settled.
    pub(crate) fn settled(&mut self, ending: Ending) -> Step {
        match ending {
            Ending::Ok | Ending::Skipped => self.obtained += 1,
            Ending::Failed if self.on_failure == OnFailure::Stop => return Step::Failed,
            Ending::Failed | Ending::Unfinished | Ending::Cancelled => {}
        }
        self.judge()
    }

    /// The input has ended after `inputs` requests.
    pub(crate) fn input_ended(&mut self, inputs: u64) -> Step {
        self.inputs = Some(inputs);
        self.judge()
    }

    fn judge(&self) -> Step {
        if self.needed().is_some_and(|needed| self.obtained >= needed) { Step::Met } else { Step::GoOn }
    }

    /// `All` is never met early: the job ends by itself.
    fn needed(&self) -> Option<u64> {
        match self.goal {
            Goal::All => None,
            Goal::First => Some(1),
            Goal::AtLeast(count) => Some(count),
            Goal::Percent(percent) => {
                self.inputs.map(|inputs| (inputs as f64 * percent / 100.0 - 1e-9).ceil().max(0.0) as u64)
            }
        }
    }
}

impl Goal {
    /// Whether `obtained` of `inputs` requests are what was asked for.
    pub fn is_met(self, obtained: u64, inputs: u64) -> bool {
        let mut tally = Tally::new(self, OnFailure::GoOn);
        tally.obtained = obtained;
        match self {
            Self::All => obtained == inputs,
            _ => tally.input_ended(inputs) == Step::Met,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_judged_when_the_input_has_ended() {
        let mut tally = Tally::new(Goal::Percent(50.0), OnFailure::GoOn);
        assert_eq!(tally.settled(Ending::Ok), Step::GoOn);
        assert_eq!(tally.settled(Ending::Failed), Step::GoOn);
        assert_eq!(tally.input_ended(3), Step::GoOn);
        assert_eq!(tally.settled(Ending::Skipped), Step::Met);
    }

    #[test]
    fn the_first_failure_ends_a_job_that_asked_for_it() {
        let mut tally = Tally::new(Goal::All, OnFailure::Stop);
        assert_eq!(tally.settled(Ending::Ok), Step::GoOn);
        assert_eq!(tally.settled(Ending::Cancelled), Step::GoOn);
        assert_eq!(tally.settled(Ending::Failed), Step::Failed);
    }

    #[test]
    fn all_is_met_by_all_and_by_nothing_less() {
        assert!(Goal::All.is_met(3, 3) && !Goal::All.is_met(2, 3));
        assert!(
            Goal::AtLeast(2).is_met(2, 3) && Goal::Percent(34.0).is_met(2, 3) && !Goal::First.is_met(0, 3)
        );
    }
}
