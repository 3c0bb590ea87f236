//! As much of HTTP as one client needs: a request and its answer on each connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Bytes of a body; a conversation with all tools has some 100 KB.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) body: String,
}

/// Reads a request and writes what `answer` makes of it: a body and its type.
pub(super) fn serve_one(
    stream: TcpStream,
    answer: impl Fn(&Request) -> (String, &'static str),
) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (is_head, request) = read(&mut reader)?;
    let (body, kind) = if is_head {
        (String::new(), "text/plain")
    } else {
        answer(&request)
    };
    let mut writer = stream;
    write!(
        writer,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )?;
    writer.flush()
}

/// Whether only the head of an answer is wanted, and the request.
fn read(reader: &mut impl BufRead) -> io::Result<(bool, Request)> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split(' ');
    let is_head = words.next() == Some("HEAD");
    let path = words.next().unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value
                .trim()
                .parse()
                .map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    let mut body = String::new();
    let length: u64 = length;
    reader
        .take(length.min(BODY_BYTES_MAX))
        .read_to_string(&mut body)?;
    Ok((is_head, Request { path, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_up_to_the_end_of_its_body() {
        let text = "POST /v1/messages?beta=true HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n{\"\"}rest";
        let (is_head, request) = read(&mut text.as_bytes()).unwrap();
        assert_eq!(
            (is_head, request.path.as_str()),
            (false, "/v1/messages?beta=true")
        );
        assert_eq!(request.body, "{\"\"}");
        let (is_head, request) = read(&mut &b"HEAD / HTTP/1.1\r\n\r\n"[..]).unwrap();
        assert!(is_head && request.body.is_empty());
        assert!(read(&mut &b"GET / HTTP/1.1\r\nHost: h\r\n"[..]).is_err());
    }
}
