//! Why a call failed.

use http::StatusCode;
use serde::Deserialize;
use skep_identity::TlsFailure;
use skep_model::attempt::ArtifactHash;
use std::path::PathBuf;

/// Characters of a foreign answer that are repeated in an error.
const FOREIGN_TEXT_MAX: usize = 200;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("`{address}` is not the address of a coordinator: {detail}")]
    AddressMalformed {
        /// What was given.
        address: String,
        /// What is wrong.
        detail: String,
    },
    /// The address asks for TLS, and nothing says whom to trust there.
    #[error("`{address}` is encrypted, and nothing says whom to trust there")]
    TrustMissing {
        /// What was given.
        address: String,
    },
    /// Somebody answers there who is not the coordinator that is trusted.
    #[error("`{url}` is not the coordinator that is trusted: {failure}")]
    Untrusted {
        /// What was called.
        url: String,
        /// Why.
        failure: TlsFailure,
    },
    /// A token would be sent in the clear.
    #[error(
        "`{address}` is neither encrypted nor on this machine: everybody on the way could read the \
         token; use its `https` address, or a tunnel that begins on this machine"
    )]
    TokenExposed {
        /// Where it would go.
        address: String,
    },
    /// The token holds characters that no header may hold.
    #[error("the token holds characters that a token never has: copy it again")]
    TokenMalformed,
    /// A header cannot be sent.
    #[error(
        "the header `{name}` cannot be sent: its name or value holds characters that headers never hold"
    )]
    HeaderMalformed {
        /// Its name.
        name: &'static str,
    },
    /// Nobody answers there, or the connection broke.
    #[error("`{url}` cannot be reached")]
    Unreachable {
        /// What was called.
        url: String,
        /// Why not.
        #[source]
        source: BoxError,
        /// Whether the request cannot have arrived, because there was no connection.
        never_sent: bool,
    },
    /// No answer in time.
    #[error("`{url}` did not answer within {timeout_ms} ms")]
    TimedOut {
        /// What was called.
        url: String,
        /// The bound.
        timeout_ms: u64,
    },
    /// The coordinator refused.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// The answer is not what this call gives.
    #[error("`{url}` gave an answer that cannot be read: {detail}")]
    AnswerMalformed {
        /// What was called.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The body of the request cannot be written as JSON.
    #[error("write the body of the request to `{url}` as JSON")]
    Encode {
        /// What was to be called.
        url: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A file on this side.
    #[error("{step} `{path}`")]
    File {
        /// What was done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The bytes do not have the hash they should have.
    #[error(
        "the bytes that came for artifact `{wanted}` have the hash `{found}`: they are damaged"
    )]
    HashMismatch {
        /// What was asked for.
        wanted: ArtifactHash,
        /// What came.
        found: ArtifactHash,
    },
}

impl ClientError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => problem.retryable,
            _ => false,
        }
    }

    /// Whether the request cannot have had an effect.
    pub(crate) fn is_without_effect(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                never_sent: true,
                ..
            }
        )
    }

    /// The refusal, if it is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the coordinator refused with this code.
    pub fn has_code(&self, code: &str) -> bool {
        self.problem().is_some_and(|problem| problem.code == code)
    }
}

/// A refusal, as RFC 9457 problem+json with Skep's own fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{title} (`{code}`): {detail}")]
pub struct Problem {
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// Stable word.
    pub code: String,
    /// The same for every occurrence of the code.
    pub title: String,
    /// What happened in this case.
    #[serde(default)]
    pub detail: String,
    /// What to do.
    #[serde(default)]
    pub hint: Option<String>,
    /// Whether the same call may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// When to try again.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
    /// The version that is there, when the request expected another one.
    #[serde(default)]
    pub current_version: Option<u64>,
    /// Under which the coordinator's log has more.
    #[serde(default)]
    pub request_id: Option<String>,
}

impl Problem {
    /// Reads a refusal; one that does not come from a coordinator is described by its status.
    pub(crate) fn read(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<Self>(body) {
            Ok(problem) => Self {
                status: status.as_u16(),
                ..problem
            },
            Err(_) => Self::foreign(status, body),
        }
    }

    fn foreign(status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let overloaded = status == StatusCode::TOO_MANY_REQUESTS;
        Self {
            status: status.as_u16(),
            code: format!("http_{}", status.as_u16()),
            title: status
                .canonical_reason()
                .unwrap_or("unknown status")
                .to_owned(),
            detail: text.trim().chars().take(FOREIGN_TEXT_MAX).collect(),
            hint: None,
            retryable: overloaded || status.is_server_error(),
            retry_after_s: None,
            current_version: None,
            request_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_word_for_word_and_the_real_status_wins() {
        let body = br#"{"type":"x","title":"T","status":200,"detail":"D","code":"overloaded",
            "hint":"H","retryable":true,"retry_after_s":2,"request_id":"r1"}"#;
        let problem = Problem::read(StatusCode::TOO_MANY_REQUESTS, body);
        assert_eq!(problem.to_string(), "T (`overloaded`): D");
        assert_eq!((problem.status, problem.retry_after_s), (429, Some(2)));
        assert!(ClientError::Problem(Box::new(problem)).is_retryable());
    }

    #[test]
    fn a_refusal_of_a_stranger_is_described_by_its_status() {
        let problem = Problem::read(StatusCode::BAD_GATEWAY, b"<html>sorry</html>");
        assert_eq!(
            (&*problem.code, &*problem.detail),
            ("http_502", "<html>sorry</html>")
        );
        assert!(problem.retryable);
        assert!(!Problem::read(StatusCode::NOT_FOUND, b"").retryable);
    }
}
