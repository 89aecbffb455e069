//! Files that are there already, of which the journals of earlier jobs tell whose they are.

use std::path::Path;
use std::sync::Arc;

use gannet::sink::{Files, IfExists, NameTemplate};
use gannet::{Client, Journal, Outcome, Request};
use gannet_origin::Origin;

use crate::fixture::{Folder, urls};

/// Runs the list with the folder's journal; files that are there are skipped.
async fn run(folder: &Folder, list: &[Request]) -> Vec<(String, Option<String>)> {
    run_into(Files::in_directory(folder.path().join("out")), folder, list).await
}

async fn run_into(files: Files, folder: &Folder, list: &[Request]) -> Vec<(String, Option<String>)> {
    run_with(folder.open(), files, list).await
}

async fn run_with(journal: Journal, files: Files, list: &[Request]) -> Vec<(String, Option<String>)> {
    let client = Client::builder().retries(0).build().expect("it fits together");
    let mut job = client.fetch_each(list.to_vec()).save_with(Arc::new(files)).concurrency(1).journal(journal);
    let mut outcomes = Vec::new();
    while let Some(outcome) = job.next().await {
        outcomes.push(outcome);
    }
    assert!(job.error().is_none(), "{:?}", job.error());
    outcomes.sort_by_key(Outcome::seq);
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let told = |outcome: &Outcome| (outcome.ending().as_str().to_owned(), outcome.path().and_then(name));
    outcomes.iter().map(told).collect()
}

fn requests(urls: &[String]) -> Vec<Request> {
    urls.iter().map(|url| Request::new(url).expect("a URL")).collect()
}

fn words(told: &[(String, Option<String>)]) -> Vec<String> {
    told.iter().map(|(ending, name)| format!("{ending} {}", name.as_deref().unwrap_or("-"))).collect()
}

#[tokio::test]
async fn a_file_that_is_another_urls_is_no_reason_to_skip() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let folder = Folder::new();
    let all = requests(&urls(&origin, &["/1/f?size=10", "/2/f?size=20", "/3/f?size=30", "/4/f?size=40"]));
    let first = run(&folder, &all[..3]).await;
    assert_eq!(words(&first), ["ok f_size=10", "ok f_size=20", "ok f_size=30"]);
    // Their names differ by the query; now they do not.
    let folder = Folder::new();
    let list: Vec<Request> = all.iter().map(|request| request.clone().save_as("f.html")).collect();
    assert_eq!(words(&run(&folder, &list[..3]).await), ["ok f.html", "ok f.1.html", "ok f.2.html"]);
    let length =
        |name: &str| std::fs::metadata(folder.path().join("out").join(name)).map_or(0, |met| met.len());
    // A line is gone: each has the file that it had, and the new one gets another.
    let asked = origin.counts().requests;
    let told = run(&folder, &list[1..]).await;
    assert_eq!(words(&told), ["skipped f.1.html", "skipped f.2.html", "ok f.2.2.html"]);
    assert_eq!(origin.counts().requests - asked, 1);
    assert_eq!(["f.html", "f.1.html", "f.2.html", "f.2.2.html"].map(length), [10, 20, 30, 40]);
    // In another order, still. A name that a clash makes new is fetched anew.
    let mixed = [&list[3], &list[2], &list[0], &list[1]].map(Clone::clone);
    let told = run(&folder, &mixed).await;
    assert_eq!(words(&told), ["skipped f.2.2.html", "skipped f.2.html", "skipped f.html", "ok f.3.html"]);
    assert_eq!(origin.counts().requests - asked, 2);
    assert_eq!(
        ["f.html", "f.1.html", "f.2.html", "f.2.2.html", "f.3.html"].map(length),
        [10, 20, 30, 40, 20]
    );
}

#[tokio::test]
async fn whose_a_file_is_is_known_however_many_lists_have_been_since() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let folder = Folder::new();
    let paths: Vec<String> = (1..=15).map(|size| format!("/{size}?size={size}")).collect();
    let all = requests(&urls(&origin, &paths.iter().map(String::as_str).collect::<Vec<_>>()));
    let all: Vec<Request> = all.into_iter().map(|request| request.save_as("f.html")).collect();
    let mut names = Vec::new();
    for (number, request) in all.iter().enumerate() {
        let told = run(&folder, std::slice::from_ref(request)).await;
        assert_eq!(told[0].0, "ok", "list {number}");
        names.extend(told[0].1.clone());
    }
    assert_eq!(origin.counts().requests, 15, "each URL is fetched");
    let length =
        |name: &str| std::fs::metadata(folder.path().join("out").join(name)).map_or(0, |met| met.len());
    assert_eq!(names.iter().map(|name| length(name)).collect::<Vec<_>>(), (1..=15).collect::<Vec<_>>());
    assert_eq!([&names[0], &names[1], &names[14]], ["f.html", "f.0.html", "f.0-13.html"]);
    // Each has its own still: the very first, those beside another's of old, and the latest.
    for which in [0, 1, 4, 14] {
        let told = run(&folder, &all[which..=which]).await;
        assert_eq!(words(&told), [format!("skipped {}", names[which])], "list {which}");
    }
    // A damaged one of old says nothing, and the others still do.
    std::fs::write(folder.path().join(".gannet/journal.3.sqlite"), b"of somebody else").expect("it is there");
    for which in [5, 1] {
        let told = run(&folder, &all[which..=which]).await;
        assert_eq!(words(&told), [format!("skipped {}", names[which])], "list {which}");
    }
    assert_eq!(origin.counts().requests, 15);
}

/// What the file of this name in the folder's output says.
fn text(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join("out").join(name))
        .unwrap_or_else(|error| format!("{name}: {error}"))
}

/// A request for each text, all of one name.
fn of_one_name(origin: &Origin, texts: &[&str]) -> Vec<Request> {
    let paths: Vec<String> = texts.iter().map(|text| format!("/{text}/f?text={text}")).collect();
    let all = requests(&urls(origin, &paths.iter().map(String::as_str).collect::<Vec<_>>()));
    all.into_iter().map(|request| request.save_as("f")).collect()
}

#[tokio::test]
async fn a_file_is_that_of_the_url_whose_body_it_has_got_last() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let all = of_one_name(&origin, &["a", "b", "c"]);
    for between in [0, 10] {
        // Its file was moved away, and another URL's got its name; or that was put over it.
        for is_moved in [true, false] {
            let folder = Folder::new();
            assert_eq!(words(&run(&folder, &all[..1]).await), ["ok f"]);
            let files = Files::in_directory(folder.path().join("out"));
            let files = match is_moved {
                true => {
                    std::fs::rename(folder.path().join("out/f"), folder.path().join("elsewhere"))
                        .expect("it is there");
                    files
                }
                false => files.if_exists(IfExists::Overwrite),
            };
            assert_eq!(words(&run_into(files, &folder, &all[1..2]).await), ["ok f"]);
            for number in 0..between {
                let other = Request::new(&origin.url(&format!("/{number}?size=1"))).expect("a URL");
                run(&folder, &[other]).await;
            }
            assert_eq!(
                words(&run(&folder, &all[..1]).await),
                ["ok f.0"],
                "{between} lists, moved: {is_moved}"
            );
            assert_eq!([text(&folder, "f"), text(&folder, "f.0")], ["b", "a"]);
            assert_eq!(words(&run(&folder, &all[1..2]).await), ["skipped f"]);
            assert_eq!(words(&run(&folder, &all[..1]).await), ["skipped f.0"]);
        }
    }
    // The file beside has become another's, too.
    let folder = Folder::new();
    for (which, name) in [(0, "ok f"), (1, "ok f.0")] {
        assert_eq!(words(&run(&folder, &all[which..=which]).await), [name]);
    }
    let over = Files::in_directory(folder.path().join("out")).if_exists(IfExists::Overwrite);
    assert_eq!(words(&run_into(over, &folder, &[all[2].clone().save_as("f.0")]).await), ["ok f.0"]);
    assert_eq!(words(&run(&folder, &all[1..2]).await), ["ok f.0-1"]);
    assert_eq!(["f", "f.0", "f.0-1"].map(|name| text(&folder, name)), ["a", "c", "b"]);
}

#[tokio::test]
async fn an_update_asks_plainly_for_what_another_url_was_put_over() {
    let origin = Origin::builder().behave("/a/f", "etag=strong").start().await.expect("a port is free");
    let (folder, all) = (Folder::new(), of_one_name(&origin, &["a", "b"]));
    let update = || Files::in_directory(folder.path().join("out")).if_exists(IfExists::Update);
    for (which, text_now) in [(0, "a"), (1, "b"), (0, "a")] {
        assert_eq!(words(&run_into(update(), &folder, &all[which..=which]).await), ["ok f"]);
        assert_eq!(text(&folder, "f"), text_now);
    }
}

#[tokio::test]
async fn what_an_unreadable_journal_may_have_said_is_no_reason_to_skip() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let all = of_one_name(&origin, &["a", "b"]);
    for between in [1, 10] {
        let folder = Folder::new();
        assert_eq!(words(&run(&folder, &all[..1]).await), ["ok f"]);
        for number in 0..between {
            let other = Request::new(&origin.url(&format!("/{number}?size=1"))).expect("a URL");
            run(&folder, &[other]).await;
        }
        std::fs::write(folder.path().join(".gannet/journal.1.sqlite"), b"of somebody else")
            .expect("it is there");
        assert_eq!(words(&run(&folder, &all[1..2]).await), ["ok f.0"], "{between}");
        assert_eq!([text(&folder, "f"), text(&folder, "f.0")], ["a", "b"]);
        // What is known by a later one, is.
        run(&folder, &requests(&urls(&origin, &["/x?size=1"]))).await;
        assert_eq!(words(&run(&folder, &all[1..2]).await), ["skipped f.0"]);
    }
}

#[tokio::test]
async fn the_files_of_a_folder_that_was_moved_are_still_those_of_their_urls() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let (folder, all) = (Folder::new(), of_one_name(&origin, &["a", "b", "c"]));
    let job = |list: &[Request], below: &str| {
        let place = folder.path().join(below);
        let journal = Journal::open(place.join(".gannet/journal.sqlite"), gannet::Durability::Process);
        let journal = journal.expect("the journal opens");
        journal.names_below(&place, &place);
        journal.begin_anew().expect("no job uses it");
        (journal, Files::in_directory(place), list.to_vec())
    };
    for (which, name) in [(0, "ok f"), (1, "ok f.0")] {
        let (journal, files, list) = job(&all[which..=which], "one");
        assert_eq!(words(&run_with(journal, files, &list).await), [name]);
    }
    std::fs::rename(folder.path().join("one"), folder.path().join("two")).expect("it is there");
    for (which, name) in [(2, "ok f.0-1"), (1, "skipped f.0"), (0, "skipped f"), (2, "skipped f.0-1")] {
        let (journal, files, list) = job(&all[which..=which], "two");
        assert_eq!(words(&run_with(journal, files, &list).await), [name], "{which}");
    }
}

#[tokio::test]
async fn a_folder_that_is_gone_says_nothing_of_files_that_are_known() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let all = of_one_name(&origin, &["a", "b"]);
    let named = |which: usize, name: &str| [all[which].clone().save_as(name)];
    for (first, second, third, endings) in [
        // Another's file of that name was removed: what is done is not fetched again.
        ((0, "a/f"), (1, "b/f"), (0, "a/f"), "skipped f"),
        // Its own was removed: the one that is there is another's still.
        ((0, "a/f"), (1, "b/f"), (1, "a/f"), "ok f.0"),
    ] {
        let folder = Folder::new();
        for (which, name) in [first, second] {
            assert_eq!(words(&run(&folder, &named(which, name)).await), ["ok f"]);
        }
        std::fs::remove_dir_all(folder.path().join("out/b")).expect("it is there");
        assert_eq!(words(&run(&folder, &named(third.0, third.1)).await), [endings]);
    }
}

#[tokio::test]
async fn in_a_tree_that_was_moved_a_file_is_known_by_the_end_of_its_path() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let paths: Vec<String> = (0..100).map(|number| format!("/{number}?text={number}")).collect();
    let all = requests(&urls(&origin, &paths.iter().map(String::as_str).collect::<Vec<_>>()));
    let all: Vec<Request> =
        all.into_iter().enumerate().map(|(number, url)| url.save_as(format!("{number}/f"))).collect();
    for between in [0, 9] {
        let folder = Folder::new();
        run(&folder, &all).await;
        for number in 0..between {
            run(&folder, &requests(&urls(&origin, &[&*format!("/x{number}?size=1")]))).await;
        }
        let moved = folder.path().join("moved");
        std::fs::rename(folder.path().join("out"), &moved).expect("it is there");
        let asked = origin.counts().requests;
        let files = || Files::in_directory(&moved);
        let turned: Vec<Request> = all.iter().rev().cloned().collect();
        let told = run_into(files(), &folder, &turned).await;
        assert!(told.iter().all(|(ending, _)| ending == "skipped"), "{between}: {told:?}");
        assert_eq!(origin.counts().requests, asked);
        // One that had another place in it is another's there.
        let other = all[7].clone().save_as("8/f");
        assert_eq!(words(&run_into(files(), &folder, &[other]).await), ["ok f.0"]);
    }
}

#[tokio::test]
async fn a_file_that_no_journal_knows_is_skipped_by_its_name() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let folder = Folder::new();
    let all = requests(&urls(&origin, &["/1?size=10", "/2?size=20", "/3?size=30"]));
    let list: Vec<Request> = all.iter().map(|request| request.clone().save_as("f.html")).collect();
    std::fs::create_dir_all(folder.path().join("out")).expect("a folder can be made");
    std::fs::write(folder.path().join("out/g.html"), b"the user's").expect("it can be written");
    assert_eq!(words(&run(&folder, &list[..1]).await), ["ok f.html"]);
    let own = all[1].clone().save_as("g.html");
    assert_eq!(words(&run(&folder, &[own, list[0].clone()]).await), ["skipped g.html", "skipped f.html"]);
    // A URL whose file was removed by hand is fetched.
    std::fs::remove_file(folder.path().join("out/f.html")).expect("it is there");
    assert_eq!(words(&run(&folder, &[list[2].clone(), list[0].clone()]).await), ["ok f.html", "ok f.1.html"]);
}

#[tokio::test]
async fn a_file_of_the_job_itself_is_no_other_lines_whatever_its_name_would_be_now() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let all = requests(&urls(&origin, &["/a/f?size=10", "/b/f?size=20", "/c/f.0?size=30"]));
    let list: Vec<Request> =
        all.iter().zip(["f", "f", "f.0"]).map(|(request, name)| request.clone().save_as(name)).collect();
    // The name was an earlier job's.
    let folder = Folder::new();
    assert_eq!(words(&run(&folder, &list[..1]).await), ["ok f"]);
    assert_eq!(words(&run(&folder, &list[1..2]).await), ["ok f.0"]);
    assert_eq!(words(&run(&folder, &list[1..]).await), ["ok f.0", "ok f.1.0"]);
    // Names were made in another way; the folder is spelled in another way, too.
    for spelled in ["out", "./out", "out/../out"] {
        let folder = Folder::new();
        let list = requests(&urls(&origin, &["/b/f", "/b/0"]));
        let below = |out: &str| Files::in_directory(folder.path().join(out)).if_exists(IfExists::Overwrite);
        let by_number = below("out").names(NameTemplate::parse("{seq}").expect("a good template"));
        assert_eq!(words(&run_into(by_number, &folder, &list[..1]).await), ["ok 0"]);
        assert_eq!(words(&run_into(below(spelled), &folder, &list).await), ["ok 0", "ok 0.1"], "{spelled}");
    }
}

#[tokio::test]
async fn a_file_of_a_line_behind_is_not_that_of_one_that_is_tried_again() {
    for if_exists in [IfExists::Skip, IfExists::Overwrite, IfExists::Update, IfExists::Fail, IfExists::Rename]
    {
        let origin = Origin::builder().start().await.expect("a port is free");
        let paths = ["/k.m?script=404,404,200&size=10", "/m.k?size=20", "/x.k?script=404&size=30"];
        let list = requests(&urls(&origin, &paths));
        let folder = Folder::new();
        let named = |template: &str| {
            Files::in_directory(folder.path().join("out"))
                .if_exists(if_exists)
                .names(NameTemplate::parse(template).expect("a good template"))
        };
        let length =
            |name: &str| std::fs::metadata(folder.path().join("out").join(name)).map_or(0, |met| met.len());
        let first = run_into(named("{ext}"), &folder, &list).await;
        assert_eq!(words(&first), ["failed -", "ok k", "failed -"], "{if_exists:?}");
        let retry = || {
            let journal = folder.open();
            journal.reopen_failed();
            journal.hold_to_its_list();
            journal
        };
        // By now the first would be called as the second was. What is tried again in vain takes nothing.
        let again = run_with(retry(), named("{stem}"), &list).await;
        assert_eq!(words(&again), ["failed -", "ok k", "failed -"], "{if_exists:?}");
        let again = run_with(retry(), named("{stem}"), &list).await;
        assert_eq!(words(&again), ["ok k.0", "ok k", "failed -"], "{if_exists:?}");
        assert_eq!(["k", "k.0"].map(length), [20, 10], "{if_exists:?}");
    }
}
