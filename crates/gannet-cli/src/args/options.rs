//! The options of the command line, in groups. Only their names, values and words for help are here; what follows
//! from them is decided in `plan`.

mod body;
mod display;
mod job;
mod record;
mod request;

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use gannet::Goal;
use gannet::digest::Digest;

use crate::input::UrlColumn;

pub(crate) use body::{BodyArgs, ExistsRule};
pub(crate) use display::{ColourRule, ConnectionArgs, DisplayArgs, HabitArgs, ProgressStyle};
pub(crate) use job::{JobArgs, Survival};
pub(crate) use record::{RecordArgs, RowOrder};
pub(crate) use request::{DataKind, DataPiece, RequestArgs};

use super::given::Given;
use super::values::{self, Budget, Crowding, Deadline, GiveUp, Hedge, Retries};

/// `gannet get`: fetch them all.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// What to fetch; without a scheme it is http://
    #[arg(value_name = "URL", hide = true)]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) crowd: CrowdArgs,
    #[command(flatten)]
    pub(crate) alternatives: AlternativeArgs,
    #[command(flatten)]
    pub(crate) checksums: ChecksumArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
    /// The words that were given, as a journal may keep them.
    #[arg(skip)]
    pub(crate) given: Given,
}

/// `gannet race`: the first that succeeds.
#[derive(Debug, Args)]
pub(crate) struct RaceArgs {
    /// Where the same content lies; all start at once
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) checksums: ChecksumArgs,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
}

/// `gannet check`: whether it is there.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// What to ask for; without a scheme it is http://
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) crowd: CrowdArgs,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
}

/// How the URLs of the command line are meant, and whether anything is sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct ModeArgs {
    /// Show what would be fetched, to where, and the limits
    ///
    /// A line for each URL on standard output, with the file that it would be written to. Nothing is sent and no
    /// file is made.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the curl commands that do the same
    ///
    /// One a line on standard output, with credentials as they were given; an option that curl has not is named in a comment above. Nothing is sent.
    #[arg(long, conflicts_with = "dry_run", hide_short_help = true)]
    pub(crate) curl: bool,
    /// Take [1-9] and {a,b} in URLs as they stand
    ///
    /// Else, on the command line, [1-100], [001-100:2], [a-z] and {one,two} stand for several URLs, the last one
    /// changing fastest, and #1, #2 in -o for what the first, the second stands for.
    #[arg(short = 'g', long = "globoff", hide_short_help = true)]
    pub(crate) glob_off: bool,
}

/// What every fetch takes.
#[derive(Debug, Args)]
pub(crate) struct SharedArgs {
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
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
    /// Other formats: --input-format. Empty lines and lines that begin with # are skipped; of fields separated by tabs the first is the URL. A bad
    /// line is a result of its own, and the lines after it go on.
    #[arg(short = 'i', long = "input", value_name = "FILE")]
    pub(crate) list: Option<String>,
    /// How the list is written [default: auto]
    ///
    /// lines: a URL a line; jsonl: an object of JSON a line, such as the rows of a report; csv: values under a row of
    /// names; aria2: its input file; metalink: version 4. auto goes by the end of the file's name (.jsonl, .ndjson, .csv,
    /// .aria2, .meta4, .metalink), takes what begins with { for jsonl, and all else for lines. What is packed by gzip or
    /// Zstandard is unpacked.
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true, hide_short_help = true)]
    pub(crate) input_format: Option<InputFormat>,
    /// The column of a CSV list, or the key of JSON lines, that holds the URLs: a name, or for CSV a number from 1
    /// [default: url]
    ///
    /// With it, auto takes for csv what is not jsonl. With a number the first line may be a row, too: it is one if it has
    /// :// in that column.
    #[arg(long, value_name = "COLUMN", hide_short_help = true)]
    pub(crate) url_column: Option<UrlColumn>,
    /// Send nothing if a line of the list is bad
    ///
    /// What can be read only once, such as standard input, is held in memory for that: at most 64 MiB.
    #[arg(long, hide_short_help = true)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Time and goal")]
pub(crate) struct GoalArgs {
    /// What is enough: all, first, a number, 90%
    ///
    /// all by default. When it is met, the rest is stopped. Files that were skipped count as obtained.
    #[arg(long, value_name = "GOAL", value_parser = values::goal, allow_hyphen_values = true)]
    pub(crate) until: Option<Goal>,
    /// Stop at the first failure
    #[arg(long, hide_short_help = true)]
    pub(crate) fail_early: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Time and goal")]
pub(crate) struct TimeArgs {
    /// When all must be over: after 10m, or at a moment
    ///
    /// As 90s, 10m, 1h30m or 2026-11-23T18:00:00Z (RFC 3339). It rules everything beneath it: waiting for a turn,
    /// look-ups, connecting, bodies, retries. What is not done by then is unfinished, and the exit code is 4. No
    /// default.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(crate) deadline: Option<Deadline>,
    /// For each URL, retries included: 30, 1m30s, 500ms
    ///
    /// Bare numbers are seconds. No default.
    #[arg(short = 'm', long, value_name = "TIME", value_parser = values::time_limit, allow_hyphen_values = true)]
    pub(crate) max_time: Option<Duration>,
    /// The time for a look-up, for each address, and for TLS [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = values::duration, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) connect_timeout: Option<Duration>,
    /// The time without a byte from the server [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = values::duration, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) read_timeout: Option<Duration>,
    /// The lowest speed of a body, in bytes a second: 1K, 500
    ///
    /// A body that comes more slowly, on the average over --speed-time, ends its attempt, which may be retried. 0 is
    /// no limit, as without it; --speed-time alone means 1.
    #[arg(short = 'Y', long, value_name = "SIZE", value_parser = values::size, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) speed_limit: Option<u64>,
    /// After a signal, let what runs go on for so long [default: 0]
    ///
    /// Nothing more is started; then the rest is stopped. A second signal ends gannet at once.
    #[arg(long, value_name = "TIME", value_parser = values::duration_or_zero, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) grace: Option<Duration>,
    /// Over how long --speed-limit is measured [default: 30s]
    #[arg(short = 'y', long, value_name = "TIME", value_parser = values::duration, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) speed_time: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Concurrency")]
pub(crate) struct CrowdArgs {
    /// URLs at once: a number, auto [default: 64]
    ///
    /// auto begins with 16 and grows as long as that brings more throughput, up to 1024. Lowered, and said so, if the
    /// limit of open files (ulimit -n) allows no more.
    #[arg(short = 'j', long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) parallel_max: Option<Crowding>,
    /// Requests in flight to a host [default: 6; HTTP/2 100]
    #[arg(long, value_name = "N", value_parser = values::at_once, allow_hyphen_values = true)]
    pub(crate) per_host: Option<u32>,
    /// Requests a second, to all hosts together: 50/s, 600/m
    ///
    /// Evenly spread; retries and hedges count too. A bare number is a second's.
    #[arg(long, value_name = "RATE", value_parser = values::rate, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) rate: Option<f64>,
    /// Requests a second, to each host: 1/s, 30/m
    ///
    /// It works beside --rate.
    #[arg(long, value_name = "RATE", value_parser = values::rate, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) host_rate: Option<f64>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Reliability")]
pub(crate) struct AlternativeArgs {
    /// Ask again after a silence: auto, p98, 300ms [default: off]
    ///
    /// A hedge is a further attempt while the first is silent; the first to answer wins. At most 2 a URL, and 2 %
    /// of all (the first 10 are always granted). With auto or a quantile such as p98 the time is learned from each
    /// host's first 100 answers and goes with it.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) hedge: Option<Hedge>,
    /// Hedges of all URLs together: 2%, 0.02, off [default: 2%]
    ///
    /// A share of the first attempts; the first 10 are always granted, and off is without bound.
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) hedge_budget: Option<Budget>,
    /// The same content lies there too (repeatable)
    ///
    /// Retries and hedges go there. For one URL.
    #[arg(long = "mirror", value_name = "URL", hide_short_help = true)]
    pub(crate) mirrors: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reliability")]
pub(crate) struct ChecksumArgs {
    /// Take only a body with this digest: sha256:HEX
    ///
    /// sha256, sha512, sha1, md5 or crc32c, in hex or, behind a =, in base64; once for each URL in order. It is that of
    /// the bytes as they are written. A body of another digest gets no name, the next --mirror is tried, and the exit code
    /// is 5. A file that is skipped since it is there is not read.
    #[arg(long = "checksum", value_name = "DIGEST", action = ArgAction::Append)]
    pub(crate) checksums: Vec<Digest>,
    /// The same, by names from FILE: SHA256SUMS and its kin
    ///
    /// As sha256sum writes it, or BSD's sha256, or openssl; - is standard input. A line's name is the end of the URL's
    /// path. A URL that no line names fails, and nothing is sent for it.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) checksum_file: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reliability")]
pub(crate) struct RetryArgs {
    /// How often to try again: a number, inf [default: 3]
    ///
    /// Attempts after the first one. Connections that broke, timeouts and the statuses 408 425 429 500 502 503 504 are retried, with growing
    /// delays from 250 ms to 30 s, never before the server's Retry-After.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) retry: Option<Retries>,
    /// Retries of all URLs together: 20%, 0.2, off [default: 20%]
    ///
    /// A share of the first attempts; the first 10 are always granted, and off is without bound.
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) retry_budget: Option<Budget>,
    /// The longest of the growing delays between attempts [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = values::duration, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) retry_max_delay: Option<Duration>,
    /// The longest Retry-After that is waited for [default: 5m]
    ///
    /// A server that wants us back later than that fails the URL at once, and the error says until when.
    #[arg(long, value_name = "TIME", value_parser = values::duration, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) retry_after_max: Option<Duration>,
    /// A pause of this length before each retry
    ///
    /// In the place of the growing one with its random share. Retry-After still counts where it is longer.
    #[arg(long, value_name = "TIME", value_parser = values::duration_or_zero, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) retry_delay: Option<Duration>,
    /// Start no retry later than this after the first attempt
    #[arg(long, value_name = "TIME", value_parser = values::duration_or_zero, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) retry_max_time: Option<Duration>,
    /// Retry whatever went wrong at the other end
    ///
    /// Statuses such as 404 and certificates that are refused, too.
    #[arg(long, hide_short_help = true)]
    pub(crate) retry_all_errors: bool,
    /// Refused connections are retried already
    #[arg(long = "retry-connrefused", hide = true)]
    pub(crate) _retry_connrefused: bool,
    /// How long to wait for a dead host: a time, never [default: 2m]
    ///
    /// Once most attempts at a host fail, one goes to see each 5 s and the rest waits. When three of these have failed
    /// and this time is over, what waits for the host fails. With --retry inf it is never given up.
    #[arg(long, value_name = "TIME", hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) host_give_up: Option<GiveUp>,
    /// Which bodies are gone on with where they broke off: safe, always, never [default: safe]
    ///
    /// safe: those that a strong ETag vouches for, or, without any ETag, a Last-Modified at least a minute before the
    /// reply's Date; all others begin anew. always: others too, if the server says the same total length again; that is
    /// unsafe, for a body that changed and kept its length is put together from both. never: each retry begins anew.
    #[arg(long, value_name = "WHICH", value_enum, hide_possible_values = true, hide_short_help = true)]
    pub(crate) resume_parts: Option<Resume>,
    /// Pass over what servers say of their bodies' digests
    ///
    /// Repr-Digest, Content-Digest, Digest, x-goog-hash and Content-MD5 are compared with the body where a reply has them,
    /// and one that differs fails the URL. For servers that send wrong ones; --checksum holds all the same.
    #[arg(long, hide_short_help = true)]
    pub(crate) ignore_sent_digests: bool,
}

/// Which bodies are gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resume {
    Safe,
    Always,
    Never,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum InputFormat {
    /// As its name or its first byte tells.
    #[default]
    Auto,
    /// A URL a line.
    Lines,
    /// An object of JSON a line.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// aria2's input file.
    Aria2,
    /// Metalink, version 4.
    Metalink,
}
