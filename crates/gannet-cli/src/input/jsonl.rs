//! JSON lines: an object a line. A report of gannet's own is such a list: of its rows, those that did not succeed are
//! taken.

use std::io::{self, Read};

use gannet::{Error, ErrorKind};
use serde_json::{Map, Value};

use super::UrlColumn;
use super::bytes::Rows;
use super::entry::{Entries, Entry, Found};

/// Reads JSON lines.
pub(super) struct JsonLines<R> {
    rows: Rows<R>,
    url: Key,
}

/// Under which key the URLs stand.
enum Key {
    /// Under `url`; rows of a report are known as such.
    Usual,
    /// Under the one that was asked for, in small letters.
    Asked(String),
}

impl Key {
    fn name(&self) -> &str {
        match self {
            Self::Usual => "url",
            Self::Asked(name) => name,
        }
    }
}

impl<R: Read> JsonLines<R> {
    pub(super) fn of(reader: R, wanted: Option<&UrlColumn>) -> Self {
        let asked = |column: &UrlColumn| Key::Asked(column.to_string().to_ascii_lowercase());
        Self { rows: Rows::of(reader), url: wanted.map_or(Key::Usual, asked) }
    }
}

impl<R: Read> Entries for JsonLines<R> {
    fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            let entry = match self.rows.next()? {
                None => return Ok(None),
                Some(Ok(text)) if text.trim().is_empty() => continue,
                Some(Ok(text)) => match entry(text, &self.url) {
                    Some(entry) => entry,
                    None => continue,
                },
                Some(Err(error)) => Err(error),
            };
            return Ok(Some(Found { line: self.rows.number(), entry }));
        }
    }

    fn line(&self) -> u64 {
        self.rows.number()
    }
}

/// The entry of a line; `None` for a row of a report that there is nothing left to do for.
fn entry(text: &str, url: &Key) -> Option<Result<Entry, Error>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(row)) if matches!(url, Key::Usual) && is_of_report(&row) => {
            of_report(row).transpose()
        }
        Ok(Value::Object(object)) => Some(of_object(object, url.name())),
        // A URL alone, in quotes.
        Ok(Value::String(url)) => Some(Ok(Entry { url, ..Entry::default() })),
        Ok(_) => Some(Err(bad("", "the line is no object of JSON"))),
        // The words of the line are not shown: they may hold a secret.
        Err(cause) => Some(Err(bad("", &format!("the line is no JSON (column {})", cause.column())))),
    }
}

fn bad(url: &str, message: &str) -> Error {
    Error::unusable_input(ErrorKind::BadEntry, (!url.is_empty()).then_some(url), message)
}

/// Whether this is a row that gannet wrote itself.
fn is_of_report(row: &Map<String, Value>) -> bool {
    let kind = row.get("type").and_then(Value::as_str);
    row.get("v").is_some_and(Value::is_u64)
        && (kind == Some("result") && row.contains_key("outcome") || kind == Some("summary"))
}

/// A row of a report: the URL again, with what its input said, unless it was obtained.
fn of_report(mut row: Map<String, Value>) -> Result<Option<Entry>, Error> {
    let outcome = row.get("outcome").and_then(Value::as_str);
    if !matches!(outcome, Some("failed" | "unfinished" | "cancelled")) {
        return Ok(None);
    }
    let mut entry = Entry { url: word("url", row.remove("url").unwrap_or_default())?, ..Entry::default() };
    if let Some(Value::Object(mut input)) = row.remove("input") {
        input.remove("line");
        entry.id = input.remove("id").map(|id| word("id", id)).transpose()?;
        entry.name = input.remove("name").map(|name| word("name", name)).transpose()?;
        let mut all = |key| input.remove(key).map_or(Ok(Vec::new()), |value| words(key, value));
        (entry.digests, entry.mirrors) = (all("digest")?, all("mirrors")?);
        entry.fields = input;
    }
    if entry.url.is_empty() {
        return Err(bad("", "the row of a report has no url"));
    }
    Ok(Some(entry))
}

fn of_object(object: Map<String, Value>, of_url: &str) -> Result<Entry, Error> {
    let mut entry = Entry::default();
    // First, for the errors of the others.
    let mut urls = object.iter().filter(|(key, _)| key.eq_ignore_ascii_case(of_url));
    let url = urls.next();
    if let (Some((one, _)), Some((other, _))) = (url, urls.next()) {
        return Err(bad("", &format!("the object has both {one:?} and {other:?}")));
    }
    let url = url.and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned();
    for (key, value) in object {
        let known = key.to_ascii_lowercase();
        let read = match (known.as_str(), value) {
            (_, Value::Null) => Ok(()),
            (name, Value::String(url)) if name == of_url => {
                entry.url = url;
                Ok(())
            }
            // A number would be an address of the old kind.
            (name, _) if name == of_url => return Err(bad("", &format!("{of_url:?} is no text"))),
            ("id", value) => word("id", value).map(|id| entry.id = Some(id)),
            ("name", value) => word("name", value).map(|name| entry.name = Some(name)),
            ("digest" | "digests", value) => words("digest", value).map(|all| entry.digests.extend(all)),
            ("mirror" | "mirrors", value) => words("mirrors", value).map(|all| entry.mirrors.extend(all)),
            ("header" | "headers", value) => headers(value).map(|all| entry.headers.extend(all)),
            (_, value) => {
                entry.fields.insert(key, value);
                Ok(())
            }
        };
        if let Err(error) = read {
            entry.refuse(bad(&url, error.message()));
        }
    }
    if entry.url.trim().is_empty() {
        return Err(bad("", &format!("the object has no {of_url:?}")));
    }
    Ok(entry)
}

/// A text, or a number as it is written.
fn word(key: &str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(bad("", &format!("\"{key}\" is no text"))),
    }
}

/// One text, or a list of them.
fn words(key: &str, value: Value) -> Result<Vec<String>, Error> {
    match value {
        Value::Array(values) => values.into_iter().map(|value| word(key, value)).collect(),
        value => Ok(vec![word(key, value)?]),
    }
}

/// An object of names with one value or several; or lines as `-H` takes them.
fn headers(value: Value) -> Result<Vec<(String, String)>, Error> {
    let line = |line: String| {
        let pair = line.split_once(':').ok_or_else(|| bad("", "a header is written as \"Name: value\""))?;
        Ok((pair.0.to_owned(), pair.1.to_owned()))
    };
    let Value::Object(fields) = value else {
        return words("headers", value)?.into_iter().map(line).collect();
    };
    let mut all = Vec::new();
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
        all.extend(words("headers", value)?.into_iter().map(|value| (name.clone(), value)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Entry, Error> {
        let mut entry = entry(text, &Key::Usual).expect("an entry")?;
        entry.refusal.take().map_or(Ok(entry), Err)
    }

    #[test]
    fn an_entry_that_is_refused_keeps_its_url_name_and_id() {
        let text = r#"{"digest":{},"headers":7,"url":"http://h/a","name":"n","id":5}"#;
        let read = entry(text, &Key::Usual).expect("an entry").expect("it has a URL");
        assert_eq!(read.refusal.as_ref().map(Error::message), Some("\"digest\" is no text"));
        assert_eq!(
            (&*read.url, read.name.as_deref(), read.id.as_deref()),
            ("http://h/a", Some("n"), Some("5"))
        );
    }

    #[test]
    fn the_key_of_the_urls_is_the_one_that_is_asked_for() {
        let of = |column: &str, text: &str| {
            let column: UrlColumn = column.parse().expect("a column");
            let mut lines = JsonLines::of(text.as_bytes(), Some(&column));
            lines.next().expect("memory can be read").expect("a line").entry
        };
        let read = of("Link", r#"{"LINK":"http://h/a","url":7,"name":"n"}"#).expect("a good line");
        assert_eq!((read.url.as_str(), read.name.as_deref()), ("http://h/a", Some("n")));
        assert_eq!(read.fields.keys().collect::<Vec<_>>(), ["url"]);
        let row = r#"{"v":1,"type":"result","outcome":"ok","url":"http://h/","final_url":"http://h/a"}"#;
        assert_eq!(of("final_url", row).expect("it was asked for").url, "http://h/a");
        let error = of("2", r#"{"url":"http://h/a"}"#).expect_err("it has no such key");
        assert_eq!(error.message(), "the object has no \"2\"");
    }

    #[test]
    fn an_object_says_all_about_its_url_and_the_rest_is_kept() {
        let read = one(
            r#"{"URL":"http://h/a","headers":{"A":"1","B":["2",3],"C":null},"name":"n","digest":"md5:0","mirrors":["http://m/"],"id":7,"title":"t","deep":{"x":[1]}}"#,
        )
        .expect("a good line");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read.headers, [pair("A", "1"), pair("B", "2"), pair("B", "3")]);
        assert_eq!(
            (read.url.as_str(), read.name.as_deref(), read.id.as_deref()),
            ("http://h/a", Some("n"), Some("7"))
        );
        assert_eq!((read.digests, read.mirrors), (vec!["md5:0".to_owned()], vec!["http://m/".to_owned()]));
        assert_eq!(read.fields.keys().collect::<Vec<_>>(), ["deep", "title"]);
    }

    #[test]
    fn what_is_no_entry_is_told_without_its_words() {
        for text in [
            "{",
            "[]",
            "7",
            "{}",
            r#"{"url":null}"#,
            r#"{"url":7.5e300,"headers":7}"#,
            r#"{"url":["a"]}"#,
            r#"{"url":5}"#,
            r#"{"url":"http://h/","URL":"http://other/"}"#,
            r#"{"url":"http://h/","headers":{"Authorization":{"s3cret":1}}}"#,
            r#"{"url":"http://h/","headers":["s3cret"]}"#,
            r#"{"url":"http://h/","name":{}}"#,
            r#"{"url":"http://h/", s3cret"#,
        ] {
            let error = one(text).expect_err(text);
            assert!(error.kind() == ErrorKind::BadEntry && !error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn of_a_report_what_did_not_succeed_is_taken_with_what_its_input_said() {
        let row = |outcome: &str| {
            format!(
                r#"{{"v":1,"type":"result","url":"http://h/","outcome":"{outcome}","input":{{"line":3,"id":"x","a":1}}}}"#
            )
        };
        for outcome in ["failed", "unfinished", "cancelled"] {
            let read = one(&row(outcome)).expect("a row");
            assert_eq!((read.url.as_str(), read.id.as_deref()), ("http://h/", Some("x")));
            assert_eq!(read.fields.keys().collect::<Vec<_>>(), ["a"]);
        }
        for done in [&row("ok"), &row("skipped"), r#"{"v":1,"type":"summary","ok":1}"#] {
            assert!(entry(done, &Key::Usual).is_none(), "{done}");
        }
        assert!(one(r#"{"v":1,"type":"result","url":"","outcome":"failed"}"#).is_err());
        // A list of somebody else's, with a column of that name.
        assert!(one(r#"{"type":"result","url":"http://h/"}"#).is_ok());
    }
}
