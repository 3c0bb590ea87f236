//! What model servers answer, well and badly.

use crate::{EMBEDDED_TEXT_BYTES_MAX, EmbeddingEndpoint, EndpointError, EndpointOptions};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use skep_model::memory::Embedding;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

fn options(url: &str) -> EndpointOptions {
    EndpointOptions {
        url: url.to_owned(),
        model: "small".to_owned(),
        key: None,
    }
}

/// An endpoint whose server answers like this. It ends with the test's runtime.
async fn answering(status: StatusCode, body: &'static str) -> EmbeddingEndpoint {
    let answer = move |headers: HeaderMap, asked: String| async move {
        let whole = asked.contains("\"model\":\"small\"") && asked.contains("\"input\":\"a text\"");
        let key = headers.get("authorization");
        if !whole || key.is_none_or(|key| key != "Bearer abc") {
            return (StatusCode::IM_A_TEAPOT, "wrong question");
        }
        (status, body)
    };
    let router = Router::new().route("/v1/embeddings", post(answer));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let serving = async move { axum::serve(listener, router).await };
    drop(tokio::runtime::Handle::current().spawn(serving));
    let key = Some("abc".to_owned());
    EmbeddingEndpoint::new(EndpointOptions {
        key,
        ..options(&url)
    })
    .unwrap()
}

#[tokio::test]
async fn a_text_gets_the_direction_that_the_server_gives() {
    let body = r#"{"object": "list", "data": [{"index": 0, "embedding": [3, 4.0]}]}"#;
    let endpoint = answering(StatusCode::OK, body).await;
    let found = endpoint.embed("a text").await.unwrap();
    assert_eq!(found, Embedding::of(&[3.0, 4.0]).unwrap());
}

#[tokio::test]
async fn what_is_no_embedding_is_said_to_be_none() {
    for (status, body, words) in [
        (StatusCode::OK, "{}", "missing field `data`"),
        (StatusCode::OK, r#"{"data": []}"#, "0 embeddings"),
        (StatusCode::OK, "<html>", "something else"),
        (
            StatusCode::OK,
            r#"{"data": [{"embedding": []}]}"#,
            "no embedding",
        ),
        (
            StatusCode::OK,
            r#"{"data": [{"embedding": [0]}]}"#,
            "no embedding",
        ),
        (StatusCode::NOT_FOUND, "no such model", "404: no such model"),
    ] {
        let endpoint = answering(status, body).await;
        let error = endpoint.embed("a text").await.unwrap_err();
        assert!(error.to_string().contains(words), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/v1", free.local_addr().unwrap());
    drop(free);
    let endpoint = EmbeddingEndpoint::new(options(&url)).unwrap();
    let error = endpoint.embed("a text").await.unwrap_err();
    assert!(
        matches!(error, EndpointError::Unreachable { .. }),
        "{error}"
    );
    let long = "x".repeat(EMBEDDED_TEXT_BYTES_MAX + 1);
    let error = endpoint.embed(&long).await.unwrap_err();
    assert!(
        matches!(error, EndpointError::TextTooLong { .. }),
        "{error}"
    );
}

#[test]
fn addresses_that_cannot_work_are_refused() {
    for (url, key, words) in [
        ("127.0.0.1:11434", None, "not a URL"),
        ("ftp://127.0.0.1", None, "should start with"),
        ("http://a b", None, "not a URL"),
        ("http://me:pw@host/v1", None, "user name"),
        ("http://192.0.2.1/v1", Some("abc"), "unencrypted"),
        ("https://192.0.2.1/v1", Some("a\nb"), "cannot be sent"),
    ] {
        let options = EndpointOptions {
            key: key.map(str::to_owned),
            ..options(url)
        };
        let error = EmbeddingEndpoint::new(options).map(drop).unwrap_err();
        assert!(error.to_string().contains(words), "{url}: {error}");
    }
}
