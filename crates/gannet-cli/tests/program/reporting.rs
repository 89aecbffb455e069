//! The report: a row for each input, then a summary.

use gannet_origin::refusing_addr;

use crate::fixture::{Folder, origin, rows};

#[test]
fn each_input_has_one_row_and_the_summary_adds_up() {
    let (origin, folder) = (origin(), Folder::new());
    let host = refusing_addr().expect("a free port");
    let list = [
        origin.url("/a?size=10"),
        format!("http://{host}/"),
        origin.url("/b?script=503,200&header=Retry-After:0"),
    ];
    folder.write("list", &list.join("\n"));
    let ran = folder.run(["-i", "list", "-P", "out", "--retry", "1", "--report", "-"]);
    let (rows, summary) = rows(&ran.out());
    assert_eq!((ran.code, rows.len()), (1, 3));
    let mut seqs: Vec<_> = rows.iter().map(|row| row["seq"].as_u64()).collect();
    seqs.sort();
    assert_eq!(seqs, [Some(0), Some(1), Some(2)]);
    for (field, value) in
        [("inputs", 3), ("ok", 2), ("failed", 1), ("exit", 1), ("firsts", 3), ("retries", 2), ("attempts", 5)]
    {
        assert_eq!(summary[field], value, "{field}");
    }
    assert_eq!(summary["errors"]["connect.refused"], 1);
    assert!(rows.iter().all(|row| row["job"] == summary["job"]));
}

#[test]
fn a_row_tells_where_the_body_is_and_how_it_came() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a.bin?size=1000&type=a/b&header=ETag:%22v1%22");
    folder.run(["-o", "a.bin", "--report", "r", &url]);
    let (rows, _) = folder.report("r");
    let row = &rows[0];
    for (field, value) in
        [("outcome", "ok"), ("content_type", "a/b"), ("etag", "\"v1\""), ("http", "1.1"), ("ip", "127.0.0.1")]
    {
        assert_eq!(row[field], value, "{field}");
    }
    assert_eq!((&row["url"], &row["final_url"]), (&url.as_str().into(), &url.as_str().into()));
    assert_eq!((&row["bytes"], &row["status"], &row["attempts"]), (&1000.into(), &200.into(), &1.into()));
    assert_eq!((&row["body"]["path"], &row["winner"]["attempt"]), (&"a.bin".into(), &1.into()));
    assert!(
        row["ms"]["total"].as_f64() >= row["ms"]["ttfb"].as_f64()
            && row["started"].as_str() <= row["ended"].as_str()
    );
}

#[test]
fn a_failure_has_code_phase_hint_and_curls_number() {
    let folder = Folder::new();
    let url = format!("http://{}/", refusing_addr().expect("a free port"));
    let ran = folder.run(["--retry", "0", "--report", "r", &url]);
    let (rows, summary) = folder.report("r");
    let error = &rows[0]["error"];
    assert_eq!((ran.code, &summary["exit"]), (3, &3.into()));
    for (field, value) in [("code", "connect.refused"), ("phase", "connect")] {
        assert_eq!(error[field], value);
    }
    assert_eq!((&error["curl"], &error["retryable"]), (&7.into(), &true.into()));
    assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
}

#[test]
fn credentials_are_in_no_message_and_no_row() {
    let (origin, folder) = (origin(), Folder::new());
    let url = format!("http://me:s3cret@{}/?status=401", origin.addr());
    let ran = folder.run(["-v", "-H", "X-Api-Key: s3cret", "--report", "r", &url]);
    assert_eq!(ran.code, 3);
    assert!(!ran.stderr.contains("s3cret") && !folder.read("r").contains("s3cret"), "{}", ran.stderr);
}

#[test]
fn each_attempt_says_why_it_started_and_stopped_and_what_it_waited_for() {
    let (origin, folder) = (origin(), Folder::new());
    let asked = origin.url("/a?script=503,200&header=Retry-After:1");
    let plain = origin.url("/b?script=503,503,200");
    let options = ["--no-body", "--retry-delay", "20ms", "--report", "r", "--report-attempts"];
    assert_eq!(folder.run(options.into_iter().chain([asked.as_str(), plain.as_str()])).code, 0);
    let (mut rows, _) = folder.report("r");
    rows.sort_by_key(|row| row["seq"].as_u64());
    for (row, what, least, attempts) in [(&rows[0], "retry_after", 1000.0, 2), (&rows[1], "backoff", 20.0, 3)]
    {
        let tries = row["tries"].as_array().expect("tries");
        let why = |one: &serde_json::Value| (one["why_started"].clone(), one["why_stopped"].clone());
        assert_eq!((tries.len(), why(&tries[0])), (attempts, ("first".into(), "failed".into())), "{row}");
        assert!(tries[0]["waited"].is_null() && tries[0]["ms"]["queue"].is_number(), "{row}");
        for one in &tries[1..] {
            assert_eq!(
                (&one["why_started"], &one["waited"]["for"]),
                (&"retry".into(), &what.into()),
                "{row}"
            );
            assert!(one["waited"]["ms"].as_f64() >= Some(least), "{row}");
        }
        assert_eq!(tries[attempts - 1]["why_stopped"], "won");
    }
}

#[test]
fn each_attempt_says_what_it_queued_for() {
    let (origin, folder) = (origin(), Folder::new());
    let (a, b) = (origin.url("/a?delay=20&script=503,200&header=Retry-After:1"), origin.url("/b?delay=20"));
    let waits = |options: &str| {
        let options = options.split_whitespace().chain(["--no-body", "--report", "r", "--report-attempts"]);
        assert_eq!(folder.run(options.chain([a.as_str(), b.as_str()])).code, 0);
        let (rows, _) = folder.report("r");
        let tries = rows.iter().flat_map(|row| row["tries"].as_array().expect("tries").clone());
        tries.map(|one| one["queued_for"].to_string()).collect::<Vec<_>>()
    };
    let one_by_one = waits("--per-host 1");
    assert!(one_by_one.contains(&"\"gate\"".into()), "{one_by_one:?}");
    assert!(one_by_one.contains(&"null".into()), "{one_by_one:?}");
    assert!(waits("--rate 5/s").contains(&"\"rate\"".into()));
    assert!(waits("--host-rate 5/s").contains(&"\"rate\"".into()));
}
