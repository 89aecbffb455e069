//! The sink that writes all bodies to one writer, in input order and never interleaved. What may be written when is
//! in `state`, the thread that writes in `writer`. Nothing here waits on the writer itself.

use std::future::poll_fn;
use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

mod state;
mod writer;

use self::state::{Chunks, QUEUE, State};
use self::writer::{Owner, Shared};
use super::{Part, Room, Sink};
use crate::error::Error;
use crate::outcome::{Receipt, ReplyHead};
use crate::request::Request;

/// Writes all bodies to one writer, such as standard output, in input order and never interleaved.
///
/// The body whose turn it is streams to the writer as it comes; later ones are held in memory, 64 MiB in all unless
/// [`hold`](Self::hold) says otherwise. When that is full, only the request whose turn it is may start or go on.
/// The bound is exceeded by at most 1 MiB on its way to the writer and one chunk for each body in progress.
///
/// The writer runs on a thread of its own, since it may block for ever; nothing waits for it but
/// [`finish`](Self::finish). A body is committed when it is queued, so an outcome may say that a body was obtained
/// which the writer then fails to write: `finish` tells. Bytes that were handed to the writer are never repeated:
/// if a body breaks after that, they stay.
///
/// Cheap to clone; clones write to the same writer.
#[derive(Debug, Clone)]
pub struct Ordered {
    owner: Arc<Owner>,
}

impl Ordered {
    /// What is held for later turns unless [`hold`](Self::hold) says otherwise, in bytes: 64 MiB.
    pub const DEFAULT_HOLD: usize = 64 << 20;

    /// Writes to standard output.
    pub fn to_stdout() -> Self {
        Self::over("standard output", writer::stdout())
    }

    /// Writes to `writer`, in pieces of up to 64 KiB, and flushes it when there is no more to write at the moment.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self::over("the output", Box::new(writer))
    }

    fn over(name: &'static str, writer: Box<dyn Write + Send>) -> Self {
        Self { owner: Arc::new(Owner::new(Shared::new(name, writer, Self::DEFAULT_HOLD))) }
    }

    /// Holds up to `bytes` of the bodies that are not at their turn.
    #[must_use]
    pub fn hold(self, bytes: usize) -> Self {
        self.shared().change(|state| state.set_hold(bytes));
        self
    }

    /// Waits until all that was committed, and whose turn came, is written and flushed.
    ///
    /// # Errors
    /// The writer has failed: with [`SinkClosed`](crate::ErrorKind::SinkClosed) if its reader has gone.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; it can be called again.
    pub async fn finish(&self) -> Result<(), Error> {
        poll_fn(|context| self.shared().change(|state| state.poll_finished(context))).await
    }

    /// Waits until nothing more can be written, since the writer's reader has gone or the writer failed, and says
    /// why. Stays pending for ever if that does not happen.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; it can be called again.
    pub async fn closed(&self) -> Error {
        poll_fn(|context| self.shared().change(|state| state.poll_closed(context))).await
    }

    /// Whether nothing more can be written.
    pub fn is_closed(&self) -> bool {
        self.shared().change(|state| state.check().is_err())
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }
}

impl Sink for Ordered {
    fn room(&self, context: &mut Context<'_>) -> Room {
        self.shared().change(|state| state.room(context))
    }

    fn keeps_order(&self) -> bool {
        true
    }

    fn begin(&self, seq: u64, _: &Request, _: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        self.shared().change(|state| state.check())?;
        let shared = self.shared().clone();
        Ok(Box::new(Turn { shared, seq, held: Chunks::default(), length: 0, handed: 0 }))
    }

    fn settled(&self, seq: u64) {
        self.shared().change(|state| state.settle(seq));
    }
}

/// One body: at its turn its bytes go to the writer, before that they are held.
#[derive(Debug)]
struct Turn {
    shared: Arc<Shared>,
    seq: u64,
    held: Chunks,
    length: u64,
    /// Bytes that were handed to the writer.
    handed: u64,
}

impl Turn {
    /// Hands what is held to the writer, if it is this body's turn.
    fn hand_over(&mut self, state: &mut State) -> bool {
        let is_at_turn = state.is_at_turn(self.seq);
        if is_at_turn && self.held.len() > 0 {
            self.handed += self.held.len() as u64;
            state.release(self.held.len());
            state.enqueue(std::mem::take(&mut self.held));
        }
        is_at_turn
    }
}

impl Part for Turn {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            let has_room = match self.hand_over(state) {
                true => state.queued() < QUEUE,
                false => state.has_room(),
            };
            if has_room {
                return Poll::Ready(Ok(()));
            }
            state.wait(self.seq, context);
            Poll::Pending
        })
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            self.length += chunk.len() as u64;
            state.keep(chunk.len());
            self.held.push(chunk);
            self.hand_over(state);
            Ok(())
        })
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            self.hand_over(state);
            Poll::Ready(Ok(()))
        })
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn restartable(&self) -> bool {
        self.handed == 0
    }

    fn commit(mut self: Box<Self>) -> Result<Receipt, Error> {
        let shared = self.shared.clone();
        shared.change(|state| {
            state.check()?;
            if !self.hand_over(state) {
                state.commit(self.seq, std::mem::take(&mut self.held));
            }
            Ok(Receipt::of_length(self.length))
        })
    }
}

impl Drop for Turn {
    /// What is held still is forgotten.
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.release(self.held.len());
            state.stop_waiting(self.seq);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::task::{Wake, Waker};

    use futures::executor::block_on;

    use super::*;
    use crate::ErrorKind;
    use crate::sink::conformance;

    #[derive(Clone, Default)]
    struct Tape(Arc<Mutex<Vec<u8>>>);

    impl Tape {
        fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
        }
    }

    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes only while its gate, a sender, gives leave or has gone.
    struct Gated(Tape, mpsc::Receiver<()>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.1.recv();
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn begin(sink: &Ordered, seq: u64) -> Box<dyn Part> {
        let request = Request::new("http://h/").expect("a good URL");
        let head = ReplyHead {
            status: http::StatusCode::OK,
            version: http::Version::HTTP_11,
            headers: http::HeaderMap::new(),
            url: request.url().into(),
        };
        sink.begin(seq, &request, &head).expect("the writer is well")
    }

    fn is_ready(part: &mut dyn Part) -> bool {
        matches!(part.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    fn put(sink: &Ordered, seq: u64, body: &'static str) {
        let mut part = begin(sink, seq);
        assert!(is_ready(part.as_mut()));
        part.write(Bytes::from_static(body.as_bytes())).expect("the writer is well");
        part.commit().expect("the writer is well");
        sink.settled(seq);
    }

    /// The writer may break before the commit, or after.
    fn put_to_broken(sink: &Ordered) {
        let mut part = begin(sink, 0);
        assert!(is_ready(part.as_mut()));
        let _ = part.write(Bytes::from_static(b"a"));
        let _ = part.commit();
        sink.settled(0);
    }

    #[test]
    fn ordered_keeps_every_promise() {
        conformance::all(|| {
            let tape = Tape::default();
            let sink = Ordered::to(tape.clone());
            let (reader, whole) = (sink.clone(), Mutex::new(None));
            let kept = move |seq: u64, _: Option<&Receipt>| {
                block_on(reader.finish()).expect("a tape takes all");
                let tape = tape.0.lock().expect("no panic").clone();
                if !tape.starts_with(b"<0:") {
                    return (seq == 0 || !tape.is_empty()).then_some(tape);
                }
                // Several bodies in a row: the part of it that is this one's.
                let text = whole
                    .lock()
                    .expect("no panic")
                    .get_or_insert(String::from_utf8_lossy(&tape).into_owned())
                    .clone();
                let begin = text.find(&format!("<{seq}:"))?;
                let end = text.find(&format!("<{}:", seq + 1)).unwrap_or(text.len());
                Some(text.as_bytes()[begin..end].to_vec())
            };
            (sink, kept)
        });
    }

    #[test]
    fn bodies_come_in_input_order_whatever_ends_first() {
        let tape = Tape::default();
        let sink = Ordered::to(tape.clone());
        put(&sink, 2, "c");
        put(&sink, 1, "b");
        sink.settled(4);
        block_on(sink.finish()).expect("a tape takes all");
        assert_eq!(tape.text(), "");
        put(&sink, 0, "a");
        put(&sink, 5, "f");
        sink.settled(3);
        block_on(sink.finish()).expect("a tape takes all");
        assert_eq!(tape.text(), "abcf");
    }

    #[test]
    fn random_jobs_are_written_in_order_and_never_interleaved() {
        for round in 0..200 {
            let seed = fastrand::u64(..);
            let mut random = fastrand::Rng::with_seed(seed);
            let tape = Tape::default();
            let sink = Ordered::to(tape.clone()).hold(random.usize(..3000));
            let (mut next, mut wanted) = (0_u64, Vec::new());
            let mut open: Vec<(u64, Box<dyn Part>)> = Vec::new();
            while next < 50 || !open.is_empty() {
                let room = sink.room(&mut Context::from_waker(Waker::noop()));
                if next < 50 && open.len() < 8 && (room == Room::Any || room == Room::Only(next)) {
                    open.push((next, begin(&sink, next)));
                    wanted.push(String::new());
                    next += 1;
                }
                if open.is_empty() {
                    std::thread::yield_now();
                    continue;
                }
                let index = random.usize(..open.len());
                let (seq, part) = &mut open[index];
                let body = &mut wanted[usize::try_from(*seq).expect("small")];
                match random.u8(..10) {
                    0 => {
                        let (seq, part) = open.swap_remove(index);
                        part.commit().expect("a tape takes all");
                        sink.settled(seq);
                    }
                    1 => {
                        if part.restartable() {
                            body.clear();
                        }
                        let (seq, part) = open.swap_remove(index);
                        drop(part);
                        sink.settled(seq);
                    }
                    _ if is_ready(part.as_mut()) => {
                        let chunk = format!("<{seq}>").repeat(random.usize(..300));
                        body.push_str(&chunk);
                        part.write(chunk.into()).expect("a tape takes all");
                    }
                    _ => {}
                }
            }
            block_on(sink.finish()).expect("a tape takes all");
            assert!(tape.text() == wanted.concat(), "round {round}, seed {seed}");
        }
    }

    #[test]
    fn a_slow_writer_keeps_memory_under_the_bound_and_nothing_is_lost() {
        const HOLD: usize = 3 << 20;
        let (gate, leave) = mpsc::channel();
        let tape = Tape::default();
        let sink = Ordered::to(Gated(tape.clone(), leave)).hold(HOLD);
        let mut parts: Vec<_> = (0..20).map(|seq| begin(&sink, seq)).collect();
        let chunk = Bytes::from(vec![b'x'; 50_000]);
        let mut taken = 0;
        for part in (0..200).flat_map(|_| 0..20) {
            if is_ready(parts[part].as_mut()) {
                parts[part].write(chunk.clone()).expect("the writer is slow, not broken");
                taken += chunk.len();
            }
        }
        // What the writer's own buffer took, one piece and one chunk, no longer counts.
        assert!(taken <= HOLD + QUEUE + 22 * chunk.len() + (128 << 10), "{taken} bytes were taken");
        assert_eq!(sink.room(&mut Context::from_waker(Waker::noop())), Room::Only(0));
        drop(gate);
        for (seq, part) in (0..).zip(parts) {
            part.commit().expect("the writer is slow, not broken");
            sink.settled(seq);
        }
        block_on(sink.finish()).expect("the writer is slow, not broken");
        assert_eq!(tape.text().len(), taken);
    }

    #[test]
    fn what_waits_is_woken_when_the_turn_moves() {
        let sink = Ordered::to(Tape::default()).hold(10);
        let mut first = begin(&sink, 1);
        assert!(is_ready(first.as_mut()));
        first.write(Bytes::from_static(&[0; 10])).expect("a tape takes all");
        let (part, room) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (part_waker, room_waker) = (Waker::from(part.clone()), Waker::from(room.clone()));
        assert!(first.poll_ready(&mut Context::from_waker(&part_waker)).is_pending());
        assert_eq!(sink.room(&mut Context::from_waker(&room_waker)), Room::Only(0));
        sink.settled(0);
        assert_eq!((part.0.load(Ordering::SeqCst), room.0.load(Ordering::SeqCst)), (1, 1));
        assert!(is_ready(first.as_mut()));
        assert!(!first.restartable());
    }

    #[test]
    fn a_part_that_is_dropped_at_its_turn_with_bytes_held_writes_nothing() {
        let tape = Tape::default();
        let sink = Ordered::to(tape.clone());
        let mut part = begin(&sink, 1);
        part.write(Bytes::from_static(b"held")).expect("a tape takes all");
        sink.settled(0);
        assert!(part.restartable());
        drop(part);
        sink.settled(1);
        put(&sink, 2, "next");
        block_on(sink.finish()).expect("a tape takes all");
        assert_eq!(tape.text(), "next");
    }

    #[test]
    fn a_reader_that_has_gone_closes_the_sink_for_all() {
        let sink = Ordered::to(Broken);
        let mut later = begin(&sink, 1);
        put_to_broken(&sink);
        assert_eq!(block_on(sink.closed()).kind(), ErrorKind::SinkClosed);
        assert!(sink.is_closed());
        assert_eq!(block_on(sink.finish()).expect_err("it is closed").kind(), ErrorKind::SinkClosed);
        let ready = later.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(ready, Poll::Ready(Err(_))));
        assert!(later.write(Bytes::from_static(b"x")).is_err());
        assert_eq!(later.commit().expect_err("it is closed").kind(), ErrorKind::SinkClosed);
    }

    #[test]
    fn a_writer_that_panics_is_an_error_and_no_hang() {
        struct Panics;
        impl Write for Panics {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                panic!("the test wants this")
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = Ordered::to(Panics);
        put_to_broken(&sink);
        assert_eq!(block_on(sink.finish()).expect_err("it panicked").kind(), ErrorKind::SinkFailed);
    }

    #[test]
    fn a_dropped_finish_changes_nothing_and_a_dropped_sink_writes_what_is_queued() {
        let (gate, leave) = mpsc::channel();
        let (tape, other) = (Tape::default(), Tape::default());
        let sink = Ordered::to(Gated(tape.clone(), leave));
        put(&sink, 0, "a");
        {
            let finish = pin!(sink.finish());
            assert!(finish.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(gate);
        block_on(sink.finish()).expect("the writer is slow, not broken");
        assert_eq!(tape.text(), "a");
        let (told, tell) = mpsc::channel();
        struct Last(Tape, mpsc::Sender<()>);
        impl Write for Last {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                let _ = self.1.send(());
                Ok(())
            }
        }
        let sink = Ordered::to(Last(other.clone(), told));
        put(&sink, 0, "b");
        drop(sink);
        tell.recv().expect("the thread writes before it ends");
        assert_eq!(other.text(), "b");
        assert!(tell.iter().count() < 2, "the thread ends, and drops its writer");
    }

    #[test]
    fn many_that_settle_before_their_turn_cost_one_byte_each() {
        let sink = Ordered::to(Tape::default());
        (1..100_000).for_each(|seq| sink.settled(seq));
        assert_eq!(sink.room(&mut Context::from_waker(Waker::noop())), Room::Any);
        sink.settled(0);
        put(&sink, 100_000, "a");
    }
}
