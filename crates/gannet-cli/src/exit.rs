//! How the program ends: the codes, and which of them holds where several do. Pure.

use gannet::{Ending, ErrorKind, Goal, JobReport};

use crate::signals::Signal;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What `--until` asked for was obtained.
    Obtained,
    /// Some URLs failed.
    SomeFailed,
    /// Usage or configuration; nothing was sent.
    Refused,
    /// Nothing succeeded.
    NothingSucceeded,
    /// The deadline came first.
    Deadline,
    /// A body has another digest than it should, or a file is not what its journal has of it.
    Integrity,
    /// The output's disk, or the report's, cannot be written; the journal cannot be used.
    Local,
    /// A signal came.
    Signalled(Signal),
    /// The reader of standard output has gone.
    StdoutClosed,
}

impl Exit {
    /// The code that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Obtained => 0,
            Self::SomeFailed => 1,
            Self::Refused => 2,
            Self::NothingSucceeded => 3,
            Self::Deadline => 4,
            Self::Integrity => 5,
            Self::Local => 6,
            Self::Signalled(signal) => signal.exit_code(),
            Self::StdoutClosed => 141,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why the program ended its job itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// A signal came.
    By(Signal),
    /// The reader of standard output has gone.
    StdoutClosed,
    /// Standard output or the report cannot be written.
    OutputBroken,
    /// The deadline came while standard output was still being written, or while the list was still being read.
    TooLate,
}

/// Of all that holds, what counts: signals, 6, 5, 4, 3, 1.
pub(crate) fn judge(stopped: Option<Stopped>, goal: Goal, report: &JobReport) -> Exit {
    let is_met = goal.is_met(report.obtained(), report.inputs());
    let is_local = report.fatal().is_some_and(|error| is_local(error.kind()));
    let is_spoilt = !is_met && report.errors().keys().any(|code| code.starts_with("integrity."));
    let is_late = report.count(Ending::Unfinished) > 0 && !is_met;
    match stopped {
        Some(Stopped::By(signal)) => Exit::Signalled(signal),
        Some(Stopped::StdoutClosed) => Exit::StdoutClosed,
        Some(Stopped::OutputBroken) => Exit::Local,
        _ if is_other_list(report) => Exit::Refused,
        _ if is_local => Exit::Local,
        _ if is_spoilt => Exit::Integrity,
        Some(Stopped::TooLate) => Exit::Deadline,
        None if is_late => Exit::Deadline,
        None if nothing_was_sent(report) => Exit::Refused,
        None if is_met => Exit::Obtained,
        None if report.obtained() == 0 => Exit::NothingSucceeded,
        None => Exit::SomeFailed,
    }
}

/// Whether the journal holds an unfinished job with another list.
pub(crate) fn is_other_list(report: &JobReport) -> bool {
    report.fatal().is_some_and(|error| error.kind() == ErrorKind::JournalOtherList)
}

/// Whether this machine is to blame: the output's disk, or the journal.
fn is_local(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::DiskFull | ErrorKind::ReadOnly | ErrorKind::DiskFailed)
        || kind.code().starts_with("journal.")
}

/// The input held no URL that could be fetched.
fn nothing_was_sent(report: &JobReport) -> bool {
    report.count(Ending::Failed) == report.inputs()
        && report.errors().keys().all(|code| code.starts_with("input."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_code() {
        let codes = [
            (Exit::Obtained, 0),
            (Exit::SomeFailed, 1),
            (Exit::Refused, 2),
            (Exit::NothingSucceeded, 3),
            (Exit::Deadline, 4),
            (Exit::Integrity, 5),
            (Exit::Local, 6),
            (Exit::Signalled(Signal::Interrupt), 130),
            (Exit::Signalled(Signal::Terminate), 143),
            (Exit::Signalled(Signal::HangUp), 129),
            (Exit::StdoutClosed, 141),
        ];
        assert!(codes.into_iter().all(|(exit, code)| exit.code() == code));
    }

    #[test]
    fn a_signal_counts_for_more_than_what_the_urls_came_to() {
        let report = JobReport::default();
        let stopped = Some(Stopped::By(Signal::Terminate));
        assert_eq!(judge(stopped, Goal::All, &report), Exit::Signalled(Signal::Terminate));
        assert_eq!(judge(Some(Stopped::OutputBroken), Goal::All, &report), Exit::Local);
        assert_eq!(judge(Some(Stopped::TooLate), Goal::All, &report), Exit::Deadline);
    }

    #[test]
    fn an_input_without_a_url_is_a_matter_of_usage() {
        assert_eq!(judge(None, Goal::All, &JobReport::default()), Exit::Refused);
    }
}
