//! Where bodies are placed: folders and names, globs, media types, what is held for standard output.

use gannet_origin::Origin;

use crate::fixture::{Folder, origin, start};

#[test]
fn an_output_folder_has_to_be_there_unless_it_may_be_made() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/p/name?text=x");
    let ran = folder.run(["--output-dir", "d", "-o", "s/x", &url]);
    assert!(ran.code == 3 && ran.stderr.contains("does not exist"), "{ran:?}");
    assert_eq!((folder.names(".").len(), origin.counts().requests), (0, 0));
    assert_eq!(folder.run(["--output-dir", "d", "--create-dirs", "-o", "s/x", &url]).code, 0);
    assert_eq!(folder.run(["--output-dir", "d", "-O", &url]).code, 0);
    assert_eq!((folder.names("d"), folder.read("d/s/x")), (vec!["name".into(), "s".into()], "x".into()));
}

#[test]
fn an_absolute_name_lies_where_it_says() {
    let (origin, folder) = (origin(), Folder::new());
    std::fs::create_dir(folder.path().join("d")).expect("a folder can be made");
    let name = folder.path().join("x").display().to_string();
    let ran = folder.run(["--output-dir", "d", "-o", &name, &origin.url("/?text=x")]);
    assert_eq!((ran.code, folder.read("x").as_str(), folder.names("d").len()), (0, "x", 0));
}

#[test]
fn names_follow_a_template_and_a_wrong_one_sends_nothing() {
    let (origin, folder) = (origin(), Folder::new());
    let (first, second) = (origin.url("/a/b.txt?text=1"), origin.url("/c"));
    let ran = folder.run(["-P", "d", "--name", "{seq:03}-{{{stem}}}.{ext}", &first, &second]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(folder.names("d").contains(&"000-{b}.txt".to_owned()), "{:?}", folder.names("d"));
    for (options, said) in
        [(&["-P", "d", "--name", "{none}"][..], "{none}"), (&["--name", "{seq}"], "-P DIR")]
    {
        let ran = folder.run(options.iter().copied().chain([first.as_str()]));
        assert!(ran.code == 2 && ran.stderr.contains(said), "{ran:?}");
    }
    assert_eq!(origin.counts().requests, 2);
}

#[test]
fn other_media_types_than_the_accepted_fail_before_their_bodies() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = ["/a?text=1&type=text/html;charset=x", "/b?size=10m&type=image/png", "/c?text=3"]
        .map(|path| origin.url(path));
    let args = ["--accept", "text/*", "--accept", "a/b", "-P", "d", "--report", "r"];
    let ran = folder.run(args.into_iter().chain(urls.iter().map(String::as_str)));
    assert_eq!((ran.code, folder.names("d").len()), (1, 1));
    assert_eq!(folder.report("r").1["errors"]["reply.content_type"], 2, "{}", folder.read("r"));
    assert_eq!(ran.stderr.matches("fix: take more types with --accept").count(), 2, "{}", ran.stderr);
    let ran = folder.run(["--accept", "nonsense", &urls[0]]);
    assert!(ran.code == 2 && ran.stderr.contains("--accept nonsense"), "{ran:?}");
}

#[test]
fn files_have_the_servers_time_when_asked_so() {
    let (origin, folder) = (origin(), Folder::new());
    let (dated, undated) = (origin.url("/a?text=1&last-modified=1700000000"), origin.url("/b?text=2"));
    let ran = folder.run(["-R", "-o", "a", "-o", "b", &dated, &undated]);
    let modified = |name: &str| {
        let met = std::fs::metadata(folder.path().join(name)).expect("it is there");
        let since = met.modified().expect("a time").duration_since(std::time::UNIX_EPOCH);
        since.expect("after 1970").as_secs()
    };
    assert_eq!((ran.code, modified("a")), (0, 1_700_000_000));
    assert!(modified("b") > 1_700_000_000);
}

#[test]
fn as_many_o_as_urls_are_needed_and_all_or_none_to_standard_output() {
    let (origin, folder) = (origin(), Folder::new());
    let (one, two) = (origin.url("/1?text=1"), origin.url("/2?text=2"));
    for (options, said) in [
        ("-o x", "-o is given once for 2 URLs"),
        ("-o x -o y -o z", "-o is given 3 times for 2 URLs"),
        ("-o x -o x", "-o x is given for two URLs"),
        ("-o x -o -", "-o - contradicts -o FILE"),
        ("-o x -O", "-o x contradicts -O"),
        ("-o x -P d", "-o x contradicts -P d"),
        ("-P d --output-dir e", "-P d contradicts --output-dir e"),
        ("-P d --fail-with-body", "--fail-with-body contradicts -P d"),
        ("--no-body -O", "-O contradicts --no-body"),
        ("-o x -o y -D x", "are one file"),
        ("-o x -o y --if-exists skip --fail-with-body", "--fail-with-body contradicts --if-exists skip"),
        ("--if-exists skip", "--if-exists contradicts"),
    ] {
        let ran = folder.run(options.split(' ').chain([one.as_str(), &two]));
        assert!(ran.code == 2 && ran.stderr.contains(said), "{options}: {ran:?}");
    }
    assert_eq!(origin.counts().connections, 0);
    for options in ["-o -", "-o - -o -"] {
        let ran = folder.run(options.split(' ').chain([one.as_str(), &two]));
        assert_eq!((ran.code, ran.out().as_str()), (0, "12"), "{options}");
    }
}

#[test]
fn devices_take_any_number_of_bodies() {
    let (origin, folder) = (origin(), Folder::new());
    let (one, two) = (origin.url("/1?text=1"), origin.url("/2?text=2"));
    let ran = folder.run(["-s", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{http_code}\\n", &one, &two]);
    assert_eq!((ran.code, ran.out().as_str()), (0, "200\n200\n"));
    let ran = folder.run(["-s", "-o", "/dev/null", &origin.url("/[1-3]?text=1")]);
    assert_eq!((ran.code, origin.counts().requests), (0, 5));
}

#[test]
fn globs_name_their_files_and_one_name_is_not_for_several() {
    let (origin, folder) = (origin(), Folder::new());
    let glob = origin.url("/{a,b}[08-10]?text=#2");
    let ran = folder.run(["-o", "#1_#2", &glob]);
    let names = ["a_08", "a_09", "a_10", "b_08", "b_09", "b_10"];
    assert_eq!((ran.code, folder.names(".")), (0, names.map(String::from).to_vec()));
    let ran = folder.run(["-o", "same", &glob]);
    assert!(ran.code == 2 && ran.stderr.contains("-o same is one file for 6 URLs"), "{ran:?}");
    assert_eq!(origin.counts().requests, 6);
    let ran = folder.run(["-o", "one", &origin.url("/{a}?text=x")]);
    assert_eq!((ran.code, folder.read("one").as_str()), (0, "x"));
    let ran = folder.run(["race", "-o", "raced", &origin.url("/{a,b}?text=x")]);
    assert_eq!((ran.code, folder.read("raced").as_str()), (0, "x"));
}

#[test]
fn globs_are_switched_off_and_lists_know_none() {
    let (origin, folder) = (origin(), Folder::new());
    folder.run(["-g", "--no-body", &origin.url("/{a,b}")]);
    folder.feed(["-i", "-", "--no-body"], &origin.url("/[1-3]"));
    let paths: Vec<_> = origin.requests().into_iter().map(|one| one.path_and_query).collect();
    assert!(paths.len() == 2 && paths[0].contains("a,b") && paths[1].contains("1-3"), "{paths:?}");
}

#[test]
fn remote_names_are_those_of_the_urls_and_never_overwrite_one_another() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = ["/a/b?text=1", "/c/b?text=2", "/d/e?text=3"].map(|path| origin.url(path));
    assert_eq!(folder.run(["-O"].into_iter().chain(urls.iter().map(String::as_str))).code, 0);
    let names = folder.names(".");
    let mut texts: Vec<_> = names.iter().map(|name| folder.read(name)).collect();
    texts.sort();
    assert!(
        texts == ["1", "2", "3"] && names.contains(&"b".into()) && names.contains(&"e".into()),
        "{names:?}"
    );
}

#[test]
fn a_remote_name_is_of_the_url_asked_for_not_of_where_it_leads() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-s", "-O", &origin.url("/asked?redirect=%2Fother%3Ftext=x")]);
    assert_eq!((ran.code, folder.names("."), folder.read("asked").as_str()), (0, vec!["asked".into()], "x"));
}

#[test]
fn a_failure_leaves_neither_file_nor_part_and_the_old_one_as_it_was() {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("x", "old");
    for query in ["status=404&text=gone", "size=100k&truncate=50k", "size=100k&reset=50k"] {
        let ran = folder.run(["--retry", "0", "-o", "x", &origin.url(&format!("/?{query}"))]);
        assert_eq!((ran.code, folder.read("x").as_str(), folder.names(".").len()), (3, "old", 1), "{query}");
    }
}

#[test]
fn a_whole_body_is_retried_from_its_beginning() {
    let queries = ["size=300k&truncate=200k", "size=300k"];
    for (options, code, is_whole) in [(&["--whole"][..], 0, true), (&[], 3, false)] {
        let (origin, folder) = (start(Origin::builder().script("/x", queries)), Folder::new());
        let url = origin.url("/x");
        let ran = folder.run(options.iter().copied().chain([url.as_str()]));
        let length = ran.stdout.len();
        assert!(
            ran.code == code && (length == 300 << 10) == is_whole,
            "{options:?}: {length}, {}",
            ran.stderr
        );
    }
}

#[test]
fn a_small_buffer_costs_time_and_no_byte() {
    let (origin, folder) = (origin(), Folder::new());
    let urls: Vec<_> =
        (0..4).map(|n| origin.url(&format!("/{n}?size=3m&seed={n}&delay={}", 90 - 30 * n))).collect();
    let all = |options: &[&str]| {
        let ran = folder.run(options.iter().copied().chain(urls.iter().map(String::as_str)));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let expected = all(&["-j", "1"]);
    assert_eq!(expected.len(), 12 << 20);
    for options in [&["--max-buffer", "1M"][..], &["--max-buffer", "0"], &["--whole"], &["-N"]] {
        assert!(all(options) == expected, "{options:?}");
    }
}

#[test]
fn binary_bytes_go_to_a_pipe_as_they_are() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?size=100k");
    let ran = folder.run(["-o", "-", &url]);
    folder.run(["-o", "file", &url]);
    let file = std::fs::read(folder.path().join("file")).expect("it is there");
    assert!(ran.stdout.len() == 100 << 10 && ran.stdout == file && ran.stdout.contains(&0));
}

#[test]
fn names_of_the_users_own_that_differ_in_case_are_two_and_below_a_folder_one_is_numbered() {
    let (origin, folder) = (origin(), Folder::new());
    let (upper, lower) = (origin.url("/A1?text=1"), origin.url("/a1?text=2"));
    for options in [&["-o", "A1", "-o", "a1"][..], &["-O", "--output-dir", "."]] {
        let ran = folder.run(options.iter().copied().chain([upper.as_str(), &lower]));
        assert_eq!((ran.code, folder.read("A1").as_str(), folder.read("a1").as_str()), (0, "1", "2"));
        assert_eq!(folder.names(".").len(), 2, "{options:?}");
    }
    assert_eq!(folder.run(["-P", "d", "--name", "{stem}", &upper, &lower]).code, 0);
    assert_eq!(folder.names("d"), ["A1", "a1.1"]);
}

#[test]
fn no_body_replaces_a_file_of_the_run_itself() {
    let (origin, folder) = (origin(), Folder::new());
    std::fs::create_dir(folder.path().join("d")).expect("a folder can be made");
    let (url, other) = (origin.url("/rep.json?text=1"), origin.url("/b?text=2"));
    for (options, file) in [
        ("-O --report rep.json", "rep.json"),
        ("-O --output-dir d --report d/rep.json", "d/rep.json"),
        ("-P d --name {stem}.json --report ./d/../d/rep.json", "d/rep.json"),
    ] {
        let ran = folder.run(options.split(' ').chain([url.as_str(), &other]));
        let (rows, summary) = folder.report(file);
        assert_eq!((ran.code, rows.len()), (1, 2), "{options}: {ran:?}");
        assert_eq!(summary["errors"]["sink.exists"], 1, "{options}: {summary}");
        std::fs::remove_file(folder.path().join(file)).expect("it was there");
    }
    assert_eq!(origin.requests_to("/rep.json"), 0);
    let ran = folder.run(["--output-dir", "d", "-o", "r2", "--report", "d/r2", &url]);
    assert!(ran.code == 2 && ran.stderr.contains("--report d/r2 and -o r2 are one file"), "{ran:?}");
    let ran = folder.run(["--output-dir", "d", "-o", "r.json", "--report", "r.json", &url]);
    assert_eq!((ran.code, folder.read("d/r.json").as_str()), (0, "1"), "{ran:?}");
    assert_eq!(folder.report("r.json").0.len(), 1);
}

/// A journal in the folder of the bodies, however that is named: what is a whole body at once would be no journal.
#[test]
fn no_body_replaces_a_file_of_the_jobs_journal() {
    let (origin, folder) = (origin(), Folder::new());
    let at = |path: &str| folder.path().join(path);
    std::fs::create_dir_all(at("real/kept")).expect("a folder");
    std::os::unix::fs::symlink("real", at("link")).expect("a link");
    let names = [
        "journal.sqlite",
        "journal.sqlite-wal",
        "journal.sqlite-shm",
        "journal.sqlite-journal",
        "journal.sqlite.lock",
        "journal.sqlite.new",
        "journal.1.sqlite",
        "journal.7.sqlite",
        "Journal.sqlite",
    ];
    let urls = || names.iter().map(|name| origin.url(&format!("/{name}")) + "\n").collect::<String>();
    let named = |below: &str| -> String {
        let url = |name: &&str| origin.url(&format!("/x/{name}"));
        let line = |name: &&str| format!("{{\"url\": \"{}\", \"name\": \"{below}{name}\"}}\n", url(name));
        names.iter().map(line).collect()
    };
    let fine = origin.url("/fine") + "\n";
    for (options, list, bodies) in [
        ("-i list -P new --journal new", urls(), "new"),
        ("-i list -P made/../d --journal d", urls(), "d"),
        ("-i list -P real --journal link", urls(), "real"),
        ("-i list -P link --journal real/../real/.", urls(), "real"),
        (
            "-i list -P out --journal out/h --name {path}",
            urls().replace("/j", "/h/j").replace("/J", "/h/J"),
            "out",
        ),
        ("-i list -P o2 --journal o2/sub", named("sub/"), "o2"),
        // What begins with a dot does not keep it.
        ("-i list -P o3 --journal o3/_gannet", named(".gannet/"), "o3"),
    ] {
        folder.write("list", &format!("{list}{}", if list.starts_with('{') { "" } else { &fine }));
        let args = || options.split(' ').chain("--report r --if-exists overwrite".split(' '));
        for new_job in [None, None, Some("--new-job")] {
            let ran = folder.run(args().chain(new_job));
            let (rows, summary) = folder.report("r");
            assert_eq!(summary["errors"]["sink.exists"], names.len(), "{options}: {ran:?}\n{summary}");
            assert!(rows.len() - names.len() <= 1 && ran.code != 6, "{options}: {ran:?}");
        }
        let there = folder.names(bodies);
        assert!(!there.iter().any(|name| name.ends_with(".part") || name.starts_with('J')), "{there:?}");
    }
    assert_eq!(names.map(|name| origin.requests_to(&format!("/{name}"))), [0; 9]);
    // Elsewhere these are names like any other, and so they are without a journal.
    folder.write("list", &urls());
    for options in ["-i list -P o4 --journal o5", "-i list -P o6 --journal none", "-i list -P o7"] {
        let ran = folder.run(options.split(' '));
        assert_eq!(
            (ran.code, folder.names(options.split(' ').nth(3).expect("a folder")).len()),
            (0, 9),
            "{ran:?}"
        );
    }
}

#[test]
fn a_file_that_is_named_for_another_thing_is_none_of_the_jobs_journal() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/x?size=10");
    for options in [
        "-o d/journal.sqlite --create-dirs --journal d",
        "-o d/journal.sqlite-wal --create-dirs --journal ./d/",
        "-o x --journal d --report d/journal.1.sqlite",
        "-P d --report d/.gannet/journal.sqlite",
        "-P d -D d/.gannet/journal.sqlite.lock",
        "--no-body --journal d -c d/journal.sqlite-shm",
    ] {
        let ran = folder.run(options.split(' ').chain([&*url]));
        assert!(ran.code == 2 && ran.stderr.contains("is a file of the job's journal"), "{options}: {ran:?}");
    }
    assert_eq!((folder.names("."), origin.counts().requests), (Vec::new(), 0));
    let ran = folder.run(["-o", "d/x", "--create-dirs", "--journal", "d", &url]);
    assert_eq!((ran.code, folder.read_bytes("d/x").len()), (0, 10), "{ran:?}");
}
