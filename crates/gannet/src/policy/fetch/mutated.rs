//! Faults that a test can switch on in the machine, to see that the simulation catches each of them.
//! In a build without tests there is no fault and no switch: `mutated!` is `false`.

#[cfg(not(test))]
macro_rules! mutated {
    ($mutant:ident) => {
        false
    };
}

#[cfg(test)]
macro_rules! mutated {
    ($mutant:ident) => {
        $crate::policy::fetch::mutated::is_on($crate::policy::fetch::mutated::Mutant::$mutant)
    };
}

pub(super) use mutated;

#[cfg(test)]
pub(super) use faults::{Mutant, is_on, with};

#[cfg(test)]
mod faults {
    use std::cell::Cell;

    macro_rules! mutants {
        ($($(#[$doc:meta])* $name:ident,)*) => {
            /// A fault of the machine, each of them one that somebody might make.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub(in super::super) enum Mutant { $($(#[$doc])* $name,)* }

            impl Mutant {
                pub(in super::super) const ALL: &'static [Self] = &[$(Self::$name,)*];
            }
        };
    }

    mutants! {
        /// The fetch is over when its leader fails.
        LeaderFailsForGood,
        /// The deadline is not judged when the machine is woken.
        DeadlineMissed,
        /// What the leader brought after the deadline is thrown away.
        LateBodyLost,
        /// The others fly on when an attempt leads.
        LoserFlies,
        /// An attempt that was stopped takes the lead from the leader.
        LeaderReplaced,
        /// A planned retry starts beside the leader.
        PlanKept,
        /// The leader is hedged.
        LeaderHedged,
        /// The fetch settles twice.
        TwoVerdicts,
        /// An order follows the verdict.
        OrderAfterVerdict,
        /// Cancelling leaves attempts in flight.
        CancelledFlies,
        /// A failure settles the fetch while another attempt lives.
        LivingForgotten,
        /// Only one leg of a race pays into the purse.
        DepositMissing,
        /// A retry starts without asking the purse.
        RetryUnpaid,
        /// A hedge starts without asking the purse.
        HedgeUnpaid,
        /// Hedges are not counted against their limit.
        HedgeUncounted,
        /// A hedge starts at once.
        SilenceNotWaitedFor,
        /// The purse is asked again and again after it refused a hedge.
        RefusalForgotten,
        /// One retry more than allowed.
        OneRetryTooMany,
        /// A request is redone without budget more than once.
        RedoneTwice,
        /// A request that must not be sent twice is.
        SentTwice,
        /// A mirror that will never do is tried again.
        DeadMirrorRetried,
        /// A mirror that has not failed is waited for.
        FreshMirrorRested,
        /// The same mirror is tried again at once.
        BackoffIgnored,
        /// A mirror is tried again earlier than it asked.
        RetryAfterIgnored,
        /// A mirror that asked for too long an absence is waited for.
        AbsenceIgnored,
        /// A backoff that ends after the deadline is slept for.
        SleptInVain,
        /// The sum of the backoffs has no bound.
        BackoffUnbounded,
        /// A fixed pause is taken for an exponential one.
        PauseIgnored,
        /// A fixed pause has the dice thrown over it.
        PauseDiced,
        /// A retry starts though the time for retries is over.
        WindowIgnored,
        /// A retry that is due after the time for retries is slept for.
        WindowSleptFor,
        /// The time for retries does not bind what is redone.
        WindowForRetriesOnly,
        /// The time spent in our own queue is taken for the host's silence.
        QueueIsSilence,
        /// A silence of which nobody knows how long it may be is too long at once.
        UnknownIsZero,
        /// What becomes known changes nothing for the attempts that are silent already.
        AdviceMissed,
        /// A hedge that the purse refused is not asked for again though it may pay now.
        RefusalIsForGood,
        /// A hedge starts where hedges are held back.
        GateIgnored,
        /// A retry or hedge starts though the host's usual time does not fit before the deadline.
        UsualIgnored,
        /// A hedge starts though the host's usual time does not fit before the deadline.
        HedgeStartedInVain,
        /// Extras at any mirror are taken from the first one's purse.
        FirstHostPays,
        /// A fetch outside of a job waits for the purse.
        SingleParked,
        /// A fetch gives up while a retry is parked.
        ParkedForgotten,
        /// A retry stays parked beside a leader.
        LeftParked,
        /// A retry stays parked though the time for retries is over.
        ParkedPastWindow,
        /// A fetch that waited for the purse until its deadline blames the deadline alone.
        WantOfBudgetHidden,
        /// A grant is taken, and its retry parked again.
        GrantLost,
        /// A grant that came too late is not given back.
        GrantKept,
        /// A host that was given up is retried.
        GivenUpRetried,
    }

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(in super::super) fn is_on(mutant: Mutant) -> bool {
        ON.get() == Some(mutant)
    }

    /// Runs `work` with `mutant` switched on in this thread.
    pub(in super::super) fn with<T>(mutant: Mutant, work: impl FnOnce() -> T) -> T {
        ON.set(Some(mutant));
        let result = work();
        ON.set(None);
        result
    }
}
