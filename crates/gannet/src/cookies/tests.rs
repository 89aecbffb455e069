//! The rules of the store, without a network: who may set what, what goes where, what makes room, what a file holds.

use super::jar::{FIELD, LENGTH, MOST, MOST_OF_DOMAIN};
use super::*;

/// What a request to `url` carries.
fn sent(cookies: &Cookies, url: &str) -> String {
    sent_beside(cookies, url, &[])
}

fn sent_beside(cookies: &Cookies, url: &str, own: &[&'static str]) -> String {
    let mut headers = HeaderMap::new();
    for field in own {
        headers.append(COOKIE, HeaderValue::from_static(field));
    }
    cookies.give(&mut headers, &url.parse().expect("a URL"));
    let fields: Vec<&str> = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok()).collect();
    fields.join(" | ")
}

fn with(set: &[(&str, &str)]) -> Cookies {
    let cookies = Cookies::new();
    for (text, url) in set {
        cookies.set(text, url).expect("it may be set");
    }
    cookies
}

fn refusal(text: &str, url: &str) -> String {
    let error = Cookies::new().set(text, url).expect_err("it may not be set");
    assert_eq!(error.kind(), ErrorKind::BadCookie);
    error.message().to_owned()
}

#[test]
fn a_cookie_goes_to_its_host_and_below_its_domain_and_path() {
    let cookies = with(&[
        ("host=1", "http://a.example.com/x/y"),
        ("domain=2; Domain=.Example.com; Path=/", "http://a.example.com/"),
        ("deep=3; Path=/x/y", "http://a.example.com/"),
    ]);
    assert_eq!(sent(&cookies, "http://a.example.com/x/y"), "deep=3; host=1; domain=2");
    assert_eq!(sent(&cookies, "http://a.example.com/x"), "host=1; domain=2");
    assert_eq!(sent(&cookies, "http://a.example.com/xy"), "domain=2");
    assert_eq!(sent(&cookies, "http://b.a.example.com/x/y/z"), "domain=2");
    assert_eq!(sent(&cookies, "http://example.com/x/y"), "domain=2");
    for stranger in ["http://badexample.com/", "http://com/", "http://example.com.evil.org/", "http://[::1]/"]
    {
        assert_eq!(sent(&cookies, stranger), "", "{stranger}");
    }
    let of_address = with(&[("a=1; Domain=127.0.0.1", "http://127.0.0.1/")]);
    assert_eq!(sent(&of_address, "http://127.0.0.1:8080/x"), "a=1");
    assert_eq!(sent(&of_address, "http://0.0.1/"), "");
}

#[test]
fn strangers_domains_and_public_suffixes_cannot_be_set() {
    assert!(refusal("a=1; Domain=b.example.com", "http://a.example.com/").contains("another domain"));
    assert!(refusal("a=1; Domain=evil.org", "http://a.example.com/").contains("another domain"));
    for suffix in ["co.uk", "com", "github.io", "internal"] {
        let text = format!("a=1; Domain={suffix}");
        let message = refusal(&text, &format!("http://shop.{suffix}/"));
        assert!(message.contains("public suffix"), "{message}");
    }
    let own = with(&[("a=1; Domain=github.io", "http://github.io/")]);
    assert_eq!(
        (sent(&own, "http://github.io/"), sent(&own, "http://x.github.io/")),
        ("a=1".into(), "".into())
    );
}

#[test]
fn secure_cookies_are_set_and_sent_over_https_alone() {
    let cookies = with(&[("a=1; Secure", "https://a.example.com/"), ("b=2", "http://a.example.com/")]);
    assert_eq!(sent(&cookies, "http://a.example.com/"), "b=2");
    assert_eq!(sent(&cookies, "https://a.example.com/"), "a=1; b=2");
    let replaced = cookies.set("a=stolen", "http://a.example.com/").expect_err("it is guarded");
    assert!(replaced.message().contains("http"), "{replaced}");
    assert!(refusal("a=1; Secure", "http://a.example.com/").contains("secure"));
    assert!(refusal("__Secure-a=1", "https://a.example.com/").contains("prefix"));
    assert!(
        refusal("__Host-a=1; Secure; Domain=example.com; Path=/", "https://example.com/").contains("prefix")
    );
    with(&[("__Host-a=1; Secure; Path=/", "https://example.com/")]);
}

#[test]
fn a_cookie_is_replaced_and_taken_back_and_expires() {
    let url = "http://a.example.com/";
    let cookies = with(&[("a=1", url), ("b=1", url), ("a=2", url)]);
    assert_eq!(sent(&cookies, url), "a=2; b=1", "a place is kept when a value changes");
    cookies.set("a=; Max-Age=0", url).expect("it is taken back");
    cookies.set("b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", url).expect("it is taken back");
    assert_eq!((sent(&cookies, url).as_str(), cookies.len()), ("", 0));
    let mut jar = Jar::default();
    let cookie = |expires| Cookie { expires, ..cookie_of("a", "1", "a.example.com") };
    jar.insert(cookie(Some(100)), 50).expect("it lives");
    let url = url.parse().expect("a URL");
    assert!(jar.field(b"", &url, 99).is_some() && jar.field(b"", &url, 100).is_none());
}

fn cookie_of(name: &str, value: &str, domain: &str) -> Cookie {
    Cookie {
        name: name.into(),
        value: value.into(),
        domain: domain.into(),
        reach: Reach::Host,
        path: "/".into(),
        secure: false,
        http_only: false,
        expires: None,
    }
}

#[test]
fn cookies_stand_beside_the_callers_own_whose_names_rule() {
    let url = "http://a.example.com/";
    let cookies = with(&[("a=jar", url), ("b=jar", url)]);
    assert_eq!(sent_beside(&cookies, url, &["a=mine; c=mine"]), "a=mine; c=mine; b=jar");
    assert_eq!(sent_beside(&cookies, url, &["x=1", "y=2"]), "x=1; y=2; a=jar; b=jar");
    assert_eq!(sent_beside(&cookies, "http://b.example.com/", &["a=mine"]), "a=mine");
}

#[test]
fn what_is_used_least_makes_room_within_the_limits() {
    let url = "http://a.example.com/";
    let cookies = Cookies::new();
    for number in 0..MOST_OF_DOMAIN {
        cookies.add(&format!("n{number}=x"), url).expect("there is room");
    }
    let first = "http://a.example.com/only";
    cookies.set("n0=x; Path=/only", first).expect("there is room");
    assert_eq!(cookies.len(), MOST_OF_DOMAIN);
    assert!(!sent(&cookies, url).contains("n0=x;"), "the oldest went");
    for number in 0..MOST + 10 {
        cookies.add("a=1", &format!("http://h{number}.example.com/")).expect("there is room");
    }
    assert_eq!(cookies.len(), MOST);
    let newest = format!("http://h{}.example.com/", MOST + 9);
    assert_eq!((sent(&cookies, first).as_str(), sent(&cookies, &newest).as_str()), ("", "a=1"));
}

#[test]
fn long_cookies_are_refused_and_a_request_carries_at_most_8_kib() {
    let url = "http://a.example.com/";
    let long = "x".repeat(LENGTH);
    assert!(refusal(&format!("a={long}"), url).contains("4096"));
    assert!(refusal(&format!("a=1; Path=/{}", long.repeat(3)), url).contains("4096"));
    let cookies = Cookies::new();
    for number in 0..5 {
        cookies.add(&format!("n{number}={}", &long[10..]), url).expect("it is short enough");
    }
    let length = sent(&cookies, url).len();
    assert!(length > FIELD / 3 && length <= FIELD, "{length} bytes");
}

#[test]
fn what_no_field_can_hold_is_refused() {
    let url = "http://a.example.com/";
    for bad in ["", "=1", "a=1\r\nX-Evil: 1", "a\0=1", "a=\u{7f}", "  ;  "] {
        Cookies::new().set(bad, url).expect_err(bad);
    }
    for bad in ["=1", "a=1\r\n", "a=1\t"].map(|text| format!("ok=1; {text}x")) {
        Cookies::new().add(&bad, url).expect_err(&bad);
    }
    assert_eq!(Cookies::new().add("a=1", "ftp://host/").expect_err("ftp").kind(), ErrorKind::BadUrl);
}

const FILE: &str = "# Netscape HTTP Cookie File\n\
    #HttpOnly_.example.com\tTRUE\t/\tTRUE\t4102444800\tid\tabc\n\
    a.example.com\tFALSE\t/x\tFALSE\t0\tempty\t\n";

#[test]
fn a_file_of_cookies_is_read_and_written_as_by_curl() {
    let cookies = Cookies::new();
    let text = format!(
        "\n# a comment\r\n{FILE}.example.com\tTRUE\t/\tFALSE\t1\told\tx\r\n.co.uk\tTRUE\t/\tFALSE\t0\tall\tx"
    );
    assert_eq!(cookies.load_netscape(text.as_bytes()).expect("it is well"), 2);
    assert_eq!(sent(&cookies, "https://b.example.com/"), "id=abc");
    assert_eq!(sent(&cookies, "http://a.example.com/x"), "empty=");
    let mut written = Vec::new();
    cookies.save_netscape(&mut written).expect("memory takes it");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(lines(std::str::from_utf8(&written).expect("it is text")), lines(FILE));
    let found: Vec<Cookie> = cookies.iter().collect();
    assert!(found[1].is_http_only() && found[1].includes_subdomains() && found[1].is_secure());
    assert_eq!(found[1].expires(), UNIX_EPOCH.checked_add(Duration::from_secs(4_102_444_800)));
    assert_eq!((found[0].expires(), found[0].name(), found[0].path()), (None, "empty", "/x"));
}

#[test]
fn a_line_that_is_no_cookie_is_an_error_that_names_it_and_not_what_it_holds() {
    let long = format!("{FILE}{}", "s".repeat(20_000));
    for bad in [
        "a.example.com\tFALSE\t/\tFALSE\tsoon\tname\tsecret",
        "a.example.com\tperhaps\t/\tFALSE\t0\tname\tsecret",
        "a.example.com\tFALSE\t/\tFALSE\t0\tname\tsecret\tmore",
        "secret=1",
    ]
    .iter()
    .map(|line| format!("{FILE}{line}\n"))
    .chain([long])
    {
        let error = Cookies::new().load_netscape(bad.as_bytes()).expect_err("a bad line");
        assert!(error.message().contains("line 4"), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

#[test]
fn no_text_of_ours_shows_a_value() {
    let cookies = with(&[("name=secret", "http://a.example.com/")]);
    let cookie = cookies.iter().next().expect("there is one");
    let error = cookies.set("name=secret; Domain=b.example", "http://a.example.com/").expect_err("another's");
    let mut headers = HeaderMap::new();
    headers.append(SET_COOKIE, HeaderValue::from_static("a=secret"));
    cookies.take(&mut headers, &"http://a.example.com/".parse().expect("a URL"));
    assert_eq!(cookies.len(), 2);
    cookies.give(&mut headers, &"http://a.example.com/".parse().expect("a URL"));
    assert!(!format!("{cookies:?} {cookie:?} {error} {error:?} {headers:?}").contains("secret"));
}
