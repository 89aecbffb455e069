//! The report: a row of JSON for each input as it settles, then one summary. Rows are made here and in the rooms
//! below; a pen writes them, at least each second.

mod curl;
mod row;
mod summary;

use std::fs::File;
use std::io::{self, Write};
use std::time::SystemTime;

use gannet::Outcome;
use serde::Serialize;

pub(crate) use summary::Closing;

use self::row::Row;
use self::summary::Summary;
use crate::pen::Pen;
use crate::say::Complaint;

/// Where a report goes, opened before anything is sent.
pub(crate) struct ReportTo {
    name: String,
    writer: Box<dyn Write + Send>,
}

impl ReportTo {
    /// Opens the file, or standard output for `-`; an earlier report is replaced.
    pub(crate) fn open(name: &str) -> Result<Self, Complaint> {
        if name == "-" {
            return Ok(Self { name: "standard output".into(), writer: Box::new(io::stdout()) });
        }
        let file = File::create(name).map_err(|cause| {
            Complaint::new(format!("--report {name} cannot be written")).why(cause.to_string())
        })?;
        Ok(Self { name: name.to_owned(), writer: Box::new(file) })
    }
}

/// A report under way.
pub(crate) struct Report {
    pub(crate) pen: Pen,
    pub(crate) name: String,
    job: String,
}

impl Report {
    /// Begins a report.
    pub(crate) fn begin(to: ReportTo) -> io::Result<Self> {
        Ok(Self { pen: Pen::to(to.writer)?, name: to.name, job: name_of_job() })
    }

    /// Adds the row of one input.
    pub(crate) fn row(&self, outcome: &Outcome) {
        self.line(&Row::of(outcome, &self.job));
    }

    /// Adds the summary, the last line.
    pub(crate) fn summary(&self, closing: &Closing<'_>) {
        self.line(&Summary::of(closing, &self.job));
    }

    fn line(&self, value: &impl Serialize) {
        let mut text = serde_json::to_vec(value).expect("rows are plain data with text keys");
        text.push(b'\n');
        self.pen.write(&text);
    }
}

/// A name for this run, unique enough: its start and its process.
fn name_of_job() -> String {
    let start = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S");
    format!("{start}Z-{}", std::process::id())
}

/// A moment of the wall clock (RFC 3339), to the millisecond.
fn stamp(at: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(at).ok().map(|at| format!("{at:.3}"))
}

/// Milliseconds with three digits behind the point.
fn millis(length: std::time::Duration) -> f64 {
    (length.as_secs_f64() * 1e6).round() / 1e3
}
