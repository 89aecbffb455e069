//! `gannet doctor`: what this machine allows and lacks, a line for each thing. Nothing here leaves the machine: the
//! only connections are to a built-in origin on loopback.

mod machine;
mod network;

use std::io::{self, Write as _};
use std::process::ExitCode;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Ok,
    /// Some fetches may fail for it, or something has no effect.
    Warn,
    /// gannet cannot work so.
    Fail,
}

/// What was found about one thing.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    what: &'static str,
    detail: String,
}

impl Finding {
    fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what, detail: detail.into() }
    }

    fn warn(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, what, detail: detail.into() }
    }

    fn fail(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, what, detail: detail.into() }
    }

    /// One line, without control characters.
    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        let detail: String =
            self.detail.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        format!("{verdict:<5} {:<16} {detail}\n", self.what)
    }
}

/// What is looked at, in this order.
const CHECKS: [fn() -> Finding; 13] = [
    machine::version,
    machine::settings,
    machine::open_files,
    machine::temporary,
    machine::clock,
    machine::terminal,
    machine::proxies,
    network::localhost,
    network::name_servers,
    network::trust,
    network::http1,
    network::http2,
    network::tls,
];

/// Looks at everything and tells it as it is found: exit code 0, or 1 if something fails.
///
/// # Panics
/// Inside of a tokio runtime: it brings its own.
pub(crate) fn run() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for check in CHECKS {
        let finding = check();
        if finding.verdict == Verdict::Fail {
            code = ExitCode::from(1);
        }
        match io::stdout().write_all(finding.line().as_bytes()) {
            Ok(()) => {}
            // As after SIGPIPE: whoever read the output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::from(141),
            Err(_) => return ExitCode::from(6),
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_in_columns() {
        let line = Finding::warn("proxies", "a\nb").line();
        assert_eq!(line, "warn  proxies          a b\n");
    }
}
