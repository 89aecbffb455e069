//! Replies that are cut: at any byte, by FIN, RST or silence. A cut reply is never a success.

use gannet_origin::{Counts, body};

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

/// The places of the cuts: each `GANNET_FAULT_STEP`-th byte, from an offset that `GANNET_FAULT_SEED` sets, and all
/// around both ends.
fn places(whole: usize) -> Vec<usize> {
    let step = from_environment("GANNET_FAULT_STEP", 23);
    let seed = from_environment("GANNET_FAULT_SEED", std::process::id() as usize);
    eprintln!("replay: GANNET_FAULT_SEED={seed} GANNET_FAULT_STEP={step}; each byte: GANNET_FAULT_STEP=1");
    let mut places: Vec<usize> = (seed % step..whole).step_by(step).collect();
    places.extend([0, 1].into_iter().chain(whole.saturating_sub(9)..whole + 3));
    places.sort();
    places.dedup();
    places
}

/// The lengths of the head and of the whole reply, as the server writes it.
fn lengths(server: &Server, framing: Framing) -> (usize, usize) {
    if server.speech == Speech::Http2 {
        return (0, BODY);
    }
    server.origin.reset_counts();
    let end = server.trial([format!("/?size={BODY}{}", framing.query())]).run();
    assert_eq!(end.code, 0, "{end:?}");
    let is_counted = |counts: &Counts| counts.replies_complete == 1;
    assert!(server.origin.wait_until_blocking(is_counted, LONG), "the whole reply was sent");
    let whole = server.origin.counts().bytes_sent as usize;
    // One chunk: its size line, its end, and the last chunk.
    let frame = if framing == Framing::Chunks { format!("{BODY:x}\r\n\r\n0\r\n\r\n").len() } else { 0 };
    (whole - BODY - frame, whole)
}

/// Cuts the same reply at many places, each asked for by a URL of one run.
fn sweep(server: &Server, cut: Cut, framing: Framing) -> (Vec<usize>, End) {
    let places = places(lengths(server, framing).1);
    let paths = places.iter().map(|at| format!("/{at}?size={BODY}{}&{}={at}", framing.query(), cut.key()));
    let end = server.trial(paths).with("--retry 0 --read-timeout 400ms -j 300 --per-host 300").run();
    (places, end)
}

/// What may come of a cut at a place.
fn is_allowed(server: &Server, cut: Cut, framing: Framing, at: usize, is_ok: bool) -> bool {
    let (head, whole) = lengths(server, framing);
    let is_http2 = server.speech == Speech::Http2;
    match (cut, framing) {
        // Data that was received may be lost by the reset that comes after it. On HTTP/2 a place counts the body, and
        // a reset at its very end comes before the end of the stream.
        (Cut::Reset, Framing::ByClose) if !is_http2 => !is_ok,
        (Cut::Reset, _) => !is_ok || at > whole || (at == whole && !is_http2),
        (Cut::Stall, Framing::ByClose) if !is_http2 => is_ok == (at >= whole),
        (Cut::Stall, _) => is_ok == if is_http2 { at > whole } else { at >= whole },
        // Without close_notify nothing tells a cut from an end.
        (Cut::Fin, Framing::ByClose) if server.speech == Speech::Http1Tls => !is_ok,
        (Cut::Fin, Framing::ByClose) if !is_http2 => is_ok == (at >= head),
        (Cut::Fin, _) => is_ok == (at >= whole),
    }
}

/// Sweeps a reply with each framing, and holds each cut to what may come of it.
fn no_cut_is_taken_for_an_end(speech: Speech, cut: Cut) {
    let server = speech.server();
    for framing in Framing::ALL {
        let (places, end) = sweep(&server, cut, framing);
        let head = lengths(&server, framing).0;
        for (seq, at) in places.into_iter().enumerate() {
            let code = end.codes()[seq];
            let what = format!("{speech:?} {framing:?} {cut:?} at {at}: {}", end.rows[seq]);
            assert!(is_allowed(&server, cut, framing, at, code == "ok"), "{what}");
            if code == "ok" {
                let sent = if framing == Framing::ByClose { (at - head.min(at)).min(BODY) } else { BODY };
                let expected = if speech == Speech::Http2 { BODY } else { sent };
                assert!(end.body(seq) == body(expected, 0), "{what}");
            }
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

#[test]
fn row_08_a_body_shorter_than_its_length_never_gets_a_final_name() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let paths = ["/a?size=100&lie=%2B10", "/b?size=100&truncate=99", "/c?size=100k&truncate=0", "/d?size=9"];
        let end = server.trial(paths).with("--retry 0").run();
        assert_eq!(end.code, 1);
        assert_eq!(end.codes(), ["body.truncated", "body.truncated", "body.truncated", "ok"], "{end:?}");
    }
}

#[test]
fn row_08_an_earlier_file_outlives_a_body_that_is_cut() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial = server.trial(["/a?size=100k&truncate=99k"]).with("--retry 1");
        std::fs::create_dir(trial.folder.path("kept")).expect("a folder can be made");
        let kept = trial.folder.path("kept");
        let trial = trial.with(&format!("--if-exists overwrite -P {}", kept.display()));
        trial.folder.write("kept/a", b"earlier");
        let _ = trial;
    }
}
