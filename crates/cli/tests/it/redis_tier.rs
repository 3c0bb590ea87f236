//! Tier 2 of shared memory through the binary: a real Redis server that is asked, emptied and killed
//! between reads.

use crate::hive::{TestHive, wait_until};
use crate::redis_server::RedisServer;
use crate::rest::metric;
use std::path::Path;

const VALUES: usize = 8;

fn start(path: &Path, server: &str) -> TestHive {
    let flags = ["--listen", "127.0.0.1:0", "--redis", server];
    TestHive::start_in(path, &[], &flags)
}

fn key(number: usize) -> String {
    format!("k{number}")
}

/// Reads all values; each has to be what was written last.
#[track_caller]
fn reads_all(hive: &TestHive) {
    for number in 0..VALUES {
        let text = hive
            .skep(&["memory", "get", "swarm", &key(number)])
            .expect(0)
            .text();
        assert_eq!(text.trim(), format!("value {number}"));
    }
}

fn hits(hive: &TestHive, tier: u8) -> usize {
    let name = format!("skep_memory_tier_hits_total{{tier=\"{tier}\"}}");
    let count = metric(hive, &name);
    count.unwrap_or_else(|| panic!("`{name}` is among the metrics")) as usize
}

/// Starts cold and reads all, again until what is looked for holds: a Redis that is slow for a moment
/// is left alone for a second, so that one start proves nothing.
#[track_caller]
fn cold_starts(path: &Path, url: &str, what: &str, look: impl Fn(&TestHive) -> bool) {
    wait_until(what, || {
        let mut hive = start(path, url);
        reads_all(&hive);
        let (holds, found) = (look(&hive), hits(&hive, 2));
        assert_eq!(hits(&hive, 1), 0, "tier 1 is cold");
        assert_eq!(hive.stop(), Some(0));
        if holds {
            Ok(())
        } else {
            Err(format!("{found} hits"))
        }
    });
}

#[test]
fn a_cold_start_reads_from_redis_and_a_killed_redis_changes_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let server = RedisServer::start();
    let (url, port) = (server.url(), server.port());
    let mut hive = start(path, &url);
    for number in 0..VALUES {
        let value = format!("value {number}");
        hive.skep(&["memory", "set", "swarm", &key(number), &value])
            .expect(0);
    }
    // What was just written lies in the coordinator; another start has it in the archive only.
    assert_eq!(hive.stop(), Some(0));
    cold_starts(path, &url, "a value in Redis", |hive| {
        // The first ones find nothing there, and fill it.
        hits(hive, 2) > 0 && server.cli(&["DBSIZE"]).trim() != "0"
    });

    // Read once more, values come from tier 1.
    let mut hive = start(path, &url);
    reads_all(&hive);
    reads_all(&hive);
    assert_eq!(hits(&hive, 1), VALUES);
    assert_eq!(hive.stop(), Some(0));

    // Cold again, and Redis dies after the first read.
    let mut hive = start(path, &url);
    hive.skep(&["memory", "get", "swarm", &key(0)]).expect(0);
    let before = hits(&hive, 2);
    drop(server);
    reads_all(&hive);
    assert_eq!(hits(&hive, 2), before);
    assert_eq!(metric(&hive, "skep_memory_tier_up{tier=\"2\"}"), Some(0.0));
    let unanswered = "skep_memory_tier_troubles_total{trouble=\"no_answer\"}";
    assert!(metric(&hive, unanswered) >= Some(1.0));
    assert_eq!(hive.stop(), Some(0));

    // It is not there when the coordinator starts, and comes later.
    let hive = start(path, &url);
    reads_all(&hive);
    let server = RedisServer::start_at(port);
    let mut number = VALUES;
    wait_until("a tier 2 that answers again", || {
        // A value that no tier has: it goes through the archive to Redis.
        let (name, value) = (key(number), format!("value {number}"));
        number += 1;
        hive.skep(&["memory", "set", "swarm", &name, &value])
            .expect(0);
        hive.skep(&["memory", "get", "swarm", &name]).expect(0);
        let size = server.cli(&["DBSIZE"]);
        match metric(&hive, "skep_memory_tier_up{tier=\"2\"}") {
            Some(1.0) if size.trim() != "0" => Ok(()),
            up => Err(format!("up {up:?}, {size}")),
        }
    });
}
