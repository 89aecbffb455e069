//! What is written down beside the bodies: -w, -D, --include, --har, the report's order and attempts, and that each
//! has standard output for itself or is told who has it.

use std::process::Stdio;

use gannet_origin::refusing_addr;
use serde_json::Value;

use crate::fixture::{Folder, LONG, Ran, end, origin, rows};

const TEXT: &str = "[%{seq} %{http_code} %{outcome}]";

#[test]
fn each_text_of_w_stands_behind_its_body_whatever_became_of_it() {
    let (origin, folder) = (origin(), Folder::new());
    let dead = format!("http://{}/", refusing_addr().expect("a free port"));
    let (slow, gone, quick) =
        (origin.url("/a?text=A&delay=50"), origin.url("/?status=404&text=x"), origin.url("/?text=C"));
    let ran = folder.run(["--retry", "0", "-w", TEXT, &slow, &gone, &dead, &quick]);
    assert_eq!((ran.code, ran.out().as_str()), (1, "A[0 200 ok][1 404 failed][2 000 failed]C[3 200 ok]"));
}

#[test]
fn bad_lines_of_a_list_have_their_text_of_w_at_their_turn() {
    let (origin, folder) = (origin(), Folder::new());
    let list = format!("{}\nftp://x/\nhttp://[bad\n{}\n", origin.url("/?text=A"), origin.url("/?text=B"));
    let ran = folder.feed(["-i", "-", "-w", "[%{line} %{error}]"], &list);
    assert_eq!((ran.code, ran.out().as_str()), (1, "A[1 ][2 input.bad_scheme][3 input.bad_url]B[4 ]"));
}

#[test]
fn what_is_stopped_has_its_text_of_w_too() {
    let (origin, folder) = (origin(), Folder::new());
    let (never, text, gone) = (origin.url("/?never"), origin.url("/?text=B"), origin.url("/?status=404"));
    let ran = |options: &[&str], url: &str| {
        let all = ["-q", "--retry", "0", "-w", "[%{seq} %{outcome}]"];
        folder.run(all.iter().chain(options).copied().chain([never.as_str(), url]))
    };
    let late = ran(&["--deadline", "300ms"], &text);
    assert_eq!((late.code, late.out().as_str()), (4, "[0 unfinished]B[1 ok]"));
    let enough = ran(&["--until", "first"], &text);
    assert_eq!((enough.code, enough.out().as_str()), (0, "[0 cancelled]B[1 ok]"));
    let early = ran(&["--fail-early"], &gone);
    assert_eq!((early.code, early.out().as_str()), (3, "[0 cancelled][1 failed]"));
}

#[test]
fn a_signal_leaves_a_text_of_w_for_each_url() {
    let (origin, folder) = (origin(), Folder::new());
    let (first, second) = (origin.url("/1?never"), origin.url("/2?never"));
    let child = folder.command(["-w", "[%{seq} %{outcome}]", &first, &second]).spawn().expect("it starts");
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 2, LONG));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it can be signalled");
    let ran = end(child);
    assert_eq!((ran.code, ran.out().as_str()), (130, "[0 cancelled][1 cancelled]"));
}

#[test]
fn a_race_has_one_text_and_one_head() {
    let (origin, folder) = (origin(), Folder::new());
    let (never, good) = (origin.url("/?never"), origin.url("/?text=T"));
    let ran = folder.run(["race", "--include", "-w", "[%{url_effective}]", &never, &good]);
    let expected = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nT[{good}]");
    assert_eq!((ran.code, ran.out()), (0, expected));
    let (gone, late) = (origin.url("/?status=404"), origin.url("/?never"));
    let ran = folder.run(["race", "-q", "--deadline", "200ms", "--include", "-w", TEXT, &gone, &late]);
    assert_eq!((ran.code, ran.out().as_str()), (4, "[0 000 unfinished]"));
}

#[test]
fn what_was_skipped_has_a_text_without_a_status() {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("x", "old");
    let url = origin.url("/?text=new");
    let format = "%{outcome} %{http_code} %{filename_effective}";
    let ran = folder.run(["-o", "x", "--if-exists", "skip", "-w", format, &url]);
    assert_eq!((ran.code, ran.out().as_str(), origin.counts().requests), (0, "skipped 000 x", 0));
}

#[test]
fn a_body_that_broke_off_had_a_status() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?size=3000&truncate=100");
    let ran =
        folder.run(["--retry", "0", "--whole", "--report", "r", "-w", "%{http_code} %{exitcode}", &url]);
    assert_eq!((ran.code, ran.out().as_str()), (3, "200 18"));
    assert_eq!(folder.report("r").0[0]["status"], 200);
    let ran = folder.run(["check", "--retry", "0", &url]);
    assert!(ran.code == 3 && ran.out().starts_with("200  "), "{ran:?}");
}

#[test]
fn a_format_goes_to_both_streams_and_comes_from_a_file() {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("format", "%{stderr}E%{http_code}\\n%{stdout}O%{method}\n%{onerror}!");
    let (good, gone) = (origin.url("/?text=1"), origin.url("/?status=404"));
    let ran = folder.run(["-s", "-j", "1", "-w", "@format", &good, &gone]);
    assert_eq!(
        (ran.code, ran.out().as_str(), ran.stderr.as_str()),
        (1, "1OGETOGET!", "E200\nE404\n"),
        "line breaks of the file are not written"
    );
    let ran = folder.feed(["-w", "@-", &good], "%{size_download}");
    assert_eq!((ran.code, ran.out().as_str()), (0, "11"));
}

#[test]
fn a_format_from_standard_input_leaves_no_list_there() {
    let folder = Folder::new();
    let ran = folder.feed(["-i", "-", "-w", "@-"], "http://127.0.0.1:1/\n");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("-i - contradicts -w @-"), "{}", ran.stderr);
}

#[test]
fn a_format_that_names_what_there_is_not_sends_nothing() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-w", "%{http_cod}", &origin.url("/")]);
    assert_eq!((ran.code, origin.counts().requests), (2, 0));
    assert!(ran.stderr.contains("did you mean %{http_code}?"), "{}", ran.stderr);
}

#[test]
fn a_redirect_is_told_where_it_led_or_would_have() {
    let (origin, folder) = (origin(), Folder::new());
    let (url, end) = (origin.url("/r?redirect=%2Fb"), origin.url("/b"));
    let ran = folder.run(["-o", "x", "-w", "%{url_effective} %{num_redirects} %{redirect_url}", &url]);
    assert_eq!(ran.out(), format!("{end} 1 "));
    let options = ["--no-location", "-o", "x", "-w", "%{url_effective} %{num_redirects} %{redirect_url}"];
    let ran = folder.run(options.into_iter().chain([url.as_str()]));
    assert_eq!(ran.out(), format!("{url} 0 {end}"));
}

#[test]
fn heads_stand_before_their_bodies_for_several_urls() {
    let (origin, folder) = (origin(), Folder::new());
    let (slow, quick) = (origin.url("/?text=A&delay=50"), origin.url("/?text=B"));
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
    for options in [&["--include"][..], &["-D", "-"], &["--include", "--whole"], &["--show-headers"]] {
        let ran = folder.run(options.iter().copied().chain([slow.as_str(), &quick]));
        assert_eq!((ran.code, ran.out()), (0, format!("{head}A{head}B")), "{options:?}");
    }
}

#[test]
fn nothing_of_a_failure_is_written_where_bodies_are_to_be_whole() {
    let (origin, folder) = (origin(), Folder::new());
    let (cut, good) = (origin.url("/?size=3000&truncate=100"), origin.url("/?text=B"));
    let ran = folder.run(["--retry", "0", "--whole", "--include", "-w", TEXT, &cut, &good]);
    let expected = "[0 200 failed]HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nB[1 200 ok]";
    assert_eq!((ran.code, ran.out().as_str()), (1, expected));
}

#[test]
fn a_head_is_the_servers_though_the_body_was_unpacked() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?text=hello&coding=gzip&negotiate");
    let ran = folder.run(["--include", "--compressed", &url]);
    let out = ran.out();
    assert!(out.contains("content-encoding: gzip\r\n") && out.ends_with("\r\n\r\nhello"), "{out}");
}

#[test]
fn the_head_of_a_refused_status_is_printed_and_the_url_has_failed() {
    let (origin, folder) = (origin(), Folder::new());
    let (gone, good) = (origin.url("/?status=404"), origin.url("/?text=1234"));
    let ran = folder.run(["-I", &gone, &good]);
    let expected =
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";
    assert_eq!((ran.code, ran.out().as_str()), (1, expected));
    let again = origin.url("/again?script=503,200&header=Retry-After:0");
    let ran = folder.run(["-I", &again]);
    assert!(ran.code == 0 && ran.out().starts_with("HTTP/1.1 200 OK") && !ran.out().contains("503"));
    let ran = folder.run(["-I", "-o", "x", &gone]);
    assert_eq!((ran.code, ran.out().as_str(), folder.names(".").len()), (3, "", 0));
}

#[test]
fn a_refused_status_has_head_and_body_where_its_body_is_asked_for() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=404&text=gone");
    let ran = folder.run(["--include", &url]);
    assert_eq!((ran.code, ran.out().as_str()), (3, ""));
    let ran = folder.run(["--include", "--fail-with-body", &url]);
    assert_eq!(
        (ran.code, ran.out().as_str()),
        (3, "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone")
    );
}

#[test]
fn heads_go_to_a_file_of_their_own_those_of_failures_too() {
    let (origin, folder) = (origin(), Folder::new());
    let (good, gone) = (origin.url("/?text=A&header=X-A:1"), origin.url("/?status=404"));
    let dead = format!("http://{}/", refusing_addr().expect("a free port"));
    let ran = folder.run(["-j", "1", "--retry", "0", "-D", "heads", &good, &gone, &dead]);
    assert_eq!((ran.code, ran.out().as_str()), (1, "A"));
    let heads = folder.read("heads");
    assert!(heads.starts_with("HTTP/1.1 200 OK\r\n") && heads.contains("x-a: 1\r\n"), "{heads}");
    assert!(heads.contains("\r\n\r\nHTTP/1.1 404 Not Found\r\n") && heads.ends_with("\r\n\r\n"), "{heads}");
}

#[test]
fn heads_are_on_standard_output_where_bodies_are_not() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-D", "-", "-o", "x", &origin.url("/?text=A")]);
    let expected = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
    assert_eq!((ran.code, ran.out().as_str(), folder.read("x").as_str()), (0, expected, "A"));
}

#[test]
fn an_archive_has_an_entry_for_each_reply_and_is_json_on_standard_output() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a"), origin.url("/r?redirect=%2Fb"), origin.url("/?status=404")];
    let ran = folder.run(["--no-body", "--har", "-"].into_iter().chain(urls.iter().map(String::as_str)));
    let archive: Value = serde_json::from_str(&ran.out()).expect("JSON");
    let entries = archive["log"]["entries"].as_array().expect("entries");
    let mut statuses: Vec<_> = entries.iter().map(|entry| entry["response"]["status"].as_u64()).collect();
    statuses.sort();
    assert_eq!((ran.code, statuses), (1, vec![Some(200), Some(200), Some(404)]));
}

#[test]
fn an_archive_is_whole_json_when_nothing_came() {
    let folder = Folder::new();
    let dead = format!("http://{}/", refusing_addr().expect("a free port"));
    let ran = folder.run(["--retry", "0", "--har", "h", &dead]);
    let archive: Value = serde_json::from_str(&folder.read("h")).expect("JSON");
    assert_eq!((ran.code, &archive["log"]["version"]), (3, &"1.2".into()));
}

#[test]
fn rows_come_in_the_order_of_the_input_with_their_attempts() {
    let (origin, folder) = (origin(), Folder::new());
    let gone = origin.url("/?status=404");
    let (slow, twice) =
        (origin.url("/s?delay=150"), origin.url("/t?script=503,200&header=Retry-After:0&text=x"));
    let ran = folder.run([
        "--no-body",
        "--report-order",
        "input",
        "--report-attempts",
        "--report",
        "-",
        &slow,
        &gone,
        &twice,
    ]);
    let (rows, summary) = rows(&ran.out());
    let seqs: Vec<_> = rows.iter().map(|row| row["seq"].as_u64()).collect();
    assert_eq!((seqs, &summary["failed"]), (vec![Some(0), Some(1), Some(2)], &1.into()), "{ran:?}");
    let statuses: Vec<_> =
        rows[2]["tries"].as_array().expect("tries").iter().map(|one| one["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(503), Some(200)]);
}

#[test]
fn standard_output_has_one_writer_unless_they_go_together() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?text=x");
    for (options, said) in [
        ("--report -", "--report -"),
        ("--har -", "--har -"),
        ("--no-body --report - --har -", "--report - and --har -"),
        ("--no-body --report - -D -", "--report - and -D -"),
        ("--no-body --report - -w x", "--report - and -w"),
        ("--no-body --har - -c -", "--har - and -c -"),
        ("--no-body --report - -c -", "--report - and -c -"),
    ] {
        let ran = folder.run(options.split(' ').chain([url.as_str()]));
        assert!(ran.code == 2 && ran.stderr.contains(said), "{options}: {ran:?}");
    }
    let ran = folder.run(["check", "--report", "-", &url]);
    assert!(ran.code == 2 && ran.stderr.contains("--report FILE"), "{ran:?}");
    assert_eq!(origin.counts().requests, 0);
}

#[test]
fn a_row_for_standard_output_as_a_text_stands_behind_the_body() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-w", "\\n%{json}\\n", &origin.url("/?text=hello")]);
    let out = ran.out();
    let (body, row) = out.split_once('\n').expect("two lines");
    let row: Value = serde_json::from_str(row).expect("a row");
    assert_eq!((body, &row["status"], &row["bytes"]), ("hello", &200.into(), &5.into()));
}

fn closed(folder: &Folder, args: &[&str]) -> Ran {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    end(folder.command(args).stdout(Stdio::from(writer)).spawn().expect("the program starts"))
}

#[test]
fn whatever_is_written_to_a_reader_that_has_gone_ends_with_141() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?text=x&set-cookie=a=b");
    for options in ["-o x -w %{json}", "-o x -D -", "-o x -c -", "--include", "-I", "--no-body --har -"] {
        let args: Vec<&str> = options.split(' ').chain([url.as_str()]).collect();
        let ran = closed(&folder, &args);
        assert_eq!((ran.code, ran.stderr.as_str()), (141, ""), "{options}");
    }
}

#[test]
fn cookies_on_standard_output_are_behind_all_else() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?text=T&set-cookie=a=b");
    for (options, before) in
        [("-c - -w W", "TW# "), ("-c - -o x -w W", "W# "), ("-c - -o x -D -", "HTTP/1.1 ")]
    {
        let ran = folder.run(options.split(' ').chain([url.as_str()]));
        let out = ran.out();
        let is_last = out.trim_end().ends_with("\ta\tb");
        assert!(ran.code == 0 && out.starts_with(before) && is_last, "{options}: {ran:?}");
    }
}
