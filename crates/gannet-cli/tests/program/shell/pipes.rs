//! Lines whose other end is slow, or goes away, or waits.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use gannet_origin::Origin;

use super::{sh, shell};
use crate::fixture::{Folder, LONG, end, origin, start};

#[test]
fn head_ends_a_long_body_silently() {
    let (folder, origin) = (Folder::new(), origin());
    let url = origin.url("/big?size=100000000");
    let script = r#"gannet "$URL" | head -c 10 | wc -c; echo "${PIPESTATUS[0]}""#;
    let ran = sh(&folder, script, &[("URL", &url)]);
    assert_eq!((ran.out().as_str(), ran.stderr.as_str()), ("10\n141\n", ""));
}

#[test]
fn a_large_archive_is_unpacked_as_it_comes_in_constant_memory() {
    let folder = Folder::new();
    let made = sh(
        &folder,
        "mkdir in && head -c 100000000 /dev/zero > in/zeros && head -c 10000000 /dev/urandom > in/noise && tar cz in > a.tgz && rm -r in",
        &[],
    );
    assert_eq!(made.code, 0, "{made:?}");
    let archive = std::fs::read(folder.path().join("a.tgz")).expect("the archive");
    let origin = start(Origin::builder().file("/a.tgz", "application/gzip", archive));
    let script =
        r#"gannet "$URL" | tar xz && cmp <(head -c 100000000 /dev/zero) in/zeros && wc -c < in/noise"#;
    let mut child =
        shell(&folder, script, &[("URL", &origin.url("/a.tgz"))]).spawn().expect("a shell starts");
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        peak = peak.max(most_memory_of_a_gannet_below(child.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    let ran = end(child);
    assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "10000000\n", ""));
    assert!(peak > 1_000 && peak < 64_000, "{peak} kB");
}

/// The most memory that the program held so far, as a child of this process, in kilobytes; 0 where there is none.
fn most_memory_of_a_gannet_below(parent: u32) -> u64 {
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let status = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("status")).ok();
    let is_ours = |status: &String| {
        field(status, "Name:").as_deref() == Some("gannet")
            && field(status, "PPid:").as_deref() == Some(parent.to_string().as_str())
    };
    let peak = |status: String| field(&status, "VmHWM:")?.parse().ok();
    processes.filter_map(status).filter(is_ours).filter_map(peak).max().unwrap_or(0)
}

#[test]
fn events_are_printed_as_they_come() {
    let (folder, origin) = (Folder::new(), origin());
    let url = origin.url("/events?count=3&every=200ms");
    let mut child = shell(&folder, r#"exec gannet -N "$URL""#, &[("URL", &url)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let begun = Instant::now();
    let mut first = String::new();
    out.read_line(&mut first).expect("the first event");
    assert!(first.contains(':'), "{first:?}");
    assert!(child.try_wait().expect("a child").is_none(), "the first event came before the end");
    assert!(begun.elapsed() < LONG);
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the other events");
    assert!(child.wait().expect("an end").success());
    assert!(begun.elapsed() > Duration::from_millis(200), "the events came one after the other");
}

#[test]
fn a_script_waits_until_a_service_is_up() {
    let (folder, origin) = (Folder::new(), origin());
    let address = origin.url("/health?script=503,503,200").trim_start_matches("http://").to_owned();
    let script = r#"until gannet check --retry 0 "$URL" 2>/dev/null; do :; done; echo up"#;
    let ran = sh(&folder, script, &[("URL", &address)]);
    let lines: Vec<String> = ran.out().lines().map(str::to_owned).collect();
    assert_eq!((ran.code, lines.len()), (0, 4), "{ran:?}");
    assert!(lines[0].starts_with("503  ") && lines[2].starts_with("200  ") && lines[3] == "up", "{lines:?}");
}

#[test]
fn check_waits_for_a_service_by_itself() {
    let (folder, origin) = (Folder::new(), origin());
    let url = origin.url("/health?script=503,503,503,503,503,200");
    let ran = sh(&folder, r#"gannet check --retry inf --deadline 60s "$URL""#, &[("URL", &url)]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out().starts_with("200  ") && ran.out().trim_end().ends_with(&url), "{ran:?}");
    let never = origin.url("/never?status=503");
    let ran = sh(&folder, r#"gannet check --retry inf --deadline 1s "$URL""#, &[("URL", &never)]);
    assert_eq!(ran.code, 3, "a pause that ends after the deadline is not slept for: {ran:?}");
    assert!(ran.out().starts_with("503  ") && ran.stderr.contains("after the deadline"), "{ran:?}");
}
