//! What S1 promises, tried with ordinary programs.

use crate::fixture::{Fixture, STAGES, error_code, gate, pattern, shell, walled};
use skep_model::attempt::Outcome;
use skep_model::isolation::IsolationLevel;
use skep_model::work::Workspace;
use skep_runner::RunnerOptions;
use std::process::Command;

#[test]
fn the_measured_level_is_s1_only_if_every_probe_was_stopped() {
    let fixture = Fixture::new();
    let measured = fixture.runner.probe_isolation().unwrap();
    let open: Vec<_> = measured.probes.iter().filter(|one| !one.blocked).collect();
    assert_eq!(
        measured.level >= IsolationLevel::S1,
        open.is_empty(),
        "{open:?}"
    );
    if fixture.has_s1() {
        for probe in [
            "control_use_workspace",
            "read_outside",
            "trace_outside",
            "open_vsock",
        ] {
            assert!(
                measured.probes.iter().any(|one| one.probe == probe),
                "{probe}"
            );
        }
    }
}

#[test]
fn a_supervisor_that_cannot_confine_measures_as_no_isolation() {
    let fixture = Fixture::with(|options: &mut RunnerOptions| {
        options.supervisor_exe = "/bin/false".into();
    });
    let measured = fixture.runner.probe_isolation().unwrap();
    assert_eq!(measured.level, IsolationLevel::S0);
    let report = fixture.run(&walled("true")).report;
    assert_eq!(error_code(&report), "isolation_unavailable");
    assert_eq!(report.isolation, None);
}

#[test]
fn a_level_that_this_version_lacks_is_refused() {
    let fixture = Fixture::new();
    let mut spec = shell("echo ran");
    spec.isolation = IsolationLevel::S2;
    let finished = fixture.run(&spec);
    assert_eq!(error_code(&finished.report), "isolation_unavailable");
    assert_eq!(finished.log, "");
}

#[test]
fn ordinary_work_runs_inside() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    let script = "echo hi > file; mkdir d; mv file d/; ln -s d/file link; cat link > copy; \
        rm d/file; rmdir d; test -w \"$HOME\"; echo x > \"$HOME/x\"; echo x > \"$TMPDIR/x\"; \
        echo a | tr a b > /dev/null; sort /etc/passwd > /dev/null; ls -l /proc/self/fd; \
        (exit 3) || echo code $?; echo done";
    let finished = fixture.run(&walled(script));
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert_eq!(finished.report.isolation, Some(IsolationLevel::S1));
    assert!(finished.log.contains("code 3\ndone"), "{}", finished.log);
}

#[test]
fn what_lies_outside_can_be_neither_read_nor_changed() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    let canary = fixture.path("canary");
    std::fs::write(&canary, "secret").unwrap();
    let canary = canary.display();
    let state = fixture.runner.state_dir().display().to_string();
    let node = std::process::id();
    for forbidden in [
        format!("cat {canary}"),
        format!("cat /proc/self/root{canary}"),
        format!("ln -s {canary} l; cat l"),
        format!("ln {canary} hard"),
        format!("echo x >> {canary}"),
        format!("rm {canary}"),
        format!("mv {canary} ."),
        format!("ls {state}"),
        "ls /root".to_owned(),
        "ls /home".to_owned(),
        "cat /etc/shadow".to_owned(),
        "touch /tmp/skep-intruder".to_owned(),
        "touch /usr/skep-intruder".to_owned(),
        "echo 1 > /proc/self/oom_score_adj".to_owned(),
        "cp /bin/true t; chmod u+s t".to_owned(),
        "mknod device c 1 3".to_owned(),
        "cat /dev/kmsg".to_owned(),
        format!("kill -0 {node}"),
        format!("cat /proc/{node}/environ"),
        format!("ls /proc/{node}/cwd/"),
        "kill -0 $PPID".to_owned(),
        "unshare -U true".to_owned(),
        "mount -t tmpfs none .".to_owned(),
        "cat ../log".to_owned(),
    ] {
        let finished = fixture.run(&walled(&forbidden));
        let refused = matches!(finished.report.outcome, Outcome::Exited { .. });
        assert!(refused, "`{forbidden}` worked: {}", finished.log);
        assert!(!finished.log.contains("secret"), "`{forbidden}` leaked");
        assert!(!finished.log.contains("not found"), "{}", finished.log);
    }
    assert_eq!(
        std::fs::read_to_string(fixture.path("canary")).unwrap(),
        "secret"
    );
}

/// Each line is a system call or socket that must be denied, and prints what worked.
#[cfg(target_arch = "x86_64")]
const DENIED_CALLS: &str = r"
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *arguments):
    if libc.syscall(number, *arguments) >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        print('WORKED', name, ctypes.get_errno())
def sock(name, *arguments):
    try:
        socket.socket(*arguments).close()
        print('WORKED', name)
    except PermissionError:
        pass
call('io_uring_setup', 425, 1, ctypes.create_string_buffer(200))
call('keyctl', 250, 0, -3, 1)
call('bpf', 321, 0, 0, 0)
call('userfaultfd', 323, 1)
call('perf_event_open', 298, 0, 0, -1, -1, 0)
call('process_vm_readv', 310, os.getpid(), 0, 0, 0, 0, 0)
call('name_to_handle_at', 303, -100, b'.', 0, 0, 0)
call('clone3', 435, 0, 0)
call('clone newuser', 56, 0x10000000 | 17, 0, 0, 0, 0)
call('personality', 135, 0x0040000)
call('x32 socket', 0x40000000 + 41, 1, 1, 0)
call('setns', 308, 0, 0)
sock('unix stream', socket.AF_UNIX, socket.SOCK_STREAM)
sock('unix datagram', socket.AF_UNIX, socket.SOCK_DGRAM)
sock('vsock', 40, socket.SOCK_STREAM)
sock('netlink audit', socket.AF_NETLINK, socket.SOCK_RAW, 9)
sock('packet', socket.AF_PACKET, socket.SOCK_RAW)
sock('alg', 38, socket.SOCK_SEQPACKET)
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
pair = socket.socketpair()
print(socket.getaddrinfo('localhost', 80)[0][4][1])
import fcntl
try:
    fcntl.ioctl(0, 0x5412, b'x')
    print('WORKED TIOCSTI')
except PermissionError:
    pass
import subprocess, threading
threading.Thread(target=print, args=('thread',)).start()
print(subprocess.check_output(['echo', 'child']))
";

#[test]
#[cfg(target_arch = "x86_64")]
fn rare_system_calls_and_foreign_sockets_are_denied_and_common_ones_work() {
    let fixture = Fixture::new();
    if !fixture.has_s1() || !has_program("python3") {
        return;
    }
    let mut spec = walled("python3 probe.py");
    spec.work.workspace = Workspace::Dir {
        path: fixture.path("scripts").display().to_string(),
        writable: false,
    };
    std::fs::create_dir(fixture.path("scripts")).unwrap();
    std::fs::write(fixture.path("scripts/probe.py"), DENIED_CALLS).unwrap();
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert!(!finished.log.contains("WORKED"), "{}", finished.log);
    for expected in ["80\n", "thread", "child"] {
        assert!(finished.log.contains(expected), "{}", finished.log);
    }
}

#[test]
fn a_directory_that_is_not_writable_stays_as_it_is() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    let directory = fixture.path("project");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("file"), "text").unwrap();
    let mut spec = walled("cat file; ! touch new; ! rm file");
    spec.work.workspace = Workspace::Dir {
        path: directory.display().to_string(),
        writable: false,
    };
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert!(directory.join("file").exists() && !directory.join("new").exists());
}

#[test]
fn the_owner_can_let_attempts_read_more() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tool"), "tool text").unwrap();
    let fixture = Fixture::with(|options: &mut RunnerOptions| {
        options.extra_read_paths = vec![home.path().to_owned()];
    });
    if !fixture.has_s1() {
        return;
    }
    let path = home.path().display();
    let script = format!("cat {path}/tool; ! touch {path}/new");
    let finished = fixture.run(&walled(&script));
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert!(finished.log.starts_with("tool text"));
}

#[test]
fn a_plan_can_name_paths_to_read_but_not_the_nodes_own_state() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    std::fs::create_dir(fixture.path("library")).unwrap();
    std::fs::write(fixture.path("library/text"), "library text").unwrap();
    let library = fixture.path("library").display().to_string();
    let mut spec = walled(&format!("cat {library}/text; ! touch {library}/new"));
    spec.work.reads = vec![library];
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    let state = fixture.runner.state_dir().display().to_string();
    for path in [&state, &format!("{state}/attempts"), "relative", "/no/such"] {
        spec.work.reads = vec![path.to_owned()];
        let report = fixture.run(&spec).report;
        assert_eq!(error_code(&report), "workspace_failed", "{path}");
    }
}

#[test]
fn what_lies_around_the_nodes_own_state_can_be_read_and_the_state_cannot() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    let state = fixture.runner.state_dir().canonicalize().unwrap();
    let around = state.parent().unwrap();
    std::fs::create_dir_all(around.join("beside/deep")).unwrap();
    std::fs::write(around.join("beside/deep/text"), "beside text").unwrap();
    std::fs::write(state.join("secret"), "do not show").unwrap();
    let (around, state) = (around.display(), state.display());
    let mut spec = walled(&format!(
        "cat {around}/beside/deep/text; ls {around} > /dev/null; ! cat {state}/secret"
    ));
    spec.work.reads = vec![around.to_string()];
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert!(finished.log.contains("beside text") && !finished.log.contains("do not show"));
    // To write around it would be to write into it.
    spec.work.reads.clear();
    let path = around.to_string();
    spec.work.workspace = Workspace::Dir {
        path,
        writable: true,
    };
    assert_eq!(error_code(&fixture.run(&spec).report), "workspace_failed");
}

#[test]
fn the_program_of_the_node_can_be_started_where_all_around_it_is_hidden() {
    let home = tempfile::tempdir().unwrap();
    let hidden = home.path().join("hidden");
    let (program, link) = (hidden.join("program"), home.path().join("link"));
    std::fs::create_dir(&hidden).unwrap();
    std::fs::copy(STAGES, &program).unwrap();
    std::fs::write(hidden.join("secret"), "do not show").unwrap();
    std::os::unix::fs::symlink(&program, &link).unwrap();
    let fixture = Fixture::with(|options: &mut RunnerOptions| {
        options.supervisor_exe.clone_from(&link);
        options.hidden_paths = vec![hidden.clone()];
    });
    if !fixture.has_s1() {
        return;
    }
    assert_eq!(
        fixture.runner.program(),
        program.canonicalize().unwrap().as_path()
    );
    let (program, link, hidden) = (program.display(), link.display(), hidden.display());
    // The probe stage without its targets says nothing and fails.
    let mut spec = walled(&format!(
        "refused() {{ if \"$@\"; then echo \"worked: $*\"; exit 9; fi; }}; \
         for path in {program} {link}; do \
           code=0; \"$path\" attempt-probe || code=$?; \
           test $code -eq 1; cmp \"$path\" {program}; \
         done; \
         refused cat {hidden}/secret; refused sh -c 'echo x >> {program}'; \
         refused rm {program}; refused mv {program} moved; refused ln {program} hard; \
         refused cp /bin/true {program}"
    ));
    spec.work.reads = vec![home.path().display().to_string()];
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert!(!finished.log.contains("do not show"), "{}", finished.log);
}

#[test]
fn a_node_whose_program_is_not_there_makes_no_runner() {
    let home = tempfile::tempdir().unwrap();
    let options = RunnerOptions::new(home.path().join("state"), "/no/such/program".into());
    let error = skep_runner::Runner::new(options).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn the_isolation_is_measured_below_a_long_path_too() {
    let home = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(|options: &mut RunnerOptions| {
        options.state_dir = home.path().join("d".repeat(200)).join("state");
    });
    let measured = fixture.runner.probe_isolation().unwrap();
    if !fixture.has_s1() {
        return;
    }
    let names: Vec<_> = measured.probes.iter().map(|one| &*one.probe).collect();
    assert!(names.contains(&"connect_unix_socket"), "{names:?}");
    assert_eq!(measured.level, IsolationLevel::S1);
}

#[test]
fn gates_and_artifacts_work_inside_too() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    let mut spec = walled("echo result > file");
    spec.work.gates = vec![gate("inside", "cat file; ! ls /root; ! cat ../../log")];
    spec.work.artifacts = vec![pattern("file")];
    let finished = fixture.run(&spec);
    let report = &finished.report;
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.gates);
    assert_eq!(finished.artifacts["file"], b"result\n");
}

#[test]
fn memory_of_one_process_is_bounded_if_the_task_says_so() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    let mut spec = walled("head -c 200000000 /dev/zero | tail -c 200000000 | wc -c");
    spec.memory_bytes = Some(64 << 20);
    let log = fixture.run(&spec).log;
    assert!(log.contains("memory") && log.ends_with("0\n"), "{log}");
}

#[test]
fn files_that_the_node_has_open_are_not_handed_on() {
    let fixture = Fixture::new();
    let script = "exec 9< /etc/passwd; exec \"$0\" attempt-supervisor";
    let order = serde_json::json!({
        "program": {
            "argv": ["sh", "-c", "ls /proc/$$/fd; :"],
            "env": { "PATH": std::env::var("PATH").unwrap() },
            "directory": fixture.runner.state_dir(),
            "confinement": { "level": "s0", "read": [], "hidden": [], "write": [], "memory_bytes": null },
        },
        "timeout_ms": 60_000,
        "kill_grace_ms": 0,
    });
    let mut supervisor = Command::new("sh")
        .args(["-c", script, STAGES])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lifeline = supervisor.stdin.take().unwrap();
    std::io::Write::write_all(&mut lifeline, format!("{order}\n").as_bytes()).unwrap();
    let output = supervisor.wait_with_output().unwrap();
    drop(lifeline);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n1\n2\n");
}

#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
#[cfg(target_arch = "x86_64")]
fn has_program(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: `{name}` is not installed");
    }
    found
}
