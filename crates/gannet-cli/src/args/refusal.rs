//! What clap has against a command line, in our words: what is wrong, and what to do. Pure text.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::vocabulary::is_secret;
use super::words;
use crate::say::Complaint;

/// Options of curl that fetch, and that this version has not; first their letters.
const NOT_YET: [(&str, &str); 42] = [
    ("-x", "--proxy"),
    ("-U", "--proxy-user"),
    ("", "--noproxy"),
    ("", "--preproxy"),
    ("", "--socks4"),
    ("", "--socks4a"),
    ("", "--socks5"),
    ("", "--socks5-hostname"),
    ("", "--resolve"),
    ("", "--connect-to"),
    ("", "--dns-servers"),
    ("", "--doh-url"),
    ("", "--interface"),
    ("", "--local-port"),
    ("", "--unix-socket"),
    ("", "--abstract-unix-socket"),
    ("-4", "--ipv4"),
    ("-6", "--ipv6"),
    ("", "--limit-rate"),
    ("-z", "--time-cond"),
    ("-E", "--cert"),
    ("", "--cert-type"),
    ("", "--key"),
    ("", "--key-type"),
    ("", "--pass"),
    ("", "--capath"),
    ("", "--crlfile"),
    ("", "--pinnedpubkey"),
    ("", "--ciphers"),
    ("-n", "--netrc"),
    ("", "--netrc-file"),
    ("", "--digest"),
    ("", "--negotiate"),
    ("", "--ntlm"),
    ("", "--aws-sigv4"),
    ("", "--http3"),
    ("", "--http3-only"),
    ("", "--hsts"),
    ("", "--alt-svc"),
    ("", "--etag-save"),
    ("", "--etag-compare"),
    ("", "--trace-ascii"),
];

/// Our words for clap's.
pub(super) fn of(error: &Error) -> Complaint {
    let option = text(error, ContextKind::InvalidArg);
    match (error.kind(), option.as_deref()) {
        (ErrorKind::UnknownArgument, Some(option)) => unknown(error, option),
        (ErrorKind::InvalidValue, Some(option)) => no_such_value(error, option),
        (ErrorKind::ValueValidation, Some(option)) => bad_value(error, option),
        (ErrorKind::TooManyValues, Some(option)) => {
            let name = name(option);
            Complaint::new(format!("{name} takes no value")).fix(format!("give {name} alone"))
        }
        (ErrorKind::ArgumentConflict, Some(option)) => match text(error, ContextKind::PriorArg) {
            Some(prior) => Complaint::contradiction(name(option), name(&prior)),
            None => in_its_words(error),
        },
        (ErrorKind::MissingRequiredArgument, Some(option)) => {
            let whose = whose(error);
            let wanted = plain(option);
            // Where one word of two is there, the fix has both.
            let fix =
                usage(error).filter(|usage| usage.starts_with(&whose) && !usage.contains(['<', '[', '\n']));
            Complaint::new(format!("{whose} needs {wanted}"))
                .fix(fix.unwrap_or_else(|| format!("{whose} {wanted}")))
        }
        _ => in_its_words(error),
    }
}

fn unknown(error: &Error, option: &str) -> Complaint {
    if let Some(complaint) = words::curls_option(option) {
        return complaint;
    }
    let (option, whose) = (option.split('=').next().unwrap_or(option), whose(error));
    let complaint = match NOT_YET.iter().find(|(short, long)| option == *long || option == *short) {
        Some((short, long)) if option == *short => {
            return Complaint::new(format!("this version has no {short} ({long})")).fix("use curl for this");
        }
        Some((_, long)) => {
            return Complaint::new(format!("this version has no {long}")).fix("use curl for this");
        }
        None if option.starts_with('-') => Complaint::new(format!("{whose} has no option {option}")),
        None => {
            return Complaint::new(format!("{whose} takes no word like {option:?}")).fix(see_help(&whose));
        }
    };
    match text(error, ContextKind::SuggestedArg) {
        Some(near) => complaint.fix(format!("did you mean {}?", name(&near))),
        None => complaint.fix(see_help(&whose)),
    }
}

/// A value is missing, or it is none of those that there are.
fn no_such_value(error: &Error, option: &str) -> Complaint {
    let name = name(option);
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let values = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => values.join(", "),
        _ => String::new(),
    };
    if value.is_empty() {
        let complaint = Complaint::new(format!("{name} needs a value"));
        return match values.is_empty() {
            true => complaint.fix(plain(option)),
            false => complaint.fix(format!("{name} takes {values}")),
        };
    }
    let complaint = Complaint::new(format!("{name} takes no {value:?}"));
    match text(error, ContextKind::SuggestedValue) {
        Some(near) => complaint.fix(format!("did you mean {near}? it takes {values}")),
        None => complaint.fix(format!("it takes {values}")),
    }
}

/// The reason is of our own making: what is wrong, and behind a semicolon what to write.
fn bad_value(error: &Error, option: &str) -> Complaint {
    let name = name(option);
    let reason = error.source().map(ToString::to_string).filter(|_| !is_secret(name.trim_start_matches('-')));
    let Some(reason) = reason else {
        return Complaint::new(format!("the value of {name} cannot be used")).fix(plain(option));
    };
    match reason.split_once("; ") {
        Some((what, fix)) => Complaint::new(format!("{name}: {what}")).fix(fix),
        None => Complaint::new(format!("{name}: {reason}")).fix(plain(option)),
    }
}

fn in_its_words(error: &Error) -> Complaint {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    Complaint::new(first.strip_prefix("error: ").unwrap_or(first)).fix(see_help(&whose(error)))
}

/// `gannet`, or `gannet check`, as the line of usage begins.
fn whose(error: &Error) -> String {
    let Some(usage) = usage(error) else { return "gannet".into() };
    let mut behind = usage.split_whitespace().skip_while(|word| *word != "gannet").skip(1);
    match behind.next().filter(|word| words::SUBCOMMANDS.contains(word)) {
        Some(subcommand) => format!("gannet {subcommand}"),
        None => "gannet".into(),
    }
}

/// How it is used, as clap has it.
fn usage(error: &Error) -> Option<String> {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return None };
    let usage = usage.to_string();
    let usage = usage.trim();
    Some(usage.strip_prefix("Usage:").map_or(usage, str::trim).to_owned())
}

fn see_help(whose: &str) -> String {
    format!("{whose} --help shows what there is")
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// `--max-time` of `--max-time <TIME>`, `SHELL` of `<SHELL>`.
fn name(option: &str) -> &str {
    option.split([' ', '=', '[']).next().unwrap_or(option).trim_matches(['<', '>'])
}

/// `--max-time TIME` of `--max-time <TIME>`.
fn plain(option: &str) -> String {
    option.replace(['<', '>'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_version_has_not_it_has_not() {
        let vocabulary = super::super::vocabulary_of("get");
        for (short, long) in NOT_YET {
            assert!(vocabulary.long(long.trim_start_matches('-')).is_none(), "{long}");
            let letter = short.chars().nth(1);
            assert!(letter.is_none_or(|letter| vocabulary.short(letter).is_none()), "{short}");
        }
    }
}
