//! `skep join`: this machine joins a swarm by a join token, and runs its node.

use super::Session;
use super::node::state_dir;
use super::node_profile::{NodeProfile, name_or_host};
use super::node_start;
use crate::args::{JoinArgs, NodeStartArgs};
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::output::{bytes, note};
use serde::{Deserialize, Serialize};
use serde_json::json;
use skep_client::{BaseUrl, Client, ClientError, Dial};
use skep_discovery::FingerprintPrefix;
use skep_identity::{
    JoinToken, JoinTokenError, NodeKey, PublicKey, join_message, pairing_code, pinned_client_config,
};
use skep_model::ids::{ClusterId, JoinTokenId, NodeId};
use skep_model::join::JoinKind;
use skep_model::node::{Hardware, NodeClass};
use skep_node::{Membership, measured_hardware};
use std::io::Read;
use std::path::Path;

/// Bytes of a token that is read from stdin.
const TOKEN_BYTES_MAX: u64 = 8 << 10;

#[derive(Debug, Serialize)]
struct Application {
    token: JoinTokenId,
    secret: String,
    name: String,
    key: String,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct Admission {
    node: NodeId,
    cluster: ClusterId,
    kind: JoinKind,
    approved: bool,
}

pub(crate) async fn run(session: &Session, args: JoinArgs) -> Outcome {
    let token = read_token(&args.token)?;
    let name = name_or_host(args.profile.name.as_ref())?;
    let directory = state_dir(session, args.state_dir.clone(), &name)?;
    let mut profile = NodeProfile::load(&directory)?.with(&args.profile)?;
    profile.class = profile.class.or(class(token.kind));
    let (key, admission) = enrol(&token, &name, &directory).await?;
    profile.store(&directory)?;
    announce(session, &token, &name, &key, &admission)?;
    if args.no_start {
        return Ok(Exit::Ok);
    }
    let start = NodeStartArgs {
        coordinator: None,
        profile: args.profile,
        allow_read: Vec::new(),
        hide: Vec::new(),
        state_dir: Some(directory),
        token_file: None,
        end_with_stdin: false,
    };
    node_start::start(session, start).await
}

/// The class of a machine that says nothing about it; `None` leaves it as usual.
const fn class(kind: JoinKind) -> Option<NodeClass> {
    match kind {
        JoinKind::Server => Some(NodeClass::Server),
        JoinKind::Node => None,
        JoinKind::Volunteer => Some(NodeClass::Consumer),
    }
}

fn read_token(given: &str) -> Result<JoinToken, Failure> {
    let mut text = given.to_owned();
    if given == "-" {
        text.clear();
        let mut stdin = std::io::stdin().take(TOKEN_BYTES_MAX);
        stdin.read_to_string(&mut text)?;
    }
    JoinToken::decode(&text).map_err(|error| {
        let exit = match error {
            JoinTokenError::Version(_) | JoinTokenError::Kind(_) => Exit::Conflict,
            _ => Exit::Invalid,
        };
        Failure::new(exit, "join_token_malformed", error.to_string())
    })
}

/// Shows the token's secret to the coordinator that the token names, and keeps what it grants.
async fn enrol(
    token: &JoinToken,
    name: &str,
    directory: &Path,
) -> Result<(PublicKey, Admission), Failure> {
    let key = NodeKey::load_or_create(&Membership::key_path(directory))
        .map_err(|error| node_start::key_unusable(&error))?;
    let public = key.public();
    let application = Application {
        token: token.id,
        secret: token.secret.reveal(),
        name: name.to_owned(),
        key: public.to_hex(),
        signature: key.sign(&join_message(token.id, &public)).to_hex(),
    };
    let client = client(token)?;
    let admission: Admission = client
        .post("/api/v2/join", &application)
        .await
        .map_err(|error| not_joined(error, token))?;
    let membership = Membership::new(
        admission.cluster,
        admission.node,
        name.to_owned(),
        token.fingerprint,
        token.addresses.clone(),
    );
    membership
        .store(directory)
        .map_err(|error| Failure::new(Exit::Storage, "membership_not_stored", chain(&error)))?;
    Ok((public, admission))
}

fn client(token: &JoinToken) -> Result<Client, Failure> {
    let invalid = |error: ClientError| {
        Failure::new(Exit::Invalid, "join_token_malformed", chain(&error))
            .hint("ask for a new token, or let the coordinator name its address by --advertise")
    };
    let parse = |address: &String| BaseUrl::parse(&format!("https://{address}"));
    let bases: Result<Vec<BaseUrl>, ClientError> = token.addresses.iter().map(parse).collect();
    let mut bases = bases.map_err(invalid)?.into_iter();
    let tls = pinned_client_config(token.fingerprint);
    let first = bases.next().ok_or_else(|| {
        let message = "the join token names no address";
        Failure::new(Exit::Invalid, "join_token_malformed", message)
    })?;
    Client::dialling(Dial::new(first, Some(tls)).or(bases), None).map_err(invalid)
}

/// Each way in which joining fails gets one sentence and an exit code.
fn not_joined(error: ClientError, token: &JoinToken) -> Failure {
    let places = token.addresses.join(", ");
    match &error {
        ClientError::Untrusted { failure, .. } => {
            let message = format!("whoever answers at {places} is not trusted: {failure}");
            Failure::new(Exit::Denied, "coordinator_untrusted", message)
        }
        ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => {
            let message = format!(
                "no coordinator can be reached at {places}: {}",
                chain(&error)
            );
            Failure::new(Exit::Unreachable, "coordinator_unreachable", message).hint(
                "check that the coordinator runs and listens on this network, and that no firewall \
                 is in between",
            )
        }
        ClientError::Problem(problem) if problem.code.starts_with("http_") => {
            let message = format!(
                "what answers at {places} is no Skep coordinator: status {}",
                problem.status
            );
            Failure::new(Exit::Denied, "not_a_coordinator", message)
        }
        _ => error.into(),
    }
}

fn announce(
    session: &Session,
    token: &JoinToken,
    name: &str,
    key: &PublicKey,
    admission: &Admission,
) -> Result<(), Failure> {
    let hardware = measured_hardware().unwrap_or_default();
    // Of this machine's own key, not what the coordinator says: a person compares the two.
    let code = pairing_code(key, admission.cluster);
    let pin = FingerprintPrefix::of(&token.fingerprint).to_string();
    let document = json!({
        "node": admission.node,
        "name": name,
        "cluster": admission.cluster,
        "kind": admission.kind,
        "approved": admission.approved,
        "pairing_code": code,
        "addresses": token.addresses,
        "authority": pin,
        "hardware": hardware,
    });
    session.output.document(&document, |_| {
        format!(
            "joined as {name}: {}; TLS pinned to authority {pin}",
            machine(&hardware)
        )
    })?;
    if !admission.approved {
        note(&format!(
            "waiting for approval: compare the pairing code {code} with `skep node ls --pending` \
             on the coordinator, then `skep node approve {name}` there"
        ));
    }
    note(&format!(
        "to keep the node running: skep service install --user --name {name}"
    ));
    Ok(())
}

/// A machine in one line.
fn machine(hardware: &Hardware) -> String {
    let mut parts = vec![
        format!("{} cores", hardware.cores),
        bytes(hardware.memory_bytes),
    ];
    for gpu in &hardware.gpus {
        parts.push(match gpu.memory_bytes {
            0 => gpu.name.clone(),
            memory => format!("{} {}", gpu.name, bytes(memory)),
        });
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_token_gives_a_class_to_a_machine_that_says_none() {
        for (kind, expected) in [
            (JoinKind::Server, Some(NodeClass::Server)),
            (JoinKind::Node, None),
            (JoinKind::Volunteer, Some(NodeClass::Consumer)),
        ] {
            assert_eq!(class(kind), expected, "{kind}");
        }
    }
}
