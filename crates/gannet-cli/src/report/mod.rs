//! What is written down about each URL beside its body: the report, the archive, the heads of replies, the texts of
//! `-w`. Each is a [`Record`]; the texts are made here and in the rooms below, and a pen writes them, at least each
//! second. Nothing here decides what an outcome means.

mod asked;
mod attempts;
mod check_lines;
mod curl;
mod curl_line;
mod har;
mod headed;
mod heads;
mod in_order;
mod row;
mod rows;
#[cfg(test)]
mod sample;
mod sheet;
mod summary;
mod write_out;

use std::future::Future;
use std::io;
use std::time::{Duration, SystemTime};

use futures_util::future::select_all;
use gannet::Outcome;

use crate::input::Slips;

pub(crate) use asked::Asked;
pub(crate) use check_lines::CheckLines;
pub(crate) use curl_line::{CurlBody, CurlLine, CurlRedirects, CurlRefused};
pub(crate) use har::Har;
pub(crate) use headed::Headed;
pub(crate) use heads::Heads;
pub(crate) use rows::{Attempts, Report, ReportTo};
pub(crate) use sheet::{Paper, Sheet};
pub(crate) use summary::Closing;
pub(crate) use write_out::{Format, WriteOut};

/// Something that is written down about each URL.
pub(crate) trait Record {
    /// Adds what there is to say about one outcome. It is never waited for: see [`Records::room`].
    fn settled(&mut self, outcome: &Outcome);

    /// Adds what belongs at the end. Nothing is added after it.
    fn close(&mut self, closing: &Closing<'_>);

    /// What it is written on.
    fn sheets(&self) -> &[Sheet];
}

/// All that a run writes down, in the order in which it is told of an outcome.
#[derive(Default)]
pub(crate) struct Records(Vec<Box<dyn Record>>, Slips);

impl Records {
    /// None yet; the slips of what was told are forgotten.
    pub(crate) fn of(slips: Slips) -> Self {
        Self(Vec::new(), slips)
    }

    /// Adds one more.
    pub(crate) fn add(&mut self, record: impl Record + 'static) {
        self.0.push(Box::new(record));
    }

    /// Whether nothing is written down.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all of one outcome.
    pub(crate) fn settled(&mut self, outcome: &Outcome) {
        self.0.iter_mut().for_each(|record| record.settled(outcome));
        self.1.forget(outcome.seq());
    }

    /// Tells all how it ended.
    pub(crate) fn close(&mut self, closing: &Closing<'_>) {
        self.0.iter_mut().for_each(|record| record.close(closing));
    }

    /// Waits until all have room for more. Nothing is lost by a drop.
    pub(crate) async fn room(&self) {
        for sheet in self.sheets() {
            sheet.pen.room().await;
        }
    }

    /// Waits until one of them cannot be written any more, and says its name and why; for ever if there is none.
    /// Nothing is lost by a drop.
    pub(crate) async fn broken(&self) -> (String, io::ErrorKind) {
        let all: Vec<_> = self.sheets().map(|sheet| Box::pin(sheet.broken())).collect();
        if all.is_empty() {
            return std::future::pending().await;
        }
        select_all(all).await.0
    }

    /// The first of them that cannot be written any more, and why.
    pub(crate) fn failure(&self) -> Option<(String, io::ErrorKind)> {
        self.sheets().find_map(|sheet| Some((sheet.name.to_string(), sheet.pen.failure()?)))
    }

    /// The names of those of which something is not yet written.
    pub(crate) fn unwritten(&self) -> Vec<String> {
        self.sheets().filter(|sheet| !sheet.pen.is_written()).map(|sheet| sheet.name.to_string()).collect()
    }

    /// Asks for all that was added to be written soon.
    pub(crate) fn flush(&self) {
        self.sheets().for_each(|sheet| sheet.pen.flush());
    }

    /// Waits until all that was added is written, or cannot be. It borrows nothing. Nothing is lost by a drop.
    pub(crate) fn written(&self) -> impl Future<Output = ()> + use<> {
        let pens: Vec<_> = self.sheets().map(|sheet| sheet.pen.clone()).collect();
        async move {
            pens.iter().for_each(crate::pen::Pen::flush);
            for pen in &pens {
                pen.written().await;
            }
        }
    }

    fn sheets(&self) -> impl Iterator<Item = &Sheet> {
        self.0.iter().flat_map(|record| record.sheets())
    }
}

/// A moment of the wall clock (RFC 3339), to the millisecond.
fn stamp(at: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(at).ok().map(|at| format!("{at:.3}"))
}

/// Milliseconds with three digits behind the point.
fn millis(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::exit::Exit;
    use crate::pen::Pen;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Ending([Sheet; 1]);

    impl Record for Ending {
        fn settled(&mut self, _: &Outcome) {}

        fn close(&mut self, closing: &Closing<'_>) {
            self.0[0].pen.write(closing.exit.code().to_string().as_bytes());
        }

        fn sheets(&self) -> &[Sheet] {
            &self.0
        }
    }

    #[tokio::test]
    async fn the_one_that_breaks_is_named_and_the_others_are_written() {
        let sheet = |name: &str, writer: Box<dyn Write + Send>| {
            Ending([Sheet::of(Pen::to(writer).expect("a thread"), name)])
        };
        let mut records = Records::default();
        records.add(sheet("good", Box::new(io::sink())));
        records.add(sheet("bad", Box::new(Gone)));
        let report = gannet::JobReport::default();
        records.close(&Closing {
            report: &report,
            exit: Exit::Obtained,
            elapsed: Duration::ZERO,
            held_back_by: None,
            job: None,
        });
        records.written().await;
        let broken = ("bad".to_owned(), io::ErrorKind::StorageFull);
        assert_eq!((records.broken().await, records.failure()), (broken.clone(), Some(broken)));
        assert!(records.unwritten().is_empty(), "what cannot be written is not waited for");
    }

    #[tokio::test]
    async fn where_nothing_is_written_nothing_breaks_and_there_is_room() {
        let records = Records::default();
        records.room().await;
        records.written().await;
        let broken: std::pin::Pin<&mut dyn Future<Output = _>> = std::pin::pin!(records.broken());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(broken.poll(&mut context).is_pending());
    }
}
