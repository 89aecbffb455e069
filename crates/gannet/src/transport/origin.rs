//! Scheme, host and port: what connections and gates are kept by (RFC 6454, section 4). Interned by the engine.

use std::sync::atomic::{AtomicU8, Ordering};

use url::{Position, Url};

/// One origin, interned: its number is unique within a client.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) number: u64,
    pub(crate) key: Box<str>,
    pub(crate) https: bool,
    pub(crate) port: u16,
    protocol: AtomicU8,
}

/// Which HTTP version an origin's connections speak, as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Protocol {
    Unknown = 0,
    Http1 = 1,
    Http2 = 2,
}

impl Origin {
    pub(crate) fn new(number: u64, url: &Url) -> Self {
        let https = url.scheme() == "https";
        Self {
            number,
            key: key_of(url).into(),
            https,
            port: url.port_or_known_default().unwrap_or(if https { 443 } else { 80 }),
            protocol: AtomicU8::new(Protocol::Unknown as u8),
        }
    }

    /// Without brackets around an IPv6 address. Not kept, for there may be a million origins.
    pub(crate) fn host(&self) -> &str {
        let authority = self.key.split_once("://").map_or(&*self.key, |(_, authority)| authority);
        let end = authority.rfind(']').or_else(|| authority.rfind(':')).unwrap_or(authority.len());
        authority[..end].trim_start_matches('[')
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self.protocol.load(Ordering::Relaxed) {
            1 => Protocol::Http1,
            2 => Protocol::Http2,
            _ => Protocol::Unknown,
        }
    }

    pub(crate) fn learn(&self, protocol: Protocol) {
        self.protocol.store(protocol as u8, Ordering::Relaxed);
    }
}

/// The text that names a URL's origin; default ports are left out by the parser, so equal origins have equal keys.
/// URLs in the engine carry no userinfo.
pub(crate) fn key_of(url: &Url) -> &str {
    &url[..Position::BeforePath]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_named_without_brackets_or_port() {
        let urls = [
            ("http://a.example/x:1", "a.example"),
            ("https://a.example:8443/?]", "a.example"),
            ("http://127.0.0.1:80/", "127.0.0.1"),
            ("http://[::1]:8080/", "::1"),
            ("http://[2001:db8::1]/", "2001:db8::1"),
        ];
        for (url, host) in urls {
            let origin = Origin::new(1, &url.parse().expect("a URL"));
            assert_eq!(origin.host(), host, "{url}");
        }
    }
}
