//! Runs a plan: one loop over signals, outcomes and ticks, then the end in good order. What an outcome means for the
//! exit code is decided in `exit`.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use futures_util::FutureExt as _;
use gannet::source::Source;
use gannet::{Concurrency, Error, ErrorKind, FetchEach, Goal, JobReport, Outcome};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::exit::{Exit, Stopped, judge};
use crate::job::{Job as Kept, Told};
use crate::plan::{Crowd, Jar, JarPlace, OnFailure, Output, Plan, Unsaved};
use crate::report::{Closing, Records};
use crate::say::{
    Complaint, Errors, Eyes, Level, Meter, Sight, Voice, Watchdog, Watched, as_given, closing_line,
    held_back_by, queued, stuck,
};
use crate::signals::{Signal, Signals};

/// After a signal, and after the deadline, what was committed may still be written for so long.
const GRACE: Duration = Duration::from_millis(200);

/// Outcomes that are taken at once, before signals are looked at again.
const FLOCK: usize = 32;

/// Runs a plan to its end. Threads that wait for standard input or a look-up are not waited for.
pub(crate) fn run(
    plan: Plan,
    (records, kept): (Records, Option<Kept>),
    voice: &Voice,
    begun: Instant,
) -> io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        let mut run = Run::begin(plan, (records, kept), voice.clone(), begun)?;
        while run.step().await == Step::GoOn {}
        Ok(run.close().await)
    });
    runtime.shutdown_background();
    exit
}

/// A run under way.
struct Run {
    job: FetchEach<Box<dyn Source + Send>>,
    signals: Signals,
    tick: Interval,
    output: Output,
    records: Records,
    jar: Option<Jar>,
    /// What is done is kept there.
    kept: Option<Kept>,
    voice: Voice,
    errors: Errors,
    meter: Meter,
    /// Only where somebody wants to hear what the run hangs on.
    watchdog: Option<Watchdog>,
    counts: JobReport,
    crowd: Crowd,
    goal: Goal,
    begun: Instant,
    deadline: Option<Instant>,
    stopped: Option<Stopped>,
    stopped_at: Option<Instant>,
    grace: Duration,
    /// Until when what runs may go on, after a signal.
    grace_ends: Option<Instant>,
    at_once: Concurrency,
    per_host: Option<u32>,
    held_back_by: Option<String>,
}

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    GoOn,
    Over,
}

impl Run {
    fn begin(
        plan: Plan,
        (records, kept): (Records, Option<Kept>),
        voice: Voice,
        begun: Instant,
    ) -> io::Result<Self> {
        let by = eyes(&plan.output);
        let meter = Meter::new(Watched { style: plan.progress, crowd: plan.crowd, by }, &voice, begun);
        let mut tick = tokio::time::interval(meter.period());
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let job = plan
            .client
            .fetch_each(plan.source)
            .save_with(plan.sink)
            .concurrency(plan.at_once)
            .until(plan.goal);
        let job = match &kept {
            Some(kept) => {
                let journal = kept.journal();
                if !records.is_empty() {
                    journal.read_attempts_ahead();
                }
                job.journal(journal)
            }
            None => job,
        };
        let job = match plan.on_failure {
            OnFailure::GoOn => job,
            OnFailure::Stop => job.fail_early(),
        };
        let job = match plan.deadline {
            Some(at) => job.deadline(at),
            None => job,
        };
        Ok(Self {
            job,
            signals: Signals::listen()?,
            tick,
            output: plan.output,
            records,
            jar: plan.jar,
            kept,
            watchdog: (voice.level() == Level::Attempts).then(|| Watchdog::new(begun, plan.deadline)),
            voice,
            errors: Errors::default(),
            meter,
            counts: JobReport::default(),
            crowd: plan.crowd,
            goal: plan.goal,
            begun,
            deadline: plan.deadline,
            stopped: None,
            stopped_at: None,
            grace: plan.grace,
            grace_ends: None,
            at_once: plan.at_once,
            per_host: plan.per_host,
            held_back_by: None,
        })
    }

    /// Waits for the next thing to happen, and does what follows from it.
    async fn step(&mut self) -> Step {
        let leave_by = self.leave_by();
        let may_break = self.stopped.is_none() || self.grace_ends.is_some();
        tokio::select! {
            biased;
            signal = self.signals.next() => self.signalled(signal),
            error = output_broke(&self.output), if may_break => self.output_broke(&error),
            (name, kind) = self.records.broken(), if may_break => self.record_broke(&name, kind),
            () = until(self.grace_ends) => self.cancel(),
            () = until(self.watchdog.as_ref().and_then(Watchdog::wake)) => self.watch(Instant::now()),
            now = self.tick.tick() => self.ticked(now),
            outcome = next(&mut self.job, &self.records, &self.voice, leave_by) => {
                self.settled_some(outcome.as_ref(), leave_by)
            }
        }
    }

    /// Outcomes come in flocks: what is ready with the first is taken with it, before the others are asked again.
    fn settled_some(&mut self, first: Option<&Outcome>, leave_by: Option<Instant>) -> Step {
        let mut step = self.settled(first);
        for _ in 1..FLOCK {
            if step == Step::Over {
                break;
            }
            let more = next(&mut self.job, &self.records, &self.voice, leave_by).now_or_never();
            let Some(outcome) = more else { break };
            step = self.settled(outcome.as_ref());
        }
        step
    }

    /// The first signal stops the job, after its grace if it has one; the second ends the program at once.
    fn signalled(&mut self, signal: Signal) -> Step {
        if let Some(Stopped::By(first)) = self.stopped {
            std::process::exit(i32::from(first.exit_code()));
        }
        if self.grace.is_zero() {
            return self.stop(Stopped::By(signal));
        }
        self.stopped = Some(Stopped::By(signal));
        self.grace_ends = Some(Instant::now() + self.grace);
        self.job.drain();
        let grace = as_given(self.grace);
        self.voice
            .note(&format!("{}: what runs may go on for {grace}; once more ends it now", signal.name()));
        self.end_vain_grace(Instant::now());
        Step::GoOn
    }

    /// Where all that is left cannot be asked within the grace, it is not waited out.
    fn end_vain_grace(&mut self, now: Instant) {
        if let Some(ends) = self.grace_ends
            && self.job.rests_for().is_some_and(|rest| now + rest >= ends)
        {
            self.cancel();
        }
    }

    fn output_broke(&mut self, error: &Error) -> Step {
        if error.kind() == ErrorKind::SinkClosed {
            return self.stop(Stopped::StdoutClosed);
        }
        self.voice.complain(&Complaint::from(error.clone()));
        self.stop(Stopped::OutputBroken)
    }

    fn record_broke(&mut self, name: &str, kind: io::ErrorKind) -> Step {
        if kind == io::ErrorKind::BrokenPipe {
            return self.stop(Stopped::StdoutClosed);
        }
        let complaint = Complaint::new(format!("{name} cannot be written")).why(kind.to_string());
        self.voice.complain(
            &complaint.fix("free some space there, or name another file, and run the same command again"),
        );
        self.stop(Stopped::OutputBroken)
    }

    fn stop(&mut self, why: Stopped) -> Step {
        // During a signal's grace the signal stays the reason.
        if self.grace_ends.is_none() {
            self.stopped = Some(why);
        }
        self.cancel()
    }

    /// Ends what runs.
    fn cancel(&mut self) -> Step {
        self.grace_ends = None;
        self.stopped_at = Some(Instant::now());
        self.job.cancel();
        Step::GoOn
    }

    /// Says what the run hangs on, if it is time to.
    fn watch(&mut self, now: Instant) -> Step {
        let job = &self.job;
        let Some(watchdog) = &mut self.watchdog else { return Step::GoOn };
        let lines = || {
            let slowest = job.slowest();
            slowest.iter().map(stuck).chain(queued(job.queued(), &job.held_back())).collect()
        };
        if let Some(text) = watchdog.look(now, job.progress(), lines) {
            self.voice.tell_stuck(&text);
        }
        Step::GoOn
    }

    fn ticked(&mut self, now: Instant) -> Step {
        self.watch(now);
        self.end_vain_grace(now);
        let job = &self.job;
        let look = || Sight { progress: job.progress(), held_back: job.held_back(), slowest: job.slowest() };
        self.meter.tell(now, look);
        self.records.flush();
        Step::GoOn
    }

    fn settled(&mut self, outcome: Option<&Outcome>) -> Step {
        let Some(outcome) = outcome else { return Step::Over };
        self.counts.add(outcome);
        self.records.settled(outcome);
        self.voice.tell_attempts(outcome);
        if !self.is_of_closed_stdout(outcome.error())
            && let Some(complaint) = self.errors.of(outcome)
        {
            self.voice.complain(&complaint);
        }
        Step::GoOn
    }

    /// Writes what is left, says how it ended, and gives the exit code.
    async fn close(mut self) -> Exit {
        if self.grace_ends.take().is_some() {
            // All that ran has ended within its grace.
            self.stopped_at = Some(Instant::now());
        }
        self.notice_the_end();
        self.settle_journal().await;
        self.counts.note_held_back(self.job.held_back_times());
        self.counts.note_budget(self.job.budget());
        self.held_back_by =
            self.counts.held_back_by().map(|cause| held_back_by(cause, self.at_once, self.per_host));
        self.finish_output().await;
        self.meter.end();
        self.save_cookies(JarPlace::File);
        self.finish_records(judge(self.stopped, self.goal, &self.counts)).await;
        self.save_cookies(JarPlace::Stdout);
        let exit = judge(self.stopped, self.goal, &self.counts);
        self.say_how_it_ended(exit);
        let pen = self.voice.pen().clone();
        self.patiently(pen.written()).await;
        let told = if self.stopped.is_none() { Told::Yes } else { Told::No };
        let closed = self.kept.as_mut().map_or(Ok(()), |kept| kept.close(told));
        self.noticed_of_journal(closed);
        self.patiently(pen.written()).await;
        judge(self.stopped, self.goal, &self.counts)
    }

    /// Waits until all that is done is written down.
    async fn settle_journal(&mut self) {
        let failed = self.job.error().cloned();
        if let Some(error) = &failed
            && self.counts.fatal().is_none()
        {
            self.voice.complain(&Complaint::from(error.clone()));
            self.counts.note_fatal(error.clone());
        }
        let exit = judge(self.stopped, self.goal, &self.counts);
        if let Some(kept) = &mut self.kept {
            let settled = kept.settle(exit).await;
            self.noticed_of_journal(settled);
        }
    }

    fn noticed_of_journal(&mut self, came: Result<(), Error>) {
        let Err(error) = came else { return };
        if self.counts.fatal().is_none() {
            self.voice.complain(&Complaint::from(error.clone()));
        }
        self.counts.note_fatal(error);
    }

    fn say_how_it_ended(&self, exit: Exit) {
        if exit == Exit::StdoutClosed {
            return;
        }
        self.errors.folded().iter().for_each(|line| self.voice.complain_more(line));
        if exit == Exit::Refused && self.counts.inputs() == 0 && self.counts.fatal().is_none() {
            return self
                .voice
                .complain(&Complaint::new("the input holds no URL").fix("give it one URL a line"));
        }
        let closing = self.closing(exit);
        if let Some(line) = closing_line(&closing, self.crowd) {
            self.voice.note(&line);
        }
    }

    /// What ended the job, if it was not said when it happened.
    fn notice_the_end(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        let wants_all = matches!(self.goal, Goal::All | Goal::Percent(_));
        if self.is_of_closed_stdout(self.counts.fatal()) {
            self.stopped = Some(Stopped::StdoutClosed);
        } else if is_late && wants_all && self.crowd == Crowd::Listed && !self.knew_all() {
            self.stopped = Some(Stopped::TooLate);
        }
    }

    /// Whether this run had nothing left to do.
    fn knew_all(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.knew_all(&self.counts))
    }

    /// Waits until standard output has taken what was committed.
    async fn finish_output(&mut self) {
        let Output::Stdout(output) = &self.output else { return };
        let output = output.clone();
        if self.stopped == Some(Stopped::StdoutClosed) {
            return;
        }
        match self.patiently(async move { output.finish().await }).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.output_broke(&error);
            }
            None if self.stopped.is_none() => self.came_too_late("standard output"),
            None => {}
        }
    }

    /// Writes what the records end with, and waits until they are whole.
    async fn finish_records(&mut self, exit: Exit) {
        let mut records = std::mem::take(&mut self.records);
        records.close(&self.closing(exit));
        self.records = records;
        let written = self.records.written();
        let is_written = self.patiently(written).await.is_some();
        match self.records.failure() {
            _ if self.stopped.is_some() => {}
            Some((name, kind)) => {
                self.record_broke(&name, kind);
            }
            None if is_written => {}
            None => self.came_too_late(&self.records.unwritten().join(" and ")),
        }
    }

    /// Writes the cookies, whatever came of the URLs; on standard output they are the last, behind all texts.
    fn save_cookies(&mut self, place: JarPlace) {
        let Some(jar) = self.jar.as_ref().filter(|jar| jar.place() == Some(place)) else { return };
        if place == JarPlace::Stdout && self.stopped == Some(Stopped::StdoutClosed) {
            return;
        }
        match jar.save() {
            Ok(()) => {}
            Err(Unsaved::StdoutClosed) => {
                self.stopped.get_or_insert(Stopped::StdoutClosed);
            }
            Err(Unsaved::Broken(complaint)) => {
                self.voice.complain(&complaint);
                self.stopped.get_or_insert(Stopped::OutputBroken);
            }
        }
    }

    fn came_too_late(&mut self, what: &str) {
        self.voice.complain(&Complaint::new(format!("{what} was not read to its end before the deadline")));
        self.stopped = Some(Stopped::TooLate);
    }

    /// Waits for something at the end, but not for ever: signals and the deadline still hold.
    async fn patiently<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(wait);
        loop {
            let leave_by = self.leave_by().map(|at| at.max(Instant::now() + GRACE / 2));
            tokio::select! {
                biased;
                done = &mut wait => return Some(done),
                signal = self.signals.next() => self.signalled(signal),
                () = until(leave_by) => return None,
            };
        }
    }

    fn closing(&self, exit: Exit) -> Closing<'_> {
        Closing {
            report: &self.counts,
            exit,
            elapsed: self.begun.elapsed(),
            held_back_by: self.held_back_by.as_deref(),
            job: self.kept.as_ref(),
        }
    }

    /// When nothing is waited for any more.
    fn leave_by(&self) -> Option<Instant> {
        [self.deadline, self.stopped_at].into_iter().flatten().min().map(|at| at + GRACE)
    }

    /// `| head` ends a run silently.
    fn is_of_closed_stdout(&self, error: Option<&Error>) -> bool {
        matches!(self.output, Output::Stdout(_))
            && error.is_some_and(|error| error.kind() == ErrorKind::SinkClosed)
    }
}

/// The next outcome, once there is room for what is to be written about it, or no time to wait for room.
///
/// # Cancel safety
/// Dropping it loses nothing.
async fn next(
    job: &mut FetchEach<Box<dyn Source + Send>>,
    records: &Records,
    voice: &Voice,
    leave_by: Option<Instant>,
) -> Option<Outcome> {
    let room = async {
        records.room().await;
        voice.pen().room().await;
    };
    tokio::select! {
        biased;
        () = room => {}
        () = until(leave_by) => {}
    }
    job.next().await
}

async fn output_broke(output: &Output) -> Error {
    match output {
        Output::Stdout(output) => output.closed().await,
        Output::Files | Output::Nowhere => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Bodies on a terminal and a bar there would garble one another.
fn eyes(output: &Output) -> Eyes {
    let bodies_are_shown = matches!(output, Output::Stdout(_)) && io::stdout().is_terminal();
    if io::stderr().is_terminal() && !bodies_are_shown { Eyes::Terminal } else { Eyes::Other }
}
