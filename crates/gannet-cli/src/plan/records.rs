//! What is written down about each URL, and where: standard output has one writer, or several that go together.
//! Nothing is opened here before a run is sure to begin.

use std::sync::Arc;

use gannet::sink::Ordered;
use http::Method;

use super::output::{Behind, Chosen, Output};
use crate::args::{RecordArgs, RequestArgs, RowOrder};
use crate::input::Slips;
use crate::report::{
    Asked, Attempts, CheckLines, Format, Har, Headed, Heads, Paper, Records, Report, ReportTo, Sheet,
    WriteOut,
};
use crate::say::{Complaint, Voice};

/// What is to be written down.
#[derive(Default)]
pub(crate) struct RecordsTo {
    report: Option<(String, RowOrder, Attempts)>,
    format: Option<Format>,
    heads: Option<String>,
    har: Option<String>,
    /// Where bodies go to standard output, texts go behind them.
    bodies: Option<Ordered>,
    check: Option<Check>,
    asked: Asked,
    attempts: Attempts,
}

/// That each URL gets a line of its own.
#[derive(Debug, Clone, Copy)]
struct Check;

/// Whether something is to stand behind each body on standard output.
pub(super) fn behind(record: &RecordArgs) -> Behind {
    if record.write_out.is_some() { Behind::Texts } else { Behind::Nothing }
}

impl RecordsTo {
    /// Reads the options; heads that go where the bodies go become a part of them.
    pub(super) fn of(
        record: &RecordArgs,
        request: &RequestArgs,
        chosen: &mut Chosen,
    ) -> Result<Self, Complaint> {
        let is_stdout = |name: &Option<String>| name.as_deref() == Some("-");
        let bodies = match &chosen.output {
            Output::Stdout(ordered) => Some(ordered.clone()),
            Output::Files | Output::Nowhere => None,
        };
        let heads_above_bodies = is_stdout(&record.dump_header) && bodies.is_some();
        if record.include || request.head || heads_above_bodies {
            chosen.sink = Arc::new(Headed::over(Arc::clone(&chosen.sink)));
        }
        let mut written = vec![];
        written.extend(bodies.is_some().then_some("the bodies"));
        written.extend(is_stdout(&record.report).then_some("--report -"));
        written.extend(is_stdout(&record.har).then_some("--har -"));
        written.extend((is_stdout(&record.dump_header) && !heads_above_bodies).then_some("-D -"));
        one_writer(&written)?;
        if is_stdout(&request.cookie_jar) && (is_stdout(&record.report) || is_stdout(&record.har)) {
            return Err(contradiction(written[0], "-c -"));
        }
        if record.write_out.is_some() && (is_stdout(&record.report) || is_stdout(&record.har)) {
            return Err(contradiction(written[0], "-w"));
        }
        let attempts = if record.report_attempts { Attempts::Told } else { Attempts::Counted };
        let order = record.report_order.unwrap_or_default();
        Ok(Self {
            report: record.report.clone().map(|name| (name, order, attempts)),
            format: record.write_out.as_deref().map(Format::parse).transpose()?,
            heads: record.dump_header.clone().filter(|_| !heads_above_bodies),
            har: record.har.clone(),
            bodies,
            check: None,
            asked: asked(request),
            attempts,
        })
    }

    /// Rows say what inputs say of themselves.
    pub(super) fn with_slips(mut self, slips: Slips) -> Self {
        self.asked.slips = slips;
        self
    }

    /// Of the input of this number nothing will be told.
    pub(crate) fn forget(&self, seq: u64) {
        self.asked.slips.forget(seq);
    }

    /// A line for each URL on standard output, which must be free for it.
    pub(super) fn with_check_lines(mut self) -> Result<Self, Complaint> {
        let names = [self.report.as_ref().map(|(name, ..)| name), self.har.as_ref()];
        if names.into_iter().flatten().any(|name| name == "-") {
            return Err(Complaint::new("standard output holds the lines of check, and nothing else")
                .fix("--report FILE"));
        }
        self.check = Some(Check);
        Ok(self)
    }

    /// Opens all of them.
    pub(crate) fn open(self, voice: &Voice) -> Result<Records, Complaint> {
        let mut records = Records::of(self.asked.slips.clone());
        let mut stdout = Stdout(None);
        if let Some((name, order, attempts)) = self.report {
            let to = ReportTo::open(&name)?.ordered(order).telling(attempts);
            let to = to.with_slips(self.asked.slips.clone());
            records.add(Report::begin(to).map_err(no_thread)?);
        }
        if let Some(name) = self.har {
            let sheet = Paper::open("--har", &name)?.begin().map_err(no_thread)?;
            records.add(Har::on(sheet, self.asked.clone()));
        }
        if let Some(name) = self.heads {
            let sheet = match name.as_str() {
                "-" => stdout.sheet()?,
                name => Paper::open("-D", name)?.begin().map_err(no_thread)?,
            };
            records.add(Heads::on(sheet));
        }
        if self.check.is_some() {
            records.add(CheckLines::on(stdout.sheet()?));
        }
        if let Some(format) = self.format {
            let stderr = Sheet::of(voice.pen().clone(), "standard error");
            let (asked, attempts) = (self.asked, self.attempts);
            records.add(match self.bodies {
                Some(bodies) => WriteOut::behind(format, asked, attempts, bodies, stderr),
                None => WriteOut::on(format, asked, attempts, stdout.sheet()?, stderr),
            });
        }
        Ok(records)
    }
}

/// What is asked, for those who write it down.
fn asked(request: &RequestArgs) -> Asked {
    let posts =
        !request.data.0.is_empty() && !request.get || request.json.is_some() || !request.form.is_empty();
    let by_itself = match (request.head, posts) {
        (true, _) => Method::HEAD,
        (false, true) => Method::POST,
        (false, false) => Method::GET,
    };
    Asked {
        method: request.method.clone().unwrap_or(by_itself),
        referer: request.referer.clone(),
        secret: Vec::new(),
        slips: Slips::default(),
    }
}

/// The one sheet of all that go to standard output.
struct Stdout(Option<Sheet>);

impl Stdout {
    fn sheet(&mut self) -> Result<Sheet, Complaint> {
        match &self.0 {
            Some(sheet) => Ok(sheet.clone()),
            None => {
                let sheet = Paper::stdout().begin().map_err(no_thread)?;
                Ok(self.0.insert(sheet).clone())
            }
        }
    }
}

fn one_writer(written: &[&str]) -> Result<(), Complaint> {
    match written {
        [one, other, ..] => Err(contradiction(one, other)),
        _ => Ok(()),
    }
}

fn contradiction(one: &str, other: &str) -> Complaint {
    Complaint::new(format!("{one} and {other} would both go to standard output"))
        .fix("-P DIR, -o FILE or --no-body for the bodies, or FILE in the place of -")
}

fn no_thread(cause: std::io::Error) -> Complaint {
    Complaint::new("a thread that writes cannot be started").why(cause.to_string())
}
