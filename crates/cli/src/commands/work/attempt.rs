//! One task of `skep work serve`: its command runs, and what came of it is told as it was.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use skep_client::{Client, ClientError};
use skep_model::attempt::ArtifactRecord;
use skep_model::limits::ACCOUNT_BYTES_MAX;
use skep_wire::payload::{AgentOutcome, AgentTask, AttemptKey};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// Name and path of what a command wrote to stdout, if that is handed in as a file.
const OUTPUT_NAME: &str = "stdout";
/// How long a command that was told to end may take.
const END_GRACE: Duration = Duration::from_secs(5);

/// A command that runs for a task.
pub(super) struct Attempt {
    pub(super) key: AttemptKey,
    /// Of its process group; none when it could not be started.
    group: Option<Pid>,
    running: BoxFuture<'static, AgentOutcome>,
    /// It was told to end, and what comes of it is of no interest; then it is ended by force.
    kill_at: Option<Instant>,
}

impl Attempt {
    /// Starts the command. That it cannot be started is an outcome, too.
    pub(super) fn start(client: Client, command: &str, session: &str, task: &AgentTask) -> Self {
        let (group, running) = match spawn(command, session, task) {
            Ok((child, output)) => {
                let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                let instructions = instructions(task);
                (group, run(client, child, instructions, output).boxed())
            }
            Err(error) => {
                let reason = format!("the command could not be started: {error}");
                (
                    None,
                    std::future::ready(AgentOutcome::Failed { reason }).boxed(),
                )
            }
        };
        Self {
            key: task.key(),
            group,
            running,
            kill_at: None,
        }
    }

    /// What came of it, once it ended; none when it was told to end. Dropping the future loses
    /// nothing.
    pub(super) async fn ended(&mut self) -> Option<AgentOutcome> {
        if let Some(at) = self.kill_at {
            if timeout_at(at, &mut self.running).await.is_ok() {
                return None;
            }
            self.signal(Signal::KILL);
            (&mut self.running).await;
            return None;
        }
        Some((&mut self.running).await)
    }

    /// Tells the command and its children to end. Those that do not are ended.
    pub(super) fn end(&mut self) {
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + END_GRACE);
            self.signal(Signal::TERM);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(%error, "the command was gone already");
        }
    }
}

fn spawn(command: &str, session: &str, task: &AgentTask) -> io::Result<(Child, NamedTempFile)> {
    let output = NamedTempFile::new()?;
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .env("SKEP_SESSION", session)
        .env("SKEP_TASK", task.task.to_string())
        .env("SKEP_FENCE", task.fence.to_string())
        .env("SKEP_ATTEMPT", task.attempt.to_string())
        .stdin(Stdio::piped())
        .stdout(output.reopen()?)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, output))
}

fn instructions(task: &AgentTask) -> String {
    match &task.expected {
        Some(expected) => format!("{}\n\nexpected: {expected}\n", task.instructions),
        None => format!("{}\n", task.instructions),
    }
}

async fn run(
    client: Client,
    mut child: Child,
    instructions: String,
    output: NamedTempFile,
) -> AgentOutcome {
    let stdin = child.stdin.take();
    let writing = async {
        if let Some(mut stdin) = stdin {
            // A command need not read what it is told.
            drop(stdin.write_all(instructions.as_bytes()).await);
        }
    };
    let ((), ended) = tokio::join!(writing, child.wait());
    match ended {
        Ok(status) if status.success() => completed(&client, &output).await,
        Ok(status) => AgentOutcome::Failed {
            reason: how(status),
        },
        Err(error) => AgentOutcome::Failed {
            reason: format!("how the command ended is not known: {error}"),
        },
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command exited with code {code}"),
        (None, Some(signal)) => format!("the command was ended by signal {signal}"),
        (None, None) => "the command did not succeed".to_owned(),
    }
}

/// What the command wrote is the result; what is too long for that, or no text, is a file.
async fn completed(client: &Client, output: &NamedTempFile) -> AgentOutcome {
    let text = short_text(output);
    let handed_in = match text {
        Ok(Some(text)) => Ok((Some(Value::from(text)), Vec::new())),
        Ok(None) => hand_in(client, output).await.map(|file| (None, vec![file])),
        Err(error) => Err(error.to_string()),
    };
    match handed_in {
        Ok((result, artifacts)) => AgentOutcome::Completed {
            result: result.filter(|result| result != ""),
            commit: None,
            artifacts,
        },
        Err(error) => AgentOutcome::Failed {
            reason: format!("what the command wrote could not be handed in: {error}"),
        },
    }
}

/// The output, if it is a text that fits in a result.
fn short_text(output: &NamedTempFile) -> io::Result<Option<String>> {
    if output.as_file().metadata()?.len() > ACCOUNT_BYTES_MAX as u64 {
        return Ok(None);
    }
    Ok(String::from_utf8(std::fs::read(output.path())?).ok())
}

async fn hand_in(client: &Client, output: &NamedTempFile) -> Result<ArtifactRecord, String> {
    let hashed = super::hash_of(output.path()).map_err(|error| error.to_string());
    let (hash, bytes) = hashed?;
    let uploaded = client.upload_artifact(hash, output.path()).await;
    uploaded.map_err(|error: ClientError| error.to_string())?;
    Ok(ArtifactRecord {
        name: OUTPUT_NAME.to_owned(),
        path: OUTPUT_NAME.to_owned(),
        bytes,
        blake3: hash,
        executable: false,
    })
}
