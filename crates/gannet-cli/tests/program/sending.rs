//! What is sent by the options that curl has: -e, -b, -c, -r, -G, -I, -F and --data-*; and what is not sent on, to
//! another origin.

use serde_json::Value;

use crate::fixture::{Folder, Ran, origin};

fn field<'a>(echo: &'a Value, name: &str) -> Option<&'a str> {
    let fields = echo["headers"].as_array().expect("pairs");
    fields.iter().find(|pair| pair[0].as_str().is_some_and(|given| given.eq_ignore_ascii_case(name)))?[1]
        .as_str()
}

fn sent(folder: &Folder, options: &[&str], url: &str) -> Value {
    let ran = folder.run(options.iter().copied().chain([url]));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.echo()
}

#[test]
fn what_is_for_one_origin_does_not_reach_another_by_a_redirect() {
    let (ours, theirs, folder) = (origin(), origin(), Folder::new());
    let url = ours.url(&format!("/r?redirect={}", theirs.url("/echo")));
    folder.write("jar", "");
    let options =
        ["-b", "s=1", "-e", "http://ref.example/path?token", "-u", "a:b", "-c", "new", "-H", "X-Key: k"];
    let echo = sent(&folder, &options, &url);
    for name in ["cookie", "authorization", "x-key"] {
        assert_eq!(field(&echo, name), None, "{name}");
    }
    assert!(!echo.to_string().contains("token"), "{echo}");
}

#[test]
fn what_was_given_stays_on_a_redirect_within_the_origin() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/r?redirect=%2Fecho");
    let echo = sent(&folder, &["-b", "s=1", "-b", "t=2; u=3", "-e", "http://r/?q", "-u", "a:b"], &url);
    assert_eq!(field(&echo, "cookie"), Some("s=1; t=2; u=3"));
    assert_eq!(
        (field(&echo, "referer"), field(&echo, "authorization")),
        (Some("http://r/?q"), Some("Basic YTpi"))
    );
}

#[test]
fn a_cookie_of_a_redirect_is_sent_on_and_written_when_cookies_are_on() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/r?redirect=%2Fecho&set-cookie=hop=1;path=/");
    assert_eq!(field(&sent(&folder, &[], &url), "cookie"), None);
    assert_eq!(field(&sent(&folder, &["-b", ""], &url), "cookie"), Some("hop=1"));
    let echo = sent(&folder, &["-b", "given=0", "-c", "jar"], &url);
    assert_eq!(field(&echo, "cookie"), Some("given=0; hop=1"));
    assert!(folder.read("jar").contains("\thop\t1") && !folder.read("jar").contains("given"));
    let echo = sent(&folder, &["-b", "jar"], &origin.url("/echo"));
    assert_eq!(field(&echo, "cookie"), Some("hop=1"));
}

#[test]
fn cookies_are_written_though_the_url_failed() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-c", "jar", &origin.url("/?status=404&set-cookie=a=b")]);
    assert!(ran.code == 3 && folder.read("jar").contains("\ta\tb"), "{ran:?}");
}

#[test]
fn a_jar_that_cannot_be_written_is_local_and_said() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-c", "/dev/full", &origin.url("/?text=x")]);
    assert_eq!((ran.code, ran.out().as_str()), (6, "x"));
    assert!(ran.stderr.contains("-c /dev/full cannot be written"), "{}", ran.stderr);
}

#[test]
fn a_jar_that_never_can_be_written_is_refused_before_anything_is_sent() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?text=x");
    std::fs::create_dir(folder.path().join("d")).expect("a folder can be made");
    for jar in ["none/jar", "d"] {
        let ran = folder.run(["-c", jar, &url]);
        assert!(ran.code == 2 && ran.stderr.contains(&format!("-c {jar} cannot be written")), "{ran:?}");
    }
    assert_eq!((origin.counts().connections, folder.names(".")), (0, vec!["d".to_owned()]));
    assert_eq!(folder.run(["--dry-run", "-c", "d/jar", &url]).code, 0);
    assert!(folder.names("d").is_empty());
    assert_eq!(folder.run(["-c", "d/jar", &url]).code, 0);
    assert_eq!(folder.names("d"), ["jar"]);
}

#[test]
fn a_method_with_content_says_the_length_of_none() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/echo");
    for (options, length) in [
        (&["-d", ""][..], Some("0")),
        (&["-X", "POST"], Some("0")),
        (&["-X", "PUT"], Some("0")),
        (&["-X", "PATCH"], Some("0")),
        (&["-X", "DELETE"], None),
        (&[], None),
    ] {
        assert_eq!(field(&sent(&folder, options, &url), "content-length"), length, "{options:?}");
    }
}

#[test]
fn a_range_is_asked_for_and_what_comes_is_written() {
    let (origin, folder) = (origin(), Folder::new());
    let (first, second) =
        (origin.url("/1?text=0123456789&range=ok"), origin.url("/2?text=abcdefghij&range=ok"));
    for (range, out) in [("0-3", "0123abcd"), ("7-", "789hij"), ("-2", "89ij")] {
        let ran = folder.run(["-r", range, "-s", &first, &second]);
        assert_eq!((ran.code, ran.out().as_str()), (0, out), "{range}");
    }
    let ran = folder.run(["-r", "50-60", "-w", "%{http_code}", &first]);
    assert_eq!((ran.code, ran.out().as_str()), (3, "416"));
    let ran = folder.run(["-r", "x", &first]);
    assert!(ran.code == 2 && ran.stderr.contains("-r x is no range"), "{ran:?}");
}

#[test]
fn data_go_into_the_query_of_each_url() {
    let (origin, folder) = (origin(), Folder::new());
    let options = ["-G", "-d", "a=b", "--data-urlencode", "q=x y"];
    let echo = sent(&folder, &options, &origin.url("/echo?z=1#fragment"));
    assert_eq!((&echo["method"], &echo["path"]), (&"GET".into(), &"/echo?z=1&a=b&q=x%20y".into()));
    let ran = folder.feed(["-G", "-d", "a=b", "-i", "-"], &origin.url("/echo"));
    assert_eq!(ran.echo()["path"], "/echo?a=b");
    let ran = folder.run(["-G", &origin.url("/echo")]);
    assert!(ran.code == 2 && ran.stderr.contains("-G has no data"), "{ran:?}");
    folder.run(["-s", "-G", "-d", "head=1", "-I", &origin.url("/h")]);
    let last = origin.requests().pop().expect("a request");
    assert_eq!((last.method.as_str(), last.path_and_query.as_str()), ("HEAD", "/h?head=1"));
}

#[test]
fn each_kind_of_data_takes_a_file_in_its_way() {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("f", "a b\nc\r\n");
    let url = origin.url("/echo");
    for (option, value, body) in [
        ("-d", "@f", "a bc"),
        ("--data-raw", "@f", "@f"),
        ("--data-binary", "@f", "a b\nc\r\n"),
        ("--data-urlencode", "n@f", "n=a%20b%0Ac%0D%0A"),
        ("--data-urlencode", "=@f", "%40f"),
        ("--data-urlencode", "me@x=1", "me@x=1"),
        ("--json", "@f", "a b\nc\r\n"),
    ] {
        assert_eq!(sent(&folder, &[option, value], &url)["body"], body, "{option} {value}");
    }
    let ran = folder.feed(["-d", "@-", "-d", "x=1", &url], "from=stdin\n");
    assert_eq!(ran.echo()["body"], "from=stdin&x=1");
}

#[test]
fn a_body_is_sent_again_where_the_redirect_says_so_and_only_there() {
    let (origin, folder) = (origin(), Folder::new());
    for (status, method, body) in
        [("307", "POST", "a=b"), ("308", "POST", "a=b"), ("302", "GET", ""), ("303", "GET", "")]
    {
        let url = origin.url(&format!("/r?redirect=%2Fecho&status={status}"));
        let echo = sent(&folder, &["-d", "a=b"], &url);
        assert_eq!((&echo["method"], &echo["body"]), (&method.into(), &body.into()), "{status}");
    }
}

#[test]
fn a_large_file_is_sent_as_a_part_of_a_form_to_each_url() {
    let (origin, folder) = (origin(), Folder::new());
    // An echo tells no more than 1 MiB.
    folder.write("large", &"x".repeat(900_000));
    let (first, second) = (origin.url("/echo/1"), origin.url("/echo/2"));
    let form = ["-F", "f=@large;type=a/b;filename=n", "-F", "t=1", "-F", "c=<large"];
    let ran: Ran =
        folder.run(["-P", "out"].iter().chain(&form[..4]).copied().chain([first.as_str(), &second]));
    assert_eq!(ran.code, 0, "{ran:?}");
    for name in ["1", "2"] {
        let echo: Value = serde_json::from_str(&folder.read(&format!("out/{name}"))).expect("an echo");
        let body = echo["body"].as_str().expect("text");
        let length: usize =
            field(&echo, "content-length").and_then(|text| text.parse().ok()).expect("a length");
        assert_eq!((body.len(), body.matches('x').count()), (length, 900_000));
        assert!(body.contains("name=\"f\"; filename=\"n\"") && body.contains("Content-Type: a/b"));
    }
}

#[test]
fn a_file_that_is_not_held_in_memory_goes_to_each_url_and_again_by_a_retry() {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("large", &"x".repeat((8 << 20) + 1));
    let urls = ["/1?text=1", "/2?text=2", "/3?script=503,200"].map(|path| origin.url(path));
    let form = ["-X", "PUT", "--retry-delay", "1ms", "-F", "f=@large"];
    let ran = folder.run(["--no-body"].iter().chain(&form).copied().chain(urls.iter().map(String::as_str)));
    assert_eq!((ran.code, origin.counts().requests), (0, 4), "{ran:?}");
}

#[test]
fn a_file_of_a_form_that_is_not_there_sends_nothing() {
    let (origin, folder) = (origin(), Folder::new());
    for (option, value) in
        [("-F", "f=@none"), ("-d", "@none"), ("--json", "@none"), ("--data-urlencode", "@none")]
    {
        let ran = folder.run([option, value, &origin.url("/echo")]);
        assert!(ran.code == 2 && ran.stderr.contains("none"), "{option}: {ran:?}");
    }
    assert_eq!(origin.counts().connections, 0);
}

#[test]
fn bodies_that_exclude_one_another_are_told_by_name() {
    let folder = Folder::new();
    for (options, one, other) in [
        ("-d a -F b=c", "-d", "-F"),
        ("-d a --json {}", "-d", "--json"),
        ("-I -F b=c", "-F", "-I"),
        ("-I -d a", "-d", "-I"),
    ] {
        let ran = folder.run(options.split(' ').chain(["http://127.0.0.1:1/"]));
        assert!(
            ran.code == 2 && ran.stderr.contains(one) && ran.stderr.contains(other),
            "{options}: {ran:?}"
        );
    }
}

#[test]
fn the_page_that_we_come_from_is_told_and_auto_is_refused() {
    let (origin, folder) = (origin(), Folder::new());
    let echo = sent(&folder, &["-e", "http://from.example/", "-w", ""], &origin.url("/echo"));
    assert_eq!(field(&echo, "referer"), Some("http://from.example/"));
    let ran = folder.run(["-e", ";auto", &origin.url("/")]);
    assert!(ran.code == 2 && ran.stderr.contains(";auto"), "{ran:?}");
}

#[test]
fn a_curl_line_says_all_that_curl_has_and_a_comment_what_it_has_not() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a");
    for (options, said) in [
        (&["-D", "heads"][..], " -D heads "),
        (&["-w", "%{http_code}\\n"], " -w '%{http_code}\\n' "),
        (&["--no-body"], " -o /dev/null "),
        (&["--fail-with-body"], "curl --fail-with-body "),
        (&["-F", "a=b"], " -F a=b "),
        (&["-F", "a=b", "-X", "PUT"], " -X PUT "),
    ] {
        let ran = folder.run(["--curl"].iter().chain(options).copied().chain([url.as_str()]));
        assert!(ran.code == 0 && ran.out().contains(said), "{options:?}: {ran:?}");
        assert!(!ran.out().contains("-X POST") && !ran.out().contains("content-type:"), "{ran:?}");
        assert_eq!(ran.out().lines().count(), 1, "{ran:?}");
    }
    let options = ["--curl", "--mirror", "http://h/", "--ok-status", "200", "--accept", "text/*"];
    let ran = folder.run(options.into_iter().chain([url.as_str()]));
    let out = ran.out();
    let lines: Vec<_> = out.lines().collect();
    let comments =
        ["--mirror", "--ok-status", "--accept"].map(|flag| format!("# without {flag}: curl has none"));
    assert_eq!((ran.code, &lines[..3], lines.len()), (0, &comments.each_ref().map(String::as_str)[..], 4));
    assert!(lines[3].starts_with("curl --fail "), "{out}");
    assert_eq!(origin.counts().connections, 0);
}
