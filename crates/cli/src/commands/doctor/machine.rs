//! What `skep doctor` looks at on this machine.

use super::{Check, Session};
use crate::output::bytes;
use skep_model::isolation::IsolationLevel;
use skep_runner::{MeasuredIsolation, Runner, RunnerOptions};
use std::path::Path;
use std::process::Command;

/// The oldest git with all that workspaces need.
const GIT_MIN: (u32, u32) = (2, 38);
/// Open files below which a coordinator with many nodes runs out of them.
const OPEN_FILES_MIN: u64 = 1_024;
/// Free bytes below which the coordinator takes in no new work.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Free bytes below which it will come to that soon.
const FREE_BYTES_EASY: u64 = 5 << 30;

/// Version, configuration, tools, limits, disk and isolation.
pub(super) async fn checks(session: &Session) -> Vec<Check> {
    vec![
        version(),
        configuration(session),
        git(),
        open_files(),
        data_directory(&session.places.state),
        isolation().await,
    ]
}

fn version() -> Check {
    let system = rustix::system::uname();
    let name = system.sysname().to_string_lossy().into_owned();
    let release = system.release().to_string_lossy().into_owned();
    Check::ok(
        "version",
        format!("skep {} on {name} {release}", env!("CARGO_PKG_VERSION")),
    )
}

fn configuration(session: &Session) -> Check {
    if let Some(failure) = session.settings.failure() {
        return Check::fail("configuration", failure.message, "correct the named lines");
    }
    let count = session.settings.files.len();
    Check::ok("configuration", format!("{count} files, all valid"))
}

fn git() -> Check {
    let cure = format!("install git {}.{} or newer", GIT_MIN.0, GIT_MIN.1);
    let Ok(answer) = Command::new("git").arg("--version").output() else {
        return Check::warn(
            "git",
            "not found: tasks with a git workspace cannot run",
            cure,
        );
    };
    judge_git(String::from_utf8_lossy(&answer.stdout).trim(), cure)
}

fn judge_git(answer: &str, cure: String) -> Check {
    match git_version(answer) {
        Some(found) if found >= GIT_MIN => Check::ok("git", answer),
        Some(_) => {
            let detail = format!("{answer} is too old: tasks with a git workspace cannot run");
            Check::warn("git", detail, cure)
        }
        None => Check::warn(
            "git",
            format!("its answer `{answer}` names no version"),
            cure,
        ),
    }
}

/// Major and minor number in e.g. `git version 2.43.0`.
fn git_version(answer: &str) -> Option<(u32, u32)> {
    let mut numbers = answer.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn open_files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < OPEN_FILES_MIN => Check::warn(
            "open files",
            format!("only {limit} files may be open at a time"),
            format!("raise the limit: ulimit -n {OPEN_FILES_MIN}"),
        ),
        Some(limit) => Check::ok("open files", format!("{limit} at a time")),
        None => Check::ok("open files", "no limit"),
    }
}

fn data_directory(state: &Path) -> Check {
    let cure = "give this user a writable directory, or name another with SKEP_HOME";
    if let Err(error) = probe_writing(state) {
        let detail = format!("`{}` is not writable: {error}", state.display());
        return Check::fail("data directory", detail, cure);
    }
    match rustix::fs::statvfs(state) {
        Ok(disk) => judge_space(state, disk.f_bavail.saturating_mul(disk.f_frsize)),
        Err(error) => Check::fail(
            "data directory",
            format!("its disk is unknown: {error}"),
            cure,
        ),
    }
}

fn judge_space(state: &Path, free: u64) -> Check {
    let detail = format!("`{}`, {} free", state.display(), bytes(free));
    let cure = "free space on this disk, or name a directory on another with SKEP_HOME";
    match free {
        0..FREE_BYTES_MIN => Check::fail("data directory", detail, cure),
        FREE_BYTES_MIN..FREE_BYTES_EASY => Check::warn("data directory", detail, cure),
        _ => Check::ok("data directory", detail),
    }
}

/// Writes a file and takes it away again.
fn probe_writing(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let file = tempfile::NamedTempFile::new_in(directory)?;
    file.as_file().sync_all()?;
    file.close()
}

async fn isolation() -> Check {
    let cure = "use Linux 6.12 or newer with Landlock and seccomp enabled";
    let measured = tokio::task::spawn_blocking(measure_isolation).await;
    match measured {
        Ok(Ok(measured)) => judge_isolation(&measured, cure),
        Ok(Err(detail)) => Check::fail("isolation", detail, cure),
        Err(error) => Check::fail("isolation", error.to_string(), cure),
    }
}

fn measure_isolation() -> Result<MeasuredIsolation, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let runner = Runner::new(RunnerOptions::new(directory.path().to_owned(), program))
        .map_err(|error| error.to_string())?;
    runner
        .probe_isolation()
        .map_err(|error| crate::exit::chain(&error))
}

fn judge_isolation(measured: &MeasuredIsolation, cure: &str) -> Check {
    let (level, count) = (measured.level, measured.probes.len());
    let allowed: Vec<_> = measured
        .probes
        .iter()
        .filter(|probe| !probe.blocked)
        .map(|probe| format!("{} ({})", probe.probe, probe.detail))
        .collect();
    if level >= IsolationLevel::S1 {
        return Check::ok(
            "isolation",
            format!("{level}: {count} attempts to break out failed"),
        );
    }
    let detail = format!(
        "{level}: a node here gets only tasks that waive isolation; not stopped: {}",
        allowed.join(", ")
    );
    Check::fail("isolation", detail, cure)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use skep_model::isolation::ProbeResult;

    #[test]
    fn an_old_or_strange_git_is_only_a_warning() {
        for (answer, status) in [
            ("git version 2.38.0", Status::Ok),
            ("git version 3.0.1", Status::Ok),
            ("git version 2.39.5 (Apple Git-154)", Status::Ok),
            ("git version 2.37.9", Status::Warn),
            ("something else", Status::Warn),
        ] {
            assert_eq!(judge_git(answer, String::new()).status, status, "{answer}");
        }
    }

    #[test]
    fn little_space_is_a_warning_and_too_little_a_fault() {
        let state = Path::new("/data");
        for (free, status) in [
            (FREE_BYTES_MIN - 1, Status::Fail),
            (FREE_BYTES_MIN, Status::Warn),
            (FREE_BYTES_EASY, Status::Ok),
        ] {
            assert_eq!(judge_space(state, free).status, status, "{free}");
        }
    }

    #[test]
    fn weak_isolation_names_what_was_not_stopped() {
        let probe = |name: &str, blocked| ProbeResult {
            probe: name.to_owned(),
            blocked,
            detail: "done".to_owned(),
        };
        let probes = vec![probe("read_home", false), probe("ptrace", true)];
        let weak = MeasuredIsolation {
            level: IsolationLevel::S0,
            probes,
        };
        let check = judge_isolation(&weak, "cure");
        assert_eq!(check.status, Status::Fail);
        assert!(check.detail.contains("read_home") && !check.detail.contains("ptrace"));
    }
}
