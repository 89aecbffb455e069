//! From the words of the command line to a command. What clap cannot know is added here: the subcommand that was
//! left out, and answers to options of other tools. Nothing here touches network or files.

mod curl_config;
mod given;
mod options;
mod refusal;
mod rivals;
mod settings;
mod toml_file;
mod values;
mod vocabulary;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub(crate) use given::Given;
pub(crate) use options::{
    AlternativeArgs, BodyArgs, CheckArgs, ChecksumArgs, ColourRule, ConnectionArgs, CrowdArgs, DataKind,
    DataPiece, ExistsRule, GetArgs, GoalArgs, HabitArgs, InputArgs, InputFormat, ModeArgs, ProgressStyle,
    RaceArgs, RecordArgs, RequestArgs, Resume, RetryArgs, RowOrder, SharedArgs, Survival, TimeArgs,
};
pub(crate) use settings::{Settings, Surroundings};
pub(crate) use values::{Crowding, Deadline, GiveUp, GivenHeader, Hedge, Retries};
pub(crate) use words::{check_list, check_url, distance, without_userinfo};

use crate::say::Complaint;
use vocabulary::Vocabulary;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch them all; the word may be left out
    #[command(override_usage = "gannet get [OPTIONS] URL...\n       gannet get [OPTIONS] -i FILE")]
    Get(Box<GetArgs>),
    /// Fetch the first that succeeds; the others are stopped
    #[command(override_usage = "gannet race [OPTIONS] URL...")]
    Race(Box<RaceArgs>),
    /// Say of each URL whether it answers: `200  41 ms  URL`
    Check(Box<CheckArgs>),
    /// Five short acts against a built-in server on this machine
    Demo {
        /// The act to play; all of them without it
        act: Option<String>,
    },
    /// Go on with a job that was stopped
    #[command(override_usage = "gannet resume [JOB [OPTIONS]]")]
    Resume {
        /// The folder of its files, its journal or its name, and options that are to be others
        ///
        /// Without it the one unfinished job that was begun here. Options are those of gannet get; what is secret, such
        /// as -u, is in no journal and has to be given again.
        #[arg(value_name = "JOB", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Fetch again what failed in a job
    ///
    /// Nothing else is fetched: what was stopped or never begun is left for gannet resume.
    #[command(override_usage = "gannet retry JOB [OPTIONS]")]
    Retry {
        /// The folder of its files, its journal or its name, and options that are to be others
        #[arg(value_name = "JOB", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// List the jobs here: counts, and how to go on
    Jobs,
    /// Tell each attempt that a job made at a URL
    #[command(override_usage = "gannet explain JOB URL")]
    Explain {
        /// The folder of the job's files, its journal or its name
        job: PathBuf,
        /// As it was given
        url: String,
    },
    /// Compare a job's files with its journal
    #[command(override_usage = "gannet verify JOB")]
    Verify {
        /// The folder of the job's files, its journal or its name
        job: PathBuf,
    },
    /// Look at this machine: open files, names, certificates, loopback
    Doctor,
    /// Show the settings that hold here, and where each comes from
    Config {
        /// Settings from this TOML file, in the place of the user's gannet.toml
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print what makes the shell complete gannet's words
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print the man page, in the format of man(7)
    Man,
}

/// The subcommands that take settings from files and the environment; the first knows the options of all.
const FETCHING: [&str; 3] = ["get", "race", "check"];

/// Why there is no command.
#[derive(Debug)]
pub(crate) enum NoCommand {
    /// clap has something to print: help, or the version.
    Clap(clap::Error),
    /// It cannot be meant so.
    Refused(Complaint),
}

#[derive(Debug, Parser)]
#[command(
    name = "gannet",
    version,
    about = "Fetches many URLs by one deadline: all of them, or the first that answers.",
    override_usage = "gannet [OPTIONS] URL...\n       gannet [OPTIONS] -i FILE",
    after_help = "Exit codes: 0 obtained, 1 some failed, 2 usage, 3 none succeeded, 4 deadline",
    after_long_help = EXIT_CODES,
    help_template = "{about}\n\n{usage-heading} {usage}\n\n{all-args}{after-help}",
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    max_term_width = 110
)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    get: GetArgs,
}

const EXIT_CODES: &str = "\
Exit codes, of the whole job:
    0  what --until asked for was obtained
    1  some URLs failed
    2  usage or configuration; no valid line in the list, or a bad one under --strict; nothing was sent
    3  nothing succeeded
    4  the deadline came first; gannet resume JOB goes on
    5  integrity: a file is not what the journal has of it
  6  local: the disk is full or read-only, the journal is in use or cannot be used
  130  SIGINT      143  SIGTERM      129  SIGHUP      141  standard output was closed

Units: times are written 300ms, 10s, 5m, 1h30m, 2d, bare numbers are seconds; sizes 64K, 5M, 10G, powers of 1024.
curl's -f, -S, -L and -Z are accepted: gannet does so anyway. NO_COLOR is honoured.
Options can be set in gannet.toml and by GANNET_* in the environment: gannet config shows them.";

/// Reads the command line; the program's own name comes first. Options of `-K`, of gannet.toml and of `GANNET_*` are
/// put in front of the words, and all of them are read again.
pub(crate) fn parse(
    words: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings,
) -> Result<Command, NoCommand> {
    let words: Vec<OsString> = words.into_iter().collect();
    let matches = Line::command().try_get_matches_from(&words).map_err(judge)?;
    let (name, own) = matches.subcommand().unwrap_or((FETCHING[0], &matches));
    let Some(name) = FETCHING.into_iter().find(|fetching| *fetching == name) else {
        return command(&matches);
    };
    let (settings, of_files) = further(name, own, surroundings).map_err(NoCommand::Refused)?;
    let given = Given::of(own, &definition_of(name), &settings);
    let before = [settings, of_files].concat();
    let with_given = |command: Command| match command {
        Command::Get(get) if given::is_text(&words) => Command::Get(Box::new(GetArgs { given, ..*get })),
        other => other,
    };
    if before.is_empty() {
        return command(&matches).map(with_given);
    }
    let behind = words.iter().skip(if matches.subcommand_name().is_some() { 2 } else { 1 });
    let front = words.first().cloned().into_iter().chain([name.into()]);
    let all = front.chain(before.into_iter().map(OsString::from)).chain(behind.cloned());
    command(&Line::command().try_get_matches_from(all).map_err(judge)?).map(with_given)
}

/// The settings that hold around a command line without options.
pub(crate) fn settings(
    named: Option<&std::path::Path>,
    surroundings: &Surroundings,
) -> Result<Settings, Complaint> {
    Settings::gather(named, surroundings, &mut vocabulary_of(FETCHING[0]))
}

/// The whole definition, for completions and the man page.
pub(crate) fn definition() -> clap::Command {
    Line::command()
}

/// The definition of a subcommand's options.
fn definition_of(subcommand: &str) -> clap::Command {
    let line = Line::command();
    line.find_subcommand(subcommand).cloned().unwrap_or(line)
}

fn vocabulary_of(subcommand: &'static str) -> Vocabulary {
    Vocabulary::of(Line::command(), subcommand)
}

fn command(matches: &ArgMatches) -> Result<Command, NoCommand> {
    let line = Line::from_arg_matches(matches).map_err(judge)?;
    Ok(line.command.unwrap_or_else(|| Command::Get(Box::new(line.get))))
}

/// These words of `get` by long names, as they are to be given in another folder than `here`. Words that are wrong stay
/// as they are.
pub(crate) fn from_here(words: Vec<OsString>, here: &std::path::Path) -> Vec<OsString> {
    let Some(here) = here.to_str().filter(|_| given::is_text(&words)) else { return words };
    let all = ["gannet", FETCHING[0]].map(OsString::from).into_iter().chain(words.iter().cloned());
    let Ok(matches) = Line::command().try_get_matches_from(all) else { return words };
    let Some((name, own)) = matches.subcommand() else { return words };
    let found = given::from_here(own, &definition_of(name), here.trim_end_matches('/'));
    found.into_iter().map(OsString::from).collect()
}

/// The words that stand before those of the command line: settings, then the options of `-K`.
fn further(
    name: &'static str,
    own: &ArgMatches,
    surroundings: &Surroundings,
) -> Result<(Vec<String>, Vec<String>), Complaint> {
    let named = own.get_one::<PathBuf>("config").map(PathBuf::as_path);
    let files: Vec<String> = own.get_many("curl_config").into_iter().flatten().cloned().collect();
    if named.is_none() && files.is_empty() && surroundings.hold_nothing() {
        return Ok((Vec::new(), Vec::new()));
    }
    let held = settings(named, surroundings)?;
    let mut vocabulary = vocabulary_of(name);
    let given = curl_config::read(&files, &mut vocabulary)?;
    if given.has_read_stdin {
        check_stdin(own, &given.words)?;
    }
    let is_given = |id: &&clap::Id| own.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let definition = Line::command();
    let by_id = |id: &clap::Id| match id.as_str() {
        "urls" => Some("url".to_owned()),
        id => definition.get_arguments().find(|arg| arg.get_id() == id)?.get_long().map(str::to_owned),
    };
    let mut names: Vec<String> = own.ids().filter(is_given).filter_map(by_id).collect();
    names.extend(given.names);
    Ok((held.words(&vocabulary, &names), given.words))
}

/// Standard input, which gave options, can give nothing else.
fn check_stdin(own: &ArgMatches, further: &[String]) -> Result<(), Complaint> {
    let is_list = own.try_get_one::<String>("list").ok().flatten().is_some_and(|list| list == "-");
    if is_list || further.iter().any(|word| word == "--input=-") {
        return Err(Complaint::contradiction("-K -", "-i -"));
    }
    let readers = ["data", "data-binary", "data-urlencode", "json", "form", "write-out"];
    let of = |name: &str| own.try_get_many::<String>(&name.replace("write-out", "write_out")).ok().flatten();
    let own_values = readers.iter().filter_map(|name| of(name)).flatten();
    let in_words = |word: &&String| readers.iter().any(|name| word.starts_with(&format!("--{name}=")));
    let mut values = own_values.chain(further.iter().filter(in_words));
    if values.any(|value| value.ends_with("@-")) {
        return Err(Complaint::contradiction("-K -", "a value of @-"));
    }
    Ok(())
}

/// Help and version are clap's to print; what is wrong is said in our words.
fn judge(error: clap::Error) -> NoCommand {
    if error.use_stderr() { NoCommand::Refused(refusal::of(&error)) } else { NoCommand::Clap(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, NoCommand> {
        let words = std::iter::once("gannet").chain(line.split_whitespace());
        parse(words.map(OsString::from), &Surroundings::default())
    }

    fn get(line: &str) -> GetArgs {
        match parsed(line) {
            Ok(Command::Get(get)) => *get,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn get_is_what_is_meant_without_a_subcommand() {
        assert_eq!(get("http://a/ http://b/").urls, get("get http://a/ http://b/").urls);
        assert!(matches!(parsed("race a.example b.example"), Ok(Command::Race(_))));
        assert!(matches!(parsed("demo 2"), Ok(Command::Demo { act: Some(_) })));
    }

    #[test]
    fn what_people_type_for_curl_is_taken() {
        let args = get("-fsSLO https://a.example/x");
        assert!(args.body.remote_name && args.shared.display.silent && args.shared.habits.show_error);
        let args = get("-sS -m 5 -X PUT -H A:b -d a=b -u me:pw -A me -k --http1.1 http://a/");
        assert_eq!(args.time.max_time, Some(std::time::Duration::from_secs(5)));
        assert_eq!(args.shared.request.method, Some(http::Method::PUT));
        assert!(!get("--no-location --location a/").shared.request.no_location);
    }

    #[test]
    fn the_last_of_a_repeated_option_counts() {
        assert_eq!(get("-m 5 -m 7 -O -O a/").time.max_time, Some(std::time::Duration::from_secs(7)));
        assert_eq!(get("-o a -o b x/ y/").body.files, ["a", "b"]);
    }

    #[test]
    fn options_out_of_scope_are_left_to_curl() {
        for line in ["-T file http://a/", "--upload-file=x http://a/", "--ftp-pasv ftp://a/"] {
            assert!(matches!(parsed(line), Err(NoCommand::Refused(_))), "{line}");
        }
        assert!(matches!(parsed("--nonsense http://a/"), Err(NoCommand::Refused(_))));
    }

    /// The fetch that a command line comes to within these variables.
    fn within(line: &str, variables: &[(&str, &str)]) -> Result<Command, NoCommand> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
        let surroundings = Surroundings { variables: variables.collect(), ..Surroundings::default() };
        let words = std::iter::once("gannet").chain(line.split_whitespace());
        parse(words.map(OsString::from), &surroundings)
    }

    fn seconds(line: &str, variables: &[(&str, &str)]) -> Option<u64> {
        match within(line, variables) {
            Ok(Command::Get(get)) => get.time.max_time.map(|length| length.as_secs()),
            Ok(Command::Race(race)) => race.time.max_time.map(|length| length.as_secs()),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn complaint(line: &str, variables: &[(&str, &str)]) -> String {
        match within(line, variables) {
            Err(NoCommand::Refused(complaint)) => complaint.to_string(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_counts_for_more_than_the_environment() {
        let thirty = [("GANNET_MAX_TIME", "30")];
        assert_eq!(seconds("a/", &thirty), Some(30));
        assert_eq!(seconds("race a/ b/", &thirty), Some(30));
        assert_eq!(seconds("-m 5 a/", &thirty), Some(5));
        assert_eq!(seconds("get --max-time=6 a/", &thirty), Some(6));
        assert_eq!(seconds("a/", &[("GANNET_MAX_TIME", "")]), None);
    }

    #[test]
    fn a_setting_gives_way_to_what_the_command_line_says_instead() {
        let settings =
            [("GANNET_HTTP2", "1"), ("GANNET_DIRECTORY_PREFIX", "out"), ("GANNET_IF_EXISTS", "skip")];
        let Ok(Command::Get(plain)) = within("a/", &settings) else { panic!("refused") };
        assert!(
            plain.shared.connection.http2 && plain.body.directory.is_some() && plain.body.if_exists.is_some()
        );
        let Ok(Command::Get(other)) = within("--http1.1 --no-body a/", &settings) else { panic!("refused") };
        assert!(
            !other.shared.connection.http2
                && other.body.directory.is_none()
                && other.body.if_exists.is_none()
        );
        let Ok(Command::Get(listed)) = within("a/", &[("GANNET_INPUT", "list")]) else { panic!("refused") };
        assert_eq!((listed.input.list, listed.urls), (None, vec!["a/".to_owned()]));
    }

    #[test]
    fn settings_of_other_subcommands_are_skipped_and_those_of_none_refused() {
        assert!(matches!(within("race a/", &[("GANNET_PER_HOST", "2")]), Ok(Command::Race(_))));
        assert!(complaint("a/", &[("GANNET_PERHOST", "2")]).contains("did you mean GANNET_PER_HOST?"));
        assert!(complaint("a/", &[("GANNET_NONSENSE", "2")]).contains("no setting"));
        assert!(complaint("a/", &[("GANNET_PER_HOST", "x")]).contains("from 1 to 100000"));
        assert!(complaint("a/", &[("GANNET_QUIET", "maybe")]).contains("1, true, yes"));
        assert!(matches!(within("demo", &[("GANNET_NONSENSE", "2")]), Ok(Command::Demo { .. })));
        assert!(matches!(within("a/", &[("GANNET_TEST_NO_SKIP", "1")]), Ok(Command::Get(_))));
    }

    #[test]
    fn flags_are_switched_on_and_off_by_words() {
        for (value, is_on) in
            [("1", true), ("YES", true), ("true", true), ("0", false), ("no", false), ("false", false)]
        {
            let Ok(Command::Get(args)) = within("a/", &[("GANNET_QUIET", value)]) else { panic!("{value}") };
            assert_eq!(args.shared.display.quiet, is_on, "{value}");
        }
        let Ok(Command::Get(args)) = within("a/", &[("GANNET_TLSV1_3", "1")]) else { panic!("refused") };
        assert!(args.shared.connection.tls13);
    }

    #[test]
    fn values_that_look_like_options_are_told_by_what_they_should_be() {
        let program = definition();
        let numbers = ["TIME", "SIZE", "N", "SHARE", "RATE", "SET", "GOAL", "WHEN"];
        let takes_one = |arg: &&clap::Arg| {
            let names = arg.get_value_names().unwrap_or_default();
            arg.get_action().takes_values() && names.iter().any(|name| numbers.contains(&name.as_str()))
        };
        let options = program.get_arguments().filter(takes_one).filter_map(clap::Arg::get_long);
        let options = options.filter(|long| *long != "color");
        let lines: Vec<String> = options.map(|long| format!("--{long} -5s a/")).collect();
        assert!(lines.len() > 20, "{lines:?}");
        for line in lines.iter().map(String::as_str).chain(["-j many a/", "-m -1 a/"]) {
            let Err(NoCommand::Refused(complaint)) = parsed(line) else { panic!("{line}") };
            let complaint = complaint.to_string();
            let name = line.split(' ').next().unwrap_or_default();
            assert!(
                !name.starts_with("--") || complaint.contains(&format!("error: {name}: ")),
                "{complaint}"
            );
            assert!(complaint.contains(" is no") && complaint.contains("\n  fix: "), "{line}: {complaint}");
        }
    }

    #[test]
    fn each_subcommand_is_known_to_those_who_mistype_it() {
        let mut program = definition();
        program.build();
        let mut known: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
        let mut listed = words::SUBCOMMANDS.to_vec();
        known.sort();
        listed.sort();
        assert_eq!(known, listed);
    }

    #[test]
    fn the_short_help_fits_two_screens() {
        let help = Line::command().term_width(80).render_help().to_string();
        assert!(help.lines().count() <= 72, "{} lines", help.lines().count());
    }
}
