//! The part that a fetch owns: set aside when the attempt fails that wrote it, asked for onward by the next one, told of
//! where a later run may want it. Whether it is gone on with is decided in `policy::resume`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::RANGE;
use http::{Method, StatusCode};

use super::words::broken;
use super::{Attempting, Brought, Rest};
use crate::Moment;
use crate::clock::Clock;
#[cfg(feature = "digests")]
use crate::digest::Claim;
use crate::engine::attempt::{Begins, Goes, IfNot, Led, Onward, Place as AtHost};
use crate::engine::copy::Copied;
#[cfg(feature = "digests")]
use crate::engine::digests::{ReadBack, is_hashed, of_pieces};
use crate::engine::errand::{Errand, Keep};
use crate::engine::plan::UnfinishedParts;
use crate::error::{Error, ErrorKind, Phase};
use crate::event::Event;
use crate::outcome::{ReplyHead, WhyStopped};
use crate::part;
use crate::policy::fetch::Opening;
use crate::policy::resume::{self, Toward};
use crate::sink::{Part, Sink};
use crate::transport::Leg;

/// Shorter bodies are not left for a later run, in bytes.
const WORTH_LEAVING: u64 = 1 << 20;

/// Where a body goes, and what a further attempt could go on by.
pub(crate) struct Place {
    pub(crate) part: Box<dyn Part>,
    pub(crate) known: Option<Box<part::Part>>,
    /// What its reply says of the whole.
    #[cfg(feature = "digests")]
    pub(crate) claims: Vec<Claim>,
    #[cfg(feature = "digests")]
    pub(crate) read_back: Option<Box<ReadBack>>,
}

impl Place {
    /// For a body that comes from its first byte on, and of which this is known.
    pub(super) fn of(part: Box<dyn Part>, known: Option<Box<part::Part>>) -> Self {
        Self {
            part,
            known,
            #[cfg(feature = "digests")]
            claims: Vec::new(),
            #[cfg(feature = "digests")]
            read_back: None,
        }
    }
}

/// What is there of a body that no attempt is writing.
pub(crate) struct Had {
    pub(crate) part: Box<dyn Part>,
    pub(crate) known: part::Part,
    pub(crate) mirror: u32,
    /// The head of the reply that it came by, in this run.
    pub(crate) reply: Option<ReplyHead>,
    /// What that says of the whole.
    #[cfg(feature = "digests")]
    pub(crate) claims: Vec<Claim>,
}

/// What the caller has of a body that broke in its hands.
struct HandedOn {
    known: part::Part,
    mirror: u32,
    broken: Error,
}

impl HandedOn {
    /// The first attempt is the one that broke.
    fn begins(&self, attempt: u32, mirror: u32, errand: &Errand) -> Begins {
        let toward = if self.mirror == mirror { Toward::Same } else { Toward::Mirror };
        let asked = resume::ask(&self.known, toward, errand.plan.resume).filter(|_| attempt > 0);
        let part = || self.known.clone();
        asked.map_or_else(
            || Begins::Broken(self.broken.clone()),
            |asked| Begins::At(Arc::new(Onward { part: part(), asked, toward, if_not: IfNot::Lost })),
        )
    }
}

/// What a body can be gone on with that breaks in the caller's hands.
pub(crate) struct Mend {
    pub(super) errand: Arc<Errand>,
    known: part::Part,
    mirror: u32,
    retried: u32,
}

impl Mend {
    /// `None` if the body cannot be gone on with.
    pub(super) fn of(errand: &Arc<Errand>, led: &Led, mirror: u32, retried: u32) -> Option<Box<Self>> {
        // What has left our hands goes through its hashers once.
        let known = *known_of(errand, led).filter(|_| !is_hashed(errand, led))?;
        Some(Box::new(Self { errand: Arc::clone(errand), known, mirror, retried }))
    }

    /// So many more retries were made for it.
    pub(crate) fn retried(&mut self, more: u32) {
        self.retried += more;
    }

    /// The fetch that goes on, with the retries that are left.
    pub(super) fn errand(&self) -> Errand {
        let mut errand = Errand::clone(&self.errand);
        let plan = Arc::make_mut(&mut errand.plan);
        plan.retries = plan.retries.map(|retries| retries.saturating_sub(self.retried));
        plan.hedge = None;
        errand
    }
}

/// The parts of a fetch.
pub(super) struct Parts<A> {
    had: Option<Box<Had>>,
    /// What the caller has of a body that broke in its hands.
    handed_on: Option<Box<HandedOn>>,
    /// Asks for more of the leader's body, of which the server gave less than it was asked for.
    further: Option<Pin<Box<A>>>,
    asked_on: AskedOn,
    /// How many bytes on the disk were told of; `None` if there is nothing to tell.
    told: Option<u64>,
    /// When that was, in this run.
    told_at: Option<Moment>,
    hold: Hold,
}

/// Whether it was told that the part is in our hands, and that is not written down yet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Hold {
    #[default]
    Settled,
    Told,
}

/// So long after a part was told of, nothing is written behind it before it is told of again, and that is written down: a
/// later run takes what is much younger than what it knows for somebody's edit.
const FRESH: Duration = Duration::from_secs(3);

/// How often a server was asked on that had given less than it was asked for, and how far each brought the body.
#[derive(Debug, Clone, Copy, Default)]
struct AskedOn {
    attempt: u32,
    good: u64,
    scraps: u32,
}

/// Servers that give large bodies by pieces of a size of their own are asked on as often as it takes. A piece that is
/// shorter than this, in bytes, is a scrap,
const SCRAP: u64 = 64 << 10;
/// and one attempt takes so many of them: the next request is a retry, with its pause and its budget.
const SCRAPS: u32 = 16;

impl AskedOn {
    /// Whether this attempt, by which so many bytes are there, may ask once more.
    fn may_again(&mut self, attempt: u32, good: u64) -> bool {
        let (scraps, before) = if self.attempt == attempt { (self.scraps, self.good) } else { (0, 0) };
        let is_scrap = good.saturating_sub(before) < SCRAP;
        *self = Self { attempt, good, scraps: scraps + u32::from(is_scrap) };
        self.scraps <= SCRAPS
    }
}

impl<A> Default for Parts<A> {
    fn default() -> Self {
        Self {
            had: None,
            handed_on: None,
            further: None,
            asked_on: AskedOn::default(),
            told: None,
            told_at: None,
            hold: Hold::Settled,
        }
    }
}

impl<A> Parts<A> {
    /// What this attempt at this mirror begins with.
    pub(super) fn begins(&mut self, (attempt, mirror): (u32, u32), errand: &Errand) -> Begins {
        if let Some(handed_on) = &self.handed_on {
            return handed_on.begins(attempt, mirror, errand);
        }
        let Some(had) = &self.had else { return Begins::Anew };
        let toward = if had.mirror == mirror { Toward::Same } else { Toward::Mirror };
        // The legs of a race of several requests need not be one content.
        if toward == Toward::Mirror && errand.requests.len() > 1 {
            return Begins::Anew;
        }
        let if_not = if had.part.restartable() { IfNot::StartAgain } else { IfNot::Lost };
        match resume::ask(&had.known, toward, errand.plan.resume) {
            Some(asked) => Begins::At(Arc::new(Onward { part: had.known.clone(), asked, toward, if_not })),
            None => Begins::Anew,
        }
    }

    /// Its caller has the first `good` bytes, and then the body broke.
    pub(super) fn hand_on(&mut self, mend: &Mend, good: u64, broken: Error) {
        let known = part::Part { good, ..mend.known.clone() };
        self.handed_on = Some(Box::new(HandedOn { known, mirror: mend.mirror, broken }));
    }

    pub(super) fn is_handed_on(&self) -> bool {
        self.handed_on.is_some()
    }

    /// The body has its place.
    pub(super) fn copied(&mut self) {
        (self.further, self.told) = (None, None);
    }
}

impl<A: Attempting> Rest<A> {
    /// Polls the leader's body, and asks on where the server gave less than it was asked for.
    pub(super) fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<(u32, Result<Brought, Error>)> {
        let Some(attempt) = self.copy.as_ref().map(|copy| copy.attempt) else { return Poll::Pending };
        ready!(self.poll_hold(cx));
        let result = loop {
            if let Some(further) = &mut self.parts.further {
                let _span = self.trace.enter(attempt);
                let led = ready!(further.as_mut().poll(cx));
                self.parts.further = None;
                let copy = self.copy.as_mut().expect("its body is asked for");
                match led.map(|led| copy.goes_on(led)) {
                    Ok(true) => {}
                    Ok(false) => break Err(not_the_rest()),
                    Err(error) => break Err(error),
                }
            }
            let copy = self.copy.as_mut().expect("a leader has its copy");
            let errand = &self.errand;
            let mut received = |bytes| errand.tell(&Event::Received { seq: errand.seq, bytes });
            let polled = {
                let _span = self.trace.enter(attempt);
                copy.poll(cx, &mut received)
            };
            self.tell_of_part();
            match ready!(polled) {
                Ok(Copied::All(got)) => break Ok(Brought::Copied(got)),
                Ok(Copied::Some) => match self.ask_on(attempt) {
                    Some(further) => self.parts.further = Some(Box::pin(further)),
                    None => break Err(not_the_rest()),
                },
                Err(error) => break Err(error),
            }
        };
        let result = result.map_err(|error| {
            let mendable = self.is_mendable(&error);
            broken(error, mendable)
        });
        Poll::Ready((attempt, result))
    }

    fn ask_on(&mut self, attempt: u32) -> Option<A> {
        let mirror = self.book.mirror(attempt);
        let part = self.copy.as_mut()?.known()?;
        if !self.parts.asked_on.may_again(attempt, part.good) {
            return None;
        }
        let asked = resume::ask(&part, Toward::Same, self.errand.plan.resume)?;
        let leg: Arc<Leg> = Arc::clone(self.book.leg(attempt)?);
        leg.enter(Phase::Queue);
        let onward = Onward { part, asked, toward: Toward::Same, if_not: IfNot::Fail };
        let place = AtHost::at(self.met.of(&self.errand, mirror));
        let errand = Arc::clone(&self.errand);
        Some((self.launch)(errand, mirror, leg, place, Begins::At(Arc::new(onward))))
    }

    /// Takes up what an earlier run has left, if it is what it was.
    pub(super) fn reopen(&mut self) {
        let Keep::Whole(sink) = &self.errand.keep else { return };
        let (request, _) = self.errand.target(0);
        let Some(known) = request.part.as_deref() else { return };
        let asked = resume::ask(known, Toward::Same, self.errand.plan.resume);
        let is_race = self.errand.opening == Opening::Race;
        let usable = asked.is_some() && asks_plainly(&self.errand) && !is_race;
        let seq = self.errand.seq;
        // What cannot be opened is begun anew, and fails then if it must.
        let part = sink.reopen(seq, request, known).ok().flatten();
        match part {
            Some(part) if usable && can_be_compared(&self.errand, &*part) => {
                self.parts.told = Some(known.good);
                self.parts.had = Some(Box::new(Had {
                    part,
                    known: known.clone(),
                    mirror: 0,
                    reply: None,
                    #[cfg(feature = "digests")]
                    claims: Vec::new(),
                }));
            }
            other => {
                other.into_iter().for_each(|part| part.discard());
                self.errand.tell(&Event::PartGone { seq });
            }
        }
    }
}

impl<A> Rest<A> {
    /// Where the leader's bytes go: behind those that are there, or to a place of their own. Gives the head of the reply
    /// that those came by.
    pub(super) fn place_for(
        &mut self,
        attempt: u32,
        led: &Led,
        sink: &dyn Sink,
    ) -> Result<(Place, Option<ReplyHead>), Error> {
        match (led.goes, self.parts.had.take()) {
            (Goes::On { from, .. } | Goes::Complete { from }, Some(had)) if had.part.length() == from => {
                let had = *had;
                let place = Place {
                    part: had.part,
                    known: Some(Box::new(had.known)),
                    #[cfg(feature = "digests")]
                    read_back: of_pieces(&self.errand, self.book.mirror(attempt), led, &had.claims),
                    #[cfg(feature = "digests")]
                    claims: had.claims,
                };
                return Ok((place, had.reply));
            }
            (Goes::Anew, had) => self.parts.had = had,
            (Goes::On { .. } | Goes::Complete { .. } | Goes::Unchanged, _) => {
                unreachable!("what is there waits for the leader, and what is unchanged has no body")
            }
        }
        if !self.lets_go() {
            let message =
                "the server sent the body from its start; what was already handed on cannot be taken back";
            return Err(Error::new(ErrorKind::BodyNotResumable, Phase::Body, message));
        }
        let (request, _) = self.errand.target(self.book.mirror(attempt));
        let mut part = sink.begin(self.errand.seq, request, &led.reply)?;
        let goes_on = !is_hashed(&self.errand, led) || part.reads_back();
        let known = known_of(&self.errand, led).filter(|_| goes_on);
        if let Some(known) = known.as_deref().filter(|_| leaves_parts(&self.errand))
            && known.total.is_none_or(|total| total > WORTH_LEAVING)
        {
            part.spare();
        }
        let place = Place::of(part, known);
        #[cfg(feature = "digests")]
        let place = Place { claims: crate::engine::digests::claims(led), ..place };
        Ok((place, None))
    }

    /// Drops what is there of the body, from the disk too; `false` if it has left our hands.
    pub(super) fn lets_go(&mut self) -> bool {
        let Some(had) = self.parts.had.take() else { return true };
        if !had.part.restartable() {
            self.parts.had = Some(had);
            return false;
        }
        had.part.discard();
        if self.parts.told.take().is_some() {
            self.errand.tell(&Event::PartGone { seq: self.errand.seq });
        }
        true
    }

    /// The attempt that wrote has ended: what it wrote is kept for the next one, if that can go on with it.
    pub(super) fn set_aside(&mut self, attempt: u32, why: &WhyStopped) {
        let Some(copy) = self.copy.take_if(|copy| copy.attempt == attempt) else { return };
        let asked_on = self.parts.further.take().is_some();
        // What was written before the output failed is as good as it was, for a later run.
        if matches!(why, WhyStopped::Failed(error) if error.phase() == Phase::Sink && self.parts.told.is_some())
        {
            return;
        }
        let is_good = match why {
            WhyStopped::Failed(error) => asked_on || resume::leaves_good_bytes(error.kind()),
            // It was stopped, not wrong.
            _ => true,
        };
        match copy.is_worth_keeping(is_good) {
            true => self.parts.had = copy.into_had(self.book.mirror(attempt)).map(Box::new),
            false => {
                copy.discard();
                if self.parts.told.take().is_some() {
                    self.errand.tell(&Event::PartGone { seq: self.errand.seq });
                }
            }
        }
    }

    /// Tells what is on the disk, if that is more than was told.
    pub(super) fn tell_of_part(&mut self) {
        let Some((good, on_disk, known)) = self.copy.as_ref().and_then(|copy| copy.on_disk()) else { return };
        if self.parts.told.is_some_and(|told| told >= good) {
            return;
        }
        let part = part::Part { good, on_disk: Some(on_disk.clone()), ..known.clone() };
        self.tell_part(&part);
    }

    fn tell_part(&mut self, part: &part::Part) {
        self.parts.told = Some(part.good);
        self.parts.told_at = Some(self.errand.core.clock.now());
        self.errand.tell(&Event::Part { seq: self.errand.seq, part });
    }

    /// Ready when more may be written to the part: when its row says that it is ours now, or was ours a moment ago.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.errand.core.clock.now();
        let is_told = self.parts.told.is_some_and(|told| told > 0);
        let is_fresh = self.parts.told_at.is_some_and(|at| now < at + FRESH);
        if is_told
            && !is_fresh
            && let Some((good, on_disk, known)) = self.copy.as_ref().and_then(|copy| copy.on_disk())
        {
            let held = part::OnDisk { held: Some(Clock::wall()), ..on_disk.clone() };
            let part = part::Part { good, on_disk: Some(held), ..known.clone() };
            self.tell_part(&part);
            self.parts.hold = Hold::Told;
        }
        if let (Hold::Told, Some(log)) = (self.parts.hold, &self.errand.part_log) {
            ready!(log.poll_written(self.errand.seq, cx));
        }
        self.parts.hold = Hold::Settled;
        Poll::Ready(())
    }
}

fn not_the_rest() -> Error {
    let message = "the server gave a piece of the body, and not the rest of it";
    Error::new(ErrorKind::BodyTruncated, Phase::Body, message)
}

/// Whether a later run may go on with what it leaves. All legs of a race would begin at once.
fn leaves_parts(errand: &Errand) -> bool {
    errand.plan.parts == UnfinishedParts::Left && errand.opening == Opening::One
}

/// Whether what goes on with a part can still compute what is wanted of the whole.
#[cfg(feature = "digests")]
fn can_be_compared(errand: &Errand, part: &dyn Part) -> bool {
    part.reads_back() || !crate::engine::digests::are_wanted(errand)
}

#[cfg(not(feature = "digests"))]
fn can_be_compared(_: &Errand, _: &dyn Part) -> bool {
    true
}

#[cfg(not(feature = "digests"))]
fn is_hashed(_: &Errand, _: &Led) -> bool {
    false
}

/// Whether the request asks for a whole representation, of which a range can be asked for: a GET without a body and
/// without a range of the caller's own.
fn asks_plainly(errand: &Errand) -> bool {
    errand.requests.iter().all(|request| {
        let template = &request.template;
        template.method == Method::GET && template.body.is_empty() && !template.headers.contains_key(RANGE)
    }) && !errand.core.default_headers.contains_key(RANGE)
}

/// What a further attempt could go on by, if the leader breaks off.
fn known_of(errand: &Errand, led: &Led) -> Option<Box<part::Part>> {
    // Most bodies come whole with their first chunk, and cost nothing here.
    let here = led.first.as_ref().map_or(0, |first| first.len() as u64);
    if led.body.is_over() || led.promised.is_some_and(|promised| promised <= here) {
        return None;
    }
    if led.reply.status != StatusCode::OK || led.reply.is_decoded || !asks_plainly(errand) {
        return None;
    }
    let known = part::Part::of_reply(&led.reply.url, &led.reply.headers, led.promised);
    resume::may_go_on(&known, errand.plan.resume).then(|| Box::new(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_asked_for_as_often_as_it_takes_and_scraps_a_few_times() {
        let mut pieces = AskedOn::default();
        assert!((1..10_000).all(|number| pieces.may_again(0, number * SCRAP)));
        let mut scraps = AskedOn::default();
        let asked = |attempt, scraps: &mut AskedOn| {
            (1..10_000).position(|number| !scraps.may_again(attempt, number)).expect("it has an end")
        };
        assert_eq!(asked(0, &mut scraps), SCRAPS as usize);
        assert_eq!(asked(1, &mut scraps), SCRAPS as usize, "each attempt has its own");
    }
}
