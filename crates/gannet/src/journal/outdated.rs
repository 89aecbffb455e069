//! Whether a body that an earlier run has brought is what its line wants still: a digest that is wanted of it may have been
//! corrected since. Nothing here reads a body.

use crate::error::Error;
use crate::outcome::Recorded;
use crate::request::Request;
use crate::version::Outdated;

/// What speaks against the body of this row: it has another digest than its line wants by now. Of a line that is not done,
/// but has a file from before, it is enough that not all of them are known to be right: that file must not be skipped.
#[cfg(feature = "digests")]
pub(super) fn outdated(row: &Recorded, request: &Result<Request, Error>) -> Option<Box<Outdated>> {
    use crate::digest::Digest;
    use crate::outcome::Ending;

    let wanted = request.as_ref().map(Request::digests).ok().filter(|wanted| !wanted.is_empty())?;
    let known = row.body_digests();
    let own = |wanted: &Digest| known.iter().find(|known| known.algorithm() == wanted.algorithm());
    let is_other = |wanted: &&Digest| own(wanted).is_some_and(|own| own != *wanted);
    let is_unsure = |wanted: &&Digest| row.ending != Ending::Ok && !known.is_empty() && own(wanted).is_none();
    let one = wanted.iter().find(is_other).or_else(|| wanted.iter().find(is_unsure))?;
    let algorithm = one.algorithm();
    let own = own(one).map_or_else(|| "unknown".to_owned(), Digest::to_hex);
    let why = format!("the body's {algorithm} is {own} in the journal, {} is expected by now", one.to_hex());
    Some(Box::new(Outdated { file: row.path.clone(), why: why.into() }))
}

/// Without digests nothing speaks against it.
#[cfg(not(feature = "digests"))]
pub(super) fn outdated(_: &Recorded, _: &Result<Request, Error>) -> Option<Box<Outdated>> {
    None
}
