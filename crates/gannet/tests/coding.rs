//! Content codings over real sockets: which fetches ask, what is decoded, what is kept as sent, and what is refused.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use gannet::sink::Discard;
use gannet::{Client, ClientBuilder, Decoding, Error, ErrorKind};
use http::header::{ACCEPT_ENCODING, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes it")
}

/// Answers every request by what `reply` makes of its head, and closes.
async fn server(reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let reply = Arc::new(reply);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let reply = Arc::clone(&reply);
            tokio::spawn(async move {
                let (mut head, mut piece) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(length @ 1..) => head.extend_from_slice(&piece[..length]),
                        _ => return,
                    }
                }
                // Whoever has gone does not read it.
                let _ = stream.write_all(&reply(&String::from_utf8_lossy(&head))).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    url
}

fn reply(status: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

/// Encodes `hello` as a server does that is asked to, and says what was asked.
async fn willing() -> String {
    server(|head| {
        let asked = head.lines().find_map(|line| line.strip_prefix("accept-encoding: "));
        match asked {
            Some(asked) if asked.contains("gzip") => {
                reply(200, &format!("X-Asked: {asked}\r\nContent-Encoding: gzip\r\n"), &gzip(b"hello"))
            }
            _ => reply(200, "", b"plain"),
        }
    })
    .await
}

async fn serving(fields: &'static str, body: Vec<u8>) -> String {
    server(move |_| reply(200, fields, &body)).await
}

fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    change(Client::builder().retries(0)).build().expect("settings agree")
}

async fn error_of(client: &Client, url: &str) -> Error {
    client.get(url).text().await.expect_err("it cannot be decoded")
}

#[tokio::test]
async fn what_is_read_is_asked_for_encoded_and_decoded() {
    let (url, client) = (willing().await, Client::new());
    assert_eq!(client.get(&url).text().await.expect("it comes"), "hello");
    assert_eq!(client.get(&url).bytes().await.expect("it comes"), "hello");
    let first = client.fetch_first([&url, &url]).text().await.expect("one comes");
    assert_eq!(first.value, "hello");
    let all = client.fetch_all([&url, &url]).text().fail_fast().await.expect("all come");
    assert_eq!(all, ["hello", "hello"]);
    let json = serving("Content-Encoding: gzip\r\n", gzip(b"[1, 2]")).await;
    assert_eq!(client.get(json).into_json::<Vec<u8>>().await.expect("it is JSON"), [1, 2]);
}

#[tokio::test]
async fn what_is_stored_is_not_asked_for_encoded_and_is_kept_as_sent() {
    let (url, client) = (willing().await, Client::new());
    let folder = std::env::temp_dir().join(format!("gannet-coding-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let place = folder.join("file");
    client.get(&url).save_to(&place).await.expect("it is saved");
    assert_eq!(std::fs::read(&place).ok().as_deref(), Some(&b"plain"[..]));
    assert_eq!(client.get(&url).await.expect("the head").text().await.expect("the body"), "plain");
    let outcomes = client.fetch_all([&url]).await;
    assert_eq!(outcomes[0].body().map(|body| &body[..]), Some(&b"plain"[..]));
    let encoded = gzip(b"unasked");
    let url = serving("Content-Encoding: gzip\r\n", encoded.clone()).await;
    client.get(&url).save_to(&place).await.expect("it is saved");
    assert_eq!(std::fs::read(&place).ok(), Some(encoded));
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[tokio::test]
async fn the_setting_and_the_callers_own_field_rule() {
    let url = willing().await;
    let always = client(|builder| builder.decode(Decoding::Always));
    let response = always.get(&url).await.expect("the head");
    assert_eq!(response.content_length(), None);
    assert_eq!(response.headers()["x-asked"], "gzip, br, zstd, deflate");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.text().await.expect("the body"), "hello");
    let own = always.get(&url).header("accept-encoding", "gzip;q=0.5").await.expect("the head");
    assert_eq!(own.headers()["x-asked"], "gzip;q=0.5");
    assert_eq!(own.text().await.expect("the body"), "hello");
    let never = client(|builder| builder.decode(Decoding::Never));
    assert_eq!(never.get(&url).text().await.expect("it comes"), "plain");
    let encoded = gzip(b"hello");
    let own = Client::new().get(&url).header("accept-encoding", "gzip").bytes().await;
    assert_eq!(own.expect("it comes"), encoded);
    let default = client(|builder| builder.default_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip")));
    assert_eq!(default.get(&url).bytes().await.expect("it comes"), encoded);
    let ranged = Client::new().get(&url).header("range", "bytes=0-3").text().await;
    assert_eq!(ranged.expect("it comes"), "plain");
}

#[tokio::test]
async fn an_attempt_counts_the_bytes_of_the_wire_and_a_receipt_those_of_the_body() {
    let plain = b"the same again and again. ".repeat(50_000);
    let encoded = gzip(&plain);
    let url = serving("Content-Encoding: gzip\r\n", encoded.clone()).await;
    let client = client(|builder| builder.decode(Decoding::Always));
    let outcomes = client.fetch_all([&url]).await;
    assert_eq!(outcomes[0].length(), plain.len() as u64);
    assert_eq!(outcomes[0].attempts()[0].bytes, encoded.len() as u64);
    let reply = outcomes[0].reply().expect("it came");
    assert_eq!(reply.headers["content-length"], encoded.len().to_string().as_str());
    let job = client.fetch_all([url]).save_with(Arc::new(Discard)).spawn();
    while job.progress().settled == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(job.progress().bytes, encoded.len() as u64);
    assert_eq!(job.await.expect("nothing is in the way").obtained(), 1);
}

#[tokio::test]
async fn empty_bodies_have_no_coding_whatever_their_heads_say() {
    for (status, method) in [(200, "GET"), (204, "GET"), (304, "GET"), (200, "HEAD")] {
        let url = server(move |_| {
            let head = "Connection: close\r\nContent-Encoding: gzip, unheard-of\r\n";
            let length = if method == "HEAD" { "Content-Length: 30\r\n" } else { "" };
            let empty = if status == 200 && method == "GET" { "Content-Length: 0\r\n" } else { "" };
            format!("HTTP/1.1 {status} X\r\n{head}{length}{empty}\r\n").into_bytes()
        });
        let text =
            Client::new().request(method.parse().expect("a method"), url.await).any_status().text().await;
        assert_eq!(text.expect("it is empty"), "", "{status} {method}");
    }
    let chunked = server(|_| {
        let head = "HTTP/1.1 200 X\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        head.as_bytes().to_vec()
    });
    assert_eq!(Client::new().get(chunked.await).text().await.expect("it is empty"), "");
}

#[tokio::test]
async fn wrong_unknown_and_endless_codings_are_errors_and_only_a_cut_one_is_retried() {
    let client = Client::builder().retries(1).backoff(Duration::ZERO, Duration::ZERO).build();
    let client = client.expect("settings agree");
    let encoded = gzip(b"hello");
    let cut = encoded[..encoded.len() - 1].to_vec();
    let trailing = [&encoded[..], b"\n"].concat();
    let bomb = gzip(&vec![0; 40 << 20]);
    let chain = "Content-Encoding: gzip, gzip, gzip\r\nContent-Encoding: gzip, gzip\r\n";
    for (fields, body, kind, attempts) in [
        ("Content-Encoding: gzip\r\n", b"hello".to_vec(), ErrorKind::CodingBroken, 1),
        ("Content-Encoding: gzip\r\n", trailing, ErrorKind::CodingBroken, 1),
        ("Content-Encoding: gzip\r\n", cut, ErrorKind::CodingCut, 2),
        ("Content-Encoding: compress\r\n", encoded.clone(), ErrorKind::CodingUnknown, 1),
        (chain, encoded.clone(), ErrorKind::CodingUnknown, 1),
        ("Content-Encoding: gzip\r\n", bomb, ErrorKind::Bomb, 1),
    ] {
        let error = error_of(&client, &serving(fields, body).await).await;
        assert_eq!((error.kind(), error.attempts().len()), (kind, attempts), "{error}");
        assert_eq!(error.is_retryable(), kind == ErrorKind::CodingCut);
    }
}

#[tokio::test]
async fn a_coding_that_is_cut_or_a_bomb_under_the_callers_hands_is_no_success() {
    let client = client(|builder| builder.decode(Decoding::Always));
    let encoded = gzip(&b"0123456789".repeat(100_000));
    for (body, kind) in [
        (encoded[..encoded.len() - 4].to_vec(), ErrorKind::BodyNotResumable),
        (gzip(&vec![0; 40 << 20]), ErrorKind::Bomb),
    ] {
        let url = serving("Content-Encoding: gzip\r\n", body).await;
        let error = client.get(url).await.expect("the head").bytes().await.expect_err("it is not whole");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn limits_of_a_body_count_what_is_decoded() {
    let encoded = gzip(&b"0123456789".repeat(1000));
    assert!(encoded.len() < 5000);
    let url = serving("Content-Encoding: gzip\r\n", encoded).await;
    let small = client(|builder| builder.max_body(5000));
    assert_eq!(error_of(&small, &url).await.kind(), ErrorKind::BodyTooLarge);
    let small = client(|builder| builder.max_memory(5000, 10_000));
    assert_eq!(error_of(&small, &url).await.kind(), ErrorKind::BodyTooLarge);
}

#[tokio::test]
async fn bodies_of_errors_and_redirects_are_not_decoded() {
    let body = gzip(b"hello");
    let (expected, sent) = (body.clone(), body.clone());
    let url = server(move |_| reply(404, "Content-Encoding: gzip\r\n", &sent)).await;
    let error = Client::new().get(&url).text().await.expect_err("404");
    assert_eq!(error.reply().map(|reply| &reply.body[..]), Some(&expected[..]));
    let decoded = Client::new().get(&url).any_status().text().await;
    assert_eq!(decoded.expect("any status will do"), "hello");
    let url = server(move |_| reply(302, "Location: /x\r\nContent-Encoding: gzip\r\n", &body)).await;
    let kept = client(|builder| builder.redirects(gannet::Redirects::Return));
    assert_eq!(kept.get(&url).bytes().await.expect("the redirect itself"), expected);
}

#[tokio::test]
async fn an_encoded_body_that_stands_still_has_stalled() {
    let whole = gzip(&b"0123456789".repeat(1000));
    let (half, length) = (whole[..whole.len() / 2].to_vec(), whole.len());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head =
                format!("HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &half].concat()).await;
            kept.push(stream);
        }
    });
    let client = client(|builder| builder.read_timeout(Duration::from_millis(50)));
    let error = timeout(Duration::from_secs(5), error_of(&client, &url)).await.expect("it is given up");
    assert_eq!(error.kind(), ErrorKind::BodyStalled);
}
