//! The client: an address, a token and a pool of connections.

use crate::base_url::BaseUrl;
use crate::dial::{Dial, Stream};
use crate::error::ClientError;
use crate::request::Request;
use crate::transport::Transport;
use http::Method;
use http::header::HeaderValue;
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// Speaks to one coordinator. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
    /// Shared by clones, so that a token can be renewed under all of them.
    authorization: Arc<RwLock<Option<HeaderValue>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.transport.base)
    }
}

impl Client {
    /// A client of the coordinator at this plain address. Opens no connection yet.
    pub fn new(address: &str, token: Option<String>) -> Result<Self, ClientError> {
        Self::dialling(Dial::new(BaseUrl::parse(address)?, None), token)
    }

    /// A client whose connections are opened like this. Opens none yet.
    pub fn dialling(dial: Dial, token: Option<String>) -> Result<Self, ClientError> {
        if dial.is_without_trust() {
            return Err(ClientError::TrustMissing {
                address: dial.base().to_string(),
            });
        }
        let transport = Arc::new(Transport::new(dial));
        let authorization = token.map(|token| bearer(&transport, &token)).transpose()?;
        Ok(Self {
            transport,
            authorization: Arc::new(RwLock::new(authorization)),
        })
    }

    /// A client that shows another token over the same connections.
    pub fn with_token(&self, token: &str) -> Result<Self, ClientError> {
        Ok(Self {
            transport: Arc::clone(&self.transport),
            authorization: Arc::new(RwLock::new(Some(bearer(&self.transport, token)?))),
        })
    }

    /// A client that shows no token, over the same connections.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            authorization: Arc::default(),
        }
    }

    /// Shows another token from now on, as all clones of this client do.
    pub fn show_token(&self, token: &str) -> Result<(), ClientError> {
        *self.authorization.write() = Some(bearer(&self.transport, token)?);
        Ok(())
    }

    /// What it shows, for a request that is sent by other means.
    pub fn authorization(&self) -> Option<HeaderValue> {
        self.authorization.read().clone()
    }

    /// Opens a connection to the coordinator that belongs to the caller.
    pub async fn connect(&self) -> Result<Stream, ClientError> {
        self.transport.connect().await
    }

    /// The coordinator's address.
    pub fn base_url(&self) -> &BaseUrl {
        &self.transport.base
    }

    /// The address of the coordinator that answered last, or the first one: the one to give to
    /// another program on this machine.
    pub fn answering_url(&self) -> BaseUrl {
        self.transport.answering_url()
    }

    /// A request of any kind to a path such as `/api/v2/tasks?limit=10`.
    pub fn request(&self, method: Method, path: impl Into<String>) -> Request<'_> {
        Request::new(self, method, path.into())
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::GET, path).send().await
    }

    /// Makes something or asks for an action. Without an idempotency key (see [`Request::key`])
    /// it is not repeated once it may have arrived.
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.request(Method::POST, path).json(body)?.send().await
    }

    /// Changes or stores something.
    pub async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.request(Method::PUT, path).json(body)?.send().await
    }

    /// Ends something.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::DELETE, path).send().await
    }
}

/// The header that shows a token, if it may be shown there.
fn bearer(transport: &Transport, token: &str) -> Result<HeaderValue, ClientError> {
    transport.check_token()?;
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| ClientError::TokenMalformed)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_not_sent_in_the_clear_to_another_machine() {
        for (address, is_sent) in [
            ("http://127.0.0.1:8600", true),
            ("http://127.8.8.8:8600", true),
            ("http://[::1]:8600", true),
            ("http://[::ffff:127.0.0.1]:8600", true),
            ("ws://LocalHost", true),
            ("http://10.0.0.1:8600", false),
            ("ws://hive.example", false),
            ("http://127.0.0.1.example", false),
            ("http://localhost.example", false),
        ] {
            let with = Client::new(address, Some("swu1_0".to_owned()));
            assert_eq!(with.is_ok(), is_sent, "{address}");
            let open = Client::new(address, None).unwrap();
            assert_eq!(open.with_token("swu1_0").is_ok(), is_sent, "{address}");
            assert_eq!(open.show_token("swu1_0").is_ok(), is_sent, "{address}");
            if let Err(error) = with {
                assert!(matches!(error, ClientError::TokenExposed { .. }), "{error}");
            }
        }
    }
}
