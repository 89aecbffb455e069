//! When a further attempt may start, and at which mirror: the retries and hedges of the machine.
//! Nothing here judges the deadline or settles a fetch.

use std::time::Duration;

use smallvec::SmallVec;

use crate::Moment;
use crate::outcome::WhyStarted;
use crate::policy::budget::{Extra, Taken};

use super::{Flying, GaveUp, HedgeGate, Machine, Means, Order, Plan, Repeatable, Silence, WaitsFor, mutated};

impl Machine {
    pub(super) fn enter(&mut self, attempt: u32, means: &mut Means<'_>) {
        let now = means.now;
        let waits = |flying: &&mut Flying| flying.attempt == attempt && flying.entered.is_none();
        if let Some(flying) = self.flight.iter_mut().find(waits) {
            flying.entered = Some(now);
            self.go_on(means);
        }
    }

    pub(super) fn queue(&mut self, attempt: u32, means: &mut Means<'_>) {
        let entered = |flying: &&mut Flying| flying.attempt == attempt && flying.entered.is_some();
        if self.leader.is_none()
            && let Some(flying) = self.flight.iter_mut().find(entered)
        {
            flying.entered = None;
            self.go_on(means);
        }
    }

    /// Plans one retry after a failure at mirror `failed`, or says why there can be none. Where every mirror
    /// that is left is in use or planned for already, nothing is added, and nothing is wrong.
    pub(super) fn plan_retry(&mut self, failed: u32, means: &Means<'_>) -> Result<(), GaveUp> {
        self.may_retry()?;
        let now = means.now;
        let soonest = if mutated!(FreshMirrorRested) { now + self.rules.backoff.cap } else { now };
        let open: SmallVec<[Plan; 2]> = self
            .mirrors
            .after(failed)
            .filter(|(number, mirror)| mirror.is_alive() && self.is_open(*number, failed))
            .map(|(number, mirror)| Plan {
                mirror: number,
                at: mirror.ready().max(soonest),
                waits_for: WaitsFor::Time,
                backoff: mirror.backoff_from(now),
            })
            .collect();
        let fits = |plan: &&Plan| self.afford(plan, means).is_ok();
        match open.iter().filter(fits).min_by_key(|plan| self.rank(plan, failed, now)) {
            Some(best) => {
                self.plans.push(*best);
                Ok(())
            }
            None => open.iter().min_by_key(|plan| plan.at).map_or(Ok(()), |plan| self.afford(plan, means)),
        }
    }

    /// Plans anew what was due at `mirror` and does not fit any more: another mirror may be quicker.
    pub(super) fn plan_again(&mut self, mirror: u32, means: &Means<'_>) {
        if let Err(why) = self.plan_retry(mirror, means) {
            self.say(why);
        }
    }

    /// Starts every retry whose time has come, each if the purse grants it.
    pub(super) fn start_retries(&mut self, means: &mut Means<'_>) {
        while let Some(due) = self.plans.iter().position(|plan| plan.at <= means.now) {
            let plan = self.plans.remove(due);
            if self.is_past_window(means.now) {
                // It was woken late, or waited for the purse until now.
                if plan.waits_for == WaitsFor::Grant {
                    self.orders.push(Order::Unpark { mirror: plan.mirror });
                }
                self.say(GaveUp::WindowOver { wanted: Duration::ZERO });
            } else if !self.fits(plan.mirror, means.now, means) && !mutated!(SleptInVain) {
                self.plan_again(plan.mirror, means);
            } else if mutated!(RetryUnpaid) || self.take(Extra::Retry, plan.mirror, means) == Taken::Granted {
                self.start_retry(plan);
            } else {
                self.refused(plan);
            }
        }
    }

    /// Starts a hedge if one is due and the purse grants it; finds out when the next one will be.
    pub(super) fn start_hedge(&mut self, means: &mut Means<'_>) {
        self.hedge_due = self.next_hedge(means).map(|(at, _)| at);
        let Some((at, mirror)) = self.next_hedge(means).filter(|(at, _)| *at <= means.now) else { return };
        if mutated!(HedgeUnpaid) || self.take_hedge(mirror, means) == Taken::Granted {
            self.spent.hedges += u32::from(!mutated!(HedgeUncounted));
            self.start(mirror, WhyStarted::Hedge);
        } else if !mutated!(RefusalForgotten) {
            self.unhedged = self.flight.last().map(|newest| newest.attempt);
        }
        self.hedge_due = mutated!(RefusalForgotten).then_some(at).filter(|_| self.hedge_due.is_some());
    }

    /// When the newest attempt will have been silent for long enough, and at which mirror another may then start:
    /// one that is not in use before one that is.
    fn next_hedge(&self, means: &Means<'_>) -> Option<(Moment, u32)> {
        let hedge = self.rules.hedge?;
        let newest = self.flight.last()?;
        let may = (self.leader.is_none() || mutated!(LeaderHedged))
            && self.rules.repeatable == Repeatable::Always
            && self.spent.hedges < hedge.at_most
            && newest.attempt + 1 == self.spent.attempts
            && self.unhedged != Some(newest.attempt)
            && !self.flight.iter().any(|flying| flying.why == WhyStarted::Hedge);
        let entered = newest.entered.or_else(|| mutated!(QueueIsSilence).then_some(self.began))?;
        let after = match hedge.after {
            _ if mutated!(SilenceNotWaitedFor) => Duration::ZERO,
            Silence::Fixed(after) => after,
            Silence::Advised => {
                let known = means.hosts.advice(newest.mirror).hedge_after;
                known.or_else(|| mutated!(UnknownIsZero).then_some(Duration::ZERO))?
            }
        };
        let soonest = (entered + after).max(means.now);
        self.mirrors
            .after(newest.mirror)
            .filter(|(_, mirror)| may && mirror.is_alive())
            .map(|(number, mirror)| (mirror.ready().max(soonest), number))
            .filter(|(at, number)| {
                let open = means.hosts.advice(*number).gate == HedgeGate::Open || mutated!(GateIgnored);
                open && (mutated!(HedgeStartedInVain) || self.fits(*number, *at, means))
            })
            .min_by_key(|(at, number)| (*at, self.is_flown(*number) || self.is_planned(*number)))
    }

    fn take_hedge(&mut self, mirror: u32, means: &Means<'_>) -> Taken {
        let newest = self.flight.last().map(|newest| newest.attempt);
        if newest.is_some() && std::mem::replace(&mut self.wished, newest) == newest {
            return means.purse.take_again(Extra::Hedge, mirror);
        }
        self.take(Extra::Hedge, mirror, means)
    }

    fn take(&self, extra: Extra, mirror: u32, means: &Means<'_>) -> Taken {
        means.purse.take(extra, if mutated!(FirstHostPays) { 0 } else { mirror })
    }

    /// Whether the usual time of a mirror's host, from `at` on, is over before the deadline.
    pub(super) fn fits(&self, mirror: u32, at: Moment, means: &Means<'_>) -> bool {
        let known = |_: &Moment| !mutated!(UsualIgnored);
        let usual = |_| means.hosts.advice(mirror).usual.unwrap_or_default();
        let Some(deadline) = self.rules.deadline else { return true };
        let usual = Some(deadline).filter(known).map(usual).unwrap_or_default();
        at + usual < deadline
    }

    /// Whether the rules allow any retry, leaving time and money aside.
    fn may_retry(&self) -> Result<(), GaveUp> {
        let used = self.spent.retries.saturating_add(self.plans.len() as u32);
        let spare = u32::from(mutated!(OneRetryTooMany));
        if self.mirrors.alive().next().is_none() {
            let wanted = self.mirrors.shortest_absence();
            return Err(wanted.map_or(GaveUp::Lasting, |wanted| GaveUp::AskedToStayAway { wanted }));
        }
        if self.forbidden {
            return Err(GaveUp::NotRepeatable);
        }
        match self.rules.retries {
            Some(most) if used >= most + spare => Err(GaveUp::NoRetriesLeft),
            _ => Ok(()),
        }
    }

    /// Whether there is time for a retry.
    fn afford(&self, plan: &Plan, means: &Means<'_>) -> Result<(), GaveUp> {
        let wanted = plan.at.since(means.now);
        match (self.rules.deadline, self.rules.backoff.total, self.rules.retries) {
            _ if !self.fits(plan.mirror, plan.at, means) && !mutated!(SleptInVain) => {
                Err(GaveUp::NoTime { wanted })
            }
            _ if self.is_past_window(plan.at) && !mutated!(WindowSleptFor) => {
                Err(GaveUp::WindowOver { wanted })
            }
            (None, Some(total), Some(_)) if !mutated!(BackoffUnbounded) => {
                let planned = self.plans.iter().map(|plan| plan.backoff).sum();
                let all = self.spent.backoff.saturating_add(planned).saturating_add(plan.backoff);
                if all > total { Err(GaveUp::SleptEnough) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Whether no retry may start at `moment` any more.
    pub(super) fn is_past_window(&self, moment: Moment) -> bool {
        let over = |within| moment > self.began + within;
        self.rules.retry_within.is_some_and(over) && !mutated!(WindowIgnored)
    }

    /// Whether a retry after a failure at mirror `failed` may be planned for mirror `number`: one that is in use
    /// serves no second time, but for the failed one itself.
    fn is_open(&self, number: u32, failed: u32) -> bool {
        !self.is_planned(number) && (number == failed || !self.is_flown(number))
    }

    fn is_planned(&self, mirror: u32) -> bool {
        self.plans.iter().any(|plan| plan.mirror == mirror)
    }

    fn is_flown(&self, mirror: u32) -> bool {
        self.flight.iter().any(|flying| flying.mirror == mirror)
    }

    /// Lower is better: a mirror that asked for nothing before one that asked to wait; among the former another
    /// one before the failed one; then the one that is ready first. Equals keep the order of rotation.
    fn rank(&self, plan: &Plan, failed: u32, now: Moment) -> (bool, bool, Moment) {
        let asking = self.mirrors.at(plan.mirror).is_asking(now);
        (asking, !asking && plan.mirror == failed, plan.at)
    }
}
