//! Every validator that a body may have had, against every reply that there may be: what is sent, and what is done.

use super::*;

const TAG: &str = "\"one\"";
const CHANGED: &str = "Sun, 06 Nov 1994 08:00:00 GMT";
const DATE: &str = "Sun, 06 Nov 1994 09:00:00 GMT";
const URL: &str = "http://h/x";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Had {
    StrongEtag,
    WeakEtag,
    Modified,
    Nothing,
}

const ALL_HAD: [Had; 4] = [Had::StrongEtag, Had::WeakEtag, Had::Modified, Had::Nothing];

/// A part of 40 bytes of 100.
fn part(had: Had) -> Part {
    let text = |text: &str| Some(text.into());
    Part {
        etag: match had {
            Had::StrongEtag => text(TAG),
            Had::WeakEtag => text("W/\"one\""),
            Had::Modified | Had::Nothing => None,
        },
        last_modified: if had == Had::Nothing { None } else { text(CHANGED) },
        date: text(DATE),
        total: Some(100),
        good: 40,
        ..Part::new(URL)
    }
}

/// A reply of the version that the part is of.
fn answer(part: &Part, status: u16, range: Option<&str>) -> Answer {
    Answer {
        status,
        url: part.url.clone(),
        etag: part.etag.clone(),
        last_modified: part.last_modified.clone(),
        coding: None,
        range: range.and_then(ContentRange::read),
        length: None,
        shape: Shape::Plain,
    }
}

/// The replies of FAULTS, by name: each made of a right one.
fn replies(part: &Part) -> Vec<(&'static str, Answer)> {
    let right = || answer(part, 206, Some("bytes 40-99/100"));
    let status = |status| answer(part, status, None);
    vec![
        ("200", status(200)),
        ("206 right", right()),
        ("206 shorter", answer(part, 206, Some("bytes 40-49/100"))),
        ("206 of unknown total", answer(part, 206, Some("bytes 40-99/*"))),
        ("206 wrong start", answer(part, 206, Some("bytes 39-99/100"))),
        ("206 later start", answer(part, 206, Some("bytes 41-99/100"))),
        ("206 wrong total", answer(part, 206, Some("bytes 40-100/101"))),
        ("206 wrong length", Answer { length: Some(59), ..right() }),
        ("206 other etag", Answer { etag: Some("\"two\"".into()), ..right() }),
        ("206 weak etag", Answer { etag: Some("W/\"one\"".into()), ..right() }),
        ("206 no etag", Answer { etag: None, ..right() }),
        ("206 other date", Answer { last_modified: Some(DATE.into()), ..right() }),
        ("206 no date", Answer { last_modified: None, ..right() }),
        ("206 other coding", Answer { coding: Some("gzip".into()), ..right() }),
        ("206 elsewhere", Answer { url: "http://cdn/x".into(), ..right() }),
        ("206 without Content-Range", status(206)),
        ("multipart", Answer { shape: Shape::Multipart, range: None, ..right() }),
        ("multipart with Content-Range", Answer { shape: Shape::Multipart, ..right() }),
        ("204", status(204)),
        ("416 of what is there", answer(part, 416, Some("bytes */40"))),
        ("416 of the total", answer(part, 416, Some("bytes */100"))),
        ("416 without", status(416)),
        ("301", status(301)),
        ("404", status(404)),
        ("503", status(503)),
    ]
}

#[test]
fn a_range_is_asked_for_only_under_a_strong_validator() {
    let sent = |had, toward, rule| ask(&part(had), toward, rule).map(|ask| (ask.from, ask.version));
    for had in ALL_HAD {
        let version = match had {
            Had::StrongEtag => Some(TAG),
            Had::Modified => Some(CHANGED),
            Had::WeakEtag | Had::Nothing => None,
        };
        let safe = version.map(|version| (40, Some(version.into())));
        assert_eq!(sent(had, Toward::Same, ResumeParts::Safe), safe, "{had:?}");
        assert_eq!(sent(had, Toward::Same, ResumeParts::Never), None, "{had:?}");
        let always = safe.clone().unwrap_or((40, None));
        assert_eq!(sent(had, Toward::Same, ResumeParts::Always), Some(always), "{had:?}");
        let mirror = safe.filter(|_| had == Had::StrongEtag);
        for rule in [ResumeParts::Safe, ResumeParts::Always] {
            assert_eq!(sent(had, Toward::Mirror, rule), mirror, "{had:?}");
        }
    }
}

#[test]
fn nothing_is_asked_for_where_nothing_is_there_or_a_length_is_missing() {
    let empty = Part { good: 0, ..part(Had::StrongEtag) };
    assert_eq!(ask(&empty, Toward::Same, ResumeParts::Always), None);
    let endless = Part { total: None, ..part(Had::StrongEtag) };
    assert!(ask(&endless, Toward::Same, ResumeParts::Safe).is_some());
    assert_eq!(ask(&endless, Toward::Mirror, ResumeParts::Safe), None);
    let unknown = Part { total: None, ..part(Had::Nothing) };
    assert_eq!(ask(&unknown, Toward::Same, ResumeParts::Always), None);
}

#[test]
fn every_reply_under_every_validator_is_judged_by_the_table() {
    for had in ALL_HAD {
        for rule in [ResumeParts::Safe, ResumeParts::Always] {
            let part = part(had);
            let Some(asked) = ask(&part, Toward::Same, rule) else { continue };
            for (name, answer) in replies(&part) {
                let expected = expected(had, name);
                assert_eq!(
                    judge(&part, &asked, Toward::Same, &answer),
                    expected,
                    "{had:?}, {rule:?}: {name}"
                );
            }
        }
    }
}

fn expected(had: Had, reply: &str) -> Judged {
    let rest = Judged::GoOn { end: 100, total: Some(100) };
    match (reply, had) {
        ("200", _) => Judged::TakeWhole,
        ("206 right", _) => rest,
        ("206 shorter", _) => Judged::GoOn { end: 50, total: Some(100) },
        // Without a validator the total is all that there is to go by.
        ("206 of unknown total", Had::WeakEtag | Had::Nothing) => Judged::StartAgain,
        ("206 of unknown total", _) => rest,
        ("206 other etag" | "206 weak etag" | "206 no etag", Had::StrongEtag) => Judged::StartAgain,
        ("206 weak etag" | "206 no etag", Had::WeakEtag) => rest,
        ("206 no etag", Had::Modified | Had::Nothing) => rest,
        ("206 other etag" | "206 weak etag", Had::Nothing) => rest,
        // With an ETag the date says nothing more.
        ("206 other date" | "206 no date", Had::StrongEtag) => rest,
        ("206 no date", Had::WeakEtag | Had::Nothing) => rest,
        ("206 other date", Had::Nothing) => rest,
        ("206 elsewhere", Had::StrongEtag) => rest,
        ("301" | "404" | "503", _) => Judged::AsAny,
        _ => Judged::StartAgain,
    }
}

#[test]
fn a_mirror_goes_on_only_with_equal_length_and_equal_strong_etag() {
    let part = part(Had::StrongEtag);
    let asked = ask(&part, Toward::Mirror, ResumeParts::Safe).expect("a strong ETag and a length");
    let judged = |range, etag: &str| {
        let elsewhere = Answer {
            url: "http://mirror/x".into(),
            etag: Some(etag.into()),
            ..answer(&part, 206, Some(range))
        };
        judge(&part, &asked, Toward::Mirror, &elsewhere)
    };
    assert_eq!(judged("bytes 40-99/100", TAG), Judged::GoOn { end: 100, total: Some(100) });
    for (range, etag) in [("bytes 40-99/101", TAG), ("bytes 40-99/*", TAG), ("bytes 40-99/100", "\"two\"")] {
        assert_eq!(judged(range, etag), Judged::StartAgain, "{range} {etag}");
    }
}

#[test]
fn a_416_completes_only_what_has_the_length_that_it_tells_and_may_have() {
    let whole = |total, etag: &str| {
        let part = Part { total, ..part(Had::StrongEtag) };
        let asked = ask(&part, Toward::Same, ResumeParts::Safe).expect("a strong ETag");
        let answer = Answer { etag: Some(etag.into()), ..answer(&part, 416, Some("bytes */40")) };
        judge(&part, &asked, Toward::Same, &answer)
    };
    assert_eq!(whole(None, TAG), Judged::Complete);
    assert_eq!(whole(Some(40), TAG), Judged::Complete);
    assert_eq!(whole(Some(41), TAG), Judged::StartAgain);
    assert_eq!(whole(None, "\"two\""), Judged::StartAgain);
}

#[test]
fn what_ends_by_its_own_fault_leaves_no_good_bytes() {
    for kind in ErrorKind::ALL {
        let good = leaves_good_bytes(*kind);
        let code = kind.code();
        let of_the_wire =
            ["connection.reset", "body.truncated", "body.stalled", "body.too_slow", "transport.failed"];
        assert_eq!(good, of_the_wire.contains(&code), "{code}");
    }
}
