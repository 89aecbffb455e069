//! When it is over and what is said: retries, refused bodies, schemes, TLS, codings, check, what is shown in the
//! place of a run, progress, colours, and options from a file.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gannet_origin::{Origin, Tls, TlsVersions, refusing_addr};
use serde_json::Value;

use crate::fixture::{Folder, Ran, end, origin, start};

#[test]
fn the_body_of_a_refusal_is_written_once_where_it_is_asked_for() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=500&text=broken&header=Retry-After:0");
    let ran = folder.run(["-f", &url]);
    assert_eq!((ran.code, ran.out().as_str()), (3, ""));
    origin.reset_counts();
    let ran = folder.run(["--fail-with-body", "--retry", "2", "-w", "[%{http_code} %{attempts}]", &url]);
    assert_eq!((ran.code, ran.out().as_str(), origin.counts().requests), (3, "broken[500 3]", 3));
    let ran = folder.run(["--fail-with-body", "-o", "x", &url]);
    assert_eq!((ran.code, folder.read("x").as_str()), (3, "broken"));
    let again = origin.url("/again?script=503,200&text=good&header=Retry-After:0");
    let ran = folder.run(["--fail-with-body", &again, &url]);
    assert_eq!((ran.code, ran.out().as_str()), (1, "goodbroken"));
}

#[test]
fn a_pause_is_as_long_as_asked_and_none_begins_too_late() {
    let (origin, folder) = (origin(), Folder::new());
    let begun = Instant::now();
    let ran = folder.run([
        "-s",
        "--retry-delay",
        "300ms",
        "-w",
        "%{num_retries}",
        &origin.url("/a?script=503,200&text=-"),
    ]);
    assert_eq!((ran.code, ran.out().as_str()), (0, "-1"));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let options = ["--retry", "9", "--retry-delay", "0.2", "--retry-max-time", "0.5", "-w", "%{num_retries}"];
    let ran = folder.run(options.into_iter().chain([origin.url("/b?status=503").as_str()]));
    assert!(ran.code == 3 && ["1", "2"].contains(&ran.out().as_str()), "{ran:?}");
    assert!(ran.stderr.contains("--retry-max-time"), "{}", ran.stderr);
}

#[test]
fn all_errors_are_retried_when_asked_so_and_refused_connections_anyway() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?script=404,200&text=x");
    let with = |options: &[&str], url: &str| {
        let all = ["-s", "--retry-delay", "10ms", "-w", "[%{http_code} %{num_retries}]"];
        folder.run(all.iter().chain(options).copied().chain([url])).out()
    };
    assert_eq!(with(&["--retry-all-errors"], &url), "x[200 1]");
    assert_eq!(with(&[], &origin.url("/other?script=404,200&text=x")), "[404 0]");
    let dead = format!("http://{}/", refusing_addr().expect("a free port"));
    assert_eq!(with(&["--retry", "2", "--retry-connrefused"], &dead), "[000 2]");
}

#[test]
fn a_scheme_that_is_not_allowed_is_not_spoken_nor_by_a_redirect() {
    let (origin, folder) = (origin(), Folder::new());
    let (url, to_tls) = (origin.url("/a"), origin.url("/r?redirect=https://127.0.0.1:1/"));
    let ran = folder.run(["--proto", "=https", &url]);
    assert!(ran.code != 0 && ran.stderr.contains("--proto") && origin.counts().connections == 0, "{ran:?}");
    let ran = folder.run(["--proto", "-https", "--report", "r", &to_tls]);
    assert_eq!((ran.code, &folder.report("r").0[0]["error"]["code"]), (3, &"redirect.refused".into()));
    assert_eq!(folder.run(["--proto", "-all,http,https", "--no-body", &url]).code, 0);
    for bad in ["=ftp", "=htps"] {
        assert_eq!(folder.run(["--proto", bad, &url]).code, 2, "{bad}");
    }
}

#[test]
fn tls_is_as_new_as_asked() {
    for (versions, option, code) in [
        (TlsVersions::Only12, "--tlsv1.2", 0),
        (TlsVersions::Only13, "--tlsv1.2", 0),
        (TlsVersions::Only12, "--tlsv1.3", 3),
        (TlsVersions::Only13, "--tlsv1.3", 0),
    ] {
        let (origin, folder) =
            (start(Origin::builder().tls(Tls::Both).tls_versions(versions)), Folder::new());
        let ran = folder.run(["-k", "--retry", "0", option, &origin.localhost_url("/?text=x")]);
        assert_eq!(ran.code, code, "{versions:?} {option}: {ran:?}");
    }
}

#[test]
fn a_body_is_asked_for_compressed_and_written_unpacked() {
    let (origin, folder) = (origin(), Folder::new());
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let url = origin.url(&format!("/?text=hello&coding={coding}&negotiate"));
        assert_eq!(folder.run(["--compressed", &url]).out(), "hello", "{coding}");
        assert_eq!(folder.run([&url]).out(), "hello", "{coding}");
    }
    let coded = origin.url("/?text=hello&coding=gzip");
    assert_eq!(folder.run([&coded]).stdout[..2], [0x1f, 0x8b]);
    let broken = origin.url("/?text=hello&coding-lie=gzip");
    let ran = folder.run(["--compressed", "-o", "x", &broken]);
    assert!(ran.code == 3 && folder.names(".").is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("without --compressed"), "{}", ran.stderr);
}

#[test]
fn check_says_one_line_for_each_url_and_keeps_nothing() {
    let (origin, folder) = (origin(), Folder::new());
    let (good, gone) = (origin.url("/a?size=100k"), origin.url("/b?status=404"));
    let dead = format!("http://{}/", refusing_addr().expect("a free port"));
    let ran = folder.run(["check", "--retry", "0", &good, &gone, &dead]);
    let out = ran.out();
    let mut lines: Vec<_> =
        out.lines().map(|line| (&line[..3], line.rsplit(' ').next().unwrap_or_default())).collect();
    lines.sort();
    assert_eq!((ran.code, lines), (1, vec![("000", &*dead), ("200", &good), ("404", &gone)]));
    let list = folder.feed(["check", "-i", "-", "-w", "[%{seq}]\\n"], &good);
    assert!(list.code == 0 && list.out().ends_with(&format!("{good}\n[0]\n")), "{list:?}");
    assert!(folder.names(".").is_empty());
}

#[test]
fn check_waits_for_a_service_until_it_is_there() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?up-after=2&header=Retry-After:0");
    let ran = folder.run(["check", "--retry", "inf", "--retry-delay", "20ms", "--deadline", "10s", &url]);
    assert!(ran.code == 0 && ran.out().starts_with("200  "), "{ran:?}");
    let dead = format!("http://{}/", refusing_addr().expect("a free port"));
    let ran = folder.run(["check", "--retry", "inf", "--deadline", "300ms", &dead]);
    // 3 where the next attempt was due only after the deadline.
    assert!([3, 4].contains(&ran.code) && ran.out().starts_with("000  "), "{ran:?}");
}

#[test]
fn a_dry_run_makes_nothing_and_reaches_nobody() {
    let (origin, folder) = (origin(), Folder::new());
    let (one, two) = (origin.url("/a"), origin.url("/b"));
    for options in [
        "-P d",
        "-o d/x -o d/y --create-dirs",
        "-O",
        "--no-body --report r --har h -D heads -c jar",
        "-w x --include",
        "-d a=b",
    ] {
        let ran = folder.run(["--dry-run"].into_iter().chain(options.split(' ')).chain([one.as_str(), &two]));
        let out = ran.out();
        assert!(ran.code == 0 && out.lines().count() == 2 && out.starts_with(&one), "{options}: {ran:?}");
        assert!(ran.stderr.contains("2 to fetch; nothing was sent"), "{}", ran.stderr);
    }
    assert_eq!((origin.counts().connections, folder.names(".").len()), (0, 0));
}

#[test]
fn a_dry_run_says_its_limits_as_options_take_them() {
    let (origin, folder) = (origin(), Folder::new());
    let options = "--dry-run -m 90 --max-size 64K --deadline 10m --retry inf -j 3 --per-host 2";
    let ran = folder.run(options.split(' ').chain([origin.url("/").as_str()]));
    let said = "limits: -j 3, --per-host 2, --deadline 10m, -m 1m30s, --connect-timeout 10s, --read-timeout 30s, --retry inf, --max-size 64K";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn a_dry_run_tells_bad_lines_and_what_is_there() {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("a", "old");
    let list = format!("{}\nftp://x/\n{}\n", origin.url("/a"), origin.url("/b"));
    let ran = folder.feed(["--dry-run", "-P", ".", "-i", "-"], &list);
    assert_eq!((ran.code, ran.out().lines().count(), folder.names(".").len()), (1, 2, 1), "{ran:?}");
    assert!(
        ran.out().contains("(there already)") && ran.stderr.contains("1 there already, 1 that cannot"),
        "{ran:?}"
    );
}

/// The echo without what the two programs say about themselves, and in the order of names.
fn of_both(echo: &Value) -> (Value, Value, Value, Vec<(String, String)>) {
    let own = ["user-agent", "host", "accept-encoding"];
    let fields = echo["headers"].as_array().expect("pairs").iter();
    let mut fields: Vec<_> = fields
        .map(|pair| {
            (
                pair[0].as_str().unwrap_or_default().to_lowercase(),
                pair[1].as_str().unwrap_or_default().to_owned(),
            )
        })
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    fields.sort();
    (echo["method"].clone(), echo["path"].clone(), echo["body"].clone(), fields)
}

#[test]
fn the_printed_curl_line_asks_for_the_same() {
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let (origin, folder) = (origin(), Folder::new());
    folder.write("f", "a\nb'\"$x\\\n");
    let redirected = origin.url("/r?redirect=%2Fecho%3Fto");
    let echo = origin.url("/echo?q=[1]{2}&x='$y");
    for (options, url) in [
        (&[][..], &echo),
        (&["-d", "a=b c", "-H", "X-A: it's", "-H", "X-B;", "-u", "a:b'c"], &echo),
        (&["--data-binary", "@f", "-X", "PUT", "-r", "0-5", "-e", "http://r/"], &echo),
        (&["--json", "{\"a\":[1,2]}"], &echo),
        (&["-G", "--data-urlencode", "q=ä &", "-b", "a=b; c=d"], &echo),
        (&["-d", "a=b", "-b", "s=1"], &redirected),
        (&["-m", "20", "--retry", "0", "--retry-delay", "1", "--compressed", "--tlsv1.2"], &echo),
    ] {
        let args = || ["-g"].iter().chain(options).copied().chain([url.as_str()]);
        let printed = folder.run(["--curl"].into_iter().chain(args()));
        assert_eq!((printed.code, printed.out().lines().count()), (0, 1), "{printed:?}");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(printed.out()).current_dir(folder.path());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        let theirs: Ran = end(shell.spawn().expect("a shell starts"));
        assert_eq!(theirs.code, 0, "{}: {theirs:?}", printed.out());
        assert_eq!(of_both(&theirs.echo()), of_both(&folder.run(args()).echo()), "{}", printed.out());
    }
}

#[test]
fn a_curl_line_is_printed_for_each_url_and_none_is_fetched() {
    let (origin, folder) = (origin(), Folder::new());
    let list = format!("{}\n{}\n", origin.url("/a"), origin.url("/b"));
    let ran = folder.feed(["--curl", "-i", "-", "-P", "d", "--include", "--max-size", "1K"], &list);
    let lines: Vec<_> = ran.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!((ran.code, lines.len(), origin.counts().connections), (0, 2, 0));
    assert!(ran.out().contains(" -i --max-filesize 1024 -o d/a "), "{}", ran.out());
    assert!(folder.names(".").is_empty());
    assert_eq!(folder.run(["--curl", "--dry-run", "http://h/"]).code, 2);
}

#[test]
fn progress_is_shown_as_asked() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?text=x&delay=1300");
    let ran = folder.run(["--progress", "json", "--no-body", &url]);
    let line = ran.stderr.lines().next().unwrap_or_default();
    let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!((&told["type"], &told["inputs"]), (&"progress".into(), &1.into()));
    let quick = origin.url("/?text=x");
    for how in ["plain", "none", "auto"] {
        let ran = folder.run(["--progress", how, &quick]);
        assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "x", ""), "{how}");
    }
    let bar = folder.run(["-#", "-o", "x", &origin.url("/?text=x&delay=300")]);
    assert!(bar.code == 0 && !bar.stderr.is_empty(), "{bar:?}");
    assert_eq!(folder.run(["--progress", "loud", &quick]).code, 2);
}

#[test]
fn colours_are_as_asked_whatever_the_environment_says() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=404");
    let is_coloured = |rule: &[&str], variable: &str| {
        let mut command = folder.command(rule.iter().copied().chain([url.as_str()]));
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env(variable, "1");
        end(command.spawn().expect("it starts")).stderr.contains('\u{1b}')
    };
    assert!(is_coloured(&["--color", "always"], "NO_COLOR") && is_coloured(&[], "CLICOLOR_FORCE"));
    assert!(!is_coloured(&["--color", "never"], "CLICOLOR_FORCE") && !is_coloured(&[], "NO_COLOR"));
}

#[test]
fn pairs_of_url_and_output_come_from_a_file() {
    let (origin, folder) = (origin(), Folder::new());
    let pair = |n: u32| format!("url = \"{}\"\noutput = \"f{n}\"\n", origin.url(&format!("/?text={n}")));
    folder.write("k", &(pair(1) + &pair(2)));
    assert_eq!(folder.run(["-s", "-K", "k"]).code, 0);
    assert_eq!((folder.read("f1"), folder.read("f2")), ("1".into(), "2".into()));
    let third = origin.url("/?text=3");
    assert_eq!(folder.run(["-s", "-K", "k", &third, "-o", "f3"]).code, 0);
    assert_eq!((folder.read("f2"), folder.read("f3")), ("2".into(), "3".into()));
    let ran = folder.feed(["-K", "-", "-w", "@-"], &pair(1));
    assert!(ran.code == 2 && ran.stderr.contains("-K -"), "{ran:?}");
}

#[test]
fn settings_of_the_environment_hold_for_race_and_check_as_far_as_they_have_them() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?text=x");
    let with = |word: &str, settings: &[(&str, &str)]| {
        let mut command = folder.command([word, &url]);
        command.envs(settings.iter().copied());
        end(command.spawn().expect("it starts"))
    };
    let ran = with(
        "race",
        &[("GANNET_WRITE_OUT", "[%{http_code}]"), ("GANNET_HEDGE", "1s"), ("GANNET_UNTIL", "first")],
    );
    assert_eq!((ran.code, ran.out().as_str()), (0, "x[200]"));
    let ran = with("check", &[("GANNET_DIRECTORY_PREFIX", "d"), ("GANNET_HEADER", "X-A: 1")]);
    assert!(ran.code == 0 && ran.out().starts_with("200  ") && folder.names(".").is_empty(), "{ran:?}");
    assert_eq!(with("check", &[("GANNET_NONSENSE", "1")]).code, 2);
}
