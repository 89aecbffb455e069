//! From options to a plan: what is fetched, by which client, into which sink, and by when. Settings that contradict
//! one another are refused here, before anything is sent. Nothing here runs a fetch.

mod data;
mod input;
mod output;
mod request;
mod terminal;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gannet::sink::Sink;
use gannet::source::Source;
use gannet::{Client, ClientBuilder, Goal, HttpVersions, Redirects};
use tokio::time::Instant;

pub(crate) use output::Output;

use crate::args::{
    ConnectionArgs, CrowdArgs, Deadline, GetArgs, GoalArgs, HabitArgs, Hedge, ProgressStyle, RaceArgs,
    Retries, SharedArgs, TimeArgs,
};
use crate::limits::{self, Holding};
use crate::report::ReportTo;
use crate::say::{Complaint, Level, Voice};

/// Fetches at once, unless `-j` says otherwise.
const AT_ONCE: usize = 64;

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
    pub(crate) at_once: usize,
    pub(crate) report: Option<ReportTo>,
    pub(crate) progress: ProgressStyle,
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
        (false, _) if display.verbose => Level::Attempts,
        (false, _) => Level::Normal,
    }
}

impl Plan {
    /// The plan of `gannet get`.
    pub(crate) fn get(args: &GetArgs, begun: Instant, voice: &Voice) -> Result<Self, Complaint> {
        let GetArgs { urls, input, body, record, goal, time, crowd, alternatives, shared } = args;
        input::check(urls, input, alternatives)?;
        let number = match (&input.list, urls.len()) {
            (Some(_), _) => Crowd::Listed,
            (None, 1) => Crowd::One,
            (None, _) => Crowd::Several,
        };
        check_goal(goal, number, urls.len())?;
        if input.list.as_deref() == Some("-") && request::reads_stdin(&shared.request) {
            return Err(Complaint::contradiction("-i -", "a body of @-"));
        }
        let chosen = output::choose(body, record, urls, number)?;
        output::check_apart(body, record, input.list.as_deref())?;
        let base = request::base(&shared.request)?;
        let source = input::source(urls, input, alternatives, body, &base)?;
        let mut builder = client(shared, time)?;
        if let Some(Hedge::After(delay)) = alternatives.hedge {
            builder = builder.hedge(delay);
        }
        if let Some(per_host) = crowd.per_host {
            builder = builder.per_host(per_host);
        }
        let asked = Asked {
            builder,
            source,
            number,
            at_once: crowd,
            goal: Some(goal),
            report: record.report.as_deref(),
        };
        asked.plan(chosen, time, shared, (begun, voice))
    }

    /// The plan of `gannet race`.
    pub(crate) fn race(args: &RaceArgs, begun: Instant, voice: &Voice) -> Result<Self, Complaint> {
        let RaceArgs { urls, body, record, time, shared } = args;
        output::check_apart(body, record, None)?;
        let base = request::base(&shared.request)?;
        let source = input::race(urls, body, &base)?;
        let builder = client(shared, time)?;
        let crowd = CrowdArgs { parallel_max: None, per_host: None };
        let report = record.report.as_deref();
        let asked = Asked { builder, source, number: Crowd::One, at_once: &crowd, goal: None, report };
        asked.plan(output::choose(body, record, &urls[..1], Crowd::One)?, time, shared, (begun, voice))
    }
}

/// What `get` and `race` bring to a plan, each in its way.
struct Asked<'a> {
    builder: ClientBuilder,
    source: Box<dyn Source + Send>,
    number: Crowd,
    at_once: &'a CrowdArgs,
    goal: Option<&'a GoalArgs>,
    report: Option<&'a str>,
}

impl Asked<'_> {
    fn plan(
        self,
        chosen: output::Chosen,
        time: &TimeArgs,
        shared: &SharedArgs,
        (begun, voice): (Instant, &Voice),
    ) -> Result<Plan, Complaint> {
        let output::Chosen { sink, output } = chosen;
        let holding = if matches!(output, Output::Files) { Holding::File } else { Holding::Nothing };
        let (at_once, connections) = within_limits(self.at_once, holding, voice);
        let mut builder = self.builder.max_connections(connections);
        if voice.level() == Level::Attempts {
            builder = builder.watch(voice.watcher());
        }
        let client = builder.build()?;
        // Last, so that a run that is refused leaves the file as it was.
        let report = self.report.map(ReportTo::open).transpose()?;
        let early = self.goal.is_some_and(|goal| goal.fail_early);
        Ok(Plan {
            client,
            source: self.source,
            sink,
            output,
            crowd: self.number,
            goal: self.goal.and_then(|goal| goal.until).unwrap_or_default(),
            on_failure: if early { OnFailure::Stop } else { OnFailure::GoOn },
            deadline: time.deadline.map(|deadline| moment(deadline, begun)),
            at_once,
            report,
            progress: shared.display.progress.unwrap_or_default(),
        })
    }
}

/// The client's settings that `get` and `race` share.
fn client(shared: &SharedArgs, time: &TimeArgs) -> Result<ClientBuilder, Complaint> {
    let request = &shared.request;
    let mut builder = Client::builder().http_versions(versions(&shared.connection)?);
    if let Some(name) = &request.user_agent {
        builder = builder.user_agent(name);
    }
    if let Some(statuses) = &request.ok_status {
        builder = builder.ok_status(statuses.clone());
    }
    if let Some(bytes) = request.max_size {
        builder = builder.max_body(bytes);
    }
    builder = match (request.no_location, request.max_redirs) {
        (true, Some(most)) => {
            return Err(Complaint::contradiction("--no-location", &format!("--max-redirs {most}")));
        }
        (true, None) => builder.redirects(Redirects::Return),
        (false, Some(most)) => builder.redirects(Redirects::Follow(most)),
        (false, None) => builder,
    };
    builder = match shared.retry.retry {
        Some(Retries::AtMost(count)) => builder.retries(count),
        Some(Retries::Endless) => builder.retries(None),
        None => builder,
    };
    if let Some(path) = &shared.connection.cacert {
        let pem = std::fs::read(path).map_err(|cause| {
            Complaint::new(format!("--cacert {} cannot be read", path.display())).why(cause.to_string())
        })?;
        builder = builder.trust_authorities(pem);
    }
    if shared.connection.insecure {
        builder = builder.danger_trust_anybody();
    }
    Ok(timed(builder, time))
}

fn timed(mut builder: ClientBuilder, time: &TimeArgs) -> ClientBuilder {
    if let Some(length) = time.max_time {
        builder = builder.timeout(length);
    }
    if let Some(length) = time.connect_timeout {
        builder = builder.connect_timeout(length);
    }
    if let Some(length) = time.read_timeout {
        builder = builder.read_timeout(length);
    }
    builder
}

fn versions(connection: &ConnectionArgs) -> Result<HttpVersions, Complaint> {
    match (connection.http1, connection.http2) {
        (true, true) => Err(Complaint::contradiction("--http1.1", "--http2")),
        (true, false) => Ok(HttpVersions::Http1),
        (false, true) => Ok(HttpVersions::Http2),
        (false, false) => Ok(HttpVersions::Auto),
    }
}

/// More than there are cannot be obtained.
fn check_goal(goal: &GoalArgs, crowd: Crowd, urls: usize) -> Result<(), Complaint> {
    match goal.until {
        Some(Goal::AtLeast(wanted)) if crowd != Crowd::Listed && wanted > urls as u64 => {
            let one = format!("--until {wanted}");
            Err(Complaint::new(format!("{one} contradicts {}", plural(urls, "URL")))
                .fix("ask for fewer, or give more URLs"))
        }
        _ => Ok(()),
    }
}

/// Fetches and connections at once, as many as the open files allow.
fn within_limits(args: &CrowdArgs, holding: Holding, voice: &Voice) -> (usize, usize) {
    let wanted = args.parallel_max.map_or(AT_ONCE, |wanted| wanted as usize);
    let room = limits::room(limits::raise_open_files(), wanted, holding);
    if let Some(files) = room.lowered_by {
        let allowed = room.fetches;
        voice.note(&format!(
            "-j {wanted} lowered to {allowed}: this process may open {files} files (ulimit -n)"
        ));
    }
    (room.fetches, room.connections)
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
