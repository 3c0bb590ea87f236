//! One model server.

use crate::error::{EndpointError, OptionsError};
use crate::wire::{Answer, Question};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::uri::Scheme;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use skep_model::memory::Embedding;
use std::net::IpAddr;
use std::time::Duration;

/// How long an answer is waited for: a model may have to be loaded first.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Bytes of a text: models read fewer.
pub const EMBEDDED_TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer: numbers of the largest embedding as text take a tenth of it.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Bytes of a refusal that are shown.
const DETAIL_BYTES_MAX: usize = 300;

/// How to reach a model server.
#[derive(Clone)]
pub struct EndpointOptions {
    /// What stands before `/embeddings`, such as `http://127.0.0.1:11434/v1`.
    pub url: String,
    /// The model that is asked.
    pub model: String,
    /// Sent as a bearer token.
    pub key: Option<String>,
}

impl std::fmt::Debug for EndpointOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointOptions")
            .field("url", &self.url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A model server.
#[derive(Debug)]
pub struct EmbeddingEndpoint {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    url: String,
    model: String,
    authorization: Option<HeaderValue>,
}

impl EmbeddingEndpoint {
    /// Reads the options; asks nobody yet.
    pub fn new(options: EndpointOptions) -> Result<Self, OptionsError> {
        let EndpointOptions { url, model, key } = options;
        let url = url.trim_end_matches('/').to_owned();
        let uri = read_address(&url)?;
        let is_plain = uri.scheme() == Some(&Scheme::HTTP);
        let authorization = key.as_deref().map(bearer).transpose()?;
        if authorization.is_some() && is_plain && !is_loopback(&uri) {
            return Err(OptionsError::KeyExposed { url });
        }
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(OptionsError::Authorities)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri,
            url,
            model,
            authorization,
        })
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where a text lies.
    pub async fn embed(&self, text: &str) -> Result<Embedding, EndpointError> {
        if text.len() > EMBEDDED_TEXT_BYTES_MAX {
            let given = text.len();
            return Err(EndpointError::TextTooLong { given });
        }
        let asked = tokio::time::timeout(ANSWER_MAX, self.ask(text)).await;
        let body = asked.unwrap_or_else(|_| {
            Err(EndpointError::TimedOut {
                url: self.url.clone(),
            })
        })?;
        let malformed = |detail: String| EndpointError::Malformed {
            url: self.url.clone(),
            detail,
        };
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let [item] = answer.data.as_slice() else {
            let count = answer.data.len();
            return Err(malformed(format!(
                "it holds {count} embeddings for one text"
            )));
        };
        Embedding::of(&item.embedding).map_err(|fault| EndpointError::Useless {
            url: self.url.clone(),
            fault,
        })
    }

    async fn ask(&self, text: &str) -> Result<Bytes, EndpointError> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| {
            let url = self.url.clone();
            EndpointError::Unreachable { url, source }
        };
        let question = Question {
            model: &self.model,
            input: text,
            encoding_format: "float",
        };
        let question = serde_json::to_vec(&question).map_err(|error| unreachable(error.into()))?;
        let mut request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(question)))
            .map_err(|error| unreachable(error.into()))?;
        if let Some(authorization) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.request(request).await;
        let (parts, body) = response
            .map_err(|error| unreachable(error.into()))?
            .into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(unreachable)?.to_bytes();
        if parts.status.is_success() {
            return Ok(body);
        }
        let shown = &body[..body.len().min(DETAIL_BYTES_MAX)];
        Err(EndpointError::Refused {
            url: self.url.clone(),
            status: parts.status.as_u16(),
            detail: String::from_utf8_lossy(shown).trim().to_owned(),
        })
    }
}

fn read_address(url: &str) -> Result<Uri, OptionsError> {
    let wrong = |detail| OptionsError::Address {
        url: url.to_owned(),
        detail,
    };
    let uri: Uri = format!("{url}/embeddings")
        .parse()
        .map_err(|_| wrong("it is not a URL"))?;
    if uri.scheme() != Some(&Scheme::HTTP) && uri.scheme() != Some(&Scheme::HTTPS) {
        return Err(wrong("it should start with `http://` or `https://`"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(wrong("it should not hold a user name or password"));
    }
    Ok(uri)
}

fn bearer(key: &str) -> Result<HeaderValue, OptionsError> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| OptionsError::KeyMalformed)?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
