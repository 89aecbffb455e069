//! The way of an attempt into its host: through the gate, at the client's rate, and out again with a word on what
//! became of it. Who is let in is decided in `policy::host`.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::Moment;
use crate::engine::core::Core;
use crate::engine::errand::{Errand, Keep};
use crate::engine::fetch::{LAST_ONE, seconds};
use crate::engine::gate::{Behind, Closed, Entering};
use crate::engine::hosts::Host;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::WaitedFor;
use crate::permit::{Left, Permit};
use crate::policy::host::Held;
use crate::sink::Room;
use crate::transport::Leg;

/// The host that an attempt begins at, and a place at its gate if there is one already.
pub(crate) struct Place {
    pub(crate) host: Arc<Host>,
    pub(crate) permit: Option<Permit>,
}

impl Place {
    /// Without a place yet.
    pub(crate) fn at(host: Arc<Host>) -> Self {
        Self { host, permit: None }
    }
}

/// What one who comes to a gate now waits for, if it is not let in.
pub(crate) fn queues_for(held: Option<Held>) -> WaitedFor {
    match held {
        None | Some(Held::Limit(_)) => WaitedFor::Gate,
        Some(Held::Pace(_) | Held::HostRate(_)) => WaitedFor::Rate,
        Some(Held::CoolDown { .. }) => WaitedFor::CoolDown,
        Some(Held::Breaker { .. } | Held::GivenUp) => WaitedFor::Breaker,
    }
}

/// How often one who waits at a gate looks whether the others wait for it.
const TURN_LOOK: Duration = Duration::from_millis(100);

/// The place of an attempt that is inside and has no body yet. If it is ended from outside, its leg knows as what.
pub(super) struct Inside<'a> {
    pub(super) permit: Option<Permit>,
    pub(super) leg: &'a Arc<Leg>,
}

impl Inside<'_> {
    /// It leaves by itself, without a body.
    pub(super) fn leaves(&mut self, left: Left) {
        if let Some(permit) = &mut self.permit {
            permit.mark(left);
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let (Some(permit), Some(left)) = (&mut self.permit, self.leg.ended_as()) {
            permit.mark(left);
        }
    }
}

/// Waits for a place, within the time that a queue may take.
pub(super) async fn enter(errand: &Errand, host: &Host, leg: &Leg) -> Result<Permit, Error> {
    let behind = if leg.is_hedge { Behind::Nobody } else { Behind::All };
    if let Some(held) = host.gate.held() {
        leg.queues_for(queues_for(Some(held)));
    }
    let entering = host.gate.enter(behind, errand.deadline());
    let entering = in_turn(errand, host, entering);
    let entered = match leg.queue_limit {
        None => entering.await,
        Some(limit) => match tokio::time::timeout(limit, entering).await {
            Ok(entered) => entered,
            Err(_) => return Err(waited_too_long(host, limit)),
        },
    };
    entered.map_err(|why| closed(&errand.core, host, why, errand.deadline()))
}

/// Waits for its turn under the rate of all hosts together; its place stands meanwhile. If the host has come to want
/// to be left alone until then, or most attempts there have failed, the place is given back and waited for again.
pub(super) async fn keep_rate(
    errand: &Errand,
    host: &Host,
    leg: &Leg,
    mut permit: Permit,
) -> Result<Permit, Error> {
    if permit.is_in_turn() {
        return Ok(permit);
    }
    while has_waited(errand, leg).await && !permit.is_probe() && host.gate.is_shut() {
        drop(permit);
        permit = Box::pin(enter(errand, host, leg)).await?;
    }
    Ok(permit)
}

/// Waits for its turn under the rate of all hosts together; whether it had to.
async fn has_waited(errand: &Errand, leg: &Leg) -> bool {
    let has_waited = errand.core.hosts.turn().await;
    if has_waited {
        leg.queues_for(WaitedFor::Rate);
    }
    has_waited
}

/// Waits for a place. When the sink takes nobody's body but ours, those inside wait for us: then we go in beyond the
/// limit, or all would wait for ever.
async fn in_turn(errand: &Errand, host: &Host, mut entering: Entering) -> Result<Permit, Closed> {
    loop {
        let Keep::Whole(sink) = &errand.keep else { return entering.await };
        if !sink.keeps_order() {
            return entering.await;
        }
        if let Ok(entered) = tokio::time::timeout(TURN_LOOK, &mut entering).await {
            return entered;
        }
        let is_ours = sink.room(&mut Context::from_waker(Waker::noop())) == Room::Only(errand.seq);
        if is_ours && host.gate.is_merely_full() {
            return Ok(host.gate.enter_beyond());
        }
    }
}

fn waited_too_long(host: &Host, limit: Duration) -> Error {
    let name = &host.origin.key;
    let message = match host.gate.held() {
        None | Some(Held::Limit(_)) => format!(
            "all {} requests that {name} may have in flight were held by others for {limit:?}, or by responses whose \
             bodies were not read",
            host.gate.limit(),
        ),
        Some(held) => format!("{name} was held back for {limit:?} ({held})"),
    };
    Error::new(ErrorKind::QueueTimeout, Phase::Queue, message)
}

/// The error of one who was turned away, with what went wrong at the host last.
pub(crate) fn closed(core: &Core, host: &Host, why: Closed, deadline: Option<Moment>) -> Error {
    let name = &host.origin.key;
    let settings = core.hosts.settings();
    let last = || host.gate.trouble().map_or_else(String::new, |last| format!("{LAST_ONE}{last}"));
    match why {
        Closed::Away(until) => {
            let wait = until.since(core.clock.now());
            let late = deadline.is_some_and(|deadline| deadline <= until);
            let long = match late {
                true => String::from("past the deadline"),
                false => {
                    let most = seconds(settings.retry_after_max);
                    format!("longer than is waited for (--retry-after-max, {most})")
                }
            };
            let by = match host.gate.held() {
                Some(Held::CoolDown { status, .. }) if status > 0 => format!(" by a {status}"),
                _ => String::new(),
            };
            let message = format!("{name} asked{by} to be left alone for {}, {long}", seconds(wait));
            let error = Error::new(ErrorKind::HostAway, Phase::Queue, message).asked_to_wait(Some(wait));
            if late { error.for_want_of_time() } else { error }
        }
        Closed::Failing(until) => {
            let wait = seconds(until.since(core.clock.now()));
            let last = last();
            let message = format!(
                "most attempts at {name} failed, and the next one goes in {wait}, past the deadline{last}"
            );
            Error::new(ErrorKind::HostUnavailable, Phase::Queue, message).for_want_of_time()
        }
        Closed::GivenUp => {
            let after = settings.give_up.map(seconds).unwrap_or_default();
            let last = last();
            let message =
                format!("{name} has only failed for {after}, and was given up (--host-give-up){last}");
            Error::new(ErrorKind::HostUnavailable, Phase::Queue, message)
        }
    }
}
