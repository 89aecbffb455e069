//! `gannet jobs`: what there is, how far it is, and how to go on. Words only.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gannet::{Ending, JobSummary, Journal};

use super::{Settings, place};
use crate::exit::Exit;

/// Prints a line for each job below this folder, and for each of the state folder.
pub(crate) fn jobs(out: &mut dyn Write) -> io::Result<Exit> {
    let all = place::all(Path::new("."));
    if all.is_empty() {
        writeln!(out, "no jobs below this folder, nor any of -o and -O that is unfinished")?;
    }
    for journal in all {
        writeln!(out, "{}", line(&journal))?;
    }
    Ok(Exit::Obtained)
}

fn line(journal: &PathBuf) -> String {
    let name = place::name_of(journal);
    let reader = match Journal::read(journal) {
        Ok(reader) => reader,
        Err(error) => return format!("{name}  {}", error.message()),
    };
    let summary = reader.summary();
    let settings = Settings::of_json(&summary.settings);
    let began_in = match settings.as_ref().filter(|_| place::state_folder().as_deref() == journal.parent()) {
        Some(settings) => format!(" in {}", settings.cwd.display()),
        None => String::new(),
    };
    let how = match go_on(&summary, settings.as_ref(), &name, journal) {
        Some(how) => format!("  {how}"),
        None => String::new(),
    };
    format!("{name}  {}{began_in}  {}{how}", stamp(summary.created), counts(&summary))
}

fn counts(summary: &JobSummary) -> String {
    let of = |ending| summary.count(ending);
    let obtained = of(Ending::Ok) + of(Ending::Skipped);
    let mut text = format!("{obtained} of {} obtained", summary.lines);
    let failed = of(Ending::Failed);
    let open = summary.lines.saturating_sub(obtained + failed);
    for (count, word) in [(failed, "failed"), (open, "to do")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text
}

fn go_on(summary: &JobSummary, settings: Option<&Settings>, name: &str, journal: &Path) -> Option<String> {
    if place::is_in_use(journal) {
        return Some("running".to_owned());
    }
    let has_failed = summary.count(Ending::Failed) > 0;
    let is_over = summary.is_finished || settings.is_some_and(|settings| settings.is_met);
    let stops_again = has_failed && settings.is_some_and(Settings::stops_at_failures);
    let verb = match (is_over, has_failed) {
        (true, false) => return None,
        (true, true) => "retry",
        (false, _) => {
            // A retry was stopped before it came to all that had failed.
            let was_retry = has_failed && settings.is_some_and(|settings| settings.is_retry);
            if stops_again || was_retry { "retry" } else { "resume" }
        }
    };
    let how = settings.and_then(|settings| settings.go_on(verb, name));
    Some(how.unwrap_or_else(|| "run the same command again".to_owned()))
}

/// A moment of the wall clock (RFC 3339), to the second.
pub(super) fn stamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| "at an unknown time".to_owned(), |at| format!("{at:.0}"))
}
