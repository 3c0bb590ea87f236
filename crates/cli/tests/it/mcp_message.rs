//! Messages of the Model Context Protocol as clients of both revisions write them.

use crate::hive::TestHive;
use serde_json::{Value, json};

const META: &str = "io.modelcontextprotocol";

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    /// Instead of the body.
    pub(crate) raw: Option<String>,
}

impl Request {
    fn new(body: Value) -> Self {
        let both = "application/json, text/event-stream";
        let headers = [("content-type", "application/json"), ("accept", both)];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            path: "/mcp".to_owned(),
            headers: headers.map(own).to_vec(),
            body,
            raw: None,
        }
    }

    /// With this header, instead of one of the same name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.raw = Some(text.to_owned());
        self
    }

    pub(crate) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// In another revision, in head and body.
    pub(crate) fn version(mut self, version: &str) -> Self {
        self.body["params"]["_meta"][format!("{META}/protocolVersion")] = json!(version);
        self.header("mcp-protocol-version", version)
    }
}

/// A request of revision 2026-07-28.
pub(crate) fn modern(method: &str, params: Value) -> Request {
    with_capabilities(method, params, &json!({}))
}

/// The same of a client that knows tasks.
pub(crate) fn modern_with_tasks(method: &str, params: Value) -> Request {
    let extensions = json!({ "extensions": { (format!("{META}/tasks")): {} } });
    with_capabilities(method, params, &extensions)
}

fn with_capabilities(method: &str, mut params: Value, capabilities: &Value) -> Request {
    let name = ["name", "uri", "taskId"]
        .iter()
        .find_map(|key| params[*key].as_str().map(str::to_owned));
    params["_meta"] = json!({
        (format!("{META}/protocolVersion")): "2026-07-28",
        (format!("{META}/clientInfo")): { "name": "test", "version": "0" },
        (format!("{META}/clientCapabilities")): capabilities,
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut request = Request::new(body)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = name {
        request = request.header("mcp-name", &name);
    }
    request
}

/// A request of revision 2025-11-25.
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that callers write it in place"
)]
pub(crate) fn legacy(method: &str, params: Value) -> Request {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = Request::new(body);
    if method == "initialize" {
        return request;
    }
    request.header("mcp-protocol-version", "2025-11-25")
}

/// A task that ends once a file is there.
const GATED: &str = "name: gated\nparams:\n  dir: {type: path}\ntasks:\n  first:\n    reads: \
                     [\"${{ params.dir }}\"]\n    run: |\n      while [ ! -e \
                     \"$SKEP_PARAM_DIR/go\" ]; do sleep 0.05; done\n      echo went\n";

/// A gated plan, and the arguments that submit it; opening the gate ends it.
pub(crate) fn gated(hive: &TestHive) -> (Value, impl FnOnce() + use<>) {
    let gate = hive.path().join("gate");
    std::fs::create_dir(&gate).unwrap();
    let arguments = json!({ "plan": GATED, "params": { "dir": gate } });
    (arguments, move || {
        std::fs::write(gate.join("go"), "").unwrap();
    })
}

/// What a client of an older revision says first.
pub(crate) fn hello(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "0" },
    })
}
