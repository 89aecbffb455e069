//! A writer on a thread of its own, so that a slow reader of standard error or of the report never holds up
//! fetches, signals or the deadline. What is written is decided elsewhere.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use tokio::sync::Notify;

/// Text is handed to the writer without being asked for when it has grown to this, in bytes.
const PIECE: usize = 64 << 10;
/// Who writes more than this, in bytes, should wait for [`Pen::room`].
const ROOM: usize = 1 << 20;

/// Writes text in order, in the background. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct Pen(Arc<Desk>);

struct Desk {
    page: Mutex<Page>,
    has_news: Condvar,
    is_idle: Condvar,
    moved: Notify,
}

#[derive(Default)]
struct Page {
    /// Bounded by those who wait for room: at most `ROOM` and one row.
    text: Vec<u8>,
    /// Bytes that the thread has taken and not yet written.
    in_hand: usize,
    is_asked_for: bool,
    failure: Option<io::ErrorKind>,
}

impl Page {
    fn is_written(&self) -> bool {
        (self.text.is_empty() && self.in_hand == 0) || self.failure.is_some()
    }
}

const HELD: &str = "no thread panics while it holds the lock of a pen";

impl Pen {
    /// Starts the thread. It is not waited for at the end; see [`written`](Self::written).
    pub(crate) fn to(writer: impl Write + Send + 'static) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            page: Mutex::default(),
            has_news: Condvar::new(),
            is_idle: Condvar::new(),
            moved: Notify::new(),
        });
        let own = Arc::clone(&desk);
        std::thread::Builder::new().name("gannet-pen".into()).spawn(move || own.work(writer))?;
        Ok(Self(desk))
    }

    /// Adds text; it is written when there is much of it, or with the next [`flush`](Self::flush).
    pub(crate) fn write(&self, text: &[u8]) {
        let mut page = self.0.page();
        if page.failure.is_some() {
            return;
        }
        page.text.extend_from_slice(text);
        if page.text.len() >= PIECE {
            page.is_asked_for = true;
            self.0.has_news.notify_one();
        }
    }

    /// Asks for all that was added to be written soon.
    pub(crate) fn flush(&self) {
        let mut page = self.0.page();
        if !page.text.is_empty() {
            page.is_asked_for = true;
            self.0.has_news.notify_one();
        }
    }

    /// Waits until there is room for more. Nothing is lost by a drop.
    pub(crate) async fn room(&self) {
        self.until(|page| page.text.len() < ROOM || page.failure.is_some()).await;
    }

    /// Waits until all that was added is written, or nothing can be. Nothing is lost by a drop.
    pub(crate) async fn written(&self) {
        self.flush();
        self.until(Page::is_written).await;
    }

    /// Blocks until all that was added is written, or nothing can be.
    pub(crate) fn wait(&self) {
        self.flush();
        let page = self.0.page();
        drop(self.0.is_idle.wait_while(page, |page| !page.is_written()).expect(HELD));
    }

    /// Whether all that was added is written, or nothing can be.
    pub(crate) fn is_written(&self) -> bool {
        self.0.page().is_written()
    }

    /// Waits until nothing can be written any more, and says why. Nothing is lost by a drop.
    pub(crate) async fn broken(&self) -> io::ErrorKind {
        self.until(|page| page.failure.is_some()).await;
        self.0.page().failure.expect("a failure stays")
    }

    /// Why nothing can be written any more.
    pub(crate) fn failure(&self) -> Option<io::ErrorKind> {
        self.0.page().failure
    }

    async fn until(&self, is_so: impl Fn(&Page) -> bool) {
        loop {
            let moved = self.0.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if is_so(&self.0.page()) {
                return;
            }
            moved.await;
        }
    }
}

impl Desk {
    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().expect(HELD)
    }

    /// The thread's life: it ends with the first failure, or with the program.
    fn work(&self, mut writer: impl Write) {
        loop {
            let text = self.take();
            let result = writer.write_all(&text).and_then(|()| writer.flush());
            let mut page = self.page();
            page.in_hand = 0;
            page.failure = result.as_ref().err().map(io::Error::kind);
            drop(page);
            self.moved.notify_waiters();
            self.is_idle.notify_all();
            if result.is_err() {
                return;
            }
        }
    }

    fn take(&self) -> Vec<u8> {
        let page = self.page();
        let mut page = self.has_news.wait_while(page, |page| !page.is_asked_for).expect(HELD);
        page.is_asked_for = false;
        page.in_hand = page.text.len();
        std::mem::take(&mut page.text)
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").field("unwritten", &self.0.page().text.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().expect(HELD).extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn all_that_was_added_is_written_in_order() {
        let paper = Paper::default();
        let pen = Pen::to(paper.clone()).expect("a thread");
        for number in 0..1000 {
            pen.write(format!("{number}\n").as_bytes());
        }
        pen.written().await;
        let text = String::from_utf8(paper.0.lock().expect(HELD).clone()).expect("text");
        assert!(text.lines().map(str::parse).eq((0..1000).map(Ok::<i32, std::num::ParseIntError>)));
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_is_told_and_nothing_waits_for_it() {
        let pen = Pen::to(Gone).expect("a thread");
        pen.write(b"x");
        pen.flush();
        assert_eq!(pen.broken().await, io::ErrorKind::BrokenPipe);
        pen.write(b"y");
        pen.room().await;
        pen.written().await;
    }
}
