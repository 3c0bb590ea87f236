//! Bytes of artifacts, addressed by their BLAKE3 hash. Uploads can be continued where they broke.

use crate::context::{Context, Services};
use crate::declare::{put, read};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::{Reply, ReplyBody, RequestBody, Shape};
use crate::lookup;
use crate::operation::{Cost, Method, Operation, json_of};
use crate::permission::{Permission, TaskRule};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use skep_model::attempt::{ArtifactHash, AttemptReport};
use skep_model::limits;
use skep_model::token::Scope;
use skep_store::{BlobError, BlobStatus, BlobStore};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of any kind.
pub(crate) const OCTETS: &str = "application/octet-stream";
/// Bytes read or written at a time.
const PIECE_BYTES: usize = 256 * 1024;

pub(crate) fn operations() -> Vec<Operation> {
    const READ: Permission = Permission::any_of(&[Scope::Read, Scope::Node, Scope::Agent]);
    const STORE: Permission = Permission::any_of(&[Scope::Write, Scope::Node, Scope::Agent])
        .or_attempt(TaskRule::AnyContent);
    let shows = "Says how much of an artifact is here, as `Upload-Offset`.";
    vec![
        read(
            "artifacts.status",
            "/artifacts/{blake3}",
            STORE.or_reader(),
            shows,
        )
        .method(Method::Head)
        .replies(Shape::Empty, Shape::Empty, status),
        read(
            "artifacts.get",
            "/artifacts/{blake3}",
            READ,
            "Gives the bytes of an artifact.",
        )
        .replies(Shape::Empty, Shape::Bytes(OCTETS), get),
        put(
            "artifacts.put",
            "/artifacts/{blake3}",
            STORE,
            "Takes in bytes of an artifact, from an offset on.",
        )
        .cost(Cost::High)
        .replies(Shape::Bytes(OCTETS), json_of::<Stored>(), store),
    ]
}

impl Permission {
    /// Also for holders of the read scope.
    const fn or_reader(self) -> Self {
        Self {
            scopes: &[Scope::Read, Scope::Write, Scope::Node, Scope::Agent],
            ..self
        }
    }
}

/// Names an artifact.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ArtifactPath {
    /// BLAKE3 of its bytes, 64 hexadecimal digits.
    blake3: ArtifactHash,
}

async fn status(
    context: Context,
    path: ArtifactPath,
    _: RequestBody,
) -> Result<Reply, OperationError> {
    let status = blob(&context, move |blobs| blobs.status(path.blake3)).await?;
    match status {
        BlobStatus::Missing => Err(missing(path.blake3)),
        BlobStatus::Partial(bytes) => Ok(Reply::empty()
            .status(204)
            .header("upload-offset", bytes.to_string())
            .header("upload-complete", "?0")),
        BlobStatus::Complete(bytes) => Ok(Reply::empty()
            .header("content-length", bytes.to_string())
            .header("upload-offset", bytes.to_string())
            .header("upload-complete", "?1")
            .header("etag", format!("\"{}\"", path.blake3))),
    }
}

fn missing(hash: ArtifactHash) -> OperationError {
    OperationError::new(
        ErrorCode::ArtifactNotFound,
        format!("artifact `{hash}` is not here"),
    )
}

async fn get(
    context: Context,
    path: ArtifactPath,
    _: RequestBody,
) -> Result<Reply, OperationError> {
    let reply = content(&context, path.blake3).await?;
    Ok(reply
        .header("etag", format!("\"{}\"", path.blake3))
        .header("cache-control", "private, immutable, max-age=31536000"))
}

/// The bytes of an artifact.
pub(crate) async fn content(
    context: &Context,
    hash: ArtifactHash,
) -> Result<Reply, OperationError> {
    let file = blob(context, move |blobs| blobs.open_blob(hash)).await?;
    let file = file.ok_or_else(|| missing(hash))?;
    let length = file
        .metadata()
        .map_err(|error| OperationError::internal("measure an artifact", &error))?
        .len();
    let body = ReplyBody::Stream(OCTETS, stream::try_unfold(file, next_piece).boxed());
    Ok(Reply {
        status: None,
        headers: Vec::new(),
        body,
    }
    .header("content-length", length.to_string()))
}

/// Keeps these bytes.
pub(crate) async fn keep(context: &Context, bytes: Vec<u8>) -> Result<(), OperationError> {
    let (hash, size) = (ArtifactHash::of(&bytes), bytes.len() as u64);
    let stored = blob(context, move |blobs| {
        if blobs.status(hash)? != BlobStatus::Complete(size) {
            blobs.append(hash, 0, &bytes)?;
            blobs.finish(hash, size)?;
        }
        Ok(())
    });
    stored.await
}

async fn next_piece(mut file: File) -> io::Result<Option<(Bytes, File)>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; PIECE_BYTES];
        let length = file.read(&mut bytes)?;
        bytes.truncate(length);
        io::Result::Ok((bytes, file))
    });
    let (bytes, file) = read.await.map_err(io::Error::other)??;
    Ok((!bytes.is_empty()).then(|| (Bytes::from(bytes), file)))
}

/// Where an upload goes on.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upload {
    /// BLAKE3 of the whole content, 64 hexadecimal digits.
    blake3: ArtifactHash,
    /// Where these bytes begin; also as the header `Upload-Offset`.
    #[serde(default)]
    offset: u64,
    /// Size of the whole content. Without it these bytes are the last ones.
    #[serde(default)]
    total: Option<u64>,
}

/// How much of an artifact is here.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Stored {
    /// BLAKE3 of the whole content.
    blake3: ArtifactHash,
    /// Bytes that are here; the next piece begins here.
    offset: u64,
    /// Whether that is all of it, checked against the hash and durable.
    complete: bool,
}

/// Takes in the bytes. When the connection breaks, what came stays, and `HEAD` says how much.
async fn store(
    context: Context,
    upload: Upload,
    body: RequestBody,
) -> Result<Reply, OperationError> {
    let hash = upload.blake3;
    check_total(upload.total)?;
    if let BlobStatus::Complete(bytes) = blob(&context, move |blobs| blobs.status(hash)).await? {
        return stored(hash, bytes, true);
    }
    let mut pieces = match body {
        RequestBody::Whole(bytes) => stream::once(async { Ok(bytes) }).boxed(),
        RequestBody::Stream(pieces) => pieces,
    };
    let mut offset = upload.offset;
    let mut gathered = BytesMut::new();
    loop {
        let piece = pieces.next().await.transpose();
        let ended = matches!(piece, Ok(None) | Err(_));
        if let Ok(Some(bytes)) = &piece {
            gathered.extend_from_slice(bytes);
        }
        // An empty first piece is written too, so that an empty artifact can be stored.
        let first = ended && offset == upload.offset;
        if gathered.len() >= PIECE_BYTES || (ended && !gathered.is_empty()) || first {
            let bytes = gathered.split().freeze();
            offset = blob(&context, move |blobs| blobs.append(hash, offset, &bytes)).await?;
        }
        piece.map_err(|error| {
            let detail = format!("the body broke off at offset {offset}: {error}");
            OperationError::new(ErrorCode::BodyMalformed, detail)
        })?;
        if ended {
            break;
        }
    }
    if upload.total.is_some_and(|total| offset < total) {
        return stored(hash, offset, false);
    }
    let total = upload.total.unwrap_or(offset);
    blob(&context, move |blobs| blobs.finish(hash, total)).await?;
    stored(hash, total, true)
}

/// Refuses before the bytes come what would be refused at their end.
fn check_total(total: Option<u64>) -> Result<(), OperationError> {
    let most = limits::ARTIFACT_BYTES_MAX;
    match total.filter(|total| *total > most) {
        None => Ok(()),
        Some(total) => Err(OperationError::new(
            ErrorCode::ArtifactTooLarge,
            format!("the upload is of {total} bytes; ARTIFACT_BYTES_MAX is {most}"),
        )),
    }
}

fn stored(blake3: ArtifactHash, offset: u64, complete: bool) -> Result<Reply, OperationError> {
    let reply = Reply::json(&Stored {
        blake3,
        offset,
        complete,
    })?;
    Ok(reply.header("upload-offset", offset.to_string()))
}

async fn blob<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&BlobStore) -> Result<T, BlobError> + Send + 'static,
) -> Result<T, OperationError> {
    let blobs = context.services.blobs.clone();
    let joined = lookup::blocking("join a blob worker", move || {
        Ok::<_, std::convert::Infallible>(work(&blobs))
    });
    joined.await?.map_err(|error| match error {
        BlobError::WrongOffset { .. } | BlobError::WrongLength { .. } => {
            OperationError::new(ErrorCode::UploadOffsetMismatch, error.to_string())
        }
        BlobError::TooLarge { .. } => {
            OperationError::new(ErrorCode::ArtifactTooLarge, error.to_string())
        }
        BlobError::WrongHash { .. } => {
            OperationError::new(ErrorCode::ArtifactHashMismatch, error.to_string())
        }
        BlobError::File { .. } => OperationError::internal("use the store of artifacts", &error),
    })
}

/// For each report, the first artifact whose bytes are not all here.
///
/// # Errors
/// The store of artifacts broke.
pub async fn missing_artifacts(
    services: &Arc<Services>,
    reports: &[AttemptReport],
) -> Result<Vec<Option<ArtifactHash>>, OperationError> {
    if reports.iter().all(|report| report.artifacts.is_empty()) {
        return Ok(vec![None; reports.len()]);
    }
    let blobs = services.blobs.clone();
    let wanted: Vec<Vec<(ArtifactHash, u64)>> = reports
        .iter()
        .map(|report| {
            report
                .artifacts
                .iter()
                .map(|artifact| (artifact.blake3, artifact.bytes))
                .collect()
        })
        .collect();
    lookup::blocking("look for artifacts", move || {
        wanted
            .into_iter()
            .map(|artifacts| {
                for (hash, bytes) in artifacts {
                    if blobs.status(hash)? != BlobStatus::Complete(bytes) {
                        return Ok(Some(hash));
                    }
                }
                Ok(None)
            })
            .collect::<Result<Vec<_>, BlobError>>()
    })
    .await
}
