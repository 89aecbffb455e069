//! The options of the command line, in groups. Only their names, values and words for help are here; what follows
//! from them is decided in `plan`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use gannet::{Goal, StatusSet};
use http::Method;

use super::values::{self, Deadline, Hedge, Retries};

/// `gannet get`: fetch them all.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// What to fetch; without a scheme it is http://
    #[arg(value_name = "URL", hide = true)]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) crowd: CrowdArgs,
    #[command(flatten)]
    pub(crate) alternatives: AlternativeArgs,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
}

/// `gannet race`: the first that succeeds.
#[derive(Debug, Args)]
pub(crate) struct RaceArgs {
    /// Where the same content lies; all start at once
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
}

/// What every fetch takes.
#[derive(Debug, Args)]
pub(crate) struct SharedArgs {
    #[command(flatten)]
    pub(crate) retry: RetryArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
    #[command(flatten)]
    pub(crate) habits: HabitArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Read URLs from FILE, one a line; - is standard input
    ///
    /// Empty lines and lines that begin with # are skipped; of fields separated by tabs the first is the URL. A bad
    /// line is a result of its own, and the lines after it go on.
    #[arg(short = 'i', long = "input", value_name = "FILE")]
    pub(crate) list: Option<String>,
    /// Send nothing if a line of the list is bad
    ///
    /// What can be read only once, such as standard input, is held in memory for that: at most 64 MiB.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write to FILE, once for each URL; - is standard output
    ///
    /// A file gets its name when its body is whole, and replaces what was there. Without -o, -O, -P and --no-body,
    /// bodies go to standard output in input order, with up to 64 MiB held in memory for their turn.
    #[arg(short = 'o', long = "output", value_name = "FILE", action = ArgAction::Append)]
    pub(crate) files: Vec<String>,
    /// Write to files here, named like the URLs' ends
    #[arg(short = 'O', long = "remote-name")]
    pub(crate) remote_name: bool,
    /// Write to files below DIR, skip what is there
    ///
    /// DIR is made if it is missing. The name is the last part of the URL's path, with its query behind an
    /// underscore; a name that was given before gets the URL's number.
    #[arg(short = 'P', value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Keep no bodies
    #[arg(long)]
    pub(crate) no_body: bool,
    #[arg(long, value_name = "RULE", value_enum, hide_possible_values = true)]
    #[arg(help = "overwrite, skip (with -P the default), rename, fail")]
    pub(crate) if_exists: Option<ExistsRule>,
    /// Write a row of JSON for each URL; - is standard output
    ///
    /// A row as each URL settles, then one for the summary. An earlier report is replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<String>,
}

/// What to do about a file that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExistsRule {
    /// Replace it once the new body is whole.
    Overwrite,
    /// Leave it, and count the URL as obtained.
    Skip,
    /// Give the new file a number.
    Rename,
    /// Fail that URL.
    Fail,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Time and goal")]
pub(crate) struct GoalArgs {
    /// Enough is: all, first, a number, 90% [default: all]
    #[arg(long, value_name = "GOAL", value_parser = values::goal)]
    pub(crate) until: Option<Goal>,
    /// Stop at the first failure
    #[arg(long)]
    pub(crate) fail_early: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Time and goal")]
pub(crate) struct TimeArgs {
    /// All must be over after 10m, or by a moment (RFC 3339)
    ///
    /// As 90s, 10m, 1h30m or 2026-11-23T18:00:00Z. It rules everything beneath it: waiting for a turn, look-ups, connecting, bodies, retries. What is not done
    /// by then is unfinished, and the exit code is 4. No default.
    #[arg(long, value_name = "WHEN")]
    pub(crate) deadline: Option<Deadline>,
    /// For each URL, retries included: 30, 1m30s, 500ms
    ///
    /// Bare numbers are seconds. No default.
    #[arg(short = 'm', long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) max_time: Option<Duration>,
    /// For look-up, each address and TLS [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Without a byte from the server [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) read_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Concurrency")]
pub(crate) struct CrowdArgs {
    /// URLs at once [default: 64]
    ///
    /// Lowered, and said so, if the limit of open files (ulimit -n) allows no more.
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) parallel_max: Option<u32>,
    /// Requests in flight to a host [default: 6; HTTP/2 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) per_host: Option<u32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reliability")]
pub(crate) struct AlternativeArgs {
    /// Ask again after a silence of: off, 300ms [default: off]
    ///
    /// A hedge is a further attempt while the first is silent; the first to answer wins. At most 2 a URL, and 2 % of all (the first 10 are
    /// always granted).
    #[arg(long, value_name = "TIME")]
    pub(crate) hedge: Option<Hedge>,
    /// The same content lies there too (repeatable)
    ///
    /// Retries and hedges go there. For one URL.
    #[arg(long = "mirror", value_name = "URL")]
    pub(crate) mirrors: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reliability")]
pub(crate) struct RetryArgs {
    /// Attempts after the first one: a number, inf [default: 3]
    ///
    /// Connections that broke, timeouts and the statuses 408 425 429 500 502 503 504 are retried, with growing
    /// delays from 250 ms to 30 s, never before the server's Retry-After.
    #[arg(long, value_name = "N")]
    pub(crate) retry: Option<Retries>,
    /// Accepted, without effect in this version
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) journal: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestArgs {
    /// The method [default: GET; POST with -d and --json]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    /// A header field, 'Name: value' (repeatable)
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = values::given_header)]
    pub(crate) headers: Vec<values::GivenHeader>,
    /// Send a form by POST: a=b, @FILE (repeatable)
    ///
    /// Several are joined by &. Line breaks of a file are left out, as curl does.
    #[arg(short = 'd', long, value_name = "DATA")]
    pub(crate) data: Vec<String>,
    /// Send JSON by POST, accept JSON: the text, @FILE
    #[arg(long, value_name = "DATA")]
    pub(crate) json: Option<String>,
    /// Basic authorization
    #[arg(short = 'u', long, value_name = "USER:PASSWORD")]
    pub(crate) user: Option<String>,
    /// What to call ourselves [default: gannet/VERSION]
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,
    /// Take a redirect for the reply
    #[arg(long, overrides_with = "location")]
    pub(crate) no_location: bool,
    /// Follow at most so many redirects [default: 10]
    #[arg(long, value_name = "N")]
    pub(crate) max_redirs: Option<u32>,
    /// Success: 200-299,304, any [default: 200-299]
    #[arg(long, value_name = "SET", value_parser = values::statuses)]
    pub(crate) ok_status: Option<StatusSet>,
    /// The longest body that is taken: 10G, 5M, 64K
    ///
    /// No limit by default.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) max_size: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Trust any certificate
    ///
    /// Whoever stands between can then read and change everything.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// Trust the authorities in this PEM file, not the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Speak HTTP/1.1 only [default: HTTP/2 where TLS offers it]
    #[arg(long = "http1.1")]
    pub(crate) http1: bool,
    /// Speak HTTP/2 only, over plain http too
    #[arg(long)]
    pub(crate) http2: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Display")]
pub(crate) struct DisplayArgs {
    /// auto, bar, plain, none [default: auto]
    ///
    /// auto is a bar on a terminal, if there are several URLs or it takes over 1 s; else, for several URLs, a line
    /// every 30 s.
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    pub(crate) progress: Option<ProgressStyle>,
    /// Say errors only
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Tell each attempt
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,
    /// Say nothing
    #[arg(short = 's', long)]
    pub(crate) silent: bool,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressStyle {
    #[default]
    Auto,
    Bar,
    Plain,
    None,
}

/// curl's options for what gannet does anyway.
#[derive(Debug, Args)]
pub(crate) struct HabitArgs {
    /// Statuses of 400 and above fail already
    #[arg(short = 'f', long = "fail", hide = true)]
    pub(crate) _fail: bool,
    /// Show errors though -s is given
    #[arg(short = 'S', long = "show-error", hide = true)]
    pub(crate) show_error: bool,
    /// Redirects are followed already
    #[arg(short = 'L', long = "location", id = "location", hide = true)]
    pub(crate) _location: bool,
    /// Runs are parallel already
    #[arg(short = 'Z', long = "parallel", hide = true)]
    pub(crate) _parallel: bool,
}
