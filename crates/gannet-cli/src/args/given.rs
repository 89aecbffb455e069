//! The words of a command line as a journal may keep them: by long names, in their order, without what is secret. What
//! was left out is named, so that it can be asked for. Pure.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde::{Deserialize, Serialize};

use super::vocabulary::is_secret;
use super::words::without_userinfo;

/// The words behind `gannet get`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// Options as `--name=value`, and URLs.
    pub(crate) words: Vec<String>,
    /// Options whose values were left out, with their dashes, and `URL` where one held a name or a password.
    pub(crate) secret: Vec<String>,
    /// What was read from standard input: `--input`.
    pub(crate) from_stdin: Vec<String>,
}

/// Options that say how this run is watched or begun, and nothing of the job.
const OF_ONE_RUN: [&str; 3] = ["new-job", "dry-run", "curl"];
/// Options whose value may name a file behind an `@`.
const TAKES_A_FILE: [&str; 4] = ["data", "data-binary", "data-urlencode", "json"];

impl Given {
    /// What was given to `get`.
    pub(super) fn of(matches: &ArgMatches, definition: &Command) -> Self {
        let mut given = Self::default();
        let mut placed: Vec<(usize, String)> = Vec::new();
        for arg in definition.get_arguments() {
            let id = arg.get_id().as_str();
            if matches.try_contains_id(id).is_ok()
                && matches.value_source(id) == Some(ValueSource::CommandLine)
            {
                given.add(arg, matches, &mut placed);
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        given.words = placed.into_iter().map(|(_, word)| word).collect();
        given.secret.sort();
        given.secret.dedup();
        given.from_stdin.dedup();
        given
    }

    fn add(&mut self, arg: &Arg, matches: &ArgMatches, placed: &mut Vec<(usize, String)>) {
        let id = arg.get_id().as_str();
        let long = arg.get_long();
        if long.is_some_and(|long| OF_ONE_RUN.contains(&long)) {
            return;
        }
        let places: Vec<usize> = matches.indices_of(id).into_iter().flatten().collect();
        let Some(long) = long else {
            for (place, value) in places.into_iter().zip(raw(matches, id)) {
                match arg.get_short() {
                    // An option without a long name: -K.
                    Some(letter) => placed.push((place, format!("-{letter}{value}"))),
                    None => placed.push((place, self.url(&value))),
                }
            }
            return;
        };
        if !arg.get_action().takes_values() {
            let times = usize::from(matches.get_count_or_one(id));
            let place = places.first().copied().unwrap_or_default();
            placed.extend(std::iter::repeat_n((place, format!("--{long}")), times));
            return;
        }
        for (place, value) in places.into_iter().zip(raw(matches, id)) {
            placed.extend(self.valued(long, &value).map(|word| (place, word)));
        }
    }

    /// The word of an option and its value, if it may be kept.
    fn valued(&mut self, long: &str, value: &str) -> Option<String> {
        let is_stdin = value.ends_with("@-") || (value == "-" && long == "input");
        if is_stdin {
            self.from_stdin.push(format!("--{long}"));
        }
        let names_a_file = TAKES_A_FILE.contains(&long) && value.starts_with('@');
        let is_kept = match long {
            "header" => !is_secret_field(value),
            _ => !is_secret(long) || names_a_file,
        };
        if !is_kept {
            self.secret.push(format!("--{long}"));
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
        let is_given = |flag: &&String| {
            let begin = format!("{flag}=");
            other.secret.contains(flag) || other.words.iter().any(|word| word.starts_with(&begin))
        };
        let all = self.secret.iter().chain(&self.from_stdin);
        let mut missing: Vec<String> = all.filter(|flag| !is_given(flag)).cloned().collect();
        missing.dedup();
        missing
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
