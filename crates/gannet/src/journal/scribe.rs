//! The journal's own thread, and the queues to and from it: what is new goes in and is committed in groups, blocks of
//! what is known come out, read a little ahead. The thread belongs to the journal's last handle, which joins it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::Resumed;
use super::earlier::Wanted;
use super::group::{Group, Write};
use super::naming::{Naming, Reopens, Tell};
use super::shelf::{Changed, News, Shelf, Which};
use super::store::{Block, Store};
use super::sum::Sum;
use crate::Moment;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::event::Event;
use crate::outcome::{Ending, Entry};
use crate::version::Written;

/// How long a group of rows is waited for after its first.
const GROUP_TIME: Duration = Duration::from_millis(50);
/// A group of so many rows and lines is committed at once.
const GROUP: usize = 4096;
/// Rows and lines that may wait for the thread; when so many do, the list waits for it. What is under way then may
/// still add its rows.
pub(super) const QUEUE: usize = 16_384;
/// Blocks of what is known that are read ahead.
const AHEAD: usize = 2;

/// The queues.
#[derive(Debug)]
pub(super) struct Scribe {
    clock: Clock,
    state: Mutex<State>,
    /// The thread waits here.
    told: Condvar,
    /// The job waits here.
    waker: AtomicWaker,
    /// Whether attempts are read with their rows.
    reads_attempts: AtomicBool,
}

#[derive(Debug)]
struct State {
    group: Group,
    /// The room of the group before.
    spare: Group,
    /// What is new of parts.
    shelf: Shelf,
    /// When they are to be committed, if nothing hurries them.
    due: Option<Moment>,
    /// Whether a journal among them is to be put aside.
    has_fork: bool,
    /// Whether the thread is to commit without waiting for more.
    hurry: Hurry,
    /// Whether the thread is committing what was in `group`.
    is_committing: bool,
    /// The lines of the parts that it is writing down.
    parts_under_way: Vec<u64>,
    /// Who waits until a part is written down.
    waiting: Vec<Waker>,
    /// What is told of files before anything is read.
    naming: Naming,
    blocks: VecDeque<Block>,
    /// Lines from the first to the second, which is not among them, are still to be read.
    to_read: std::ops::Range<u64>,
    /// What earlier jobs are asked about, and what they say.
    wanted: Option<Box<Wanted>>,
    found: Option<Written>,
    /// How often they were asked: who has gone may have left a question.
    questions: u64,
    failed: Option<Error>,
    is_closing: bool,
    /// The thread has ended: nothing more is read or written.
    is_over: bool,
    /// What is committed.
    summary: Resumed,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Hurry {
    #[default]
    No,
    Yes,
}

/// What the thread does next.
enum Step {
    Name(Naming),
    Read(u64),
    LookUp(Box<Wanted>, u64),
    Commit(Group, Vec<News>),
    Close,
}

/// Takes down what becomes of the parts of a job.
#[derive(Debug, Clone)]
pub(crate) struct PartLog(Arc<Scribe>);

impl PartLog {
    pub(super) fn of(scribe: &Arc<Scribe>) -> Self {
        Self(Arc::clone(scribe))
    }

    /// Takes note of what is said of parts.
    pub(crate) fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Part { seq, part } => {
                let now = self.0.clock.now();
                self.0.tell(|shelf| shelf.note(*seq, Box::new((*part).clone()), now));
            }
            Event::PartGone { seq } => self.0.tell(|shelf| shelf.gone(*seq)),
            _ => {}
        }
    }

    /// Ready when what was said of this line's part is committed, or never will be.
    pub(crate) fn poll_written(&self, seq: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        let is_on_its_way = state.shelf.has_news_of(seq) || state.parts_under_way.contains(&seq);
        if state.failed.is_some() || state.is_over || !is_on_its_way {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        state.hurry = Hurry::Yes;
        drop(state);
        self.0.told.notify_one();
        Poll::Pending
    }
}

impl Scribe {
    /// Starts the thread.
    pub(super) fn start(store: Store, shelf: Shelf) -> std::io::Result<(Arc<Self>, JoinHandle<Store>)> {
        let state = State {
            group: Group::default(),
            spare: Group::default(),
            shelf,
            due: None,
            has_fork: false,
            hurry: Hurry::No,
            is_committing: false,
            parts_under_way: Vec::new(),
            waiting: Vec::new(),
            naming: Naming::Done,
            blocks: VecDeque::new(),
            to_read: 0..0,
            wanted: None,
            found: None,
            questions: 0,
            failed: None,
            is_closing: false,
            is_over: false,
            summary: store.header().resumed(),
        };
        let (told, waker) = (Condvar::new(), AtomicWaker::new());
        let scribe = Arc::new(Self {
            clock: Clock::new(),
            state: Mutex::new(state),
            told,
            waker,
            reads_attempts: AtomicBool::new(false),
        });
        let shared = Arc::clone(&scribe);
        let thread = std::thread::Builder::new()
            .name("gannet-journal".to_owned())
            .spawn(move || shared.work(store))?;
        Ok((scribe, thread))
    }

    /// Attempts are read with their rows, by the thread.
    pub(super) fn read_attempts(&self) {
        self.reads_attempts.store(true, Ordering::Relaxed);
    }

    /// From here on what is known of these lines is read ahead.
    pub(super) fn read_ahead(&self, lines: std::ops::Range<u64>) {
        let mut state = self.lock();
        state.blocks.clear();
        state.to_read = lines;
        drop(state);
        self.told.notify_one();
    }

    /// Before another block is handed out, `tell` hears of the files of what has settled behind the first line that has not.
    pub(super) fn tell_names(&self, tell: Tell, reopens: Reopens) {
        self.lock().naming = Naming::Due(tell, reopens);
        self.told.notify_one();
    }

    /// The next block of what is known.
    ///
    /// # Errors
    /// The journal is damaged or gone.
    pub(super) fn poll_block(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Block>, Error>> {
        self.waker.register(cx.waker());
        let mut state = self.lock();
        if let Some(error) = Self::over(&state) {
            return Poll::Ready(Err(error));
        }
        if !matches!(state.naming, Naming::Done) {
            return Poll::Pending;
        }
        let block = state.blocks.pop_front();
        let is_over = state.to_read.is_empty();
        drop(state);
        match block {
            Some(block) => {
                self.told.notify_one();
                Poll::Ready(Ok(Some(block)))
            }
            None if is_over => Poll::Ready(Ok(None)),
            None => Poll::Pending,
        }
    }

    /// Asks what earlier jobs have written down; one thing at a time.
    pub(super) fn look_up(&self, wanted: Wanted) {
        let mut state = self.lock();
        state.wanted = Some(Box::new(wanted));
        state.found = None;
        state.questions += 1;
        drop(state);
        self.told.notify_one();
    }

    /// What they have written down.
    pub(super) fn poll_found(&self, cx: &mut Context<'_>) -> Poll<Written> {
        self.waker.register(cx.waker());
        let mut state = self.lock();
        match state.found.take() {
            Some(written) => Poll::Ready(written),
            None if state.failed.is_some() || state.is_over => Poll::Ready(Written::NoVersion),
            None => Poll::Pending,
        }
    }

    /// Ready when there is room for more, or the error that ended it.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let room = || {
            let state = self.lock();
            match Self::over(&state) {
                Some(error) => Poll::Ready(Err(error)),
                None if state.group.len() < QUEUE => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        };
        let first = room();
        if first.is_ready() {
            return first;
        }
        self.waker.register(cx.waker());
        room()
    }

    /// Hands something over; it is committed with its group.
    pub(super) fn push(&self, write: Write) {
        self.add(|state| {
            match &write {
                Write::Fork(at) => {
                    state.has_fork = true;
                    state.shelf.cut(*at);
                }
                Write::DropParts => state.shelf.cut(0),
                _ => {}
            }
            state.group.push(write);
        });
    }

    /// Hands over what is to be kept of one request; `before` is what the row in its place counted for.
    pub(super) fn push_row(&self, entry: &Entry<'_>, row: &Sum, before: Option<(Ending, u64)>) {
        self.add(|state| {
            // The body has its name, or is there already.
            if matches!(entry.ending, Ending::Ok | Ending::Skipped) {
                state.shelf.gone(entry.seq);
            }
            state.group.push_row(entry, row, before);
        });
    }

    fn add(&self, add: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        if state.failed.is_some() {
            return;
        }
        add(&mut state);
        let wakes = state.group.len() == 1 || state.group.len() == GROUP;
        drop(state);
        if wakes {
            self.told.notify_one();
        }
    }

    /// Changes what is known of parts; the last word on each is committed with a group.
    fn tell(&self, change: impl FnOnce(&mut Shelf) -> Changed) {
        let mut state = self.lock();
        if state.failed.is_some() {
            return;
        }
        let changed = change(&mut state.shelf);
        drop(state);
        if changed == Changed::Yes {
            self.told.notify_one();
        }
    }

    /// Ready when all that was handed over is committed.
    pub(super) fn poll_committed(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.waker.register(cx.waker());
        let mut state = self.lock();
        if let Some(error) = Self::over(&state) {
            return Poll::Ready(Err(error));
        }
        if state.group.is_empty() && !state.shelf.has_news() && !state.is_committing {
            return Poll::Ready(Ok(()));
        }
        state.hurry = Hurry::Yes;
        drop(state);
        self.told.notify_one();
        Poll::Pending
    }

    /// What has ended it.
    pub(super) fn error(&self) -> Option<Error> {
        self.lock().failed.clone()
    }

    /// The same, for one who waits.
    fn over(state: &State) -> Option<Error> {
        let closed = || {
            let message = "the journal was closed, or its thread has died, while a job worked with it";
            Error::new(ErrorKind::JournalFailed, Phase::Queue, message)
        };
        state.failed.clone().or_else(|| state.is_over.then(closed))
    }

    /// The thread commits what there is, and ends.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.told.notify_one();
    }

    /// What is committed.
    pub(super) fn summary(&self) -> Resumed {
        self.lock().summary
    }

    fn work(&self, mut store: Store) -> Store {
        let _over = Over(self);
        loop {
            match self.next_step() {
                Step::Name(naming) => {
                    let told = naming.tell(&store);
                    let mut state = self.lock();
                    state.naming = Naming::Done;
                    if let Err(error) = told {
                        state.fail(error);
                    }
                }
                Step::Read(line) => {
                    let found = store.read(line);
                    if let Ok(found) = &found
                        && self.reads_attempts.load(Ordering::Relaxed)
                    {
                        for row in &found.rows {
                            let _ = row.attempts();
                        }
                    }
                    let mut state = self.lock();
                    match found {
                        // Who asks meanwhile is to wait for it.
                        Ok(found) => {
                            state.to_read.start = found.first + found.hashes.len() as u64;
                            state.blocks.push_back(found);
                        }
                        Err(error) => state.fail(error),
                    }
                }
                Step::LookUp(wanted, question) => {
                    let found = store.look_up(&wanted);
                    let mut state = self.lock();
                    if state.questions == question {
                        state.found = Some(found);
                    }
                }
                Step::Commit(mut group, parts) => {
                    let committed = store.commit(&group, parts);
                    group.clear();
                    let mut state = self.lock();
                    state.spare = group;
                    state.is_committing = false;
                    state.parts_under_way.clear();
                    state.summary = store.header().resumed();
                    if let Err(error) = committed {
                        state.fail(error);
                    }
                }
                Step::Close => return store,
            }
            self.wake();
        }
    }

    /// Whoever waits looks again.
    fn wake(&self) {
        self.waker.wake();
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits for something to do. A group is waited for from its first row on, whatever is asked meanwhile.
    fn next_step(&self) -> Step {
        let mut state = self.lock();
        loop {
            if let Naming::Due(..) = state.naming {
                return Step::Name(std::mem::replace(&mut state.naming, Naming::UnderWay));
            }
            if state.wants_block() {
                return Step::Read(state.to_read.start);
            }
            // What is put aside before is looked into, too.
            if state.wanted.is_some() && state.has_fork {
                return state.commit(self.clock.now());
            }
            if let Some(wanted) = state.wanted.take() {
                return Step::LookUp(wanted, state.questions);
            }
            let parts_due = state.shelf.due_at();
            if state.group.is_empty() && parts_due.is_none() {
                state.hurry = Hurry::No;
                if state.is_closing {
                    return Step::Close;
                }
                state = self.told.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = self.clock.now();
            let is_begun = !state.group.is_empty() || parts_due.is_some_and(|due| due <= now);
            let group_due = is_begun.then(|| *state.due.get_or_insert(now + GROUP_TIME));
            let due = group_due.or(parts_due).unwrap_or(now);
            if state.is_urgent() || (is_begun && due <= now) {
                return state.commit(now);
            }
            let waited = self.told.wait_timeout(state, due.since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the thread has ended, however it did.
struct Over<'s>(&'s Scribe);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.wake();
    }
}

impl State {
    fn wants_block(&self) -> bool {
        !self.to_read.is_empty() && self.blocks.len() < AHEAD && !self.is_closing
    }

    fn is_urgent(&self) -> bool {
        self.hurry == Hurry::Yes || self.is_closing || self.group.len() >= GROUP
    }

    fn commit(&mut self, now: Moment) -> Step {
        let is_over = self.hurry == Hurry::Yes || self.is_closing;
        let parts = self.shelf.take(if is_over { Which::All } else { Which::Due }, now);
        (self.hurry, self.due, self.has_fork) = (Hurry::No, None, false);
        self.is_committing = true;
        self.parts_under_way.extend(parts.iter().map(|(seq, _)| *seq));
        let next = std::mem::take(&mut self.spare);
        Step::Commit(std::mem::replace(&mut self.group, next), parts)
    }

    /// Nothing more is read or written: what was not committed is not trusted, and not tried again.
    fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
        self.group = Group::default();
        self.shelf.clear();
        self.to_read = 0..0;
    }
}
