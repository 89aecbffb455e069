//! Retries of a job's fetch that found the purse empty: they wait for a grant, and hold nothing meanwhile.
//! Nothing here knows who else waits.

use std::time::Duration;

use crate::Moment;
use crate::outcome::WhyStarted;

use super::{Extra, GaveUp, Machine, Means, Order, Plan, WaitsFor, WhenEmpty, mutated};

/// Later than everything: a parked retry that no window bounds is never too late by itself.
pub(super) const NEVER: Moment = Moment::from_nanos(u64::MAX);

impl Machine {
    /// The purse refused this retry.
    pub(super) fn refused(&mut self, plan: Plan) {
        if self.rules.when_empty == WhenEmpty::Fail && !mutated!(SingleParked) {
            return self.say(GaveUp::NoBudget);
        }
        let end = self.rules.retry_within.map(|within| self.began + within + Duration::from_nanos(1));
        let end = end.filter(|_| !mutated!(ParkedPastWindow)).filter(|_| !mutated!(WindowIgnored));
        let at = end.unwrap_or(NEVER);
        self.plans.push(Plan { at, waits_for: WaitsFor::Grant, ..plan });
        self.orders.push(Order::Park { mirror: plan.mirror });
    }

    /// The purse has paid for a retry at `mirror` at last.
    pub(super) fn granted(&mut self, mirror: u32, means: &mut Means<'_>) {
        let parked = |plan: &Plan| plan.mirror == mirror && plan.waits_for == WaitsFor::Grant;
        let Some(place) = self.plans.iter().position(parked) else {
            return self.give_back(mirror, means);
        };
        if self.is_late(means.now) {
            self.give_back(mirror, means);
            return self.go_on(means);
        }
        let plan = self.plans.remove(place);
        if mutated!(GrantLost) {
            return self.refused(plan);
        }
        if self.is_past_window(means.now) {
            self.give_back(mirror, means);
            self.say(GaveUp::WindowOver { wanted: Duration::ZERO });
        } else if self.fits(mirror, means.now, means) {
            self.start_retry(plan);
        } else {
            self.give_back(mirror, means);
            self.plan_again(mirror, means);
        }
        self.go_on(means);
    }

    /// The host of a parked retry was given up; another mirror may do.
    pub(super) fn given_up(&mut self, mirror: u32, means: &mut Means<'_>) {
        let parked = |plan: &Plan| plan.mirror == mirror && plan.waits_for == WaitsFor::Grant;
        let Some(place) = self.plans.iter().position(parked) else { return };
        self.plans.remove(place);
        if !mutated!(GivenUpRetried) {
            self.mirrors.at_mut(mirror).dies();
        }
        if self.is_late(means.now) {
            return self.go_on(means);
        }
        self.say(GaveUp::HostGivenUp);
        match self.plan_retry(mirror, means) {
            Err(GaveUp::Lasting) | Ok(()) => {}
            Err(why) => self.say(why),
        }
        self.go_on(means);
    }

    /// A granted retry is not made.
    pub(super) fn give_back(&self, mirror: u32, means: &Means<'_>) {
        if !mutated!(GrantKept) {
            means.purse.give_back(Extra::Retry, mirror);
        }
    }

    /// What was paid for starts.
    pub(super) fn start_retry(&mut self, plan: Plan) {
        self.spent.retries = self.spent.retries.saturating_add(1);
        self.spent.backoff = self.spent.backoff.saturating_add(plan.backoff);
        self.start(plan.mirror, WhyStarted::Retry);
    }

    /// Drops the plans that `which` says yes to; those that were parked leave their queue.
    pub(super) fn drop_plans(&mut self, which: impl Fn(&Plan) -> bool) {
        let Self { plans, orders, .. } = self;
        plans.retain(|plan| {
            let goes = which(plan);
            if goes && plan.waits_for == WaitsFor::Grant && !mutated!(LeftParked) {
                orders.push(Order::Unpark { mirror: plan.mirror });
            }
            !goes
        });
    }
}
