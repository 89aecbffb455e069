//! What the system allows this process: open files. The soft limit is raised to the hard one, and what runs at once
//! is kept within it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for standard streams, lists, reports, the runtime and look-ups.
const RESERVED: u64 = 32;
/// What is asked for where the system names no hard limit.
const PLENTY: u64 = 1 << 20;

/// What may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Fetches at once.
    pub(crate) fetches: usize,
    /// Connections open at once.
    pub(crate) connections: usize,
    /// The limit of open files, if it is why there are fewer fetches than wanted.
    pub(crate) lowered_by: Option<u64>,
}

/// What a fetch holds open beside its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    /// Nothing.
    Nothing,
    /// The file that it writes.
    File,
}

/// Raises the soft limit of open files to the hard one; what it is now.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(PLENTY);
    let soft = limit.current.unwrap_or(PLENTY);
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    if soft < wanted && setrlimit(Resource::Nofile, raised).is_ok() { wanted } else { soft }
}

/// What may run at once, if so many fetches are wanted.
pub(crate) fn room(open_files: u64, wanted: usize, holding: Holding) -> Room {
    let free = usize::try_from(open_files.saturating_sub(RESERVED)).unwrap_or(usize::MAX).max(2);
    let each = match holding {
        Holding::Nothing => 1,
        Holding::File => 2,
    };
    let fetches = wanted.min(free / each).max(1);
    let connections = free - (each - 1) * fetches;
    Room { fetches, connections, lowered_by: (fetches < wanted).then_some(open_files) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_at_once_stays_within_the_open_files() {
        let room_for = |files, wanted, holding| {
            let room = room(files, wanted, holding);
            (room.fetches, room.connections, room.lowered_by)
        };
        assert_eq!(room_for(1024, 64, Holding::File), (64, 928, None));
        assert_eq!(room_for(1024, 5000, Holding::File), (496, 496, Some(1024)));
        assert_eq!(room_for(1024, 5000, Holding::Nothing), (992, 992, Some(1024)));
        assert_eq!(room_for(8, 64, Holding::File), (1, 1, Some(8)));
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let now = raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, Some(now));
        assert!(limit.maximum.is_none_or(|hard| hard == now));
    }
}
