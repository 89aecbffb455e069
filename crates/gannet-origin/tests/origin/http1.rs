//! What the origin does over HTTP/1 when it behaves, and when it is asked to be slow or odd.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use gannet_origin::{Origin, body};

use crate::client::{Client, End, fetch, origin, reply};

#[test]
fn a_body_is_as_long_as_asked_and_follows_from_the_seed() {
    let (head, bytes) = reply(&origin(), "/a?size=200k&seed=7");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(bytes, body(200 << 10, 7));
}

#[test]
fn a_connection_serves_request_after_request() {
    let (origin, n) = (origin(), 50);
    let mut client = Client::of(&origin);
    for i in 0..n {
        client.get(&format!("/{i}?size={i}"));
        assert_eq!(client.reply().1, body(i, 0));
    }
    assert_eq!((origin.counts().connections, origin.counts().requests), (1, n as u64));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.send("GET /?text=a HTTP/1.1\r\n\r\nPOST /?text=b HTTP/1.1\r\ncontent-length: 3\r\n\r\nxyzGET /?text=c HTTP/1.1\r\n\r\n");
    assert_eq!([client.reply().1, client.reply().1, client.reply().1], [b"a", b"b", b"c"]);
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let origin = origin();
    let mut client = Client::of(&origin);
    "GET /?text=a HTTP/1.1\r\nhost: x\r\n\r\n".bytes().for_each(|byte| client.send([byte]));
    assert_eq!(client.reply().1, b"a");
}

#[test]
fn an_echo_tells_what_was_sent() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.send("PUT /echo?x=1 HTTP/1.1\r\nX-Key: v\r\ntransfer-encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nt: v\r\n\r\n");
    let told: serde_json::Value = serde_json::from_slice(&client.reply().1).unwrap();
    assert_eq!(
        (&told["method"], &told["path"], &told["body"]),
        (&"PUT".into(), &"/echo?x=1".into(), &"abcde".into())
    );
    assert_eq!(
        (&told["version"], &told["headers"][0]),
        (&"HTTP/1.1".into(), &serde_json::json!(["X-Key", "v"]))
    );
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.send("POST /echo HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hi");
    assert!(String::from_utf8(client.reply().1).unwrap().contains("\"body\":\"hi\""));
}

#[test]
fn delays_lie_before_the_head_and_before_the_body() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.get("/?delay=60ms&body-delay=80ms&text=x");
    let start = Instant::now();
    client.head();
    let until_head = start.elapsed();
    client.take(1);
    assert!(until_head >= Duration::from_millis(60) && start.elapsed() >= Duration::from_millis(140));
}

#[test]
fn a_drip_sends_so_many_bytes_at_each_interval() {
    let start = Instant::now();
    let (_, bytes) = reply(&origin(), "/?size=5&drip=2/30ms");
    assert_eq!(bytes, body(5, 0));
    assert!(start.elapsed() >= Duration::from_millis(60), "it took {:?}", start.elapsed());
}

#[test]
fn a_chunked_body_ends_with_the_last_chunk() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.get("/?text=abc&chunked");
    assert!(client.head().contains("transfer-encoding: chunked\r\n"));
    assert_eq!(client.take(13), b"3\r\nabc\r\n0\r\n\r\n");
}

#[test]
fn an_unframed_body_ends_with_the_connection() {
    let (bytes, end) = fetch(&origin(), "/?text=abc&no-length");
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("content-length") && text.ends_with("\r\n\r\nabc"));
    assert_eq!(end, End::Fin);
}

#[test]
fn a_length_may_lie_either_way() {
    let origin = origin();
    let (long, end) = fetch(&origin, "/?text=abcdef&lie=+10");
    assert!(long.ends_with(b"content-length: 16\r\n\r\nabcdef") && end == End::Fin);
    let mut client = Client::of(&origin);
    client.get("/?text=abcdef&lie=-2");
    assert_eq!((client.reply().1, client.take(2)), (b"abcd".to_vec(), b"ef".to_vec()));
}

#[test]
fn redirects_go_where_they_are_told() {
    let origin = origin();
    let (head, _) = reply(&origin, "/?redirect=ftp://x/%3fa&status=307");
    assert!(head.starts_with("HTTP/1.1 307 ") && head.contains("location: ftp://x/?a\r\n"));
    assert!(reply(&origin, "/l?loop").0.contains("location: /l?loop\r\n"));
    assert!(reply(&origin, "/h?hops=2").0.contains("location: /h?hops=1\r\n"));
}

#[test]
fn headers_type_and_status_are_as_asked() {
    let (head, _) = reply(&origin(), "/?status=503&header=Retry-After:1&header=X-A:%20b&type=text/css");
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(head.contains("Retry-After: 1\r\nX-A: b\r\ncontent-type: text/css\r\n"));
}

#[test]
fn a_script_goes_by_the_count_of_the_path() {
    let origin = origin();
    let statuses = [0; 4].map(|_| reply(&origin, "/s?script=503,429,200").0[9..12].to_owned());
    assert_eq!(statuses, ["503", "429", "200", "200"]);
}

#[test]
fn a_prefix_may_have_a_script_of_its_own() {
    let builder = Origin::builder().script("/p", ["status=500", "text=done"]).behave("/q", "status=404");
    let origin = Origin::start_in_thread(builder).unwrap();
    assert!(reply(&origin, "/p/1").0.contains(" 500 ") && reply(&origin, "/q").0.contains(" 404 "));
    assert_eq!(reply(&origin, "/p/1").1, b"done");
}

#[test]
fn what_has_no_body_sends_none_whatever_its_framing() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.send("HEAD /?size=9 HTTP/1.1\r\n\r\n");
    assert!(client.head().contains("content-length: 9\r\n"));
    client.get("/?status=304&size=9");
    assert!(client.head().contains("content-length: 9\r\n"));
    client.get("/?status=204&chunked");
    assert!(client.head().contains("transfer-encoding: chunked\r\n"));
    client.get("/?text=next");
    assert_eq!(client.reply().1, b"next");
}

#[test]
fn close_is_said_and_done_by_either_side() {
    let origin = origin();
    assert!(String::from_utf8(fetch(&origin, "/?close").0).unwrap().contains("connection: close\r\n"));
    let mut client = Client::of(&origin);
    client.send("GET / HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert_eq!(client.until_end().1, End::Fin);
}

#[test]
fn what_is_no_http_is_refused() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.send("\x16\x03\x01 hello\r\n\r\n");
    assert!(client.until_end().0.starts_with(b"HTTP/1.1 400 "));
    assert_eq!((origin.counts().bad_requests, origin.counts().requests), (1, 0));
}

#[test]
fn an_address_beyond_the_loopback_is_refused() {
    let builder = Origin::builder().bind("192.0.2.1:0".parse().unwrap());
    assert_eq!(Origin::start_in_thread(builder).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn under_no_address_it_is_met_by_each_of_the_loopback_and_by_no_other() {
    let origin = Origin::start_in_thread(Origin::builder().bind("0.0.0.0:0".parse().unwrap())).unwrap();
    let speak = |ip: std::net::IpAddr| {
        let mut stream = std::net::TcpStream::connect((ip, origin.addr().port())).unwrap();
        let mut heard = Vec::new();
        let _ = stream.write_all(b"GET /?text=x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_end(&mut heard);
        heard
    };
    for loopback in ["127.0.0.1", "127.0.0.7", "127.1.2.3"] {
        assert!(speak(loopback.parse().unwrap()).ends_with(b"x"), "{loopback}");
    }
    // An address of this machine that others may reach, if it has one: nothing is sent to find it.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    if probe.connect("192.0.2.1:9").is_ok() {
        let own = probe.local_addr().unwrap().ip();
        assert!(own.is_loopback() || speak(own).is_empty(), "{own} was answered");
    }
}
