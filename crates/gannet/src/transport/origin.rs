//! Scheme, host and port: what connections and gates are kept by (RFC 6454, section 4). Interned by the engine.

use std::sync::atomic::{AtomicU8, Ordering};

use url::{Position, Url};

/// One origin, interned: its number is unique within a client.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) number: u64,
    pub(crate) key: Box<str>,
    pub(crate) https: bool,
    /// Without brackets around an IPv6 address.
    pub(crate) host: Box<str>,
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
            host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).into(),
            port: url.port_or_known_default().unwrap_or(if https { 443 } else { 80 }),
            protocol: AtomicU8::new(Protocol::Unknown as u8),
        }
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
