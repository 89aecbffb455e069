//! The report: a row of JSON for each input, as they settle or in the input's order, then one summary.

use std::io;
use std::sync::OnceLock;

use gannet::Outcome;
use serde::Serialize;

use super::in_order::{self, InOrder};
use super::row::Row;
use super::summary::Summary;
use super::{Closing, Paper, Record, Sheet};
use crate::args::RowOrder;
use crate::input::Slips;
use crate::say::Complaint;

/// Whether a row tells of each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Attempts {
    /// Their number alone.
    #[default]
    Counted,
    /// Each of them, as `tries`.
    Told,
}

/// Where a report goes and what it is like, opened before anything is sent.
pub(crate) struct ReportTo {
    paper: Paper,
    order: RowOrder,
    attempts: Attempts,
    slips: Slips,
}

impl ReportTo {
    /// Opens the file, or standard output for `-`; an earlier report is replaced.
    pub(crate) fn open(name: &str) -> Result<Self, Complaint> {
        let paper = Paper::open("--report", name)?;
        Ok(Self { paper, order: RowOrder::Settled, attempts: Attempts::Counted, slips: Slips::default() })
    }

    /// Rows come in this order.
    pub(crate) fn ordered(self, order: RowOrder) -> Self {
        Self { order, ..self }
    }

    /// Rows say what inputs say of themselves.
    pub(crate) fn with_slips(self, slips: Slips) -> Self {
        Self { slips, ..self }
    }

    /// Rows tell so much of the attempts.
    pub(crate) fn telling(self, attempts: Attempts) -> Self {
        Self { attempts, ..self }
    }
}

/// A report under way.
pub(crate) struct Report {
    sheet: [Sheet; 1],
    order: RowOrder,
    attempts: Attempts,
    slips: Slips,
    /// The last row, for its room.
    text: Vec<u8>,
}

impl Report {
    /// Begins a report.
    pub(crate) fn begin(to: ReportTo) -> io::Result<Self> {
        let ReportTo { paper, order, attempts, slips } = to;
        let paper = match order {
            RowOrder::Settled => paper,
            RowOrder::Input => paper.through(InOrder::over),
        };
        Ok(Self { sheet: [paper.begin()?], order, attempts, slips, text: Vec::new() })
    }

    /// One line of JSON.
    fn line(&mut self, seq: u64, value: &impl Serialize) {
        self.text.clear();
        serde_json::to_writer(&mut self.text, value).expect("rows are plain data with text keys");
        self.text.push(b'\n');
        match self.order {
            RowOrder::Settled => self.sheet[0].pen.write(&self.text),
            RowOrder::Input => self.sheet[0].pen.write(&in_order::frame(seq, &self.text)),
        }
    }
}

impl Record for Report {
    fn settled(&mut self, outcome: &Outcome) {
        let slip = self.slips.of(outcome.seq());
        self.line(outcome.seq(), &Row::of(outcome, name_of_job(), self.attempts, slip.as_deref()));
    }

    fn close(&mut self, closing: &Closing<'_>) {
        self.line(in_order::LAST, &Summary::of(closing, name_of_job()));
    }

    fn sheets(&self) -> &[Sheet] {
        &self.sheet
    }
}

/// The name of this run, unique enough: its start and its process.
pub(super) fn name_of_job() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let start = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S");
        format!("{start}Z-{}", std::process::id())
    })
}
