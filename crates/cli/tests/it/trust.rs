//! A coordinator that is not trusted: one clear sentence and an exit code, for who joins and for
//! a node that joined.

use crate::hive::skep_in;
use skep_identity::{Authority, CertificateKeeper, JoinToken, NodeKey};
use skep_model::ids::{ClusterId, JoinTokenId, NodeId};
use skep_model::join::JoinKind;
use skep_node::Membership;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

/// Exit code of whatever is denied.
const DENIED: i32 = 3;

/// Answers handshakes with this configuration until the test ends.
fn answer(config: Arc<ServerConfig>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client gives the handshake up; that is no error of the test.
            while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
            let _ = stream.flush();
            let _ = stream.read(&mut [0]);
        }
    });
    (address, thread)
}

/// The authority of a swarm, and a coordinator of it that was started at this time.
fn swarm(directory: &Path, started: SystemTime) -> ([u8; 32], String) {
    std::fs::create_dir_all(directory).unwrap();
    let authority = Authority::load_or_create(directory, SystemTime::now()).unwrap();
    let pin = authority.fingerprint();
    let keeper = CertificateKeeper::start(authority, started).unwrap();
    let (address, _thread) = answer(keeper.server_config().unwrap());
    (pin, address)
}

/// What `skep join` and `skep node start` say about the coordinator there.
fn refusals(directory: &Path, pin: [u8; 32], address: &str) -> [String; 2] {
    let addresses = vec![address.to_owned()];
    let id = JoinTokenId::from_u128(1);
    let token = JoinToken::new(JoinKind::Node, pin, addresses.clone(), id, [9; 32]).unwrap();
    let joined = skep_in(directory, &["join", &token.encode(), "--name", "late"]);

    let member = directory.join("member");
    std::fs::create_dir_all(&member).unwrap();
    NodeKey::load_or_create(&Membership::key_path(&member)).unwrap();
    let (cluster, node) = (ClusterId::from_u128(1), NodeId::from_u128(2));
    let membership = Membership::new(cluster, node, "member".to_owned(), pin, addresses);
    membership.store(&member).unwrap();
    let start = ["node", "start", "--name", "member", "--state-dir", "member"];
    let started = skep_in(directory, &start);
    [joined, started].map(|answer| {
        let answer = answer.expect(DENIED);
        assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
        answer.stderr
    })
}

#[test]
fn a_coordinator_with_an_expired_certificate_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let long_ago = SystemTime::now() - Duration::from_hours(400 * 24);
    let (pin, address) = swarm(&directory.path().join("ca"), long_ago);
    for said in refusals(directory.path(), pin, &address) {
        let sentence = "its certificate is not valid at this time: compare the clocks";
        assert!(said.contains(sentence), "{said}");
        assert!(
            !said.contains("joins anew"),
            "a fresh token is no help: {said}"
        );
    }
}

#[test]
fn a_coordinator_of_another_authority_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let (_, address) = swarm(&directory.path().join("theirs"), SystemTime::now());
    for said in refusals(directory.path(), [7; 32], &address) {
        let sentence = "its certificate authority is not the pinned one";
        assert!(said.contains(sentence), "{said}");
        assert!(said.contains("joins anew with a fresh token"), "{said}");
    }
}
