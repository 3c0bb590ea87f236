//! One exchange over HTTP/1.1: a request out, an answer in.

use crate::base_url::BaseUrl;
use crate::dial::{Connector, Dial, Stream};
use crate::error::{ClientError, Problem};
use crate::{CONNECT_TIMEOUT_MS, IDLE_CONNECTION_MS, IDLE_CONNECTIONS_MAX};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use skep_model::limits::BODY_BYTES_MAX;
use std::time::Duration;

/// What goes out.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) timeout: Duration,
}

/// What came in, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The shared part of all clones of a client.
#[derive(Debug)]
pub(crate) struct Transport {
    pool: legacy::Client<Connector, Full<Bytes>>,
    connector: Connector,
    /// Names the coordinator in requests and errors, whichever of its addresses answers.
    pub(crate) base: BaseUrl,
}

impl Transport {
    pub(crate) fn new(dial: Dial) -> Self {
        let base = dial.base().clone();
        let connector = Connector {
            dial,
            patience: Duration::from_millis(CONNECT_TIMEOUT_MS),
        };
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(IDLE_CONNECTION_MS))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector.clone());
        Self {
            pool,
            connector,
            base,
        }
    }

    /// Whether tokens may be sent.
    pub(crate) fn check_token(&self) -> Result<(), ClientError> {
        match self.connector.dial.exposed() {
            None => Ok(()),
            Some(base) => Err(ClientError::TokenExposed {
                address: base.to_string(),
            }),
        }
    }

    /// The address that answered last, or the first one.
    pub(crate) fn answering_url(&self) -> BaseUrl {
        self.connector.dial.base().clone()
    }

    /// Opens a connection outside the pool.
    pub(crate) async fn connect(&self) -> Result<Stream, ClientError> {
        let Connector { dial, patience } = &self.connector;
        let opened = dial.open(*patience).await;
        opened.map_err(|error| unreachable_by(self.base.to_string(), true, error))
    }

    /// Sends and reads the whole answer; refusals are errors.
    pub(crate) async fn exchange(
        &self,
        outgoing: &Outgoing,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, ClientError> {
        let url = self.url_of(outgoing);
        let whole = async {
            let response = self.send(outgoing, authorization).await?;
            let (parts, body) = response.into_parts();
            let body = read_whole(&url, body).await?;
            accept(parts.status, &body)?;
            Ok(Answer {
                url: url.clone(),
                headers: parts.headers,
                body,
            })
        };
        within(outgoing.timeout, &url, whole).await
    }

    /// Sends and answers as soon as the head of the answer is there; refusals are errors.
    pub(crate) async fn open(
        &self,
        outgoing: &Outgoing,
        authorization: Option<&HeaderValue>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let url = self.url_of(outgoing);
        let head = async {
            let response = self.send(outgoing, authorization).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let (parts, body) = response.into_parts();
            let body = read_whole(&url, body).await?;
            Err(refusal(parts.status, &body))
        };
        within(outgoing.timeout, &url, head).await
    }

    /// Sends and answers as soon as the head of the answer is there, whatever its status.
    pub(crate) async fn head(
        &self,
        outgoing: &Outgoing,
        authorization: Option<&HeaderValue>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let url = self.url_of(outgoing);
        within(outgoing.timeout, &url, self.send(outgoing, authorization)).await
    }

    pub(crate) fn url_of(&self, outgoing: &Outgoing) -> String {
        format!("{}{}", self.base, outgoing.path)
    }

    async fn send(
        &self,
        outgoing: &Outgoing,
        authorization: Option<&HeaderValue>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = http::Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = self.base.join(&outgoing.path)?;
        *request.headers_mut() = outgoing.headers.clone();
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        self.pool.request(request).await.map_err(|error| {
            let never_sent = error.is_connect();
            unreachable_by(self.url_of(outgoing), never_sent, error)
        })
    }
}

/// The coordinator could not be reached, or is not the one that is trusted.
fn unreachable_by(
    url: String,
    never_sent: bool,
    error: impl std::error::Error + Send + Sync + 'static,
) -> ClientError {
    match skep_identity::explain_tls_error(&error) {
        Some(failure) => ClientError::Untrusted { url, failure },
        None => ClientError::Unreachable {
            url,
            never_sent,
            source: Box::new(error),
        },
    }
}

fn accept(status: StatusCode, body: &[u8]) -> Result<(), ClientError> {
    if status.is_success() {
        return Ok(());
    }
    Err(refusal(status, body))
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    ClientError::Problem(Box::new(Problem::read(status, body)))
}

async fn read_whole(url: &str, body: Incoming) -> Result<Bytes, ClientError> {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                return ClientError::AnswerMalformed {
                    url: url.to_owned(),
                    detail: format!("it is longer than {BODY_BYTES_MAX} bytes (`BODY_BYTES_MAX`)"),
                };
            }
            ClientError::Unreachable {
                url: url.to_owned(),
                source: error,
                never_sent: false,
            }
        })
}

async fn within<T>(
    timeout: Duration,
    url: &str,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or_else(|_| {
            Err(ClientError::TimedOut {
                url: url.to_owned(),
                timeout_ms: timeout.as_millis() as u64,
            })
        })
}
