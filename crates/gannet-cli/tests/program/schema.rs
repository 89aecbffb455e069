//! The report's lines against their JSON Schema, which is part of the project.

use std::collections::BTreeSet;

use gannet::ErrorKind;
use gannet_origin::refusing_addr;
use serde_json::Value;

use crate::fixture::{Folder, Ran, origin};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/report.schema.json")).expect("the schema is JSON")
}

/// Holds each line of a report to the schema.
pub(crate) fn hold(report: &str) {
    let validator = jsonschema::draft202012::new(&schema()).expect("the schema is one");
    for line in report.lines() {
        let value: Value = serde_json::from_str(line).expect("a row of JSON");
        let of = if value["type"] == "summary" { "summary" } else { "result" };
        // Which of the two is asked for is known, and then the fault is told in full.
        let mut alone = schema();
        alone["oneOf"] = serde_json::json!([{ "$ref": format!("#/$defs/{of}") }]);
        if !validator.is_valid(&value) {
            alone["allOf"] = alone["oneOf"].take();
            alone.as_object_mut().expect("an object").remove("oneOf");
            let faults = jsonschema::draft202012::new(&alone).expect("the schema is one");
            let told: Vec<String> = faults.iter_errors(&value).map(|fault| fault.to_string()).collect();
            panic!("{told:?}\n{line}");
        }
    }
}

fn outcomes(report: &str) -> BTreeSet<String> {
    let rows = report.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row of JSON"));
    rows.filter_map(|row| row["outcome"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_codes_of_the_schema_are_those_that_there_are() {
    let listed = schema()["$defs"]["code"]["enum"].clone();
    let all: Vec<Value> = ErrorKind::ALL.iter().map(|kind| kind.code().into()).collect();
    assert_eq!(listed, Value::from(all), "docs/report.schema.json");
}

#[test]
fn rows_of_all_outcomes_and_summaries_are_as_the_schema_has_them() {
    let origin = origin();
    let refusing = format!("http://{}/", refusing_addr().expect("a free port"));
    let mut seen = BTreeSet::new();
    for more in [&[][..], &["--report-attempts"], &["--report-attempts", "--report-order", "input"]] {
        let folder = Folder::new();
        let run = |list: &[String], options: &str| -> Ran {
            folder.write("list", &list.join("\n"));
            let options = ["-i", "list", "--report", "r"].into_iter().chain(options.split(' '));
            folder.run(options.chain(more.iter().copied()))
        };
        let ok = origin.url("/a?size=10&hops=1&header=ETag:x");
        let list = [
            ok.clone(),
            refusing.clone(),
            "ftp://h/".into(),
            origin.url("/b?script=503,200&header=Retry-After:0"),
        ];
        run(&list, "-P out --retry 1");
        let mut texts = vec![folder.read("r")];
        run(&[ok], "-P out --new-job");
        texts.push(folder.read("r"));
        run(&[origin.url("/c?never"), origin.url("/d?never")], "-P out --deadline 200ms -j 1");
        texts.push(folder.read("r"));
        run(&[refusing.clone(), origin.url("/e?never")], "-P out --new-job --fail-early --retry 0");
        texts.push(folder.read("r"));
        for text in &texts {
            hold(text);
            seen.append(&mut outcomes(text));
            let rows = text.lines().filter(|line| line.contains("\"type\":\"result\""));
            assert!(rows.clone().count() > 0);
            rows.for_each(|row| assert_eq!(row.contains("\"tries\":["), !more.is_empty(), "{row}"));
        }
    }
    let all = ["cancelled", "failed", "ok", "skipped", "unfinished"];
    assert!(seen.iter().map(String::as_str).eq(all), "{seen:?}");
}

#[test]
fn what_is_not_in_the_schema_is_not_let_through() {
    let folder = Folder::new();
    folder.run(["--report", "r", "--no-body", &origin().url("/")]);
    let row = folder.read("r").lines().next().expect("a row").to_owned();
    hold(&row);
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"outcome\":\"ok\"", "\"outcome\":\"fine\""),
        ("\"seq\":0", "\"seq\":0,\"new\":0"),
        ("\"seq\":0,", ""),
    ] {
        let wrong = row.replacen(from, to, 1);
        assert_ne!(wrong, row);
        assert!(std::panic::catch_unwind(|| hold(&wrong)).is_err(), "{wrong}");
    }
}
