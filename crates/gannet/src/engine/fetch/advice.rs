//! What the machine of one fetch draws on: the purses of its hosts, and what is known of them. A host is looked up
//! when a decision first asks for it. Nothing is decided here.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::Moment;
use crate::engine::errand::Errand;
use crate::engine::hosts::Host;
use crate::event::Event;
use crate::outcome::WhyStarted;
use crate::policy::budget::{Extra, Purse, Taken};
use crate::policy::fetch::{Advice, Hosts};

/// The hosts that a fetch has met, by mirror.
#[derive(Debug, Default)]
pub(super) struct Met(RefCell<SmallVec<[Option<Arc<Host>>; 1]>>);

impl Met {
    /// Where the job was let in.
    pub(super) fn at(host: Option<Arc<Host>>) -> Self {
        Self(RefCell::new(SmallVec::from_buf([host])))
    }

    /// The host of this mirror.
    pub(super) fn of(&self, errand: &Errand, mirror: u32) -> Arc<Host> {
        let mut met = self.0.borrow_mut();
        let place = mirror as usize;
        if met.len() <= place {
            met.resize(place + 1, None);
        }
        let host = met[place].get_or_insert_with(|| errand.core.hosts.of(errand.target(mirror).1));
        Arc::clone(host)
    }
}

/// What one fact may draw on.
pub(super) struct Adviser<'a> {
    errand: &'a Errand,
    met: &'a Met,
    now: Moment,
    /// Whether its first attempt is one; that of a body which is gone on with was paid in before.
    pub(super) pays_in: bool,
    /// One step asks several times for the same.
    newest: Cell<Option<(u32, Advice)>>,
}

impl<'a> Adviser<'a> {
    pub(super) fn new(errand: &'a Errand, met: &'a Met, now: Moment) -> Self {
        Self { errand, met, now, pays_in: true, newest: Cell::new(None) }
    }
}

impl Purse for Adviser<'_> {
    fn deposit(&self, mirror: u32) {
        if !self.pays_in {
            return;
        }
        let host = self.met.of(self.errand, mirror);
        host.purse.deposit(&self.errand.core.purse);
        if let Some(late) = &self.errand.late {
            late.paid_in(&host);
        }
    }

    fn take(&self, extra: Extra, mirror: u32) -> Taken {
        let host = self.met.of(self.errand, mirror);
        let common = &self.errand.core.purse;
        let others_wait = self.errand.late.as_ref().is_some_and(|late| !late.may_ask(&host));
        let taken = if extra == Extra::Retry && others_wait {
            common.count_refused(extra);
            Taken::Refused
        } else {
            host.purse.take(extra, common)
        };
        if taken != Taken::Granted {
            let why = if extra == Extra::Retry { WhyStarted::Retry } else { WhyStarted::Hedge };
            self.errand.tell(&Event::BudgetRefused { seq: self.errand.seq, why });
        }
        taken
    }

    fn take_again(&self, extra: Extra, mirror: u32) -> Taken {
        self.met.of(self.errand, mirror).purse.take_for_waiting(extra, &self.errand.core.purse)
    }

    fn give_back(&self, extra: Extra, mirror: u32) {
        self.met.of(self.errand, mirror).purse.give_back(extra, &self.errand.core.purse);
        if let Some(late) = &self.errand.late {
            late.given_back();
        }
    }
}

impl Hosts for Adviser<'_> {
    fn advice(&self, mirror: u32) -> Advice {
        if let Some((known, advice)) = self.newest.get()
            && known == mirror
        {
            return advice;
        }
        let Errand { core, plan, .. } = self.errand;
        let learned = plan.hedge.filter(|after| after.is_learned());
        let budget = core.purse.ratio(Extra::Hedge);
        let silence = learned.map(|after| (after, budget, self.errand.game()));
        let advice = self.met.of(self.errand, mirror).advice(silence, self.now);
        self.newest.set(Some((mirror, advice)));
        advice
    }
}
