//! A body against all that is said of it: each byte is hashed once for each algorithm, and at its end what was computed
//! is compared with what was claimed.

use std::io::{self, Read};

use http::{HeaderMap, Method, StatusCode};

use super::{Algorithm, Digest, Hasher, fields, read_into};
use crate::error::{Error, ErrorKind, Phase};

/// What a body's digest is said to be, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) by: By,
    pub(crate) digest: Digest,
}

/// Who says what a digest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The caller.
    Caller,
    /// The reply, in this field.
    Field(&'static str),
}

impl Claim {
    /// What the caller expects.
    pub(crate) fn of_caller(digest: Digest) -> Self {
        Self { by: By::Caller, digest }
    }
}

/// The hashers of one body, and what they are to come to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks {
    hashers: Vec<Hasher>,
    claims: Vec<Claim>,
    /// Whether trailers can say more.
    scope: Option<fields::Scope>,
}

impl Checks {
    /// What a reply says of its body, over the bytes as they are sent: `None` if nothing that is known.
    ///
    /// A reply to HEAD, and a status that has no content, tell of a body that does not come.
    pub(crate) fn of_reply(method: &Method, status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let scope = fields::Scope::of(method, status)?;
        let mut checks = Self::default();
        checks.claim(fields::claims(headers, scope));
        if fields::announces_trailers(headers) {
            // They say by which algorithm only when all bytes have gone by.
            checks.compute(Algorithm::Sha256);
            checks.compute(Algorithm::Sha512);
            checks.scope = Some(scope);
        }
        (!checks.hashers.is_empty()).then_some(checks)
    }

    /// What is said of a whole of which a part lies on the disk, by the reply that brings the rest (206) and by the caller.
    /// It takes the part [first](Self::update_from), then the rest; what the reply says of its own content is apart.
    pub(crate) fn of_rest(
        headers: &HeaderMap,
        expected: impl IntoIterator<Item = Claim>,
        algorithms: &[Algorithm],
    ) -> Option<Self> {
        let mut checks = Self::default();
        checks.claim(fields::claims(headers, fields::Scope::Rest));
        checks.add(expected, algorithms, &[]);
        (!checks.hashers.is_empty()).then_some(checks)
    }

    /// What the reply itself has said so far.
    pub(crate) fn claims_of_reply(&self) -> impl Iterator<Item = Claim> + '_ {
        self.claims.iter().filter(|claim| claim.by != By::Caller).cloned()
    }

    /// Adds claims. To be called before the first byte, or by who makes good for it with [`add`](Self::add).
    fn claim(&mut self, claims: impl IntoIterator<Item = Claim>) {
        for claim in claims {
            self.compute(claim.digest.algorithm());
            self.claims.push(claim);
        }
    }

    /// Computes this one too, whether anybody claims it or not.
    fn compute(&mut self, algorithm: Algorithm) {
        if self.hashers.iter().all(|hasher| hasher.algorithm() != algorithm) {
            self.hashers.push(Hasher::new(algorithm));
        }
    }

    /// Adds claims and algorithms to a body of which `passed` has gone by already.
    pub(crate) fn add(
        &mut self,
        claims: impl IntoIterator<Item = Claim>,
        algorithms: &[Algorithm],
        passed: &[u8],
    ) {
        let known = self.hashers.len();
        self.claim(claims);
        algorithms.iter().for_each(|algorithm| self.compute(*algorithm));
        self.hashers[known..].iter_mut().for_each(|hasher| hasher.update(passed));
    }

    /// Takes the next bytes of the body.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    /// Takes the part of the body that lies on the disk already. Blocks while it reads.
    pub(crate) fn update_from(&mut self, from: impl Read) -> io::Result<u64> {
        read_into(from, |bytes| self.update(bytes))
    }

    /// What the trailers say counts as what the head says, if the head has announced it.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(scope) = self.scope {
            let computed: Vec<Algorithm> = self.hashers.iter().map(Hasher::algorithm).collect();
            let claims = fields::claims(trailers, scope);
            self.claims
                .extend(claims.into_iter().filter(|claim| computed.contains(&claim.digest.algorithm())));
        }
    }

    /// Compares, at the body's end, and gives all that was computed.
    ///
    /// # Errors
    /// [`Digest`](ErrorKind::Digest): one is not what it is said to be.
    pub(crate) fn finish(self) -> Result<Vec<Digest>, Error> {
        let computed: Vec<Digest> = self.hashers.into_iter().map(Hasher::finish).collect();
        for claim in &self.claims {
            let algorithm = claim.digest.algorithm();
            let own = computed.iter().find(|digest| digest.algorithm() == algorithm);
            let own = own.expect("what is claimed is computed");
            if *own != claim.digest {
                return Err(mismatch(own, claim));
            }
        }
        Ok(computed)
    }
}

fn mismatch(computed: &Digest, claim: &Claim) -> Error {
    let (algorithm, own, other) = (computed.algorithm(), computed.to_hex(), claim.digest.to_hex());
    let message = match claim.by {
        By::Caller => format!("the body's {algorithm} is {own}, {other} was expected"),
        By::Field(name) => format!("the body's {algorithm} is {own}, {other} is what {name} says"),
    };
    Error::new(ErrorKind::Digest, Phase::Verify, message)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn checks(claims: &[Digest]) -> Checks {
        let mut checks = Checks::default();
        checks.claim(claims.iter().cloned().map(Claim::of_caller));
        checks
    }

    #[test]
    fn a_body_with_all_its_digests_passes_and_gives_them() {
        let claims = [Digest::of(Algorithm::Sha256, b"abcdef"), Digest::of(Algorithm::Md5, b"abcdef")];
        let mut checks = checks(&claims);
        checks.update_from(&b"abc"[..]).expect("memory can be read");
        checks.update(b"def");
        assert_eq!(checks.finish().expect("it is whole"), claims);
    }

    #[test]
    fn one_wrong_digest_among_right_ones_is_an_error_with_both_values() {
        let (right, wrong) = (Digest::of(Algorithm::Sha256, b"abc"), Digest::of(Algorithm::Md5, b"abd"));
        let mut checks = checks(&[right, wrong.clone()]);
        checks.update(b"abc");
        let error = checks.finish().expect_err("the MD5 is another body's");
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Digest, Phase::Verify));
        let own = Digest::of(Algorithm::Md5, b"abc").to_hex();
        assert_eq!(error.message(), format!("the body's md5 is {own}, {} was expected", wrong.to_hex()));
    }

    #[test]
    fn a_body_that_is_resumed_is_held_to_the_digest_of_its_parts_together() {
        let whole = Digest::of(Algorithm::Sha256, b"abcdef");
        let value = format!("sha-256=:{}:", super::super::STANDARD.encode(whole.as_bytes()));
        let mut headers = HeaderMap::new();
        headers.insert("repr-digest", value.parse().expect("a value"));
        // That of the message's own content is compared with that alone.
        let other = "sha-512=:AAAA:".parse().expect("a value");
        headers.insert("content-digest", other);
        let rest = |part: &[u8]| {
            let own = Claim::of_caller(Digest::of(Algorithm::Md5, b"abcdef"));
            let mut checks = Checks::of_rest(&headers, [own], &[]).expect("two digests");
            checks.update_from(part).expect("memory can be read");
            checks.update(b"def");
            checks.finish()
        };
        assert_eq!(rest(b"abc").expect("it is whole").len(), 2);
        assert_eq!(rest(b"abX").expect_err("the part was edited").kind(), ErrorKind::Digest);
        assert!(Checks::of_rest(&HeaderMap::new(), [], &[]).is_none());
    }

    #[test]
    fn what_is_added_late_has_seen_the_first_bytes_too() {
        let mut checks = checks(&[Digest::of(Algorithm::Sha256, b"abcdef")]);
        checks.update(b"abc");
        checks.add([Claim::of_caller(Digest::of(Algorithm::Sha1, b"abcdef"))], &[Algorithm::Md5], b"abc");
        checks.update(b"def");
        let computed = checks.finish().expect("it is whole");
        assert_eq!(computed[2], Digest::of(Algorithm::Md5, b"abcdef"));
    }
}
