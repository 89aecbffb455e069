//! Retries, hedges, mirrors and races, as they show in bytes and rows.

use gannet_origin::refusing_addr;

use crate::fixture::{Folder, LONG, origin};

#[test]
fn a_race_gives_the_bytes_of_the_winner_alone_and_one_row() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?never"), origin.url("/b?text=b&delay=20"), origin.url("/c?status=500")];
    let ran = folder.run(["race", "--report", "r", &urls[0], &urls[1], &urls[2]]);
    assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "b", ""));
    let (rows, summary) = folder.report("r");
    assert_eq!((rows.len(), &rows[0]["winner"]["mirror"], &rows[0]["hedged"]), (1, &1.into(), &false.into()));
    assert_eq!(
        (&rows[0]["url"], &rows[0]["final_url"]),
        (&urls[0].as_str().into(), &urls[1].as_str().into())
    );
    assert_eq!((&summary["firsts"], &summary["hedges"]), (&3.into(), &0.into()));
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 0, LONG), "the loser goes on");
}

#[test]
fn a_race_goes_to_a_file_too() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["race", "-o", "x", &origin.url("/a?never"), &origin.url("/b?text=b")]);
    assert_eq!((ran.code, folder.read("x")), (0, "b".into()));
}

#[test]
fn a_race_that_nobody_wins_is_3() {
    let (origin, folder) = (origin(), Folder::new());
    let ran =
        folder.run(["race", "--retry", "0", &origin.url("/a?status=404"), &origin.url("/b?status=410")]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("after 2 attempts"), "{}", ran.stderr);
}

#[test]
fn a_silent_attempt_is_hedged_after_the_given_time() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["--hedge", "50ms", "--report", "r", &origin.url("/?script=never,200&text=x")]);
    assert_eq!((ran.code, ran.out().as_str()), (0, "x"));
    let (rows, summary) = folder.report("r");
    assert_eq!((&rows[0]["hedged"], &rows[0]["attempts"]), (&true.into(), &2.into()));
    assert_eq!((&rows[0]["winner"]["attempt"], &summary["hedges_won"]), (&2.into(), &1.into()));
}

#[test]
fn a_retry_goes_to_the_mirror() {
    let (origin, folder) = (origin(), Folder::new());
    let dead = format!("http://{}/", refusing_addr().expect("a free port"));
    let ran = folder.run(["--report", "r", "--mirror", &origin.url("/?text=x"), &dead]);
    assert_eq!((ran.code, ran.out().as_str()), (0, "x"));
    assert_eq!(folder.report("r").0[0]["winner"]["mirror"], 1);
}

#[test]
fn retries_are_counted_after_the_first_attempt() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=503&header=Retry-After:0");
    for (retries, requests) in [("0", 1), ("2", 3)] {
        origin.reset_counts();
        assert_eq!(folder.run(["--retry", retries, &url]).code, 3);
        assert_eq!(origin.counts().requests, requests);
    }
    let ran =
        folder.run(["--retry", "inf", &origin.url("/x?script=503,503,200&header=Retry-After:0&text=x")]);
    assert_eq!((ran.code, ran.out().as_str()), (0, "x"));
}

#[test]
fn without_a_retry_budget_all_that_fails_is_retried() {
    let (origin, folder) = (origin(), Folder::new());
    let list: String = (0..30)
        .map(|n| format!("{}\n", origin.url(&format!("/{n}?script=503,200&header=Retry-After:0"))))
        .collect();
    let ran = folder.feed(["-i", "-", "--no-body", "--retry-budget", "off", "--report", "r"], &list);
    let (_, summary) = folder.report("r");
    assert_eq!((ran.code, &summary["retries"], &summary["budget_refused"]), (0, &30.into(), &0.into()));
}

#[test]
fn the_hedge_budget_is_a_share_of_the_first_attempts() {
    for (budget, hedges) in [("100%", 20), ("off", 20), ("0.02", 10)] {
        let (origin, folder) = (origin(), Folder::new());
        let list: String =
            (0..20).map(|n| format!("{}\n", origin.url(&format!("/{n}?script=never,200&text=x")))).collect();
        let options = ["-i", "-", "--no-body", "--hedge", "50ms", "-m", "1", "--per-host", "99"];
        folder.feed(options.into_iter().chain(["--hedge-budget", budget, "--report", "r"]), &list);
        let (_, summary) = folder.report("r");
        assert_eq!((&summary["hedges"], &summary["ok"]), (&hedges.into(), &hedges.into()), "{budget}");
    }
}

#[test]
fn a_retry_after_beyond_the_longest_that_is_taken_fails_at_once() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=503&header=Retry-After:5");
    let ran = folder.run(["--retry-after-max", "4", &url]);
    assert_eq!((ran.code, origin.counts().requests), (3, 1));
    assert!(ran.stderr.contains("the server wants us back in 5 s, which is too long to wait"), "{ran:?}");
}

#[test]
fn the_longest_delay_between_attempts_is_bounded_for_check_too() {
    for word in ["get", "check"] {
        let (origin, folder) = (origin(), Folder::new());
        let url = origin.url("/?script=503,503,503,503,503,200");
        let options = [word, "--retry", "5", "--retry-max-delay", "1ms", "-m", "1"];
        let ran = folder.run(options.into_iter().chain([url.as_str()]));
        assert_eq!((ran.code, origin.counts().requests), (0, 6), "{ran:?}");
    }
}

#[test]
fn with_j_auto_more_run_at_once_while_that_brings_more() {
    let (origin, folder) = (origin(), Folder::new());
    let list: String =
        (0..1500).map(|n| format!("{}\n", origin.url(&format!("/{n}?delay=20&text=x")))).collect();
    let options = ["-i", "-", "--no-body", "-j", "auto", "--per-host", "1000", "--report", "r"];
    let ran = folder.feed(options, &list);
    let (_, summary) = folder.report("r");
    assert_eq!((ran.code, &summary["ok"], &summary["held_back_by"]), (0, &1500.into(), &"-j auto".into()));
    let peak = origin.counts().peak_in_flight;
    assert!((32..=1024).contains(&peak), "{peak} in flight");
}

#[test]
fn no_more_than_asked_for_are_in_flight() {
    let (origin, folder) = (origin(), Folder::new());
    let list: String = (0..12).map(|n| format!("{}\n", origin.url(&format!("/{n}?delay=5")))).collect();
    for (option, most) in [("-j", "3"), ("--per-host", "2")] {
        origin.reset_counts();
        assert_eq!(folder.feed(["-i", "-", "--no-body", option, most], &list).code, 0);
        assert_eq!(origin.counts().peak_in_flight.to_string(), most, "{option}");
    }
}

#[test]
fn a_silence_may_be_learned_and_what_is_none_is_refused() {
    let (origin, folder) = (origin(), Folder::new());
    for hedge in ["auto", "p98", "p99.9", "off"] {
        assert_eq!(folder.run(["--hedge", hedge, "--no-body", &origin.url("/")]).code, 0, "{hedge}");
    }
    for hedge in ["p0", "p100", "p", "p-5", "p1e1", "pinf", "often"] {
        let ran = folder.run(["--hedge", hedge, "--no-body", &origin.url("/")]);
        assert!(ran.code == 2 && ran.stderr.contains("--hedge"), "{hedge}: {}", ran.stderr);
    }
}

#[test]
fn what_failed_for_want_of_budget_is_counted() {
    // Three at each host, so that no breaker holds them back.
    let (origins, folder): (Vec<_>, _) = ((0..10).map(|_| origin()).collect(), Folder::new());
    let line = |n: usize| origins[n / 3].url(&format!("/{n}?status=503&header=Retry-After:0")) + "\n";
    let list: String = (0..30).map(line).collect();
    let list = ["-i", "-", "--no-body", "--deadline", "3s", "--retry-delay", "0", "--report", "r", &list];
    let ran = folder.feed(&list[..9], list[9]);
    assert_eq!(ran.code, 4, "their time was over: {}", ran.stderr);
    let (_, summary) = folder.report("r");
    // The reserve of 10, and then what time pays: 30 firsts make 6 a second at most.
    assert_eq!((&summary["failed"], &summary["firsts"]), (&30.into(), &30.into()));
    let number = |name: &str| summary[name].as_u64().expect("a number");
    assert!((10..=10 + 4 * 6).contains(&number("retries")), "{summary}");
    assert!(number("budget_refused") >= 10, "{summary}");
    let told =
        format!("; {} not retried for want of retry budget (--retry-budget off, ", number("budget_refused"));
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    assert_eq!(summary["budget"]["hedge_left"], 10);
    assert!(summary["budget"]["retry_refused"].as_u64() >= Some(20), "{summary}");
}

#[test]
fn behind_an_open_breaker_what_was_tried_has_failed_and_the_rest_is_unfinished() {
    let folder = Folder::new();
    let dead = refusing_addr().expect("a free port");
    let list: String = (0..60).map(|n| format!("http://{dead}/{n}\n")).collect();
    let options = ["-i", "-", "--no-body", "--deadline", "2s", "--retry-budget", "off", "--report", "r"];
    let ran = folder.feed(options, &list);
    let (rows, summary) = folder.report("r");
    assert_eq!((ran.code, rows.len()), (4, 60), "{ran:?}");
    for row in &rows {
        let (code, message) = (&row["error"]["code"], row["error"]["message"].as_str().unwrap_or_default());
        assert!(message.contains("connection refused"), "{row}");
        match row["attempts"].as_u64() {
            Some(0) => assert_eq!((&row["outcome"], code), (&"unfinished".into(), &"deadline.job".into())),
            _ => assert_eq!((&row["outcome"], code), (&"failed".into(), &"connect.refused".into())),
        }
    }
    assert!(summary["failed"].as_u64() >= Some(5) && summary["unfinished"].as_u64() >= Some(20), "{summary}");
    assert!(rows.iter().any(|row| {
        row["error"]["message"].as_str().is_some_and(|why| why.contains("; not retried: most attempts"))
    }));
    assert!(ran.stderr.contains("fix: the deadline comes before the next try: "), "{}", ran.stderr);
}

#[test]
fn who_is_told_to_stay_away_is_told_by_whom_until_when_and_by_which_limit() {
    let (origin, folder) = (origin(), Folder::new());
    let (away, next) = (origin.url("/?status=503&retry-after=600"), origin.url("/next"));
    let ran = folder.run(["--no-body", "--per-host", "1", &away, &next]);
    let said =
        ["asked by a 503 to be left alone for 60", "longer than is waited for (--retry-after-max, 300 s)"];
    assert!(ran.code == 3 && said.iter().all(|said| ran.stderr.contains(said)), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("; try again then, or wait for longer with --retry-after-max"),
        "{}",
        ran.stderr
    );
    let ran = folder.run(["--no-body", "--per-host", "1", "--deadline", "5s", &away, &next]);
    let said = "after the deadline: try again then, or give it longer with --deadline";
    assert!(ran.code == 4 && ran.stderr.contains(said), "{}", ran.stderr);
}
