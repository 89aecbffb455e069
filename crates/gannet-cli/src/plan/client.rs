//! The client's settings, from the options that all subcommands share. Two settings that contradict one another are
//! refused with both names.

use std::time::Duration;

use gannet::{
    Client, ClientBuilder, Cookies, Decoding, ErrorKind, HttpVersions, MediaTypes, Redirects, ResumeParts,
    RetryErrors, Robots, Schemes, SentDigests, TlsVersion,
};

use super::proto;
use crate::args::{
    BodyArgs, ConnectionArgs, CrowdArgs, Deadline, GiveUp, RequestArgs, Resume, Retries, RetryArgs,
    SharedArgs, TimeArgs,
};
use crate::say::{Complaint, as_given, hint};

/// What a speed is measured over, unless `--speed-time` says otherwise.
const SPEED_TIME: Duration = Duration::from_secs(30);

/// A client of these settings, to which only what depends on the subcommand is to be added.
pub(super) fn settings(
    shared: &SharedArgs,
    time: &TimeArgs,
    cookies: Option<&Cookies>,
) -> Result<ClientBuilder, Complaint> {
    let mut builder = requested(Client::builder(), &shared.request)?;
    builder = retried(builder, &shared.retry);
    builder = connected(builder, &shared.connection)?;
    if let Some(cookies) = cookies {
        builder = builder.cookies(cookies.clone());
    }
    timed(builder, time)
}

/// What is asked of bodies.
pub(super) fn with_bodies(mut builder: ClientBuilder, body: &BodyArgs) -> Result<ClientBuilder, Complaint> {
    if !body.accept.is_empty() {
        let types = body.accept.join(",").parse::<MediaTypes>().map_err(|error| {
            Complaint::new(format!("--accept {} cannot be used", body.accept.join(","))).why(error.message())
        })?;
        builder = builder.accept_types(types);
    }
    if body.fail_with_body {
        builder = builder.keep_refused_body();
    }
    Ok(builder)
}

/// The client, or what its settings have against one another.
pub(super) fn built(builder: ClientBuilder, connection: &ConnectionArgs) -> Result<Client, Complaint> {
    builder.build().map_err(|error| match &connection.cacert {
        Some(path) if error.kind() == ErrorKind::TlsSettings => {
            Complaint::new(format!("--cacert {}: {}", path.display(), error.message())).fix(hint(&error))
        }
        _ => Complaint::from(error),
    })
}

/// How many requests at once and a second.
pub(super) fn crowded(mut builder: ClientBuilder, crowd: &CrowdArgs) -> ClientBuilder {
    if let Some(requests) = crowd.per_host {
        builder = builder.per_host(requests);
    }
    if let Some(per_second) = crowd.rate {
        builder = builder.rate(per_second);
    }
    if let Some(per_second) = crowd.host_rate {
        builder = builder.host_rate(per_second);
    }
    builder
}

fn requested(mut builder: ClientBuilder, request: &RequestArgs) -> Result<ClientBuilder, Complaint> {
    if let Some(name) = &request.user_agent {
        builder = builder.user_agent(name);
    }
    if let Some(statuses) = &request.ok_status {
        builder = builder.ok_status(statuses.clone());
    }
    if let Some(bytes) = request.max_size {
        builder = builder.max_body(bytes);
    }
    if request.robots {
        builder = builder.robots(Robots::Obey);
    }
    builder = builder.decode(if request.compressed { Decoding::Always } else { Decoding::Never });
    Ok(match (request.no_location, request.max_redirs) {
        (true, Some(most)) => {
            return Err(Complaint::contradiction("--no-location", &format!("--max-redirs {most}")));
        }
        (true, None) => builder.redirects(Redirects::Return),
        (false, Some(most)) => builder.redirects(Redirects::Follow(most)),
        (false, None) => builder,
    })
}

fn retried(mut builder: ClientBuilder, retry: &RetryArgs) -> ClientBuilder {
    builder = match retry.retry {
        Some(Retries::AtMost(count)) => builder.retries(count),
        Some(Retries::Endless) => builder.retries(None),
        None => builder,
    };
    // With curl, 0 asks for the growing pause, and for no limit.
    if let Some(pause) = retry.retry_delay.filter(|pause| !pause.is_zero()) {
        builder = builder.retry_delay(pause);
    }
    if let Some(within) = retry.retry_max_time.filter(|within| !within.is_zero()) {
        builder = builder.retry_within(within);
    }
    if let Some(GiveUp(after)) = retry.host_give_up {
        builder = builder.host_give_up(after);
    }
    builder = match retry.resume_parts {
        Some(Resume::Always) => builder.resume_parts(ResumeParts::Always),
        Some(Resume::Never) => builder.resume_parts(ResumeParts::Never),
        Some(Resume::Safe) | None => builder,
    };
    if retry.ignore_sent_digests {
        builder = builder.sent_digests(SentDigests::Ignored);
    }
    if let Some(budget) = retry.retry_budget {
        builder = builder.retry_budget(budget.share());
    }
    if let Some(longest) = retry.retry_max_delay {
        builder = builder.retry_max_delay(longest);
    }
    if let Some(longest) = retry.retry_after_max {
        builder = builder.retry_after_max(longest);
    }
    if retry.retry_all_errors { builder.retry_errors(RetryErrors::All) } else { builder }
}

fn connected(mut builder: ClientBuilder, connection: &ConnectionArgs) -> Result<ClientBuilder, Complaint> {
    builder = builder.http_versions(match (connection.http1, connection.http2) {
        (true, true) => return Err(Complaint::contradiction("--http1.1", "--http2")),
        (true, false) => HttpVersions::Http1,
        (false, true) => HttpVersions::Http2,
        (false, false) => HttpVersions::Auto,
    });
    if let Some(path) = &connection.cacert {
        let pem = std::fs::read(path).map_err(|cause| {
            Complaint::new(format!("--cacert {} cannot be read", path.display())).why(cause.to_string())
        })?;
        builder = builder.trust_authorities(pem);
    }
    if connection.insecure {
        builder = builder.danger_trust_anybody();
    }
    if connection.tls13 {
        builder = builder.tls_min(TlsVersion::Tls13);
    }
    if let Some(text) = &connection.proto {
        builder = match proto::schemes(text)? {
            proto::Allowed { http: true, https: true } => builder.schemes(Schemes::HttpAndHttps),
            proto::Allowed { http: false, https: true } => builder.schemes(Schemes::HttpsOnly),
            proto::Allowed { http: true, https: false } => builder.schemes(Schemes::HttpOnly),
            proto::Allowed { http: false, https: false } => {
                return Err(Complaint::new(format!("--proto {text} allows neither http nor https"))
                    .fix("--proto '=https', or leave it out"));
            }
        };
    }
    Ok(builder)
}

fn timed(mut builder: ClientBuilder, time: &TimeArgs) -> Result<ClientBuilder, Complaint> {
    if let Some(length) = time.max_time {
        builder = builder.timeout(length);
    }
    if let Some(length) = time.connect_timeout {
        builder = builder.connect_timeout(length);
    }
    if let Some(length) = time.read_timeout {
        builder = builder.read_timeout(length);
    }
    check_within(("--speed-time", time.speed_time), time)?;
    // With curl, 0 is no limit, and the time alone asks for one byte a second.
    let limit = time.speed_limit.or(time.speed_time.map(|_| 1)).filter(|limit| *limit > 0);
    Ok(match limit {
        Some(limit) => builder.lowest_speed(limit, time.speed_time.unwrap_or(SPEED_TIME)),
        None => builder,
    })
}

/// Refuses a time that is over only when all of a URL's time is, or the job's.
pub(super) fn check_within(
    (name, length): (&str, Option<Duration>),
    time: &TimeArgs,
) -> Result<(), Complaint> {
    let deadline = match time.deadline {
        Some(Deadline::After(length)) => Some(length),
        Some(Deadline::At(_)) | None => None,
    };
    for (limit, most) in [("--max-time", time.max_time), ("--deadline", deadline)] {
        if let (Some(length), Some(most)) = (length, most)
            && length >= most
        {
            let (one, other) =
                (format!("{name} {}", as_given(length)), format!("{limit} {}", as_given(most)));
            return Err(Complaint::contradiction(&one, &other));
        }
    }
    Ok(())
}
