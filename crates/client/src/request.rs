//! One request: what it carries, and how often it is tried.

use crate::REQUEST_TIMEOUT_MS;
use crate::artifacts::pieces_of;
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::{Repeat, delay_after};
use crate::transport::{Answer, Outgoing};
use bytes::Bytes;
use futures_util::Stream;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A request that is being put together; see [`Client::request`].
#[derive(Debug)]
pub struct Request<'a> {
    client: &'a Client,
    outgoing: Outgoing,
    repeat: Repeat,
}

impl<'a> Request<'a> {
    pub(crate) fn new(client: &'a Client, method: Method, path: String) -> Self {
        let repeat = if method.is_idempotent() {
            Repeat::Harmless
        } else {
            Repeat::OnlyUnsent
        };
        let outgoing = Outgoing {
            method,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Duration::from_millis(REQUEST_TIMEOUT_MS),
        };
        Self {
            client,
            outgoing,
            repeat,
        }
    }

    /// With this value as its JSON body.
    pub fn json<B: Serialize + ?Sized>(mut self, body: &B) -> Result<Self, ClientError> {
        let bytes = serde_json::to_vec(body).map_err(|source| ClientError::Encode {
            url: self.client.transport.url_of(&self.outgoing),
            source,
        })?;
        self.outgoing.body = bytes.into();
        let json = HeaderValue::from_static("application/json");
        self.outgoing.headers.insert(CONTENT_TYPE, json);
        Ok(self)
    }

    /// With these bytes as its body.
    #[must_use]
    pub fn bytes(mut self, body: Bytes) -> Self {
        self.outgoing.body = body;
        let octets = HeaderValue::from_static("application/octet-stream");
        self.outgoing.headers.insert(CONTENT_TYPE, octets);
        self
    }

    /// With this header.
    pub fn header(mut self, name: &'static str, value: &str) -> Result<Self, ClientError> {
        let malformed = || ClientError::HeaderMalformed { name };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        let value = HeaderValue::from_str(value).map_err(|_| malformed())?;
        self.outgoing.headers.insert(header, value);
        Ok(self)
    }

    /// With this idempotency key, which makes it safe to repeat.
    pub fn key(self, key: &str) -> Result<Self, ClientError> {
        let mut keyed = self.header("idempotency-key", key)?;
        keyed.repeat = Repeat::Harmless;
        Ok(keyed)
    }

    /// With this bound on one try, instead of `REQUEST_TIMEOUT_MS`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.outgoing.timeout = timeout;
        self
    }

    /// Tried once, whatever happens.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.repeat = Repeat::Never;
        self
    }

    /// Sends it and reads the JSON of the answer; an empty answer reads as `null`.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let answer = self.exchange().await?;
        let body: &[u8] = if answer.body.is_empty() {
            b"null"
        } else {
            &answer.body
        };
        serde_json::from_slice(body).map_err(|error| ClientError::AnswerMalformed {
            url: answer.url,
            detail: error.to_string(),
        })
    }

    /// Sends it and gives the body of the answer as it came.
    pub async fn send_for_bytes(self) -> Result<Bytes, ClientError> {
        Ok(self.exchange().await?.body)
    }

    /// Sends it and gives the headers of the answer.
    pub async fn send_for_headers(self) -> Result<HeaderMap, ClientError> {
        Ok(self.exchange().await?.headers)
    }

    /// Sends it once and gives the body as it comes, e.g. a log that is followed. A body on which
    /// nothing comes for `REQUEST_TIMEOUT_MS` ends with [`ClientError::TimedOut`].
    pub async fn send_for_stream(
        self,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let url = self.client.transport.url_of(&self.outgoing);
        let response = self.open().await?;
        Ok(pieces_of(url, response.into_body()))
    }

    /// Sends it and gives the answer, trying again as far as that does no harm.
    pub(crate) async fn exchange(self) -> Result<Answer, ClientError> {
        let authorization = self.client.authorization();
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self
                .client
                .transport
                .exchange(&self.outgoing, authorization.as_ref())
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match delay_after(&error, tries, self.repeat) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
        }
    }

    /// Sends it once and gives the answer as soon as its head is there.
    pub(crate) async fn open(self) -> Result<http::Response<hyper::body::Incoming>, ClientError> {
        let authorization = self.client.authorization();
        self.client
            .transport
            .open(&self.outgoing, authorization.as_ref())
            .await
    }

    /// Sends it and gives the answer of whatever status as soon as its head is there; again only
    /// when it cannot have arrived.
    pub(crate) async fn open_whatever_status(
        self,
    ) -> Result<(String, http::Response<hyper::body::Incoming>), ClientError> {
        let authorization = self.client.authorization();
        let transport = &self.client.transport;
        let mut tries = 0;
        loop {
            tries += 1;
            let head = transport.head(&self.outgoing, authorization.as_ref()).await;
            let error = match head {
                Ok(response) => return Ok((transport.url_of(&self.outgoing), response)),
                Err(error) => error,
            };
            match delay_after(&error, tries, Repeat::OnlyUnsent) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
        }
    }
}
