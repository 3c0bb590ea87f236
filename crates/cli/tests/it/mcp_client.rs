//! A client of the Model Context Protocol that writes every byte itself, so that a fault of a
//! library on our side is not hidden by the same one on the other.

use crate::hive::{PATIENCE, TestHive};
use crate::mcp_message::{Request, legacy};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command};

/// A coordinator's address and a token for it.
#[derive(Debug)]
pub(crate) struct Http {
    address: SocketAddr,
    token: String,
}

impl Http {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            token: token.to_owned(),
        }
    }

    /// The coordinator of a hive, with the token of its user.
    pub(crate) fn of(hive: &TestHive) -> Self {
        let token = std::fs::read_to_string(hive.path().join("home/state/token")).unwrap();
        Self::new(hive.address(), token.trim())
    }

    /// Sends a request and reads the head of its answer.
    #[track_caller]
    pub(crate) fn open(&self, request: &Request) -> HttpStream {
        let body = request
            .raw
            .clone()
            .unwrap_or_else(|| request.body.to_string());
        self.exchange("POST", request, &body)
    }

    /// Sends a request and reads its whole answer.
    #[track_caller]
    pub(crate) fn post(&self, request: &Request) -> HttpAnswer {
        self.open(request).rest()
    }

    #[track_caller]
    pub(crate) fn get(&self) -> HttpAnswer {
        self.exchange("GET", &legacy("tools/list", json!({})), "")
            .rest()
    }

    /// Calls a tool.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that callers write it in place"
    )]
    pub(crate) fn tool(
        &self,
        make: fn(&str, Value) -> Request,
        name: &str,
        arguments: Value,
    ) -> HttpAnswer {
        self.post(&make(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        ))
    }

    #[track_caller]
    fn exchange(&self, method: &str, request: &Request, body: &str) -> HttpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "{method} {} HTTP/1.1\r\nconnection: close\r\n",
            request.path
        );
        let mut line = |name: &str, value: &str| write!(head, "{name}: {value}\r\n").unwrap();
        if !self.token.is_empty() {
            line("authorization", &format!("Bearer {}", self.token));
        }
        if !request.headers.iter().any(|(name, _)| name == "host") {
            line("host", &self.address.to_string());
        }
        for (name, value) in &request.headers {
            line(name, value);
        }
        line("content-length", &body.len().to_string());
        head.push_str("\r\n");
        let mut writer = stream.try_clone().unwrap();
        writer.write_all(head.as_bytes()).unwrap();
        // One that is too long may be refused before its end.
        let sent = writer.write_all(body.as_bytes());
        assert!(sent.is_ok() || body.len() > 1 << 20, "{sent:?}");
        HttpStream::read_head(BufReader::new(stream))
    }
}

/// An answer whose head is read.
#[derive(Debug)]
pub(crate) struct HttpStream {
    status: u16,
    headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
}

impl HttpStream {
    #[track_caller]
    fn read_head(mut reader: BufReader<TcpStream>) -> Self {
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let status = line();
        let status = status.split(' ').nth(1).unwrap_or(&status).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Self {
            status,
            headers,
            reader,
        }
    }

    /// The next message of a stream of events, which comes in chunks of whole lines.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let length = self.reader.read_line(&mut line).unwrap();
            assert!(length > 0, "the stream has ended");
            let data = line.strip_prefix("data:").map(str::trim);
            if let Some(data) = data.filter(|data| !data.is_empty()) {
                return serde_json::from_str(data)
                    .unwrap_or_else(|error| panic!("{error}: {data}"));
            }
        }
    }

    #[track_caller]
    fn rest(mut self) -> HttpAnswer {
        let length = self
            .headers
            .iter()
            .find(|(name, _)| name == "content-length");
        let mut text = String::new();
        match length {
            Some((_, length)) => {
                let mut bytes = vec![0; length.parse().unwrap()];
                self.reader.read_exact(&mut bytes).unwrap();
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            None => drop(self.reader.read_to_string(&mut text).unwrap()),
        }
        HttpAnswer {
            status: self.status,
            headers: self.headers,
            text,
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl HttpAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    fn message(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What came of a request that was served.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        let message = self.message();
        assert!(
            self.status == 200 && message.get("result").is_some(),
            "{self:?}"
        );
        message["result"].clone()
    }

    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let message = self.message();
        assert!(message.get("error").is_some(), "{self:?}");
        message["error"].clone()
    }

    /// What a tool gives; the text says the same.
    #[track_caller]
    pub(crate) fn done(&self) -> Value {
        let result = self.result();
        assert_eq!(result["isError"], false, "{result}");
        let content = result["content"].as_array().unwrap();
        assert_eq!(content.len(), 1);
        assert_eq!(content[0]["type"], "text");
        result["structuredContent"].clone()
    }

    /// Why a tool did not do it.
    #[track_caller]
    pub(crate) fn refused(&self) -> Value {
        let result = self.result();
        assert_eq!(result["isError"], true, "{result}");
        let refusal = result["structuredContent"].clone();
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(
            text.starts_with(refusal["code"].as_str().unwrap()),
            "{text}"
        );
        refusal
    }
}

/// A server that speaks over stdin and stdout.
#[derive(Debug)]
pub(crate) struct Stdio {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    last_id: u32,
}

impl Stdio {
    pub(crate) fn start(mut command: Command) -> Self {
        let piped = std::process::Stdio::piped;
        let mut child = command.stdin(piped()).stdout(piped()).spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            last_id: 0,
        }
    }

    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn say(&mut self, message: &Value) {
        self.write(&format!("{message}\n"));
    }

    #[track_caller]
    pub(crate) fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Sends a message and gives the next one.
    #[track_caller]
    pub(crate) fn send(&mut self, message: &Value) -> Value {
        self.say(message);
        self.line()
    }

    /// Sends a request of an older revision and gives its answer.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that callers write it in place"
    )]
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let answer =
            self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Its process.
    pub(crate) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends it as a client does, and gives its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        // One that a test gave up on.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
