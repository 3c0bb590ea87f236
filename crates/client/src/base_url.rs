//! The address of a coordinator.

use crate::error::ClientError;
use http::Uri;
use http::uri::Scheme;
use std::fmt;
use std::net::IpAddr;

/// Where a coordinator listens: `http://HOST[:PORT][/PREFIX]`, or `https://`. `ws://` and `wss://`
/// name the same places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    is_secure: bool,
    authority: String,
    host: String,
    port: u16,
    prefix: String,
}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

impl BaseUrl {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let bad = |detail: &str| ClientError::AddressMalformed {
            address: text.to_owned(),
            detail: detail.to_owned(),
        };
        let uri: Uri = text.parse().map_err(|_| bad("it is not a URL"))?;
        let scheme = uri
            .scheme()
            .ok_or_else(|| bad("it should start with `http://`"))?;
        let is_secure = match scheme.as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(bad("it should start with `http://` or `https://`")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it should not hold a user name or password"));
        }
        if uri.query().is_some() {
            return Err(bad("it should not hold a query"));
        }
        let port = match (authority.port_u16(), authority.port()) {
            (Some(port), _) => port,
            (None, None) if authority.as_str() == authority.host() && is_secure => HTTPS_PORT,
            (None, None) if authority.as_str() == authority.host() => HTTP_PORT,
            (None, _) => return Err(bad("its port is not a number up to 65535")),
        };
        Ok(Self {
            is_secure,
            authority: authority.as_str().to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and port as they were given.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether connections are encrypted.
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether what is sent there never leaves this machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// Port; 80, or 443 when it is encrypted, when the address names none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The `http` or `https` address of a path that starts with `/`.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, ClientError> {
        Uri::builder()
            .scheme(if self.is_secure {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            })
            .authority(self.authority.as_str())
            .path_and_query(format!("{}{path}", self.prefix))
            .build()
            .map_err(|error| ClientError::AddressMalformed {
                address: format!("{self}{path}"),
                detail: error.to_string(),
            })
    }

    /// The `ws` or `wss` address of a path that starts with `/`.
    pub fn websocket(&self, path: &str) -> String {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}{path}", self.authority, self.prefix)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

impl std::str::FromStr for BaseUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_port_and_prefix() {
        for (text, host, port, shown) in [
            (
                "http://127.0.0.1:8600",
                "127.0.0.1",
                8600,
                "http://127.0.0.1:8600",
            ),
            (
                "ws://hive.example/",
                "hive.example",
                80,
                "http://hive.example",
            ),
            ("http://[::1]:9/deep/", "::1", 9, "http://[::1]:9/deep"),
            ("wss://h", "h", 443, "https://h"),
        ] {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!(
                (url.host(), url.port(), &*url.to_string()),
                (host, port, shown)
            );
        }
        let url = BaseUrl::parse("http://h:1/p").unwrap();
        assert_eq!(
            url.join("/a?b=c").unwrap().to_string(),
            "http://h:1/p/a?b=c"
        );
        assert_eq!(url.websocket("/mcpx"), "ws://h:1/p/mcpx");
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_the_reason() {
        for (text, words) in [
            ("h:8600", "http://"),
            ("ftp://h", "http://"),
            ("http://", "URL"),
            ("http://user:secret@h", "user name"),
            ("http://h:99999", "port"),
            ("http://h/?a=b", "query"),
        ] {
            let error = BaseUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
