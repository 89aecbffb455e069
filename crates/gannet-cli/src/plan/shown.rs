//! What is shown in the place of a run: where each body would go and within which limits, or curl commands. Words
//! only; `dry_run` reads the input and prints.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gannet::{Concurrency, Request};
use http::header::CONTENT_TYPE;

use super::Kinds;
use crate::args::{CrowdArgs, Deadline, GoalArgs, Retries, Survival};
use crate::report::{CurlBody, CurlLine, CurlRedirects, CurlRefused};
use crate::say::{as_given, crowding, size_as_given};

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
    Curl(Box<Curl>),
}

impl Shown {
    /// `None` if a run was asked for.
    pub(super) fn of(
        kinds: Kinds<'_>,
        (crowd, goal): (Option<&CrowdArgs>, Option<&GoalArgs>),
        below: Option<PathBuf>,
    ) -> Option<Self> {
        let mode = &kinds.shared.mode;
        let style = match (mode.dry_run, mode.curl) {
            (false, false) => return None,
            (_, true) => Style::Curl(Box::new(Curl::of(kinds, goal))),
            (true, false) => Style::Places,
        };
        Some(Self { style, below, limits: limits(kinds, crowd) })
    }

    /// What stands above the lines: the options that they cannot say, each as a comment.
    pub(crate) fn preface(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.style {
            Style::Places => Ok(()),
            Style::Curl(curl) => {
                curl.missing.iter().try_for_each(|flag| writeln!(out, "# without {flag}: curl has none"))
            }
        }
    }

    /// The line of one URL.
    pub(crate) fn line(&self, out: &mut dyn Write, request: &Request, place: &str) -> io::Result<()> {
        match &self.style {
            Style::Places => writeln!(out, "{} -> {place}", request.url()),
            Style::Curl(curl) => {
                out.write_all(&curl.line(request, self.output(request).as_deref()))?;
                out.write_all(b"\n")
            }
        }
    }

    /// A name below the folder of the output.
    pub(crate) fn below(&self, place: &Path) -> PathBuf {
        self.below.as_ref().map_or_else(|| place.to_owned(), |folder| folder.join(place))
    }

    /// The limits, in the syntax of their flags.
    pub(crate) fn limits(&self, at_once: Concurrency) -> String {
        format!("limits: {}, {}", crowding(at_once), self.limits.join(", "))
    }

    fn output(&self, request: &Request) -> Option<PathBuf> {
        request.place().map(|place| self.below(place))
    }
}

fn limits(kinds: Kinds<'_>, crowd: Option<&CrowdArgs>) -> Vec<String> {
    let time = kinds.time;
    let or_default =
        |given: Option<Duration>, default: u64| as_given(given.unwrap_or(Duration::from_secs(default)));
    let per_host = crowd.and_then(|crowd| crowd.per_host);
    let mut told = vec![
        per_host.map_or_else(|| "--per-host 6 (HTTP/2 100)".to_owned(), |most| format!("--per-host {most}")),
        match time.deadline {
            None => "no --deadline".to_owned(),
            Some(Deadline::After(length)) => format!("--deadline {}", as_given(length)),
            Some(Deadline::At(at)) => format!(
                "--deadline {}",
                jiff::Timestamp::try_from(at).map_or_else(|_| "far away".into(), |at| format!("{at:.0}"))
            ),
        },
    ];
    if let Some(length) = time.max_time {
        told.push(format!("-m {}", as_given(length)));
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
        Some(most) => format!("--max-size {}", size_as_given(most)),
    });
    told
}

/// The options that were given and that curl has no counterpart for.
fn missing(kinds: Kinds<'_>, goal: Option<&GoalArgs>) -> Vec<&'static str> {
    let Kinds { body, record, shared, time, alternatives, checksums, survival, .. } = kinds;
    let named = [
        (alternatives.is_some_and(|given| !given.mirrors.is_empty()), "--mirror"),
        (alternatives.is_some_and(|given| given.hedge.is_some()), "--hedge"),
        (alternatives.is_some_and(|given| given.hedge_budget.is_some()), "--hedge-budget"),
        (checksums.is_some_and(|given| !given.checksums.is_empty()), "--checksum"),
        (checksums.is_some_and(|given| given.checksum_file.is_some()), "--checksum-file"),
        (shared.retry.retry_budget.is_some(), "--retry-budget"),
        (shared.retry.retry_max_delay.is_some(), "--retry-max-delay"),
        (shared.retry.retry_after_max.is_some(), "--retry-after-max"),
        (goal.is_some_and(|goal| goal.until.is_some()), "--until"),
        (shared.request.ok_status.is_some(), "--ok-status"),
        (!body.accept.is_empty(), "--accept"),
        (body.if_exists.is_some(), "--if-exists"),
        (body.whole, "--whole"),
        (survival == Survival::Power, "--durability"),
        (time.deadline.is_some(), "--deadline"),
        (time.grace.is_some(), "--grace"),
        (time.read_timeout.is_some(), "--read-timeout"),
        (record.report.is_some(), "--report"),
        (record.har.is_some(), "--har"),
    ];
    named.into_iter().filter(|(is_given, _)| *is_given).map(|(_, flag)| flag).collect()
}

/// What of the options curl has too.
struct Curl {
    flags: Vec<String>,
    /// What it has no option for.
    missing: Vec<&'static str>,
    /// Bodies are thrown away.
    is_nowhere: bool,
    refused: CurlRefused,
    /// The parts of `-F` in the place of the request's own body.
    is_form: bool,
    redirects: CurlRedirects,
    retries: Option<u32>,
    max_time: Option<Duration>,
    connect_timeout: Option<Duration>,
    cacert: Option<PathBuf>,
}

impl Curl {
    fn of(kinds: Kinds<'_>, goal: Option<&GoalArgs>) -> Self {
        let Kinds { body, record, shared, time, .. } = kinds;
        let (request, connection) = (&shared.request, &shared.connection);
        let mut flags = Vec::new();
        let switches = [
            (connection.insecure, "-k"),
            (connection.http1, "--http1.1"),
            (connection.http2, "--http2"),
            (connection.tls12, "--tlsv1.2"),
            (connection.tls13, "--tlsv1.3"),
            (request.compressed, "--compressed"),
            (shared.retry.retry_all_errors, "--retry-all-errors"),
            (record.include, "-i"),
            (body.remote_time, "-R"),
            (body.create_dirs, "--create-dirs"),
        ];
        flags.extend(switches.iter().filter(|(is_on, _)| *is_on).map(|(_, flag)| (*flag).to_owned()));
        let times =
            [("--retry-delay", shared.retry.retry_delay), ("--retry-max-time", shared.retry.retry_max_time)];
        for (flag, length) in times.into_iter().filter_map(|(flag, length)| Some((flag, length?))) {
            // curl takes whole seconds alone.
            flags.extend([flag.to_owned(), length.as_secs_f64().ceil().to_string()]);
        }
        if let Some(limit) = time.speed_limit {
            flags.extend(["--speed-limit".to_owned(), limit.to_string()]);
        }
        if let Some(over) = time.speed_time {
            flags.extend(["--speed-time".to_owned(), over.as_secs_f64().ceil().to_string()]);
        }
        if let Some(most) = request.max_size {
            flags.extend(["--max-filesize".to_owned(), most.to_string()]);
        }
        let pairs = request.form.iter().map(|field| ("-F", field));
        let files = request.cookies.iter().filter(|value| !value.contains('=')).map(|file| ("-b", file));
        let jar = request.cookie_jar.iter().map(|file| ("-c", file));
        let proto = connection.proto.iter().map(|text| ("--proto", text));
        let heads = record.dump_header.iter().map(|file| ("-D", file));
        let format = record.write_out.iter().map(|format| ("-w", format));
        for (flag, value) in pairs.chain(files).chain(jar).chain(proto).chain(heads).chain(format) {
            flags.extend([flag.to_owned(), value.clone()]);
        }
        if let Some(name) = &request.user_agent {
            flags.extend(["-A".to_owned(), name.clone()]);
        }
        let most = request.max_redirs.unwrap_or(10);
        Self {
            flags,
            missing: missing(kinds, goal),
            is_nowhere: body.no_body,
            refused: if body.fail_with_body { CurlRefused::Kept } else { CurlRefused::Dropped },
            is_form: !request.form.is_empty(),
            redirects: if request.no_location { CurlRedirects::Return } else { CurlRedirects::Follow(most) },
            retries: match shared.retry.retry {
                None => Some(3),
                Some(Retries::AtMost(count)) => Some(count),
                Some(Retries::Endless) => None,
            },
            max_time: time.max_time,
            connect_timeout: time.connect_timeout,
            cacert: connection.cacert.clone(),
        }
    }

    fn line(&self, request: &Request, output: Option<&Path>) -> Vec<u8> {
        let headers: Vec<_> = request
            .headers()
            .into_iter()
            .scan(None, |last, (name, value)| {
                *last = name.or(last.take());
                Some((last.clone()?, value))
            })
            .filter(|(name, _)| !(self.is_form && *name == CONTENT_TYPE))
            .collect();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let body = match request.content().as_bytes() {
            _ if self.is_form => CurlBody::Form,
            Some(bytes) if !bytes.is_empty() => CurlBody::Bytes(bytes),
            _ => CurlBody::None,
        };
        let line = CurlLine {
            method: request.http_method(),
            url: request.url(),
            headers: &headers,
            body,
            refused: self.refused,
            redirects: self.redirects,
            retries: self.retries,
            max_time: self.max_time,
            connect_timeout: self.connect_timeout,
            cacert: self.cacert.as_deref(),
            output: if self.is_nowhere { Some(Path::new("/dev/null")) } else { output },
            flags: &flags,
        };
        line.text()
            .unwrap_or_else(|| format!("# {}: its body is too long for a command line", request.url()).into())
    }
}
