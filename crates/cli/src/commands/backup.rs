//! `skep backup`: copies of a coordinator's data, their check, and a start from one.

use super::Session;
use crate::args::BackupCommand;
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::output::{bytes, note, text};
use crate::system_ports::{SystemClock, SystemEntropy};
use rustix::fs::FlockOperation;
use serde_json::{Value, json};
use skep_coordinator::ports::{Clock, Entropy};
use skep_model::ids::ClusterId;
use skep_operations::Timestamp;
use skep_store::backup::{self, BackupError, CreateOptions, Summary, WhyLeftOut};
use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) async fn run(session: &Session, command: BackupCommand) -> Outcome {
    match command {
        BackupCommand::Create { output, no_logs } => create(session, output, !no_logs).await,
        BackupCommand::Verify { backup } => verify(session, backup).await,
        BackupCommand::Restore { backup } => restore(session, backup).await,
    }
}

async fn create(session: &Session, output: Option<PathBuf>, attempt_logs: bool) -> Outcome {
    let now = SystemClock.wall();
    let data = session.places.coordinator();
    let directory = output.unwrap_or_else(|| stamped("skep-backup"));
    let options = CreateOptions { now, attempt_logs };
    let made = {
        let directory = directory.clone();
        blocking(move || backup::create(&data, &directory, options)).await?
    };
    warn_of_what_is_left_out(&made);
    let shown = document(&made, &directory);
    session.output.document(&shown, |shown| {
        format!(
            "{}\nkeep the manifest's hash elsewhere: it tells this backup from any other\nnext         \
             skep backup verify {}",
            facts(shown),
            directory.display()
        )
    })?;
    Ok(Exit::Ok)
}

async fn verify(session: &Session, directory: PathBuf) -> Outcome {
    let checked = {
        let directory = directory.clone();
        blocking(move || backup::verify(&directory)).await?
    };
    warn_of_what_is_left_out(&checked);
    session
        .output
        .document(&document(&checked, &directory), |shown| {
            format!(
                "{}\nchecked      size and hash of each part, that there are no others, the whole \
             log\n             with its hash chain and every stored body, all artifacts it refers to",
                facts(shown)
            )
        })?;
    Ok(Exit::Ok)
}

async fn restore(session: &Session, directory: PathBuf) -> Outcome {
    let data = session.places.coordinator();
    refuse_a_running_coordinator(&data)?;
    let cluster = ClusterId::from_u128(SystemEntropy.id());
    let restored = {
        let (directory, data) = (directory.clone(), data.clone());
        blocking(move || backup::restore(&directory, &data, cluster, SystemClock.wall())).await?
    };
    warn_of_what_is_left_out(&restored);
    let mut shown = document(&restored, &directory);
    shown["data"] = json!(data);
    shown["restored_as"] = json!(cluster);
    session.output.document(&shown, |shown| {
        format!(
            "{}\nrestored to  {}\nas swarm     {}\nnext         skep up; all nodes join again, by \
             new tokens (skep token join)",
            facts(shown),
            text(shown, "/data"),
            text(shown, "/restored_as"),
        )
    })?;
    Ok(Exit::Ok)
}

/// A name that sorts by time, in the present directory.
pub(crate) fn stamped(name: &str) -> PathBuf {
    let time = Timestamp(SystemClock.wall()).to_string();
    let plain: String = time.chars().filter(char::is_ascii_alphanumeric).collect();
    PathBuf::from(format!("{name}-{plain}"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::new(Exit::Failed, "internal", error.to_string()))?
        .map_err(|error| failed(&error))
}

/// Whether it runs is known by its lock; a directory without one has no owner.
fn refuse_a_running_coordinator(data: &Path) -> Result<(), Failure> {
    let Ok(lock) = File::open(data.join("lock")) else {
        return Ok(());
    };
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let message = format!("a coordinator runs on `{}`", data.display());
            Err(Failure::new(Exit::Conflict, "data_dir_in_use", message)
                .hint("stop it, or restore elsewhere with --home DIR"))
        }
        _ => Ok(()),
    }
}

fn failed(error: &BackupError) -> Failure {
    let message = chain(error);
    match error {
        BackupError::DamagedManifest { .. }
        | BackupError::MissingPart { .. }
        | BackupError::AdditionalPart { .. }
        | BackupError::DamagedPart { .. } => Failure::new(Exit::Storage, "backup_damaged", message),
        BackupError::Store(_) => Failure::new(Exit::Storage, "store_unusable", message),
        BackupError::NoManifest { .. } => Failure::new(Exit::NotFound, "backup_not_found", message),
        BackupError::NewerFormat { .. } => Failure::new(Exit::Conflict, "backup_newer", message),
        BackupError::NotEmpty { .. } => {
            Failure::new(Exit::Conflict, "directory_not_empty", message)
                .hint("for a restore, name another directory for all data with --home DIR")
        }
        BackupError::NoDataDirectory { .. } => {
            Failure::new(Exit::NotFound, "data_dir_missing", message)
                .hint("name the directory of all data with --home DIR or SKEP_HOME")
        }
        BackupError::InsideDataDirectory { .. } => {
            Failure::new(Exit::Invalid, "backup_inside_data", message)
        }
        BackupError::InUse { .. } => Failure::new(Exit::Conflict, "data_dir_in_use", message),
        BackupError::File { .. } => Failure::new(Exit::Failed, "io_failed", message),
    }
}

fn warn_of_what_is_left_out(summary: &Summary) {
    for left in &summary.left_out {
        let why = match left.reason {
            WhyLeftOut::Missing => "its file was not there",
            WhyLeftOut::Damaged => "its bytes do not have its hash",
        };
        note(&format!(
            "warning: artifact {} is left out: {why}",
            left.artifact
        ));
    }
}

fn document(summary: &Summary, directory: &Path) -> Value {
    let left_out = summary.left_out.iter().map(|left| {
        let reason = match left.reason {
            WhyLeftOut::Missing => "missing",
            WhyLeftOut::Damaged => "damaged",
        };
        json!({ "artifact": left.artifact, "reason": reason })
    });
    json!({
        "backup": directory,
        "cluster": summary.cluster,
        "created_at": Timestamp(summary.created_at).to_string(),
        "version": summary.skep_version,
        "index": summary.log.index,
        "log_hash": summary.log.hash,
        "parts": summary.parts,
        "bytes": summary.bytes,
        "artifacts": summary.artifacts,
        "left_out": left_out.collect::<Vec<_>>(),
        "manifest": summary.manifest,
    })
}

fn facts(shown: &Value) -> String {
    let size = shown.pointer("/bytes").and_then(Value::as_u64);
    let left_out = shown.pointer("/left_out").and_then(Value::as_array);
    format!(
        "backup       {}\nswarm        {}\nmade         {} by skep {}\nlog index    {}\nparts        \
         {}, {}, of them {} artifacts; {} left out\nmanifest     {}",
        text(shown, "/backup"),
        text(shown, "/cluster"),
        text(shown, "/created_at"),
        text(shown, "/version"),
        text(shown, "/index"),
        text(shown, "/parts"),
        bytes(size.unwrap_or_default()),
        text(shown, "/artifacts"),
        left_out.map_or(0, Vec::len),
        text(shown, "/manifest"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_in_which_a_backup_fails_has_its_exit_code() {
        let path = || PathBuf::from("/b");
        let part = || "logs/00/x".to_owned();
        for (error, exit, code) in [
            (
                BackupError::MissingPart { part: part() },
                Exit::Storage,
                "backup_damaged",
            ),
            (
                BackupError::AdditionalPart { part: part() },
                Exit::Storage,
                "backup_damaged",
            ),
            (
                BackupError::NoManifest { path: path() },
                Exit::NotFound,
                "backup_not_found",
            ),
            (
                BackupError::NewerFormat { found: 9, known: 1 },
                Exit::Conflict,
                "backup_newer",
            ),
            (
                BackupError::NotEmpty { path: path() },
                Exit::Conflict,
                "directory_not_empty",
            ),
            (
                BackupError::NoDataDirectory { path: path() },
                Exit::NotFound,
                "data_dir_missing",
            ),
            (
                BackupError::InsideDataDirectory { path: path() },
                Exit::Invalid,
                "backup_inside_data",
            ),
        ] {
            let failure = failed(&error);
            assert_eq!((failure.exit, failure.code.as_str()), (exit, code));
        }
    }
}
