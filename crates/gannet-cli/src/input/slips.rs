//! What the report says of an input beside its line: its id, and the columns that mean nothing to gannet. Kept from the
//! moment an input is given out until its outcome is told, so only for those that are under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value};

/// What one input says of itself.
#[derive(Debug, Default)]
pub(crate) struct Slip {
    pub(crate) id: Option<String>,
    pub(crate) fields: Map<String, Value>,
}

/// The slips of the inputs under way, by their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slips(Arc<Mutex<HashMap<u64, Arc<Slip>>>>);

impl Slips {
    /// Keeps the slip of the input of this number.
    pub(super) fn keep(&self, seq: u64, slip: Slip) {
        self.held().insert(seq, Arc::new(slip));
    }

    /// The slip of the input of this number, if it has one.
    pub(crate) fn of(&self, seq: u64) -> Option<Arc<Slip>> {
        self.held().get(&seq).cloned()
    }

    /// Forgets it: all is told.
    pub(crate) fn forget(&self, seq: u64) {
        self.held().remove(&seq);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, Arc<Slip>>> {
        self.0.lock().expect("no thread panics while it holds the slips")
    }
}
