//! The options of a subcommand, asked one by one: what comes from a file or the environment is judged before it
//! stands among the words of the command line, so that an error can name its place. Pure.

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, Error};

/// Options that make no fetch, or that a file cannot name.
const OF_THE_COMMAND_LINE: [&str; 3] = ["help", "version", "config"];
/// Options whose values are never shown.
const SECRET: [&str; 9] =
    ["user", "header", "cookie", "data", "data-raw", "data-binary", "data-urlencode", "form", "json"];

/// What one subcommand knows.
pub(super) struct Vocabulary {
    program: Command,
    subcommand: &'static str,
}

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Its long name, without dashes.
    pub(super) long: String,
    /// What it takes.
    pub(super) takes: Takes,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing: it is given or not.
    Nothing,
    /// One value, the last.
    One,
    /// A value each time it is given.
    Many,
}

impl Vocabulary {
    /// The options of a subcommand of `program`.
    pub(super) fn of(mut program: Command, subcommand: &'static str) -> Self {
        program.build();
        Self { program, subcommand }
    }

    /// The option of this name, in which `_` and `.` stand for `-`, too.
    pub(super) fn long(&self, name: &str) -> Option<Known> {
        let name = canonical(name);
        self.options().find(|arg| longs(arg).any(|long| canonical(long) == name)).map(known)
    }

    /// The option of this letter, if it has a long name.
    pub(super) fn short(&self, letter: char) -> Option<Known> {
        self.options().find(|arg| arg.get_short() == Some(letter)).map(known)
    }

    /// The name that was probably meant.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        let names = self.options().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
        super::words::nearest(&canonical(name), names).map(str::to_owned)
    }

    /// Why this word cannot be used, if it cannot.
    pub(super) fn refusal(&mut self, option: &Known, word: &str) -> Option<String> {
        let words = ["gannet", self.subcommand, word];
        let error = self.program.try_get_matches_from_mut(words).err()?;
        Some(if is_secret(&option.long) { "its value cannot be used".into() } else { reason(&error) })
    }

    fn options(&self) -> impl Iterator<Item = &Arg> {
        let subcommand = self.program.find_subcommand(self.subcommand);
        let all = subcommand.into_iter().flat_map(Command::get_arguments);
        all.filter(|arg| arg.get_long().is_some_and(|long| !OF_THE_COMMAND_LINE.contains(&long)))
    }
}

/// Whether the values of this option are never shown.
pub(super) fn is_secret(long: &str) -> bool {
    SECRET.contains(&long)
}

/// A name as it is compared.
pub(super) fn canonical(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

fn longs(arg: &Arg) -> impl Iterator<Item = &str> {
    let aliases = arg.get_all_aliases().unwrap_or_default();
    arg.get_long().into_iter().chain(aliases)
}

fn known(arg: &Arg) -> Known {
    let takes = match arg.get_action() {
        ArgAction::Append => Takes::Many,
        action if action.takes_values() => Takes::One,
        _ => Takes::Nothing,
    };
    Known { long: arg.get_long().unwrap_or_default().to_owned(), takes }
}

/// What clap has against a value, without its usage and tips.
fn reason(error: &Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        return format!("it takes {}", values.join(", "));
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}
