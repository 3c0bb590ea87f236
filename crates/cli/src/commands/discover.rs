//! `skep node discover`: coordinators that announce themselves nearby.

use super::Session;
use crate::args::DiscoverArgs;
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::output::{note, table, text};
use serde_json::{Value, json};
use skep_discovery::{Found, InterfaceFilter, InterfaceRule};
use std::time::Duration;

pub(crate) async fn run(session: &Session, args: DiscoverArgs) -> Outcome {
    let filter = filter(&args.interfaces)?;
    let duration = Duration::from_secs(args.seconds);
    let found = tokio::task::spawn_blocking(move || skep_discovery::browse(&filter, duration))
        .await
        .map_err(|error| Failure::new(Exit::Failed, "discovery_failed", error.to_string()))?
        .map_err(|error| {
            Failure::new(Exit::Failed, "discovery_failed", chain(&error))
                .hint("multicast is dead on many guest, container and VPN networks: join by token")
        })?;
    let document = json!({ "items": found.iter().map(document).collect::<Vec<_>>() });
    session.output.document(&document, |page| {
        let rows = crate::api::items(page).iter().map(|one| {
            ["/instance", "/addresses", "/authority", "/cluster"]
                .map(|field| text(one, field))
                .to_vec()
        });
        table(&["name", "addresses", "authority", "swarm"], rows)
    })?;
    note("an announcement proves nothing: join by the token that `skep token join` makes there");
    Ok(Exit::Ok)
}

/// Interfaces as flags name them; the usual ones without flags.
pub(crate) fn filter(interfaces: &[String]) -> Result<InterfaceFilter, Failure> {
    if interfaces.is_empty() {
        return Ok(InterfaceFilter::default());
    }
    let malformed = |error: &dyn std::error::Error| {
        Failure::new(Exit::Invalid, "interface_malformed", error.to_string())
            .hint("name an interface such as eth0, or a network such as 192.168.1.0/24")
    };
    let rules: Result<Vec<InterfaceRule>, _> = interfaces.iter().map(|text| text.parse()).collect();
    let rules = rules.map_err(|error| malformed(&error))?;
    InterfaceFilter::allow(rules).map_err(|error| malformed(&error))
}

fn document(found: &Found) -> Value {
    json!({
        "instance": found.instance,
        "cluster": found.cluster,
        "authority": found.fingerprint_prefix.to_string(),
        "addresses": found.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "seen_on": found.seen_on,
    })
}
