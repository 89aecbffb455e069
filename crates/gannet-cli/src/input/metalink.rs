//! Metalink, version 4 (RFC 5854): files, each with its name, its hashes and the URLs that it lies at. The document is
//! read whole, up to a limit; entities of its own, and what is nested too deeply, are refused.

use std::io::{self, Cursor, Read};

use gannet::{Error, ErrorKind};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};

use super::Warn;
use super::entry::{Entries, Entry, Found, alternatives, digest};

/// The longest document that is read, in bytes: 16 MiB.
const LONGEST: u64 = 16 << 20;

/// How deeply elements may be nested.
const DEEPEST: usize = 32;

/// The most URLs of one file that are taken, the preferred ones first.
const URLS: usize = 1000;

/// What stands for no priority: the last one (RFC 5854, section 4.2.16.1).
const LAST: u32 = 999_999;

/// Hashes from the strongest on; of several the strongest is compared (RFC 5854, section 4.2.4).
const HASHES: [&str; 4] = ["sha-512", "sha-256", "sha-1", "md5"];

/// Reads a Metalink document.
pub(super) struct Metalink<R> {
    state: State<R>,
    warn: Warn,
    is_metaurl_told: bool,
    line: u64,
}

enum State<R> {
    Unread(R),
    Read(Box<Document>),
    Ended,
}

struct Document {
    reader: quick_xml::Reader<Cursor<Vec<u8>>>,
    /// The names of the elements that are open.
    open: Vec<String>,
    /// How much of it was looked through for line ends, in bytes, and how many these were.
    counted: (usize, u64),
    file: Option<File>,
}

/// One file, as far as it was read.
struct File {
    line: u64,
    name: String,
    urls: Vec<(u32, String)>,
    hashes: Vec<(String, String)>,
    /// The priority, or the type, of the element whose text is being read.
    about: String,
    text: String,
}

impl<R: Read> Metalink<R> {
    pub(super) fn of(reader: R, warn: Warn) -> Self {
        Self { state: State::Unread(reader), warn, is_metaurl_told: false, line: 0 }
    }

    /// Reads it whole.
    fn read(reader: R) -> io::Result<Result<Box<Document>, String>> {
        let mut bytes = Vec::new();
        reader.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST {
            return Ok(Err(format!("the document is over its limit of {} MiB", LONGEST >> 20)));
        }
        if std::str::from_utf8(&bytes).is_err() {
            return Ok(Err("the document is not UTF-8".to_owned()));
        }
        let reader = quick_xml::Reader::from_reader(Cursor::new(bytes));
        Ok(Ok(Box::new(Document { reader, open: Vec::new(), counted: (0, 1), file: None })))
    }

    fn step(&mut self) -> Result<Option<Found>, String> {
        let State::Read(document) = &mut self.state else { return Ok(None) };
        let found = document.next(|| {
            if !std::mem::replace(&mut self.is_metaurl_told, true) {
                (self.warn)("metaurl elements (torrents and the like) are passed over");
            }
        });
        self.line = document.line();
        found
    }
}

impl<R: Read> Entries for Metalink<R> {
    fn next(&mut self) -> io::Result<Option<Found>> {
        let read = match std::mem::replace(&mut self.state, State::Ended) {
            State::Unread(reader) => Self::read(reader)?,
            State::Read(document) => Ok(document),
            State::Ended => return Ok(None),
        };
        let found = read.and_then(|document| {
            self.state = State::Read(document);
            self.step()
        });
        let found = found.unwrap_or_else(|message| {
            self.state = State::Ended;
            Some(Found { line: self.line.max(1), entry: Err(bad("", &message)) })
        });
        if found.is_none() {
            self.state = State::Ended;
        }
        Ok(found)
    }

    fn line(&self) -> u64 {
        self.line
    }
}

impl Document {
    /// The next file; `None` at the end.
    fn next(&mut self, mut tell_metaurl: impl FnMut()) -> Result<Option<Found>, String> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let event = self.reader.read_event_into(&mut buffer);
            match event.map_err(|cause| format!("the document is no XML: {cause}"))? {
                Event::Start(start) => {
                    let is_metaurl = start.local_name().as_ref() == "metaurl";
                    let started = Element::of(&start)?;
                    self.begin(started)?;
                    if is_metaurl {
                        tell_metaurl();
                    }
                }
                Event::Empty(start) => {
                    let started = Element::of(&start)?;
                    self.begin(started)?;
                    if let Some(found) = self.end() {
                        return Ok(Some(found));
                    }
                }
                Event::End(_) => {
                    if let Some(found) = self.end() {
                        return Ok(Some(found));
                    }
                }
                Event::Text(text) => self.text(&text),
                Event::CData(text) => self.text(&text),
                Event::GeneralRef(entity) => {
                    let letter = entity.resolve_char_ref().map_err(|cause| cause.to_string())?;
                    let known =
                        letter.map(String::from).or_else(|| resolve_xml_entity(&entity).map(str::to_owned));
                    self.text(&known.ok_or("the document has an entity that XML does not know by itself")?);
                }
                Event::DocType(_) => return Err("a document with a DOCTYPE is not read".to_owned()),
                Event::Eof if self.open.is_empty() => return Ok(None),
                Event::Eof => return Err("the document ends before its end".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    fn begin(&mut self, element: Element) -> Result<(), String> {
        let Element { name, about } = element;
        if self.open.len() == DEEPEST {
            return Err(format!("the document nests more than {DEEPEST} elements"));
        }
        match (self.open.len(), name.as_str()) {
            (0, "metalink") => {}
            (0, _) => return Err(format!("the document is no Metalink: it begins with <{name}>")),
            (1, "files") => return Err("this is Metalink 3; version 4 (RFC 5854) is read".to_owned()),
            (1, "file") => {
                let line = self.line();
                let (name, text) = (about, String::new());
                let (urls, hashes, about) = (Vec::new(), Vec::new(), String::new());
                self.file = Some(File { line, name, urls, hashes, about, text });
            }
            (2, _) => {
                if let Some(file) = &mut self.file {
                    file.text.clear();
                    file.about = about;
                }
            }
            _ => {}
        }
        self.open.push(name);
        Ok(())
    }

    /// Ends the innermost element; the file, if that was one.
    fn end(&mut self) -> Option<Found> {
        let name = self.open.pop()?;
        match (self.open.len(), name.as_str()) {
            (1, "file") => self.file.take().map(File::found),
            (2, _) => {
                if let Some(file) = &mut self.file {
                    let text = std::mem::take(&mut file.text).trim().to_owned();
                    let about = std::mem::take(&mut file.about);
                    match name.as_str() {
                        "url" => file.urls.push((about.trim().parse().unwrap_or(LAST), text)),
                        "hash" => file.hashes.push((about.trim().to_ascii_lowercase(), text)),
                        _ => {}
                    }
                }
                None
            }
            _ => None,
        }
    }

    fn text(&mut self, text: &str) {
        if let (3, Some(file)) = (self.open.len(), &mut self.file) {
            file.text.push_str(text);
        }
    }

    /// The line that was read last.
    fn line(&mut self) -> u64 {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        let bytes = self.reader.get_ref().get_ref();
        let (from, lines) = self.counted;
        let at = at.min(bytes.len()).max(from);
        let ends = bytes[from..at].iter().filter(|byte| **byte == b'\n').count();
        self.counted = (at, lines + ends as u64);
        self.counted.1
    }
}

/// An element that begins: its name, and the attribute that matters.
struct Element {
    name: String,
    about: String,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Result<Self, String> {
        let name = start.local_name().as_ref().to_owned();
        let wanted = match name.as_str() {
            "file" => "name",
            "url" => "priority",
            "hash" => "type",
            _ => return Ok(Self { name, about: String::new() }),
        };
        let found = start.try_get_attribute(wanted).map_err(|cause| cause.to_string())?;
        let value =
            |attribute: Attribute<'_>| attribute.normalized_value(XmlVersion::default()).map(Into::into);
        let about: Option<String> = found.map(value).transpose().map_err(|cause| cause.to_string())?;
        Ok(Self { name, about: about.unwrap_or_default() })
    }
}

impl File {
    fn found(self) -> Found {
        let Self { line, name, mut urls, hashes, .. } = self;
        urls.sort_by_key(|(priority, _)| *priority);
        urls.truncate(URLS);
        let strongest = HASHES.iter().find_map(|kind| hashes.iter().find(|(known, _)| known == kind));
        let digests = strongest.map(|(kind, value)| digest(kind, value)).into_iter().collect();
        let urls = urls.into_iter().map(|(_, url)| url).filter(|url| !url.is_empty()).collect();
        let entry = match alternatives(urls) {
            Some((url, mirrors)) => Ok(Entry { url, mirrors, name: Some(name), digests, ..Entry::default() }),
            None => Err(bad("", "the file has no url")),
        };
        Found { line, entry }
    }
}

fn bad(url: &str, message: &str) -> Error {
    Error::unusable_input(ErrorKind::BadEntry, (!url.is_empty()).then_some(url), message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn read(text: &str) -> (Vec<Found>, usize) {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let warn: Warn = Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let mut entries = Metalink::of(text.as_bytes(), warn);
        let found = std::iter::from_fn(|| entries.next().expect("memory can be read")).collect();
        (found, told.load(Ordering::SeqCst))
    }

    /// What is wrong with it.
    fn fault(text: &str) -> String {
        let (found, _) = read(text);
        let [Found { entry: Err(error), .. }] = &found[..] else { panic!("{found:?}") };
        error.message().to_owned()
    }

    #[test]
    fn a_file_has_its_name_its_strongest_hash_and_its_urls_by_priority() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n\
            <generator>g</generator>\n<file name=\"a &amp; b.iso\">\n<size>3</size><metaurl mediatype=\"torrent\">http://t/</metaurl>\
            <hash type=\"md5\">11</hash><hash type=\"SHA-256\"> 22\n</hash><hash type=\"sha-384\">33</hash>\n\
            <pieces length=\"1\" type=\"sha-512\"><hash>44</hash></pieces><metaurl>x</metaurl>\n\
            <url>http://last/</url><url priority=\"2\">http://h/?a=1&amp;b=&#50;</url><url priority=\"1\">ftp://f/</url>\
            <url priority=\"1\"><![CDATA[http://first/]]></url></file>\n<file name=\"c\"><url>http://c/</url></file><file/></metalink>";
        let (found, told) = read(text);
        let first = found[0].entry.as_ref().expect("a good file");
        assert_eq!((found[0].line, first.name.as_deref()), (4, Some("a & b.iso")));
        assert_eq!(
            (first.url.as_str(), &first.digests[..]),
            ("http://first/", &["sha-256:22".to_owned()][..])
        );
        assert_eq!(first.mirrors, ["http://h/?a=1&b=2", "http://last/"]);
        assert_eq!(found[1].entry.as_ref().expect("a good file").url, "http://c/");
        assert!(found[2].entry.is_err() && found.len() == 3);
        assert_eq!(told, 1, "metaurl is told of once");
    }

    #[test]
    fn what_is_no_metalink_is_refused_with_a_reason() {
        let bomb = "<!DOCTYPE m [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><metalink>&b;</metalink>";
        for (text, why) in [
            (bomb, "DOCTYPE"),
            ("<metalink><file name=\"a\"><url>&b;</url></file></metalink>", "entity"),
            ("<metalink><files/></metalink>", "Metalink 3"),
            ("<html></html>", "no Metalink"),
            ("<metalink><file>", "ends before its end"),
            ("<metalink></file>", "no XML"),
            (&format!("<metalink>{}", "<a>".repeat(50)), "nests more than 32"),
            (&format!("<metalink>{}", " ".repeat(LONGEST as usize)), "16 MiB"),
        ] {
            assert!(fault(text).contains(why), "{}", fault(text));
        }
    }
}
