//! Who waits for the purse: fetches of a job whose retry it refused, in a line for each host, granted in order.
//! When the job's list is done, the purse is refilled with time. Pure, and of constant cost a step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::Moment;
use crate::number::ByNumber;

use super::budget::{Ratio, Taken};

/// Over so many seconds it is measured how fast a list was obtained.
const RECENT: usize = 10;
/// Once a list is done, the purse gains a retry at least so often.
const SLOWEST: Duration = Duration::from_secs(1);

/// Those that wait, by host number; `W` is whatever finds the waiter again.
#[derive(Debug)]
pub(crate) struct Waiting<W> {
    /// By ticket, so in the order in which they came.
    lines: ByNumber<BTreeMap<u64, W>>,
    /// Hosts whose turn it will be, each at most once.
    turns: VecDeque<u64>,
    /// Hosts whose own purse is empty.
    aside: BTreeSet<u64>,
    next_ticket: u64,
    length: usize,
    refill: Option<Refill>,
    obtained: Recent,
}

/// What was obtained in each of the last seconds.
#[derive(Debug, Default)]
struct Recent {
    /// The newest second, counted from the origin of time.
    second: u64,
    counts: [u32; RECENT],
}

impl Recent {
    fn turn(&mut self, now: Moment) {
        let second = now.since(Moment::ZERO).as_secs();
        for passed in (self.second + 1..=second).take(RECENT) {
            self.counts[(passed % RECENT as u64) as usize] = 0;
        }
        if second > self.second + RECENT as u64 {
            self.counts = Default::default();
        }
        self.second = self.second.max(second);
    }

    fn count(&mut self, now: Moment) {
        self.turn(now);
        let place = (self.second % RECENT as u64) as usize;
        self.counts[place] = self.counts[place].saturating_add(1);
    }

    /// So many a second; a burst is spread over all of the seconds.
    fn per_second(&mut self, now: Moment) -> f64 {
        self.turn(now);
        self.counts.iter().map(|count| f64::from(*count)).sum::<f64>() / RECENT as f64
    }
}

/// A place in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    host: u64,
    number: u64,
}

/// The purse gains one at `next` and each `every` after it. Nothing is saved up while nobody waits.
#[derive(Debug, Clone, Copy)]
struct Refill {
    every: Duration,
    next: Moment,
}

impl<W> Default for Waiting<W> {
    fn default() -> Self {
        Self {
            lines: ByNumber::default(),
            turns: VecDeque::new(),
            aside: BTreeSet::new(),
            next_ticket: 0,
            length: 0,
            refill: None,
            obtained: Recent::default(),
        }
    }
}

impl<W> Waiting<W> {
    /// A fetch waits for a retry at `host`, behind all others there.
    pub(crate) fn wait(&mut self, host: u64, waiter: W) -> Ticket {
        let number = self.next_ticket;
        self.next_ticket += 1;
        self.length += 1;
        let line = self.lines.entry(host).or_insert_with(|| {
            self.turns.push_back(host);
            BTreeMap::new()
        });
        line.insert(number, waiter);
        Ticket { host, number }
    }

    /// The fetch does not wait any more; `None` if it was granted before.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        let line = self.lines.get_mut(&ticket.host)?;
        let waiter = line.remove(&ticket.number)?;
        self.length -= 1;
        Some(waiter)
    }

    /// Whether a retry at `host` may ask the purse itself: nobody is overtaken.
    pub(crate) fn may_ask(&self, host: u64) -> bool {
        self.length == 0 || (self.turns.is_empty() && !self.lines.contains_key(&host))
    }

    /// A first attempt at `host` has paid in.
    pub(crate) fn deposited(&mut self, host: u64) {
        if self.aside.remove(&host) {
            self.turns.push_back(host);
        }
    }

    /// A request of the list was obtained.
    pub(crate) fn obtained(&mut self, now: Moment) {
        self.obtained.count(now);
    }

    /// The last first attempt of the list has started: from now on the purse is refilled at `ratio` times the rate at
    /// which the list was obtained of late, and at least once a second. What was sent says nothing of what a server takes,
    /// and a burst that it took is no rate.
    pub(crate) fn list_done(&mut self, now: Moment, ratio: Ratio) {
        let Ratio::Share(share) = ratio else { return };
        let each = 1.0 / (share * self.obtained.per_second(now));
        let every = Duration::try_from_secs_f64(each).map_or(SLOWEST, |each| each.min(SLOWEST));
        self.refill = Some(Refill { every, next: now + every });
    }

    /// A first attempt starts after all: time pays for nothing any more.
    pub(crate) fn list_goes_on(&mut self) {
        self.refill = None;
    }

    /// When [`refill`](Self::refill) has something to give, if anybody waits for it.
    pub(crate) fn wake(&self) -> Option<Moment> {
        self.refill.filter(|_| self.length > 0).map(|refill| refill.next)
    }

    /// How many retries time has paid for since the last call: to be paid into the purse before the next
    /// [`grant`](Self::grant). A late call loses time and never makes up for it in a burst.
    #[must_use]
    pub(crate) fn refill(&mut self, now: Moment) -> u64 {
        let Some(refill) = self.refill.as_mut().filter(|refill| self.length > 0 && refill.next <= now) else {
            return 0;
        };
        let periods = now.since(refill.next).as_nanos() / refill.every.as_nanos().max(1);
        refill.next = if periods == 0 { refill.next + refill.every } else { now + refill.every };
        // What time pays for is for every host alike.
        self.turns.extend(std::mem::take(&mut self.aside));
        1
    }

    /// The next that is granted a retry, if `take` finds one in the purse. To be called until it gives `None`,
    /// after each deposit and each refill.
    #[must_use]
    pub(crate) fn grant(&mut self, mut take: impl FnMut(u64, &W) -> Taken) -> Option<W> {
        while let Some(host) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&host) else { continue };
            let Some((_, first)) = line.first_key_value() else {
                self.lines.remove(&host);
                continue;
            };
            match take(host, first) {
                Taken::Granted => {
                    let (_, waiter) = line.pop_first().expect("it was just looked at");
                    self.length -= 1;
                    self.turns.push_back(host);
                    return Some(waiter);
                }
                Taken::Refused => {
                    self.turns.push_front(host);
                    return None;
                }
                Taken::HostRefused => {
                    self.aside.insert(host);
                }
            }
        }
        None
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;

    use fastrand::Rng;

    use crate::policy::budget::{Extra, HostPurse, Purse, RatioPurse};

    fn at(millis: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(millis)
    }

    /// Takes from a purse that holds so many.
    fn holding(count: u32) -> impl FnMut(u64, &u32) -> Taken {
        let left = Cell::new(count);
        move |_, _| match left.get() {
            0 => Taken::Refused,
            some => {
                left.set(some - 1);
                Taken::Granted
            }
        }
    }

    fn granted(waiting: &mut Waiting<u32>, mut take: impl FnMut(u64, &u32) -> Taken) -> Vec<u32> {
        std::iter::from_fn(|| waiting.grant(&mut take)).collect()
    }

    #[test]
    fn a_line_is_granted_in_order_and_hosts_take_turns() {
        let mut waiting = Waiting::default();
        for (host, waiter) in [(1, 10), (1, 11), (1, 12), (2, 20)] {
            waiting.wait(host, waiter);
        }
        assert_eq!(granted(&mut waiting, holding(2)), [10, 20]);
        assert!(!waiting.may_ask(1) && !waiting.may_ask(3));
        assert_eq!(granted(&mut waiting, holding(9)), [11, 12]);
        assert!(waiting.may_ask(1) && waiting.len() == 0);
    }

    #[test]
    fn a_host_with_an_empty_purse_holds_nobody_up_until_it_pays_in() {
        let mut waiting = Waiting::default();
        for (host, waiter) in [(1, 10), (2, 20)] {
            waiting.wait(host, waiter);
        }
        let poor = |host: u64, _: &u32| if host == 1 { Taken::HostRefused } else { Taken::Granted };
        assert_eq!(granted(&mut waiting, poor), [20]);
        assert!(!waiting.may_ask(1) && waiting.may_ask(2));
        assert_eq!(granted(&mut waiting, holding(9)), [0_u32; 0]);
        waiting.deposited(1);
        assert_eq!(granted(&mut waiting, holding(9)), [10]);
    }

    #[test]
    fn who_leaves_is_not_granted() {
        let mut waiting = Waiting::default();
        let tickets: Vec<Ticket> = (0..3).map(|waiter| waiting.wait(1, waiter)).collect();
        assert_eq!((waiting.leave(tickets[1]), waiting.leave(tickets[1])), (Some(1), None));
        assert_eq!(granted(&mut waiting, holding(9)), [0, 2]);
    }

    #[test]
    fn time_pays_a_fifth_of_the_earlier_rate_once_the_list_is_done_and_saves_nothing_up() {
        let mut waiting = Waiting::default();
        waiting.wait(1, 10);
        assert_eq!((waiting.wake(), waiting.refill(at(9_000))), (None, 0));
        (0..1_000).for_each(|number| waiting.obtained(at(number * 10)));
        waiting.list_done(at(9_999), Ratio::Share(0.2));
        assert_eq!((waiting.wake(), waiting.refill(at(10_048))), (Some(at(10_049)), 0));
        assert_eq!((waiting.refill(at(10_060)), waiting.refill(at(10_060))), (1, 0));
        assert_eq!((waiting.wake(), waiting.refill(at(11_000))), (Some(at(10_099)), 1));
        assert_eq!((waiting.wake(), waiting.refill(at(11_049))), (Some(at(11_050)), 0));
    }

    #[test]
    fn a_slow_list_is_refilled_once_a_second() {
        let mut waiting = Waiting::default();
        waiting.wait(1, 10);
        for obtained in [0, 1, 5, 44] {
            (0..obtained).for_each(|_| waiting.obtained(at(20_000)));
            waiting.list_done(at(20_000), Ratio::Share(0.2));
            assert_eq!(waiting.wake(), Some(at(21_000)), "{obtained} more");
        }
    }

    /// nginx's limit_req with a burst: it takes 20 at once, and then one a second.
    #[test]
    fn a_burst_that_a_server_took_is_no_rate_for_the_late_retries() {
        let mut waiting = Waiting::default();
        waiting.wait(1, 10);
        (0..20).for_each(|number| waiting.obtained(at(number)));
        waiting.list_done(at(100), Ratio::Share(0.2));
        assert_eq!(waiting.wake(), Some(at(1_100)), "one a second, though 20 were got in 20 ms");
        (0..1_000).for_each(|number| waiting.obtained(at(20_000 + number)));
        waiting.list_goes_on();
        waiting.list_done(at(31_500), Ratio::Share(0.2));
        assert_eq!(waiting.wake(), Some(at(32_500)), "what was taken long ago does not count");
    }

    #[test]
    fn a_list_that_goes_on_is_not_refilled_by_time() {
        let mut waiting = Waiting::default();
        waiting.wait(1, 10);
        waiting.list_done(at(0), Ratio::Share(0.2));
        waiting.list_goes_on();
        assert_eq!((waiting.wake(), waiting.refill(at(9_000))), (None, 0));
    }

    /// A source that fails at random: everything is got in the end, and gently.
    #[test]
    fn a_source_that_fails_at_random_is_got_whole_late_and_gently() {
        for seed in 0..20 {
            let mut dice = Rng::with_seed(seed);
            let (common, host) =
                (RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02)), HostPurse::default());
            let mut waiting: Waiting<u32> = Waiting::default();
            let (mut retries, mut got) = (0_u64, 0_u32);
            let ask = |waiting: &mut Waiting<u32>, dice: &mut Rng, number: u32, retries: &mut u64| loop {
                if dice.u32(0..100) >= 30 {
                    break 1;
                }
                if !waiting.may_ask(7) || host.take(Extra::Retry, &common) != Taken::Granted {
                    waiting.wait(7, number);
                    break 0;
                }
                *retries += 1;
            };
            for number in 0..10_000_u32 {
                host.deposit(&common);
                waiting.deposited(7);
                got += ask(&mut waiting, &mut dice, number, &mut retries);
                while let Some(number) = waiting.grant(|_, _| host.take(Extra::Retry, &common)) {
                    retries += 1;
                    got += ask(&mut waiting, &mut dice, number, &mut retries);
                }
                assert!(retries <= 10.max(u64::from(number + 1) / 5));
            }
            assert!(waiting.len() > 500, "the purse was empty at the end of the list");
            (0..10_000).for_each(|number| waiting.obtained(at(number)));
            waiting.list_done(at(9_999), Ratio::Share(0.2));
            let mut now = at(9_999);
            while let Some(wake) = waiting.wake() {
                assert!(wake.since(now) >= Duration::from_micros(4_999), "no faster than a fifth of before");
                now = wake;
                common.refill(waiting.refill(now));
                while let Some(number) = waiting.grant(|_, _| host.take(Extra::Retry, &common)) {
                    got += ask(&mut waiting, &mut dice, number, &mut retries);
                }
            }
            assert_eq!((got, waiting.len()), (10_000, 0), "seed {seed}");
            assert!(now < at(60_000));
            common.deposit(0);
        }
    }
}
