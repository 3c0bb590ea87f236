//! The address of a coordinator.

use crate::error::ClientError;
use http::Uri;
use http::uri::Scheme;
use std::fmt;

/// Where a coordinator listens: `http://HOST[:PORT][/PREFIX]`. `ws://` names the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    authority: String,
    host: String,
    port: u16,
    prefix: String,
}

const HTTP_PORT: u16 = 80;

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
        match scheme.as_str() {
            "https" | "wss" => {
                return Err(ClientError::TlsUnsupported {
                    address: text.to_owned(),
                });
            }
            "http" | "ws" => {}
            _ => return Err(bad("it should start with `http://`")),
        }
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it should not hold a user name or password"));
        }
        if uri.query().is_some() {
            return Err(bad("it should not hold a query"));
        }
        let port = match (authority.port_u16(), authority.port()) {
            (Some(port), _) => port,
            (None, None) if authority.as_str() == authority.host() => HTTP_PORT,
            (None, _) => return Err(bad("its port is not a number up to 65535")),
        };
        Ok(Self {
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

    /// Port; 80 when the address names none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The `http` address of a path that starts with `/`.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, ClientError> {
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.as_str())
            .path_and_query(format!("{}{path}", self.prefix))
            .build()
            .map_err(|error| ClientError::AddressMalformed {
                address: format!("{self}{path}"),
                detail: error.to_string(),
            })
    }

    /// The `ws` address of a path that starts with `/`.
    pub fn websocket(&self, path: &str) -> String {
        format!("ws://{}{}{path}", self.authority, self.prefix)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
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
            ("https://h", "no TLS yet"),
            ("wss://h", "no TLS yet"),
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
