//! The variables that tell an attempt who it is, where the coordinator listens, whom to trust
//! there, and where `skep` lies.

use skep_client::BaseUrl;
use skep_wire::payload::Assignment;
use std::collections::BTreeMap;
use std::path::Path;

const SPAN_ID_BYTES: usize = 8;

/// By what an attempt reaches the coordinator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Where the coordinator listens.
    pub(crate) coordinator: &'a BaseUrl,
    /// Fingerprint of the authority that the node pinned, hexadecimal; `None` for a node that
    /// joined nothing.
    pub(crate) authority: Option<&'a str>,
    /// The node's own binary.
    pub(crate) program: &'a Path,
}

/// The variables of one attempt. A program whose path is not UTF-8 is not named: half a path would
/// be worse.
pub(crate) fn variables(
    assignment: &Assignment,
    surroundings: Surroundings<'_>,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        variables.insert(name.to_owned(), value);
    };
    set("SKEP_URL", surroundings.coordinator.to_string());
    if let Some(authority) = surroundings.authority {
        set("SKEP_AUTHORITY", authority.to_owned());
    }
    set("SKEP_TOKEN", assignment.token.reveal().to_owned());
    if let Some(program) = surroundings.program.to_str() {
        set("SKEP_BIN", program.to_owned());
    }
    set("SKEP_TASK_ID", assignment.task.to_string());
    set("SKEP_TASK_NAME", assignment.name.clone());
    set("SKEP_ATTEMPT", assignment.attempt.to_string());
    set("SKEP_FENCE", assignment.fence.to_string());
    set("SKEP_IDEMPOTENCY_KEY", assignment.idempotency_key.clone());
    if let Some(run) = assignment.run {
        set("SKEP_RUN_ID", run.to_string());
    }
    if let Some(trace) = assignment.trace_parent.as_deref().and_then(child_trace) {
        set("TRACEPARENT", trace);
    }
    variables
}

/// The same trace with a span of this attempt's own. None when the text is no W3C traceparent.
fn child_trace(parent: &str) -> Option<String> {
    let mut span = [0; SPAN_ID_BYTES];
    getrandom::fill(&mut span).ok()?;
    // A span of all zeros is the only one that is not allowed.
    let span = format!("{:016x}", u64::from_le_bytes(span).max(1));
    let [version, trace, parent_span, flags] =
        parent.split('-').collect::<Vec<_>>().try_into().ok()?;
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_valid = version == "00"
        && is_hex(trace, 32)
        && is_hex(parent_span, 2 * SPAN_ID_BYTES)
        && is_hex(flags, 2);
    is_valid.then(|| format!("{version}-{trace}-{span}-{flags}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_continues_the_trace_under_a_span_of_its_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let child = child_trace(parent).unwrap();
        assert_eq!(
            (child.len(), &child[..36], &child[52..]),
            (55, &parent[..36], "-01")
        );
        assert_ne!(child, parent);
        for broken in [
            "",
            "00-12-34-01",
            &parent.replace("00-", "01-"),
            &parent.replace('f', "g"),
        ] {
            assert_eq!(child_trace(broken), None, "{broken}");
        }
    }
}
