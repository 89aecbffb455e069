//! The machine itself: limits, files, clock, terminal, environment. Nothing here opens a connection.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::args::{self, Surroundings};
use crate::limits::{self, Holding};

/// Fetches at once, if nothing else is said: what `-j` is by default.
const USUAL: usize = 64;
/// Less free space than this for temporary files is worth a word, in bytes.
const LITTLE: u64 = 1 << 30;
/// A clock so far behind this program's build is wrong; less may be the build machine's.
const BEHIND: Duration = Duration::from_secs(86_400);
/// A clock so far ahead of this program's build is probably wrong: certificates have all run out.
const AHEAD: Duration = Duration::from_secs(20 * 366 * 86_400);

pub(super) fn version() -> Finding {
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    Finding::ok("version", format!("gannet {} on {system}", env!("CARGO_PKG_VERSION")))
}

pub(super) fn settings() -> Finding {
    let surroundings = Surroundings::of_this_process();
    match args::settings(None, &surroundings) {
        Ok(settings) => Finding::ok("settings", format!("{} (gannet config shows them)", settings.summary())),
        Err(complaint) => {
            Finding::fail("settings", complaint.to_string().trim_start_matches("error: ").trim_end())
        }
    }
}

pub(super) fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    let shown = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    let (soft, hard) = (shown(limit.current), shown(limit.maximum));
    let raised = limits::raise_open_files();
    let most = limits::room(raised, usize::MAX, Holding::File).fetches;
    let detail = format!("soft {soft}, hard {hard}: files of up to -j {most} at once");
    if most < USUAL { Finding::warn("open files", detail) } else { Finding::ok("open files", detail) }
}

pub(super) fn temporary() -> Finding {
    let folder = std::env::temp_dir();
    let path = folder.join(format!(".gannet-doctor-{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| {
        file.write_all(b"gannet doctor was here\n")?;
        std::fs::remove_file(&path)
    });
    let place = folder.display();
    if let Err(error) = written {
        return Finding::fail("temporary files", format!("{place} cannot be written: {error}"));
    }
    match rustix::fs::statvfs(&folder) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let detail = format!("{place}, {:.1} GiB free", free as f64 / f64::from(1 << 30));
            if free < LITTLE {
                Finding::warn("temporary files", detail)
            } else {
                Finding::ok("temporary files", detail)
            }
        }
        Err(error) => Finding::warn("temporary files", format!("{place}, free space unknown: {error}")),
    }
}

pub(super) fn clock() -> Finding {
    let built: u64 = env!("BUILT_AT_SECONDS").parse().unwrap_or_default();
    clock_at(SystemTime::now(), UNIX_EPOCH + Duration::from_secs(built))
}

fn clock_at(now: SystemTime, built: SystemTime) -> Finding {
    let shown = |at: SystemTime| {
        jiff::Timestamp::try_from(at).map_or_else(|_| "out of range".to_owned(), |at| format!("{at:.0}"))
    };
    let detail = format!("{}, built {}", shown(now), shown(built));
    match (built.duration_since(now), now.duration_since(built)) {
        (Ok(behind), _) if behind > BEHIND => {
            Finding::fail("clock", format!("{detail}: it is behind, and certificates seem not yet valid"))
        }
        (_, Ok(ahead)) if ahead > AHEAD => {
            Finding::warn("clock", format!("{detail}: it seems to be ahead, and certificates seem expired"))
        }
        _ => Finding::ok("clock", detail),
    }
}

pub(super) fn terminal() -> Finding {
    let streams = [
        ("input", io::stdin().is_terminal()),
        ("output", io::stdout().is_terminal()),
        ("error", io::stderr().is_terminal()),
    ];
    let on: Vec<&str> = streams.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    let which =
        if on.is_empty() { "no stream is one".to_owned() } else { format!("standard {}", on.join(", ")) };
    let width =
        rustix::termios::tcgetwinsize(io::stderr()).ok().map(|size| size.ws_col).filter(|width| *width > 0);
    let width = width.map_or_else(String::new, |width| format!(", {width} columns"));
    let told: Vec<String> = ["TERM", "NO_COLOR", "CLICOLOR_FORCE"]
        .into_iter()
        .filter_map(|name| Some(format!(", {name}={}", std::env::var_os(name)?.to_string_lossy())))
        .collect();
    Finding::ok("terminal", format!("{which}{width}{}", told.concat()))
}

pub(super) fn proxies() -> Finding {
    let names = ["http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let set: Vec<&str> = names.into_iter().filter(is_set).collect();
    if set.is_empty() {
        return Finding::ok("proxies", "none in the environment");
    }
    // Their values may hold passwords.
    Finding::warn("proxies", format!("{} set, and not used by this version", set.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_behind_the_build_is_wrong_and_one_far_ahead_is_doubted() {
        let built = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let day = Duration::from_secs(86_400);
        assert_eq!(clock_at(UNIX_EPOCH, built).verdict, Verdict::Fail);
        assert_eq!(clock_at(built - day / 2, built).verdict, Verdict::Ok);
        assert_eq!(clock_at(built + day * 3_000, built).verdict, Verdict::Ok);
        assert_eq!(clock_at(built + day * 8_000, built).verdict, Verdict::Warn);
    }
}
