//! `skep node`: look after all nodes; what one machine's owner says about its own.

use super::Session;
use super::joined_node::name_of;
use super::node_profile::{NodeProfile, name_or_host};
use super::node_table::{breaker, node_table};
use super::{discover, node_start, park};
use crate::api::path;
use crate::args::{NodeCommand, NodeHomeArgs, NodeSetArgs, NodesArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{table, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// Only the node's user may look into its state directory.
const PRIVATE: u32 = 0o700;

pub(crate) async fn run(session: &Session, command: NodeCommand) -> Outcome {
    match command {
        NodeCommand::Start(args) => node_start::start(session, *args).await,
        NodeCommand::Init(args) | NodeCommand::Configure(args) => configure(session, &args),
        NodeCommand::Discover(args) => discover::run(session, args).await,
        NodeCommand::Ls { pending: true } => pending(session).await,
        NodeCommand::Ls { pending: false } => {
            let nodes = session.api()?.all("/api/v2/nodes", usize::MAX).await?;
            session.output.document(&nodes, node_table)?;
            Ok(Exit::Ok)
        }
        NodeCommand::Show { node } => {
            let shown = session.api()?.get(&path(&["nodes", &node])).await?;
            session.output.document(&shown, node_text)?;
            Ok(Exit::Ok)
        }
        NodeCommand::Set(args) => set(session, &args).await,
        NodeCommand::Approve { node } => {
            let at = path(&["nodes", &node, "approve"]);
            let answer = session.api()?.post(&at, &Value::Null).await?;
            session.output.document(&answer, |joined| {
                format!("{}: approved", text(joined, "/name"))
            })?;
            Ok(Exit::Ok)
        }
        NodeCommand::Drain(args) => order(session, args, "drain").await,
        NodeCommand::Resume(args) => order(session, args, "resume").await,
        NodeCommand::Park(args) => park::park(session, &args).await,
        NodeCommand::Unpark { node: None } => park::unpark_here(session).await,
        NodeCommand::Unpark { node: Some(node) } => steer(session, &node, "unpark").await,
        NodeCommand::Rm { node } => {
            let answer = session.api()?.delete(&path(&["nodes", &node])).await?;
            session
                .output
                .document(&answer, |_| format!("removed {node}"))?;
            Ok(Exit::Ok)
        }
    }
}

/// Writes what the owner says into the node's state directory, for the next start.
fn configure(session: &Session, args: &NodeHomeArgs) -> Outcome {
    let name = match &args.state_dir {
        Some(_) => name_or_host(args.profile.name.as_ref())?,
        None => name_of(&session.places, args.profile.name.as_ref())?,
    };
    let state_dir = state_dir(session, args.state_dir.clone(), &name)?;
    let profile = NodeProfile::load(&state_dir)?.with(&args.profile)?;
    let file = profile.store(&state_dir)?;
    let document = json!({ "state_dir": state_dir, "file": file, "profile": profile });
    session.output.document(&document, |_| {
        format!(
            "wrote {}; the next `skep node start --name {name}` follows it",
            file.display()
        )
    })?;
    Ok(Exit::Ok)
}

/// The state directory of a node, made if it is not there.
pub(crate) fn state_dir(
    session: &Session,
    given: Option<PathBuf>,
    name: &str,
) -> Result<PathBuf, Failure> {
    let directory = given.unwrap_or_else(|| session.places.node(name));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE)
        .create(&directory)?;
    Ok(directory)
}

/// Machines that joined and wait for approval.
async fn pending(session: &Session) -> Outcome {
    let joined = session
        .api()?
        .get("/api/v2/enrolments?pending=true")
        .await?;
    session.output.document(&joined, |page| {
        let rows = crate::api::items(page).iter().map(|one| {
            ["/name", "/kind", "/pairing_code", "/joined_at", "/node"]
                .map(|field| text(one, field))
                .to_vec()
        });
        table(&["name", "kind", "pairing code", "joined", "id"], rows)
    })?;
    Ok(Exit::Ok)
}

async fn set(session: &Session, args: &NodeSetArgs) -> Outcome {
    let mut change = serde_json::Map::new();
    if !args.labels.is_empty() || args.no_labels {
        change.insert("labels".to_owned(), json!(pairs("label", &args.labels)?));
    }
    if let Some(region) = &args.region {
        change.insert("region".to_owned(), json!(region));
    }
    if let Some(policy) = args.on_disconnect {
        change.insert("on_disconnect".to_owned(), json!(policy.as_str()));
    }
    if change.is_empty() {
        let message = "nothing to set";
        return Err(Failure::new(Exit::Usage, "usage", message)
            .hint("name --label KEY=VALUE, --no-labels, --region NAME or --on-disconnect POLICY"));
    }
    let at = path(&["nodes", &args.node]);
    let answer = session.api()?.put(&at, &Value::Object(change)).await?;
    session.output.document(&answer, node_text)?;
    Ok(Exit::Ok)
}

async fn steer(session: &Session, node: &str, verb: &str) -> Outcome {
    let answer = session
        .api()?
        .post(&path(&["nodes", node, verb]), &Value::Null)
        .await?;
    session.output.document(&answer, |node| {
        format!("{}: {}", text(node, "/name"), text(node, "/state"))
    })?;
    Ok(Exit::Ok)
}

/// One node shows what became of it; of many each has its line, and one that failed fails all.
async fn order(session: &Session, args: NodesArgs, verb: &str) -> Outcome {
    if let [node] = args.nodes.as_slice() {
        return steer(session, node, verb).await;
    }
    let nodes = (!args.all).then_some(args.nodes);
    let wanted = json!({ "order": verb, "instances": nodes });
    let answers = session
        .api()?
        .post("/api/v2/instances/broadcast", &wanted)
        .await?;
    session.output.document(&answers, |answers| {
        let rows = crate::api::items(answers).iter().map(|answer| {
            let became = match answer["error"]["message"].as_str() {
                Some(reason) => format!("failed: {reason}"),
                None => format!("{verb}: done"),
            };
            vec![text(answer, "/instance"), became]
        });
        table(&["node", "answer"], rows)
    })?;
    if answers["failed"].as_u64() == Some(0) {
        return Ok(Exit::Ok);
    }
    let message = format!("some nodes did not take the order `{verb}`");
    Err(Failure::new(Exit::Failed, "order_failed", message).hint("`skep node ls` shows the nodes"))
}

fn node_text(node: &Value) -> String {
    let head = [
        "name",
        "id",
        "state",
        "state_since",
        "joined_at",
        "instance",
    ]
    .map(|field| format!("{field:17} {}", text(node, &format!("/{field}"))));
    let facts = [
        "version",
        "system",
        "slots",
        "isolation",
        "class",
        "on_disconnect",
        "on_disconnect_now",
        "region",
        "joined_as",
        "away",
        "parked",
        "link",
        "load_permille",
        "lease_ms_left",
        "hardware",
        "models",
        "labels",
        "capabilities",
        "resources",
    ]
    .map(|field| format!("{field:17} {}", text(node, &format!("/{field}"))));
    let probes = node.pointer("/probes").and_then(Value::as_array);
    let probes = probes.into_iter().flatten().map(|probe| {
        let blocked = probe.pointer("/blocked").and_then(Value::as_bool) == Some(true);
        let word = if blocked { "blocked" } else { "ALLOWED" };
        format!(
            "  {word}  {}: {}",
            text(probe, "/probe"),
            text(probe, "/detail")
        )
    });
    let probes: Vec<_> = probes.collect();
    let breaker = breaker(node).map(|breaker| format!("\n{breaker}"));
    format!(
        "{}\n{}{}\nprobes\n{}",
        head.join("\n"),
        facts.join("\n"),
        breaker.unwrap_or_default(),
        probes.join("\n")
    )
}

/// `KEY=VALUE` texts as a map.
pub(crate) fn pairs(flag: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(
                Exit::Invalid,
                "pair_malformed",
                format!("--{flag} `{text}` should look like KEY=VALUE"),
            )
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}
