//! Attempts that lose: they end at the server at once, their bytes are counted, and the file holds the winner alone.

use std::time::Duration;

use gannet_origin::{HowEnded, Origin, body};

use crate::fixture::{LONG, Speech};

#[test]
fn row_80_the_loser_of_a_hedge_ends_at_the_server_at_once_and_the_file_holds_the_winner() {
    // A loser that is silent, one that sent its head, and one whose body would come soon after.
    for loser in ["never", "size=100k&seed=1&body-delay=10s", "size=100k&seed=1&delay=400ms"] {
        for speech in Speech::VERSIONS {
            let script = [loser, "size=100k&seed=2"];
            let server = speech.serve(Origin::builder().script("/a", script));
            let end = server.trial(["/a"]).with("--retry 0 --hedge 50ms").run();
            assert_eq!((end.code, &end.rows[0]["hedged"]), (0, &true.into()), "{end:?}");
            assert_eq!(end.rows[0]["winner"]["attempt"], 2, "{end:?}");
            assert!(end.body(0) == body(100 << 10, 2), "bytes of the loser are among them");
            assert_eq!(end.folder.files_below("out").len(), 1);
            assert!(server.origin.wait_until_blocking(|counts| counts.in_flight == 0, LONG));
            let requests = server.origin.requests();
            let (lost, how) = requests[0].ended.expect("it ended");
            assert_eq!(how, HowEnded::ClientLeft, "{loser}");
            // The winner leads as soon as its request has come: its delay is none.
            let after = lost.saturating_sub(requests[1].started);
            assert!(after < Duration::from_millis(50), "{speech:?} {loser}: the loser ran on for {after:?}");
        }
    }
}

#[test]
fn row_80_the_bytes_of_losers_are_counted() {
    for speech in Speech::VERSIONS {
        let wire = |script: &[&str], options: &str| {
            let server = speech.serve(Origin::builder().script("/a", script.iter().copied()));
            let end = server.trial(["/a"]).with(options).run();
            assert_eq!((end.code, &end.rows[0]["bytes"]), (0, &10_240.into()), "{end:?}");
            end.rows[0]["bytes_wire"].as_u64().expect("a number")
        };
        let (alone, of_loser) = (wire(&["size=10k"], ""), ["size=10k&truncate=4k", "size=10k"]);
        let both = wire(&of_loser, "--retry 1");
        assert!(both >= alone + 4096, "{speech:?}: {both} bytes beside {alone}");
    }
}
