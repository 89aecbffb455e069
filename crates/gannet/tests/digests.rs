//! Digests over real sockets: what callers expect and what servers say, compared with what comes, at whichever place it
//! ends; and what a mismatch does.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gannet::digest::{Algorithm, Digest};
use gannet::sink::Files;
use gannet::{Client, ClientBuilder, Error, ErrorKind, HttpVersions, Phase, Request, SentDigests};
use gannet_origin::{Origin, RawReply, body};
use http::Method;

/// The length of the bodies here, in bytes: more than one chunk.
const LENGTH: usize = 300_000;
/// A body of that length; the origin makes another one of each seed.
const PATH: &str = "/x?size=300000";
/// How a field writes a value.
type Write = fn(String) -> String;
/// A digest that nothing has.
const WRONG: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let short = std::time::Duration::from_millis(1);
    change(Client::builder().backoff(short, short)).build().expect("settings agree")
}

fn plain() -> Client {
    client(|settings| settings)
}

/// The digest of the body with this seed.
fn digest(algorithm: Algorithm, seed: u64) -> Digest {
    Digest::of(algorithm, &body(LENGTH, seed))
}

fn base64(digest: &Digest) -> String {
    STANDARD.encode(digest.as_bytes())
}

/// A path with one more field in its reply.
fn with_field(path: &str, name: &str, value: &str) -> String {
    let escaped: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("{path}&header={name}:{escaped}")
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-digests-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn assert_mismatch(error: &Error, values: &[&Digest]) {
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Digest, Phase::Verify), "{error:?}");
    assert_eq!(error.kind().code(), "integrity.digest");
    for value in values {
        assert!(error.message().contains(&value.to_hex()), "{value} is not in {error}");
    }
}

#[tokio::test]
async fn a_body_with_the_expected_digest_comes_and_another_is_an_error_with_both_values() {
    let origin = origin().await;
    for versions in [HttpVersions::Http1, HttpVersions::Http2] {
        let client = client(|settings| settings.http_versions(versions));
        for algorithm in Algorithm::ALL {
            let (right, wrong) = (digest(*algorithm, 0), digest(*algorithm, 1));
            let fetch = || client.get(origin.url(PATH));
            assert_eq!(fetch().digest(right.clone()).bytes().await.expect("it is whole").len(), LENGTH);
            let error = fetch().digest(wrong.clone()).bytes().await.expect_err("it is another's");
            assert_mismatch(&error, &[&right, &wrong]);
            // What lasts is not tried again at the only mirror.
            assert_eq!(error.attempts().len(), 1);
            let both = fetch().digest(right.clone()).digest(wrong.clone()).bytes().await;
            assert_mismatch(&both.expect_err("one of them is wrong"), &[&right, &wrong]);
        }
    }
}

#[tokio::test]
async fn a_file_of_another_digest_never_gets_its_name_and_is_removed() {
    let (origin, folder) = (origin().await, Folder::new("file"));
    let path = folder.0.join("x");
    let save = |wanted| plain().get(origin.url(PATH)).digest(wanted).save_to(&path);
    let error = save(digest(Algorithm::Sha256, 1)).await.expect_err("it is another's");
    assert_mismatch(&error, &[&digest(Algorithm::Sha256, 0)]);
    assert_eq!(folder.names(), Vec::<String>::new());
    assert_eq!(save(digest(Algorithm::Sha256, 0)).await.expect("it is whole").length, LENGTH as u64);
    // What was there stays.
    save(digest(Algorithm::Sha256, 1)).await.expect_err("it is another's");
    assert_eq!(std::fs::read(&path).expect("it is there"), body(LENGTH, 0));
}

#[tokio::test]
async fn a_mirror_with_other_bytes_is_left_for_one_with_the_right_ones() {
    let (origin, folder) = (origin().await, Folder::new("mirror"));
    let wanted = digest(Algorithm::Sha256, 2);
    let request = Request::new(&origin.url("/a?size=300000&seed=1")).expect("a URL");
    let request = request.mirror(&origin.url("/b?size=300000&seed=2")).expect("a URL").digest(wanted.clone());
    let sink = Arc::new(Files::in_directory(&folder.0));
    let mut job = plain().fetch_each([request]).save_with(sink);
    let outcome = job.next().await.expect("one request has one outcome");
    assert!(outcome.is_obtained(), "{outcome:?}");
    assert_eq!((outcome.winner(), outcome.attempts()[1].mirror), (Some(1), 1));
    assert_eq!(outcome.digests(), std::slice::from_ref(&wanted));
    let blamed = outcome.attempts()[0].why_stopped.error().expect("it failed");
    assert_mismatch(blamed, &[&digest(Algorithm::Sha256, 1), &wanted]);
    let kept = std::fs::read(outcome.path().expect("it is a file")).expect("it is there");
    assert_eq!((kept, folder.names().len()), (body(LENGTH, 2).to_vec(), 1));
    assert_eq!((origin.requests_to("/a"), origin.requests_to("/b")), (1, 1));
}

#[tokio::test]
async fn what_a_reply_says_of_its_body_is_verified_by_itself() {
    let origin = origin().await;
    let of = |algorithm, seed| base64(&digest(algorithm, seed));
    let fields: [(&str, Write, Algorithm); 10] = [
        ("Repr-Digest", |value| format!("sha-256=:{value}:"), Algorithm::Sha256),
        ("Repr-Digest", |value| format!("unixsum=:AAAA:, sha-512=:{value}:;x=1"), Algorithm::Sha512),
        ("Content-Digest", |value| format!("sha-256=:{value}:"), Algorithm::Sha256),
        ("Content-Digest", |value| format!("sha-512=:{value}:"), Algorithm::Sha512),
        ("Digest", |value| format!("SHA-256={value},unixsum=1"), Algorithm::Sha256),
        ("Digest", |value| format!("sha={value}"), Algorithm::Sha1),
        ("Digest", |value| format!("MD5={value}"), Algorithm::Md5),
        ("x-goog-hash", |value| format!("crc32c={value}"), Algorithm::Crc32c),
        ("x-goog-hash", |value| format!("md5={value}"), Algorithm::Md5),
        ("Content-MD5", |value| value, Algorithm::Md5),
    ];
    for versions in [HttpVersions::Http1, HttpVersions::Http2] {
        let client = client(|settings| settings.http_versions(versions));
        for (name, write, algorithm) in fields {
            let url = |value| origin.url(&with_field(PATH, name, &write(value)));
            let right = client.get(url(of(algorithm, 0))).bytes().await;
            assert_eq!(right.expect("it is whole").len(), LENGTH, "{name}");
            let error = client.get(url(of(algorithm, 1))).bytes().await.expect_err(name);
            assert_mismatch(&error, &[&digest(algorithm, 0), &digest(algorithm, 1)]);
            assert!(error.message().ends_with(&format!("is what {name} says")), "{error}");
        }
    }
}

#[tokio::test]
async fn what_says_nothing_known_or_is_ignored_changes_nothing() {
    let origin = origin().await;
    let wrong = with_field(PATH, "Repr-Digest", &format!("sha-256=:{WRONG}:"));
    let broken = with_field(PATH, "Repr-Digest", &format!("sha-256=:{WRONG}:,"));
    let unknown = with_field(PATH, "Repr-Digest", "sha3-256=:AAAA:");
    for path in [broken, unknown] {
        assert_eq!(plain().get(origin.url(&path)).bytes().await.expect("it comes").len(), LENGTH);
    }
    assert!(plain().get(origin.url(&wrong)).bytes().await.is_err());
    let careless = client(|settings| settings.sent_digests(SentDigests::Ignored));
    assert_eq!(careless.get(origin.url(&wrong)).bytes().await.expect("it comes").len(), LENGTH);
}

#[tokio::test]
async fn an_empty_body_has_a_digest_too() {
    let origin = origin().await;
    let empty = Digest::of(Algorithm::Sha256, b"");
    let url = |value: &str| origin.url(&with_field("/?size=0", "Repr-Digest", &format!("sha-256=:{value}:")));
    assert_eq!(plain().get(url(&base64(&empty))).bytes().await.expect("it comes").len(), 0);
    assert_mismatch(&plain().get(url(WRONG)).bytes().await.expect_err("it is wrong"), &[&empty]);
    let expected = |wanted| plain().get(origin.url("/?size=0")).digest(wanted).bytes();
    assert_eq!(expected(empty.clone()).await.expect("it comes").len(), 0);
    let error = expected(digest(Algorithm::Sha256, 0)).await.expect_err("it is another's");
    assert_mismatch(&error, &[&empty]);
}

#[tokio::test]
async fn a_reply_without_a_body_or_with_a_part_is_not_held_to_the_wholes_digest() {
    let origin = origin().await;
    let wrong = with_field(PATH, "Repr-Digest", &format!("sha-256=:{WRONG}:"));
    let head = Request::new(&origin.url(&wrong)).expect("a URL").method(Method::HEAD);
    let head = head.digest(digest(Algorithm::Sha256, 0));
    assert_eq!(plain().send(head).bytes().await.expect("its head comes").len(), 0);
    let part = |path: &str| plain().get(origin.url(path)).header("range", "bytes=0-99").bytes();
    let whole = format!("{PATH}&range=ok");
    let whole =
        with_field(&whole, "Repr-Digest", &format!("sha-256=:{}:", base64(&digest(Algorithm::Sha256, 0))));
    assert_eq!(part(&whole).await.expect("a part comes").len(), 100);
    let own = with_field(&format!("{PATH}&range=ok"), "Content-Digest", &format!("sha-256=:{WRONG}:"));
    let of_part = Digest::of(Algorithm::Sha256, &body(100, 0));
    assert_mismatch(&part(&own).await.expect_err("it is wrong"), &[&of_part]);
}

#[tokio::test]
async fn servers_tell_of_the_encoded_bytes_and_callers_of_the_decoded_ones() {
    let origin = origin().await;
    let path = "/x?size=100000&coding=gzip&negotiate";
    let plain = plain();
    let encoded =
        plain.get(origin.url(path)).header("accept-encoding", "gzip").bytes().await.expect("it comes");
    let decoded = body(100_000, 0);
    assert_ne!(encoded, decoded);
    let (sent, read) = (Digest::of(Algorithm::Sha256, &encoded), Digest::of(Algorithm::Sha256, &decoded));
    let url = |digest: &Digest| {
        origin.url(&with_field(path, "Repr-Digest", &format!("sha-256=:{}:", base64(digest))))
    };
    let come = plain.get(url(&sent)).digest(read.clone()).bytes().await.expect("both are right");
    assert_eq!(come, decoded);
    let error = plain.get(url(&read)).bytes().await.expect_err("the server means other bytes");
    assert_mismatch(&error, &[&sent, &read]);
    let error =
        plain.get(url(&sent)).digest(sent.clone()).bytes().await.expect_err("the caller means others");
    assert_mismatch(&error, &[&sent, &read]);
}

#[tokio::test]
async fn a_response_gives_the_error_in_the_place_of_its_end() {
    let origin = origin().await;
    let wrong = digest(Algorithm::Sha256, 1);
    let mut response = plain().get(origin.url(PATH)).digest(wrong.clone()).await.expect("its head comes");
    let mut length = 0;
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => length += chunk.len(),
            Ok(None) => panic!("it is another's"),
            Err(error) => break error,
        }
    };
    assert_mismatch(&error, &[&wrong]);
    assert_eq!((length, response.chunk().await.expect("it is over")), (LENGTH, None));
}

#[tokio::test]
async fn a_digest_behind_the_body_is_verified_if_the_head_announces_it() {
    let reply = |announced: &str, value: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{announced}\r\n");
        RawReply::new().send(format!("{head}3\r\nabc\r\n0\r\nRepr-Digest: sha-256=:{value}:\r\n\r\n")).fin()
    };
    let right = base64(&Digest::of(Algorithm::Sha256, b"abc"));
    let origin = Origin::builder()
        .raw("/right", reply("Trailer: Repr-Digest\r\n", &right))
        .raw("/wrong", reply("Trailer: Repr-Digest\r\n", WRONG))
        .raw("/unannounced", reply("", WRONG));
    let origin = origin.start().await.expect("a port is free");
    for path in ["/right", "/unannounced"] {
        assert_eq!(plain().get(origin.url(path)).text().await.expect("it comes"), "abc", "{path}");
    }
    let error = plain().get(origin.url("/wrong")).text().await.expect_err("it is another's");
    assert_mismatch(&error, &[&Digest::of(Algorithm::Sha256, b"abc")]);
}

/// What comes of one URL that is answered by these queries in turn, into a file; and the digest of the file.
async fn saved<const N: usize>(
    name: &str,
    queries: [&str; N],
    digests: &[Digest],
) -> (gannet::Outcome, Option<Digest>) {
    let origin = Origin::builder().script("/x", queries).start().await.expect("a port is free");
    let folder = Folder::new(name);
    let request = Request::new(&origin.url("/x")).expect("a URL");
    let request = digests.iter().fold(request, |request, digest| request.digest(digest.clone()));
    let sink = Files::in_directory(&folder.0);
    let mut job = plain().fetch_each([request]).save_with(Arc::new(sink));
    let outcome = job.next().await.expect("one URL");
    let left = std::fs::read_dir(&folder.0).expect("a folder").count();
    assert_eq!(left, usize::from(outcome.is_obtained()), "{outcome:?}");
    let bytes = outcome.path().map(|path| std::fs::read(path).expect("a file"));
    (outcome, bytes.map(|bytes| Digest::of(Algorithm::Sha256, &bytes)))
}

#[tokio::test]
async fn a_body_that_breaks_off_is_gone_on_with_and_compared_as_a_whole() {
    let right = [digest(Algorithm::Sha256, 1), digest(Algorithm::Md5, 1)];
    let sent = with_field("", "Repr-Digest", &format!("sha-256=:{}:", base64(&right[0])));
    let whole = format!("size=300000&seed=1&etag=v1{sent}");
    for (name, expected) in [("pieces-asked", &right[..]), ("pieces-sent", &[])] {
        // The rest comes in two pieces.
        let (cut, short) = (format!("{whole}&truncate=200000"), format!("{whole}&range=short"));
        let (outcome, found) = saved(name, [&cut, &short, &whole], expected).await;
        assert_eq!((outcome.resumed_from(), found), (200_000, Some(right[0].clone())), "{outcome:?}");
        assert!(outcome.digests().contains(&right[0]), "{outcome:?}");
        assert_eq!(outcome.digests().len(), expected.len().max(1), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_was_put_together_wrongly_is_begun_anew_and_its_error_says_both_values() {
    let right = digest(Algorithm::Sha256, 1);
    let (other, whole) = ("size=300000&seed=2&etag=v1", "size=300000&seed=1&etag=v1");
    let cut = format!("{other}&truncate=200000");
    let (outcome, found) = saved("glued", [&*cut, whole, whole], std::slice::from_ref(&right)).await;
    assert_eq!((outcome.resumed_from(), found), (0, Some(right.clone())), "{outcome:?}");
    let kinds: Vec<_> =
        outcome.attempts().iter().map(|one| one.why_stopped.error().map(Error::kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::BodyTruncated), Some(ErrorKind::Digest), None]);
    let glued = [&body(LENGTH, 2)[..200_000], &body(LENGTH, 1)[200_000..]].concat();
    let glued = Digest::of(Algorithm::Sha256, &glued).to_hex();
    let said = outcome.attempts()[1].why_stopped.error().map(Error::message);
    let both = format!("the body's sha256 is {glued}, {} was expected", right.to_hex());
    assert_eq!(said, Some(&*both));
    // What the first reply said of the whole counts, though the others say nothing.
    let sent = with_field("", "Repr-Digest", &format!("sha-256=:{}:", base64(&right)));
    let (outcome, _) = saved("glued-sent", [&*format!("{cut}{sent}"), whole, whole], &[]).await;
    let kinds: Vec<_> =
        outcome.attempts().iter().map(|one| one.why_stopped.error().map(Error::kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::BodyTruncated), Some(ErrorKind::Digest), None], "{outcome:?}");
    // One that is wrong in one piece lasts.
    let (outcome, _) = saved("wrong", [&*cut, whole, other, whole], &[right]).await;
    assert_eq!(outcome.attempts().len(), 3, "{outcome:?}");
    assert_eq!(outcome.error().map(Error::kind), Some(ErrorKind::Digest));
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_truncated_and_no_mismatch() {
    let origin = origin().await;
    let once = client(|settings| settings.retries(0));
    let cut = once.get(origin.url(&format!("{PATH}&truncate=1000"))).digest(digest(Algorithm::Sha256, 0));
    assert_eq!(cut.bytes().await.expect_err("it is cut").kind(), ErrorKind::BodyTruncated);
    let again = plain().get(origin.url("/again?size=300000&script=reset,200"));
    assert_eq!(again.digest(digest(Algorithm::Sha256, 0)).bytes().await.expect("it comes").len(), LENGTH);
}

#[tokio::test]
async fn digests_are_computed_on_request_though_nobody_expects_any() {
    let origin = origin().await;
    let client = client(|settings| settings.compute_digest(Algorithm::Sha256));
    let outcomes =
        client.fetch_all([origin.url(PATH), origin.url("/?size=0"), origin.url("/?status=404")]).await;
    assert_eq!(outcomes[0].digests(), [digest(Algorithm::Sha256, 0)]);
    assert_eq!(outcomes[1].digests(), [Digest::of(Algorithm::Sha256, b"")]);
    assert_eq!(outcomes[2].digests(), []);
    let none = plain().fetch_all([origin.url(PATH)]).await;
    assert_eq!(none[0].digests(), []);
}
