//! Adds a token to every request on its way: the suite has no way to show one.

use anyhow::{Context, Result};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Listens on a free port of loopback, for as long as this process lives; gives its address.
pub(super) fn start(target: SocketAddr, token: &str) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on loopback")?;
    let address = listener.local_addr().context("ask for the port")?;
    let header = format!("authorization: Bearer {token}\r\nconnection: close\r\n");
    let accept = move || {
        for client in listener.incoming().flatten() {
            let header = header.clone();
            let serve = move || {
                // A client that goes away in the middle is one of the things that are tested.
                drop(pass_on(client, target, &header));
            };
            drop(
                thread::Builder::new()
                    .name("proxy-request".to_owned())
                    .spawn(serve),
            );
        }
    };
    let accepting = thread::Builder::new().name("proxy-accept".to_owned());
    accepting.spawn(accept).context("start a thread")?;
    Ok(address)
}

/// Carries one request and its answer. Each has a connection of its own, so that every head is
/// seen.
fn pass_on(mut client: TcpStream, target: SocketAddr, header: &str) -> io::Result<()> {
    let (head, rest) = read_head(&mut client)?;
    let mut server = TcpStream::connect(target)?;
    server.write_all(with_header(&head, header).as_bytes())?;
    server.write_all(&rest)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let upload = move || {
        drop(io::copy(&mut from, &mut to));
        // Who stops to listen has gone, and the server is to see it.
        drop(to.shutdown(Shutdown::Both));
    };
    thread::Builder::new()
        .name("proxy-upload".to_owned())
        .spawn(upload)?;
    drop(io::copy(&mut server, &mut client));
    client.shutdown(Shutdown::Both)
}

/// The head of a request as text, and what came behind it.
fn read_head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        let length = client.read(&mut piece)?;
        if length == 0 || bytes.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..length]);
    }
}

fn with_header(head: &str, header: &str) -> String {
    let lines = head.split_inclusive("\r\n");
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut head: String = kept.collect();
    // Before the empty line at the end.
    head.insert_str(head.len() - 2, header);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gets_the_token_and_ends_its_connection() {
        let head = "POST /mcp HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(
            with_header(head, "authorization: Bearer t\r\nconnection: close\r\n"),
            "POST /mcp HTTP/1.1\r\nHost: h\r\nauthorization: Bearer t\r\nconnection: close\r\n\r\n"
        );
    }
}
