//! The hidden subcommands with which the binary starts itself anew.

use crate::order::{EXEC_STAGE, PROBE_STAGE, SUPERVISOR_STAGE};
use crate::{exec_stage, isolation, supervisor};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs an internal stage if the arguments (without the program's name) name one.
///
/// A binary that uses the runner MUST call this first in `main`, before it opens a file or starts
/// a thread, and end with the code if there is one: the stages close every inherited file and
/// bind only the calling thread.
pub fn internal_main(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    match arguments.next()?.to_str()? {
        SUPERVISOR_STAGE => Some(supervisor::supervise()),
        EXEC_STAGE => Some(exec_stage::become_program()),
        PROBE_STAGE => Some(isolation::try_the_forbidden(arguments.next().as_deref())),
        _ => None,
    }
}
