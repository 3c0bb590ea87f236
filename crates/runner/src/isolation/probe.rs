//! The probe program: runs inside the sandbox and tries what the level forbids.

use super::socket_address;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use rustix::net::{AddressFamily, SocketType};
use serde::{Deserialize, Serialize};
use skep_model::isolation::ProbeResult;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the probe is told to aim at; all of it exists and works from outside the sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProbeTargets {
    /// A file outside of what the probe may read.
    pub(crate) canary: PathBuf,
    /// A listening socket outside.
    pub(crate) socket: PathBuf,
    /// A process outside, of the same user.
    pub(crate) process: i32,
    /// The node's home directory, if it has one.
    pub(crate) home: Option<PathBuf>,
}

/// Entry of the probe stage: prints one [`ProbeResult`] a line.
pub(crate) fn try_the_forbidden(targets: Option<&OsStr>) -> ExitCode {
    let parsed = targets
        .and_then(OsStr::to_str)
        .and_then(|text| serde_json::from_str::<ProbeTargets>(text).ok());
    let Some(targets) = parsed else {
        return ExitCode::FAILURE;
    };
    let mut stdout = std::io::stdout().lock();
    let results = file_probes(&targets)
        .into_iter()
        .chain(process_probes(&targets))
        .chain(socket_probes(&targets))
        .chain(privilege_probes());
    for result in results {
        let written = serde_json::to_writer(&mut stdout, &result).is_ok()
            && std::io::Write::write_all(&mut stdout, b"\n").is_ok();
        if !written {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// An attempt to do something, and how it went.
fn probe<T, E: Display>(name: &str, tried: Result<T, E>) -> ProbeResult {
    ProbeResult {
        probe: name.to_owned(),
        blocked: tried.is_err(),
        detail: match tried {
            Ok(_) => "it worked".to_owned(),
            Err(error) => error.to_string(),
        },
    }
}

fn file_probes(targets: &ProbeTargets) -> Vec<ProbeResult> {
    let outside = targets.canary.parent().unwrap_or(Path::new("/"));
    let mut results = vec![
        control(),
        probe("read_outside", fs::read(&targets.canary)),
        probe("list_outside", fs::read_dir(outside)),
        probe("write_outside", fs::write(outside.join("intruder"), b"x")),
        probe("overwrite_outside", fs::write(&targets.canary, b"x")),
        probe("truncate_outside", truncate(&targets.canary)),
        probe("delete_outside", fs::remove_file(&targets.canary)),
        probe("link_outside", fs::hard_link(&targets.canary, "stolen")),
        probe("read_shadow", fs::read("/etc/shadow")),
        probe("write_system", make_and_remove("/usr/skep-intruder")),
        probe("write_shared_tmp", make_and_remove("/tmp/skep-intruder")),
        probe("write_kernel", fs::write("/proc/self/oom_score_adj", b"0")),
        probe("make_setuid", make_setuid()),
    ];
    if let Some(home) = &targets.home {
        results.push(probe("read_home", fs::read_dir(home)));
    }
    results
}

/// A sandbox in which nothing works blocks everything and proves nothing.
fn control() -> ProbeResult {
    let tried = fs::write("control", b"x").and_then(|()| fs::read("control"));
    let works = tried.is_ok();
    ProbeResult {
        probe: "control_use_workspace".to_owned(),
        blocked: works,
        detail: match tried {
            Ok(_) => "the workspace can be used, as it should".to_owned(),
            Err(error) => format!("the workspace cannot be used: {error}"),
        },
    }
}

fn truncate(path: &Path) -> std::io::Result<fs::File> {
    fs::File::options().write(true).truncate(true).open(path)
}

/// Where a hole is found, the probe does not leave its own mark.
fn make_and_remove(path: &str) -> std::io::Result<()> {
    fs::File::create_new(path).and_then(|_| fs::remove_file(path))
}

fn mount_and_unmount() -> nix::Result<()> {
    let nothing = None::<&str>;
    nix::mount::mount(Some("tmpfs"), ".", Some("tmpfs"), MsFlags::empty(), nothing)?;
    nix::mount::umount(".")
}

fn make_setuid() -> std::io::Result<()> {
    fs::write("setuid", b"x")?;
    fs::set_permissions("setuid", fs::Permissions::from_mode(0o4755))
}

fn process_probes(targets: &ProbeTargets) -> Vec<ProbeResult> {
    let outside = targets.process;
    let Some(pid) = rustix::process::Pid::from_raw(outside) else {
        return vec![probe::<(), _>("signal_outside", Ok::<(), String>(()))];
    };
    let traced = nix::sys::ptrace::attach(nix::unistd::Pid::from_raw(outside));
    vec![
        probe("signal_outside", rustix::process::test_kill_process(pid)),
        probe("trace_outside", traced),
        probe(
            "read_environ_outside",
            fs::read(format!("/proc/{outside}/environ")),
        ),
        probe(
            "reach_files_outside",
            fs::read_link(format!("/proc/{outside}/fd/0")),
        ),
        probe(
            "enter_root_outside",
            fs::read_dir(format!("/proc/{outside}/root/")),
        ),
        inherited_files(),
    ]
}

fn inherited_files() -> ProbeResult {
    // The listing itself is open while it is read, hence four and not three.
    const OPEN_FILES_EXPECTED: usize = 4;
    let open = fs::read_dir("/proc/self/fd").map_or(usize::MAX, Iterator::count);
    ProbeResult {
        probe: "inherit_files".to_owned(),
        blocked: open <= OPEN_FILES_EXPECTED,
        detail: format!("{open} files are open, {OPEN_FILES_EXPECTED} expected"),
    }
}

fn socket_probes(targets: &ProbeTargets) -> Vec<ProbeResult> {
    const ALG: u16 = libc::AF_ALG as u16;
    let open = |family, kind| rustix::net::socket(family, kind, None);
    vec![
        probe("connect_unix_socket", connect(&targets.socket)),
        probe("pair_unix_datagram", UnixDatagram::pair()),
        probe("open_vsock", open(AddressFamily::VSOCK, SocketType::STREAM)),
        probe("open_packet", open(AddressFamily::PACKET, SocketType::RAW)),
        probe(
            "open_alg",
            open(AddressFamily::from_raw(ALG), SocketType::SEQPACKET),
        ),
        probe("open_raw_ip", open(AddressFamily::INET, SocketType::RAW)),
    ]
}

fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    UnixStream::connect(socket_address::of(socket)?.path())
}

fn privilege_probes() -> Vec<ProbeResult> {
    vec![
        probe(
            "make_user_namespace",
            nix::sched::unshare(CloneFlags::CLONE_NEWUSER),
        ),
        probe("mount", mount_and_unmount()),
        probe("chroot", std::os::unix::fs::chroot(".")),
        probe("gain_privileges", gain_privileges()),
        probe("filter_missing", filter_missing()),
    ]
}

/// An error when `execve` cannot give new privileges, which is the blocked case.
fn gain_privileges() -> Result<(), String> {
    match rustix::thread::no_new_privs() {
        Ok(false) => Ok(()),
        Ok(true) => Err("no_new_privs is set".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// An error when a system call filter is installed, which is the blocked case.
fn filter_missing() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"))
        .map(str::trim);
    match mode {
        Some("2") => Err("a filter is installed".to_owned()),
        _ => Ok(()),
    }
}
