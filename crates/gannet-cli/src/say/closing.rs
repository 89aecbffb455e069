//! The closing line of a run with several URLs: what came of them, and why the exit code is what it is.

use gannet::{Ending, JobReport};

use super::amounts::{bytes, seconds};
use crate::exit::Exit;
use crate::plan::{Crowd, plural};
use crate::report::Closing;

/// The closing line; a single URL is silent unless a signal came.
pub(crate) fn closing_line(closing: &Closing<'_>, crowd: Crowd) -> Option<String> {
    if closing.exit == Exit::StdoutClosed {
        return None;
    }
    let reason = exit_reason(closing);
    match (crowd, closing.exit) {
        (Crowd::One, Exit::Signalled(_)) => reason,
        (Crowd::One, _) if closing.report.from_journal() > 0 => {
            Some("done already; --new-job fetches it again".to_owned())
        }
        (Crowd::One, _) => None,
        (Crowd::Several | Crowd::Listed, _) => {
            let report = closing.report;
            let parts = [Some(counts(report)), Some(amount(closing)), extras(report), unpaid(report), reason];
            Some(parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    }
}

fn counts(report: &JobReport) -> String {
    let of = |ending, word: &str| match report.count(ending) {
        0 => None,
        count => Some(format!("{count} {word}")),
    };
    let came = report.count(Ending::Ok) - report.unchanged();
    let fetched = format!("{came} of {} fetched", plural_of(report.inputs()));
    let before = report.from_journal();
    let before =
        (before > 0).then(|| format!("{before} {} done already", if before == 1 { "was" } else { "were" }));
    let unchanged = report.unchanged();
    let others = [
        (unchanged > 0).then(|| format!("{unchanged} unchanged")),
        of(Ending::Skipped, "there already"),
        of(Ending::Failed, "failed"),
        of(Ending::Unfinished, "unfinished"),
        of(Ending::Cancelled, "cancelled"),
        before,
    ];
    std::iter::once(fetched).chain(others.into_iter().flatten()).collect::<Vec<_>>().join(", ")
}

fn plural_of(inputs: u64) -> String {
    plural(usize::try_from(inputs).unwrap_or(usize::MAX), "URL")
}

fn amount(closing: &Closing<'_>) -> String {
    let came = closing.report.bytes() - closing.report.bytes_unchanged();
    format!("{} in {}", bytes(came), seconds(closing.elapsed))
}

fn extras(report: &JobReport) -> Option<String> {
    let retries = (report.retries() > 0).then(|| format!("{} retried", report.retries()));
    let hedges =
        (report.hedges() > 0).then(|| format!("{} hedged ({} won)", report.hedges(), report.hedges_won()));
    let parts: Vec<_> = [retries, hedges].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// How many were given up since the purse was empty, and what fills it.
fn unpaid(report: &JobReport) -> Option<String> {
    let refused = report.budget_refused();
    (refused > 0).then(|| {
        format!("{refused} not retried for want of retry budget (--retry-budget off, or more, changes that)")
    })
}

fn exit_reason(closing: &Closing<'_>) -> Option<String> {
    let why = match closing.exit {
        Exit::Obtained | Exit::StdoutClosed => return None,
        Exit::Signalled(signal) => format!("stopped by {}", signal.name()),
        Exit::SomeFailed | Exit::NothingSucceeded | Exit::Refused if closing.has_unread() => {
            format!("exit {}: the list could not be read to its end", closing.exit.code())
        }
        Exit::SomeFailed if closing.resume().is_some() => "exit 1: what had not failed was left".to_owned(),
        Exit::SomeFailed if closing.report.count(Ending::Failed) == 0 => {
            "exit 1: --until was not reached".to_owned()
        }
        Exit::SomeFailed => "exit 1: some URLs failed".to_owned(),
        Exit::Refused if closing.report.fatal().is_some() => {
            "exit 2: the journal is of another list".to_owned()
        }
        Exit::Refused => "exit 2: no line of the input is a URL that can be fetched".to_owned(),
        Exit::NothingSucceeded => "exit 3: nothing succeeded".to_owned(),
        Exit::Deadline => "exit 4: the deadline came first".to_owned(),
        Exit::Integrity => "exit 5: a body has another digest than it should".to_owned(),
        Exit::Local if is_of_the_journal(closing.report) => "exit 6: the journal cannot be used".to_owned(),
        Exit::Local => "exit 6: the output cannot be written".to_owned(),
    };
    Some(match (closing.resume(), closing.retry()) {
        (Some(how), _) => format!("{why}; {how} to go on"),
        (None, Some(how)) => format!("{why}; {how} to try these again"),
        (None, None) => why,
    })
}

fn is_of_the_journal(report: &JobReport) -> bool {
    report.fatal().is_some_and(|error| error.kind().code().starts_with("journal."))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::signals::Signal;

    fn line(exit: Exit, crowd: Crowd) -> Option<String> {
        let report = JobReport::default();
        closing_line(
            &Closing {
                report: &report,
                exit,
                elapsed: Duration::from_millis(400),
                held_back_by: None,
                job: None,
            },
            crowd,
        )
    }

    #[test]
    fn a_single_url_is_silent_unless_a_signal_came() {
        assert_eq!(line(Exit::Obtained, Crowd::One), None);
        assert_eq!(line(Exit::NothingSucceeded, Crowd::One), None);
        let stopped = line(Exit::Signalled(Signal::Interrupt), Crowd::One);
        assert_eq!(stopped.as_deref(), Some("stopped by SIGINT; run the same command again to go on"));
    }

    #[test]
    fn several_urls_end_with_counts_amounts_and_the_reason() {
        let obtained = line(Exit::Obtained, Crowd::Several);
        assert_eq!(obtained.as_deref(), Some("0 of 0 URLs fetched; 0 B in 0.4 s"));
        let late = line(Exit::Deadline, Crowd::Listed).expect("several URLs have a closing line");
        assert!(
            late.ends_with("exit 4: the deadline came first; run the same command again to go on"),
            "{late}"
        );
        assert_eq!(line(Exit::StdoutClosed, Crowd::Listed), None);
    }
}
