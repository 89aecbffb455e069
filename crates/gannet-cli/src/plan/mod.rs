//! From options to a plan: what is fetched, by which client, into which sink, and by when. Settings that contradict
//! one another are refused here, before anything is sent. Nothing here runs a fetch.

mod checksums;
mod client;
mod cookies;
mod data;
mod form;
mod glob;
mod input;
mod output;
mod proto;
mod records;
mod request;
mod shown;
mod sums;
mod terminal;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gannet::sink::Sink;
use gannet::source::Source;
use gannet::{Client, ClientBuilder, Concurrency, Durability, Goal, HedgeAfter};
use tokio::time::Instant;

pub(crate) use cookies::{Jar, JarPlace, Unsaved};
pub(crate) use output::Output;
pub(crate) use records::RecordsTo;
pub(crate) use shown::Shown;

use self::checksums::Among;
use self::input::{Pattern, Words};
use self::output::{Around, Chosen, Folders};
use crate::args::{
    AlternativeArgs, BodyArgs, CheckArgs, ChecksumArgs, ColourRule, CrowdArgs, Crowding, Deadline,
    ExistsRule, GetArgs, GoalArgs, HabitArgs, Hedge, ProgressStyle, RaceArgs, RecordArgs, SharedArgs,
    Survival, TimeArgs,
};
use crate::input::Slips;
use crate::job::{Again, Depth, Existing, JobTo, Place, Settings, Start, Written};
use crate::limits::{self, Holding};
use crate::say::{Complaint, Ink, Level, Voice};

/// Fetches at once, unless `-j` says otherwise.
const AT_ONCE: usize = 64;
/// The most of them with `-j auto`.
const AT_MOST: usize = 1024;
/// The longest pause between attempts while `check` waits for a service.
const CHECK_PAUSE: Duration = Duration::from_secs(1);
/// The first one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// All that a run needs to know.
pub(crate) struct Plan {
    pub(crate) client: Client,
    pub(crate) source: Box<dyn Source + Send>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) output: Output,
    pub(crate) crowd: Crowd,
    pub(crate) goal: Goal,
    pub(crate) on_failure: OnFailure,
    pub(crate) deadline: Option<Instant>,
    /// After the first signal, what runs may go on for so long.
    pub(crate) grace: Duration,
    pub(crate) at_once: Concurrency,
    pub(crate) per_host: Option<u32>,
    pub(crate) records: RecordsTo,
    pub(crate) jar: Option<Jar>,
    /// Where what is done is kept, if it is.
    pub(crate) job: Option<JobTo>,
    pub(crate) progress: ProgressStyle,
    /// What is shown in the place of a run, if that was asked for.
    pub(crate) shown: Option<Shown>,
}

/// How many results there will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    /// One, as is known from the start.
    One,
    /// Several, each named on the command line.
    Several,
    /// As many as a list has.
    Listed,
}

/// What a failure does to the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    GoOn,
    Stop,
}

/// What is said, by the options for it.
pub(crate) fn level(shared: &SharedArgs) -> Level {
    let HabitArgs { show_error, .. } = shared.habits;
    let display = &shared.display;
    match (display.silent, show_error) {
        (true, false) => Level::Nothing,
        (true, true) => Level::Errors,
        (false, _) if display.quiet => Level::Errors,
        (false, _) if display.verbose > 0 => Level::Attempts,
        (false, _) => Level::Normal,
    }
}

/// Whether the log is told, too: -v was given twice, and nothing speaks against it.
pub(crate) fn is_logged(shared: &SharedArgs) -> bool {
    shared.display.verbose > 1 && level(shared) == Level::Attempts
}

/// Whether what is said is coloured.
pub(crate) fn ink(shared: &SharedArgs) -> Ink {
    match shared.display.color.unwrap_or_default() {
        ColourRule::Auto => Ink::chosen(),
        ColourRule::Always => Ink::Coloured,
        ColourRule::Never => Ink::Plain,
    }
}

impl Plan {
    /// The plan of `gannet get`.
    pub(crate) fn get(args: &GetArgs, begun: Instant, voice: &Voice) -> Result<Self, Complaint> {
        let GetArgs { urls, input, body, record, goal, time, crowd, alternatives, checksums, shared, .. } =
            args;
        let words = Words::read(urls, &shared.mode)?;
        input::check(&words, input, alternatives)?;
        let number = if input.list.is_some() { Crowd::Listed } else { words.crowd() };
        check_goal(goal, number, words.count())?;
        let mut reads = request::stdin_readers(&shared.request, input.list.as_deref(), (record, shared));
        reads.extend(checksums::stdin_reader(checksums));
        check_stdin(&reads)?;
        let (alternative, expected) = (Some(alternatives), Some(checksums));
        let survival = args.job.durability.unwrap_or_default();
        let journal = Place::journal_beside_files(args);
        let kinds = Kinds {
            alternatives: alternative,
            checksums: expected,
            survival,
            journal: journal.as_deref(),
            ..Kinds::of((body, record), (shared, time))
        };
        let (chosen, records) = kinds.output(words.len(), number, input.list.as_deref())?;
        let base = request::base(&shared.request)?;
        let pattern = Pattern { base: &base, query: request::query(&shared.request)?, body };
        input::check_names(&words, body)?;
        let slips = Slips::default();
        let among = match &input.list {
            Some(list) => Among::List(list),
            None => Among::Words { words: words.len(), urls: words.count() },
        };
        let source = match &input.list {
            Some(list) => input::list(list, input, pattern.clone(), (voice, &slips))?,
            None => input::words(words, input, &alternatives.mirrors, pattern.clone())?,
        };
        let source = checksums::expected(checksums, &among, source)?;
        let jar = Jar::of(&shared.request, &shared.mode)?;
        let mut builder = client::settings(shared, time, jar.as_ref().map(Jar::cookies))?;
        builder = client::with_bodies(builder, body)?;
        if let Some(Hedge::After(silence)) = alternatives.hedge {
            let fixed = if let HedgeAfter::Fixed(length) = silence { Some(length) } else { None };
            client::check_within(("--hedge", fixed), time)?;
            builder = builder.hedge(silence);
        }
        if let Some(budget) = alternatives.hedge_budget {
            builder = builder.hedge_budget(budget.share());
        }
        let asked = Asked { builder, source, number, crowd: Some(crowd), goal: Some(goal), jar };
        let mut job = job(args, number, &chosen.output)?;
        if let Some(job) = &mut job {
            job.list =
                input.list.as_deref().map_or(Ok(None), |list| input::file(list, input, pattern.clone()))?;
            if job.place.is_there() {
                job.again = again(args, pattern)?;
            }
        }
        Ok(Self { job, ..asked.plan(chosen, records.with_slips(slips), kinds, (begun, voice))? })
    }

    /// The same, begun in this way.
    pub(crate) fn started_by(mut self, start: Start) -> Self {
        if let Some(job) = &mut self.job {
            job.start = start;
        }
        self
    }

    /// The plan of `gannet race`.
    pub(crate) fn race(args: &RaceArgs, begun: Instant, voice: &Voice) -> Result<Self, Complaint> {
        let RaceArgs { urls, body, record, time, checksums, shared } = args;
        let words = Words::read(urls, &shared.mode)?;
        let kinds = Kinds { checksums: Some(checksums), ..Kinds::of((body, record), (shared, time)) };
        let (chosen, records) = kinds.output(1, Crowd::One, None)?;
        let mut reads = request::stdin_readers(&shared.request, None, (record, shared));
        reads.extend(checksums::stdin_reader(checksums));
        check_stdin(&reads)?;
        let base = request::base(&shared.request)?;
        let pattern = Pattern { base: &base, query: request::query(&shared.request)?, body };
        let source = input::race(words, pattern)?;
        // Its URLs are one.
        let source = checksums::expected(checksums, &Among::Words { words: 1, urls: 1 }, source)?;
        let jar = Jar::of(&shared.request, &shared.mode)?;
        let builder = client::settings(shared, time, jar.as_ref().map(Jar::cookies))?;
        let builder = client::with_bodies(builder, body)?;
        let asked = Asked { builder, source, number: Crowd::One, crowd: None, goal: None, jar };
        asked.plan(chosen, records, kinds, (begun, voice))
    }

    /// The plan of `gannet check`: as `get --no-body`, with a line for each URL on standard output.
    pub(crate) fn check(args: &CheckArgs, begun: Instant, voice: &Voice) -> Result<Self, Complaint> {
        let CheckArgs { urls, input, record, goal, time, crowd, shared } = args;
        let words = Words::read(urls, &shared.mode)?;
        let (body, alternatives) = (BodyArgs { no_body: true, ..BodyArgs::default() }, Default::default());
        input::check(&words, input, &alternatives)?;
        let number = if input.list.is_some() { Crowd::Listed } else { words.crowd() };
        check_goal(goal, number, words.count())?;
        check_stdin(&request::stdin_readers(&shared.request, input.list.as_deref(), (record, shared)))?;
        let kinds = Kinds::of((&body, record), (shared, time));
        let (chosen, records) = kinds.output(words.len(), number, input.list.as_deref())?;
        let base = request::base(&shared.request)?;
        let pattern = Pattern { base: &base, query: request::query(&shared.request)?, body: &body };
        let slips = Slips::default();
        let source = match &input.list {
            Some(list) => input::list(list, input, pattern, (voice, &slips))?,
            None => input::words(words, input, &[], pattern)?,
        };
        let jar = Jar::of(&shared.request, &shared.mode)?;
        let builder = client::settings(shared, time, jar.as_ref().map(Jar::cookies))?;
        let has_pause = shared.retry.retry_delay.is_some_and(|pause| !pause.is_zero());
        let longest = shared.retry.retry_max_delay.unwrap_or(CHECK_PAUSE);
        let pauses = (FIRST_PAUSE.min(longest), longest);
        let builder = if has_pause { builder } else { builder.backoff(pauses.0, pauses.1) };
        let asked = Asked { builder, source, number, crowd: Some(crowd), goal: Some(goal), jar };
        asked.plan(chosen, records.with_slips(slips).with_check_lines()?, kinds, (begun, voice))
    }
}

/// The groups of options that all subcommands have.
#[derive(Clone, Copy)]
struct Kinds<'a> {
    body: &'a BodyArgs,
    record: &'a RecordArgs,
    shared: &'a SharedArgs,
    time: &'a TimeArgs,
    alternatives: Option<&'a AlternativeArgs>,
    checksums: Option<&'a ChecksumArgs>,
    survival: Survival,
    /// Where the journal of files would lie.
    journal: Option<&'a Path>,
}

impl<'a> Kinds<'a> {
    /// Those that no subcommand is without.
    fn of(
        (body, record): (&'a BodyArgs, &'a RecordArgs),
        (shared, time): (&'a SharedArgs, &'a TimeArgs),
    ) -> Self {
        let (alternatives, checksums, survival, journal) = (None, None, Survival::default(), None);
        Self { body, record, shared, time, alternatives, checksums, survival, journal }
    }

    /// Where bodies and records go.
    fn output(
        &self,
        words: usize,
        crowd: Crowd,
        list: Option<&str>,
    ) -> Result<(Chosen, RecordsTo), Complaint> {
        let Self { body, record, shared, survival, journal, .. } = *self;
        let mode = &shared.mode;
        let folders = if mode.dry_run || mode.curl { Folders::Pretended } else { Folders::Made };
        let behind = records::behind(record);
        let request = &shared.request;
        let around = Around { words, crowd, behind, folders, record, request, list, survival, journal };
        let mut chosen = output::choose(body, around)?;
        output::check_apart(body, around)?;
        let records = RecordsTo::of(record, &shared.request, &mut chosen)?;
        Ok((chosen, records))
    }
}

/// What each subcommand brings to a plan, in its way.
struct Asked<'a> {
    builder: ClientBuilder,
    source: Box<dyn Source + Send>,
    number: Crowd,
    crowd: Option<&'a CrowdArgs>,
    goal: Option<&'a GoalArgs>,
    jar: Option<Jar>,
}

impl Asked<'_> {
    fn plan(
        self,
        chosen: Chosen,
        records: RecordsTo,
        kinds: Kinds<'_>,
        (begun, voice): (Instant, &Voice),
    ) -> Result<Plan, Complaint> {
        let Chosen { sink, output, below } = chosen;
        let holding = if matches!(output, Output::Files) { Holding::File } else { Holding::Nothing };
        let (at_once, connections) = within_limits(self.crowd, holding, voice);
        let mut builder = self.builder.max_connections(connections);
        // The head of a refusal is what -I was asked for; a file would be taken for one that was obtained.
        if kinds.shared.request.head && matches!(output, Output::Stdout(_)) {
            builder = builder.keep_refused_body();
        }
        if let Some(crowd) = self.crowd {
            builder = client::crowded(builder, crowd);
        }
        if voice.level() == Level::Attempts {
            builder = builder.watch(voice.watcher());
        }
        let early = self.goal.is_some_and(|goal| goal.fail_early);
        let display = &kinds.shared.display;
        // -S takes back what -s does to errors, not to progress.
        let none = display.silent.then_some(ProgressStyle::None);
        let bar = display.progress_bar.then_some(ProgressStyle::Bar);
        Ok(Plan {
            client: client::built(builder, &kinds.shared.connection)?,
            source: self.source,
            sink,
            output,
            crowd: self.number,
            goal: self.goal.and_then(|goal| goal.until).unwrap_or_default(),
            on_failure: if early { OnFailure::Stop } else { OnFailure::GoOn },
            deadline: kinds.time.deadline.map(|deadline| moment(deadline, begun)),
            grace: kinds.time.grace.unwrap_or_default(),
            at_once,
            per_host: self.crowd.and_then(|crowd| crowd.per_host),
            records,
            jar: self.jar,
            job: None,
            progress: none.or(display.progress).or(bar).unwrap_or_default(),
            shown: Shown::of(kinds, (self.crowd, self.goal), below),
        })
    }
}

/// Where a job writes its bodies.
fn written(body: &BodyArgs, output: &Output) -> Vec<Written> {
    let outer = body.output_dir.clone().unwrap_or_default();
    let of_file = |file: &String| {
        let path = outer.join(file);
        let folder = path.parent()?;
        // A `#1` stands for many names.
        let is_one = |folder: &&Path| !folder.as_os_str().as_encoded_bytes().contains(&b'#');
        let above = folder.ancestors().find(is_one)?;
        let depth = if above == folder { Depth::Here } else { Depth::Below };
        Some(Written { folder: above.to_owned(), depth })
    };
    match (&body.directory, output) {
        (Some(folder), _) => vec![Written { folder: folder.clone(), depth: Depth::Below }],
        (None, Output::Files) if body.remote_name => vec![Written { folder: outer, depth: Depth::Here }],
        (None, Output::Files) => {
            let mut all: Vec<Written> = body.files.iter().filter_map(of_file).collect();
            all.sort_by(|one, other| one.folder.cmp(&other.folder));
            all.dedup();
            all
        }
        (None, _) => Vec::new(),
    }
}

/// What is asked for once more, for those who look at it beforehand; `None` for a list that can be read only once.
fn again(args: &GetArgs, pattern: Pattern<'_>) -> Result<Option<Again>, Complaint> {
    match &args.input.list {
        Some(list) => input::again(list, &args.input, pattern),
        None => {
            let words = Words::read(&args.urls, &args.shared.mode)?;
            input::words(words, &args.input, &args.alternatives.mirrors, pattern).map(Some)
        }
    }
}

/// What is to be kept of a job of `get`, and where.
fn job(args: &GetArgs, crowd: Crowd, output: &Output) -> Result<Option<JobTo>, Complaint> {
    let body = &args.body;
    let Some(place) = Place::of(args, output)? else { return Ok(None) };
    let existing = match (body.if_exists, &body.directory, output) {
        (None | Some(ExistsRule::Skip), Some(_), _) => Existing::Kept,
        // There is no file that could be renewed.
        (_, _, Output::Nowhere) => Existing::Kept,
        (Some(ExistsRule::Update), _, _) => Existing::Updated,
        _ => Existing::Renewed,
    };
    Ok(Some(JobTo {
        place,
        durability: match args.job.durability.unwrap_or_default() {
            Survival::Process => Durability::Process,
            Survival::Power => Durability::Power,
        },
        start: if args.job.new_job { Start::Anew } else { Start::Command },
        crowd,
        existing,
        settings: Settings::of(args),
        again: None,
        list: None,
        written: written(body, output),
    }))
}

/// Standard input has one reader.
fn check_stdin(readers: &[&str]) -> Result<(), Complaint> {
    match readers {
        [one, other, ..] => Err(Complaint::contradiction(one, other)),
        _ => Ok(()),
    }
}

/// More than there are cannot be obtained.
fn check_goal(goal: &GoalArgs, crowd: Crowd, urls: u64) -> Result<(), Complaint> {
    match goal.until {
        Some(Goal::AtLeast(wanted)) if crowd != Crowd::Listed && wanted > urls => {
            let one = format!("--until {wanted}");
            Err(Complaint::new(format!(
                "{one} contradicts {}",
                plural(usize::try_from(urls).unwrap_or(usize::MAX), "URL")
            ))
            .fix("ask for fewer, or give more URLs"))
        }
        _ => Ok(()),
    }
}

/// Fetches and connections at once, as many as the open files allow.
fn within_limits(args: Option<&CrowdArgs>, holding: Holding, voice: &Voice) -> (Concurrency, usize) {
    let asked = args.and_then(|args| args.parallel_max);
    let wanted = match asked {
        None => AT_ONCE,
        Some(Crowding::AtMost(wanted)) => wanted as usize,
        Some(Crowding::Auto) => AT_MOST,
    };
    let room = limits::room(limits::raise_open_files(), wanted, holding);
    let allowed = room.fetches;
    if asked == Some(Crowding::Auto) {
        return (Concurrency::Auto { most: allowed }, room.connections);
    }
    if let Some(files) = room.lowered_by {
        voice.note(&format!(
            "-j {wanted} lowered to {allowed}: this process may open {files} files (ulimit -n)"
        ));
    }
    (Concurrency::Fixed(allowed), room.connections)
}

/// The moment on the clock for waiting.
fn moment(deadline: Deadline, begun: Instant) -> Instant {
    match deadline {
        Deadline::After(length) => begun + length,
        Deadline::At(at) => Instant::now() + at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO),
    }
}

/// `1 URL`, `2 URLs`.
pub(crate) fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
