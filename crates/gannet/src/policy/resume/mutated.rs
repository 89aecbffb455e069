//! Faults that a test can switch on in the rules of going on, to see that the simulation catches each of them.
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
        $crate::policy::resume::mutated::is_on($crate::policy::resume::mutated::Mutant::$mutant)
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
        /// A range is asked for without its version.
        NoIfRange,
        /// The range of a reply may begin anywhere.
        AnyStart,
        /// The body of a range may be shorter or longer than its head says.
        AnyLength,
        /// The total may be another.
        AnyTotal,
        /// The content coding may be another.
        AnyCoding,
        /// The ETag of the reply is not looked at.
        AnyEtag,
        /// The Last-Modified of the reply is not looked at.
        AnyDate,
        /// A 206 without Content-Range follows what is there.
        RangeNotNeeded,
        /// Each 416 says that nothing is missing.
        Any416,
        /// The page of an error follows what is there.
        ErrorPageTaken,
    }

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(in super::super) fn is_on(mutant: Mutant) -> bool {
        ON.get() == Some(mutant)
    }

    /// Runs `test` with this fault.
    pub(in super::super) fn with<T>(mutant: Mutant, test: impl FnOnce() -> T) -> T {
        ON.set(Some(mutant));
        let result = test();
        ON.set(None);
        result
    }
}
