//! Places that texts are written to: a file, standard output, standard error. Opened before anything is sent; what
//! stands on them is decided elsewhere.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use crate::pen::Pen;
use crate::say::Complaint;

/// A place that is open, and not yet written to.
pub(crate) struct Paper {
    name: Arc<str>,
    writer: Box<dyn Write + Send>,
}

impl Paper {
    /// Opens the file, or standard output for `-`; what was in the file is replaced. `flag` is what named it.
    pub(crate) fn open(flag: &str, name: &str) -> Result<Self, Complaint> {
        if name == "-" {
            return Ok(Self::stdout());
        }
        let file = File::create(name).map_err(|cause| {
            Complaint::new(format!("{flag} {name} cannot be written"))
                .why(cause.to_string())
                .fix("name a file that you may write, in a folder that is there")
        })?;
        Ok(Self { name: name.into(), writer: Box::new(file) })
    }

    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self { name: "standard output".into(), writer: Box::new(io::stdout()) }
    }

    /// Lets the bytes pass through another writer on their way to the place.
    pub(crate) fn through<W: Write + Send + 'static>(
        self,
        change: impl FnOnce(Box<dyn Write + Send>) -> W,
    ) -> Self {
        Self { name: self.name, writer: Box::new(change(self.writer)) }
    }

    /// Begins to write to it, on a thread of its own.
    pub(crate) fn begin(self) -> io::Result<Sheet> {
        Ok(Sheet { pen: Pen::to(self.writer)?, name: self.name })
    }
}

/// A place that is written to. Clones write to the same place, in the order in which they were told: two records that
/// go to standard output share one.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    pub(crate) pen: Pen,
    pub(crate) name: Arc<str>,
}

impl Sheet {
    /// A place that a pen writes to already.
    pub(crate) fn of(pen: Pen, name: &str) -> Self {
        Self { pen, name: name.into() }
    }

    /// Waits until it cannot be written any more, and says its name and why.
    pub(crate) async fn broken(&self) -> (String, io::ErrorKind) {
        (self.name.to_string(), self.pen.broken().await)
    }
}
