//! A list that is run again with `IfExists::Update`: what each request asks by, what a 304 leaves, and what the journal
//! knows after it. The server is a stand-in that writes down what it is asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gannet::digest::{Algorithm, Digest};
use gannet::sink::{Files, IfExists};
use gannet::{BoxFuture, Client, Error, Journal, Outcome, Reply, Request, Transport, WireRequest};

use crate::fixture::Folder;

const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// What a path answers, in words: fields as `name: value`, `status N`, `body TEXT`, `tag TEXT` (an ETag, which answers
/// conditions), separated by semicolons.
#[derive(Debug, Clone, Default)]
struct Server {
    says: Arc<Mutex<BTreeMap<String, String>>>,
    /// URL and condition of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn says(&self, path: &str, what: &str) {
        self.says.lock().expect("nobody panics").insert(path.to_owned(), what.to_owned());
    }

    /// What was asked since the last time, in words.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("nobody panics"))
    }
}

impl Transport for Server {
    fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        let field = |name: &str| request.headers().get(name).map(|value| value.to_str().expect("text"));
        let conditions = ["if-none-match", "if-modified-since", "if-range"];
        let told = conditions.iter().filter_map(|name| Some(format!(" {name} {}", field(name)?)));
        let uri = request.uri();
        let at = format!("{}{}", uri.host().unwrap_or_default(), uri.path());
        self.asked.lock().expect("nobody panics").push(format!("{at}{}", told.collect::<String>()));
        let what = self.says.lock().expect("nobody panics").get(&at).cloned().unwrap_or_default();
        let (mut response, mut body) = (http::Response::builder(), String::new());
        for part in what.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            response = match part.split_once(' ').expect("two words") {
                ("status", number) => response.status(number),
                ("body", text) => {
                    body = text.to_owned();
                    response
                }
                ("tag", tag) if field("if-none-match") == Some(tag) => {
                    response.status(304).header("etag", tag)
                }
                ("tag", tag) => response.header("etag", tag),
                ("removes", path) => {
                    let _ = std::fs::remove_file(path);
                    response
                }
                (name, value) => response.header(name.trim_end_matches(':'), value),
            };
        }
        let is_304 = response.headers_ref().is_some() && what.contains("status 304");
        let is_unchanged = field("if-none-match").is_some_and(|tag| what.contains(&format!("tag {tag}")));
        let body = if is_304 || is_unchanged { String::new() } else { body };
        let reply = Reply::new(response.body(body).expect("a head of ours"));
        Box::pin(async { Ok(reply) })
    }
}

/// Runs the list over the folder's journal, which is begun anew if its job is over; the names lie in `out`.
async fn update(folder: &Folder, server: &Server, requests: Vec<Request>) -> Vec<Outcome> {
    let journal = folder.open();
    if journal.resumed().is_finished {
        journal.begin_anew().expect("nobody uses it");
        journal.forget_superseded();
    }
    let outcomes = run(folder, server, requests, Some(journal.clone())).await;
    journal.close().expect("it is written");
    outcomes
}

async fn run(
    folder: &Folder,
    server: &Server,
    requests: Vec<Request>,
    journal: Option<Journal>,
) -> Vec<Outcome> {
    let short = Duration::from_millis(1);
    let client = Client::builder().transport(server.clone()).retries(1).backoff(short, short);
    let client = client.build().expect("they agree");
    let sink = Files::in_directory(folder.path().join("out")).if_exists(IfExists::Update);
    let mut job = client.fetch_each(requests).save_with(Arc::new(sink)).concurrency(1);
    if let Some(journal) = journal {
        job = job.journal(journal);
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = job.next().await {
        outcomes.push(outcome);
    }
    assert!(job.error().is_none(), "{:?}", job.error());
    outcomes.sort_by_key(Outcome::seq);
    outcomes
}

fn requests(urls: &[&str]) -> Vec<Request> {
    urls.iter().map(|url| Request::new(&format!("http://{url}")).expect("a URL")).collect()
}

/// How each ended: `ok`, `same` for what is unchanged, else the word of reports.
fn ends(outcomes: &[Outcome]) -> String {
    let each = outcomes.iter().map(|outcome| match outcome.is_unchanged() {
        true => "same",
        false => outcome.ending().as_str(),
    });
    each.collect::<Vec<_>>().join(" ")
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join("out").join(name)).unwrap_or_default()
}

fn write_at(folder: &Folder, name: &str, text: &str, at: SystemTime) {
    let path = folder.path().join("out").join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
    std::fs::write(&path, text).expect("it can be written");
    let file = std::fs::File::options().write(true).open(&path).expect("it is there");
    file.set_modified(at).expect("it takes a time");
}

fn history(folder: &Folder) -> usize {
    Journal::history(folder.journal()).len()
}

#[tokio::test]
async fn what_is_unchanged_is_asked_for_by_its_validator_and_left_alone() {
    let (folder, server) = (Folder::new(), Server::default());
    let urls = requests(&["h/strong", "h/weak", "h/dated", "h/bare"]);
    server.says("h/strong", "tag \"s\"; body 1");
    server.says("h/weak", &format!("tag W/\"w\"; last-modified: {DATE}; body 22"));
    server.says("h/dated", &format!("last-modified: {DATE}; body 333"));
    server.says("h/bare", "body 4444");
    assert_eq!(ends(&update(&folder, &server, urls.clone()).await), "ok ok ok ok");
    assert_eq!(server.asked(), ["h/strong", "h/weak", "h/dated", "h/bare"]);
    server.says("h/dated", "status 304");
    let times =
        |name: &str| std::fs::metadata(folder.path().join("out").join(name)).expect("a file").modified();
    let before = times("weak").expect("a time");
    // Twice: what a 304 leaves in the journal serves as what the 200 left.
    for round in 0..2 {
        let outcomes = update(&folder, &server, urls.clone()).await;
        assert_eq!(ends(&outcomes), "same same same ok", "round {round}");
        let dated = format!("h/dated if-modified-since {DATE}");
        let asked = ["h/strong if-none-match \"s\"", "h/weak if-none-match W/\"w\"", &dated, "h/bare"];
        assert_eq!(server.asked(), asked, "round {round}");
        let weak = &outcomes[1];
        assert_eq!((weak.length(), weak.status()), (2, Some(http::StatusCode::NOT_MODIFIED)));
        assert!(weak.path().is_some_and(|path| path.ends_with("out/weak")) && weak.body().is_none());
        assert_eq!(history(&folder), 0, "a list that is updated leaves one journal");
    }
    assert_eq!((read(&folder, "weak"), times("weak").expect("a time")), ("22".to_owned(), before));
    server.says("h/weak", "tag W/\"new\"; body new");
    assert_eq!(ends(&update(&folder, &server, urls.clone()).await), "same ok same ok");
    assert_eq!(read(&folder, "weak"), "new");
    server.asked();
    assert_eq!(ends(&update(&folder, &server, urls).await), "same same same ok");
    assert_eq!(server.asked()[1], "h/weak if-none-match W/\"new\"");
}

#[tokio::test]
async fn a_file_that_is_gone_or_was_edited_is_asked_for_plainly_and_replaced() {
    let (folder, server) = (Folder::new(), Server::default());
    let urls = requests(&["h/gone", "h/longer", "h/touched", "h/asis"]);
    for name in ["gone", "longer", "touched", "asis"] {
        server.says(&format!("h/{name}"), &format!("tag \"t\"; body {name}"));
    }
    update(&folder, &server, urls.clone()).await;
    server.asked();
    std::fs::remove_file(folder.path().join("out/gone")).expect("it is there");
    write_at(&folder, "longer", "longer by far", SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    write_at(&folder, "touched", "TOUCHED", SystemTime::now() + Duration::from_secs(60));
    let outcomes = update(&folder, &server, urls).await;
    assert_eq!(ends(&outcomes), "ok ok ok same");
    assert_eq!(server.asked(), ["h/gone", "h/longer", "h/touched", "h/asis if-none-match \"t\""]);
    assert_eq!(["gone", "longer", "touched"].map(|name| read(&folder, name)), ["gone", "longer", "touched"]);
}

#[tokio::test]
async fn a_file_that_goes_while_its_url_is_asked_about_is_asked_for_plainly() {
    let (folder, server) = (Folder::new(), Server::default());
    server.says("h/a", "tag \"t\"; body text");
    update(&folder, &server, requests(&["h/a"])).await;
    server.asked();
    let path = folder.path().join("out/a");
    server.says("h/a", &format!("tag \"t\"; body text; removes {}", path.display()));
    assert_eq!(ends(&update(&folder, &server, requests(&["h/a"])).await), "ok");
    assert_eq!(server.asked(), ["h/a if-none-match \"t\"", "h/a"]);
    assert_eq!(read(&folder, "a"), "text");
}

#[tokio::test]
async fn a_file_that_no_journal_knows_is_asked_for_by_its_own_time_and_gets_no_validator_by_it() {
    let (folder, server) = (Folder::new(), Server::default());
    let urls = requests(&["h/a", "h/empty", "h/new"]);
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_700);
    write_at(&folder, "a", "mine", at);
    write_at(&folder, "empty", "", at);
    server.says("h/a", "status 304; etag: \"theirs\"");
    server.says("h/empty", "body full");
    server.says("h/new", "body new");
    for journal in [None, Some(folder.open())] {
        let outcomes = run(&folder, &server, urls[..1].to_vec(), journal).await;
        assert_eq!(ends(&outcomes), "same");
        assert_eq!(server.asked(), [format!("h/a if-modified-since {DATE}")]);
    }
    assert_eq!(ends(&update(&folder, &server, urls).await), "same ok ok");
    // What is in the file need not be what the server calls so.
    assert_eq!(server.asked(), [&format!("h/a if-modified-since {DATE}"), "h/empty", "h/new"]);
    assert_eq!((read(&folder, "a"), read(&folder, "empty")), ("mine".to_owned(), "full".to_owned()));
}

#[tokio::test]
async fn a_validator_is_told_to_the_url_that_it_came_from_alone() {
    let (folder, server) = (Folder::new(), Server::default());
    let mirrored = |mirror: &str| requests(&["h/m"]).remove(0).mirror(mirror).expect("a URL");
    let urls = || vec![requests(&["h/r"]).remove(0), mirrored("http://other/m")];
    server.says("h/r", "status 302; location: http://cdn/r1");
    server.says("cdn/r1", "tag \"r\"; body redirected");
    server.says("h/m", "status 404");
    server.says("other/m", "tag \"m\"; body mirrored");
    assert_eq!(ends(&update(&folder, &server, urls()).await), "ok ok");
    server.asked();
    let outcomes = update(&folder, &server, urls()).await;
    assert_eq!(ends(&outcomes), "same same");
    let asked = ["h/r", "cdn/r1 if-none-match \"r\"", "h/m", "other/m if-none-match \"m\""];
    assert_eq!(server.asked(), asked);
    assert_eq!(outcomes[0].reply().map(|reply| &*reply.url), Some("http://cdn/r1"));
    // Elsewhere the same tag is another one's.
    server.says("h/r", "status 302; location: http://cdn/r2");
    server.says("cdn/r2", "tag \"r\"; body moved");
    server.says("h/m", "tag \"m\"; body original");
    assert_eq!(ends(&update(&folder, &server, urls()).await), "ok ok");
    assert_eq!(server.asked(), ["h/r", "cdn/r2", "h/m"]);
    assert_eq!((read(&folder, "r"), read(&folder, "m")), ("moved".to_owned(), "original".to_owned()));
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_an_error_and_one_about_another_version_is_none() {
    let (folder, server) = (Folder::new(), Server::default());
    let urls = requests(&["h/a", "h/b"]);
    server.says("h/a", "status 304");
    server.says("h/b", "tag \"b\"; body one");
    let outcomes = update(&folder, &server, urls.clone()).await;
    assert_eq!(ends(&outcomes), "failed ok");
    let error = outcomes[0].error().expect("it failed");
    assert_eq!((error.kind().code(), error.status()), ("reply.status", Some(http::StatusCode::NOT_MODIFIED)));
    // Each request is answered by a 304, whatever it asks.
    server.asked();
    server.says("h/a", "body a");
    server.says("h/b", "status 304; etag: \"another\"");
    let outcomes = update(&folder, &server, urls).await;
    assert_eq!((ends(&outcomes), read(&folder, "b")), ("ok failed".to_owned(), "one".to_owned()));
    assert_eq!(server.asked(), ["h/a", "h/b if-none-match \"b\"", "h/b"]);
    let client = Client::builder().transport(server).redirects(gannet::Redirects::Return).retries(0);
    let fetched = client.build().expect("they agree").get("http://h/b").text().await;
    assert_eq!(fetched.map_err(|error| error.kind().code()), Err("reply.status"), "it leads nowhere");
}

#[tokio::test]
async fn requests_with_conditions_bodies_or_digests_of_their_own_are_sent_as_they_are() {
    let (folder, server) = (Folder::new(), Server::default());
    let names = ["h/get", "h/post", "h/own", "h/range", "h/sum"];
    names.iter().for_each(|name| server.says(name, "tag \"t\"; body x"));
    update(&folder, &server, requests(&names)).await;
    server.asked();
    let field = |name: http::HeaderName, value| (name, http::HeaderValue::from_static(value));
    let sum = Digest::of(Algorithm::Sha256, b"x");
    let own: [fn(Request) -> Request; 2] = [|request| request, |request| request.method(http::Method::POST)];
    let mut again = requests(&names);
    for (request, change) in again.iter_mut().zip(own) {
        *request = change(request.clone());
    }
    let (name, value) = field(http::header::IF_NONE_MATCH, "\"mine\"");
    again[2] = again[2].clone().header(name, value);
    let (name, value) = field(http::header::RANGE, "bytes=0-");
    again[3] = again[3].clone().header(name, value);
    again[4] = again[4].clone().digest(sum);
    let outcomes = update(&folder, &server, again).await;
    let asked = ["h/get if-none-match \"t\"", "h/post", "h/own if-none-match \"mine\"", "h/range", "h/sum"];
    assert_eq!((&*ends(&outcomes), server.asked()), ("same ok ok ok ok", asked.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn another_list_finds_its_files_in_the_earlier_journals_whatever_their_order() {
    let (folder, server) = (Folder::new(), Server::default());
    let names: Vec<String> = (0..3000).map(|number| format!("h/{number}")).collect();
    for name in &names {
        server.says(name, &format!("tag \"{name}\"; body {name}"));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    update(&folder, &server, requests(&names[..2000])).await;
    server.asked();
    let mut other: Vec<&str> = names[1000..].to_vec();
    other.reverse();
    let ran = update(&folder, &server, requests(&other)).await;
    assert_eq!((ran.len(), ran.iter().filter(|outcome| outcome.is_unchanged()).count()), (2000, 1000));
    let asked = server.asked();
    assert!(asked[..1000].iter().all(|asked| !asked.contains(' ')) && asked.len() == 2000);
    assert!(asked[1000..].iter().all(|asked| asked.contains(" if-none-match ")));
    // The other list's journal stays, as it knows of files that this one does not; looking into it leaves nothing.
    let beside = std::fs::read_dir(folder.path().join(".gannet")).expect("a folder").count();
    assert_eq!((history(&folder), beside), (1, 3));
    let ran = update(&folder, &server, requests(&names)).await;
    assert!(ran.iter().all(Outcome::is_unchanged), "each is found in the latest that knows it");
}

#[tokio::test]
async fn a_url_that_fails_keeps_what_is_known_of_its_file() {
    let (folder, server) = (Folder::new(), Server::default());
    let urls = requests(&["h/a", "h/b"]);
    let good = "tag \"a\"; body good";
    server.says("h/a", good);
    server.says("h/b", "body b");
    update(&folder, &server, urls.clone()).await;
    server.says("h/a", "status 503");
    assert_eq!(ends(&update(&folder, &server, urls.clone()).await), "failed ok");
    assert_eq!((history(&folder), read(&folder, "a")), (0, "good".to_owned()));
    server.asked();
    server.says("h/a", good);
    // In the same job, and in the next one.
    let journal = folder.open();
    journal.reopen_failed();
    assert_eq!(ends(&run(&folder, &server, urls.clone(), Some(journal.clone())).await), "same ok");
    assert_eq!(server.asked(), ["h/a if-none-match \"a\""]);
    drop(journal);
    assert_eq!(ends(&update(&folder, &server, urls).await), "same ok");
    assert_eq!(server.asked()[0], "h/a if-none-match \"a\"");
}

#[tokio::test]
async fn a_file_of_another_place_or_after_a_damaged_journal_is_no_known_one() {
    let (folder, server) = (Folder::new(), Server::default());
    server.says("h/a", "tag \"a\"; body text");
    update(&folder, &server, requests(&["h/a"])).await;
    server.asked();
    // The same URL, another file, which nobody has written of.
    write_at(&folder, "elsewhere/a", "text", SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let there = requests(&["h/a"]).remove(0).save_as("elsewhere/a");
    update(&folder, &server, vec![there]).await;
    assert_eq!(server.asked(), [format!("h/a if-modified-since {DATE}")]);
    let old = Journal::history(folder.journal()).pop().expect("the first one");
    flip(&old, b"\"a\"");
    update(&folder, &server, requests(&["h/a"])).await;
    assert_eq!(server.asked(), ["h/a"], "what is damaged may have been about it");
}

/// Changes one byte of what is found in a file.
fn flip(path: &Path, what: &[u8]) {
    let mut bytes = std::fs::read(path).expect("it is there");
    let at = bytes.windows(what.len()).position(|found| found == what).expect("it holds it");
    bytes[at + 1] ^= 1;
    std::fs::write(path, bytes).expect("it can be written");
}

#[tokio::test]
async fn attempts_that_failed_stay_when_the_file_is_found_unchanged() {
    let (folder, server) = (Folder::new(), Server::default());
    let urls = || requests(&["h/a"]);
    server.says("h/a", "tag \"1\"; body one");
    assert_eq!(ends(&update(&folder, &server, urls()).await), "ok");
    server.says("h/a", "status 503");
    assert_eq!(ends(&update(&folder, &server, urls()).await), "failed");
    server.says("h/a", "tag \"1\"; body one");
    let journal = folder.open();
    journal.reopen_failed();
    let outcomes = run(&folder, &server, urls(), Some(journal.clone())).await;
    assert_eq!((&*ends(&outcomes), outcomes[0].attempts().len()), ("same", 1));
    journal.close().expect("it is written");
    let row = Journal::read(folder.journal()).expect("it is whole").row(0).expect("it is whole");
    let row = row.expect("the line has settled");
    let [earlier] = row.earlier_runs() else { panic!("one run before: {:?}", row.earlier_runs()) };
    assert_eq!((earlier.attempts.len(), row.attempts().len(), row.winner), (2, 1, Some(0)));
    assert!(row.is_unchanged() && row.etag.as_deref() == Some("\"1\""), "{row:?}");
}
