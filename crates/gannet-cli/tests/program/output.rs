//! Where bodies go: standard output in input order, files by name, and what is there already.

use std::io::{BufRead as _, BufReader};

use crate::fixture::{Folder, end, origin};

#[test]
fn one_url_goes_to_standard_output_and_nothing_else_is_said() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run([origin.url("/a?text=hello")]);
    assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "hello", ""));
}

#[test]
fn a_url_without_a_scheme_is_http() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run([format!("{}/a?text=hello", origin.addr())]);
    assert_eq!((ran.code, ran.out().as_str()), (0, "hello"));
}

#[test]
fn several_urls_go_to_standard_output_in_input_order_whatever_comes_first() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [150, 100, 50, 0].map(|delay| origin.url(&format!("/{delay}?delay={delay}&text={delay}.")));
    let ran = folder.run(urls);
    assert_eq!((ran.code, ran.out().as_str()), (0, "150.100.50.0."));
    assert!(ran.stderr.contains("4 of 4 URLs fetched"), "{}", ran.stderr);
}

#[test]
fn each_o_names_the_file_of_one_url_in_order() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-o", "1", "-o", "2", &origin.url("/a?text=one"), &origin.url("/b?text=two")]);
    assert_eq!((ran.code, ran.out().as_str()), (0, ""));
    assert_eq!((folder.read("1"), folder.read("2")), ("one".into(), "two".into()));
}

#[test]
fn the_remote_name_is_the_end_of_the_path_and_replaces_what_is_there() {
    let (origin, folder) = (origin(), Folder::new());
    for text in ["old", "new"] {
        let ran = folder.run(["-fsSLO", &origin.url(&format!("/x/install.sh?text={text}"))]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_eq!(folder.read("install.sh"), text);
    }
    assert_eq!(folder.names("."), ["install.sh"]);
}

#[test]
fn a_folder_that_is_full_counts_as_obtained_and_nothing_is_sent() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?text=A"), origin.url("/b?text=B"), origin.url("/c/a?text=A")];
    let args = || ["-P", "out", "--report", "r"].into_iter().chain(urls.iter().map(String::as_str));
    assert_eq!(folder.run(args()).code, 0);
    let names = folder.names("out");
    assert_eq!(names.len(), 3);
    assert_eq!(folder.run(args().chain(["--new-job"])).code, 0);
    let (_, summary) = folder.report("r");
    assert_eq!((&summary["skipped"], &summary["ok"], &summary["exit"]), (&3.into(), &0.into(), &0.into()));
    assert_eq!((origin.counts().requests, folder.names("out")), (3, names));
}

#[test]
fn what_exists_is_treated_as_the_rule_says() {
    let (origin, folder) = (origin(), Folder::new());
    let args =
        |rule| ["-o".into(), "x".into(), "--if-exists".into(), String::from(rule), origin.url("/?text=new")];
    folder.write("x", "old");
    assert_eq!((folder.run(args("skip")).code, folder.read("x")), (0, "old".into()));
    assert_eq!((folder.run(args("fail")).code, folder.read("x")), (3, "old".into()));
    assert_eq!((folder.run(args("rename")).code, folder.names(".").len()), (0, 2));
    assert_eq!((folder.run(args("overwrite")).code, folder.read("x")), (0, "new".into()));
}

#[test]
fn without_bodies_nothing_is_written() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["--no-body", &origin.url("/?size=100k")]);
    assert_eq!((ran.code, ran.stdout.len(), folder.names(".").len()), (0, 0, 0));
}

#[test]
fn a_closed_standard_output_ends_the_run_silently_with_141() {
    let (origin, folder) = (origin(), Folder::new());
    let urls: Vec<String> = (0..20).map(|n| origin.url(&format!("/{n}?size=1m&header=X:y"))).collect();
    let mut child = folder.command(urls).spawn().expect("the program starts");
    let mut line = Vec::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_until(b'\n', &mut line).expect("a line");
    let ran = end(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (141, ""));
}

#[test]
fn a_report_whose_reader_goes_ends_the_run_silently_with_141() {
    let (origin, folder) = (origin(), Folder::new());
    let mut args = vec!["--no-body".into(), "--report".into(), "-".into()];
    args.extend((0..5000).map(|n| origin.url(&format!("/{n}"))));
    let mut child = folder.command(args).spawn().expect("the program starts");
    drop(child.stdout.take());
    let ran = end(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (141, ""));
}
