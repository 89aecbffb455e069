//! The store behind [`Cookies`](super::Cookies): which cookies are taken, which go where, which make room. `now` is an
//! argument, in seconds since 1970. Texts of Set-Cookie are read by cookie_store, public suffixes known by psl.

use std::cmp::Reverse;
use std::collections::HashMap;

use cookie_store::{CookieDomain, CookieExpiration};
use url::Url;

use super::{Cookie, Reach};

/// Cookies in all.
pub(super) const MOST: usize = 3000;
/// Cookies of one domain.
pub(super) const MOST_OF_DOMAIN: usize = 50;
/// Name and value of one cookie together, in bytes.
pub(super) const LENGTH: usize = 4096;
/// What goes along with one request, in bytes, a field of the caller's apart.
pub(super) const FIELD: usize = 8 << 10;

/// Cookies by their domain.
#[derive(Default)]
pub(super) struct Jar {
    domains: HashMap<Box<str>, Vec<Kept>>,
    count: usize,
    /// Goes up with each use; says which were used last.
    ticks: u64,
}

struct Kept {
    cookie: Cookie,
    created: u64,
    used: u64,
}

/// Why a cookie was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NoCookie,
    TooLong,
    OtherDomain,
    PublicSuffix,
    Insecure,
    Prefix,
    Expired,
}

impl Refused {
    pub(super) fn reason(self) -> String {
        match self {
            Self::NoCookie => "the text is no cookie that a header field can hold".into(),
            Self::TooLong => format!("the cookie is over its limit of {LENGTH} bytes"),
            Self::OtherDomain => "the cookie is for another domain".into(),
            Self::PublicSuffix => "the cookie is for a public suffix".into(),
            Self::Insecure => "a secure cookie is neither set nor replaced over http".into(),
            Self::Prefix => "the cookie is not what the prefix of its name promises".into(),
            Self::Expired => "the cookie has expired".into(),
        }
    }
}

impl Jar {
    /// Takes the text of a Set-Cookie field that came from `url` (RFC 6265, sections 5.2 and 5.3).
    pub(super) fn set(&mut self, text: &str, url: &Url, now: u64) -> Result<(), Refused> {
        if text.len() > 2 * LENGTH {
            return Err(Refused::TooLong);
        }
        let read = cookie_store::Cookie::parse(text, url).map_err(|cause| match cause {
            cookie_store::CookieError::DomainMismatch => Refused::OtherDomain,
            _ => Refused::NoCookie,
        })?;
        let (domain, reach) = match &read.domain {
            CookieDomain::HostOnly(host) => (host.as_str(), Reach::Host),
            // An address has nothing below it.
            CookieDomain::Suffix(host) if url.domain().is_none() => (host.as_str(), Reach::Host),
            CookieDomain::Suffix(domain) if is_public_suffix(domain) => {
                if url.host_str() != Some(domain) {
                    return Err(Refused::PublicSuffix);
                }
                (domain.as_str(), Reach::Host)
            }
            CookieDomain::Suffix(domain) => (domain.as_str(), Reach::Subdomains),
            CookieDomain::NotPresent | CookieDomain::Empty => return Err(Refused::OtherDomain),
        };
        let cookie = Cookie {
            name: read.name().into(),
            value: read.value().into(),
            domain: domain.into(),
            reach,
            path: read.path.as_ref().into(),
            secure: read.secure().unwrap_or(false),
            http_only: read.http_only().unwrap_or(false),
            expires: match &read.expires {
                CookieExpiration::SessionEnd => None,
                CookieExpiration::AtUtc(at) => Some(u64::try_from(at.unix_timestamp()).unwrap_or(0)),
            },
        };
        self.check_origin(&cookie, url)?;
        match self.insert(cookie, now) {
            // By an expired one a server takes a cookie back.
            Ok(()) | Err(Refused::Expired) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// What only https may do (RFC 6265bis, sections 5.4 and 5.7).
    fn check_origin(&self, cookie: &Cookie, url: &Url) -> Result<(), Refused> {
        let is_https = url.scheme() == "https";
        let replaced = |kept: &Kept| kept.cookie.name == cookie.name && kept.cookie.secure;
        let hosts = url.host_str().map(domains_of).into_iter().flatten();
        let guarded = || hosts.filter_map(|host| self.domains.get(host)).flatten().any(replaced);
        if !is_https && (cookie.secure || guarded()) {
            return Err(Refused::Insecure);
        }
        let has_prefix = |prefix: &str| {
            cookie.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let bound = cookie.secure && cookie.reach == Reach::Host && &*cookie.path == "/";
        if has_prefix("__Secure-") && !cookie.secure || has_prefix("__Host-") && !bound {
            return Err(Refused::Prefix);
        }
        Ok(())
    }

    /// Takes a cookie; what it replaces goes. One that has expired only takes away.
    pub(super) fn insert(&mut self, cookie: Cookie, now: u64) -> Result<(), Refused> {
        let sendable = |text: &str, also: &[u8]| {
            text.bytes().all(|byte| byte >= 0x20 && byte != 0x7f && byte != b';' && !also.contains(&byte))
        };
        if cookie.name.is_empty() || !sendable(&cookie.name, b"=") || !sendable(&cookie.value, b"") {
            return Err(Refused::NoCookie);
        }
        if !sendable(&cookie.path, b"") || cookie.domain.is_empty() || !sendable(&cookie.domain, b" ") {
            return Err(Refused::NoCookie);
        }
        if cookie.name.len() + cookie.value.len() > LENGTH || cookie.path.len() > LENGTH {
            return Err(Refused::TooLong);
        }
        if cookie.reach == Reach::Subdomains && is_public_suffix(&cookie.domain) {
            return Err(Refused::PublicSuffix);
        }
        self.ticks += 1;
        let kept = self.domains.entry(cookie.domain.clone()).or_default();
        let same = |kept: &Kept| kept.cookie.name == cookie.name && kept.cookie.path == cookie.path;
        let before = kept.iter().position(same).map(|place| kept.swap_remove(place).created);
        self.count -= usize::from(before.is_some());
        if has_expired(&cookie, now) {
            if kept.is_empty() {
                self.domains.remove(&cookie.domain);
            }
            return Err(Refused::Expired);
        }
        if kept.len() >= MOST_OF_DOMAIN {
            self.count -= make_room(kept, now);
        }
        kept.push(Kept { cookie, created: before.unwrap_or(self.ticks), used: self.ticks });
        self.count += 1;
        if self.count > MOST {
            self.make_room_in_all(now);
        }
        Ok(())
    }

    /// The expired ones of all domains go, or else the one that was used the longest time ago.
    fn make_room_in_all(&mut self, now: u64) {
        self.domains.retain(|_, kept| {
            kept.retain(|kept| !has_expired(&kept.cookie, now));
            !kept.is_empty()
        });
        self.count = self.domains.values().map(Vec::len).sum();
        if self.count <= MOST {
            return;
        }
        let oldest = |kept: &Vec<Kept>| kept.iter().map(|kept| kept.used).min();
        let domain =
            self.domains.iter().min_by_key(|(_, kept)| oldest(kept)).map(|(domain, _)| domain.clone());
        let Some(domain) = domain else { return };
        let kept = self.domains.get_mut(&domain).expect("it was just found");
        self.count -= make_room(kept, now);
        if kept.is_empty() {
            self.domains.remove(&domain);
        }
    }

    /// A Cookie field: `own`, and what belongs to `url` beside it; `None` if nothing does.
    pub(super) fn field(&mut self, own: &[u8], url: &Url, now: u64) -> Option<Vec<u8>> {
        if self.count == 0 {
            return None;
        }
        let host = url.host_str()?;
        self.ticks += 1;
        let mut fitting = Vec::new();
        for domain in domains_of(host) {
            for (place, kept) in self.domains.get(domain).into_iter().flatten().enumerate() {
                if goes_to(&kept.cookie, host, url, now) && !names(own, &kept.cookie) {
                    fitting.push((Reverse(kept.cookie.path.len()), kept.created, domain, place));
                }
            }
        }
        // The longest path first, then the oldest (RFC 6265, section 5.4).
        fitting.sort_unstable();
        let (mut field, mut added) = (own.to_vec(), 0);
        for (.., domain, place) in fitting {
            let kept = &mut self.domains.get_mut(domain).expect("it was just found")[place];
            let (name, value) = (&kept.cookie.name, &kept.cookie.value);
            added += name.len() + value.len() + 3;
            if added > FIELD {
                break;
            }
            kept.used = self.ticks;
            if !field.is_empty() {
                field.extend_from_slice(b"; ");
            }
            field.extend_from_slice(name.as_bytes());
            field.push(b'=');
            field.extend_from_slice(value.as_bytes());
        }
        (added > 0).then_some(field)
    }

    /// Those that have not expired, by domain, path and name.
    pub(super) fn all(&self, now: u64) -> Vec<Cookie> {
        let live = self.domains.values().flatten().map(|kept| &kept.cookie);
        let mut all: Vec<Cookie> = live.filter(|cookie| !has_expired(cookie, now)).cloned().collect();
        all.sort_by(|one, other| {
            (&one.domain, &one.path, &one.name).cmp(&(&other.domain, &other.path, &other.name))
        });
        all
    }

    pub(super) fn count(&self, now: u64) -> usize {
        self.domains.values().flatten().filter(|kept| !has_expired(&kept.cookie, now)).count()
    }
}

/// The expired ones of a domain go, or else the one that was used the longest time ago; gives how many went.
fn make_room(kept: &mut Vec<Kept>, now: u64) -> usize {
    let before = kept.len();
    kept.retain(|kept| !has_expired(&kept.cookie, now));
    if kept.len() == before {
        let oldest = (0..kept.len()).min_by_key(|place| kept[*place].used);
        oldest.map(|place| kept.swap_remove(place));
    }
    before - kept.len()
}

fn has_expired(cookie: &Cookie, now: u64) -> bool {
    cookie.expires.is_some_and(|at| at <= now)
}

/// Whether it belongs to a request (RFC 6265, section 5.4), given that its domain is the host or above it.
fn goes_to(cookie: &Cookie, host: &str, url: &Url, now: u64) -> bool {
    let own = &*cookie.domain == host;
    (own || cookie.reach == Reach::Subdomains)
        && (!cookie.secure || url.scheme() == "https")
        && path_matches(&cookie.path, url.path())
        && !has_expired(cookie, now)
}

/// RFC 6265, section 5.1.4.
fn path_matches(path: &str, of_url: &str) -> bool {
    let Some(rest) = of_url.strip_prefix(path) else { return false };
    rest.is_empty() || path.ends_with('/') || rest.starts_with('/')
}

/// Whether a Cookie field has this cookie's name already.
fn names(own: &[u8], cookie: &Cookie) -> bool {
    own.split(|byte| *byte == b';').any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii() == cookie.name.as_bytes()
    })
}

/// A host, and the domains above it; of an address only itself (RFC 6265, section 5.1.3).
fn domains_of(host: &str) -> impl Iterator<Item = &str> {
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    std::iter::successors(Some(host), move |domain| {
        if is_address { None } else { domain.split_once('.').map(|(_, above)| above) }
    })
}

/// Whether anybody may have a name below it, so that its cookies would go to strangers. A name without a dot that the
/// list does not know counts as well.
fn is_public_suffix(domain: &str) -> bool {
    let domain = domain.trim_end_matches('.');
    !domain.contains('.')
        || psl::suffix(domain.as_bytes())
            .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == domain.as_bytes())
}
