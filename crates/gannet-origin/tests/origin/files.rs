//! Bodies that a test gives, cookies, events, and a server that is not yet up.

use std::time::{Duration, Instant};

use gannet_origin::{Origin, OriginBuilder};

use crate::client::{Client, field, origin, reply};
use crate::http2;

fn with_files() -> OriginBuilder {
    Origin::builder()
        .file("/a.html", "text/html", "<b>hi</b>")
        .file("/déjà vu?/100%.bin", "", vec![0, 1, 255])
        .behave("/a.html", "set-cookie=a=b")
}

#[test]
fn a_given_body_is_served_at_its_path_with_its_type() {
    let origin = Origin::start_in_thread(with_files()).unwrap();
    let (head, body) = reply(&origin, "/a.html");
    assert_eq!((field(&head, "content-type"), &body[..]), (Some("text/html"), &b"<b>hi</b>"[..]));
    assert_eq!(field(&head, "set-cookie"), Some("a=b"));
    assert_eq!(reply(&origin, "/b.html").1, b"ok\n");
}

#[test]
fn query_keys_hold_for_a_given_body_too() {
    let origin = Origin::start_in_thread(with_files()).unwrap();
    let (head, body) = reply(&origin, "/a.html?status=404&type=text/x");
    assert!(head.starts_with("HTTP/1.1 404 ") && body == b"<b>hi</b>");
    assert_eq!(field(&head, "content-type"), Some("text/x"));
    assert_eq!(reply(&origin, "/a.html?size=5").1.len(), 5);
    assert_eq!(reply(&origin, "/a.html?up-after=9").1, b"");
}

#[test]
fn a_path_may_have_any_name() {
    let origin = Origin::start_in_thread(with_files()).unwrap();
    let (head, body) = reply(&origin, "/d%C3%A9j%c3%a0%20vu%3F/100%25.bin?x");
    assert_eq!((field(&head, "content-type"), &body[..]), (None, &[0, 1, 255][..]));
    for path in ["/%00", "/a//b/../c", "/%2e%2e/x", "/[x]{y}|z;a=b", "/%FF%zz", "/déjà"] {
        assert_eq!(reply(&origin, path).1, b"ok\n", "{path}");
    }
    assert_eq!(origin.requests_to("/%FF%zz"), 1);
}

#[tokio::test]
async fn a_given_body_is_served_over_http2_too() {
    let mut client = http2::Client::of(with_files()).await;
    assert_eq!(client.get("/a.html").await.unwrap().1, "<b>hi</b>");
    assert_eq!(client.get("/d%C3%A9j%c3%a0%20vu%3F/100%25.bin").await.unwrap().1, vec![0, 1, 255]);
}

#[test]
fn a_cookie_may_be_set_on_a_redirect_and_more_than_once() {
    let (head, _) =
        reply(&origin(), "/?redirect=/echo&set-cookie=a%3D1%3B%20Path%3D/%26&set-cookie=b=2;Secure");
    assert!(head.starts_with("HTTP/1.1 302 "));
    assert!(head.contains("set-cookie: a=1; Path=/&\r\nset-cookie: b=2;Secure\r\n"));
}

#[test]
fn each_event_is_a_chunk_of_its_own_and_comes_in_its_time() {
    let origin = origin();
    let (mut client, start) = (Client::of(&origin), Instant::now());
    client.get("/events?count=3&every=20ms");
    assert_eq!(field(&client.head(), "content-type"), Some("text/event-stream"));
    for number in 0..3 {
        let event = String::from_utf8(client.chunk()).unwrap();
        assert!(event.starts_with(&format!("id: {number:020}\ndata: event ")) && event.ends_with("\n\n"));
    }
    assert!(client.chunk().is_empty() && start.elapsed() >= Duration::from_millis(40));
    assert!(reply(&origin, "/events?status=503").0.contains(" 503 "));
}

#[tokio::test]
async fn events_come_over_http2_too() {
    let (head, events) = http2::Client::new().await.get("/events?count=2&every=1ms").await.unwrap();
    assert_eq!(head.headers["content-type"], "text/event-stream");
    assert_eq!(String::from_utf8(events.to_vec()).unwrap().matches("\n\n").count(), 2);
}

#[test]
fn a_server_may_be_up_after_so_many_requests() {
    let origin = origin();
    for query in ["up-after=2", "script=503,503,200"] {
        let statuses =
            [0; 4].map(|_| reply(&origin, &format!("/health/{query}?{query}")).0[9..12].to_owned());
        assert_eq!(statuses, ["503", "503", "200", "200"], "{query}");
    }
}
