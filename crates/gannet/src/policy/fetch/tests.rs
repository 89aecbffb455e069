//! The main rules of a fetch, one sentence each. Times are milliseconds, and the dice always fall highest.

use std::time::Duration;

use crate::Moment;
use crate::outcome::WhyStarted::{self, First, Hedge as Hedged, Redo, Retry};
use crate::policy::backoff::Backoff;
use crate::policy::budget::{Extra, Purse, RESERVE, Ratio, RatioPurse};

use super::{Advice, Class, Fact, Failure, GaveUp, Hedge, HedgeGate, Hosts, Machine, Means, Opening};
use super::{Order, Repeatable, Rules, Sent, Silence, StopReason, Verdict, WhenEmpty};

struct Given {
    machine: Machine,
    purse: RatioPurse,
    known: Known,
}

/// The same is known of every host.
struct Known(Advice);

impl Hosts for Known {
    fn advice(&self, _mirror: u32) -> Advice {
        self.0
    }
}

fn given(change: impl FnOnce(&mut Rules)) -> Given {
    let mut rules = Rules {
        mirrors: 1,
        opening: Opening::One,
        retries: Some(3),
        backoff: Backoff::default(),
        retry_within: None,
        hedge: None,
        deadline: None,
        repeatable: Repeatable::Always,
        when_empty: WhenEmpty::Fail,
        retry_after_max: millis(300_000),
    };
    change(&mut rules);
    let purse = RatioPurse::new(Ratio::Share(0.2), Ratio::Share(0.02));
    Given { machine: Machine::new(rules), purse, known: Known(Advice::default()) }
}

impl Given {
    /// Tells of a fact; an attempt enters as it starts.
    fn at(&mut self, now: u64, fact: Fact) -> Vec<Order> {
        let orders = self.queued_at(now, fact);
        for order in &orders {
            if let Order::Start { attempt, .. } = *order {
                assert_eq!(self.queued_at(now, Fact::Entered { attempt }), []);
            }
        }
        orders
    }

    /// Tells of a fact; what starts waits in our own queue.
    fn queued_at(&mut self, now: u64, fact: Fact) -> Vec<Order> {
        let mut dice = || u32::MAX;
        let mut means = Means { now: at(now), purse: &self.purse, hosts: &self.known, dice: &mut dice };
        self.machine.on(fact, &mut means);
        self.machine.take_orders().to_vec()
    }

    fn knowing(mut self, usual: Option<u64>, hedge_after: Option<u64>) -> Self {
        self.known.0.usual = usual.map(millis);
        self.known.0.hedge_after = hedge_after.map(millis);
        self
    }

    fn began(mut self) -> Self {
        self.at(0, Fact::Began);
        self
    }

    fn wake(&self) -> Option<Moment> {
        self.machine.wake()
    }

    fn emptied_of(self, extra: Extra) -> Self {
        for _ in 0..RESERVE {
            let _ = self.purse.take(extra, 0);
        }
        self
    }
}

fn at(now: u64) -> Moment {
    Moment::ZERO + millis(now)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn failed(attempt: u32, class: Class) -> Fact {
    Fact::Failed { attempt, failure: Failure { class, retry_after: None, sent: Sent::Perhaps } }
}

fn asked(attempt: u32, wait: u64) -> Fact {
    let retry_after = Some(millis(wait));
    Fact::Failed { attempt, failure: Failure { class: Class::Passing, retry_after, sent: Sent::Perhaps } }
}

fn start(attempt: u32, mirror: u32, why: WhyStarted) -> Order {
    Order::Start { attempt, mirror, why }
}

fn stop(attempt: u32, why: StopReason) -> Order {
    Order::Stop { attempt, why }
}

fn gave_up(attempt: u32, why: GaveUp) -> Order {
    Order::Settle(Verdict::GaveUp { attempt, why })
}

fn hedged(rules: &mut Rules) {
    rules.hedge = Some(Hedge { after: Silence::Fixed(millis(100)), at_most: 1 });
}

fn race(rules: &mut Rules) {
    (rules.mirrors, rules.opening) = (3, Opening::Race);
}

#[test]
fn the_first_attempt_wins_when_it_leads_and_completes() {
    let mut fetch = given(|_| ());
    assert_eq!(fetch.at(0, Fact::Began), [start(0, 0, First)]);
    assert_eq!(fetch.at(5, Fact::Led { attempt: 0 }), []);
    let won = Order::Settle(Verdict::Won { attempt: 0 });
    assert_eq!(fetch.at(9, Fact::Completed { attempt: 0 }), [won]);
    assert_eq!((fetch.at(10, Fact::Woke), fetch.wake()), (vec![], None));
}

#[test]
fn a_fetch_that_begins_after_its_deadline_starts_nothing() {
    let mut fetch = given(|rules| rules.deadline = Some(at(10)));
    assert_eq!(fetch.at(10, Fact::Began), [Order::Settle(Verdict::DeadlineCame)]);
}

#[test]
fn the_deadline_stops_what_is_in_flight() {
    let mut fetch = given(|rules| rules.deadline = Some(at(10))).began();
    assert_eq!(fetch.wake(), Some(at(10)));
    let orders = fetch.at(10, Fact::Woke);
    assert_eq!(orders, [stop(0, StopReason::Deadline), Order::Settle(Verdict::DeadlineCame)]);
}

#[test]
fn a_body_that_completes_after_the_deadline_still_wins() {
    let mut fetch = given(|rules| rules.deadline = Some(at(10))).began();
    assert_eq!(fetch.at(11, Fact::Led { attempt: 0 }), []);
    let won = Order::Settle(Verdict::Won { attempt: 0 });
    assert_eq!(fetch.at(11, Fact::Completed { attempt: 0 }), [won]);
}

#[test]
fn a_failure_that_passes_is_retried_after_its_backoff() {
    let mut fetch = given(|_| ()).began();
    assert_eq!(fetch.at(10, failed(0, Class::Passing)), []);
    assert_eq!(fetch.wake(), Some(at(260)));
    assert_eq!(fetch.at(260, Fact::Woke), [start(1, 0, Retry)]);
}

#[test]
fn a_failure_is_retried_at_once_at_a_mirror_that_has_not_failed() {
    let mut fetch = given(|rules| rules.mirrors = 2).began();
    assert_eq!(fetch.at(10, failed(0, Class::Passing)), [start(1, 1, Retry)]);
    assert_eq!(fetch.at(20, failed(1, Class::Passing)), []);
    assert_eq!(fetch.at(260, Fact::Woke), [start(2, 0, Retry)]);
}

#[test]
fn retries_end_when_they_are_used_up() {
    let mut fetch = given(|rules| rules.retries = Some(1)).began();
    fetch.at(0, failed(0, Class::Passing));
    fetch.at(250, Fact::Woke);
    assert_eq!(fetch.at(300, failed(1, Class::Passing)), [gave_up(1, GaveUp::NoRetriesLeft)]);
}

#[test]
fn a_backoff_that_ends_after_the_deadline_is_not_slept_for() {
    let mut fetch = given(|rules| rules.deadline = Some(at(200))).began();
    let no_time = GaveUp::NoTime { wanted: millis(250) };
    assert_eq!(fetch.at(10, failed(0, Class::Passing)), [gave_up(0, no_time)]);
}

#[test]
fn backoffs_are_bounded_in_sum_where_there_is_no_deadline() {
    let mut fetch = given(|rules| rules.backoff.total = Some(millis(700))).began();
    fetch.at(0, failed(0, Class::Passing));
    fetch.at(250, Fact::Woke);
    assert_eq!(fetch.at(250, failed(1, Class::Passing)), [gave_up(1, GaveUp::SleptEnough)]);
}

#[test]
fn a_fixed_pause_is_waited_for_and_a_longer_retry_after_counts() {
    let mut fetch = given(|rules| rules.backoff.pause = Some(millis(1_000))).began();
    fetch.at(0, failed(0, Class::Passing));
    assert_eq!(fetch.wake(), Some(at(1_000)));
    assert_eq!(fetch.at(1_000, Fact::Woke), [start(1, 0, Retry)]);
    fetch.at(1_500, asked(1, 500));
    assert_eq!(fetch.wake(), Some(at(2_500)));
    fetch.at(2_500, Fact::Woke);
    fetch.at(2_500, asked(2, 2_000));
    assert_eq!(fetch.wake(), Some(at(4_700)));
}

#[test]
fn a_retry_that_is_due_after_the_time_for_retries_is_not_slept_for() {
    let within = |rules: &mut Rules| rules.retry_within = Some(millis(300));
    let mut fetch = given(within).began();
    fetch.at(0, failed(0, Class::Passing));
    assert_eq!(fetch.at(250, Fact::Woke), [start(1, 0, Retry)]);
    let over = |attempt, wanted| gave_up(attempt, GaveUp::WindowOver { wanted: millis(wanted) });
    assert_eq!(fetch.at(260, failed(1, Class::Passing)), [over(1, 500)]);
    let mut late = given(within).began();
    late.at(0, failed(0, Class::Passing));
    assert_eq!(late.at(301, Fact::Woke), [over(0, 0)]);
}

#[test]
fn a_retry_after_is_obeyed_with_a_tenth_of_jitter_and_is_no_backoff() {
    let mut fetch = given(|rules| rules.backoff.total = Some(millis(300))).began();
    fetch.at(0, asked(0, 2_000));
    assert_eq!(fetch.wake(), Some(at(2_200)));
    assert_eq!(fetch.at(2_200, Fact::Woke), [start(1, 0, Retry)]);
}

#[test]
fn a_retry_after_is_not_waited_for_where_there_is_another_mirror() {
    let mut fetch = given(|rules| rules.mirrors = 2).began();
    assert_eq!(fetch.at(10, asked(0, 2_000)), [start(1, 1, Retry)]);
    fetch.at(20, failed(1, Class::Passing));
    assert_eq!(fetch.at(270, Fact::Woke), [start(2, 1, Retry)]);
}

#[test]
fn a_retry_after_beyond_the_limit_ends_the_fetch() {
    let mut fetch = given(|_| ()).began();
    let stay_away = GaveUp::AskedToStayAway { wanted: millis(301_000) };
    assert_eq!(fetch.at(0, asked(0, 301_000)), [gave_up(0, stay_away)]);
}

#[test]
fn an_unprocessed_request_is_redone_once_without_budget() {
    let mut fetch = given(|_| ()).emptied_of(Extra::Retry).began();
    assert_eq!(fetch.at(0, failed(0, Class::Unprocessed)), [start(1, 0, Redo)]);
    assert_eq!(fetch.at(0, failed(1, Class::Unprocessed)), []);
    assert_eq!(fetch.at(250, Fact::Woke), [gave_up(1, GaveUp::NoBudget)]);
}

#[test]
fn a_failure_that_lasts_here_is_never_tried_here_again() {
    let mut fetch = given(|rules| rules.mirrors = 2).began();
    assert_eq!(fetch.at(0, failed(0, Class::LastingHere)), [start(1, 1, Retry)]);
    fetch.at(0, failed(1, Class::Passing));
    assert_eq!(fetch.at(250, Fact::Woke), [start(2, 1, Retry)]);
    assert_eq!(fetch.at(300, failed(2, Class::LastingHere)), [gave_up(2, GaveUp::Lasting)]);
}

#[test]
fn a_failure_that_lasts_everywhere_stops_the_others() {
    let mut fetch = given(race).began();
    let others = [stop(0, StopReason::Pointless), stop(2, StopReason::Pointless)];
    let orders = fetch.at(0, failed(1, Class::LastingEverywhere));
    assert_eq!(orders, [&others[..], &[gave_up(1, GaveUp::Lasting)]].concat());
}

#[test]
fn a_request_that_must_not_be_sent_twice_is_retried_only_while_unsent() {
    let mut fetch = given(|rules| rules.repeatable = Repeatable::WhileUnsent).began();
    let unsent = Failure { class: Class::Passing, retry_after: None, sent: Sent::Nothing };
    fetch.at(0, Fact::Failed { attempt: 0, failure: unsent });
    assert_eq!(fetch.at(250, Fact::Woke), [start(1, 0, Retry)]);
    assert_eq!(fetch.at(300, failed(1, Class::Passing)), [gave_up(1, GaveUp::NotRepeatable)]);
}

#[test]
fn a_silent_attempt_is_hedged_at_another_mirror_and_loses() {
    let mut fetch = given(|rules| (hedged(rules), rules.mirrors = 2).1).began();
    assert_eq!(fetch.wake(), Some(at(100)));
    assert_eq!(fetch.at(100, Fact::Woke), [start(1, 1, Hedged)]);
    assert_eq!(fetch.wake(), None);
    assert_eq!(fetch.at(150, Fact::Led { attempt: 1 }), [stop(0, StopReason::Superseded)]);
}

#[test]
fn a_refused_hedge_is_not_asked_for_again() {
    let mut fetch = given(hedged).emptied_of(Extra::Hedge).began();
    assert_eq!(fetch.at(100, Fact::Woke), []);
    assert_eq!((fetch.wake(), fetch.purse.refused()), (None, 1));
    for again in 1..5 {
        assert_eq!(fetch.at(100 + again * 1_000, Fact::Advised), []);
    }
    assert_eq!(fetch.purse.refused(), 1, "one wish is counted once");
}

fn advised(rules: &mut Rules) {
    rules.hedge = Some(Hedge { after: Silence::Advised, at_most: 1 });
}

fn in_a_job(rules: &mut Rules) {
    rules.when_empty = WhenEmpty::Park;
}

#[test]
fn what_is_silent_already_is_hedged_when_its_delay_becomes_known() {
    let mut fetch = given(advised).began();
    assert_eq!((fetch.wake(), fetch.at(50, Fact::Advised)), (None, vec![]));
    fetch = fetch.knowing(None, Some(40));
    assert_eq!(fetch.at(60, Fact::Advised), [start(1, 0, Hedged)]);
    let mut younger = given(advised).began().knowing(None, Some(40));
    assert_eq!((younger.at(30, Fact::Advised), younger.wake()), (vec![], Some(at(40))));
}

#[test]
fn our_own_queue_is_nobodys_silence() {
    let mut fetch = given(hedged);
    fetch.queued_at(0, Fact::Began);
    assert_eq!((fetch.wake(), fetch.at(500, Fact::Woke)), (None, vec![]));
    assert_eq!(fetch.at(600, Fact::Entered { attempt: 0 }), []);
    assert_eq!(fetch.wake(), Some(at(700)));
}

#[test]
fn a_held_hedge_starts_when_its_gate_opens() {
    let mut fetch = given(hedged);
    fetch.known.0.gate = HedgeGate::Held;
    let mut fetch = fetch.began();
    assert_eq!((fetch.wake(), fetch.at(200, Fact::Woke)), (None, vec![]));
    fetch.known.0.gate = HedgeGate::Open;
    assert_eq!(fetch.at(250, Fact::Advised), [start(1, 0, Hedged)]);
}

#[test]
fn a_hedge_or_retry_starts_only_while_the_usual_time_fits_before_the_deadline() {
    let soon = |rules: &mut Rules| (hedged(rules), rules.deadline = Some(at(400))).1;
    let fits = given(soon).knowing(Some(299), None).began();
    let too_long = given(soon).knowing(Some(300), None).began();
    assert_eq!((fits.wake(), too_long.wake()), (Some(at(100)), Some(at(400))));
    let mut fetch = given(|rules| rules.deadline = Some(at(400))).knowing(Some(150), None).began();
    let no_time = GaveUp::NoTime { wanted: millis(250) };
    assert_eq!(fetch.at(0, failed(0, Class::Passing)), [gave_up(0, no_time)]);
}

#[test]
fn in_a_job_a_retry_without_budget_waits_for_a_grant() {
    let mut fetch = given(in_a_job).emptied_of(Extra::Retry).began();
    fetch.at(0, failed(0, Class::Passing));
    assert_eq!(fetch.at(250, Fact::Woke), [Order::Park { mirror: 0 }]);
    assert_eq!(fetch.wake(), None);
    fetch.purse.refill(1);
    assert_eq!(fetch.purse.take(Extra::Retry, 0), crate::policy::budget::Taken::Granted);
    assert_eq!(fetch.at(90_000, Fact::Granted { mirror: 0 }), [start(1, 0, Retry)]);
    assert_eq!(fetch.purse.balance(Extra::Retry), Some(0));
}

#[test]
fn a_parked_retry_is_given_up_for_want_of_budget_at_the_deadline_only() {
    let rules = |rules: &mut Rules| (in_a_job(rules), rules.deadline = Some(at(9_000))).1;
    let mut fetch = given(rules).emptied_of(Extra::Retry).began();
    fetch.at(0, failed(0, Class::Passing));
    assert_eq!(fetch.at(250, Fact::Woke), [Order::Park { mirror: 0 }]);
    assert_eq!(fetch.wake(), Some(at(9_000)));
    assert_eq!(fetch.at(9_000, Fact::Woke), [gave_up(0, GaveUp::NoBudget)]);
}

#[test]
fn a_grant_that_nobody_waits_for_any_more_is_given_back() {
    let mut fetch = given(|rules| (in_a_job(rules), race(rules)).1).emptied_of(Extra::Retry).began();
    fetch.at(0, failed(0, Class::Passing));
    assert_eq!(fetch.at(250, Fact::Woke), [Order::Park { mirror: 0 }]);
    let orders = fetch.at(300, Fact::Led { attempt: 1 });
    assert_eq!(orders, [Order::Unpark { mirror: 0 }, stop(2, StopReason::Superseded)]);
    assert_eq!(fetch.at(301, Fact::Granted { mirror: 0 }), []);
    assert_eq!(fetch.purse.balance(Extra::Retry), Some(1));
}

#[test]
fn a_race_starts_every_leg_and_the_first_to_lead_wins() {
    let mut fetch = given(race);
    assert_eq!(fetch.at(0, Fact::Began), [start(0, 0, First), start(1, 1, First), start(2, 2, First)]);
    let losers = [stop(0, StopReason::Superseded), stop(2, StopReason::Superseded)];
    assert_eq!(fetch.at(7, Fact::Led { attempt: 1 }), losers);
    assert_eq!(fetch.at(8, Fact::Led { attempt: 0 }), []);
}

#[test]
fn a_failure_never_wins_while_another_attempt_lives() {
    let mut fetch = given(|rules| (race(rules), rules.retries = Some(0)).1).began();
    assert_eq!(fetch.at(0, failed(0, Class::Passing)), []);
    assert_eq!(fetch.at(0, failed(1, Class::LastingHere)), []);
    assert_eq!(fetch.at(0, failed(2, Class::Passing)), [gave_up(2, GaveUp::NoRetriesLeft)]);
}

#[test]
fn a_leader_that_fails_is_retried() {
    let mut fetch = given(|_| ()).began();
    fetch.at(0, Fact::Led { attempt: 0 });
    assert_eq!(fetch.at(10, failed(0, Class::Passing)), []);
    assert_eq!(fetch.at(260, Fact::Woke), [start(1, 0, Retry)]);
}

#[test]
fn a_leader_ends_every_plan_but_not_what_was_spent() {
    let mut fetch = given(|rules| (race(rules), rules.retries = Some(1)).1).began();
    fetch.at(0, failed(0, Class::Passing));
    assert_eq!(fetch.at(10, Fact::Led { attempt: 1 }), [stop(2, StopReason::Superseded)]);
    assert_eq!(fetch.wake(), None);
    assert_eq!(fetch.at(20, failed(1, Class::Passing)), [start(3, 2, Retry)]);
}

#[test]
fn cancelling_stops_all() {
    let mut fetch = given(|_| ()).began();
    let orders = fetch.at(3, Fact::Cancelled);
    assert_eq!(orders, [stop(0, StopReason::Cancelled), Order::Settle(Verdict::Cancelled)]);
}

#[test]
fn a_machine_is_small() {
    assert!(size_of::<Machine>() <= 672, "{}", size_of::<Machine>());
}
