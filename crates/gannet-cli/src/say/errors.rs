//! Errors of URLs, three lines each, folded by code and host after the first three.

use std::collections::{BTreeMap, HashMap};

use gannet::{Ending, Error, Outcome, WhyStopped};

use super::amounts::seconds;
use super::{Complaint, hint, reason};

/// So many errors of one code and host are told in full.
const IN_FULL: u64 = 3;
/// Codes and hosts that are told apart; beyond that, codes only. A list of ten thousand hosts that are all dead fills no
/// terminal.
const TOLD_APART: usize = 20;
/// The host that stands for those beyond.
const OTHERS: &str = "other hosts";

/// What was told already.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    seen: HashMap<Like, u64>,
}

/// What makes two errors alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Like {
    code: &'static str,
    host: Box<str>,
}

impl Errors {
    /// The complaint about an outcome, unless there is none to make or it is folded.
    pub(crate) fn of(&mut self, outcome: &Outcome) -> Option<Complaint> {
        let error = outcome.error()?;
        let host = match outcome.ending() {
            Ending::Failed => host(outcome.url()),
            // The deadline is the same for all hosts.
            Ending::Unfinished => "",
            // Nobody needs to be told that what was stopped has stopped.
            Ending::Cancelled | Ending::Ok | Ending::Skipped => return None,
        };
        self.is_told(error.kind().code(), host).then(|| complaint(outcome, error))
    }

    /// The complaint about an input that was never begun, unless it is folded.
    pub(crate) fn of_input(&mut self, url: &str, line: Option<u64>, error: &Error) -> Option<Complaint> {
        let url = if url.is_empty() { error.url().unwrap_or_default() } else { url };
        self.is_told(error.kind().code(), host(url)).then(|| {
            Complaint::new(format!("{} cannot be fetched", whose(url, line)))
                .why(reason(error))
                .fix(hint(error))
        })
    }

    /// Counts one more of its like; whether it is told in full.
    fn is_told(&mut self, code: &'static str, host: &str) -> bool {
        let mut like = Like { code, host: host.into() };
        if self.seen.len() >= TOLD_APART && !host.is_empty() && !self.seen.contains_key(&like) {
            like.host = OTHERS.into();
        }
        let count = self.seen.entry(like).or_default();
        *count += 1;
        *count <= IN_FULL
    }

    /// A line for each of those that were folded.
    pub(crate) fn folded(&self) -> Vec<String> {
        let mut folded: Vec<_> = self.seen.iter().filter(|(_, count)| **count > IN_FULL).collect();
        folded.sort();
        let line = |(like, count): (&Like, &u64)| {
            let at = if like.host.is_empty() { String::new() } else { format!(" at {}", like.host) };
            format!("... and {} more like this: {}{at}", count - IN_FULL, like.code)
        };
        folded.into_iter().map(line).collect()
    }
}

fn complaint(outcome: &Outcome, error: &Error) -> Complaint {
    let line =
        outcome.line().filter(|_| error.kind().code().starts_with("input.") || outcome.url().is_empty());
    let whose = whose(outcome.url(), line);
    let how_often = match outcome.attempts_not_kept() + outcome.attempts().len() {
        0 => String::new(),
        1 => format!(" after 1 attempt in {}", seconds(outcome.total())),
        many => format!(" after {many} attempts in {}", seconds(outcome.total())),
    };
    Complaint::new(format!("{whose} not fetched{how_often}")).why(why(outcome, error)).fix(hint(error))
}

/// The URL, with its line in the list.
fn whose(url: &str, line: Option<u64>) -> String {
    match (url, line) {
        ("", Some(line)) => format!("line {line}"),
        (url, Some(line)) => format!("{url} (line {line})"),
        (url, None) => url.to_owned(),
    }
}

/// The reason; where the URL that failed last is another (a leg, a mirror), each leg's own.
fn why(outcome: &Outcome, error: &Error) -> String {
    let failed = outcome.attempts().iter().filter_map(|attempt| match &attempt.why_stopped {
        WhyStopped::Failed(error) => Some((attempt.mirror, error)),
        _ => None,
    });
    let last: BTreeMap<usize, &Error> = failed.collect();
    if last.len() < 2 || error.is_timeout() {
        return reason(error).into_owned();
    }
    let told = |error: &&Error| format!("{}: {}", error.url().unwrap_or_default(), reason(error));
    last.values().map(told).collect::<Vec<_>>().join("; ")
}

/// Host and port of a URL, as it is written.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_of_a_kind_are_told_and_the_others_counted() {
        let mut errors = Errors::default();
        let told = |errors: &mut Errors, host| errors.is_told("connect.refused", host);
        assert!((0..3).all(|_| told(&mut errors, "a:81")));
        assert!((0..212).all(|_| !told(&mut errors, "a:81")));
        assert!(told(&mut errors, "b"));
        assert_eq!(errors.folded(), ["... and 212 more like this: connect.refused at a:81"]);
    }

    #[test]
    fn many_hosts_are_told_apart_in_bounded_memory() {
        let mut errors = Errors::default();
        let told = (0..TOLD_APART + 100)
            .filter(|number| errors.is_told("dns.nxdomain", &number.to_string()))
            .count();
        assert_eq!(told, TOLD_APART + 3);
        assert_eq!(errors.seen.len(), TOLD_APART + 1);
        assert_eq!(errors.folded(), ["... and 97 more like this: dns.nxdomain at other hosts"]);
    }

    #[test]
    fn hosts_are_cut_out_of_urls() {
        for (url, expected) in [("http://a:81/x?y", "a:81"), ("https://b", "b"), ("c/d", "c"), ("", "")] {
            assert_eq!(host(url), expected);
        }
    }
}
