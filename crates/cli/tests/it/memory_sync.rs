//! Shared memory of two installations: two coordinators, each with a directory and data of its own.

use crate::hive::{Answer, TestHive, wait_until};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What the configuration says of a peer, but for its address and token.
pub(crate) struct NamedPeer<'a> {
    pub(crate) name: &'a str,
    pub(crate) url: String,
    pub(crate) token: &'a str,
    pub(crate) more: &'a str,
}

/// A token that a coordinator gives, with these scopes.
pub(crate) fn token(hive: &TestHive, name: &str, scopes: &[&str]) -> String {
    let mut arguments = vec!["--json", "token", "new", name];
    arguments.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
    let made = hive.skep(&arguments).expect(0).json();
    made["secret"].as_str().unwrap().to_owned()
}

pub(crate) fn url(hive: &TestHive) -> String {
    format!("http://{}", hive.address())
}

/// A coordinator in this directory that knows these peers.
pub(crate) fn start_with_peers(directory: &Path, peers: &[NamedPeer<'_>]) -> TestHive {
    let config = directory.join("home/config");
    std::fs::create_dir_all(&config).unwrap();
    let mut text = String::new();
    for NamedPeer {
        name,
        url,
        token,
        more,
    } in peers
    {
        let file = config.join(format!("{name}.token"));
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        writeln!(
            text,
            "[memory.peers.{name}]\nurl = \"{url}\"\ntoken_file = \"{name}.token\"\n{more}"
        )
        .unwrap();
    }
    std::fs::write(config.join("config.toml"), text).unwrap();
    TestHive::start_in(directory, &[], &["--listen", "127.0.0.1:0"])
}

/// Two installations: `near` knows `far` under the name `far`.
struct Two {
    near: TestHive,
    far: TestHive,
    _directory: tempfile::TempDir,
}

impl Two {
    fn start() -> Self {
        let far = TestHive::start(0);
        let token = token(&far, "near", &["read", "write"]);
        let directory = tempfile::tempdir().unwrap();
        let peer = NamedPeer {
            name: "far",
            url: url(&far),
            token: &token,
            more: "",
        };
        let near = start_with_peers(directory.path(), &[peer]);
        Self {
            near,
            far,
            _directory: directory,
        }
    }

    #[track_caller]
    fn sync(&self) -> Value {
        let arguments = ["--json", "memory", "sync", "far"];
        self.near.skep(&arguments).expect(0).json()
    }

    /// One more round finds nothing to do.
    #[track_caller]
    fn is_quiet(&self) {
        let report = self.sync();
        for side in ["pulled", "pushed"] {
            for count in ["taken", "conflicts", "older", "refused"] {
                assert_eq!(report[side][count], 0, "{report}");
            }
        }
    }

    fn both(&self) -> [&TestHive; 2] {
        [&self.near, &self.far]
    }
}

#[track_caller]
fn set(hive: &TestHive, key: &str, value: &str) {
    hive.skep(&["memory", "set", "swarm", key, value]).expect(0);
}

#[track_caller]
fn entry(hive: &TestHive, key: &str) -> Value {
    let arguments = ["--json", "memory", "get", "swarm", key];
    hive.skep(&arguments).expect(0).json()
}

fn get(hive: &TestHive, key: &str) -> Answer {
    hive.skep(&["memory", "get", "swarm", key])
}

#[test]
fn entries_go_both_ways_and_removals_too_also_after_a_crash() {
    let mut two = Two::start();
    set(&two.near, "a", "1");
    let far = ["memory", "set", "swarm", "b", "{\"x\": 2}", "--ttl", "3600"];
    let far = [
        &far[..],
        &["--tag", "plan", "--meta", "by=coder", "--why", "agreed"],
    ]
    .concat();
    two.far.skep(&far).expect(0);
    two.far
        .skep(&["memory", "set", "knowledge", "t/n", "learned"])
        .expect(0);
    let report = two.sync();
    assert_eq!(report["pulled"]["taken"], 2, "{report}");
    assert_eq!(report["pushed"]["taken"], 1, "{report}");
    assert_eq!(report["namespaces"][0]["whole"], "first", "{report}");
    assert_eq!(report["namespaces"][0]["removals_may_be_missed"], false);
    assert_eq!(entry(&two.far, "a")["value"], 1);
    let came = entry(&two.near, "b");
    assert_eq!(came["value"], json!({ "x": 2 }));
    assert_eq!(came["tags"], json!(["plan"]));
    assert_eq!(came["metadata"], json!({ "by": "coder" }));
    assert_eq!(came["why"], "agreed");
    assert!(came["expires_at"].is_string(), "{came}");
    two.is_quiet();
    two.near.crash_and_restart(0);
    two.far.crash_and_restart(0);
    two.is_quiet();
    two.far.skep(&["memory", "delete", "swarm", "a"]).expect(0);
    two.near.skep(&["memory", "delete", "swarm", "b"]).expect(0);
    let report = two.sync();
    assert_eq!(report["namespaces"][0].get("whole"), None, "{report}");
    for hive in two.both() {
        get(hive, "a").expect(7);
        get(hive, "b").expect(7);
    }
    two.is_quiet();
}

#[test]
fn what_both_wrote_is_decided_by_the_strategy_and_both_come_to_the_same() {
    let two = Two::start();
    let strategies = [
        "votes/=set_union",
        "log/=append",
        "clock/=vector_clock",
        "policy/=manual",
    ];
    for hive in two.both() {
        let mut arguments = vec!["memory", "namespace", "set", "swarm"];
        arguments.extend(strategies.iter().flat_map(|rule| ["--strategy", rule]));
        hive.skep(&arguments).expect(0);
    }
    let written = [
        ("votes/x", "[1]", "[2]"),
        ("log/x", "[\"near\"]", "[\"far\"]"),
        ("clock/x", "\"near\"", "\"far\""),
        ("last/x", "\"near\"", "\"far\""),
        ("policy/x", "\"near\"", "\"far\""),
        ("policy/same", "\"both\"", "\"both\""),
    ];
    for (key, near, _) in written {
        set(&two.near, key, near);
    }
    for (key, _, far) in written {
        set(&two.far, key, far);
    }
    let report = two.sync();
    assert!(
        report["pulled"]["conflicts"].as_u64() >= Some(1),
        "{report}"
    );
    assert_eq!(report["namespaces"][0]["open_conflicts"], 1, "{report}");
    two.sync();
    for (key, value) in [
        ("votes/x", json!([1, 2])),
        ("log/x", json!(["near", "far"])),
        ("clock/x", json!("far")),
        ("last/x", json!("far")),
        ("policy/same", json!("both")),
    ] {
        for hive in two.both() {
            assert_eq!(entry(hive, key)["value"], value, "{key}");
        }
    }
    // Each has its own value, and the other one waits.
    assert_eq!(entry(&two.near, "policy/x")["value"], "near");
    assert_eq!(entry(&two.far, "policy/x")["value"], "far");
    for hive in two.both() {
        let open = ["--json", "memory", "conflicts", "swarm"];
        let open = hive.skep(&open).expect(0).json();
        assert_eq!(open["items"][0]["key"], "policy/x", "{open}");
    }
    let resolve = ["memory", "resolve", "swarm", "policy/x", "\"agreed\""];
    two.far.skep(&resolve).expect(0);
    two.sync();
    for hive in two.both() {
        let decided = entry(hive, "policy/x");
        assert_eq!(decided["value"], "agreed");
        assert_eq!(decided["conflicts"], json!([]));
    }
    two.is_quiet();
}

#[test]
fn what_is_refused_is_named_and_tried_again() {
    let two = Two::start();
    let small = ["memory", "namespace", "set", "swarm", "--entries-max"];
    two.far.skep(&[&small[..], &["1"]].concat()).expect(0);
    set(&two.near, "a", "1");
    set(&two.near, "b", "2");
    let refused = two
        .near
        .skep(&["--json", "memory", "sync", "far"])
        .expect(6);
    assert_eq!(refused.json_error()["code"], "memory_sync_refused");
    let report = refused.json();
    assert_eq!(report["pushed"]["taken"], 1, "{report}");
    let item = &report["refused"][0];
    assert_eq!((&item["by"], &item["key"]), (&json!("peer"), &json!("b")));
    assert_eq!(item["code"], "memory_quota_exceeded");
    two.far.skep(&[&small[..], &["10"]].concat()).expect(0);
    assert_eq!(two.sync()["pushed"]["taken"], 1);
    assert_eq!(entry(&two.far, "b")["value"], 2);
    two.is_quiet();
}

#[test]
fn a_peer_that_cannot_be_spoken_to_is_said_to_be_so() {
    let far = TestHive::start(0);
    let reader = token(&far, "reader", &["read"]);
    let directory = tempfile::tempdir().unwrap();
    let peer = |name, url: &str, token, more| NamedPeer {
        name,
        url: url.to_owned(),
        token,
        more,
    };
    let there = url(&far);
    let wrong = format!("{}0", &reader[..reader.len() - 1]);
    let near = start_with_peers(
        directory.path(),
        &[
            peer("wrong", &there, &wrong, ""),
            peer("reader", &there, &reader, ""),
            peer(
                "down",
                "http://127.0.0.1:9",
                &reader,
                "direction = \"pull\"",
            ),
        ],
    );
    set(&near, "a", "1");
    set(&far, "b", "2");
    let refused = |arguments: &[&str], code: &str| {
        let all = [&["--json", "memory", "sync"], arguments].concat();
        let answer = near.skep(&all);
        assert_ne!(answer.code, 0, "{}", answer.text());
        let error = answer.json_error();
        assert_eq!(error["code"], code, "{error}");
        error.to_string()
    };
    let unknown = refused(&[&there], "memory_peer_unknown");
    assert!(unknown.contains("`down`, `reader`, `wrong`"), "{unknown}");
    let denied = refused(&["wrong"], "memory_peer_refused");
    assert!(denied.contains("token_unknown"), "{denied}");
    refused(&["down"], "memory_peer_unreachable");
    refused(&["down", "--direction", "push"], "field_invalid");
    refused(&["reader", "--namespace", "secrets"], "namespace_forbidden");
    // Who may only read gives, and takes nothing.
    let denied = refused(&["reader"], "memory_peer_refused");
    assert!(denied.contains("scope_missing"), "{denied}");
    assert_eq!(entry(&near, "b")["value"], 2);
    get(&far, "a").expect(7);
    let listed = near.skep(&["--json", "memory", "peers"]).expect(0).json();
    let names: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| peer["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["down", "reader", "wrong"]);
    assert!(!listed.to_string().contains(&reader), "{listed}");
}

#[test]
fn rounds_that_nobody_asks_for_come_by_themselves() {
    let far = TestHive::start(0);
    let token = token(&far, "near", &["read", "write"]);
    let directory = tempfile::tempdir().unwrap();
    let peer = NamedPeer {
        name: "far",
        url: url(&far),
        token: &token,
        more: "every = \"1s\"\nnamespaces = [\"team\"]",
    };
    let near = start_with_peers(directory.path(), &[peer]);
    near.skep(&["memory", "set", "team", "a", "1"]).expect(0);
    wait_until("a value that came by itself", || {
        let answer = far.skep(&["memory", "get", "team", "a"]);
        if answer.code == 0 {
            Ok(())
        } else {
            Err(answer.stderr)
        }
    });
}
