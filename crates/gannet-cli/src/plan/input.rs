//! Where the URLs come from: the command line, or a list. What is certain to be wrong is refused before anything is
//! sent; a bad line of a list is left to be a result of its own, unless `--strict`.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, Waker};

use gannet::source::{Input, IntoSource as _, Lines, List, Source};
use gannet::{Error, Request};

use super::glob::{self, Globbed};
use super::{Crowd, plural, request};
use crate::args::{AlternativeArgs, BodyArgs, InputArgs, ModeArgs, check_list, check_url, without_userinfo};
use crate::say::{Complaint, hint};

/// What `--strict` holds of a list that can be read only once, in bytes.
const STRICT_HOLD: u64 = 64 << 20;
/// URLs of the command line that are accounted for one by one, though the run stops early.
const AT_HAND: u64 = 100_000;

/// The words of the command line that stand for URLs, each for one or for many.
pub(crate) struct Words {
    globbed: Vec<Globbed>,
    count: u64,
    /// As it was written, for those who tell of it.
    first: Option<String>,
}

impl Words {
    /// Reads the words; with `-g` each stands for itself.
    pub(crate) fn read(words: &[String], mode: &ModeArgs) -> Result<Self, Complaint> {
        let read = |word: &String| {
            check_url(word)?;
            if mode.glob_off { Ok(glob::literal(word)) } else { glob::expand(word) }
        };
        let globbed = words.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let count = globbed.iter().try_fold(0u64, |sum, one| sum.checked_add(one.total()));
        let count = count.ok_or_else(|| Complaint::new("the URLs stand for too many").fix("give fewer"))?;
        Ok(Self { globbed, count, first: words.first().cloned() })
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.globbed.len()
    }

    /// How many URLs they stand for.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many results there will be.
    pub(crate) fn crowd(&self) -> Crowd {
        if self.count == 1 { Crowd::One } else { Crowd::Several }
    }

    /// All of them, with what their patterns stood for, and the word's number.
    fn all(self) -> impl Iterator<Item = (usize, String, Vec<String>)> + Send {
        let numbered = self.globbed.into_iter().enumerate();
        numbered.flat_map(|(word, globbed)| globbed.map(move |(url, parts)| (word, url, parts)))
    }
}

/// Refuses what can be told from the words alone.
pub(crate) fn check(
    words: &Words,
    args: &InputArgs,
    alternatives: &AlternativeArgs,
) -> Result<(), Complaint> {
    let mirrors = &alternatives.mirrors;
    if let Some(list) = &args.list {
        check_list(list)?;
    }
    match (&args.list, words.len(), mirrors.first()) {
        (None, 0, _) => Err(Complaint::new("no URL was given")
            .fix("gannet URL..., gannet -i FILE for a list, gannet -h for the options")),
        (Some(list), 1.., _) => {
            let url = words.first.as_deref().unwrap_or_default();
            Err(Complaint::contradiction(
                &format!("-i {list}"),
                &format!("the URL {}", without_userinfo(url)),
            ))
        }
        (Some(list), 0, Some(mirror)) => Err(of_one(mirror, &format!("-i {list}"))),
        (None, _, Some(mirror)) if words.count() > 1 => {
            Err(of_one(mirror, &plural(usize::try_from(words.count()).unwrap_or(usize::MAX), "URL")))
        }
        _ => mirrors.iter().try_for_each(|url| check_url(url)),
    }
}

/// Refuses one name for the files of several URLs: the last one would be all that is left.
pub(crate) fn check_names(words: &Words, body: &BodyArgs) -> Result<(), Complaint> {
    let is_one = |file: &str| file != "-" && !file.starts_with("/dev/") && !file.contains('#');
    let mut pairs = words.globbed.iter().zip(&body.files);
    match pairs.find(|(globbed, file)| globbed.total() > 1 && is_one(file)) {
        None => Ok(()),
        Some((globbed, file)) => {
            let count = plural(usize::try_from(globbed.total()).unwrap_or(usize::MAX), "URL");
            Err(Complaint::new(format!("-o {file} is one file for {count}"))
                .fix(format!("-o '{file}#1' names a file for each")))
        }
    }
}

/// What each request of a source is made of, beside its URL.
pub(crate) struct Pattern<'a> {
    pub(crate) base: &'a Request,
    /// What `-G` puts into each URL.
    pub(crate) query: Option<String>,
    pub(crate) body: &'a BodyArgs,
}

/// The source of a list.
pub(crate) fn list(
    list: &str,
    args: &InputArgs,
    pattern: Pattern<'_>,
) -> Result<Box<dyn Source + Send>, Complaint> {
    let lines = lines(list, args)?.like(pattern.base);
    Ok(match pattern.query {
        None => Box::new(lines),
        Some(query) => Box::new(Queried { lines, query }),
    })
}

/// The source of the words of a command line.
pub(crate) fn words(
    words: Words,
    args: &InputArgs,
    mirrors: &[String],
    pattern: Pattern<'_>,
) -> Result<Box<dyn Source + Send>, Complaint> {
    let count = words.count();
    let naming = Naming::of(pattern.body);
    let (base, query) = (pattern.base.clone(), pattern.query);
    let requests = words.all().map(move |(word, url, parts)| {
        let request = request::for_url(&base, &url)?;
        let request = match &query {
            Some(query) => request.with_url(&with_query(request.url(), query))?,
            None => request,
        };
        Ok(naming.name(request, word, &parts))
    });
    if args.strict || !mirrors.is_empty() {
        let requests: Vec<Request> = requests.collect::<Result<_, Error>>()?;
        let with = |request| with_mirrors(request, mirrors);
        let requests = requests.into_iter().map(with).collect::<Result<Vec<_>, _>>()?;
        return Ok(Box::new(requests.into_source()));
    }
    let rest = if count <= AT_HAND { Rest::IsTold } else { Rest::IsLeft };
    Ok(Box::new(Typed { requests: requests.into_source(), rest }))
}

/// The source of `gannet race`: one request whose URLs are alternatives.
pub(crate) fn race(words: Words, pattern: Pattern<'_>) -> Result<Box<dyn Source + Send>, Complaint> {
    let naming = Naming::of(pattern.body);
    let query = pattern.query.as_deref();
    let with = |url: String| match query {
        Some(query) => with_query(&url, query),
        None => url,
    };
    let mut urls = words.all();
    let Some((_, first, parts)) = urls.next() else {
        return Err(Complaint::new("no URL was given").fix("gannet race URL..."));
    };
    let request = naming.name(request::for_url(pattern.base, &with(first))?, 0, &parts);
    let others: Vec<String> = urls.map(|(_, url, _)| with(url)).collect();
    Ok(Box::new([with_mirrors(request, &others)?.raced()].into_source()))
}

/// How the files of the command line's URLs are named.
enum Naming {
    /// The sink names them.
    BySink,
    /// By the end of the URL's path, without the query, as curl does.
    ByUrl,
    /// As `-o` says for each word, with what its patterns stand for in the place of #1, #2.
    Given(Vec<String>, PathBuf),
}

impl Naming {
    fn of(body: &BodyArgs) -> Self {
        match (body.remote_name, &body.files[..]) {
            (true, _) => Self::ByUrl,
            (false, []) => Self::BySink,
            (false, files) => Self::Given(files.to_vec(), body.output_dir.clone().unwrap_or_default()),
        }
    }

    fn name(&self, request: Request, word: usize, parts: &[String]) -> Request {
        match self {
            Self::BySink => request,
            Self::ByUrl => {
                let path = request.url().split(['?', '#']).next().unwrap_or_default();
                let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                request.save_as(name)
            }
            Self::Given(files, folder) => match files.get(word) {
                Some(file) => request.save_as(folder.join(glob::fill(file, parts))),
                None => request,
            },
        }
    }
}

/// The URL with this in its query, before a fragment.
fn with_query(url: &str, query: &str) -> String {
    let (url, fragment) = url.find('#').map_or((url, ""), |at| url.split_at(at));
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{query}{fragment}")
}

/// The requests of the command line's words.
struct Typed<I> {
    requests: List<I>,
    rest: Rest,
}

/// What becomes of the URLs that were not begun when a run stops early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    IsTold,
    IsLeft,
}

impl<I: Iterator<Item = Result<Request, Error>>> Source for Typed<I> {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        self.requests.poll_next(context)
    }

    fn is_at_hand(&self) -> bool {
        self.rest == Rest::IsTold
    }
}

/// A list whose URLs get a query.
struct Queried {
    lines: Lines,
    query: String,
}

impl Source for Queried {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        self.lines.poll_next(context).map(|input| {
            input.map(|input| Input {
                request: input
                    .request
                    .and_then(|request| request.with_url(&with_query(request.url(), &self.query))),
                ..input
            })
        })
    }

    fn is_at_hand(&self) -> bool {
        self.lines.is_at_hand()
    }
}

fn of_one(mirror: &str, other: &str) -> Complaint {
    Complaint::new(format!("--mirror {} contradicts {other}", without_userinfo(mirror)))
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

/// The lines of a list; under `--strict` all of them are good.
fn lines(list: &str, args: &InputArgs) -> Result<Lines, Complaint> {
    let is_readable_twice = list != "-" && std::fs::metadata(list).is_ok_and(|found| found.is_file());
    match (list, args.strict) {
        ("-", false) => Ok(Lines::from_stdin()),
        (path, false) => opened(path),
        (path, true) if is_readable_twice => {
            Lines::check_path(path)?;
            opened(path)
        }
        (path, true) => held(path),
    }
}

/// The lines of a file, which is there.
fn opened(path: &str) -> Result<Lines, Complaint> {
    Lines::from_path(path).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Complaint::new(format!("-i {path} cannot be read"))
            .why(cause.unwrap_or_else(|| error.message().to_owned()))
            .fix(hint(&error))
    })
}

/// A list that can be read only once, in memory, after all its lines were found good.
fn held(path: &str) -> Result<Lines, Complaint> {
    let unreadable = |cause: io::Error| {
        let complaint = Complaint::new(format!("-i {path} cannot be read")).why(cause.to_string());
        complaint.fix("check the file that -i names")
    };
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
