//! Cookies over real sockets: taken from every reply of a chain, sent to where they belong and nowhere else.

use gannet::{Client, Cookies, ErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers `/set?NAME` with a cookie, `/set-and-go?TARGET` with a cookie and a redirect, `/refuse` with a cookie and
/// 404, and the rest with the Cookie field that came.
async fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut head, mut piece) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(length @ 1..) => head.extend_from_slice(&piece[..length]),
                        _ => return,
                    }
                }
                // Whoever has gone does not read it.
                let _ = stream.write_all(reply(&String::from_utf8_lossy(&head)).as_bytes()).await;
            });
        }
    });
    port
}

fn reply(head: &str) -> String {
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let sent: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("cookie: ")).collect();
    let sent = sent.join(" | ");
    let (status, fields) = match path {
        "/set" => (200, format!("Set-Cookie: {query}=jar\r\nSet-Cookie: other=jar; Path=/elsewhere\r\n")),
        "/set-and-go" => (302, format!("Set-Cookie: hop=jar; Path=/\r\nLocation: {query}\r\n")),
        "/refuse" => (404, "Set-Cookie: refused=jar\r\n".to_owned()),
        _ => (200, String::new()),
    };
    // What a refused status says is in the error, and must not be what we look for there.
    let sent = if status == 404 { String::new() } else { sent };
    let length = sent.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{sent}")
}

fn client(cookies: &Cookies) -> Client {
    Client::builder().cookies(cookies.clone()).build().expect("settings agree")
}

async fn text(client: &Client, url: String) -> String {
    client.get(url).text().await.expect("it comes")
}

#[tokio::test]
async fn cookies_of_every_hop_and_status_are_kept_and_sent_on() {
    let (port, cookies) = (server().await, Cookies::new());
    let (client, at) = (client(&cookies), format!("http://127.0.0.1:{port}"));
    assert_eq!(text(&client, format!("{at}/set?first")).await, "");
    assert_eq!(text(&client, format!("{at}/set-and-go?/echo")).await, "first=jar; hop=jar");
    let refused = client.get(format!("{at}/refuse")).text().await.expect_err("404");
    assert_eq!(refused.kind(), ErrorKind::Status);
    assert!(!format!("{refused:?} {:?} {client:?} {cookies:?}", refused.reply()).contains("jar"));
    assert_eq!(text(&client, format!("{at}/echo")).await, "first=jar; hop=jar; refused=jar");
    assert_eq!(
        text(&client, format!("{at}/elsewhere/x")).await,
        "other=jar; first=jar; hop=jar; refused=jar"
    );
    assert_eq!(cookies.len(), 4);
    assert_eq!(text(&Client::new(), format!("{at}/echo")).await, "", "another client has none");
}

#[tokio::test]
async fn a_change_of_origin_drops_the_callers_cookies_and_sends_the_jars_own() {
    let (port, cookies) = (server().await, Cookies::new());
    let client = client(&cookies);
    cookies.add("there=jar", &format!("http://localhost:{port}/")).expect("it is a cookie");
    cookies.add("here=jar", "http://127.0.0.1/").expect("it is a cookie");
    let (here, there) = (format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}"));
    let fetch = client.get(format!("{here}/echo")).header("cookie", "mine=1").text();
    assert_eq!(fetch.await.expect("it comes"), "mine=1; here=jar");
    let fetch = client.get(format!("{here}/set-and-go?{there}/echo")).header("cookie", "mine=1").text();
    assert_eq!(fetch.await.expect("it comes"), "there=jar");
    assert_eq!(text(&client, format!("{here}/echo")).await, "here=jar; hop=jar");
}
