//! Where the URLs come from: the command line, or a list. What is certain to be wrong is refused before anything is
//! sent; a bad line of a list is left to be a result of its own, unless `--strict`.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::task::{Context, Poll, Waker};

use gannet::source::{IntoSource as _, Lines, Source};
use gannet::{Error, Request};

use super::{plural, request};
use crate::args::{AlternativeArgs, BodyArgs, InputArgs, check_list, check_url};
use crate::say::Complaint;

/// What `--strict` holds of a list that can be read only once, in bytes.
const STRICT_HOLD: u64 = 64 << 20;

/// Refuses what can be told from the words alone.
pub(crate) fn check(
    urls: &[String],
    args: &InputArgs,
    alternatives: &AlternativeArgs,
) -> Result<(), Complaint> {
    let mirrors = &alternatives.mirrors;
    if let Some(list) = &args.list {
        check_list(list)?;
    }
    match (&args.list, urls, mirrors.first()) {
        (None, [], _) => Err(Complaint::new("no URL was given")
            .fix("gannet URL..., gannet -i FILE for a list, gannet -h for the options")),
        (Some(list), [url, ..], _) => {
            Err(Complaint::contradiction(&format!("-i {list}"), &format!("the URL {url}")))
        }
        (Some(list), [], Some(mirror)) => Err(of_one(mirror, &format!("-i {list}"))),
        (None, [_, _, ..], Some(mirror)) => Err(of_one(mirror, &plural(urls.len(), "URL"))),
        _ => urls.iter().chain(mirrors).try_for_each(|url| check_url(url)),
    }
}

/// The source of `gannet get`, after [`check`].
pub(crate) fn source(
    urls: &[String],
    args: &InputArgs,
    alternatives: &AlternativeArgs,
    body: &BodyArgs,
    base: &Request,
) -> Result<Box<dyn Source + Send>, Complaint> {
    if let Some(list) = &args.list {
        return Ok(Box::new(lines(list, args)?.like(base)));
    }
    let mirrors = &alternatives.mirrors;
    let mut requests: Vec<Result<Request, Error>> = Vec::with_capacity(urls.len());
    for url in urls {
        let request = request::for_url(base, url).map(|request| named(request, body));
        match request {
            Err(error) if args.strict => return Err(error.into()),
            Ok(request) if !mirrors.is_empty() => requests.push(Ok(with_mirrors(request, mirrors)?)),
            request => requests.push(request),
        }
    }
    Ok(Box::new(requests.into_source()))
}

/// The source of `gannet race`: one request whose URLs are alternatives.
pub(crate) fn race(
    urls: &[String],
    body: &BodyArgs,
    base: &Request,
) -> Result<Box<dyn Source + Send>, Complaint> {
    urls.iter().try_for_each(|url| check_url(url))?;
    let Some((first, others)) = urls.split_first() else {
        return Err(Complaint::new("no URL was given").fix("gannet race URL..."));
    };
    let request = with_mirrors(named(request::for_url(base, first)?, body), others)?;
    Ok(Box::new([request.raced()].into_source()))
}

fn of_one(mirror: &str, other: &str) -> Complaint {
    Complaint::new(format!("--mirror {mirror} contradicts {other}"))
        .why("a mirror is another address of one URL")
        .fix("give one URL with its mirrors")
}

fn with_mirrors(request: Request, mirrors: &[String]) -> Result<Request, Complaint> {
    let mut request = request;
    for mirror in mirrors {
        request = request.mirror(&gannet::source::with_scheme(mirror))?;
    }
    Ok(request)
}

/// `-O` takes the last part of the path as it stands, without the query, as curl does.
fn named(request: Request, body: &BodyArgs) -> Request {
    if !body.remote_name {
        return request;
    }
    let path = request.url().split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    request.save_as(name)
}

/// The lines of a list; under `--strict` all of them are good.
fn lines(list: &str, args: &InputArgs) -> Result<Lines, Complaint> {
    let is_readable_twice = list != "-" && std::fs::metadata(list).is_ok_and(|found| found.is_file());
    match (list, args.strict) {
        ("-", false) => Ok(Lines::from_stdin()),
        (path, false) => Ok(Lines::from_path(path)?),
        (path, true) if is_readable_twice => {
            Lines::check_path(path)?;
            Ok(Lines::from_path(path)?)
        }
        (path, true) => held(path),
    }
}

/// A list that can be read only once, in memory, after all its lines were found good.
fn held(path: &str) -> Result<Lines, Complaint> {
    let unreadable =
        |cause: io::Error| Complaint::new(format!("-i {path} cannot be read")).why(cause.to_string());
    let reader: Box<dyn Read> = match path {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(Path::new(path)).map_err(unreadable)?),
    };
    let mut bytes = Vec::new();
    reader.take(STRICT_HOLD + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > STRICT_HOLD {
        return Err(Complaint::new(format!("--strict holds at most 64 MiB of -i {path}"))
            .fix("write the list to a file, which can be read twice"));
    }
    let bytes: std::sync::Arc<[u8]> = bytes.into();
    check_lines(Lines::from_reader(Cursor::new(bytes.clone())))?;
    Ok(Lines::from_reader(Cursor::new(bytes)))
}

/// The first bad line, if there is one. Blocks until the lines are read.
fn check_lines(mut lines: Lines) -> Result<(), Complaint> {
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match lines.poll_next(&mut context) {
            Poll::Pending => std::thread::park(),
            Poll::Ready(None) => return Ok(()),
            Poll::Ready(Some(input)) => {
                if let Err(error) = input.request {
                    let line = input.line.unwrap_or_default();
                    let what = format!("line {line} of the list: {}", error.url().unwrap_or("no URL"));
                    return Err(Complaint::new(what).why(error.message()));
                }
            }
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}
