//! `--har`: an HTTP Archive (HAR 1.2) with an entry for each outcome, written as they settle. Heads, times and sizes,
//! no bodies; what is a secret is replaced by a mark.

use std::time::{Duration, SystemTime};

use gannet::{AttemptRecord, Ending, Outcome};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderName, StatusCode, Version};
use serde::Serialize;
use url::Url;

use super::heads::Head;
use super::row::speaker;
use super::{Asked, Closing, Record, Sheet, millis, stamp};
use crate::say::reason;

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// Fields whose values are never shown.
const SECRET: [HeaderName; 4] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE];

const COMMENT: &str = "Of each URL the attempt that settled it. The fields of requests, and the replies of redirects, \
                       are not recorded; bodies are not kept; sending is part of the wait; secrets are hidden.";

/// An archive under way. Nothing of an entry is kept.
pub(crate) struct Har {
    sheet: [Sheet; 1],
    asked: Asked,
    entries: u64,
}

impl Har {
    /// Begins an archive.
    pub(crate) fn on(sheet: Sheet, asked: Asked) -> Self {
        let creator = Creator { name: "gannet", version: env!("CARGO_PKG_VERSION") };
        let begin = format!(
            "{{\"log\":{{\"version\":\"1.2\",\"creator\":{},\"comment\":{},\"entries\":[",
            json(&creator),
            json(&COMMENT)
        );
        sheet.pen.write(begin.as_bytes());
        Self { sheet: [sheet], asked, entries: 0 }
    }
}

impl Record for Har {
    fn settled(&mut self, outcome: &Outcome) {
        let between = if self.entries == 0 { "\n" } else { ",\n" };
        self.entries += 1;
        let entry = json(&Entry::of(outcome, &self.asked));
        self.sheet[0].pen.write(format!("{between}{entry}").as_bytes());
    }

    fn close(&mut self, _: &Closing<'_>) {
        self.sheet[0].pen.write(b"\n]}}\n");
    }

    fn sheets(&self) -> &[Sheet] {
        &self.sheet
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("entries are plain data with text keys")
}

#[derive(Debug, Serialize)]
struct Creator {
    name: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    started_date_time: String,
    time: f64,
    request: Question,
    response: Answer,
    cache: Nothing,
    timings: Times,
    #[serde(rename = "serverIPAddress", skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(rename = "_seq")]
    seq: u64,
    #[serde(rename = "_outcome")]
    outcome: &'static str,
    #[serde(rename = "_attempts")]
    attempts: usize,
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    error: Option<Trouble<'a>>,
}

#[derive(Debug, Serialize)]
struct Trouble<'a> {
    code: &'static str,
    message: std::borrow::Cow<'a, str>,
}

#[derive(Debug, Serialize)]
struct Nothing {}

#[derive(Debug, Serialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    method: String,
    url: String,
    http_version: &'static str,
    cookies: [Pair; 0],
    headers: Vec<Pair>,
    query_string: Vec<Pair>,
    headers_size: i64,
    body_size: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// 0 if no reply came.
    status: u16,
    status_text: &'static str,
    http_version: &'static str,
    cookies: [Pair; 0],
    headers: Vec<Pair>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i64,
    body_size: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    size: u64,
    mime_type: String,
}

/// Milliseconds; -1 for what does not apply. `connect` holds `ssl`.
#[derive(Debug, Serialize)]
struct Times {
    blocked: f64,
    dns: f64,
    connect: f64,
    ssl: f64,
    send: f64,
    wait: f64,
    receive: f64,
}

impl<'a> Entry<'a> {
    fn of(outcome: &'a Outcome, asked: &Asked) -> Self {
        let shown = speaker(outcome);
        let head = Head::of(outcome);
        let start = start(outcome, shown);
        let timings = Times::of(shown);
        Self {
            started_date_time: stamp(start).unwrap_or_default(),
            time: timings.sum(),
            request: Question::of(outcome, head, asked),
            response: Answer::of(outcome, head, shown, asked),
            cache: Nothing {},
            timings,
            server: shown.and_then(|attempt| attempt.address).map(|address| address.ip().to_string()),
            connection: shown.and_then(|attempt| attempt.connection).map(|used| used.id.to_string()),
            seq: outcome.seq(),
            outcome: outcome.ending().as_str(),
            attempts: outcome.attempts_not_kept() + outcome.attempts().len(),
            error: outcome.error().map(|error| Trouble { code: error.kind().code(), message: reason(error) }),
        }
    }
}

/// When the attempt began; of what was never tried, when it was given up.
fn start(outcome: &Outcome, shown: Option<&AttemptRecord>) -> SystemTime {
    let began = shown.map_or(Duration::ZERO, |attempt| attempt.began);
    let first = outcome.started().map(|first| first + began);
    first.or(outcome.ended()).unwrap_or_else(SystemTime::now)
}

impl Question {
    fn of(outcome: &Outcome, head: Option<Head<'_>>, asked: &Asked) -> Self {
        let query = |url: Url| {
            let pairs = url.query_pairs();
            pairs.map(|(name, value)| Pair { name: name.into(), value: value.into() }).collect()
        };
        Self {
            method: asked.method.to_string(),
            url: bare(outcome.url()),
            http_version: version(head),
            cookies: [],
            headers: Vec::new(),
            query_string: Url::parse(outcome.url()).map_or_else(|_| Vec::new(), query),
            headers_size: -1,
            body_size: -1,
        }
    }
}

impl Answer {
    fn of(outcome: &Outcome, head: Option<Head<'_>>, shown: Option<&AttemptRecord>, asked: &Asked) -> Self {
        let field = |name| {
            let value = head.and_then(|head| head.headers.get(name));
            value.map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let status = head.map(|head| head.status);
        Self {
            status: status.map_or(0, |status| status.as_u16()),
            status_text: status.and_then(|status| status.canonical_reason()).unwrap_or_default(),
            http_version: version(head),
            cookies: [],
            headers: head.map_or_else(Vec::new, |head| fields(head, asked)),
            content: Content {
                size: if outcome.ending() == Ending::Ok { outcome.length() } else { 0 },
                mime_type: field(CONTENT_TYPE),
            },
            redirect_url: if status.is_some_and(is_redirect) {
                bare(&field(LOCATION))
            } else {
                String::new()
            },
            headers_size: head.map_or(-1, |head| i64::try_from(head.text().len()).unwrap_or(-1)),
            body_size: shown.map_or(-1, |attempt| i64::try_from(attempt.bytes).unwrap_or(-1)),
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection()
}

fn fields(head: Head<'_>, asked: &Asked) -> Vec<Pair> {
    let field = |(name, value): (&HeaderName, &http::HeaderValue)| {
        let is_secret = value.is_sensitive() || SECRET.contains(name) || asked.secret.contains(name);
        let value = match () {
            () if is_secret => HIDDEN.to_owned(),
            () if *name == LOCATION => bare(&String::from_utf8_lossy(value.as_bytes())),
            () => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        Pair { name: name.to_string(), value }
    };
    head.headers.iter().map(field).collect()
}

/// A URL, in full or not, with a mark in the place of its userinfo.
fn bare(url: &str) -> String {
    let Some(begin) = url.find("//").map(|at| at + 2) else { return url.to_owned() };
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
    match url[begin..end].rfind('@') {
        Some(at) => format!("{}{HIDDEN}{}", &url[..begin], &url[begin + at..]),
        None => url.to_owned(),
    }
}

fn version(head: Option<Head<'_>>) -> &'static str {
    match head.map(|head| head.version) {
        None => "",
        Some(Version::HTTP_10) => "HTTP/1.0",
        Some(Version::HTTP_2) => "HTTP/2",
        Some(Version::HTTP_3) => "HTTP/3",
        Some(_) => "HTTP/1.1",
    }
}

impl Times {
    fn of(shown: Option<&AttemptRecord>) -> Self {
        let timings = shown.map(|attempt| attempt.timings).unwrap_or_default();
        let or_none = |length: Duration| if length.is_zero() { -1.0 } else { millis(length) };
        Self {
            blocked: or_none(timings.queue),
            dns: or_none(timings.dns),
            connect: or_none(timings.connect + timings.tls),
            ssl: or_none(timings.tls),
            send: 0.0,
            wait: millis(timings.wait),
            receive: millis(timings.body),
        }
    }

    /// All of it; `ssl` is part of `connect`.
    fn sum(&self) -> f64 {
        let parts = [self.blocked, self.dns, self.connect, self.send, self.wait, self.receive];
        let sum: f64 = parts.into_iter().filter(|part| *part > 0.0).sum();
        (sum * 1e3).round() / 1e3
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;
    use crate::exit::Exit;
    use crate::pen::Pen;
    use crate::report::sample::{Sample, outcome};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no one panics with it").extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn archive(outcomes: &[Outcome]) -> Value {
        let page = Page::default();
        let sheet = Sheet::of(Pen::to(page.clone()).expect("a thread"), "a page");
        let asked = Asked { secret: vec![HeaderName::from_static("x-token")], ..Asked::default() };
        let mut har = Har::on(sheet, asked);
        outcomes.iter().for_each(|outcome| har.settled(outcome));
        let report = gannet::JobReport::default();
        har.close(&Closing {
            report: &report,
            exit: Exit::Obtained,
            elapsed: Duration::ZERO,
            held_back_by: None,
            job: None,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(har.sheet[0].pen.written());
        let text = page.0.lock().expect("no one panics with it").clone();
        let whole: Value = serde_json::from_slice(&text).expect("JSON");
        whole["log"].clone()
    }

    #[test]
    fn an_archive_without_an_entry_is_whole() {
        let log = archive(&[]);
        assert_eq!((&log["version"], &log["entries"]), (&"1.2".into(), &serde_json::json!([])));
        assert_eq!(log["creator"]["name"], "gannet");
    }

    #[test]
    fn an_entry_has_head_times_and_sizes_of_a_reply() {
        let got = outcome(Sample::Answered("/a?size=1000&type=a/b&delay=20ms&x=y"));
        let entry = &archive(&[got])["entries"][0];
        assert_eq!((&entry["request"]["method"], &entry["_outcome"]), (&"GET".into(), &"ok".into()));
        let query = entry["request"]["queryString"].as_array().expect("a list");
        assert!(query.contains(&serde_json::json!({"name": "x", "value": "y"})), "{query:?}");
        let response = &entry["response"];
        assert_eq!((&response["status"], &response["httpVersion"]), (&200.into(), &"HTTP/1.1".into()));
        assert_eq!((&response["content"]["size"], &response["bodySize"]), (&1000.into(), &1000.into()));
        assert_eq!(
            (&response["content"]["mimeType"], &entry["serverIPAddress"]),
            (&"a/b".into(), &"127.0.0.1".into())
        );
        let time = |name: &str| entry["timings"][name].as_f64().expect("a number");
        assert!(time("wait") >= 20.0 && time("ssl") == -1.0 && time("connect") > 0.0, "{entry}");
        let names = ["blocked", "dns", "connect", "send", "wait", "receive"];
        let sum: f64 = names.into_iter().map(time).filter(|part| *part > 0.0).sum();
        assert!((entry["time"].as_f64().expect("a number") - sum).abs() < 0.01, "{entry}");
    }

    #[test]
    fn secrets_are_hidden() {
        let path = "/?header=Set-Cookie:s3cret&header=X-Token:s3cret&header=Location:http://u:s3cret@h/&header=X-A:b";
        let log = archive(&[outcome(Sample::Answered(path))]);
        let headers = log["entries"][0]["response"]["headers"].to_string();
        assert!(!headers.contains("s3cret") && headers.contains(r#""name":"x-a","value":"b""#), "{headers}");
        assert_eq!(headers.matches(HIDDEN).count(), 3, "{headers}");
        assert_eq!(bare("http://u:p@h/a@b"), "http://(hidden)@h/a@b");
        assert_eq!([bare("/a@b"), bare("//u@h")], ["/a@b", "//(hidden)@h"]);
    }

    #[test]
    fn failures_have_entries_too() {
        let log = archive(&[outcome(Sample::Refused), outcome(Sample::Answered("/?status=404"))]);
        let [refused, missing] = [0, 1].map(|index| &log["entries"][index]);
        assert_eq!(
            (&refused["response"]["status"], &refused["_error"]["code"]),
            (&0.into(), &"connect.refused".into())
        );
        assert_eq!(
            (&missing["response"]["status"], &missing["response"]["statusText"]),
            (&404.into(), &"Not Found".into())
        );
        assert!(refused["startedDateTime"].as_str().is_some_and(|text| text.ends_with('Z')), "{refused}");
    }
}
