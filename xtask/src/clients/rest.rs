//! The coordinator's own word about what a client did: REST, by hand.

use super::Target;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Reads a document.
pub(super) fn get(target: &Target, path: &str) -> Result<Value> {
    exchange(target, "GET", path, "")
}

/// Sends a document; gives the answer.
pub(super) fn post(target: &Target, path: &str, body: &Value) -> Result<Value> {
    exchange(target, "POST", path, &body.to_string())
}

fn exchange(target: &Target, method: &str, path: &str, body: &str) -> Result<Value> {
    let address = target.server.address;
    let mut stream = TcpStream::connect(address).context("connect to the coordinator")?;
    let authorization = target.authorization();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: {authorization}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .context("send a request")?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("read an answer")?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no end of the head")?;
    ensure!(head.starts_with("HTTP/1.1 2"), "`{path}`: {answer}");
    serde_json::from_str(body).with_context(|| format!("`{path}` gave `{body}`"))
}
