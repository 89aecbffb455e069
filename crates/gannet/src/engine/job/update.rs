//! Requests whose file is there, and is to be replaced only by another version, or not at all: what earlier jobs have
//! written down of each is asked for before it is queued or skipped, one at a time. What follows from it for a version is
//! decided in `policy::update`.

use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use http::Method;
use http::header::{
    HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use super::ledger::IsAsked;
use super::{Job, Waiting};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::Verdict;
use crate::policy::update;
use crate::request::Request;
use crate::sink::Admission;
use crate::version::{There, Written};

/// A request of which is being looked up what is written down.
pub(super) struct Looking {
    pub(super) waiting: Waiting,
    what: What,
}

/// What is to become of it.
enum What {
    /// It is asked for under a condition.
    Update(There),
    /// It is skipped, unless its file is another URL's.
    Skip(PathBuf, Tried),
}

/// Names it was given that turned out to be other URLs'.
#[derive(Debug, Default)]
pub(super) struct Tried {
    count: u32,
    /// What the first of them was made of.
    first: Option<Box<Path>>,
}

/// So many names are tried: one folder may have had as many lists that give one name each.
const NAMES: u32 = 10_000;

impl Job {
    /// Queues a request whose file is there, once it is known what was written down of it.
    pub(super) fn queue_update(&mut self, waiting: Waiting, there: There) {
        if !self.may_ask_under_a_condition(&waiting.request) {
            return self.queue(waiting);
        }
        match &mut self.terms.ledger {
            None => self.queue_unless(waiting, there, Written::NoRow),
            Some(ledger) => {
                ledger.look_up(waiting.seq, waiting.request.url(), &there.path);
                self.looking = Some(Box::new(Looking { waiting, what: What::Update(there) }));
            }
        }
    }

    /// Takes in what was looked up; whether anything changed.
    pub(super) fn looked_up(&mut self, cx: &mut Context<'_>) -> bool {
        if self.looking.is_none() {
            return false;
        }
        let Some(ledger) = &mut self.terms.ledger else { return false };
        let Poll::Ready(written) = ledger.poll_found(cx) else { return false };
        let Some(looking) = self.looking.take() else { return false };
        match looking.what {
            What::Update(there) => self.queue_unless(looking.waiting, there, written),
            What::Skip(path, tried) => self.skip_unless(looking.waiting, (path, tried), written),
        }
        true
    }

    /// Skips a request whose file is there, once it is known whose that is.
    pub(super) fn skip_own(&mut self, waiting: Waiting, path: PathBuf, tried: Tried) {
        let Waiting { seq, request, .. } = &waiting;
        match &mut self.terms.ledger {
            Some(ledger)
                if request.outdated.is_none()
                    && ledger.look_up_owner(*seq, request.url(), &path) == IsAsked::Yes =>
            {
                self.looking = Some(Box::new(Looking { waiting, what: What::Skip(path, tried) }));
            }
            _ => self.skip(waiting, path),
        }
    }

    /// A name is no reason to pass over a body that is nowhere: the file of another URL stays, and this one gets another
    /// name.
    fn skip_unless(&mut self, mut waiting: Waiting, (path, mut tried): (PathBuf, Tried), written: Written) {
        let another = match written {
            Written::Beside(own) => return self.skip(waiting, own),
            Written::OfAnother(another) => another,
            Written::Unreadable => "another URL, perhaps: an earlier job's journal cannot be read".into(),
            Written::NoRow | Written::NoVersion | Written::Version(_) => return self.skip(waiting, path),
        };
        let place = &mut waiting.request.place;
        match tried.count {
            0 => tried.first.clone_from(place),
            1.. => place.clone_from(&tried.first),
        }
        let admission = match tried.count {
            ..NAMES => self.terms.sink.admit_beside(waiting.seq, &mut waiting.request, tried.count),
            NAMES.. => {
                let message = format!("{} is the file of {another}", path.display());
                Some(Err(Error::new(ErrorKind::Exists, Phase::Sink, message)))
            }
        };
        let Some(admission) = admission else { return self.skip(waiting, path) };
        match admission {
            Ok(Admission::Fetch | Admission::Update(_)) => self.queue(waiting),
            Ok(Admission::Skip(path)) => {
                tried.count += 1;
                self.skip_own(waiting, path, tried);
            }
            Err(error) => {
                let Waiting { seq, line, request, .. } = waiting;
                let url: Box<str> = request.url().into();
                self.settle_unstarted(seq, line, url.clone(), Verdict::Not(error.of_url(url)));
            }
        }
    }

    fn queue_unless(&mut self, mut waiting: Waiting, there: There, written: Written) {
        if let Some(kept) = update::kept(there, written, Clock::wall()) {
            if let Some(ledger) = &mut self.terms.ledger {
                ledger.keeps(waiting.seq, &kept);
            }
            waiting.request.kept = Some(Box::new(kept));
        }
        self.queue(waiting);
    }

    /// Whether the request leaves room for a condition: a GET without a body, conditions or a range of the caller's own.
    /// What has to have a digest is fetched, or it would not be compared.
    fn may_ask_under_a_condition(&self, request: &Request) -> bool {
        #[cfg(feature = "digests")]
        if !request.digests().is_empty() || !self.terms.plan.digests.is_empty() {
            return false;
        }
        let own = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];
        let has_own = |fields: &HeaderMap| own.iter().any(|name| fields.contains_key(name));
        let template = &request.template;
        template.method == Method::GET
            && template.body.is_empty()
            && !has_own(&template.headers)
            && !has_own(&self.core.default_headers)
    }
}
