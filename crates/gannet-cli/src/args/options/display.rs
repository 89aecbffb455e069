//! Options for the connection and for what people read. Only names, values and words for help.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Trust any certificate
    ///
    /// Whoever stands between can then read and change everything.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// Trust the authorities in this PEM file, not the system's
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) cacert: Option<PathBuf>,
    /// Speak HTTP/1.1 only [default: HTTP/2 where TLS offers it]
    #[arg(long = "http1.1", hide_short_help = true)]
    pub(crate) http1: bool,
    /// Speak HTTP/2 only, over plain http too
    #[arg(long, hide_short_help = true)]
    pub(crate) http2: bool,
    /// Take TLS 1.2 and newer, as it is anyway
    #[arg(long = "tlsv1.2", hide_short_help = true)]
    pub(crate) tls12: bool,
    /// Take TLS 1.3 only
    #[arg(long = "tlsv1.3", hide_short_help = true)]
    pub(crate) tls13: bool,
    /// Fetch by these schemes only, redirects too: '=https'
    ///
    /// In curl's words: a list with = for only, + for and, - for but not; http and https are all there are.
    #[arg(long, value_name = "SCHEMES", allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) proto: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Display")]
pub(crate) struct DisplayArgs {
    /// Show it as: auto, bar, plain, json, none
    ///
    /// auto is a bar on a terminal, if there are several URLs or it takes over 1 s; else, for several URLs, a line
    /// every 30 s. json is a line of JSON each second.
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true, hide_short_help = true)]
    pub(crate) progress: Option<ProgressStyle>,
    /// A bar, whatever the terminal: --progress bar
    #[arg(short = '#', long, hide_short_help = true)]
    pub(crate) progress_bar: bool,
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true, hide_short_help = true)]
    #[arg(help = "Colours on standard error: auto, always, never [default: auto]")]
    pub(crate) color: Option<ColourRule>,
    /// More options from FILE, in the format of curl's -K; - is standard input
    ///
    /// `option = value` or `option value` a line, with or without the dashes; `url` adds a URL; # begins a comment.
    #[arg(short = 'K', value_name = "FILE", hide_short_help = true)]
    pub(crate) curl_config: Vec<String>,
    /// Settings from this TOML file, in the place of the user's gannet.toml
    ///
    /// Its keys are the long options. GANNET_* in the environment (GANNET_MAX_TIME=30) counts for more, and what
    /// stands on the command line for most. `gannet config` shows what holds.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) config: Option<PathBuf>,
    /// Say errors only
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Tell each attempt, and what the run hangs on
    ///
    /// What it hangs on is told in the last tenth before --deadline (at most 5 s), and when nothing has moved for 10 s:
    /// the up to 3 slowest URLs, with what each waits for, and how many have not begun. -vv adds a log of each fetch and attempt, with the time since the
    /// start: what tracing hears of the library. No credentials are in it.
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
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
    Json,
    None,
}

/// When standard error is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColourRule {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
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
