//! A coordinator process in a temporary directory.

use skep_fleet::Coordinator as Place;
use skep_fleet::http::Caller;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// It is killed when this is dropped.
pub(crate) struct Coordinator {
    child: Child,
    address: String,
    token: String,
    _home: tempfile::TempDir,
}

impl Coordinator {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ready_file = home.path().join("ready.json");
        let skep = skep();
        let mut child = Command::new(&skep)
            .args([
                "up",
                "--listen",
                "127.0.0.1:0",
                "--nodes",
                "0",
                "--ready-file",
            ])
            .arg(&ready_file)
            .current_dir(home.path())
            .env("SKEP_HOME", home.path().join("skep"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                let path = skep.display();
                panic!("start `{path}`: {error}; build it with `cargo build --package skep-cli`")
            });
        wait(|| {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the coordinator ended with {ended:?}");
            ready_file.exists()
        });
        let ready: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&ready_file).unwrap()).unwrap();
        let token_file = ready["token_file"].as_str().unwrap();
        let token = std::fs::read_to_string(token_file).unwrap();
        let url = ready["url"].as_str().unwrap();
        Self {
            child,
            address: url.strip_prefix("http://").unwrap().to_owned(),
            token: token.trim().to_owned(),
            _home: home,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(&format!("http://{}", self.address), &self.token).unwrap()
    }

    pub(crate) async fn submit(&self, task: &str, times: usize) {
        let place = self.place();
        let request = place.request("POST", "/api/v2/tasks", "application/json", task);
        let mut caller = Caller::connect(&place).await.unwrap();
        for _ in 0..times {
            let answer = caller.exchange(&request).await.unwrap();
            assert!((200..300).contains(&answer.status), "{answer:?}");
        }
    }

    /// A series of the metrics; 0 when there is none yet.
    pub(crate) fn value(&self, series: &str) -> u64 {
        let Self { address, token, .. } = self;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) fn wait_for(&self, series: &str, value: u64) {
        wait(|| self.value(series) == value);
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // Only fails when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary of the same build; `cargo xtask test` builds it before the tests.
fn skep() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let directory = this.ancestors().nth(2).unwrap();
    directory.join("skep")
}

#[track_caller]
fn wait(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it does not become true");
        std::thread::sleep(POLL);
    }
}
