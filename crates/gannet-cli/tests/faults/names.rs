//! Names of files that come from elsewhere, and what stands in their way: whatever a URL or an entry of a list calls
//! its file, it lies in the output's folder, and nothing outside of it is written.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use gannet_origin::{Origin, body};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::fixture::{Folder, LONG, Speech, code_of, wait};

/// The length of bodies that go through part files, in bytes.
const LENGTH: usize = 900_000;

/// What a run left behind.
struct End {
    code: i32,
    rows: Vec<Value>,
    said: String,
}

/// A run in `folder` below a shell that first does something.
fn start(folder: &Folder, before: &str, list: &[Value], options: &str) -> std::process::Child {
    let text: String = list.iter().map(|entry| format!("{entry}\n")).collect();
    folder.write("list.jsonl", text.as_bytes());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_gannet")]);
    shell.args(["-i", "list.jsonl", "--report", "report", "--report-order", "input", "--deadline", "10s"]);
    shell.args(options.split_whitespace()).env("XDG_CONFIG_HOME", "/dev/null");
    let stderr = fs::File::create(folder.path("stderr")).expect("a file can be made");
    shell.current_dir(folder.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    shell.spawn().expect("a shell starts")
}

fn ended(folder: &Folder, child: std::process::Child) -> End {
    let code = wait(child, LONG);
    let said = folder.text("stderr");
    assert!(!said.contains("panicked"), "{said}");
    let rows = folder.text("report");
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("a row of JSON"));
    let rows = rows.filter(|row| row["type"] == "result").collect();
    let parts = folder.files_below("").into_iter().filter(|name| name.ends_with(".part")).count();
    assert_eq!(parts, 0, "what is not whole is left behind");
    End { code, rows, said }
}

fn run(folder: &Folder, list: &[Value], options: &str) -> End {
    ended(folder, start(folder, ":", list, options))
}

/// The codes of the rows, or `ok`.
fn codes(end: &End) -> Vec<String> {
    end.rows.iter().map(|row| code_of(row).to_owned()).collect()
}

/// Holds that each row's file lies below `out`, under a name that is safe everywhere, and that nothing else was made.
fn hold_to_safe_names(folder: &Folder, end: &End) {
    let told: Vec<&str> = end.rows.iter().filter_map(|row| row["body"]["path"].as_str()).collect();
    for path in &told {
        let parts: Vec<&str> = path.split('/').collect();
        assert_eq!(parts[0], "out", "{path:?}");
        for part in &parts[1..] {
            assert!(!part.is_empty() && part.len() <= 255, "{path:?}");
            assert!(!part.starts_with(['.', '-']) && !part.ends_with(['.', ' ']), "{path:?}");
            let is_bad = |letter: char| letter.is_control() || "\\:\u{202e}".contains(letter);
            assert!(!part.contains(is_bad) && !part.eq_ignore_ascii_case("con"), "{path:?}");
        }
        assert!(folder.path(path).is_file(), "{path:?} is reported and not there");
    }
    let mut found = folder.files_below("");
    found.retain(|name| !["list.jsonl", "report", "stderr"].contains(&name.trim_start_matches("./")));
    assert_eq!(found.len(), told.len(), "{found:?}");
}

/// Hostile names as a caller may give them, and the names that they become below the folder.
fn hostile() -> Vec<(String, String)> {
    let named = [
        ("../../x", "_/_/x"),
        ("/etc/passwd", "etc/passwd"),
        ("a\\..\\b", "a_.._b"),
        ("C:\\x", "C__x"),
        ("a\0b", "a_b"),
        (".", "index.html"),
        ("s/..", "s/_"),
        ("CON", "_CON"),
        ("gpj.\u{202e}exe", "gpj._exe"),
        ("-rf", "_rf"),
        ("t. .", "t"),
        ("n\nl", "n_l"),
        ("d/../../../e", "d/_/_/_/e"),
        (".ssh/authorized_keys", "_ssh/authorized_keys"),
    ];
    let long = ("l".repeat(300) + ".iso", "l".repeat(251) + ".iso");
    named.into_iter().map(|(given, safe)| (given.to_owned(), safe.to_owned())).chain([long]).collect()
}

#[test]
fn row_58_a_hostile_name_of_a_list_lies_in_the_folder_and_is_told() {
    for speech in [Speech::Http1] {
        let (server, folder) = (speech.server(), Folder::new());
        let names = hostile();
        let list: Vec<Value> = names
            .iter()
            .map(|(name, _)| json!({"url": server.origin.url("/a?text=x"), "name": name}))
            .collect();
        let end = run(&folder, &list, "-P out");
        assert_eq!(end.code, 0, "{}", end.said);
        hold_to_safe_names(&folder, &end);
        for ((given, safe), row) in names.iter().zip(&end.rows) {
            assert_eq!(row["body"]["path"], format!("out/{safe}"), "{given:?}");
        }
    }
}

#[test]
fn row_58_a_hostile_name_of_a_url_lies_in_the_folder_and_is_told() {
    let (server, folder) = (Speech::Http1.server(), Folder::new());
    let ends = [
        "%2e%2e%2f%2e%2e%2fx",
        "%2fetc%2fpasswd",
        "..%5c..%5cx",
        "C:%5cx",
        "a%00b",
        "%2e",
        "%2e%2e",
        "CON",
        "gpj.%e2%80%aeexe",
        "-rf",
        "t.%20.",
        "n%0al",
        &"l".repeat(300),
        "%c3%28",
    ];
    let list: Vec<Value> =
        ends.iter().map(|end| json!({"url": server.origin.url(&format!("/d/{end}"))})).collect();
    for options in
        ["-P out", "-P out --name {base} --if-exists overwrite", "-P out --name {path} --if-exists overwrite"]
    {
        let _ = fs::remove_dir_all(folder.path("out"));
        let end = run(&folder, &list, options);
        assert_eq!(end.code, 0, "{options}: {}", end.said);
        hold_to_safe_names(&folder, &end);
    }
}

#[test]
fn row_58_names_of_aria2_and_metalink_lie_in_the_folder() {
    let (server, folder) = (Speech::Http1.server(), Folder::new());
    let url = server.origin.url("/x?text=x");
    let lists = [
        ("a.aria2", format!("{url}\n  out=../../o\n  dir=/../../d\n")),
        ("a.meta4", format!("<metalink><file name=\"/../../m\"><url>{url}</url></file></metalink>")),
        ("a.csv", format!("url,name\n{url},../../c\n")),
    ];
    for (name, list) in lists {
        folder.write(name, list.as_bytes());
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["-i", name, "-P", "in/out", "-s"]).env("XDG_CONFIG_HOME", "/dev/null");
        let child =
            command.current_dir(folder.path("")).stdin(Stdio::null()).spawn().expect("the program starts");
        assert_eq!(wait(child, LONG), 0, "{name}");
    }
    let mut files = folder.files_below("in");
    files.sort();
    assert_eq!(files, ["in/out/_/_/c", "in/out/_/_/d/_/_/o", "in/out/_/_/m"]);
}

#[test]
fn row_59_a_name_in_content_disposition_is_not_taken() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let header = "header=Content-Disposition:attachment%3bfilename%3d..%252f..%252fevil";
        let end = server.trial([format!("/plain?text=x&{header}")]).run();
        assert_eq!(end.code, 0, "{end:?}");
        let files = end.folder.files_below("out");
        assert!(files.len() == 1 && files[0].starts_with("out/plain"), "{files:?}");
    }
}

#[test]
fn row_60_urls_of_one_name_get_a_file_each_and_their_bytes_never_mix() {
    let (server, folder) = (Speech::Http1.server(), Folder::new());
    let names = ["same", "same", "SAME", "./same", "\u{e9}", "e\u{301}", "\u{c9}"];
    let list: Vec<Value> = (1..)
        .zip(names)
        .map(|(seed, name)| {
            let path = format!("/x?size={LENGTH}&seed={seed}");
            json!({"url": server.origin.url(&path), "name": name})
        })
        .collect();
    let end = run(&folder, &list, "-P out --per-host 10");
    assert_eq!((end.code, folder.files_below("out").len()), (0, names.len()), "{}", end.said);
    for (seed, row) in (1..).zip(&end.rows) {
        let path = row["body"]["path"].as_str().expect("a path");
        assert!(fs::read(folder.path(path)).expect("it is there") == body(LENGTH, seed), "{path}");
    }
    let path = |seq: usize| end.rows[seq]["body"]["path"].as_str().expect("a path").to_owned();
    assert_eq!([path(0), path(1), path(2), path(3)], ["out/same", "out/same.1", "out/SAME.2", "out/same.3"]);
    assert_eq!([path(4), path(5), path(6)], ["out/\u{e9}", "out/e\u{301}.5", "out/\u{c9}.6"]);
}

/// Starts a run, waits until its body has begun, does something, and waits for its end.
fn meanwhile(folder: &Folder, origin: &Origin, name: &str, options: &str, act: impl FnOnce()) -> End {
    let url = origin.url(&format!("/slow?size={LENGTH}&seed=1&drip=40000/30ms"));
    let child = start(folder, ":", &[json!({"url": url, "name": name})], options);
    let has_part = || {
        let files = if folder.path("out").is_dir() { folder.files_below("out") } else { Vec::new() };
        files.iter().any(|name| name.ends_with(".part"))
    };
    let begun = std::time::Instant::now();
    while !has_part() {
        assert!(begun.elapsed() < LONG, "no part file appears: {}", folder.text("stderr"));
        std::thread::yield_now();
    }
    act();
    ended(folder, child)
}

#[test]
fn row_61_links_at_the_target_and_in_a_parent_are_not_followed() {
    let (server, folder) = (Speech::Http1.server(), Folder::new());
    folder.write("outside/kept", b"kept");
    fs::create_dir(folder.path("out")).expect("a folder can be made");
    symlink("../outside", folder.path("out/sub")).expect("a link can be made");
    symlink("../outside/kept", folder.path("out/link")).expect("a link can be made");
    symlink("../outside/new", folder.path("out/loose")).expect("a link can be made");
    let url = server.origin.url(&format!("/x?size={LENGTH}"));
    let list = ["sub/x", "sub/kept", "link", "loose"].map(|name| json!({"url": url, "name": name}));
    for rule in ["skip", "fail", "rename", "overwrite"] {
        let end = run(&folder, &list, &format!("-P out --if-exists {rule}"));
        assert_eq!(codes(&end)[..2], ["sink.bad_place", "sink.bad_place"], "{rule}: {}", end.said);
        assert_eq!(folder.files_below("outside"), ["outside/kept"], "{rule}");
        assert_eq!(folder.text("outside/kept"), "kept", "{rule}");
    }
}

#[test]
fn row_61_a_link_that_is_put_in_the_way_meanwhile_leads_nowhere() {
    let server = Speech::Http1.server();
    for rule in ["skip", "overwrite"] {
        let folder = Folder::new();
        folder.write("outside/kept", b"kept");
        let end = meanwhile(&folder, &server.origin, "d/x", &format!("-P out --if-exists {rule}"), || {
            fs::rename(folder.path("out/d"), folder.path("out/away")).expect("it can be moved");
            symlink("../outside", folder.path("out/d")).expect("a link can be made");
        });
        // Its folder was moved: the file is in it.
        assert_eq!(folder.files_below("outside"), ["outside/kept"], "{rule}: {}", end.said);
        let folder = Folder::new();
        folder.write("outside/kept", b"kept");
        let end = meanwhile(&folder, &server.origin, "x", &format!("-P out --if-exists {rule}"), || {
            symlink("../outside/kept", folder.path("out/x")).expect("a link can be made");
        });
        assert_eq!(folder.text("outside/kept"), "kept", "{rule}: {}", end.said);
        let wanted = if rule == "skip" { "sink.exists" } else { "ok" };
        assert_eq!(codes(&end), [wanted], "{}", end.said);
    }
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO can be made");
}

#[test]
fn row_62_a_hard_linked_target_leaves_its_other_name_as_it_was() {
    let (server, folder) = (Speech::Http1.server(), Folder::new());
    folder.write("other", b"kept");
    fs::create_dir(folder.path("out")).expect("a folder can be made");
    fs::hard_link(folder.path("other"), folder.path("out/x")).expect("a link can be made");
    let list = [json!({"url": server.origin.url("/x?text=new"), "name": "x"})];
    assert_eq!(run(&folder, &list, "-P out").rows[0]["outcome"], "skipped");
    assert_eq!(folder.text("out/x"), "kept");
    assert_eq!(run(&folder, &list, "-P out --if-exists overwrite").code, 0);
    assert_eq!((folder.text("out/x"), folder.text("other")), ("new".into(), "kept".into()));
}

#[test]
fn row_62_a_fifo_is_refused_below_a_folder_and_written_to_as_the_users_own() {
    let (server, folder) = (Speech::Http1.server(), Folder::new());
    fs::create_dir(folder.path("out")).expect("a folder can be made");
    fifo(&folder.path("out/x"));
    let list =
        [json!({"url": server.origin.url("/x")}), json!({"url": server.origin.url("/y"), "name": "x"})];
    for rule in ["skip", "overwrite", "fail"] {
        let end = run(&folder, &list[..1], &format!("-P out --if-exists {rule}"));
        assert_eq!(codes(&end), ["sink.bad_place"], "{rule}: {}", end.said);
    }
    assert_eq!(codes(&run(&folder, &list[1..], "-P out")), ["sink.bad_place"]);
    assert_eq!(server.origin.counts().requests, 0, "it is told before anything is sent");
    let place = folder.path("out/x");
    let reader: JoinHandle<Vec<u8>> = std::thread::spawn(move || fs::read(place).expect("it can be read"));
    let own = |file: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["-s", "-o", file, &server.origin.url(&format!("/own?size={LENGTH}&seed=5"))]);
        command.current_dir(folder.path("")).env("XDG_CONFIG_HOME", "/dev/null").stdin(Stdio::null());
        wait(command.spawn().expect("the program starts"), LONG)
    };
    assert_eq!(own("out/x"), 0);
    assert!(reader.join().expect("no panic") == body(LENGTH, 5), "other bytes came through");
    assert!(fs::symlink_metadata(folder.path("out/x")).expect("it stands").file_type().is_fifo());
    assert_eq!(own("/dev/null"), 0);
    assert!(fs::metadata("/dev/null").expect("it stands").file_type().is_char_device());
}

#[test]
fn row_63_new_files_have_what_the_umask_leaves_and_cookies_are_their_owners_alone() {
    let server = Speech::Http1.server();
    for (mask, file, made) in
        [("022", 0o644, 0o755), ("027", 0o640, 0o750), ("077", 0o600, 0o700), ("002", 0o664, 0o775)]
    {
        let folder = Folder::new();
        let list = [
            json!({"url": server.origin.url("/a?text=x"), "name": "d/small"}),
            json!({"url": server.origin.url(&format!("/b?size={LENGTH}")), "name": "d/large"}),
        ];
        let end = ended(&folder, start(&folder, &format!("umask {mask}"), &list, "-P out -c jar"));
        assert_eq!(end.code, 0, "{}", end.said);
        let mode = |name: &str| {
            let met = fs::metadata(folder.path(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"));
            assert!(met.is_dir() || met.nlink() == 1, "{name} has another name");
            met.permissions().mode() & 0o7777
        };
        assert_eq!([mode("out/d/small"), mode("out/d/large")], [file, file], "umask {mask}");
        assert_eq!([mode("out"), mode("out/d")], [made, made], "umask {mask}");
        assert_eq!(mode("jar"), 0o600, "umask {mask}");
    }
}
