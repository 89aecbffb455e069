//! Faults that a test can switch on in the gate's rules, to see that the simulation catches each of them.
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
        $crate::policy::host::mutated::is_on($crate::policy::host::mutated::Mutant::$mutant)
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
            /// A fault of the rules, each of them one that somebody might make.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub(in super::super) enum Mutant { $($(#[$doc])* $name,)* }

            impl Mutant {
                pub(in super::super) const ALL: &'static [Self] = &[$(Self::$name,)*];
            }
        };
    }

    mutants! {
        /// The jitter of a cool-down is subtracted.
        CameBackEarly,
        /// A shorter wish ends a longer one.
        LastWishRules,
        /// Nobody is held by a cool-down.
        CoolDownForgotten,
        /// All go in while the breaker probes.
        ManyProbes,
        /// The breaker stays closed.
        NeverOpens,
        /// A dead host is waited for without end.
        NeverGivesUp,
        /// The head of a probe's reply says that the host lives, whatever becomes of the body.
        HeadRevives,
        /// Behind the head of a probe's reply all go in.
        HeadTrusted,
        /// 404 counts as a failure of the host.
        NotFoundBreaks,
        /// 429 counts as a failure of the host.
        TooManyBreaks,
        /// A window waits for the bodies of what it let in.
        WaitsForBodies,
        /// The pace is set above what is taken.
        PaceAbove,
        /// A pace stays what it was.
        PaceNeverRaised,
        /// What a host takes of a burst counts as its rate.
        BurstCounted,
        /// A number that does not help is taken back without trying a pace.
        NumberAlone,
        /// Nobody is held by the pace.
        PaceIgnored,
        /// One more than the limit goes in.
        OneTooMany,
        /// A cancelled request keeps its place.
        PlaceLost,
        /// A lowered limit is never tried to be raised.
        NeverProbes,
        /// The limit is not lowered.
        LimitForgotten,
        /// A lowering that does not help stays.
        NeverTakenBack,
        /// The rate that the caller set is not held.
        HostRateIgnored,
        /// A wake is set for a moment that has passed.
        WakeStale,
        /// No wake is set for the end of a cool-down.
        WakeForgotten,
        /// The streams that the server allows are not looked at.
        StreamsIgnored,
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
