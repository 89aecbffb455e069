//! What is kept of how a host takes requests. Most hosts of a long list are asked a few times and refuse nothing: of
//! them it is enough to know how many requests are in flight. Limit, pace and breaker come with the first refusal or
//! failure, or with the twentieth answer, so that what a busy host took is known before it refuses.

use std::time::Duration;

use crate::Moment;

use super::RETRY_AFTER_MAX;
use super::breaker::{Breaker, Life, Says};
use super::limit::{Entered, Limit, Reception, WINDOW};
use super::mutated::mutated;
use super::pace::SEEN;

/// For how long after the last request a lowered limit or a pace is worth remembering: as long as the longest
/// Retry-After that is waited for, unless another is set. Older refusals say little of what a host takes now.
const LESSON_HOLDS: Duration = RETRY_AFTER_MAX;
/// Answers after which all is measured.
const WATCHED_AT: u8 = 20;
/// Requests in flight at a host that has answered a probe, until a body has come whole.
const DOUBTED: u32 = 6;

/// How one host takes requests.
#[derive(Debug, Clone)]
pub(super) enum Load {
    Light(Light),
    Watched(Box<Watched>),
}

/// A host that never refused, and was not asked often: the windows of a [`Limit`] to which nothing has happened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Light {
    /// How many may be in flight.
    pub(super) usual: u32,
    /// The number and start of the window, and what is in flight since before it and since.
    pub(super) number: u32,
    pub(super) began: Moment,
    pub(super) older: u32,
    pub(super) newer: u32,
    /// In flight, answered and counted.
    pub(super) bodies: u32,
    /// Answers in the window, without a pause of more than two seconds, and in all.
    pub(super) in_window: u8,
    pub(super) recent: u8,
    pub(super) answered: u8,
    /// The most in flight at which a request of the window was answered.
    pub(super) most: u16,
    /// When it was sent something, without a pause of more than two seconds.
    pub(super) sent_since: Moment,
    pub(super) sent_last: Moment,
}

impl Light {
    fn in_flight(&self) -> u32 {
        self.older + self.newer + self.bodies
    }

    fn entered(&mut self, now: Moment) -> Entered {
        if now.since(self.sent_last) >= SEEN {
            (self.sent_since, self.recent) = (now, 0);
        }
        self.sent_last = now;
        self.newer += 1;
        Entered { window: self.number, in_flight: self.in_flight() }
    }

    fn left(&mut self, entered: Entered, reception: Reception, now: Moment) {
        if reception == Reception::Taken {
            self.in_window += 1;
            self.recent += 1;
            self.answered += 1;
            self.most = self.most.max(u16::try_from(entered.in_flight).unwrap_or(u16::MAX));
        }
        if !(mutated!(PlaceLost) && reception == Reception::Unknown) {
            let newer = entered.window == self.number && self.newer > 0 || self.older == 0;
            *(if newer { &mut self.newer } else { &mut self.older }) -= 1;
        }
        self.look(now);
    }

    /// Ends the window if it is over.
    fn look(&mut self, now: Moment) {
        if self.older == 0 && now >= self.began + WINDOW {
            (self.number, self.began) = (self.number.wrapping_add(1), now);
            (self.older, self.newer, self.in_window, self.most) = (self.newer, 0, 0, 0);
        }
    }
}

/// A host whose answers are counted over time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched {
    pub(super) limit: Limit,
    pub(super) breaker: Breaker,
}

impl Load {
    pub(super) fn new(usual: u32) -> Self {
        Self::Light(Light { usual: usual.max(1), ..Light::default() })
    }

    /// All that is measured, from the first time that it matters on.
    pub(super) fn watched(&mut self, now: Moment) -> &mut Watched {
        if let Self::Light(light) = self {
            let breaker = Breaker::after(u32::from(light.answered), now);
            *self = Self::Watched(Box::new(Watched { limit: Limit::after(light, now), breaker }));
        }
        match self {
            Self::Watched(watched) => watched,
            Self::Light(_) => unreachable!("it was made above"),
        }
    }

    /// What is measured, if anything is.
    pub(super) fn measured(&self) -> Option<&Watched> {
        match self {
            Self::Light(_) => None,
            Self::Watched(watched) => Some(watched),
        }
    }

    fn measured_mut(&mut self) -> Option<&mut Watched> {
        match self {
            Self::Light(_) => None,
            Self::Watched(watched) => Some(watched),
        }
    }

    /// So many hold as long as nothing is refused.
    pub(super) fn usually(&mut self, usual: u32) {
        match self {
            Self::Light(light) => light.usual = usual.max(1),
            Self::Watched(watched) => watched.limit.usually(usual),
        }
    }

    pub(super) fn entered(&mut self, now: Moment) -> Entered {
        match self {
            Self::Light(light) => light.entered(now),
            Self::Watched(watched) => watched.limit.entered(now),
        }
    }

    /// The head of a reply has come, and its body is on its way.
    pub(super) fn answered(&mut self, entered: Entered, reception: Reception, now: Moment) {
        if let Self::Light(light) = self
            && reception == Reception::Taken
            && light.answered < WATCHED_AT
        {
            light.bodies += 1;
            return light.left(entered, reception, now);
        }
        self.watched(now).limit.answered(entered, reception, now);
    }

    /// The body has ended of one whose head was counted.
    pub(super) fn ended(&mut self, entered: Entered, reception: Reception, now: Moment) {
        if let Self::Light(light) = self
            && reception != Reception::PushedBack
        {
            let stays = mutated!(PlaceLost) && reception == Reception::Unknown;
            light.bodies -= u32::from(!stays);
            return light.look(now);
        }
        self.watched(now).limit.ended(entered, reception, now);
    }

    pub(super) fn left(&mut self, entered: Entered, reception: Reception, now: Moment) {
        if let Self::Light(light) = self
            && (reception == Reception::Unknown
                || reception == Reception::Taken && light.answered < WATCHED_AT)
        {
            return light.left(entered, reception, now);
        }
        self.watched(now).limit.left(entered, reception, now);
    }

    /// An attempt that is no probe has ended.
    pub(super) fn lived(&mut self, life: Life, now: Moment) {
        match self {
            Self::Light(_) if life == Life::Failed => self.watched(now).breaker.left(life, now),
            // Its answers are counted already.
            Self::Light(_) => {}
            Self::Watched(watched) => watched.breaker.left(life, now),
        }
    }

    pub(super) fn look(&mut self, now: Moment) {
        match self {
            Self::Light(light) => light.look(now),
            Self::Watched(watched) => watched.limit.look(now),
        }
    }

    pub(super) fn probe_entered(&mut self) {
        if let Some(watched) = self.measured_mut() {
            watched.breaker.probe_entered();
        }
    }

    pub(super) fn says(&self, now: Moment) -> Says {
        self.measured().map_or(Says::Go, |watched| watched.breaker.asked(now))
    }

    pub(super) fn open_until(&self, now: Moment) -> Option<Moment> {
        self.measured()?.breaker.open_until(now)
    }

    pub(super) fn in_flight(&self) -> u32 {
        match self {
            Self::Light(light) => light.in_flight(),
            Self::Watched(watched) => watched.limit.in_flight(),
        }
    }

    /// How many may be in flight now.
    pub(super) fn limit(&self) -> u32 {
        match self {
            Self::Light(light) => light.usual,
            Self::Watched(watched) if watched.breaker.is_doubted() => watched.limit.limit().min(DOUBTED),
            Self::Watched(watched) => watched.limit.limit(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Light(light) => {
                light.in_flight() >= light.usual.saturating_add(u32::from(mutated!(OneTooMany)))
            }
            Self::Watched(watched) => {
                let doubted = watched.breaker.is_doubted() && self.in_flight() >= self.limit();
                doubted || watched.limit.is_full()
            }
        }
    }

    /// Requests a second that refusals allow; `None` is no bound.
    pub(super) fn pace(&self) -> Option<f64> {
        self.measured()?.limit.pace()
    }

    /// The moment before which the pace lets nobody in.
    pub(super) fn next(&self) -> Option<Moment> {
        self.measured()?.limit.next()
    }

    /// Whether refusals hold the host below what is usual, and were not so long ago that they say nothing any more.
    pub(super) fn remembers(&self, now: Moment) -> bool {
        let fresh = |limit: &Limit| limit.is_lowered() && now < limit.last_sent() + LESSON_HOLDS;
        self.measured().is_some_and(|watched| fresh(&watched.limit))
    }

    /// Whether refusals hold the host below what is usual.
    pub(super) fn is_lowered(&self) -> bool {
        self.measured().is_some_and(|watched| watched.limit.is_lowered())
    }
}
