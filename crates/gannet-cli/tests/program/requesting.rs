//! What is sent: methods, header fields, bodies, credentials; redirects, statuses, limits, TLS.

use gannet_origin::{Certificate, Origin, Tls};
use serde_json::Value;

use crate::fixture::{Folder, origin, start};

/// What the origin read of a request that was made with these options.
fn echoed(options: &[&str]) -> Value {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("body", "c=d\n");
    let url = origin.url("/echo");
    let ran = folder.run(options.iter().copied().chain([url.as_str()]));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.echo()
}

fn field<'a>(echo: &'a Value, name: &str) -> Option<&'a str> {
    let fields = echo["headers"].as_array().expect("pairs");
    fields.iter().find(|pair| pair[0].as_str().is_some_and(|given| given.eq_ignore_ascii_case(name)))?[1]
        .as_str()
}

#[test]
fn a_get_names_its_agent_and_accepts_anything() {
    let echo = echoed(&[]);
    assert_eq!((&echo["method"], field(&echo, "accept")), (&"GET".into(), Some("*/*")));
    assert!(field(&echo, "user-agent").is_some_and(|name| name.starts_with("gannet/")));
}

#[test]
fn data_is_sent_as_a_form_by_post() {
    let echo = echoed(&["-d", "a=b", "-d", "@body"]);
    assert_eq!((&echo["method"], &echo["body"]), (&"POST".into(), &"a=b&c=d".into()));
    assert_eq!(field(&echo, "content-type"), Some("application/x-www-form-urlencoded"));
}

#[test]
fn json_is_sent_and_accepted() {
    let echo = echoed(&["--json", "{\"a\":1}"]);
    assert_eq!((&echo["method"], &echo["body"]), (&"POST".into(), &"{\"a\":1}".into()));
    let json = Some("application/json");
    assert_eq!((field(&echo, "content-type"), field(&echo, "accept")), (json, json));
}

#[test]
fn method_fields_agent_and_credentials_are_what_was_asked_for() {
    let echo = echoed(&[
        "-X",
        "PUT",
        "-H",
        "X-A: 1",
        "-H",
        "Accept: text/css",
        "-A",
        "me/1",
        "-u",
        "Aladdin:open sesame",
    ]);
    assert_eq!((&echo["method"], field(&echo, "x-a")), (&"PUT".into(), Some("1")));
    assert_eq!((field(&echo, "accept"), field(&echo, "user-agent")), (Some("text/css"), Some("me/1")));
    assert_eq!(field(&echo, "authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

#[test]
fn lines_of_a_list_are_sent_like_urls_of_the_command_line() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.feed(["-i", "-", "-X", "PUT", "-H", "X-A: 1"], &origin.url("/echo"));
    assert_eq!((ran.code, &ran.echo()["method"], field(&ran.echo(), "x-a")), (0, &"PUT".into(), Some("1")));
}

#[test]
fn redirects_are_followed_as_far_as_allowed() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/x?hops=3&text=there");
    let ran = folder.run(["--report", "r", &url]);
    assert_eq!((ran.code, ran.out().as_str()), (0, "there"));
    assert_eq!(folder.report("r").0[0]["redirects"], 3);
    let ran = folder.run(["--max-redirs", "2", "--report", "r", &url]);
    assert_eq!((ran.code, &folder.report("r").0[0]["error"]["code"]), (3, &"redirect.too_many".into()));
    let ran = folder.run(["--no-location", "--report", "r", &url]);
    assert_eq!((ran.code, &folder.report("r").0[0]["status"]), (0, &302.into()));
}

#[test]
fn statuses_count_as_success_when_asked_so() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=404&text=gone");
    for (set, code) in [("any", 0), ("200-299,404", 0), ("200-403", 3)] {
        assert_eq!(folder.run(["--ok-status", set, &url]).code, code, "{set}");
    }
}

#[test]
fn a_body_over_the_limit_leaves_no_file() {
    let (origin, folder) = (origin(), Folder::new());
    for (query, code) in [("size=100k", 3), ("size=100k&chunked", 3), ("size=64k", 0)] {
        let ran = folder.run(["--max-size", "64K", "-P", "out", &origin.url(&format!("/x?{query}"))]);
        assert_eq!(ran.code, code, "{query}: {ran:?}");
    }
    assert_eq!(folder.names("out"), ["x_size=64k"]);
}

#[test]
fn tls_is_trusted_by_its_authority_and_speaks_http2() {
    let (origin, folder) = (start(Origin::builder().tls(Tls::Both)), Folder::new());
    folder.write("ca.pem", origin.ca_pem());
    let url = origin.localhost_url("/?text=x");
    let http = |options: &[&str]| {
        let ran = folder.run(
            ["--cacert", "ca.pem", "--report", "r"].iter().chain(options).copied().chain([url.as_str()]),
        );
        assert_eq!((ran.code, ran.out().as_str()), (0, "x"), "{ran:?}");
        folder.report("r").0[0]["http"].clone()
    };
    assert_eq!([http(&[]), http(&["--http2"]), http(&["--http1.1"])], ["2", "2", "1.1"]);
}

#[test]
fn an_unknown_authority_is_refused_unless_anybody_is_trusted() {
    let (origin, folder) = (start(Origin::builder().tls(Tls::Both)), Folder::new());
    let url = origin.localhost_url("/?text=x");
    let ran = folder.run(["--report", "r", &url]);
    let error = folder.report("r").0[0]["error"].clone();
    assert_eq!((ran.code, &error["curl"], &error["code"]), (3, &60.into(), &"tls.cert_untrusted".into()));
    assert!(ran.stderr.contains("--cacert FILE"), "{}", ran.stderr);
    assert_eq!(folder.run(["-k", &url]).out(), "x");
}

#[test]
fn an_expired_certificate_is_told_with_its_day_and_a_way_out() {
    let (origin, folder) =
        (start(Origin::builder().tls(Tls::Both).certificate(Certificate::Expired)), Folder::new());
    folder.write("ca.pem", origin.ca_pem());
    let ran = folder.run(["--cacert", "ca.pem", &origin.localhost_url("/")]);
    assert_eq!(ran.code, 3);
    for text in [
        "after 1 attempt",
        "why: TLS handshake: the certificate expired 2020-",
        "fix: check this machine's clock",
    ] {
        assert!(ran.stderr.contains(text), "{text} is not in {}", ran.stderr);
    }
}
