//! The runner of a node: options, attempts that run, logs, measured isolation.

use crate::attempt::{Attempt, directory_error};
use crate::attempt_log::{AttemptLog, LogChunk};
use crate::cancel::CancelHandle;
use crate::environment::ENV_ALLOW_LIST_DEFAULT;
use crate::error::AttemptError;
use crate::isolation::{MeasuredIsolation, ProbeError, measure};
use crate::order::SUPERVISOR_STAGE;
use crate::paths::{AttemptPaths, attempts_directory, probe_directory};
use crate::spec::{AttemptPorts, AttemptSpec};
use crate::supervised::Stages;
use crate::workspace::{RepositoryLocks, remove_directory, sweep_attempt};
use parking_lot::Mutex;
use skep_model::attempt::AttemptReport;
use skep_model::ids::TaskId;
use skep_model::isolation::{IsolationLevel, ProbeResult};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a node's owner decides about its attempts.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Where attempts, logs and clean copies lie. Absolute, and of one runner alone.
    pub state_dir: PathBuf,
    /// The binary whose `main` calls [`crate::internal_main`] first. Attempts may start it, too.
    pub supervisor_exe: PathBuf,
    /// The arguments that make it a supervisor.
    pub supervisor_args: Vec<String>,
    /// Variables of the node that attempts get.
    pub env_allow_list: Vec<String>,
    /// Files and directories that attempts at S1 may read and execute besides the system's own,
    /// e.g. a toolchain in a home directory. Never put one here that holds secrets.
    pub extra_read_paths: Vec<PathBuf>,
    /// Files and directories that attempts at S1 never see, even below what a plan lets them
    /// read, e.g. where tokens lie. The state directory always is one.
    pub hidden_paths: Vec<PathBuf>,
}

impl RunnerOptions {
    /// The defaults around the two paths that have none.
    pub fn new(state_dir: PathBuf, supervisor_exe: PathBuf) -> Self {
        Self {
            state_dir,
            supervisor_exe,
            supervisor_args: vec![SUPERVISOR_STAGE.to_owned()],
            env_allow_list: ENV_ALLOW_LIST_DEFAULT
                .iter()
                .map(ToString::to_string)
                .collect(),
            extra_read_paths: Vec::new(),
            hidden_paths: Vec::new(),
        }
    }
}

/// Runs attempts on this machine. Blocking: each attempt takes the thread that calls
/// [`Runner::run`]; all methods may be called from several threads.
#[derive(Debug)]
pub struct Runner {
    options: RunnerOptions,
    /// The supervisor program, with links resolved.
    program: PathBuf,
    stages: Stages,
    locks: RepositoryLocks,
    /// Attempts that run, with their logs.
    live: Mutex<BTreeMap<(TaskId, u32), AttemptLog>>,
    measured: Mutex<Option<MeasuredIsolation>>,
}

impl Runner {
    /// A runner over a state directory, which is made if it is not there.
    pub fn new(mut options: RunnerOptions) -> io::Result<Self> {
        fs::create_dir_all(attempts_directory(&options.state_dir))?;
        // Sandboxes and git compare real paths.
        options.state_dir = options.state_dir.canonicalize()?;
        let program = options.supervisor_exe.canonicalize()?;
        Ok(Self {
            program,
            stages: Stages::new(
                options.supervisor_exe.clone(),
                options.supervisor_args.clone(),
            ),
            options,
            locks: RepositoryLocks::default(),
            live: Mutex::default(),
            measured: Mutex::default(),
        })
    }

    /// Runs one attempt to its end. Whatever happens, the report says it; nothing of the attempt
    /// lives afterwards, and only its log remains on disk.
    pub fn run(
        &self,
        spec: &AttemptSpec,
        ports: AttemptPorts<'_>,
        cancel: &CancelHandle,
    ) -> AttemptReport {
        let paths = AttemptPaths::new(&self.options.state_dir, spec.task, spec.attempt);
        let key = (spec.task, spec.attempt);
        let log = match self.begin(key, &paths) {
            Ok(log) => log,
            Err(error) => return not_begun(spec, error),
        };
        let report = Attempt::new(self, spec, ports, cancel, &paths).run(&log);
        self.live.lock().remove(&key);
        report
    }

    fn begin(&self, key: (TaskId, u32), paths: &AttemptPaths) -> Result<AttemptLog, AttemptError> {
        let mut live = self.live.lock();
        if live.contains_key(&key) {
            let source = io::Error::other("this attempt runs already");
            return Err(directory_error(paths.root(), source));
        }
        paths
            .make_root()
            .map_err(|source| directory_error(paths.root(), source))?;
        // The same attempt may have been begun by a node that crashed since.
        sweep_attempt(paths.root());
        let log_path = paths.log();
        let log =
            AttemptLog::create(&log_path).map_err(|source| directory_error(&log_path, source))?;
        live.insert(key, log.clone());
        Ok(log)
    }

    /// Reads the output of an attempt that runs or ran here, at most `bytes_max` bytes from
    /// `offset` on. Waits for nothing: at the end of a live log it gives no bytes.
    pub fn read_log(
        &self,
        task: TaskId,
        attempt: u32,
        offset: u64,
        bytes_max: usize,
    ) -> io::Result<LogChunk> {
        let live = self.live.lock().get(&(task, attempt)).cloned();
        match live {
            Some(log) => log.read(offset, bytes_max, true),
            None => AttemptLog::open(&self.log_path(task, attempt))?.read(offset, bytes_max, false),
        }
    }

    /// Where the log of an attempt lies. Up to the limit it is the plain output; read longer ones
    /// with [`Runner::read_log`].
    pub fn log_path(&self, task: TaskId, attempt: u32) -> PathBuf {
        AttemptPaths::new(&self.options.state_dir, task, attempt).log()
    }

    /// Removes the log and all else of an attempt that does not run any more.
    pub fn forget(&self, task: TaskId, attempt: u32) {
        if self.live.lock().contains_key(&(task, attempt)) {
            return;
        }
        let paths = AttemptPaths::new(&self.options.state_dir, task, attempt);
        sweep_attempt(paths.root());
        remove_directory(paths.root());
        // Refused, as it should be, while another attempt's log is there.
        let _ = paths.root().parent().map(fs::remove_dir);
    }

    /// Removes what a crashed node left: workspaces, worktrees, staged files. Logs stay. Call it
    /// once, before the first attempt; no process is left to kill, as lifelines see to that.
    pub fn sweep(&self) -> io::Result<()> {
        for task in fs::read_dir(attempts_directory(&self.options.state_dir))? {
            let task = task?.path();
            for attempt in fs::read_dir(&task)? {
                sweep_attempt(&attempt?.path());
            }
        }
        remove_directory(&probe_directory(&self.options.state_dir));
        Ok(())
    }

    /// Measures the isolation of this machine by trying to break out of a throw-away attempt.
    /// The answer is kept for the attempts that follow; call it again to measure again.
    pub fn probe_isolation(&self) -> Result<MeasuredIsolation, ProbeError> {
        let mut measured = self.measured.lock();
        let fresh = self.measure()?;
        *measured = Some(fresh.clone());
        Ok(fresh)
    }

    fn measure(&self) -> Result<MeasuredIsolation, ProbeError> {
        let directory = probe_directory(&self.options.state_dir);
        remove_directory(&directory);
        let result = measure(&self.stages, &directory);
        remove_directory(&directory);
        result
    }

    pub(crate) fn refuse_weak_isolation(&self, wanted: IsolationLevel) -> Result<(), AttemptError> {
        if wanted == IsolationLevel::S0 {
            return Ok(());
        }
        let mut measured = self.measured.lock();
        let found = match measured.take() {
            Some(found) => found,
            None => self.measure()?,
        };
        let found = measured.insert(found);
        if found.level >= wanted {
            return Ok(());
        }
        Err(AttemptError::IsolationUnavailable {
            wanted,
            measured: found.level,
            hint: hint(&found.probes),
        })
    }

    pub(crate) fn options(&self) -> &RunnerOptions {
        &self.options
    }

    pub(crate) fn stages(&self) -> &Stages {
        &self.stages
    }

    pub(crate) fn locks(&self) -> &RepositoryLocks {
        &self.locks
    }

    /// What no attempt may see, with links resolved; what is not there hides nothing.
    pub(crate) fn hidden(&self) -> Vec<PathBuf> {
        let own = std::iter::once(&self.options.state_dir);
        let all = own.chain(&self.options.hidden_paths);
        all.filter_map(|path| path.canonicalize().ok()).collect()
    }

    /// The supervisor program, absolute and with links resolved. Attempts may read and start it,
    /// wherever it lies.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The directory that this runner keeps everything in.
    pub fn state_dir(&self) -> &Path {
        &self.options.state_dir
    }
}

fn hint(probes: &[ProbeResult]) -> String {
    probes
        .iter()
        .find(|probe| !probe.blocked)
        .map(|open| format!("; probe `{}`: {}", open.probe, open.detail))
        .unwrap_or_default()
}

fn not_begun(spec: &AttemptSpec, error: AttemptError) -> AttemptReport {
    AttemptReport::without_process(spec.task, spec.fence, error.into_outcome())
}
