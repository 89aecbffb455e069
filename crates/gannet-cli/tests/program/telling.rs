//! What is told about a URL beside its body: heads, lines of `-w` and of `check`, plans. Of redirects and failures most
//! of all, where habits from other tools may mislead.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::fixture::{Folder, end, origin};

#[test]
fn the_head_that_is_told_is_that_of_the_last_reply() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?redirect=/b");
    for options in [&["-I"][..], &["--include"], &["-D", "-", "-o", "/dev/null"]] {
        let ran = folder.run(options.iter().copied().chain([url.as_str()]));
        let out = ran.out();
        assert_eq!((ran.code, out.matches("HTTP/1.1 ").count()), (0, 1), "{options:?}: {out}");
        assert!(out.starts_with("HTTP/1.1 200 OK\r\n"), "{options:?}: {out}");
    }
    let out = folder.run(["-I", "--no-location", &url]).out();
    assert!(out.starts_with("HTTP/1.1 302 Found\r\n") && out.contains("location: /b\r\n"), "{out}");
}

#[test]
fn a_refused_head_is_told_to_a_file_and_before_a_body_only_if_that_is_kept() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=404&text=no");
    for options in [&["--include"][..], &["-D", "-"]] {
        let ran = folder.run(options.iter().copied().chain([url.as_str()]));
        assert_eq!((ran.code, ran.out().as_str()), (3, ""), "{options:?}");
        let ran = folder.run(options.iter().copied().chain(["--fail-with-body", &url]));
        assert!(ran.code == 3 && ran.out().starts_with("HTTP/1.1 404 Not Found\r\n"), "{ran:?}");
    }
    assert!(folder.run(["-I", &url]).out().starts_with("HTTP/1.1 404 Not Found\r\n"));
    folder.run(["-D", "heads", "--no-body", &url]);
    assert!(folder.read("heads").starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[test]
fn what_w_says_of_redirects_and_failures_is_what_is_known() {
    let (origin, folder) = (origin(), Folder::new());
    let format = "%{http_code} %{num_redirects} %{url_effective} %{redirect_url} %{error} %{exitcode}";
    let said = |options: &[&str], url: &str| {
        folder.run([&["-s", "--no-body", "-w", format], options, &[url]].concat()).out()
    };
    let (start, place) = (origin.url("/a?redirect=/b"), origin.url("/b"));
    assert_eq!(said(&[], &start), format!("200 1 {place}   0"));
    assert_eq!(said(&["--no-location"], &start), format!("302 0 {start} {place}  0"));
    let missing = origin.url("/?status=404");
    assert_eq!(said(&[], &missing), format!("404 0 {missing}  reply.status 22"));
    let circle = origin.url("/?loop");
    assert_eq!(said(&["--max-redirs", "2"], &circle), format!("302 2 {circle}  redirect.too_many 47"));
}

#[test]
fn a_plan_sends_nothing_makes_nothing_and_names_places_and_limits() {
    let (origin, folder) = (origin(), Folder::new());
    std::fs::create_dir(folder.path().join("out")).expect("a folder");
    folder.write("out/1", "there");
    let pattern = origin.url("/[1-2]");
    let ran = folder.run(["--dry-run", "-P", "out", "-m", "5", "--report", "r", &pattern]);
    let (one, two) = (origin.url("/1"), origin.url("/2"));
    assert_eq!((ran.code, ran.out()), (0, format!("{one} -> out/1 (there already)\n{two} -> out/2\n")));
    assert!(
        ran.stderr.starts_with("1 to fetch, 1 there already; nothing was sent\nlimits: -j 64, "),
        "{ran:?}"
    );
    assert_eq!(
        (origin.counts().connections, folder.names("."), folder.names("out")),
        (0, vec!["out".into()], vec!["1".into()])
    );
    let ran = folder.feed(["--dry-run", "-i", "-", "--no-body"], &format!("{one}\nftp://x/\n"));
    assert_eq!((ran.code, ran.out()), (1, format!("{one} -> nowhere\n")));
    let ran = folder.run(["--curl", "-X", "PUT", &one]);
    assert!(ran.out().starts_with("curl ") && ran.out().trim_end().ends_with(&one), "{ran:?}");
    assert_eq!(origin.counts().connections, 0);
}

#[test]
fn check_says_a_line_for_each_url_and_ends_as_get_does() {
    let (origin, folder) = (origin(), Folder::new());
    let (here, gone) = (origin.url("/a?text=x"), origin.url("/b?status=404"));
    let nobody = format!("http://{}/", gannet_origin::refusing_addr().expect("a free port"));
    let ran = folder.run(["check", "-j", "1", "--retry", "0", &here, &gone, &nobody]);
    let out = ran.out();
    let told: Vec<(&str, &str)> =
        out.lines().filter_map(|line| Some((line.get(..3)?, line.rsplit("  ").next()?))).collect();
    assert_eq!(told, [("200", here.as_str()), ("404", gone.as_str()), ("000", nobody.as_str())], "{ran:?}");
    let code = |url: &str| folder.run(["check", "--retry", "0", url]).code;
    assert_eq!((ran.code, code(&here), code(&gone)), (1, 0, 3));
    let ran = folder.run(["check", "--report", "-", &here]);
    assert_eq!((ran.code, ran.out().as_str()), (2, ""));
}

#[test]
fn an_output_that_is_full_ends_with_6() {
    let (origin, folder) = (origin(), Folder::new());
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let mut command = folder.command([origin.url("/?size=100k")]);
    let ran = end(command.stdout(full).spawn().expect("the program starts"));
    assert_eq!(ran.code, 6, "{ran:?}");
    let rest = [origin.url("/?size=100k"), origin.url("/b")];
    let ran = folder.run(["-j", "1", "-o", "/dev/full", "-o", "b", &rest[0], &rest[1]]);
    assert_eq!((ran.code, origin.requests_to("/b")), (6, 0), "{ran:?}");
}

#[test]
fn a_plan_for_an_output_that_is_full_says_so_each_time() {
    let folder = Folder::new();
    for _ in 0..20 {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
        let mut command = folder.command(["--dry-run", "http://a.example/"]);
        let ran = end(command.stdout(full).spawn().expect("the program starts"));
        assert_eq!(ran.code, 6, "{ran:?}");
        assert!(ran.stderr.starts_with("error: standard output cannot be written\n  why: "), "{ran:?}");
    }
}

#[test]
fn progress_that_is_asked_for_is_told_to_those_who_want_errors_only() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?never");
    let said = |options: &[&str]| {
        let ran = folder.run([options, &["--progress", "json", "--deadline", "1500ms", &url]].concat());
        assert_eq!(ran.code, 4, "{ran:?}");
        ran.stderr
    };
    let json = said(&["-q"]).lines().any(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    assert!(json, "a line of JSON each second");
    assert_eq!(said(&["-s"]), "");
    assert!(said(&["-sS"]).starts_with("error: "), "no progress with -s");
}

#[test]
fn a_folder_that_is_missing_can_be_made() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-o", "d/x", &origin.url("/x")]);
    assert!(ran.code == 3 && ran.stderr.contains("let --create-dirs make it"), "{ran:?}");
}

#[test]
fn limits_are_told_with_their_values_and_flags_that_there_are() {
    let (origin, folder) = (origin(), Folder::new());
    let said = |options: &[&str], url: &str| folder.run([options, &[url]].concat()).stderr;
    let told = said(&["--max-redirs", "2"], &origin.url("/?loop"));
    assert!(told.contains("more than 2 redirects (--max-redirs 2)"), "{told}");
    let told = said(&["--max-size", "10"], &origin.url("/?size=1k"));
    assert!(told.contains("over its limit of 10 bytes (--max-size)"), "{told}");
    let told = said(&[], &origin.url("/?status=503&header=Retry-After:3600"));
    assert!(
        told.contains("wants us back in 3600 s, which is too long to wait (--retry-after-max)\n"),
        "{told}"
    );
}

#[test]
fn a_stalled_reader_does_not_hold_up_the_deadline() {
    let (origin, folder) = (origin(), Folder::new());
    let begun = Instant::now();
    let mut command = folder.command(["--deadline", "500ms", "-s", &origin.url("/?size=100m")]);
    let mut child = command.stderr(Stdio::null()).spawn().expect("the program starts");
    // The pipe stays open, and nobody reads it.
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(4));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn cookies_are_kept_when_asked_for_and_written_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?header=Set-Cookie:k=v&redirect=/echo");
    let sent = |options: &[&str]| {
        let echo = folder.run(options.iter().copied().chain([url.as_str()])).echo();
        let fields = echo["headers"].as_array().cloned().unwrap_or_default();
        fields.iter().find(|field| field[0] == "cookie").map(|field| field[1].clone())
    };
    assert_eq!(sent(&[]), None, "a cookie is forgotten unless it is to be kept");
    assert_eq!(sent(&["-b", "a=b"]), Some("a=b".into()));
    assert_eq!(sent(&["-b", "none", "-b", "a=b"]), Some("a=b; k=v".into()));
    assert_eq!(sent(&["-c", "jar"]), Some("k=v".into()));
    assert!(folder.read("jar").ends_with("\t/\tFALSE\t0\tk\tv\n"), "{}", folder.read("jar"));
    let mode = std::fs::metadata(folder.path().join("jar")).expect("it was written").permissions().mode();
    assert_eq!((mode & 0o777, folder.names(".")), (0o600, vec!["jar".to_owned()]));
}

#[test]
fn a_url_is_asked_for_as_it_is_unless_compressed() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?coding=gzip&text=hello");
    let plain = folder.run([&url]);
    assert_eq!((plain.code, plain.stdout.get(..2)), (0, Some(&[0x1f, 0x8b][..])));
    assert_eq!(folder.run(["--compressed", &url]).out(), "hello");
    folder.run(["--compressed", "-o", "x", &url]);
    assert_eq!(folder.read("x"), "hello");
    let echo =
        |options: &[&str]| folder.run(options.iter().copied().chain([origin.url("/echo").as_str()])).out();
    assert!(
        !echo(&[]).contains("accept-encoding") && echo(&["--compressed"]).contains("gzip, br, zstd, deflate")
    );
}

#[test]
fn folders_are_made_by_p_and_by_create_dirs_and_else_must_be_there() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/x?text=hello");
    for options in [&["-O", "--output-dir", "d"][..], &["-o", "d/x"]] {
        let ran = folder.run(options.iter().copied().chain([url.as_str()]));
        assert!(ran.code == 3 && folder.names(".").is_empty(), "{ran:?}");
        assert_eq!(folder.run(options.iter().copied().chain(["--create-dirs", &url])).code, 0);
        assert_eq!(folder.read("d/x"), "hello");
        std::fs::remove_dir_all(folder.path().join("d")).expect("it was made");
    }
    assert_eq!((folder.run(["-P", "e/f", &url]).code, folder.read("e/f/x_text=hello")), (0, "hello".into()));
}

#[test]
fn a_body_that_is_no_text_is_kept_from_a_terminal() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/x?text=a%00b");
    let on_terminal = |line: &str| {
        let program = env!("CARGO_BIN_EXE_gannet");
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &format!("'{program}' {line} '{url}'"), "/dev/null"]);
        command.current_dir(folder.path()).env("XDG_CONFIG_HOME", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        end(command.spawn().expect("a terminal is made"))
    };
    let refused = on_terminal("");
    assert!(refused.code == 3 && refused.out().contains("would garble this terminal"), "{refused:?}");
    let forced = on_terminal("-o -");
    assert_eq!((forced.code, forced.stdout.as_slice()), (0, &b"a\0b"[..]));
}

#[test]
fn a_pattern_of_very_many_is_left_where_it_is_at_the_deadline() {
    let (origin, folder) = (origin(), Folder::new());
    let begun = Instant::now();
    let url = origin.url("/[1-1000000000]?never");
    let ran = folder.run(["--deadline", "300ms", "--no-body", "-s", "--report", "r", &url]);
    let inputs = folder.report("r").1["inputs"].as_u64().expect("a number");
    assert!(ran.code == 4 && inputs < 1_000_000_000, "{inputs}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
