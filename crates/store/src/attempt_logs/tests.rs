//! Logs of attempts, on real files.

use super::{AttemptLogError, AttemptLogs, LINE_BYTES_MAX};
use crate::DataDir;
use crate::fixtures::{options, task_id};
use skep_model::limits::LOG_BYTES_PER_ATTEMPT_MAX;
use tempfile::TempDir;

fn logs() -> (TempDir, AttemptLogs) {
    let dir = tempfile::tempdir().unwrap();
    let logs = DataDir::open(dir.path(), options())
        .unwrap()
        .attempt_logs()
        .unwrap();
    (dir, logs)
}

#[test]
fn pieces_that_come_twice_are_written_once_and_gaps_are_refused() {
    let (_dir, logs) = logs();
    let task = task_id(1);
    for (offset, bytes, length) in [
        (0, "hello ", 6),
        (0, "hello ", 6),
        (3, "lo wor", 9),
        (9, "ld", 11),
        (0, "hello world", 11),
        (2, "l", 11),
    ] {
        assert_eq!(
            logs.append(task, 1, offset, bytes.as_bytes()).unwrap(),
            length
        );
    }
    let error = logs.append(task, 1, 12, b"!").unwrap_err();
    assert!(
        matches!(error, AttemptLogError::Gap { expected: 11, .. }),
        "{error}"
    );
    logs.sync(task, 1).unwrap();
    assert_eq!(logs.read(task, 1, 0, 100).unwrap(), b"hello world");
    assert_eq!(logs.read(task, 1, 6, 3).unwrap(), b"wor");
    assert_eq!(logs.read(task, 1, 11, 3).unwrap(), b"");
    assert_eq!(logs.read(task, 1, 99, 3).unwrap(), b"");
}

#[test]
fn attempts_do_not_share_their_logs_and_unknown_ones_are_empty() {
    let (_dir, logs) = logs();
    logs.append(task_id(1), 1, 0, b"first").unwrap();
    logs.append(task_id(1), 2, 0, b"second").unwrap();
    assert_eq!(logs.length(task_id(1), 1).unwrap(), 5);
    assert_eq!(logs.length(task_id(1), 2).unwrap(), 6);
    assert_eq!(logs.length(task_id(2), 1).unwrap(), 0);
    assert!(logs.read(task_id(2), 1, 0, 10).unwrap().is_empty());
    assert!(logs.grep(task_id(2), 1, ".", 10).unwrap().is_empty());
    assert!(logs.remove(task_id(1), 1).unwrap() && !logs.remove(task_id(1), 1).unwrap());
}

#[test]
fn a_log_beyond_its_limit_is_refused() {
    let (_dir, logs) = logs();
    let error = logs
        .append(task_id(1), 1, LOG_BYTES_PER_ATTEMPT_MAX - 1, b"xy")
        .unwrap_err();
    assert!(matches!(error, AttemptLogError::TooLarge { .. }), "{error}");
    assert_eq!(logs.length(task_id(1), 1).unwrap(), 0);
}

#[test]
fn grep_gives_matching_lines_with_their_places() {
    let (_dir, logs) = logs();
    let long = "x".repeat(LINE_BYTES_MAX + 5) + " error hidden";
    let text = format!("start\nerror: one\n{long}\nfine\nERROR: two\nerror: last");
    logs.append(task_id(1), 1, 0, text.as_bytes()).unwrap();
    let found = |pattern: &str, max: usize| -> Vec<_> {
        let lines = logs.grep(task_id(1), 1, pattern, max).unwrap();
        for line in &lines {
            assert!(text[line.offset as usize..].starts_with(&line.text));
        }
        lines.into_iter().map(|line| line.number).collect()
    };
    assert_eq!(found("^error", 10), [2, 6]);
    assert_eq!(found("(?i)^error", 10), [2, 5, 6]);
    assert_eq!(found("(?i)^error", 2), [2, 5]);
    assert_eq!(found("^x+$", 10), [3]);
    assert_eq!(found("fine|start", 10), [1, 4]);
    for bad in ["(", "a{1000}{1000}{1000}"] {
        let error = logs.grep(task_id(1), 1, bad, 10).unwrap_err();
        assert!(matches!(error, AttemptLogError::Pattern(_)), "{error}");
    }
}

#[test]
fn many_writers_of_one_log_leave_it_whole() {
    let (_dir, logs) = logs();
    let text: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    std::thread::scope(|scope| {
        for step in [100, 333, 1_000] {
            let (logs, text) = (&logs, &text);
            scope.spawn(move || {
                for (number, piece) in text.chunks(step).enumerate() {
                    logs.append(task_id(1), 1, (number * step) as u64, piece)
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(logs.read(task_id(1), 1, 0, usize::MAX).unwrap(), text);
}

#[test]
fn what_several_add_at_the_same_time_is_there_once_each() {
    const WRITERS: usize = 8;
    const LINES: usize = 50;
    let (_dir, logs) = logs();
    let task = task_id(1);
    let start = std::sync::Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (logs, start) = (&logs, &start);
            scope.spawn(move || {
                start.wait();
                for line in 0..LINES {
                    let line = format!("{writer}.{line}\n");
                    logs.append_at_end(task, 1, line.as_bytes()).unwrap();
                }
            });
        }
    });
    let bytes = logs.read(task, 1, 0, usize::MAX).unwrap();
    let mut lines: Vec<_> = std::str::from_utf8(&bytes).unwrap().lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), WRITERS * LINES);
    assert_eq!(logs.length(task, 1).unwrap(), bytes.len() as u64);
}

#[test]
fn nothing_is_added_at_the_end_of_a_full_log() {
    let (_dir, logs) = logs();
    let task = task_id(1);
    let piece = vec![b'x'; usize::try_from(LOG_BYTES_PER_ATTEMPT_MAX).unwrap()];
    let length = logs.append_at_end(task, 1, &piece).unwrap();
    assert_eq!(length, LOG_BYTES_PER_ATTEMPT_MAX);
    let error = logs.append_at_end(task, 1, b"!").unwrap_err();
    assert!(matches!(error, AttemptLogError::TooLarge { .. }), "{error}");
    assert_eq!(logs.length(task, 1).unwrap(), LOG_BYTES_PER_ATTEMPT_MAX);
}
