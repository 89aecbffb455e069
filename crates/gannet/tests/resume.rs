//! Bodies that break off and are gone on with, over real sockets: every validator against every way in which a server
//! gets a range wrong. No body holds bytes of two replies that do not belong together.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gannet::part::Part;
use gannet::sink::{Files, IfExists, Ordered};
use gannet::{
    BoxFuture, Client, ClientBuilder, Error, ErrorKind, Event, Outcome, Reply, Request, ResumeParts,
    Transport, WireRequest,
};
use gannet_origin::{Origin, body};

const K: u64 = 1 << 10;
/// The length of the bodies, and where the first attempt breaks off.
const WHOLE: u64 = 600 * K;
const CUT: u64 = 400 * K;

/// Its date, an hour later than its Last-Modified.
const DATED: &str = "last-modified=784111777&header=date:%20Sun,%2006%20Nov%201994%2009:49:37%20GMT";

fn client() -> ClientBuilder {
    let short = Duration::from_millis(1);
    Client::builder().backoff(short, short).retry_budget(None)
}

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gannet-resume-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it is there");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("it can be read").file_name();
        entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.0.join("x")).expect("the body is there")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The outcome of one URL whose requests are answered by these queries in turn, and its folder.
async fn fetched<const N: usize>(client: ClientBuilder, queries: [String; N]) -> (Outcome, Folder, u64) {
    let origin = Origin::builder().script("/x", queries).start().await.expect("a port is free");
    let folder = Folder::new();
    let client = client.build().expect("the settings agree");
    let sink = Files::in_directory(&folder.0);
    let mut each = client.fetch_each([origin.url("/x")]).save_with(Arc::new(sink));
    let outcome = each.next().await.expect("one URL");
    (outcome, folder, origin.requests_to("/x"))
}

fn whole(rest: &str) -> String {
    format!("size=600k&seed=1&{rest}")
}

fn cut(rest: &str) -> String {
    whole(&format!("{rest}&truncate=400k"))
}

#[tokio::test]
async fn only_a_right_range_under_a_strong_validator_is_gone_on_with() {
    let strong = ["etag=strong", DATED];
    let none = ["etag=weak", "range=ok", "last-modified=784111777", &format!("etag=weak&{DATED}")];
    for (validators, is_strong) in
        strong.map(|one| (one, true)).into_iter().chain(none.map(|one| (one, false)))
    {
        for range in [
            "ok",
            "short",
            "ignore",
            "wrong-start",
            "wrong-total",
            "wrong-length",
            "no-content-range",
            "multipart",
            "416",
            "416-here",
            "changed-etag",
            "weak-etag",
        ] {
            let fault = whole(&format!("{validators}&range={range}"));
            let (outcome, folder, requests) = fetched(client(), [cut(validators), fault]).await;
            let spared = validators == DATED && range.ends_with("-etag");
            let goes_on = is_strong && (["ok", "short"].contains(&range) || spared);
            let named = format!("{validators}, {range}: {outcome:?}");
            assert_eq!(outcome.resumed_from(), if goes_on { CUT } else { 0 }, "{named}");
            assert!(folder.bytes() == body(WHOLE as usize, 1), "{named}");
            assert_eq!((folder.names(), outcome.attempts().len()), (vec!["x".to_owned()], 2), "{named}");
            let expected = match range {
                _ if !is_strong => 2,
                // Each piece is half of what is missing: the server is asked until nothing is.
                "short" => requests.max(10),
                "ok" | "ignore" => 2,
                _ if spared => 2,
                _ => 3,
            };
            assert_eq!(requests, expected, "{named}");
        }
    }
}

#[tokio::test]
async fn a_body_that_changed_is_taken_from_its_new_start_whatever_the_server_heeds() {
    for validators in ["etag=strong", DATED, "etag=weak", "range=ok"] {
        for heeds in ["ok", "ignore-if-range"] {
            let changed =
                if validators == DATED { DATED.replace("784111777", "784111778") } else { validators.into() };
            let other = format!("size=600k&seed=2&{changed}&range={heeds}");
            let (outcome, folder, _) = fetched(client(), [cut(validators), other]).await;
            assert_eq!(outcome.resumed_from(), 0, "{validators}, {heeds}: {outcome:?}");
            assert!(
                folder.bytes() == body(WHOLE as usize, 2),
                "{validators}, {heeds}: bytes of two versions"
            );
        }
    }
}

#[tokio::test]
async fn the_page_of_an_error_never_gets_into_a_body() {
    for status in ["404", "503"] {
        let page = whole(&format!("etag=strong&range={status}"));
        let queries = [cut("etag=strong"), page, whole("etag=strong")];
        let (outcome, folder, requests) = fetched(client(), queries).await;
        match status {
            "503" => {
                assert_eq!((outcome.resumed_from(), requests), (CUT, 3), "{outcome:?}");
                assert!(folder.bytes() == body(WHOLE as usize, 1));
            }
            _ => {
                assert_eq!(outcome.status().map(|status| status.as_u16()), Some(404), "{outcome:?}");
                assert_eq!(folder.names(), Vec::<String>::new());
            }
        }
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_gone_on_with_to_the_end_that_the_server_tells() {
    let (outcome, folder, _) =
        fetched(client(), [cut("etag=strong&chunked"), whole("etag=strong&chunked")]).await;
    assert_eq!(outcome.resumed_from(), CUT, "{outcome:?}");
    assert!(folder.bytes() == body(WHOLE as usize, 1));
}

#[tokio::test]
async fn the_settings_say_which_bodies_are_gone_on_with() {
    for (rule, validators, from) in [
        (ResumeParts::Never, "etag=strong", 0),
        (ResumeParts::Always, "range=ok", CUT),
        (ResumeParts::Always, "etag=weak", CUT),
        (ResumeParts::Safe, "range=ok", 0),
    ] {
        let queries = [cut(validators), whole(validators)];
        let (outcome, folder, _) = fetched(client().resume_parts(rule), queries).await;
        assert_eq!(outcome.resumed_from(), from, "{rule:?}, {validators}: {outcome:?}");
        assert!(folder.bytes() == body(WHOLE as usize, 1));
    }
    // Even then the total has to agree.
    let other = "size=601k&seed=2&range=ok".to_owned();
    let (outcome, folder, _) =
        fetched(client().resume_parts(ResumeParts::Always), [cut("range=ok"), other]).await;
    assert_eq!(outcome.resumed_from(), 0, "{outcome:?}");
    assert!(folder.bytes() == body(601 << 10, 2));
}

#[tokio::test]
async fn a_mirror_goes_on_only_with_equal_length_and_equal_strong_etag() {
    for (mirror, from, seed) in [
        ("size=600k&seed=1&etag=one", CUT, 1),
        ("size=600k&seed=2&etag=two", 0, 2),
        ("size=601k&seed=2&etag=one&range=ignore-if-range", 0, 2),
    ] {
        let origin = Origin::builder()
            .script("/a", ["size=600k&seed=1&etag=one&truncate=400k"])
            .script("/b", [mirror])
            .start()
            .await
            .expect("a port is free");
        let client = client().build().expect("the settings agree");
        let fetch = client.get(origin.url("/a")).mirror(&origin.url("/b"));
        let folder = Folder::new();
        let receipt = fetch.save_to(folder.0.join("x")).await.expect("the mirror has it");
        assert_eq!(receipt.resumed_from, from, "{mirror}");
        assert!(folder.bytes() == body(receipt.length as usize, seed), "{mirror}: bytes of two mirrors");
    }
}

#[tokio::test]
async fn a_text_keeps_its_bytes_too_unless_it_was_decoded() {
    for (coding, from) in [("", CUT), ("&coding=gzip", 0)] {
        let queries = [cut(&format!("etag=strong{coding}")), whole("etag=strong")];
        let origin = Origin::builder().script("/x", queries).start().await.expect("a port is free");
        let client = client().decode(gannet::Decoding::Always).build().expect("they agree");
        let outcomes = client.fetch_all([origin.url("/x")]).await;
        assert_eq!(outcomes[0].resumed_from(), from, "{coding}: {outcomes:?}");
        assert!(*outcomes[0].body().expect("it is got") == body(WHOLE as usize, 1), "{coding}");
    }
}

/// Gives half of a body, breaks off, and then answers as told; writes down what it was asked.
#[derive(Clone)]
struct Halves {
    asked: Arc<Mutex<Vec<http::HeaderMap>>>,
    then: fn(http::response::Builder) -> http::Result<http::Response<&'static str>>,
}

/// One piece of a body, and then an error.
struct Broken(Option<&'static str>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        let piece = self.0.take().map(|text| Ok(http_body::Frame::data(Bytes::from_static(text.as_bytes()))));
        Poll::Ready(Some(piece.unwrap_or_else(|| Err(Error::transport("it breaks off")))))
    }
}

impl Transport for Halves {
    fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        let mut asked = self.asked.lock().expect("nobody panics here");
        asked.push(request.headers().clone());
        let response = http::Response::builder().header("etag", "\"v1\"");
        let reply = match asked.len() {
            1 => Reply::streaming(response.body(Broken(Some("half"))).expect("a head of ours")),
            _ => Reply::new((self.then)(response).expect("a head of ours")),
        };
        Box::pin(async { Ok(reply) })
    }
}

fn halves(then: fn(http::response::Builder) -> http::Result<http::Response<&'static str>>) -> Halves {
    Halves { asked: Arc::default(), then }
}

#[tokio::test]
async fn the_rest_is_asked_for_by_range_and_if_range_and_as_it_is() {
    let rest: fn(http::response::Builder) -> _ =
        |head| head.status(206).header("content-range", "bytes 4-7/8").body("rest");
    for is_streamed in [false, true] {
        let transport = halves(rest);
        let client = client().transport(transport.clone()).decode(gannet::Decoding::Never);
        let fetch = client.build().expect("they agree").get("http://h/");
        let text = match is_streamed {
            true => fetch.await.expect("a head comes").text().await,
            false => fetch.text().await,
        };
        let asked = transport.asked.lock().expect("nobody panics here").clone();
        assert_eq!(text.expect("both halves come"), "halfrest");
        let field = |name: &str| asked[1].get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!((asked[0].get("range"), asked.len()), (None, 2));
        assert_eq!(field("range").as_deref(), Some("bytes=4-"));
        assert_eq!(field("if-range").as_deref(), Some("\"v1\""));
        assert_eq!(field("accept-encoding").as_deref(), Some("identity"));
    }
}

#[tokio::test]
async fn a_416_that_tells_the_length_of_what_is_there_completes_it() {
    for is_streamed in [false, true] {
        let nothing_left =
            halves(|head| head.status(416).header("content-range", "bytes */4").body("a page"));
        let client = client().transport(nothing_left).build().expect("they agree");
        let text = match is_streamed {
            true => client.get("http://h/").await.expect("a head comes").text().await,
            false => client.get("http://h/").text().await,
        };
        assert_eq!(text.expect("nothing is missing"), "half");
    }
}

#[tokio::test]
async fn what_was_handed_on_is_gone_on_with_under_its_strong_validator_or_not_at_all() {
    for (first, then, is_got) in [
        ("etag=strong", "seed=1&etag=strong", true),
        ("etag=strong", "seed=1&etag=strong&range=short", true),
        (DATED, "seed=1&etag=none&LM", true),
        ("etag=strong", "seed=2&etag=strong", false),
        ("etag=strong", "seed=2&etag=strong&range=ignore-if-range", false),
        ("etag=strong", "seed=1&etag=strong&range=ignore", false),
        ("etag=strong", "seed=1&etag=strong&range=wrong-start", false),
        ("etag=strong", "seed=1&etag=strong&range=404", false),
        ("etag=weak", "seed=1&etag=weak", false),
        ("range=ok", "seed=1&range=ok", false),
    ] {
        let then = format!("size=600k&{}", then.replace("etag=none&LM", DATED));
        let origin =
            Origin::builder().script("/x", [cut(first), then.clone()]).start().await.expect("a port");
        let client = client().retries(30).build().expect("they agree");
        let read = client.get(origin.url("/x")).await.expect("the head comes").bytes().await;
        match read {
            Ok(bytes) => assert!(is_got && bytes == body(WHOLE as usize, 1), "{first}, {then}"),
            Err(error) => {
                assert!(!is_got, "{first}, {then}: {error}");
                assert_eq!(error.kind(), ErrorKind::BodyNotResumable, "{first}, {then}: {error}");
            }
        }
        // The same for what goes to standard output.
        let origin =
            Origin::builder().script("/x", [cut(first), then.clone()]).start().await.expect("a port");
        let tape = Tape::default();
        let sink = Arc::new(Ordered::to(tape.clone()));
        let outcomes = client.fetch_each([origin.url("/x")]).save_with(sink.clone()).spawn().await;
        sink.finish().await.expect("a tape takes all");
        let written = tape.0.lock().expect("nobody panics here").clone();
        let whole = body(WHOLE as usize, 1);
        assert_eq!(outcomes[0].is_obtained(), is_got, "{first}, {then}: {outcomes:?}");
        assert!(whole.starts_with(&written) && (written.len() == whole.len()) == is_got, "{first}, {then}");
    }
}

/// What was written.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics here").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What was told of parts.
type Told = Arc<Mutex<Vec<Part>>>;

fn leaving(told: &Told) -> ClientBuilder {
    let told = Arc::clone(told);
    client().leave_parts().watch(move |event| {
        if let Event::Part { part, .. } = event {
            told.lock().expect("nobody panics here").push((*part).clone());
        }
    })
}

/// A run of a body of 3 MiB that breaks off at 2 MiB: its folder, and what it told last.
async fn left(origin: &Origin, folder: &Folder) -> Part {
    all_left(origin, folder).await.pop().expect("it was told")
}

/// The same, and all that it told.
async fn all_left(origin: &Origin, folder: &Folder) -> Vec<Part> {
    let told = Told::default();
    let client = leaving(&told).retries(0).build().expect("they agree");
    client.get(origin.url("/x")).save_to(folder.0.join("x")).await.expect_err("it breaks off");
    let told = told.lock().expect("nobody panics here").clone();
    assert_eq!(told[0].good, 0, "it is told before its first byte: {told:?}");
    assert!(told.windows(2).all(|pair| pair[0].good < pair[1].good), "{told:?}");
    let last = told.last().expect("it was told").clone();
    assert!(last.good >= 1 << 20 && last.validator().is_some(), "{last:?}");
    assert_eq!(folder.names().len(), 1, "the part stays");
    told
}

async fn gone_on(origin: &Origin, folder: &Folder, part: Part) -> Outcome {
    let request = Request::new(&origin.url("/x")).expect("a good URL").save_as(folder.0.join("x")).part(part);
    let sink = Files::where_requests_say().if_exists(IfExists::Overwrite);
    let client = client().build().expect("they agree");
    client.fetch_each([request]).save_with(Arc::new(sink)).next().await.expect("one URL")
}

/// Something else stands in the last mebibyte.
fn edited(path: &Path) {
    let mut bytes = std::fs::read(path).expect("it is there");
    let place = bytes.len() - (1 << 20);
    bytes[place..].iter_mut().for_each(|byte| *byte ^= 1);
    std::fs::write(path, bytes).expect("it can be written");
}

#[tokio::test]
async fn a_part_that_is_left_is_gone_on_with_by_a_later_run_unless_somebody_edited_it() {
    let query = "size=3m&seed=1&etag=strong";
    let edits: [fn(&Path); 4] = [
        |_| {},
        edited,
        |path| std::fs::write(path, b"short").expect("it can be written"),
        |path| std::fs::remove_file(path).expect("it can be removed"),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let script = [format!("{query}&truncate=2m"), query.to_owned()];
        let origin = Origin::builder().script("/x", script).start().await.expect("a port is free");
        let folder = Folder::new();
        let part = left(&origin, &folder).await;
        edit(&part.on_disk.as_ref().expect("it lies on the disk").path);
        let from = if number == 0 { part.good } else { 0 };
        let outcome = gone_on(&origin, &folder, part).await;
        assert_eq!(outcome.resumed_from(), from, "edit {number}: {outcome:?}");
        assert!(folder.bytes() == body(3 << 20, 1), "edit {number}");
        assert_eq!(folder.names(), ["x"], "edit {number}");
    }
}

#[tokio::test]
async fn a_part_that_is_longer_than_it_was_told_was_written_soon_after_or_somebody_edited_it() {
    let query = "size=3m&seed=1&etag=strong";
    for (seconds, goes_on) in [(9, true), (11, false)] {
        let script = [format!("{query}&truncate=2m"), query.to_owned()];
        let origin = Origin::builder().script("/x", script).start().await.expect("a port is free");
        let folder = Folder::new();
        let mut all = all_left(&origin, &folder).await;
        // A process that was killed has told of less than it has written.
        all.retain(|part| part.good >= 1 << 20);
        assert!(all.len() > 1, "{all:?}");
        let part = all.swap_remove(0);
        let on_disk = part.on_disk.clone().expect("it lies on the disk");
        if !goes_on {
            let mut bytes = std::fs::read(&on_disk.path).expect("it is there");
            bytes[1000] ^= 1;
            std::fs::write(&on_disk.path, bytes).expect("it can be written");
        }
        let file = std::fs::File::options().write(true).open(&on_disk.path).expect("it is there");
        let told = on_disk.modified.expect("it has a time");
        file.set_modified(told + Duration::from_secs(seconds)).expect("it can be set");
        let from = if goes_on { part.good } else { 0 };
        let outcome = gone_on(&origin, &folder, part).await;
        assert_eq!(outcome.resumed_from(), from, "{seconds} s: {outcome:?}");
        assert!(folder.bytes() == body(3 << 20, 1), "{seconds} s");
    }
}

#[tokio::test]
async fn a_part_that_was_told_of_long_ago_is_told_of_again_before_more_is_written() {
    let query = "size=3m&seed=1&etag=strong";
    // Edited a minute after it was told of; or written to by a run that had told again that it is in its hands.
    for (held, edit, goes_on) in
        [(None, 60, false), (Some(55), 60, true), (Some(55), 66, false), (Some(55), 0, true)]
    {
        let script = [format!("{query}&truncate=2m"), query.to_owned()];
        let origin = Origin::builder().script("/x", script).start().await.expect("a port is free");
        let folder = Folder::new();
        let mut all = all_left(&origin, &folder).await;
        all.retain(|part| part.good >= 1 << 20);
        let mut part = all.swap_remove(0);
        let on_disk = part.on_disk.as_mut().expect("it lies on the disk");
        let told = std::time::SystemTime::now() - Duration::from_secs(600);
        on_disk.modified = Some(told);
        on_disk.held = held.map(|seconds| told + Duration::from_secs(seconds));
        let file = std::fs::File::options().write(true).open(&on_disk.path).expect("it is there");
        file.set_modified(told + Duration::from_secs(edit)).expect("it can be set");
        let (good, path) = (part.good, on_disk.path.clone());
        let words: Told = Told::default();
        let heard = Arc::clone(&words);
        let client = client().leave_parts().watch(move |event| {
            if let Event::Part { part, .. } = event {
                let length = std::fs::metadata(&path).map_or(0, |met| met.len());
                let mut heard = heard.lock().expect("nobody panics here");
                assert!(!heard.is_empty() || length == part.good, "it was written to before it was told of");
                heard.push((*part).clone());
            }
        });
        let request =
            Request::new(&origin.url("/x")).expect("a good URL").save_as(folder.0.join("x")).part(part);
        let sink = Arc::new(Files::where_requests_say().if_exists(IfExists::Overwrite));
        let client = client.build().expect("they agree");
        let outcome = client.fetch_each([request]).save_with(sink).next().await.expect("one URL");
        let case = format!("{held:?}, {edit}: {outcome:?}");
        assert_eq!(outcome.resumed_from(), if goes_on { good } else { 0 }, "{case}");
        assert!(folder.bytes() == body(3 << 20, 1), "{case}");
        let words = words.lock().expect("nobody panics here");
        let first = words[0].on_disk.as_ref().expect("it lies on the disk");
        assert_eq!((words[0].good == good, first.held > Some(told)), (goes_on, goes_on), "{case}");
        assert!(words[1..].iter().all(|part| part.on_disk.as_ref().is_some_and(|at| at.held.is_none())));
    }
}

#[tokio::test]
async fn what_a_later_run_finds_changed_is_begun_anew() {
    let script = ["size=3m&seed=1&etag=strong&truncate=2m", "size=3m&seed=2&etag=strong"];
    let origin = Origin::builder().script("/x", script).start().await.expect("a port is free");
    let folder = Folder::new();
    let part = left(&origin, &folder).await;
    let outcome = gone_on(&origin, &folder, part).await;
    assert_eq!(outcome.resumed_from(), 0, "{outcome:?}");
    assert!(folder.bytes() == body(3 << 20, 2));
    assert_eq!(folder.names(), ["x"]);
}

#[tokio::test]
async fn no_part_is_left_that_nobody_could_go_on_with() {
    for query in ["size=3m&seed=1&etag=weak&truncate=2m", "size=900k&seed=1&etag=strong&truncate=800k"] {
        let origin = Origin::builder().script("/x", [query]).start().await.expect("a port is free");
        let (folder, told) = (Folder::new(), Told::default());
        let client = leaving(&told).retries(0).build().expect("they agree");
        let error =
            client.get(origin.url("/x")).save_to(folder.0.join("x")).await.expect_err("it breaks off");
        assert_eq!(error.kind(), ErrorKind::BodyTruncated, "{query}: {error}");
        assert!(folder.names().is_empty() && told.lock().expect("no panic").is_empty(), "{query}");
    }
}
