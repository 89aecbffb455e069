//! The words of a command line as a journal may keep them: by long names, in their order, without what is secret. What
//! was left out is named, so that it can be asked for. Pure.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use serde::{Deserialize, Serialize};

use super::rivals::are_rivals;
use super::vocabulary::is_secret;
use super::words::without_userinfo;

/// The words behind `gannet get`, and the settings that stand for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// Options as `--name=value`, and URLs.
    pub(crate) words: Vec<String>,
    /// Options whose values were left out, with their dashes, header fields as `--header=NAME`, and `URL` where one held
    /// a name or a password; each as often as it was given.
    pub(crate) secret: Vec<String>,
    /// What was read from standard input: `--input`.
    pub(crate) stdin_readers: Vec<String>,
}

/// Options that say how this run is watched or begun, and nothing of the job.
const OF_ONE_RUN: [&str; 3] = ["new-job", "dry-run", "curl"];
/// Options that change nothing in what a line of a list asks for: what is told, how long is waited, how much at once, how
/// often.
const CHANGES_NO_LINE: [&str; 39] = [
    "color",
    "connect-timeout",
    "deadline",
    "dump-header",
    "durability",
    "fail-early",
    "grace",
    "har",
    "hedge",
    "hedge-budget",
    "host-give-up",
    "host-rate",
    "include",
    "max-buffer",
    "max-time",
    "no-buffer",
    "parallel-max",
    "per-host",
    "progress",
    "progress-bar",
    "quiet",
    "rate",
    "read-timeout",
    "report",
    "report-attempts",
    "report-order",
    "resume-parts",
    "retry",
    "retry-after-max",
    "retry-all-errors",
    "retry-budget",
    "retry-delay",
    "retry-max-delay",
    "retry-max-time",
    "silent",
    "speed-limit",
    "speed-time",
    "until",
    "write-out",
];
/// Options whose value may name a file behind an `@`.
const TAKES_A_FILE: [&str; 4] = ["data", "data-binary", "data-urlencode", "json"];
/// Options whose value is a file or folder.
const IS_A_PATH: [&str; 12] = [
    "cacert",
    "checksum-file",
    "config",
    "cookie-jar",
    "directory-prefix",
    "dump-header",
    "har",
    "input",
    "journal",
    "output",
    "output-dir",
    "report",
];

/// An option or a URL, as it was given.
#[derive(Debug)]
enum Word {
    /// A URL, or the value of an option without a long name behind its letter.
    Plain(Option<char>, String),
    Flag(String),
    Valued(String, String),
}

impl Word {
    /// A setting: `--name` or `--name=value`.
    fn of_setting(text: &str) -> Option<Self> {
        let text = text.strip_prefix("--")?;
        Some(match text.split_once('=') {
            Some((long, value)) => Self::Valued(long.to_owned(), value.to_owned()),
            None => Self::Flag(text.to_owned()),
        })
    }

    fn into_text(self) -> String {
        match self {
            Self::Plain(Some(letter), value) => format!("-{letter}{value}"),
            Self::Plain(None, value) => value,
            Self::Flag(long) => format!("--{long}"),
            Self::Valued(long, value) => format!("--{long}={value}"),
        }
    }

    /// The same, if paths are relative to this folder.
    fn from(self, here: &str) -> Self {
        let absolute = |path: &str| match path {
            "" | "-" => path.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{here}/{path}"),
        };
        let behind = |value: &str, mark: &str| {
            let (name, path) = value.split_once(mark)?;
            Some(format!("{name}{mark}{}", absolute(path)))
        };
        match self {
            Self::Plain(Some('K'), path) => Self::Plain(Some('K'), absolute(&path)),
            Self::Valued(long, value) => {
                let value = match long.as_str() {
                    "journal" if value == "none" => value,
                    name if IS_A_PATH.contains(&name) => absolute(&value),
                    // A file of cookies, and no cookie.
                    "cookie" if !value.contains('=') => absolute(&value),
                    "form" => behind(&value, "=@").or_else(|| behind(&value, "=<")).unwrap_or(value),
                    "write-out" | "header" if value.starts_with('@') => behind(&value, "@").unwrap_or(value),
                    name if TAKES_A_FILE.contains(&name) && value.starts_with('@') => {
                        behind(&value, "@").unwrap_or(value)
                    }
                    _ => value,
                };
                Self::Valued(long, value)
            }
            other => other,
        }
    }
}

/// The words of a command line by long names, in their order; those of one run apart.
fn spelled(matches: &ArgMatches, definition: &Command) -> Vec<Word> {
    let mut placed: Vec<(usize, Word)> = Vec::new();
    for arg in definition.get_arguments() {
        let id = arg.get_id().as_str();
        let is_given = || matches.value_source(id) == Some(ValueSource::CommandLine);
        if matches.try_contains_id(id).is_err() || !is_given() {
            continue;
        }
        let places: Vec<usize> = matches.indices_of(id).into_iter().flatten().collect();
        let values = || places.iter().copied().zip(raw(matches, id));
        match arg.get_long() {
            None => {
                let letter = arg.get_short();
                placed.extend(values().map(|(place, value)| (place, Word::Plain(letter, value))));
            }
            Some(long) if arg.get_action().takes_values() => {
                placed.extend(values().map(|(place, value)| (place, Word::Valued(long.into(), value))));
            }
            Some(long) => {
                let times = usize::from(matches.get_count_or_one(id));
                let place = places.first().copied().unwrap_or_default();
                placed.extend((0..times).map(|_| (place, Word::Flag(long.into()))));
            }
        }
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, word)| word).collect()
}

/// The words of a command line by long names, as they are to be given in another folder than `here`.
pub(super) fn from_here(matches: &ArgMatches, definition: &Command, here: &str) -> Vec<String> {
    spelled(matches, definition).into_iter().map(|word| word.from(here).into_text()).collect()
}

impl Given {
    /// What was given to `get`, and the settings that stand for words in front of it.
    pub(super) fn of(matches: &ArgMatches, definition: &Command, settings: &[String]) -> Self {
        let settings = settings.iter().filter_map(|text| Word::of_setting(text));
        let mut given = Self::default();
        for word in settings.chain(spelled(matches, definition)) {
            let kept = given.kept(word);
            given.words.extend(kept);
        }
        given.secret.sort();
        given.stdin_readers.dedup();
        given
    }

    /// What may be kept of a word.
    fn kept(&mut self, word: Word) -> Option<String> {
        match word {
            Word::Flag(long) | Word::Valued(long, _) if OF_ONE_RUN.contains(&long.as_str()) => None,
            Word::Flag(_) => Some(word.into_text()),
            Word::Valued(long, value) => self.valued(&long, &value),
            Word::Plain(None, url) => Some(self.url(&url)),
            Word::Plain(Some(letter), value) => {
                // An option without a long name: -K.
                if value == "-" {
                    self.stdin_readers.push(format!("-{letter}"));
                }
                Some(format!("-{letter}{value}"))
            }
        }
    }

    /// The word of an option and its value, if it may be kept.
    fn valued(&mut self, long: &str, value: &str) -> Option<String> {
        if value.ends_with("@-") || (value == "-" && matches!(long, "input" | "checksum-file")) {
            self.stdin_readers.push(format!("--{long}"));
        }
        let names_a_file = TAKES_A_FILE.contains(&long) && value.starts_with('@');
        let is_kept = match long {
            "header" => !is_secret_field(value),
            _ => !is_secret(long) || names_a_file,
        };
        if !is_kept {
            self.secret.push(flag(long, value));
            return None;
        }
        let value = if long == "mirror" { self.url(value) } else { value.to_owned() };
        Some(format!("--{long}={value}"))
    }

    /// A URL without userinfo.
    fn url(&mut self, value: &str) -> String {
        let plain = without_userinfo(value);
        if plain != value {
            self.secret.push("URL".into());
        }
        plain
    }

    /// What was left out and is not given by `other` either.
    pub(crate) fn left_out_of(&self, other: &Self) -> Vec<String> {
        let mut there: Vec<String> = other.flags().collect();
        let mut missing = Vec::new();
        for flag in &self.secret {
            match there.iter().position(|other| other == flag) {
                Some(place) => drop(there.swap_remove(place)),
                None => missing.push(flag.clone()),
            }
        }
        let is_read =
            |flag: &&String| !other.stdin_readers.contains(flag) && !other.flags().any(|it| it == **flag);
        missing.extend(self.stdin_readers.iter().filter(is_read).cloned());
        missing
    }

    /// The words that still hold when those of `other` are given behind them: what is given anew stands in the place of
    /// what has the same name, and of what speaks against it.
    pub(crate) fn words_beside(&self, other: &Self) -> Vec<String> {
        let new: Vec<String> = other.flags().collect();
        let gives_way = |word: &String| {
            if word == "-K-" && new.iter().any(|new| new == "-K") {
                return true;
            }
            let Some(Word::Flag(long) | Word::Valued(long, _)) = Word::of_setting(word) else { return false };
            let old = flag_of(word);
            let is_replaced = new.contains(&old) && !self.secret.contains(&old);
            is_replaced || new.iter().any(|new| are_rivals(&long, new.trim_start_matches("--")))
        };
        self.words.iter().filter(|word| !gives_way(word)).cloned().collect()
    }

    /// Those that what a line of a list asks for may depend on, in their order.
    pub(crate) fn words_of_lines(&self) -> impl Iterator<Item = &String> {
        self.words.iter().filter(|word| match Word::of_setting(word) {
            Some(Word::Flag(long) | Word::Valued(long, _)) => !CHANGES_NO_LINE.contains(&long.as_str()),
            Some(Word::Plain(..)) | None => true,
        })
    }

    /// The names of all options.
    fn flags(&self) -> impl Iterator<Item = String> + '_ {
        self.words.iter().map(|word| flag_of(word)).chain(self.secret.iter().cloned())
    }

    /// How what was left out is to be given again: `--user ...`.
    pub(crate) fn again(flags: &[String]) -> String {
        let one = |flag: &String| match flag.split_once('=') {
            Some((flag, field)) => format!(" {flag} '{field}: ...'"),
            None => format!(" {flag} ..."),
        };
        flags.iter().map(one).collect()
    }
}

/// What an option of this value is called: `--header=NAME` tells fields apart.
pub(super) fn flag(long: &str, value: &str) -> String {
    let field = value.split([':', ';']).next().unwrap_or_default();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    match long == "header" && field.len() < value.len() && field.chars().all(is_plain) {
        true => format!("--{long}={}", field.to_ascii_lowercase()),
        false => format!("--{long}"),
    }
}

fn flag_of(word: &str) -> String {
    match Word::of_setting(word) {
        Some(Word::Valued(long, value)) => flag(&long, &value),
        Some(Word::Flag(long)) => format!("--{long}"),
        Some(Word::Plain(..)) | None => word.chars().take(2).filter(|_| word.starts_with('-')).collect(),
    }
}

/// Fields that say what is wanted, and nothing of who asks.
const PLAIN_FIELDS: [&str; 8] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "dnt",
    "pragma",
    "user-agent",
];

/// Of a header field of which nothing is known, the worst is thought.
fn is_secret_field(header: &str) -> bool {
    let name = header.split([':', ';']).next().unwrap_or_default().trim();
    !PLAIN_FIELDS.iter().any(|plain| name.eq_ignore_ascii_case(plain))
}

fn raw(matches: &ArgMatches, id: &str) -> Vec<String> {
    let values = matches.get_raw(id).into_iter().flatten();
    values.map(OsStr::to_string_lossy).map(std::borrow::Cow::into_owned).collect()
}

/// Whether all words can be kept as text.
pub(super) fn is_text(words: &[OsString]) -> bool {
    words.iter().all(|word| word.to_str().is_some())
}

trait CountOrOne {
    fn get_count_or_one(&self, id: &str) -> u8;
}

impl CountOrOne for ArgMatches {
    /// How often a flag was given that may be given more than once, else once.
    fn get_count_or_one(&self, id: &str) -> u8 {
        self.try_get_one::<u8>(id).ok().flatten().copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_that_are_named_here_are_options() {
        let definition = crate::args::definition();
        let get = definition.find_subcommand("get").expect("it is one");
        let all: Vec<&str> = get.get_arguments().filter_map(clap::Arg::get_long).collect();
        let named = [&OF_ONE_RUN[..], &CHANGES_NO_LINE, &TAKES_A_FILE, &IS_A_PATH];
        for name in named.into_iter().flatten() {
            assert!(all.contains(name), "--{name}");
        }
    }

    #[test]
    fn what_a_run_tells_and_how_long_it_waits_makes_no_other_lines() {
        let given =
            |words: &str| Given { words: words.split(' ').map(str::to_owned).collect(), ..Given::default() };
        let before = given("--input=list --directory-prefix=o --quiet --report=r --retry=3");
        for (words, are_same) in [
            ("--input=list --directory-prefix=o", true),
            ("--input=list --deadline=1h --directory-prefix=o --until=first:1", true),
            ("--input=list --directory-prefix=p", false),
            ("--input=list --directory-prefix=o --request=PUT", false),
            ("--input=list --directory-prefix=o --input-format=csv", false),
            ("--input=list --directory-prefix=o http://a/", false),
        ] {
            assert_eq!(before.words_of_lines().eq(given(words).words_of_lines()), are_same, "{words}");
        }
    }
}
