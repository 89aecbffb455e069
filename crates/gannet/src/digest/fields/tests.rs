//! Fields that tell digests, as their RFCs show them, and what must not be taken for one.

use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue};

use super::*;

/// The body of the examples of RFC 9530, appendix B.
const HELLO: &[u8] = b"{\"hello\": \"world\"}\n";
/// Its SHA-256, in base64.
const SHA256: &str = "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=";
/// Its SHA-512, in base64.
const SHA512: &str =
    "YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==";

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_str(value).expect("a field's value");
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

/// The digests that fields tell, in a scope.
fn told_in(scope: Scope, fields: &[(&'static str, &str)]) -> Vec<Digest> {
    claims(&headers(fields), scope).into_iter().map(|claim| claim.digest).collect()
}

fn told(fields: &[(&'static str, &str)]) -> Vec<Digest> {
    told_in(Scope::Whole, fields)
}

fn of_hello(algorithms: &[Algorithm]) -> Vec<Digest> {
    algorithms.iter().map(|algorithm| Digest::of(*algorithm, HELLO)).collect()
}

#[test]
fn the_examples_of_rfc_9530_are_the_digests_of_their_content() {
    for name in ["repr-digest", "content-digest"] {
        let one = told(&[(name, &format!("sha-256=:{SHA256}:"))]);
        assert_eq!(one, of_hello(&[Algorithm::Sha256]), "{name}");
        let both = told(&[(name, &format!("sha-256=:{SHA256}:, sha-512=:{SHA512}:"))]);
        assert_eq!(both, of_hello(&[Algorithm::Sha256, Algorithm::Sha512]), "{name}");
    }
    // The range of bytes 10 to 18 (appendix B.4), whose Repr-Digest is that of the whole.
    let part = [
        ("content-digest", "sha-256=:jjcgBDWNAtbYUXI37CVG3gRuGOAjaaDRGpIUFsdyepQ=:"),
        ("repr-digest", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"),
    ];
    assert_eq!(told_in(Scope::Message, &part), [Digest::of(Algorithm::Sha256, &HELLO[10..])]);
}

#[test]
fn lines_of_one_field_are_one_and_of_a_key_the_last_counts() {
    let (right, other) = (format!("sha-256=:{SHA256}:"), format!("sha-512=:{SHA512}:"));
    let lines = told(&[("repr-digest", &right), ("repr-digest", &other)]);
    assert_eq!(lines, of_hello(&[Algorithm::Sha256, Algorithm::Sha512]));
    let wrong = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    assert_eq!(told(&[("repr-digest", &format!("{wrong}, {right}"))]), of_hello(&[Algorithm::Sha256]));
}

#[test]
fn unknown_algorithms_and_other_members_are_passed_over() {
    let right = format!("sha-256=:{SHA256}:");
    for beside in [
        "unixsum=:AAAA:",
        "md5=:AAAA:;q=1",
        "a=1",
        "a=-1.5;b;c=\"x \\\" y\"",
        "a",
        "a;b=?0",
        "a=?1",
        "a=(1 \"x\";p=tok :AA==:)",
        "a=()",
        "*a=tok/en:x",
    ] {
        for text in
            [format!("{beside}, {right}"), format!("{right}\t ,\t{beside}"), format!(" {right},{beside} ")]
        {
            assert_eq!(told(&[("repr-digest", &text)]), of_hello(&[Algorithm::Sha256]), "{text}");
        }
    }
}

#[test]
fn a_malformed_field_says_nothing_at_all() {
    let right = format!("sha-256=:{SHA256}:");
    for text in [
        format!("{right},"),
        format!("{right} x"),
        format!("{right}, =1"),
        format!("{right}, A=1"),
        format!("{right}, a=\"x"),
        format!("{right}, a=(1 2"),
        format!("{right}, a=(1\"x\")"),
        format!("{right}, a=1.2.3"),
        format!("{right}, a=1."),
        format!("{right}, a=-"),
        format!("{right}, a=?2"),
        format!("{right}, a=:$:"),
        format!("{right}, a=:AA"),
        format!("{right}, a=\"\\x\""),
        format!("{right};"),
        format!("sha-256={SHA256}"),
        "sha-256=:AAAA:".to_owned(),
        "sha-256=1".to_owned(),
        "sha-256".to_owned(),
        String::new(),
    ] {
        assert_eq!(told(&[("repr-digest", &text)]), [], "{text}");
    }
}

#[test]
fn no_text_makes_the_reader_of_dictionaries_fail() {
    let signs: Vec<char> = "a1 =,;:\"\\()?-.*\t~".chars().collect();
    for number in 0..200_000_usize {
        let mut rest = number.wrapping_mul(2_654_435_761);
        let text: String = (0..7)
            .map(|_| {
                rest = rest.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                signs[(rest >> 33) % signs.len()]
            })
            .collect();
        // Whether it says anything or not, it comes to an end.
        let _ = Dictionary(&text).members();
    }
}

#[test]
fn the_older_fields_are_read_in_their_forms() {
    let own = |algorithm| STANDARD.encode(Digest::of(algorithm, HELLO).as_bytes());
    assert_eq!(own(Algorithm::Md5), "UFIauregE76D7gDe0/n0JA==");
    let legacy = format!(
        "SHA-256={SHA256}, md5={}, unixsum=30637,sha={}, SHA-512={SHA512}",
        own(Algorithm::Md5),
        own(Algorithm::Sha1)
    );
    let all = [Algorithm::Sha256, Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha512];
    assert_eq!(told(&[("digest", &legacy)]), of_hello(&all));
    let crc = own(Algorithm::Crc32c);
    let google = [
        ("x-goog-hash", &*format!("crc32c={crc}")),
        ("x-goog-hash", &*format!("md5={}", own(Algorithm::Md5))),
    ];
    assert_eq!(told(&google), of_hello(&[Algorithm::Crc32c, Algorithm::Md5]));
    assert_eq!(told(&[("content-md5", &own(Algorithm::Md5))]), of_hello(&[Algorithm::Md5]));
    for nonsense in
        [("content-md5", "x"), ("digest", "sha-256"), ("digest", "SHA-256=x"), ("x-goog-hash", "md5:a")]
    {
        assert_eq!(told(&[nonsense]), [], "{nonsense:?}");
    }
}

#[test]
fn a_store_that_takes_a_coding_off_tells_of_other_bytes() {
    let hash = ("x-goog-hash", "md5=Sd/dVLAcvNLSq16eXua5uQ==");
    let stored = ("x-goog-stored-content-encoding", "gzip");
    assert_eq!(told(&[hash, stored]), []);
    assert_eq!(told(&[hash, ("content-encoding", "gzip")]), []);
    assert_eq!(told(&[hash, stored, ("content-encoding", "gzip")]).len(), 1);
    assert_eq!(told(&[hash, ("x-goog-stored-content-encoding", "identity")]).len(), 1);
}

#[test]
fn a_reply_without_the_whole_representation_is_held_to_its_own_content_alone() {
    let scope = |method, status| Scope::of(&method, StatusCode::from_u16(status).expect("a status"));
    assert_eq!(scope(Method::GET, 200), Some(Scope::Whole));
    assert_eq!(scope(Method::POST, 404), Some(Scope::Whole));
    for (method, status) in [(Method::GET, 206), (Method::GET, 226), (Method::PUT, 200), (Method::PATCH, 200)]
    {
        assert_eq!(scope(method.clone(), status), Some(Scope::Message), "{method} {status}");
    }
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 205), (Method::GET, 304)]
    {
        assert_eq!(scope(method.clone(), status), None, "{method} {status}");
    }
    let md5 = ("content-md5", "Sd/dVLAcvNLSq16eXua5uQ==");
    assert_eq!(told_in(Scope::Message, &[md5]), []);
}
