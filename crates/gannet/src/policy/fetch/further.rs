//! When a further attempt may start, and at which mirror: the retries and hedges of the machine.
//! Nothing here judges the deadline or settles a fetch.

use std::time::Duration;

use smallvec::SmallVec;

use crate::Moment;
use crate::outcome::WhyStarted;
use crate::policy::budget::{Extra, Taken};

use super::mirrors::Mirror;
use super::{GaveUp, Machine, Means, Plan, Repeatable, mutated};

impl Machine {
    /// Plans one retry after a failure at mirror `failed`, or says why there can be none. Where every mirror
    /// that is left is in use or planned for already, nothing is added, and nothing is wrong.
    pub(super) fn plan_retry(&mut self, failed: u32, now: Moment) -> Result<(), GaveUp> {
        self.may_retry()?;
        let soonest = if mutated!(FreshMirrorRested) { now + self.rules.backoff.cap } else { now };
        let open: SmallVec<[Plan; 2]> = self
            .mirrors
            .after(failed)
            .filter(|(number, mirror)| mirror.is_alive() && self.is_open(*number, failed))
            .map(|(number, mirror)| Plan {
                mirror: number,
                at: mirror.ready().max(soonest),
                backoff: mirror.backoff_from(now),
            })
            .collect();
        let fits = |plan: &&Plan| self.afford(plan, now).is_ok();
        match open.iter().filter(fits).min_by_key(|plan| self.rank(plan, failed, now)) {
            Some(best) => {
                self.plans.push(*best);
                Ok(())
            }
            None => open.iter().min_by_key(|plan| plan.at).map_or(Ok(()), |plan| self.afford(plan, now)),
        }
    }

    /// Starts every retry whose time has come, each if the purse grants it.
    pub(super) fn start_retries(&mut self, means: &mut Means<'_>) {
        while let Some(due) = self.plans.iter().position(|plan| plan.at <= means.now) {
            let plan = self.plans.remove(due);
            if self.is_past_window(means.now) {
                // It was woken late.
                self.say(GaveUp::WindowOver { wanted: Duration::ZERO });
            } else if mutated!(RetryUnpaid) || means.purse.take(Extra::Retry) == Taken::Granted {
                self.spent.retries = self.spent.retries.saturating_add(1);
                self.spent.backoff = self.spent.backoff.saturating_add(plan.backoff);
                self.start(plan.mirror, WhyStarted::Retry, means.now);
            } else {
                self.say(GaveUp::NoBudget);
            }
        }
    }

    /// Starts a hedge if its time has come and the purse grants it.
    pub(super) fn start_hedge(&mut self, means: &mut Means<'_>) {
        if self.hedge_at().is_none_or(|at| at > means.now) {
            return;
        }
        let Some(newest) = self.flight.last().copied() else { return };
        let ready = |mirror: &Mirror| mirror.is_alive() && mirror.ready() <= means.now;
        let place = self
            .mirrors
            .after(newest.mirror)
            .filter(|(_, mirror)| ready(mirror))
            .map(|(number, _)| number)
            .min_by_key(|number| self.is_flown(*number) || self.is_planned(*number));
        let Some(mirror) = place else { return };
        if mutated!(HedgeUnpaid) || means.purse.take(Extra::Hedge) == Taken::Granted {
            self.spent.hedges += u32::from(!mutated!(HedgeUncounted));
            self.start(mirror, WhyStarted::Hedge, means.now);
        } else if !mutated!(RefusalForgotten) {
            self.unhedged = Some(newest.attempt);
        }
    }

    /// When the newest attempt will have been silent for long enough and a mirror is ready.
    pub(super) fn hedge_at(&self) -> Option<Moment> {
        let hedge = self.rules.hedge?;
        let newest = self.flight.last()?;
        let may = (self.leader.is_none() || mutated!(LeaderHedged))
            && self.rules.repeatable == Repeatable::Always
            && self.spent.hedges < hedge.at_most
            && newest.attempt + 1 == self.spent.attempts
            && self.unhedged != Some(newest.attempt)
            && !self.flight.iter().any(|flying| flying.why == WhyStarted::Hedge);
        let silent =
            if mutated!(SilenceNotWaitedFor) { newest.started } else { newest.started + hedge.after };
        let at = silent.max(self.mirrors.alive().map(Mirror::ready).min()?);
        (may && self.rules.deadline.is_none_or(|deadline| at < deadline)).then_some(at)
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
    fn afford(&self, plan: &Plan, now: Moment) -> Result<(), GaveUp> {
        let wanted = plan.at.since(now);
        match (self.rules.deadline, self.rules.backoff.total, self.rules.retries) {
            (Some(deadline), _, _) if plan.at >= deadline && !mutated!(SleptInVain) => {
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
