//! What is refused before anything is sent: typos, contradictions, lists that are none.

use crate::fixture::{Folder, origin};

/// Runs the program on this line; it must end with 2 and say this.
fn is_refused(line: &str, said: &str) {
    let folder = Folder::new();
    let ran = folder.run(line.split_whitespace());
    assert_eq!(ran.code, 2, "{line}: {ran:?}");
    assert!(ran.stderr.contains(said), "{line}: {}", ran.stderr);
    assert!(ran.stdout.is_empty() && folder.names(".").is_empty(), "{line}");
}

#[test]
fn a_mistyped_subcommand_is_no_url() {
    is_refused("rase a.example b.example", "did you mean `gannet race`?");
    is_refused("foo", "http://foo");
}

#[test]
fn a_url_is_no_list() {
    is_refused("-i https://a.example/", "lists are read with -i; for headers use --include");
    is_refused("--strict -i none.txt", "  fix: check the file that -i names\n");
    is_refused("-i none.txt", "error: -i none.txt cannot be read\n  why: No such file");
}

#[test]
fn what_curl_does_better_is_left_to_it() {
    is_refused("-T file http://a.example/", "gannet fetches; use curl for this");
    is_refused("ftp://a.example/", "gannet fetches; use curl for this");
}

#[test]
fn settings_that_contradict_one_another_are_told_by_name_and_value() {
    is_refused("-o x -P out http://a/", "-o x contradicts -P out");
    is_refused("-O -P out http://a/", "-O contradicts -P out");
    is_refused("-o x http://a/ http://b/", "-o is given once for 2 URLs");
    is_refused("-o x -i list", "-o x contradicts -i");
    is_refused("-O -i list", "-O contradicts -i");
    is_refused("-o - -o x http://a/ http://b/", "-o - contradicts -o FILE");
    is_refused("-o x -o x http://a/ http://b/", "-o x is given for two URLs");
    is_refused("-o x -o ./x http://a/ http://b/", "-o x and -o ./x are one file");
    is_refused("-o x --report x http://a/", "--report x and -o x are one file");
    is_refused("-i list --report ./list --no-body", "-i list and --report ./list are one file");
    is_refused("-i - -d @-", "-i - contradicts a body of @-");
    is_refused("--report - http://a/", "--report - contradicts bodies on standard output");
    is_refused("--no-body --if-exists skip http://a/", "--if-exists contradicts");
    is_refused("-i list http://a/", "-i list contradicts the URL http://a/");
    is_refused("-d a=b --json {} http://a/", "-d contradicts --json");
    is_refused("--http1.1 --http2 http://a/", "--http1.1 contradicts --http2");
    is_refused("--no-location --max-redirs 3 http://a/", "--no-location contradicts --max-redirs 3");
    is_refused("--mirror http://c/ http://a/ http://b/", "--mirror http://c/ contradicts 2 URLs");
    is_refused("--until 3 http://a/ http://b/", "--until 3 contradicts 2 URLs");
    is_refused(
        "-m 1 --connect-timeout 5 http://a/",
        "error: --connect-timeout 5s contradicts --max-time 1s\n  fix: ",
    );
    for (line, said) in [
        ("--retry-delay 2 --retry-max-delay 5", "--retry-delay 2s contradicts --retry-max-delay 5s"),
        ("--speed-limit 1K --speed-time 30s -m 20", "--speed-time 30s contradicts --max-time 20s"),
        ("--speed-limit 1K --speed-time 30s --deadline 30s", "--speed-time 30s contradicts --deadline 30s"),
        ("--hedge 30s --read-timeout 30s", "--hedge 30s contradicts --read-timeout 30s"),
        ("--hedge 40s", "--hedge 40s contradicts --read-timeout 30s"),
        ("--hedge 5s --deadline 5s", "--hedge 5s contradicts --deadline 5s"),
        ("--hedge 5s -m 5", "--hedge 5s contradicts --max-time 5s"),
        ("--retry inf --host-give-up 10s", "--retry inf contradicts --host-give-up 10s"),
        ("--hedge 300ms --hedge-budget 0%", "--hedge 300ms contradicts --hedge-budget 0"),
    ] {
        is_refused(&format!("{line} http://a/"), &format!("error: {said}\n  fix: "));
    }
    is_refused("-u me http://a/", "-u USER:PASSWORD");
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for line in [
        "-m 5x http://a/",
        "--until none http://a/",
        "--max-size 5X http://a/",
        "-j 0 http://a/",
        "--bogus http://a/",
    ] {
        is_refused(line, "error: ");
    }
}

#[test]
fn a_run_that_is_refused_leaves_an_earlier_report_as_it_was() {
    let folder = Folder::new();
    folder.write("r", "earlier");
    let ran = folder.run(["--report", "r", "-m", "1", "--connect-timeout", "5", "http://a/"]);
    assert_eq!((ran.code, folder.read("r")), (2, "earlier".into()));
}

#[test]
fn bad_lines_are_results_and_the_others_go_on() {
    let (origin, folder) = (origin(), Folder::new());
    let good = origin.url("/?text=x");
    folder.write("list", &format!("\u{feff}# a list\n\n{good}\nhttp://[::1\n{good}\tmore\nftp://a/\n"));
    let ran = folder.run(["-i", "list", "--no-body", "--report", "r"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("error: http://[::1 (line 4) not fetched\n"), "{}", ran.stderr);
    let (mut rows, summary) = folder.report("r");
    rows.sort_by_key(|row| row["seq"].as_u64());
    let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].as_str().expect("a word")).collect();
    assert_eq!(outcomes, ["ok", "failed", "ok", "failed"]);
    assert_eq!((&rows[1]["error"]["code"], &rows[1]["input"]["line"]), (&"input.bad_url".into(), &4.into()));
    assert_eq!(summary["errors"]["input.bad_scheme"], 1);
}

#[test]
fn a_list_is_read_from_standard_input() {
    let (origin, folder) = (origin(), Folder::new());
    let lines: String = (0..3).map(|n| format!("{}\n", origin.url(&format!("/?text={n}")))).collect();
    let ran = folder.feed(["-i", "-"], &lines);
    assert_eq!((ran.code, ran.out().as_str()), (0, "012"));
}

#[test]
fn without_a_good_line_nothing_can_be_done() {
    let folder = Folder::new();
    assert_eq!(folder.feed(["-i", "-"], "http://[::1\nftp://a/\n").code, 2);
    let ran = folder.feed(["-i", "-"], "# nothing\n");
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (2, "error: the input holds no URL\n  fix: give it one URL a line\n")
    );
}

#[test]
fn under_strict_a_bad_line_keeps_all_from_being_sent() {
    let (origin, folder) = (origin(), Folder::new());
    let (good, list) = (origin.url("/?text=x"), |bad: &str| format!("{}\n{bad}\n", origin.url("/?text=x")));
    folder.write("bad", &list("http://[::1"));
    folder.write("good", &list(&good));
    let ran = folder.run(["--strict", "-i", "bad"]);
    assert!(ran.code == 2 && ran.stderr.contains("line 2"), "{ran:?}");
    let ran = folder.feed(["--strict", "-i", "-"], &list("http://[::1"));
    assert!(ran.code == 2 && ran.stderr.contains("line 2"), "{ran:?}");
    assert_eq!(origin.counts().requests, 0);
    assert_eq!(folder.run(["--strict", "-i", "good"]).out(), "xx");
    assert_eq!(folder.feed(["--strict", "-i", "-"], &list(&good)).out(), "xx");
}

#[test]
fn what_may_be_a_secret_is_not_repeated_in_a_refusal() {
    let folder = Folder::new();
    folder.write("list", "me:SEKRET@h:99999/\n");
    for line in [
        &["-H", "Authorization Bearer SEKRET", "http://a/"][..],
        &["-H", "X-Key: SEK\nRET", "http://a/"][..],
        &["-d", "password=SEKRET", "--json", "{}", "http://a/"][..],
        &["--mirror", "http://me:SEKRET@h/", "-i", "list"][..],
        &["--mirror", "me:SEKRET@h/", "http://a/", "http://b/"][..],
        &["me:SEKRET@h/[1-"][..],
        &["-i", "list", "me:SEKRET@h/"][..],
        &["--strict", "-i", "list"][..],
    ] {
        let ran = folder.run(line.iter().copied());
        assert!(ran.code == 2 && !ran.stderr.contains("SEK"), "{line:?}: {}", ran.stderr);
    }
}

#[test]
fn usage_errors_are_said_though_silence_was_asked_for() {
    is_refused("-si http://a.example/", "-i http://a.example/ is no list");
    is_refused("-s -i list http://a/", "-i list contradicts the URL http://a/");
    is_refused("check -s --until 3 http://a/", "--until 3 contradicts 1 URL");
    is_refused("-s -o x", "no URL was given");
}

#[test]
fn unknown_options_and_values_are_told_in_three_lines_with_what_helps() {
    for (line, said) in [
        (
            "--bogus http://a/",
            "error: gannet has no option --bogus\n  fix: gannet --help shows what there is\n",
        ),
        ("--maxtime 4 a/", "error: gannet has no option --maxtime\n  fix: did you mean --max-time?\n"),
        ("--bogus", "error: gannet has no option --bogus\n"),
        ("check -o x a/", "error: gannet check has no option -o\n  fix: gannet check --help"),
        ("-x p http://a/", "error: this version has no -x (--proxy)\n  fix: use curl for this\n"),
        ("--proxy=me:pw@p http://a/", "error: this version has no --proxy\n  fix: use curl for this\n"),
        ("--limit-rate 1M a/", "error: this version has no --limit-rate\n"),
        ("-m", "error: --max-time needs a value\n  fix: --max-time TIME\n"),
        ("-m 5x a/", "error: --max-time: \"5x\" is no length of time\n  fix: write 10s, "),
        (
            "--if-exists foo a/",
            "error: --if-exists takes no \"foo\"\n  fix: it takes overwrite, skip, rename, fail, update\n",
        ),
        ("--if-exists skp a/", "did you mean skip? it takes overwrite, skip, rename, fail, update\n"),
        ("--quiet=3 a/", "error: --quiet takes no value\n"),
        ("doctor x", "error: gannet doctor takes no word like \"x\"\n"),
        ("completions bsh", "error: SHELL takes no \"bsh\"\n  fix: did you mean bash?"),
        ("completions", "error: gannet completions needs SHELL\n"),
        ("verify", "error: gannet verify needs JOB\n  fix: gannet verify JOB\n"),
        ("explain", "error: gannet explain needs JOB\n  fix: gannet explain JOB URL\n"),
        ("explain o", "error: gannet explain needs URL\n  fix: gannet explain JOB URL\n"),
    ] {
        is_refused(line, said);
        let said = Folder::new().run(line.split_whitespace()).stderr;
        assert!(said.lines().count() <= 3 && !said.contains("'-- ") && !said.contains("pw"), "{said}");
    }
}

#[test]
fn what_the_library_refuses_is_told_by_flag_and_with_a_hint() {
    let folder = Folder::new();
    folder.write("ca", "no certificate");
    let said = |line: &str| {
        let ran = folder.run(line.split_whitespace());
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
        ran.stderr
    };
    assert_eq!(
        said("--cacert ca https://a.example/"),
        "error: --cacert ca: the PEM text holds no certificate\n  fix: check the file that --cacert names\n"
    );
    let said = said("--retry-delay 10 -m 3 http://a.example/");
    assert!(said.starts_with("error: --retry-delay 10s contradicts --max-time 3s\n  fix: "), "{said}");
}

#[test]
fn what_proto_excludes_is_not_left_to_curl() {
    let ran = Folder::new().run(["--proto", "=https", "http://a.example/"]);
    assert!(ran.stderr.contains("fix: --proto excludes it: write the other of"), "{ran:?}");
    assert!(!ran.stderr.contains("use curl"), "{ran:?}");
}
