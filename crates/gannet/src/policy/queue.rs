//! Who goes next: what was read and has not started, in a line for each host, and the hosts in turn. A host that
//! is full steps aside until its gate has a place; the others go on. Pure, and of constant cost a step.

use std::collections::VecDeque;

use crate::number::ByNumber;

/// Requests that reading may run ahead of starting.
pub(crate) const AHEAD_REQUESTS: usize = 100_000;
/// Bytes that reading may run ahead of starting.
pub(crate) const AHEAD_BYTES: usize = 16 << 20;

/// Lines of requests `R` by host number.
#[derive(Debug)]
pub(crate) struct Queue<R> {
    lines: ByNumber<Line<R>>,
    /// Hosts with a request that may be startable, each at most once.
    ready: VecDeque<u64>,
    length: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Line<R> {
    waiting: VecDeque<(R, usize)>,
    standing: Standing,
}

/// Where a host with waiting requests stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ready,
    /// Somebody waits at its gate.
    Blocked,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self { lines: ByNumber::default(), ready: VecDeque::new(), length: 0, bytes: 0 }
    }
}

impl<R> Queue<R> {
    /// A request of `weight` bytes was read for `host`.
    pub(crate) fn push(&mut self, host: u64, request: R, weight: usize) {
        self.length += 1;
        self.bytes += weight;
        let line = self.lines.entry(host).or_insert_with(|| {
            self.ready.push_back(host);
            Line { waiting: VecDeque::new(), standing: Standing::Ready }
        });
        line.waiting.push_back((request, weight));
    }

    /// The host whose turn it is, if any may be startable.
    pub(crate) fn next_host(&self) -> Option<u64> {
        self.ready.front().copied()
    }

    /// The first request of `host`, which then goes to the end of the turn. The host must be the one of
    /// [`next_host`](Self::next_host), or have been unblocked.
    pub(crate) fn start(&mut self, host: u64) -> Option<R> {
        let line = self.lines.get_mut(&host)?;
        let (request, weight) = line.waiting.pop_front()?;
        self.length -= 1;
        self.bytes -= weight;
        let more = !line.waiting.is_empty();
        if line.standing == Standing::Ready && self.ready.front() == Some(&host) {
            self.ready.pop_front();
            if more {
                self.ready.push_back(host);
            }
        } else if line.standing == Standing::Ready && !more {
            // One that was favoured while somebody waited at its gate; nothing of it may stay behind.
            self.ready.retain(|&other| other != host);
        }
        if !more {
            self.lines.remove(&host);
        }
        Some(request)
    }

    /// The host of this turn is full; it steps aside.
    pub(crate) fn block(&mut self, host: u64) {
        if let Some(line) = self.lines.get_mut(&host) {
            debug_assert_eq!(self.ready.front(), Some(&host), "only the host of this turn is blocked");
            line.standing = Standing::Blocked;
            self.ready.pop_front();
        }
    }

    /// The host has a place again; it goes next.
    pub(crate) fn unblock(&mut self, host: u64) {
        if let Some(line) = self.lines.get_mut(&host)
            && line.standing == Standing::Blocked
        {
            line.standing = Standing::Ready;
            self.ready.push_front(host);
        }
    }

    /// Nothing of this host may start until it is unblocked: it leaves the turn, wherever it stands in it.
    pub(crate) fn withdraw(&mut self, host: u64) {
        if let Some(line) = self.lines.get_mut(&host)
            && line.standing == Standing::Ready
        {
            line.standing = Standing::Blocked;
            if let Some(place) = self.ready.iter().position(|&other| other == host) {
                self.ready.remove(place);
            }
        }
    }

    /// The first waiting request of `host`.
    pub(crate) fn peek(&self, host: u64) -> Option<&R> {
        self.lines.get(&host).and_then(|line| line.waiting.front()).map(|(request, _)| request)
    }

    /// Puts the host whose first request `wanted` says yes to in front, though it was blocked. Looks at every host:
    /// for the rare case that only one request may start.
    pub(crate) fn favour(&mut self, wanted: impl Fn(&R) -> bool) -> Option<u64> {
        let is_wanted =
            |(_, line): &(&u64, &Line<R>)| line.waiting.front().is_some_and(|(first, _)| wanted(first));
        let (&host, _) = self.lines.iter().find(is_wanted)?;
        self.unblock(host);
        let place = self.ready.iter().position(|&other| other == host)?;
        self.ready.remove(place);
        self.ready.push_front(host);
        Some(host)
    }

    /// Takes out all that waits, host by host.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = R> + use<R> {
        self.ready.clear();
        self.length = 0;
        self.bytes = 0;
        std::mem::take(&mut self.lines)
            .into_values()
            .flat_map(|line| line.waiting)
            .map(|(request, _)| request)
    }

    /// Whether reading has run as far ahead as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= AHEAD_REQUESTS || self.bytes >= AHEAD_BYTES
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_host_holds_nobody_up() {
        let mut queue = Queue::default();
        for number in 0..50_000 {
            queue.push(1, number, 100);
        }
        queue.push(2, 50_000, 100);
        assert_eq!((queue.next_host(), queue.start(1)), (Some(1), Some(0)));
        assert_eq!((queue.next_host(), queue.start(2)), (Some(2), Some(50_000)));
        queue.block(1);
        assert_eq!(queue.next_host(), None);
        queue.push(1, 50_001, 100);
        assert_eq!(queue.next_host(), None);
        queue.unblock(1);
        assert_eq!((queue.next_host(), queue.start(1)), (Some(1), Some(1)));
    }

    #[test]
    fn hosts_take_turns_and_nothing_is_lost_over_random_steps() {
        let mut dice = fastrand::Rng::with_seed(7);
        let mut queue = Queue::default();
        let (mut pushed, mut started) = (0_u32, Vec::new());
        let mut blocked: Vec<u64> = Vec::new();
        for _ in 0..20_000 {
            match dice.u8(0..4) {
                0 | 1 => {
                    queue.push(dice.u64(0..9), pushed, 1);
                    pushed += 1;
                }
                2 => match queue.next_host() {
                    Some(host) if dice.bool() => started.extend(queue.start(host)),
                    Some(host) => {
                        queue.block(host);
                        blocked.push(host);
                    }
                    None => {}
                },
                _ if blocked.is_empty() => {}
                _ => queue.unblock(blocked.swap_remove(dice.usize(0..blocked.len()))),
            }
        }
        started.extend(queue.drain());
        started.sort_unstable();
        assert!(started.into_iter().eq(0..pushed));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_host_of_which_all_was_taken_out_is_nobodys_turn() {
        let mut queue = Queue::default();
        for number in 0..6 {
            queue.push(number % 2, number, 1);
        }
        // Out of its turn, as one that was favoured and then let in.
        assert_eq!((queue.start(1), queue.start(1), queue.start(1)), (Some(1), Some(3), Some(5)));
        assert_eq!((queue.next_host(), queue.start(0)), (Some(0), Some(0)));
        assert_eq!(queue.next_host(), Some(0));

        queue.push(1, 7, 1);
        queue.push(1, 9, 1);
        queue.withdraw(1);
        assert_eq!((queue.start(1), queue.next_host()), (Some(7), Some(0)));
        queue.unblock(1);
        assert_eq!((queue.next_host(), queue.start(1)), (Some(1), Some(9)));
        assert_eq!((queue.start(0), queue.start(0), queue.next_host()), (Some(2), Some(4), None));
        assert!(queue.is_empty());
    }

    #[test]
    fn reading_ahead_ends_at_either_bound() {
        let mut queue = Queue::default();
        queue.push(1, (), AHEAD_BYTES);
        assert!(queue.is_full());
    }
}
