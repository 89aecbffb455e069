//! Decoders against what the usual encoders make: split anywhere, cut anywhere, changed, chained, expanded.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderValue;

use super::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes it")
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes it")
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes it")
}

fn brotli_of(plain: &[u8], change: impl FnOnce(&mut brotli::enc::BrotliEncoderParams)) -> Vec<u8> {
    let mut params = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
    change(&mut params);
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &plain[..], &mut out, &params).expect("memory takes it");
    out
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    brotli_of(plain, |_| {})
}

/// One frame without a content size, so that the window stands in its header.
fn zstd_of(plain: &[u8], window_log: u32) -> Vec<u8> {
    use zstd_safe::CParameter::{ChecksumFlag, WindowLog};
    let mut context = zstd_safe::CCtx::create();
    for parameter in [WindowLog(window_log), ChecksumFlag(true)] {
        context.set_parameter(parameter).expect("zstd knows it");
    }
    let mut out = vec![0; zstd_safe::compress_bound(plain.len()) + 64];
    let mut to = zstd_safe::OutBuffer::around(&mut out[..]);
    let mut from = zstd_safe::InBuffer::around(plain);
    while from.pos() < plain.len() {
        context.compress_stream(&mut to, &mut from).expect("there is room");
    }
    while context.end_stream(&mut to).expect("there is room") > 0 {}
    let length = to.pos();
    out.truncate(length);
    out
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd_of(plain, 20)
}

type Encode = fn(&[u8]) -> Vec<u8>;

const ALL: [(Coding, Encode); 5] = [
    (Coding::Gzip, gzip),
    (Coding::Deflate, zlib),
    (Coding::Deflate, raw_deflate),
    (Coding::Brotli, brotli),
    (Coding::Zstd, zstd),
];

/// Decodes what comes in these chunks; no piece is over its limit.
fn decoded<'a>(
    codings: &[Coding],
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, (Error, usize)> {
    let (mut decoder, mut chunks, mut out) = (Decoder::new(codings), chunks.into_iter(), Vec::new());
    loop {
        match decoder.step().map_err(|error| (error, out.len()))? {
            Step::Piece(piece) => {
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                out.extend_from_slice(&piece);
            }
            Step::Hungry => match chunks.next() {
                Some(chunk) => decoder.feed(Bytes::copy_from_slice(chunk)),
                None => decoder.end(),
            },
            Step::Pause => {}
            Step::Done => return Ok(out),
        }
    }
}

fn kind_of(codings: &[Coding], encoded: &[u8]) -> ErrorKind {
    decoded(codings, [encoded]).expect_err("it is not whole and well").0.kind()
}

/// Splits at random places, most of them close to one another.
fn splits<'a>(dice: &mut fastrand::Rng, mut rest: &'a [u8]) -> Vec<&'a [u8]> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let most = [1, 3, 20, 5000, 100_000][dice.usize(..5)];
        let length = dice.usize(1..=most).min(rest.len());
        let (chunk, behind) = rest.split_at(length);
        all.push(chunk);
        rest = behind;
    }
    all
}

/// Text, noise or zeros, of a random length.
fn plain(dice: &mut fastrand::Rng) -> Vec<u8> {
    let most = [2, 100, 70_000, 300_000][dice.usize(..4)];
    let length = dice.usize(..most);
    let span = [1, 5, 256][dice.usize(..3)];
    (0..length).map(|_| dice.usize(..span) as u8).collect()
}

#[test]
fn chains_of_codings_are_taken_off_whatever_the_splits() {
    let seed = std::env::var("GANNET_CODING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("GANNET_CODING_SEED={seed} cargo test -p gannet --features compression --lib coding");
    let mut dice = fastrand::Rng::with_seed(seed);
    for _ in 0..150 {
        let plain = plain(&mut dice);
        let (mut codings, mut encoded) = (Vec::new(), plain.clone());
        for _ in 0..dice.usize(1..=MOST_CODINGS) {
            let (coding, encode) = ALL[dice.usize(..ALL.len())];
            encoded = encode(&encoded);
            codings.push(coding);
        }
        let chunks = splits(&mut dice, &encoded);
        let got = decoded(&codings, chunks).unwrap_or_else(|(error, _)| panic!("{codings:?}: {error}"));
        assert!(got == plain, "{codings:?} of {} bytes", plain.len());
    }
}

#[test]
fn a_body_that_is_cut_at_any_byte_is_an_error() {
    let plain: Vec<u8> = (0..600).map(|number: u32| (number * number / 7 % 50) as u8).collect();
    for (coding, encode) in ALL {
        let encoded = encode(&plain);
        for cut in 1..encoded.len() {
            assert_eq!(kind_of(&[coding], &encoded[..cut]), ErrorKind::CodingCut, "{coding:?} at {cut}");
        }
        let inner = gzip(&encoded[..encoded.len() / 2]);
        assert_eq!(kind_of(&[coding, Coding::Gzip], &inner), ErrorKind::CodingCut, "{coding:?} within gzip");
        assert_eq!(decoded(&[coding], []).ok(), Some(Vec::new()), "no byte, no coding");
    }
}

#[test]
fn a_changed_byte_is_an_error_or_changes_nothing() {
    let plain: Vec<u8> = (0..300).map(|number: u32| (number * 31 % 70) as u8).collect();
    for (coding, encode) in [ALL[0], ALL[1], ALL[4]] {
        let encoded = encode(&plain);
        let mut errors = 0;
        for (place, bit) in (0..encoded.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut changed = encoded.clone();
            changed[place] ^= 1 << bit;
            match decoded(&[coding], [&changed[..]]) {
                Ok(got) => assert!(got == plain, "{coding:?}: bit {bit} of byte {place}"),
                Err(_) => errors += 1,
            }
        }
        assert!(errors > 8 * encoded.len() / 2, "{coding:?}: {errors} errors");
    }
}

#[test]
fn a_body_of_another_coding_is_an_error() {
    for (coding, _) in ALL {
        let page = b"<!doctype html><title>not found</title>";
        let kind = kind_of(&[coding], page);
        assert!([ErrorKind::CodingBroken, ErrorKind::CodingCut].contains(&kind), "{coding:?}: {kind:?}");
    }
}

#[test]
fn members_and_frames_in_a_row_are_one_body_and_other_bytes_behind_the_end_are_an_error() {
    for (coding, encode) in ALL {
        let (one, two) = (encode(b"one"), encode(b"two"));
        let both = [&one[..], &two[..]].concat();
        let zeros = [&one[..], &[0; 10]].concat();
        if [Coding::Gzip, Coding::Zstd].contains(&coding) {
            let got = decoded(&[coding], both.chunks(1)).expect("both are whole");
            assert_eq!(got, b"onetwo");
            assert_eq!(kind_of(&[coding], &both[..both.len() - 1]), ErrorKind::CodingCut);
        } else {
            assert_eq!(kind_of(&[coding], &both), ErrorKind::CodingBroken, "{coding:?}");
        }
        assert_eq!(kind_of(&[coding], &zeros), ErrorKind::CodingBroken, "{coding:?}");
    }
    let raw = raw_deflate(b"one");
    let with_checksum = [&raw[..], &[1, 2, 3, 4]].concat();
    assert_eq!(decoded(&[Coding::Deflate], with_checksum.chunks(1)).ok().as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_hundred_thousand_empty_members_pause_on_the_way() {
    let mut decoder = Decoder::new(&[Coding::Gzip]);
    decoder.feed(Bytes::from(gzip(b"").repeat(100_000)));
    let mut pauses = 0;
    loop {
        match decoder.step().expect("each is whole") {
            Step::Pause => pauses += 1,
            Step::Hungry => decoder.end(),
            Step::Done => break,
            Step::Piece(piece) => panic!("{} bytes of nothing", piece.len()),
        }
    }
    assert!(pauses > 1000, "{pauses} pauses");
}

#[test]
fn bombs_stop_at_the_ratio() {
    let zeros = vec![0; 48 << 20];
    let chained = zstd(&zstd(&zeros));
    let bombs = [
        (vec![Coding::Gzip], gzip(&zeros)),
        (vec![Coding::Brotli], brotli(&zeros)),
        (vec![Coding::Zstd], zstd(&zeros)),
        (vec![Coding::Zstd, Coding::Zstd], chained),
        (vec![Coding::Gzip, Coding::Zstd], zstd(&gzip(&zeros))),
    ];
    for (codings, encoded) in bombs {
        let (error, given) = decoded(&codings, [&encoded[..]]).expect_err("it is a bomb");
        assert!(error.kind() == ErrorKind::Bomb && error.message().contains("1000"), "{error}");
        let most = (RATIO_FROM as usize).max(encoded.len() * 1000);
        assert!(given <= most, "{codings:?}: {given} bytes of {}", encoded.len());
    }
    // What is skipped within, without a byte of output, counts too.
    let mut skipped = vec![0x50, 0x2a, 0x4d, 0x18];
    skipped.extend((40_u32 << 20).to_le_bytes());
    skipped.resize(8 + (40 << 20), 0);
    assert_eq!(kind_of(&[Coding::Zstd, Coding::Zstd], &zstd(&skipped)), ErrorKind::Bomb);
}

#[test]
fn one_chunk_that_expands_almost_a_thousandfold_comes_out_in_pieces_on_demand() {
    let mut dice = fastrand::Rng::with_seed(1);
    let mut plain = vec![0; 15_500_000];
    plain[..1000].iter_mut().for_each(|byte| *byte = dice.u8(..));
    let encoded = gzip(&plain);
    assert!(encoded.len() < 17_000 && plain.len() > 900 * encoded.len(), "{} bytes", encoded.len());
    let mut decoder = Decoder::new(&[Coding::Gzip]);
    assert_eq!(decoder.step().expect("nothing is wrong yet"), Step::Hungry);
    decoder.feed(Bytes::from(encoded));
    let mut length = 0;
    while let Step::Piece(piece) = decoder.step().expect("it is whole") {
        assert!(piece.len() <= PIECE);
        length += piece.len();
    }
    assert_eq!(length, plain.len());
}

#[test]
fn windows_beyond_the_limits_are_refused() {
    let plain = b"a window is asked for, whatever the length";
    assert_eq!(decoded(&[Coding::Zstd], [&zstd_of(plain, 23)[..]]).ok().as_deref(), Some(&plain[..]));
    let (error, _) = decoded(&[Coding::Zstd], [&zstd_of(plain, 24)[..]]).expect_err("16 MiB");
    assert!(error.kind() == ErrorKind::CodingBroken && error.message().contains("8 MiB"), "{error}");
    let large = brotli_of(plain, |params| {
        params.large_window = true;
        params.lgwin = 28;
    });
    assert_eq!(kind_of(&[Coding::Brotli], &large), ErrorKind::CodingBroken);
}

#[test]
fn lists_of_codings_are_read_in_order_over_all_fields() {
    let read = |fields: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(field));
        }
        codings(&headers).map_err(|error| (error.kind(), error.message().to_owned()))
    };
    assert_eq!(read(&[]), Ok(vec![]));
    assert_eq!(read(&["", " , identity,\t"]), Ok(vec![]));
    assert_eq!(read(&["GZip , br", "zstd"]), Ok(vec![Coding::Gzip, Coding::Brotli, Coding::Zstd]));
    assert_eq!(read(&["x-gzip,deflate"]), Ok(vec![Coding::Gzip, Coding::Deflate]));
    assert!(read(&["gzip,gzip,gzip", "identity,gzip"]).is_ok_and(|four| four.len() == 4));
    for (many, sign) in [("br,br,br,br,br", "limit of 4"), ("compress", "compress"), ("gzip;q=1", "gzip;q=1")]
    {
        let (kind, message) = read(&[many]).expect_err("it cannot be taken off");
        assert!(kind == ErrorKind::CodingUnknown && message.contains(sign), "{message}");
    }
}
