//! What all clones of a client share: settings, hosts, lanes, budget, clock.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};

use super::hosts::Hosts;
use super::lane::Lanes;
use super::plan::Plan;
use crate::clock::Clock;
use crate::event::Watcher;
use crate::policy::budget::RatioPurse;
use crate::transport::Wire;

/// What all clones of a client share.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) hosts: Hosts,
    pub(crate) lanes: Lanes,
    pub(crate) purse: RatioPurse,
    pub(crate) plan: Arc<Plan>,
    pub(crate) user_agent: HeaderValue,
    pub(crate) default_headers: HeaderMap,
    #[cfg(feature = "cookies")]
    pub(crate) cookies: Option<crate::Cookies>,
    pub(crate) wire: Wire,
    pub(crate) watcher: Option<Watcher>,
    pub(crate) connections: usize,
    pub(crate) memory_each: u64,
    pub(crate) memory_all: u64,
    pub(crate) dice: Mutex<fastrand::Rng>,
}

impl Core {
    /// The next throw, even over all u32.
    pub(crate) fn dice(&self) -> u32 {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).u32(..)
    }
}
