//! Artifacts: uploads that go on where they broke off, and downloads that are verified.

use crate::client::Client;
use crate::error::ClientError;
use crate::transport::Answer;
use crate::{REQUEST_TIMEOUT_MS, TRIES_MAX, UPLOAD_PIECE_BYTES};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, BodyStream};
use skep_model::attempt::ArtifactHash;
use std::ffi::OsString;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

const UPLOAD_OFFSET: &str = "upload-offset";
const UPLOAD_LENGTH: &str = "upload-length";
const UPLOAD_COMPLETE: &str = "upload-complete";
/// Code with which the coordinator refuses a piece that does not continue the upload.
const OFFSET_MISMATCH: &str = "upload_offset_mismatch";

/// How much of an artifact the coordinator has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    All,
    UpTo(u64),
}

fn path_of(hash: ArtifactHash) -> String {
    format!("/api/v2/artifacts/{hash}")
}

impl Client {
    /// Makes sure that the coordinator has the bytes of this file under their hash. Sends only
    /// what it does not have yet; says how many bytes that was.
    pub async fn upload_artifact(
        &self,
        hash: ArtifactHash,
        file: &Path,
    ) -> Result<u64, ClientError> {
        let failed = |step| move |source| file_error(step, file, source);
        let mut sent = 0;
        let mut source = File::open(file).await.map_err(failed("open"))?;
        let total = source
            .metadata()
            .await
            .map_err(failed("read the size of"))?
            .len();
        let mut mismatches = 0;
        let mut stored = self.stored(hash).await?;
        loop {
            let offset = match stored {
                Stored::All => return Ok(sent),
                Stored::UpTo(offset) => offset,
            };
            source
                .seek(SeekFrom::Start(offset))
                .await
                .map_err(failed("read"))?;
            let piece = read_piece(&mut source).await.map_err(failed("read"))?;
            sent += piece.len() as u64;
            match self.put_piece(hash, offset, total, piece).await {
                Ok(next) if next >= total => return Ok(sent),
                Ok(next) => stored = Stored::UpTo(next),
                // A piece whose answer was lost is there already, or somebody else sends the same
                // bytes. As long as they become more, it does not matter who brings them.
                Err(error) if error.has_code(OFFSET_MISMATCH) && mismatches < TRIES_MAX => {
                    stored = self.stored(hash).await?;
                    let has_grown = matches!(stored, Stored::UpTo(now) if now > offset);
                    mismatches = if has_grown { 0 } else { mismatches + 1 };
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn stored(&self, hash: ArtifactHash) -> Result<Stored, ClientError> {
        match self.request(Method::HEAD, path_of(hash)).exchange().await {
            Ok(answer) if is_complete(&answer) => Ok(Stored::All),
            Ok(answer) => Ok(Stored::UpTo(offset_of(&answer)?.unwrap_or(0))),
            Err(error) if has_status(&error, StatusCode::NOT_FOUND) => Ok(Stored::UpTo(0)),
            Err(error) => Err(error),
        }
    }

    async fn put_piece(
        &self,
        hash: ArtifactHash,
        offset: u64,
        total: u64,
        piece: Bytes,
    ) -> Result<u64, ClientError> {
        let end = offset + piece.len() as u64;
        let answer = self
            .request(Method::PUT, path_of(hash))
            .header(UPLOAD_OFFSET, &offset.to_string())?
            .header(UPLOAD_LENGTH, &total.to_string())?
            .bytes(piece)
            .exchange()
            .await?;
        Ok(offset_of(&answer)?.unwrap_or(end))
    }

    /// Downloads an artifact to this path and verifies it. A download that broke off goes on
    /// from `<path>.part`.
    pub async fn download_artifact(
        &self,
        hash: ArtifactHash,
        target: &Path,
    ) -> Result<(), ClientError> {
        let part = part_of(target);
        let mut tries = 1;
        loop {
            match self.download_rest(hash, &part).await {
                Ok(()) => break,
                Err(error) if error.is_retryable() && tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(error),
            }
        }
        let failed = |source| file_error("move the download to", target, source);
        tokio::fs::rename(&part, target).await.map_err(failed)
    }

    async fn download_rest(&self, hash: ArtifactHash, part: &Path) -> Result<(), ClientError> {
        let failed = |step| move |source| file_error(step, part, source);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(part).await.map_err(failed("open"))?;
        let mut hasher = blake3::Hasher::new();
        let mut offset = hash_all(&mut file, &mut hasher)
            .await
            .map_err(failed("read"))?;
        let mut request = self.request(Method::GET, path_of(hash));
        if offset > 0 {
            request = request.header("range", &format!("bytes={offset}-"))?;
        }
        let response = match request.open().await {
            Ok(response) => response,
            Err(error) if has_status(&error, StatusCode::RANGE_NOT_SATISFIABLE) => {
                return self.verify(hash, &hasher, file, part).await;
            }
            Err(error) => return Err(error),
        };
        if offset > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            hasher = blake3::Hasher::new();
            offset = 0;
        }
        file.set_len(offset).await.map_err(failed("shorten"))?;
        file.seek(SeekFrom::Start(offset))
            .await
            .map_err(failed("write"))?;
        let url = format!("{}{}", self.base_url(), path_of(hash));
        let mut pieces = std::pin::pin!(pieces_of(url, response.into_body()));
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(failed("write"))?;
        }
        self.verify(hash, &hasher, file, part).await
    }

    async fn verify(
        &self,
        wanted: ArtifactHash,
        hasher: &blake3::Hasher,
        mut file: File,
        part: &Path,
    ) -> Result<(), ClientError> {
        let found = ArtifactHash(*hasher.finalize().as_bytes());
        if found != wanted {
            // Going on from damaged bytes would never end well.
            file.set_len(0)
                .await
                .map_err(|source| file_error("empty", part, source))?;
            return Err(ClientError::HashMismatch { wanted, found });
        }
        file.flush()
            .await
            .map_err(|source| file_error("write", part, source))
    }

    /// The bytes of an artifact as they come, not verified.
    pub async fn read_artifact(
        &self,
        hash: ArtifactHash,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let response = self.request(Method::GET, path_of(hash)).open().await?;
        let url = format!("{}{}", self.base_url(), path_of(hash));
        Ok(pieces_of(url, response.into_body()))
    }
}

/// The pieces of a body; one that stops coming for `REQUEST_TIMEOUT_MS` is an error.
pub(crate) fn pieces_of(
    url: String,
    body: hyper::body::Incoming,
) -> impl Stream<Item = Result<Bytes, ClientError>> {
    let frames = BodyStream::new(body.map_frame(|frame| frame));
    futures_util::stream::unfold(Some((url, frames)), |state| async {
        let (url, mut frames) = state?;
        let patience = Duration::from_millis(REQUEST_TIMEOUT_MS);
        match tokio::time::timeout(patience, frames.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(frame))) => {
                let bytes = frame.into_data().unwrap_or_default();
                Some((Ok(bytes), Some((url, frames))))
            }
            Ok(Some(Err(error))) => {
                let source = Box::new(error);
                Some((
                    Err(ClientError::Unreachable {
                        url,
                        source,
                        never_sent: false,
                    }),
                    None,
                ))
            }
            Err(_) => {
                let timeout_ms = REQUEST_TIMEOUT_MS;
                Some((Err(ClientError::TimedOut { url, timeout_ms }), None))
            }
        }
    })
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(".part");
    PathBuf::from(name)
}

async fn read_piece(source: &mut File) -> std::io::Result<Bytes> {
    let mut piece = Vec::new();
    source
        .take(UPLOAD_PIECE_BYTES as u64)
        .read_to_end(&mut piece)
        .await?;
    Ok(piece.into())
}

/// Feeds what the file holds to the hasher; answers how many bytes that are.
async fn hash_all(file: &mut File, hasher: &mut blake3::Hasher) -> std::io::Result<u64> {
    const BUFFER_BYTES: usize = 64 << 10;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut total = 0;
    loop {
        let count = file.read(&mut buffer).await?;
        if count == 0 {
            return Ok(total);
        }
        hasher.update(&buffer[..count]);
        total += count as u64;
    }
}

fn offset_of(answer: &Answer) -> Result<Option<u64>, ClientError> {
    let Some(value) = answer.headers.get(UPLOAD_OFFSET) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| ClientError::AnswerMalformed {
            url: answer.url.clone(),
            detail: "the header `Upload-Offset` is not a number".to_owned(),
        })
}

/// Whether the coordinator has all of it, checked. The value is a structured boolean.
fn is_complete(answer: &Answer) -> bool {
    answer
        .headers
        .get(UPLOAD_COMPLETE)
        .is_some_and(|value| value == "?1")
}

fn has_status(error: &ClientError, status: StatusCode) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.status == status.as_u16())
}

fn file_error(step: &'static str, path: &Path, source: std::io::Error) -> ClientError {
    ClientError::File {
        step,
        path: path.to_owned(),
        source,
    }
}
