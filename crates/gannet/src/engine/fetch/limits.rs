//! How long each phase of an attempt may last, and how slow a body may be. The limits themselves are the plan's.

use super::Rest;
use super::words::{below, too_slow};
use crate::Moment;
use crate::engine::copy::WaitsFor;
use crate::error::{Error, Phase};
use crate::policy::speed::Found;

impl<A> Rest<A> {
    /// The attempt whose phase has lasted too long, or else when the next one will have.
    pub(super) fn phases(&mut self, now: Moment) -> (Option<(u32, Error)>, Option<Moment>) {
        let mut next: Option<Moment> = None;
        let plan = &self.errand.plan;
        if let (Some(copy), Some(lowest)) = (&mut self.copy, &plan.lowest_speed) {
            match copy.speed(lowest, now) {
                Found::TooSlow => return (Some((copy.attempt, below(lowest))), None),
                Found::Fine { look_at } => next = look_at,
            }
        }
        for (attempt, leg) in self.book.open() {
            let (phase, moved) = leg.standing();
            let limit = match phase {
                Phase::Send | Phase::Wait => plan.first_byte,
                Phase::Body if self.copy.as_ref().is_some_and(|copy| copy.waits_for() == WaitsFor::Wire) => {
                    plan.stall
                }
                _ => continue,
            };
            // While the caller's stream has nothing to send, nobody else is silent; then it is looked again.
            if leg.is_waiting_for_the_stream() {
                next = Some(next.map_or(now + limit, |next| next.min(now + limit)));
                continue;
            }
            let due = moved + limit;
            if due <= now {
                return (Some((attempt, too_slow(phase, limit))), None);
            }
            next = Some(next.map_or(due, |next| next.min(due)));
        }
        (None, next)
    }

    /// A shared connection over which an attempt heard nothing takes no new streams.
    pub(super) fn retire(&self, attempt: u32) {
        if let Some(id) = self.book.leg(attempt).and_then(|leg| leg.connection()) {
            self.errand.lane.pool.retire(id);
        }
    }
}
