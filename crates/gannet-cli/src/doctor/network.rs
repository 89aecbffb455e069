//! Names, certificates and fetches over loopback: a built-in origin is asked in each version of HTTP. Nothing else
//! is connected to; the look-up is of localhost alone.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gannet::{Client, ClientBuilder, ErrorKind, HttpVersions};
use gannet_origin::{Origin, OriginBuilder, Tls};

use super::Finding;

/// The longest that a check may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the origin is asked for.
const WORDS: &str = "well";

pub(super) fn localhost() -> Finding {
    let (sender, receiver) = mpsc::channel();
    // A resolver that hangs keeps its thread; the program's end ends it.
    let asked = std::thread::Builder::new().name("gannet-doctor".into()).spawn(move || {
        let found = ("localhost", 0).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
        // Nobody waits for it any more if it took too long.
        let _ = sender.send(found);
    });
    if let Err(error) = asked {
        return Finding::fail("localhost", format!("no thread can be started: {error}"));
    }
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(found)) => {
            let mut addresses: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            Finding::ok("localhost", addresses.join(", "))
        }
        Ok(Err(error)) => Finding::fail("localhost", format!("the system cannot look it up: {error}")),
        Err(_) => Finding::fail("localhost", "the look-up takes over 5 s: check /etc/hosts and the resolver"),
    }
}

pub(super) fn name_servers() -> Finding {
    name_servers_in(std::fs::read_to_string("/etc/resolv.conf"))
}

fn name_servers_in(text: io::Result<String>) -> Finding {
    let what = "name servers";
    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::warn(what, "there is no /etc/resolv.conf; the system has its own ways");
        }
        Err(error) => return Finding::warn(what, format!("/etc/resolv.conf cannot be read: {error}")),
    };
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers: Vec<&str> = servers.map(str::trim).filter(|server| !server.is_empty()).collect();
    match servers[..] {
        [] => Finding::warn(what, "/etc/resolv.conf names none: only /etc/hosts can be looked up"),
        _ => Finding::ok(what, format!("{} by /etc/resolv.conf", servers.join(", "))),
    }
}

/// Whether the platform's authorities can be read: an unknown certificate must be told apart from there being none.
pub(super) fn trust() -> Finding {
    let asked = fetch(Origin::builder().tls(Tls::Both), |builder, _| builder);
    match asked {
        Err(Failure::Fetch(error)) if error.kind() == ErrorKind::CertUntrusted => {
            Finding::ok("trust store", "the system's; it refuses a certificate that nobody signed")
        }
        Err(Failure::Fetch(error)) => Finding::fail("trust store", error.message().to_owned()),
        Err(Failure::Origin(error)) => Finding::fail("trust store", error.to_string()),
        Ok(_) => Finding::fail("trust store", "a certificate that nobody signed was trusted"),
    }
}

pub(super) fn http1() -> Finding {
    told("HTTP/1.1", fetch(Origin::builder(), |builder, _| builder.http_versions(HttpVersions::Http1)))
}

pub(super) fn http2() -> Finding {
    told("HTTP/2", fetch(Origin::builder(), |builder, _| builder.http_versions(HttpVersions::Http2)))
}

pub(super) fn tls() -> Finding {
    told("TLS", fetch(Origin::builder().tls(Tls::Both), |builder, pem| builder.trust_authorities(pem)))
}

/// Why a fetch over loopback came to nothing.
enum Failure {
    /// There is no origin or no runtime.
    Origin(io::Error),
    Fetch(gannet::Error),
}

fn told(what: &'static str, asked: Result<Duration, Failure>) -> Finding {
    match asked {
        Ok(taken) => Finding::ok(what, format!("over loopback in {:.1} ms", taken.as_secs_f64() * 1e3)),
        Err(Failure::Origin(error)) => Finding::fail(what, format!("no origin on loopback: {error}")),
        Err(Failure::Fetch(error)) => Finding::fail(what, format!("over loopback: {}", error.message())),
    }
}

/// Fetches once from an origin of its own; how long it took.
fn fetch(
    origin: OriginBuilder,
    with: impl FnOnce(ClientBuilder, &str) -> ClientBuilder,
) -> Result<Duration, Failure> {
    let origin = Origin::start_in_thread(origin).map_err(Failure::Origin)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Origin)?;
    let builder = Client::builder().timeout(PATIENCE).connect_timeout(PATIENCE).retries(0);
    let client = with(builder, origin.ca_pem()).build().map_err(Failure::Fetch)?;
    let url = origin.url(&format!("/?text={WORDS}"));
    let began = Instant::now();
    let text = runtime.block_on(async { client.get(url.as_str()).text().await }).map_err(Failure::Fetch)?;
    if text == WORDS {
        return Ok(began.elapsed());
    }
    Err(Failure::Origin(io::Error::other("it was answered by somebody else")))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_machine_without_name_servers_is_warned_about_and_not_failed() {
        let found = |text: &str| name_servers_in(Ok(text.to_owned())).verdict;
        assert_eq!(found("# none\nsearch a\n"), Verdict::Warn);
        assert_eq!(found("nameserver 192.0.2.1\nnameserver\t::1\n"), Verdict::Ok);
        assert_eq!(name_servers_in(Err(io::ErrorKind::NotFound.into())).verdict, Verdict::Warn);
    }

    #[test]
    fn each_version_of_http_is_well_over_loopback() {
        for check in [http1, http2, tls, trust] {
            let finding = check();
            assert_eq!(finding.verdict, Verdict::Ok, "{}", finding.line());
        }
    }
}
