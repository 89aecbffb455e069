//! The books of one fetch: every attempt from its start to its end. A stopped attempt is a record, not a gap.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use crate::Moment;
use crate::error::Phase;
use crate::outcome::{AttemptRecord, Record, Waited, WaitedFor, WhyStarted, WhyStopped};
use crate::transport::Leg;

/// The attempts of one fetch.
#[derive(Debug)]
pub(crate) struct Book {
    pages: SmallVec<[Page; 1]>,
    queued_at: Moment,
    first_started: Option<(Moment, SystemTime)>,
    /// The last failure: when it was, and for how long the server asked us to stay away.
    failed: Option<(Moment, Option<Duration>)>,
    /// What the next retry waits for, if it is the purse.
    unpaid: Option<WaitedFor>,
}

#[derive(Debug)]
struct Page {
    leg: Arc<Leg>,
    mirror: u32,
    mirror_url: Option<Box<str>>,
    why: WhyStarted,
    began: Moment,
    /// What was told of [`Leg::places`].
    places: u32,
    waited: Option<Waited>,
    record: Option<AttemptRecord>,
}

impl Book {
    pub(crate) fn new(queued_at: Moment) -> Self {
        Self { pages: SmallVec::new(), queued_at, first_started: None, failed: None, unpaid: None }
    }

    /// An attempt starts; they are numbered in the order of their starts.
    pub(crate) fn started(
        &mut self,
        leg: Arc<Leg>,
        (mirror, mirror_url): (u32, Option<Box<str>>),
        why: WhyStarted,
        now: Moment,
        wall: SystemTime,
    ) {
        self.first_started.get_or_insert((now, wall));
        let failed = self.failed.filter(|_| why == WhyStarted::Retry);
        let waited = failed.map(|(at, asked)| Waited::since_failure(now.since(at), asked));
        let unpaid = self.unpaid.take();
        let waited = waited.map(|waited| Waited { what: unpaid.unwrap_or(waited.what), ..waited });
        self.pages.push(Page { leg, mirror, mirror_url, why, began: now, places: 0, waited, record: None });
    }

    /// An attempt had to queue before it started.
    pub(crate) fn queued_for(&self, attempt: u32, what: WaitedFor) {
        if let Some(leg) = self.leg(attempt) {
            leg.queues_for(what);
        }
    }

    /// A retry waits for the purse.
    pub(crate) fn parked(&mut self) {
        self.unpaid = Some(WaitedFor::Budget);
    }

    /// An attempt has ended; the first end counts.
    pub(crate) fn ended(&mut self, attempt: u32, why: WhyStopped, now: Moment) {
        let first = self.first_started.map_or(now, |(first, _)| first);
        let Some(page) = self.pages.get_mut(attempt as usize) else { return };
        if page.record.is_some() {
            return;
        }
        if let WhyStopped::Failed(error) = &why {
            self.failed = Some((now, error.retry_after()));
        }
        let trace = page.leg.trace(now);
        page.record = Some(AttemptRecord {
            mirror: page.mirror as usize,
            mirror_url: page.mirror_url.take(),
            why_started: page.why,
            why_stopped: why,
            began: page.began.since(first),
            waited: page.waited,
            queued_for: trace.queued_for,
            timings: trace.timings,
            hops: trace.hops,
            status: trace.status,
            bytes: trace.bytes,
            address: trace.address,
            connection: trace.connection,
        });
    }

    /// An attempt that had ended went on with its body until now.
    pub(crate) fn went_on(&mut self, attempt: u32, now: Moment) {
        let Some(page) = self.pages.get_mut(attempt as usize) else { return };
        let Some(record) = &mut page.record else { return };
        let trace = page.leg.trace(now);
        (record.timings, record.bytes) = (trace.timings, trace.bytes);
    }

    pub(crate) fn leg(&self, attempt: u32) -> Option<&Arc<Leg>> {
        self.pages.get(attempt as usize).map(|page| &page.leg)
    }

    /// How many attempts have started.
    pub(crate) fn count(&self) -> u32 {
        self.pages.len() as u32
    }

    pub(crate) fn mirror(&self, attempt: u32) -> u32 {
        self.pages.get(attempt as usize).map_or(0, |page| page.mirror)
    }

    /// The attempts that have not ended.
    pub(crate) fn open(&self) -> impl Iterator<Item = (u32, &Leg)> {
        let pages = self.pages.iter().enumerate();
        pages.filter(|(_, page)| page.record.is_none()).map(|(attempt, page)| (attempt as u32, &*page.leg))
    }

    pub(crate) fn why(&self, attempt: u32) -> Option<WhyStarted> {
        self.pages.get(attempt as usize).map(|page| page.why)
    }

    /// An attempt in flight that has left our queue for its host, or gone back to it, since it was last told.
    pub(crate) fn moved_place(&mut self) -> Option<(u32, Phase)> {
        let pages = self.pages.iter_mut().enumerate();
        let mut open = pages.filter(|(_, page)| page.record.is_none());
        open.find_map(|(attempt, page)| {
            let moved = page.leg.places() > page.places;
            page.places += u32::from(moved);
            moved.then_some((
                attempt as u32,
                if page.places.is_multiple_of(2) { Phase::Queue } else { Phase::Send },
            ))
        })
    }

    /// The connections that the attempts so far went over.
    pub(crate) fn connections(&self) -> Box<[u64]> {
        self.pages.iter().filter_map(|page| page.leg.connection()).collect()
    }

    /// How many attempts were retries.
    pub(crate) fn retries(&self) -> u32 {
        self.pages.iter().filter(|page| page.why == WhyStarted::Retry).count() as u32
    }

    pub(crate) fn first_started(&self) -> Option<Moment> {
        self.first_started.map(|(first, _)| first)
    }

    /// Where the newest attempt stands, or stood.
    pub(crate) fn phase(&self) -> Phase {
        self.pages.last().map_or(Phase::Queue, |page| page.leg.standing().0)
    }

    /// Closes the books.
    pub(crate) fn close(&mut self, winner: Option<u32>, now: Moment, wall: SystemTime) -> Record {
        for attempt in 0..self.pages.len() {
            self.ended(attempt as u32, WhyStopped::Cancelled, now);
        }
        let first = self.first_started.map(|(first, _)| first);
        Record {
            attempts: std::mem::take(&mut self.pages).into_iter().filter_map(|page| page.record).collect(),
            winner: winner.map(|attempt| attempt as usize),
            queued: first.unwrap_or(now).since(self.queued_at),
            total: first.map_or_else(Default::default, |first| now.since(first)),
            started: self.first_started.map(|(_, wall)| wall),
            ended: Some(wall),
        }
    }
}
