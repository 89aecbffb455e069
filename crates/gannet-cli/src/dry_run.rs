//! Shows a plan in the place of running it: a line for each URL, and the limits. No socket is opened and no file is
//! made; a list is read like in a run, one line at a time.

use std::future::poll_fn;
use std::io::{self, BufWriter, Write};

use gannet::sink::Admission;
use gannet::source::{Input, Source as _};
use gannet::{Error, Request};

use crate::exit::Exit;
use crate::plan::{Output, Plan, Shown};
use crate::say::{Complaint, Errors, Voice};

/// What came of showing.
#[derive(Debug, Default)]
struct Count {
    fetched: u64,
    skipped: u64,
    bad: u64,
}

/// Prints the plan; the code is that of a run whose every URL is obtained.
pub(crate) fn show(plan: Plan, shown: &Shown, voice: &Voice) -> io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let exit = runtime.block_on(async {
        match print(plan, shown, voice).await {
            Ok(exit) => exit,
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Exit::StdoutClosed,
            Err(cause) => {
                voice.complain(&Complaint::new("standard output cannot be written").why(cause.to_string()));
                // The pen's thread ends with the program.
                voice.pen().written().await;
                Exit::Local
            }
        }
    });
    runtime.shutdown_background();
    Ok(exit)
}

async fn print(mut plan: Plan, shown: &Shown, voice: &Voice) -> io::Result<Exit> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout());
    let mut errors = Errors::default();
    let mut count = Count::default();
    let mut seq = 0;
    shown.preface(&mut out)?;
    while let Some(input) = poll_fn(|context| plan.source.poll_next(context)).await {
        let url = input.request.as_ref().map(|request| request.url().to_owned()).unwrap_or_default();
        let line = input.line;
        match admit(&plan, seq, input) {
            Ok((request, admission)) => {
                let place = place(&plan.output, shown, &request, &admission);
                match admission {
                    Admission::Fetch | Admission::Update(_) => count.fetched += 1,
                    Admission::Skip(_) => count.skipped += 1,
                }
                shown.line(&mut out, &request, &place)?;
            }
            Err(error) => {
                count.bad += 1;
                if let Some(complaint) = errors.of_input(&url, line, &error) {
                    voice.complain(&complaint);
                }
            }
        }
        plan.records.forget(seq);
        seq += 1;
        voice.pen().room().await;
    }
    out.flush()?;
    errors.folded().iter().for_each(|line| voice.complain_more(line));
    voice.note(&count.told(&plan, shown));
    voice.pen().written().await;
    let nothing_is_left = count.fetched + count.skipped == 0;
    Ok(if nothing_is_left {
        Exit::Refused
    } else if count.bad > 0 {
        Exit::SomeFailed
    } else {
        Exit::Obtained
    })
}

fn admit(plan: &Plan, seq: u64, input: Input) -> Result<(Request, Admission), Error> {
    let mut request = input.request?;
    if let Some(why) = request.refusal() {
        return Err(why.clone());
    }
    let admission = plan.sink.admit(seq, &mut request)?;
    Ok((request, admission))
}

/// Where the body would go, in words.
fn place(output: &Output, shown: &Shown, request: &Request, admission: &Admission) -> String {
    match (admission, output, request.place()) {
        (Admission::Skip(path), ..) => format!("{} (there already)", path.display()),
        (Admission::Update(there), ..) => format!("{} (if it has changed)", there.path.display()),
        (_, Output::Stdout(_), _) => "standard output".to_owned(),
        (_, Output::Files, Some(place)) => shown.below(place).display().to_string(),
        (_, Output::Files | Output::Nowhere, _) => "nowhere".to_owned(),
    }
}

impl Count {
    fn told(&self, plan: &Plan, shown: &Shown) -> String {
        let Self { fetched, skipped, bad } = self;
        let mut text = format!("{fetched} to fetch");
        if *skipped > 0 {
            text.push_str(&format!(", {skipped} there already"));
        }
        if *bad > 0 {
            text.push_str(&format!(", {bad} that cannot be fetched"));
        }
        format!("{text}; nothing was sent\n{}", shown.limits(plan.at_once))
    }
}
