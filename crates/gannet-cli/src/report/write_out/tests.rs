//! Formats of `-w` against outcomes of real fetches.

use super::*;
use crate::report::sample::{Sample, outcome};

fn format(text: &str) -> Format {
    Format::parse(text).unwrap_or_else(|complaint| panic!("{complaint}"))
}

fn say(text: &str, sample: Sample<'_>) -> String {
    let asked = Asked { referer: Some("http://from/".into()), ..Asked::default() };
    let written = format(text).render(&outcome(sample), &asked, Attempts::Counted);
    String::from_utf8(written.stdout).expect("text")
}

#[test]
fn text_and_escapes_are_written_as_curl_writes_them() {
    let samples = [
        ("a\\nb\\tc\\rd\\\\e", "a\nb\tc\rd\\e"),
        ("100%% %x %", "100% %x %"),
        ("\\x\\", "\\x\\"),
        ("\u{e4}%%{seq}", "\u{e4}%{seq}"),
        ("", ""),
    ];
    for (given, expected) in samples {
        let pieces = format(given).0;
        let text = match &pieces[..] {
            [] => "",
            [Piece::Text(text)] => text,
            other => panic!("{given}: {other:?}"),
        };
        assert_eq!(text, expected, "{given}");
    }
}

#[test]
fn a_fetch_is_told_in_curls_words() {
    let text = say(
        "%{http_code} %{response_code} %{http_version} %{size_download} %{num_redirects} %{num_connects} \
         %{num_retries} %{exitcode} %{errormsg}|%{method} %{scheme} %{remote_ip} %{content_type} %{urlnum} \
         %header{X-Y} %{outcome} %{attempts} %{hedged} %{referer} %{line}|",
        Sample::Answered("/a?hops=2&size=1000&type=a/b&header=x-y:z"),
    );
    assert_eq!(text, "200 200 1.1 1000 2 1 0 0 |GET http 127.0.0.1 a/b 0 z ok 1 false http://from/ |");
    assert_eq!(say("%{http_code} %{http_version}", Sample::Http2("/")), "200 2");
}

#[test]
fn times_follow_one_another_and_have_six_digits() {
    let names = "%{time_namelookup} %{time_connect} %{time_pretransfer} %{time_starttransfer} %{time_total}";
    let text = say(names, Sample::Answered("/?delay=20ms&size=100000"));
    let digits = |word: &str| word.split_once('.').is_some_and(|(_, digits)| digits.len() == 6);
    assert!(text.split(' ').all(digits), "{text}");
    let times: Vec<f64> = text.split(' ').map(|word| word.parse().expect("a number")).collect();
    assert!(times.is_sorted() && times[1] > 0.0 && times[3] >= 0.02, "{text}");
    assert_eq!(say("%{time_appconnect} %{time_redirect}", Sample::Answered("/")), "0.000000 0.000000");
}

#[test]
fn a_failure_has_000_and_curls_number_and_a_refused_status_its_own() {
    let text = say("%{http_code} %{exitcode} %{error} %{num_retries} %{time_starttransfer}", Sample::Refused);
    assert_eq!(text, "000 7 connect.refused 1 0.000000");
    let text =
        say("%{http_code} %{exitcode} %{error} %header{x}", Sample::Answered("/?status=404&header=x:y"));
    assert_eq!(text, "404 22 reply.status y");
    assert_eq!(
        say("%{remote_port} %{http_version} [%{conn_id}]", Sample::Refused).split(' ').nth(1),
        Some("0")
    );
}

#[test]
fn streams_are_switched_and_onerror_ends_what_is_said_of_a_success() {
    let given = format("a%{stderr}b%{stdout}c%{onerror}d");
    let render = |sample| given.render(&outcome(sample), &Asked::default(), Attempts::Counted);
    assert_eq!(render(Sample::Answered("/")), Written { stdout: b"ac".into(), stderr: b"b".into() });
    assert_eq!(render(Sample::Refused), Written { stdout: b"acd".into(), stderr: b"b".into() });
    assert!(given.uses_stderr() && !format("a").uses_stderr());
}

#[test]
fn json_is_the_row_of_the_report_and_header_json_the_fields() {
    let row: serde_json::Value =
        serde_json::from_str(&say("%{json}", Sample::Answered("/?size=10"))).expect("JSON");
    assert_eq!((&row["type"], &row["bytes"]), (&"result".into(), &10.into()));
    let text = say("%{header_json}", Sample::Answered("/?header=x:1&header=x:2"));
    let fields: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(fields["x"], serde_json::json!(["1", "2"]));
}

#[test]
fn where_a_redirect_would_lead_is_told_in_full() {
    let client = gannet::Client::builder().redirects(gannet::Redirects::Return).build().expect("it fits");
    let origin = gannet_origin::Origin::start_in_thread(gannet_origin::Origin::builder()).expect("an origin");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        client.fetch_each([origin.url("/a?redirect=/b")]).next().await.expect("one request has one outcome")
    });
    let written = format("%{redirect_url}").render(&outcome, &Asked::default(), Attempts::Counted);
    assert_eq!(String::from_utf8(written.stdout).expect("text"), origin.url("/b"));
}

#[test]
fn what_it_does_not_know_is_refused_with_what_may_be_meant() {
    let said = |text: &str| Format::parse(text).expect_err("refused").to_string();
    assert!(said("%{http_cod}").contains("did you mean %{http_code}?"), "{}", said("%{http_cod}"));
    assert!(said("%{time_totl}").contains("did you mean %{time_total}?"));
    assert!(said("%{qqqqqqqq}").contains("it knows attempts, "));
    assert!(said("%{http_code").contains("no } behind"));
    assert!(said("%header{a b}").contains("names no header field"));
    assert!(said("@no-such-file").contains("-w @no-such-file cannot be read"));
}

#[test]
fn a_file_is_read_without_its_line_breaks() {
    let path = std::env::temp_dir().join(format!("gannet-format-{}", std::process::id()));
    std::fs::write(&path, "a\r\n%{seq}\\n\n").expect("a file can be written");
    let read = Format::parse(&format!("@{}", path.display()));
    let _ = std::fs::remove_file(&path);
    assert_eq!(read, Ok(format("a%{seq}\\n")));
}

#[test]
fn the_names_stand_in_order_and_the_docs_have_them_all() {
    assert!(TABLE.is_sorted_by(|one, other| one.0 < other.0));
    let lines: String = TABLE.iter().map(|row| format!("| `{}` | {} |\n", row.0, row.2)).collect();
    let docs = include_str!("../../../../../docs/CLI.md");
    assert!(docs.contains(&lines), "docs/CLI.md is to have these lines:\n{lines}");
}
