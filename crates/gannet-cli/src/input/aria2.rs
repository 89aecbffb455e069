//! aria2's input format: a line of URLs of one file, parted by tabs, then its options, each on a line that begins with
//! white space.

use std::collections::BTreeSet;
use std::io::{self, Read};

use gannet::{Error, ErrorKind};

use super::Warn;
use super::bytes::{LONGEST, Rows, too_long};
use super::entry::{Entries, Entry, Found, alternatives, digest, is_foreign};

/// Options whose names are told when they are passed over.
const TOLD: usize = 100;

/// Reads aria2's input format.
pub(super) struct Aria2<R> {
    rows: Rows<R>,
    warn: Warn,
    told: BTreeSet<String>,
    /// The entry whose options may still come.
    begun: Option<Begun>,
    is_at_end: bool,
}

struct Begun {
    line: u64,
    entry: Result<Entry, Error>,
    folder: Option<String>,
    /// Of all its lines, in bytes.
    length: usize,
}

impl<R: Read> Aria2<R> {
    pub(super) fn of(reader: R, warn: Warn) -> Self {
        Self { rows: Rows::of(reader), warn, told: BTreeSet::new(), begun: None, is_at_end: false }
    }

    fn begin(&mut self, line: u64, text: &str) -> Begun {
        let urls: Vec<String> =
            text.split('\t').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
        if urls.iter().any(|url| is_foreign(url)) && !urls.iter().all(|url| is_foreign(url)) {
            self.tell("", "URLs that are neither http nor https are passed over where there is another");
        }
        let entry = match alternatives(urls) {
            Some((url, mirrors)) => Ok(Entry { url, mirrors, ..Entry::default() }),
            None => Err(bad("", "the line has no URL")),
        };
        Begun { line, entry, folder: None, length: text.len() }
    }

    /// Says once what is passed over.
    fn tell(&mut self, name: &str, text: &str) {
        if self.told.len() < TOLD && self.told.insert(name.to_owned()) {
            (self.warn)(text);
        }
    }

    fn option(&mut self, begun: &mut Begun, text: &str) {
        begun.length += text.len();
        let Ok(entry) = &mut begun.entry else { return };
        if begun.length > LONGEST {
            return entry.refuse(too_long("entry"));
        }
        let Some((name, value)) = text.split_once('=') else {
            return entry.refuse(bad(&entry.url, "an option is written as name=value"));
        };
        let (name, value) = (name.trim(), value.trim().to_owned());
        match name {
            "out" => entry.name = Some(value),
            "dir" => begun.folder = Some(value),
            "user-agent" => entry.headers.push(("User-Agent".to_owned(), value)),
            "referer" => entry.headers.push(("Referer".to_owned(), value)),
            "header" => match value.split_once(':') {
                Some((name, value)) => entry.headers.push((name.to_owned(), value.to_owned())),
                None => entry.refuse(bad(&entry.url, "a header is written as Name: value")),
            },
            "checksum" => match value.split_once('=') {
                Some((kind, hex)) => entry.digests.push(digest(kind, hex)),
                None => entry.refuse(bad(&entry.url, "a checksum is written as sha-256=HEX")),
            },
            _ => {
                let shown: String = name.chars().take(40).collect();
                self.tell(name, &format!("aria2's option {shown} is passed over"));
            }
        }
    }
}

impl<R: Read> Entries for Aria2<R> {
    fn next(&mut self) -> io::Result<Option<Found>> {
        while !self.is_at_end {
            let Some(row) = self.rows.next()? else {
                self.is_at_end = true;
                break;
            };
            let row = row.map(str::to_owned);
            let line = self.rows.number();
            match (row, self.begun.take()) {
                (Ok(text), begun) if text.trim().is_empty() || text.starts_with('#') => self.begun = begun,
                (Ok(text), Some(mut begun)) if text.starts_with([' ', '\t']) => {
                    self.option(&mut begun, text.trim());
                    self.begun = Some(begun);
                }
                (Ok(text), None) if text.starts_with([' ', '\t']) => {
                    return Ok(Some(Found { line, entry: Err(bad("", "an option stands before any URL")) }));
                }
                (Ok(text), before) => {
                    self.begun = Some(self.begin(line, &text));
                    if let Some(before) = before {
                        return Ok(Some(before.end()));
                    }
                }
                // Whose it is cannot be told: it may be an option of the entry before, which must not go without it.
                (Err(error), Some(mut before)) => {
                    if let Ok(entry) = &mut before.entry {
                        entry.refuse(error);
                    }
                    self.begun = Some(before);
                }
                (Err(error), None) => return Ok(Some(Found { line, entry: Err(error) })),
            }
        }
        Ok(self.begun.take().map(Begun::end))
    }

    fn line(&self) -> u64 {
        self.rows.number()
    }
}

impl Begun {
    fn end(self) -> Found {
        let Self { line, mut entry, folder, .. } = self;
        if let (Ok(entry), Some(folder)) = (&mut entry, folder) {
            // The name of a folder ends in a slash where the URL is to name the file.
            entry.name = Some(format!("{folder}/{}", entry.name.as_deref().unwrap_or_default()));
        }
        Found { line, entry }
    }
}

fn bad(url: &str, message: &str) -> Error {
    Error::unusable_input(ErrorKind::BadEntry, (!url.is_empty()).then_some(url), message)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn read(list: &[u8]) -> (Vec<Found>, Vec<String>) {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let tell = Arc::clone(&told);
        let warn: Warn = Arc::new(move |text| tell.lock().expect("nobody panics").push(text.to_owned()));
        let mut entries = Aria2::of(list, warn);
        let found = std::iter::from_fn(|| entries.next().expect("memory can be read")).collect();
        let told = told.lock().expect("nobody panics").clone();
        (found, told)
    }

    #[test]
    fn an_entry_has_its_mirrors_and_its_options() {
        let (found, told) = read(
            b"# a comment\nftp://f/a\thttp://h/a\thttps://m/a\n  out=b.iso\n\tdir=/d\n  header=X-A: 1\n header=X-A: 2\n\
              \x20 checksum=sha-256=00\n  user-agent=me\n  referer=http://r/\n  split=5\n\nhttp://h/c\n  split=4\n  dir=d\n",
        );
        let first = found[0].entry.as_ref().expect("a good entry");
        assert_eq!((first.url.as_str(), &first.mirrors[..]), ("http://h/a", &["https://m/a".to_owned()][..]));
        assert_eq!(
            (first.name.as_deref(), &first.digests[..]),
            (Some("/d/b.iso"), &["sha-256:00".to_owned()][..])
        );
        let names: Vec<&str> = first.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["X-A", "X-A", "User-Agent", "Referer"]);
        let second = found[1].entry.as_ref().expect("a good entry");
        assert_eq!((found[1].line, second.name.as_deref(), found.len()), (12, Some("d/"), 2));
        assert_eq!(told.len(), 2, "each once: {told:?}");
        assert!(told[1].contains("split"), "{told:?}");
    }

    #[test]
    fn an_entry_with_a_bad_line_is_an_error_and_the_others_go_on() {
        let long = "x".repeat(LONGEST + 1);
        let many = "  header=A: 1\n".repeat(LONGEST / 10);
        let list = format!(
            "  out=a\nhttp://h/1\n  out\nhttp://h/2\n  header=s3cret\nhttp://h/3\n  out={long}\nhttp://h/4\n{many}http://h/5\n"
        );
        let (found, _) = read(list.as_bytes());
        let codes: Vec<_> = found
            .iter()
            .map(|found| match &found.entry {
                Err(error) | Ok(Entry { refusal: Some(error), .. }) => error.kind().code(),
                Ok(entry) => &entry.url,
            })
            .collect();
        let bad = "input.bad_entry";
        assert_eq!(codes, [bad, bad, bad, "input.line_too_long", "input.line_too_long", "http://h/5"]);
        let lines: Vec<u64> = found.iter().map(|found| found.line).collect();
        assert_eq!(lines[..5], [1, 2, 4, 6, 8]);
        let why = |found| match found {
            Err(error) | Ok(Entry { refusal: Some(error), .. }) => Some(error),
            Ok(_) => None,
        };
        let errors: Vec<_> = found.into_iter().filter_map(|found| why(found.entry)).collect();
        assert!(!format!("{errors:?}").contains("s3cret"), "{errors:?}");
    }
}
