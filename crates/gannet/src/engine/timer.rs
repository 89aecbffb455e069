//! One timer that is moved as seldom as possible: a later wish leaves it where it is, and it is looked at again
//! when it fires.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Sleep;

use crate::Moment;
use crate::clock::Clock;

/// Wakes its task at a wished moment, or earlier.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    armed: Option<(Moment, Pin<Box<Sleep>>)>,
}

impl Timer {
    /// Ready when `at` has come (or `None` never); else the task is woken then, or earlier.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, clock: &Clock, at: Option<Moment>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        let Some(instant) = clock.instant(at) else { return Poll::Pending };
        loop {
            match &mut self.armed {
                Some((armed, sleep)) if *armed <= at => match sleep.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if clock.now() >= at => {
                        self.armed = None;
                        return Poll::Ready(());
                    }
                    Poll::Ready(()) => {
                        sleep.as_mut().reset(instant);
                        *armed = at;
                    }
                },
                Some((armed, sleep)) => {
                    sleep.as_mut().reset(instant);
                    *armed = at;
                }
                None => self.armed = Some((at, Box::pin(tokio::time::sleep_until(instant)))),
            }
        }
    }
}
