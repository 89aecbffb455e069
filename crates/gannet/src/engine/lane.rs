//! One runtime's share of a client: its pool, and the spawner through which shared tasks are started and counted.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::transport::Spawn;
use crate::transport::connect::Connector;
use crate::transport::pool::{Pool, PoolLimits, Slots};

/// One runtime's share of a client.
pub(crate) struct Lane {
    pub(crate) pool: Arc<Pool>,
    spawner: Arc<Spawner>,
}

/// Spawns on one runtime and counts what lives.
pub(crate) struct Spawner {
    runtime: Handle,
    /// How many live.
    tasks: Arc<watch::Sender<usize>>,
}

/// Counts one task for as long as it lives.
struct Living(Arc<watch::Sender<usize>>);

impl Living {
    fn new(tasks: &Arc<watch::Sender<usize>>) -> Self {
        tasks.send_modify(|count| *count += 1);
        Self(Arc::clone(tasks))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Spawn for Spawner {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> AbortHandle {
        let living = Living::new(&self.tasks);
        let counted = async move {
            let _living = living;
            task.await;
        };
        self.runtime.spawn(counted).abort_handle()
    }
}

impl Lane {
    /// Shared tasks (connection drivers, drains, the reaper) that live.
    pub(crate) fn tasks(&self) -> usize {
        *self.spawner.tasks.borrow()
    }

    /// Waits until no shared task lives.
    pub(crate) async fn ended(self: Arc<Self>) {
        let mut tasks = self.spawner.tasks.subscribe();
        drop(self);
        // The sender may be gone with the last task.
        let _ = tasks.wait_for(|count| *count == 0).await;
    }
}

/// The lanes of one client, by runtime.
pub(crate) struct Lanes {
    connector: Arc<Connector>,
    clock: Clock,
    limits: PoolLimits,
    slots: Arc<Slots>,
    numbers: Arc<AtomicU64>,
    open: Mutex<HashMap<Id, Arc<Lane>>>,
}

impl Lanes {
    pub(crate) fn new(connector: Connector, clock: Clock, limits: PoolLimits, connections: usize) -> Self {
        Self {
            connector: Arc::new(connector),
            clock,
            limits,
            slots: Arc::new(Slots::new(connections)),
            numbers: Arc::default(),
            open: Mutex::default(),
        }
    }

    /// The lane of the runtime that polls us.
    pub(crate) fn here(&self) -> Result<Arc<Lane>, Error> {
        let runtime = Handle::try_current().map_err(|_| {
            let message = "a fetch was polled outside of a tokio runtime";
            Error::new(ErrorKind::NoRuntime, Phase::Queue, message)
        })?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = open.get(&runtime.id()) {
            return Ok(Arc::clone(lane));
        }
        // The tasks of a runtime that has ended are gone, and their connections with them.
        open.retain(|_, lane| lane.tasks() > 0 || Arc::strong_count(lane) > 1);
        let id = runtime.id();
        let spawner = Arc::new(Spawner { runtime, tasks: Arc::new(watch::Sender::new(0)) });
        let spawn: Arc<dyn Spawn> = Arc::clone(&spawner) as Arc<dyn Spawn>;
        let pool = Pool::new(
            Arc::clone(&self.connector),
            spawn,
            self.clock,
            self.limits,
            Arc::clone(&self.slots),
            Arc::clone(&self.numbers),
        );
        let lane = Arc::new(Lane { pool, spawner });
        open.insert(id, Arc::clone(&lane));
        Ok(lane)
    }

    /// Every lane there is.
    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Connections that are open or being opened.
    pub(crate) fn connections(&self, cap: usize) -> usize {
        self.slots.taken(cap)
    }

    /// Lets go of every connection that nothing uses.
    pub(crate) fn close(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
