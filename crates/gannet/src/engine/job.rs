//! Drives one job: reads its source ahead into lines by host, starts what may start, and gives outcomes as they
//! settle. It owns its fetches; dropping it stops all of them. Whose turn it is and when the goal is met is decided
//! in `policy`.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream as _};
use smallvec::smallvec;

use super::attempt::Place;
use super::control::{Control, Tokens, Wish};
use super::core::Core;
use super::errand::{Errand, Keep, Limits, Purpose};
use super::fetch::drive;
use super::gate::{Closed, Entering};
use super::hosts::Host;
use super::lane::Lane;
use super::plan::Plan;
use super::timer::Timer;
use crate::Moment;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::event::{Event, Tallies};
use crate::number::ByNumber;
use crate::outcome::{Ending, Outcome, Record, Verdict, WaitedFor};
use crate::permit::Permit;
use crate::policy::concurrency::Concurrency;
use crate::policy::fetch::Opening;
use crate::policy::hedge::Game;
use crate::policy::job::{Goal, OnFailure, Step, Tally};
use crate::policy::queue::Queue;
use crate::request::Request;
use crate::sink::{Admission, Room, Sink};
use crate::source::{Input, Source};

use held::{Held, Supply};
use late::Late;
use ledger::Ledger;
use places::Places;
use running::Running;
use starting::Turn;
use update::{Looking, Tried};

mod away;
mod held;
pub(crate) mod late;
pub(crate) mod ledger;
mod places;
mod running;
mod starting;
mod update;

/// What a job holds to.
pub(crate) struct JobPlan {
    pub(crate) plan: Arc<Plan>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) purpose: Purpose,
    pub(crate) concurrency: Concurrency,
    pub(crate) goal: Goal,
    pub(crate) on_failure: OnFailure,
    pub(crate) deadline: Option<Moment>,
    pub(crate) control: Arc<Control>,
    pub(crate) tallies: Arc<Tallies>,
    /// What has settled in earlier runs, and what this one settles.
    pub(crate) ledger: Option<Ledger>,
}

/// A job under way.
pub(crate) struct Job {
    core: Arc<Core>,
    lane: Arc<Lane>,
    terms: JobPlan,
    tally: Tally,
    places: Places,
    queue: Queue<Box<Waiting>>,
    hosts: ByNumber<Arc<Host>>,
    /// Lists come sorted by host more often than not.
    last_host: Option<Arc<Host>>,
    running: FuturesUnordered<Running>,
    at_gates: FuturesUnordered<AtGate>,
    /// Places at hosts whose first request waits for the rate of all hosts together.
    entered: VecDeque<(u64, Permit)>,
    turn: Turn,
    done: VecDeque<Outcome>,
    reading: Reading,
    /// Of this one is being looked up what an earlier run knew.
    looking: Option<Box<Looking>>,
    stopped: Option<Stop>,
    inputs: u64,
    read_until: Option<Moment>,
    tokens: Tokens,
    timer: Timer,
    held: Held,
    late: Arc<Late>,
    game: Game,
}

/// A request that was read and waits for its turn.
struct Waiting {
    seq: u64,
    line: Option<u64>,
    request: Request,
    read_at: Moment,
}

/// A wait at a host's gate on the job's behalf.
struct AtGate {
    host: u64,
    entering: Entering,
    what_for: WaitedFor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    On,
    Over,
}

/// Why nothing more is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Deadline,
    Cancelled,
    /// What runs may finish.
    Drained,
}

/// Inputs that are read in one go before others get the thread.
const READS_A_POLL: usize = 256;
/// Fetches that may be under way for each slot, those included that wait at gates or for their backoff.
const PARKED: usize = 8;
/// Fetches that may wait for the purse; when so many do, the list waits for them.
const LATE: usize = 10_000;
/// What a queued request costs beside its own weight, in bytes.
const QUEUE_OVERHEAD: usize = 80;
/// How long a source that is not at hand is read on after a stop, to account for what it holds.
const READ_OUT: Duration = Duration::from_millis(100);

impl Future for AtGate {
    type Output = (u64, Result<Permit, Closed>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (host, what_for) = (self.host, self.what_for);
        let entered = Pin::new(&mut self.entering).poll(cx);
        entered.map(|entered| (host, entered.map(|permit| permit.after(what_for))))
    }
}

impl Job {
    pub(crate) fn new(core: Arc<Core>, lane: Arc<Lane>, mut terms: JobPlan, tokens: Tokens) -> Self {
        if let Some(ledger) = &mut terms.ledger {
            let sink = Arc::clone(&terms.sink);
            ledger.name_files(Box::new(move |path| sink.reserve(&path)));
        }
        let places = Places::new(terms.concurrency, core.clock.now());
        Self {
            late: Arc::new(Late::new(Arc::clone(&core))),
            game: Game::Running,
            core,
            lane,
            tally: Tally::new(terms.goal, terms.on_failure),
            places,
            terms,
            queue: Queue::default(),
            hosts: ByNumber::default(),
            last_host: None,
            running: FuturesUnordered::new(),
            at_gates: FuturesUnordered::new(),
            entered: VecDeque::new(),
            turn: Turn::None,
            done: VecDeque::new(),
            reading: Reading::On,
            looking: None,
            stopped: None,
            inputs: 0,
            read_until: None,
            tokens,
            timer: Timer::default(),
            held: Held::default(),
        }
    }

    /// The next outcome, `None` when every input has settled.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut dyn Source,
    ) -> Poll<Option<Outcome>> {
        let mut reads = 0;
        if self.done.is_empty() {
            self.obey(cx);
        }
        loop {
            if let Some(outcome) = self.done.pop_front() {
                self.settled(&outcome);
                return Poll::Ready(Some(outcome));
            }
            if let Poll::Ready(Some(outcome)) = Pin::new(&mut self.running).poll_next(cx) {
                self.settled(&outcome);
                return Poll::Ready(Some(outcome));
            }
            if self.start_some(cx) || self.looked_up(cx) {
                continue;
            }
            if reads >= READS_A_POLL {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut supply = Supply::Enough;
            if self.wants_input() {
                if self.has_read_enough(source) {
                    self.input_ended();
                    continue;
                }
                if self.may_read(cx).is_ready()
                    && let Poll::Ready(input) = source.poll_next(cx)
                {
                    reads += 1;
                    self.read(input);
                    continue;
                }
                supply = Supply::Silent;
            }
            if self.is_over() {
                self.change_held(None);
                std::task::ready!(self.poll_recorded(cx));
                return Poll::Ready(None);
            }
            // After a stop the source is waited for a little, for what it still holds.
            let at = match self.stopped {
                None => self.terms.deadline,
                Some(_) if self.reading == Reading::On && !source.is_at_hand() => self.read_until,
                Some(_) => None,
            };
            let at = [at, self.late_wake(cx)].into_iter().flatten().min();
            if self.timer.poll(cx, &self.core.clock, at).is_pending() {
                self.note_held_back(cx, supply);
                return Poll::Pending;
            }
            self.late.refill(self.core.clock.now());
            self.obey(cx);
        }
    }

    /// Looks at the caller's wishes and at the deadline.
    fn obey(&mut self, cx: &mut Context<'_>) {
        match self.terms.control.wish(cx) {
            Wish::GoOn => {}
            Wish::Drain => self.stop(Stop::Drained),
            Wish::Cancel => self.stop(Stop::Cancelled),
        }
        if self.stopped != Some(Stop::Cancelled) && self.tokens.poll(cx).is_ready() {
            self.stop(Stop::Cancelled);
        }
        if self.terms.deadline.is_some_and(|deadline| deadline <= self.core.clock.now()) {
            self.stop(Stop::Deadline);
        }
    }

    /// Starts nothing more; unless draining, ends what runs. What waits settles unstarted.
    fn stop(&mut self, why: Stop) {
        let harder = matches!(
            (self.stopped, why),
            (None, _) | (Some(Stop::Drained), Stop::Cancelled | Stop::Deadline)
        );
        if !harder {
            return;
        }
        self.stopped = Some(why);
        self.at_gates.clear();
        self.entered.clear();
        self.turn = Turn::None;
        let looking = self.looking.take().map(|looking| looking.waiting);
        for waiting in self.queue.drain().map(|waiting| *waiting).chain(looking) {
            let outcome = unstarted(waiting, why, &self.core);
            self.done.push_back(outcome);
        }
        if why == Stop::Cancelled {
            for running in self.running.iter_mut() {
                let settled = running.fetch.as_mut().stop();
                self.done.push_back(running.outcome(settled));
            }
            self.running.clear();
        }
        // At the deadline each fetch ends by itself, at its next poll: its machine knows the moment.
        self.read_until.get_or_insert(self.core.clock.now() + READ_OUT);
    }

    fn start(&mut self, host: u64, permit: Option<Permit>) {
        let Some(waiting) = self.queue.start(host) else { return };
        let known = match self.queue.peek(host) {
            Some(_) => self.hosts.get(&host).cloned(),
            None => self.hosts.remove(&host),
        };
        let place = known.map(|host| Place { host, permit });
        let Waiting { seq, line, request, read_at } = *waiting;
        let now = self.core.clock.now();
        let url = Box::from(request.url());
        let errand = Errand {
            core: Arc::clone(&self.core),
            lane: Arc::clone(&self.lane),
            plan: Arc::clone(&self.terms.plan),
            seq,
            opening: if request.raced { Opening::Race } else { Opening::One },
            requests: smallvec![request],
            keep: Keep::Whole(Arc::clone(&self.terms.sink)),
            purpose: self.terms.purpose,
            limits: Limits {
                job: self.terms.deadline,
                item: self.terms.plan.timeout.map(|limit| now + limit),
            },
            tallies: Some(Arc::clone(&self.terms.tallies)),
            late: Some(Arc::clone(&self.late)),
            part_log: self.terms.ledger.as_ref().map(Ledger::part_log),
        };
        self.running.push(Running { seq, line, url, fetch: drive(errand, place, read_at) });
    }

    /// Reading runs ahead only while a slot is free and nothing queued may run; after a stop, to account for what
    /// the source still holds.
    fn wants_input(&self) -> bool {
        if self.reading == Reading::Over {
            return false;
        }
        if self.stopped.is_some() {
            return true;
        }
        self.has_slot() && !self.queue.is_full() && self.queue_is_stuck()
    }

    /// After a stop, a source that may be endless is not read out for ever.
    fn has_read_enough(&self, source: &dyn Source) -> bool {
        let over = |until: Moment| until <= self.core.clock.now();
        self.stopped.is_some() && !source.is_at_hand() && self.read_until.is_some_and(over)
    }

    fn queue_is_stuck(&self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        self.queue.next_host().is_none() || self.terms.sink.room(&mut context) != Room::Any
    }

    fn read(&mut self, input: Option<Input>) {
        let Some(mut input) = input else { return self.input_ended() };
        let seq = self.inputs;
        self.inputs += 1;
        self.tell(&Event::Read { seq });
        if let Some(outcome) = self.known(seq, &mut input) {
            return self.done.push_back(outcome);
        }
        let Input { line, request } = input;
        let schemes = self.terms.plan.schemes;
        let mut request = match request.and_then(|request| schemes.check(request)) {
            Ok(request) => request,
            Err(error) => {
                let url = error.url().unwrap_or_default().into();
                return self.settle_unstarted(seq, line, url, Verdict::Not(error));
            }
        };
        let read_at = self.core.clock.now();
        if let Some(why) = self.stopped {
            let outcome = unstarted(Waiting { seq, line, request, read_at }, why, &self.core);
            self.done.push_back(outcome);
            return;
        }
        let admission = self.terms.sink.admit(seq, &mut request);
        let url = || Box::from(request.url());
        match admission {
            Ok(Admission::Skip(path)) => {
                self.skip_own(Waiting { seq, line, request, read_at }, path, Tried::default());
            }
            Err(error) => {
                self.settle_unstarted(seq, line, url(), Verdict::Not(error.of_url(url())));
            }
            Ok(Admission::Fetch) => self.queue(Waiting { seq, line, request, read_at }),
            Ok(Admission::Update(there)) => {
                self.queue_update(Waiting { seq, line, request, read_at }, there);
            }
        }
    }

    /// The sink has something there, which is not told as a body that is known not to be wanted.
    fn skip(&mut self, waiting: Waiting, path: PathBuf) {
        let Waiting { seq, line, mut request, .. } = waiting;
        let url: Box<str> = request.url().into();
        let verdict = match request.outdated.take() {
            Some(outdated) => Verdict::Not(outdated.not_replaced(&path).of_url(url.clone())),
            None => {
                self.drop_part(seq, &mut request);
                Verdict::Skipped(path)
            }
        };
        self.settle_unstarted(seq, line, url, verdict);
    }

    fn queue(&mut self, waiting: Waiting) {
        let host = self.host_of(&waiting.request);
        let weight = waiting.request.weight() + QUEUE_OVERHEAD;
        let number = host.origin.number;
        self.hosts.entry(number).or_insert(host);
        self.queue.push(number, Box::new(waiting), weight);
    }

    fn input_ended(&mut self) {
        self.reading = Reading::Over;
        self.tell_ledger_of_end();
        self.tell(&Event::InputEnded { inputs: self.inputs });
        if self.tally.input_ended(self.inputs) == Step::Met {
            self.stop(Stop::Cancelled);
        }
        self.look_for_the_end_game();
    }

    fn host_of(&mut self, request: &Request) -> Arc<Host> {
        if let Some(last) = &self.last_host
            && *last.origin.key == *request.origin()
        {
            return Arc::clone(last);
        }
        let host = self.core.hosts.of(request.parsed_url());
        self.last_host = Some(Arc::clone(&host));
        host
    }

    fn settle_unstarted(&mut self, seq: u64, line: Option<u64>, url: Box<str>, verdict: Verdict) {
        self.done.push_back(unstarted_as(seq, line, url, verdict));
    }

    fn settled(&mut self, outcome: &Outcome) {
        self.terms.sink.settled(outcome.seq);
        self.record(outcome);
        self.tell(&Event::Settled(outcome));
        self.note_done();
        if outcome.ending() == Ending::Ok && !outcome.is_from_journal() {
            self.late.obtained(self.core.clock.now());
        }
        match self.tally.settled(outcome.ending()) {
            Step::GoOn => {}
            Step::Met | Step::Failed => self.stop(Stop::Cancelled),
        }
        if outcome.error().is_some_and(|error| error.kind().ends_the_output()) {
            self.stop(Stop::Cancelled);
        }
        self.look_for_the_end_game();
    }

    fn tell(&self, event: &Event<'_>) {
        self.terms.tallies.count(event);
        if let Some(watcher) = &self.core.watcher {
            watcher(event);
        }
    }

    fn is_over(&self) -> bool {
        self.reading == Reading::Over
            && self.queue.is_empty()
            && self.looking.is_none()
            && self.running.is_empty()
            && self.done.is_empty()
    }
}

/// Settled before anything of it was sent.
fn unstarted_as(seq: u64, line: Option<u64>, url: Box<str>, verdict: Verdict) -> Outcome {
    let record = Record { started: None, ended: Some(Clock::wall()), ..Record::default() };
    Outcome::new(seq, line, url, verdict, record)
}

fn unstarted(waiting: Waiting, why: Stop, core: &Core) -> Outcome {
    let Waiting { seq, line, request, read_at } = waiting;
    let (kind, message) = match why {
        Stop::Deadline => (ErrorKind::JobDeadline, "the deadline came before its turn"),
        Stop::Cancelled | Stop::Drained => (ErrorKind::Cancelled, "stopped before its turn"),
    };
    let url: Box<str> = request.url().into();
    let error = Error::new(kind, Phase::Queue, message).of_url(url.clone());
    let queued = core.clock.now().since(read_at);
    let record = Record { queued, ended: Some(Clock::wall()), ..Record::default() };
    Outcome::new(seq, line, url, Verdict::Not(error), record)
}
