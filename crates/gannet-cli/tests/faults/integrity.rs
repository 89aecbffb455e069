//! Bodies that are whole and yet not what was meant: the wrong digest, and mirrors that do not agree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gannet::digest::{Algorithm, Digest};
use gannet_origin::{Origin, body};

use crate::fixture::Speech;

/// The length of the bodies here, in bytes.
const LENGTH: usize = 300_000;

fn sha256(seed: u64) -> Digest {
    Digest::of(Algorithm::Sha256, &body(LENGTH, seed))
}

#[test]
fn row_67_of_mirrors_that_serve_different_bytes_the_right_one_is_found_and_the_others_are_blamed() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let mirrors = ["/b?size=300000&seed=2", "/c?size=300000&seed=3"].map(|path| server.origin.url(path));
        let options = format!("--checksum {} --mirror {} --mirror {}", sha256(3), mirrors[0], mirrors[1]);
        let end =
            server.trial(["/a?size=300000&seed=1"]).alone().with(&options).with("--report-attempts").run();
        let row = &end.rows[0];
        assert_eq!(
            (end.code, &row["attempts"], &row["winner"]["mirror"]),
            (0, &3.into(), &2.into()),
            "{end:?}"
        );
        assert!(end.body(0) == body(LENGTH, 3), "bytes of another mirror are among them");
        assert_eq!(row["body"]["sha256"], sha256(3).to_hex());
        for (mirror, seed) in [(0, 1), (1, 2)] {
            let blamed = row["tries"][mirror].to_string();
            assert!(
                blamed.contains("integrity.digest") && blamed.contains(&sha256(seed).to_hex()),
                "{blamed}"
            );
        }
        for path in ["/a", "/b", "/c"] {
            assert_eq!(server.origin.requests_to(path), 1, "{path}");
        }
    }
}

#[test]
fn row_67_a_mirror_that_breaks_off_is_never_mixed_with_one_of_other_bytes() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let mirror = server.origin.url("/b?size=300000&seed=2");
        let trial = server.trial(["/a?size=300000&seed=1&truncate=200000"]).alone();
        let end = trial.with(&format!("--retry 1 --mirror {mirror}")).run();
        assert_eq!((end.code, &end.rows[0]["winner"]["mirror"]), (0, &1.into()), "{end:?}");
        assert!(end.body(0) == body(LENGTH, 2), "bytes of two mirrors are mixed");
    }
}

#[test]
fn row_67_when_no_mirror_has_the_right_bytes_the_url_fails_with_5_and_leaves_nothing() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let options =
            format!("--checksum {} --mirror {}", sha256(3), server.origin.url("/b?size=300000&seed=2"));
        let end = server.trial(["/a?size=300000&seed=1"]).alone().with(&options).run();
        assert_eq!(
            (end.code, end.codes(), &end.rows[0]["attempts"]),
            (5, vec!["integrity.digest"], &2.into())
        );
        assert_eq!(end.folder.files_below("out"), Vec::<String>::new());
    }
}

#[test]
fn row_68_a_checksum_that_is_given_and_wrong_fails_the_url_with_both_values() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial = server.trial(["/a?size=300000&seed=1"]).alone();
        let end = trial.with(&format!("--checksum {}", sha256(2))).run();
        assert_eq!(
            (end.code, end.codes(), &end.rows[0]["attempts"]),
            (5, vec!["integrity.digest"], &1.into())
        );
        let message = end.rows[0]["error"]["message"].as_str().expect("text");
        assert!([1, 2].iter().all(|seed| message.contains(&sha256(*seed).to_hex())), "{message}");
        assert_eq!(end.folder.files_below("out"), Vec::<String>::new());
        let trial = server.trial(["/a?size=300000&seed=1"]).alone();
        assert_eq!(trial.with(&format!("--checksum {}", sha256(1))).run().code, 0);
    }
}

#[test]
fn row_68_a_digest_that_the_server_sends_and_breaks_fails_that_url_alone() {
    let field = STANDARD.encode(sha256(1).as_bytes());
    for speech in Speech::VERSIONS {
        let said = format!("size=300000&header=Repr-Digest:sha-256=:{}:", field.replace('+', "%2b"));
        let origin = Origin::builder()
            .behave("/right", format!("{said}&seed=1"))
            .behave("/wrong", format!("{said}&seed=2"));
        let server = speech.serve(origin);
        let end = server.trial(["/right", "/wrong"]).run();
        assert_eq!((end.code, end.codes()), (5, vec!["ok", "integrity.digest"]), "{end:?}");
        assert_eq!(end.rows[0]["body"]["sha256"], sha256(1).to_hex());
        assert_eq!(end.folder.files_below("out"), ["out/right"]);
    }
}
