//! Each attempt of an outcome, in words, for `-v`.

use std::fmt::Write as _;

use gannet::{AttemptRecord, Outcome, WhyStopped};

use super::amounts::{bytes, seconds};

/// One line for the outcome, and one for each attempt.
pub(super) fn told(outcome: &Outcome) -> String {
    let mut text = format!("< {} {} {}\n", outcome.seq(), outcome.ending().as_str(), outcome.url());
    for (index, attempt) in outcome.attempts().iter().enumerate() {
        text.push_str(&line(outcome.attempts_not_kept() + index + 1, attempt));
    }
    text
}

fn line(number: usize, attempt: &AttemptRecord) -> String {
    let mut text = format!("    attempt {number}, {}", attempt.why_started.as_str());
    // Writing to a String does not fail.
    if attempt.mirror > 0 {
        let _ = write!(text, ", mirror {}", attempt.mirror);
    }
    if let Some(address) = attempt.address {
        let _ = write!(text, ", {address}");
    }
    if let Some(connection) = attempt.connection {
        let age = if connection.reused { "reused" } else { "new" };
        let _ = write!(text, " (connection {}, {age})", connection.id);
    }
    for hop in &attempt.hops {
        let _ = write!(text, ", redirected to {hop}");
    }
    let timings = &attempt.timings;
    let phases = [
        ("queue", timings.queue),
        ("dns", timings.dns),
        ("connect", timings.connect),
        ("tls", timings.tls),
        ("wait", timings.wait),
        ("body", timings.body),
    ];
    for (name, length) in phases.into_iter().filter(|(_, length)| !length.is_zero()) {
        let _ = write!(text, ", {name} {}", seconds(length));
    }
    if let Some(status) = attempt.status {
        let _ = write!(text, ", status {}, {}", status.as_u16(), bytes(attempt.bytes));
    }
    let _ = match &attempt.why_stopped {
        WhyStopped::Failed(error) => writeln!(text, ": {}", error.message()),
        other => writeln!(text, ": {}", other.as_str()),
    };
    text
}
