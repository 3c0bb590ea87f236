//! The socket in the state directory by which the user of the machine parks the node.
//!
//! Who may open it is who may look into the directory: the node's own user. One line of JSON is
//! asked, one is answered, one connection at a time.

use crate::inbox::{Inbox, Note};
use crate::{CONTROL_RETRY_MS, CONTROL_TIMEOUT_MS};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

/// Name of the socket in the state directory.
const SOCKET: &str = "control";
/// Bytes of a question or an answer, the end of the line included.
const LINE_BYTES_MAX: u64 = 256;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Wish {
    /// For how long the attempts are to stand still, milliseconds; none when they are to go on.
    park_ms: Option<u64>,
}

/// How the attempts of a node stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// No process of any attempt runs.
    pub stands_still: bool,
    /// The node is connected: its coordinator was told. Else it is told at the next connection.
    pub connected: bool,
}

/// Why a node of this machine could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No process runs on this state directory.
    #[error("no node runs in `{path}`")]
    NotRunning {
        /// The state directory.
        path: PathBuf,
    },
    /// It runs, and did not answer.
    #[error("the node in `{path}` did not answer")]
    NoAnswer {
        /// The state directory.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// Lets the attempts of the node in this directory stand still for so many milliseconds, whether
/// its coordinator can be reached or not. Blocks until they do, for at most
/// [`CONTROL_TIMEOUT_MS`].
///
/// # Errors
/// See [`ControlError`].
pub fn park_local(state_dir: &Path, for_ms: u64) -> Result<Standing, ControlError> {
    let park_ms = Some(for_ms);
    ask(state_dir, &Wish { park_ms })
}

/// Lets the attempts of the node in this directory go on, as soon as its coordinator has said
/// which are still its own.
///
/// # Errors
/// See [`ControlError`].
pub fn unpark_local(state_dir: &Path) -> Result<Standing, ControlError> {
    ask(state_dir, &Wish { park_ms: None })
}

fn ask(state_dir: &Path, wish: &Wish) -> Result<Standing, ControlError> {
    let path = || state_dir.to_path_buf();
    let stream = Directory::open(state_dir)
        .and_then(|directory| UnixStream::connect(directory.socket()))
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ControlError::NotRunning { path: path() }
            }
            _ => ControlError::NoAnswer {
                path: path(),
                source,
            },
        })?;
    exchange(stream, wish).map_err(|source| ControlError::NoAnswer {
        path: path(),
        source,
    })
}

fn exchange(mut stream: UnixStream, wish: &Wish) -> io::Result<Standing> {
    let patience = Some(Duration::from_millis(CONTROL_TIMEOUT_MS));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    stream.write_all(&line(wish))?;
    let mut answer = Vec::new();
    stream.take(LINE_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("plain fields");
    line.push(b'\n');
    line
}

/// The state directory, by a handle: the path of a socket may have 107 bytes only, and that of the
/// directory may be longer.
struct Directory(OwnedFd);

impl Directory {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    fn socket(&self) -> PathBuf {
        let handle = self.0.as_raw_fd();
        PathBuf::from(format!("/proc/self/fd/{handle}/{SOCKET}"))
    }
}

/// Listens for the user of the machine.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
}

impl Control {
    /// The directory has to be this process's alone: a socket that lies there is a left one.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        match fs::remove_file(root.join(SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(Directory::open(root)?.socket())?;
        Ok(Self { listener })
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, inbox: Arc<Inbox>) {
        let patience = Duration::from_millis(CONTROL_TIMEOUT_MS);
        loop {
            let answered = match self.listener.accept().await {
                Ok((stream, _)) => tokio::time::timeout(patience, answer(stream, &inbox)).await,
                Err(error) => {
                    tokio::time::sleep(Duration::from_millis(CONTROL_RETRY_MS)).await;
                    Ok(Err(error))
                }
            };
            match answered {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a local wish was not understood"),
                Err(_) => tracing::warn!("a local wish was not fulfilled in time"),
            }
        }
    }
}

async fn answer(stream: tokio::net::UnixStream, inbox: &Inbox) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut asked = Vec::new();
    let mut read = BufReader::new(read.take(LINE_BYTES_MAX));
    read.read_until(b'\n', &mut asked).await?;
    let wish: Wish = serde_json::from_slice(&asked)?;
    let (reply, standing) = oneshot::channel();
    inbox.push(Note::Park(wish.park_ms, reply));
    // Without an answer the connection just ends: the node stops.
    if let Ok(standing) = standing.await {
        write.write_all(&line(&standing)).await?;
        write.shutdown().await?;
    }
    Ok(())
}
