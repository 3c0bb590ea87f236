//! Every target over its corpus, and over changed copies of it.

use super::*;
use crate::jitter::Jitter;
use std::fs;
use std::path::PathBuf;

/// Changed copies for each file of a corpus.
const CHANGES: u64 = 300;
/// Changes in one copy.
const CHANGES_PER_COPY_MAX: u64 = 6;
/// Sequences that reach deeper than single bytes.
const WORDS: [&str; 12] = [
    "null",
    "-1",
    "18446744073709551615",
    "{}",
    "[]",
    "\"\"",
    "\\u0000",
    "1e308",
    "!a\n",
    "!d\n",
    "+30000\n",
    "\"_meta\":{\"credit\":{\"items\":0,\"bytes\":0}},",
];

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn place(jitter: &mut Jitter, length: usize) -> usize {
    jitter.up_to(length as u64) as usize
}

fn changed(jitter: &mut Jitter, original: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=jitter.up_to(CHANGES_PER_COPY_MAX) {
        let at = place(jitter, bytes.len());
        let to = place(jitter, bytes.len());
        let (from, to) = (at.min(to), at.max(to));
        match jitter.up_to(5) {
            0 if at < bytes.len() => bytes[at] = jitter.up_to(255) as u8,
            1 => drop(bytes.splice(at..at, WORDS[place(jitter, WORDS.len() - 1)].bytes())),
            2 => drop(bytes.drain(from..to.min(from + 32))),
            3 => drop(bytes.splice(at..at, other.iter().copied())),
            _ => swap_lines(jitter, &mut bytes),
        }
    }
    bytes
}

/// Moves or repeats a line, which keeps the frames whole.
fn swap_lines(jitter: &mut Jitter, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let from = place(jitter, lines.len() - 1);
    let to = place(jitter, lines.len() - 1);
    let line = lines[from].clone();
    if jitter.up_to(1) == 0 {
        lines.remove(from);
    }
    lines.insert(to.min(lines.len()), line);
    *bytes = lines.join(&b'\n');
}

#[test]
fn every_target_keeps_its_promises_on_its_corpus_and_on_changed_copies() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        let mut jitter = Jitter::new(11);
        for (_, bytes) in &corpus {
            target(bytes);
            for _ in 0..CHANGES {
                let (_, other) = &corpus[place(&mut jitter, corpus.len() - 1)];
                target(&changed(&mut jitter, bytes, other));
            }
        }
    }
}

/// Scripts that do not get anywhere would exercise nothing.
#[test]
fn the_scripts_reach_live_sessions_and_start_attempts() {
    for (path, script) in corpus("coordinator_session") {
        assert!(coordinator_session::play(&script), "{}", path.display());
    }
    for (path, script) in corpus("node_session") {
        let starts = !path.ends_with("questions_lost");
        assert_eq!(node_session::play(&script), starts, "{}", path.display());
    }
}
