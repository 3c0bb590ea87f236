//! Refuses requests that web pages of other origins make a browser send.
//!
//! A coordinator on loopback is reachable by every page the user opens. A page can point a name
//! of its own at 127.0.0.1 (DNS rebinding); then `Host` still holds that name, and `Origin` the
//! page's. Bearer tokens are never sent by browsers on their own, so this is the second wall.

use crate::failure::Failure;
use crate::request_identity::refuse_repeated;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use skep_operations::ErrorCode;
use std::net::{IpAddr, SocketAddr};

/// What `Host` and `Origin` may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostGuard {
    loopback_only: bool,
}

impl HostGuard {
    pub(crate) const fn for_listener(address: SocketAddr) -> Self {
        Self {
            loopback_only: address.ip().is_loopback(),
        }
    }

    /// A request that came in unencrypted comes from this machine, perhaps from a browser.
    pub(crate) fn check(
        self,
        headers: &HeaderMap,
        uri: &Uri,
        is_plain: bool,
    ) -> Result<(), Failure> {
        refuse_repeated(headers, &header::HOST, "Host")?;
        refuse_repeated(headers, &header::ORIGIN, "Origin")?;
        let host = host(headers, uri);
        let loopback_only = self.loopback_only || is_plain;
        if loopback_only && !host.as_deref().is_some_and(is_loopback_name) {
            let detail = format!("`Host` is `{}`", host.as_deref().unwrap_or("missing"));
            return Err(Failure::new(ErrorCode::HostRefused, detail));
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let origin_authority = origin
            .to_str()
            .ok()
            .and_then(|text| text.parse::<Uri>().ok())
            .and_then(|origin| origin.authority().map(ToString::to_string));
        let own = headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok());
        if origin_authority.is_some() && origin_authority.as_deref() == own {
            return Ok(());
        }
        let detail = format!(
            "`Origin` is `{}`",
            String::from_utf8_lossy(origin.as_bytes())
        );
        Err(Failure::new(ErrorCode::OriginRefused, detail))
    }
}

/// The host that the request names, without its port.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    if let Some(authority) = uri.authority() {
        return Some(authority.host().to_owned());
    }
    let text = headers.get(header::HOST)?.to_str().ok()?;
    text.parse::<Authority>()
        .ok()
        .map(|authority| authority.host().to_owned())
}

fn is_loopback_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(listener: &str, host: &str, origin: Option<&str>) -> Result<(), ErrorCode> {
        let guard = HostGuard::for_listener(listener.parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        guard
            .check(&headers, &Uri::from_static("/livez"), false)
            .map_err(|failure| failure.0.code())
    }

    #[test]
    fn a_loopback_listener_answers_to_loopback_names_only() {
        for host in ["127.0.0.1:8600", "localhost", "[::1]:8600", "LOCALHOST:1"] {
            assert_eq!(check("127.0.0.1:8600", host, None), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8600"] {
            let refused = Err(ErrorCode::HostRefused);
            assert_eq!(check("127.0.0.1:8600", host, None), refused, "{host}");
        }
        assert_eq!(check("10.0.0.1:8600", "swarm.example", None), Ok(()));
    }

    #[test]
    fn pages_of_other_origins_are_refused_on_every_listener() {
        for listener in ["127.0.0.1:8600", "10.0.0.1:8600"] {
            let host = "localhost:8600";
            assert_eq!(check(listener, host, Some("http://localhost:8600")), Ok(()));
            for origin in ["http://evil.example", "null", "http://localhost:9999"] {
                let refused = Err(ErrorCode::OriginRefused);
                assert_eq!(check(listener, host, Some(origin)), refused, "{origin}");
            }
        }
    }
}
