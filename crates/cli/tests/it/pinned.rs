//! Commands that reach a coordinator over TLS: an attempt on a machine that joined, and a person
//! elsewhere who knows the authority's fingerprint.

use crate::hive::{Answer, Process, TestHive, command, skep_in};
use serde_json::Value;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Adds two tasks to its run, and says by what it reached the coordinator.
const DIVIDES: &str = r#"
name: divides
tasks:
  cut:
    isolation: s0
    retries: 0
    run: |
      echo "$SKEP_URL $SKEP_AUTHORITY"
      "$SKEP_BIN" task split - <<'TASKS'
      tasks:
        first: {run: "printf 1 > out", isolation: s0, artifacts: [out]}
        second: {run: "cat inputs/first/out > both; printf 2 >> both", isolation: s0,
                 inputs: first, artifacts: [both]}
      TASKS
"#;

/// A coordinator that other machines reach over TLS, and a directory of another machine.
struct Swarm {
    // Ended before the directories go: fields are dropped in this order.
    hive: TestHive,
    elsewhere: PathBuf,
    ready: Value,
    _directory: tempfile::TempDir,
}

impl Swarm {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (here, elsewhere) = (
            directory.path().join("here"),
            directory.path().join("elsewhere"),
        );
        for path in [&here, &elsewhere] {
            std::fs::create_dir(path).unwrap();
        }
        // Free a moment ago: the port has to be known before it is advertised.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let (listen, advertise) = (format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}"));
        // Nobody answers at the first address: attempts have to be told another.
        let nobody = ["--advertise", "127.0.0.1:1"];
        let flags = [
            &["--listen", &listen][..],
            &nobody,
            &["--advertise", &advertise],
        ]
        .concat();
        let hive = TestHive::start_in(&here, &[], &flags);
        let ready = std::fs::read(here.join("ready.json")).unwrap();
        Self {
            hive,
            elsewhere,
            ready: serde_json::from_slice(&ready).unwrap(),
            _directory: directory,
        }
    }

    fn url(&self) -> String {
        format!("https://{}", self.hive.address())
    }

    fn authority(&self) -> &str {
        self.ready["authority"].as_str().unwrap()
    }

    /// A machine that joins by the token and runs its node.
    fn join(&self) -> Process {
        let token = self.ready["join"].as_str().unwrap();
        let log = File::create(self.elsewhere.join("node.log")).unwrap();
        let join = command(&self.elsewhere, &["join", token, "--name", "far"]);
        Process::start_with(join, log.into())
    }

    /// Runs a command on the other machine, where nothing is known of the coordinator.
    fn ask(&self, arguments: &[&str]) -> Answer {
        skep_in(&self.elsewhere, &[&["--json"], arguments].concat())
    }
}

#[test]
fn an_attempt_on_a_machine_that_joined_adds_tasks_to_its_run() {
    let swarm = Swarm::start();
    let hive = &swarm.hive;
    let _node = swarm.join();
    hive.wait_for_nodes(1);
    let plan = hive.plan("divides.yaml", DIVIDES);
    let (run, cut) = hive.submit(&plan, "cut");
    hive.skep(&["wait", &run, "--timeout", "60"]).expect(0);
    let shown = hive.skep(&["--json", "run", "show", &run]).expect(0).json();
    assert_eq!(shown["run"]["counts"]["succeeded"], 3, "{shown}");
    let said = hive.skep(&["task", "logs", &cut]).expect(0).text();
    let reached_by = format!("{} {}", swarm.url(), swarm.authority());
    assert_eq!(said.lines().next(), Some(reached_by.as_str()), "{said}");
    assert_eq!(said.lines().count(), 3, "and the ids of both: {said}");
}

#[test]
fn a_person_elsewhere_reaches_the_coordinator_by_its_authority_alone() {
    let swarm = Swarm::start();
    let token = swarm
        .hive
        .skep(&["token", "new", "laptop", "--scope", "read"]);
    let token = token.expect(0).text();
    let (url, token) = (swarm.url(), token.trim());
    let named = ["--url", &url, "--token", token];
    let with = |authority: &str, rest: &[&str]| {
        swarm.ask(&[&named, &["--authority", authority][..], rest].concat())
    };
    let listed = with(swarm.authority(), &["run", "ls"]).expect(0).json();
    assert_eq!(listed["items"], serde_json::json!([]));

    let missing = swarm.ask(&[&named[..], &["run", "ls"]].concat()).expect(6);
    let missing = missing.json_error();
    assert_eq!(missing["code"], "authority_missing", "{missing}");
    assert!(missing.to_string().contains("SKEP_AUTHORITY"), "{missing}");
    let short = with(&swarm.authority()[..16], &["run", "ls"]).expect(6);
    assert_eq!(short.json_error()["code"], "authority_malformed");

    let other = "0".repeat(64);
    let untrusted = with(&other, &["run", "ls"]).expect(3).json_error();
    assert_eq!(untrusted["code"], "coordinator_untrusted", "{untrusted}");
    let report = with(&other, &["doctor"]).expect(1).json().to_string();
    assert!(report.contains("is not the pinned one"), "{report}");

    write_configuration(&swarm.elsewhere, &url, swarm.authority());
    let configured = swarm.ask(&["--token", token, "run", "ls"]);
    assert_eq!(configured.expect(0).json()["items"], listed["items"]);
}

#[test]
fn the_fingerprint_is_shown_whole_where_the_coordinator_runs() {
    let swarm = Swarm::start();
    let report = swarm.hive.skep(&["doctor"]).text();
    assert!(report.contains(swarm.authority()), "{report}");
    assert_eq!(swarm.authority().len(), 64);
}

fn write_configuration(directory: &Path, url: &str, authority: &str) {
    let place = directory.join("home/config");
    std::fs::create_dir_all(&place).unwrap();
    let text = format!("url = \"{url}\"\nauthority = \"{authority}\"\n");
    std::fs::write(place.join("config.toml"), text).unwrap();
}
