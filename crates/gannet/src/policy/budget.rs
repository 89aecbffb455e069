//! The one purse that retries, hedges and duplicated ranges of all fetches share, and a purse for each host.
//! Pure: no clock and no lock. Taking from one purse is one atomic step. Where both are asked, the host's is
//! asked first, and gets its extra back if the common one refuses: no bound is passed at any instant, though a
//! taker at the same moment may be refused what is about to be given back.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::Budget;

/// What an extra attempt is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// After a failure.
    Retry,
    /// Against silence.
    Hedge,
    /// A range that another attempt is fetching already; in the books it is a hedge.
    #[cfg_attr(not(test), expect(dead_code, reason = "no range is fetched twice yet"))]
    Duplicate,
}

/// Where the extra attempts of one fetch are paid from.
pub(crate) trait Purse {
    /// A first attempt has started at this mirror.
    fn deposit(&self, mirror: u32);
    /// Takes one extra attempt at this mirror if there is one to take.
    #[must_use]
    fn take(&self, extra: Extra, mirror: u32) -> Taken;
    /// Asks again for what was refused before: a further refusal is the same wish, and is not counted.
    #[must_use]
    fn take_again(&self, extra: Extra, mirror: u32) -> Taken {
        self.take(extra, mirror)
    }
    /// An extra that was taken has not started, and never will.
    fn give_back(&self, extra: Extra, mirror: u32);
}

/// Whether an extra attempt was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is paid for.
    Granted,
    /// There is nothing left for it now.
    Refused,
    /// There is nothing left for its host; others may have more luck.
    HostRefused,
}

/// Extras of a kind as a share of first attempts, or without a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ratio {
    /// At most `max(RESERVE, share * firsts)` extras on every prefix.
    Share(f64),
    /// No bound.
    Off,
}

/// Extras of each kind that are granted before any first attempt has paid for them.
pub(crate) const RESERVE: u64 = 10;
/// Extras of each kind of one host that need the common purse only, before its own first attempts have paid for
/// any: with fewer, one URL of a thousand hosts could not be retried. Beyond these and what its own first attempts
/// have paid for, a host may have up to [`RESERVE`] if it is the only one, or if it leaves [`FOR_OTHERS`].
pub(crate) const HOST_RESERVE: u64 = 3;
/// Extras of each kind that one host leaves to others, where it has none of its own left.
const FOR_OTHERS: u64 = 3;

/// A ratio purse (the idea is Finagle's `RetryBudget`): each first attempt deposits, each extra takes.
/// Extras of a kind are at most `max(RESERVE, ratio * firsts)` on every prefix, and what time has
/// [refilled](Self::refill) beyond that once a list was done.
#[derive(Debug)]
pub(crate) struct RatioPurse {
    retry: Ratio,
    hedge: Ratio,
    firsts: AtomicU64,
    retries: AtomicU64,
    hedges: AtomicU64,
    /// Retries that time has paid for.
    refilled: AtomicU64,
    retries_refused: AtomicU64,
    hedges_refused: AtomicU64,
}

/// What one host's attempts have paid in and taken out.
#[derive(Debug, Default)]
pub(crate) struct HostPurse {
    firsts: AtomicU64,
    retries: AtomicU64,
    hedges: AtomicU64,
}

impl RatioPurse {
    /// A purse with a ratio for each kind.
    pub(crate) fn new(retry: Ratio, hedge: Ratio) -> Self {
        Self {
            retry,
            hedge,
            firsts: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            hedges: AtomicU64::new(0),
            refilled: AtomicU64::new(0),
            retries_refused: AtomicU64::new(0),
            hedges_refused: AtomicU64::new(0),
        }
    }

    /// How many extras were refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused_of(Extra::Retry) + self.refused_of(Extra::Hedge)
    }

    /// How many extras of this kind were refused so far.
    pub(crate) fn refused_of(&self, extra: Extra) -> u64 {
        self.refusals(extra).load(Ordering::Relaxed)
    }

    /// How many extras of this kind could be taken now; `None` is without bound.
    pub(crate) fn balance(&self, extra: Extra) -> Option<u64> {
        let allowed = self.allowed(extra, self.firsts.load(Ordering::Relaxed), RESERVE)?;
        Some(allowed.saturating_sub(self.taken(extra).load(Ordering::Relaxed)))
    }

    /// What is left, and what was refused.
    pub(crate) fn told(&self) -> Budget {
        let mut budget = Budget::default();
        (budget.retry_left, budget.hedge_left) = (self.balance(Extra::Retry), self.balance(Extra::Hedge));
        budget.retry_refused = self.refused_of(Extra::Retry);
        budget.hedge_refused = self.refused_of(Extra::Hedge);
        budget
    }

    /// The share of first attempts that extras of this kind may be.
    pub(crate) fn ratio(&self, extra: Extra) -> Ratio {
        match extra {
            Extra::Retry => self.retry,
            Extra::Hedge | Extra::Duplicate => self.hedge,
        }
    }

    /// An extra of this kind was refused.
    pub(crate) fn count_refused(&self, extra: Extra) {
        self.refusals(extra).fetch_add(1, Ordering::Relaxed);
    }

    /// Time has paid for so many retries (see [`Waiting`](super::waiting::Waiting)).
    pub(crate) fn refill(&self, retries: u64) {
        self.refilled.fetch_add(retries, Ordering::Relaxed);
    }

    fn allowed(&self, extra: Extra, firsts: u64, least: u64) -> Option<u64> {
        let refilled = match extra {
            Extra::Retry => self.refilled.load(Ordering::Relaxed),
            Extra::Hedge | Extra::Duplicate => 0,
        };
        match self.ratio(extra) {
            Ratio::Off => None,
            Ratio::Share(share) => Some(least.max((share * firsts as f64) as u64) + refilled),
        }
    }

    fn taken(&self, extra: Extra) -> &AtomicU64 {
        match extra {
            Extra::Retry => &self.retries,
            Extra::Hedge | Extra::Duplicate => &self.hedges,
        }
    }

    fn refusals(&self, extra: Extra) -> &AtomicU64 {
        match extra {
            Extra::Retry => &self.retries_refused,
            Extra::Hedge | Extra::Duplicate => &self.hedges_refused,
        }
    }

    fn take_common(&self, extra: Extra) -> Taken {
        self.take_leaving(extra, 0)
    }

    /// Takes one if so many are left after it.
    fn take_leaving(&self, extra: Extra, rest: u64) -> Taken {
        let allowed = self.allowed(extra, self.firsts.load(Ordering::Relaxed), RESERVE);
        let allowed = allowed.map(|allowed| allowed.saturating_sub(rest));
        if take_below(self.taken(extra), allowed) { Taken::Granted } else { Taken::Refused }
    }
}

/// For fetches of which no host is told apart.
impl Purse for RatioPurse {
    fn deposit(&self, _mirror: u32) {
        self.firsts.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, extra: Extra, _mirror: u32) -> Taken {
        let taken = self.take_common(extra);
        if taken != Taken::Granted {
            self.count_refused(extra);
        }
        taken
    }

    fn take_again(&self, extra: Extra, _mirror: u32) -> Taken {
        self.take_common(extra)
    }

    fn give_back(&self, extra: Extra, _mirror: u32) {
        put_back(self.taken(extra));
    }
}

impl HostPurse {
    /// A first attempt has started at this host.
    pub(crate) fn deposit(&self, common: &RatioPurse) {
        self.firsts.fetch_add(1, Ordering::Relaxed);
        common.firsts.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one extra at this host from both purses, or from none; a refusal is counted.
    #[must_use]
    pub(crate) fn take(&self, extra: Extra, common: &RatioPurse) -> Taken {
        let taken = self.take_for_waiting(extra, common);
        if taken != Taken::Granted {
            common.count_refused(extra);
        }
        taken
    }

    /// Takes one extra for one who was refused before, and is counted already.
    #[must_use]
    pub(crate) fn take_for_waiting(&self, extra: Extra, common: &RatioPurse) -> Taken {
        let firsts = self.firsts.load(Ordering::Relaxed);
        let taken = if take_below(self.taken(extra), common.allowed(extra, firsts, HOST_RESERVE)) {
            common.take_common(extra)
        } else if take_below(self.taken(extra), common.allowed(extra, firsts, RESERVE)) {
            let is_alone = common.firsts.load(Ordering::Relaxed) == firsts;
            let rest = if is_alone { 0 } else { FOR_OTHERS };
            match common.take_leaving(extra, rest) {
                Taken::Granted => Taken::Granted,
                _ if is_alone => Taken::Refused,
                _ => Taken::HostRefused,
            }
        } else {
            return Taken::HostRefused;
        };
        if taken != Taken::Granted {
            put_back(self.taken(extra));
        }
        taken
    }

    /// An extra that was taken has not started, and never will.
    pub(crate) fn give_back(&self, extra: Extra, common: &RatioPurse) {
        put_back(common.taken(extra));
        put_back(self.taken(extra));
    }

    fn taken(&self, extra: Extra) -> &AtomicU64 {
        match extra {
            Extra::Retry => &self.retries,
            Extra::Hedge | Extra::Duplicate => &self.hedges,
        }
    }
}

/// Counts one more if there are fewer than `allowed`.
fn take_below(taken: &AtomicU64, allowed: Option<u64>) -> bool {
    let step = |taken: u64| allowed.is_none_or(|allowed| taken < allowed).then_some(taken + 1);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
}

fn put_back(taken: &AtomicU64) {
    let before = taken.fetch_sub(1, Ordering::Relaxed);
    debug_assert!(before > 0, "only what was taken is given back");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: u32 = 0;

    #[test]
    fn extras_never_exceed_the_larger_of_reserve_and_share_on_any_prefix() {
        let purse = RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02));
        let mut granted = 0;
        for firsts in 1..=500_u64 {
            purse.deposit(NONE);
            while purse.take(Extra::Retry, NONE) == Taken::Granted {
                granted += 1;
            }
            assert_eq!(granted, RESERVE.max(firsts / 5));
            assert_eq!(purse.balance(Extra::Retry), Some(0));
        }
        assert_eq!((purse.refused(), purse.refused_of(Extra::Retry)), (500, 500));
    }

    #[test]
    fn kinds_do_not_share_their_reserve_and_off_never_refuses() {
        let purse = RatioPurse::new(Ratio::Off, Ratio::Share(0.02));
        let retries = (0..1000).filter(|_| purse.take(Extra::Retry, NONE) == Taken::Granted).count();
        let hedges = (0..1000).filter(|_| purse.take(Extra::Hedge, NONE) == Taken::Granted).count();
        assert_eq!((retries, hedges, purse.balance(Extra::Retry)), (1000, 10, None));
        assert_eq!(purse.take(Extra::Duplicate, NONE), Taken::Refused);
    }

    #[test]
    fn a_thousand_hosts_with_one_url_each_can_still_retry() {
        let common = RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02));
        let hosts: Vec<HostPurse> = (0..1_000).map(|_| HostPurse::default()).collect();
        hosts.iter().for_each(|host| host.deposit(&common));
        let granted = hosts.iter().filter(|host| host.take(Extra::Retry, &common) == Taken::Granted).count();
        assert_eq!(granted, 200);
    }

    #[test]
    fn one_host_cannot_empty_the_common_purse() {
        let common = RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02));
        let (dead, other) = (HostPurse::default(), HostPurse::default());
        (0..1_000).for_each(|_| other.deposit(&common));
        (0..50).for_each(|_| dead.deposit(&common));
        let granted = (0..1_000).filter(|_| dead.take(Extra::Retry, &common) == Taken::Granted).count();
        assert_eq!((granted, common.balance(Extra::Retry)), (10, Some(200)));
        assert_eq!(dead.take(Extra::Retry, &common), Taken::HostRefused);
        common.refill(1);
        assert_eq!(dead.take(Extra::Retry, &common), Taken::Granted);
        dead.give_back(Extra::Retry, &common);
        assert_eq!(common.balance(Extra::Retry), Some(201));
    }

    #[test]
    fn one_host_leaves_something_to_others_though_few_have_paid_in() {
        let common = RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02));
        let (dead, other) = (HostPurse::default(), HostPurse::default());
        dead.deposit(&common);
        let granted =
            |host: &HostPurse| (0..20).filter(|_| host.take(Extra::Retry, &common) == Taken::Granted).count();
        other.deposit(&common);
        assert_eq!((granted(&dead), granted(&other)), (7, 3));
        let (common, alone) = (RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02)), HostPurse::default());
        alone.deposit(&common);
        let granted = (0..20).filter(|_| alone.take(Extra::Retry, &common) == Taken::Granted).count();
        assert_eq!(granted, 10, "who is alone leaves nothing");
    }

    #[test]
    fn both_bounds_hold_while_many_threads_take_at_once() {
        let common = RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02));
        let hosts: Vec<HostPurse> = (0..4).map(|_| HostPurse::default()).collect();
        let granted: u64 = std::thread::scope(|scope| {
            let work = |number: usize| {
                let mut dice = fastrand::Rng::with_seed(number as u64);
                let mut granted = 0;
                for _ in 0..20_000 {
                    let host = &hosts[dice.usize(0..hosts.len())];
                    match dice.u8(0..3) {
                        0 => host.deposit(&common),
                        1 => granted += u64::from(host.take(Extra::Retry, &common) == Taken::Granted),
                        _ if host.take(Extra::Hedge, &common) == Taken::Granted => {
                            host.give_back(Extra::Hedge, &common);
                        }
                        _ => {}
                    }
                }
                granted
            };
            let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || work(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no taker panics")).sum()
        });
        let firsts = common.firsts.load(Ordering::Relaxed);
        assert!(granted <= firsts / 5 && granted > firsts / 6, "{granted} of {firsts}");
        assert_eq!(granted, hosts.iter().map(|host| host.retries.load(Ordering::Relaxed)).sum::<u64>());
        assert_eq!(common.hedges.load(Ordering::Relaxed), 0);
    }
}
