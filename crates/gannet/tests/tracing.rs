//! What `tracing` is told: a span for each fetch, one for each attempt beneath it, events in the right one, and
//! never a credential.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gannet::Client;
use gannet::sim::{Answer, Replies};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A span or an event, with the spans around it.
#[derive(Debug, Clone, Default)]
struct Told {
    name: String,
    path: Vec<String>,
    fields: HashMap<String, String>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name().into(), format!("{value:?}").trim_matches('"').into());
    }
}

#[derive(Default)]
struct State {
    spans: Vec<Told>,
    events: Vec<Told>,
    entered: Vec<u64>,
}

/// Collects all that it is told.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<State>>);

impl Collector {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of each event, behind those of the spans that it stands in.
    fn events(&self) -> Vec<String> {
        let path = |event: &Told| format!("{}: {}", event.path.join(" > "), event.fields["message"]);
        self.lock().events.iter().map(path).collect()
    }

    fn event(&self, message: &str) -> Told {
        let events = &self.lock().events;
        let found = events.iter().find(|event| event.fields["message"] == message);
        found.unwrap_or_else(|| panic!("nothing {message}")).clone()
    }
}

impl State {
    /// The spans from the outermost to this one.
    fn path(&self, told: Told, parent: Option<u64>) -> Told {
        let path = parent.map_or_else(Vec::new, |parent| {
            let parent = &self.spans[parent as usize - 1];
            let number = parent.fields.get("number").map_or(String::new(), |number| format!(" {number}"));
            let name = format!("{}{number}", parent.name);
            parent.path.iter().cloned().chain([name]).collect()
        });
        Told { path, ..told }
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "gannet" || metadata.target() == "mine"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut told = Told { name: span.metadata().name().into(), ..Told::default() };
        span.record(&mut told);
        let mut state = self.lock();
        let around = if span.is_contextual() { state.entered.last().copied() } else { None };
        let told = state.path(told, span.parent().map(Id::into_u64).or(around));
        state.spans.push(told);
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        let mut state = self.lock();
        let around = if event.is_contextual() { state.entered.last().copied() } else { None };
        let told = state.path(told, event.parent().map(Id::into_u64).or(around));
        state.events.push(told);
    }

    fn enter(&self, span: &Id) {
        self.lock().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.lock().entered.pop(), Some(span.into_u64()), "spans are left in order");
    }
}

/// Runs with a collector in the place of a subscriber, in virtual time.
fn collected(run: impl AsyncFnOnce()) -> Collector {
    let collector = Collector::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be built");
    tracing::subscriber::with_default(collector.clone(), || runtime.block_on(run()));
    assert!(collector.lock().entered.is_empty(), "every span is left");
    collector
}

const URL: &str = "https://a.example/x";

#[test]
fn a_fetch_is_a_span_with_its_attempts_beneath_it_and_events_stand_in_the_right_one() {
    let moved = Answer::status(302).header("location", "/y");
    let replies = Replies::new().on(URL, Answer::refused()).then(moved).on("https://a.example/y", "here");
    let told = collected(async || {
        let client = Client::builder().transport(replies).retry_delay(Duration::from_secs(2)).build();
        let caller = tracing::info_span!(target: "mine", "caller");
        let fetch = client.expect("the settings agree").get(URL).text();
        let _within = caller.enter();
        assert_eq!(fetch.await.expect("the second serves"), "here");
    });
    assert_eq!(
        told.events(),
        [
            "caller > fetch > attempt 1: failed",
            "caller > fetch: retried",
            "caller > fetch > attempt 2: hop",
            "caller > fetch > attempt 2: led",
            "caller > fetch: settled",
        ]
    );
    let (failed, retried, settled) = (told.event("failed"), told.event("retried"), told.event("settled"));
    assert_eq!((&*failed.fields["kind"], &*failed.fields["phase"]), ("connect.refused", "connect"));
    assert_eq!((&*retried.fields["after_ms"], &*retried.fields["attempt"]), ("2000", "2"));
    assert_eq!((&*settled.fields["outcome"], &*settled.fields["ms"]), ("ok", "2000"));
    let state = told.lock();
    let why: Vec<&str> = state.spans.iter().filter_map(|span| Some(&**span.fields.get("why")?)).collect();
    assert_eq!(why, ["first", "retry"]);
    assert_eq!((&*state.spans[1].name, &*state.spans[1].fields["url"]), ("fetch", URL));
}

#[test]
fn the_legs_of_a_race_are_attempts_of_one_fetch_with_their_mirrors() {
    let silent = "http://silent.example/";
    let replies = Replies::new().on(silent, Answer::silence()).on(URL, "won");
    let told = collected(async || {
        replies.client().fetch_first([silent, URL]).text().await.expect("one wins");
    });
    assert_eq!(told.events(), ["fetch > attempt 2: led", "fetch: settled"]);
    let state = told.lock();
    let mirrors: Vec<_> =
        state.spans.iter().skip(1).map(|span| (&*span.fields["mirror"], &*span.fields["url"])).collect();
    assert_eq!(mirrors, [("0", silent), ("1", URL)]);
}

#[test]
fn each_request_of_a_job_is_a_fetch_of_its_own_with_its_number() {
    let replies = Replies::new().on(URL, "x").on_status("https://b.example/", 404);
    let told = collected(async || {
        let outcomes = replies.client().fetch_all([URL, "https://b.example/"]).await;
        assert_eq!(outcomes.len(), 2);
    });
    let state = told.lock();
    let mut settled: Vec<_> =
        state.events.iter().filter(|event| event.fields.contains_key("outcome")).collect();
    settled.sort_by_key(|event| event.fields["outcome"].clone());
    let outcomes: Vec<_> = settled.iter().map(|event| &*event.fields["outcome"]).collect();
    assert_eq!(outcomes, ["ok", "reply.status"]);
    let seqs: Vec<_> = state.spans.iter().filter_map(|span| span.fields.get("seq")).collect();
    assert_eq!(seqs, ["0", "1"]);
}

#[test]
fn no_credential_is_told_in_any_field() {
    let moved = Answer::status(302).header("location", "https://who:hushhush@b.example/y");
    let replies = Replies::new()
        .on(URL, Answer::refused())
        .then(moved)
        .on("https://b.example/y", Answer::status(401).header("set-cookie", "session=hushhush"));
    let told = collected(async || {
        let fetch = replies.client().get("https://me:hushhush@a.example/x").header("x-api-key", "hushhush");
        fetch.text().await.expect_err("it is refused");
    });
    let state = told.lock();
    assert!(state.spans.len() == 3 && state.events.len() >= 4, "{:?}", state.events);
    for told in state.spans.iter().chain(&state.events) {
        for (name, value) in &told.fields {
            assert!(!value.contains("hushhush"), "{name} of {told:?}");
        }
    }
}
