//! Options for what is sent. Only names, values and words for help; pieces of a body keep their order.

use clap::{Arg, ArgMatches, Error};
use clap::{ArgAction, Args, Command, FromArgMatches};
use gannet::StatusSet;
use http::Method;

use crate::args::values;

#[derive(Debug, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestArgs {
    /// The method [default: GET; POST with a body]
    ///
    /// A body is what -d, -F and --json send.
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    /// Ask for the head alone, and print it
    ///
    /// A HEAD request. The head goes where the body would go; on standard output that of a refused status, too, and
    /// the URL has failed all the same.
    #[arg(short = 'I', long, hide_short_help = true)]
    pub(crate) head: bool,
    /// A header field, 'Name: value' (repeatable)
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = values::given_header)]
    pub(crate) headers: Vec<values::GivenHeader>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Put the data of -d into the URL's query, and ask by GET
    #[arg(short = 'G', long, hide_short_help = true)]
    pub(crate) get: bool,
    /// Send a form with files by POST: name=text, name=@FILE (repeatable)
    ///
    /// multipart/form-data (RFC 7578). Behind a ; may follow type=image/png and filename=other.png; name=<FILE
    /// sends a file's text as a plain field. Files are read as they are sent.
    #[arg(short = 'F', long = "form", value_name = "NAME=CONTENT", hide_short_help = true)]
    pub(crate) form: Vec<String>,
    /// Send JSON by POST, accept JSON: the text, @FILE
    #[arg(long, value_name = "DATA")]
    pub(crate) json: Option<String>,
    /// Send a name and a password (Basic authorization)
    #[arg(short = 'u', long, value_name = "USER:PASSWORD")]
    pub(crate) user: Option<String>,
    /// Send this User-Agent [default: gannet/VERSION]
    #[arg(short = 'A', long, value_name = "NAME", hide_short_help = true)]
    pub(crate) user_agent: Option<String>,
    /// The page that we come from
    #[arg(short = 'e', long, value_name = "URL", hide_short_help = true)]
    pub(crate) referer: Option<String>,
    /// Send cookies: 'name=value; other=value', or those of FILE (repeatable)
    ///
    /// A value without = is a file in the format of Netscape and curl. Cookies that servers set are then kept and
    /// sent, too, within the run.
    #[arg(short = 'b', long = "cookie", value_name = "COOKIES", hide_short_help = true)]
    pub(crate) cookies: Vec<String>,
    /// Write all cookies to FILE at the end; - is standard output, behind all else
    #[arg(short = 'c', long, value_name = "FILE", hide_short_help = true)]
    pub(crate) cookie_jar: Option<String>,
    /// Ask for these bytes only: 0-499, 500-, -500
    #[arg(short = 'r', long, value_name = "RANGE", allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) range: Option<String>,
    /// Ask for a compressed body, and write it unpacked
    ///
    /// gzip, br, zstd and deflate.
    #[arg(long, hide_short_help = true)]
    pub(crate) compressed: bool,
    /// Take a redirect for the reply
    #[arg(long, overrides_with = "location", hide_short_help = true)]
    pub(crate) no_location: bool,
    /// Follow at most so many redirects [default: 10]
    #[arg(long, value_name = "N", value_parser = values::hops, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) max_redirs: Option<u32>,
    /// Success: 200-299,304, any [default: 200-299]
    #[arg(long, value_name = "SET", value_parser = values::statuses, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) ok_status: Option<StatusSet>,
    /// Obey robots.txt, Crawl-delay and X-Robots-Tag
    ///
    /// Under the name gannet (RFC 9309). robots.txt is fetched once for each host; what it disallows fails, unsent. If
    /// it cannot be had, nothing of the host is fetched.
    #[arg(long, hide_short_help = true)]
    pub(crate) robots: bool,
    /// The longest body that is taken: 10G, 5M, 64K
    ///
    /// No limit by default.
    #[arg(long, value_name = "SIZE", value_parser = values::size, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) max_size: Option<u64>,
}

/// The pieces of a body, in the order in which they were given, whatever their options.
#[derive(Debug, Default)]
pub(crate) struct DataArgs(pub(crate) Vec<DataPiece>);

/// One piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataPiece {
    pub(crate) kind: DataKind,
    pub(crate) value: String,
}

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataKind {
    /// `@FILE` is read, without its line breaks.
    Form,
    /// The text as it stands, `@` and all.
    Raw,
    /// `@FILE` is read as it stands.
    Binary,
    /// Encoded for a form.
    UrlEncoded,
}

/// Option, short letter, kind, help.
const DATA: [(&str, Option<char>, DataKind, &str); 4] = [
    ("data", Some('d'), DataKind::Form, "Send a form by POST: a=b, @FILE (repeatable)"),
    ("data-raw", None, DataKind::Raw, "As -d, but @ has no meaning"),
    ("data-binary", None, DataKind::Binary, "As -d, but a file is sent as it stands"),
    (
        "data-urlencode",
        None,
        DataKind::UrlEncoded,
        "As -d, encoded: text, =text, name=text, @FILE, name@FILE",
    ),
];

impl FromArgMatches for DataArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        for (option, _, kind, _) in DATA {
            let places = matches.indices_of(option).into_iter().flatten();
            let values = matches.get_many::<String>(option).into_iter().flatten();
            for (place, value) in places.zip(values) {
                pieces.push((place, DataPiece { kind, value: value.clone() }));
            }
        }
        pieces.sort_by_key(|(place, _)| *place);
        Ok(Self(pieces.into_iter().map(|(_, piece)| piece).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for DataArgs {
    fn augment_args(command: Command) -> Command {
        DATA.into_iter().fold(command, |command, (option, letter, kind, help)| {
            let arg = Arg::new(option).long(option).value_name("DATA").action(ArgAction::Append).help(help);
            let arg = arg.help_heading("Request").allow_hyphen_values(true);
            let arg = arg.hide_short_help(kind != DataKind::Form);
            command.arg(match letter {
                Some(letter) => arg.short(letter),
                None => arg,
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
