//! Where the URLs come from: the command line, or a list. What is certain to be wrong is refused before anything is
//! sent; a bad line of a list is left to be a result of its own, unless `--strict`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};

use gannet::source::{Input, IntoSource as _, List, Source};
use gannet::{Error, Request};

use super::glob::{self, Globbed};
use super::{Crowd, plural, request};
use crate::args::{
    AlternativeArgs, BodyArgs, InputArgs, InputFormat, ModeArgs, check_list, check_url, without_userinfo,
};
use crate::input::{self, Format, Maker, Names, Reading, Slips, with_query};
use crate::job::{Growth, ListFile};
use crate::say::{Complaint, Voice};

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
        (None, 1.., _) if args.input_format.is_some() => Err(of_a_list("--input-format")),
        (None, 1.., _) if args.url_column.is_some() => Err(of_a_list("--url-column")),
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
#[derive(Clone)]
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
    (voice, slips): (&Voice, &Slips),
) -> Result<Box<dyn Source + Send>, Complaint> {
    let (voice, name) = (voice.clone(), list.to_owned());
    let reading = Reading {
        warn: Arc::new(move |text| voice.note(&format!("-i {name}: {text}"))),
        slips: Some(slips.clone()),
        ..reading(list, args, pattern)?
    };
    if args.strict { input::strict(list, reading) } else { input::source(list, reading) }
}

/// The source of the same list for a look beforehand, of which nothing is told; `None` if it can be read only once.
pub(crate) fn again(
    list: &str,
    args: &InputArgs,
    pattern: Pattern<'_>,
) -> Result<Option<Box<dyn Source + Send>>, Complaint> {
    match input::can_be_read_twice(list) {
        true => input::source(list, reading(list, args, pattern)?).map(Some),
        false => Ok(None),
    }
}

/// The file of a list, if it is one; taken before it is read.
pub(crate) fn file(
    list: &str,
    args: &InputArgs,
    pattern: Pattern<'_>,
) -> Result<Option<ListFile>, Complaint> {
    if !input::can_be_read_twice(list) {
        return Ok(None);
    }
    let grows = input::is_plain(list, &reading(list, args, pattern)?)?;
    Ok(ListFile::of(Path::new(list), if grows { Growth::ByLines } else { Growth::None }))
}

fn reading(list: &str, args: &InputArgs, pattern: Pattern<'_>) -> Result<Reading, Complaint> {
    let Pattern { base, query, body } = pattern;
    let names = if body.directory.is_some() { Names::Given } else { Names::Ignored };
    Ok(Reading {
        format: format(list, args)?,
        url_column: args.url_column.clone(),
        maker: Maker { base: base.clone(), query, names },
        warn: Arc::new(|_| {}),
        slips: None,
    })
}

/// The format that was asked for; else as the name tells, and `None` where only the first byte can.
fn format(list: &str, args: &InputArgs) -> Result<Option<Format>, Complaint> {
    let asked = match args.input_format.unwrap_or_default() {
        InputFormat::Auto => match Format::of_name(list) {
            Some(named) => named,
            None => return Ok(None),
        },
        InputFormat::Lines => Format::Lines,
        InputFormat::Jsonl => Format::Jsonl,
        InputFormat::Csv => Format::Csv,
        InputFormat::Aria2 => Format::Aria2,
        InputFormat::Metalink => Format::Metalink,
    };
    match &args.url_column {
        Some(column) if !matches!(asked, Format::Csv | Format::Jsonl) => {
            let asked = format!("{asked:?}").to_ascii_lowercase();
            let column = format!("--url-column {column}");
            Err(Complaint::contradiction(&column, &format!("--input-format {asked}")))
        }
        _ => Ok(Some(asked)),
    }
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

fn of_a_list(flag: &str) -> Complaint {
    Complaint::new(format!("{flag} is about a list, and there is none")).fix("-i FILE")
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
