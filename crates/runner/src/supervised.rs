//! The runner's side of one supervised process tree: starts it, takes its output, stops it.

use crate::cancel::CancelHandle;
use crate::freezer::Freezer;
use crate::order::{
    EndNote, FREEZE_LINE, LaunchOrder, NOTES_BYTES_MAX, STOP_LINE, SupervisorNote, THAW_LINE,
};
use crate::process_tree::KILL_TREE_TIME_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Output is read in pieces of at most this size.
const OUTPUT_CHUNK_BYTES: usize = 64 << 10;
/// How long output is still read after the supervisor ended; a program that handed its output to
/// somebody outside could otherwise hold us for ever.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// A supervisor that is this late after it should have ended the tree is killed.
const SUPERVISOR_LATENESS_MAX: Duration = Duration::from_secs(30);

/// The binary that plays supervisor and exec stage.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    program: PathBuf,
    supervisor_args: Vec<String>,
}

/// Takes the output of a program, in order.
pub(crate) trait OutputSink {
    /// Takes the next bytes. An error stops the program.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Why a process tree did not come to a reported end.
#[derive(Debug, thiserror::Error)]
pub enum SupervisedError {
    /// The supervisor itself did not start.
    #[error("start the supervisor `{program}`")]
    Spawn {
        /// The binary.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The order could not be written for the supervisor.
    #[error("encode the launch order (paths must be UTF-8)")]
    EncodeOrder(#[source] serde_json::Error),
    /// The program could not be started or confined.
    #[error("{0}")]
    Launch(String),
    /// The supervisor ended without a report; its tree was killed as far as it can be found.
    #[error("the supervisor of the attempt ended without a report")]
    SupervisorDied,
    /// The supervisor did not end in time and was killed.
    #[error("the supervisor of the attempt did not end in time and was killed")]
    SupervisorHung,
    /// The pipes to the supervisor failed.
    #[error("talk to the supervisor of the attempt")]
    Pipe(#[source] io::Error),
    /// The output could not be kept.
    #[error("keep the output of the attempt")]
    Output(#[source] io::Error),
}

impl Stages {
    pub(crate) fn new(program: PathBuf, supervisor_args: Vec<String>) -> Self {
        Self {
            program,
            supervisor_args,
        }
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a process tree to its end. Nothing of it lives when this returns `Ok`, unless the
    /// note says that there are survivors.
    pub(crate) fn run(
        &self,
        order: &LaunchOrder,
        sink: &mut dyn OutputSink,
        cancel: &CancelHandle,
    ) -> Result<EndNote, SupervisedError> {
        let mut line = serde_json::to_vec(order).map_err(SupervisedError::EncodeOrder)?;
        line.push(b'\n');
        cancel.freezer().program_starts();
        let result = self.run_ordered(order, &line, sink, cancel);
        cancel.freezer().program_ended();
        result
    }

    fn run_ordered(
        &self,
        order: &LaunchOrder,
        line: &[u8],
        sink: &mut dyn OutputSink,
        cancel: &CancelHandle,
    ) -> Result<EndNote, SupervisedError> {
        let mut session = self.start()?;
        // A supervisor that died at once answers EPIPE here and end-of-file below.
        let _ = session.lifeline.write_all(line);
        let time_max = Duration::from_millis(order.timeout_ms.saturating_add(order.kill_grace_ms));
        session.patience_ends = Instant::now() + time_max + lateness();
        session.grace = Duration::from_millis(order.kill_grace_ms);
        let result = session.until_the_end(sink, cancel);
        session.clean_up(result.is_ok());
        result
    }

    fn start(&self) -> Result<Session, SupervisedError> {
        let spawn_error = |source| SupervisedError::Spawn {
            program: self.program.clone(),
            source,
        };
        let (output, output_of_child) = io::pipe().map_err(spawn_error)?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.supervisor_args)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output_of_child);
        let mut child = command.spawn().map_err(spawn_error)?;
        // The command holds a copy of the pipe's other end; with it we would never see its end.
        drop(command);
        Ok(Session {
            lifeline: child.stdin.take().expect("its stdin is piped above"),
            notes: child.stdout.take().expect("its stdout is piped above"),
            child,
            output,
            pending_notes: Vec::new(),
            main: None,
            end: None,
            patience_ends: Instant::now() + lateness(),
            grace: Duration::ZERO,
            frozen_since: None,
        })
    }
}

fn lateness() -> Duration {
    SUPERVISOR_LATENESS_MAX + KILL_TREE_TIME_MAX
}

struct Session {
    child: Child,
    lifeline: ChildStdin,
    notes: ChildStdout,
    output: PipeReader,
    pending_notes: Vec<u8>,
    /// The program's process id, once it runs.
    main: Option<Pid>,
    end: Option<Result<EndNote, SupervisedError>>,
    /// When the supervisor is given up.
    patience_ends: Instant,
    grace: Duration,
    /// Since when the tree stands still, or is asked to.
    frozen_since: Option<Instant>,
}

/// What there is to do after a wait.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one of the files that are waited for"
)]
struct Ready {
    output: bool,
    notes: bool,
    cancel: bool,
    freezer: bool,
}

/// What is still open or watched.
#[derive(Debug, Clone, Copy)]
struct Watched {
    output: bool,
    notes: bool,
    cancel: bool,
}

impl Session {
    fn until_the_end(
        &mut self,
        sink: &mut dyn OutputSink,
        cancel: &CancelHandle,
    ) -> Result<EndNote, SupervisedError> {
        let mut watched = Watched {
            output: true,
            notes: true,
            cancel: true,
        };
        let mut chunk = vec![0_u8; OUTPUT_CHUNK_BYTES];
        while watched.output || watched.notes {
            let ready = self.wait(watched, cancel)?;
            if ready.cancel {
                watched.cancel = false;
                self.ask_to_stop();
            }
            if ready.freezer {
                self.freeze_or_thaw(cancel.freezer());
            }
            if ready.output {
                let count = read_some(&mut self.output, &mut chunk)?;
                watched.output = count > 0;
                sink.take(&chunk[..count])
                    .map_err(SupervisedError::Output)?;
            }
            if ready.notes {
                watched.notes = self.read_notes(cancel.freezer())?;
                if !watched.notes {
                    self.patience_ends = Instant::now() + DRAIN_TIME_MAX;
                }
            }
            // A tree that stands still may do so for long; its supervisor still hears a stop.
            let is_awake = self.frozen_since.is_none() || !watched.notes;
            if is_awake && Instant::now() >= self.patience_ends {
                if watched.notes {
                    return Err(SupervisedError::SupervisorHung);
                }
                break;
            }
        }
        self.end
            .take()
            .unwrap_or(Err(SupervisedError::SupervisorDied))
    }

    fn wait(&self, watched: Watched, cancel: &CancelHandle) -> Result<Ready, SupervisedError> {
        let left = match self.frozen_since {
            None => self.patience_ends.saturating_duration_since(Instant::now()),
            Some(_) => Duration::MAX,
        };
        // More than the kernel's bound cannot be asked for; the loop simply waits again.
        let timeout = Timespec::try_from(left.min(Duration::from_hours(1)))
            .expect("an hour is within the bound");
        // A closed pipe reports HUP whether asked for or not, so only what is watched is in the
        // set.
        let mut sources = Vec::with_capacity(4);
        if watched.output {
            sources.push(PollFd::new(&self.output, PollFlags::IN));
        }
        if watched.notes {
            sources.push(PollFd::new(&self.notes, PollFlags::IN));
        }
        if watched.cancel {
            sources.push(PollFd::from_borrowed_fd(cancel.wake(), PollFlags::IN));
        }
        let freezer = cancel.freezer().wake();
        sources.push(PollFd::from_borrowed_fd(freezer, PollFlags::IN));
        match poll(&mut sources, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(SupervisedError::Pipe(error.into())),
        }
        let mut answers = sources.iter().map(|one| !one.revents().is_empty());
        let mut is_ready = |watched: bool| watched && answers.next().unwrap_or(false);
        Ok(Ready {
            output: is_ready(watched.output),
            notes: is_ready(watched.notes),
            cancel: is_ready(watched.cancel),
            freezer: is_ready(true),
        })
    }

    fn freeze_or_thaw(&mut self, freezer: &Freezer) {
        let now = Instant::now();
        match (freezer.news(), self.frozen_since) {
            (true, None) => {
                self.frozen_since = Some(now);
                let _ = self.lifeline.write_all(FREEZE_LINE);
            }
            (false, Some(since)) => {
                self.frozen_since = None;
                self.patience_ends += now.saturating_duration_since(since);
                freezer.program_goes_on();
                let _ = self.lifeline.write_all(THAW_LINE);
            }
            _ => {}
        }
    }

    fn ask_to_stop(&mut self) {
        // What stands still is killed, and the supervisor has to be quick about it.
        self.frozen_since = None;
        // A supervisor that is gone already needs no word.
        let _ = self.lifeline.write_all(STOP_LINE);
        let latest = Instant::now() + self.grace + lateness();
        self.patience_ends = self.patience_ends.min(latest);
    }

    /// Takes in what the supervisor said; false at its end.
    fn read_notes(&mut self, freezer: &Freezer) -> Result<bool, SupervisedError> {
        let mut chunk = [0_u8; 4096];
        let count = read_some(&mut self.notes, &mut chunk)?;
        self.pending_notes.extend_from_slice(&chunk[..count]);
        while let Some(end) = self.pending_notes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending_notes.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(note) => self.take_note(note, freezer),
                Err(error) => return Err(SupervisedError::Pipe(error.into())),
            }
        }
        if self.pending_notes.len() > NOTES_BYTES_MAX {
            let error = io::Error::other("a note of the supervisor is too long");
            return Err(SupervisedError::Pipe(error));
        }
        Ok(count > 0)
    }

    fn take_note(&mut self, note: SupervisorNote, freezer: &Freezer) {
        match note {
            SupervisorNote::Started { pid } => self.main = Pid::from_raw(pid),
            SupervisorNote::Frozen => freezer.program_stands_still(),
            SupervisorNote::LaunchFailed { message } => {
                self.end = Some(Err(SupervisedError::Launch(message)));
            }
            SupervisorNote::Ended(end) => self.end = Some(Ok(end)),
        }
    }

    /// After an orderly end the supervisor is gone or going; otherwise it is killed, and its
    /// program's session with it.
    fn clean_up(mut self, orderly: bool) {
        if !orderly {
            // Closing the lifeline makes a healthy supervisor kill everything; it gets the
            // chance before it is killed itself.
            drop(self.lifeline);
            self.patience_ends = Instant::now() + KILL_TREE_TIME_MAX;
            wait_for_end(&mut self.notes, self.patience_ends);
            let _ = self.child.kill();
            if let Some(main) = self.main {
                let _ = kill_process_group(main, Signal::KILL);
            }
        }
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "wait for the supervisor of an attempt");
        }
    }
}

fn wait_for_end(notes: &mut ChildStdout, deadline: Instant) {
    let mut chunk = [0_u8; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("ten seconds are within the bound");
        let mut source = [PollFd::new(&*notes, PollFlags::IN)];
        match poll(&mut source, Some(&timeout)) {
            Ok(0) => return,
            Ok(_) if matches!(notes.read(&mut chunk), Ok(0) | Err(_)) => return,
            Ok(_) | Err(_) => {}
        }
    }
}

fn read_some(source: &mut impl Read, chunk: &mut [u8]) -> Result<usize, SupervisedError> {
    loop {
        match source.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(SupervisedError::Pipe),
        }
    }
}
