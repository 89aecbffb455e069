//! What is shown in the place of a run: where each body would go and within which limits, or curl commands. Words
//! only; `dry_run` reads the input and prints.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gannet::Request;

use super::Kinds;
use crate::args::{CrowdArgs, Deadline, Retries};
use crate::report::{CurlFacts, curl_line};
use crate::say::{bytes, seconds};

/// What is shown in the place of a run.
pub(crate) struct Shown {
    style: Style,
    below: Option<PathBuf>,
    limits: Vec<String>,
}

enum Style {
    /// `URL -> place`.
    Places,
    /// The curl command that does the same.
    Curl(Box<CurlFacts>),
}

impl Shown {
    /// `None` if a run was asked for.
    pub(super) fn of(kinds: Kinds<'_>, crowd: Option<&CrowdArgs>, below: Option<PathBuf>) -> Option<Self> {
        let mode = &kinds.shared.mode;
        let style = match (mode.dry_run, mode.curl) {
            (false, false) => return None,
            (_, true) => Style::Curl(Box::new(facts(kinds))),
            (true, false) => Style::Places,
        };
        Some(Self { style, below, limits: limits(kinds, crowd) })
    }

    /// The line of one URL.
    pub(crate) fn line(&self, out: &mut dyn Write, request: &Request, place: &str) -> io::Result<()> {
        match &self.style {
            Style::Places => writeln!(out, "{} -> {place}", request.url()),
            Style::Curl(facts) => {
                writeln!(out, "{}", curl_line(facts, request, self.output(request).as_deref()))
            }
        }
    }

    /// A name below the folder of the output.
    pub(crate) fn below(&self, place: &Path) -> PathBuf {
        self.below.as_ref().map_or_else(|| place.to_owned(), |folder| folder.join(place))
    }

    /// The limits, in the syntax of their flags.
    pub(crate) fn limits(&self, at_once: usize) -> String {
        format!("limits: -j {at_once}, {}", self.limits.join(", "))
    }

    fn output(&self, request: &Request) -> Option<PathBuf> {
        request.place().map(|place| self.below(place))
    }
}

fn limits(kinds: Kinds<'_>, crowd: Option<&CrowdArgs>) -> Vec<String> {
    let time = kinds.time;
    let or_default = |given: Option<Duration>, default: u64| {
        seconds(given.unwrap_or(Duration::from_secs(default))).replace(' ', "")
    };
    let per_host = crowd.and_then(|crowd| crowd.per_host);
    let mut told = vec![
        per_host.map_or_else(|| "--per-host 6 (HTTP/2 100)".to_owned(), |most| format!("--per-host {most}")),
        match time.deadline {
            None => "no --deadline".to_owned(),
            Some(Deadline::After(length)) => format!("--deadline {}", seconds(length).replace(' ', "")),
            Some(Deadline::At(at)) => format!(
                "--deadline {}",
                jiff::Timestamp::try_from(at).map_or_else(|_| "far away".into(), |at| format!("{at:.0}"))
            ),
        },
    ];
    if let Some(length) = time.max_time {
        told.push(format!("-m {}", seconds(length).replace(' ', "")));
    }
    told.push(format!("--connect-timeout {}", or_default(time.connect_timeout, 10)));
    told.push(format!("--read-timeout {}", or_default(time.read_timeout, 30)));
    told.push(match kinds.shared.retry.retry {
        None => "--retry 3".to_owned(),
        Some(Retries::AtMost(count)) => format!("--retry {count}"),
        Some(Retries::Endless) => "--retry inf".to_owned(),
    });
    told.push(match kinds.shared.request.max_size {
        None => "no --max-size".to_owned(),
        Some(most) => format!("--max-size {}", bytes(most).replace(' ', "")),
    });
    told
}

/// What of the options curl has too.
fn facts(kinds: Kinds<'_>) -> CurlFacts {
    let Kinds { shared, time, .. } = kinds;
    let request = &shared.request;
    let seconds = |length: Option<Duration>| length.map(|length| length.as_secs_f64());
    CurlFacts {
        data: request.data.0.iter().map(|piece| (piece.kind, piece.value.clone())).collect(),
        json: request.json.clone(),
        form: request.form.clone(),
        user: request.user.clone(),
        cookies: request.cookies.clone(),
        cookie_jar: request.cookie_jar.clone(),
        user_agent: request.user_agent.clone(),
        is_compressed: request.compressed,
        max_redirects: if request.no_location { Some(0) } else { Some(request.max_redirs.unwrap_or(10)) },
        max_time: seconds(time.max_time),
        connect_timeout: seconds(time.connect_timeout),
        retries: match shared.retry.retry {
            None => 3,
            Some(Retries::AtMost(count)) => count,
            Some(Retries::Endless) => u32::MAX,
        },
        insecure: shared.connection.insecure,
        cacert: shared.connection.cacert.clone(),
        ..CurlFacts::default()
    }
}
