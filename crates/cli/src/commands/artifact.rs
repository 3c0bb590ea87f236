//! `skep artifact`: list and fetch what tasks handed in.

use super::Session;
use crate::api::{Api, items, path};
use crate::args::ArtifactCommand;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Output, Printer, bytes, table, text};
use futures_util::StreamExt;
use serde_json::{Value, json};
use skep_model::attempt::ArtifactHash;
use std::path::Path;

pub(crate) async fn run(session: &Session, command: ArtifactCommand) -> Outcome {
    let api = session.api()?;
    match command {
        ArtifactCommand::Ls { id } => {
            let family = if id.starts_with("task_") {
                "tasks"
            } else {
                "runs"
            };
            let page = api.get(&path(&[family, &id, "artifacts"])).await?;
            session.output.document(&page, artifact_table)?;
        }
        ArtifactCommand::Get { hash, output } => {
            let hash: ArtifactHash = hash.parse().map_err(|_| not_a_hash(&hash))?;
            match output {
                Some(file) => fetch(session, &api, hash, &file).await?,
                None if session.output == Output::Json => return Err(output_missing()),
                None => print(&api, hash).await?,
            }
        }
    }
    Ok(Exit::Ok)
}

/// Artifacts as a table.
pub(crate) fn artifact_table(page: &Value) -> String {
    let rows = items(page).iter().map(|artifact| {
        let size = artifact
            .pointer("/bytes")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        vec![
            text(artifact, "/task"),
            text(artifact, "/path"),
            bytes(size),
            text(artifact, "/blake3"),
        ]
    });
    table(&["task", "path", "size", "blake3"], rows)
}

async fn fetch(
    session: &Session,
    api: &Api,
    hash: ArtifactHash,
    file: &Path,
) -> Result<(), Failure> {
    api.client().download_artifact(hash, file).await?;
    let size = std::fs::metadata(file)?.len();
    let fetched = json!({ "blake3": hash.to_string(), "path": file, "bytes": size });
    session
        .output
        .document(&fetched, |_| format!("{}  {}", file.display(), bytes(size)))
}

/// Prints the bytes as they come, and says afterwards if they were not what the hash promises.
async fn print(api: &Api, hash: ArtifactHash) -> Result<(), Failure> {
    let mut pieces = std::pin::pin!(api.client().read_artifact(hash).await?);
    let mut hasher = blake3::Hasher::new();
    let mut printer = Printer::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        hasher.update(&piece);
        printer.print(&piece)?;
    }
    printer.end()?;
    let found = ArtifactHash(*hasher.finalize().as_bytes());
    if found == hash {
        return Ok(());
    }
    let message = format!("the printed bytes have the hash `{found}`, not `{hash}`");
    Err(Failure::new(Exit::Failed, "artifact_damaged", message)
        .hint("do not use them; fetch the artifact again with --output"))
}

fn not_a_hash(hash: &str) -> Failure {
    let message = format!("`{hash}` is not a BLAKE3 hash: it should be 64 hexadecimal digits");
    Failure::new(Exit::Invalid, "hash_malformed", message).hint("`skep artifact ls RUN` lists them")
}

fn output_missing() -> Failure {
    Failure::new(
        Exit::Invalid,
        "output_missing",
        "the bytes of an artifact are not JSON",
    )
    .hint("name a file with --output; the document then says what was written")
}

#[cfg(test)]
mod tests {
    use super::artifact_table;
    use serde_json::json;

    #[test]
    fn artifacts_are_listed_with_size_and_hash() {
        let page = json!({"items": [
            {"task": "build", "path": "out/a.txt", "bytes": 2048, "blake3": "ab"},
        ]});
        let lines: Vec<_> = artifact_table(&page).lines().map(str::to_owned).collect();
        let words: Vec<_> = lines[1].split_whitespace().collect();
        assert_eq!(words, ["build", "out/a.txt", "2.0", "KiB", "ab"]);
    }
}
