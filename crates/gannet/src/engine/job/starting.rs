//! How a request leaves the queue of its job: with a place at its host's gate, and with its turn under the rate of all
//! hosts together. Until it has both it is not begun. Who is let in is decided in `policy`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream as _;

use super::{AtGate, Job};
use crate::engine::attempt::queues_for;
use crate::engine::gate::{Behind, Entering};
use crate::outcome::WaitedFor;
use crate::permit::Permit;
use crate::sink::Room;

/// The job's turn under the rate of all hosts together.
pub(super) enum Turn {
    /// None was asked for.
    None,
    Waits(Entering),
    /// One was given, and nobody has used it.
    Ours,
}

impl Job {
    /// Starts whatever may start; whether anything changed.
    pub(super) fn start_some(&mut self, cx: &mut Context<'_>) -> bool {
        let mut changed = false;
        while !self.at_gates.is_empty()
            && let Poll::Ready(Some((host, entered))) = Pin::new(&mut self.at_gates).poll_next(cx)
        {
            changed = true;
            match entered {
                Ok(permit) => self.entered.push_back((host, permit)),
                Err(why) => {
                    self.queue.unblock(host);
                    self.turn_away(host, why);
                }
            }
        }
        while self.stopped.is_none() {
            let started = match self.terms.sink.room(cx) {
                Room::Any => self.start_entered(cx) || self.start_next(cx),
                Room::Only(seq) => self.start_only(seq, cx),
            };
            if !started {
                break;
            }
            changed = true;
        }
        changed
    }

    /// Starts a request whose host has let it in, once it has its turn; whether anything changed.
    fn start_entered(&mut self, cx: &mut Context<'_>) -> bool {
        if self.entered.is_empty() || (self.has_slot() && !self.has_turn(cx)) {
            return false;
        }
        let Some((host, permit)) = self.entered.pop_front() else { return false };
        self.queue.unblock(host);
        // Else its place goes back: nothing more may run now.
        if self.has_slot() {
            self.start_in_turn(host, permit);
        }
        true
    }

    /// Starts the request whose turn it is, or blocks its host; whether anything changed.
    fn start_next(&mut self, cx: &mut Context<'_>) -> bool {
        // Those who are let in already go first.
        if !self.has_slot() || !self.entered.is_empty() {
            return false;
        }
        let Some(host) = self.queue.next_host() else { return false };
        let known = self.hosts.get(&host).expect("a host with waiting requests is known");
        match known.gate.try_enter() {
            Some(permit) => self.start_or_wait(host, permit, cx),
            None => self.wait_at_gate(host),
        }
        true
    }

    /// Starts the only request that the sink has room for, beyond the limits of what may run at once if need be: all
    /// that runs may be waiting for it. What the server asked for, or the caller set as a rate, holds for it too.
    fn start_only(&mut self, seq: u64, cx: &mut Context<'_>) -> bool {
        let Some(host) = self.queue.favour(|waiting| waiting.seq == seq) else { return false };
        // The places of others go back: nothing more may run now.
        while let Some(place) = self.entered.iter().position(|(other, _)| *other != host) {
            let other = self.entered.remove(place);
            self.queue.unblock(other.expect("it was just found").0);
            self.queue.favour(|waiting| waiting.seq == seq);
        }
        let known = self.hosts.get(&host).expect("a host with waiting requests is known");
        let entered = self.entered.pop_front().map(|(_, permit)| permit);
        let had = entered.is_some();
        let beyond = || known.gate.is_merely_full().then(|| known.gate.enter_beyond());
        if let Some(permit) = entered.or_else(|| known.gate.try_enter()).or_else(beyond) {
            let started = self.has_turn(cx);
            self.start_or_wait(host, permit, cx);
            return started || !had;
        }
        // It is waited for once.
        let waits = self.at_gates.iter().any(|gate| gate.host == host);
        if waits {
            self.queue.block(host);
        } else {
            self.wait_at_gate(host);
        }
        !waits
    }

    /// The host of this turn steps aside until its gate has a place.
    fn wait_at_gate(&mut self, host: u64) {
        let known = self.hosts.get(&host).expect("a host with waiting requests is known");
        let what_for = queues_for(known.gate.held());
        let entering = known.gate.enter(Behind::All, self.terms.deadline);
        self.at_gates.push(AtGate { host, entering, what_for });
        self.queue.block(host);
    }

    /// Starts the first request of the host of this turn, or keeps its place until the rate lets it go.
    fn start_or_wait(&mut self, host: u64, permit: Permit, cx: &mut Context<'_>) {
        if self.has_turn(cx) {
            self.start_in_turn(host, permit);
        } else {
            self.entered.push_back((host, permit.after(WaitedFor::Rate)));
            self.queue.block(host);
        }
    }

    /// Starts the first request of this host with the turn that the job has. If the host has come to want to be left
    /// alone meanwhile, or most attempts there have failed, the place goes back, and is asked for again.
    fn start_in_turn(&mut self, host: u64, permit: Permit) {
        let is_shut = || self.hosts.get(&host).is_some_and(|known| known.gate.is_shut());
        if self.core.hosts.have_a_rate() && !permit.is_probe() && is_shut() {
            return;
        }
        self.turn = Turn::None;
        self.start(host, Some(permit.in_turn()));
    }

    /// Whether the job has its turn under the rate of all hosts together; else the task is woken by it.
    fn has_turn(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match &mut self.turn {
                _ if !self.core.hosts.have_a_rate() => return true,
                Turn::Ours => return true,
                Turn::Waits(entering) => match Pin::new(entering).poll(cx) {
                    // A place there is a turn.
                    Poll::Ready(_) => self.turn = Turn::Ours,
                    Poll::Pending => return false,
                },
                Turn::None => {
                    self.turn = self.core.hosts.ask_for_turn().map_or(Turn::Ours, Turn::Waits);
                }
            }
        }
    }
}
