//! The exec stage: walls itself in, then becomes the program.
//!
//! A separate process because the walls (rlimits, Landlock, seccomp) bind the one who builds
//! them, and without `unsafe` code nothing can run between `fork` and `exec` of another process.
//! Its stdin carries the order, its stdout reports to the supervisor, its stderr is the output.

use crate::error::with_causes;
use crate::isolation::isolation_of;
use crate::order::{ProgramOrder, READY_MARK};
use rustix::fs::Mode;
use rustix::process::{Signal, set_parent_process_death_signal, setsid, umask};
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The exit code of the stage itself; the supervisor reports the text, not this code.
const LAUNCH_FAILED: u8 = 125;
/// Files of an attempt are writable by its user only.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Becomes the program of the order on stdin; returns only if that failed.
pub(crate) fn become_program() -> ExitCode {
    let failed = ExitCode::from(LAUNCH_FAILED);
    // The copy closes itself on exec, which is how the supervisor learns that it worked.
    let Ok(report) = io::stdout().as_fd().try_clone_to_owned() else {
        return failed;
    };
    let mut report = File::from(report);
    let Err(error) = try_become_program(&mut report);
    // Without a reader there is nobody to tell.
    let _ = report.write_all(with_causes(error.as_ref()).as_bytes());
    failed
}

fn try_become_program(report: &mut File) -> Result<std::convert::Infallible, Box<dyn Error>> {
    let order: ProgramOrder = serde_json::from_reader(io::stdin().lock())?;
    let (program, arguments) = order
        .argv
        .split_first()
        .ok_or("the command has no program")?;
    let no_input: OwnedFd = File::open("/dev/null")?.into();
    rustix::stdio::dup2_stdin(no_input)?;
    setsid()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    umask(UMASK);
    std::env::set_current_dir(&order.directory)
        .map_err(|error| format!("enter `{}`: {error}", order.directory.display()))?;
    isolation_of(order.confinement.level)?.confine(&order.confinement)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    report.write_all(READY_MARK.as_bytes())?;
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&order.env)
        .exec();
    Err(format!("start `{program}`: {error}").into())
}
