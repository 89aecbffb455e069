//! What becomes of the requests whose host lets nobody in: it wants to be left alone for too long, or is given up.
//! When that is so is decided in `policy::host`.

use super::super::attempt::closed;
use super::super::gate::Closed;
use super::Job;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::Verdict;

impl Job {
    /// Settles what waits for this host. A request with other mirrors is started all the same, and goes there.
    pub(super) fn turn_away(&mut self, host: u64, why: Closed) {
        let Some(known) = self.hosts.get(&host).cloned() else { return };
        let deadline = self.terms.deadline;
        let is_late = matches!(why, Closed::Away(until) | Closed::Failing(until) if deadline.is_some_and(|deadline| deadline <= until));
        let error = closed(&self.core, &known, why, deadline);
        let error = match is_late {
            // Nothing is left of its time, so it is not begun: it can be had by another run.
            true => Error::new(ErrorKind::JobDeadline, Phase::Queue, error.message())
                .asked_to_wait(error.retry_after())
                .for_want_of_time(),
            false => error,
        };
        // Else it would go to the end of the turn with each request that is taken out, and stay there when none is left.
        self.queue.withdraw(host);
        while let Some(waiting) = self.queue.peek(host) {
            if waiting.request.mirror_count() > 1 {
                if !self.has_slot() {
                    self.queue.unblock(host);
                    return;
                }
                self.start(host, None);
                continue;
            }
            let Some(waiting) = self.queue.start(host) else { break };
            let url: Box<str> = waiting.request.url().into();
            let error = error.clone().of_url(url.clone());
            self.settle_unstarted(waiting.seq, waiting.line, url, Verdict::Not(error));
        }
        self.hosts.remove(&host);
    }
}
