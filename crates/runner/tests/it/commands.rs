//! How commands end, what they are given, and what is kept of their output.

use crate::fixture::{Fixture, error_code, shell, wait_until};
use skep_model::attempt::Outcome;
use skep_model::limits::LOG_BYTES_PER_ATTEMPT_MAX;
use skep_model::work::{Invocation, Workspace};
use skep_runner::{Phase, RunnerOptions};

#[test]
fn the_exit_code_of_a_command_becomes_the_outcome() {
    let fixture = Fixture::new();
    for (script, expected) in [
        ("true", Outcome::Completed),
        ("exit 3", Outcome::Exited { code: 3 }),
        ("false; echo not reached", Outcome::Exited { code: 1 }),
        ("kill -KILL $$", Outcome::Exited { code: 137 }),
        ("kill -TERM $$", Outcome::Exited { code: 143 }),
        ("no-such-program", Outcome::Exited { code: 127 }),
        ("exit 125", Outcome::Exited { code: 125 }),
        ("cat; test ! -t 0", Outcome::Completed),
    ] {
        let finished = fixture.run(&shell(script));
        assert_eq!(
            finished.report.outcome, expected,
            "{script}: {}",
            finished.log
        );
    }
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_and_not_an_exit_code() {
    let fixture = Fixture::new();
    for argv in [vec![], vec!["/no/such/program"], vec!["/etc"]] {
        let mut spec = shell("");
        spec.work.invocation = Invocation::Argv(argv.iter().map(ToString::to_string).collect());
        let finished = fixture.run(&spec);
        assert_eq!(error_code(&finished.report), "launch_failed", "{argv:?}");
        assert_eq!(finished.report.exit_code, None);
    }
}

#[test]
fn the_report_names_the_grant_and_what_was_used() {
    let fixture = Fixture::new();
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let finished = fixture.run(&shell(script));
    let report = finished.report;
    assert_eq!(report.fence, shell("").fence);
    assert_eq!(report.exit_code, Some(0));
    assert!(report.usage.user_ms > 0, "{:?}", report.usage);
    assert!(
        report.usage.memory_peak_bytes > 100_000,
        "{:?}",
        report.usage
    );
    assert_eq!(
        finished.phases,
        [Phase::Preparing, Phase::Running, Phase::HandingIn]
    );
}

#[test]
fn the_environment_is_built_from_the_allow_list_the_plan_and_the_caller() {
    let fixture = Fixture::with(|options: &mut RunnerOptions| {
        options.env_allow_list = vec!["PATH".to_owned()];
    });
    let mut spec = shell("env | cut -d= -f1 | sort | tr '\\n' ' '; echo; echo $PLAN $BOTH");
    spec.work.env = [("PLAN", "plan"), ("BOTH", "plan")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    spec.env = [("BOTH".to_owned(), "caller".to_owned())].into();
    let log = fixture.run(&spec).log;
    // `_`, `OLDPWD`, `PWD` and `SHLVL` are the shell's own.
    let names: Vec<_> = log
        .lines()
        .next()
        .unwrap()
        .split(' ')
        .filter(|name| !["_", "OLDPWD", "PWD", "SHLVL", ""].contains(name))
        .collect();
    let expected = [
        "BOTH",
        "GIT_OPTIONAL_LOCKS",
        "HOME",
        "PATH",
        "PLAN",
        "TERM",
        "TMPDIR",
    ];
    assert_eq!(names, expected);
    assert_eq!(log.lines().nth(1), Some("plan caller"));
}

#[test]
fn both_streams_are_kept_in_order() {
    let fixture = Fixture::new();
    let script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done";
    let log = fixture.run(&shell(script)).log;
    assert_eq!(log, "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
}

#[test]
fn a_flood_is_cut_in_the_middle_and_the_cut_is_counted() {
    let fixture = Fixture::new();
    let spec = shell("echo first; yes abcdefg | head -c 50000000; echo last");
    let finished = fixture.run(&spec);
    assert_eq!(finished.report.outcome, Outcome::Completed);
    let path = fixture.runner.log_path(spec.task, spec.attempt);
    assert!(path.metadata().unwrap().len() <= LOG_BYTES_PER_ATTEMPT_MAX);
    let (mut offset, mut kept, mut skipped, mut end) = (0, 0_u64, 0, Vec::new());
    loop {
        let chunk = fixture
            .runner
            .read_log(spec.task, spec.attempt, offset, 1 << 20)
            .unwrap();
        assert!(!chunk.live);
        skipped += chunk.skipped;
        kept += chunk.bytes.len() as u64;
        offset = chunk.next_offset;
        if chunk.bytes.is_empty() {
            break;
        }
        end = chunk.bytes;
    }
    assert_eq!(
        kept + skipped,
        50_000_000 + "first\n".len() as u64 + "last\n".len() as u64
    );
    assert!(skipped > 0 && end.ends_with(b"last\n"));
}

#[test]
fn output_that_is_not_text_is_kept_as_it_is() {
    let fixture = Fixture::new();
    let spec = shell("printf 'a\\377\\000b'; head -c 3000000 /dev/zero");
    assert_eq!(fixture.run(&spec).report.outcome, Outcome::Completed);
    let chunk = fixture.runner.read_log(spec.task, 1, 0, 10).unwrap();
    assert_eq!(chunk.bytes, b"a\xff\0b\0\0\0\0\0\0");
    assert_eq!(chunk.written, 3_000_004);
}

#[test]
fn a_log_can_be_followed_while_the_command_runs() {
    let fixture = Fixture::new();
    let go = fixture.path("go");
    let script = format!(
        "echo one; while [ ! -e {} ]; do sleep 0.01; done; echo two",
        go.display()
    );
    let spec = shell(&script);
    let read = |offset| fixture.runner.read_log(spec.task, 1, offset, 100);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| fixture.run(&spec));
        wait_until("the first line is there", || {
            read(0).is_ok_and(|chunk| chunk.bytes == b"one\n" && chunk.live)
        });
        std::fs::write(&go, "").unwrap();
        assert_eq!(running.join().unwrap().report.outcome, Outcome::Completed);
    });
    let rest = read(4).unwrap();
    assert_eq!(
        (rest.bytes.as_slice(), rest.live),
        (b"two\n".as_slice(), false)
    );
}

#[test]
fn a_directory_of_the_node_is_used_as_it_is_and_stays() {
    let fixture = Fixture::new();
    let directory = fixture.path("project");
    std::fs::create_dir(&directory).unwrap();
    let mut spec = shell("echo made > file");
    spec.work.workspace = Workspace::Dir {
        path: directory.display().to_string(),
        writable: true,
    };
    assert_eq!(fixture.run(&spec).report.outcome, Outcome::Completed);
    assert_eq!(std::fs::read(directory.join("file")).unwrap(), b"made\n");

    spec.work.workspace = Workspace::Dir {
        path: "no/such".to_owned(),
        writable: true,
    };
    assert_eq!(error_code(&fixture.run(&spec).report), "workspace_failed");
}

#[test]
fn only_the_log_of_an_attempt_remains() {
    let fixture = Fixture::new();
    let script = "mkdir -p d/e; touch d/e/f; chmod 0 d/e d; touch $TMPDIR/x; mkfifo p";
    let spec = shell(script);
    assert_eq!(fixture.run(&spec).report.outcome, Outcome::Completed);
    let log = fixture.runner.log_path(spec.task, spec.attempt);
    let left: Vec<_> = std::fs::read_dir(log.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["log"]);
    fixture.runner.forget(spec.task, spec.attempt);
    assert!(!log.exists());
}
