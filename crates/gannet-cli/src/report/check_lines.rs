//! The lines of `gannet check`: status, time and URL of each, on standard output.

use gannet::Outcome;

use super::row::status;
use super::{Closing, Record, Sheet};
use crate::say::seconds;

/// A line for each URL: `200  41 ms  URL`; 000 where no reply came.
pub(crate) struct CheckLines([Sheet; 1]);

impl CheckLines {
    pub(crate) fn on(sheet: Sheet) -> Self {
        Self([sheet])
    }
}

impl Record for CheckLines {
    fn settled(&mut self, outcome: &Outcome) {
        let pen = &self.0[0].pen;
        pen.write(line(outcome).as_bytes());
        // Each is waited for by somebody who looks on.
        pen.flush();
    }

    fn close(&mut self, _: &Closing<'_>) {}

    fn sheets(&self) -> &[Sheet] {
        &self.0
    }
}

fn line(outcome: &Outcome) -> String {
    let status = status(outcome).map_or(0, |status| status.as_u16());
    let attempts = outcome.attempts();
    // What was waited for before the last attempt says nothing about the server as it is now.
    let shown = outcome.winner().and_then(|winner| attempts.get(winner)).or(attempts.last());
    let time = shown.map_or_else(
        || "-".to_owned(),
        |attempt| seconds(attempt.timings.to_first_byte() + attempt.timings.body),
    );
    format!("{status:03}  {time:>7}  {}\n", outcome.url())
}
