//! Replies that are cut: at any byte, by FIN, RST or silence. A cut reply is never a success.

use gannet_origin::{Counts, Origin, body};
use serde_json::Value;

use crate::fixture::{End, LONG, Server, Speech, from_environment};

/// The length of the body that is cut; with its head some 2 KB.
const BODY: usize = 1900;

/// How a reply is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Reset,
    Fin,
    Stall,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
    ByClose,
}

impl Cut {
    fn key(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Fin => "fin",
            Self::Stall => "stall-at",
        }
    }
}

impl Framing {
    const ALL: [Self; 3] = [Self::Length, Self::Chunks, Self::ByClose];

    fn query(self) -> &'static str {
        match self {
            Self::Length => "",
            Self::Chunks => "&chunked",
            Self::ByClose => "&no-length",
        }
    }
}

/// The places of the cuts: each `GANNET_TEST_FAULT_STEP`-th byte, from an offset that `GANNET_TEST_FAULT_SEED`
/// sets, and all around both ends.
fn places(whole: usize) -> Vec<usize> {
    let step = from_environment("GANNET_TEST_FAULT_STEP", 23);
    let seed = from_environment("GANNET_TEST_FAULT_SEED", std::process::id() as usize);
    eprintln!(
        "replay: GANNET_TEST_FAULT_SEED={seed} GANNET_TEST_FAULT_STEP={step}; a step of 1 is each byte"
    );
    let mut places: Vec<usize> = (seed % step..whole).step_by(step).collect();
    places.extend([0, 1].into_iter().chain(whole.saturating_sub(9)..whole + 3));
    places.sort();
    places.dedup();
    places
}

/// A reply that is cut at many places, each asked for by a URL of one run.
struct Sweep {
    server: Server,
    cut: Cut,
    framing: Framing,
    /// The length of the head, as the server writes it; on HTTP/2 places count the body alone.
    head: usize,
    /// The length of the whole reply.
    whole: usize,
}

impl Sweep {
    fn new(speech: Speech, cut: Cut, framing: Framing) -> Self {
        let server = speech.server();
        let end = server.trial([format!("/?size={BODY}{}", framing.query())]).run();
        assert_eq!(end.code, 0, "{end:?}");
        let is_counted = |counts: &Counts| counts.replies_complete == 1;
        assert!(server.origin.wait_until_blocking(is_counted, LONG), "the whole reply was sent");
        let whole = server.origin.counts().bytes_sent as usize;
        // One chunk: its size line, its end, and the last chunk.
        let frame = if framing == Framing::Chunks { format!("{BODY:x}\r\n\r\n0\r\n\r\n").len() } else { 0 };
        let head = if speech == Speech::Http2 { 0 } else { whole - BODY - frame };
        Self { server, cut, framing, head, whole }
    }

    fn run(&self, places: &[usize]) -> End {
        let Self { cut, framing, .. } = self;
        let path = |at: &usize| format!("/{at}?size={BODY}{}&{}={at}", framing.query(), cut.key());
        let trial = self.server.trial(places.iter().map(path));
        trial.with("--retry 0 --read-timeout 400ms -j 300 --per-host 300").run()
    }

    /// What may come of a cut at a place.
    fn allows(&self, at: usize, is_ok: bool) -> bool {
        let (head, whole) = (self.head, self.whole);
        let is_http2 = self.server.speech == Speech::Http2;
        match (self.cut, self.framing) {
            // Data that was received may be lost by the reset after it. On HTTP/2 a reset at the very end of the body
            // comes before the end of the stream.
            (Cut::Reset, Framing::ByClose) if !is_http2 => !is_ok,
            (Cut::Reset, _) => !is_ok || at > whole || (at == whole && !is_http2),
            (Cut::Stall, Framing::ByClose) if !is_http2 => is_ok == (at >= whole),
            (Cut::Stall, _) => is_ok == if is_http2 { at > whole } else { at >= whole },
            // Without close_notify nothing tells a cut from an end.
            (Cut::Fin, Framing::ByClose) if self.server.speech == Speech::Http1Tls => !is_ok,
            (Cut::Fin, Framing::ByClose) if !is_http2 => is_ok == (at >= head),
            (Cut::Fin, _) => is_ok == (at >= whole),
        }
    }

    /// How much of the body a success must hold.
    fn length(&self, at: usize) -> usize {
        let is_ended_by_cut = self.framing == Framing::ByClose && self.server.speech != Speech::Http2;
        if is_ended_by_cut { BODY.min(at - self.head) } else { BODY }
    }
}

/// Sweeps a reply with each framing, and holds each cut to what may come of it.
fn no_cut_is_taken_for_an_end(speech: Speech, cut: Cut) {
    for framing in Framing::ALL {
        let sweep = Sweep::new(speech, cut, framing);
        let places = places(sweep.whole);
        let end = sweep.run(&places);
        for (seq, (at, code)) in places.into_iter().zip(end.codes()).enumerate() {
            let what = format!("{speech:?} {framing:?} {cut:?} at {at}: {}", end.rows[seq]);
            assert!(sweep.allows(at, code == "ok"), "{what}");
            assert!(code != "ok" || end.body(seq) == body(sweep.length(at), 0), "{what}");
        }
    }
}

#[test]
fn row_04_a_reset_at_each_byte_is_an_error_until_the_reply_is_whole() {
    for speech in [Speech::Http1, Speech::Http1Tls, Speech::Http2] {
        no_cut_is_taken_for_an_end(speech, Cut::Reset);
    }
}

#[test]
fn row_05_a_fin_at_each_byte_is_an_error_until_the_framing_is_complete() {
    for speech in [Speech::Http1, Speech::Http1Tls, Speech::Http2] {
        no_cut_is_taken_for_an_end(speech, Cut::Fin);
    }
}

#[test]
fn row_05_silence_from_each_byte_on_is_an_error_until_the_reply_is_whole() {
    for speech in Speech::VERSIONS {
        no_cut_is_taken_for_an_end(speech, Cut::Stall);
    }
}

/// Promised and not sent, cut by a close, not even begun, and one that is sound.
const SHORT: [&str; 4] =
    ["/a?size=100&lie=%2B10", "/b?size=100&truncate=99", "/c?size=100k&truncate=0", "/d?size=9"];

#[test]
fn row_08_a_body_shorter_than_its_length_never_gets_a_final_name() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let end = server.trial(SHORT).with("--retry 0").run();
        assert_eq!(
            (end.code, end.folder.files_below("out")),
            (1, vec!["out/d_size=9".to_owned()]),
            "{end:?}"
        );
    }
}

#[test]
fn row_08_a_body_shorter_than_its_length_is_called_truncated_and_may_be_tried_again() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let end = server.trial(SHORT).with("--retry 0").run();
        let may_pass = |row: &Value| row["outcome"] == "ok" || row["error"]["retryable"] == true;
        assert!(end.rows.iter().all(may_pass), "{speech:?}: {end:?}");
        assert_eq!(end.codes(), ["body.truncated", "body.truncated", "body.truncated", "ok"], "{speech:?}");
    }
}

#[test]
fn row_08_an_earlier_file_outlives_a_body_that_is_cut() {
    for speech in Speech::VERSIONS {
        let server = speech.serve(Origin::builder().behave("/a", "size=100k&truncate=99k"));
        let trial = server.trial(["/a"]).with("--retry 1 --if-exists overwrite").keep("out/a", b"earlier");
        let end = trial.run();
        assert_eq!((end.code, end.folder.text("out/a")), (3, "earlier".into()), "{end:?}");
    }
}
