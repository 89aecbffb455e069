//! `gannet explain`: every attempt at a URL, and every wait between them, in words, run by run. Words only.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use gannet::part::Part;
use gannet::{AttemptRecord, Ending, Journal, JournalReader, Recorded, WaitedFor, WhyStarted, WhyStopped};

use super::list::stamp;
use super::{Refused, place};
use crate::exit::Exit;
use crate::plan::plural;
use crate::say::{Complaint, amount, seconds};

/// Prints what the journal of a job has about a URL.
pub(crate) fn explain(job: &Path, url: &str, out: &mut dyn Write) -> Result<io::Result<Exit>, Refused> {
    let reader = Journal::read(place::find(job)?)?;
    // As the journal has it: with its scheme, without userinfo.
    let url = match gannet::Request::new(&gannet::source::with_scheme(url)) {
        Ok(request) => request.url().to_owned(),
        Err(_) => url.to_owned(),
    };
    let rows = reader.rows_of(&url)?;
    let mut parts = reader.parts()?;
    let mut lines = rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    if rows.is_empty() && parts.iter().any(|(_, part)| *part.url != *url) {
        // A part has the URL at the end of the redirects alone.
        lines = lines_of(&reader, &url)?;
    }
    parts.retain(|(seq, part)| *part.url == *url || lines.contains(seq));
    // Of what was killed there may be no more than that.
    let (of_rows, alone): (Vec<_>, Vec<_>) =
        parts.iter().partition(|(seq, _)| rows.iter().any(|row| row.seq == *seq));
    if rows.is_empty() && alone.is_empty() {
        let summary = reader.summary();
        let open = summary.lines.saturating_sub(summary.rows());
        let complaint = Complaint::new(format!("the journal has nothing about {url}"));
        return Err(match open {
            0 => complaint.fix("write the URL as it stands in the list").into(),
            open => complaint
                .why(format!("{} of the job had no attempt that ended", plural_of(open)))
                .fix("write the URL as it stands in the list, or go on with the job")
                .into(),
        });
    }
    let mut text = String::new();
    for row in &rows {
        text.push_str(&told(row));
        let kept = of_rows.iter().filter(|(seq, _)| *seq == row.seq);
        kept.for_each(|(_, part)| text.push_str(&format!("  kept: {}\n", lies(part))));
    }
    for (_, part) in alone {
        let from = if *part.url == *url { String::new() } else { format!(", from {}", part.url) };
        text.push_str(&format!("{url}: no attempt has ended\n  kept: {}{from}\n", lies(part)));
    }
    Ok(out.write_all(text.as_bytes()).map(|()| Exit::Obtained))
}

/// The lines that are this URL alone, by what is kept of each.
fn lines_of(reader: &JournalReader, url: &str) -> Result<Vec<u64>, Refused> {
    let (request, mut lines, mut found) = (gannet::Request::new(url), reader.lines(), Vec::new());
    for seq in 0.. {
        if lines.is_over() {
            break;
        }
        if lines.is_next(&request)? {
            found.push(seq);
        }
    }
    Ok(found)
}

/// What there is of a body.
fn lies(part: &Part) -> String {
    let whole = part.total.map_or_else(String::new, |total| format!(" of {}", amount(total)));
    let place = part.on_disk.as_ref().map_or_else(String::new, |file| format!(" in {}", file.path.display()));
    format!("{}{whole}{place}, to be gone on with", amount(part.good))
}

fn plural_of(count: u64) -> String {
    plural(usize::try_from(count).unwrap_or(usize::MAX), "line")
}

/// One row in words.
fn told(row: &Recorded) -> String {
    let mut text = row.url.to_string();
    if let Some(line) = row.line {
        text.push_str(&format!(" (line {line})"));
    }
    text.push_str(&format!(": {}\n", ending(row)));
    let (earlier, not_kept) = (row.earlier_runs(), row.attempts_not_kept());
    if not_kept > 0 {
        let all = plural(usize::try_from(not_kept).unwrap_or(usize::MAX), "earlier attempt");
        text.push_str(&format!("  not kept: {all}\n"));
    }
    for (index, run) in earlier.iter().enumerate() {
        text.push_str(&format!("  {}: begun{}\n", stamp(run.began), again(index)));
        // Of a run that lacks its beginning the attempts have no known numbers.
        let lacks_some = |first: &AttemptRecord| first.why_started != WhyStarted::First;
        let is_cut = index == 0 && not_kept > 0 && run.attempts.first().is_some_and(lacks_some);
        tell(&mut text, row, &run.attempts, if is_cut { None } else { Some(1) });
    }
    if let Some(started) = row.started {
        text.push_str(&format!("  {}: begun{}", stamp(started), again(earlier.len())));
        text.push_str(&match row.queued < Duration::from_millis(1) {
            true => "\n".to_owned(),
            false => format!(", after {} in the queue\n", seconds(row.queued)),
        });
    }
    let left_out = (row.attempt_count() as usize).saturating_sub(row.attempts().len());
    tell(&mut text, row, row.attempts(), Some(1 + left_out));
    if let Some(error) = &row.error {
        text.push_str(&format!("  why: {} ({})\n", error.message, error.kind.code()));
    }
    text
}

/// Whether a run had others before it.
fn again(earlier: usize) -> &'static str {
    if earlier == 0 { "" } else { " again" }
}

/// The attempts of one run and the waits between them, counted from `number` if that is known.
fn tell(text: &mut String, row: &Recorded, attempts: &[AttemptRecord], mut number: Option<usize>) {
    for attempt in attempts {
        if let Some(waited) = attempt.waited {
            let (what, length) = (wait(waited.what), seconds(waited.length));
            text.push_str(&format!("  waited {length} {what}\n"));
        }
        text.push_str(&line(number, attempt, row));
        number = number.map(|number| number + 1);
    }
}

fn ending(row: &Recorded) -> String {
    let path =
        row.path.as_ref().map_or_else(String::new, |path| format!(" in {}", place::shown(path).display()));
    let attempts = plural(row.attempt_count() as usize, "attempt");
    match row.ending {
        Ending::Ok if row.is_unchanged() => {
            format!("unchanged{path}, {}, after {attempts} in {}", amount(row.bytes), seconds(row.total))
        }
        Ending::Ok => {
            format!("obtained{path}, {}, after {attempts} in {}", amount(row.bytes), seconds(row.total))
        }
        Ending::Skipped => format!("there already{path}; nothing was sent"),
        Ending::Failed => format!("failed after {attempts} in {}", seconds(row.total)),
        Ending::Unfinished => format!("unfinished after {attempts} in {}", seconds(row.total)),
        Ending::Cancelled => format!("stopped after {attempts} in {}", seconds(row.total)),
    }
}

/// What was waited for before an attempt.
fn wait(what: WaitedFor) -> &'static str {
    match what {
        WaitedFor::Backoff => "before the next attempt, as gannet does after a failure",
        WaitedFor::RetryAfter => "as the server wished (Retry-After)",
        WaitedFor::Budget => "for the retry budget",
        WaitedFor::Gate => "for a place at its host (--per-host)",
        WaitedFor::Breaker => "for its host, at which most attempts failed",
        WaitedFor::CoolDown => "for its host, which had asked for a pause",
        WaitedFor::Rate => "for its turn by --rate or --host-rate",
        other => other.as_str(),
    }
}

fn line(number: Option<usize>, attempt: &AttemptRecord, row: &Recorded) -> String {
    let kind = match attempt.why_started {
        WhyStarted::First => "the first",
        WhyStarted::Retry => "a retry",
        WhyStarted::Redo => "again at once, since the connection had gone stale",
        WhyStarted::Hedge => "a hedge, since nothing came",
        other => other.as_str(),
    };
    let number = number.map_or_else(String::new, |number| format!(" {number}"));
    let mut text = format!("  +{} attempt{number} ({kind})", seconds(attempt.began));
    if attempt.mirror > 0 {
        text.push_str(&format!(" at {}", row.url_of(attempt)));
    }
    if let Some(address) = attempt.address {
        let connection = match attempt.connection {
            Some(used) if used.reused => ", on a connection in use before",
            Some(_) => ", on a new connection",
            None => "",
        };
        text.push_str(&format!(" to {address}{connection}"));
    }
    for hop in &attempt.hops {
        text.push_str(&format!(", redirected to {hop}"));
    }
    if let Some(queued_for) = attempt.queued_for {
        text.push_str(&format!(", waited {} {}", seconds(attempt.timings.queue), wait(queued_for)));
    }
    if let Some(status) = attempt.status {
        let timings = &attempt.timings;
        let (answered, body) = (timings.to_first_byte(), timings.body);
        text.push_str(&format!(", status {} after {}", status.as_u16(), seconds(answered)));
        if attempt.bytes > 0 {
            text.push_str(&format!(", {} in {}", amount(attempt.bytes), seconds(body)));
        }
    }
    text.push_str(": ");
    text.push_str(&stopped(&attempt.why_stopped, whole(attempt)));
    text.push('\n');
    text
}

fn whole(attempt: &AttemptRecord) -> Duration {
    attempt.timings.to_first_byte() + attempt.timings.body
}

fn stopped(why: &WhyStopped, after: Duration) -> String {
    match why {
        WhyStopped::Won => "obtained".to_owned(),
        WhyStopped::Failed(error) => format!("failed: {} ({})", error.message(), error.kind().code()),
        WhyStopped::Superseded => format!("stopped after {}, since another was the first", seconds(after)),
        WhyStopped::Deadline => "stopped by the deadline".to_owned(),
        WhyStopped::Cancelled => "stopped with the run".to_owned(),
        other => other.as_str().to_owned(),
    }
}
