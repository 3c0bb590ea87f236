//! The coordinator's own word about what a client did: REST, by hand.

use super::Target;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Reads a document.
pub(super) fn get(target: &Target, path: &str) -> Result<Value> {
    let address = target.server.address;
    let mut stream = TcpStream::connect(address).context("connect to the coordinator")?;
    let authorization = target.authorization();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: {authorization}\r\n\
         connection: close\r\n\r\n"
    )
    .context("send a request")?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("read an answer")?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no end of the head")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "`{path}`: {answer}");
    serde_json::from_str(body).with_context(|| format!("`{path}` gave `{body}`"))
}
