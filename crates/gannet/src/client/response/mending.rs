//! A body that breaks in its reader's hands: its rest is asked for under the same strong validator, within the retries
//! of its fetch, or it fails. Whether the rest is what it has to be is decided in `policy::resume`.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::{Body, handed_on};
use crate::engine::fetch::{Prize, Settled, drive_on};
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::WhyStarted;
use crate::policy::resume::leaves_good_bytes;
use crate::policy::speed::Lately;

impl Body {
    /// The next piece, whatever it takes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(mending) = &mut self.mending {
                let settled = match mending.as_mut().poll(cx) {
                    Poll::Ready(settled) => settled,
                    Poll::Pending => match self.cut_short(cx) {
                        Some(error) => {
                            self.mending = None;
                            return Poll::Ready(Some(Err(error)));
                        }
                        None => return Poll::Pending,
                    },
                };
                self.mending = None;
                if let Err(error) = self.mended(settled) {
                    return Poll::Ready(Some(Err(handed_on(error))));
                }
            }
            match ready!(self.poll_wire(cx)) {
                Some(Err(error)) if self.mends(&error) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(handed_on(error)))),
                next => return Poll::Ready(next),
            }
        }
    }

    /// Begins to ask for the rest after this error, if there is anything to ask by.
    fn mends(&mut self, error: &Error) -> bool {
        let Some(mend) = self.mend.as_deref().filter(|_| leaves_good_bytes(error.kind())) else {
            return false;
        };
        if self.taken == 0 {
            return false;
        }
        self.wire = None;
        self.mending = Some(drive_on(mend, self.taken, error.clone()));
        true
    }

    /// Goes on with the rest, or says why there is none.
    fn mended(&mut self, Settled { end, record }: Settled) -> Result<(), Error> {
        // The first of them is the one that broke, which was counted before.
        let further = record.attempts.into_iter().skip(1);
        let before = self.attempts.len();
        self.attempts.extend(further);
        let retries =
            self.attempts[before..].iter().filter(|one| one.why_started == WhyStarted::Retry).count();
        if let Some(mend) = &mut self.mend {
            mend.retried(retries as u32);
        }
        let Prize::Head(led, leg, _) = end? else {
            unreachable!("a response's body is not kept by the engine")
        };
        let has_all = led.first.is_none() && led.promised == Some(self.taken);
        if led.goes.from() != Some(self.taken) {
            let message =
                "the server sent the body from its start; what was already handed on cannot be taken back";
            return Err(Error::new(ErrorKind::BodyNotResumable, Phase::Body, message));
        }
        // Where nobody says where it ends, it is asked on until nothing is left.
        self.ends_at = led.goes.total().or(Some(u64::MAX));
        self.leg = leg;
        (self.lately, self.asked_at) = (Lately::default(), None);
        if !has_all {
            (self.first, self.wire) = (led.first, Some(led.body));
        }
        Ok(())
    }
}
