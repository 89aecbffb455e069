//! Tests of bodies in order.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::task::{Wake, Waker};

use futures::executor::block_on;

use super::*;
use crate::ErrorKind;
use crate::sink::conformance;
use crate::sink::scratch::Scratch;

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
        is_decoded: false,
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

/// Each way to hold bodies back.
fn modes() -> [fn(Ordered) -> Ordered; 6] {
    [
        |sink| sink,
        |sink| sink.whole(),
        |sink| sink.hold(0),
        |sink| sink.hold(0).whole(),
        |sink| sink.hold(100_000),
        |sink| sink.hold(100_000).whole(),
    ]
}

#[test]
fn ordered_keeps_every_promise_in_each_mode() {
    modes().into_iter().for_each(keeps_every_promise);
}

fn keeps_every_promise(mode: fn(Ordered) -> Ordered) {
    conformance::all(|| {
        let tape = Tape::default();
        let sink = mode(Ordered::to(tape.clone()));
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
    for round in 0..300 {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let tape = Tape::default();
        let mut sink = Ordered::to(tape.clone()).hold(random.usize(..3000));
        sink = if random.bool() { sink.spill(0) } else { sink.spill(random.u64(..200_000)) };
        let is_whole = random.bool();
        sink = if is_whole { sink.whole() } else { sink };
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
                _ => match part.poll_ready(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(())) => {
                        let chunk = format!("<{seq}>").repeat(random.usize(..300));
                        body.push_str(&chunk);
                        part.write(chunk.into()).expect("a tape takes all");
                    }
                    Poll::Ready(Err(error)) => {
                        assert!(is_whole && error.kind() == ErrorKind::MemoryFull, "{error}, seed {seed}");
                        body.clear();
                        let (seq, part) = open.swap_remove(index);
                        assert!(part.restartable());
                        drop(part);
                        sink.settled(seq);
                    }
                    Poll::Pending => {}
                },
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
    let sink = Ordered::to(Gated(tape.clone(), leave)).hold(HOLD).spill(0);
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
    assert!(taken <= HOLD + (1 << 20) + 22 * chunk.len() + (128 << 10), "{taken} bytes were taken");
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
    let sink = Ordered::to(Tape::default()).hold(10).spill(0);
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
fn many_that_settle_before_their_turn_cost_two_bytes_each() {
    let sink = Ordered::to(Tape::default());
    (1..100_000).for_each(|seq| sink.settled(seq));
    assert_eq!(sink.room(&mut Context::from_waker(Waker::noop())), Room::Any);
    sink.settled(0);
    put(&sink, 100_000, "a");
}

/// Polls on this thread until the part takes a chunk, then gives it one.
fn write(part: &mut dyn Part, chunk: Bytes) {
    block_on(poll_fn(|context| part.poll_ready(context))).expect("there is room");
    part.write(chunk).expect("the writer is well");
}

fn flush_and_commit(mut part: Box<dyn Part>) -> Result<Receipt, Error> {
    block_on(poll_fn(|context| part.poll_flush(context)))?;
    part.commit()
}

fn levels(sink: &Ordered) -> (u64, u64) {
    sink.shared().change(|state| (state.memory.now(), state.ground.disk.now()))
}

fn most(sink: &Ordered) -> (u64, u64) {
    sink.shared().change(|state| (state.memory.most(), state.ground.disk.most()))
}

/// A body that says whose it is, at each place.
fn body(seq: u64, length: usize) -> Vec<u8> {
    (0..length).map(|at| (seq as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ at as u8).collect()
}

#[test]
fn with_a_slow_reader_many_bodies_and_a_huge_one_stay_within_both_bounds() {
    const HOLD: usize = 1 << 20;
    const SPILL: u64 = 24 << 20;
    let (gate, leave) = mpsc::channel();
    let (tape, scratch) = (Tape::default(), Scratch::new());
    let sink = Ordered::to(Gated(tape.clone(), leave)).hold(HOLD).spill(SPILL).spill_in(scratch.path());
    let mut wanted = vec![body(0, 10)];
    // A huge body, then many of all lengths that are whole before the first.
    for (seq, length) in (1_u64..).zip(std::iter::once(12 << 20).chain((0..400).map(|at| at * 97 % 40_000))) {
        let whole = body(seq, length);
        let mut part = begin(&sink, seq);
        whole.chunks(16 << 10).for_each(|chunk| write(part.as_mut(), Bytes::copy_from_slice(chunk)));
        flush_and_commit(part).expect("it is held");
        sink.settled(seq);
        wanted.push(whole);
        assert_eq!(scratch.names(), Vec::<String>::new(), "a file of bodies has a name");
    }
    let (memory, disk) = most(&sink);
    assert!(memory <= HOLD as u64 + state::MOVING + state::SLACK + (1 << 20), "{memory} bytes in memory");
    assert!((16 << 20..=SPILL + (2 << 20)).contains(&disk), "{disk} bytes on the disk");
    let mut part = begin(&sink, 0);
    write(part.as_mut(), Bytes::from(wanted[0].clone()));
    part.commit().expect("it is its turn");
    sink.settled(0);
    drop(gate);
    block_on(sink.finish()).expect("the writer is slow, not broken");
    assert!(*tape.0.lock().expect("no panic") == wanted.concat(), "other bytes were written");
    assert_eq!(levels(&sink), (0, 0));
}

#[test]
fn when_memory_and_disk_are_full_only_the_turn_may_start_and_all_is_woken_when_it_moves() {
    let tape = Tape::default();
    let sink = Ordered::to(tape.clone()).hold(10_000).spill(100_000);
    let mut later = begin(&sink, 1);
    let mut taken = Vec::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    while sink.room(&mut Context::from_waker(&waker)) == Room::Any {
        write(later.as_mut(), Bytes::from(body(1, 5000)));
        taken.extend(body(1, 5000));
    }
    assert_eq!(sink.room(&mut Context::from_waker(&waker)), Room::Only(0));
    assert!(taken.len() >= 100_000, "{} bytes were taken", taken.len());
    let before = count.0.load(Ordering::SeqCst);
    put(&sink, 0, "first ");
    assert!(count.0.load(Ordering::SeqCst) > before);
    write(later.as_mut(), Bytes::from_static(b" last"));
    later.commit().expect("it is its turn");
    sink.settled(1);
    block_on(sink.finish()).expect("a tape takes all");
    let wanted = [&b"first "[..], &taken, b" last"].concat();
    assert!(*tape.0.lock().expect("no panic") == wanted, "other bytes were written");
}

#[test]
fn a_full_disk_is_the_error_of_the_body_that_it_cannot_hold_and_no_other() {
    let tape = Tape::default();
    let sink = Ordered::to(tape.clone()).hold(1000);
    #[cfg(target_os = "linux")]
    sink.shared().change(|state| {
        state.ground.open = |_| std::fs::OpenOptions::new().read(true).write(true).open("/dev/full");
    });
    #[cfg(not(target_os = "linux"))]
    sink.shared().change(|state| state.ground.open = |_| Err(io::ErrorKind::StorageFull.into()));
    put(&sink, 2, "held ");
    let mut large = begin(&sink, 1);
    let error = block_on(async {
        loop {
            poll_fn(|context| large.poll_ready(context)).await?;
            large.write(Bytes::from(vec![0; 50_000]))?;
            poll_fn(|context| large.poll_flush(context)).await?;
        }
        #[expect(unreachable_code, reason = "it says the type of the block")]
        Ok::<(), Error>(())
    })
    .expect_err("the disk is full");
    assert_eq!((error.kind(), error.phase()), (ErrorKind::DiskFull, crate::Phase::Sink));
    assert!(error.message().contains("temporary file") && error.message().contains("full"), "{error}");
    assert!(large.commit().is_err());
    sink.settled(1);
    put(&sink, 0, "first ");
    put(&sink, 3, "last");
    block_on(sink.finish()).expect("a tape takes all");
    assert_eq!(tape.text(), "first held last");
    assert_eq!(levels(&sink).0, 0);
}

#[test]
fn a_missing_folder_for_what_is_held_is_said() {
    let scratch = Scratch::new();
    let sink = Ordered::to(Tape::default()).hold(0).spill_in(scratch.join("none"));
    let mut part = begin(&sink, 1);
    part.write(Bytes::from_static(b"x")).expect("it is noticed later");
    let error = flush_and_commit(part).expect_err("there is no such folder");
    assert_eq!(error.kind(), ErrorKind::BadPlace);
    assert!(error.message().contains("none"), "{error}");
}

#[test]
fn a_dropped_body_gives_memory_and_disk_back() {
    let sink = Ordered::to(Tape::default()).hold(1000);
    let mut part = begin(&sink, 1);
    (0..300).for_each(|_| write(part.as_mut(), Bytes::from(vec![7; 10_000])));
    assert!(block_on(poll_fn(|context| part.poll_flush(context))).is_ok());
    assert!(levels(&sink).1 > 2_900_000);
    drop(part);
    while levels(&sink) != (0, 0) {
        std::thread::yield_now();
    }
}

#[test]
fn a_body_that_is_held_until_whole_can_be_begun_anew_at_its_turn() {
    let tape = Tape::default();
    let sink = Ordered::to(tape.clone()).hold(100_000).whole();
    let mut broken = begin(&sink, 0);
    (0..50).for_each(|_| write(broken.as_mut(), Bytes::from(vec![b'x'; 10_000])));
    assert!(broken.restartable());
    drop(broken);
    let mut again = begin(&sink, 0);
    write(again.as_mut(), Bytes::from_static(b"good "));
    assert!(again.restartable());
    block_on(sink.finish()).expect("a tape takes all");
    assert_eq!(tape.text(), "");
    flush_and_commit(again).expect("it is held");
    sink.settled(0);
    let mut failed = begin(&sink, 1);
    write(failed.as_mut(), Bytes::from_static(b"bad "));
    drop(failed);
    sink.settled(1);
    put(&sink, 2, "end");
    block_on(sink.finish()).expect("a tape takes all");
    assert_eq!(tape.text(), "good end");
}

#[test]
fn later_whole_bodies_leave_room_for_the_one_whose_turn_it_is_and_a_larger_one_fails() {
    let tape = Tape::default();
    let sink = Ordered::to(tape.clone()).hold(100_000).spill(0).whole();
    let mut later = begin(&sink, 1);
    while is_ready(later.as_mut()) {
        later.write(Bytes::from(vec![b'b'; 5000])).expect("the writer is well");
    }
    assert_eq!(later.length(), 50_000);
    assert_eq!(sink.room(&mut Context::from_waker(Waker::noop())), Room::Only(0));
    let mut first = begin(&sink, 0);
    (0..10).for_each(|_| write(first.as_mut(), Bytes::from(vec![b'a'; 5000])));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = first.poll_ready(&mut context) else { panic!("it never fits") };
    assert_eq!(error.kind(), ErrorKind::MemoryFull);
    assert!(error.message().contains("100000 bytes in memory"), "{error}");
    drop(first);
    sink.settled(0);
    flush_and_commit(later).expect("it is held");
    sink.settled(1);
    block_on(sink.finish()).expect("a tape takes all");
    assert_eq!(tape.text(), "b".repeat(50_000));
}

#[test]
fn the_turn_passes_only_with_an_epilogue_whichever_comes_first() {
    let tape = Tape::default();
    let sink = Ordered::to(tape.clone()).epilogues();
    sink.epilogue(2, "(no body)");
    put(&sink, 1, "b");
    put(&sink, 0, "a");
    sink.settled(2);
    block_on(sink.finish()).expect("a tape takes all");
    assert_eq!(tape.text(), "a");
    sink.epilogue(1, "(1)");
    sink.epilogue(0, "(0)");
    sink.epilogue(0, "(once more)");
    block_on(sink.finish()).expect("a tape takes all");
    assert_eq!(tape.text(), "a(0)b(1)(no body)");
    sink.epilogue(3, "");
    sink.settled(3);
    put(&sink, 4, "e");
    block_on(sink.finish()).expect("a tape takes all");
    assert_eq!(tape.text(), "a(0)b(1)(no body)e");
    assert_eq!(levels(&sink), (0, 0));
}

#[test]
fn random_epilogues_from_several_threads_stand_behind_their_bodies() {
    const COUNT: u64 = 60;
    for round in 0..50 {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let tape = Tape::default();
        let sink = Ordered::to(tape.clone()).hold(random.usize(..200)).epilogues();
        let mut bodies: Vec<u64> = (0..COUNT).collect();
        let mut texts = bodies.clone();
        random.shuffle(&mut bodies);
        random.shuffle(&mut texts);
        std::thread::scope(|scope| {
            let closing = sink.clone();
            scope.spawn(move || texts.iter().for_each(|seq| closing.epilogue(*seq, format!("({seq})"))));
            for seq in bodies {
                if seq % 3 > 0 {
                    let mut part = begin(&sink, seq);
                    write(part.as_mut(), format!("<{seq}>").into());
                    flush_and_commit(part).expect("it is held");
                }
                sink.settled(seq);
            }
        });
        block_on(sink.finish()).expect("a tape takes all");
        let each = |seq| if seq % 3 > 0 { format!("<{seq}>({seq})") } else { format!("({seq})") };
        assert_eq!(tape.text(), (0..COUNT).map(each).collect::<String>(), "round {round}, seed {seed}");
        assert_eq!(levels(&sink), (0, 0), "round {round}, seed {seed}");
    }
}

/// Writes a head before each body, as a program does that shows the reply's head.
struct WithHead(Ordered);

struct Headed {
    part: Box<dyn Part>,
    head: Option<Bytes>,
    length: u64,
}

impl Headed {
    fn put_head(&mut self) -> Result<(), Error> {
        self.head.take().map_or(Ok(()), |head| self.part.write(head))
    }
}

impl Sink for WithHead {
    fn admit(&self, seq: u64, request: &mut Request) -> Result<crate::sink::Admission, Error> {
        self.0.admit(seq, request)
    }

    fn room(&self, context: &mut Context<'_>) -> Room {
        self.0.room(context)
    }

    fn keeps_order(&self) -> bool {
        self.0.keeps_order()
    }

    fn begin(&self, seq: u64, request: &Request, head: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        let part = self.0.begin(seq, request, head)?;
        Ok(Box::new(Headed { part, head: Some(format!("[head {seq}]").into()), length: 0 }))
    }

    fn settled(&self, seq: u64) {
        self.0.settled(seq);
    }
}

impl Part for Headed {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.part.poll_ready(context)
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.put_head()?;
        self.length += chunk.len() as u64;
        self.part.write(chunk)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.head.is_some() {
            std::task::ready!(self.part.poll_ready(context))?;
            self.put_head()?;
        }
        self.part.poll_flush(context)
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn restartable(&self) -> bool {
        self.part.restartable()
    }

    fn commit(self: Box<Self>) -> Result<Receipt, Error> {
        let mut receipt = self.part.commit()?;
        receipt.length = self.length;
        Ok(receipt)
    }
}

#[test]
fn a_wrapper_that_writes_heads_keeps_order_counts_and_whether_a_body_can_be_begun_anew() {
    for mode in modes() {
        let tape = Tape::default();
        let inner = mode(Ordered::to(tape.clone()));
        let sink = WithHead(inner.clone());
        let request = Request::new("http://h/").expect("a good URL");
        let head = ReplyHead {
            status: http::StatusCode::OK,
            version: http::Version::HTTP_11,
            headers: http::HeaderMap::new(),
            url: request.url().into(),
            is_decoded: false,
        };
        assert!(sink.keeps_order());
        for seq in [2, 1, 0] {
            let mut part = sink.begin(seq, &request, &head).expect("the writer is well");
            let length = if seq == 1 { 0 } else { 70_000 };
            if length > 0 {
                write(part.as_mut(), Bytes::from(vec![b'0' + seq as u8; length]));
            }
            assert_eq!(part.length(), length as u64);
            if seq > 0 {
                assert!(part.restartable());
            }
            let receipt = flush_and_commit(part).expect("it is held");
            assert_eq!(receipt.length, length as u64);
            sink.settled(seq);
        }
        block_on(inner.finish()).expect("a tape takes all");
        let wanted = format!("[head 0]{}[head 1][head 2]{}", "0".repeat(70_000), "2".repeat(70_000));
        assert!(tape.text() == wanted, "{}", tape.text().len());
        assert_eq!(levels(&inner), (0, 0));
    }
}
