//! Which digest each URL's body is to have: from the command line in the order of the URLs, or from a file by their
//! names. What cannot be meant is refused before anything is sent; a URL of which the file says nothing is a failure of
//! its own. Nothing is computed here.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::task::{Context, Poll};

use gannet::digest::Digest;
use gannet::source::{Input, Source};
use gannet::{Error, Request};

use super::plural;
use super::sums::{NoSum, Sums};
use crate::args::ChecksumArgs;
use crate::say::Complaint;

/// The longest file of digests that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// The URLs that digests are for.
pub(super) enum Among<'a> {
    /// Words of the command line, with the number of URLs that they stand for.
    Words { words: usize, urls: u64 },
    /// The lines of this list.
    List(&'a str),
}

/// The same source, its requests with the digests that are expected of them.
pub(super) fn expected(
    args: &ChecksumArgs,
    among: &Among<'_>,
    source: Box<dyn Source + Send>,
) -> Result<Box<dyn Source + Send>, Complaint> {
    let digests = match (&args.checksums[..], &args.checksum_file) {
        ([], None) => return Ok(source),
        ([one, ..], Some(file)) => {
            let (one, file) = (format!("--checksum {one}"), format!("--checksum-file {file}"));
            return Err(Complaint::contradiction(&one, &file));
        }
        (digests, None) => Digests::InOrder(in_order(digests, among)?),
        ([], Some(file)) => Digests::ByName { sums: by_name(file, among)?, file: file.clone() },
    };
    Ok(Box::new(Expecting { source, digests }))
}

/// Whether standard input is read for them.
pub(super) fn stdin_reader(args: &ChecksumArgs) -> Option<&'static str> {
    (args.checksum_file.as_deref() == Some("-")).then_some("--checksum-file -")
}

/// One for each URL, each word one URL.
fn in_order(digests: &[Digest], among: &Among<'_>) -> Result<VecDeque<Digest>, Complaint> {
    let given = match digests.len() {
        1 => "--checksum is given once".to_owned(),
        count => format!("--checksum is given {count} times"),
    };
    let fix = "--checksum once for each URL in order, or --checksum-file FILE with their names";
    match *among {
        Among::List(list) => Err(Complaint::new(format!("--checksum contradicts -i {list}"))
            .fix("--checksum-file FILE names the digests of a list by its files")),
        Among::Words { words, urls } if words == digests.len() && urls == words as u64 => {
            Ok(digests.iter().cloned().collect())
        }
        Among::Words { urls, .. } => {
            let urls = plural(usize::try_from(urls).unwrap_or(usize::MAX), "URL");
            Err(Complaint::new(format!("{given} for {urls}")).fix(fix))
        }
    }
}

fn by_name(file: &str, among: &Among<'_>) -> Result<Sums, Complaint> {
    let bad = |why: String| {
        Complaint::new(format!("--checksum-file {file} cannot be used"))
            .why(why)
            .fix("give a file as sha256sum writes it: a digest and a name a line")
    };
    let reader: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin()),
        file => Box::new(File::open(file).map_err(|cause| bad(cause.to_string()))?),
    };
    let mut bytes = Vec::new();
    reader.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|cause| bad(cause.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(bad("it is over the limit of 64 MiB".into()));
    }
    let sums = Sums::read(&String::from_utf8_lossy(&bytes)).map_err(bad)?;
    match among {
        Among::Words { urls: 1, .. } => Ok(sums),
        _ if sums.is_bare() => {
            Err(bad("it has one digest without a name, and there are several URLs".into()))
        }
        _ => Ok(sums),
    }
}

enum Digests {
    /// The next input's first.
    InOrder(VecDeque<Digest>),
    ByName {
        sums: Sums,
        file: String,
    },
}

impl Digests {
    fn give(&mut self, request: Result<Request, Error>) -> Result<Request, Error> {
        match self {
            Self::InOrder(digests) => {
                let digest = digests.pop_front();
                let request = request?;
                Ok(digest.into_iter().fold(request, Request::digest))
            }
            Self::ByName { sums, file } => {
                let request = request?;
                let path = path_of(request.url());
                match sums.of_path(path) {
                    Ok(digests) => Ok(digests.into_iter().fold(request, Request::digest)),
                    Err(why) => {
                        let error = Error::input(request.url(), unnamed(&why, file, path));
                        Ok(request.refused(error))
                    }
                }
            }
        }
    }
}

/// The path of a URL as the library writes it.
fn path_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let path = behind.find('/').map_or("", |at| &behind[at..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

fn unnamed(why: &NoSum, file: &str, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    match why {
        NoSum::Missing => format!("--checksum-file {file} has no line for {name:?}"),
        NoSum::Several => {
            format!("--checksum-file {file} has {name:?} in several folders, and none is the URL's")
        }
    }
}

/// A source whose requests get their digests.
struct Expecting {
    source: Box<dyn Source + Send>,
    digests: Digests,
}

impl Source for Expecting {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        let next = self.source.poll_next(context);
        next.map(|input| input.map(|input| Input { request: self.digests.give(input.request), ..input }))
    }

    fn is_at_hand(&self) -> bool {
        self.source.is_at_hand()
    }
}
