//! Uploads and downloads that break off, and bytes that are not what they should be.

use crate::http_server::{Reply, Request, Server};
use parking_lot::Mutex;
use skep_client::{Client, ClientError, UPLOAD_PIECE_BYTES};
use skep_model::attempt::ArtifactHash;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// A store for one artifact, as the coordinator's is.
#[derive(Default)]
struct Store {
    bytes: Vec<u8>,
    total: Option<usize>,
    /// Pieces that are taken in without the sender learning of it.
    answers_to_lose: u32,
    /// What somebody else uploads at the same time, always a bit faster.
    rival: Vec<u8>,
}

impl Store {
    fn handle(&mut self, request: &Request) -> Reply {
        match &*request.method {
            "HEAD" if self.total == Some(self.bytes.len()) => {
                Reply::Answer(b"HTTP/1.1 200 x\r\nupload-offset: 9\r\nupload-complete: ?1\r\ncontent-length: 9\r\n\r\n".to_vec())
            }
            "HEAD" if self.bytes.is_empty() => Reply::of(404, "", ""),
            "HEAD" => Reply::of(204, &format!("upload-offset: {}\r\n", self.bytes.len()), ""),
            "PUT" => self.put(request),
            "GET" => self.get(request),
            other => panic!("{other}"),
        }
    }

    fn put(&mut self, request: &Request) -> Reply {
        const RIVAL_PIECE: usize = 100;
        let rest = self.rival.get(self.bytes.len()..).unwrap_or_default();
        if !rest.is_empty() {
            self.total = Some(self.rival.len());
            self.bytes
                .extend_from_slice(&rest[..rest.len().min(RIVAL_PIECE)]);
        }
        let number = |name| request.headers[name].parse::<usize>().unwrap();
        if number("upload-offset") != self.bytes.len() {
            return Reply::problem(409, "upload_offset_mismatch", false);
        }
        self.bytes.extend(&request.body);
        self.total = Some(number("upload-length"));
        if self.answers_to_lose > 0 {
            self.answers_to_lose -= 1;
            return Reply::silence();
        }
        Reply::of(200, &format!("upload-offset: {}\r\n", self.bytes.len()), "")
    }

    fn get(&self, request: &Request) -> Reply {
        let Some(range) = request.headers.get("range") else {
            // Breaks off in the middle.
            let head = format!(
                "HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n",
                self.bytes.len()
            );
            let half = &self.bytes[..self.bytes.len() / 2];
            return Reply::Break([head.as_bytes(), half].concat());
        };
        let offset: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
        Reply::of(206, "", &self.bytes[offset..])
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    store: Arc<Mutex<Store>>,
    server: Server,
    client: Client,
}

impl Fixture {
    async fn new(store: Store) -> Self {
        let store = Arc::new(Mutex::new(store));
        let shared = Arc::clone(&store);
        let server = Server::start(move |request| shared.lock().handle(request)).await;
        let client = Client::new(&server.address, None).unwrap();
        Self {
            directory: tempfile::tempdir().unwrap(),
            store,
            server,
            client,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    async fn upload(&self, bytes: &[u8]) {
        fs::write(self.path(), bytes).unwrap();
        self.client
            .upload_artifact(ArtifactHash::of(bytes), &self.path())
            .await
            .unwrap();
        assert!(
            self.store.lock().bytes == bytes,
            "the coordinator has other bytes"
        );
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

#[tokio::test]
async fn an_artifact_is_uploaded_in_pieces_and_not_twice() {
    let fixture = Fixture::new(Store::default()).await;
    let bytes = content(2 * UPLOAD_PIECE_BYTES + 5);
    fixture.upload(&bytes).await;
    assert_eq!(fixture.server.asked().len(), 1 + 3, "HEAD and three pieces");
    fixture.upload(&bytes).await;
    assert_eq!(fixture.server.asked().len(), 1 + 3 + 1, "one more HEAD");
}

#[tokio::test]
async fn an_empty_artifact_is_an_artifact() {
    let fixture = Fixture::new(Store::default()).await;
    fixture.upload(b"").await;
    assert_eq!(fixture.store.lock().total, Some(0));
}

#[tokio::test]
async fn an_upload_goes_on_where_an_earlier_one_broke_off() {
    let bytes = content(1_000);
    let store = Store {
        bytes: bytes[..400].to_vec(),
        ..Store::default()
    };
    let fixture = Fixture::new(store).await;
    fixture.upload(&bytes).await;
    assert_eq!(
        fixture.server.requests.lock()[1].headers["upload-offset"],
        "400"
    );
}

#[tokio::test]
async fn a_piece_whose_answer_was_lost_is_not_stored_twice() {
    let fixture = Fixture::new(Store {
        answers_to_lose: 2,
        ..Store::default()
    })
    .await;
    fixture.upload(&content(UPLOAD_PIECE_BYTES + 1)).await;
}

#[tokio::test]
async fn two_uploads_of_the_same_bytes_do_not_disturb_each_other() {
    let bytes = content(1_000);
    let store = Store {
        rival: bytes.clone(),
        ..Store::default()
    };
    Fixture::new(store).await.upload(&bytes).await;
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_and_is_verified() {
    let bytes = content(100_000);
    let fixture = Fixture::new(Store {
        bytes: bytes.clone(),
        ..Store::default()
    })
    .await;
    let path = fixture.path();
    fixture
        .client
        .download_artifact(ArtifactHash::of(&bytes), &path)
        .await
        .unwrap();
    assert!(fs::read(&path).unwrap() == bytes);
    assert_eq!(
        fs::read_dir(fixture.directory.path()).unwrap().count(),
        1,
        "no part is left"
    );
    assert!(
        fixture.server.requests.lock()[1]
            .headers
            .contains_key("range")
    );
}

#[tokio::test]
async fn damaged_bytes_are_refused_and_not_kept() {
    let fixture = Fixture::new(Store {
        bytes: content(1_000),
        ..Store::default()
    })
    .await;
    let path = fixture.path();
    let wanted = ArtifactHash::of(b"something else");
    let error = fixture
        .client
        .download_artifact(wanted, &path)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::HashMismatch { .. }), "{error}");
    assert!(!path.exists());
}
